"""OTLP's messages as `model` data, and back to what a person can read as JSON. Pure.

Every other protocol is turned into `ResourceSpans` first (`formats/`), so that this is the one reader. Source:
opentelemetry-proto `trace/v1/trace.proto`, `common/v1/common.proto`, `logs/v1/logs.proto`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from ot_bridge.traces.model import Event, Kind, Link, LogRecord, Resource, Scope, Span, Status, Value

__all__ = ["VIA", "attributes", "logs", "one_span", "resource", "spans"]

VIA = "ot_bridge.via"
"""Resource attribute by which `formats/` say what protocol the spans came by; not part of the resource when read."""

_KINDS: tuple[Kind, ...] = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUS: tuple[Status, ...] = ("unset", "ok", "error")


def spans(batches: Iterable[ResourceSpans]) -> list[Span]:
    """Read all spans of some batches, in the order of the batches."""
    return [span for batch in batches for span in _spans(batch)]


def _spans(batch: ResourceSpans) -> Iterator[Span]:
    origin, via = resource(batch.resource.attributes)
    for group in batch.scope_spans:
        scope = Scope(group.scope.name, group.scope.version)
        for span in group.spans:
            yield one_span(span, origin, scope, via)


def resource(pairs: Iterable[KeyValue]) -> tuple[Resource, str]:
    """Read a resource, and the protocol that it came by."""
    found = attributes(pairs)
    via = found.pop(VIA, "otlp")
    return Resource(found), str(via)


def one_span(span: OtlpSpan, origin: Resource, scope: Scope, via: str = "otlp") -> Span:
    """Read one span. An enum's number that this version does not know counts as its zero."""
    # Each field that is read costs: most spans have no status, no events and no links.
    kind, status = span.kind, span.status if span.HasField("status") else None
    return Span(
        trace_id=int.from_bytes(span.trace_id, "big"),
        span_id=int.from_bytes(span.span_id, "big"),
        parent_id=int.from_bytes(span.parent_span_id, "big"),
        name=span.name,
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        kind=_KINDS[kind] if 0 <= kind < len(_KINDS) else "unspecified",
        status=_STATUS[status.code] if status and 0 <= status.code < len(_STATUS) else "unset",
        message=status.message if status else "",
        attributes=attributes(span.attributes),
        events=tuple(map(_event, events)) if (events := span.events) else (),
        links=tuple(map(_link, links)) if (links := span.links) else (),
        resource=origin,
        scope=scope,
        trace_state=span.trace_state,
        flags=span.flags,
        dropped=(span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count),
        via=via,
    )


def _event(event: OtlpSpan.Event) -> Event:
    return Event(event.time_unix_nano, event.name, attributes(event.attributes), event.dropped_attributes_count)


def _link(link: OtlpSpan.Link) -> Link:
    trace_id, span_id = int.from_bytes(link.trace_id, "big"), int.from_bytes(link.span_id, "big")
    return Link(trace_id, span_id, attributes(link.attributes), link.trace_state)


def logs(batches: Iterable[ResourceLogs]) -> list[LogRecord]:
    """Read all log records of some batches; those without a trace id are left out."""
    return [log for batch in batches for log in _logs(batch)]


def _logs(batch: ResourceLogs) -> Iterator[LogRecord]:
    service = Resource(attributes(batch.resource.attributes)).service
    for group in batch.scope_logs:
        for record in group.log_records:
            if trace_id := int.from_bytes(record.trace_id, "big"):
                yield LogRecord(
                    trace_id=trace_id,
                    span_id=int.from_bytes(record.span_id, "big"),
                    time_ns=record.time_unix_nano or record.observed_time_unix_nano,
                    severity=record.severity_text,
                    body=_value(record.body),
                    attributes=attributes(record.attributes),
                    service=service,
                )


def attributes(pairs: Iterable[KeyValue]) -> dict[str, Value]:
    """Read attributes; of a repeated key the last one counts."""
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Value:
    if plain := value.string_value:
        return plain
    name = value.WhichOneof("value")
    if name is None:
        return None
    if name == "array_value":
        return [_value(item) for item in value.array_value.values]
    if name == "kvlist_value":
        return attributes(value.kvlist_value.values)
    found: Any = getattr(value, name)
    return found  # type: ignore[no-any-return]
