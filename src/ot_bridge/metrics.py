"""The bridge's counters as OpenTelemetry metrics: observable counters of the meter ``ot_bridge``.

Counting stays what it is in :mod:`ot_bridge.telemetry`; a reader that collects takes a snapshot. Every counter belongs
to one instrument: its name, as in ``telemetry.COUNTERS``, is cut into a kind and what was filled in at run time, and
both become attributes. ``extract.malformed.jaeger`` is ``ot_bridge.extract.problems`` with
``ot_bridge.kind=malformed`` and ``ot_bridge.format=jaeger``.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry.environment_variables import OTEL_PYTHON_METER_PROVIDER
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation, get_meter_provider

from ot_bridge import telemetry
from ot_bridge.locks import fork_safe_lock
from ot_bridge.version import __version__

if TYPE_CHECKING:
    from ot_bridge.meter import Measured

__all__ = [
    "INSTRUMENTS",
    "MEASURES",
    "METER",
    "Instrument",
    "Measure",
    "Series",
    "expose",
    "expose_at_import",
    "series_of",
]

METER: Final = "ot_bridge"


class Instrument(NamedTuple):
    """One observable counter."""

    name: str
    unit: str
    meaning: str
    starts: tuple[str, ...]
    """How the names of its counters begin; of several instruments the longest start decides. The first is not part of
    the kind: the instrument's name says it."""
    kind: str | None = "ot_bridge.kind"
    """The attribute that tells its counters apart, None where what is filled in does."""


INSTRUMENTS: Final = (
    Instrument(
        "ot_bridge.extracted",
        "{request}",
        "Requests continued, by the format whose ids won; without a format: baggage or a debug id alone",
        ("extract.<format>", "extract.container"),
        kind=None,
    ),
    Instrument(
        "ot_bridge.extract.ignored",
        "{context}",
        "Valid contexts beside one of a format that comes first: with ot_bridge.extracted, who still sends a format",
        ("extract.ignored.",),
        kind=None,
    ),
    Instrument(
        "ot_bridge.extract.problems",
        "{problem}",
        "What was malformed, in conflict, refused or not understood in received headers",
        ("extract.", "baggage.properties"),
    ),
    Instrument("ot_bridge.injected", "{context}", "Contexts written, by format", ("inject.<format>",), kind=None),
    Instrument("ot_bridge.inject.problems", "{problem}", "What was masked, dropped or not sent", ("inject.",)),
    Instrument(
        "ot_bridge.baggage.dropped",
        "{item}",
        "Baggage items not taken from a request, or not sent with one",
        ("baggage.dropped.",),
        kind="ot_bridge.reason",
    ),
    Instrument(
        "ot_bridge.span.problems",
        "{problem}",
        "Calls on spans and tracers that had no effect, or another one than asked for",
        ("span.", "start.", "parent.", "tag.", "sampling.", "sampler.", "throttler."),
    ),
    Instrument(
        "ot_bridge.sampler.polls", "{poll}", "Questions to the endpoint of a remote sampler", ("sampler.remote.",)
    ),
    Instrument(
        "ot_bridge.throttler.polls", "{poll}", "Questions to the endpoint of a throttler", ("throttler.remote.",)
    ),
    Instrument(
        "ot_bridge.tail.decided",
        "{trace}",
        "Local traces that the tail sampler kept or dropped, by the policy that decided",
        ("tail.decided.",),
        kind="ot_bridge.outcome",
    ),
    Instrument("ot_bridge.tail.late", "{span}", "Spans that ended when their trace was decided", ("tail.late.",), None),
    Instrument(
        "ot_bridge.tail.problems",
        "{problem}",
        "Traces decided for want of room or time, spans unfinished or exported without their trace, failed callbacks",
        ("tail.",),
    ),
    Instrument("ot_bridge.spans", "{span}", "Spans, by what became of them (meter)", ("spans.",), "ot_bridge.state"),
    Instrument(
        "ot_bridge.spans.dropped",
        "{span}",
        "Spans not recorded, lost, or not exported (meter)",
        ("spans.dropped.<reason>",),
        kind=None,
    ),
    Instrument("ot_bridge.budget", "{window}", "What the CPU budget found and did (meter)", ("meter.",)),
    Instrument("ot_bridge.redacted", "{value}", "Values redacted, by rule", ("redaction.<rule>",), kind=None),
    Instrument(
        "ot_bridge.redaction.dry_run",
        "{value}",
        "Values that a rule would have redacted",
        ("redaction.dry_run.",),
        kind=None,
    ),
    Instrument(
        "ot_bridge.redaction.problems", "{value}", "Values redacted because a rule failed", ("redaction.failed.",)
    ),
    Instrument("ot_bridge.unfinished", "{span}", "Spans that were not finished", ("unfinished.",)),
    Instrument("ot_bridge.flood", "{span}", "Spans of operations that flood their trace", ("flood.",)),
    Instrument(
        "ot_bridge.otlp.fallback",
        "{fallback}",
        "What the official encoder did instead of the bridge's",
        ("otlp.fallback.",),
    ),
    Instrument("ot_bridge.otlp.dropped", "{span}", "Spans that no encoder takes", ("otlp.dropped.",)),
    Instrument("ot_bridge.scope.problems", "{problem}", "Scopes closed elsewhere or out of order", ("scope.",)),
    Instrument(
        "ot_bridge.export.problems", "{problem}", "Flushes and closes that failed", ("export.", "flush.", "close.")
    ),
    Instrument("ot_bridge.setup.problems", "{problem}", "Settings, arguments and providers without effect", ("",)),
)
"""Every instrument; a test holds that each counter has one, and one only."""


class Measure(NamedTuple):
    """One number of the meter."""

    name: str
    unit: str
    meaning: str
    read: Callable[[Measured], Iterable[tuple[float | None, dict[str, str]]]]
    grows: bool = False


def _paths(measured: Measured) -> Iterable[tuple[float | None, dict[str, str]]]:
    return [(number, {"ot_bridge.path": path}) for path, number in measured.cpu_s.items()]


def _parts(measured: Measured) -> Iterable[tuple[float | None, dict[str, str]]]:
    return [(number, {"ot_bridge.lever": name}) for name, number in measured.parts.items()]


MEASURES: Final = (
    Measure("ot_bridge.cpu_seconds", "s", "CPU that the bridge took, by path", _paths, grows=True),
    Measure(
        "ot_bridge.export.wall_seconds",
        "s",
        "Time that exporting took, with all waiting",
        lambda measured: [(measured.export_wall_s, {})],
        grows=True,
    ),
    Measure(
        "ot_bridge.cpu_share",
        "1",
        "The bridge's part of this process's CPU in the last window",
        lambda measured: [(measured.share, {})],
    ),
    Measure(
        "ot_bridge.us_per_span",
        "us",
        "CPU per span: recorded, with its export, and not recorded",
        lambda measured: [
            (measured.us_per_span, {"ot_bridge.recorded": "true"}),
            (measured.us_per_dropped, {"ot_bridge.recorded": "false"}),
        ],
    ),
    Measure("ot_bridge.budget.part", "1", "What the CPU budget leaves: 1 where it does not interfere", _parts),
)
"""Every number of :mod:`ot_bridge.meter`; there while it is on."""


class Series(NamedTuple):
    """Where one counter is found."""

    instrument: Instrument
    attributes: dict[str, str]


@lru_cache(maxsize=1024)
def series_of(counter: str) -> Series:
    """Return the place of a counter, named as in a snapshot. One that is in no table is a problem of the set-up."""
    row, attributes = _row_of(counter)
    _, instrument = next((start, one) for start, one in _STARTS if row.startswith(start))
    if instrument.kind is not None:
        kind = row.partition(".<")[0].removeprefix(instrument.starts[0])
        attributes = {instrument.kind: kind, **attributes}
    return Series(instrument, attributes)


def expose(meter_provider: MeterProvider | None = None) -> None:
    """Show the counters to a MeterProvider. Never raises; a second call for the same one does nothing.

    ``ot_bridge.install`` does it.

    Args:
        meter_provider: None for OpenTelemetry's global one, also when that is set later.
    """
    global _waiting
    try:
        current = get_meter_provider()
        provider = current if meter_provider is None else meter_provider
        with _lock:
            # The global provider got the counters, or will get them, when the stand-in for it has them.
            if provider in _exposed or (_waiting and provider is current):
                return
            with suppress(TypeError):  # a vendor's provider that takes no weak references
                _exposed.add(provider)
            _waiting = _waiting or _is_stand_in(provider)
        meter = provider.get_meter(METER, __version__)
        for one in INSTRUMENTS:
            meter.create_observable_counter(one.name, [partial(_observe, one)], unit=one.unit, description=one.meaning)
        for name, meaning in telemetry.GAUGES.items():
            meter.create_observable_up_down_counter(
                f"{METER}.{name}", [partial(_observe_gauge, name)], unit="{span}", description=meaning
            )
        for measure in MEASURES:
            create = meter.create_observable_counter if measure.grows else meter.create_observable_gauge
            create(measure.name, [partial(_observe_measure, measure)], unit=measure.unit, description=measure.meaning)
    except Exception:
        telemetry.warn_once("metrics.failed", "a meter provider did not take the counters", exc_info=True)


def expose_at_import() -> None:
    """Show the counters to the global provider, unless asking for that one would make it, too early for its set-up."""
    if OTEL_PYTHON_METER_PROVIDER not in os.environ:
        expose()


_lock: Final = fork_safe_lock()
_exposed: Final[weakref.WeakSet[MeterProvider]] = weakref.WeakSet()
_waiting = False


def _is_stand_in(provider: MeterProvider) -> bool:
    return type(provider).__name__ == "_ProxyMeterProvider"  # OpenTelemetry has no public name for it


def _observe(instrument: Instrument, _: CallbackOptions) -> Iterable[Observation]:
    counted = ((series_of(name), number) for name, number in telemetry.snapshot().items())
    return [
        Observation(number, dict(series.attributes)) for series, number in counted if series.instrument == instrument
    ]


def _observe_gauge(name: str, _: CallbackOptions) -> Iterable[Observation]:
    return [Observation(number) for found, number in telemetry.gauges().items() if found == name]


def _observe_measure(measure: Measure, _: CallbackOptions) -> Iterable[Observation]:
    meter = sys.modules.get("ot_bridge.meter")  # who measures has imported it
    measured = None if meter is None else meter.snapshot()
    if measured is None:
        return []
    return [Observation(number, attributes) for number, attributes in measure.read(measured) if number is not None]


def _row_of(counter: str) -> tuple[str, dict[str, str]]:
    """Return the row of the table, and what was filled in as attributes."""
    if counter not in telemetry.COUNTERS:
        for fixed, row, attribute in _FILLED_IN:
            if counter.startswith(fixed) and counter != fixed:
                return row, {attribute: counter.removeprefix(fixed)}
    return counter, {}


_STARTS: Final = sorted(
    ((start, one) for one in INSTRUMENTS for start in one.starts), key=lambda pair: len(pair[0]), reverse=True
)
# The longest first: extract.malformed.<format> before extract.<format>.
_FILLED_IN: Final = [
    (fixed, row, f"ot_bridge.{filled_in.removesuffix('>')}")
    for row in sorted(telemetry.COUNTERS, key=len, reverse=True)
    for fixed, mark, filled_in in [row.partition("<")]
    if mark
]
