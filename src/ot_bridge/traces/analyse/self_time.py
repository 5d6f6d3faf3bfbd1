"""Self time: what of a span's duration no child explains that it waited for (seeing.md 1.3). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from ot_bridge.traces.analyse.blocking import blocking_children
from ot_bridge.traces.tree import Trace

__all__ = ["Interval", "own_intervals", "self_times", "union"]

Interval: TypeAlias = tuple[int, int]


def self_times(trace: Trace) -> list[int]:
    """Return the self time of each span, in nanoseconds, never below 0."""
    return [sum(end - start for start, end in own_intervals(trace, index)) for index in range(len(trace))]


def own_intervals(trace: Trace, index: int) -> list[Interval]:
    """Return the pieces of a span's time in which no child runs that it waits for, by time."""
    span = trace.spans[index]
    found, at = list[Interval](), span.start_ns
    children = [(trace.spans[one].start_ns, trace.spans[one].end_ns) for one in blocking_children(trace, index)]
    for start, end in union(children):
        if start > at:
            found.append((at, min(start, span.end_ns)))
        at = max(at, end)
        if at >= span.end_ns:
            break
    if at < span.end_ns:
        found.append((at, span.end_ns))
    return [(start, end) for start, end in found if end > start]


def union(intervals: Iterable[Interval]) -> Sequence[Interval]:
    """Join what overlaps or touches; the result is sorted and disjoint."""
    found = list[Interval]()
    for start, end in sorted(intervals):
        if end <= start:
            continue
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found
