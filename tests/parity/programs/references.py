"""Child-of and follows-from in every combination: which one is the parent, and what else is reported."""

import time

import opentracing
from jaeger_client import Config, SpanContext
from opentracing import Reference, ReferenceType, child_of, follows_from

A = SpanContext(trace_id=0xA0A0A0A0A0A0, span_id=0xA1A1A1A1A1A1, parent_id=None, flags=1, baggage={"from": "a"})
B = SpanContext(
    trace_id=0xB0B0B0B0B0B0,
    span_id=0xB1B1B1B1B1B1,
    parent_id=0xB2B2B2B2B2B2,
    flags=1,
    baggage={"from": "b", "only": "b"},
)
SAME_TRACE = SpanContext(trace_id=0xA0A0A0A0A0A0, span_id=0xA3A3A3A3A3A3, parent_id=None, flags=1)
OFF = SpanContext(trace_id=0xC0C0C0C0C0C0, span_id=0xC1C1C1C1C1C1, parent_id=None, flags=0)

CASES = [
    ("one-child-of", [child_of(A)]),
    ("one-follows-from", [follows_from(A)]),
    ("follows-then-child", [follows_from(A), child_of(B)]),
    ("child-then-follows", [child_of(A), follows_from(B)]),
    ("two-children", [child_of(A), child_of(B)]),
    ("two-follows", [follows_from(A), follows_from(B)]),
    ("same-trace", [child_of(A), follows_from(SAME_TRACE)]),
    ("same-trace-follows-first", [follows_from(SAME_TRACE), child_of(A)]),
    ("with-none", [child_of(None), child_of(A)]),
    ("only-none", [follows_from(None)]),
    ("single-not-a-list", child_of(A)),
    ("unsampled-first", [child_of(OFF), child_of(A)]),
    ("unsampled-second", [child_of(A), follows_from(OFF)]),
    ("unknown-type", [Reference("inspired_by", A)]),
    ("empty-list", []),
]


def describe(span):
    context = span.context
    print(
        span.operation_name,
        "parent",
        context.parent_id and "%x" % context.parent_id,
        "sampled",
        span.is_sampled(),
        "baggage",
        sorted(context.baggage.items()),
    )


def main():
    tracer = Config({"sampler": {"type": "const", "param": 1}}, service_name="refs").new_tracer()
    for name, references in CASES:
        span = tracer.start_span(name, references=references)
        describe(span)
        span.finish()
    span = tracer.start_span("both-ways", child_of=A, references=[child_of(B), follows_from(SAME_TRACE)])
    describe(span)
    span.finish()
    with tracer.start_active_span("active") as scope:
        span = tracer.start_span("active-and-reference", references=[follows_from(A)])
        print("parent is the active span", span.parent_id == scope.span.span_id)
        span.finish()
        span = tracer.start_span("active-ignored", references=[follows_from(A)], ignore_active_span=True)
        describe(span)
        span.finish()
        span = tracer.start_span("follows-active", references=[follows_from(scope.span.context)])
        print("parent is the active span", span.parent_id == scope.span.span_id)
        span.finish()
    first = tracer.start_span("producer")
    first.finish()
    second = tracer.start_span("consumer", references=opentracing.follows_from(first.context))
    print("follows producer", second.parent_id == first.span_id, second.trace_id == first.trace_id)
    second.finish()
    print(ReferenceType.CHILD_OF, ReferenceType.FOLLOWS_FROM)
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
