"""OpenTracing logs: the event that each call becomes, and exceptions recorded once, in OpenTelemetry's form."""

from __future__ import annotations

import datetime
import logging
import math
import sys
import time
import traceback
from types import TracebackType
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing import logs

from ot_bridge import BridgeTracer, Settings, telemetry
from shown import shown
from spans import as_dict


class DomainError(Exception):
    """An exception with a module of its own."""


class TextError(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text for you")


def only_span(exporter: InMemorySpanExporter) -> dict[str, Any]:
    (span,) = exporter.get_finished_spans()
    encode_spans([span])
    return as_dict(span)


def events(exporter: InMemorySpanExporter) -> list[tuple[str, dict[str, Any]]]:
    """Return name and attributes of every event of the one exported span, without the SDK's own escaped mark."""
    found = []
    for event in only_span(exporter)["events"]:
        attributes = dict(event["attributes"])
        attributes.pop("exception.escaped", None)
        found.append((event["name"], attributes))
    return found


def raised(error: BaseException) -> BaseException:
    """Return the exception with a traceback, as a handler holds it."""
    try:
        raise error
    except BaseException as caught:
        return caught


# --- names and fields


@pytest.mark.parametrize(
    ("fields", "name", "attributes"),
    [
        ({"event": "cache miss", "key": "k"}, "cache miss", {"key": "k"}),
        ({"event": 42, "a": 1}, "42", {"a": 1}),
        ({"event": 1.5}, "1.5", {}),
        ({"event": True}, "True", {}),
        ({"event": ValueError("boom")}, "boom", {}),
        ({"a": 1}, "log", {"a": 1}),
        ({}, "log", {}),
        ({"message": "hello"}, "log", {"message": "hello"}),
        ({"event": "e", "message": "m", "payload": "p"}, "e", {"message": "m", "payload": "p"}),
        ({"python.exception.type": "T"}, "log", {"python.exception.type": "T"}),
        ({"event": "retry", "error.object": ValueError("boom")}, "retry", {"error.object": "boom"}),
        ({"event": "retry", "error.kind": ValueError}, "retry", {"error.kind": "ValueError"}),
        ({"event": "retry", "stack": "text"}, "retry", {"stack": "text"}),
        ({"error.object": ValueError("boom")}, "log", {"error.object": "boom"}),
    ],
    ids=[
        "event",
        "event-int",
        "event-float",
        "event-bool",
        "event-exception",
        "no-event",
        "nothing",
        "message-only",
        "message-and-payload",
        "python-exception-type",
        "exception-in-another-event",
        "class-in-another-event",
        "stack-in-another-event",
        "exception-without-event",
    ],
)
def test_log_kv_becomes_an_event(
    tracer: BridgeTracer,
    exporter: InMemorySpanExporter,
    fields: dict[str, Any],
    name: str,
    attributes: dict[str, Any],
) -> None:
    with tracer.start_span("op") as span:
        span.log_kv(fields)
    assert events(exporter) == [(name, attributes)]


@pytest.mark.parametrize("event", [None, "", b"", TextError(), "\ud800", "a\ud800", [1, 2], {}], ids=ascii)
def test_event_name_is_always_a_text_that_encodes(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, event: object
) -> None:
    with tracer.start_span("op") as span:
        span.log_kv({"event": event})
    ((name, _),) = events(exporter)
    assert isinstance(name, str)
    assert name != ""


@pytest.mark.parametrize("fields", [None, 5, "text", [("event", "e")], ["a"], object()], ids=shown)
def test_log_kv_of_something_else_never_raises(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, fields: Any
) -> None:
    with tracer.start_span("op") as span:
        assert span.log_kv(fields) is span
    assert only_span(exporter)["status"] == {"code": "UNSET", "description": ""}


def test_log_kv_does_not_change_the_callers_fields(tracer: BridgeTracer) -> None:
    error = raised(ValueError("boom"))
    fields = {"event": "error", "error.object": error, "error.kind": ValueError, "stack": None, "message": "m"}
    before = dict(fields)
    with tracer.start_span("op") as span:
        span.log_kv(fields)
    assert fields == before


def test_log_kv_returns_the_span(tracer: BridgeTracer) -> None:
    with tracer.start_span("op") as span:
        assert span.log_kv({"event": "e"}) is span
        assert span.log_kv({"event": "error", "error.object": ValueError("boom")}) is span


def test_logs_keep_their_order(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_span("op") as span:
        for number in range(5):
            span.log_kv({"event": f"e{number}"})
    assert [name for name, _ in events(exporter)] == ["e0", "e1", "e2", "e3", "e4"]


# --- the deprecated ways


def test_log_event_chains(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_span("op") as span:
        assert span.log_event("a").log_event("b", payload="p").log_event("c", 5) is span
    assert events(exporter) == [("a", {}), ("b", {"payload": "p"}), ("c", {"payload": 5})]


def test_log_chains(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_span("op") as span:
        assert span.log(event="a").log(payload=5).log(event="b", payload="p", timestamp=1600000000.5).log() is span
    assert events(exporter) == [("a", {}), ("log", {"payload": 5}), ("b", {"payload": "p"}), ("log", {})]
    assert exporter.get_finished_spans()[0].events[2].timestamp == 1600000000_500000000


def test_info_and_error_of_jaeger_client_still_work(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_span("op") as span:
        span.info("started", payload="p")  # type: ignore[attr-defined]
        span.error("failed")  # type: ignore[attr-defined]
    assert events(exporter) == [("started", {"payload": "p"}), ("failed", {})]
    assert only_span(exporter)["status"]["code"] == "ERROR"


# --- timestamps


@pytest.mark.parametrize(
    ("seconds", "nanoseconds"),
    [(1600000000, 1600000000_000000000), (1600000000.123456, int(1600000000.123456 * 1e6) * 1000), (1.5, 1500000000)],
)
def test_log_timestamp_is_whole_microseconds(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, seconds: float, nanoseconds: int
) -> None:
    with tracer.start_span("op") as span:
        span.log_kv({"event": "e"}, timestamp=seconds)
    assert exporter.get_finished_spans()[0].events[0].timestamp == nanoseconds


@pytest.mark.parametrize(
    "timestamp",
    [
        None,
        -1.0,
        math.nan,
        math.inf,
        -math.inf,
        pytest.param(time.time() * 1e3, id="milliseconds"),
        pytest.param(time.time() * 1e9, id="nanoseconds"),
        10**400,
        1e300,
        "yesterday",
        b"1",
        [1],
        object(),
        TextError(),
    ],
    ids=shown,
)
def test_unusable_log_timestamp_is_now(tracer: BridgeTracer, exporter: InMemorySpanExporter, timestamp: Any) -> None:
    before = time.time_ns() - 1_000
    with tracer.start_span("op") as span:
        span.log_kv({"event": "e"}, timestamp=timestamp)
    encode_spans(exporter.get_finished_spans())
    assert before <= exporter.get_finished_spans()[0].events[0].timestamp <= time.time_ns()


def test_datetime_as_log_timestamp_never_raises(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    before = time.time_ns() - 1_000
    with tracer.start_span("op") as span:
        span.log_kv({"event": "e"}, timestamp=datetime.datetime.now(datetime.timezone.utc))  # type: ignore[arg-type]
    assert before <= exporter.get_finished_spans()[0].events[0].timestamp <= time.time_ns()


def test_unusable_log_timestamp_is_counted(tracer: BridgeTracer) -> None:
    before = dict(telemetry.snapshot())
    tracer.start_span("op").log_kv({"event": "e"}, timestamp=math.nan).finish()
    assert telemetry.snapshot() != before


# --- event=error


def test_error_log_with_an_exception_is_an_exception_event(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    error = raised(ValueError("boom"))
    with tracer.start_span("op") as span:
        span.log_kv(
            {
                logs.EVENT: "error",
                logs.ERROR_OBJECT: error,
                logs.ERROR_KIND: ValueError,
                logs.STACK: error.__traceback__,
                logs.MESSAGE: "it went wrong",
                "attempt": 3,
            }
        )
    assert events(exporter) == [
        (
            "exception",
            {
                "exception.type": "ValueError",
                "exception.message": "boom",
                "exception.stacktrace": "".join(traceback.format_exception(error)),
                "message": "it went wrong",
                "attempt": 3,
            },
        )
    ]


def test_error_log_names_an_exception_by_module_and_qualified_name(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_span("op") as span:
        span.log_kv({"event": "error", "error.object": raised(DomainError("boom"))})
    assert events(exporter)[0][1]["exception.type"] == f"{__name__}.DomainError"


def test_error_log_of_an_exception_that_was_never_raised(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_span("op") as span:
        span.log_kv({"event": "error", "error.object": ValueError("boom")})
    assert events(exporter) == [
        (
            "exception",
            {"exception.type": "ValueError", "exception.message": "boom", "exception.stacktrace": "ValueError: boom\n"},
        )
    ]


def test_error_log_keeps_the_cause_of_the_exception(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    try:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise ValueError("outer") from inner
    except ValueError as outer:
        with tracer.start_span("op") as span:
            span.log_kv({"event": "error", "error.object": outer})
    assert "KeyError: 'inner'" in events(exporter)[0][1]["exception.stacktrace"]


def test_error_log_of_an_exception_without_text_never_raises(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_span("op") as span:
        span.log_kv({"event": "error", "error.object": raised(TextError())})
    ((name, attributes),) = events(exporter)
    assert (name, attributes["exception.type"]) == ("exception", f"{__name__}.TextError")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"error.kind": "ValueError"}, {"exception.type": "ValueError"}),
        ({"error.kind": ValueError}, {"exception.type": "ValueError"}),
        ({"error.kind": DomainError}, {"exception.type": f"{__name__}.DomainError"}),
        ({"message": "boom"}, {"exception.message": "boom", "message": "boom"}),
        ({"stack": "  File x"}, {"exception.stacktrace": "  File x"}),
        (
            {"error.kind": "E", "message": "boom", "stack": "s", "attempt": 3},
            {
                "exception.type": "E",
                "exception.message": "boom",
                "message": "boom",
                "exception.stacktrace": "s",
                "attempt": 3,
            },
        ),
    ],
    ids=["kind-text", "kind-builtin-class", "kind-class", "message", "stack", "all"],
)
def test_error_log_without_an_exception_is_an_exception_event(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    with tracer.start_span("op") as span:
        span.log_kv({"event": "error", **fields})
    assert events(exporter) == [("exception", expected)]


def test_error_log_with_a_traceback_object_has_its_text(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    try:
        raise ValueError("boom")
    except ValueError:
        kind, _, trace = sys.exc_info()
        with tracer.start_span("op") as span:
            span.log_kv({"event": "error", "error.kind": kind, "stack": trace})
    assert isinstance(trace, TracebackType)
    ((_, attributes),) = events(exporter)
    assert "".join(traceback.format_tb(trace)) in attributes["exception.stacktrace"]


@pytest.mark.parametrize("value", ["connection refused", 42, None, ValueError], ids=ascii)
def test_error_log_whose_object_is_no_exception_never_raises(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, value: object
) -> None:
    with tracer.start_span("op") as span:
        span.log_kv({"event": "error", "error.object": value})
    assert [name for name, _ in events(exporter)] == ["exception"]


def test_error_log_keeps_the_text_given_as_its_object(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_span("op") as span:
        span.log_kv({"event": "error", "error.object": "connection refused"})
    assert "connection refused" in events(exporter)[0][1].values()


def test_error_log_sets_no_status(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_span("op") as span:
        span.log_kv({"event": "error", "error.object": ValueError("boom"), "message": "boom"})
    assert only_span(exporter)["status"] == {"code": "UNSET", "description": ""}


@pytest.mark.parametrize("fields", [{"error.object": ValueError("boom")}, {"message": "boom"}], ids=["object", "text"])
def test_error_log_sets_the_status_when_asked_for(
    provider: Any, exporter: InMemorySpanExporter, fields: dict[str, Any]
) -> None:
    tracer = BridgeTracer(provider, settings=Settings(error_log_sets_status=True))
    with tracer.start_span("op") as span:
        span.log_kv({"event": "error", **fields})
    assert only_span(exporter)["status"]["code"] == "ERROR"


# --- exceptions that leave a span or a scope


def _leave_span(tracer: BridgeTracer, error: BaseException) -> None:
    with tracer.start_span("op"):
        raise error


def _leave_scope(tracer: BridgeTracer, error: BaseException) -> None:
    with tracer.start_active_span("op"):
        raise error


def _log_and_leave_span(tracer: BridgeTracer, error: BaseException) -> None:
    with tracer.start_span("op") as span:
        try:
            raise error
        except BaseException as caught:
            span.set_tag("error", True)
            span.log_kv({"event": "error", "error.object": caught, "message": "boom"})
            raise


def _log_and_leave_scope(tracer: BridgeTracer, error: BaseException) -> None:
    with tracer.start_active_span("op") as scope:
        try:
            raise error
        except BaseException as caught:
            scope.span.log_kv({"event": "error", "error.object": caught, "message": "boom"})
            raise


def _leave_scope_inside_span(tracer: BridgeTracer, error: BaseException) -> None:
    with tracer.start_span("op") as span, tracer.scope_manager.activate(span, False):
        raise error


def _leave_scope_that_finishes_inside_span(tracer: BridgeTracer, error: BaseException) -> None:
    with tracer.start_span("op") as span, tracer.scope_manager.activate(span, True):
        raise error


LEAVE = pytest.mark.parametrize(
    "leave",
    [
        _leave_span,
        _leave_scope,
        _log_and_leave_span,
        _log_and_leave_scope,
        _leave_scope_inside_span,
        _leave_scope_that_finishes_inside_span,
    ],
)


@LEAVE
def test_exception_is_recorded_once_with_status_and_full_traceback(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, leave: Any
) -> None:
    with pytest.raises(ValueError, match="boom"):
        leave(tracer, ValueError("boom"))
    span = only_span(exporter)
    ((name, attributes),) = events(exporter)
    stacktrace = attributes.pop("exception.stacktrace")
    assert (name, attributes) == (
        "exception",
        {"exception.type": "ValueError", "exception.message": "boom", "message": "boom"},
    )
    assert stacktrace.startswith("Traceback (most recent call last):\n")
    assert (span["status"], span["attributes"]) == ({"code": "ERROR", "description": "boom"}, {})


@LEAVE
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit(), TextError()], ids=ascii)
def test_any_exception_passes_through_unchanged(tracer: BridgeTracer, leave: Any, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        leave(tracer, error)
    assert caught.value is error


def _caused_by(cause: BaseException) -> BaseException:
    error = ValueError("outer")
    error.__cause__ = cause
    return error


def _cause_of_itself() -> BaseException:
    error = ValueError("a")
    error.__cause__ = KeyError("b")
    error.__cause__.__cause__ = error
    return error


def _at_the_end_of(length: int) -> BaseException:
    error: BaseException = ValueError(0)
    for number in range(length):
        after = ValueError(number)
        after.__context__ = error
        error = after
    return error


def _raise(self: object, *args: object) -> None:
    raise RuntimeError("not even that")


# Each breaks a promise that code which formats exceptions likes to rely on.
BROKEN = {
    "module-is-none": type("E", (Exception,), {"__module__": None})("boom"),
    "false": type("E", (Exception,), {"__bool__": lambda self: False})("boom"),
    "empty": type("E", (Exception,), {"__len__": lambda self: 0})("boom"),
    "bool-raises": type("E", (Exception,), {"__bool__": _raise})("boom"),
    "eq-raises": type("E", (Exception,), {"__eq__": _raise, "__hash__": None})("boom"),
    "setattr-raises": type("E", (Exception,), {"__setattr__": _raise})("boom"),
    "notes-are-no-list": type("E", (Exception,), {"__notes__": 5})("boom"),
    "cause-without-text": _caused_by(TextError()),
    "cause-of-itself": _cause_of_itself(),
    "end-of-a-long-chain": _at_the_end_of(3000),
    "syntax-error-of-oddities": SyntaxError("m", (5, 1, 1, 5)),
    "text-with-surrogate": ValueError("\ud800"),
    "no-arguments": KeyError(),
}


@pytest.mark.parametrize("leave", [_leave_span, _leave_scope])
@pytest.mark.parametrize("error", BROKEN.values(), ids=BROKEN.keys())
def test_broken_exception_is_recorded_and_passes_through(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, leave: Any, error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught:
        leave(tracer, error)
    assert caught.value is error
    assert only_span(exporter)["status"]["code"] == "ERROR"
    assert [name for name, _ in events(exporter)] == ["exception"]


def test_exception_through_two_scopes_is_recorded_on_each(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="boom"), tracer.start_active_span("outer"), tracer.start_active_span("inner"):
        raise ValueError("boom")
    found = {
        span["name"]: [event["name"] for event in span["events"]]
        for span in map(as_dict, exporter.get_finished_spans())
    }
    assert found == {"inner": ["exception"], "outer": ["exception"]}


def test_two_different_exceptions_are_both_recorded(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="second"), tracer.start_span("op") as span:
        span.log_kv({"event": "error", "error.object": raised(KeyError("first"))})
        raise ValueError("second")
    assert [attributes["exception.type"] for _, attributes in events(exporter)] == ["KeyError", "ValueError"]


def test_exception_that_was_handled_inside_leaves_no_trace(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_active_span("op"):
        try:
            raise ValueError("boom")
        except ValueError:
            pass
    span = only_span(exporter)
    assert (span["status"], span["events"]) == ({"code": "UNSET", "description": ""}, [])


def test_exception_in_a_scope_that_does_not_finish_is_recorded(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with pytest.raises(ValueError, match="boom"), tracer.start_active_span("op", finish_on_close=False) as scope:
        raise ValueError("boom")
    assert exporter.get_finished_spans() == ()
    scope.span.finish()
    assert (only_span(exporter)["status"]["code"], len(events(exporter))) == ("ERROR", 1)


def test_exception_after_finish_changes_nothing_and_logs_nothing(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ValueError, match="boom"), tracer.start_span("op") as span:
        span.finish()
        raise ValueError("boom")
    assert (only_span(exporter)["status"]["code"], events(exporter)) == ("UNSET", [])
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
