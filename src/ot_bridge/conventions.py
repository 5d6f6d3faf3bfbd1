"""OpenTracing word -> OpenTelemetry place, as data: what each tag and each log field becomes.

A span reads these tables while it runs; compat_matrix.md is printed from them; the tests iterate over them. By default
a tag keeps its name, as the Collector's Jaeger translator keeps it: dashboards and alerts go on working. The names of
``semconv="new"`` are in :mod:`ot_bridge.semconv`.

Sources: OpenTelemetry specification 1377f53b, compatibility/opentracing.md ("doc"); the Collector's
``pkg/translator/jaeger`` at 75d0000ae057 ("translator"); departures from them are in RATIONALE.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import TracebackType
from typing import Any, Final, NamedTuple

from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import Status, StatusCode

from ot_bridge.values import clean_key, clean_value, format_stack, is_priority, qualified_name, to_text

__all__ = [
    "KINDS",
    "LOG_RULES",
    "TAG_RULES",
    "Event",
    "LogRule",
    "Role",
    "TagRule",
    "log_to_event",
    "read_error",
    "read_int",
    "read_kind",
    "resolve_status",
    "status_from_http",
]

UNSET: Final = Status(StatusCode.UNSET)
ERROR: Final = Status(StatusCode.ERROR)
OK: Final = Status(StatusCode.OK)

# On CPython 3.11 reading a member from its enum costs as much as the rest of a rule.
_SERVER: Final = SpanKind.SERVER
_UNSET, _ERROR, _OK = StatusCode.UNSET, StatusCode.ERROR, StatusCode.OK

KINDS: Final[Mapping[str, SpanKind]] = {kind.name.lower(): kind for kind in SpanKind}


class Role(Enum):
    """What a tag does besides being an attribute."""

    KIND = "span kind; kept as attribute when unknown"
    ERROR = "status; kept as attribute when neither true nor false"
    PRIORITY = "sampling decision; attribute unless it is 0"
    INTEGER = "attribute; a digit string becomes int"
    HTTP_STATUS = "attribute; a digit string becomes int; sets the status of a failed request"
    STATUS_CODE = "status; kept as attribute when unknown"
    STATUS_DESCRIPTION = "status description; kept as attribute when the status is not an error"
    STATUS_MESSAGE = "attribute; status description of an error"


class TagRule(NamedTuple):
    """One row: an OpenTracing tag, its role (None: plain attribute) and where the rule comes from."""

    tag: str
    role: Role | None
    source: str


TAG_RULES: Final = (
    TagRule("span.kind", Role.KIND, "translator; any case, at any time before finish"),
    TagRule("error", Role.ERROR, "translator; also 'true', 1, exceptions; last one wins"),
    TagRule("sampling.priority", Role.PRIORITY, "OpenTracing semantic conventions"),
    TagRule("http.status_code", Role.HTTP_STATUS, "translator"),
    TagRule("http.status_message", Role.STATUS_MESSAGE, "translator"),
    TagRule("otel.status_code", Role.STATUS_CODE, "translator"),
    TagRule("otel.status_description", Role.STATUS_DESCRIPTION, "translator"),
    TagRule("peer.port", Role.INTEGER, "OpenTracing semantic conventions"),
    TagRule("component", None, "translator"),
    TagRule("peer.service", None, "translator"),
    TagRule("peer.hostname", None, "translator"),
    TagRule("peer.ipv4", None, "translator"),
    TagRule("peer.ipv6", None, "translator"),
    TagRule("peer.address", None, "translator"),
    TagRule("http.method", None, "translator"),
    TagRule("http.url", None, "translator"),
    TagRule("db.type", None, "translator"),
    TagRule("db.instance", None, "translator"),
    TagRule("db.statement", None, "translator"),
    TagRule("db.user", None, "translator"),
    TagRule("message_bus.destination", None, "translator"),
    TagRule("sampler.type", None, "translator"),
    TagRule("sampler.param", None, "translator"),
    TagRule("jaeger-debug-id", None, "translator"),
    TagRule("service", None, "translator"),
)

ROLES: Final[Mapping[str, Role]] = {rule.tag: rule.role for rule in TAG_RULES if rule.role}


class LogRule(NamedTuple):
    """One row: a log field, and what it becomes in an ordinary log and in one with ``event="error"``."""

    field: str
    ordinary: str
    error: str


LOG_RULES: Final = (
    LogRule("event", "event name; 'log' without it", "event name 'exception'"),
    LogRule("error.object", "attribute, as text", "recorded as exception; when it is none, as message or attribute"),
    LogRule("error.kind", "attribute, as text", "exception.type, unless error.object is an exception"),
    LogRule("message", "attribute", "attribute; exception.message without an exception; status description"),
    LogRule("stack", "attribute, as text", "exception.stacktrace, unless error.object is an exception"),
    LogRule("any other", "attribute", "attribute"),
)


class Event(NamedTuple):
    """What one log becomes: an event, and what it tells about the span's failure."""

    name: str
    attributes: dict[str, Any]
    exception: BaseException | None = None
    error_message: str | None = None


def read_kind(value: Any) -> SpanKind | None:
    """Return the kind that a ``span.kind`` tag names, in any case; None for an unknown one."""
    if isinstance(value, SpanKind):
        return value
    return KINDS.get(value.strip().lower()) if isinstance(value, str) else None


def read_error(value: Any) -> bool | None:
    """Return what an ``error`` tag says; None when it says neither, as a message does."""
    if value is True or value is False:
        return value
    if isinstance(value, BaseException):
        return True
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.strip().lower())
    cleaned = clean_value(value)  # numpy's true is 1 with another class
    return cleaned == 1 if isinstance(cleaned, bool | int | float) and cleaned in (0, 1) else None


def read_int(value: Any) -> Any:
    """Return an int for a string of ASCII digits that fits into 64 bits, else the value itself."""
    return int(value) if isinstance(value, str) and len(value) < 19 and value.isascii() and value.isdigit() else value


def status_from_http(code: Any, kind: SpanKind) -> StatusCode:
    """Return the status that a response code implies. Translator's rule, except 399, which it takes for an error."""
    if type(code) is not int or 100 <= code < 400 or (kind is _SERVER and 400 <= code < 500):
        return _UNSET
    return _ERROR


def resolve_status(
    attributes: dict[str, Any],
    *,
    explicit: Status | None,
    error: bool | None,
    error_message: str | None,
    kind: SpanKind,
    http: bool,
    error_false_as_ok: bool,
) -> tuple[Status, tuple[str, ...]]:
    """Return a span's status, and the tags that it consumes.

    Args:
        attributes: the span's attributes, tags with a role for the status among them.
        explicit: what OpenTelemetry's ``set_status`` said last; its OK is final.
        error: what the ``error`` tag said last, None when it said nothing.
        error_message: the message of the exception that was logged.
        kind: the span's kind.
        http: whether a response code may imply an error.
        error_false_as_ok: ``error=False`` is OK, as the doc has it.
    """
    code_tag = attributes.get("otel.status_code")
    tagged = _STATUS_CODES.get(code_tag.strip().upper()) if isinstance(code_tag, str) else None
    consumed: tuple[str, ...] = ("otel.status_code",) if tagged else ()
    if explicit is not None and explicit.status_code is _OK:
        return explicit, consumed
    failed = explicit is not None or error or tagged is _ERROR
    if not failed and code_tag is None and http:
        failed = status_from_http(read_int(attributes.get("http.status_code")), kind) is _ERROR
    if failed:
        told = explicit.description if explicit is not None else None
        described = attributes.get("otel.status_description")
        if described and not told:
            consumed += ("otel.status_description",)
        text = told or described or attributes.get("http.status_message") or error_message
        return (Status(_ERROR, to_text(text)) if text else ERROR), consumed
    if tagged:
        return (OK if tagged is _OK else UNSET), (*consumed, "otel.status_description")
    return (OK if error is False and error_false_as_ok else UNSET), consumed


_new_tuple: Final[Any] = tuple.__new__
_EVENT: Final = frozenset({"event"})
_BESIDE_EXCEPTION: Final = frozenset({"event", "error.object", "error.kind", "stack"})
_BESIDE_OBJECT: Final = frozenset({"event", "error.kind", "stack"})
_STATUS_CODES: Final = {code.name: code for code in StatusCode}


def log_to_event(fields: Any, clean: Any = clean_value, traceback_limit: int | None = None) -> Event:
    """Return the event for one log.

    Args:
        fields: what the application logged: a mapping; anything else counts as its message.
        clean: how a value is cleaned, see :func:`ot_bridge.values.clean_value`.
        traceback_limit: longest stack trace in characters, None for no limit.
    """
    if type(fields) is not dict and not isinstance(fields, Mapping):
        fields = {} if fields is None else _fields_of(fields)
    event = fields.get("event")
    if type(event) is str and event == "error":
        return _error_event(fields, clean, traceback_limit)
    name = "log" if event is None else event if type(event) is str and event.isascii() else to_text(event)
    # The tuple's own constructor: a NamedTuple's is a frame more, on the hot path.
    plain: Event = _new_tuple(Event, (name or "log", _attributes(fields, clean, _EVENT, traceback_limit), None, None))
    return plain


def _error_event(fields: Mapping[Any, Any], clean: Any, traceback_limit: int | None) -> Event:
    exception, message = fields.get("error.object"), fields.get("message")
    kind, stack = fields.get("error.kind"), fields.get("stack")
    attributes: dict[str, Any] = {}
    if isinstance(exception, BaseException):
        own = to_text(exception)
        attributes["exception.type"] = qualified_name(type(exception))
        attributes["exception.message"] = clean(own)
        # an exception that was never raised has no frames: the stack beside it then tells more
        trace = stack if stack is not None and exception.__traceback__ is None else exception
        attributes["exception.stacktrace"] = format_stack(trace, traceback_limit)
        attributes |= _attributes(fields, clean, _BESIDE_EXCEPTION, traceback_limit)
        return Event("exception", attributes, exception, own if message is None else to_text(message))
    text = to_text(exception if message is None else message) if (message, exception) != (None, None) else None
    if kind is not None:
        attributes["exception.type"] = clean(_class_name(kind))
    if text is not None:
        attributes["exception.message"] = clean(text)
    if stack is not None:
        attributes["exception.stacktrace"] = format_stack(stack, traceback_limit)
    told = exception is None or to_text(exception) == text
    attributes |= _attributes(fields, clean, _BESIDE_EXCEPTION if told else _BESIDE_OBJECT, traceback_limit)
    return Event("exception", attributes, None, text)


def _class_name(kind: Any) -> str:
    """Return the class that an ``error.kind`` names: a class, its name, or what ``str`` makes of a class."""
    if isinstance(kind, type):
        return qualified_name(kind)
    text = to_text(kind)
    return text[8:-2].removeprefix("builtins.") if text.startswith("<class '") and text.endswith("'>") else text


def _attributes(
    fields: Mapping[Any, Any], clean: Any, without: frozenset[str], traceback_limit: int | None
) -> dict[str, Any]:
    attributes = {}
    for key, value in fields.items():
        if type(key) is not str or not key.isascii():
            key = clean_key(key)
        if key and key not in without:
            if type(value) is TracebackType:
                attributes[key] = format_stack(value, traceback_limit)
            else:
                attributes[key] = "None" if value is None else clean(value)
    return attributes


def _fields_of(fields: Any) -> Mapping[Any, Any]:
    try:
        return dict(fields)
    except Exception:
        return {"message": fields}


def accepted_priority(value: Any) -> bool | None:
    """Return whether a ``sampling.priority`` asks for the span (True) or against it (False); None to ignore it."""
    number = is_priority(value)
    return None if number is None else number > 0
