"""OTLP's messages in JSON: each one a table from a key to what puts its value into the message. Pure.

Source: opentelemetry-specification's `protocol/otlp.md` ("JSON Protobuf Encoding") and protobuf's ProtoJSON: ids are
hex and not base64, enums are integers, numbers of 64 bits are texts or numbers, keys are lowerCamelCase, and unknown
ones are passed over.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import reprlib
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from ot_bridge.traces.formats.writing import encodable

__all__ = ["DEEPEST", "LOG_RECORD", "RESOURCE", "SCOPE", "SPAN", "FieldError", "Filler"]

DEEPEST: Final = 24
"""How deep lists and mappings may nest in a value: what protobuf reads back has a limit of its own."""

_UINT32: Final = range(1 << 32)
_UINT64: Final = range(1 << 64)
_INT32: Final = range(-(1 << 31), 1 << 31)
_INT64: Final = range(-(1 << 63), 1 << 63)
_is_integer = re.compile(r"-?[0-9]{1,20}").fullmatch
_is_hex = re.compile(r"[0-9a-fA-F]*").fullmatch
_base64_sizes: Final = {16: 24, 8: 12}
_FLOATS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class FieldError(ValueError):
    """A value is not what its field takes. The text says where, what was found and what was wanted."""

    def __init__(self, value: object, wanted: str) -> None:
        super().__init__(value, wanted)
        # A value can be a whole body: what is shown of it is small, also while it is made.
        self._got, self._wanted = reprlib.repr(value), wanted
        self._path = list[str]()

    def __str__(self) -> str:
        path = ".".join(reversed(self._path))
        return f"{path or 'it'}: got {self._got}, expected {self._wanted}"

    def within(self, key: str) -> FieldError:
        """Say that the value stands under this key, and return the error."""
        self._path.append(key[:60])
        return self


Put: TypeAlias = "Callable[[Filler, Any, Any], None]"
Table: TypeAlias = Mapping[str, Put]


class Filler:
    """Fills messages from parsed JSON.

    Attributes:
        noted: what was read although it is not as the format says, and how often.
    """

    def __init__(self) -> None:
        self.noted = Counter[str]()
        self._depth = 0

    def fill(self, message: Any, found: object, table: Table) -> None:
        """Fill a message.

        Raises:
            FieldError: a value is of the wrong kind. The message is then half filled.
        """
        if not isinstance(found, dict):
            raise FieldError(found, "an object")
        key = ""
        try:
            for key, value in found.items():
                if value is not None and (put := table.get(key)) is not None:
                    put(self, message, value)
        except FieldError as error:
            raise error.within(key) from None

    def text(self, value: object) -> str:
        """Return a text."""
        if not isinstance(value, str):
            raise FieldError(value, "text")
        return encodable(value)

    def nested(self, fill: Callable[[], None], value: object) -> None:
        """Fill what nests, up to `DEEPEST`."""
        if self._depth >= DEEPEST:
            raise FieldError(value, f"values that nest at most {DEEPEST} deep")
        self._depth += 1
        try:
            fill()
        finally:
            self._depth -= 1


def _integer(value: object, allowed: range) -> int:
    wanted = f"an integer from {allowed.start} to {allowed.stop - 1}"
    if (isinstance(value, str) and _is_integer(value)) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
        raise FieldError(value, wanted)
    return value


def _number(name: str, allowed: range) -> Put:
    return lambda _, message, value: setattr(message, name, _integer(value, allowed))


def _text(name: str) -> Put:
    return lambda filler, message, value: setattr(message, name, filler.text(value))


def _enum(name: str, names: Mapping[str, int]) -> Put:
    def put(filler: Filler, message: Any, value: object) -> None:
        if isinstance(value, str) and value in names:
            filler.noted["enums by name"] += 1
            value = names[value]
        elif isinstance(value, str):
            raise FieldError(value, f"an integer, or one of {', '.join(names)}")
        setattr(message, name, _integer(value, _INT32))

    return put


def _id(name: str, size: int) -> Put:
    def put(filler: Filler, message: Any, value: object) -> None:
        if not isinstance(value, str):
            raise FieldError(value, f"{2 * size} hex digits")
        if len(value) == _base64_sizes[size]:
            # Not hex, for no id has this number of digits: ProtoJSON's own bytes, from writers that know no better.
            found = _base64(value)
            filler.noted["ids in base64"] += 1
        elif _is_hex(value) and len(value) in (0, 2 * size):
            found = bytes.fromhex(value)
        else:
            raise FieldError(value, f"{2 * size} hex digits")
        setattr(message, name, found)

    return put


def _base64(value: object) -> bytes:
    if isinstance(value, str):
        text = value.replace("-", "+").replace("_", "/")
        try:
            return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
        except (ValueError, binascii.Error):
            pass
    raise FieldError(value, "base64")


def _one(name: str, table: Table) -> Put:
    def put(filler: Filler, message: Any, value: object) -> None:
        inner = getattr(message, name)
        inner.SetInParent()
        filler.fill(inner, value, table)

    return put


def _many(name: str, table: Table) -> Put:
    def put(filler: Filler, message: Any, value: object) -> None:
        if not isinstance(value, list):
            raise FieldError(value, "a list")
        target = getattr(message, name)
        try:
            for one in value:
                filler.fill(target.add(), one, table)
        except FieldError as error:
            raise error.within(str(len(target) - 1)) from None

    return put


# -- values ------------------------------------------------------------------------------------------------------------


def _bool_value(_: Filler, message: Any, value: object) -> None:
    if not isinstance(value, bool):
        raise FieldError(value, "true or false")
    message.bool_value = value


def _double_value(_: Filler, message: Any, value: object) -> None:
    if isinstance(value, str):
        try:
            value = _FLOATS[value] if value in _FLOATS else float(value)
        except ValueError:
            raise FieldError(value, "a number") from None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FieldError(value, "a number")
    try:
        message.double_value = float(value)
    except OverflowError:
        raise FieldError(value, "a number of 64 bits") from None


def _bytes_value(_: Filler, message: Any, value: object) -> None:
    message.bytes_value = _base64(value)


def _string_value(filler: Filler, message: Any, value: object) -> None:
    message.string_value = filler.text(value)


def _int_value(_: Filler, message: Any, value: object) -> None:
    message.int_value = _integer(value, _INT64)


def _array_value(filler: Filler, message: Any, value: object) -> None:
    message.array_value.SetInParent()
    filler.nested(lambda: filler.fill(message.array_value, value, _ARRAY), value)


def _kvlist_value(filler: Filler, message: Any, value: object) -> None:
    message.kvlist_value.SetInParent()
    filler.nested(lambda: filler.fill(message.kvlist_value, value, _KVLIST), value)


_VALUE: Final[Table] = {
    "stringValue": _string_value,
    "boolValue": _bool_value,
    "intValue": _int_value,
    "doubleValue": _double_value,
    "arrayValue": _array_value,
    "kvlistValue": _kvlist_value,
    "bytesValue": _bytes_value,
}
_PAIR: Final[Table] = {"key": _text("key"), "value": _one("value", _VALUE)}
_ARRAY: Final[Table] = {"values": _many("values", _VALUE)}
_KVLIST: Final[Table] = {"values": _many("values", _PAIR)}

# -- messages ----------------------------------------------------------------------------------------------------------

_ATTRIBUTES: Final[Table] = {
    "attributes": _many("attributes", _PAIR),
    "droppedAttributesCount": _number("dropped_attributes_count", _UINT32),
}
RESOURCE: Final[Table] = _ATTRIBUTES
SCOPE: Final[Table] = {"name": _text("name"), "version": _text("version"), **_ATTRIBUTES}
_EVENT: Final[Table] = {"timeUnixNano": _number("time_unix_nano", _UINT64), "name": _text("name"), **_ATTRIBUTES}
_LINK: Final[Table] = {
    "traceId": _id("trace_id", 16),
    "spanId": _id("span_id", 8),
    "traceState": _text("trace_state"),
    "flags": _number("flags", _UINT32),
    **_ATTRIBUTES,
}
_STATUS: Final[Table] = {
    "code": _enum("code", dict(trace_pb2.Status.StatusCode.items())),
    "message": _text("message"),
}
SPAN: Final[Table] = {
    "traceId": _id("trace_id", 16),
    "spanId": _id("span_id", 8),
    "parentSpanId": _id("parent_span_id", 8),
    "traceState": _text("trace_state"),
    "flags": _number("flags", _UINT32),
    "name": _text("name"),
    "kind": _enum("kind", dict(trace_pb2.Span.SpanKind.items())),
    "startTimeUnixNano": _number("start_time_unix_nano", _UINT64),
    "endTimeUnixNano": _number("end_time_unix_nano", _UINT64),
    "events": _many("events", _EVENT),
    "droppedEventsCount": _number("dropped_events_count", _UINT32),
    "links": _many("links", _LINK),
    "droppedLinksCount": _number("dropped_links_count", _UINT32),
    "status": _one("status", _STATUS),
    **_ATTRIBUTES,
}
LOG_RECORD: Final[Table] = {
    "traceId": _id("trace_id", 16),
    "spanId": _id("span_id", 8),
    "timeUnixNano": _number("time_unix_nano", _UINT64),
    "observedTimeUnixNano": _number("observed_time_unix_nano", _UINT64),
    "severityNumber": _enum("severity_number", dict(logs_pb2.SeverityNumber.items())),
    "severityText": _text("severity_text"),
    "body": _one("body", _VALUE),
    "flags": _number("flags", _UINT32),
    "eventName": _text("event_name"),
    **_ATTRIBUTES,
}
