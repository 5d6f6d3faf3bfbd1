"""Which rows a trace is shown by (seeing.md 4.1): all of it, repeats folded, or a summary of a long one. Pure.

A long trace is shown by its critical path, its failures with what is above them, what the findings name, and the
slowest span of each service. Everything else is counted in the row above it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ot_bridge.traces.analyse import Analysis
from ot_bridge.traces.analyse.runs import MIN_RUN, Run, most_at_once, sibling_runs
from ot_bridge.traces.tree import Trace

__all__ = ["LONG", "Row", "rows"]

LONG = 500
"""A trace of more spans is summed up, unless all of it is asked for."""
_SUMMARY = 120
_ABOVE = 25
_EVIDENCE = 3


@dataclass
class Row:
    """A row, and the rows below it.

    Attributes:
        span: the index of the span; of a run, of its first; -1 for what is left out below no span.
        run: the siblings that are folded into this row, itself included; None for a single span.
        levels: how many spans stand between it and the row above that are not shown.
        hidden: how many spans below it are not shown.
        hidden_errors: how many of these failed.
    """

    span: int
    run: Run | None = None
    levels: int = 0
    hidden: int = 0
    hidden_errors: int = 0
    below: list[Row] = field(default_factory=list)

    @property
    def spans(self) -> Sequence[int]:
        """The indices of the spans that this row shows."""
        return self.run.spans if self.run is not None else (self.span,)

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
    gone = _below(trace, folds)
    if len(trace) - len(gone) <= LONG:
        shown: Iterable[int] = (index for index in range(len(trace)) if index not in gone)
    else:
        shown = sorted(_chosen(trace, analysis, gone))
    return _tree(trace, shown, folds, analysis.reading.errors)


def _folds(trace: Trace, analysis: Analysis) -> dict[int, Run]:
    """Find what becomes one row, by the span that stands for it. What failed, itself or below, keeps its own row."""
    reading = analysis.reading
    erring = set(reading.errors)
    for index in reading.errors:
        while (index := trace.parents[index]) >= 0 and index not in erring:
            erring.add(index)
    found = dict[int, Run]()
    for run in sibling_runs(trace, reading.targets):
        members = tuple(one for one in run.spans if one not in erring)
        if len(members) >= MIN_RUN:
            spans = [trace.spans[one] for one in members]
            total = sum(span.duration_ns for span in spans)
            found[members[0]] = run._replace(spans=members, total_ns=total, at_once=most_at_once(spans))
    return found


def _below(trace: Trace, folds: Mapping[int, Run]) -> set[int]:
    """Return what folds hide: their members except the first, which stands for them, and what is below each."""
    gone = set[int]()
    for stands, run in folds.items():
        for index in run.spans:
            gone.update(range(index + (index == stands), index + trace.sizes[index]))
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


def _tree(trace: Trace, shown: Iterable[int], folds: Mapping[int, Run], errors: Iterable[int]) -> list[Row]:
    """Make the rows of the spans that are shown, in pre-order, and count the others in the row above them."""
    made = {index: Row(index, folds.get(index)) for index in shown}
    top = Row(-1)
    failed = set(errors)
    folded = {one for run in folds.values() for one in run.spans}
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
