"""B3, in one header and in several, beyond the vectors; and jaeger-client's B3 as the other side."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ot_bridge.codecs.wire import WireContext
from ot_bridge.propagator import MixedFleetPropagator

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
IDS = (int(TRACE, 16), int(SPAN, 16))
MULTI = {"X-B3-TraceId": TRACE, "X-B3-SpanId": SPAN}

trace_ids = st.integers(1, (1 << 128) - 1)
span_ids = st.integers(1, (1 << 64) - 1)


def read(headers: dict[str, Any]) -> WireContext | None:
    return MixedFleetPropagator(["b3"]).read(headers.items(), http=True).context


@pytest.mark.parametrize(
    ("decision", "sampled", "debug"),
    [
        ("", False, False),
        ("-0", False, False),
        ("-1", True, False),
        ("-d", True, True),
        ("-true", True, False),
        ("-false", False, False),
        ("-x", False, False),
        ("-1-zz", True, False),
        ("-1 ", True, False),
    ],
    ids=repr,
)
def test_decision_of_the_single_header(decision: str, sampled: bool, debug: bool) -> None:
    assert read({"b3": f"{TRACE}-{SPAN}{decision}"}) == WireContext(*IDS, sampled, debug, format="b3")


@pytest.mark.parametrize(
    "value",
    [
        "",
        TRACE,
        f"{TRACE}-{SPAN}-1-2-3",
        f"{'0' * 32}-{SPAN}-1",
        f"{TRACE}-{'0' * 16}-1",
        f"{TRACE}0-{SPAN}-1",
        f"{TRACE}-{SPAN}0-1",
        f"0x1-{SPAN}-1",
        f"{TRACE}-{SPAN}-1\n",
        f"{TRACE}--1",
    ],
    ids=ascii,
)
def test_malformed_single_header_is_no_context(value: str) -> None:
    reading = MixedFleetPropagator(["b3"]).read([("b3", value)], http=True)
    assert (reading.context, len(reading.malformed)) == (None, 1)


@pytest.mark.parametrize("value", ["0", "1", "d", " 1 "])
def test_decision_alone_is_neither_context_nor_malformed(value: str) -> None:
    reading = MixedFleetPropagator(["b3"]).read([("b3", value)], http=True)
    assert (reading.context, reading.malformed) == (None, ())


def test_single_header_wins_over_several() -> None:
    wire = read({**MULTI, "X-B3-Sampled": "0", "b3": "abc-def-1"})
    assert wire == WireContext(0xABC, 0xDEF, sampled=True, format="b3")


@pytest.mark.parametrize(
    ("more", "sampled", "debug"),
    [
        ({}, False, False),
        ({"X-B3-Sampled": "1"}, True, False),
        ({"X-B3-Sampled": 1}, True, False),
        ({"X-B3-Sampled": "TRUE"}, True, False),
        ({"X-B3-Sampled": "0"}, False, False),
        ({"X-B3-Sampled": "yes"}, False, False),
        ({"X-B3-Flags": "1"}, True, True),
        ({"X-B3-Flags": "0"}, False, False),
        ({"X-B3-ParentSpanId": "zz"}, False, False),
    ],
    ids=str,
)
def test_decision_of_several_headers(more: dict[str, Any], sampled: bool, debug: bool) -> None:
    assert read({**MULTI, **more}) == WireContext(*IDS, sampled, debug, format="b3multi")


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({**MULTI, "X-B3-TraceId": "0" * 32}, "x-b3-traceid"),
        ({**MULTI, "X-B3-TraceId": TRACE + "0"}, "x-b3-traceid"),
        ({**MULTI, "X-B3-TraceId": [TRACE, "abc"]}, "x-b3-traceid"),
        ({"X-B3-SpanId": SPAN}, "x-b3-traceid"),
        ({"X-B3-TraceId": TRACE}, "x-b3-spanid"),
        ({**MULTI, "X-B3-SpanId": "-1"}, "x-b3-spanid"),
        ({**MULTI, "X-B3-Sampled": ["0", "1"]}, "x-b3-sampled"),
    ],
    ids=str,
)
def test_malformed_header_of_several_is_named(headers: dict[str, Any], named: str) -> None:
    (sentence,) = MixedFleetPropagator(["b3multi"]).read(headers.items(), http=True).malformed
    assert sentence.startswith(f"cannot read header '{named}': got ")


def test_decision_of_several_headers_without_ids_is_nothing() -> None:
    assert read({"X-B3-Sampled": "1", "X-B3-Flags": "1"}) is None


def test_baggage_of_go_and_java_is_read_raw() -> None:
    wire = read({**MULTI, "baggage-User": "a%20b+c", "Baggage-k": "v"})
    assert wire == WireContext(*IDS, format="b3multi", baggage={"user": "a%20b+c", "k": "v"})


def test_single_header_carries_no_baggage_when_written() -> None:
    wire = WireContext(*IDS, sampled=True, debug=True, baggage={"k": "v"})
    assert MixedFleetPropagator(inject=["b3"]).write(wire, http=True) == [("b3", f"{TRACE}-{SPAN}-d")]


@settings(deadline=None)
@given(trace_ids, span_ids, st.sampled_from([0, 1, 3]))
def test_jaeger_client_reads_what_the_bridge_writes(trace_id: int, span_id: int, flags: int) -> None:
    codecs = pytest.importorskip("jaeger_client.codecs")
    wire = WireContext(trace_id, span_id, flags > 0, flags == 3)
    context = codecs.B3Codec().extract(dict(MixedFleetPropagator(inject=["b3multi"]).write(wire, http=True)))
    assert (context.trace_id, context.span_id, context.flags) == (trace_id, span_id, flags)


@settings(deadline=None)
@given(trace_ids, span_ids, st.none() | span_ids, st.sampled_from([0, 1, 3]), st.booleans())
def test_the_bridge_reads_what_jaeger_client_writes(
    trace_id: int, span_id: int, parent_id: int | None, flags: int, wide: bool
) -> None:
    jaeger_client = pytest.importorskip("jaeger_client")
    codecs = pytest.importorskip("jaeger_client.codecs")
    headers: dict[str, Any] = {}
    codecs.B3Codec(wide).inject(jaeger_client.SpanContext(trace_id, span_id, parent_id, flags), headers)
    assert read(headers) == WireContext(trace_id, span_id, flags > 0, flags == 3, format="b3multi")
