"""A trace as a tree in flat arrays, built so that no set of spans can break it. Pure.

What had to be decided to make a tree of the spans (seeing.md 1.7) is kept as notes, for the rule on cut traces.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from ot_bridge.traces.model import CALLERS, ENTRIES, LogRecord, Span

__all__ = ["Note", "NoteKind", "Trace"]

NoteKind: TypeAlias = Literal["missing parent", "cycle", "resent", "shared id", "same id"]


_TWO = 2


class Note(NamedTuple):
    """Something odd about a span's place in the tree.

    Attributes:
        kind: `missing parent`: it names a parent that is not there; `cycle`: its parents lead back to it, here it was
            cut; `resent`: the same span came twice and one was kept; `shared id`: a server half that has its client's
            id, as Zipkin has it; `same id`: another span has its id, both are kept.
        span: its index in `Trace.spans`.
    """

    kind: NoteKind
    span: int


class Trace:
    """Spans in pre-order: a parent before its children, siblings by their start.

    Attributes:
        spans: all spans.
        parents: of each span the index of its parent, -1 for a root.
        depths: 0 for a root.
        sizes: of each span the number of spans of its subtree, itself included: the subtree of `i` is
            `range(i, i + sizes[i])`.
        children: of each span the indices of its children, by start.
        roots: indices, by start.
        notes: what was odd.
        logs: log records of this trace, by time.
        trace_ids: the ids of its spans, the commonest first. More than one when a hop cut an id and both were joined.
    """

    def __init__(self, spans: Iterable[Span], logs: Iterable[LogRecord] = ()) -> None:
        kept, odd = _distinct(spans)
        parents, cut = _parents(kept)
        cut += _cut_cycles(kept, parents)
        order = _pre_order(kept, parents)
        place = {old: new for new, old in enumerate(order)}
        self.spans: Sequence[Span] = tuple(kept[old] for old in order)
        self.parents: Sequence[int] = tuple(place[parents[old]] if parents[old] >= 0 else -1 for old in order)
        children: list[list[int]] = [[] for _ in order]
        depths, sizes, roots = [0] * len(order), [1] * len(order), []
        for index, parent in enumerate(self.parents):
            if parent < 0:
                roots.append(index)
            else:
                children[parent].append(index)
                depths[index] = depths[parent] + 1
        for index in range(len(order) - 1, -1, -1):
            if (parent := self.parents[index]) >= 0:
                sizes[parent] += sizes[index]
        self.children: Sequence[Sequence[int]] = tuple(map(tuple, children))
        self.depths: Sequence[int] = tuple(depths)
        self.sizes: Sequence[int] = tuple(sizes)
        self.roots: Sequence[int] = tuple(roots)
        self.notes: Sequence[Note] = tuple(sorted(Note(kind, place[old]) for kind, old in [*odd, *cut]))
        self.logs: Sequence[LogRecord] = tuple(sorted(logs, key=lambda log: log.time_ns))
        counts: dict[int, int] = defaultdict(int)
        for span in self.spans:
            counts[span.trace_id] += 1
        self.trace_ids: Sequence[int] = tuple(sorted(counts, key=lambda one: (-counts[one], one)))
        self._by_id: dict[int, int] = {}
        for index, span in enumerate(self.spans):
            self._by_id.setdefault(span.span_id, index)

    def __len__(self) -> int:
        return len(self.spans)

    @property
    def trace_id(self) -> int:
        """The trace id, 0 without spans."""
        return self.trace_ids[0] if self.trace_ids else 0

    @property
    def root(self) -> int:
        """The index of the root that the trace is named after, -1 without spans.

        Of those that have no missing parent the one with the largest subtree, the first of equals.
        """
        cut = {note.span for note in self.notes if note.kind == "missing parent"}
        return max(self.roots, key=lambda index: (index not in cut, self.sizes[index], -index), default=-1)

    @property
    def start_ns(self) -> int:
        """When the first span began, 0 without spans."""
        return min((span.start_ns for span in self.spans), default=0)

    @property
    def end_ns(self) -> int:
        """When the last span ended, 0 without spans."""
        return max((max(span.start_ns, span.end_ns) for span in self.spans), default=0)

    @property
    def duration_ns(self) -> int:
        """From the first start to the last end."""
        return self.end_ns - self.start_ns

    @property
    def services(self) -> Sequence[str]:
        """The names of all services, sorted."""
        return sorted({span.service for span in self.spans})

    def index_of(self, span_id: int) -> int | None:
        """Return where the first span with this id is, None when it is not there."""
        return self._by_id.get(span_id)

    def ancestors(self, index: int) -> list[int]:
        """Return the indices of the parents of a span, the nearest first."""
        found = []
        while (index := self.parents[index]) >= 0:
            found.append(index)
        return found


def _distinct(spans: Iterable[Span]) -> tuple[list[Span], list[tuple[NoteKind, int]]]:
    """Leave out what was sent twice: same ids, service, kind and name. The last one that came is kept."""
    kept: dict[tuple[object, ...], tuple[Span, bool]] = {}
    for span in spans:
        key = (span.trace_id, span.span_id, span.service, span.kind, span.name, span.span_id or id(span))
        kept[key] = (span, key in kept)
    resent: list[tuple[NoteKind, int]] = [("resent", index) for index, (_, again) in enumerate(kept.values()) if again]
    return [span for span, _ in kept.values()], resent


def _parents(spans: Sequence[Span]) -> tuple[list[int], list[tuple[NoteKind, int]]]:
    """Find the parent of each span by its id; where an id is shared, the half that fits."""
    holders = _Holders(spans)
    parents, notes = [-1] * len(spans), list[tuple[NoteKind, int]]()
    for index, span in enumerate(spans):
        if holders.shares(span):
            caller = holders.caller(span, index)
            if span.kind in ENTRIES and caller is not None:
                parents[index] = caller
                notes.append(("shared id", index))
                continue
            if not (span.kind in CALLERS and holders.is_entered(span)):
                notes.append(("same id", index))
        if not span.parent_id:
            continue
        above = None if span.parent_id == span.span_id else holders.parent(span)
        if above is not None:
            parents[index] = above
        else:
            notes.append(("cycle" if span.parent_id == span.span_id else "missing parent", index))
    return parents, notes


class _Holders:
    """Who has which span id, where more than one may; each question costs the same however many do."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._counts: dict[int, int] = defaultdict(int)
        self._callers: dict[int, list[int]] = defaultdict(list)
        self._entered = set[int]()
        # The server's half before the client's, the first before the second.
        self._best: dict[int, int] = {}
        self._of_service: dict[tuple[int, str], int] = {}
        for index, span in sorted(enumerate(spans), key=lambda one: one[1].kind not in ENTRIES):
            self._counts[span.span_id] += 1
            self._best.setdefault(span.span_id, index)
            self._of_service.setdefault((span.span_id, span.service), index)
            if span.kind in CALLERS and len(self._callers[span.span_id]) < _TWO:
                self._callers[span.span_id].append(index)
            elif span.kind in ENTRIES:
                self._entered.add(span.span_id)

    def shares(self, span: Span) -> bool:
        return span.span_id != 0 and self._counts[span.span_id] > 1

    def caller(self, span: Span, index: int) -> int | None:
        return next((one for one in self._callers.get(span.span_id, ()) if one != index), None)

    def is_entered(self, span: Span) -> bool:
        return span.span_id in self._entered

    def parent(self, span: Span) -> int | None:
        own = self._of_service.get((span.parent_id, span.service))
        return self._best.get(span.parent_id) if own is None else own


def _cut_cycles(spans: Sequence[Span], parents: list[int]) -> list[tuple[NoteKind, int]]:
    """Make a root of the first span of each cycle of parents."""
    notes = list[tuple[NoteKind, int]]()
    ends = [False] * len(spans)
    for start in range(len(spans)):
        way, index = dict[int, None](), start
        while index >= 0 and not ends[index] and index not in way:
            way[index] = None
            index = parents[index]
        if index in way:
            steps = list(way)
            cycle = steps[steps.index(index) :]
            first = min(cycle, key=lambda one: (spans[one].start_ns, one))
            parents[first] = -1
            notes.append(("cycle", first))
        for one in way:
            ends[one] = True
    return notes


def _pre_order(spans: Sequence[Span], parents: Sequence[int]) -> list[int]:
    children: dict[int, list[int]] = defaultdict(list)
    for index in sorted(range(len(spans)), key=lambda one: (spans[one].start_ns, -spans[one].end_ns, one)):
        children[parents[index]].append(index)
    order, stack = list[int](), children[-1][::-1]
    while stack:
        index = stack.pop()
        order.append(index)
        stack += reversed(children[index])
    return order
