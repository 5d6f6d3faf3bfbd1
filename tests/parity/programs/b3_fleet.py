"""propagation: b3, as behind a service mesh."""

import time

from jaeger_client import Config
from opentracing import Format


def b3(carrier):
    return sorted((name, value) for name, value in carrier.items() if name.lower().startswith("x-b3-"))


def main():
    for wide in (False, True):
        config = Config(
            {"sampler": {"type": "const", "param": 1}, "propagation": "b3", "generate_128bit_trace_id": wide},
            service_name="b3-wide" if wide else "b3",
            validate=True,
        )
        tracer = config.new_tracer()
        incoming = {
            "X-B3-TraceId": "b3b3b3b3b3b30001",
            "x-b3-spanid": "b3b3b3b3b3b30002",
            "X-B3-Sampled": "1",
            "X-B3-ParentSpanId": "b3b3b3b3b3b30003",
        }
        context = tracer.extract(Format.HTTP_HEADERS, incoming)
        print("%x %x" % (context.trace_id, context.span_id), context.flags)
        with tracer.start_active_span("server", child_of=context, tags={"span.kind": "server"}) as scope:
            carrier = {}
            tracer.inject(scope.span.context, Format.HTTP_HEADERS, carrier)
            names = dict(b3(carrier))
            print(sorted(names), names["X-B3-TraceId"], names.get("X-B3-ParentSpanId"), names["X-B3-Sampled"])
            print("span id sent", names["X-B3-SpanId"] == format(scope.span.span_id, "x").zfill(16))
        debug = tracer.extract(Format.HTTP_HEADERS, dict(incoming, **{"X-B3-Flags": "1"}))
        span = tracer.start_span("debug", child_of=debug)
        carrier = {}
        tracer.inject(span, Format.HTTP_HEADERS, carrier)
        print("debug", debug.flags, span.flags, dict(b3(carrier)).get("X-B3-Flags"))
        span.finish()
        off = tracer.extract(
            Format.HTTP_HEADERS, {"X-B3-TraceId": "b3b3b3b3b3b30001", "X-B3-SpanId": "b3b3b3b3b3b30002"}
        )
        span = tracer.start_span("deferred", child_of=off)
        print("deferred", off.flags, span.is_sampled())
        span.finish()
        text = {}
        root = tracer.start_span("root")
        tracer.inject(root, Format.TEXT_MAP, text)
        print("text map stays Jaeger's", "uber-trace-id" in text, b3(text), root.trace_id.bit_length() > 64)
        root.finish()
        print(
            "nothing",
            tracer.extract(Format.HTTP_HEADERS, {}),
            tracer.extract(Format.HTTP_HEADERS, {"X-B3-TraceId": "1"}),
        )
        closed = tracer.close()
        while not closed.done():
            time.sleep(0.01)


if __name__ == "__main__":
    main()
