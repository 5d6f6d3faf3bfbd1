"""A small fleet on its way from jaeger-client to the bridge, as traces, for tests of the pages on many traces."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from ot_bridge.traces.model import Scope, Span
from traces_made import made

__all__ = ["fleet"]

_OLD = {"opencensus.exporterversion": "Jaeger-Python-4.8.0"}
_NATIVE = {"telemetry.sdk.name": "opentelemetry", "telemetry.sdk.language": "python", "telemetry.sdk.version": "1.45.2"}
_BRIDGE = Scope("opentracing-shim", "1.0")
_SERVICES: dict[str, dict[str, Any]] = {
    "web": {"resource": _NATIVE},
    "orders": {"scope": _BRIDGE},
    "payments": {"resource": _OLD},
    "mail": {"resource": _OLD},
}


def fleet(count: int, *, seed: int = 1, slower: float = 1.0) -> list[list[Span]]:
    """Make requests over an hour. Those of tenant acme are slow; in the second half payments fail oftener."""
    numbers = random.Random(seed)  # noqa: S311
    found: list[list[Span]] = []
    for number in range(count):
        at = 3_600_000 * number / count
        found += _request(numbers, seed * 1_000_000 + number * 2 + 1, at, number > count / 2, slower)
    return found


def _request(numbers: random.Random, trace_id: int, at: float, late: bool, slower: float) -> Sequence[list[Span]]:
    acme = numbers.random() < 0.1
    query = numbers.lognormvariate(2.5, 0.4) * (8 if acme else 1) * slower
    pay = numbers.lognormvariate(3, 0.3)
    fails = numbers.random() < (0.25 if late else 0.04)
    whole = 30 + query + pay

    def span(name: str, span_id: int, parent: int, start: float, took: float, service: str, **more: Any) -> Span:
        place: dict[str, Any] = {"at": at + start, "took": took, "service": service, "trace_id": trace_id}
        return made(name, span_id, parent, **place, **_SERVICES[service], **more)

    status: Any = "error" if fails else "unset"
    tenant = {"tenant": "acme" if acme else numbers.choice(["bolt", "core", "dyne"]), "request.id": f"r-{trace_id}"}
    host = {"http.url": "http://mail.internal:8025/send"}
    yours = [
        span("GET /checkout", 1, 0, 0, whole, "web", kind="server", status=status, tags=tenant),
        span("POST", 2, 1, 2, whole - 6, "web", kind="client", status=status, tags={"server.address": "orders"}),
        span("POST /orders", 3, 2, 4, whole - 10, "orders", kind="server", status=status),
        span("SELECT", 4, 3, 6, query, "orders", kind="client", tags={"db.system": "postgresql", "db.name": "orders"}),
        span("charge", 5, 3, 8 + query, pay, "orders", kind="client", status=status, tags={"peer.service": "payments"}),
        span("charge", 6, 5, 9 + query, pay - 3, "payments", kind="server", status=status),
        span("SET", 7, 6, 10 + query, 2, "payments", kind="client", tags={"db.type": "redis"}),
        span("send", 8, 3, 12 + query + pay, 5, "orders", kind="client", tags=host),
        span("publish", 9, 3, 12 + query + pay, 1, "orders", kind="producer",
             tags={"messaging.system": "kafka", "messaging.destination.name": "paid"}),
    ]  # fmt: skip
    # Its context is lost on the way: it answers in a trace of its own.
    lost = made(
        "POST /send", 1, at=at + 14 + query + pay, took=3, service="mail", kind="server", tags=host,
        trace_id=trace_id + 1, **_SERVICES["mail"],
    )  # fmt: skip
    return [yours, [lost]]
