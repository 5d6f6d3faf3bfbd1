"""The critical path over many traces, by call path and by how long the requests took (seeing.md 1.2). Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ot_bridge.traces.analyse.blocking import blocking_children
from ot_bridge.traces.analyse.critical_path import CriticalPath, critical_path
from ot_bridge.traces.analyse.self_time import Interval, union
from ot_bridge.traces.fleet.call_paths import CallPaths, Chain
from ot_bridge.traces.fleet.statistics import quantile
from ot_bridge.traces.tree import Trace

__all__ = ["BANDS", "Band", "PathTimes", "paths", "savings"]

BANDS: Sequence[tuple[float, float]] = ((0, 0.5), (0.5, 0.9), (0.9, 0.99), (0.99, 1))
"""The shares of the requests that are looked at apart, by the duration of their root."""


class PathTimes(NamedTuple):
    """One call path in one band.

    Attributes:
        traces: how many have it on their critical path.
        on_path_ns: its time there, in all traces of the band.
        share: of the time of all roots of the band.
        saving_ns: what these roots would gain at most if the calls of this path took no time: what they call
            included, and only while nothing else runs beside them.
    """

    chain: Chain
    traces: int
    on_path_ns: int
    share: float
    saving_ns: int


class Band(NamedTuple):
    """The traces between two quantiles of the root's duration.

    Attributes:
        rows: the most time first; `on_path_ns` of all of them add up to `total_ns`.
        total_ns: the durations of all roots.
    """

    low: float
    high: float
    traces: int
    total_ns: int
    rows: Sequence[PathTimes]


def paths(traces: Iterable[Trace], rename: Mapping[str, str] | None = None) -> list[Band]:
    """Add up the critical paths of traces, preferably of one operation.

    Args:
        traces: in any order.
        rename: new names of spans by old ones.

    Returns:
        The bands that have traces.
    """
    table, found = CallPaths(rename), list[tuple[int, Mapping[int, int], Mapping[int, int]]]()
    for trace in traces:
        if not len(trace):
            continue
        measured = table.measure(trace)
        on_path = {path: one.critical_ns for path, one in measured.of.items() if one.critical_ns}
        found.append((measured.duration_ns, on_path, savings(trace, measured.path_of)))
    ordered = sorted(duration for duration, _, _ in found)
    limits = [quantile(ordered, high) for _, high in BANDS]
    groups: dict[int, list[int]] = defaultdict(list)
    for index, (duration, _, _) in enumerate(found):
        groups[min(bisect_left(limits, duration), len(BANDS) - 1)].append(index)
    return [_band(table, BANDS[band], [found[index] for index in groups[band]]) for band in sorted(groups)]


def _band(
    table: CallPaths, limits: tuple[float, float], group: Sequence[tuple[int, Mapping[int, int], Mapping[int, int]]]
) -> Band:
    times, saved, counts = defaultdict[int, int](int), defaultdict[int, int](int), defaultdict[int, int](int)
    for _, on_path, saving in group:
        for path, spent in on_path.items():
            times[path] += spent
            counts[path] += 1
        for path, gained in saving.items():
            saved[path] += gained
    total = sum(duration for duration, _, _ in group)
    rows = [
        PathTimes(table.chain(path), counts[path], times[path], times[path] / total if total else 0.0, saved[path])
        for path in times.keys() | saved.keys()
    ]
    rows.sort(key=lambda row: (-row.on_path_ns, -row.saving_ns, row.chain))
    return Band(*limits, len(group), total, rows)


def savings(trace: Trace, path_of: Sequence[int], path: CriticalPath | None = None) -> dict[int, int]:
    """Return by how much the root would be shorter at most, if the calls of one call path took no time.

    A call on the critical path is waited for during one window. Where a sibling runs beside it, or beside a span above
    it, nothing would be gained, unless it is of the same call path.

    Args:
        trace: any.
        path_of: the number of the call path of each span.
        path: its critical path, computed when not given.
    """
    path = path or critical_path(trace)
    windows = _windows(trace, path)
    free: dict[int, list[Interval]] = {}
    alone: dict[int, tuple[list[int], list[Interval]]] = {}
    found = defaultdict[int, int](int)
    for index in sorted(windows):
        parent, window = trace.parents[index], windows[index]
        if index == path.root:
            free[index] = [window]
        else:
            if parent not in alone:
                pieces = _alone(trace, parent, path_of)
                alone[parent] = ([start for start, _ in pieces], pieces)
            free[index] = _cut(_within(alone[parent], window), free[parent])
        found[path_of[index]] += sum(end - start for start, end in free[index])
    return {number: gained for number, gained in found.items() if gained}


def _windows(trace: Trace, path: CriticalPath) -> dict[int, Interval]:
    """Return during which time the root waited for each span and what it calls."""
    found: dict[int, Interval] = {}
    for section in path.sections:
        low, high = found.get(section.span, (section.start_ns, section.end_ns))
        found[section.span] = (min(low, section.start_ns), max(high, section.end_ns))
    # Children stand after their parents; a parent that only passes time on gets its window from them.
    for index in range(len(trace) - 1, -1, -1):
        parent = trace.parents[index]
        if index in found and index != path.root and parent >= 0:
            low, high = found[index]
            above = found.get(parent, found[index])
            found[parent] = (min(low, above[0]), max(high, above[1]))
    return found


def _alone(trace: Trace, parent: int, path_of: Sequence[int]) -> list[Interval]:
    """Return the time in which the children of one call path run alone, by time."""
    changes = list[tuple[int, int, int]]()
    for child in blocking_children(trace, parent):
        span = trace.spans[child]
        if span.duration_ns:
            changes += [(span.start_ns, 1, path_of[child]), (span.end_ns, -1, path_of[child])]
    running, found, since = defaultdict[int, int](int), list[Interval](), 0
    for at, change, path in sorted(changes):
        if len(running) == 1 and at > since:
            found.append((since, at))
        running[path] += change
        if not running[path]:
            del running[path]
        since = at
    return found


def _within(pieces: tuple[list[int], list[Interval]], window: Interval) -> list[Interval]:
    starts, intervals = pieces
    first = max(0, bisect_right(starts, window[0]) - 1)
    last = bisect_left(starts, window[1])
    cut = ((max(start, window[0]), min(end, window[1])) for start, end in intervals[first:last])
    return [(start, end) for start, end in cut if end > start]


def _cut(first: Sequence[Interval], second: Sequence[Interval]) -> list[Interval]:
    """Return the time that is in both."""
    found, i, j = list[Interval](), 0, 0
    while i < len(first) and j < len(second):
        start, end = max(first[i][0], second[j][0]), min(first[i][1], second[j][1])
        if start < end:
            found.append((start, end))
        if first[i][1] < second[j][1]:
            i += 1
        else:
            j += 1
    return list(union(found))
