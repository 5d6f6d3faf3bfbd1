"""Spans as objects that frameworks hang things on: attributes of their own, methods that are exchanged."""

import functools
import time

from jaeger_client import Config


def main():
    tracer = Config({"sampler": {"type": "const", "param": 1}}, service_name="patched").new_tracer()

    span = tracer.start_span("with-attributes")
    span.extra_headers = {"a": "b"}
    span.meta = span.resource = "kept"
    print(span.extra_headers, span.meta, span.resource)
    span.finish()

    span = tracer.start_span("finish-replaced")
    real_finish, calls = span.finish, []

    def finish(*args, **kwargs):
        calls.append(args)
        span.set_tag("from.finish", len(calls))
        real_finish(*args, **kwargs)

    span.finish = finish
    span.finish()
    print("calls", calls)

    with tracer.start_active_span("finish-replaced-in-scope") as scope:
        inner = scope.span
        original = inner.finish
        inner.finish = lambda *args, **kwargs: (print("finish called by the scope"), original(*args, **kwargs))[1]

    span = tracer.start_span("set-tag-replaced")
    tagged = span.set_tag
    span.set_tag = lambda key, value: tagged("prefix." + key, value)
    span.set_tag("a", 1)
    span.finish()

    span = tracer.start_span("partial")
    span.on_done = functools.partial(span.set_tag, "done")
    span.on_done(True)
    span.finish()

    start = tracer.start_span

    def start_span(operation_name=None, **kwargs):
        return start("wrapped:" + operation_name, **kwargs)

    tracer.start_span = start_span
    with tracer.start_active_span("through-the-wrapper"):
        pass
    tracer.start_span("called-directly").finish()
    del tracer.start_span

    tracer.attached = "anything"
    print(tracer.attached, sorted(vars(scope.span).keys() & {"extra_headers"}))
    spans = {tracer.start_span("as-key"): "value"}
    print(len(spans), [each.operation_name for each in spans])
    for each in spans:
        each.finish()
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
