# ruff: noqa: ANN001, ANN201
"""A service on jaeger-client, for any Python that it ever ran on. The argument "128" gives it trace ids of 128 bits."""

import sys

from jaeger_client import ConstSampler, Tracer
from jaeger_client.reporter import NullReporter
from opentracing import Format, SpanContextCorruptedException
from serving import report, serve

WIDE = sys.argv[1:] == ["128"]
TRACERS = {
    name: Tracer("peer", NullReporter(), ConstSampler(name == "on"), generate_128bit_trace_id=WIDE)
    for name in ("on", "off")
}


def hop(headers, sampler, baggage, call):
    """Continue the trace, or start one."""
    tracer = TRACERS[sampler]
    try:
        parent = tracer.extract(Format.HTTP_HEADERS, headers)
    except SpanContextCorruptedException:
        # As flask-opentracing and other integrations have it.
        parent = None
    span = tracer.start_span("hop", child_of=parent, tags={"span.kind": "server"})
    for key, value in baggage.items():
        span.set_baggage_item(key, value)
    outgoing = {}
    tracer.inject(span.context, Format.HTTP_HEADERS, outgoing)
    following = call(outgoing)
    span.finish()
    context = span.context
    sampled, debug = context.flags & 1, context.flags & 2
    items = context.baggage or {}
    return report(context.trace_id, context.span_id, context.parent_id, sampled, debug, items, following)


serve(hop)
