"""What Jaeger's tags, logs and references become in OTLP, whether they came as thrift or as JSON. Pure.

Rules: `pkg/translator/jaeger` of opentelemetry-collector-contrib. The readers of both forms (`jaeger_thrift.py`,
`jaeger_json.py`) bring their data here as plain values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from ot_bridge.traces.otlp import VIA
from ot_bridge.traces.words import text

__all__ = ["Plain", "Reference", "Tags", "otlp_resource", "otlp_span", "pairs", "scope_of", "span_id", "trace_id"]

Plain: TypeAlias = "str | bool | int | float | bytes"
Tags: TypeAlias = Iterable[tuple[str, Plain]]

_KINDS: Mapping[str, Any] = {
    "server": Span.SPAN_KIND_SERVER,
    "client": Span.SPAN_KIND_CLIENT,
    "producer": Span.SPAN_KIND_PRODUCER,
    "consumer": Span.SPAN_KIND_CONSUMER,
    "internal": Span.SPAN_KIND_INTERNAL,
}
_PROCESS_TAGS: Mapping[str, str] = {"hostname": "host.name", "jaeger.version": "opencensus.exporterversion"}
_SCOPE_TAGS: Sequence[tuple[str, str]] = (
    ("otel.scope.name", "otel.scope.version"),
    ("otel.library.name", "otel.library.version"),
)
_STATUSES: Mapping[str, Any] = {"OK": Status.STATUS_CODE_OK, "ERROR": Status.STATUS_CODE_ERROR}
_LARGEST = (1 << 64) - 1


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
        name = _PROCESS_TAGS.get(key, key)
        if name != key and name in given:
            name = key
        found[name] = f"Jaeger-{text(value)}" if key == "jaeger.version" else value
    found[VIA] = "jaeger"
    return Resource(attributes=pairs(found.items()))


def scope_of(tags: dict[str, Plain]) -> tuple[str, str]:
    """Take the name and the version of the instrumentation scope out of a span's tags; empty without one."""
    for name, version in _SCOPE_TAGS:
        if name in tags:
            return text(tags.pop(name)), text(tags.pop(version, ""))
    return "", ""


def otlp_span(
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
) -> Span:
    """Turn one span into OTLP.

    `parent_id` is empty when the span names its parent by a reference, if at all. What becomes something else than an
    attribute is taken out of `tags`. A log is its time in microseconds and its fields.
    """
    kind = _KINDS.get(str(tags.pop("span.kind", "")).lower(), Span.SPAN_KIND_UNSPECIFIED)
    parent_id = parent_id if any(parent_id) else _parent(trace_id, references)
    state = tags.pop("w3c.tracestate", "")
    span = Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent_id,
        name=_encodable(name),
        kind=kind,
        start_time_unix_nano=_nanoseconds(start_us),
        end_time_unix_nano=_nanoseconds(start_us + max(0, duration_us)),
        trace_state=_encodable(state) if isinstance(state, str) else "",
        flags=flags & 1,
        status=_status(tags, kind),
    )
    for time_us, fields in logs:
        attributes = dict(fields)
        event = attributes.get("event")
        if isinstance(event, str):
            del attributes["event"]
        span.events.add(
            time_unix_nano=_nanoseconds(time_us),
            name=_encodable(event) if isinstance(event, str) else "",
            attributes=pairs(attributes.items()),
        )
    for reference in references:
        if not reference.follows and (reference.trace_id, reference.span_id) == (trace_id, parent_id):
            continue
        kind_of_link = "follows_from" if reference.follows else "child_of"
        span.links.add(
            trace_id=reference.trace_id,
            span_id=reference.span_id,
            attributes=pairs([("opentracing.ref_type", kind_of_link)]),
        )
    span.attributes.extend(pairs(tags.items()))
    return span


def pairs(values: Tags) -> list[KeyValue]:
    """Make attributes; an integer beyond 64 bits becomes text."""
    return [KeyValue(key=_encodable(key), value=_any_value(value)) for key, value in values]


def _parent(trace_id: bytes, references: Iterable[Reference]) -> bytes:
    """The parent of a span that names none: its first CHILD_OF in the same trace, else its first FOLLOWS_FROM."""
    same_trace = [reference for reference in references if reference.trace_id == trace_id and any(reference.span_id)]
    return next((one.span_id for one in sorted(same_trace, key=lambda one: one.follows)), b"")


def _status(tags: dict[str, Plain], kind: int) -> Status:
    """Take the status out of the tags: a true `error`, else `otel.status_code`, else an HTTP status code."""
    explicit = tags.pop("otel.status_code", None)
    if tags.get("error") is True:
        del tags["error"]
        return Status(code=Status.STATUS_CODE_ERROR, message=_encodable(_message(tags)))
    if explicit is not None:
        code = _STATUSES.get(str(explicit).upper(), Status.STATUS_CODE_UNSET)
        return Status(code=code, message=_encodable(text(tags.pop("otel.status_description", ""))))
    if _is_http_error(tags.get("http.status_code"), kind):
        return Status(code=Status.STATUS_CODE_ERROR, message=_encodable(text(tags.get("http.status_message", ""))))
    return Status()


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


def _nanoseconds(microseconds: int) -> int:
    return max(0, min(microseconds * 1000, _LARGEST))


def _any_value(value: Plain) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 63:
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    return AnyValue(string_value=_encodable(str(value)))


def _encodable(value: str) -> str:
    """Replace lone surrogates, which JSON can hold and protobuf cannot."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
