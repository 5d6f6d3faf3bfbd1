"""Values that cost jaeger-client the whole batch they travel in: here each stands in a batch of its own."""

import time

from jaeger_client import Config

VALUES = [("too-large", 2**64), ("too-negative", -(2**63) - 1), ("surrogate", "a\ud800b")]


def main():
    for name, value in VALUES:
        tracer = Config({"sampler": {"type": "const", "param": 1}}, service_name="hostile-" + name).new_tracer()
        span = tracer.start_span(name)
        span.set_tag("value", value)
        span.finish()
        tracer.start_span("beside-" + name).finish()
        closed = tracer.close()
        while not closed.done():
            time.sleep(0.01)


if __name__ == "__main__":
    main()
