"""Jaeger's own JSON: what its page exports and its v1 query API answers, as OTLP. Pure.

Source: `model/json` of jaeger (`internal/uimodel`): an envelope `{"data": [trace, ...]}`, or one trace as it stands in
it. Ids are hex and may lack their leading zeros, an int64 may be text, binary is base64.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from ot_bridge.traces.formats.decoded import Decoded
from ot_bridge.traces.formats.jaeger_rules import Plain, Reference, Tags, otlp_resource, otlp_span, scope_of
from ot_bridge.traces.formats.writing import write_attributes
from ot_bridge.traces.words import text

__all__ = ["WARNING", "is_jaeger", "read_jaeger"]

WARNING = "jaeger.warning"
"""Attribute for what Jaeger warns of at a span."""

_HEX = re.compile(r"[0-9a-fA-F]{1,32}", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,20}", re.ASCII)


def is_jaeger(found: Any) -> bool:
    """Tell whether JSON is an envelope or a trace of Jaeger's."""
    return next(_traces(found), None) is not None or (
        isinstance(found, dict) and isinstance(found.get("data"), list) and not found["data"] and "errors" in found
    )


def read_jaeger(found: Any) -> Decoded:
    """Read parsed JSON. A span that cannot be read is counted, whatever is wrong with it."""
    batches, rejected, problem = list[ResourceSpans](), 0, ""
    for one in _traces(found):
        processes = one.get("processes")
        groups: dict[str, tuple[ResourceSpans, dict[tuple[str, str], Any]]] = {}
        for span in one["spans"]:
            if wrong := _read_span(span, processes if isinstance(processes, dict) else {}, groups):
                rejected, problem = rejected + 1, wrong
        read = [batch for batch, _ in groups.values() if batch.scope_spans]
        if read and (warnings := _warnings(one)):
            write_attributes(read[0].scope_spans[0].spans[0].attributes, {f"{WARNING}.trace": warnings})
        batches += read
    return Decoded(batches, rejected, problem)


def _traces(found: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(found, dict):
        rows: Sequence[Any] = found if isinstance(found, list) else ()
    elif isinstance(data := found.get("data"), list):
        rows = data
    else:
        rows = [data] if isinstance(data, dict) else [found]
    for one in rows:
        if isinstance(one, dict) and isinstance(one.get("spans"), list) and ("processes" in one or "traceID" in one):
            yield one


def _read_span(
    span: Any, processes: Mapping[str, Any], groups: dict[str, tuple[ResourceSpans, dict[tuple[str, str], Any]]]
) -> str:
    """Read a span into the batch of its process; return what is wrong with it, empty when nothing is."""
    try:
        key, process = _process(span, processes)
        if key not in groups:
            service = text(process.get("serviceName") or "")
            groups[key] = ResourceSpans(resource=otlp_resource(service, _tags(process.get("tags")))), {}
        _add(span, *groups[key])
    except (ValueError, TypeError, RecursionError) as error:
        return f"{_named(span)}: {error}"
    return ""


def _warnings(found: Mapping[str, Any]) -> str:
    warnings = found.get("warnings")
    return "; ".join(text(one) for one in warnings) if isinstance(warnings, list) else ""


def _process(span: Any, processes: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    if not isinstance(span, dict):
        raise ValueError(f"got {type(span).__name__}, expected an object")
    if isinstance(own := span.get("process"), dict):
        return repr(own), own
    key = str(span.get("processID", ""))
    known = processes.get(key)
    return key, known if isinstance(known, dict) else {}


def _add(span: Mapping[str, Any], batch: ResourceSpans, scopes: dict[tuple[str, str], Any]) -> None:
    tags = dict(_tags(span.get("tags")))
    if warnings := _warnings(span):
        tags[WARNING] = warnings
    scope = scope_of(tags)
    references = list(_references(span.get("references")))
    made = otlp_span(
        trace_id=_id(span.get("traceID"), 16, "traceID"),
        span_id=_id(span.get("spanID"), 8, "spanID"),
        parent_id=_id(parent, 8, "parentSpanID") if (parent := span.get("parentSpanID")) else b"",
        name=text(span.get("operationName", "")),
        start_us=_number(span.get("startTime", 0), "startTime"),
        duration_us=_number(span.get("duration", 0), "duration"),
        flags=_number(span.get("flags") or 0, "flags"),
        references=references,
        tags=tags,
        logs=[
            (_number(log.get("timestamp", 0), "timestamp"), _tags(log.get("fields")))
            for log in _objects(span.get("logs"))
        ],
    )
    if scope not in scopes:
        scopes[scope] = batch.scope_spans.add()
        scopes[scope].scope.name, scopes[scope].scope.version = scope
    scopes[scope].spans.append(made)


def _objects(found: Any) -> Iterator[Mapping[str, Any]]:
    return (one for one in found if isinstance(one, dict)) if isinstance(found, list) else iter(())


def _references(found: Any) -> Iterator[Reference]:
    for one in _objects(found):
        yield Reference(
            one.get("refType") == "FOLLOWS_FROM",
            _id(one.get("traceID"), 16, "traceID of a reference"),
            _id(one.get("spanID"), 8, "spanID of a reference"),
        )


def _tags(found: Any) -> Tags:
    return [(str(one.get("key", "")), _value(one)) for one in _objects(found)]


def _value(tag: Mapping[str, Any]) -> Plain:
    """Read a tag's value by its type; one that does not fit its type stays what it is."""
    value, kind = tag.get("value"), str(tag.get("type", "")).lower()
    if isinstance(value, str):
        if kind == "bool" and value.lower() in ("true", "false"):
            return value.lower() == "true"
        if kind == "int64" and _INTEGER.fullmatch(value):
            return int(value)
        if kind == "float64":
            return _float(value)
        if kind == "binary":
            return _binary(value)
        return value
    if kind == "float64" and isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 1 << 64 else str(value)
    return value if isinstance(value, bool | int | float) else text(value)


def _float(value: str) -> Plain:
    try:
        return float(value)
    except ValueError:
        return value


def _binary(value: str) -> Plain:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return value


def _id(value: Any, size: int, name: str) -> bytes:
    """Read an id: hex, with its leading zeros or without, or base64, which Jaeger takes too since June 2026.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, str):
        if _HEX.fullmatch(value) and len(value) <= 2 * size:
            return bytes.fromhex(value.zfill(2 * size))
        raw = _binary(value)
        if isinstance(raw, bytes) and len(raw) == size:
            return raw
    raise ValueError(f"{name}: got {value!r:.80}, expected up to {2 * size} hex digits")


def _number(value: Any, name: str) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return int(value)
    if isinstance(value, int):
        return value
    raise ValueError(f"{name}: got {value!r:.80}, expected a whole number")


def _named(span: Any) -> str:
    return f"span {text(span.get('spanID'))[:40]}" if isinstance(span, dict) else "a span"
