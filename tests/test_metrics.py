"""The counters as OpenTelemetry metrics: the same numbers as in a snapshot, whenever the provider comes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import metrics as otel_metrics
from opentelemetry.metrics import _internal as otel_internal
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Sum
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.util._once import Once

import ot_bridge
from ot_bridge import BridgeTracer, ConfigError, MixedFleetPropagator, Settings, metrics, propagator, telemetry
from ot_bridge.metrics import INSTRUMENTS, expose, series_of
from ot_bridge.telemetry import COUNTERS

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
UBER = f"{TRACE_ID:032x}:1:0:1"
PARENT = f"00-{TRACE_ID:032x}-b7ad6b7169203331-01"

Values = dict[str, dict[tuple[tuple[str, Any], ...], int]]


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def meters(reader: InMemoryMetricReader) -> Iterator[MeterProvider]:
    """An SDK provider that nobody else knows."""
    provider = MeterProvider([reader], shutdown_on_exit=False)
    yield provider
    provider.shutdown()


@pytest.fixture(autouse=True)
def _global_provider_is_put_back() -> Iterator[None]:
    """Forget the global provider; OpenTelemetry has no public way back."""
    yield
    otel_internal._METER_PROVIDER = None
    otel_internal._METER_PROVIDER_SET_ONCE = Once()
    otel_internal._PROXY_METER_PROVIDER = otel_internal._ProxyMeterProvider()
    metrics._exposed.clear()
    metrics._waiting = False


def read(reader: InMemoryMetricReader) -> Values:
    """Return what the reader collects of the bridge: instrument -> attributes -> value."""
    data = reader.get_metrics_data()
    found: Values = {}
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            if scope.scope.name == "opentelemetry-sdk":  # 1.41 tells of its own readers
                continue
            for metric in scope.metrics:
                assert scope.scope.name == "ot_bridge"
                assert isinstance(metric.data, Sum)
                assert metric.name not in found, "two instruments of one name"
                points = metric.data.data_points
                found[metric.name] = {tuple(sorted((p.attributes or {}).items())): int(p.value) for p in points}
    return found


def expected() -> Values:
    """Return the snapshot as the instruments have to show it."""
    values: Values = {}
    for name, number in telemetry.snapshot().items():
        series = series_of(name)
        values.setdefault(series.instrument.name, {})[tuple(sorted(series.attributes.items()))] = number
    return values


# -- the values --------------------------------------------------------------------------------------------------------


def test_metrics_of_a_request_are_told_by_format_and_kind(reader: InMemoryMetricReader, meters: MeterProvider) -> None:
    expose(meters)
    one = MixedFleetPropagator(["jaeger", "tracecontext", "b3"], settings=Settings(baggage_deny="secret"))
    headers = {"uber-trace-id": UBER, "traceparent": PARENT, "b3": "bad", "baggage": "secret=1", "jaeger-debug-id": "x"}
    for _ in range(2):
        context = one.read(headers.items(), http=True).context
    assert context is not None
    one.write(context, http=True)
    assert read(reader) == {
        "ot_bridge.extracted": {(("ot_bridge.format", "jaeger"),): 2},
        "ot_bridge.extract.ignored": {(("ot_bridge.format", "tracecontext"),): 2},
        "ot_bridge.extract.problems": {(("ot_bridge.format", "b3"), ("ot_bridge.kind", "malformed")): 2},
        "ot_bridge.baggage.dropped": {(("ot_bridge.reason", "deny"),): 2},
        "ot_bridge.injected": {(("ot_bridge.format", "jaeger"),): 1, (("ot_bridge.format", "tracecontext"),): 1},
    }


def every_counter() -> list[str]:
    """Return a name for each row of the table, with something filled in."""
    return [row.partition("<")[0] + ("a.b" if "config" in row else "jaeger") if "<" in row else row for row in COUNTERS]


def test_metrics_equal_the_snapshot(reader: InMemoryMetricReader, meters: MeterProvider) -> None:
    expose(meters)
    for number, name in enumerate(every_counter(), start=1):
        telemetry.count(name, number)
    assert read(reader) == expected()
    assert sum(number for one in read(reader).values() for number in one.values()) == sum(telemetry.snapshot().values())


def test_metrics_follow_the_counters(reader: InMemoryMetricReader, meters: MeterProvider) -> None:
    expose(meters)
    assert read(reader) == {}
    for _ in range(2):
        telemetry.count("extract.conflict")
        assert read(reader) == expected()


def test_no_two_counters_share_a_series() -> None:
    places = [
        (series.instrument.name, *sorted(series.attributes.items())) for series in map(series_of, every_counter())
    ]
    assert len(set(places)) == len(places) == len(COUNTERS)


def test_every_instrument_has_counters() -> None:
    assert {series_of(name).instrument.name for name in every_counter()} == {one.name for one in INSTRUMENTS}


@pytest.mark.parametrize(
    ("counter", "name", "attributes"),
    [
        ("extract.b3multi", "extracted", {"format": "b3multi"}),
        ("extract.container", "extracted", {}),
        ("extract.ignored.jaeger", "extract.ignored", {"format": "jaeger"}),
        ("extract.malformed.jaeger", "extract.problems", {"kind": "malformed", "format": "jaeger"}),
        ("extract.refused", "extract.problems", {"kind": "refused"}),
        ("baggage.properties", "extract.problems", {"kind": "baggage.properties"}),
        ("inject.baggage", "injected", {"format": "baggage"}),
        ("inject.masked", "inject.problems", {"kind": "masked"}),
        ("baggage.dropped.limit", "baggage.dropped", {"reason": "limit"}),
        ("span.failed.set_tag", "span.problems", {"kind": "failed", "call": "set_tag"}),
        ("span.failed.end", "span.problems", {"kind": "failed.end"}),
        ("start.failed", "span.problems", {"kind": "start.failed"}),
        ("scope.closed_elsewhere", "scope.problems", {"kind": "closed_elsewhere"}),
        ("flush.incomplete", "export.problems", {"kind": "flush.incomplete"}),
        ("config.unknown.OT_BRIDGE_X", "setup.problems", {"kind": "config.unknown", "variable": "OT_BRIDGE_X"}),
        ("nobody.knows.it", "setup.problems", {"kind": "nobody.knows.it"}),
    ],
)
def test_counter_has_its_series(counter: str, name: str, attributes: dict[str, str]) -> None:
    series = series_of(counter)
    named = {f"ot_bridge.{key}": value for key, value in attributes.items()}
    assert (series.instrument.name, series.attributes) == (f"ot_bridge.{name}", named)


def test_instruments_have_units_and_meanings(reader: InMemoryMetricReader, meters: MeterProvider) -> None:
    expose(meters)
    telemetry.count("extract.jaeger")
    data = reader.get_metrics_data()
    assert data is not None
    (scope,) = data.resource_metrics[0].scope_metrics
    (metric,) = scope.metrics
    assert (scope.scope.name, scope.scope.version) == ("ot_bridge", ot_bridge.__version__)
    assert (metric.name, metric.unit) == ("ot_bridge.extracted", "{request}")
    assert metric.description == INSTRUMENTS[0].meaning
    assert isinstance(metric.data, Sum)
    assert metric.data.is_monotonic


# -- whose provider, and when ------------------------------------------------------------------------------------------


def test_provider_set_before_install_gets_the_counters(
    reader: InMemoryMetricReader, meters: MeterProvider, provider: TracerProvider
) -> None:
    otel_metrics.set_meter_provider(meters)
    ot_bridge.install(tracer_provider=provider)
    telemetry.count("extract.jaeger")
    assert read(reader) == expected()


def test_provider_set_after_install_gets_the_counters(
    reader: InMemoryMetricReader, meters: MeterProvider, provider: TracerProvider
) -> None:
    ot_bridge.install(tracer_provider=provider)
    telemetry.count("extract.jaeger")
    otel_metrics.set_meter_provider(meters)
    assert read(reader) == expected()


def test_provider_given_to_install_gets_the_counters(
    reader: InMemoryMetricReader, meters: MeterProvider, provider: TracerProvider
) -> None:
    ot_bridge.install(tracer_provider=provider, meter_provider=meters)
    telemetry.count("extract.jaeger")
    assert read(reader) == expected() != {}


def test_install_again_with_another_meter_provider_says_so(meters: MeterProvider, provider: TracerProvider) -> None:
    installed = ot_bridge.install(tracer_provider=provider, meter_provider=meters)
    assert ot_bridge.install(meter_provider=MeterProvider(shutdown_on_exit=False)) is installed
    assert telemetry.snapshot() == {"install.again": 1}


def test_meter_provider_of_the_wrong_kind_is_an_error(provider: TracerProvider) -> None:
    wrong: Any = object()
    with pytest.raises(ConfigError, match=r"cannot use meter_provider: got .*expected an OpenTelemetry MeterProvider"):
        ot_bridge.install(tracer_provider=provider, meter_provider=wrong)


@pytest.mark.parametrize("late", [True, False])
def test_counters_are_exposed_once_however_often_it_is_asked_for(
    reader: InMemoryMetricReader, meters: MeterProvider, provider: TracerProvider, late: bool
) -> None:
    if not late:
        otel_metrics.set_meter_provider(meters)
    propagator.from_env()
    ot_bridge.install(tracer_provider=provider)
    if late:
        otel_metrics.set_meter_provider(meters)
    expose()
    expose(meters)
    telemetry.count("extract.jaeger")
    assert read(reader) == expected()


def test_two_providers_get_the_same(reader: InMemoryMetricReader, meters: MeterProvider) -> None:
    second = InMemoryMetricReader()
    expose(meters)
    expose(MeterProvider([second], shutdown_on_exit=False))
    telemetry.count("extract.jaeger")
    assert read(reader) == read(second) == expected()


def test_entry_point_exposes_the_counters(reader: InMemoryMetricReader, meters: MeterProvider) -> None:
    otel_metrics.set_meter_provider(meters)
    propagator.from_env().read([("traceparent", PARENT)], http=True)
    assert read(reader) == {"ot_bridge.extracted": {(("ot_bridge.format", "tracecontext"),): 1}}


def test_entry_point_does_not_make_the_provider_that_a_variable_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_METER_PROVIDER", "sdk_meter_provider")
    propagator.from_env()
    assert otel_internal._METER_PROVIDER is None


def test_spans_of_the_bridge_need_no_meter_provider(tracer: BridgeTracer) -> None:
    tracer.start_span("op").finish()
    assert telemetry.snapshot() == {}


class Refusing:
    def get_meter(self, *arguments: object, **more: object) -> Any:
        raise RuntimeError


class Slotted:
    """A vendor's provider that takes no weak references."""

    __slots__ = ("asked",)

    def __init__(self) -> None:
        self.asked: list[object] = []

    def get_meter(self, *arguments: object) -> Any:
        self.asked.append(arguments)
        return otel_metrics.NoOpMeter("none")


def test_provider_that_refuses_never_raises_and_warns_once(caplog: pytest.LogCaptureFixture) -> None:
    refusing: Any = Refusing()
    expose(refusing)
    assert (telemetry.snapshot(), len(caplog.records)) == ({"metrics.failed": 1}, 1)


def test_provider_without_weak_references_is_taken() -> None:
    slotted: Any = Slotted()
    expose(slotted)
    assert slotted.asked == [("ot_bridge", ot_bridge.__version__)]


def test_metrics_need_no_sdk_of_metrics() -> None:
    program = (
        "import sys, ot_bridge.metrics as m; m.expose(); "
        "print(*sorted(name for name in sys.modules if name.startswith('opentelemetry.sdk.metrics')))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    plain = program.replace("ot_bridge.metrics as m; m.expose()", "opentelemetry.sdk.trace")
    loaded = subprocess.run([sys.executable, "-c", plain], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout == loaded.stdout
