"""Equal siblings in a row: what a list of spans shows as one (seeing.md 4.1). Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ot_bridge.traces.analyse.statements import Target, targets
from ot_bridge.traces.model import Span
from ot_bridge.traces.tree import Trace
from ot_bridge.traces.words import duration, number

__all__ = ["MIN_RUN", "Run", "most_at_once", "sibling_runs"]

MIN_RUN = 5
"""Fewer equal siblings are shown one by one: they fit in the eye."""


class Run(NamedTuple):
    """Siblings that did the same.

    Attributes:
        parent: its index, -1 for roots.
        spans: their indices, by start. Others may stand between them.
        label: what they did: the folded statement or path, else the name that all have.
        total_ns: the sum of their durations.
        at_once: how many ran at the same time at most; 1: in sequence.
    """

    parent: int
    spans: tuple[int, ...]
    label: str
    total_ns: int
    at_once: int

    def __str__(self) -> str:
        together = "in sequence" if self.at_once == 1 else f"up to {number(self.at_once)} at once"
        return f"{self.label} x {number(len(self.spans))}, {duration(self.total_ns)}, {together}"


def sibling_runs(trace: Trace, known: Sequence[Target | None] | None = None) -> list[Run]:
    """Find the runs of `MIN_RUN` and more siblings that are equal: service, kind, what they asked for, failed or not.

    Args:
        trace: the trace.
        known: `targets(trace)`, where the caller has it.

    Returns:
        By the place of their first span.
    """
    known = targets(trace) if known is None else known
    groups = defaultdict[tuple[object, ...], list[int]](list)
    for index, (parent, span, target) in enumerate(zip(trace.parents, trace.spans, known, strict=True)):
        what = (target.kind, target.text, target.where) if target else span.name
        groups[parent, span.service, span.kind, span.status == "error", what].append(index)
    runs = []
    for members in groups.values():
        if len(members) < MIN_RUN:
            continue
        first, spans = members[0], [trace.spans[index] for index in members]
        label = asked.text if (asked := known[first]) else spans[0].name
        total = sum(span.duration_ns for span in spans)
        runs.append(Run(trace.parents[first], tuple(members), label, total, most_at_once(spans)))
    return sorted(runs, key=lambda run: run.spans)


def most_at_once(spans: Iterable[Span]) -> int:
    """Count how many of some spans ran at the same time at most; those that only touch did not."""
    changes = [(time, step) for span in spans for time, step in ((span.start_ns, 1), (_end(span), -1))]
    running = most = 0
    for _, step in sorted(changes):
        running += step
        most = max(most, running)
    return max(most, 1) if changes else 0


def _end(span: Span) -> int:
    return max(span.start_ns, span.end_ns)
