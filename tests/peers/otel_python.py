"""A native OpenTelemetry service; its headers are what OTEL_PROPAGATORS says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry import baggage as otel_baggage
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from opentelemetry.trace import SpanKind
from serving import report, serve

TRACERS = {
    name: TracerProvider(sampler=ParentBased(root)).get_tracer("peer")
    for name, root in (("on", ALWAYS_ON), ("off", ALWAYS_OFF))
}


def hop(
    headers: Mapping[str, str], sampler: str, baggage: Mapping[str, str], call: Callable[[Mapping[str, str]], Any]
) -> dict[str, Any]:
    """Continue the trace, or start one."""
    # In lower case, as the getters of OpenTelemetry's own instrumentations look names up; its default one has case.
    context = propagate.extract({name.lower(): value for name, value in headers.items()})
    remote = trace.get_current_span(context).get_span_context()
    span: Any = TRACERS[sampler].start_span("hop", context=context, kind=SpanKind.SERVER)
    context = trace.set_span_in_context(span, context)
    for key, value in baggage.items():
        context = otel_baggage.set_baggage(key, value, context)
    outgoing: dict[str, str] = {}
    propagate.inject(outgoing, context)
    following = call(outgoing)
    span.end()
    own = span.get_span_context()
    # A span that is not sampled has no parent to show.
    recorded = span.parent if span.is_recording() or own.trace_flags.sampled else remote
    parent_id = recorded.span_id if recorded is not None else 0
    # The only debug flag that a native service knows of is the one that it passes on without knowing.
    debug = own.trace_state.get("jaeger") == "d:1"
    items = otel_baggage.get_all(context)
    return report(own.trace_id, own.span_id, parent_id, own.trace_flags.sampled, debug, items, following)


serve(hop)
