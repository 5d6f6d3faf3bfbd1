"""Self time: what of a span's duration no child explains that it waited for (seeing.md 1.3). Pure.

Time that is overlapped by children that were not waited for stays the span's own, and is told apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ot_bridge.traces.analyse.blocking import blocking_children, is_blocking
from ot_bridge.traces.tree import Trace

if TYPE_CHECKING:
    from ot_bridge.traces.analyse.reading import Reading

__all__ = ["Interval", "ServiceTime", "async_times", "length", "own_intervals", "self_times", "services_time", "union"]

Interval: TypeAlias = tuple[int, int]


class ServiceTime(NamedTuple):
    """What one service spent on a trace: three columns that answer three questions.

    Attributes:
        service: its name.
        spans: how many spans it has.
        wall_ns: how long it was at work: the union of its spans' self intervals. At most the trace's duration.
        work_ns: how much work that was: the sum of its spans' self times. More than `wall_ns` when it did several
            things at once.
        path_ns: how long the request waited for it: its time on the critical path. Adds up to the root's duration over
            all services.
        async_ns: what of `work_ns` its own children overlapped that it did not wait for.
    """

    service: str
    spans: int
    wall_ns: int
    work_ns: int
    path_ns: int
    async_ns: int = 0

    @property
    def at_once(self) -> float:
        """How many of its spans were at work at the same time, on average over `wall_ns`; 0 when none was."""
        return self.work_ns / self.wall_ns if self.wall_ns else 0.0


def services_time(reading: Reading) -> list[ServiceTime]:
    """Sum up the time of each service, the one that the request waited for longest first."""
    trace, path = reading.trace, reading.path
    own = defaultdict[str, list[Interval]](list)
    counts, path_ns, async_ns = defaultdict[str, int](int), defaultdict[str, int](int), defaultdict[str, int](int)
    for index, (span, aside) in enumerate(zip(trace.spans, async_times(trace), strict=True)):
        own[span.service] += own_intervals(trace, index)
        counts[span.service] += 1
        path_ns[span.service] += path.own_ns.get(index, 0)
        async_ns[span.service] += aside
    times = [
        ServiceTime(service, counts[service], length(union(parts)), length(parts), path_ns[service], async_ns[service])
        for service, parts in own.items()
    ]
    return sorted(times, key=lambda one: (-one.path_ns, -one.work_ns, one.service))


def self_times(trace: Trace) -> list[int]:
    """Return the self time of each span, in nanoseconds, never below 0."""
    return [length(own_intervals(trace, index)) for index in range(len(trace))]


def async_times(trace: Trace) -> list[int]:
    """Return of each span the part of its self time in which a child ran that it did not wait for."""
    return [_async_time(trace, index) if trace.children[index] else 0 for index in range(len(trace))]


def _async_time(trace: Trace, index: int) -> int:
    spans = trace.spans
    aside = [one for one in trace.children[index] if not is_blocking(spans[index], spans[one])]
    if not aside:
        return 0
    own = own_intervals(trace, index)
    others = [(spans[one].start_ns, spans[one].end_ns) for one in aside]
    return length(own) + length(union(others)) - length(union([*own, *others]))


def own_intervals(trace: Trace, index: int) -> list[Interval]:
    """Return the pieces of a span's time in which no child runs that it waits for, by time."""
    span = trace.spans[index]
    found, at = list[Interval](), span.start_ns
    if not trace.children[index]:
        return [(at, span.end_ns)] if span.end_ns > at else []
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


def length(intervals: Iterable[Interval]) -> int:
    """Add up intervals."""
    return sum(end - start for start, end in intervals)


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
