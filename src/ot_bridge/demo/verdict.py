"""Is this trace whole? One finding per rule, from records alone. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ot_bridge.demo.spans import Hop, SpanRecord, hop

__all__ = ["BAGGAGE_TAG", "Finding", "Story", "failing_span", "hops", "judge", "judge_shape"]

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
        fails_in: the service of the failing span.
        logs: event names that some span has.
    """

    services: Sequence[str]
    skipped: Sequence[str] = ()
    baggage: Mapping[str, str] = field(default_factory=dict)
    baggage_seen_by: Sequence[str] = ()
    fails_in: str = ""
    logs: Sequence[str] = ()


def judge(spans: Sequence[SpanRecord], story: Story) -> list[Finding]:
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


def judge_shape(spans: Sequence[SpanRecord], *, entry: str | None = None) -> list[Finding]:
    """Judge what holds for any request: one trace, one root, every parent there, every hop carried by a header.

    Args:
        spans: at least one.
        entry: a service that people call with headers of their own, so that its parent may be outside.
    """
    return [_one_trace(spans), _parents(spans, entry), _hops(spans)]


def failing_span(spans: Sequence[SpanRecord]) -> SpanRecord | None:
    """Find the span where the trouble began: the deepest error that has no error below it, None without errors."""
    by_id = {span.span_id: span for span in spans}
    errors = [span for span in spans if span.error]
    parents_of_errors = {ancestor.span_id for span in errors for ancestor in _ancestors(span, by_id)}
    origins = [span for span in errors if span.span_id not in parents_of_errors]
    return max(origins, key=lambda span: len(_ancestors(span, by_id)), default=None)


def hops(spans: Sequence[SpanRecord]) -> list[tuple[SpanRecord, SpanRecord, Hop]]:
    """List the calls from one service to another: the span of the caller, that of the callee, and what carried it."""
    by_id = {span.span_id: span for span in spans}
    pairs = [(by_id[span.parent_id], span) for span in spans if span.parent_id in by_id]
    return [(caller, callee, hop(callee)) for caller, callee in pairs if caller.service != callee.service]


def _and(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _ancestors(span: SpanRecord, by_id: Mapping[int, SpanRecord]) -> list[SpanRecord]:
    found: list[SpanRecord] = []
    while (parent := by_id.get(span.parent_id)) is not None and parent not in found:
        found.append(parent)
        span = parent
    return found


def _one_trace(spans: Sequence[SpanRecord]) -> Finding:
    trace_ids = list(dict.fromkeys(span.trace_id for span in spans))
    if len(trace_ids) == 1:
        processes = len({span.service for span in spans})
        return Finding.ok(f"one trace: {len(spans)} spans from {processes} processes")
    strays = [next(span for span in spans if span.trace_id == trace_id) for trace_id in trace_ids[1:]]
    reasons = "; ".join(f"{span.name} began another one ({_what_arrived(span)})" for span in strays)
    return Finding.bad(f"{len(trace_ids)} traces instead of one: {reasons}")


def _what_arrived(span: SpanRecord) -> str:
    arrived = hop(span).arrived
    return f"{span.library}; the request brought {_and(arrived) if arrived else 'no trace header'}"


def _parents(spans: Sequence[SpanRecord], entry: str | None) -> Finding:
    known = {(span.trace_id, span.span_id) for span in spans}
    orphans = [span for span in spans if span.parent_id and (span.trace_id, span.parent_id) not in known]
    orphans = [span for span in orphans if (span.service, span.kind) != (entry, "server")]
    if orphans:
        names = "; ".join(f"{span.name} names the parent {span.parent_id:016x}" for span in orphans)
        return Finding.bad(f"not every parent is in the trace: {names}")
    roots = [span for span in spans if not span.parent_id and span.trace_id == spans[0].trace_id]
    if len(roots) > 1:
        return Finding.bad(f"{len(roots)} roots in one trace: {_and([span.name for span in roots])}")
    return Finding.ok("every span but the root has its parent in the trace")


def _hops(spans: Sequence[SpanRecord]) -> Finding:
    found = hops(spans)
    lost = [(callee, how) for _, callee, how in found if how.followed is None]
    if lost:
        names = "; ".join(f"{callee.name} ({_what_arrived(callee)})" for callee, _ in lost)
        return Finding.bad(f"no header that arrived names the parent of {names}")
    kinds = dict.fromkeys(f"{caller.library} to {callee.library} by {how.followed}" for caller, callee, how in found)
    return Finding.ok(f"{len(found)} hops: {', '.join(kinds)}" if found else "no hops")


def _services(spans: Sequence[SpanRecord], story: Story) -> Finding:
    present = {span.service for span in spans}
    missing = [service for service in story.services if service not in present]
    unexpected = [service for service in story.skipped if service in present]
    if missing:
        return Finding.bad(f"no span of {_and(missing)}")
    if unexpected:
        return Finding.bad(f"{_and(unexpected)} has spans, expected none")
    none = f"; none of {_and(story.skipped)}" if story.skipped else ""
    return Finding.ok(f"spans of {_and(story.services)}{none}")


def _baggage(spans: Sequence[SpanRecord], story: Story) -> list[Finding]:
    findings = []
    for key, value in story.baggage.items():
        readers = [span for span in spans if BAGGAGE_TAG + key in span.tags]
        wrong = [span for span in readers if span.tags[BAGGAGE_TAG + key] != value]
        unread = [service for service in story.baggage_seen_by if service not in {span.service for span in readers}]
        if wrong or unread:
            reasons = [f"{span.name} read {span.tags[BAGGAGE_TAG + key]!r}" for span in wrong]
            reasons += [f"nothing in {_and(unread)} read it"] if unread else []
            findings.append(Finding.bad(f"baggage {key}={value!r} was lost: {'; '.join(reasons)}"))
        else:
            findings.append(Finding.ok(f"baggage {key}={value!r} was read by {_and(story.baggage_seen_by)}"))
    return findings


def _logs(spans: Sequence[SpanRecord], story: Story) -> Finding:
    events = {event.name for span in spans for event in span.events}
    missing = [name for name in story.logs if name not in events]
    if missing:
        return Finding.bad(f"no span has the log {' or '.join(missing)}")
    return Finding.ok(f"logs of every tracer: {', '.join(story.logs)}")


def _failure(spans: Sequence[SpanRecord], story: Story) -> Finding:
    span = failing_span(spans)
    if span is None:
        return Finding.bad(f"no span is marked as an error, expected one in {story.fails_in}")
    if span.service != story.fails_in:
        return Finding.bad(f"the failing span is {span.name}, expected one in {story.fails_in}")
    if not span.message:
        return Finding.bad(f"the failing span {span.name} does not say why it failed")
    return Finding.ok(f"the error is where it happened: {span.name}")
