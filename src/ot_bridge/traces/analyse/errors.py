"""Which spans failed, and by which sign (seeing.md 1.4). Pure.

The conventions of OpenTracing, of Zipkin, and the old and the new ones of OpenTelemetry are read, in the forms that
tracers really write: `error` as `"true"`, a code as `"503"`, an exception's class as `<class 'KeyError'>`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ot_bridge.traces.model import Event, Span, Value
from ot_bridge.traces.tree import Trace
from ot_bridge.traces.words import text

__all__ = ["ErrorMark", "error_mark", "error_marks", "grpc_code", "http_code"]


class ErrorMark(NamedTuple):
    """Why a span counts as failed.

    Attributes:
        sign: `status`, `tag`, `event`, `grpc` or `http`; the first of these that speaks.
        message: what went wrong, as the span says it; `""` when it does not.
        time_ns: when it is first seen to have failed: its first exception, else its end.
        exception: the type and message of the exception, None without one.
        stack: its stack trace; `""` when there is none.
    """

    sign: str
    message: str
    time_ns: int
    exception: tuple[str, str] | None = None
    stack: str = ""


HTTP_CODES = ("http.response.status_code", "http.status_code")
GRPC_CODES = ("rpc.grpc.status_code", "rpc.response.status_code", "grpc.status_code", "grpc.code")
GRPC_NAMES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
# As with HTTP's 4xx: the others say that the caller was wrong (OpenTelemetry's conventions for gRPC spans).
_GRPC_OF_SERVERS = frozenset({2, 4, 12, 13, 14, 15})
_GRPC_NUMBERS = {name: number for number, name in enumerate(GRPC_NAMES)} | {"CANCELED": 1}
_FALSE = frozenset({"", "false", "0", "no", "none", "null"})
_TRUE = frozenset({"true", "1", "yes"})
_LEVELS = frozenset({"error", "fatal", "critical"})
_ERROR_FIELDS = ("error.object", "error.kind")
_LEVEL_FIELDS = ("level", "log.level", "severity")
_FIRST_HTTP_CODE, _LAST_HTTP_CODE = 100, 599
_CLIENT_ERROR, _SERVER_ERROR = 400, 500
_LONGEST_CODE = 9


def error_marks(trace: Trace) -> dict[int, ErrorMark]:
    """Return the failed spans by index."""
    marks = ((index, error_mark(span)) for index, span in enumerate(trace.spans))
    return {index: mark for index, mark in marks if mark is not None}


def error_mark(span: Span) -> ErrorMark | None:
    """Tell whether a span failed, and by which sign; None when it did not.

    A status that says OK was set by somebody who knew: it is believed, whatever else the span has.
    """
    said = _sign(span)
    return _mark(said[0], span, said[1]) if said is not None else None


def _sign(span: Span) -> tuple[str, str] | None:
    """Return the first sign of a failure, and what it says."""
    if span.status == "error":
        return "status", span.message
    tags = span.attributes
    code = tags.get("otel.status_code")
    if span.status == "ok" or code == "OK":
        return None
    if code == "ERROR":
        return "status", text(tags.get("otel.status_description", ""))
    if (error := tags.get("error")) is not None and _is_error(error, span.via):
        named = isinstance(error, str) and error.strip().lower() not in _TRUE | _FALSE
        return "tag", text(error) if named else ""
    if span.events and any(map(_tells_error, span.events)):
        return "event", ""
    return _code(span) if tags else None


def _code(span: Span) -> tuple[str, str] | None:
    number = grpc_code(span)
    if number and (span.kind != "server" or number in _GRPC_OF_SERVERS):
        return "grpc", GRPC_NAMES[number]
    number = http_code(span)
    if number and number >= (_CLIENT_ERROR if span.kind == "client" else _SERVER_ERROR):
        return "http", f"HTTP {number}"
    return None


def http_code(span: Span) -> int | None:
    """Return the HTTP status code that a span has, None without one."""
    for name in HTTP_CODES:
        number = _whole(span.attributes.get(name))
        if number is not None and _FIRST_HTTP_CODE <= number <= _LAST_HTTP_CODE:
            return number
    return None


def grpc_code(span: Span) -> int | None:
    """Return the number of the gRPC status that a span has, None without one."""
    for name in GRPC_CODES:
        value = span.attributes.get(name)
        if value is None:
            continue
        number = _whole(value)
        if number is None:
            number = _GRPC_NUMBERS.get(text(value).removeprefix("StatusCode.").upper())
        if number is not None and 0 <= number < len(GRPC_NAMES):
            return number
    return None


def _mark(sign: str, span: Span, message: str) -> ErrorMark:
    """Add what the events say about the failure to what the sign says."""
    events = list(_error_events(span)) if span.events else []
    if not events:
        return ErrorMark(sign, message or _other_message(span), span.end_ns)
    exceptions = [(found, event) for event in events if (found := _exception(event)) is not None]
    # The last one: those before it were survived.
    exception, told = exceptions[-1] if exceptions else (None, events[-1])
    said = ": ".join(part for part in exception if part) if exception else _log_message(told)
    tags = told.attributes
    stack = text(tags.get("exception.stacktrace") or tags.get("stack") or "")
    first = min((event.time_ns for event in events if event.time_ns), default=span.end_ns)
    return ErrorMark(sign, message or said or _other_message(span), first, exception, stack)


def _error_events(span: Span) -> Iterator[Event]:
    # Python's SDK writes `exception.escaped=False` for every exception, so that it is told by what else the span says.
    return (event for event in span.events if event.name == "exception" or _tells_error(event))


def _tells_error(event: Event) -> bool:
    """Tell whether an event says by itself that its span failed."""
    tags = event.attributes
    if event.name == "exception":
        return text(tags.get("exception.escaped", "")).lower() != "false"
    if event.name.lower() == "error" or tags.get("event") == "error" or any(name in tags for name in _ERROR_FIELDS):
        return True
    return any(text(tags[name]).lower() in _LEVELS for name in _LEVEL_FIELDS if name in tags)


def _exception(event: Event) -> tuple[str, str] | None:
    tags = event.attributes
    kind = tags.get("exception.type") or tags.get("error.kind") or tags.get("error.type")
    if kind is None and event.name != "exception":
        return None
    message = tags.get("exception.message") or tags.get("message") or tags.get("error.object") or ""
    return text(kind or "").removeprefix("<class '").removesuffix("'>"), text(message)


def _log_message(event: Event) -> str:
    tags = event.attributes
    for name in ("message", "error.object", "error", "reason"):
        if tags.get(name):
            return text(tags[name])
    return "" if event.name.lower() in {"", "error", "log"} else event.name


def _other_message(span: Span) -> str:
    """Say what is left to say of a failure without a message."""
    for name in ("error.message", "error.type", "http.status_message"):
        if value := span.attributes.get(name):
            return text(value)
    if number := grpc_code(span):
        return GRPC_NAMES[number]
    number = http_code(span)
    return f"HTTP {number}" if number and number >= _CLIENT_ERROR else ""


def _is_error(value: Value, via: str) -> bool:
    if isinstance(value, str):
        said = value.strip().lower()
        # Zipkin's tag means an error by being there.
        return said not in _FALSE or (via == "zipkin" and not said)
    return bool(value)


def _whole(value: Value) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and value.strip().isdecimal() and value.isascii() and len(value) <= _LONGEST_CODE:
        return int(value)
    return None
