"""All that a span has, as tables for its details. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ot_bridge.traces import words
from ot_bridge.traces.instrumentation import producer
from ot_bridge.traces.model import Event, LogRecord, Span, Value
from ot_bridge.traces.picture.picture import Picture

__all__ = ["Details", "Moment", "as_json", "details"]

BAGGAGE = "baggage."
_FLAGS = ((1, "sampled"), (2, "random id"))
_LONGEST = 20_000
"""Of a longer value so much is shown, and its length is said; its JSON has all of it."""


class Moment(NamedTuple):
    """An event or a log record, in its order.

    Attributes:
        offset_ns: after the start of the span.
        what: `event` or `log`.
    """

    offset_ns: int
    what: str
    name: str
    attributes: Sequence[tuple[str, Value]]
    dropped: int


class Details(NamedTuple):
    """The tables of one span."""

    span: Span
    facts: Sequence[tuple[str, str]]
    attributes: Sequence[tuple[str, Value]]
    baggage: Sequence[tuple[str, Value]]
    resource: Sequence[tuple[str, Value]]
    moments: Sequence[Moment]
    dropped: Sequence[str]


def details(picture: Picture, index: int) -> Details:
    """Collect what a span has."""
    span = picture.trace.spans[index]
    baggage = [(key.removeprefix(BAGGAGE), value) for key, value in span.attributes.items() if key.startswith(BAGGAGE)]
    moments = [_event(span, event) for event in span.events]
    moments += [_log(span, log) for log in picture.logs.get(index, ())]
    return Details(
        span,
        _facts(picture, index),
        _short((key, value) for key, value in sorted(span.attributes.items()) if not key.startswith(BAGGAGE)),
        _short(baggage),
        _short(sorted(span.resource.attributes.items())),
        sorted(moments, key=lambda moment: moment.offset_ns),
        [
            words.plural(number, what)
            for number, what in zip(span.dropped, ("attribute", "event", "link"), strict=True)
            if number
        ],
    )


def _facts(picture: Picture, index: int) -> list[tuple[str, str]]:
    span, reading = picture.trace.spans[index], picture.reading
    facts = [
        ("Self time", words.duration(reading.self_ns[index])),
        ("On the critical path", words.duration(reading.path.own_ns.get(index, 0))),
        ("Made by", str(producer(span))),
    ]
    if (over := picture.hand_overs.get(index)) is not None:
        facts.append(("Waited for", f"{picture.trace.spans[over.before].name} ({over.certainty})"))
    if (hop := picture.hop(index)) is not None:
        arrived = f"; arrived with {words.and_(hop.arrived)}" if hop.arrived else ""
        sure = "" if hop.certainty == "sure" else f" ({hop.certainty})"
        facts.append(("Came by", f"{hop.followed}{sure}{arrived}" if hop.followed else f"header not known{arrived}"))
    if (mark := reading.errors.get(index)) is not None:
        facts.append(("Failed by", f"{mark.sign}{': ' + mark.message if mark.message else ''}"))
    facts += [
        ("Status", span.status + (f": {span.message}" if span.message else "")),
        ("Kind", span.kind),
        ("Scope", f"{span.scope.name} {span.scope.version}".strip() or "none"),
        ("Received by", span.via),
        ("Flags", ", ".join(name for bit, name in _FLAGS if span.flags & bit) or "none"),
    ]
    if span.trace_state:
        facts.append(("Trace state", span.trace_state))
    return facts


def _event(span: Span, event: Event) -> Moment:
    return Moment(event.time_ns - span.start_ns, "event", event.name, _short(event.attributes.items()), event.dropped)


def _log(span: Span, log: LogRecord) -> Moment:
    name = f"{log.severity} {words.text(log.body)}".strip()
    return Moment(log.time_ns - span.start_ns, "log", name, _short(log.attributes.items()), 0)


def _short(pairs: Any) -> list[tuple[str, Value]]:
    return [(key, value if _length(value) <= _LONGEST else _cut(value)) for key, value in pairs]


def _length(value: Value) -> int:
    return len(value) if isinstance(value, str | bytes) else len(words.text(value))


def _cut(value: Value) -> str:
    whole = words.text(value)
    return f"{whole[:_LONGEST]}... ({words.number(len(whole))} characters in all)"


def as_json(span: Span) -> Mapping[str, Any]:
    """Return a span as plain data, ids in hex, times as nanoseconds."""
    return {
        "traceId": f"{span.trace_id:032x}",
        "spanId": f"{span.span_id:016x}",
        "parentSpanId": f"{span.parent_id:016x}" if span.parent_id else "",
        "traceState": span.trace_state,
        "flags": span.flags,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": span.attributes,
        "events": [
            {"timeUnixNano": str(one.time_ns), "name": one.name, "attributes": one.attributes} for one in span.events
        ],
        "links": [
            {"traceId": f"{one.trace_id:032x}", "spanId": f"{one.span_id:016x}", "attributes": one.attributes}
            for one in span.links
        ],
        "status": {"code": span.status, "message": span.message},
        "resource": span.resource.attributes,
        "scope": {"name": span.scope.name, "version": span.scope.version},
        "dropped": dict(zip(("attributes", "events", "links"), span.dropped, strict=True)),
        "receivedBy": span.via,
    }
