"""Tags, logs and whole spans in the shape of Jaeger's thrift structures: plain objects, for code that reads them.

Source: jaeger-idl, thrift/jaeger.thrift.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Final

from ot_bridge.not_carried import reason_for

__all__ = ["Batch", "BatchSubmitResponse", "Log", "Process", "Span", "SpanRef", "SpanRefType", "Tag", "TagType"]


class TagType:
    """What kind of value a tag has."""

    STRING: Final = 0
    DOUBLE: Final = 1
    BOOL: Final = 2
    LONG: Final = 3
    BINARY: Final = 4

    _VALUES_TO_NAMES: Final = {0: "STRING", 1: "DOUBLE", 2: "BOOL", 3: "LONG", 4: "BINARY"}
    _NAMES_TO_VALUES: Final = {name: value for value, name in _VALUES_TO_NAMES.items()}


class SpanRefType:
    """How a span refers to another."""

    CHILD_OF: Final = 0
    FOLLOWS_FROM: Final = 1

    _VALUES_TO_NAMES: Final = {0: "CHILD_OF", 1: "FOLLOWS_FROM"}
    _NAMES_TO_VALUES: Final = {name: value for value, name in _VALUES_TO_NAMES.items()}


class _Struct:
    __hash__ = object.__hash__

    def __getattr__(self, name: str) -> Any:
        kind = type(self).__name__
        reason = reason_for(f"thrift_gen.jaeger.ttypes.{kind}.{name}")
        raise AttributeError(f"{kind!r} object has no attribute {name!r}{reason}")


@dataclasses.dataclass(eq=True)
class Tag(_Struct):
    """One tag, or one field of a log: the value is in the field that ``vType`` names."""

    key: str | None = None
    vType: int | None = None  # noqa: N815  (the names of the interface)
    vStr: str | None = None  # noqa: N815
    vDouble: float | None = None  # noqa: N815
    vBool: bool | None = None  # noqa: N815
    vLong: int | None = None  # noqa: N815
    vBinary: bytes | None = None  # noqa: N815

    __hash__ = object.__hash__


@dataclasses.dataclass(eq=True)
class Log(_Struct):
    """One log: Unix time in microseconds, and its fields."""

    timestamp: int | None = None
    fields: list[Tag] | None = None

    __hash__ = object.__hash__


@dataclasses.dataclass(eq=True)
class SpanRef(_Struct):
    """What a span refers to; ids are signed, of 64 bits."""

    refType: int | None = None  # noqa: N815
    traceIdLow: int | None = None  # noqa: N815
    traceIdHigh: int | None = None  # noqa: N815
    spanId: int | None = None  # noqa: N815

    __hash__ = object.__hash__


@dataclasses.dataclass(eq=True)
class Span(_Struct):
    """One span; ids are signed, of 64 bits, times in microseconds."""

    traceIdLow: int | None = None  # noqa: N815
    traceIdHigh: int | None = None  # noqa: N815
    spanId: int | None = None  # noqa: N815
    parentSpanId: int | None = None  # noqa: N815
    operationName: str | None = None  # noqa: N815
    references: list[SpanRef] | None = None
    flags: int | None = None
    startTime: int | None = None  # noqa: N815
    duration: int | None = None
    tags: list[Tag] | None = None
    logs: list[Log] | None = None

    __hash__ = object.__hash__


@dataclasses.dataclass(eq=True)
class Process(_Struct):
    """Whose spans they are."""

    serviceName: str | None = None  # noqa: N815
    tags: list[Tag] | None = None

    __hash__ = object.__hash__


@dataclasses.dataclass(eq=True)
class Batch(_Struct):
    """Spans of one process."""

    process: Process | None = None
    spans: list[Span] | None = None

    __hash__ = object.__hash__


@dataclasses.dataclass(eq=True)
class BatchSubmitResponse(_Struct):
    """What a collector answers."""

    ok: bool | None = None

    __hash__ = object.__hash__
