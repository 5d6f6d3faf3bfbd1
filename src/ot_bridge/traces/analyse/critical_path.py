"""The critical path: the spans that the end of a request waited for, one after the other (seeing.md 1.2). Pure.

Walked backwards from the end of the root with a clipped window. Its sections are disjoint and add up to the root's
duration exactly. Times alone cannot tell waiting from coincidence, so each hand-over says how sure it is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ot_bridge.traces.analyse.blocking import Reason, blocking_children, why_not_waited_for
from ot_bridge.traces.analyse.clock import same_clock
from ot_bridge.traces.analyse.finding import Certainty
from ot_bridge.traces.tree import Trace

__all__ = ["SMALL_GAP", "CriticalPath", "HandOver", "Section", "critical_path"]

SMALL_GAP = 0.1
"""Of what two siblings took together: with a longer gap between them the later one may have waited for their parent."""


class Section(NamedTuple):
    """A piece of time on the path, in which this span did not wait for another one."""

    span: int
    start_ns: int
    end_ns: int


class HandOver(NamedTuple):
    """Two siblings on the path, of which the later one is taken to have waited for the earlier one.

    Attributes:
        before: the index of the earlier one.
        after: of the later one.
        time_ns: when the later one began.
        certainty: `sure`: on one clock the one ended before the other began, and their parent's gap between them is
            small; `likely`: they overlap, so the earlier one was clipped, or the gap is larger; `guess`: their clocks
            differ, or their parent runs other children at the same time, so that these two may only touch by chance.
    """

    before: int
    after: int
    time_ns: int
    certainty: Certainty


@dataclass(frozen=True)
class CriticalPath:
    """The critical path of one root.

    Attributes:
        root: the index of the span that it explains, -1 in an empty trace.
        sections: by time, without gap or overlap, from the root's start to its end.
        own_ns: of each span that is on the path its time there; adds up to the root's duration.
        windows: of each span that is on the path the time in which it and what is below it is.
        hand_overs: by time.
        pruned: the children of spans on the path that were not waited for, each with the reason.
    """

    root: int
    sections: Sequence[Section]
    own_ns: Mapping[int, int]
    windows: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    hand_overs: Sequence[HandOver] = ()
    pruned: Mapping[int, Reason] = field(default_factory=dict)

    def below_ns(self, index: int) -> int:
        """Return the time on the path of a span and all below it; 0 for one that is not on the path."""
        start, end = self.windows.get(index, (0, 0))
        return end - start


def critical_path(trace: Trace, root: int | None = None) -> CriticalPath:
    """Find the critical path below a span, the trace's root unless said."""
    root = trace.root if root is None else root
    if root < 0:
        return CriticalPath(-1, (), {})
    sections = list[Section]()
    top = trace.spans[root]
    windows = {root: (top.start_ns, top.start_ns + top.duration_ns)}
    pairs = list[tuple[int, int]]()
    # A frame is a span, its window's start, the time up to which it is explained (going back), its children that are
    # left, the one that ends last at the end, and the child that was taken last, -1 at first.
    stack = [(root, *windows[root], _by_end(trace, root), -1)]
    while stack:
        index, start, until, left, later = stack.pop()
        child = _last(trace, left, start, until)
        if child is None:
            if until > start:
                sections.append(Section(index, start, until))
            continue
        span = trace.spans[child]
        child_end, child_start = min(span.end_ns, until), max(span.start_ns, start)
        windows[child] = (child_start, child_end)
        if later >= 0:
            pairs.append((child, later))
        if until > child_end:
            sections.append(Section(index, child_end, until))
        stack.append((index, start, child_start, left, child))
        stack.append((child, child_start, child_end, _by_end(trace, child), -1))
    sections.reverse()
    own = dict[int, int]()
    for section in sections:
        own[section.span] = own.get(section.span, 0) + section.end_ns - section.start_ns
    pruned = {
        child: reason
        for index in sorted(windows)
        for child in trace.children[index]
        if (reason := why_not_waited_for(trace.spans[index], trace.spans[child])) is not None
    }
    return CriticalPath(root, tuple(sections), own, windows, tuple(_hand_overs(trace, pairs)), pruned)


def _by_end(trace: Trace, index: int) -> list[int]:
    spans = trace.spans
    blocking = blocking_children(trace, index)
    if len(blocking) < 2:
        return blocking
    return sorted(blocking, key=lambda one: (spans[one].end_ns, -spans[one].start_ns, -spans[one].span_id))


def _last(trace: Trace, left: list[int], start: int, until: int) -> int | None:
    """Take the child that ends last before `until`, clipped to it, the longer one on a tie; None when there is none."""
    best = -1
    while left:
        child = left[-1]
        span = trace.spans[child]
        if span.end_ns <= start or (best >= 0 and span.end_ns < until):
            break
        left.pop()
        if span.start_ns >= until or span.duration_ns == 0:
            continue
        if span.end_ns <= until and best < 0:
            return child
        # These all reach `until` when clipped: the one that began first is the longest.
        if best < 0 or span.start_ns < trace.spans[best].start_ns:
            best = child
    return best if best >= 0 else None


def _hand_overs(trace: Trace, pairs: Sequence[tuple[int, int]]) -> list[HandOver]:
    """Say of each pair of siblings on the path how sure it is that the later one waited for the earlier one."""
    clipped = dict[int, int]()
    for before, after in pairs:
        overlap = trace.spans[before].end_ns > trace.spans[after].start_ns
        clipped[trace.parents[after]] = clipped.get(trace.parents[after], 0) + overlap
    # What overlaps on the path itself is one reason for doubt, what overlaps beside it is a greater one.
    beside = {parent: _overlaps(trace, parent) > on_path for parent, on_path in clipped.items()}
    found = []
    for before, after in pairs:
        earlier, later = trace.spans[before], trace.spans[after]
        gap = later.start_ns - earlier.end_ns
        certainty: Certainty = "sure"
        if not same_clock(earlier, later) or beside[trace.parents[after]]:
            certainty = "guess"
        elif not 0 <= gap <= SMALL_GAP * (earlier.duration_ns + later.duration_ns):
            certainty = "likely"
        found.append(HandOver(before, after, later.start_ns, certainty))
    return sorted(found, key=lambda one: (one.time_ns, one.after))


def _overlaps(trace: Trace, parent: int) -> int:
    """Count the pairs of children that a span may have waited for and that ran at the same time."""
    children = [trace.spans[one] for one in blocking_children(trace, parent) if trace.spans[one].duration_ns]
    ends = sorted(span.end_ns for span in children)
    return sum(place - bisect_right(ends, span.start_ns) for place, span in enumerate(children))
