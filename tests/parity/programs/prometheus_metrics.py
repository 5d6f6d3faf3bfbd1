"""The tracer's own counters in a Prometheus registry."""

import time

from jaeger_client import Config
from jaeger_client.metrics.prometheus import PrometheusMetricsFactory
from opentracing import Format
from prometheus_client import REGISTRY


def counters():
    for family in REGISTRY.collect():
        if "jaeger" in family.name:
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    yield sample.name, sorted(sample.labels.items()), sample.value


def main():
    config = Config(
        {"sampler": {"type": "const", "param": 1}},
        service_name="counted",
        metrics_factory=PrometheusMetricsFactory(namespace="shop", service_name_label="counted"),
    )
    tracer = config.new_tracer()
    with tracer.start_active_span("root"):
        tracer.start_span("child").finish()
    off = tracer.extract(Format.TEXT_MAP, {"uber-trace-id": "1001:1002:0:0"})
    tracer.start_span("joined-unsampled", child_of=off, tags={"span.kind": "server"}).finish()
    on = tracer.extract(Format.TEXT_MAP, {"uber-trace-id": "1003:1004:0:1"})
    tracer.start_span("joined", child_of=on, tags={"span.kind": "server"}).finish()
    tracer.start_span("server-root", tags={"span.kind": "server"}).finish()
    tracer.start_span("switched-off", tags={"sampling.priority": 0}).finish()
    tracer.start_span("never-finished")
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)
    time.sleep(0.2)
    for line in sorted(counters()):
        print(*line)


if __name__ == "__main__":
    main()
