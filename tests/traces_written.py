"""Spans made by hand, written as the formats that are read from files."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from ot_bridge.traces.model import Event, Scope, Span
from traces_made import NOON, TRACE_ID, made

__all__ = ["base64_ids", "checkout", "jaeger_json", "otlp_json", "zipkin_json"]

BRIDGE = Scope("opentracing-shim", "0.1.0")
JAEGER = {"opencensus.exporterversion": "Jaeger-Python-4.8.0"}
OTEL = {
    "telemetry.sdk.name": "opentelemetry",
    "telemetry.sdk.language": "python",
    "telemetry.sdk.version": "1.45.2",
}
_KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUSES = ("unset", "ok", "error")


def checkout() -> list[Span]:
    """Return a shop (bridged) that calls a store (old) and a bank (native); the call of the bank times out."""
    exception = {"exception.type": "requests.exceptions.ReadTimeout", "exception.message": "too slow"}
    uber, parent = f"{TRACE_ID:x}:2:0:1", f"00-{TRACE_ID:032x}-{4:016x}-01"
    return [
        made(
            "buy", 1, took=500, kind="server", status="error", scope=BRIDGE,
            events=[Event(NOON + 450_000_000, "parcel.skipped", {"reason": "unpaid"})],
        ),
        made("GET /stock", 2, 1, at=10, took=20, kind="client", scope=BRIDGE),
        made(
            "GET /stock", 3, 2, at=12, service="store", kind="server", resource=JAEGER,
            tags={"http.request.header.uber-trace-id": uber, "baggage.tier": "gold member"},
        ),
        made(
            "POST /charge", 4, 1, at=40, took=400, kind="client", scope=BRIDGE, status="error",
            message="ReadTimeout: too slow", events=[Event(NOON + 440_000_000, "exception", exception)],
        ),
        made(
            "POST /charge", 5, 4, at=42, took=700, service="bank", kind="server", resource=OTEL,
            tags={"http.request.header.traceparent": parent, "baggage.tier": "gold member"},
        ),
    ]  # fmt: skip


def otlp_json(spans: Sequence[Span]) -> dict[str, Any]:
    """Write spans as OTLP's JSON, a batch for each."""
    return {"resourceSpans": [_batch(span) for span in spans]}


def _batch(span: Span) -> dict[str, Any]:
    written = {
        "traceId": f"{span.trace_id:032x}",
        "spanId": f"{span.span_id:016x}",
        **({"parentSpanId": f"{span.parent_id:016x}"} if span.parent_id else {}),
        "name": span.name,
        "kind": _KINDS.index(span.kind),
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": _pairs(span.attributes),
        "events": [
            {"timeUnixNano": str(event.time_ns), "name": event.name, "attributes": _pairs(event.attributes)}
            for event in span.events
        ],
        "status": {"code": _STATUSES.index(span.status), "message": span.message},
    }
    scope = {"name": span.scope.name, "version": span.scope.version}
    resource = {"attributes": _pairs(span.resource.attributes)}
    return {"resource": resource, "scopeSpans": [{"scope": scope, "spans": [written]}]}


def _pairs(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _any_value(value)} for key, value in values.items()]


def _any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"stringValue": str(value)}


def base64_ids(found: Any) -> Any:
    """Write ids as protobuf's own JSON does, and as Tempo does."""
    if isinstance(found, dict):
        ids = ("traceId", "spanId", "parentSpanId")
        return {
            key: base64.b64encode(bytes.fromhex(value)).decode() if key in ids else base64_ids(value)
            for key, value in found.items()
        }
    return [base64_ids(one) for one in found] if isinstance(found, list) else found


def jaeger_json(spans: Sequence[Span]) -> dict[str, Any]:
    """Write spans as Jaeger's page exports them."""
    services = sorted({span.service for span in spans})
    processes = {f"p{number}": _process(name, spans) for number, name in enumerate(services, 1)}
    written = [
        {
            "traceID": f"{span.trace_id:x}",
            "spanID": f"{span.span_id:x}",
            "flags": 1,
            "operationName": span.name,
            "references": [{"refType": "CHILD_OF", "traceID": f"{span.trace_id:x}", "spanID": f"{span.parent_id:x}"}]
            if span.parent_id
            else [],
            "startTime": span.start_ns // 1000,
            "duration": span.duration_ns // 1000,
            "tags": [
                {"key": "span.kind", "type": "string", "value": span.kind},
                *([{"key": "error", "type": "bool", "value": True}] if span.status == "error" else []),
                *(
                    [{"key": "otel.status_description", "type": "string", "value": span.message}]
                    if span.message
                    else []
                ),
                *(
                    [
                        {"key": "otel.scope.name", "type": "string", "value": span.scope.name},
                        {"key": "otel.scope.version", "type": "string", "value": span.scope.version},
                    ]
                    if span.scope.name
                    else []
                ),
                *({"key": key, "type": "string", "value": value} for key, value in span.attributes.items()),
            ],
            "logs": [
                {
                    "timestamp": event.time_ns // 1000,
                    "fields": [
                        {"key": "event", "type": "string", "value": event.name},
                        *({"key": key, "type": "string", "value": value} for key, value in event.attributes.items()),
                    ],
                }
                for event in span.events
            ],
            "processID": f"p{services.index(span.service) + 1}",
            "warnings": None,
        }
        for span in spans
    ]
    return {
        "data": [{"traceID": f"{TRACE_ID:x}", "spans": written, "processes": processes, "warnings": None}],
        "total": 0,
        "limit": 0,
        "offset": 0,
        "errors": None,
    }


def _process(service: str, spans: Sequence[Span]) -> dict[str, Any]:
    attributes = next(span for span in spans if span.service == service).resource.attributes
    names = {"opencensus.exporterversion": "jaeger.version"}
    tags = [
        {"key": names.get(key, key), "type": "string", "value": str(value).removeprefix("Jaeger-")}
        for key, value in attributes.items()
        if key != "service.name"
    ]
    return {"serviceName": service, "tags": tags}


def zipkin_json(spans: Sequence[Span]) -> list[dict[str, Any]]:
    """Write spans as Zipkin's v2 JSON."""
    return [
        {
            "traceId": f"{span.trace_id:032x}",
            "id": f"{span.span_id:016x}",
            **({"parentId": f"{span.parent_id:016x}"} if span.parent_id else {}),
            "name": span.name,
            **({"kind": span.kind.upper()} if span.kind != "internal" else {}),
            "timestamp": span.start_ns // 1000,
            "duration": span.duration_ns // 1000,
            "localEndpoint": {"serviceName": span.service},
            "tags": {
                **{key: str(value) for key, value in span.attributes.items()},
                **({"error": span.message} if span.status == "error" else {}),
            },
        }
        for span in spans
    ]
