"""W3C Trace Context, beyond the vectors; and OpenTelemetry's propagator as the other side."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ot_bridge import telemetry
from ot_bridge.codecs.tracecontext import members_of, with_debug
from ot_bridge.codecs.wire import WireContext
from ot_bridge.propagator import MixedFleetPropagator

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
SPAN_ID = 0xB7AD6B7169203331
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SAMPLED = WireContext(TRACE_ID, SPAN_ID, sampled=True, format="tracecontext")

trace_ids = st.integers(1, (1 << 128) - 1)
span_ids = st.integers(1, (1 << 64) - 1)
member_keys = st.from_regex(r"[a-z][a-z0-9_\-*/]{0,10}(@[a-z][a-z0-9]{0,5})?", fullmatch=True)
member_values = st.from_regex(r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,10}[\x21-\x2b\x2d-\x3c\x3e-\x7e]", fullmatch=True)
states = st.dictionaries(member_keys, member_values, max_size=32)


def read(*items: tuple[Any, Any]) -> WireContext | None:
    return MixedFleetPropagator(["tracecontext"]).read(items, http=True).context


def write(wire: WireContext) -> dict[str, str]:
    return dict(MixedFleetPropagator(inject=["tracecontext"]).write(wire, http=True))


@pytest.mark.parametrize(
    "value",
    [
        PARENT + "\n",
        PARENT + "-",
        PARENT + "," + PARENT,
        "ff" + PARENT[2:],
        "FE" + PARENT[2:],
        "0" + PARENT,
        PARENT.replace("-", "_"),
        PARENT[:-2],
        "cc" + PARENT[2:] + "x",
        "cc" + PARENT[2:] + "-a\nb",
        "00-" + "0" * 32 + PARENT[35:],
        "00-٣af7651916cd43dd8448eb211c80319c" + PARENT[35:],
    ],
    ids=ascii,
)
def test_malformed_traceparent_is_no_context(value: str) -> None:
    reading = MixedFleetPropagator(["tracecontext"]).read([("traceparent", value)], http=True)
    assert (reading.context, len(reading.malformed)) == (None, 1)


@pytest.mark.parametrize("value", ["cc" + PARENT[2:], "cc" + PARENT[2:] + "-what", "fe" + PARENT[2:] + "-"], ids=str)
def test_later_version_is_read_by_its_beginning(value: str) -> None:
    assert read(("traceparent", value)) == SAMPLED


def test_two_different_lines_of_traceparent_are_malformed() -> None:
    assert read(("traceparent", PARENT), ("Traceparent", PARENT[:-1] + "0")) is None
    assert telemetry.snapshot() == {"extract.malformed.tracecontext": 1}


def test_equal_lines_of_traceparent_are_one() -> None:
    assert read(("traceparent", PARENT), ("Traceparent", PARENT)) == SAMPLED


def test_list_of_equal_values_is_one_line() -> None:
    assert read(("traceparent", [PARENT, PARENT])) == SAMPLED


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("a=1,a=2,b=3", "a=1,b=3"),
        ("a=1\t ,\t b=2", "a=1,b=2"),
        (",", ""),
        ("a=", ""),
        ("a=1,b", ""),
        ("a b=1", ""),
        ("a@=1", ""),
        ("@a=1", ""),
        ("a@b@c=1", ""),
        ("a" * 256 + "=1", "a" * 256 + "=1"),
        ("a" * 257 + "=1", ""),
        ("a=\N{EURO SIGN}", ""),
        ("a=1\r\nX-Evil: 1", ""),
        (",".join(f"k{n}=1" for n in range(33)), ""),
        (",".join(f"k{n}={'v' * 256}" for n in range(32)), ""),
    ],
    ids=lambda text: ascii(text)[:40],
)
def test_tracestate_is_kept_whole_or_dropped_whole(state: str, expected: str) -> None:
    assert read(("traceparent", PARENT), ("tracestate", state)) == SAMPLED._replace(tracestate=expected)
    dropped = telemetry.snapshot().get("extract.tracestate_dropped", 0)
    assert dropped == (0 if expected or state == "," else 1)


@pytest.mark.parametrize(
    ("flags", "state", "debug"),
    [
        ("01", "jaeger=d:1", True),
        ("03", "a=1,jaeger=d:1", True),
        ("00", "jaeger=d:1", False),
        ("02", "jaeger=d:1", False),
        ("01", "jaeger=d:0", False),
        ("01", "a@jaeger=d:1", False),
    ],
)
def test_debug_is_read_from_the_tracestate_of_a_sampled_parent(flags: str, state: str, debug: bool) -> None:
    wire = read(("traceparent", PARENT[:-2] + flags), ("tracestate", state))
    assert wire is not None
    assert (wire.debug, wire.tracestate) == (debug, state)


@pytest.mark.parametrize(
    ("state", "debug", "expected"),
    [
        ("", True, "jaeger=d:1"),
        ("a=1", True, "jaeger=d:1,a=1"),
        ("a=1,jaeger=d:1,b=2", True, "jaeger=d:1,a=1,b=2"),
        ("jaeger=theirs,a=1", True, "jaeger=d:1,a=1"),
        ("jaeger=d:1,a=1", False, "a=1"),
        ("jaeger=d:1", False, ""),
        ("jaeger=theirs", False, "jaeger=theirs"),
        (",".join(f"k{n}=1" for n in range(32)), True, ",".join(["jaeger=d:1", *(f"k{n}=1" for n in range(31))])),
        (",".join(f"k{n}=1" for n in range(40)), False, ",".join(f"k{n}=1" for n in range(32))),
    ],
    ids=lambda value: str(value)[:30],
)
def test_debug_member_is_written_in_front_or_removed(state: str, debug: bool, expected: str) -> None:
    headers = write(SAMPLED._replace(tracestate=state, debug=debug))
    assert headers == {"traceparent": PARENT, **({"tracestate": expected} if expected else {})}


def test_debug_without_sampled_is_not_written() -> None:
    wire = SAMPLED._replace(sampled=False, debug=True, tracestate="jaeger=d:1")
    assert write(wire) == {"traceparent": PARENT[:-1] + "0"}


@pytest.mark.parametrize("state", ["a=1\r\nX-Evil: 1", "no member", "a=\0", "A=1"], ids=ascii)
def test_malformed_tracestate_is_never_written(state: str) -> None:
    assert write(SAMPLED._replace(tracestate=state)) == {"traceparent": PARENT}
    assert telemetry.snapshot() == {"inject.tracecontext": 1, "inject.tracestate_dropped": 1}


@pytest.mark.parametrize(("sampled", "random", "flags"), [(0, 0, "00"), (1, 0, "01"), (0, 1, "02"), (1, 1, "03")])
def test_random_bit_is_kept_apart_from_debug(sampled: int, random: int, flags: str) -> None:
    wire = SAMPLED._replace(sampled=bool(sampled), random=bool(random))
    assert write(wire) == {"traceparent": PARENT[:-2] + flags}
    assert read(("traceparent", PARENT[:-2] + flags)) == wire


def test_members_are_limited_on_the_way_in_only() -> None:
    state = ",".join(f"k{n}=1" for n in range(40))
    assert members_of(state) is None
    assert len(with_debug(members_of(state, limited=False) or [], debug=False)) == 32


@settings(deadline=None)
@given(trace_ids, span_ids, st.booleans(), st.booleans(), states)
def test_opentelemetry_reads_what_the_bridge_writes(
    trace_id: int, span_id: int, sampled: bool, random: bool, state: dict[str, str]
) -> None:
    text = ",".join(f"{key}={value}" for key, value in state.items())
    headers = write(WireContext(trace_id, span_id, sampled, random=random, tracestate=text))
    span_context = get_current_span(TraceContextTextMapPropagator().extract(headers)).get_span_context()
    expected = SpanContext(trace_id, span_id, True, TraceFlags(sampled | random << 1), TraceState(list(state.items())))
    assert span_context == expected
    assert span_context.trace_state.to_header() == text


@settings(deadline=None)
@given(trace_ids, span_ids, st.booleans(), st.booleans(), states)
def test_the_bridge_reads_what_opentelemetry_writes(
    trace_id: int, span_id: int, sampled: bool, random: bool, state: dict[str, str]
) -> None:
    flags = TraceFlags(sampled | random << 1)
    span_context = SpanContext(trace_id, span_id, False, flags, TraceState(list(state.items())))
    headers: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(headers, set_span_in_context(NonRecordingSpan(span_context), Context()))
    text = ",".join(f"{key}={value}" for key, value in state.items())
    debug = sampled and state.get("jaeger") == "d:1"
    assert read(*headers.items()) == WireContext(trace_id, span_id, sampled, debug, random, text, format="tracecontext")
