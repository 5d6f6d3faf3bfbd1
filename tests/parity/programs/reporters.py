"""Reporters: the ones that come along, put together, derived from, and exchanged while the tracer runs."""

import logging
import sys
import time

from jaeger_client import Config, ConstSampler, Tracer
from jaeger_client.reporter import BaseReporter, CompositeReporter, InMemoryReporter, LoggingReporter, NullReporter


class NamesReporter(BaseReporter):
    """Prints what it is given."""

    def __init__(self, label):
        self.label = label

    def set_process(self, service_name, tags, max_length):
        print(self.label, "process", service_name, sorted(set(tags) - {"ip", "hostname", "jaeger.version"}), max_length)

    def report_span(self, span):
        print(self.label, "got", span.operation_name, "ended", span.end_time is not None)

    def close(self):
        print(self.label, "closed")
        return BaseReporter.close(self)


class CountingReporter(NullReporter):
    count = 0

    def report_span(self, span):
        self.count += 1


def main():
    logger = logging.getLogger("my.spans")
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.StreamHandler(sys.stdout))

    memory, counting = InMemoryReporter(), CountingReporter()
    reporter = CompositeReporter(memory, NamesReporter("first"), LoggingReporter(logger), counting)
    tracer = Tracer(service_name="many-reporters", reporter=reporter, sampler=ConstSampler(True), tags={"zone": "b"})
    with tracer.start_active_span("parent"):
        tracer.start_span("child").finish()
    print(len(memory.get_spans()), counting.count, len(reporter.reporters))
    tracer.close()

    tracer = Tracer(service_name="silenced", reporter=NamesReporter("before"), sampler=ConstSampler(True))
    tracer.start_span("seen").finish()
    tracer.reporter = NullReporter()
    tracer.start_span("not-seen").finish()
    print("reporter", type(tracer.reporter).__name__)
    tracer.close()

    config = Config({"sampler": {"type": "const", "param": 1}}, service_name="created")
    tracer = config.create_tracer(reporter=NamesReporter("created"), sampler=ConstSampler(True))
    tracer.start_span("by-create-tracer").finish()
    tracer.close()

    unsampled = Tracer(service_name="unsampled", reporter=NamesReporter("unsampled"), sampler=ConstSampler(False))
    unsampled.start_span("not-reported").finish()
    unsampled.report_span(unsampled.start_span("reported-by-hand"))
    unsampled.close()

    # a reporter beside the one that sends
    config = Config({"sampler": {"type": "const", "param": 1}}, service_name="sent-and-counted")
    tracer = config.new_tracer()
    counting = CountingReporter()
    tracer.reporter = CompositeReporter(tracer.reporter, counting)
    tracer.start_span("sent-and-counted").finish()
    print("counted", counting.count)
    tracer.close()
    time.sleep(0.5)


if __name__ == "__main__":
    main()
