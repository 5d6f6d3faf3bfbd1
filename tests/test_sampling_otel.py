"""Jaeger's samplers as OpenTelemetry's: under the SDK alone, under the bridge, by variable and by setting."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import opentracing
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, ParentBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState
from opentracing import Format

import ot_bridge
from agents import agent, eventually, json_of, stays_silent
from ot_bridge import BridgeTracer, ConfigError, Settings, sampling, telemetry
from ot_bridge.provider import build_provider
from ot_bridge.sampling import Const, Decider, JaegerSampler, Probabilistic, RateLimiting, RootSampler, native
from ot_bridge.sampling.decisions import Answer
from spans import as_dict

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
STATE = TraceState([("ot", "th:8"), ("vendor", "1")])
KEYS = "endpoint, pollingIntervalMs, initialSamplingRate, maxOperations"
YES = {"sampler.type": "const", "sampler.param": True}


def context_of(*, sampled: bool, remote: bool) -> Any:
    span_context = SpanContext(TRACE_ID, 0xB7, remote, TraceFlags(1 if sampled else 0), STATE)
    return trace.set_span_in_context(NonRecordingSpan(span_context))


def tracer_of(decider: Decider, exporter: InMemorySpanExporter, settings: Settings | None = None) -> BridgeTracer:
    provider = TracerProvider(sampler=JaegerSampler(decider), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return BridgeTracer(provider, settings=settings or Settings())


def attributes(exporter: InMemorySpanExporter) -> dict[str, Any]:
    """Return the attributes of each exported span by its name."""
    return {span.name: dict(span.attributes or {}) for span in exporter.get_finished_spans()}


class Deciding(Decider):
    """Keeps what it was asked, and says yes."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []
        self.closed = 0

    def decide(self, trace_id: int, operation: str) -> Answer:
        self.asked.append((trace_id, operation))
        return True, {"sampler.type": "mine", "sampler.param": 7}

    def close(self) -> None:
        self.closed += 1

    def _parts(self) -> dict[str, object]:
        return {}


class Failing(Deciding):
    def decide(self, trace_id: int, operation: str) -> Answer:
        raise ZeroDivisionError


# -- the adapters ------------------------------------------------------------------------------------------------------


def test_sampled_root_has_the_tags_of_the_sampler() -> None:
    result = JaegerSampler(Const(True)).should_sample(None, 1, "op", attributes={"k": "v", "sampler.type": "old"})
    assert (result.decision, dict(result.attributes or {}), result.trace_state) == (
        Decision.RECORD_AND_SAMPLE,
        {"k": "v", **YES},
        None,
    )


def test_unsampled_root_has_no_tags() -> None:
    result = JaegerSampler(Const(False)).should_sample(None, 1, "op", attributes={"k": "v"})
    assert (result.decision, dict(result.attributes or {})) == (Decision.DROP, {})


@pytest.mark.parametrize("remote", [True, False], ids=["remote", "local"])
@pytest.mark.parametrize("sampled", [True, False], ids=["sampled", "unsampled"])
def test_parent_is_followed_with_its_trace_state_and_without_tags(sampled: bool, remote: bool) -> None:
    decider = Deciding()
    above = context_of(sampled=sampled, remote=remote)
    result = JaegerSampler(decider).should_sample(above, TRACE_ID, "op", attributes={"k": "v"})
    expected = (Decision.RECORD_AND_SAMPLE, {"k": "v"}) if sampled else (Decision.DROP, {})
    assert (result.decision, dict(result.attributes or {})) == expected
    assert (result.trace_state, decider.asked) == (STATE, [])


def test_root_sampler_by_itself_decides_on_children_too_without_tags() -> None:
    above = context_of(sampled=False, remote=True)
    kept = RootSampler(Const(True)).should_sample(above, TRACE_ID, "op", attributes={"k": "v"})
    dropped = RootSampler(Const(False)).should_sample(above, TRACE_ID, "op")
    assert (kept.decision, dict(kept.attributes or {}), kept.trace_state) == (
        Decision.RECORD_AND_SAMPLE,
        {"k": "v"},
        STATE,
    )
    assert (dropped.decision, dropped.trace_state) == (Decision.DROP, STATE)


def test_decider_that_fails_samples_nothing_and_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    sampler = JaegerSampler(Failing())
    decisions = [sampler.should_sample(None, 1, "op").decision for _ in range(2)]
    assert (decisions, dict(telemetry.snapshot())) == ([Decision.DROP] * 2, {"sampler.failed": 2})
    assert caplog.messages == ["a sampler failed to decide; not sampled"]


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("const:1", "JaegerConst{decision=True}"),
        ("probabilistic:0.1", "JaegerProbabilistic{rate=0.1}"),
        ("ratelimiting:2.5", "JaegerRateLimiting{max_traces_per_second=2.5}"),
        (
            "guaranteed:0.01,0.5",
            "JaegerPerOperation{default_rate=0.01, lower_bound=0.5, max_operations=2000, 0 known}",
        ),
    ],
)
def test_description_names_the_root_sampler(text: str, description: str) -> None:
    sampler = sampling.build(text, service_name="shop")
    assert sampler.get_description() == ParentBased(RootSampler(sampler.decider)).get_description()
    assert sampler.get_description().startswith(f"ParentBased{{root:{description},remoteParentSampled:AlwaysOnSampler,")


# -- on spans ----------------------------------------------------------------------------------------------------------


def test_whole_root_of_the_bridge_carries_the_tags_and_its_child_does_not(exporter: InMemorySpanExporter) -> None:
    tracer = tracer_of(Probabilistic(1.0), exporter)
    with tracer.start_active_span("root", tags={"k": "v"}), tracer.start_active_span("child", tags={"k": "w"}):
        pass
    child, root = map(as_dict, exporter.get_finished_spans())
    tags = {"sampler.type": "probabilistic", "sampler.param": 1.0}
    assert (root["attributes"], child["attributes"]) == ({"k": "v", **tags}, {"k": "w"})
    assert (root["trace_flags"] & 1, child["parent_id"]) == (1, root["span_id"])


def test_native_root_carries_the_tags_and_its_child_does_not(exporter: InMemorySpanExporter) -> None:
    tracer = tracer_of(RateLimiting(1000, fraction=lambda: 1.0), exporter).unwrap()
    with tracer.start_as_current_span("root", attributes={"k": "v"}), tracer.start_as_current_span("child"):
        pass
    tags = {"sampler.type": "ratelimiting", "sampler.param": 1000}
    assert attributes(exporter) == {"root": {"k": "v", **tags}, "child": {}}


@pytest.mark.parametrize("header", ["1:2:0:1", "1:2:0:0"], ids=["sampled", "unsampled"])
def test_remote_parent_decides(header: str, exporter: InMemorySpanExporter) -> None:
    decider = Deciding()
    tracer = tracer_of(decider, exporter)
    tracer.start_span("op", child_of=tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": header})).finish()
    assert (attributes(exporter), decider.asked) == ({"op": {}} if header.endswith("1") else {}, [])


def test_sampler_is_asked_with_the_trace_id_and_the_operation(exporter: InMemorySpanExporter) -> None:
    decider = Deciding()
    span = tracer_of(decider, exporter).start_span("pay")
    assert decider.asked == [(span.context.trace_id, "pay")]


@pytest.mark.parametrize(("decision", "expected"), [(True, {"op": YES}), (False, {})], ids=["yes", "no"])
def test_context_with_baggage_alone_is_decided_on_as_a_root(
    decision: bool, expected: dict[str, Any], exporter: InMemorySpanExporter
) -> None:
    tracer = tracer_of(Const(decision), exporter)
    container = tracer.extract(Format.HTTP_HEADERS, {"jaeger-baggage": "k=v"})
    assert container is not None
    span = tracer.start_span("op", child_of=container)
    span.finish()
    assert (span.get_baggage_item("k"), attributes(exporter)) == ("v", expected)


def test_context_with_baggage_alone_is_decided_on_as_a_root_when_it_is_a_reference(
    exporter: InMemorySpanExporter,
) -> None:
    tracer = tracer_of(Const(True), exporter, Settings(references="jaeger"))
    container = tracer.extract(Format.HTTP_HEADERS, {"uberctx-k": "v"})
    with tracer.start_active_span("op", references=opentracing.follows_from(container)):
        pass
    assert attributes(exporter) == {"op": YES}


@pytest.mark.parametrize("how", ["debug-id", "priority"])
def test_forced_root_is_not_the_sampler_s_choice(how: str, exporter: InMemorySpanExporter) -> None:
    decider = Deciding()
    tracer = tracer_of(decider, exporter)
    if how == "debug-id":
        above = tracer.extract(Format.HTTP_HEADERS, {"jaeger-debug-id": "ticket-7"})
        tracer.start_span("op", child_of=above).finish()
        expected: dict[str, Any] = {"jaeger-debug-id": "ticket-7", "jaeger.debug": True}
    else:
        tracer.start_span("op", tags={"sampling.priority": 1}).finish()
        expected = {"sampling.priority": 1, "jaeger.debug": True}
    assert (attributes(exporter), decider.asked) == ({"op": expected}, [])


def test_late_sampling_records_what_the_sampler_refused_without_its_tags(exporter: InMemorySpanExporter) -> None:
    tracer = tracer_of(Const(False), exporter, Settings(late_sampling=True))
    tracer.start_span("op", tags={"k": "v"}).set_tag("sampling.priority", 1).finish()
    assert attributes(exporter) == {"op": {"k": "v", "sampling.priority": 1, "jaeger.debug": True}}


def test_decision_is_sent_and_no_threshold_is_made_up(exporter: InMemorySpanExporter) -> None:
    tracer = tracer_of(Probabilistic(1.0), exporter)
    headers: dict[str, str] = {}
    span = tracer.start_span("op")
    tracer.inject(span.context, Format.HTTP_HEADERS, headers)
    assert sorted(headers) == ["traceparent", "uber-trace-id"]
    assert headers["uber-trace-id"] == f"{span.context.trace_id:032x}:{span.context.span_id:016x}:0:1"


def test_received_threshold_is_passed_on_untouched(exporter: InMemorySpanExporter) -> None:
    tracer = tracer_of(Const(False), exporter)
    received = {"traceparent": f"00-{TRACE_ID:032x}-00000000000000b7-01", "tracestate": "ot=th:8,vendor=1"}
    sent: dict[str, str] = {}
    tracer.inject(tracer.start_span("op", child_of=tracer.extract(Format.HTTP_HEADERS, received)), "http_headers", sent)
    assert sent["tracestate"] == "ot=th:8,vendor=1"


# -- by setting --------------------------------------------------------------------------------------------------------


@pytest.fixture
def _no_exporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")


@pytest.mark.usefixtures("_no_exporter")
def test_install_takes_the_sampler_of_the_settings() -> None:
    tracer = ot_bridge.install("shop", settings=Settings(sampler="const:0"))
    provider: Any = trace.get_tracer_provider()
    assert (provider.sampler.decider, tracer.start_span("op").is_sampled()) == (Const(False), False)


@pytest.mark.usefixtures("_no_exporter")
def test_install_takes_the_sampler_of_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OT_BRIDGE_SAMPLER", "probabilistic:0.25")
    ot_bridge.install("shop")
    provider: Any = trace.get_tracer_provider()
    assert provider.sampler.decider == Probabilistic(0.25)


def test_setting_wins_over_opentelemetry_s_variable_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ot_bridge")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_on")
    provider: Any = build_provider("shop", list, sampler="const:0")
    assert provider.sampler.decider == Const(False)
    assert caplog.messages == ["the sampler is const:0, as the settings say; OTEL_TRACES_SAMPLER=always_on is not used"]


def test_sampler_beside_a_provider_that_is_there_is_warned_of(
    provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    ot_bridge.install(settings=Settings(sampler="const:0"), tracer_provider=provider)
    assert "sampler='const:0' has no effect: the provider in use has its own" in caplog.messages
    assert telemetry.snapshot()["install.sampler"] == 1


def test_disabled_sdk_asks_no_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with agent(stays_silent) as running:
        build_provider("shop", list, sampler=f"remote:endpoint={running.url}")
        assert (polling(), running.asked) == ([], [])


def polling() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ot_bridge-poll"]


@pytest.mark.usefixtures("_no_exporter")
def test_remote_sampler_asks_for_the_installed_service_and_stops_with_the_tracer() -> None:
    with agent(json_of(probabilisticSampling={"samplingRate": 0.42})) as running:
        tracer = ot_bridge.install("my shop", settings=Settings(sampler=f"remote:endpoint={running.url}"))
        provider: Any = trace.get_tracer_provider()
        assert eventually(lambda: provider.sampler.decider.current == Probabilistic(0.42))
        tracer.close()
        assert eventually(lambda: not polling())
    assert [asked.target for asked in running.asked] == ["/sampling?service=my%20shop"]


def test_failed_set_up_leaves_no_sampler_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otpl")
    with agent(stays_silent) as running:
        with pytest.raises(ConfigError, match="otpl"):
            ot_bridge.install("shop", settings=Settings(sampler=f"remote:endpoint={running.url}"))
        assert eventually(lambda: not polling())


@pytest.mark.usefixtures("_no_exporter")
def test_close_reports_a_sampler_that_fails_to_close() -> None:
    class Stuck(Deciding):
        def close(self) -> None:
            raise ZeroDivisionError

    tracer = ot_bridge.install("shop")
    provider: Any = trace.get_tracer_provider()
    provider.sampler = JaegerSampler(Stuck())
    assert (tracer.close(), telemetry.snapshot()["close.error"]) == (True, 1)


def test_sampler_of_a_given_provider_stays_open(exporter: InMemorySpanExporter) -> None:
    decider = Deciding()
    tracer_of(decider, exporter).close()
    assert decider.closed == 0


# -- by OpenTelemetry's variable ---------------------------------------------------------------------------------------


@pytest.fixture
def _closed() -> Iterator[None]:
    yield
    assert eventually(lambda: not polling())


@pytest.mark.parametrize(
    ("name", "argument", "decider"),
    [
        ("ot_bridge_const", "0", Const(False)),
        ("ot_bridge_probabilistic", "0.25", Probabilistic(0.25)),
        ("ot_bridge_ratelimiting", "2", RateLimiting(2)),
        ("ot_bridge_guaranteed", "0.5,1", sampling.PerOperation(0.5, 1)),
    ],
)
def test_variable_names_the_sampler(
    name: str, argument: str, decider: Decider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", name)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    bridged: Any = build_provider("shop", list)
    made = getattr(native, name.removeprefix("ot_bridge_"))(argument)
    assert (bridged.sampler.decider, made.decider) == (decider, decider)


@pytest.mark.usefixtures("_closed")
def test_remote_by_variable_asks_for_the_name_that_install_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "other")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "ot_bridge_remote")
    with agent(json_of(probabilisticSampling={"samplingRate": 0.42})) as running:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", f"endpoint={running.url}")
        provider: Any = build_provider("shop", list)
        assert eventually(lambda: running.asked)
        provider.sampler.close()
    assert [asked.query for asked in running.asked] == [[("service", "shop")]]


@pytest.mark.usefixtures("_closed")
@pytest.mark.parametrize(
    ("variables", "asked_for"),
    [
        ({"OTEL_SERVICE_NAME": "shop"}, "shop"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a%20b,x=y"}, "a b"),
        ({"OTEL_SERVICE_NAME": "shop", "OTEL_RESOURCE_ATTRIBUTES": "service.name=other"}, "shop"),
        ({}, "unknown_service"),
    ],
    ids=["variable", "attributes", "both", "neither"],
)
def test_remote_of_a_native_service_asks_for_the_name_in_the_variables(
    variables: dict[str, str], asked_for: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with agent(json_of(probabilisticSampling={"samplingRate": 0.42})) as running:
        sampler = native.remote(f"endpoint={running.url}")
        assert eventually(lambda: running.asked)
        sampler.close()
    assert [asked.query for asked in running.asked] == [[("service", asked_for)]]


ARGUMENTS = [
    ("const", None, "got '' (environment variable), expected 1 or 0, such as '1'"),
    (
        "probabilistic",
        "10",
        "got '10' (environment variable), expected the rate, a number from 0 to 1, such as '0.1'",
    ),
    ("remote", "endpont=a", f"got 'endpont' (environment variable), expected one of {KEYS}; did you mean 'endpoint'?"),
]


@pytest.mark.parametrize(("name", "argument", "message"), ARGUMENTS, ids=[case[0] for case in ARGUMENTS])
def test_mistake_in_the_argument_is_refused_by_its_name(
    name: str, argument: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", f"ot_bridge_{name}")
    if argument is not None:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    with pytest.raises(ConfigError) as by_factory:
        getattr(native, name)(argument)
    with pytest.raises(ConfigError) as by_install:
        build_provider("shop", list)
    expected = f"cannot use OTEL_TRACES_SAMPLER_ARG: {message}"
    assert (str(by_factory.value), str(by_install.value)) == (expected, expected)


def test_name_that_is_nearly_right_is_helped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "ot_bridge_ratelimitting")
    with pytest.raises(ConfigError, match="did you mean 'ot_bridge_ratelimiting'"):
        build_provider("shop", list)


def configured(sampler: str, argument: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the sampler that OpenTelemetry's own set-up takes for these variables, by our entry points."""
    from opentelemetry.sdk import _configuration

    factory = {f"ot_bridge_{name}": getattr(native, name) for name in native.__all__}
    monkeypatch.setattr(_configuration, "_import_sampler_factory", factory.__getitem__)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", argument)
    return _configuration._import_sampler(sampler)


def test_native_set_up_takes_the_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    assert configured("ot_bridge_const", "1", monkeypatch).decider == Const(True)


def test_native_set_up_logs_a_mistake_and_falls_back_to_its_default(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert configured("ot_bridge_const", "2", monkeypatch) is None
    (message,) = caplog.messages
    assert message.startswith("Using default sampler. Failed to initialize sampler, ot_bridge_const: cannot use OTEL_")
