"""Which lines a trace has on the screen, as the reader folded them (seeing.md 4.1). Pure.

A line is a span, a run of equal siblings, or a number of spans that a summary leaves out. All is made of indices in the
trace's flat arrays; no objects are kept for what is not shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from ot_bridge.traces.analyse import Finding
from ot_bridge.traces.picture.picture import Picture
from ot_bridge.traces.picture.view import View

__all__ = ["SUMMARY_ABOVE", "Line", "is_summary", "lines", "notable"]

SUMMARY_ABOVE = 500
"""A trace of more spans is first shown as a summary."""

_SHARE = 0.01
"""A run of this share of the trace's time is worth its line in a summary."""

What: TypeAlias = Literal["span", "run", "more"]


class Line(NamedTuple):
    """One line.

    Attributes:
        spans: of a span itself; of a run its members; of what is left out the tops of the subtrees.
        open: whether what is below is shown; None when there is nothing below.
        key: what the address calls it.
        full: below it, nothing is left out.
    """

    what: What
    spans: tuple[int, ...]
    depth: int
    open: bool | None
    key: str
    full: bool


def is_summary(picture: Picture, view: View) -> bool:
    """Tell whether a view leaves out what is not notable."""
    return view.view == "summary" or (not view.view and len(picture.trace) > SUMMARY_ABOVE)


def lines(picture: Picture, view: View, findings: Iterable[Finding] = ()) -> list[Line]:
    """Return the lines from top to bottom.

    Args:
        picture: of the trace.
        view: what the reader chose.
        findings: whose spans a summary shows.
    """
    return _Lines(picture, view, findings).all()


def notable(picture: Picture, findings: Iterable[Finding]) -> set[int]:
    """Choose what a summary shows: the critical path, what failed, the slowest of each service, the evidence."""
    trace, reading = picture.trace, picture.reading
    chosen = set(sorted(trace.roots, key=lambda one: -trace.sizes[one])[:20])
    for finding in findings:
        chosen.update(finding.spans[:3])
    chosen.update(sorted(reading.path.own_ns, key=lambda one: -reading.path.own_ns[one])[:40])
    failed = set(picture.failed)
    ends = [one for one in picture.failed if not failed.intersection(trace.children[one])]
    chosen.update(ends[:40])
    slowest = dict[str, list[int]]()
    for index in sorted(range(len(trace)), key=lambda one: -reading.self_ns[one]):
        of_service = slowest.setdefault(trace.spans[index].service, [])
        if len(of_service) < 2:
            of_service.append(index)
    for of_service in list(slowest.values())[:40]:
        chosen.update(of_service)
    return chosen


class _Lines:
    def __init__(self, picture: Picture, view: View, findings: Iterable[Finding]) -> None:
        self._picture, self._trace = picture, picture.trace
        self._open, self._closed = set(view.open), set(view.closed)
        named = [picture.places.get(key) for key in (*view.span, *view.shown, view.at)]
        self._must = self._with_ancestors(one for one in named if one is not None)
        self._runs = picture.runs if view.group else {}
        self._filtered = bool(view.only and view.q)
        self._kept: set[int] | None = None
        if self._filtered:
            self._kept = self._with_ancestors(picture.matches(view.q)) | self._must
        elif is_summary(picture, view):
            self._kept = self._with_ancestors(notable(picture, findings)) | self._must

    def all(self) -> list[Line]:
        found = list[Line]()
        stack = self._level(self._trace.roots, 0, full=self._kept is None)[::-1]
        while stack:
            line = stack.pop()
            found.append(line)
            if not line.open:
                continue
            below = line.spans if line.what != "span" else self._trace.children[line.spans[0]]
            depth = line.depth if line.what == "more" else line.depth + 1
            stack += self._level(below, depth, full=line.full, grouped=line.what != "run")[::-1]
        return found

    def _level(self, spans: Sequence[int], depth: int, *, full: bool, grouped: bool = True) -> list[Line]:
        found, left, done = list[Line](), list[int](), set[int]()
        for index in spans:
            if index in done:
                continue
            run = self._runs.get(index) if grouped else None
            members = tuple(one for one in run.spans if one not in done) if run else (index,)
            if run:
                done.update(run.spans)
            if not full and not self._worth(members, run_ns=run.total_ns if run else 0):
                left += members
                continue
            if left:
                found.append(self._more(left, depth))
                left = []
            found.append(self._run(members, depth, full=full) if run else self._span(index, depth, full=full))
        if left:
            found.append(self._more(left, depth))
        return [one for one in found if one.spans]

    def _worth(self, members: Sequence[int], run_ns: int) -> bool:
        kept = self._kept or set()
        if any(one in kept for one in members):
            return True
        return not self._filtered and run_ns > _SHARE * self._picture.duration_ns

    def _span(self, index: int, depth: int, *, full: bool) -> Line:
        key = self._picture.keys[index]
        children = self._trace.children[index]
        shown = bool(children)
        if shown and self._filtered and not full:
            shown = any(one in (self._kept or ()) for one in children)
        must = any(one in self._must for one in children)
        return Line("span", (index,), depth, (key not in self._closed or must) if shown else None, key, full)

    def _run(self, members: tuple[int, ...], depth: int, *, full: bool) -> Line:
        key = "r" + self._picture.keys[members[0]]
        wanted = self._filtered or any(one in self._must for one in members)
        return Line("run", members, depth, self._opened("r", members) or wanted, key, full or not self._filtered)

    def _more(self, left: Sequence[int], depth: int) -> Line:
        if self._filtered:
            return Line("more", (), depth, None, "", full=False)
        if len(left) == 1 and self._trace.sizes[left[0]] == 1:
            return self._span(left[0], depth, full=True)
        key = "m" + self._picture.keys[left[0]]
        return Line("more", tuple(left), depth, self._opened("m", left), key, full=True)

    def _opened(self, sort: str, spans: Sequence[int]) -> bool:
        """Tell whether the reader opened a line of these spans, whichever of them came first at the time."""
        return bool(self._open) and any(sort + self._picture.keys[one] in self._open for one in spans)

    def _with_ancestors(self, spans: Iterable[int]) -> set[int]:
        found = set[int]()
        for index in spans:
            while index >= 0 and index not in found:
                found.add(index)
                index = self._trace.parents[index]
        return found
