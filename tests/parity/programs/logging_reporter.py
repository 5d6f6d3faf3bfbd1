"""Config(logging=True): each span is logged, by the logger jaeger_tracing."""

import logging
import sys
import time

from jaeger_client import Config


class OnlySpans(logging.Filter):
    def filter(self, record):
        return record.getMessage().startswith("Reporting span")


def main():
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(OnlySpans())
    logger = logging.getLogger("jaeger_tracing")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    tracer = Config({"sampler": {"type": "const", "param": 1}, "logging": "true"}, service_name="logged").new_tracer()
    with tracer.start_active_span("parent"):
        with tracer.start_active_span("child"):
            pass
    debug = tracer.start_span("debug", tags={"sampling.priority": 1})
    debug.finish()
    tracer.start_span("not-reported", tags={"sampling.priority": 0}).finish()
    tracer.close()
    time.sleep(0.5)


if __name__ == "__main__":
    main()
