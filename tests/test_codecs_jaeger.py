"""Jaeger's headers, beyond the vectors; and the live jaeger-client as the other side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ot_bridge import telemetry
from ot_bridge.codecs.codec import Options
from ot_bridge.codecs.jaeger import JaegerCodec
from ot_bridge.codecs.wire import WireContext
from ot_bridge.config import Settings
from ot_bridge.propagator import MixedFleetPropagator

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
SPAN_ID = 0xB7AD6B7169203331
UBER = "0af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:1"

trace_ids = st.integers(1, (1 << 128) - 1)
span_ids = st.integers(1, (1 << 64) - 1)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=30)
# jaeger-client sends any key as it is; it reads them in lower case.
lower_keys = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1, max_size=20)


def read(headers: Mapping[str, Any], *, http: bool = True) -> WireContext | None:
    return MixedFleetPropagator(["jaeger"]).read(headers.items(), http=http).context


def write(wire: WireContext, *, http: bool = True) -> dict[str, str]:
    return dict(MixedFleetPropagator(inject=["jaeger"]).write(wire, http=http))


@pytest.mark.parametrize("digit", "0123456789abcdefABCDEF")
def test_flags_mean_the_same_in_one_digit_and_in_two(digit: str) -> None:
    sampled, debug = int(digit, 16) & 1 == 1, int(digit, 16) & 3 == 3
    for flags in (digit, "0" + digit, "F" + digit):
        wire = read({"uber-trace-id": UBER[:-1] + flags})
        assert wire is not None
        assert (wire.sampled, wire.debug) == (sampled, debug)


@pytest.mark.parametrize("trace_id", ["0af7651916cd43dd 8448eb211c80319c", "0af\t1", "+a", "a_b", "٣", "0X1"])
def test_id_that_int_would_take_is_malformed(trace_id: str) -> None:
    reading = MixedFleetPropagator(["jaeger"]).read([("uber-trace-id", f"{trace_id}:1:0:1")], http=True)
    assert (reading.context, len(reading.malformed)) == (None, 1)


def test_malformed_header_says_where_what_and_what_was_wanted() -> None:
    (sentence,) = MixedFleetPropagator(["jaeger"]).read([("uber-trace-id", "-1:2:0:1")], http=True).malformed
    wanted = "{trace}:{span}:{parent}:{flags}, hex, non-zero ids"
    assert sentence == f"cannot read header 'uber-trace-id': got '-1:2:0:1', expected {wanted}"


def test_malformed_header_is_cut_in_the_sentence() -> None:
    (sentence,) = MixedFleetPropagator(["jaeger"]).read([("uber-trace-id", "x" * 100_000)], http=True).malformed
    assert len(sentence) < 250


@pytest.mark.parametrize("http", [True, False], ids=["http", "text"])
def test_values_of_text_map_are_raw_both_ways(http: bool) -> None:
    headers = write(WireContext(baggage={"k": "a b+%20"}), http=http)
    assert headers == {"uberctx-k": "a%20b%2B%2520" if http else "a b+%20"}
    assert read(headers, http=http) == WireContext(baggage={"k": "a b+%20"})


@pytest.mark.parametrize("value", ["a\rb", "a\nb", "a\0b", "a\r\nX-Evil: 1"], ids=repr)
def test_text_map_value_that_could_end_a_header_is_dropped_and_counted(value: str) -> None:
    assert write(WireContext(baggage={"bad": value, "ok": "1"}), http=False) == {"uberctx-ok": "1"}
    assert telemetry.snapshot()["baggage.dropped.value"] == 1


def test_keys_that_collide_in_lower_case_are_counted() -> None:
    assert write(WireContext(baggage={"UserId": "a", "USERID": "b"})) == {"uberctx-userid": "a"}
    assert telemetry.snapshot()["baggage.dropped.collision"] == 1


def test_header_names_can_be_configured_as_in_jaeger_client() -> None:
    propagator = MixedFleetPropagator(
        ["jaeger"],
        ["jaeger"],
        settings=Settings(
            trace_id_header="X_Trace",
            baggage_header_prefix="X_Bag_",
            debug_id_header="X_Debug",
            baggage_header="X_Baggage",
        ),
    )
    wire = WireContext(TRACE_ID, SPAN_ID, sampled=True, baggage={"k": "v"})
    assert propagator.write(wire, http=True) == [("x-trace", UBER), ("x-bag-k", "v")]
    headers = [("X-Trace", UBER), ("x-bag-K", "v"), ("x-baggage", "a=b"), ("X-DEBUG", "id")]
    expected = WireContext(
        TRACE_ID, SPAN_ID, sampled=True, baggage={"k": "v", "a": "b"}, debug_id="id", format="jaeger"
    )
    assert propagator.read(headers, http=True).context == expected
    assert propagator.read([("uber-trace-id", UBER), ("uberctx-k", "v")], http=True).context is None


def test_prefix_is_cut_off_the_front_only() -> None:
    assert read({"uberctx-a-uberctx-b": "v"}) == WireContext(baggage={"a-uberctx-b": "v"})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("k1 = v1 , K2=v 2", {"k1": "v1", "K2": "v 2"}),
        ("k1=v1%2Ck2=v2", {"k1": "v1", "k2": "v2"}),
        ("k=a+b", {"k": "a+b"}),
        ("k=", {"k": ""}),
        ("=v", {}),
    ],
    ids=repr,
)
def test_baggage_by_hand_is_trimmed_and_percent_decoded(value: str, expected: dict[str, str]) -> None:
    wire = read({"jaeger-baggage": value, "jaeger-debug-id": "x"})
    assert wire is not None
    assert dict(wire.baggage) == expected


def test_several_lines_of_baggage_by_hand_are_one_list() -> None:
    reading = MixedFleetPropagator(["jaeger"]).read(
        [("jaeger-baggage", "a=1"), ("Jaeger-Baggage", ["b=2", "c=3"])], http=True
    )
    assert reading.context == WireContext(baggage={"a": "1", "b": "2", "c": "3"})


@pytest.mark.parametrize(
    ("http", "value", "expected"),
    [
        (True, "a%20b", "a b"),
        (False, "a%20b", "a%20b"),
        (True, "a+b", "a+b"),
        (True, " id ", "id"),
        (True, [b"id", "id"], "id"),
    ],
)
def test_debug_id_is_decoded_in_http_only(http: bool, value: Any, expected: str) -> None:
    assert read({"jaeger-debug-id": value}, http=http) == WireContext(debug_id=expected)


def test_several_debug_ids_are_none_and_counted() -> None:
    assert read({"jaeger-debug-id": ["a", "b"]}) is None
    assert telemetry.snapshot() == {"extract.debug_id_dropped": 1}


def test_decode_is_pure() -> None:
    notes: list[str] = []
    assert JaegerCodec(Options()).decode({"uber-trace-id": UBER}, notes) == WireContext(
        TRACE_ID, SPAN_ID, sampled=True, format="jaeger"
    )
    assert (notes, telemetry.snapshot()) == ([], {})


@settings(deadline=None)
@given(trace_ids, span_ids, st.sampled_from([0, 1, 3]), st.dictionaries(lower_keys, texts, max_size=4), st.booleans())
def test_jaeger_client_reads_what_the_bridge_writes(
    trace_id: int, span_id: int, flags: int, baggage: dict[str, str], http: bool
) -> None:
    codecs = pytest.importorskip("jaeger_client.codecs")
    headers = write(WireContext(trace_id, span_id, flags > 0, flags == 3, baggage=baggage), http=http)
    context = codecs.TextCodec(url_encoding=http).extract(headers)
    assert (context.trace_id, context.span_id, context.parent_id, context.flags, context.baggage) == (
        trace_id, span_id, None, flags, baggage,
    )  # fmt: skip


@settings(deadline=None)
@given(
    trace_ids,
    span_ids,
    st.none() | span_ids,
    st.sampled_from([0, 1, 3]),
    st.dictionaries(lower_keys, texts, max_size=4),
    st.booleans(),
)
def test_the_bridge_reads_what_jaeger_client_writes(
    trace_id: int, span_id: int, parent_id: int | None, flags: int, baggage: dict[str, str], http: bool
) -> None:
    jaeger_client = pytest.importorskip("jaeger_client")
    codecs = pytest.importorskip("jaeger_client.codecs")
    headers: dict[str, str] = {}
    context = jaeger_client.SpanContext(trace_id, span_id, parent_id, flags, baggage)
    codecs.TextCodec(url_encoding=http).inject(context, headers)
    expected = WireContext(trace_id, span_id, flags > 0, flags == 3, baggage=baggage, format="jaeger")
    assert read(headers, http=http) == expected
