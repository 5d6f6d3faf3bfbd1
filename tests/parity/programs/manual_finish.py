"""Spans that are finished by hand: try/finally, names and times that are set, and calls that come too late."""

import time

from jaeger_client import Config


def main():
    tracer = Config({"sampler": {"type": "const", "param": 1}}, service_name="batch").new_tracer()

    job = tracer.start_span("job")
    try:
        step = tracer.start_span("step-by-span", child_of=job)
        step.finish()
        step = tracer.start_span("step-by-context", child_of=job.context)
        print("chain", step.set_tag("a", 1) is step, step.log_kv({"event": "x"}) is step)
        print("rename", step.set_operation_name("step-renamed") is step, step.operation_name)
        step.finish()
    finally:
        job.finish()

    past = tracer.start_span("past", start_time=1577836800.5)
    past.log_kv({"event": "in the past"}, timestamp=1577836801.25)
    past.finish(finish_time=1577836802.75)
    print("times", past.start_time, past.end_time, past.finished)

    tenth = tracer.start_span("tenths", start_time=1577836800.1)
    tenth.log_kv({"event": "a tenth later"}, timestamp=1577836800.2)
    tenth.finish(finish_time=1577836800.4)

    backwards = tracer.start_span("half-given", start_time=1577836803.0)
    print("not finished", backwards.end_time, backwards.finished)
    backwards.finish()
    print("now", abs(backwards.end_time - time.time()) < 60)

    late = tracer.start_span("late")
    late.finish()
    late.set_tag("too", "late")
    late.log_kv({"event": "too late"})
    late.finish()
    print("late name", late.operation_name)

    with tracer.start_span("in-with") as span:
        span.set_tag("inside", "yes")
    span.finish()

    nameless = tracer.start_span()
    print("no name", repr(nameless.operation_name))
    nameless.finish()
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
