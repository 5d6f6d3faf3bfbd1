"""What can be read: headers in any case, short and long ids, hand-made baggage, contexts without ids."""

import time

from jaeger_client import Config
from opentracing import Format

CASES = [
    ("plain", Format.TEXT_MAP, {"uber-trace-id": "cafe0000beef0001:cafe0000beef0002:cafe0000beef0003:1"}),
    ("upper-case-name", Format.HTTP_HEADERS, {"UBER-TRACE-ID": "cafe0000beef0001:cafe0000beef0002:0:1"}),
    ("upper-case-ids", Format.HTTP_HEADERS, {"uber-trace-id": "CAFE0000BEEF0001:CAFE0000BEEF0002:0:1"}),
    ("encoded", Format.HTTP_HEADERS, {"uber-trace-id": "cafe0000beef0001%3acafe0000beef0002%3a0%3a1"}),
    ("short", Format.TEXT_MAP, {"uber-trace-id": "cafe:beef:0:1"}),
    ("long", Format.TEXT_MAP, {"uber-trace-id": "cafe0000beef00010000000000000001:cafe0000beef0002:0:1"}),
    (
        "padded",
        Format.TEXT_MAP,
        {"uber-trace-id": "0000000000000000cafe0000beef0001:cafe0000beef0002:0000000000000000:01"},
    ),
    ("firehose", Format.TEXT_MAP, {"uber-trace-id": "cafe0000beef0001:cafe0000beef0002:0:9"}),
    ("debug-without-sampled", Format.TEXT_MAP, {"uber-trace-id": "cafe0000beef0001:cafe0000beef0002:0:2"}),
    (
        "made-by-hand",
        Format.TEXT_MAP,
        {"uber-trace-id": "cafe0000beef0001:cafe0000beef0002:0:1", "jaeger-baggage": "user=ann, Plan=gold, bad, x=y=z"},
    ),
    (
        "both-baggages",
        Format.TEXT_MAP,
        {"uber-trace-id": "cafe0000beef0001:cafe0000beef0002:0:1", "jaeger-baggage": "a=1", "uberctx-b": "2"},
    ),
]

CONTAINERS = [
    ("baggage-only", Format.TEXT_MAP, {"uberctx-user": "ann"}),
    ("hand-made-baggage-only", Format.HTTP_HEADERS, {"jaeger-baggage": "user=ann"}),
]


def main():
    tracer = Config({"sampler": {"type": "const", "param": 1}}, service_name="extracts").new_tracer()
    for name, format, carrier in CASES:
        context = tracer.extract(format, carrier)
        print(name, "%x:%x" % (context.trace_id, context.span_id), context.flags, context.debug_id)
        print("    parent", context.parent_id and "%x" % context.parent_id)
        print("   ", sorted(context.baggage.items()), context.has_trace, dict(carrier) == carrier)
        span = tracer.start_span(name, child_of=context)
        print("   ", "%x" % span.trace_id, "%x" % span.parent_id, span.flags, span.is_sampled(), span.is_debug())
        span.finish()
    for name, format, carrier in CONTAINERS:
        context = tracer.extract(format, carrier)
        print(name, context.trace_id, context.span_id, context.parent_id, context.flags, context.has_trace)
        span = tracer.start_span(name, child_of=context)
        print("   ", span.flags, span.parent_id, sorted(span.context.baggage.items()))
        span.finish()
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
