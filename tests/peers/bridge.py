"""A service with OpenTracing code on ot_bridge, set up by the OT_BRIDGE_* variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from opentracing import Format
from serving import report, serve

from ot_bridge import BridgeTracer, Settings

SETTINGS = Settings.from_env()
TRACERS = {
    name: BridgeTracer(TracerProvider(sampler=ParentBased(root)), settings=SETTINGS)
    for name, root in (("on", ALWAYS_ON), ("off", ALWAYS_OFF))
}


def hop(
    headers: Mapping[str, str], sampler: str, baggage: Mapping[str, str], call: Callable[[Mapping[str, str]], Any]
) -> dict[str, Any]:
    """Continue the trace, or start one."""
    tracer = TRACERS[sampler]
    parent: Any = tracer.extract(Format.HTTP_HEADERS, headers)
    span: Any = tracer.start_span("hop", child_of=parent, tags={"span.kind": "server"})
    for key, value in baggage.items():
        span.set_baggage_item(key, value)
    outgoing: dict[str, str] = {}
    tracer.inject(span.context, Format.HTTP_HEADERS, outgoing)
    following = call(outgoing)
    span.finish()
    context = span.context
    # A span that is not sampled has no parent to show.
    recorded = getattr(span.unwrap(), "parent", None) if context.sampled else parent
    parent_id = recorded.span_id if recorded is not None else 0
    return report(
        context.trace_id, context.span_id, parent_id, context.sampled, context.debug, context.baggage, following
    )


serve(hop)
