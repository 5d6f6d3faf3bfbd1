"""How decoders write plain values into OTLP's messages, so that no value can make it fail. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["LATEST_NS", "encodable", "nanoseconds", "write_attributes"]

LATEST_NS: Final = (1 << 63) - 1
"""The latest time that is kept, in the year 2262: more than that no database holds."""


def nanoseconds(microseconds: int) -> int:
    """Turn a time into nanoseconds since 1970; one before or after what can be kept becomes the nearest that can."""
    return min(max(0, microseconds * 1000), LATEST_NS)


def encodable(value: str) -> str:
    """Replace lone surrogates, which JSON can hold and protobuf cannot."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def write_attributes(attributes: Any, values: Mapping[str, str | bool | int | float | bytes]) -> None:
    """Add values to a repeated field of KeyValue; an integer beyond 64 bits becomes text.

    The messages are filled in place: to make them first and to copy them takes four times as long.
    """
    add = attributes.add
    for key, value in values.items():
        pair = add()
        pair.key = key if key.isascii() else encodable(key)
        if isinstance(value, str):
            pair.value.string_value = value if value.isascii() else encodable(value)
        elif isinstance(value, bool):
            pair.value.bool_value = value
        elif isinstance(value, int):
            if -(1 << 63) <= value < 1 << 63:
                pair.value.int_value = value
            else:
                pair.value.string_value = str(value)
        elif isinstance(value, float):
            pair.value.double_value = value
        else:
            pair.value.bytes_value = value
