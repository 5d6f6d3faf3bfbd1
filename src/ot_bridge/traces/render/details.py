"""What stands below a span in the terminal: its tags, and by time its events and the log records that name it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from ot_bridge.traces.model import Event, Link, LogRecord, Span, Value
from ot_bridge.traces.render.harmless import cut
from ot_bridge.traces.words import and_, duration, plural, text

__all__ = ["Details", "Parts", "details", "log_line"]

Parts: TypeAlias = "list[tuple[str, str]]"
"""Pieces of a line, each with its style."""

_BAGGAGE = "baggage."
# Tags that say how a call was made; the tree says that in its columns.
_PLUMBING = (
    "client.", "component", "http.", "internal.", "net.", "network.", "otel.", "peer.", "process.", "sampler.",
    "server.", "span.kind", "thread.", "url.", "user_agent.",
)  # fmt: skip
_EXCEPTION = ("exception.stacktrace", "exception.escaped", "exception.type", "exception.message", "stack")
_MANY = 40
_WORST = ("ERROR", "FATAL", "CRITICAL")


class Details(NamedTuple):
    """Which details are shown.

    Attributes:
        tags: the tags that say what was asked for.
        plumbing: also those that say how the call was made, links inside the trace, and stacks.
        events: events and log records.
        times: when these happened, from the start of the trace.
    """

    tags: bool = True
    plumbing: bool = False
    events: bool = True
    times: bool = True


def details(span: Span, logs: Sequence[LogRecord], shown: Details, start_ns: int) -> Iterator[Parts]:
    """Yield the lines below a span.

    Args:
        span: any.
        logs: the records that name it.
        shown: which details.
        start_ns: when the trace began.
    """
    if shown.tags and (tags := _tags(span.attributes, all_of_them=shown.plumbing)):
        yield tags
    exceptions = any(event.name == "exception" for event in span.events)
    if span.status == "error" and span.message and not exceptions:
        yield [(f"status {cut(span.message)}", "red")]
    if shown.tags:
        for link in span.links:
            if shown.plumbing or link.trace_id != span.trace_id:
                yield _link(link, span)
        if any(span.dropped):
            kinds = [plural(count, name) for count, name in zip(span.dropped, _DROPPED, strict=True) if count]
            yield [(f"the sender's limits dropped {and_(kinds)}", "yellow")]
    if shown.events:
        timed: list[tuple[int, Parts]] = [(event.time_ns, _event(event, shown)) for event in span.events]
        timed += [(record.time_ns, log_line(record, shown)) for record in logs]
        timed.sort(key=lambda one: one[0])
        for time_ns, parts in timed[: None if shown.plumbing else _MANY]:
            yield [_moment(time_ns, start_ns), *parts] if shown.times and time_ns else parts
        if not shown.plumbing and len(timed) > _MANY:
            yield [(f"{plural(len(timed) - _MANY, 'event')} more", "dim")]


_DROPPED = ("attribute", "event", "link")


def _moment(time_ns: int, start_ns: int) -> tuple[str, str]:
    return f"+{duration(time_ns - start_ns)}  ".replace("+-", "-"), "dim"


def _tags(attributes: Mapping[str, Value], *, all_of_them: bool) -> Parts:
    parts: Parts = []
    for key, value in attributes.items():
        if all_of_them or not key.startswith(_PLUMBING):
            parts += [("  ", ""), (cut(f"{key}={text(value)}"), "magenta" if key.startswith(_BAGGAGE) else "dim")]
    return parts[1:]


def _link(link: Link, span: Span) -> Parts:
    fields = "".join(f"  {key}={text(value)}" for key, value in link.attributes.items())
    where = f"span {link.span_id:016x}" + ("" if link.trace_id == span.trace_id else f" of trace {link.trace_id:032x}")
    return [(f"link to {where}{cut(fields)}", "dim")]


def _event(event: Event, shown: Details) -> Parts:
    fields = event.attributes
    if event.name == "exception":
        kind = text(fields.get("exception.type", "exception")).rpartition(".")[2]
        said = f"log {kind}: {cut(text(fields.get('exception.message', '')), 2000)}"
        parts = [(said, "red")]
        if shown.plumbing and "exception.stacktrace" in fields:
            parts.append((f"  exception.stacktrace={text(fields['exception.stacktrace'])}", "dim"))
        return parts
    return [_words("log", event.name or "(no event)", fields, shown)]


def log_line(record: LogRecord, shown: Details) -> Parts:
    """Write a log record as one line."""
    severity = record.severity or "LOG"
    style = "red" if severity in _WORST else "yellow" if severity.startswith("WARN") else "dim"
    body = record.body if isinstance(record.body, str) else text(record.body)
    return [_words(severity, body or "(no message)", record.attributes if shown.plumbing else {}, shown, style)]


def _words(kind: str, name: str, fields: Mapping[str, Value], shown: Details, style: str = "dim") -> tuple[str, str]:
    left = [f"{key}={cut(text(value))}" for key, value in fields.items() if key not in _EXCEPTION or shown.plumbing]
    return "  ".join([f"{kind} {cut(name, 2000)}", *left]), style
