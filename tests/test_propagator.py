"""The rules of a mixed fleet, and OpenTelemetry's side of the propagator."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import baggage as otel_baggage
from opentelemetry import propagate
from opentelemetry.context import Context, get_current
from opentelemetry.propagators.textmap import DefaultGetter, Getter, Setter, default_getter
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)

from hostile import Hostile
from ot_bridge import telemetry
from ot_bridge.codecs import CODECS
from ot_bridge.codecs.wire import WireContext
from ot_bridge.config import Settings
from ot_bridge.context import BridgeSpanContext
from ot_bridge.errors import ConfigError
from ot_bridge.propagator import MixedFleetPropagator, Reading, debug_id_of, from_env, trace_state_of

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
LOW = TRACE_ID & 0xFFFFFFFFFFFFFFFF
SPAN_ID = 0xB7AD6B7169203331
OTHER = 0x4BF92F3577B34DA6A3CE929D0E0E4736
UBER = f"{TRACE_ID:032x}:{SPAN_ID:016x}:0:1"
PARENT = f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-01"
EVERY = tuple(CODECS)
JAEGER = WireContext(TRACE_ID, SPAN_ID, sampled=True, format="jaeger")

trace_ids = st.integers(1, (1 << 128) - 1)
span_ids = st.integers(1, (1 << 64) - 1)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
lower_keys = st.text("abcdefgh0123-_.", min_size=1, max_size=10)
mixed_keys = st.text("abAB-", min_size=1, max_size=4)


def read(headers: Mapping[str, Any], extract: tuple[str, ...] = EVERY, *, http: bool = True) -> WireContext | None:
    return MixedFleetPropagator(extract).read(headers.items(), http=http).context


def counted(prefix: str) -> dict[str, int]:
    return {name: number for name, number in telemetry.snapshot().items() if name.startswith(prefix)}


class TestPrecedence:
    def test_order_of_the_setting_decides(self) -> None:
        headers = {"uber-trace-id": f"{OTHER:x}:1:0:1", "traceparent": PARENT}
        by_jaeger, by_w3c = read(headers, ("jaeger", "tracecontext")), read(headers, ("tracecontext", "jaeger"))
        assert by_jaeger == WireContext(OTHER, 1, sampled=True, format="jaeger")
        assert by_w3c == WireContext(TRACE_ID, SPAN_ID, sampled=True, format="tracecontext")

    def test_order_of_the_headers_does_not(self) -> None:
        headers = [
            ("uber-trace-id", f"{OTHER:x}:1:0:1"),
            ("traceparent", PARENT),
            ("uberctx-k", "a"),
            ("baggage", "k=b"),
        ]
        readings = {str(MixedFleetPropagator().read(order, http=True)) for order in itertools.permutations(headers)}
        assert len(readings) == 1

    @pytest.mark.parametrize("bad", ["garbage", "", ["a", "b"], b"\xff"], ids=repr)
    def test_malformed_header_never_hides_a_good_one(self, bad: Any) -> None:
        reading = MixedFleetPropagator().read([("uber-trace-id", bad), ("traceparent", PARENT)], http=True)
        assert reading.context == WireContext(TRACE_ID, SPAN_ID, sampled=True, format="tracecontext")
        assert len(reading.malformed) == 1

    def test_same_trace_takes_over_tracestate_and_random_bit(self) -> None:
        headers = {"uber-trace-id": f"{TRACE_ID:x}:1:0:0", "traceparent": PARENT[:-1] + "3", "tracestate": "a=1"}
        assert read(headers) == WireContext(TRACE_ID, 1, random=True, tracestate="a=1", format="jaeger")

    @pytest.mark.parametrize("header", ["jaeger", "b3", "b3multi", "ottrace"])
    def test_id_cut_by_an_old_hop_is_made_whole(self, header: str) -> None:
        headers = dict(MixedFleetPropagator(inject=[header]).write(WireContext(LOW, 1, sampled=True), http=True))
        wire = read({**headers, "traceparent": PARENT, "tracestate": "a=1"}, (header, "tracecontext"))
        assert wire == WireContext(TRACE_ID, 1, sampled=True, tracestate="a=1", format=header)
        assert counted("extract.conflict") == {}

    def test_other_trace_loses_its_tracestate_and_is_counted(self) -> None:
        headers = {"uber-trace-id": f"{OTHER:x}:1:0:1", "traceparent": PARENT[:-1] + "3", "tracestate": "a=1"}
        assert read(headers) == WireContext(OTHER, 1, sampled=True, format="jaeger")
        assert counted("extract.conflict") == {"extract.conflict": 1}

    def test_traceparent_that_lost_its_high_half_is_another_trace(self) -> None:
        headers = {"uber-trace-id": UBER, "traceparent": f"00-{LOW:032x}-{SPAN_ID:016x}-01", "tracestate": "a=1"}
        assert read(headers) == JAEGER
        assert counted("extract.conflict") == {"extract.conflict": 1}

    def test_ot_tracer_beside_its_own_trace_is_no_conflict(self) -> None:
        wire = WireContext(TRACE_ID, SPAN_ID, sampled=True)
        headers = dict(MixedFleetPropagator(inject=EVERY).write(wire, http=True))
        assert read(headers) == JAEGER
        ignored = {f"extract.ignored.{name}": 1 for name in ("tracecontext", "b3", "b3multi", "ottrace")}
        assert counted("extract") == {"extract.jaeger": 1, **ignored}

    def test_reading_tells_the_contexts_that_did_not_win(self) -> None:
        headers = {"uber-trace-id": UBER, "traceparent": PARENT, "b3": "garbage"}
        assert MixedFleetPropagator(EVERY).read(headers.items(), http=True) == Reading(
            JAEGER,
            ("cannot read header 'b3': got 'garbage', expected {trace}-{span}-{0|1|d}-{parent}, hex, non-zero ids",),
            (WireContext(TRACE_ID, SPAN_ID, sampled=True, format="tracecontext"),),
            ["extract.jaeger", "extract.ignored.tracecontext", "extract.malformed.b3"],
        )

    def test_formats_that_are_not_listed_are_not_read(self) -> None:
        headers = {"traceparent": PARENT, "baggage": "k=v", "b3": "abc-def-1", "ot-baggage-k": "v"}
        assert MixedFleetPropagator(["jaeger"]).read(headers.items(), http=True) == Reading()

    def test_nothing_listed_reads_and_writes_nothing(self) -> None:
        propagator = MixedFleetPropagator((), ())
        assert propagator.read([("uber-trace-id", UBER)], http=True) == Reading()
        assert (propagator.write(JAEGER, http=True), propagator.fields) == ([], set())


class TestDebug:
    @pytest.mark.parametrize(
        ("uber", "parent", "debug"),
        [("3", "01", True), ("1", "01", True), ("1", "00", False), ("0", "01", False)],
    )
    def test_tracestate_of_the_same_trace_can_set_debug(self, uber: str, parent: str, debug: bool) -> None:
        headers = {"uber-trace-id": UBER[:-1] + uber, "traceparent": PARENT[:-2] + parent, "tracestate": "jaeger=d:1"}
        if uber == "3":
            del headers["tracestate"]
        wire = read(headers)
        assert wire is not None
        assert wire.debug == debug

    def test_tracestate_of_another_trace_cannot(self) -> None:
        wire = read({"uber-trace-id": f"{OTHER:x}:1:0:1", "traceparent": PARENT, "tracestate": "jaeger=d:1"})
        assert wire == WireContext(OTHER, 1, sampled=True, format="jaeger")

    def test_debug_id_is_kept_beside_a_context(self) -> None:
        assert read({"uber-trace-id": UBER, "jaeger-debug-id": "x"}) == JAEGER._replace(debug_id="x")


class TestBaggage:
    def test_strongest_source_wins_each_key(self) -> None:
        headers = {
            "uberctx-a": "uberctx",
            "baggage": "a=w3c,b=w3c",
            "jaeger-baggage": "a=hand,b=hand,c=hand",
            **{f"baggage-{key}": "b3" for key in "abcd"},
            **{f"ot-baggage-{key}": "ot" for key in "abcde"},
        }
        expected = {"a": "uberctx", "b": "w3c", "c": "hand", "d": "b3", "e": "ot"}
        assert read(headers) == WireContext(baggage=expected)

    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({"uberctx-userid": "a", "baggage": "userId=a"}, {"userId": "a"}),
            ({"uberctx-userid": "b", "baggage": "userId=a"}, {"userId": "a", "userid": "b"}),
            ({"uberctx-userid": "a", "baggage": "userId=a,userid=b"}, {"userId": "a", "userid": "a"}),
            ({"ot-baggage-userid": "a", "baggage": "userId=a"}, {"userId": "a"}),
            ({"uberctx-userid": "a", "jaeger-baggage": "userId=a"}, {"userId": "a", "userid": "a"}),
        ],
        ids=str,
    )
    def test_lower_case_twin_is_merged_into_w3c_spelling(
        self, headers: dict[str, str], expected: dict[str, str]
    ) -> None:
        assert read(headers) == WireContext(baggage=expected)

    def test_items_that_cannot_be_sent_are_counted_and_warned_of_once(self, caplog: pytest.LogCaptureFixture) -> None:
        propagator = MixedFleetPropagator()
        for _ in range(3):
            assert propagator.write(WireContext(baggage={"a b": "1"}), http=True) == []
        assert counted("baggage") == {"baggage.dropped.key": 3}
        assert [record.levelno for record in caplog.records] == [logging.WARNING]

    def test_baggage_is_written_without_ids(self) -> None:
        headers = dict(MixedFleetPropagator(inject=EVERY).write(WireContext(baggage={"k": "v"}), http=True))
        assert headers == {"uberctx-k": "v", "baggage": "k=v", "ot-baggage-k": "v"}

    @pytest.mark.parametrize("ids", [(1 << 128, 1), (1, 1 << 64), (-1, 1), (1, 0), (0, 1)], ids=str)
    def test_ids_out_of_range_are_never_written(self, ids: tuple[int, int]) -> None:
        headers = MixedFleetPropagator(inject=EVERY).write(WireContext(*ids, baggage={"k": "v"}), http=True)
        assert {name for name, _ in headers} == {"uberctx-k", "baggage", "ot-baggage-k"}
        assert counted("inject") == {"inject.baggage": 1, "inject.invalid_ids": 1}


# --- properties ---------------------------------------------------------------------------------------------------

FULL_IDS = ("jaeger", "tracecontext", "b3", "b3multi")


@settings(deadline=None)
@given(
    trace_ids,
    span_ids,
    st.sampled_from([0, 1, 3]),
    st.booleans(),
    st.dictionaries(lower_keys, texts, max_size=4),
    st.lists(st.sampled_from(FULL_IDS), min_size=1, max_size=2, unique=True),
    st.booleans(),
)
def test_what_is_written_is_read(
    trace_id: int, span_id: int, flags: int, random: bool, baggage: dict[str, str], formats: list[str], http: bool
) -> None:
    random = random and "tracecontext" in formats
    wire = WireContext(trace_id, span_id, flags > 0, flags == 3, random, baggage=baggage)
    propagator = MixedFleetPropagator(formats, [*formats, "baggage"])
    reading = propagator.read(propagator.write(wire, http=http), http=http)
    state = "jaeger=d:1" if wire.debug and "tracecontext" in formats else ""
    kept = baggage if "tracecontext" in formats else {}
    if "jaeger" in formats and not kept:
        kept = {key: text for key, text in baggage.items() if http or not set(text) & set("\r\n\0")}
    winner = "b3" if set(formats) == {"b3", "b3multi"} else formats[0]
    notes = [f"extract.{winner}", *(f"extract.ignored.{other.format}" for other in reading.others)]
    assert reading == Reading(wire._replace(tracestate=state, baggage=kept, format=winner), (), reading.others, notes)


@settings(deadline=None)
@given(trace_ids.filter(lambda number: number % (1 << 64)), span_ids, st.booleans())
def test_ot_tracer_carries_the_low_half(trace_id: int, span_id: int, sampled: bool) -> None:
    propagator = MixedFleetPropagator(["ottrace"], ["ottrace"])
    wire = propagator.read(propagator.write(WireContext(trace_id, span_id, sampled), http=True), http=True).context
    assert wire == WireContext(trace_id % (1 << 64), span_id, sampled, format="ottrace")


@settings(deadline=None)
@given(st.dictionaries(mixed_keys, texts, max_size=5), st.booleans())
def test_keys_of_any_case_come_back_as_they_went(baggage: dict[str, str], http: bool) -> None:
    propagator = MixedFleetPropagator()
    wire = propagator.read(propagator.write(WireContext(baggage=baggage), http=http), http=http).context
    assert (dict(wire.baggage) if wire else {}) == baggage


NAMES = [
    "uber-trace-id", "Uberctx-K", "uberctx-", "jaeger-debug-id", "jaeger-baggage", "traceparent", "TraceState",
    "baggage", "b3", "X-B3-TraceId", "x-b3-spanid", "x-b3-sampled", "x-b3-flags", "baggage-k", "ot-tracer-traceid",
    "ot-tracer-spanid", "ot-tracer-sampled", "ot-baggage-k", b"uber-trace-id", b"\xff",
]  # fmt: skip
near_values = st.sampled_from(
    [UBER, UBER.replace(":", "%3A"), PARENT, "a=1,b=2", "abc-def-d", "abc", "1", "true", "k=v;p"]
)
any_text = st.text(max_size=20)  # lone surrogates and control characters too
scalars = st.one_of(
    near_values,
    any_text,
    st.binary(max_size=20),
    st.none(),
    st.integers(),
    st.floats(),
    st.builds(Hostile),
    st.just(10**5000),
)
values = st.one_of(scalars, st.lists(scalars, max_size=3), st.tuples(scalars, scalars))
names = st.one_of(st.sampled_from(NAMES), any_text, scalars)
any_items = st.lists(st.one_of(st.tuples(names, values), scalars), max_size=8)
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
VISIBLE = re.compile(r"[\x20-\x7e]*")


def assert_safe(headers: list[tuple[str, str]], *, http: bool) -> None:
    for name, value in headers:
        assert TOKEN.fullmatch(name)
        assert VISIBLE.fullmatch(value) if http else not set(value) & set("\r\n\0")
        value.encode("utf-8")


@settings(deadline=None, max_examples=300)
@given(any_items, st.booleans())
def test_no_carrier_makes_read_raise_nor_write_unsafe_headers(items: list[Any], http: bool) -> None:
    telemetry.reset()
    propagator = MixedFleetPropagator(EVERY, EVERY)
    reading = propagator.read(items, http=http)
    if reading.context is not None:
        assert_safe(propagator.write(reading.context, http=http), http=http)
    assert not {"extract.gave_up", "inject.gave_up"} & set(telemetry.snapshot())


any_baggage = st.dictionaries(
    st.one_of(any_text, st.integers(), st.binary(max_size=5)), st.one_of(any_text, scalars), max_size=5
)


@settings(deadline=None)
@given(st.integers(), st.integers(), st.booleans(), st.booleans(), any_text, any_baggage, st.booleans())
def test_no_context_makes_write_raise_or_unsafe(
    trace_id: int, span_id: int, sampled: bool, debug: bool, state: str, baggage: dict[Any, Any], http: bool
) -> None:
    telemetry.reset()
    wire = WireContext(trace_id, span_id, sampled, debug, tracestate=state, baggage=baggage)
    assert_safe(MixedFleetPropagator(EVERY, EVERY).write(wire, http=http), http=http)
    assert "inject.gave_up" not in telemetry.snapshot()


def test_object_that_is_no_context_is_given_up_and_counted() -> None:
    nothing: Any = object()
    assert MixedFleetPropagator().write(nothing, http=True) == []
    assert counted("inject") == {"inject.gave_up": 1}


class HostileList(list[str]):
    """A list that cannot be iterated."""

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("no items")


def test_value_that_defeats_the_reader_is_given_up_and_counted() -> None:
    headers = {"uber-trace-id": HostileList(), "traceparent": PARENT}
    before = Context()
    assert MixedFleetPropagator().read(headers.items(), http=True) == Reading()
    assert MixedFleetPropagator().extract(headers, before, PlainGetter()) is before
    assert counted("extract") == {"extract.gave_up": 2}


# --- OpenTelemetry's side -----------------------------------------------------------------------------------------


class CaselessGetter(Getter[Any]):
    """As those of web frameworks: every spelling of a name finds the lines of one header."""

    def get(self, carrier: Any, key: str) -> list[str] | None:
        return [value for name, value in carrier if name.lower() == key.lower()] or None

    def keys(self, carrier: Any) -> list[str]:
        return [name for name, _ in carrier]


class PlainGetter(Getter[Any]):
    """Hands out what the carrier holds, as it is."""

    def get(self, carrier: Any, key: str) -> list[str] | None:
        return carrier.get(key)  # type: ignore[no-any-return]

    def keys(self, carrier: Any) -> list[str]:
        return list(carrier)


class NoKeysGetter(DefaultGetter):
    """Cannot list its keys."""

    def keys(self, carrier: Any) -> list[str]:
        raise NotImplementedError


class BrokenGetter(Getter[Any]):
    """Raises at every turn."""

    def get(self, carrier: Any, key: str) -> list[str] | None:
        raise RuntimeError("get")

    def keys(self, carrier: Any) -> list[str]:
        raise RuntimeError("keys")


def span_context(context: Context) -> SpanContext:
    return get_current_span(context).get_span_context()


def remote(trace_id: int = TRACE_ID, flags: int = 1, state: str = "") -> SpanContext:
    members = [tuple(member.split("=")) for member in state.split(",") if member]
    return SpanContext(trace_id, SPAN_ID, True, TraceFlags(flags), TraceState(members))  # type: ignore[arg-type]


class TestExtract:
    @pytest.mark.parametrize(
        "headers",
        [{"uber-trace-id": UBER}, {"Uber-Trace-Id": UBER}, {"TRACEPARENT": PARENT}, {"Traceparent": [PARENT]}],
        ids=str,
    )
    def test_default_getter_finds_names_of_any_case(self, headers: dict[str, Any]) -> None:
        assert span_context(MixedFleetPropagator().extract(headers)) == remote()

    def test_caseless_getter_with_repeated_names(self) -> None:
        carrier = [
            ("Traceparent", PARENT),
            ("TraceState", "a=1"),
            ("tracestate", "b=2"),
            ("Baggage", "x=1"),
            ("baggage", "y=2"),
        ]
        context = MixedFleetPropagator().extract(carrier, getter=CaselessGetter())
        assert span_context(context) == remote(state="a=1,b=2")
        assert otel_baggage.get_all(context) == {"x": "1", "y": "2"}

    def test_caseless_getter_shows_two_lines_of_traceparent(self) -> None:
        carrier = [("traceparent", PARENT), ("traceparent", PARENT.replace("b7ad", "c7ad"))]
        assert MixedFleetPropagator().extract(carrier, getter=CaselessGetter()) == {}

    def test_getter_without_keys_is_asked_for_each_name(self) -> None:
        carrier = {"uber-trace-id": UBER, "baggage": "k=v"}
        context = MixedFleetPropagator().extract(carrier, getter=NoKeysGetter())
        assert (span_context(context), otel_baggage.get_all(context)) == (remote(), {"k": "v"})

    @pytest.mark.parametrize(
        "carrier", [None, 1, object(), {"traceparent": PARENT}], ids=["none", "int", "object", "dict"]
    )
    def test_broken_getter_leaves_the_context_as_it_is(self, carrier: Any) -> None:
        before = otel_baggage.set_baggage("k", "v", Context())
        assert MixedFleetPropagator().extract(carrier, before, BrokenGetter()) is before
        assert telemetry.snapshot()["extract.unreadable"] >= 1

    @pytest.mark.parametrize("carrier", [None, 1, object(), [1]], ids=["none", "int", "object", "list"])
    def test_carrier_that_is_none_leaves_the_context_as_it_is(self, carrier: Any) -> None:
        assert MixedFleetPropagator().extract(carrier) == {}

    @pytest.mark.parametrize("headers", [{}, {"traceparent": "bad"}, {"Accept": "*/*"}], ids=str)
    def test_without_a_context_the_given_one_comes_back(self, headers: dict[str, str]) -> None:
        before = set_span_in_context(NonRecordingSpan(remote(OTHER)), Context())
        assert MixedFleetPropagator().extract(headers, before) is before

    @pytest.mark.parametrize(
        ("headers", "expected"),
        [
            ({"uber-trace-id": UBER[:-1] + "0"}, remote(flags=0)),
            ({"uber-trace-id": UBER[:-1] + "3"}, remote(state="jaeger=d:1")),
            ({"traceparent": PARENT[:-1] + "3", "tracestate": "a=1"}, remote(flags=3, state="a=1")),
            ({"traceparent": PARENT[:-1] + "2", "tracestate": "a=1,jaeger=d:1"}, remote(flags=2, state="a=1")),
            (
                {"uber-trace-id": UBER[:-1] + "3", "traceparent": PARENT, "tracestate": "a=1"},
                remote(state="jaeger=d:1,a=1"),
            ),
            ({"uber-trace-id": f"{LOW:x}:{SPAN_ID:x}:0:1"}, remote(LOW)),
        ],
        ids=str,
    )
    def test_remote_span_context_is_complete(self, headers: dict[str, str], expected: SpanContext) -> None:
        found = span_context(MixedFleetPropagator().extract(headers))
        assert (found, list(found.trace_state.items())) == (expected, list(expected.trace_state.items()))

    def test_baggage_is_merged_over_what_is_there(self) -> None:
        before = otel_baggage.set_baggage("old", 1, otel_baggage.set_baggage("k", "before", Context()))
        context = MixedFleetPropagator().extract({"uberctx-k": "after"}, before)
        assert otel_baggage.get_all(context) == {"old": 1, "k": "after"}
        assert otel_baggage.get_all(before) == {"old": 1, "k": "before"}

    def test_baggage_without_ids_leaves_the_span(self) -> None:
        before = set_span_in_context(NonRecordingSpan(remote(OTHER)), Context())
        context = MixedFleetPropagator().extract({"baggage": "k=v"}, before)
        assert (span_context(context), otel_baggage.get_all(context)) == (remote(OTHER), {"k": "v"})

    def test_debug_id_is_kept_for_the_next_root(self) -> None:
        context = MixedFleetPropagator().extract({"jaeger-debug-id": "x", "uberctx-k": "v"})
        assert (debug_id_of(context), otel_baggage.get_all(context)) == ("x", {"k": "v"})
        assert not span_context(context).is_valid

    def test_debug_id_beside_ids_plays_no_part(self) -> None:
        context = MixedFleetPropagator().extract({"jaeger-debug-id": "x", "uber-trace-id": UBER})
        assert (debug_id_of(context), debug_id_of(Context())) == (None, None)

    @settings(deadline=None)
    @given(st.dictionaries(st.one_of(st.sampled_from(NAMES), any_text), values, max_size=6))
    def test_no_carrier_makes_extract_raise(self, carrier: dict[Any, Any]) -> None:
        for getter in (default_getter, NoKeysGetter(), BrokenGetter()):
            context = MixedFleetPropagator(EVERY).extract(carrier, getter=getter)
            MixedFleetPropagator(inject=EVERY).inject({}, context)
        assert not {"extract.gave_up", "inject.gave_up"} & set(telemetry.snapshot())


def knowing_context() -> BridgeSpanContext:
    """Return a context that knows debug and baggage by itself."""
    return BridgeSpanContext(TRACE_ID, SPAN_ID, False, TraceFlags(1), None, {"own": "1"}, debug=True)


class RefusingSetter(Setter[MutableMapping[str, str]]):
    """Takes no traceparent."""

    def set(self, carrier: MutableMapping[str, str], key: str, value: str) -> None:
        if key == "traceparent":
            raise ValueError(key)
        carrier[key] = value


class TestInject:
    def sent(self, context: Context | None, propagator: MixedFleetPropagator | None = None) -> dict[str, str]:
        headers: dict[str, str] = {}
        (propagator or MixedFleetPropagator()).inject(headers, context)
        return headers

    def active(self, span_context: SpanContext) -> Context:
        return set_span_in_context(NonRecordingSpan(span_context), Context())

    def test_h11_sampled_is_not_debug(self) -> None:
        assert self.sent(self.active(remote())) == {"uber-trace-id": UBER, "traceparent": PARENT}

    def test_h12_random_bit_is_not_debug(self) -> None:
        assert self.sent(self.active(remote(flags=2))) == {
            "uber-trace-id": UBER[:-1] + "0",
            "traceparent": PARENT[:-1] + "2",
        }

    def test_h13_random_bit_does_not_hide_sampled_from_ot_tracer(self) -> None:
        headers = self.sent(self.active(remote(flags=3)), MixedFleetPropagator(inject=["ottrace"]))
        assert headers["ot-tracer-sampled"] == "true"

    def test_h14_random_bit_of_the_trace_is_kept(self) -> None:
        assert self.sent(self.active(remote(flags=3)))["traceparent"] == PARENT[:-1] + "3"

    def test_debug_comes_from_the_trace_state(self) -> None:
        assert self.sent(self.active(remote(state="a=1,jaeger=d:1"))) == {
            "uber-trace-id": UBER[:-1] + "3",
            "traceparent": PARENT,
            "tracestate": "jaeger=d:1,a=1",
        }

    def test_debug_of_an_unsampled_context_is_not_sent(self) -> None:
        assert self.sent(self.active(remote(flags=0, state="jaeger=d:1"))) == {
            "uber-trace-id": UBER[:-1] + "0",
            "traceparent": PARENT[:-1] + "0",
        }

    def test_debug_and_baggage_come_from_a_context_that_knows_them(self) -> None:
        context = self.active(knowing_context())
        assert self.sent(context) == {
            "uber-trace-id": UBER[:-1] + "3",
            "uberctx-own": "1",
            "traceparent": PARENT,
            "tracestate": "jaeger=d:1",
            "baggage": "own=1",
        }

    def test_baggage_of_the_span_and_of_the_context_are_one(self) -> None:
        context = self.active(knowing_context())
        headers = self.sent(otel_baggage.set_baggage("k", "v", context))
        assert headers["baggage"] == "own=1,k=v"
        assert "baggage" not in self.sent(otel_baggage.clear(context))

    def test_baggage_without_a_span_is_sent(self) -> None:
        context = otel_baggage.set_baggage("k", "v", Context())
        assert self.sent(context) == {"uberctx-k": "v", "baggage": "k=v"}

    def test_baggage_of_any_type_is_sent_as_text(self) -> None:
        context = Context()
        for key, value in {"i": 1, "b": True, "n": None, "l": [1], "x": b"y", "bad": Hostile()}.items():
            context = otel_baggage.set_baggage(key, value, context)
        assert self.sent(context)["baggage"] == "i=1,b=True,l=%5B1%5D,x=y"
        assert counted("baggage") == {"baggage.dropped.value": 2}

    def test_m5_keys_that_are_no_tokens_are_not_sent(self) -> None:
        assert self.sent(otel_baggage.set_baggage("K \N{LATIN CAPITAL LETTER E WITH ACUTE}", "v", Context())) == {}

    def test_nothing_active_sends_nothing(self) -> None:
        assert self.sent(None) == self.sent(Context()) == {}
        assert get_current() == {}

    def test_setter_that_refuses_one_header_gets_the_others(self, caplog: pytest.LogCaptureFixture) -> None:
        headers: dict[str, str] = {}
        for _ in range(2):
            MixedFleetPropagator().inject(headers, self.active(remote()), RefusingSetter())
        assert headers == {"uber-trace-id": UBER}
        assert (counted("inject.setter"), len(caplog.records)) == ({"inject.setter_failed": 2}, 1)

    @pytest.mark.parametrize("carrier", [None, (), "text"], ids=["none", "tuple", "text"])
    def test_carrier_that_cannot_be_written_never_raises(self, carrier: Any) -> None:
        MixedFleetPropagator().inject(carrier, self.active(remote()))
        assert counted("inject.setter") == {"inject.setter_failed": 2}

    def test_context_that_is_none_never_raises(self) -> None:
        broken: Any = object()
        MixedFleetPropagator().inject({}, broken)
        assert counted("inject") == {"inject.gave_up": 1}

    @pytest.mark.parametrize(("trace_id", "span_id"), [(0, 1), (1, 0), (1 << 128, 1), (1, 1 << 64), (-1, 1), (1, -1)])
    def test_ids_that_are_not_valid_are_not_sent_and_are_counted(self, trace_id: int, span_id: int) -> None:
        assert self.sent(self.active(SpanContext(trace_id, span_id, is_remote=False))) == {}
        assert counted("inject") == {"inject.invalid_ids": 1}

    def test_fields_are_the_names_written(self) -> None:
        assert MixedFleetPropagator().fields == {"uber-trace-id", "traceparent", "tracestate", "baggage"}
        assert MixedFleetPropagator(inject=["b3multi"], settings=Settings(trace_id_header="x")).fields == {
            "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags",
        }  # fmt: skip

    def test_what_is_extracted_is_injected(self) -> None:
        headers = {
            "uber-trace-id": UBER[:-1] + "3",
            "traceparent": PARENT[:-1] + "3",
            "tracestate": "jaeger=d:1,a=1",
            "uberctx-userid": "a%20b",
            "baggage": "userId=a%20b",
        }
        assert self.sent(MixedFleetPropagator().extract(headers)) == headers


class TestSetUp:
    def test_m4_m5_percent_encoded_header_of_any_case_is_read(self) -> None:
        wire = read({"Uber-Trace-Id": UBER.replace(":", "%3A"), "Uberctx-X": "1", "JAEGER-DEBUG-ID": "d"})
        assert wire == JAEGER._replace(baggage={"x": "1"}, debug_id="d")

    @pytest.mark.parametrize("side", ["extract", "inject"])
    def test_unknown_format_is_an_error_that_names_the_closest(self, side: str) -> None:
        arguments: dict[str, Any] = {side: ["jeager"]}
        with pytest.raises(ConfigError, match=rf"{side}.*'jeager'.*'jaeger'"):
            MixedFleetPropagator(**arguments)

    def test_arguments_win_over_settings(self) -> None:
        propagator = MixedFleetPropagator(["b3"], settings=Settings(extract=("jaeger",), inject=("b3",)))
        assert propagator.read([("b3", "abc-def-1")], http=True).context is not None
        assert propagator.fields == {"b3"}

    def test_variables_set_up_the_entry_point(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OT_BRIDGE_INJECT", "b3")
        assert from_env().fields == {"b3"}

    @pytest.mark.parametrize(
        ("wire", "expected"),
        [
            (WireContext(), ""),
            (WireContext(debug=True), "jaeger=d:1"),
            (WireContext(tracestate="a=1,jaeger=d:1"), "a=1"),
            (WireContext(tracestate="not a member", debug=True), "jaeger=d:1"),
        ],
        ids=str,
    )
    def test_trace_state_holds_the_debug_member_exactly_when_debug(self, wire: WireContext, expected: str) -> None:
        assert trace_state_of(wire).to_header() == expected


def test_it_can_be_the_global_propagator() -> None:
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(MixedFleetPropagator())
    headers: dict[str, str] = {}
    try:
        propagate.inject(headers, set_span_in_context(NonRecordingSpan(remote()), Context()))
    finally:
        propagate.set_global_textmap(before)
    assert headers == {"uber-trace-id": UBER, "traceparent": PARENT}
