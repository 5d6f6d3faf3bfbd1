"""Formats of one's own, the Zipkin format, and BINARY."""

import time

import jaeger_client
from jaeger_client import Config, ConstSampler, SpanContext, Tracer
from jaeger_client.codecs import B3Codec, Codec, TextCodec, ZipkinSpanFormat
from jaeger_client.reporter import InMemoryReporter
from opentracing import Format, InvalidCarrierException, UnsupportedFormatException


class ListCodec(Codec):
    """Writes into a list."""

    def inject(self, span_context, carrier):
        carrier.append((span_context.trace_id, span_context.span_id, span_context.flags))

    def extract(self, carrier):
        trace_id, span_id, flags = carrier[-1]
        return SpanContext(trace_id=trace_id, span_id=span_id, parent_id=None, flags=flags)


class TFrame:
    trace_id = 0xF4A3E0000001
    span_id = 0xF4A3E0000002
    parent_id = 0
    traceflags = 1


def main():
    codecs = {"list": ListCodec(), Format.HTTP_HEADERS: B3Codec(), "own-names": TextCodec(trace_id_header="trace-me")}
    reporter = InMemoryReporter()
    tracer = Tracer("formats", reporter, ConstSampler(True), extra_codecs=codecs)
    span = tracer.start_span("sender")

    carrier = []
    tracer.inject(span.context, "list", carrier)
    context = tracer.extract("list", carrier)
    print("list", context.trace_id == span.trace_id, context.span_id == span.span_id, context.flags)
    child = tracer.start_span("receiver", child_of=context)
    print("child", child.trace_id == span.trace_id, child.parent_id == span.span_id)

    carrier = {}
    tracer.inject(span.context, Format.HTTP_HEADERS, carrier)
    print("b3", sorted(name for name in carrier if name.startswith("X-B3")))
    carrier = {}
    tracer.inject(span.context, "own-names", carrier)
    print("own names", sorted(carrier), tracer.extract("own-names", carrier).span_id == span.span_id)

    carrier = {}
    tracer.inject(span.context, ZipkinSpanFormat, carrier)
    print("zipkin", sorted(carrier), carrier["trace_id"] == span.trace_id, carrier["parent_id"], carrier["traceflags"])
    context = tracer.extract(ZipkinSpanFormat, TFrame())
    print("frame %x %x" % (context.trace_id, context.span_id), context.flags, context.baggage)
    print("no trace", tracer.extract(ZipkinSpanFormat, {}))

    carrier = bytearray()
    tracer.inject(span.set_baggage_item("k", "v\u00fc").context, Format.BINARY, carrier)
    context = tracer.extract(Format.BINARY, carrier)
    print("binary", len(carrier), context.trace_id == span.trace_id, context.span_id == span.span_id, context.baggage)
    print("codecs", sorted(str(name) for name in tracer.codecs), isinstance(tracer.codecs["list"], ListCodec))
    for attempt in (
        lambda: tracer.inject(span, "nothing", {}),
        lambda: tracer.extract("nothing", {}),
        lambda: tracer.extract(ZipkinSpanFormat, 5),
        lambda: tracer.inject(span, ZipkinSpanFormat, []),
    ):
        try:
            attempt()
        except InvalidCarrierException:
            print("invalid carrier")
        except UnsupportedFormatException:
            print("unsupported format")
    child.finish()
    span.finish()
    print("reported", len(reporter.get_spans()))
    tracer.close()

    tracer = Config({"sampler": {"type": "const", "param": 1}}, service_name="from-a-frame").new_tracer()
    parent = tracer.extract(jaeger_client.codecs.ZipkinSpanFormat, TFrame())
    tracer.start_span("continued-from-a-frame", child_of=parent).finish()
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
