"""sampling.priority: asked for at the start and later, in the values that applications send."""

import time

from jaeger_client import Config
from opentracing.ext import tags

PRIORITIES = [
    ("one", 1), ("zero", 0), ("text-one", "1"), ("text-zero", "0"), ("true", True), ("false", False), ("ten", 10),
    ("float", 1.0), ("word", "high"), ("half", 0.5), ("negative", -1),
]  # fmt: skip


def main():
    for decision in (1, 0):
        config = Config({"sampler": {"type": "const", "param": decision}}, service_name="priority-%d" % decision)
        tracer = config.new_tracer()
        for name, value in PRIORITIES:
            span = tracer.start_span("start-" + name, tags={tags.SAMPLING_PRIORITY: value, "kept": True})
            print(decision, "start", name, span.flags, span.is_sampled(), span.is_debug())
            span.finish()
        for name, value in PRIORITIES:
            span = tracer.start_span("later-" + name, tags={"before": True})
            early = tracer.start_span("early-child-" + name, child_of=span)
            span.set_tag(tags.SAMPLING_PRIORITY, value)
            span.set_tag("after", True)
            late = tracer.start_span("late-child-" + name, child_of=span)
            print(decision, "later", name, span.flags, "children", early.flags, late.flags)
            early.finish()
            late.finish()
            span.finish()
        span = tracer.start_span("on-off-on")
        flags = [span.flags]
        for value in (1, 0, 1):
            span.set_tag(tags.SAMPLING_PRIORITY, value)
            flags.append(span.flags)
        print(decision, "on off on", flags)
        span.finish()
        try:
            tracer.start_span("nothing", tags={tags.SAMPLING_PRIORITY: None})
            print(decision, "none at start is accepted")
        except TypeError as error:
            print(decision, "none at start:", type(error).__name__)
        closed = tracer.close()
        while not closed.done():
            time.sleep(0.01)


if __name__ == "__main__":
    main()
