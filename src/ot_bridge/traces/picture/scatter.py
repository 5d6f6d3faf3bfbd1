"""Traces by start and duration, as points: SVG with places in percent, and the same as a table. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from ot_bridge.traces.words import duration

__all__ = ["Dot", "Point", "Scatter", "scatter"]

_MOST = 2000


class Point(Protocol):
    """A trace; a row of the list is one too."""

    @property
    def trace_id(self) -> int: ...
    @property
    def start_ns(self) -> int: ...
    @property
    def duration_ns(self) -> int: ...
    @property
    def errors(self) -> int: ...


class Dot(NamedTuple):
    """Where a trace is drawn, in percent."""

    x: str
    y: str
    trace_id: int
    failed: bool
    duration_ns: int


class Scatter(NamedTuple):
    """What is drawn.

    Attributes:
        lines: places and words of the scale of durations, one for each power of ten.
        bands: the same as a table: from which duration to which, how many traces, how many of them failed.
        first_ns: when the earliest began.
        last_ns: when the latest began.
    """

    dots: Sequence[Dot]
    lines: Sequence[tuple[str, str]]
    bands: Sequence[tuple[str, int, int]]
    first_ns: int
    last_ns: int


def scatter(points: Iterable[Point]) -> Scatter | None:
    """Place the points; None when there are fewer than two."""
    found = list(points)[:_MOST]
    if len(found) < 2:
        return None
    first, last = min(one.start_ns for one in found), max(one.start_ns for one in found)
    low, high = _power(min(one.duration_ns for one in found)), _power(max(one.duration_ns for one in found)) + 1

    def height(duration_ns: int) -> str:
        share = (math.log10(max(1, duration_ns)) - low) / (high - low)
        return f"{95 - 84 * share:.1f}%"

    dots = [
        Dot(
            f"{1.5 + 97 * (one.start_ns - first) / max(1, last - first):.1f}%",
            height(one.duration_ns),
            one.trace_id,
            one.errors > 0,
            one.duration_ns,
        )
        for one in found
    ]
    bands = []
    for power in range(low, high):
        inside = [one for one in found if _power(one.duration_ns) == power]
        name = f"{duration(10**power)} to {duration(10 ** (power + 1))}"
        bands.append((name, len(inside), sum(one.errors > 0 for one in inside)))
    # The failed ones are drawn last, on top.
    dots.sort(key=lambda dot: dot.failed)
    lines = [(height(10**power), duration(10**power)) for power in range(low, high + 1)]
    return Scatter(dots, lines, bands, first, last)


def _power(duration_ns: int) -> int:
    return len(str(max(1, duration_ns))) - 1
