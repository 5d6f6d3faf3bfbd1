"""The process's tracer: initialised once, found through opentracing, a second initialisation refused."""

import time

import opentracing
from jaeger_client import Config


def library_code():
    with opentracing.tracer.start_active_span("library") as scope:
        scope.span.set_tag("component", "library")
        return opentracing.global_tracer().active_span is scope.span


def main():
    print("registered", opentracing.is_global_tracer_registered(), Config.initialized())
    config = Config({"sampler": {"type": "const", "param": True}}, service_name="one-tracer", validate=True)
    tracer = config.initialize_tracer()
    print("registered", opentracing.is_global_tracer_registered(), Config.initialized())
    print("same", opentracing.global_tracer() is tracer, opentracing.tracer is tracer)
    again = Config({}, service_name="another").initialize_tracer()
    print("again", again)
    print("library", library_code())
    print("names", tracer.service_name, opentracing.tracer.service_name)
    other = Config({"sampler": {"type": "const", "param": False}}, service_name="local-tracer").new_tracer()
    print("new_tracer leaves the global alone", opentracing.tracer is tracer, other.service_name)
    opentracing.set_global_tracer(other)
    print("replaced", opentracing.global_tracer() is other)
    opentracing.tracer = tracer
    print("put back", opentracing.tracer.service_name)
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
