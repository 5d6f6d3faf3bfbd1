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

__all__ = ["BANDS", "Band", "PathRow", "PathTimes", "paths", "savings", "together"]

BANDS: Sequence[tuple[float, float]] = ((0, 0.5), (0.5, 0.9), (0.9, 0.99), (0.99, 1))
"""The shares of the requests that are looked at apart, by the duration of their root."""


class PathTimes(NamedTuple):
    """One call path in one band.

    Attributes:
        path: its number: its place when all are sorted, each one before what is below it.
        parent: the number of the path that it is below, -1 for a root's.
        chain: its steps from the root down, of a deep one the last ones.
        traces: how many have it on their critical path.
        on_path_ns: its time there, in all traces of the band.
        share: of the time of all roots of the band.
        saving_ns: what these roots would gain at most if the calls of this path took no time: what they call
            included, and only while nothing else runs beside them.
        example: the trace that has the most time there.
        most_ns: its time there.
    """

    path: int
    parent: int
    chain: Chain
    traces: int
    on_path_ns: int
    share: float
    saving_ns: int
    example: int
    most_ns: int


class Band(NamedTuple):
    """The traces between two quantiles of the root's duration.

    Attributes:
        longest_ns: the longest root.
        rows: the most time first; `on_path_ns` of all of them add up to `total_ns`.
        total_ns: the durations of all roots.
    """

    low: float
    high: float
    traces: int
    longest_ns: int
    total_ns: int
    rows: Sequence[PathTimes]


class _Found(NamedTuple):
    """What is kept of a trace."""

    trace_id: int
    duration_ns: int
    on_path: Mapping[int, int]
    saved: Mapping[int, int]


def paths(traces: Iterable[Trace], rename: Mapping[str, str] | None = None) -> list[Band]:
    """Add up the critical paths of traces, preferably of one operation.

    Args:
        traces: in any order.
        rename: new names of spans by old ones.

    Returns:
        The bands that have traces.
    """
    table, found = CallPaths(rename), list[_Found]()
    for trace in traces:
        if len(trace):
            measured = table.measure(trace)
            windows = measured.critical.windows.items()
            # What only passes time on to what it calls is on the path too.
            waited = {measured.path_of[index] for index, (start_ns, end_ns) in windows if end_ns > start_ns}
            on_path = {path: measured.of[path].critical_ns for path in waited}
            saved = savings(trace, measured.path_of, measured.critical)
            found.append(_Found(trace.trace_id, measured.duration_ns, on_path, saved))
    ordered, ranks = sorted(one.duration_ns for one in found), table.ranks()
    limits = [quantile(ordered, high) for _, high in BANDS]
    groups: dict[int, list[_Found]] = defaultdict(list)
    for one in found:
        groups[min(bisect_left(limits, one.duration_ns), len(BANDS) - 1)].append(one)
    return [_band(table, ranks, BANDS[band], groups[band]) for band in sorted(groups)]


def _band(table: CallPaths, ranks: Sequence[int], limits: tuple[float, float], group: Sequence[_Found]) -> Band:
    times, saved, counts = defaultdict[int, int](int), defaultdict[int, int](int), defaultdict[int, int](int)
    most: dict[int, tuple[int, int]] = {}
    for one in group:
        for path, spent in one.on_path.items():
            times[path] += spent
            counts[path] += 1
            most[path] = max(most.get(path, (-1, 0)), (spent, -one.trace_id))
        for path, gained in one.saved.items():
            saved[path] += gained
    total = sum(one.duration_ns for one in group)
    rows = []
    for path in times:
        spent, above = times[path], table.parents[path]
        longest, example = most[path]
        rows.append(
            PathTimes(
                path=ranks[path],
                parent=ranks[above] if above >= 0 else -1,
                chain=table.chain(path),
                traces=counts[path],
                on_path_ns=spent,
                share=spent / total if total else 0.0,
                saving_ns=saved[path],
                example=-example,
                most_ns=longest,
            )
        )
    rows.sort(key=lambda row: (-row.on_path_ns, -row.saving_ns, row.path))
    return Band(*limits, len(group), max(one.duration_ns for one in group), total, rows)


class PathRow(NamedTuple):
    """One call path in all bands.

    Attributes:
        whole: in all of them together.
        below_ns: its time on the critical path and that of all paths below it.
        bands: in each band, None where it is not on the critical path and saves nothing.
    """

    whole: PathTimes
    below_ns: int
    bands: Sequence[PathTimes | None]


def together(bands: Sequence[Band]) -> list[PathRow]:
    """Put the bands side by side, the paths with the most time first."""
    rows: dict[int, list[PathTimes | None]] = {}
    for place, band in enumerate(bands):
        for one in band.rows:
            rows.setdefault(one.path, [None] * len(bands))[place] = one
    total = sum(band.total_ns for band in bands)
    wholes = {path: _sum([one for one in some if one is not None], total) for path, some in rows.items()}
    below = {path: whole.on_path_ns for path, whole in wholes.items()}
    # What is on the critical path is called by what is on it, and has the greater number.
    for path in sorted(below, reverse=True):
        if wholes[path].parent >= 0:
            below[wholes[path].parent] += below[path]
    found = [PathRow(wholes[path], below[path], some) for path, some in rows.items()]
    return sorted(found, key=lambda row: (-row.whole.on_path_ns, -row.whole.saving_ns, row.whole.path))


def _sum(some: Sequence[PathTimes], total: int) -> PathTimes:
    spent, most = sum(one.on_path_ns for one in some), max(some, key=lambda one: (one.most_ns, -one.example))
    return most._replace(
        traces=sum(one.traces for one in some),
        on_path_ns=spent,
        share=spent / total if total else 0.0,
        saving_ns=sum(one.saving_ns for one in some),
    )


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
    windows = path.windows
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
