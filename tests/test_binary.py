"""Jaeger's BINARY layout, and the live jaeger-client as the other side."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ot_bridge.codecs.binary import decode, encode
from ot_bridge.codecs.wire import WireContext

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
SPAN_ID = 0xB7AD6B7169203331
WIRE = WireContext(TRACE_ID, SPAN_ID, sampled=True, format="binary")

trace_ids = st.integers(1, (1 << 128) - 1)
span_ids = st.integers(1, (1 << 64) - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
bags = st.dictionaries(texts.filter(bool), texts, max_size=5)


def header(*, trace_id: int = TRACE_ID, span_id: int = SPAN_ID, flags: int = 1, count: int = 0) -> bytes:
    return struct.pack(">QQQQBi", trace_id >> 64, trace_id & (2**64 - 1), span_id, 0, flags, count)


def item(key: bytes, value: bytes) -> bytes:
    return struct.pack(">i", len(key)) + key + struct.pack(">i", len(value)) + value


def test_layout_is_that_of_jaeger() -> None:
    assert encode(WIRE._replace(baggage={"k": "\N{EURO SIGN}"})) == header(count=1) + item(b"k", b"\xe2\x82\xac")


@pytest.mark.parametrize(
    ("byte", "sampled", "debug"),
    [(0, False, False), (1, True, False), (2, False, False), (3, True, True), (255, True, True)],
)
def test_flags_count_by_their_two_bits(byte: int, sampled: bool, debug: bool) -> None:
    assert decode(header(flags=byte)) == WIRE._replace(sampled=sampled, debug=debug)


@pytest.mark.parametrize(
    ("sampled", "debug", "byte"), [(False, False, 0), (True, False, 1), (True, True, 3), (False, True, 0)]
)
def test_debug_is_never_written_without_sampled(sampled: bool, debug: bool, byte: int) -> None:
    assert encode(WIRE._replace(sampled=sampled, debug=debug)) == header(flags=byte)


def test_64_bit_trace_id_has_a_high_half_of_zero() -> None:
    assert decode(encode(WIRE._replace(trace_id=0xABC))) == WIRE._replace(trace_id=0xABC)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        header()[:-1],
        header(count=1),
        header(count=-1),
        header(count=2) + item(b"k", b"v"),
        header(count=181) + item(b"k", b"v") * 181,
        header(count=2**31 - 1),
        header(count=1) + struct.pack(">i", -1) + b"k",
        header(count=1) + struct.pack(">i", 2**31 - 1) + b"k",
        header(count=1) + item(b"k", b"vvvv")[:-1],
        header(count=1) + item(b"k", b"v" * 4096),
        header(trace_id=0),
        header(span_id=0),
    ],
    ids=[
        "empty",
        "short",
        "no-item",
        "negative-count",
        "missing-item",
        "too-many-items",
        "absurd-count",
        "negative-length",
        "absurd-length",
        "cut-value",
        "long-pair",
        "no-trace-id",
        "no-span-id",
    ],
)
def test_corrupted_bytes_are_no_context(data: bytes) -> None:
    assert decode(data) is None


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_read(kind: Any) -> None:
    assert decode(kind(header())) == WIRE


def test_bytes_behind_the_last_item_are_ignored_as_jaeger_client_does() -> None:
    assert decode(header() + b"\0" * 100) == WIRE


def test_text_that_is_not_utf_8_is_replaced() -> None:
    assert decode(header(count=1) + item(b"k", b"\xff")) == WIRE._replace(baggage={"k": "\ufffd"})


def test_baggage_survives_bad_ids() -> None:
    assert decode(header(span_id=0, count=1) + item(b"k", b"v")) == WireContext(baggage={"k": "v"})


def test_container_is_written_with_ids_of_zero() -> None:
    container = WireContext(baggage={"k": "v"})
    assert encode(container) == header(trace_id=0, span_id=0, flags=0, count=1) + item(b"k", b"v")
    assert decode(encode(container)) == container


@pytest.mark.parametrize(
    "wire", [WIRE._replace(trace_id=1 << 128), WIRE._replace(span_id=-1)], ids=["wide", "negative"]
)
def test_ids_out_of_range_are_written_as_none(wire: WireContext) -> None:
    assert encode(wire) == header(trace_id=0, span_id=0, flags=0)


def test_items_that_a_reader_would_refuse_are_left_out() -> None:
    baggage: Any = {"": "v", "long": "v" * 4093, "n": None, "k": "v", "s": "\udc80", "i": 1}
    assert decode(encode(WIRE._replace(baggage=baggage))) == WIRE._replace(baggage={"k": "v", "s": "?", "i": "1"})
    many = decode(encode(WIRE._replace(baggage={str(n): "v" for n in range(200)})))
    assert many is not None
    assert len(many.baggage) == 180


@settings(deadline=None)
@given(trace_ids, span_ids, st.sampled_from([0, 1, 3]), bags)
def test_what_is_written_is_read(trace_id: int, span_id: int, flags: int, baggage: dict[str, str]) -> None:
    wire = WireContext(trace_id, span_id, flags > 0, flags == 3, baggage=baggage, format="binary")
    assert decode(encode(wire)) == wire


@settings(deadline=None)
@given(st.binary(max_size=200) | st.builds(lambda rest: header(count=2) + rest, st.binary(max_size=60)))
def test_no_bytes_make_decode_raise(data: bytes) -> None:
    wire = decode(data)
    assert wire is None or decode(encode(wire)) == wire


@settings(deadline=None)
@given(trace_ids, span_ids, st.sampled_from([0, 1, 3]), bags)
def test_jaeger_client_reads_what_the_bridge_writes(
    trace_id: int, span_id: int, flags: int, baggage: dict[str, str]
) -> None:
    codecs = pytest.importorskip("jaeger_client.codecs")
    wire = WireContext(trace_id, span_id, flags > 0, flags == 3, baggage=baggage)
    context = codecs.BinaryCodec().extract(bytearray(encode(wire)))
    assert (context.trace_id, context.span_id, context.flags, context.baggage) == (trace_id, span_id, flags, baggage)


@settings(deadline=None)
@given(trace_ids, span_ids, st.none() | span_ids, st.sampled_from([0, 1, 3]), bags)
def test_the_bridge_reads_what_jaeger_client_writes(
    trace_id: int, span_id: int, parent_id: int | None, flags: int, baggage: dict[str, str]
) -> None:
    jaeger_client = pytest.importorskip("jaeger_client")
    codecs = pytest.importorskip("jaeger_client.codecs")
    carrier = bytearray()
    codecs.BinaryCodec().inject(jaeger_client.SpanContext(trace_id, span_id, parent_id, flags, baggage), carrier)
    expected = WireContext(trace_id, span_id, flags > 0, flags == 3, baggage=baggage, format="binary")
    assert decode(carrier) == expected
