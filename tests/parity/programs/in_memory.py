"""A test as people write it for their instrumentation: spans kept in memory, tags and logs looked at."""

from jaeger_client import ConstSampler, Span, Tracer
from jaeger_client.reporter import InMemoryReporter
from opentracing.ext import tags

KINDS = {0: "vStr", 1: "vDouble", 2: "vBool", 3: "vLong", 4: "vBinary"}


def value_of(tag):
    return getattr(tag, KINDS[tag.vType])


def show(span):
    print(span.operation_name, "flags", span.flags, "children of", span.parent_id and "a span")
    for tag in span.tags:
        print("   tag", tag.key, KINDS[tag.vType], repr(value_of(tag)))
    for log in span.logs:
        print("   log", [(field.key, KINDS[field.vType], value_of(field)) for field in log.fields])
    print("   ended", span.end_time >= span.start_time, span.finished)


def main():
    reporter = InMemoryReporter()
    tracer = Tracer(service_name="under-test", reporter=reporter, sampler=ConstSampler(True))
    print("nothing yet", reporter.get_spans())
    with tracer.start_active_span("request", tags={tags.SPAN_KIND: "server", tags.HTTP_STATUS_CODE: 200}) as scope:
        scope.span.set_tag("ratio", 0.5).set_tag("flag", True).set_tag("nothing", None).set_tag("list", [1])
        with tracer.start_active_span("query") as inner:
            inner.span.log_kv({"event": "rows", "count": 3, "ok": True}, timestamp=1577836800.5)
            inner.span.set_tag(tags.ERROR, True)
        print("reported", [span.operation_name for span in reporter.get_spans()])
    spans = reporter.get_spans()
    for span in spans:
        show(span)
    query, request = spans
    print("linked", query.parent_id == request.span_id, query.trace_id == request.trace_id, request.parent_id)
    print("class", isinstance(query, Span), query.tracer is tracer, query.context.flags)
    print("log time", query.logs[0].timestamp / 1e6)
    found = {tag.key: value_of(tag) for tag in request.tags}
    print("by key", found[tags.HTTP_STATUS_CODE], found["sampler.type"], found["sampler.param"])

    timed = tracer.start_span("timed", start_time=1577836800.25)
    timed.finish(finish_time=1577836801.75)
    print("times", timed.start_time, timed.end_time, reporter.get_spans()[-1] is timed)
    timed.finish()
    print("count", len(reporter.get_spans()), len(reporter.spans))
    unsampled = tracer.start_span("unsampled")
    unsampled.set_tag(tags.SAMPLING_PRIORITY, 0)
    unsampled.set_tag("ignored", 1)
    unsampled.log_kv({"event": "ignored"})
    unsampled.finish()
    print("count", len(reporter.get_spans()), [tag.key for tag in unsampled.tags], unsampled.logs, unsampled.end_time)
    print("closed", tracer.close().done())


if __name__ == "__main__":
    main()
