"""What our encoder writes is the message that the official one writes: for spans of every kind, whatever is in them."""

from __future__ import annotations

import enum
import random
from collections.abc import Sequence
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from jaeger_pairs import NEW, tracer_of
from ot_bridge import telemetry
from ot_bridge.jaeger_client.span import otel_face
from ot_bridge.otlp.encoder import encode
from ot_bridge.otlp.official import encode_batch
from otlp_spans import ANY_ATTRIBUTES, BRIDGE_RECIPES, SDK_RECIPES, bridge_spans, sdk_spans, span_of, written_spans

NOT_TIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


def read(encoded: bytes) -> Any:
    """Return the message as a plain dict."""
    return MessageToDict(ExportTraceServiceRequest.FromString(encoded))


def assert_same(encoded: bytes, spans: Sequence[ReadableSpan]) -> None:
    """Compare with the official encoder: as dicts to be read, and to the bit, which dicts of floats are not."""
    official = encode_spans(spans)
    assert read(encoded) == MessageToDict(official)
    ours = ExportTraceServiceRequest.FromString(encoded)
    assert ours.SerializeToString(deterministic=True) == official.SerializeToString(deterministic=True)


@NOT_TIMED
@given(SDK_RECIPES)
def test_spans_of_the_sdk_are_the_same_message(recipe: dict[str, Any]) -> None:
    spans = sdk_spans(recipe)
    assert_same(encode(spans), spans)


@NOT_TIMED
@given(BRIDGE_RECIPES)
def test_spans_of_the_bridge_are_the_same_message(recipe: dict[str, Any]) -> None:
    spans = bridge_spans(recipe)
    assert_same(encode(spans), spans)


@NOT_TIMED
@given(st.lists(written_spans(), max_size=4))
def test_spans_written_field_by_field_are_the_same_message(spans: list[ReadableSpan]) -> None:
    assert_same(encode(spans), spans)


@NOT_TIMED
@given(st.lists(written_spans(ANY_ATTRIBUTES), max_size=3))
def test_any_value_becomes_what_the_official_encoder_makes_of_it(spans: list[ReadableSpan]) -> None:
    assert_same(encode_batch(spans), spans)


@NOT_TIMED
@given(BRIDGE_RECIPES, SDK_RECIPES, st.randoms())
def test_mixed_batch_is_grouped_as_the_official_one(
    bridge: dict[str, Any], sdk: dict[str, Any], rng: random.Random
) -> None:
    spans = [*bridge_spans(bridge), *sdk_spans(sdk)]
    rng.shuffle(spans)
    assert_same(encode(spans), spans)


# --- cases that are easily got wrong, and one message in full


class Colour(str, enum.Enum):
    RED = "red"


class Code(enum.IntEnum):
    OK = 200


class Celsius(float):
    """A float that shows itself otherwise."""

    def __float__(self) -> float:
        return 0.0


INTEGERS = [0, -1, 127, 128, 2047, 2048, 2**63 - 1, -(2**63), True, False, Code.OK]
FLOATS = [0.0, -0.0, float("inf"), Celsius(21.5)]
TEXTS = ["", "é" * 64, "x" * 3000, "\x00", "\U0001f680", Colour.RED, b"", b"\x00" * 200]
NESTED = [[], (), {}, {"a": {"b": [1, "x", {"c": b"d"}]}}, [[1], [2, [3]]]]


@pytest.mark.parametrize(
    "value",
    [*INTEGERS, *FLOATS, *TEXTS, *NESTED],
    ids=lambda value: f"{type(value).__name__}-{ascii(value)[:12]}",
)
def test_value_is_the_same(value: Any) -> None:
    spans = [span_of(attributes={"v": value, "after": 1})]
    assert_same(encode(spans), spans)


@pytest.mark.parametrize("size", [*range(110, 132), 2040, 2048, 2060, 16_380, 16_390])
def test_length_is_right_where_it_takes_a_byte_more(size: int) -> None:
    text = "x" * size
    event = Event(text, {"k": text}, 1)
    spans = [span_of(name=text, attributes={text: text, "list": [text, text]}, events=[event])]
    assert_same(encode(spans), spans)


def test_equal_resources_and_scopes_are_one_group_each_in_order() -> None:
    def resource(name: str) -> Resource:
        return Resource({"service.name": name})

    def scope(name: str) -> InstrumentationScope:
        return InstrumentationScope(name, "1", "url")

    order = [("a", "x"), ("b", "x"), ("a", "y"), ("a", "x"), ("b", "x")]
    spans = [
        span_of(name=f"{number}", resource=resource(a), instrumentation_scope=scope(b))
        for number, (a, b) in enumerate(order)
    ]
    assert_same(encode(spans), spans)
    groups = [
        [[span["name"] for span in of_scope["spans"]] for of_scope in of_resource["scopeSpans"]]
        for of_resource in read(encode(spans))["resourceSpans"]
    ]
    assert groups == [[["0", "3"], ["2"]], [["1", "4"]]]


def test_resources_that_are_equal_in_python_and_not_in_json_stay_apart() -> None:
    spans = [span_of(resource=Resource({"n": value})) for value in (1, True, 1.0)]
    assert_same(encode(spans), spans)


def test_resource_that_is_made_anew_for_each_span_is_not_taken_for_another() -> None:
    class Tenant(ReadableSpan):
        @property
        def resource(self) -> Resource:
            return Resource({"tenant": self.name})

    spans = [Tenant(name=f"{number % 7}", context=SpanContext(1, 1, is_remote=False)) for number in range(50)]
    assert_same(encode(spans), spans)


def test_property_that_a_subclass_overrides_is_what_counts() -> None:
    class Renamed(ReadableSpan):
        @property
        def name(self) -> str:
            return "shown"

        @property
        def attributes(self) -> Any:
            return {"shown": True}

    spans = [Renamed(name="hidden", context=SpanContext(1, 1, is_remote=False), attributes={"hidden": True})]
    assert_same(encode(spans), spans)


def test_span_of_the_drop_in_is_the_same_message() -> None:
    tracer = tracer_of(NEW)
    with tracer.start_active_span("outer", tags={"a": 1}) as scope:
        scope.span.log_kv({"event": "e", "n": 2})
        tracer.start_span("inner").finish()
    spans = [otel_face(span) for span in tracer.reporter.get_spans()]
    assert_same(encode(spans), spans)
    assert len(spans) == 2


def test_no_spans_are_an_empty_request() -> None:
    assert encode([]) == b""


def test_message_is_this_one() -> None:
    span = span_of(
        name="charge",
        context=SpanContext(
            0x0102030405060708090A0B0C0D0E0F10,
            0x1112131415161718,
            is_remote=False,
            trace_flags=TraceFlags(1),
            trace_state=TraceState([("a", "1"), ("b", "2")]),
        ),
        parent=SpanContext(1, 0x2122232425262728, is_remote=True),
        resource=Resource({"service.name": "shop"}, "https://schema"),
        attributes={"text": "é", "number": -1, "real": 1.5, "flag": True, "row": (1, "x")},
        events=[Event("paid", {"amount": 3}, 7)],
        links=[Link(SpanContext(2, 3, is_remote=False), {"why": "retry"})],
        kind=SpanKind.CLIENT,
        status=Status(StatusCode.ERROR, "declined"),
        start_time=5,
        end_time=9,
        instrumentation_scope=InstrumentationScope("lib", "1.2", "https://scope", {"s": 1}),
    )
    assert read(encode([span])) == {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
                "schemaUrl": "https://schema",
                "scopeSpans": [
                    {
                        "scope": {
                            "name": "lib",
                            "version": "1.2",
                            "attributes": [{"key": "s", "value": {"intValue": "1"}}],
                        },
                        "schemaUrl": "https://scope",
                        "spans": [
                            {
                                "traceId": "AQIDBAUGBwgJCgsMDQ4PEA==",
                                "spanId": "ERITFBUWFxg=",
                                "traceState": "a=1,b=2",
                                "parentSpanId": "ISIjJCUmJyg=",
                                "flags": 0x300,
                                "name": "charge",
                                "kind": "SPAN_KIND_CLIENT",
                                "startTimeUnixNano": "5",
                                "endTimeUnixNano": "9",
                                "attributes": [
                                    {"key": "text", "value": {"stringValue": "é"}},
                                    {"key": "number", "value": {"intValue": "-1"}},
                                    {"key": "real", "value": {"doubleValue": 1.5}},
                                    {"key": "flag", "value": {"boolValue": True}},
                                    {
                                        "key": "row",
                                        "value": {"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "x"}]}},
                                    },
                                ],
                                "events": [
                                    {
                                        "timeUnixNano": "7",
                                        "name": "paid",
                                        "attributes": [{"key": "amount", "value": {"intValue": "3"}}],
                                    }
                                ],
                                "links": [
                                    {
                                        "traceId": "AAAAAAAAAAAAAAAAAAAAAg==",
                                        "spanId": "AAAAAAAAAAM=",
                                        "flags": 0x100,
                                        "attributes": [{"key": "why", "value": {"stringValue": "retry"}}],
                                    }
                                ],
                                "status": {"message": "declined", "code": "STATUS_CODE_ERROR"},
                            }
                        ],
                    }
                ],
            }
        ]
    }


def test_ordinary_spans_never_need_the_official_encoder(tracer: Any, exporter: Any) -> None:
    with tracer.start_active_span("s", tags={"a": 1, "b": "x"}) as scope:
        scope.span.log_kv({"event": "e", "list": [1, 2]})
    encode_batch(exporter.get_finished_spans())
    assert dict(telemetry.snapshot()) == {}
