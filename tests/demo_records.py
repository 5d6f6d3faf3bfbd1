"""Span records of a small, whole trace for the tests of the demo's verdict and tree, and ways to spoil it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ot_bridge.demo.spans import Event, SpanRecord

__all__ = ["TRACE_ID", "changed", "whole_trace"]

TRACE_ID = 0x5B8EFFF798038103D269B633813FC60C
_MS = 1_000_000


def whole_trace() -> list[SpanRecord]:
    """Return a shop (bridged) that calls a store (old) and a bank (native); the call of the bank times out."""
    timeout = Event("exception", {"exception.type": "requests.exceptions.ReadTimeout", "exception.message": "too slow"})
    return [
        _span(
            1, 0, "shop", "buy", 0, 500, "server", error=True, events=(Event("parcel.skipped", {"reason": "unpaid"}),)
        ),
        _span(2, 1, "shop", "GET /stock", 10, 20, "client"),
        _span(
            3,
            2,
            "store",
            "GET /stock",
            12,
            10,
            "server",
            producer="jaeger-client Python-4.8.0",
            tags={"http.request.header.uber-trace-id": f"{TRACE_ID:x}:2:0:1", "baggage.tier": "gold member"},
        ),
        _span(
            4,
            1,
            "shop",
            "POST /charge",
            40,
            400,
            "client",
            error=True,
            message="ReadTimeout: too slow",
            events=(timeout,),
        ),
        _span(
            5,
            4,
            "bank",
            "POST /charge",
            42,
            700,
            "server",
            producer="opentelemetry-python 1.45.2",
            tags={
                "http.request.header.uber-trace-id": f"{TRACE_ID:032x}:{4:016x}:0:1",
                "http.request.header.traceparent": f"00-{TRACE_ID:032x}-{4:016x}-01",
                "baggage.tier": "gold member",
            },
        ),
    ]


def _span(
    span_id: int, parent_id: int, service: str, operation: str, start_ms: int, took_ms: int, kind: str, **more: Any
) -> SpanRecord:
    times = {"start_ns": start_ms * _MS, "duration_ns": took_ms * _MS}
    more = {"producer": "ot_bridge 0.1.0", **times, **more}
    return SpanRecord(TRACE_ID, span_id, parent_id, service, operation, kind=kind, **more)


def changed(spans: list[SpanRecord], span_id: int, **changes: Any) -> list[SpanRecord]:
    """Return the spans with one of them changed."""
    return [replace(span, **changes) if span.span_id == span_id else span for span in spans]
