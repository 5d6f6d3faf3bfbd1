"""What a trace has to do with others of the same time: a request that went on in another trace (seeing.md 1.7).

Only a bounded number of traces is looked at, for a bounded time: those that began shortly before this one, and those
that began while it ran.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ot_bridge.traces.analyse import Finding
from ot_bridge.traces.analyse.cut import KEY
from ot_bridge.traces.analyse.finding import CERTAINTIES
from ot_bridge.traces.analyse.lost_context import lost_hops, same_low_bits
from ot_bridge.traces.model import ENTRIES
from ot_bridge.traces.page.kept import Kept
from ot_bridge.traces.store.query import Query
from ot_bridge.traces.tree import Trace

__all__ = ["Across", "across"]

_MOST = 50
"""So many traces are looked at; half of them began before this one."""
_MOST_SPANS = 2_000
"""A larger one is left out."""
_BEFORE_NS = 60_000_000_000
_LONGEST_S = 0.2
_SHOWN = 5


class Across(NamedTuple):
    """What was found, and where the request is in the other trace.

    Attributes:
        finding: its evidence is in this trace.
        trace_id: of the other trace.
        span_id: in the other trace, 0 when it is all of it.
    """

    finding: Finding
    trace_id: int
    span_id: int


def across(store: Kept, trace: Trace, findings: Sequence[Finding]) -> Sequence[Across]:
    """Look for the other half of a trace that is cut, or that may be one: its root is a request that came in.

    Args:
        store: where the other traces are.
        trace: with at least one span.
        findings: of this trace alone.
    """
    is_cut = any(finding.rule == KEY and finding.severity != "note" for finding in findings)
    is_called = trace.spans[trace.root].kind in ENTRIES
    if not (is_cut or is_called):
        return ()
    others = list(_neighbours(store, trace))
    if not others:
        return ()
    found = [*_lost(trace, others), *_same_bits(trace, others)]
    found.sort(key=lambda one: CERTAINTIES.index(one.finding.certainty))
    return found[:_SHOWN]


def _neighbours(store: Kept, trace: Trace) -> Iterator[Trace]:
    until = time.monotonic() + _LONGEST_S
    half, start, end = _MOST // 2, trace.start_ns, trace.end_ns
    before = Query(from_ns=max(0, start - _BEFORE_NS), to_ns=start + 1, limit=half)
    during = Query(from_ns=start + 1, to_ns=end + 1, limit=half)
    rows = {row.trace_id: row for query in (before, during) for row in store.search(query).traces}
    for row in sorted(rows.values(), key=lambda row: abs(row.start_ns - start)):
        if row.trace_id in trace.trace_ids or row.spans > _MOST_SPANS or row.start_ns + row.duration_ns < start:
            continue
        if time.monotonic() > until:
            return
        other = store.trace(row.trace_id)
        if other is not None and not set(other.trace_ids) & set(trace.trace_ids):
            yield other


def _lost(trace: Trace, others: Sequence[Trace]) -> Iterator[Across]:
    for hop in lost_hops([trace, *others]):
        ours = next((span for span in (hop.caller, hop.callee) if span.trace_id in trace.trace_ids), None)
        if ours is None:
            continue
        theirs = hop.callee if ours is hop.caller else hop.caller
        index = trace.index_of(ours.span_id)
        finding = Finding(
            rule=KEY,
            text=f"{hop.text}.",
            certainty=hop.certainty,
            severity="warning",
            spans=() if index is None else (index,),
            verdict="lost-context",
            service=hop.caller.service,
            advice=hop.advice,
        )
        yield Across(finding, theirs.trace_id, theirs.span_id)


def _same_bits(trace: Trace, others: Sequence[Trace]) -> Iterator[Across]:
    for pair in same_low_bits([trace, *others]):
        if trace is not pair.whole and trace is not pair.cut:
            continue
        other = pair.cut if trace is pair.whole else pair.whole
        text = (
            f"The trace {other.trace_id:032x} ran at the same time under an id with the same low 64 bits: a hop that "
            "knows no more may have cut one trace in two."
        )
        yield Across(Finding(KEY, text, "likely", "warning", (), "same-low-bits"), other.trace_id, 0)
