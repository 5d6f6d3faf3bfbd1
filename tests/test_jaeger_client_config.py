"""The drop-in's Config: every property as in jaeger-client, and what it makes of them."""

from __future__ import annotations

import copy
import logging
import os
from typing import Any
from unittest import mock

import opentracing
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentracing.scope_managers import ThreadLocalScopeManager

from collectors import http_collector
from jaeger_pairs import BOTH, OLD, module, needs_the_real_one
from ot_bridge import bootstrap
from ot_bridge.errors import ConfigError
from ot_bridge.jaeger_client import Config, ConstSampler, ProbabilisticSampler, RateLimitingSampler, Tracer
from ot_bridge.jaeger_client.local_agent_net import LocalAgentSender
from ot_bridge.jaeger_client.metrics import LegacyMetricsFactory, Metrics, MetricsFactory
from ot_bridge.jaeger_client.reporter import InMemoryReporter, LoggingReporter, Reporter
from ot_bridge.jaeger_client.sampler import OtelSampler, RemoteControlledSampler
from ot_bridge.jaeger_client.throttler import RemoteThrottler
from ot_bridge.watching import capacity_of

CONST = {"sampler": {"type": "const", "param": 1}}


@pytest.fixture(autouse=True)
def _as_if_new(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("JAEGER_"):
            monkeypatch.delenv(name)
    monkeypatch.setattr(Config, "_initialized", False)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")


def config(**keys: Any) -> Config:
    return Config({"service_name": "svc", **keys})


# -- every property ----------------------------------------------------------------------------------------------------

PROPERTIES = (
    "service_name",
    "metrics",
    "enabled",
    "reporter_batch_size",
    "reporter_queue_size",
    "reporter_flush_interval",
    "logging",
    "trace_id_header",
    "baggage_header_prefix",
    "debug_id_header",
    "generate_128bit_trace_id",
    "max_tag_value_length",
    "max_traceback_length",
    "sampler",
    "sampling_refresh_interval",
    "max_operations",
    "local_agent_enabled",
    "local_agent_sampling_port",
    "local_agent_reporting_port",
    "local_agent_reporting_host",
    "tags",
    "propagation",
    "throttler_port",
    "throttler_refresh_interval",
    "scope_manager",
)
GROUPS = ("local_agent_group", "throttler_group")

BOOLEANS = st.sampled_from([True, False, 1, 0, "true", "False", "TRUE", "none", None, "x", ""])
NUMBERS = st.integers(1, 99999) | st.sampled_from(["5", "x", None, 1.5, True, float("inf"), "6831x", "", []])
GROUP = st.none() | st.just([]) | st.just("text") | st.just(5)
SAMPLERS = (
    st.fixed_dictionaries({"type": st.just("const")}, optional={"param": BOOLEANS})
    | st.fixed_dictionaries({"type": st.just("probabilistic"), "param": st.floats(0, 1) | st.just("0.5")})
    | st.fixed_dictionaries({"type": st.sampled_from(["ratelimiting", "rate_limiting"]), "param": st.integers(0, 9)})
    | st.sampled_from([{}, {"type": ""}, {"type": None, "param": 1}, {"type": "remote"}, {"type": "nonsense"}])
    | st.just({"type": "probabilistic", "param": "x"})
    | st.just({"type": "ratelimiting"})
)
KEYS = st.fixed_dictionaries(
    {},
    optional={
        "enabled": BOOLEANS,
        "logging": BOOLEANS,
        "metrics": BOOLEANS,
        "reporter_batch_size": st.integers(1, 50) | st.sampled_from(["7", "x", None]),
        "reporter_queue_size": st.integers(1, 50) | st.sampled_from(["7", "x", None]),
        "reporter_flush_interval": st.floats(0, 10),
        "trace_id_header": st.text(max_size=5),
        "baggage_header_prefix": st.text(max_size=5),
        "debug_id_header": st.text(max_size=5),
        "generate_128bit_trace_id": BOOLEANS,
        "max_tag_value_length": st.integers(1, 99),
        "max_traceback_length": st.integers(1, 99),
        "sampler": SAMPLERS,
        "sampling_refresh_interval": st.integers(1, 99),
        "max_operations": st.none() | st.integers(1, 99),
        "local_agent": GROUP
        | st.fixed_dictionaries(
            {},
            optional={
                "enabled": BOOLEANS,
                "sampling_port": NUMBERS,
                "reporting_port": NUMBERS,
                "reporting_host": st.sampled_from(["agent", "::1", None, 5, ""]),
            },
        ),
        "throttler": GROUP | st.fixed_dictionaries({}, optional={"port": NUMBERS, "refresh_interval": NUMBERS}),
        "tags": st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2),
        "propagation": st.sampled_from(["b3", "jaeger", "", None]),
    },
)
VARIABLES = st.fixed_dictionaries(
    {},
    optional={
        "JAEGER_AGENT_HOST": st.sampled_from(["other", ""]),
        "JAEGER_AGENT_PORT": st.sampled_from(["5", "x", "", "6831.5"]),
        "JAEGER_TAGS": st.sampled_from(["", "a=b", "a=b, c = d", "a=", "=b,c=d"]),
        "JAEGER_TRACEID_128BIT": st.sampled_from(["true", "True", "1", "false", ""]),
        # Names of other languages' clients, which jaeger-client-python never read.
        "JAEGER_SERVICE_NAME": st.just("other"),
        "JAEGER_SAMPLER_TYPE": st.just("const"),
        "JAEGER_DISABLED": st.just("true"),
    },
)


def told(value: Any) -> Any:
    """Return a value of either package in plain words."""
    name = type(value).__name__
    if name.endswith("Sampler"):
        return str(value)
    if isinstance(value, dict):
        return {
            key: type(one).__name__ if key in opentracing.Format.__dict__.values() else one
            for key, one in value.items()
        }
    return value


def properties(base: str, keys: dict[str, Any]) -> dict[str, Any]:
    """Return every property, or the kind of error that it raises."""
    made = module(base, "config").Config(copy.deepcopy(keys), service_name="svc")

    def read(name: str) -> Any:
        try:
            value = getattr(made, name)
            return told(value() if name in GROUPS else value)
        except (TypeError, ValueError) as error:
            return type(error).__name__.replace("ConfigError", "ValueError")

    return {name: read(name) for name in (*PROPERTIES, *GROUPS)}


@needs_the_real_one
@given(keys=KEYS, variables=VARIABLES)
def test_every_property_is_as_in_jaeger_client(keys: dict[str, Any], variables: dict[str, str]) -> None:
    with mock.patch.dict(os.environ, variables):
        theirs, ours = (properties(base, keys) for base in BOTH)
    assert ours == theirs


@needs_the_real_one
def test_every_property_is_tried() -> None:
    theirs = module(OLD, "config").Config
    names = {name for name in vars(theirs) if isinstance(vars(theirs)[name], property)}
    assert sorted(names - {*PROPERTIES, "error_reporter"}) == []


@pytest.mark.parametrize(
    ("text", "tags"),
    [("a=b=c", {"a": "b=c"}), ("a", {}), ("a,b=c", {"b": "c"}), (" , ", {})],
    ids=["second =", "no =", "one without =", "empty"],
)
def test_tags_over_which_jaeger_client_raises_are_read(
    monkeypatch: pytest.MonkeyPatch, text: str, tags: dict[str, str]
) -> None:
    monkeypatch.setenv("JAEGER_TAGS", text)
    assert config().tags == tags


def test_tags_of_the_variable_win_and_the_callers_dict_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAEGER_TAGS", "a=variable")
    keys = {"tags": {"a": "dict", "b": 1}}
    assert config(**keys).tags == {"a": "variable", "b": 1}
    assert keys == {"tags": {"a": "dict", "b": 1}}


def test_section_without_content_is_none() -> None:
    # In YAML a key without a value is null; jaeger-client raises AttributeError over `sampler:`.
    made = config(sampler=None, tags=None, local_agent=None, throttler=None)
    assert (made.sampler, made.tags, made.local_agent_reporting_port, made.throttler_port) == (None, {}, 6831, None)


# -- construction ------------------------------------------------------------------------------------------------------


@needs_the_real_one
@pytest.mark.parametrize("keys", [{}, {"service_name": ""}, {"service_name": None}], ids=str)
def test_service_name_is_needed_as_in_jaeger_client(keys: dict[str, Any]) -> None:
    for base in BOTH:
        with pytest.raises(ValueError, match="service_name required in the config or param"):
            module(base, "config").Config(keys)


@needs_the_real_one
def test_service_name_of_the_config_wins_as_in_jaeger_client() -> None:
    assert [module(base, "config").Config({"service_name": "a"}, service_name="b").service_name for base in BOTH] == [
        "a",
        "a",
    ]


@needs_the_real_one
@pytest.mark.parametrize("key", ["logging", "local_agent", "sampler", "throttler", "propagation", "tags", "enabled"])
def test_validate_lets_known_keys_through_as_in_jaeger_client(key: str) -> None:
    for base in BOTH:
        assert module(base, "config").Config({key: {}}, service_name="svc", validate=True).config == {key: {}}


@needs_the_real_one
def test_validate_refuses_unknown_keys_as_in_jaeger_client() -> None:
    keys = {"sampler": {}, "reporter_batchsize": 1, "unheard_of": 2, "metrics": True, "max_operations": 5}
    for base in BOTH:
        with pytest.raises(ValueError, match="Unexpected keys found in config:") as raised:
            module(base, "config").Config(keys, service_name="svc", validate=True)
        assert [key for key in keys if key in str(raised.value)] == list(keys)[1:]
    assert "reporter_batchsize (did you mean reporter_batch_size?)" in str(raised.value)


def test_metrics_are_taken_in_every_form() -> None:
    counted: list[tuple[str, float]] = []
    legacy = Metrics(count=lambda key, value: counted.append((key, value)))
    factory = MetricsFactory()
    assert type(Config({}, legacy, "svc")._metrics_factory) is LegacyMetricsFactory
    assert Config({}, service_name="svc", metrics_factory=factory)._metrics_factory is factory
    assert Config({"metrics": False}, service_name="svc", metrics_factory=factory)._metrics_factory is not factory
    Config(CONST, legacy, "svc").new_tracer().start_span("op").finish()
    assert dict(counted) == {
        "jaeger:started_spans.sampled_y": 1,
        "jaeger:traces.sampled_y.state_started": 1,
        "jaeger:finished_spans": 1,
    }


# -- what it makes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "kind", "shown"),
    [
        ({"type": "const", "param": 1}, ConstSampler, "ConstSampler(True)"),
        ({"type": "const"}, ConstSampler, "ConstSampler(False)"),
        ({"type": "probabilistic", "param": 0.5}, ProbabilisticSampler, "ProbabilisticSampler(0.5)"),
        ({"type": "ratelimiting", "param": 2}, RateLimitingSampler, "RateLimitingSampler(2.0)"),
        ({}, RemoteControlledSampler, "RemoteControlledSampler(Probabilistic(rate=0.001))"),
    ],
    ids=["const", "const without param", "probabilistic", "ratelimiting", "remote"],
)
def test_tracer_has_the_sampler_of_the_config(section: dict[str, Any], kind: type, shown: str) -> None:
    of = config(sampler=section, local_agent={"reporting_host": "127.0.0.1", "sampling_port": 1}).new_tracer()
    assert (type(of.sampler), str(of.sampler)) == (kind, shown)
    of.close()


def test_sampler_object_in_the_config_is_used() -> None:
    sampler = ConstSampler(True)
    assert config(sampler=sampler).new_tracer().sampler is sampler


@pytest.mark.parametrize("call", ["new_tracer", "initialize_tracer"])
def test_unknown_sampler_is_refused(call: str) -> None:
    with pytest.raises(ConfigError, match="Unknown sampler type nonsense, expected const, probabilistic, ratelimiting"):
        getattr(config(sampler={"type": "nonsense"}), call)()


def test_variables_of_opentelemetry_and_the_bridge_choose_the_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    first = config(**CONST).new_tracer()
    assert (type(first.sampler), str(first.sampler), first.start_span("op").is_sampled()) == (
        OtelSampler,
        "AlwaysOffSampler",
        False,
    )
    monkeypatch.setenv("OT_BRIDGE_SAMPLER", "const:1")
    second = config(sampler={"type": "const", "param": 0}).new_tracer()
    root = second.start_span("op")
    assert (root.is_sampled(), [tag.key for tag in root.tags]) == (True, ["sampler.type", "sampler.param"])


def test_variables_of_the_bridge_win_over_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OT_BRIDGE_TRACE_ID_BITS", "128")
    monkeypatch.setenv("OT_BRIDGE_TRACE_ID_HEADER", "x-trace")
    monkeypatch.setenv("OT_BRIDGE_MAX_TAG_VALUE_LENGTH", "3")
    of = config(**CONST, trace_id_header="y-trace", max_tag_value_length=5).new_tracer()
    settings = of.settings
    assert (settings.trace_id_bits, settings.trace_id_header, settings.max_tag_value_length) == (128, "x-trace", 3)
    assert settings.references == "jaeger"


def test_whole_config_reaches_the_tracer() -> None:
    scopes = ThreadLocalScopeManager()
    factory = MetricsFactory()
    of = Config(
        {
            **CONST,
            "tags": {"process": "p"},
            "trace_id_header": "Trace_Id",
            "baggage_header_prefix": "Bag_",
            "debug_id_header": "Debug_Id",
            "generate_128bit_trace_id": True,
            "max_tag_value_length": 5,
            "max_traceback_length": 6,
            "propagation": "b3",
            "throttler": {"port": 1, "refresh_interval": 7},
            "logging": True,
        },
        service_name="svc",
        metrics_factory=factory,
        scope_manager=scopes,
    ).new_tracer()
    settings = of.settings
    assert isinstance(of.throttler, RemoteThrottler)
    assert {
        "service": of.service_name,
        "tag": of.tags["process"],
        "headers": (settings.trace_id_header, settings.baggage_header_prefix, settings.debug_id_header),
        "debug id": of.debug_id_header,
        "bits": (of.max_trace_id_bits, settings.trace_id_bits),
        "lengths": (of.max_tag_value_length, of.max_traceback_length),
        "limits": (settings.max_tag_value_length, settings.max_traceback_length),
        "formats": (settings.extract[0], settings.inject[0]),
        "factory": of.metrics_factory is factory,
        "throttled every": of.throttler.refresh_interval,
        "reporters": [type(one) for one in of.reporter.reporters],
    } == {
        "service": "svc",
        "tag": "p",
        "headers": ("trace-id", "bag-", "debug-id"),
        "debug id": "Debug_Id",
        "bits": (128, 128),
        "lengths": (5, 6),
        "limits": (5, 6),
        "formats": ("b3", "b3multi"),
        "factory": True,
        "throttled every": 7,
        "reporters": [Reporter, LoggingReporter],
    }
    with of.start_active_span("op"):
        assert scopes.active is not None
    of.close()


def test_nothing_is_cut_unless_a_length_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert config(**CONST).new_tracer().settings.max_tag_value_length is None
    span: Any = config(**CONST).new_tracer().start_span("op", tags={"long": "x" * 3000})
    assert (len(span.attributes["long"]), len(span.tags[0].vStr)) == (3000, 1024)


def test_batches_are_as_the_config_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    made = config(**CONST, reporter_queue_size=50, reporter_batch_size=5, reporter_flush_interval=2.5).new_tracer()
    unset = config(**CONST).new_tracer()
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "70")
    told_otherwise = config(**CONST, reporter_queue_size=50, reporter_batch_size=5).new_tracer()

    def batches(of: Any) -> tuple[Any, ...]:
        (processor,) = of.reporter.processors
        inner = processor._batch_processor
        return capacity_of(processor), inner._max_export_batch_size, inner._schedule_delay

    assert (batches(made), batches(unset), batches(told_otherwise)[:2]) == ((50, 5, 2.5), (2048, 512, 5.0), (70, 5))
    for of in (made, unset, told_otherwise):
        of.close(0)


def test_queue_smaller_than_a_batch_is_refused_as_ever() -> None:
    with pytest.raises(ValueError, match="queue_capacity=5 is less than batch_size=10"):
        config(**CONST, reporter_queue_size=5, reporter_batch_size=10).new_tracer()


# -- the global tracer -------------------------------------------------------------------------------------------------


def test_initialize_tracer_sets_the_globals_of_both_libraries() -> None:
    of = config(**CONST).initialize_tracer()
    assert type(of) is Tracer
    assert opentracing.global_tracer() is opentracing.tracer is of
    assert trace.get_tracer_provider() is of._provider
    assert Config.initialized() is True


def test_second_call_of_initialize_tracer_does_nothing(caplog: pytest.LogCaptureFixture) -> None:
    of = config(**CONST).initialize_tracer()
    assert config(**CONST).initialize_tracer() is None
    assert opentracing.global_tracer() is of
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "Jaeger tracer already initialized, skipping"
    ]


def test_tracer_is_replaced_after_the_flag_is_reset() -> None:
    # What test suites do between tests.
    first = config(**CONST).initialize_tracer()
    Config._initialized = False
    second = config(**CONST).initialize_tracer()
    assert second is not None
    assert second is not first
    assert opentracing.global_tracer() is second
    assert trace.get_tracer_provider() is second._provider


def test_new_tracer_is_nobodys_global_one() -> None:
    before = opentracing.tracer
    config(**CONST).new_tracer()
    assert opentracing.tracer is before
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def test_first_lines_of_the_log_say_which_sampler_and_tracer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "jaeger_tracing")
    of = config(**CONST).initialize_tracer()
    assert [record.getMessage() for record in caplog.records if record.name == "jaeger_tracing"] == [
        "Using sampler ConstSampler(True)",
        f"opentracing.tracer initialized to {of}[app_name=svc]",
    ]


# -- derived classes ---------------------------------------------------------------------------------------------------


def test_derived_class_may_make_its_own_channel() -> None:
    class Channel(LocalAgentSender):
        pass

    class Mine(Config):
        def _create_local_agent_channel(self, io_loop: Any) -> Any:
            asked.append(io_loop)
            return Channel("127.0.0.1", 1, 2, io_loop=io_loop)

    asked: list[Any] = []
    of = Mine(CONST, service_name="svc").new_tracer(io_loop="loop")
    assert (asked, type(of.reporter)) == (["loop"], Reporter)


def test_derived_class_may_make_its_own_tracer() -> None:
    class Mine(Config):
        def create_tracer(self, reporter: Any, sampler: Any, throttler: Any = None) -> Any:
            return Tracer(service_name="mine", reporter=InMemoryReporter(), sampler=sampler, tags=self.tags)

    of = Mine(CONST, service_name="svc").initialize_tracer()
    assert of is not None
    with of.start_active_span("op"):
        assert opentracing.tracer.active_span.operation_name == "op"
    assert (of.service_name, [span.operation_name for span in of.reporter.get_spans()]) == ("mine", ["op"])


def test_derived_class_may_replace_new_tracer_by_one_of_another_make() -> None:
    from opentracing.mocktracer import MockTracer

    class Mine(Config):
        def new_tracer(self, io_loop: Any = None) -> Any:
            return MockTracer()

    before = opentracing.tracer
    try:
        of = Mine(CONST, service_name="svc").initialize_tracer()
        assert opentracing.global_tracer() is of
    finally:
        opentracing.tracer, opentracing.is_tracer_registered = before, False


# -- where the spans go ------------------------------------------------------------------------------------------------


def test_spans_go_to_otlps_port_on_the_agents_host_and_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    of = config(**CONST, local_agent={"reporting_host": "192.0.2.7", "reporting_port": 6832}).new_tracer()
    said = (
        "spans go to http://192.0.2.7:4318/v1/traces: jaeger-client's agent 192.0.2.7:6832 takes no OTLP; this is "
        "OTLP's port on its host; set OTEL_EXPORTER_OTLP_ENDPOINT to choose"
    )
    assert [record.getMessage() for record in caplog.records] == [said]
    of.close(0)


def test_spans_go_where_the_variable_says_and_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    with http_collector() as (url, arrivals):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        of = config(**CONST, tags={"process": "p", "hostname": "h"}, local_agent={"reporting_host": "x"}).new_tracer()
        of.start_span("op").finish()
        assert of.close().result(30) is True
    (arrival,) = arrivals
    resource = {one.key: one.value.string_value for one in arrival.request.resource_spans[0].resource.attributes}
    assert (arrival.span_names, resource["service.name"], resource["process"], resource["host.name"]) == (
        ["op"],
        "svc",
        "p",
        "h",
    )
    assert "jaeger.version" not in resource
    assert caplog.records == []


def test_service_name_of_the_config_wins_over_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "other")
    of: Any = config(**CONST).new_tracer()
    assert of._provider.resource.attributes["service.name"] == "svc"


def test_resource_attributes_of_the_variable_win_over_process_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "process=variable")
    of: Any = config(**CONST, tags={"process": "config", "zone": 1}).new_tracer()
    attributes = of._provider.resource.attributes
    assert (attributes["process"], attributes["zone"]) == ("variable", 1)


@pytest.mark.parametrize("order", ["install first", "config first"])
def test_install_and_initialize_tracer_in_both_orders(monkeypatch: pytest.MonkeyPatch, order: str) -> None:
    import ot_bridge

    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    with http_collector() as (url, arrivals):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        makes: dict[str, Any] = {
            "install": lambda: ot_bridge.install("installed"),
            "config": lambda: config(**CONST).initialize_tracer(),
        }
        names = ["install", "config"] if order == "install first" else ["config", "install"]
        first = makes[names[0]]()
        with first.start_active_span("before"):
            pass
        second = makes[names[1]]()
        assert opentracing.global_tracer() is second
        with opentracing.tracer.start_active_span("after"):
            pass
        # Installed twice is installed once: the drop-in's tracer stays, as install says of any second call.
        assert (second is first, type(second) is Tracer) == (order == "config first", True)
        assert trace.get_tracer_provider() is second._provider
        for of in {id(first): first, id(second): second}.values():
            closed = of.close()
            assert closed is True or closed.result(30) is True
    found = {
        (one.value.string_value, name)
        for arrival in arrivals
        for spans in arrival.request.resource_spans
        for one in spans.resource.attributes
        if one.key == "service.name"
        for name in [span.name for scope in spans.scope_spans for span in scope.spans]
    }
    assert found == {("installed" if order == "install first" else "svc", "before"), ("svc", "after")}
    bootstrap._uninstall()
    if order == "install first":  # the one that gave way is closed at exit
        import atexit

        atexit.unregister(first.close)
