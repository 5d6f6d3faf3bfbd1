"""Is this trace whole? One finding per rule, from records alone. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ot_bridge.traces.analyse import Finding as TraceFinding
from ot_bridge.traces.analyse import analyse
from ot_bridge.traces.instrumentation import Hop, hop, producer
from ot_bridge.traces.model import Span
from ot_bridge.traces.tree import Trace
from ot_bridge.traces.words import and_

__all__ = ["BAGGAGE_TAG", "Finding", "Story", "cause", "hops", "judge", "judge_shape"]

BAGGAGE_TAG = "baggage."
"""A service of the demo shows a baggage item that it read in a tag: this prefix and the item's key."""


class Finding(NamedTuple):
    """What one rule found: good or not, and the sentence that says so."""

    good: bool
    text: str

    @classmethod
    def ok(cls, text: str) -> Finding:
        """Make the finding of a rule that holds."""
        return cls(good=True, text=text)

    @classmethod
    def bad(cls, text: str) -> Finding:
        """Make the finding of a rule that does not hold."""
        return cls(good=False, text=text)


@dataclass(frozen=True)
class Story:
    """What the checkout must leave in its trace.

    Attributes:
        services: each has at least one span.
        skipped: each has none.
        baggage: items that are set in the first service.
        baggage_seen_by: each of these services reads every item.
        fails_in: the service where the failure began.
        logs: event names that some span has.
    """

    services: Sequence[str]
    skipped: Sequence[str] = ()
    baggage: Mapping[str, str] = field(default_factory=dict)
    baggage_seen_by: Sequence[str] = ()
    fails_in: str = ""
    logs: Sequence[str] = ()


def judge(spans: Sequence[Span], story: Story) -> list[Finding]:
    """Judge everything that one checkout has sent against what it must be."""
    if not spans:
        return [Finding.bad("no span has arrived")]
    return [
        *judge_shape(spans),
        _services(spans, story),
        *_baggage(spans, story),
        _logs(spans, story),
        _failure(spans, story),
    ]


def judge_shape(spans: Sequence[Span], *, entry: str | None = None) -> list[Finding]:
    """Judge what holds for any request: one trace, one root, every parent there, every hop carried by a header.

    Args:
        spans: at least one.
        entry: a service that people call with headers of their own, so that its parent may be outside.
    """
    return [_one_trace(spans), _parents(spans, entry), _hops(spans)]


def cause(spans: Sequence[Span]) -> TraceFinding | None:
    """Find why the request failed, None when it did not."""
    findings = analyse(Trace(spans)).findings
    return next((one for one in findings if one.rule == "error-origin" and one.severity == "error"), None)


def hops(spans: Sequence[Span]) -> list[tuple[Span, Span, Hop]]:
    """List the calls from one service to another: the span of the caller, that of the callee, and what carried it."""
    by_id = {span.span_id: span for span in spans}
    pairs = [(by_id[span.parent_id], span) for span in spans if span.parent_id in by_id]
    return [(caller, callee, hop(callee)) for caller, callee in pairs if caller.service != callee.service]


def _one_trace(spans: Sequence[Span]) -> Finding:
    trace_ids = list(dict.fromkeys(span.trace_id for span in spans))
    if len(trace_ids) == 1:
        processes = len({span.service for span in spans})
        return Finding.ok(f"one trace: {len(spans)} spans from {processes} processes")
    strays = [next(span for span in spans if span.trace_id == trace_id) for trace_id in trace_ids[1:]]
    reasons = "; ".join(f"{span.title} began another one ({_what_arrived(span)})" for span in strays)
    return Finding.bad(f"{len(trace_ids)} traces instead of one: {reasons}")


def _what_arrived(span: Span) -> str:
    arrived = hop(span).arrived
    return f"{producer(span).library}; the request brought {and_(arrived) if arrived else 'no trace header'}"


def _parents(spans: Sequence[Span], entry: str | None) -> Finding:
    known = {(span.trace_id, span.span_id) for span in spans}
    orphans = [span for span in spans if span.parent_id and (span.trace_id, span.parent_id) not in known]
    orphans = [span for span in orphans if (span.service, span.kind) != (entry, "server")]
    if orphans:
        names = "; ".join(f"{span.title} names the parent {span.parent_id:016x}" for span in orphans)
        return Finding.bad(f"not every parent is in the trace: {names}")
    roots = [span for span in spans if not span.parent_id and span.trace_id == spans[0].trace_id]
    if len(roots) > 1:
        return Finding.bad(f"{len(roots)} roots in one trace: {and_([span.title for span in roots])}")
    return Finding.ok("every span but the root has its parent in the trace")


def _hops(spans: Sequence[Span]) -> Finding:
    found = hops(spans)
    lost = [(callee, how) for _, callee, how in found if how.followed is None]
    if lost:
        names = "; ".join(f"{callee.title} ({_what_arrived(callee)})" for callee, _ in lost)
        return Finding.bad(f"no header that arrived names the parent of {names}")
    kinds = dict.fromkeys(
        f"{producer(caller).library} to {producer(callee).library} by {how.followed}" for caller, callee, how in found
    )
    return Finding.ok(f"{len(found)} hops: {', '.join(kinds)}" if found else "no hops")


def _services(spans: Sequence[Span], story: Story) -> Finding:
    present = {span.service for span in spans}
    missing = [service for service in story.services if service not in present]
    unexpected = [service for service in story.skipped if service in present]
    if missing:
        return Finding.bad(f"no span of {and_(missing)}")
    if unexpected:
        return Finding.bad(f"{and_(unexpected)} has spans, expected none")
    none = f"; none of {and_(story.skipped)}" if story.skipped else ""
    return Finding.ok(f"spans of {and_(story.services)}{none}")


def _baggage(spans: Sequence[Span], story: Story) -> list[Finding]:
    findings = []
    for key, value in story.baggage.items():
        readers = [span for span in spans if BAGGAGE_TAG + key in span.attributes]
        wrong = [span for span in readers if span.attributes[BAGGAGE_TAG + key] != value]
        unread = [service for service in story.baggage_seen_by if service not in {span.service for span in readers}]
        if wrong or unread:
            reasons = [f"{span.title} read {span.attributes[BAGGAGE_TAG + key]!r}" for span in wrong]
            reasons += [f"nothing in {and_(unread)} read it"] if unread else []
            findings.append(Finding.bad(f"baggage {key}={value!r} was lost: {'; '.join(reasons)}"))
        else:
            findings.append(Finding.ok(f"baggage {key}={value!r} was read by {and_(story.baggage_seen_by)}"))
    return findings


def _logs(spans: Sequence[Span], story: Story) -> Finding:
    events = {event.name for span in spans for event in span.events}
    missing = [name for name in story.logs if name not in events]
    if missing:
        return Finding.bad(f"no span has the log {' or '.join(missing)}")
    return Finding.ok(f"logs of every tracer: {', '.join(story.logs)}")


def _failure(spans: Sequence[Span], story: Story) -> Finding:
    found = cause(spans)
    if found is None:
        return Finding.bad(f"nothing says why the request failed, expected {story.fails_in}")
    if found.service != story.fails_in:
        return Finding.bad(f"the failure began in {found.service or 'no service'}, expected {story.fails_in}")
    return Finding.ok(f"the failure is where it began: {found.service}")
