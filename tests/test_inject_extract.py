"""The tracer's inject and extract: carriers and formats as OpenTracing has them, and headers that nobody can forge."""

from __future__ import annotations

import http.client
import logging
from collections import OrderedDict, UserDict
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import opentracing
import pytest
from opentelemetry import propagate
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import DEFAULT_OFF
from opentracing import (
    Format,
    InvalidCarrierException,
    SpanContextCorruptedException,
    UnsupportedFormatException,
)
from opentracing.mocktracer import MockTracer

from ot_bridge import BridgeSpanContext, BridgeTracer, Settings, telemetry
from shown import shown

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
SPAN_ID = 0xB7AD6B7169203331
UBER = f"{TRACE_ID:032x}:{SPAN_ID:016x}:0:1"
TRACEPARENT = f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-01"

TEXT_FORMATS = pytest.mark.parametrize("format", [Format.HTTP_HEADERS, Format.TEXT_MAP])


def ids(context: opentracing.SpanContext | None) -> tuple[int, int]:
    assert isinstance(context, BridgeSpanContext)
    return context.trace_id, context.span_id


def received(tracer: BridgeTracer, headers: Mapping[str, Any], format: str = Format.HTTP_HEADERS) -> BridgeSpanContext:
    context = tracer.extract(format, headers)  # type: ignore[arg-type]
    assert isinstance(context, BridgeSpanContext)
    return context


def sent(tracer: BridgeTracer, context: Any, format: str = Format.HTTP_HEADERS) -> dict[str, str]:
    headers: dict[str, str] = {}
    tracer.inject(context, format, headers)
    return headers


# --- what is sent


@TEXT_FORMATS
def test_sampled_span_is_sent_in_both_formats(tracer: BridgeTracer, format: str) -> None:
    span = tracer.start_span("op", child_of=received(tracer, {"traceparent": TRACEPARENT}))
    assert sent(tracer, span.context, format) == {
        "uber-trace-id": f"{TRACE_ID:032x}:{span.context.span_id:016x}:0:1",
        "traceparent": f"00-{TRACE_ID:032x}-{span.context.span_id:016x}-01",
    }


def test_unsampled_span_is_sent_as_unsampled(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op", child_of=received(tracer, {"uber-trace-id": UBER[:-1] + "0"}))
    assert sent(tracer, span.context) == {
        "uber-trace-id": f"{TRACE_ID:032x}:{span.context.span_id:016x}:0:0",
        "traceparent": f"00-{TRACE_ID:032x}-{span.context.span_id:016x}-00",
    }


def test_debug_span_is_sent_as_debug_in_both_formats(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op", child_of=received(tracer, {"uber-trace-id": UBER[:-1] + "3"}))
    assert sent(tracer, span.context) == {
        "uber-trace-id": f"{TRACE_ID:032x}:{span.context.span_id:016x}:0:3",
        "traceparent": f"00-{TRACE_ID:032x}-{span.context.span_id:016x}-01",
        "tracestate": "jaeger=d:1",
    }


def test_debug_comes_back_from_the_tracestate(tracer: BridgeTracer) -> None:
    headers = {"traceparent": TRACEPARENT, "tracestate": "jaeger=d:1,other=1"}
    span = tracer.start_span("op", child_of=received(tracer, headers))
    assert span.context.debug
    assert sent(tracer, span.context)["uber-trace-id"].endswith(":3")


def test_short_trace_id_keeps_its_width_in_jaegers_header(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op", child_of=received(tracer, {"uber-trace-id": "abc:def:0:1"}))
    assert sent(tracer, span.context) == {
        "uber-trace-id": f"{0xABC:016x}:{span.context.span_id:016x}:0:1",
        "traceparent": f"00-{0xABC:032x}-{span.context.span_id:016x}-01",
    }


def test_baggage_is_encoded_for_http(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op").set_baggage_item("Tenant-Id", "a b+c/\N{SNOWMAN},;=%")
    headers = sent(tracer, span.context)
    assert headers["uberctx-tenant-id"] == "a%20b%2Bc%2F%E2%98%83%2C%3B%3D%25"
    assert headers["baggage"].startswith("Tenant-Id=a%20b%2Bc")


def test_baggage_is_raw_in_a_text_map(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op").set_baggage_item("k", "a b+c%20")
    assert sent(tracer, span.context, Format.TEXT_MAP)["uberctx-k"] == "a b+c%20"


@TEXT_FORMATS
def test_baggage_comes_back_as_it_went(tracer: BridgeTracer, format: str) -> None:
    items = {"a": "a b+c/\N{SNOWMAN},;=%25 +", "b": "", "c": "plain"}
    span = tracer.start_span("op")
    for key, value in items.items():
        span.set_baggage_item(key, value)
    assert received(tracer, sent(tracer, span.context, format), format).baggage == items


def test_inject_takes_a_span(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op").set_baggage_item("k", "v")
    assert sent(tracer, span) == sent(tracer, span.context)


@pytest.mark.parametrize(
    "foreign",
    [
        None,
        opentracing.SpanContext(),
        opentracing.Tracer().start_span("x"),
        MockTracer().start_span("x").context,
        "text",
        object(),
    ],
    ids=["none", "base-context", "noop-span", "mock-context", "text", "object"],
)
@TEXT_FORMATS
def test_inject_of_a_foreign_context_never_raises_and_sends_nothing(
    tracer: BridgeTracer, foreign: Any, format: str
) -> None:
    with tracer.start_active_span("active"):
        assert sent(tracer, foreign, format) == {}


def test_inject_sends_the_given_span_and_not_the_active_one(tracer: BridgeTracer) -> None:
    other = tracer.start_span("other")
    with tracer.start_active_span("active"):
        assert sent(tracer, other.context)["uber-trace-id"].split(":")[1] == f"{other.context.span_id:016x}"


def test_inject_of_a_container_sends_its_baggage_alone(tracer: BridgeTracer) -> None:
    assert sent(tracer, received(tracer, {"uberctx-k": "v"})) == {"uberctx-k": "v", "baggage": "k=v"}


def test_inject_keeps_what_the_carrier_holds(tracer: BridgeTracer) -> None:
    headers = {"Accept": "*/*", "uber-trace-id": "stale"}
    span = tracer.start_span("op")
    tracer.inject(span.context, Format.HTTP_HEADERS, headers)
    assert (headers["Accept"], headers["uber-trace-id"] != "stale") == ("*/*", True)


def test_inject_returns_nothing(tracer: BridgeTracer) -> None:
    assert tracer.inject(tracer.start_span("op").context, Format.HTTP_HEADERS, {}) is None  # type: ignore[func-returns-value]


def test_tracestate_of_others_is_passed_on(tracer: BridgeTracer) -> None:
    headers = {"traceparent": TRACEPARENT, "tracestate": "ot=th:fd70a4;rv:ffffffffffffff,vendor=1"}
    span = tracer.start_span("op", child_of=received(tracer, headers))
    assert sent(tracer, span.context)["tracestate"] == headers["tracestate"]


def test_propagators_of_the_process_are_not_used(tracer: BridgeTracer) -> None:
    before = propagate.get_global_textmap()
    propagate.set_global_textmap(propagate.composite.CompositePropagator([]))
    try:
        span = tracer.start_span("op")
        assert set(sent(tracer, span.context)) == {"uber-trace-id", "traceparent"}
        assert tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": UBER}) is not None
    finally:
        propagate.set_global_textmap(before)


@pytest.mark.parametrize(
    ("inject", "expected"),
    [
        (("jaeger",), {"uber-trace-id", "uberctx-k"}),
        (("tracecontext",), {"traceparent"}),
        (("tracecontext", "baggage"), {"traceparent", "baggage"}),
        (("baggage",), {"baggage"}),
        ((), set()),
    ],
    ids=["jaeger", "tracecontext", "both-of-w3c", "baggage", "nothing"],
)
def test_settings_choose_what_is_sent(provider: TracerProvider, inject: tuple[str, ...], expected: set[str]) -> None:
    tracer = BridgeTracer(provider, settings=Settings(inject=inject))
    assert set(sent(tracer, tracer.start_span("op").set_baggage_item("k", "v").context)) == expected


def test_settings_rename_the_headers(provider: TracerProvider) -> None:
    tracer = BridgeTracer(
        provider,
        settings=Settings(trace_id_header="x-trace", baggage_header_prefix="x-bag-", debug_id_header="x-debug"),
    )
    headers = sent(tracer, tracer.start_span("op").set_baggage_item("k", "v").context)
    assert (headers["x-bag-k"], "x-trace" in headers, "uber-trace-id" in headers) == ("v", True, False)
    assert ids(tracer.extract(Format.HTTP_HEADERS, {"X-Trace": UBER})) == (TRACE_ID, SPAN_ID)
    assert received(tracer, {"X-Debug": "corr"}).debug_id == "corr"


# --- what is received


@TEXT_FORMATS
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Accept": "*/*"},
        {"uber-trace-id": ""},
        {"uber-trace-id": "garbage"},
        {"uber-trace-id": "0:0:0:1"},
        {"traceparent": "00-bad"},
        {"jaeger-debug-id": ""},
        {"tracestate": "a=1"},
        {"uber-trace-id": None},
        {"": ""},
    ],
    ids=str,
)
def test_extract_of_nothing_is_none(tracer: BridgeTracer, format: str, headers: dict[str, Any]) -> None:
    assert tracer.extract(format, headers) is None


def test_malformed_header_is_counted(tracer: BridgeTracer) -> None:
    telemetry.reset()
    tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": "garbage"})
    assert sum(telemetry.snapshot().values()) >= 1


def test_malformed_header_logs_no_warning(tracer: BridgeTracer, caplog: pytest.LogCaptureFixture) -> None:
    tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": "garbage", "traceparent": "x", "tracestate": "a=1,=,"})
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@TEXT_FORMATS
def test_extracted_context_is_remote_and_complete(tracer: BridgeTracer, format: str) -> None:
    context = received(tracer, {"uber-trace-id": UBER, "uberctx-k": "v"}, format)
    assert (context.trace_id, context.span_id, dict(context.baggage)) == (TRACE_ID, SPAN_ID, {"k": "v"})
    assert (context.sampled, context.debug, context.is_remote, context.is_valid) == (True, False, True, True)


@pytest.mark.parametrize(
    ("flags", "sampled", "debug"),
    [("0", False, False), ("1", True, False), ("2", False, False), ("3", True, True), ("9", True, False)],
)
def test_flags_of_jaeger(tracer: BridgeTracer, flags: str, sampled: bool, debug: bool) -> None:
    context = received(tracer, {"uber-trace-id": UBER[:-1] + flags})
    assert (context.sampled, context.debug) == (sampled, debug)


def test_url_encoded_trace_header_is_read_from_http(tracer: BridgeTracer) -> None:
    assert ids(tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": UBER.replace(":", "%3A")})) == (TRACE_ID, SPAN_ID)


def test_baggage_only_is_a_container(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    context = received(tracer, {"uberctx-k": "v"})
    assert (context.is_valid, context.trace_id, context.span_id, dict(context.baggage)) == (False, 0, 0, {"k": "v"})
    tracer.start_span("op", child_of=context).finish()
    (span,) = exporter.get_finished_spans()
    assert (span.parent, span.context.trace_flags.sampled) == (None, True)


def test_container_asks_the_sampler() -> None:
    tracer = BridgeTracer(TracerProvider(sampler=DEFAULT_OFF, shutdown_on_exit=False))
    span = tracer.start_span("op", child_of=received(tracer, {"uberctx-k": "v"}))
    assert (span.context.sampled, span.get_baggage_item("k")) == (False, "v")


def test_debug_id_only_is_a_container(tracer: BridgeTracer) -> None:
    context = received(tracer, {"jaeger-debug-id": "corr-1"})
    assert (context.is_valid, context.debug_id) == (False, "corr-1")


def test_debug_id_beside_ids_starts_nothing_new(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op", child_of=received(tracer, {"uber-trace-id": UBER, "jaeger-debug-id": "corr-1"}))
    assert (span.context.trace_id, span.context.debug) == (TRACE_ID, False)


def test_malformed_header_beside_baggage_is_a_container(tracer: BridgeTracer) -> None:
    context = received(tracer, {"uber-trace-id": "garbage", "uberctx-k": "v"})
    assert (context.is_valid, dict(context.baggage)) == (False, {"k": "v"})


def test_malformed_header_hides_no_good_one(tracer: BridgeTracer) -> None:
    assert ids(tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": "garbage", "traceparent": TRACEPARENT})) == (
        TRACE_ID,
        SPAN_ID,
    )


def test_jaeger_wins_where_both_disagree(tracer: BridgeTracer) -> None:
    other = f"00-{1:032x}-{2:016x}-00"
    context = received(tracer, {"traceparent": other, "tracestate": "a=1", "uber-trace-id": UBER})
    assert (ids(context), context.sampled, dict(context.trace_state)) == ((TRACE_ID, SPAN_ID), True, {})


def test_settings_choose_what_is_read(provider: TracerProvider) -> None:
    tracer = BridgeTracer(provider, settings=Settings(extract=("tracecontext",)))
    assert tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": UBER, "uberctx-k": "v"}) is None
    assert ids(tracer.extract(Format.HTTP_HEADERS, {"traceparent": TRACEPARENT})) == (TRACE_ID, SPAN_ID)


@pytest.mark.parametrize("headers", [{"uber-trace-id": "garbage"}, {"traceparent": "00-bad"}], ids=["jaeger", "w3c"])
def test_strict_extract_raises_what_jaeger_client_raised(provider: TracerProvider, headers: dict[str, str]) -> None:
    tracer = BridgeTracer(provider, settings=Settings(strict_extract=True))
    with pytest.raises(SpanContextCorruptedException, match=next(iter(headers))):
        tracer.extract(Format.HTTP_HEADERS, headers)


def test_strict_extract_of_good_or_no_headers_raises_nothing(provider: TracerProvider) -> None:
    tracer = BridgeTracer(provider, settings=Settings(strict_extract=True))
    assert tracer.extract(Format.HTTP_HEADERS, {"Accept": "*/*"}) is None
    assert ids(tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": UBER})) == (TRACE_ID, SPAN_ID)


# --- carriers


class Headers:
    """What a small framework might have: items and item assignment, and nothing else of a mapping."""

    def __init__(self, items: Iterable[tuple[Any, Any]] = ()) -> None:
        self.pairs = list(items)

    def items(self) -> Iterator[tuple[Any, Any]]:
        return iter(self.pairs)

    def __setitem__(self, key: str, value: str) -> None:
        self.pairs.append((key, value))


def _http_message(items: dict[str, str]) -> http.client.HTTPMessage:
    message = http.client.HTTPMessage()
    for key, value in items.items():
        message[key] = value
    return message


def _werkzeug(items: dict[str, str]) -> Any:
    return pytest.importorskip("werkzeug.datastructures").Headers(items)


def _requests(items: dict[str, str]) -> Any:
    return pytest.importorskip("requests.structures").CaseInsensitiveDict(items)


def _tornado(items: dict[str, str]) -> Any:
    return pytest.importorskip("tornado.httputil").HTTPHeaders(items)


MUTABLE: dict[str, Any] = {
    "dict": dict,
    "ordered-dict": OrderedDict,
    "user-dict": UserDict,
    "http-message": _http_message,
    "own-class": lambda items: Headers(items.items()),
    "werkzeug": _werkzeug,
    "requests": _requests,
    "tornado": _tornado,
}
GIVEN = {"Uber-Trace-Id": UBER, "Uberctx-User-Id": "alice", "Content-Type": "text/plain"}


@TEXT_FORMATS
@pytest.mark.parametrize("make", [*MUTABLE.values(), MappingProxyType], ids=[*MUTABLE, "mapping-proxy"])
def test_extract_reads_any_mapping_in_any_case(tracer: BridgeTracer, format: str, make: Any) -> None:
    context = received(tracer, make(GIVEN), format)
    assert (ids(context), dict(context.baggage)) == ((TRACE_ID, SPAN_ID), {"user-id": "alice"})


@TEXT_FORMATS
@pytest.mark.parametrize("make", MUTABLE.values(), ids=MUTABLE)
def test_inject_writes_any_mapping(tracer: BridgeTracer, format: str, make: Any) -> None:
    carrier = make({})
    span = tracer.start_span("op").set_baggage_item("k", "v")
    tracer.inject(span.context, format, carrier)
    assert ids(tracer.extract(format, carrier)) == (span.context.trace_id, span.context.span_id)
    assert {str(key).lower() for key, _ in carrier.items()} == {"uber-trace-id", "uberctx-k", "traceparent", "baggage"}


@TEXT_FORMATS
@pytest.mark.parametrize("spell", [str.upper, str.lower, str.title, str.swapcase])
def test_header_case_does_not_matter(tracer: BridgeTracer, format: str, spell: Any) -> None:
    for headers in ({spell("uber-trace-id"): UBER}, {spell("traceparent"): TRACEPARENT}):
        assert ids(tracer.extract(format, headers)) == (TRACE_ID, SPAN_ID)


@TEXT_FORMATS
@pytest.mark.parametrize(
    "value",
    [[UBER], (UBER,), [UBER, UBER], UBER.encode(), bytearray(UBER.encode()), [UBER.encode()], f" {UBER} "],
    ids=["list", "tuple", "equal-values", "bytes", "bytearray", "list-of-bytes", "spaces"],
)
def test_one_value_in_any_wrapping_is_read(tracer: BridgeTracer, format: str, value: Any) -> None:
    assert ids(tracer.extract(format, {"uber-trace-id": value})) == (TRACE_ID, SPAN_ID)


@TEXT_FORMATS
def test_bytes_as_keys_are_read(tracer: BridgeTracer, format: str) -> None:
    assert ids(tracer.extract(format, {b"uber-trace-id": UBER.encode()})) == (TRACE_ID, SPAN_ID)  # type: ignore[dict-item]


@TEXT_FORMATS
@pytest.mark.parametrize("value", [[UBER, "1:2:0:1"], [], [[]], 5, b"\xff", object(), {"a": 1}], ids=shown)
def test_several_or_odd_values_are_malformed(tracer: BridgeTracer, format: str, value: Any) -> None:
    assert tracer.extract(format, {"uber-trace-id": value}) is None


@pytest.mark.parametrize(
    "lines",
    [
        [("uber-trace-id", UBER), ("Uber-Trace-Id", "1:2:0:1")],
        [("traceparent", TRACEPARENT), ("Traceparent", f"00-{1:032x}-{2:016x}-01")],
    ],
    ids=["jaeger", "w3c"],
)
def test_two_different_header_lines_are_malformed(tracer: BridgeTracer, lines: list[tuple[str, str]]) -> None:
    carrier: Any = Headers(lines)
    assert tracer.extract(Format.HTTP_HEADERS, carrier) is None


def test_carrier_is_not_changed_by_extract(tracer: BridgeTracer) -> None:
    headers = dict(GIVEN)
    tracer.extract(Format.HTTP_HEADERS, headers)
    assert headers == GIVEN


@TEXT_FORMATS
@pytest.mark.parametrize("carrier", [None, 5, "text", b"bytes", ["a"], [("uber-trace-id", UBER)], object()], ids=shown)
def test_carrier_without_items_is_invalid(tracer: BridgeTracer, format: str, carrier: Any) -> None:
    span = tracer.start_span("op")
    with pytest.raises(InvalidCarrierException):
        tracer.extract(format, carrier)
    with pytest.raises(InvalidCarrierException):
        tracer.inject(span.context, format, carrier)


@TEXT_FORMATS
def test_carrier_that_cannot_be_written_is_invalid(tracer: BridgeTracer, format: str) -> None:
    span = tracer.start_span("op")
    with pytest.raises(InvalidCarrierException):
        tracer.inject(span.context, format, MappingProxyType({}))  # type: ignore[arg-type]


@pytest.mark.parametrize("format", ["kiss my shiny metal ...", None, 5, "", object(), ["http_headers"]], ids=shown)
def test_unknown_format_is_unsupported(tracer: BridgeTracer, format: Any) -> None:
    span = tracer.start_span("op")
    with pytest.raises(UnsupportedFormatException):
        tracer.extract(format, {})
    with pytest.raises(UnsupportedFormatException):
        tracer.inject(span.context, format, {})


# --- BINARY


def test_binary_goes_there_and_back(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op").set_baggage_item("k", "\N{SNOWMAN} a+b\r\n").set_baggage_item("Other Key", "")
    carrier = bytearray()
    tracer.inject(span.context, Format.BINARY, carrier)
    context: Any = tracer.extract(Format.BINARY, carrier)
    assert ids(context) == (span.context.trace_id, span.context.span_id)
    assert context.baggage == {"k": "\N{SNOWMAN} a+b\r\n", "Other Key": ""}
    assert (context.sampled, context.debug, context.is_remote) == (True, False, True)


def test_binary_has_the_layout_of_jaeger(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op", child_of=received(tracer, {"uber-trace-id": UBER})).set_baggage_item("k", "v")
    carrier = bytearray()
    tracer.inject(span.context, Format.BINARY, carrier)
    assert bytes(carrier) == (
        TRACE_ID.to_bytes(16, "big")
        + span.context.span_id.to_bytes(8, "big")
        + bytes(8)
        + b"\x01"
        + (1).to_bytes(4, "big")
        + (1).to_bytes(4, "big") + b"k"
        + (1).to_bytes(4, "big") + b"v"
    )  # fmt: skip


def test_binary_is_appended_to_the_carrier(tracer: BridgeTracer) -> None:
    carrier = bytearray(b"before")
    tracer.inject(tracer.start_span("op").context, Format.BINARY, carrier)
    assert (carrier[:6], len(carrier)) == (b"before", 6 + 37)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00", b"x" * 36, bytes(37), b"\xff" * 37, b"\x01" * 33 + b"\x7f\xff\xff\xff", b"\x01" * 60],
    ids=["empty", "one", "short", "zeros", "ones", "huge-count", "bad-lengths"],
)
def test_corrupted_binary_is_none(tracer: BridgeTracer, data: bytes) -> None:
    assert tracer.extract(Format.BINARY, bytearray(data)) is None


@pytest.mark.parametrize("carrier", [{}, None, "text", b"bytes", [1]], ids=ascii)
def test_binary_carrier_must_be_a_bytearray_to_inject(tracer: BridgeTracer, carrier: Any) -> None:
    with pytest.raises(InvalidCarrierException):
        tracer.inject(tracer.start_span("op").context, Format.BINARY, carrier)


@pytest.mark.parametrize("carrier", [{}, None, "text", 5], ids=ascii)
def test_binary_carrier_must_be_bytes_to_extract(tracer: BridgeTracer, carrier: Any) -> None:
    with pytest.raises(InvalidCarrierException):
        tracer.extract(Format.BINARY, carrier)


# --- forged headers

EVIL = ["a\r\nSet-Cookie: x=1", "a\nb", "a\rb", "a\x00b", "\r\n\r\nbody", "a\x0bb\x85c\u2028d"]


def _safe(headers: Mapping[str, str]) -> bool:
    return all(part.isascii() and part.isprintable() for item in headers.items() for part in item) and all(
        key == key.lower() and " " not in key and ":" not in key for key in headers
    )


@pytest.mark.parametrize("evil", EVIL, ids=ascii)
def test_baggage_value_forges_no_header(tracer: BridgeTracer, evil: str) -> None:
    span = tracer.start_span("op").set_baggage_item("k", evil)
    headers = sent(tracer, span.context)
    assert _safe(headers)
    assert set(headers) == {"uber-trace-id", "traceparent", "uberctx-k", "baggage"}
    assert received(tracer, headers).baggage == {"k": evil}


@pytest.mark.parametrize("evil", [*EVIL, "a:b", "a b", "", "(", "\N{SNOWMAN}", "a=b", "a,b"], ids=ascii)
@TEXT_FORMATS
def test_baggage_key_forges_no_header(tracer: BridgeTracer, evil: str, format: str) -> None:
    span = tracer.start_span("op").set_baggage_item(evil, "v").set_baggage_item("good", "v")
    headers = sent(tracer, span.context, format)
    assert _safe(headers)
    assert set(headers) == {"uber-trace-id", "traceparent", "uberctx-good", "baggage"}
    assert headers["baggage"] == "good=v"


def test_baggage_key_that_cannot_be_sent_warns_once(tracer: BridgeTracer, caplog: pytest.LogCaptureFixture) -> None:
    telemetry.reset()
    span = tracer.start_span("op").set_baggage_item("a b", "v").set_baggage_item("c\nd", "v")
    sent(tracer, span.context)
    sent(tracer, span.context)
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1


@pytest.mark.parametrize("evil", EVIL, ids=ascii)
def test_received_headers_forge_no_header(tracer: BridgeTracer, evil: str) -> None:
    headers = {
        "uber-trace-id": UBER,
        "traceparent": TRACEPARENT,
        "tracestate": f"a={evil}",
        f"uberctx-{evil}": "v",
        "uberctx-k": evil,
        "baggage": f"w={evil}",
        "jaeger-baggage": f"j={evil}",
        "jaeger-debug-id": evil,
    }
    span = tracer.start_span("op", child_of=received(tracer, headers))
    assert _safe(sent(tracer, span.context))


@pytest.mark.parametrize("evil", EVIL, ids=ascii)
def test_native_baggage_forges_no_header(tracer: BridgeTracer, evil: str) -> None:
    from opentelemetry import baggage, context

    token = context.attach(baggage.set_baggage(evil, evil))
    try:
        assert _safe(sent(tracer, tracer.start_span("op").context))
    finally:
        context.detach(token)
