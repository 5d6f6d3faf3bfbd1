"""A throttler decides whether somebody may force the sampling."""

import time

from jaeger_client import Config, ConstSampler
from jaeger_client.throttler import Throttler
from opentracing import Format


class Names(Throttler):
    def __init__(self):
        self.asked = []

    def set_client_id(self, client_id):
        print("client id", isinstance(client_id, int))

    def is_allowed(self, operation):
        self.asked.append(operation)
        return operation.startswith("allowed")

    def close(self):
        pass


def main():
    throttler = Names()
    for decision in (True, False):
        config = Config({}, service_name="throttled-%s" % decision)
        default = Config({"sampler": {"type": "const", "param": 1}}, service_name="unused")
        reporter = default.new_tracer().reporter
        tracer = config.create_tracer(reporter=reporter, sampler=ConstSampler(decision), throttler=throttler)
        print("debug allowed", tracer.is_debug_allowed("allowed"), tracer.is_debug_allowed("refused"))
        for name in ("allowed-at-start", "refused-at-start"):
            span = tracer.start_span(name, tags={"sampling.priority": 1})
            print(decision, name, span.flags, span.is_debug())
            span.finish()
        for name in ("allowed-later", "refused-later"):
            span = tracer.start_span(name)
            span.set_tag("sampling.priority", 1)
            print(decision, name, span.flags)
            span.finish()
        for name in ("allowed-by-header", "refused-by-header"):
            context = tracer.extract(Format.TEXT_MAP, {"jaeger-debug-id": "d"})
            span = tracer.start_span(name, child_of=context)
            print(decision, name, span.flags)
            span.finish()
        print("asked", throttler.asked)
        del throttler.asked[:]
        print("uuid", "client-uuid" in tracer.tags)
        closed = tracer.close()
        while not closed.done():
            time.sleep(0.01)


if __name__ == "__main__":
    main()
