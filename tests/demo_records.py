"""Spans of a small, whole trace for the tests of the demo's verdict and of the drawn tree, and ways to spoil it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.traces_made import NOON, TRACE_ID, made

from ot_bridge.traces.model import Event, Scope, Span

__all__ = ["TRACE_ID", "changed", "whole_trace"]

_BRIDGE = Scope("opentracing-shim", "0.1.0")
_NATIVE = {
    "telemetry.sdk.name": "opentelemetry",
    "telemetry.sdk.language": "python",
    "telemetry.sdk.version": "1.45.2",
}


def whole_trace() -> list[Span]:
    """Return a shop (bridged) that calls a store (old) and a bank (native); the call of the bank times out."""
    timeout = Event(
        NOON, "exception", {"exception.type": "requests.exceptions.ReadTimeout", "exception.message": "too slow"}
    )
    skipped = Event(NOON, "parcel.skipped", {"reason": "unpaid"})
    in_shop: dict[str, Any] = {"service": "shop", "scope": _BRIDGE}
    return [
        made("buy", 1, took=500, kind="server", status="error", events=[skipped], **in_shop),
        made("GET /stock", 2, 1, at=10, took=20, kind="client", **in_shop),
        made(
            "GET /stock",
            3,
            2,
            at=12,
            kind="server",
            service="store",
            resource={"opencensus.exporterversion": "Jaeger-Python-4.8.0"},
            tags={"http.request.header.uber-trace-id": f"{TRACE_ID:x}:2:0:1", "baggage.tier": "gold member"},
        ),
        made("POST /charge", 4, 1, at=40, took=400, kind="client", status="error", events=[timeout], **in_shop),
        made(
            "POST /charge",
            5,
            4,
            at=42,
            took=700,
            kind="server",
            service="bank",
            resource=_NATIVE,
            tags={
                "http.request.header.uber-trace-id": f"{TRACE_ID:032x}:{4:016x}:0:1",
                "http.request.header.traceparent": f"00-{TRACE_ID:032x}-{4:016x}-01",
                "baggage.tier": "gold member",
            },
        ),
    ]


def changed(spans: Sequence[Span], span_id: int, **changes: Any) -> list[Span]:
    """Return the spans with one of them changed."""
    return [replace(span, **changes) if span.span_id == span_id else span for span in spans]
