"""Baggage: set, overridden, removed, inherited, sent and received."""

import time

from jaeger_client import Config
from opentracing import Format


def headers_of(tracer, span, format):
    carrier = {}
    tracer.inject(span, format, carrier)
    for name in sorted(carrier):
        if name.startswith("uberctx-"):
            print("   header", name, "=", carrier[name])


def main():
    tracer = Config({"sampler": {"type": "const", "param": 1}}, service_name="baggage").new_tracer()
    root = tracer.start_span("root")
    print("nothing", root.get_baggage_item("tenant"), root.context.baggage)
    before = root.context
    print("chain", root.set_baggage_item("tenant", "acme") is root)
    print("new context", root.context is not before, before.baggage, root.context.baggage)
    early = tracer.start_span("early-child", child_of=root)
    root.set_baggage_item("tenant", "umbrella")
    root.set_baggage_item("plan", "gold & more + 100%")
    print("early", early.get_baggage_item("tenant"), "root", root.get_baggage_item("tenant"))
    headers_of(tracer, root, Format.HTTP_HEADERS)
    headers_of(tracer, root, Format.TEXT_MAP)
    early.finish()
    late = tracer.start_span("late-child", child_of=root.context)
    print("late", sorted(late.context.baggage.items()))
    late.set_baggage_item("plan", None)
    print("removed", late.get_baggage_item("plan"), sorted(late.context.baggage), sorted(root.context.baggage))
    late.finish()
    root.finish()

    incoming = {
        "uber-trace-id": "5eed5eed5eed0001:5eed5eed5eed0002:0:1",
        "uberctx-Tenant": "caf%C3%A9",
        "UBERCTX-x": "1",
    }
    context = tracer.extract(Format.HTTP_HEADERS, incoming)
    print("received", sorted(context.baggage.items()))
    span = tracer.start_span("receiver", child_of=context)
    print("inherited", span.get_baggage_item("tenant"))
    headers_of(tracer, span, Format.HTTP_HEADERS)
    span.finish()

    quiet = tracer.extract(
        Format.TEXT_MAP, {"uber-trace-id": "5eed5eed5eed0003:5eed5eed5eed0004:0:0", "uberctx-a": "b"}
    )
    span = tracer.start_span("unsampled", child_of=quiet)
    span.set_baggage_item("c", "d")
    print("unsampled", span.is_sampled(), sorted(span.context.baggage.items()))
    headers_of(tracer, span, Format.TEXT_MAP)
    span.finish()

    context = before.with_baggage_item("k", "v")
    print("with item", context.baggage, context.trace_id == before.trace_id, context.span_id == before.span_id)
    print("without", context.with_baggage_item("k", None).baggage)
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
