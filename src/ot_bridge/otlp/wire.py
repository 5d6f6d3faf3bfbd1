"""Protobuf's wire format as far as OTLP needs it: varints, and fields whose length stands in front.

A message is bytes that somebody joins; there is none as an object. What is asked for often comes from a table.

Source: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["INT64", "KeyTable", "Table", "after", "field", "signed_varint", "uint32_after", "varint"]

INT64: Final = range(-(2**63), 2**63)
_UINT64_BITS: Final = 2**64 - 1
_UINT32: Final = range(2**32)


def varint(number: int) -> bytes:
    """Encode a number that is not negative, seven bits a byte, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def signed_varint(number: int) -> bytes:
    """Encode an int64, a negative one as its two's complement.

    Raises:
        ValueError: it is none.
    """
    if number not in INT64:
        raise ValueError(f"expected an integer of 64 bits, got one of {number.bit_length()}")
    return varint(number & _UINT64_BITS)


def field(tag: bytes, body: bytes) -> bytes:
    """Return a field that holds text, bytes or a message."""
    return b"".join((tag, varint(len(body)), body))


def after(tag: bytes) -> Callable[[int], bytes]:
    """Return what writes a number behind a tag: the length of a field, or the value of one."""
    return lambda number: tag + varint(number)


def uint32_after(tag: bytes) -> Callable[[int], bytes]:
    """Return what writes a uint32 behind a tag, and raises ValueError for what is none."""

    def encode(number: int) -> bytes:
        if number not in _UINT32:
            raise ValueError(f"expected an integer from 0 to 2**32 - 1, got {number}")
        return tag + varint(number)

    return encode


class Table(dict[int, bytes]):
    """What numbers become. The small ones are kept when they were asked for, the others are made each time.

    Args:
        make: encodes one number.
    """

    _KEPT: Final = range(2048)

    def __init__(self, make: Callable[[int], bytes]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, number: int) -> bytes:
        made = self._make(number)
        if number in self._KEPT:
            self[number] = made
        return made


class KeyTable(dict[str, bytes]):
    """The first half of attributes, up to the tag of the value, by their keys.

    A program has few keys. One that makes keys of its data empties the table now and then, which is all that it costs.
    """

    _MOST: Final = 2000
    _LONGEST: Final = 200

    def __missing__(self, key: str) -> bytes:
        encoded = field(b"\x0a", str.encode(key)) + b"\x12"
        # A subclass of str may equal other keys than its bytes do.
        if type(key) is str and len(key) <= self._LONGEST:
            if len(self) >= self._MOST:
                self.clear()
            self[key] = encoded
        return encoded
