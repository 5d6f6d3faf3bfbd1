"""Header names of one's own."""

import time

from jaeger_client import Config
from opentracing import Format


def main():
    config = Config(
        {
            "sampler": {"type": "const", "param": 1},
            "trace_id_header": "X_Shop_Trace",
            "baggage_header_prefix": "X-Shop-",
        },
        service_name="own-headers",
        validate=True,
    )
    config.config["debug_id_header"] = "X-Shop-Debug-Me"
    tracer = config.new_tracer()
    print(config.trace_id_header, config.baggage_header_prefix, config.debug_id_header)
    span = tracer.start_span("root")
    span.set_baggage_item("user", "ann")
    carrier = {}
    tracer.inject(span, Format.HTTP_HEADERS, carrier)
    print("trace header", "x-shop-trace" in carrier, "default", "uber-trace-id" in carrier, carrier.get("x-shop-user"))
    context = tracer.extract(
        Format.HTTP_HEADERS, {"X-SHOP-TRACE": "5409000000000001:5409000000000002:0:1", "X-Shop-User": "bob"}
    )
    print("%x" % context.trace_id, context.baggage)
    child = tracer.start_span("continued", child_of=context)
    child.finish()
    print("default header", tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": "1:2:0:1"}))
    span.finish()
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
