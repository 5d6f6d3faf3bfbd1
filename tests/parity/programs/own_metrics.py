"""Counters that go into the application's own metrics: a factory, and the older Metrics object."""

import collections
import time

from jaeger_client import Config
from jaeger_client.metrics import LegacyMetricsFactory, Metrics, MetricsFactory


class Counts(MetricsFactory):
    def __init__(self):
        self.values = collections.Counter()

    def create_counter(self, name, tags=None):
        key = name + "".join(",%s=%s" % pair for pair in sorted((tags or {}).items()))
        self.values[key] += 0

        def increment(value):
            self.values[key] += value

        return increment

    def create_gauge(self, name, tags=None):
        def update(value):
            self.values["gauge " + name] = value

        return update


def work(tracer):
    with tracer.start_active_span("root"):
        tracer.start_span("child").finish()
    tracer.start_span("quiet", tags={"sampling.priority": 0}).finish()
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)
    time.sleep(0.2)


def main():
    sampler = {"type": "const", "param": 1}
    counts = Counts()
    work(Config({"sampler": sampler}, service_name="own-factory", metrics_factory=counts).new_tracer())
    for name, value in sorted(counts.values.items()):
        print("factory", name, value)

    legacy = collections.Counter()

    def count(key, value):
        legacy[key] += value

    metrics = Metrics(count=count, gauge=None, timing="not callable")
    work(Config({"sampler": sampler}, service_name="older-metrics", metrics=metrics).new_tracer())
    for name, value in sorted(legacy.items()):
        print("legacy", name, value)

    silent = Counts()
    work(Config({"sampler": sampler, "metrics": False}, service_name="off", metrics_factory=silent).new_tracer())
    print("metrics off", dict(silent.values))

    timings = []
    factory = LegacyMetricsFactory(Metrics(timing=lambda key, value: timings.append((key, value))))
    factory.create_timer("work", {"b": "2", "a": "1"})(1500)
    factory.create_counter("ignored")(1)
    MetricsFactory().create_gauge("nothing")(1)
    print("timer", timings)


if __name__ == "__main__":
    main()
