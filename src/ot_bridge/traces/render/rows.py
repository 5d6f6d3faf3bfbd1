"""Which rows a trace is shown by (seeing.md 4.1): all of it, repeats folded, or a summary of a long one. Pure.

A long trace is shown by its critical path, its failures with what is above them, what the findings name, and the
slowest span of each service. Everything else is counted in the row above it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ot_bridge.traces.analyse import Analysis
from ot_bridge.traces.tree import Trace

__all__ = ["FOLD", "LONG", "Row", "rows"]

LONG = 500
"""A trace of more spans is summed up, unless all of it is asked for."""
FOLD = 5
"""So many similar siblings become one row."""
_SUMMARY = 120
_ABOVE = 25
_EVIDENCE = 3


@dataclass
class Row:
    """A row, and the rows below it.

    Attributes:
        span: the index of the span; of a fold, of its longest; -1 for what is left out below no span.
        members: the spans that are folded into this row, itself included; empty for a single one.
        levels: how many spans stand between it and the row above that are not shown.
        hidden: how many spans below it are not shown.
        hidden_errors: how many of these failed.
    """

    span: int
    members: Sequence[int] = ()
    levels: int = 0
    hidden: int = 0
    hidden_errors: int = 0
    below: list[Row] = field(default_factory=list)

    def __iter__(self) -> Iterator[Row]:
        """Walk over this row and all rows below it, as they are drawn."""
        stack = [self]
        while stack:
            row = stack.pop()
            yield row
            stack += reversed(row.below)


def rows(trace: Trace, analysis: Analysis | None = None, *, whole: bool = False) -> list[Row]:
    """Return the top rows of a trace.

    Args:
        trace: any.
        analysis: what was found in it; without one nothing is folded or left out.
        whole: every span has a row.
    """
    if analysis is None or whole:
        return _tree(trace, range(len(trace)), {}, ())
    folds = _folds(trace, analysis)
    gone = _below(trace, (one for members in folds.values() for one in members), folds)
    if len(trace) - len(gone) <= LONG:
        shown: Iterable[int] = (index for index in range(len(trace)) if index not in gone)
    else:
        shown = sorted(_chosen(trace, analysis, gone))
    return _tree(trace, shown, folds, analysis.reading.errors)


def _folds(trace: Trace, analysis: Analysis) -> dict[int, Sequence[int]]:
    """Find what becomes one row: by the span that stands for it, its members. What failed keeps its own row."""
    errors = sorted(analysis.reading.errors)
    erring = set(errors)
    for index in errors:
        for above in trace.ancestors(index):
            if above in erring:
                break
            erring.add(above)
    found = dict[int, Sequence[int]]()
    for run in _runs(trace):
        members = [one for one in run if one not in erring]
        if len(members) >= FOLD:
            found[max(members, key=lambda one: (trace.spans[one].duration_ns, -one))] = members
    return found


def _runs(trace: Trace) -> Iterator[Sequence[int]]:
    """Yield the siblings that have one service, kind and name."""
    for children in trace.children:
        if len(children) < FOLD:
            continue
        alike = defaultdict[tuple[str, str, str], list[int]](list)
        for child in children:
            span = trace.spans[child]
            alike[span.service, span.kind, span.name].append(child)
        yield from alike.values()


def _below(trace: Trace, spans: Iterable[int], folds: Iterable[int]) -> set[int]:
    """Return what folds hide: their members except the one that stands for them, and what is below each."""
    stands = set(folds)
    gone = set[int]()
    for index in spans:
        gone.update(range(index + (index in stands), index + trace.sizes[index]))
    return gone


def _chosen(trace: Trace, analysis: Analysis, gone: set[int]) -> set[int]:
    """Choose the spans of a summary, the most telling first, as many as fit."""
    chosen = set[int]()
    for index in _telling(trace, analysis):
        if len(chosen) >= _SUMMARY:
            break
        if index not in gone:
            chosen.add(index)
            chosen.update(one for one in trace.ancestors(index)[:_ABOVE] if one not in gone)
    return chosen


def _telling(trace: Trace, analysis: Analysis) -> Iterator[int]:
    reading = analysis.reading
    if trace.root >= 0:
        yield trace.root
    for finding in analysis.findings:
        yield from finding.spans[:_EVIDENCE]
    failed_above = {above for index in reading.errors if (above := trace.parents[index]) >= 0}
    yield from sorted((one for one in reading.errors if one not in failed_above), key=lambda one: -trace.depths[one])[
        : _SUMMARY // 4
    ]
    yield from sorted(reading.path.own_ns, key=lambda one: -reading.path.own_ns[one])[: _SUMMARY // 3]
    slowest = dict[str, int]()
    for index, own in enumerate(reading.self_ns):
        service = trace.spans[index].service
        if service not in slowest or own > reading.self_ns[slowest[service]]:
            slowest[service] = index
    yield from sorted(slowest.values(), key=lambda one: -reading.self_ns[one])
    yield from trace.roots


def _tree(trace: Trace, shown: Iterable[int], folds: dict[int, Sequence[int]], errors: Iterable[int]) -> list[Row]:
    """Make the rows of the spans that are shown, in pre-order, and count the others in the row above them."""
    made = {index: Row(index, folds.get(index, ())) for index in shown}
    top = Row(-1)
    failed = set(errors)
    folded = {one for members in folds.values() for one in members}
    nearest, distance, inside = [top] * len(trace), [0] * len(trace), [False] * len(trace)
    for index, parent in enumerate(trace.parents):
        above = nearest[parent] if parent >= 0 else top
        levels = distance[parent] if parent >= 0 else 0
        inside[index] = index in folded or (parent >= 0 and inside[parent])
        if index in made:
            row = made[index]
            row.levels = levels
            above.below.append(row)
            nearest[index] = row
            continue
        nearest[index], distance[index] = above, levels + 1
        if not inside[index]:
            above.hidden += 1
            above.hidden_errors += index in failed
    if top.hidden:
        top.below.append(Row(-1, hidden=top.hidden, hidden_errors=top.hidden_errors))
    return top.below
