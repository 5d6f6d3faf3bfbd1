"""Any Python value -> a value that OTLP can carry, without an exception and without a warning.

One bad value must never cost its span, and never the batch that the span travels in: what jaeger-client and the
SDK reject, mangle or lose (integers beyond 64 bits, lone surrogates, objects whose ``__str__`` raises) arrives here
as text. The rows are those of "Values" in compat_matrix.md.
"""

from __future__ import annotations

import datetime
import json
import math
import traceback
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, NamedTuple

_MAX_DEPTH: Final = 32
_PRIMITIVES: Final = (str, bool, int, float)
_NESTED: Final = (list, tuple, Mapping, type(None))
_INT64: Final = range(-(2**63), 2**63)
_MAX_NS: Final = 2**64


class ValueRule(NamedTuple):
    """One row of the table of values: what kind of value, and what becomes of it."""

    value: str
    becomes: str


VALUE_RULES: Final = (
    ValueRule("bool, str, float, int within 64 bits", "unchanged"),
    ValueRule("int beyond 64 bits", "decimal text (hexadecimal from 4,300 digits on)"),
    ValueRule("NaN, infinity", "unchanged"),
    ValueRule("None", "tag: skipped; log field: the text None"),
    ValueRule("bytes, bytearray, memoryview", "text when it is UTF-8, else bytes"),
    ValueRule("list, tuple of values that become one primitive type", "array; text with stringify_sequences"),
    ValueRule("mixed or nested list, dict", "JSON text"),
    ValueRule("datetime, date, time", "isoformat()"),
    ValueRule("IntEnum, other subclasses of int, float, str", "the plain value"),
    ValueRule("numpy scalar, numpy array", "item(), tolist()"),
    ValueRule("exception, class, traceback", "str(), qualified name, formatted text"),
    ValueRule("set, Decimal, UUID, Enum, complex, other objects", "str()"),
    ValueRule("object whose __str__ raises", "a placeholder that names its class"),
    ValueRule("text with a lone surrogate", "the surrogate replaced"),
    ValueRule("key that is not text", "str(); bytes decoded; an empty key is skipped"),
)


def clean_value(value: Any, limit: int | None = None, stringify_sequences: bool = False) -> Any:
    """Return what OTLP carries for any value except None, which the caller decides on.

    Args:
        value: anything.
        limit: longest text in characters; None for no limit. Holds for each text of an array, too.
        stringify_sequences: send lists and tuples as ``str()`` does, which is what jaeger-client sent.
    """
    kind = type(value)
    if kind is str:
        return value if limit is None and value.isascii() else clean_text(value, limit)
    if kind is bool or kind is float:
        return value
    if kind is int:
        return value if value in _INT64 else clean_text(_digits(value), limit)
    try:
        return _clean_odd(value, limit, stringify_sequences)
    except Exception:
        return clean_text(_placeholder(value), limit)


def clean_text(text: str, limit: int | None = None) -> str:
    """Return text that UTF-8 can encode, cut to ``limit`` characters."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            text = text.encode("utf-8", "replace").decode()
    return text if limit is None or len(text) <= limit else text[:limit]


def clean_key(key: Any) -> str:
    """Return the key as text; ``""``, for the caller to skip, when it is empty."""
    return key if type(key) is str and key.isascii() else to_text(key)


def to_text(value: Any) -> str:
    """Return ``str(value)`` as clean text; bytes decoded; a placeholder where that raises."""
    if type(value) is str and value.isascii():
        return value
    try:
        if isinstance(value, str):
            return clean_text(str.__str__(value))
        if isinstance(value, bytes | bytearray):
            return bytes(value).decode("utf-8", "replace")
        return clean_text(_digits(value) if type(value) is int else str(value))
    except Exception:
        return _placeholder(value)


def qualified_name(cls: type) -> str:
    """Return the name of a class as OpenTelemetry's ``exception.type`` spells it: builtins without module."""
    return cls.__qualname__ if cls.__module__ in ("builtins", None) else f"{cls.__module__}.{cls.__qualname__}"


def format_stack(stack: Any, limit: int | None = None) -> str:
    """Return the text of an exception or a traceback object, with its header line; other values as text."""
    if isinstance(stack, BaseException):
        # format_exception of some exceptions raises: it calls their __str__ and follows __cause__ chains of any make
        try:
            text = "".join(traceback.format_exception(stack))
        except Exception:
            text = f"{qualified_name(type(stack))}: {to_text(stack)}\n"
    elif isinstance(stack, TracebackType):
        text = "Traceback (most recent call last):\n" + "".join(traceback.format_tb(stack))
    else:
        text = to_text(stack)
    return clean_text(text, limit)


def to_ns(seconds: Any) -> int | None:
    """Return a Unix time in integer nanoseconds, with the microseconds that jaeger-client kept.

    Args:
        seconds: a number, or a datetime.

    Returns:
        None for what is no time or does not fit into OTLP's 64 bits: negative, NaN, milliseconds taken for seconds.
    """
    try:
        if isinstance(seconds, datetime.datetime):
            seconds = seconds.timestamp()
        elif isinstance(seconds, str | bytes | bool):
            return None
        ns = int(float(seconds) * 1e6) * 1000
    except Exception:
        return None
    return ns if 0 < ns < _MAX_NS else None


def is_priority(value: Any) -> float | None:
    """Return the number in a ``sampling.priority`` tag; None when it is negative or no number at all."""
    try:
        number = float(value)
    except Exception:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _clean_odd(value: Any, limit: int | None, stringify: bool) -> Any:
    if isinstance(value, str):
        return clean_text(str.__str__(value), limit)
    if isinstance(value, int):
        return clean_value(int.__add__(value, 0), limit)
    if isinstance(value, float):
        return float.__add__(value, 0.0)
    if isinstance(value, bytes | bytearray | memoryview):
        return _clean_bytes(bytes(value), limit)
    if isinstance(value, list | tuple | Mapping):
        return clean_text(str(value), limit) if stringify else _clean_container(value, limit)
    if convert := _numpy_conversion(value):
        return clean_value(convert(), limit, stringify)
    return clean_text(_object_text(value), limit)


def _clean_bytes(data: bytes, limit: int | None) -> str | bytes:
    try:
        return clean_text(data.decode(), limit)
    except UnicodeDecodeError:
        return data


def _clean_container(value: Any, limit: int | None) -> Any:
    if not isinstance(value, Mapping):
        items = tuple(item if isinstance(item, _NESTED) else clean_value(item, limit) for item in value)
        if not items or (type(items[0]) in _PRIMITIVES and all(type(item) is type(items[0]) for item in items)):
            return items
    return clean_text(_json(value), limit)


def _numpy_conversion(value: Any) -> Callable[[], Any] | None:
    # numpy is recognised, never imported: whoever passes an array has imported it
    if type(value).__module__.partition(".")[0] != "numpy":
        return None
    return getattr(value, "tolist" if getattr(value, "ndim", False) else "item", None)


def _object_text(value: Any) -> str:
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, type):
        return qualified_name(value)
    if isinstance(value, TracebackType):
        return format_stack(value)
    return str(value)


def _json(value: Any) -> str:
    return json.dumps(_plain(value, _MAX_DEPTH), ensure_ascii=False)


def _plain(value: Any, depth: int) -> Any:
    """Return what json can write. The depth ends self-referencing values, which json refuses."""
    if value is None or type(value) in (str, bool, float):
        return value
    if isinstance(value, int):
        return clean_value(value)
    if depth == 0:
        return "..."
    if isinstance(value, Mapping):
        return {to_text(key): _plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, depth - 1) for item in value]
    cleaned = clean_value(value)
    return list(cleaned) if type(cleaned) is tuple else to_text(cleaned) if type(cleaned) is bytes else cleaned


def _digits(number: int) -> str:
    try:
        return str(number)
    except ValueError:  # Python refuses decimal text from 4,300 digits on
        return hex(number)


def _placeholder(value: Any) -> str:
    return f"<unprintable {type(value).__qualname__}>"
