"""How much memory and bandwidth a fleet needs, from four numbers.

The bytes per span and the factors are those of docs/sampling.md: measured where it says so, planned for else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple

__all__ = ["Fleet", "Row", "rows"]

_SPAN_BYTES: Final = 2000  # of a buffered span in the Collector, until it is measured
_GC_FACTOR: Final = 2  # Go's heap grows to twice what lives
_WIRE_BYTES: Final = 700  # of a span in OTLP, uncompressed
_ID_BYTES: Final = 100  # of a remembered decision
_REMEMBERED_S: Final = 300
_LIMIT: Final = 0.8  # of the container's memory, as memory_limiter has it
_LEAST_TRACES: Final = 50_000  # the Collector's default
_LONGER_WAIT_S: Final = 30  # the Collector's default


class Row(NamedTuple):
    """One figure: what it is, its value in base units, as people read it, and the formula with its numbers."""

    name: str
    value: float
    unit: str
    shown: str
    formula: str


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What arrives, and among how many samplers it is shared out.

    Args:
        traces_per_second: of all services, recorded and sent.
        spans_per_trace: on average.
        samplers: instances of tier 2.
        decision_wait_s: seconds from the first span to the decision.
        kept: the part of the traces that is kept, from 0 to 1.
    """

    traces_per_second: float = 6000.0
    spans_per_trace: float = 15.0
    samplers: int = 3
    decision_wait_s: float = 10.0
    kept: float = 0.03

    @property
    def traces_per_sampler(self) -> int:
        """New traces per second of one sampler, rounded up."""
        return max(1, math.ceil(self.traces_per_second / self.samplers))

    @property
    def spans_per_second(self) -> float:
        """Spans per second of all services."""
        return self.traces_per_second * self.spans_per_trace

    @property
    def num_traces(self) -> int:
        """Traces that a sampler has to hold: twice what arrives until the decision."""
        return max(_LEAST_TRACES, _round_up(2 * self.traces_per_sampler * self.decision_wait_s))

    @property
    def kept_ids(self) -> int:
        """Size of the cache of kept traces, larger than num_traces."""
        return max(2 * self.num_traces, _round_up(self.kept * self.traces_per_sampler * _REMEMBERED_S))

    @property
    def dropped_ids(self) -> int:
        """Size of the cache of the others."""
        return max(2 * self.num_traces, _round_up((1 - self.kept) * self.traces_per_sampler * _REMEMBERED_S))

    @property
    def buffered_spans(self) -> float:
        """Spans that one sampler holds."""
        return self.spans_per_second / self.samplers * self.decision_wait_s


def rows(fleet: Fleet) -> tuple[Row, ...]:
    """Return the table, in the order in which it is worked out."""
    per_sampler = fleet.spans_per_second / fleet.samplers
    memory = fleet.buffered_spans * _SPAN_BYTES * _GC_FACTOR
    caches = (fleet.kept_ids + fleet.dropped_ids) * _ID_BYTES
    container = max(0.5, math.ceil((memory + caches) / _LIMIT / 0.5e9) * 0.5) * 1e9
    wire = fleet.spans_per_second * _WIRE_BYTES
    kept_spans = fleet.spans_per_second * fleet.kept
    longer = per_sampler * _LONGER_WAIT_S * _SPAN_BYTES * _GC_FACTOR
    wait, traces = f"{fleet.decision_wait_s:g} s", f"{fleet.traces_per_sampler} new traces/s"
    return (
        _count("spans per sampler", per_sampler, "spans/s", f"{fleet.spans_per_second:.0f} / {fleet.samplers}"),
        _count("spans held per sampler", fleet.buffered_spans, "spans", f"{per_sampler:.0f} x {wait}"),
        _bytes("memory for them", memory, f"x {_SPAN_BYTES} B x {_GC_FACTOR} for Go's collector"),
        _count("num_traces", fleet.num_traces, "traces", f"2 x {traces} x {wait}, rounded up"),
        _count(
            "sampled_cache_size",
            fleet.kept_ids,
            "ids",
            f"{fleet.kept:.3g} x {traces} x {_REMEMBERED_S} s, at least 2 x num_traces",
        ),
        _count(
            "non_sampled_cache_size",
            fleet.dropped_ids,
            "ids",
            f"{1 - fleet.kept:.3g} x {traces} x {_REMEMBERED_S} s, at least 2 x num_traces",
        ),
        _bytes("memory for the caches", caches, f"x {_ID_BYTES} B"),
        _bytes(
            "container per sampler", container, f"(memory + caches) / {_LIMIT:g}, as memory_limiter takes; next 0.5 GB"
        ),
        _bytes(
            "into tier 1, and again into tier 2", wire, f"{fleet.spans_per_second:.0f} x {_WIRE_BYTES} B, plain", "/s"
        ),
        _count("spans to storage", kept_spans, "spans/s", f"{fleet.kept:.3g} of them"),
        _bytes("bytes to storage", kept_spans * _WIRE_BYTES, f"x {_WIRE_BYTES} B, plain", "/s"),
        _bytes(
            f"memory with decision_wait {_LONGER_WAIT_S}s",
            longer,
            f"{per_sampler:.0f} x {_LONGER_WAIT_S} s x {_SPAN_BYTES} B x {_GC_FACTOR}",
        ),
    )


def _round_up(number: float) -> int:
    """Return the next number with one digit and zeros."""
    if number <= 0:
        return 0
    unit = int(10 ** math.floor(math.log10(number))) or 1
    return math.ceil(number / unit - 1e-9) * unit


def _count(name: str, value: float, unit: str, formula: str) -> Row:
    return Row(name, value, unit, f"{value:,.0f} {unit}".replace(",", " "), formula)


def _bytes(name: str, value: float, formula: str, per: str = "") -> Row:
    size, unit = next(
        (
            (value / factor, unit)
            for factor, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "KB"))
            if value >= factor * 0.9995
        ),
        (value, "B"),
    )
    return Row(name, value, f"B{per}", f"{size:.3g} {unit}{per}" if size < 1000 else f"{size:.0f} {unit}{per}", formula)
