"""What a root would gain if some spans took no time (seeing.md 1.2): their drag, not their length. Pure.

The children of a span are scheduled again, without those spans. Each child keeps its distance to the last of the
siblings that had ended before it began, and to the one that the critical path takes it to have waited for; the end of
the span keeps its distance to the end of its last child. So the gain ends where the next longest sibling takes over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from ot_bridge.traces.analyse.blocking import blocking_children
from ot_bridge.traces.analyse.critical_path import CriticalPath
from ot_bridge.traces.tree import Trace

__all__ = ["Savings"]


class _Child(NamedTuple):
    """A child inside its parent: `end_ns` is clipped to the parent's end, `whole_end_ns` is not."""

    span: int
    start_ns: int
    end_ns: int
    whole_end_ns: int


class _Plan(NamedTuple):
    """The children of one span that it may have waited for, ready to be scheduled again.

    Attributes:
        gaps: of each child the time between its start and what it waited for.
        tail_ns: between the end of the last child and the span's own.
    """

    start_ns: int
    end_ns: int
    by_start: list[_Child]
    by_end: list[_Child]
    gaps: list[int]
    tail_ns: int


class Savings:
    """Savings on one critical path. What is computed of a span's children is kept for the next question."""

    def __init__(self, trace: Trace, path: CriticalPath) -> None:
        self._trace = trace
        self._path = path
        self._plans = dict[int, _Plan]()
        self._waited_for = {one.after: one.before for one in path.hand_overs}
        self.steps = 0
        """How many children were scheduled so far: the cost."""

    def of(self, *spans: int) -> int:
        """Return by how much the root would be shorter if these spans took no time, in nanoseconds.

        Never more than the time that they and what is below them take on the critical path; 0 off it.
        """
        return self.of_all(spans)

    def of_all(self, spans: Iterable[int]) -> int:
        """Return the same for many."""
        path, parents = self._path, self._trace.parents
        gone = set(spans)
        if not any(index in path.windows for index in gone):
            return 0
        if path.root in gone:
            return path.below_ns(path.root)
        # Of each span above: whether it or one above it is gone as well, which then counts for all below.
        above = {path.root: False}
        most = 0
        for index in gone:
            way, at = list[int](), parents[index]
            while at >= 0 and at not in above:
                way.append(at)
                at = parents[at]
            covered = above.get(at, False)
            for one in reversed(way):
                above[one] = covered = covered or one in gone
            most += 0 if covered else path.below_ns(index)
        shorter = {index: self._trace.spans[index].duration_ns for index in gone}
        # In pre-order a parent stands before its children, so backwards each is known before its parent needs it.
        for index in sorted(above.keys() - gone, reverse=True):
            plan = self._plan(index)
            shorter[index] = plan.end_ns - self._end(plan, shorter)
        return min(most, shorter.get(path.root, 0))

    def _plan(self, index: int) -> _Plan:
        if index not in self._plans:
            self._plans[index] = self._planned(index)
        return self._plans[index]

    def _planned(self, index: int) -> _Plan:
        spans = self._trace.spans
        start, end = spans[index].start_ns, spans[index].start_ns + spans[index].duration_ns
        children = [
            _Child(one, max(spans[one].start_ns, start), min(spans[one].end_ns, end), spans[one].end_ns)
            for one in blocking_children(self._trace, index)
        ]
        children = [child for child in children if child.end_ns > child.start_ns]
        by_start = sorted(children, key=lambda child: (child.start_ns, child.end_ns))
        by_end = sorted(children, key=lambda child: child.end_ns)
        tail = end - max((child.end_ns for child in children), default=start)
        bare = _Plan(start, end, by_start, by_end, [0] * len(by_start), tail)
        return bare._replace(
            gaps=[child.start_ns - base for child, base in zip(by_start, self._bases(bare), strict=True)]
        )

    def _bases(self, plan: _Plan) -> list[int]:
        """Return of each child, by start, when the last thing ended that it waited for."""
        bases, ended, base = [], 0, plan.start_ns
        for child in plan.by_start:
            while ended < len(plan.by_end) and plan.by_end[ended].end_ns <= child.start_ns:
                base = plan.by_end[ended].end_ns
                ended += 1
            # The one that the path takes it to have waited for had not ended: it is clipped to the child's start.
            overlapped = child.span in self._waited_for and base < child.start_ns and self._overlaps(child)
            bases.append(child.start_ns if overlapped else base)
        return bases

    def _overlaps(self, child: _Child) -> bool:
        return self._trace.spans[self._waited_for[child.span]].end_ns > child.start_ns

    def _end(self, plan: _Plan, shorter: Mapping[int, int]) -> int:
        """Return when a span would end if its children were shorter by so much."""
        ends, ended, base = dict[int, int](), 0, plan.start_ns
        last = plan.start_ns
        for child, gap in zip(plan.by_start, plan.gaps, strict=True):
            self.steps += 1
            while ended < len(plan.by_end) and plan.by_end[ended].end_ns <= child.start_ns:
                base = max(base, ends[plan.by_end[ended].span])
                ended += 1
            before = self._waited_for.get(child.span)
            waited = max(base, min(ends.get(before, base), child.start_ns)) if before is not None else base
            start = waited + gap
            earlier = child.start_ns - start + shorter.get(child.span, 0)
            ends[child.span] = end = max(start, min(child.whole_end_ns - earlier, plan.end_ns))
            last = max(last, end)
        return last + plan.tail_ns
