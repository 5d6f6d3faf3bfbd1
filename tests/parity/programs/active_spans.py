"""Nested active spans, with and without closing by hand, and what tracer.active_span says at each step."""

import time

from jaeger_client import Config


def where(tracer):
    span = tracer.active_span
    scope = tracer.scope_manager.active
    print("active:", span.operation_name if span else None, "scope:", scope.span.operation_name if scope else None)


def main():
    tracer = Config({"sampler": {"type": "const", "param": 1}}, service_name="nested").new_tracer()
    where(tracer)
    with tracer.start_active_span("outer") as outer:
        where(tracer)
        with tracer.start_active_span("middle"):
            where(tracer)
            with tracer.start_span("not-activated"):
                where(tracer)
            tracer.start_span("sibling-root", ignore_active_span=True).finish()
        where(tracer)
        with tracer.start_active_span("root-in-root", ignore_active_span=True):
            where(tracer)
        tracer.start_span("explicit", child_of=outer.span).finish()
    where(tracer)

    scope = tracer.start_active_span("by-hand", finish_on_close=False)
    where(tracer)
    scope.close()
    scope.span.set_tag("after.scope", True)
    scope.span.finish()
    where(tracer)

    span = tracer.start_span("activated-later")
    with tracer.scope_manager.activate(span, finish_on_close=True) as scope:
        print("same span", scope.span is span, scope.manager is tracer.scope_manager)
        tracer.start_span("under-activated").finish()
    print("finished", span.finished)
    where(tracer)

    def words(text):
        with tracer.start_active_span("generator"):
            for word in text.split():
                yield word

    print(list(words("a b c")))
    where(tracer)
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
