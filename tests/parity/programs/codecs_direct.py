"""The constants and the codecs, used without a tracer."""

import opentracing
from jaeger_client import SpanContext, codecs, constants
from jaeger_client.codecs import (
    B3Codec,
    BinaryCodec,
    TextCodec,
    ZipkinCodec,
    ZipkinSpanFormat,
    span_context_from_string,
    span_context_to_string,
)
from jaeger_client.constants import MAX_ID_BITS, TRACE_ID_HEADER

NAMES = [
    "MAX_ID_BITS", "DEFAULT_SAMPLING_INTERVAL", "DEFAULT_FLUSH_INTERVAL", "TRACE_ID_HEADER", "BAGGAGE_HEADER_PREFIX",
    "DEBUG_ID_HEADER_KEY", "BAGGAGE_HEADER_KEY", "JAEGER_VERSION_TAG_KEY", "JAEGER_HOSTNAME_TAG_KEY",
    "JAEGER_IP_TAG_KEY", "SAMPLER_TYPE_CONST", "SAMPLER_TYPE_REMOTE", "SAMPLER_TYPE_PROBABILISTIC",
    "SAMPLER_TYPE_RATE_LIMITING", "SAMPLER_TYPE_LOWER_BOUND", "CLIENT_UUID_TAG_KEY", "MAX_TAG_VALUE_LENGTH",
    "MAX_TRACEBACK_LENGTH", "SAMPLED_FLAG", "DEBUG_FLAG", "DEFAULT_THROTTLER_REFRESH_INTERVAL",
]  # fmt: skip


def read(codec, carrier):
    try:
        context = codec.extract(carrier)
    except opentracing.SpanContextCorruptedException:
        return "corrupted"
    except opentracing.InvalidCarrierException:
        return "invalid carrier"
    if context is None:
        return None
    ids = [value and "%x" % value for value in (context.trace_id, context.span_id, context.parent_id)]
    return ids, context.flags, sorted(context.baggage.items()), context.debug_id


def main():
    for name in NAMES:
        print(name, repr(getattr(constants, name)))
    print(constants.JAEGER_CLIENT_VERSION.split("-")[0], TRACE_ID_HEADER, MAX_ID_BITS, ZipkinSpanFormat)

    print(span_context_to_string(trace_id=0xABC, span_id=0xDEF, parent_id=None, flags=1))
    print(codecs.span_context_to_string(0x80000000000000000000000000000000, 0x8000000000000000, 0x10, 3))
    print(span_context_from_string("abc:def:0:1"), span_context_from_string(["00abc:0def:10:0"]))
    for wrong in ("abc:def:0", "x:y:z:1", "0:1:0:1", 5, None, ["1:2:0:1", "3:4:0:1"]):
        try:
            print(span_context_from_string(wrong))
        except opentracing.SpanContextCorruptedException:
            print("corrupted", repr(wrong))

    context = SpanContext(0xABC, 0xDEF, 0x123, 1, {"key": "a b/c+d", "Other": "x"})
    root = SpanContext(0x10000000000000005, 0xDEF, None, 3)
    off = SpanContext(0xABC, 0xDEF, None, 0)
    for codec in (
        TextCodec(),
        TextCodec(url_encoding=True),
        TextCodec(trace_id_header="Trace_ID", baggage_header_prefix="Bag_", debug_id_header="Debug"),
    ):
        for each in (context, root, off):
            carrier = {}
            codec.inject(each, carrier)
            print(sorted(carrier.items()))
            print("   back", read(codec, carrier))
    print(read(TextCodec(), {"Uber-Trace-Id": "abc:def:0:1", "uberctx-KEY": "v", "jaeger-baggage": "a=1,b=2"}))
    print(read(TextCodec(debug_id_header="x-debug"), {"X-Debug": "why"}))
    print(read(TextCodec(url_encoding=True), {"uber-trace-id": "abc%3adef%3a0%3a1", "uberctx-k": "%20"}))

    for codec in (B3Codec(), B3Codec(generate_128bit_trace_id=True)):
        for each in (context, root, off):
            carrier = {}
            codec.inject(each, carrier)
            print(sorted(carrier.items()))
            print("   back", read(codec, carrier))
    print(B3Codec.trace_header, B3Codec.span_header, B3Codec.sampled_header, B3Codec.flags_header)
    print(read(B3Codec(), {"x-b3-traceid": "abc", "X-B3-SPANID": "def", "x-b3-sampled": "1", "x-b3-flags": None}))
    print(read(B3Codec(), {"x-b3-traceid": "abc"}), read(B3Codec(), {}), read(B3Codec(), []))
    print(read(B3Codec(), {"x-b3-traceid": "no hex", "x-b3-spanid": "def"}), read(B3Codec(), {"x-b3-traceid": 5}))

    carrier = {}
    ZipkinCodec().inject(context, carrier)
    print(sorted(carrier.items()), read(ZipkinCodec(), carrier), read(ZipkinCodec(), {}), read(ZipkinCodec(), 5))
    for each in (context, root):
        carrier = bytearray()
        BinaryCodec().inject(each, carrier)
        print(len(carrier), carrier.hex() == carrier.hex().lower(), read(BinaryCodec(), carrier))
    print(read(BinaryCodec(), {}))


if __name__ == "__main__":
    main()
