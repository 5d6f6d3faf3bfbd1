"""The jaeger-debug-id header: a trace that somebody wants to see, whatever the sampler says."""

import time

from jaeger_client import Config
from opentracing import Format


def main():
    tracer = Config({"sampler": {"type": "const", "param": 0}}, service_name="debugged").new_tracer()
    context = tracer.extract(Format.HTTP_HEADERS, {"jaeger-debug-id": "ticket%2042"})
    print("context", context.trace_id, context.span_id, context.debug_id, context.has_trace)
    print("container", context.is_debug_id_container_only)
    span = tracer.start_span("wanted", child_of=context)
    print("flags", span.flags, span.is_sampled(), span.is_debug(), span.parent_id)
    child = tracer.start_span("wanted-child", child_of=span)
    print("child", child.flags, child.context.debug_id)
    carrier = {}
    tracer.inject(child.context, Format.HTTP_HEADERS, carrier)
    print("sent flags", carrier["uber-trace-id"].split(":")[3], "debug id sent", "jaeger-debug-id" in carrier)
    child.finish()
    span.finish()

    both = {"jaeger-debug-id": "ignored", "uber-trace-id": "deb0deb0deb00001:deb0deb0deb00002:0:1"}
    context = tracer.extract(Format.TEXT_MAP, both)
    print("both", "%x" % context.trace_id, context.debug_id)
    span = tracer.start_span("has-a-trace", child_of=context)
    print("flags", span.flags)
    span.finish()

    context = tracer.extract(Format.TEXT_MAP, {"jaeger-debug-id": "with baggage", "uberctx-user": "ann"})
    span = tracer.start_span("debug-and-baggage", child_of=context)
    print("baggage", span.get_baggage_item("user"), span.flags)
    span.finish()

    print("empty", tracer.extract(Format.TEXT_MAP, {"jaeger-debug-id": ""}))
    span = tracer.start_span("unwanted")
    print("flags", span.flags)
    span.finish()

    incoming = tracer.extract(Format.TEXT_MAP, {"uber-trace-id": "deb0deb0deb00003:deb0deb0deb00004:0:3"})
    span = tracer.start_span("debug-from-upstream", child_of=incoming)
    print("flags", span.flags, span.is_debug())
    span.finish()
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
