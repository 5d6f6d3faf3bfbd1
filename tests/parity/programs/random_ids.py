"""Identifiers that code takes from the tracer, or makes for it."""

import time

from jaeger_client import Config, SpanContext, constants


class SeededRandom:
    """Stands in for tracer.random, as tests do that want the same ids each time."""

    def __init__(self):
        self.next = 0x5EEDED0000000000

    def getrandbits(self, bits):
        self.next += 1
        return self.next


def main():
    tracer = Config({"sampler": {"type": "const", "param": 1}}, service_name="randoms").new_tracer()
    one, two = tracer.random_id(), tracer.random_id()
    print(isinstance(one, int), 0 <= one < 2**64, one != two, constants.MAX_ID_BITS)
    context = SpanContext(trace_id=one, span_id=two, parent_id=None, flags=constants.SAMPLED_FLAG)
    span = tracer.start_span("child-of-own-ids", child_of=context)
    print(span.trace_id == one, span.parent_id == two)
    span.finish()
    tracer.random = SeededRandom()
    root = tracer.start_span("seeded-root")
    child = tracer.start_span("seeded-child", child_of=root)
    print("%x %x %x" % (root.trace_id, root.span_id, child.span_id))
    child.finish()
    root.finish()
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
