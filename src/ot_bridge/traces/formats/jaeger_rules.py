"""What Jaeger's tags, logs and references become in OTLP, whether they came as thrift or as JSON. Pure.

Rules: `pkg/translator/jaeger` of opentelemetry-collector-contrib. The readers of both forms (`jaeger_thrift.py`,
`jaeger_json.py`) bring their data here as plain values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ot_bridge.traces.formats.writing import encodable, nanoseconds, write_attributes
from ot_bridge.traces.otlp import VIA
from ot_bridge.traces.words import text

__all__ = ["PROCESS_TAGS", "Plain", "Reference", "Tags", "fill_span", "otlp_resource", "otlp_span", "pairs", "scope_of"]
__all__ += ["span_id", "trace_id"]

Plain: TypeAlias = "str | bool | int | float | bytes"
Tags: TypeAlias = Iterable[tuple[str, Plain]]

_KINDS: Mapping[str, Any] = {
    "server": Span.SPAN_KIND_SERVER,
    "client": Span.SPAN_KIND_CLIENT,
    "producer": Span.SPAN_KIND_PRODUCER,
    "consumer": Span.SPAN_KIND_CONSUMER,
    "internal": Span.SPAN_KIND_INTERNAL,
}
PROCESS_TAGS: Mapping[str, str] = {"hostname": "host.name", "jaeger.version": "opencensus.exporterversion"}
_SCOPE_TAGS: Sequence[tuple[str, str]] = (
    ("otel.scope.name", "otel.scope.version"),
    ("otel.library.name", "otel.library.version"),
)
_STATUSES: Mapping[str, Any] = {"OK": Status.STATUS_CODE_OK, "ERROR": Status.STATUS_CODE_ERROR}


class Reference(NamedTuple):
    """One reference of a span.

    Attributes:
        follows: FOLLOWS_FROM; else CHILD_OF.
    """

    follows: bool
    trace_id: bytes
    span_id: bytes


def trace_id(high: int, low: int) -> bytes:
    """Make OTLP's bytes of the two signed halves of a trace id."""
    return span_id(high) + span_id(low)


def span_id(signed: int) -> bytes:
    """Make OTLP's bytes of a signed 64-bit id."""
    return (signed % (1 << 64)).to_bytes(8, "big")


def otlp_resource(service: str, tags: Tags) -> Resource:
    """Turn a process into a resource, marked as come by Jaeger."""
    given = dict(tags)
    found: dict[str, Plain] = {"service.name": service}
    for key, value in given.items():
        name = PROCESS_TAGS.get(key, key)
        if name != key and name in given:
            name = key
        found[name] = f"Jaeger-{text(value)}" if key == "jaeger.version" else value
    found[VIA] = "jaeger"
    resource = Resource()
    write_attributes(resource.attributes, found)
    return resource


def scope_of(tags: dict[str, Plain]) -> tuple[str, str]:
    """Take the name and the version of the instrumentation scope out of a span's tags; empty without one."""
    for name, version in _SCOPE_TAGS:
        if name in tags:
            return text(tags.pop(name)), text(tags.pop(version, ""))
    return "", ""


def otlp_span(**given: Any) -> Span:
    """Turn one span into OTLP; the arguments are those of `fill_span`."""
    span = Span()
    fill_span(span, **given)
    return span


def fill_span(
    span: Span,
    *,
    trace_id: bytes,
    span_id: bytes,
    parent_id: bytes,
    name: str,
    start_us: int,
    duration_us: int,
    flags: int,
    references: Sequence[Reference],
    tags: dict[str, Plain],
    logs: Iterable[tuple[int, Tags]],
) -> None:
    """Write one span into OTLP's message, which takes half the time of making parts and copying them.

    `parent_id` is empty when the span names its parent by a reference, if at all. What becomes something else than an
    attribute is taken out of `tags`. A log is its time in microseconds and its fields.
    """
    kind = Span.SPAN_KIND_UNSPECIFIED
    if "span.kind" in tags:
        kind = _KINDS.get(str(tags.pop("span.kind")).lower(), kind)
    if not any(parent_id):
        parent_id = _parent(trace_id, references)
    if "w3c.tracestate" in tags:
        state = tags.pop("w3c.tracestate")
        span.trace_state = encodable(state) if isinstance(state, str) else ""
    span.trace_id = trace_id
    span.span_id = span_id
    span.parent_span_id = parent_id
    span.name = encodable(name)
    span.kind = kind
    span.start_time_unix_nano = nanoseconds(start_us)
    span.end_time_unix_nano = nanoseconds(start_us + max(0, duration_us))
    span.flags = flags & 1
    code, message = _status(tags, kind)
    if code or message:
        span.status.code, span.status.message = code, encodable(message)
    for time_us, fields in logs:
        attributes = dict(fields)
        event = span.events.add()
        event.time_unix_nano = nanoseconds(time_us)
        event_name = attributes.get("event")
        if isinstance(event_name, str):
            del attributes["event"]
            event.name = encodable(event_name)
        write_attributes(event.attributes, attributes)
    for reference in references:
        if not reference.follows and (reference.trace_id, reference.span_id) == (trace_id, parent_id):
            continue
        link = span.links.add()
        link.trace_id, link.span_id = reference.trace_id, reference.span_id
        kind_of_link = "follows_from" if reference.follows else "child_of"
        write_attributes(link.attributes, {"opentracing.ref_type": kind_of_link})
    write_attributes(span.attributes, tags)


def pairs(values: Tags) -> list[KeyValue]:
    """Make attributes; of a repeated key the last value counts."""
    resource = Resource()
    write_attributes(resource.attributes, dict(values))
    return list(resource.attributes)


def _parent(trace_id: bytes, references: Iterable[Reference]) -> bytes:
    """The parent of a span that names none: its first CHILD_OF in the same trace, else its first FOLLOWS_FROM."""
    same_trace = [reference for reference in references if reference.trace_id == trace_id and any(reference.span_id)]
    return next((one.span_id for one in sorted(same_trace, key=lambda one: one.follows)), b"")


def _status(tags: dict[str, Plain], kind: int) -> tuple[Status.StatusCode.ValueType, str]:
    """Take the status out of the tags: a true `error`, else `otel.status_code`, else an HTTP status code."""
    explicit = tags.pop("otel.status_code", None)
    if tags.get("error") is True:
        del tags["error"]
        return Status.STATUS_CODE_ERROR, _message(tags)
    if explicit is not None:
        code = _STATUSES.get(str(explicit).upper(), Status.STATUS_CODE_UNSET)
        return code, text(tags.pop("otel.status_description", ""))
    if "http.status_code" in tags and _is_http_error(tags["http.status_code"], kind):
        return Status.STATUS_CODE_ERROR, text(tags.get("http.status_message", ""))
    return Status.STATUS_CODE_UNSET, ""


def _message(tags: dict[str, Plain]) -> str:
    description = tags.pop("otel.status_description", None)
    return text(tags.get("http.status_message", "") if description is None else description)


def _is_http_error(code: Plain | None, kind: int) -> bool:
    if isinstance(code, bool) or not isinstance(code, int | str):
        return False
    if isinstance(code, str) and not (code.isascii() and code.isdecimal() and len(code) < 5):
        return False
    number = int(code)
    return number >= 500 or number < 100 or (number >= 400 and kind != Span.SPAN_KIND_SERVER)
