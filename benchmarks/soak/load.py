"""What the application does: requests that come with headers and go on with some, through both APIs in one trace.

A request is a pure function of its number, and says how many sampled spans it has finished: the books do not rely on
what they check.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final

from opentelemetry import trace
from opentracing import Format, Tracer

from soak.latency import Stopwatch

__all__ = ["SPANS_PER_REQUEST", "Requests"]

HTTP: Final = Format.HTTP_HEADERS
SPANS_PER_REQUEST: Final = 6
ERROR_EVERY, HUGE_EVERY, FORCED_EVERY = 25, 1000, 16
HUGE: Final = "x" * 100_000
_OTHERS: Final = {"Host": "shop.example", "Accept": "*/*", "User-Agent": "curl/8.1", "X-Request-Id": "7b2a"}
# What a request brings, in turns. None of the others says that it is not sampled.
_NOT_SAMPLED: Final = 3
_INCOMING: Final = (
    {},
    {"uber-trace-id": "{trace:x}:{span:x}:0:1", "uberctx-tenant": "acme"},
    {"traceparent": "00-{trace:032x}-{span:016x}-01", "baggage": "tenant=acme"},
    {"uber-trace-id": "{trace:x}:{span:x}:0:0"},
    {"uber-trace-id": "{trace:x}:{span:x}:0:3"},
    {"jaeger-debug-id": "please"},
    {"uber-trace-id": "{trace:x}:{span:x}:0:1", "traceparent": "00-{trace:032x}-{span:016x}-01"},
    {"uber-trace-id": "not:a:context"},
)


class Requests:
    """Handles the requests of one thread.

    Args:
        tracer: OpenTracing's.
        otel_tracer: OpenTelemetry's.
        watch: times each call of theirs.
    """

    def __init__(self, tracer: Tracer, otel_tracer: trace.Tracer, watch: Stopwatch) -> None:
        self._tracer, self._otel, self._timed = tracer, otel_tracer, watch.timed
        self._drawn = random.Random()  # noqa: S311  (ids of a caller that does not exist)

    def handle(self, number: int) -> int:
        """Handle one in a thread. Returns how many sampled spans it has finished."""
        timed, tracer = self._timed, self._tracer
        scope, sampled = self._begin(number)
        self._query(number)
        for name in ("price", "ship"):
            child = timed("start_active_span", tracer.start_active_span, name, tags={"component": "shop"})
            timed("set_tag", child.span.set_tag, "item", number)
            timed("close", child.close)
        self._call(scope.span)
        timed("close", scope.close)
        return SPANS_PER_REQUEST if sampled else 0

    async def handle_in_task(self, number: int) -> int:
        """Handle one as a task, whose parts are tasks too."""
        scope, sampled = self._begin(number)
        await asyncio.sleep(0)
        self._query(number)
        await asyncio.gather(self._part("price", number), self._part("ship", number))
        self._call(scope.span)
        self._timed("close", scope.close)
        return SPANS_PER_REQUEST if sampled else 0

    async def _part(self, name: str, number: int) -> None:
        timed = self._timed
        scope = timed("start_active_span", self._tracer.start_active_span, name, tags={"component": "shop"})
        await asyncio.sleep(0)
        timed("set_tag", scope.span.set_tag, "item", number)
        timed("close", scope.close)

    def _begin(self, number: int) -> tuple[Any, bool]:
        timed, tracer = self._timed, self._tracer
        kind = number % len(_INCOMING)
        forced = kind == _NOT_SAMPLED and number % FORCED_EVERY == kind
        headers = _OTHERS | _filled(_INCOMING[kind], self._drawn)
        context = timed("extract", tracer.extract, HTTP, headers)
        tags: dict[str, Any] = {"span.kind": "server", "http.method": "GET", "http.url": "http://shop.example/orders"}
        if forced:
            tags["sampling.priority"] = 1
        scope = timed("start_active_span", tracer.start_active_span, "GET /orders", child_of=context, tags=tags)
        timed("set_tag", scope.span.set_tag, "http.status_code", 200)
        timed("set_tag", scope.span.set_tag, "customer", f"c{number}")
        timed("set_baggage_item", scope.span.set_baggage_item, "basket", str(number))
        if number % HUGE_EVERY == 0:
            timed("set_tag", scope.span.set_tag, "http.body", HUGE)
        return scope, kind != _NOT_SAMPLED or forced

    def _query(self, number: int) -> None:
        """Ask the database: a native span, and a child of the bridge in it."""
        timed = self._timed
        entering = self._otel.start_as_current_span("SELECT", kind=trace.SpanKind.CLIENT)
        native = timed("native start", entering.__enter__)
        timed("native set_attribute", native.set_attribute, "db.system", "sqlite")
        timed("native add_event", native.add_event, "rows", {"count": 3})
        child = timed("start_span", self._tracer.start_span, "decode")
        if number % ERROR_EVERY == 0:
            timed("set_tag", child.set_tag, "error", True)
            timed("log_kv", child.log_kv, {"event": "error", "error.object": ValueError(number), "message": "no row"})
        else:
            timed("log_kv", child.log_kv, {"event": "decoded", "bytes": 512})
        timed("finish", child.finish)
        timed("native end", entering.__exit__, None, None, None)

    def _call(self, parent: Any) -> None:
        """Call another service."""
        timed = self._timed
        span = timed("start_span", self._tracer.start_span, "POST", child_of=parent, tags={"span.kind": "client"})
        timed("inject", self._tracer.inject, span.context, HTTP, {})
        timed("finish", span.finish)


def _filled(headers: dict[str, str], drawn: random.Random) -> dict[str, str]:
    ids = {"trace": drawn.getrandbits(127) + 1, "span": drawn.getrandbits(63) + 1}
    return {name: value.format(**ids) for name, value in headers.items()}
