"""Every kind of value that applications put into tags and logs: what it becomes, without a warning and without a raise.

Source of the expectations: jaeger-client-python 4.8.0 for what was sent before, the OTLP encoder for what can be sent.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import logging
import math
import uuid
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ot_bridge import BridgeTracer, Settings
from spans import as_dict

Put = Callable[[BridgeTracer, object, object], None]

INT64_MAX = 2**63 - 1
INT64_MIN = -(2**63)


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Access(enum.IntFlag):
    READ = 4


class Mode(str, enum.Enum):
    FAST = "fast"


class Named:
    def __str__(self) -> str:
        return "a named thing"


class RaisesInStr:
    def __str__(self) -> str:
        raise RuntimeError("no text for you")

    __repr__ = __str__


class StrIsNotText:
    def __str__(self) -> Any:
        return 5

    __repr__ = __str__


class RaisesOnEveryAttribute:
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"no {name} for you")


class StrRecursesTooDeep:
    def __str__(self) -> str:
        raise RecursionError("too deep")

    __repr__ = __str__


class Text(str):
    __slots__ = ()


class DomainError(Exception):
    pass


UUID = uuid.UUID("12345678-1234-5678-1234-567812345678")
MOMENT = datetime.datetime(2020, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)

# id, what the application gives, what is exported for a tag and for a log field.
EXACT: list[tuple[str, object, object]] = [
    ("true", True, True),
    ("false", False, False),
    ("text", "text", "text"),
    ("empty-text", "", ""),
    ("non-ascii-text", "žluťoučký \N{SNOWMAN}", "žluťoučký \N{SNOWMAN}"),
    ("text-with-nul", "a\x00b", "a\x00b"),
    ("float", 1.5, 1.5),
    ("infinity", math.inf, math.inf),
    ("int", 5, 5),
    ("zero", 0, 0),
    ("int64-max", INT64_MAX, INT64_MAX),
    ("int64-min", INT64_MIN, INT64_MIN),
    ("above-int64", INT64_MAX + 1, "9223372036854775808"),
    ("below-int64", INT64_MIN - 1, "-9223372036854775809"),
    ("bytes-utf8", "ž".encode(), "ž"),
    ("bytes-not-utf8", b"\xff\x00", b"\xff\x00"),
    ("bytearray-utf8", bytearray(b"abc"), "abc"),
    ("bytearray-not-utf8", bytearray(b"\xff"), b"\xff"),
    ("memoryview-utf8", memoryview(b"abc"), "abc"),
    ("memoryview-not-utf8", memoryview(b"\xfe"), b"\xfe"),
    ("list-of-str", ["a", "b"], ("a", "b")),
    ("tuple-of-int", (1, 2), (1, 2)),
    ("list-of-float", [1.0, 2.5], (1.0, 2.5)),
    ("list-of-bool", [True, False], (True, False)),
    ("decimal", decimal.Decimal("1.50"), "1.50"),
    ("datetime", MOMENT, "2020-01-02T03:04:05+00:00"),
    ("uuid", UUID, str(UUID)),
    ("enum", Colour.RED, "Colour.RED"),
    ("int-enum", Level.HIGH, 3),
    ("int-flag", Access.READ, 4),
    ("str-enum", Mode.FAST, "fast"),
    ("str-subclass", Text("text"), "text"),
    ("complex", 1 + 2j, "(1+2j)"),
    ("set", {1}, "{1}"),
    ("object", Named(), "a named thing"),
    ("exception", ValueError("boom"), "boom"),
    ("builtin-class", ValueError, "ValueError"),
    ("class", decimal.Decimal, "decimal.Decimal"),
    ("lone-surrogate", "a\ud800b", "a?b"),
]

# id, value, what its JSON text reads back as.
AS_JSON: list[tuple[str, object, object]] = [
    ("mixed-list", [1, "a"], [1, "a"]),
    ("bool-beside-int", [True, 1], [True, 1]),
    ("nested-list", [[1], [2]], [[1], [2]]),
    ("list-with-none", ["a", None], ["a", None]),
    ("dict", {"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 2]}),
    ("dict-in-list", [{"a": 1}], [{"a": 1}]),
    ("dict-with-int-keys", {1: "a"}, {"1": "a"}),
]

# id, maker: no exact text is promised, only that it is one value, exported and encoded.
HOSTILE: list[tuple[str, Callable[[], object]]] = [
    ("str-raises", RaisesInStr),
    ("str-is-not-text", StrIsNotText),
    ("every-attribute-raises", RaisesOnEveryAttribute),
    ("str-raises-recursion-error", StrRecursesTooDeep),
    ("self-referencing-list", lambda: _loop([])),
    ("self-referencing-dict", lambda: _loop({})),
    ("deeply-nested-list", lambda: _deep(5000)),
    ("int-too-long-for-str", lambda: 10**5000),
    ("dict-with-hostile-key", lambda: {RaisesInStr(): 1}),
    ("list-of-hostile", lambda: [RaisesInStr(), 1]),
    ("exception-whose-str-raises", lambda: type("Bad", (Exception,), {"__str__": lambda self: 1 / 0})()),
    ("mock-that-has-every-method", MagicMock),
    ("list-of-huge-ints", lambda: [2**70, 2**71]),
    ("list-with-surrogates", lambda: ["\ud800", "a"]),
    ("dict-with-surrogates", lambda: {"\ud800": "\udfff"}),
    ("list-of-nan", lambda: [math.nan, math.inf]),
    ("generator", lambda: (i for i in range(3))),
    ("released-memoryview", lambda: _released()),
]

# Those of them that are hashable.
HOSTILE_KEYS = {
    name: make for name, make in HOSTILE if not any(word in name for word in ("list", "dict", "memoryview"))
}


def _loop(container: Any) -> Any:
    if isinstance(container, list):
        container.append(container)
    else:
        container["self"] = container
    return container


def _deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def _released() -> memoryview:
    view = memoryview(b"abc")
    view.release()
    return view


def _set_tag(tracer: BridgeTracer, key: object, value: object) -> None:
    with tracer.start_span("op") as span:
        span.set_tag(key, value)  # type: ignore[arg-type]


def _initial_tag(tracer: BridgeTracer, key: object, value: object) -> None:
    tracer.start_span("op", tags={key: value}).finish()  # type: ignore[dict-item]


def _log_field(tracer: BridgeTracer, key: object, value: object) -> None:
    with tracer.start_span("op") as span:
        span.log_kv({"event": "e", key: value})


PLACES: dict[str, Put] = {"set_tag": _set_tag, "initial-tag": _initial_tag, "log": _log_field}
PLACE = pytest.mark.parametrize("put", PLACES.values(), ids=PLACES.keys())


def exported(put: Put, exporter: InMemorySpanExporter) -> dict[str, Any]:
    """Return the attributes of the one exported span, or of its one event, after the official encoder accepted it."""
    (span,) = exporter.get_finished_spans()
    encoded = encode_spans([span]).resource_spans[0].scope_spans[0].spans[0]
    plain = as_dict(span)
    attributes: dict[str, Any] = plain["events"][0]["attributes"] if put is _log_field else plain["attributes"]
    assert len(encoded.events[0].attributes if put is _log_field else encoded.attributes) == len(attributes)
    return attributes


@PLACE
@pytest.mark.parametrize(("value", "expected"), [row[1:] for row in EXACT], ids=[row[0] for row in EXACT])
def test_value_becomes(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, put: Put, value: object, expected: object
) -> None:
    put(tracer, "k", value)
    found = exported(put, exporter)
    assert found == {"k": expected}
    assert type(found["k"]) is type(expected)


@PLACE
def test_nan_stays_a_double(tracer: BridgeTracer, exporter: InMemorySpanExporter, put: Put) -> None:
    put(tracer, "k", math.nan)
    assert math.isnan(exported(put, exporter)["k"])


@PLACE
@pytest.mark.parametrize(("value", "expected"), [row[1:] for row in AS_JSON], ids=[row[0] for row in AS_JSON])
def test_value_becomes_json_text(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, put: Put, value: object, expected: object
) -> None:
    put(tracer, "k", value)
    text = exported(put, exporter)["k"]
    assert isinstance(text, str)
    assert json.loads(text) == expected


@PLACE
@pytest.mark.parametrize("make", [row[1] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_hostile_value_never_raises_and_loses_no_span(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, put: Put, make: Callable[[], object]
) -> None:
    put(tracer, "k", make())
    assert list(exported(put, exporter)) == ["k"]


@PLACE
@pytest.mark.parametrize("make", HOSTILE_KEYS.values(), ids=HOSTILE_KEYS.keys())
def test_hostile_key_never_raises_and_loses_no_span(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, put: Put, make: Callable[[], object]
) -> None:
    put(tracer, make(), "v")
    assert all(isinstance(name, str) for name in exported(put, exporter))


def test_none_tag_is_skipped(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_span("op", tags={"a": None}) as span:
        span.set_tag("b", None)
    assert as_dict(exporter.get_finished_spans()[0])["attributes"] == {}


def test_none_log_field_is_the_text_none(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_span("op") as span:
        span.log_kv({"event": "e", "k": None})
    assert as_dict(exporter.get_finished_spans()[0])["events"][0]["attributes"] == {"k": "None"}


@PLACE
@pytest.mark.parametrize(
    ("key", "expected"),
    [(5, "5"), (b"bytes", "bytes"), (1.5, "1.5"), (True, "True"), ("\ud800k", "?k")],
    ids=["int", "bytes", "float", "bool", "lone-surrogate"],
)
def test_key_becomes_text(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, put: Put, key: object, expected: str
) -> None:
    put(tracer, key, "v")
    assert exported(put, exporter) == {expected: "v"}


@PLACE
def test_empty_key_is_skipped(tracer: BridgeTracer, exporter: InMemorySpanExporter, put: Put) -> None:
    put(tracer, "", "v")
    assert exported(put, exporter) == {}


@PLACE
def test_odd_value_logs_no_warning(tracer: BridgeTracer, put: Put, caplog: pytest.LogCaptureFixture) -> None:
    for _, value, _ in EXACT + AS_JSON:
        put(tracer, "k", value)
    for _, make in HOSTILE:
        put(tracer, "k", make())
    put(tracer, 5, "v")
    put(tracer, "", "v")
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@PLACE
def test_later_change_of_a_list_does_not_change_the_span(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, put: Put
) -> None:
    items = ["a"]
    with tracer.start_span("op", tags={"k": items} if put is _initial_tag else None) as span:
        if put is _set_tag:
            span.set_tag("k", items)  # type: ignore[arg-type]
        elif put is _log_field:
            span.log_kv({"event": "e", "k": items})
        items.append("b")
    assert exported(put, exporter) == {"k": ("a",)}


@PLACE
def test_stringify_sequences_gives_the_text_that_jaeger_sent(
    provider: TracerProvider, exporter: InMemorySpanExporter, put: Put
) -> None:
    put(BridgeTracer(provider, settings=Settings(stringify_sequences=True)), "k", ["a", "b"])
    assert exported(put, exporter) == {"k": "['a', 'b']"}


# --- numpy: its values are not Python's, and jaeger-client sent most of them as text


@PLACE
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda np: np.int64(5), 5),
        (lambda np: np.int8(-5), -5),
        (lambda np: np.uint64(2**64 - 1), "18446744073709551615"),
        (lambda np: np.float32(1.5), 1.5),
        (lambda np: np.float64(2.5), 2.5),
        (lambda np: np.bool_(True), True),
        (lambda np: np.str_("text"), "text"),
        (lambda np: np.array([1, 2]), (1, 2)),
        (lambda np: np.array(["a", "b"]), ("a", "b")),
        (lambda np: np.array([1.5]), (1.5,)),
    ],
    ids=["int64", "int8", "uint64-above-int64", "float32", "float64", "bool", "str", "ints", "strs", "floats"],
)
def test_numpy_value_becomes(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, put: Put, make: Callable[[Any], object], expected: object
) -> None:
    put(tracer, "k", make(pytest.importorskip("numpy")))
    found = exported(put, exporter)
    assert found == {"k": expected}
    assert type(found["k"]) is type(expected)


@PLACE
def test_numpy_matrix_becomes_json_text(tracer: BridgeTracer, exporter: InMemorySpanExporter, put: Put) -> None:
    put(tracer, "k", pytest.importorskip("numpy").array([[1, 2], [3, 4]]))
    assert json.loads(exported(put, exporter)["k"]) == [[1, 2], [3, 4]]


# --- lengths


@PLACE
def test_long_text_is_not_cut_by_default(tracer: BridgeTracer, exporter: InMemorySpanExporter, put: Put) -> None:
    put(tracer, "k", "x" * 100_000)
    assert len(exported(put, exporter)["k"]) == 100_000


@PLACE
@pytest.mark.parametrize("value", ["x" * 50, [1, "x" * 50]], ids=["text", "json-text"])
def test_max_tag_value_length_cuts(
    provider: TracerProvider, exporter: InMemorySpanExporter, put: Put, value: object
) -> None:
    put(BridgeTracer(provider, settings=Settings(max_tag_value_length=10)), "k", value)
    assert len(exported(put, exporter)["k"]) == 10


def test_max_traceback_length_cuts_the_stacktrace_only(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracer = BridgeTracer(provider, settings=Settings(max_traceback_length=20))
    with pytest.raises(ValueError, match="boom"), tracer.start_span("op"):
        raise ValueError("boom" * 10)
    attributes = as_dict(exporter.get_finished_spans()[0])["events"][0]["attributes"]
    assert len(attributes["exception.stacktrace"]) == 20
    assert attributes["exception.message"] == "boom" * 10


def test_the_sdk_length_limits_hold(exporter: InMemorySpanExporter) -> None:
    limits = SpanLimits(max_attribute_length=5, max_span_attribute_length=3)
    provider = TracerProvider(span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with BridgeTracer(provider).start_span("op", tags={"early": "abcdefgh"}) as span:
        span.set_tag("late", "abcdefgh")
        span.log_kv({"event": "long-event-name", "k": "abcdefgh"})
    found = as_dict(exporter.get_finished_spans()[0])
    assert found["attributes"] == {"early": "abc", "late": "abc"}
    assert [(event["name"], event["attributes"]) for event in found["events"]] == [("long-event-name", {"k": "abcde"})]
