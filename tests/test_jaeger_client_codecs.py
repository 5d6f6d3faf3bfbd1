"""The drop-in's codecs by hand: what they write jaeger-client reads, and the other way round."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentracing import Format, InvalidCarrierException, SpanContextCorruptedException, UnsupportedFormatException

from jaeger_pairs import BOTH, NEW, OLD, module, needs_the_real_one, tracer_of
from ot_bridge.jaeger_client import SpanContext
from ot_bridge.jaeger_client.codecs import (
    B3Codec,
    BinaryCodec,
    Codec,
    TextCodec,
    ZipkinCodec,
    ZipkinSpanFormat,
    header_to_hex,
    span_context_from_string,
    span_context_to_string,
)

TRACE_IDS = st.integers(1, 2**64 - 1) | st.integers(1, 2**128 - 1)
SPAN_IDS = st.integers(1, 2**64 - 1)
FLAGS = st.sampled_from([0, 1, 3])
# What may be part of a header's name, in the case that it arrives in.
KEYS = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1, max_size=8)
VALUES = st.text(max_size=12).filter(lambda text: "\0" not in text)
BAGGAGE = st.dictionaries(KEYS, VALUES, max_size=3)


def codec(base: str, name: str, **arguments: Any) -> Any:
    return getattr(module(base, "codecs"), name)(**arguments)


def context_in(base: str, *fields: Any) -> Any:
    return module(base, "span_context").SpanContext(*fields)


def told(context: Any) -> tuple[Any, ...] | None:
    return None if context is None else (context.trace_id, context.span_id, context.flags, dict(context.baggage))


def sent_between(writer: str, reader: str, name: str, fields: tuple[Any, ...], carrier: Any, **arguments: Any) -> Any:
    codec(writer, name, **arguments).inject(context_in(writer, *fields), carrier)
    return told(codec(reader, name, **arguments).extract(carrier))


directions = pytest.mark.parametrize(("writer", "reader"), [(NEW, OLD), (OLD, NEW), (NEW, NEW)])


# -- both ways ---------------------------------------------------------------------------------------------------------


@needs_the_real_one
@directions
@given(trace_id=TRACE_IDS, span_id=SPAN_IDS, flags=FLAGS, baggage=BAGGAGE)
def test_http_headers_arrive(
    writer: str, reader: str, trace_id: int, span_id: int, flags: int, baggage: dict[str, str]
) -> None:
    fields = (trace_id, span_id, 7, flags, baggage)
    assert sent_between(writer, reader, "TextCodec", fields, {}, url_encoding=True) == (
        trace_id,
        span_id,
        flags,
        baggage,
    )


@needs_the_real_one
@directions
@given(trace_id=TRACE_IDS, span_id=SPAN_IDS, flags=FLAGS, baggage=BAGGAGE)
def test_text_map_arrives(
    writer: str, reader: str, trace_id: int, span_id: int, flags: int, baggage: dict[str, str]
) -> None:
    # What could split a header is not sent: a carrier may be one after all.
    safe = {key: value for key, value in baggage.items() if not re.search(r"[\r\n]", value)}
    fields = (trace_id, span_id, 7, flags, safe)
    assert sent_between(writer, reader, "TextCodec", fields, {}) == (trace_id, span_id, flags, safe)


@needs_the_real_one
@directions
@given(
    trace_id=TRACE_IDS, span_id=SPAN_IDS, flags=FLAGS, baggage=st.dictionaries(st.text(min_size=1, max_size=5), VALUES)
)
def test_binary_arrives(
    writer: str, reader: str, trace_id: int, span_id: int, flags: int, baggage: dict[str, str]
) -> None:
    fields = (trace_id, span_id, None, flags, baggage)
    found = sent_between(writer, reader, "BinaryCodec", fields, bytearray())
    assert found == (trace_id, span_id, flags, baggage)


@needs_the_real_one
@directions
@given(trace_id=TRACE_IDS, span_id=SPAN_IDS, sampled=st.booleans())
def test_b3_arrives(writer: str, reader: str, trace_id: int, span_id: int, sampled: bool) -> None:
    fields = (trace_id, span_id, None, int(sampled), None)
    found = sent_between(writer, reader, "B3Codec", fields, {}, generate_128bit_trace_id=True)
    assert found == (trace_id, span_id, int(sampled), {})


@needs_the_real_one
@directions
@given(trace_id=TRACE_IDS, span_id=SPAN_IDS, parent_id=st.none() | SPAN_IDS, flags=FLAGS)
def test_zipkin_arrives(
    writer: str, reader: str, trace_id: int, span_id: int, parent_id: int | None, flags: int
) -> None:
    fields = (trace_id, span_id, parent_id, flags, None)
    assert sent_between(writer, reader, "ZipkinCodec", fields, {}) == (trace_id, span_id, flags, {})


@needs_the_real_one
def test_debug_trace_arrives_over_b3_as_one_that_is_sampled() -> None:
    # jaeger-client sends Flags alone for it, and reads that as not sampled.
    fields = (1, 2, None, 3, None)
    assert sent_between(OLD, OLD, "B3Codec", fields, {}) == (1, 2, 2, {})
    assert sent_between(OLD, NEW, "B3Codec", fields, {}) == (1, 2, 3, {})
    assert sent_between(NEW, OLD, "B3Codec", fields, {}) == (1, 2, 3, {})


@needs_the_real_one
@given(trace_id=TRACE_IDS, span_id=SPAN_IDS, flags=FLAGS, baggage=BAGGAGE)
def test_binary_is_the_same_to_the_byte(trace_id: int, span_id: int, flags: int, baggage: dict[str, str]) -> None:
    written = []
    for base in BOTH:
        carrier = bytearray(b"before")
        codec(base, "BinaryCodec").inject(context_in(base, trace_id, span_id, None, flags, baggage), carrier)
        written.append(bytes(carrier))
    assert written[0] == written[1]


@needs_the_real_one
@given(trace_id=TRACE_IDS, span_id=SPAN_IDS, parent_id=st.none() | st.integers(0, 2**64 - 1), flags=st.integers(0, 255))
def test_context_to_string_and_back_is_as_in_jaeger_client(
    trace_id: int, span_id: int, parent_id: int | None, flags: int
) -> None:
    theirs, ours = module(OLD, "codecs"), module(NEW, "codecs")
    text = ours.span_context_to_string(trace_id, span_id, parent_id, flags)
    assert text == theirs.span_context_to_string(trace_id, span_id, parent_id, flags)
    for value in (text, [text]):
        assert ours.span_context_from_string(value) == theirs.span_context_from_string(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1:2:3",
        "1:2:3:4:5",
        "0:2:0:1",
        "0x1:2:0:1",
        "1:0:0:1",
        "x:2:0:1",
        "1:2::1",
        "1:2:0:",
        "-1:2:0:1",
        None,
        5,
        [],
        ["1:2:0:1"] * 2,
    ],
    ids=repr,
)
def test_text_that_is_no_context_is_refused_as_in_jaeger_client(value: Any) -> None:
    with pytest.raises(SpanContextCorruptedException, match="cannot read a span context: got"):
        span_context_from_string(value)


@needs_the_real_one
@pytest.mark.parametrize("text", ["0", "ff", "FF", " 1 "])
def test_hex_of_a_header_is_read_as_in_jaeger_client(text: str) -> None:
    assert header_to_hex(text) == module(OLD, "codecs").header_to_hex(text)


@pytest.mark.parametrize("value", ["", "x", "-1", "0x1", "1_0", "+1", "\u0661", 5, None], ids=repr)
def test_header_that_is_no_hex_is_refused(value: Any) -> None:
    with pytest.raises(SpanContextCorruptedException, match="cannot read an id: got"):
        header_to_hex(value)


# -- headers -----------------------------------------------------------------------------------------------------------


def test_text_codec_writes_and_reads_the_names_it_was_given() -> None:
    own = TextCodec(
        url_encoding=True,
        trace_id_header="Trace_ID",
        baggage_header_prefix="My_Bag-",
        debug_id_header="Debug_Me",
        baggage_header="bag",
    )
    headers: dict[str, str] = {}
    own.inject(SpanContext(1, 2, None, 1, {"k": "a b"}), headers)
    assert headers == {"trace-id": "0000000000000001:0000000000000002:0:1", "my-bag-k": "a%20b"}
    assert told(own.extract({"TRACE-ID": "1:2:0:1", "My-Bag-K": "a%20b", "bag": "x=1, y=2"})) == (
        1,
        2,
        1,
        {"k": "a b", "x": "1", "y": "2"},
    )
    debug = own.extract({"debug-me": "why"})
    assert debug is not None
    assert (debug.debug_id, debug.is_debug_id_container_only) == ("why", True)
    assert (own.trace_id_header, own.baggage_prefix, own.debug_id_header, own.baggage_header, own.prefix_length) == (
        "trace-id",
        "my-bag-",
        "debug-me",
        "bag",
        7,
    )


@pytest.mark.parametrize("of", [TextCodec(), TextCodec(True), B3Codec()], ids=["text", "http", "b3"])
def test_nothing_is_read_from_other_headers(of: Any) -> None:
    assert of.extract({"Content-Type": "text/plain"}) is None


@pytest.mark.parametrize("header", ["", "1:2:3", "x:y:z:1", "0:0:0:0"])
def test_corrupted_trace_header_raises(header: str) -> None:
    with pytest.raises(SpanContextCorruptedException, match="cannot read header 'uber-trace-id'"):
        TextCodec().extract({"uber-trace-id": header})


CARRIERS: dict[str, tuple[Any, Any, Any]] = {
    "text": (TextCodec(), [], 5),
    "b3": (B3Codec(), "text", b"bytes"),
    "binary": (BinaryCodec(), {}, b"bytes"),
    "zipkin": (ZipkinCodec(), [], object()),
}


@pytest.mark.parametrize("name", CARRIERS)
def test_carrier_of_the_wrong_kind_is_refused(name: str) -> None:
    of, *carriers = CARRIERS[name]
    for carrier in carriers:
        with pytest.raises(InvalidCarrierException):
            of.inject(SpanContext(1, 2, None, 1), carrier)
        with pytest.raises(InvalidCarrierException):
            of.extract(carrier)


@pytest.mark.parametrize("data", [b"", b"\0" * 36, b"\xff" * 60], ids=["empty", "short", "damaged"])
def test_damaged_binary_is_nothing(data: bytes) -> None:
    # jaeger-client raises struct.error.
    assert BinaryCodec().extract(bytearray(data)) is None


def test_zipkin_reads_the_attributes_of_an_object() -> None:
    class Frame:
        trace_id, span_id, parent_id, traceflags = 1, 2, 3, 1

    found = ZipkinCodec().extract(Frame())
    assert found is not None
    assert (told(found), found.parent_id) == ((1, 2, 1, {}), 3)
    assert ZipkinCodec().extract({"trace_id": 0}) is None


def test_codec_that_implements_nothing_says_so() -> None:
    with pytest.raises(NotImplementedError):
        Codec().inject(None, {})
    with pytest.raises(NotImplementedError):
        Codec().extract({})


# -- codecs of a tracer ------------------------------------------------------------------------------------------------


class Csv(Codec):
    """A format of an application's own."""

    def __init__(self, base: str = NEW) -> None:
        self.base = base

    def inject(self, span_context: Any, carrier: Any) -> None:
        found = span_context
        carrier["csv"] = f"{found.trace_id},{found.span_id},{found.parent_id},{found.flags},{dict(found.baggage)}"

    def extract(self, carrier: Any) -> Any:
        trace_id, span_id = carrier["csv"].split(",")[:2]
        return context_in(self.base, int(trace_id), int(span_id), None, 1)


@needs_the_real_one
def test_codec_of_an_application_is_used_as_in_jaeger_client() -> None:
    found = []
    for base in BOTH:
        of = tracer_of(base, extra_codecs={"csv": Csv(base), Format.TEXT_MAP: Csv(base)})
        context = context_in(base, 1, 2, 3, 1, {"k": "v"})
        carriers: list[dict[str, str]] = [{}, {}, {}, {}]
        of.inject(context, "csv", carriers[0])
        of.inject(context, Format.TEXT_MAP, carriers[1])
        of.inject(of.start_span("op", child_of=context).context, Format.HTTP_HEADERS, carriers[2])
        read = of.extract("csv", carriers[0])
        child = of.start_span("child", child_of=read)
        of.inject(child, "csv", carriers[3])
        written = carriers[3]["csv"].split(",")
        found.append((carriers[:2], "csv" in carriers[2], told(read), child.parent_id, written[0], written[2:]))
    assert found[0] == found[1]


def test_codec_of_an_application_that_raises_raises() -> None:
    # Its errors are the application's own, and were seen before.
    of = tracer_of(NEW, extra_codecs={"csv": Csv()})
    with pytest.raises(KeyError):
        of.extract("csv", {})


@pytest.mark.parametrize("call", ["inject", "extract"])
def test_unknown_format_raises_what_opentracing_promises(call: str) -> None:
    of = tracer_of(NEW)
    with pytest.raises(UnsupportedFormatException):
        of.inject(of.start_span("op"), "nothing", {}) if call == "inject" else of.extract("nothing", {})


def test_zipkin_format_is_one_of_the_tracers() -> None:
    of, carrier = tracer_of(NEW), dict[str, Any]()
    of.inject(SpanContext(1, 2, 3, 1), ZipkinSpanFormat, carrier)
    assert carrier == {"trace_id": 1, "span_id": 2, "parent_id": 3, "traceflags": 1}
    assert told(of.extract(ZipkinSpanFormat, carrier)) == (1, 2, 1, {})


def test_b3_codec_for_http_is_read_and_written_beside_the_others() -> None:
    of = tracer_of(NEW, extra_codecs={Format.HTTP_HEADERS: B3Codec()})
    headers, text = dict[str, str](), dict[str, str]()
    span = of.start_span("op", child_of=SpanContext(1, 2, None, 1))
    of.inject(span, Format.HTTP_HEADERS, headers)
    assert {name.lower() for name in headers} == {
        "x-b3-traceid",
        "x-b3-spanid",
        "x-b3-sampled",
        "uber-trace-id",
        "traceparent",
    }
    of.inject(span, Format.TEXT_MAP, text)
    assert told(of.extract(Format.HTTP_HEADERS, {"X-B3-TraceId": "1", "X-B3-SpanId": "2", "X-B3-Sampled": "1"})) == (
        1,
        2,
        1,
        {},
    )


@needs_the_real_one
@pytest.mark.parametrize("value", ["", "x", "1:2:3", "0:1:0:1"])
def test_corrupted_header_raises_out_of_the_tracer_as_in_jaeger_client(value: str) -> None:
    for base in BOTH:
        with pytest.raises(SpanContextCorruptedException):
            tracer_of(base).extract(Format.HTTP_HEADERS, {"uber-trace-id": value})


@needs_the_real_one
def test_own_header_names_are_used_as_in_jaeger_client() -> None:
    found = []
    for base in BOTH:
        of = tracer_of(base, trace_id_header="Trace_Id", baggage_header_prefix="Bag_", debug_id_header="Debug_Me")
        read = of.extract(Format.HTTP_HEADERS, {"trace-id": "1:2:0:1", "Bag-K": "v"})
        forced = of.start_span("op", child_of=of.extract(Format.TEXT_MAP, {"debug-me": "why"}))
        headers: dict[str, str] = {}
        of.inject(read, Format.HTTP_HEADERS, headers)
        found.append((told(read), forced.flags, "trace-id" in headers, headers["bag-k"]))
    assert found[0] == found[1]


def test_context_to_string_of_a_span_is_what_code_logs() -> None:
    context = SpanContext(0xABC, 0xDEF, 0x123, 1)
    assert (
        span_context_to_string(context.trace_id, context.span_id, context.parent_id, context.flags) == "abc:def:123:1"
    )  # type: ignore[arg-type]


@needs_the_real_one
@pytest.mark.parametrize("alone", ["X-B3-TraceId", "X-B3-SpanId"])
def test_one_b3_id_alone_is_nothing_as_in_jaeger_client(alone: str) -> None:
    for base in BOTH:
        assert codec(base, "B3Codec").extract({alone: "1", "X-B3-Sampled": "1"}) is None
        with pytest.raises(SpanContextCorruptedException):
            codec(base, "B3Codec").extract({alone: "x", "X-B3-Sampled": "1"})
