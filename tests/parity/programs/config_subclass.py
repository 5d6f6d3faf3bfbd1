"""Config subclasses: a tracer class of one's own, a reporter that is put in, and what they override."""

import time

import jaeger_client
import opentracing
from jaeger_client import Config
from jaeger_client.reporter import CompositeReporter, InMemoryReporter
from jaeger_client.sampler import ConstSampler


class GreenConfig(Config):
    """As the forks for eventlet do: everything but the reporter is inherited."""

    memory = InMemoryReporter()

    def create_tracer(self, reporter, sampler, throttler=None):
        print("create_tracer", type(sampler).__name__, throttler)
        return super().create_tracer(CompositeReporter(reporter, self.memory), sampler, throttler)

    def _initialize_global_tracer(self, tracer):
        print("making it global", tracer.service_name)
        super()._initialize_global_tracer(tracer)

    @property
    def sampler(self):
        return ConstSampler(True)

    @property
    def tags(self):
        return {"team": "green"}


class OurTracer(jaeger_client.Tracer):
    def start_span(self, operation_name=None, *args, **kwargs):
        span = super().start_span("our." + operation_name, *args, **kwargs)
        return span.set_tag("ours", True)


def main():
    tracer = GreenConfig({"sampler": {"type": "probabilistic", "param": 0}}, service_name="green").initialize_tracer()
    print("global", opentracing.tracer is tracer, isinstance(tracer, jaeger_client.Tracer))
    with tracer.start_active_span("inherited") as scope:
        print(scope.span.is_sampled())
    print([span.operation_name for span in GreenConfig.memory.get_spans()], tracer.tags["team"])
    tracer.close()

    memory = InMemoryReporter()
    ours = OurTracer(service_name="ours", reporter=memory, sampler=ConstSampler(True))
    with ours.start_active_span("outer"):
        ours.start_span("inner").finish()
    for span in memory.get_spans():
        print(span.operation_name, [tag.key for tag in span.tags])
    ours.close()
    time.sleep(0.5)


if __name__ == "__main__":
    main()
