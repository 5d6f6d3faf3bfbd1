"""Tags, logs and spans as Jaeger typed them: bool, long, double, and text for all else. Nothing is serialised here."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final

from opentracing import ReferenceType

from ot_bridge.jaeger_client.constants import MAX_TAG_VALUE_LENGTH, MAX_TRACEBACK_LENGTH
from ot_bridge.jaeger_client.thrift_gen.jaeger import ttypes
from ot_bridge.jaeger_client.thrift_gen.jaeger.ttypes import Log, Tag, TagType
from ot_bridge.values import to_text

__all__ = [
    "MAX_TRACEBACK_LENGTH",
    "id_to_int",
    "make_jaeger_batch",
    "make_log",
    "make_process",
    "make_ref_type",
    "make_references",
    "make_tag",
    "make_tags",
    "plain_value",
    "timestamp_micros",
]

_LOW_64: Final = 2**64 - 1

_FIELDS: Final = {bool: ("vBool", TagType.BOOL), int: ("vLong", TagType.LONG), float: ("vDouble", TagType.DOUBLE)}


class _Traceback(str):
    """The text of a traceback: it has a limit of its own."""

    __slots__ = ()


def plain_value(value: Any, max_traceback_length: int = MAX_TRACEBACK_LENGTH) -> bool | int | float | str:
    """Return the value as Jaeger kept it; nothing that the value refers to is held by the result.

    Args:
        value: anything.
        max_traceback_length: characters kept of a traceback.
    """
    kind = type(value)
    if kind is str or kind in _FIELDS or kind is _Traceback:
        return value  # type: ignore[no-any-return]
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, TracebackType):
        return _Traceback("".join(traceback.format_tb(value))[:max_traceback_length])
    if kind.__name__ == "bool":  # numpy's, which Jaeger took for one by its name
        return bool(value)
    return text_of(value)


def make_tag(
    key: Any,
    value: Any,
    max_length: int = MAX_TAG_VALUE_LENGTH,
    max_traceback_length: int = MAX_TRACEBACK_LENGTH,
) -> Tag:
    """Return one tag; lengths are in characters."""
    value = plain_value(value, max_traceback_length)
    cut = max_traceback_length if isinstance(value, _Traceback) else max_length
    name, kind = _FIELDS.get(type(value), ("vStr", TagType.STRING))
    tag = Tag(key=text_of(key), vType=kind)
    setattr(tag, name, str(value[:cut]) if isinstance(value, str) else value)
    return tag


def text_of(value: Any) -> str:
    """Return the text that Jaeger made of a key, or of a value that is no number."""
    try:
        # Not decoded: Jaeger's own word for bytes is their repr.
        return repr(value) if isinstance(value, bytes | bytearray) else str(value)
    except Exception:
        return to_text(value)


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


def id_to_int(big_id: int | None) -> int | None:
    """Return an id of 64 bits as a signed number."""
    return big_id if big_id is None or big_id < 2**63 else big_id - 2**64


def make_process(service_name: str, tags: Mapping[Any, Any] | None, max_length: int) -> ttypes.Process:
    """Return the process with its tags."""
    return ttypes.Process(service_name, make_tags(tags, max_length))


def make_ref_type(span_ref_type: str) -> int:
    """Return the number of a reference's type; any but FOLLOWS_FROM is CHILD_OF."""
    return int(span_ref_type == ReferenceType.FOLLOWS_FROM)


def make_references(references: Iterable[Any] | None) -> list[ttypes.SpanRef] | None:
    """Return what a span refers to; None for nothing."""
    made = []
    for one in references or ():
        context = one.referenced_context
        low, high = _halves(context.trace_id)
        made.append(ttypes.SpanRef(make_ref_type(one.type), low, high, id_to_int(context.span_id)))
    return made or None


def make_jaeger_batch(spans: Iterable[Any], process: ttypes.Process) -> ttypes.Batch:
    """Return finished spans as one batch."""
    return ttypes.Batch(process, [_made(span) for span in spans])


def _made(span: Any) -> ttypes.Span:
    low, high = _halves(span.trace_id)
    return ttypes.Span(
        traceIdLow=low,
        traceIdHigh=high,
        spanId=id_to_int(span.span_id),
        parentSpanId=id_to_int(span.parent_id) or 0,
        operationName=span.operation_name,
        references=make_references(span.references),
        flags=span.context.flags,
        startTime=span._start_time // 1000,
        duration=(span._end_time - span._start_time) // 1000,
        tags=span.tags,
        logs=span.logs,
    )


def _halves(trace_id: int | None) -> tuple[int | None, int | None]:
    if trace_id is None:
        return None, None
    return id_to_int(trace_id & _LOW_64), id_to_int(trace_id >> 64)
