"""Span contexts that code builds itself, from ids that came by a way of their own."""

import time

import jaeger_client
from jaeger_client import Config, SpanContext
from jaeger_client.constants import DEBUG_FLAG, SAMPLED_FLAG
from opentracing import Format, follows_from


def sent(tracer, context, format=Format.HTTP_HEADERS):
    carrier = {}
    tracer.inject(context, format, carrier)
    trace_id, span_id, _, flags = carrier["uber-trace-id"].split(":")
    print("   sent", trace_id.lstrip("0"), span_id.lstrip("0"), "flags", flags)


def main():
    tracer = Config({"sampler": {"type": "const", "param": 0}}, service_name="builds").new_tracer()
    context = jaeger_client.SpanContext(trace_id=0xFACADE0001, span_id=0xFACADE0002, parent_id=0xFACADE0003, flags=1)
    print("%x %x %x" % (context.trace_id, context.span_id, context.parent_id), context.flags, context.baggage)
    print(context.has_trace, context.debug_id, context.is_debug_id_container_only)
    sent(tracer, context)
    sent(tracer, context, Format.TEXT_MAP)
    span = tracer.start_span("child-of-built", child_of=context)
    print(span.trace_id == context.trace_id, span.parent_id == context.span_id, span.flags)
    span.finish()

    positional = SpanContext(0xFACADE0001, 0xFACADE0004, None, SAMPLED_FLAG | DEBUG_FLAG, {"user": "ann"})
    print(positional.parent_id, positional.flags, positional.baggage)
    sent(tracer, positional)
    span = tracer.start_active_span("active-child-of-built", child_of=positional).span
    print(span.is_debug(), span.get_baggage_item("user"))
    tracer.scope_manager.active.close()

    off = SpanContext(trace_id=0xFACADE0005, span_id=0xFACADE0006, parent_id=0, flags=0x00)
    print(off.parent_id, off.flags)
    sent(tracer, off)
    span = tracer.start_span("child-of-unsampled", child_of=off)
    print(span.is_sampled(), span.flags)
    span.finish()

    wide = SpanContext(trace_id=0xFACADE000700000000000000000000AB, span_id=0xFFFFFFFFFFFFFFFF, parent_id=1, flags=1)
    print("%x" % wide.trace_id, "%x" % wide.span_id)
    sent(tracer, wide)
    tracer.start_span("child-of-wide", child_of=wide).finish()
    tracer.start_span("follows-built", references=[follows_from(context)]).finish()

    empty = SpanContext(trace_id=None, span_id=None, parent_id=None, flags=None)
    print(empty.trace_id, empty.span_id, empty.flags, empty.has_trace)
    debug = SpanContext.with_debug_id("ticket 7")
    print(debug.debug_id, debug.is_debug_id_container_only, debug.trace_id)
    span = tracer.start_span("debug-by-hand", child_of=debug)
    print(span.flags, span.is_debug())
    span.finish()
    named = SpanContext(None, None, None, None, baggage={"a": "b"}, debug_id="ticket 8")
    print(named.debug_id, named.baggage)
    print(isinstance(context, jaeger_client.SpanContext), isinstance(context, jaeger_client.Span))
    refused = 0
    for wrong in (object(), "text", 5):
        try:
            tracer.inject(wrong, Format.TEXT_MAP, {})
        except ValueError:
            refused += 1
    print("refused", refused)
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
