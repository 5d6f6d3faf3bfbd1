"""Spans of the model as OTLP's messages, as an exporter would send them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from ot_bridge.traces.model import Span

__all__ = ["logs_sent", "sent"]

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
STATUS = ("unset", "ok", "error")


def sent(*spans: Span) -> list[ResourceSpans]:
    """Write spans, each resource and scope once, in their order."""
    batches: list[ResourceSpans] = []
    before: tuple[object, object] = (None, None)
    for span in spans:
        if span.resource is not before[0]:
            batches.append(ResourceSpans())
            batches[-1].resource.attributes.extend(pairs(span.resource.attributes))
        if (span.resource, span.scope) != before:
            batches[-1].scope_spans.add().scope.MergeFrom(_scope(span))
        before = (span.resource, span.scope)
        batches[-1].scope_spans[-1].spans.append(_span(span))
    return batches


def logs_sent(
    trace_id: int, span_id: int, body: str, *, at_ns: int = 1, service: str = "shop", severity: str = "INFO"
) -> list[ResourceLogs]:
    """Write one log record."""
    batch = ResourceLogs()
    batch.resource.attributes.extend(pairs({"service.name": service}))
    batch.scope_logs.add().log_records.append(
        LogRecord(
            trace_id=trace_id.to_bytes(16, "big"),
            span_id=span_id.to_bytes(8, "big"),
            time_unix_nano=at_ns,
            severity_text=severity,
            body=AnyValue(string_value=body),
        )
    )
    return [batch]


def pairs(attributes: Mapping[str, Any]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]


def _scope(span: Span) -> Any:
    batch = ResourceSpans()
    scope = batch.scope_spans.add().scope
    scope.name, scope.version = span.scope
    return scope


def _span(span: Span) -> OtlpSpan:
    written = OtlpSpan(
        trace_id=span.trace_id.to_bytes(16, "big"),
        span_id=span.span_id.to_bytes(8, "big"),
        parent_span_id=span.parent_id.to_bytes(8, "big") if span.parent_id else b"",
        name=span.name,
        start_time_unix_nano=span.start_ns,
        end_time_unix_nano=span.end_ns,
        kind=KINDS.index(span.kind),  # type: ignore[arg-type]
        trace_state=span.trace_state,
        flags=span.flags,
        attributes=pairs(span.attributes),
        dropped_attributes_count=span.dropped[0],
        dropped_events_count=span.dropped[1],
        dropped_links_count=span.dropped[2],
    )
    if span.status != "unset" or span.message:
        written.status.code = STATUS.index(span.status)  # type: ignore[assignment]
        written.status.message = span.message
    for event in span.events:
        written.events.add(
            time_unix_nano=event.time_ns,
            name=event.name,
            attributes=pairs(event.attributes),
            dropped_attributes_count=event.dropped,
        )
    for link in span.links:
        written.links.add(
            trace_id=link.trace_id.to_bytes(16, "big"),
            span_id=link.span_id.to_bytes(8, "big"),
            attributes=pairs(link.attributes),
            trace_state=link.trace_state,
        )
    return written


def _value(value: Any) -> AnyValue:
    if value is None:
        return AnyValue()
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, (list, tuple)):
        return AnyValue(array_value=ArrayValue(values=map(_value, _items(value))))
    if isinstance(value, Mapping):
        return AnyValue(kvlist_value=KeyValueList(values=pairs(value)))
    kinds = {str: "string_value", int: "int_value", float: "double_value", bytes: "bytes_value"}
    return AnyValue(**{kinds[type(value)]: value})


def _items(value: Iterable[Any]) -> list[Any]:
    return list(value)
