"""The short ways give what the long way gives: the same contexts, headers, errors and counters for everything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.baggage import get_all
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, set_span_in_context
from opentracing import Format, SpanContextCorruptedException

from ot_bridge import BridgeSpanContext, BridgeTracer, MixedFleetPropagator, Settings, telemetry
from ot_bridge.codecs import readers
from ot_bridge.codecs.carrier import CarrierReader
from ot_bridge.context import BAGGAGE_KEY
from ot_bridge.shortcuts import LONG_WAY, never_read, never_written, reading

TRACE_ID, SPAN_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
UBER = f"{TRACE_ID:032x}:{SPAN_ID:016x}:0:1"
PARENT = f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-01"
JAEGER_FIRST = ("jaeger", "tracecontext", "baggage")
ORDERS = [
    ("jaeger",),
    ("tracecontext",),
    JAEGER_FIRST,
    ("tracecontext", "jaeger", "baggage"),
    ("b3", "jaeger", "tracecontext"),
    ("ottrace", "b3multi"),
    (),
]
PROVIDER = TracerProvider(shutdown_on_exit=False)


class Odd(str):
    """A text that is no plain one."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = str.__hash__


def tracer(*, short: bool, **arguments: Any) -> BridgeTracer:
    made = BridgeTracer(PROVIDER, settings=Settings(**arguments))
    if not short:
        propagator = made._propagator
        propagator.write_plain, propagator.read_plain = never_written, never_read
        made._write_plain, made._read_plain = never_written, never_read
    return made


def outcome(call: Callable[[], object]) -> tuple[object, Mapping[str, int]]:
    """Return what a call gave or raised, and the counters that it moved."""
    telemetry.reset()
    try:
        result = call()
    except SpanContextCorruptedException as error:
        result = str(error)
    return tuple(result) if isinstance(result, BridgeSpanContext) else result, telemetry.snapshot()


# --- extract

some_trace_ids = st.sampled_from([TRACE_ID, TRACE_ID & (1 << 64) - 1, 0xA, 0]) | st.integers(0, 2**130)
some_span_ids = st.sampled_from([SPAN_ID, 0xB, 0]) | st.integers(0, 2**66)
uber_values = st.builds(
    "{:{}}:{:{}}:{}:{}".format,
    some_trace_ids,
    st.sampled_from(["032x", "016x", "x", "032X"]),
    some_span_ids,
    st.sampled_from(["016x", "x", "016X"]),
    st.sampled_from(["0", "0", "0", "abc", "", "z"]),
    st.sampled_from(["0", "1", "2", "3", "b", "01", "11", "", "g"]),
)
parent_values = st.builds(
    "{}-{:{}}-{:{}}-{}{}".format,
    st.sampled_from(["00", "00", "00", "01", "ff", "0"]),
    some_trace_ids,
    st.sampled_from(["032x", "032x", "x", "032X"]),
    some_span_ids,
    st.sampled_from(["016x", "016x", "x", "016X"]),
    st.sampled_from(["00", "01", "02", "03", "ff", "1"]),
    st.sampled_from(["", "", "", "-more", " "]),
)
trace_values = (
    st.sampled_from([UBER, PARENT, UBER.upper(), UBER.replace(":", "%3A"), UBER + " ", " " + PARENT, "", None, 7])
    | uber_values
    | parent_values
)
carrier_values = st.one_of(
    trace_values,
    st.lists(trace_values, max_size=2),
    trace_values.map(lambda value: value.encode() if isinstance(value, str) else value),
    trace_values.map(lambda value: Odd(value) if isinstance(value, str) else value),
)
HEADERS = ["uber-trace-id", "traceparent", "tracestate", "uberctx-k", "jaeger-debug-id", "baggage", "b3", "accept"]
names = st.one_of(
    st.sampled_from(HEADERS),
    st.sampled_from(HEADERS).map(str.title),
    st.sampled_from(HEADERS).map(str.upper),
    st.sampled_from(HEADERS).map(Odd),
    st.sampled_from(HEADERS).map(str.encode),
    st.sampled_from(["uber-trace-id ", "uber_trace_id", "Traceparents", "uberctx-", "", None, 3, "x" * 200]),
)
pairs = st.builds(
    lambda trace, low, span, flag, bits, names: {
        names[0]: f"{trace:032x}:{span:016x}:0:{flag}" if not low else f"{trace:016x}:{span:016x}:0:{flag}",
        names[1]: f"00-{trace:032x}-{span:016x}-0{bits}",
    },
    some_trace_ids.filter(lambda trace_id: trace_id < 2**128),
    st.booleans(),
    some_span_ids.filter(lambda span_id: span_id < 2**64),
    st.sampled_from("0123b"),
    st.sampled_from("0123f"),
    st.sampled_from([("uber-trace-id", "traceparent"), ("Uber-Trace-Id", "Traceparent"), ("uber-trace-id", "b3")]),
)


def carrier_of(items: list[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return the items as a dict, without names that cannot be compared with one before them."""
    carrier: dict[Any, Any] = {}
    for name, value in items:
        with suppress(RuntimeError):
            carrier[name] = value
    return carrier


def lists_of(values: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[dict[Any, Any]]:
    return st.lists(st.tuples(names, values), max_size=most).map(carrier_of)


carriers = pairs | lists_of(carrier_values, 4) | lists_of(trace_values, 2)


@settings(deadline=None, max_examples=600)
@given(
    carrier=carriers,
    formats=st.sampled_from(ORDERS),
    format=st.sampled_from([Format.HTTP_HEADERS, Format.TEXT_MAP]),
    strict=st.booleans(),
    trust=st.sampled_from(["all", "all", "all", "none"]),
)
def test_any_carrier_is_read_alike(
    carrier: dict[Any, Any], formats: tuple[str, ...], format: str, strict: bool, trust: str
) -> None:
    chosen = {"extract": formats, "strict_extract": strict, "trust_incoming": trust}
    short, long = tracer(short=True, **chosen), tracer(short=False, **chosen)
    outcome(lambda: short.extract(format, carrier))  # the names are familiar from here on
    assert outcome(lambda: short.extract(format, carrier)) == outcome(lambda: long.extract(format, carrier))


@settings(deadline=None, max_examples=300)
@given(carrier=carriers, formats=st.sampled_from(ORDERS), held=st.sampled_from([{}, {BAGGAGE_KEY: {"a": "1"}}]))
def test_any_carrier_is_read_alike_by_the_propagator(
    carrier: dict[Any, Any], formats: tuple[str, ...], held: dict[str, object]
) -> None:
    short, long = MixedFleetPropagator(formats), MixedFleetPropagator(formats)
    long.read_plain = never_read
    outcome(lambda: short.extract(carrier, Context(held)))
    found, expected = (
        outcome(lambda each=each: described(each.extract(carrier, Context(held)))) for each in (short, long)
    )
    assert found == expected


def described(context: Context) -> object:
    """Return a Context with its span as a tuple: spans have no equality."""
    return {
        key: (type(value.get_span_context()), tuple(value.get_span_context()))
        if isinstance(value, NonRecordingSpan)
        else value
        for key, value in context.items()
    }


@pytest.mark.parametrize(
    ("carrier", "expected"),
    [
        ({"uber-trace-id": UBER}, (1, False)),
        ({"Uber-Trace-Id": UBER[:-1] + "3"}, (1, True)),
        ({"uber-trace-id": "a:b:c:0"}, (0, False)),
        ({"traceparent": PARENT[:-1] + "3"}, (3, False)),
        ({"uber-trace-id": UBER, "traceparent": PARENT[:-1] + "2"}, (3, False)),
        ({"Uber-Trace-Id": UBER[:-1] + "3", "Traceparent": PARENT}, (1, True)),
    ],
    ids=["uber", "uber_debug", "short_ids", "traceparent", "both", "both_debug"],
)
def test_common_requests_are_read_the_short_way(carrier: dict[str, str], expected: tuple[int, bool]) -> None:
    propagator = MixedFleetPropagator()
    others = {"Host": "shop.example", "accept": "*/*"}
    propagator.extract(others)
    found = propagator.read_plain({**others, **carrier})
    assert found is not None
    assert (found.trace_flags, found.debug, found.is_valid) == (*expected, True)


def test_both_headers_of_a_64_bit_trace_are_read_the_short_way() -> None:
    headers = {"uber-trace-id": f"{5:016x}:{6:016x}:0:1", "traceparent": f"00-{5:032x}-{6:016x}-01"}
    found = MixedFleetPropagator().read_plain(headers)
    assert found == BridgeSpanContext(5, 6, True, TraceFlags(1))


def test_request_without_any_context_is_read_the_short_way() -> None:
    propagator = MixedFleetPropagator()
    propagator.extract({"Host": "shop.example"})
    assert (propagator.read_plain({"Host": "other.example"}), propagator.read_plain({})) == (None, None)


@pytest.mark.parametrize(
    "carrier",
    [
        {"uber-trace-id": UBER, "X-New": ""},
        {"uber-trace-id": UBER, "Uber-Trace-Id": UBER},
        {"uber-trace-id": UBER, "uberctx-k": "v"},
        {"uber-trace-id": "-" + UBER[:31] + ":-" + UBER[33:48] + ":0:1", "traceparent": " " + PARENT},
        {"uber-trace-id": UBER.upper(), "traceparent": PARENT.upper()},
        {"uber-trace-id": [UBER]},
    ],
    ids=["unknown_name", "two_spellings", "baggage", "shifted", "upper_case", "list"],
)
def test_what_is_not_plain_is_left_to_the_long_way(carrier: dict[str, Any]) -> None:
    assert MixedFleetPropagator().read_plain(carrier) is LONG_WAY


def test_flood_of_names_is_forgotten_and_the_headers_stay_familiar() -> None:
    reader = CarrierReader({"uber-trace-id": readers(["jaeger"])[0].headers["uber-trace-id"]}, [])
    familiar = reader.familiar("uber-trace-id")
    for number in range(2000):
        reader.read([(f"x-{number}", "")], [])
        assert len(familiar) <= 513
    assert {"uber-trace-id", "x-1999"} <= familiar
    assert "x-0" not in familiar


def test_settings_without_a_short_way_read_the_long_way() -> None:
    codecs = readers(["b3"])
    assert reading(codecs, CarrierReader({}, [])) is never_read
    assert MixedFleetPropagator(settings=Settings(trust_incoming="none")).read_plain is never_read


# --- inject

contexts = st.builds(
    BridgeSpanContext,
    some_trace_ids,
    some_span_ids,
    st.booleans(),
    st.sampled_from([0, 1, 2, 3, 0xFF]).map(TraceFlags),
    st.sampled_from([None, None, None, TraceState([("a", "1")]), TraceState()]),
    st.sampled_from([None, None, None, {"k": "v"}, {"no token": "v"}, {"k": "\u00fc, 100%", "A": "1", "a": "2"}]),
    st.booleans(),
    st.sampled_from([None, "debug"]),
)
full_carriers = st.sampled_from([{}, {"uber-trace-id": "old", "a": "1"}, {Odd("traceparent"): "odd"}])


@settings(deadline=None, max_examples=400)
@given(
    context=contexts,
    carrier=full_carriers,
    formats=st.sampled_from(ORDERS),
    format=st.sampled_from([Format.HTTP_HEADERS, Format.TEXT_MAP]),
    mask=st.booleans(),
)
def test_any_context_is_written_alike(
    context: BridgeSpanContext, carrier: dict[str, str], formats: tuple[str, ...], format: str, mask: bool
) -> None:
    def written(by: BridgeTracer) -> object:
        headers = dict(carrier)
        by.inject(context, format, headers)
        return {str.__str__(name): value for name, value in headers.items()}

    chosen = {"inject": formats, "mask_random_bit": mask}
    short, long = tracer(short=True, **chosen), tracer(short=False, **chosen)
    first = outcome(lambda: written(long))
    assert outcome(lambda: written(short)) == first
    again = outcome(lambda: written(short)), outcome(lambda: written(long))
    assert again == (first, first)  # what was written before is known


@settings(deadline=None, max_examples=300)
@given(
    ids=st.builds(
        SpanContext,
        some_trace_ids,
        some_span_ids,
        st.booleans(),
        st.sampled_from([0, 1, 2, 3]).map(TraceFlags),
        st.sampled_from([None, TraceState([("a", "1")]), TraceState([("jaeger", "d:1")])]),
    )
    | contexts,
    held=st.sampled_from([None, {}, {"a": "1"}, "no baggage", [], 0]),
    formats=st.sampled_from(ORDERS),
)
def test_any_context_is_written_alike_by_the_propagator(
    ids: SpanContext, held: object, formats: tuple[str, ...]
) -> None:
    def written(by: MixedFleetPropagator) -> object:
        headers: dict[str, str] = {}
        by.inject(headers, set_span_in_context(NonRecordingSpan(ids), Context({BAGGAGE_KEY: held})))
        return headers

    short, long = MixedFleetPropagator(inject=formats), MixedFleetPropagator(inject=formats)
    long.write_plain = never_written
    assert outcome(lambda: written(short)) == outcome(lambda: written(long))


@pytest.mark.parametrize("limits", [{}, {"baggage_max_items": 1}, {"redact_baggage": True}], ids=str)
@pytest.mark.parametrize("value", ["v", "\u00fc", 1, True, 1.0, "AKIAIOSFODNN7EXAMPLE", "x" * 5000])
def test_baggage_is_written_again_as_it_was(value: Any, limits: dict[str, Any]) -> None:
    def written(by: MixedFleetPropagator, held: Any) -> object:
        headers: dict[str, str] = {}
        by.inject(headers, Context({BAGGAGE_KEY: {"k": held, "l": "w"}}))
        return headers

    fresh = outcome(lambda: written(MixedFleetPropagator(settings=Settings(**limits)), value))
    used = MixedFleetPropagator(settings=Settings(**limits))
    for other in ("v", 1, True, 1.0, value):  # some of them are equal, and sent as other texts
        written(used, other)
    assert outcome(lambda: written(used, value)) == fresh


@pytest.mark.parametrize("flags", range(4))
@pytest.mark.parametrize("trace_id", [TRACE_ID, SPAN_ID, 1])
def test_plain_context_is_written_the_short_way(trace_id: int, flags: int) -> None:
    headers: dict[str, str] = {}
    written = MixedFleetPropagator().write_plain(BridgeSpanContext(trace_id, 5, False, TraceFlags(flags)), headers)
    width = "032x" if trace_id == TRACE_ID else "016x"
    assert (written, headers) == (
        True,
        {
            "uber-trace-id": f"{trace_id:{width}}:{5:016x}:0:{flags & 1}",
            "traceparent": f"00-{trace_id:032x}-{5:016x}-0{flags}",
        },
    )


@pytest.mark.parametrize(
    "context",
    [
        BridgeSpanContext(1, 2, baggage={"k": "v"}),
        BridgeSpanContext(1, 2, debug=True),
        BridgeSpanContext(1, 2, trace_state=TraceState([("a", "1")])),
        BridgeSpanContext(),
        BridgeSpanContext(1.5, 2),  # type: ignore[arg-type]
    ],
    ids=["baggage", "debug", "state", "container", "float"],
)
def test_context_that_is_not_plain_is_written_the_long_way(context: BridgeSpanContext) -> None:
    headers: dict[str, str] = {}
    written = {formats: MixedFleetPropagator(inject=formats).write_plain(context, headers) for formats in ORDERS[:3]}
    assert (written, headers) == (dict.fromkeys(ORDERS[:3], False), {})


def test_propagator_writes_the_span_of_a_native_service_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    propagator, headers = MixedFleetPropagator(), {}
    monkeypatch.setattr(propagator, "write", None)
    context = set_span_in_context(NonRecordingSpan(SpanContext(TRACE_ID, SPAN_ID, False, TraceFlags(1))), Context())
    propagator.inject(headers, context)
    assert headers == {"uber-trace-id": UBER, "traceparent": PARENT}
    assert get_all(context) == {}
