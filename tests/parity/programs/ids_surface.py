"""What code reads from a span and its context beyond OpenTracing: ids, flags, names, times, classes."""

import time

import jaeger_client
import opentracing
from jaeger_client import Config
from opentracing import Format


def main():
    tracer = Config({"sampler": {"type": "const", "param": 1}}, service_name="surface").new_tracer()
    root = tracer.start_span("root")
    child = tracer.start_span("child", child_of=root)
    print("request id", "{:x}".format(root.trace_id))
    print("response header", f"{child.trace_id:x}", "%x" % child.span_id, hex(child.context.trace_id))
    print("types", type(root.trace_id).__name__, type(root.span_id).__name__, type(root.flags).__name__)
    print("64 bit", root.trace_id < 2**64, root.trace_id & 0xFFFFFFFFFFFFFFFF == root.trace_id)
    print("parents", root.parent_id, child.parent_id == root.span_id, child.context.parent_id == root.context.span_id)
    print("same ids", root.context.trace_id == root.trace_id, root.context.span_id == root.span_id)
    print("one trace", child.trace_id == root.trace_id, child.span_id != root.span_id)
    print("flags", root.flags, root.context.flags, root.is_sampled(), root.is_debug())
    print("names", root.operation_name, child.operation_name)
    root.operation_name = "renamed"
    print("set", root.operation_name)
    print("times", abs(root.start_time - time.time()) < 60, root.end_time, root.finished)
    print("tracer", root.tracer is tracer, child.tracer.service_name)
    print("context", root.context.baggage, root.context.debug_id, root.context.has_trace)
    print("span is", isinstance(root, jaeger_client.Span), isinstance(root, opentracing.Span))
    print(
        "context is",
        isinstance(root.context, jaeger_client.SpanContext),
        isinstance(root.context, opentracing.SpanContext),
    )
    print("tracer is", isinstance(tracer, jaeger_client.Tracer), isinstance(tracer, opentracing.Tracer))
    print(
        "not",
        isinstance(root, jaeger_client.SpanContext),
        isinstance(None, jaeger_client.Span),
        isinstance(root, jaeger_client.Tracer),
    )
    print(
        "modules",
        jaeger_client.span.Span is jaeger_client.Span,
        jaeger_client.span_context.SpanContext is jaeger_client.SpanContext,
    )
    carrier = {}
    tracer.inject(child, Format.HTTP_HEADERS, carrier)
    extracted = tracer.extract(Format.HTTP_HEADERS, carrier)
    print(
        "extracted",
        isinstance(extracted, jaeger_client.SpanContext),
        extracted.trace_id == child.trace_id,
        extracted.span_id == child.span_id,
    )
    print("getattr", getattr(root, "trace_id", None) is not None, getattr(root, "nothing", "default"))
    root.set_tag("span.kind", "client")
    print("rpc", root.is_rpc(), root.is_rpc_client(), child.is_rpc())
    print("repr", repr(root), str(child))
    for span in (child, root):
        try:
            name = span.operation_name
        except AttributeError:
            continue  # a no-op span has none
        span.set_tag("seen.name", name)
        span.finish()
    print("ended", root.finished, root.end_time >= root.start_time)
    print("version", jaeger_client.__version__.split(".")[0])
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
