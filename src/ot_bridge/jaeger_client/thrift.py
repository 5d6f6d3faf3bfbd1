"""A span's tags and logs as Jaeger typed them: bool, long, double, and text for all else."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final

from ot_bridge.jaeger_client.constants import MAX_TAG_VALUE_LENGTH, MAX_TRACEBACK_LENGTH
from ot_bridge.jaeger_client.thrift_gen.jaeger.ttypes import Log, Tag, TagType
from ot_bridge.values import to_text

__all__ = ["make_log", "make_tag", "make_tags", "plain_value", "timestamp_micros"]

_FIELDS: Final = {bool: ("vBool", TagType.BOOL), int: ("vLong", TagType.LONG), float: ("vDouble", TagType.DOUBLE)}


def plain_value(value: Any, max_traceback_length: int = MAX_TRACEBACK_LENGTH) -> bool | int | float | str:
    """Return the value as Jaeger kept it; nothing that the value refers to is held by the result.

    Args:
        value: anything.
        max_traceback_length: characters kept of a traceback.
    """
    kind = type(value)
    if kind is str or kind in _FIELDS:
        return value  # type: ignore[no-any-return]
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, TracebackType):
        return "".join(traceback.format_tb(value))[:max_traceback_length]
    # as text, and not decoded: Jaeger's own word for bytes is their repr
    return to_text(repr(value) if isinstance(value, bytes) else value)


def make_tag(
    key: Any,
    value: Any,
    max_length: int = MAX_TAG_VALUE_LENGTH,
    max_traceback_length: int = MAX_TRACEBACK_LENGTH,
) -> Tag:
    """Return one tag; lengths are in characters."""
    cut = max_traceback_length if isinstance(value, TracebackType) else max_length
    value = plain_value(value, max_traceback_length)
    name, kind = _FIELDS.get(type(value), ("vStr", TagType.STRING))
    tag = Tag(key=to_text(key), vType=kind)
    setattr(tag, name, value[:cut] if isinstance(value, str) else value)
    return tag


def make_tags(
    tags: Mapping[Any, Any] | None,
    max_length: int = MAX_TAG_VALUE_LENGTH,
    max_traceback_length: int = MAX_TRACEBACK_LENGTH,
) -> list[Tag]:
    """Return one tag for each item."""
    return [make_tag(key, value, max_length, max_traceback_length) for key, value in (tags or {}).items()]


def make_log(
    timestamp: float,
    fields: Mapping[Any, Any],
    max_length: int = MAX_TAG_VALUE_LENGTH,
    max_traceback_length: int = MAX_TRACEBACK_LENGTH,
) -> Log:
    """Return one log; ``timestamp`` is a Unix time in seconds."""
    return Log(timestamp_micros(timestamp), make_tags(fields, max_length, max_traceback_length))


def timestamp_micros(ts: float) -> int:
    """Return a Unix time in seconds as integer microseconds."""
    return int(ts * 1_000_000)
