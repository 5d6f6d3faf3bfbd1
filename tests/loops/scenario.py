"""What runs at the same time in every test here: requests in both APIs, step by step, each sure of what is its own.

A request is a generator. It yields wherever the loop under test is to go on with another request, and it looks, before
and after, at what is active. Whoever runs it decides what a step is: ``await asyncio.sleep(0)``, ``gevent.sleep(0)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from opentelemetry import baggage, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing import ScopeManager

from ot_bridge import BridgeTracer
from ot_bridge.jaeger_client import Config, ConstSampler
from ot_bridge.jaeger_client.reporter import NullReporter

__all__ = [
    "REQUESTS",
    "Tracing",
    "drop_in",
    "nothing_is_active",
    "request",
    "told",
    "trees",
    "whole",
    "work",
]

REQUESTS = 25
"""How many run at the same time."""


class Tracing(NamedTuple):
    """A tracer of each API over one provider, and what it exported."""

    tracer: BridgeTracer
    native: trace.Tracer
    exporter: InMemorySpanExporter

    @classmethod
    def of(cls, scope_manager: ScopeManager | None = None) -> Tracing:
        """Return a bridge tracer."""
        provider = TracerProvider(shutdown_on_exit=False)
        return cls._over(BridgeTracer(provider, scope_manager=scope_manager), provider)

    @classmethod
    def _over(cls, tracer: BridgeTracer, provider: TracerProvider) -> Tracing:
        exporter = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        return cls(tracer, provider.get_tracer("native"), exporter)

    def trees(self) -> list[str]:
        """Return what was exported, see :func:`trees`."""
        return trees(self.exporter.get_finished_spans())


def drop_in(scope_manager: ScopeManager | None = None) -> Tracing:
    """Return the tracer that code for jaeger-client gets."""
    config = Config({"sampler": {"type": "const", "param": 1}}, service_name="loops", scope_manager=scope_manager)
    tracer = config.create_tracer(reporter=NullReporter(), sampler=ConstSampler(True))
    return Tracing._over(tracer, tracer._provider)  # type: ignore[arg-type]


def look(tracing: Tracing, span: Any, tenant: str) -> None:
    """Make sure that this span, of either API, is the active one in both, with the baggage of its request."""
    active = tracing.tracer.active_span
    assert active is not None, f"no active span in OpenTracing, expected {span}"
    native = span.unwrap() if hasattr(span, "unwrap") else span
    assert active.unwrap() is native, f"OpenTracing's active span is {active}, expected {span}"
    assert trace.get_current_span() is native
    assert active.get_baggage_item("tenant") == tenant
    assert baggage.get_baggage("tenant") == tenant


def nothing_is_active(tracing: Tracing) -> None:
    """Make sure that neither API sees a span or baggage here."""
    assert tracing.tracer.active_span is None
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert dict(baggage.get_all()) == {}


def request(tracing: Tracing, number: int) -> Iterator[None]:
    """Handle a request: a span of OpenTracing's API, a native one in it, and one of OpenTracing's in that."""
    tenant, marked = f"tenant-{number}", {"request": number}
    nothing_is_active(tracing)
    with tracing.tracer.start_active_span("request", tags=marked) as scope:
        scope.span.set_baggage_item("tenant", tenant)
        yield
        look(tracing, scope.span, tenant)
        with tracing.native.start_as_current_span("native", attributes=marked) as native:
            yield
            look(tracing, native, tenant)
            with tracing.tracer.start_active_span("query", tags=marked) as inner:
                yield
                look(tracing, inner.span, tenant)
            yield
            look(tracing, native, tenant)
        yield
        look(tracing, scope.span, tenant)
    nothing_is_active(tracing)


def work(tracing: Tracing, number: int) -> str | None:
    """Do what a request hands over, under a span of its own; return the baggage that was seen there."""
    with tracing.tracer.start_active_span("work", tags={"request": number}) as scope:
        assert trace.get_current_span() is scope.span.unwrap()
        seen = scope.span.get_baggage_item("tenant")
        assert baggage.get_baggage("tenant") == seen
        return seen


def told(*_: object) -> tuple[int, str | None, bool]:
    """Tell what this process finds active: trace id, baggage, and whether a span of the bridge starts below it."""
    tracing = Tracing.of()
    active = tracing.tracer.active_span
    if active is None:
        return 0, None, False
    with tracing.tracer.start_active_span("work"):
        pass
    (span,) = tracing.exporter.get_finished_spans()
    below = span.parent is not None and span.parent.span_id == active.context.span_id and span.parent.is_remote
    assert trace.get_current_span().get_span_context().span_id == active.context.span_id
    return active.context.trace_id, active.get_baggage_item("tenant"), below


def whole(numbers: Iterable[int], tree: str = "request(native(query))") -> list[str]:
    """Return what :func:`trees` finds when each of these requests is one whole trace without a foreign span."""
    return sorted(f"{number}: {tree}" for number in numbers)


def trees(spans: Iterable[ReadableSpan]) -> list[str]:
    """Return each trace as text, such as ``7: request(native(query))``: whose spans are in it, and the spans."""
    traces: dict[int, list[ReadableSpan]] = {}
    for span in spans:
        assert span.context is not None
        traces.setdefault(span.context.trace_id, []).append(span)
    return sorted(f"{_numbers(trace_spans)}: {_below(None, trace_spans)}" for trace_spans in traces.values())


def _numbers(spans: list[ReadableSpan]) -> str:
    return ",".join(sorted({str((span.attributes or {}).get("request", "?")) for span in spans}))


def _below(parent: int | None, spans: list[ReadableSpan]) -> str:
    found = []
    for span in spans:
        assert span.context is not None
        if (span.parent.span_id if span.parent else None) == parent:
            inside = _below(span.context.span_id, spans)
            found.append(f"{span.name}({inside})" if inside else span.name)
    return " ".join(sorted(found))
