"""The provider that install builds from OTEL_* variables, and the mistakes that the SDK would let pass."""

from __future__ import annotations

import ipaddress
import logging
import socket

import pytest
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from entry_points import EntryPoints
from ot_bridge import ConfigError
from ot_bridge.provider import SAMPLERS, build_provider


def no_processors() -> list[SpanProcessor]:
    return []


def never() -> list[SpanProcessor]:
    raise AssertionError("processors are built last, and not at all for a disabled SDK")


# -- resource ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service_name", "variables", "expected"),
    [
        ("shop", {}, {"service.name": "shop"}),
        (None, {"OTEL_SERVICE_NAME": "env"}, {"service.name": "env"}),
        (None, {"OTEL_RESOURCE_ATTRIBUTES": "service.name=a%20b,"}, {"service.name": "a b"}),
        (
            "shop",
            {"OTEL_SERVICE_NAME": "env", "OTEL_RESOURCE_ATTRIBUTES": "service.name=other, team = t1"},
            {"service.name": "shop", "team": "t1"},
        ),
    ],
    ids=["argument", "variable", "attributes", "argument-wins"],
)
def test_resource_names_the_service(
    service_name: str | None, variables: dict[str, str], expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    attributes = dict(build_provider(service_name, no_processors).resource.attributes)
    own = {key: value for key, value in attributes.items() if key in ("service.name", "team")}
    assert own == expected


def test_service_name_that_wins_over_the_variable_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "ot_bridge")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "env")
    build_provider("shop", no_processors)
    assert caplog.messages == ["the service name is 'shop', as given to install; OTEL_SERVICE_NAME=env is not used"]


# -- sampler, id generator, limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "argument", "description"),
    [
        (None, None, "ParentBased{root:AlwaysOnSampler,"),
        ("always_on", None, "AlwaysOnSampler"),
        ("ALWAYS_OFF", "0.5", "AlwaysOffSampler"),
        ("traceidratio", "0.25", "TraceIdRatioBased{0.25}"),
        ("traceidratio", "", "TraceIdRatioBased{1.0}"),
        ("parentbased_always_on", None, "ParentBased{root:AlwaysOnSampler,"),
        ("parentbased_always_off", None, "ParentBased{root:AlwaysOffSampler,"),
        ("parentbased_traceidratio", "1e-3", "ParentBased{root:TraceIdRatioBased{0.001},"),
    ],
)
def test_variable_chooses_the_sampler(
    name: str | None, argument: str | None, description: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in (("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", argument)):
        if value is not None:
            monkeypatch.setenv(variable, value)
    assert build_provider("s", no_processors).sampler.get_description().startswith(description)


class OwnIds(RandomIdGenerator):
    """An id generator of another package."""


def test_entry_points_give_sampler_and_id_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments: list[str | None] = []

    def own_sampler(argument: str | None) -> ParentBased:
        arguments.append(argument)
        return ParentBased(ALWAYS_OFF)

    made = {
        "opentelemetry_traces_sampler": EntryPoints(own=own_sampler),
        "opentelemetry_id_generator": EntryPoints(own=OwnIds),
    }
    monkeypatch.setattr("ot_bridge.environment.entry_points", lambda group: made[group])
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "own")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "key=1")
    monkeypatch.setenv("OTEL_PYTHON_ID_GENERATOR", "own")
    provider = build_provider("s", no_processors)
    assert (type(provider.sampler), type(provider.id_generator), arguments) == (ParentBased, OwnIds, ["key=1"])


def test_limits_are_the_sdk_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SPAN_EVENT_COUNT_LIMIT", "3")
    assert build_provider("s", no_processors)._span_limits.max_events == 3


MISTAKES = [
    ("OTEL_TRACES_SAMPLER", "alway_on", "cannot use OTEL_TRACES_SAMPLER: got 'alway_on' ", "did you mean 'always_on'?"),
    ("OTEL_TRACES_SAMPLER_ARG", "ten", "cannot use OTEL_TRACES_SAMPLER_ARG: got 'ten' ", "of at least 0 and at most 1"),
    ("OTEL_TRACES_SAMPLER_ARG", "10", "cannot use OTEL_TRACES_SAMPLER_ARG: got '10' ", "of at least 0 and at most 1"),
    ("OTEL_TRACES_SAMPLER_ARG", "nan", "cannot use OTEL_TRACES_SAMPLER_ARG: got 'nan' ", "of at least 0 and at most 1"),
    (
        "OTEL_TRACES_SAMPLER_ARG",
        "-0.1",
        "cannot use OTEL_TRACES_SAMPLER_ARG: got '-0.1' ",
        "of at least 0 and at most 1",
    ),
    ("OTEL_PYTHON_ID_GENERATOR", "rnadom", "cannot use OTEL_PYTHON_ID_GENERATOR: got 'rnadom' ", "mean 'random'?"),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", "many", "OTEL_SPAN_EVENT_COUNT_LIMIT must be a non-negative integer", "got many"),
    (
        "OTEL_RESOURCE_ATTRIBUTES",
        "a=b,team",
        "OTEL_RESOURCE_ATTRIBUTES: got 'team' (environment variable, item 2)",
        "key=",
    ),
]


@pytest.mark.parametrize(("variable", "value", "reason", "hint"), MISTAKES, ids=[f"{c[0]}={c[1]}" for c in MISTAKES])
def test_mistake_is_refused_by_name(
    variable: str, value: str, reason: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError) as caught:
        build_provider("s", never)
    assert reason in str(caught.value)
    assert hint in str(caught.value)


def test_sampler_that_cannot_be_built_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    made = EntryPoints(own=lambda argument: {}[argument])
    monkeypatch.setattr("ot_bridge.environment.entry_points", lambda group: made)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "own")
    with pytest.raises(
        ConfigError, match=r"^cannot use OTEL_TRACES_SAMPLER: building 'own' .* failed with KeyError: None$"
    ):
        build_provider("s", never)


def test_every_sampler_of_the_specification_is_known() -> None:
    base = ("always_on", "always_off", "traceidratio")
    assert sorted(SAMPLERS) == sorted([*base, *(f"parentbased_{name}" for name in base)])


# -- disabled ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["true", " TRUE "])
def test_disabled_sdk_makes_no_op_tracers_and_no_processors(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", value)
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "not looked at")
    span = build_provider("s", never).get_tracer("t").start_span("s")
    assert (span.is_recording(), span.get_span_context().is_valid) == (False, False)


@pytest.mark.parametrize("value", ["1", "yes", "false", ""])
def test_only_true_disables(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", value)
    assert build_provider("s", no_processors).get_tracer("t").start_span("s").is_recording()


def test_resource_names_the_host_as_jaeger_client_did() -> None:
    attributes = build_provider("checkout", no_processors).resource.attributes
    assert attributes["host.name"] == socket.gethostname()
    assert ipaddress.ip_address(str(attributes.get("ip", "127.0.0.1")))


def test_resource_attributes_of_the_environment_win_over_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=pod-7,ip=10.0.0.7")
    attributes = build_provider("checkout", no_processors).resource.attributes
    assert (attributes["host.name"], attributes["ip"], attributes["service.name"]) == ("pod-7", "10.0.0.7", "checkout")
