"""Received spans as plain records, whatever tracer made them: OTLP `ResourceSpans` in, `SpanRecord` out. Pure.

OTLP is the common form: what arrives in Jaeger's form becomes OTLP first, so that there is one reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import unquote

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status

__all__ = ["HEADER_TAG", "TRACE_HEADERS", "Event", "Hop", "SpanRecord", "hop", "records"]

TRACE_HEADERS = ("uber-trace-id", "traceparent")
HEADER_TAG = "http.request.header."
"""A service of the demo keeps each trace header that reached it in a tag: this prefix and the header's name."""

_BRIDGE_SCOPE = "opentracing-shim"
_JAEGER_VERSION = "opencensus.exporterversion"


class Event(NamedTuple):
    """One log of a span: OpenTracing's `log_kv`, OpenTelemetry's event."""

    name: str
    fields: Mapping[str, object]


@dataclass(frozen=True)
class SpanRecord:
    """One finished span.

    Attributes:
        trace_id: 128 bits; 64-bit ids are padded with zeros.
        parent_id: 0 for a root.
        kind: `server`, `client`, `producer`, `consumer` or `internal`.
        message: why the span failed: its status text, else its exception; `""` when there is none.
        producer: the library that made the span and its version, such as `jaeger-client Python-4.8.0`.
    """

    trace_id: int
    span_id: int
    parent_id: int
    service: str
    operation: str
    start_ns: int
    duration_ns: int
    kind: str = "internal"
    error: bool = False
    message: str = ""
    producer: str = "unknown"
    tags: Mapping[str, object] = field(default_factory=dict)
    events: tuple[Event, ...] = ()

    @property
    def name(self) -> str:
        """Service and operation, as the demo names a span in a sentence."""
        return f"{self.service} {self.operation!r}"

    @property
    def library(self) -> str:
        """The producer without its version."""
        return self.producer.split(" ")[0]


class Hop(NamedTuple):
    """How a request reached a service.

    Attributes:
        arrived: the trace headers that the request brought.
        followed: the one that the tracer followed, None when the span's parent is in none that this tracer reads.
    """

    arrived: tuple[str, ...]
    followed: str | None


# What each tracer reads, in its order of preference. `opentelemetry` is the SDK with its default propagators.
_READS = {
    "ot_bridge": ("uber-trace-id", "traceparent"),
    "jaeger-client": ("uber-trace-id",),
    "opentelemetry-python": ("traceparent",),
}


def hop(record: SpanRecord) -> Hop:
    """Find the header that carried the trace into this span: one that its tracer reads, with the ids of its parent."""
    found = {name: str(record.tags[HEADER_TAG + name]) for name in TRACE_HEADERS if HEADER_TAG + name in record.tags}
    wanted = (record.trace_id, record.parent_id)
    for name in _READS.get(record.library, TRACE_HEADERS):
        if name in found and _ids(name, found[name]) == wanted:
            return Hop(tuple(found), name)
    return Hop(tuple(found), None)


def _ids(name: str, value: str) -> tuple[int, int] | None:
    parts = unquote(value).split(":")[:2] if name == "uber-trace-id" else value.split("-")[1:3]
    try:
        trace_id, span_id = (int(part, 16) for part in parts)
    except ValueError:
        return None
    return trace_id, span_id


def records(batches: Iterable[ResourceSpans]) -> list[SpanRecord]:
    """Turn received batches into records, in the order of their start."""
    found = []
    for batch in batches:
        resource = _attributes(batch.resource.attributes)
        for scope_spans in batch.scope_spans:
            producer = _producer(resource, scope_spans.scope.name, scope_spans.scope.version)
            found += [
                _record(span, str(resource.get("service.name", "unknown")), producer) for span in scope_spans.spans
            ]
    return sorted(found, key=lambda record: record.start_ns)


def _producer(resource: Mapping[str, object], scope: str, scope_version: str) -> str:
    if _JAEGER_VERSION in resource:
        return f"jaeger-client {str(resource[_JAEGER_VERSION]).removeprefix('Jaeger-')}"
    if scope == _BRIDGE_SCOPE:
        return f"ot_bridge {scope_version}".strip()
    language, version = resource.get("telemetry.sdk.language", "?"), resource.get("telemetry.sdk.version", "")
    return f"{resource.get('telemetry.sdk.name', 'unknown')}-{language} {version}".strip()


def _record(span: Span, service: str, producer: str) -> SpanRecord:
    events = tuple(Event(event.name, _attributes(event.attributes)) for event in span.events)
    return SpanRecord(
        trace_id=int.from_bytes(span.trace_id, "big"),
        span_id=int.from_bytes(span.span_id, "big"),
        parent_id=int.from_bytes(span.parent_span_id, "big"),
        service=service,
        operation=span.name,
        start_ns=span.start_time_unix_nano,
        duration_ns=span.end_time_unix_nano - span.start_time_unix_nano,
        kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower() if span.kind else "internal",
        error=span.status.code == Status.STATUS_CODE_ERROR,
        message=_exception(events) or span.status.message,
        producer=producer,
        tags=_attributes(span.attributes),
        events=events,
    )


def _exception(events: tuple[Event, ...]) -> str:
    for event in reversed(events):
        if event.name == "exception":
            kind = str(event.fields.get("exception.type", "")).rpartition(".")[2]
            return f"{kind}: {event.fields.get('exception.message', '')}"
    return ""


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, object]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> object:
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [_value(item) for item in value.array_value.values]
        case "kvlist_value":
            return _attributes(value.kvlist_value.values)
        case name:
            return getattr(value, name)
