"""Headers that cannot be read, and carriers and formats that cannot be used."""

import time

import opentracing
from jaeger_client import Config
from opentracing import Format

HEADERS = [
    "",
    "1:2:3",
    "1:2:3:4:5",
    "no colon at all",
    "0:2:0:1",
    "1:0:0:1",
    "1:2::1",
    "1:2:zz:1",
    "1:2:0:",
    "1:2:0:x",
    "1:2:0:-1",
    "abcg:2:0:1",
    "-1:2:0:1",
    17,
]


def attempt(tracer, format, carrier):
    try:
        context = tracer.extract(format, carrier)
    except opentracing.SpanContextCorruptedException:
        return "corrupted"
    except opentracing.InvalidCarrierException:
        return "invalid carrier"
    except opentracing.UnsupportedFormatException:
        return "unsupported format"
    return "none" if context is None else "context %x" % context.trace_id


def main():
    tracer = Config({"sampler": {"type": "const", "param": 1}}, service_name="malformed").new_tracer()
    for header in HEADERS:
        print(repr(header), "->", attempt(tracer, Format.TEXT_MAP, {"uber-trace-id": header}))
    for header in HEADERS[:-1]:
        print("http", repr(header), "->", attempt(tracer, Format.HTTP_HEADERS, {"uber-trace-id": header}))
    print("list of one", attempt(tracer, Format.TEXT_MAP, {"uber-trace-id": ["abcdef0123:2:0:1"]}))
    print("list of two", attempt(tracer, Format.TEXT_MAP, {"uber-trace-id": ["1:2:0:1", "3:4:0:1"]}))
    print("beside a debug id", attempt(tracer, Format.TEXT_MAP, {"uber-trace-id": "x", "jaeger-debug-id": "d"}))
    print("nothing", attempt(tracer, Format.TEXT_MAP, {}), attempt(tracer, Format.HTTP_HEADERS, {"host": "x"}))
    print("carrier", attempt(tracer, Format.TEXT_MAP, 5), attempt(tracer, Format.BINARY, {}))
    print("carrier", attempt(tracer, Format.HTTP_HEADERS, None), attempt(tracer, Format.TEXT_MAP, [("a", "b")]))
    print("format", attempt(tracer, "smoke-signals", {}), attempt(tracer, None, {}))

    # what handlers around extract do
    try:
        context = tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": "garbage"})
        span = tracer.start_span("not reached", child_of=context)
    except (opentracing.InvalidCarrierException, opentracing.SpanContextCorruptedException) as error:
        span = tracer.start_span("fallback", tags={"Extract failed": bool(str(error))})
    for format, carrier in ((Format.HTTP_HEADERS, []), (Format.BINARY, {}), ("smoke-signals", {})):
        try:
            tracer.inject(span.context, format, carrier)
        except opentracing.InvalidCarrierException:
            print("inject: invalid carrier")
        except opentracing.UnsupportedFormatException:
            print("inject: unsupported format")
    span.finish()
    closed = tracer.close()
    while not closed.done():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
