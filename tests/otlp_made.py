"""OTLP made by hand, as JSON has it and as protobuf, for tests of what reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, TracesData

__all__ = ["LOGS", "SPAN", "SPAN_ID", "TRACE_ID", "batch", "body", "found", "proto_body", "proto_span"]

TRACE_ID = "5B8EFFF798038103D269B633813FC60C"
SPAN_ID = "EEE19B7EC3C1B174"
SPAN: dict[str, Any] = {
    "traceId": TRACE_ID,
    "spanId": SPAN_ID,
    "parentSpanId": "eee19b7ec3c1b173",
    "name": "GET /cart",
    "kind": 2,
    "startTimeUnixNano": "1544712660000000000",
    "endTimeUnixNano": 1544712661000000000,
}
LOGS: dict[str, Any] = {
    "resourceLogs": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "scopeLogs": [
                {
                    "scope": {"name": "log"},
                    "logRecords": [
                        {
                            "timeUnixNano": "1544712660300000000",
                            "severityNumber": 9,
                            "severityText": "INFO",
                            "traceId": TRACE_ID,
                            "spanId": SPAN_ID,
                            "body": {"stringValue": "paid"},
                        }
                    ],
                }
            ],
        }
    ]
}


def batch(*spans: Any, service: str = "shop") -> dict[str, Any]:
    """Return one element of `resourceSpans`."""
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]}
    return {"resource": resource, "scopeSpans": [{"scope": {"name": "made", "version": "1"}, "spans": list(spans)}]}


def body(*spans: Any) -> bytes:
    """Return the JSON of a request."""
    return json.dumps({"resourceSpans": [batch(*spans)]}).encode()


def proto_span(**fields: Any) -> Span:
    """Return a span that is good, but for what is given."""
    return Span(**{"trace_id": bytes.fromhex(TRACE_ID), "span_id": bytes.fromhex(SPAN_ID), "name": "a", **fields})


def proto_body(*spans: Span) -> bytes:
    """Return the protobuf of a request."""
    made = ResourceSpans()
    made.scope_spans.add().spans.extend(spans)
    data: bytes = TracesData(resource_spans=[made]).SerializeToString()
    return data


def found(batches: Sequence[ResourceSpans]) -> list[Span]:
    """Return the spans of some batches."""
    return [span for one in batches for group in one.scope_spans for span in group.spans]
