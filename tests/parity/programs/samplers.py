"""Each sampler, asked directly, and in tracers that are built by hand."""

from jaeger_client import ConstSampler, ProbabilisticSampler, RateLimitingSampler, Tracer
from jaeger_client.reporter import InMemoryReporter
from jaeger_client.sampler import AdaptiveSampler, GuaranteedThroughputProbabilisticSampler, Sampler

STRATEGIES = {
    "defaultSamplingProbability": 1.0,
    "defaultLowerBoundTracesPerSecond": 2.0,
    "perOperationStrategies": [{"operation": "hot", "probabilisticSampling": {"samplingRate": 0.5}}],
}


def ask(sampler, *arguments):
    sampled, tags = sampler.is_sampled(*arguments)
    return sampled, dict(tags)


def tags_of(span):
    return [
        (tag.key, tag.vStr if tag.vStr is not None else tag.vDouble if tag.vDouble is not None else tag.vBool)
        for tag in span.tags
    ]


class EvenSampler(Sampler):
    def __init__(self):
        Sampler.__init__(self, tags={"sampler.type": "even", "sampler.param": 2})

    def is_sampled(self, trace_id, operation=""):
        return operation.endswith("even"), self._tags

    def close(self):
        print("sampler closed")


def main():
    for sampler in (
        ConstSampler(True),
        ConstSampler(False),
        ProbabilisticSampler(0.5),
        ProbabilisticSampler(1.0),
        RateLimitingSampler(2),
        RateLimitingSampler(),
        GuaranteedThroughputProbabilisticSampler("op", 2.0, 0.5),
        AdaptiveSampler(STRATEGIES, 10),
    ):
        print(str(sampler), isinstance(sampler, Sampler))
    half = ProbabilisticSampler(0.5)
    for trace_id in (1, 2**63 - 1, 2**63, 2**64 - 1, (5 << 64) + 1, (5 << 64) + 2**63):
        print("half", hex(trace_id >> 60), ask(half, trace_id))
    print("const", ask(ConstSampler(True), 7, "x"), ask(ConstSampler(False), 7))
    print("equal", ProbabilisticSampler(0.5) == half, ProbabilisticSampler(0.25) == half, ConstSampler(True) != half)
    bounded = GuaranteedThroughputProbabilisticSampler("op", 2.0, 0.5)
    print("bounded", ask(bounded, 1), bounded.lower_bound, bounded.rate)
    adaptive = AdaptiveSampler(STRATEGIES, 10)
    print("adaptive", ask(adaptive, 1, "hot"), ask(adaptive, 2**64 - 1, "other"))
    limited = RateLimitingSampler(0)
    print("limit 0", limited.traces_per_second, limited.update(0), limited.update(5), limited.traces_per_second)
    for wrong in (-0.1, 1.1):
        try:
            ProbabilisticSampler(wrong)
        except (AssertionError, ValueError):
            print("refused", wrong)

    for sampler in (ConstSampler(True), ConstSampler(False), ProbabilisticSampler(1.0), EvenSampler()):
        reporter = InMemoryReporter()
        tracer = Tracer(service_name="by-hand", reporter=reporter, sampler=sampler)
        print("tracer's own", tracer.sampler is sampler, tracer.reporter is reporter)
        root = tracer.start_span("even")
        tracer.start_span("child", child_of=root).finish()
        root.finish()
        tracer.start_span("odd", tags={"mine": True}).finish()
        for span in reporter.get_spans():
            print("   ", span.operation_name, tags_of(span))
        tracer.close()


if __name__ == "__main__":
    main()
