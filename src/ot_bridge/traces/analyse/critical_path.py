"""The critical path: the spans that the end of a request waited for, one after the other (seeing.md 1.2). Pure.

Walked backwards from the end of the root with a clipped window. Its sections are disjoint and add up to the root's
duration exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ot_bridge.traces.analyse.blocking import blocking_children
from ot_bridge.traces.tree import Trace

__all__ = ["CriticalPath", "Section", "critical_path"]


class Section(NamedTuple):
    """A piece of time on the path, in which this span did not wait for another one."""

    span: int
    start_ns: int
    end_ns: int


@dataclass(frozen=True)
class CriticalPath:
    """The critical path of one root.

    Attributes:
        root: the index of the span that it explains, -1 in an empty trace.
        sections: by time, without gap or overlap, from the root's start to its end.
        own_ns: of each span that is on the path its time there; adds up to the root's duration.
    """

    root: int
    sections: Sequence[Section]
    own_ns: Mapping[int, int]


def critical_path(trace: Trace, root: int | None = None) -> CriticalPath:
    """Find the critical path below a span, the trace's root unless said."""
    root = trace.root if root is None else root
    if root < 0:
        return CriticalPath(-1, (), {})
    sections = list[Section]()
    top = trace.spans[root]
    # A frame is a span, its window's start, the time up to which it is explained (going back), and its children that
    # are left, the one that ends last at the end.
    stack = [(root, top.start_ns, top.start_ns + top.duration_ns, _by_end(trace, root))]
    while stack:
        index, start, until, left = stack.pop()
        child = _last(trace, left, start, until)
        if child is None:
            if until > start:
                sections.append(Section(index, start, until))
            continue
        span = trace.spans[child]
        child_end, child_start = min(span.end_ns, until), max(span.start_ns, start)
        if until > child_end:
            sections.append(Section(index, child_end, until))
        stack.append((index, start, child_start, left))
        stack.append((child, child_start, child_end, _by_end(trace, child)))
    sections.reverse()
    own = dict[int, int]()
    for section in sections:
        own[section.span] = own.get(section.span, 0) + section.end_ns - section.start_ns
    return CriticalPath(root, tuple(sections), own)


def _by_end(trace: Trace, index: int) -> list[int]:
    spans = trace.spans
    return sorted(blocking_children(trace, index), key=lambda one: (spans[one].end_ns, -spans[one].start_ns))


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
