"""The first steps of jaeger-client's README: configure, initialise, two spans, wait, close, wait."""

import logging
import time

from jaeger_client import Config

if __name__ == "__main__":
    logging.getLogger("").handlers = []
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.DEBUG)

    config = Config(
        config={
            "sampler": {"type": "const", "param": 1},
            "logging": True,
        },
        service_name="first-steps",
        validate=True,
    )
    # this call also sets opentracing.tracer
    tracer = config.initialize_tracer()

    with tracer.start_span("FirstSpan") as span:
        span.log_kv({"event": "hello from a test", "answer": 42})

        with tracer.start_span("InnerSpan", child_of=span) as inner:
            inner.log_kv({"event": "one level down"})

    time.sleep(1)  # give the reporter's loop the time to send
    tracer.close()
    time.sleep(1)  # closing sends what is still buffered
    print("done")
