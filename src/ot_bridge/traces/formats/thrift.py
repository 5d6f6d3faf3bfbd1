"""Thrift's compact and binary protocols, read without a schema: a struct is a dict by the numbers of its fields. Pure.

The bytes come from strangers: no length is believed before the bytes are there, structs nest and lists grow up to a
limit, and whatever is wrong is a ThriftError. Source: Apache Thrift's `doc/specs/thrift-compact-protocol.md` and
`thrift-binary-protocol.md`.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias, TypeVar

__all__ = [
    "DEEPEST",
    "HIGHEST_FIELD",
    "MOST_ELEMENTS",
    "Fields",
    "Message",
    "ThriftError",
    "Value",
    "read_message",
    "read_struct",
]

Value: TypeAlias = "bool | int | float | bytes | list[Value] | dict[int, Value]"
Fields: TypeAlias = dict[int, Value]
_Read = TypeVar("_Read")

HIGHEST_FIELD: Final = 31
"""Fields with other numbers are skipped, so that a struct of any size stays small."""
MOST_ELEMENTS: Final = 500_000
"""Of all lists of one message together: about 40,000 spans, and a bound on the memory that a small element takes."""
DEEPEST: Final = 16
"""How deep structs and lists may nest; Jaeger's own nest 8 deep."""

_COMPACT: Final = 0x82
_BINARY: Final = 0x80
_STRUCT: Final = 12  # in both protocols
_BOOLS: Final = (1, 2)
_LONGEST_NUMBER: Final = 10
_byte = struct.Struct("b").unpack_from
_int16 = struct.Struct(">h").unpack_from
_int32 = struct.Struct(">i").unpack_from
_int64 = struct.Struct(">q").unpack_from
_double = struct.Struct(">d").unpack_from
_double_of_compact = struct.Struct("<d").unpack_from


class ThriftError(ValueError):
    """Bytes are not the thrift that was wanted. The text says where, what was found and what was wanted."""


class Message(NamedTuple):
    """A call.

    Attributes:
        name: of the method.
        kind: of the message: 1 for a call, 4 for one that wants no answer.
        arguments: by their numbers.
    """

    name: bytes
    kind: int
    arguments: Fields


def read_message(data: bytes) -> Message:
    """Read a message; its first byte says in which protocol it is.

    Raises:
        ThriftError: it is no whole message.
    """
    first = data[0] if data else None
    if first == _COMPACT:
        return _whole(data, _Compact(data).message)
    if first == _BINARY:
        return _whole(data, _Binary(data).message)
    found = "nothing" if first is None else f"first byte 0x{first:02x}"
    raise ThriftError(f"cannot read a packet of {len(data)} bytes: got {found}, expected 0x80 or 0x82")


def read_struct(data: bytes) -> Fields:
    """Read a struct in the binary protocol, as HTTP carries it.

    Raises:
        ThriftError: it is no whole struct.
    """
    return _whole(data, lambda: _Binary(data).struct(0, 0)[0])


def _whole(data: bytes, read: Callable[[], _Read]) -> _Read:
    try:
        return read()
    except (IndexError, struct.error):
        # The readers do not ask before each byte whether it is there: by these two they learn that it is not.
        raise ThriftError(f"cannot read thrift: got {len(data)} bytes that end within a value, expected more") from None


class _Reader(ABC):
    """What both protocols share. A reader returns what it read, and the place behind it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = MOST_ELEMENTS

    @abstractmethod
    def message(self) -> Message: ...

    @abstractmethod
    def struct(self, place: int, depth: int) -> tuple[Fields, int]: ...

    @abstractmethod
    def _value(self, kind: int, place: int, depth: int) -> tuple[Value, int]: ...

    def _wrong(self, place: int, found: str, wanted: str) -> ThriftError:
        return ThriftError(f"cannot read thrift at byte {place} of {len(self._data)}: got {found}, expected {wanted}")

    def _bytes(self, size: int, place: int) -> tuple[bytes, int]:
        end = place + size
        if not place <= end <= len(self._data):
            raise self._wrong(
                place, f"a length of {size}", f"at most {len(self._data) - place}, the bytes that are left"
            )
        return self._data[place:end], end

    def _list(self, kind: int, size: int, place: int, depth: int) -> tuple[list[Value], int]:
        self._expect(size, place, depth)
        read, found = self._value, list[Value]()
        if kind == _STRUCT:
            self._check(depth, place)
            of_struct, depth = self.struct, depth + 1
            for _ in range(size):
                element, place = of_struct(place, depth)
                found.append(element)
            return found, place
        for _ in range(size):
            value, place = read(kind, place, depth)
            found.append(value)
        return found, place

    def _map(self, keys: int, values: int, size: int, place: int, depth: int) -> tuple[list[Value], int]:
        """Pass over a map: Jaeger has none."""
        self._expect(2 * size, place, depth)
        for _ in range(size):
            _, place = self._value(keys, place, depth)
            _, place = self._value(values, place, depth)
        return [], place

    def _expect(self, size: int, place: int, depth: int) -> None:
        """Refuse elements that cannot all be there or are too many, before any is read."""
        left = len(self._data) - place
        if not 0 <= size <= left:  # each takes a byte at least
            raise self._wrong(place, f"{size} elements", f"at most {left}, for that many bytes are left")
        self._left -= size
        if self._left < 0:
            raise self._wrong(place, f"{size} elements more", f"at most {MOST_ELEMENTS} in all")
        self._check(depth, place)

    def _check(self, depth: int, place: int) -> None:
        if depth > DEEPEST:
            raise self._wrong(place, f"a depth of {depth}", f"at most {DEEPEST}")


class _Compact(_Reader):
    def message(self) -> Message:
        head = self._data[1]
        if head & 0x1F != 1:
            raise self._wrong(1, f"version {head & 0x1F}", "version 1 of the compact protocol")
        _, place = self._number(2)
        size, place = self._number(place)
        name, place = self._bytes(size, place)
        return Message(name, head >> 5, self.struct(place, 0)[0])

    def struct(self, place: int, depth: int) -> tuple[Fields, int]:
        data, fields, number = self._data, Fields(), 0
        value: Value
        while head := data[place]:
            place += 1
            kind = head & 15
            if head > 15:
                number += head >> 4
            else:
                number, place = self._signed(place)
            # What most fields are is read here: a call for each would take as long again.
            if kind == 8 and (size := data[place]) < 128 and (end := place + 1 + size) <= len(data):
                value, place = data[place + 1 : end], end
            elif kind == 5 and (small := data[place]) < 128:
                value, place = small >> 1 ^ -(small & 1), place + 1
            elif kind in _BOOLS:
                value = kind == 1
            else:
                value, place = self._value(kind, place, depth)
            if 0 <= number <= HIGHEST_FIELD:
                fields[number] = value
        return fields, place + 1

    def _value(self, kind: int, place: int, depth: int) -> tuple[Value, int]:  # noqa: PLR0911  (one for each kind)
        if kind == 8:
            size, place = self._number(place)
            return self._bytes(size, place)
        if 4 <= kind <= 6:
            return self._signed(place)
        if kind == _STRUCT:
            self._check(depth, place)
            return self.struct(place, depth + 1)
        if kind in (9, 10):
            head = self._data[place]
            size, place = self._number(place + 1) if head >> 4 == 15 else (head >> 4, place + 1)
            return self._list(head & 15, size, place, depth + 1)
        if kind == 7:
            return _double_of_compact(self._data, place)[0], place + 8
        if kind in _BOOLS:  # as an element: as a field it has no byte of its own
            return self._data[place] == 1, place + 1
        if kind == 3:
            return _byte(self._data, place)[0], place + 1
        if kind == 11:
            size, place = self._number(place)
            kinds = self._data[place] if size else 0
            return self._map(kinds >> 4, kinds & 15, size, place + (size > 0), depth + 1)
        if kind == 13:
            return self._bytes(16, place)
        raise self._wrong(place, f"type {kind}", "one of 1 to 13")

    def _number(self, place: int) -> tuple[int, int]:
        """Read an unsigned number of 7 bits in a byte."""
        data = self._data
        value = data[place]
        place += 1
        if value < 128:
            return value, place
        value &= 127
        shift = 7
        for byte in data[place : place + _LONGEST_NUMBER - 1]:
            place += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value & 0xFFFFFFFFFFFFFFFF, place
            shift += 7
        if place == len(data):
            raise IndexError(place)
        raise self._wrong(place, "a number without an end", f"one of at most {_LONGEST_NUMBER} bytes")

    def _signed(self, place: int) -> tuple[int, int]:
        number, place = self._number(place)
        return number >> 1 ^ -(number & 1), place


class _Binary(_Reader):
    def message(self) -> Message:
        (head,) = _int32(self._data, 0)
        if head & 0xFFFF0000 != 0x80010000:
            raise self._wrong(0, f"version 0x{head & 0xFFFF0000:08x}", "version 0x80010000 of the binary protocol")
        (size,) = _int32(self._data, 4)
        name, place = self._bytes(size, 8)
        return Message(name, head & 0xFF, self.struct(place + 4, 0)[0])

    def struct(self, place: int, depth: int) -> tuple[Fields, int]:
        data, fields, read = self._data, Fields(), self._value
        while kind := data[place]:
            number = data[place + 1] << 8 | data[place + 2]
            value, place = read(kind, place + 3, depth)
            if number <= HIGHEST_FIELD:
                fields[number] = value
        return fields, place + 1

    def _value(self, kind: int, place: int, depth: int) -> tuple[Value, int]:  # noqa: PLR0911  (one for each kind)
        data = self._data
        if kind == 11:
            (size,) = _int32(data, place)
            return self._bytes(size, place + 4)
        if kind == 10:
            return _int64(data, place)[0], place + 8
        if kind == 8:
            return _int32(data, place)[0], place + 4
        if kind == _STRUCT:
            self._check(depth, place)
            return self.struct(place, depth + 1)
        if kind in (14, 15):
            (size,) = _int32(data, place + 1)
            return self._list(data[place], size, place + 5, depth + 1)
        if kind == 2:
            return data[place] != 0, place + 1
        if kind == 4:
            return _double(data, place)[0], place + 8
        if kind == 3:
            return _byte(data, place)[0], place + 1
        if kind == 6:
            return _int16(data, place)[0], place + 2
        if kind == 13:
            (size,) = _int32(data, place + 2)
            return self._map(data[place], data[place + 1], size, place + 6, depth + 1)
        if kind == 16:
            return self._bytes(16, place)
        raise self._wrong(place, f"type {kind}", "one of 2 to 16")
