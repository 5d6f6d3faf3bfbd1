"""Tags and logs as code reads them from a span: the fields of Jaeger's thrift structures, in plain objects.

Source: jaeger-idl, thrift/jaeger.thrift.
"""

from __future__ import annotations

import dataclasses
from typing import Final

__all__ = ["Log", "SpanRefType", "Tag", "TagType"]


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


@dataclasses.dataclass(eq=True)
class Tag:
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
class Log:
    """One log: Unix time in microseconds, and its fields."""

    timestamp: int | None = None
    fields: list[Tag] | None = None

    __hash__ = object.__hash__
