"""Jaeger's BINARY carrier, as jaeger-client for Python, Go and Java have it.

Big-endian: u64 high and u64 low half of the trace id, u64 span id, u64 parent id, u8 flags, i32 number of baggage
items, then for each item i32 length and UTF-8 bytes of the key, and the same of the value. Go refuses more than 180
items and pairs over 4096 bytes, so both are limits here in either direction.
https://github.com/jaegertracing/jaeger-client-go/blob/8d8e8fcf/propagation.go
"""

from __future__ import annotations

import struct
from typing import Final

from ot_bridge.codecs.carrier import any_text
from ot_bridge.codecs.wire import EMPTY, WireContext

__all__ = ["decode", "encode"]

_HEADER: Final = struct.Struct(">QQQQBi")
_LENGTH: Final = struct.Struct(">i")
_MAX_ITEMS: Final = 180
_MAX_PAIR: Final = 4096  # bytes
_SAMPLED: Final = 0x01
_DEBUG: Final = 0x02
_LOW_64: Final = 0xFFFFFFFFFFFFFFFF
_TRACE_IDS: Final = 1 << 128
_SPAN_IDS: Final = 1 << 64


def encode(wire: WireContext) -> bytes:
    """Write the ids, flags and baggage of a context; a container has ids of zero. Never raises.

    Items that a reader would refuse are left out.
    """
    trace_id, span_id = wire.trace_id, wire.span_id
    if not (0 < trace_id < _TRACE_IDS and 0 < span_id < _SPAN_IDS):
        trace_id = span_id = 0
    flags = 0 if not wire.sampled else _SAMPLED | _DEBUG if wire.debug else _SAMPLED
    pairs: list[bytes] = []
    for key, value in wire.baggage.items():
        name, text = (any_text(key) or "").encode(), any_text(value)
        encoded = b"" if text is None else text.encode()
        if name and text is not None and len(name) + len(encoded) <= _MAX_PAIR and len(pairs) < _MAX_ITEMS:
            pairs.append(_LENGTH.pack(len(name)) + name + _LENGTH.pack(len(encoded)) + encoded)
    header = _HEADER.pack(trace_id >> 64, trace_id & _LOW_64, span_id, 0, flags if trace_id else 0, len(pairs))
    return header + b"".join(pairs)


def decode(data: bytes | bytearray | memoryview) -> WireContext | None:
    """Read a context; None when the bytes are corrupted, too short, or say nothing. Never raises.

    No length in the data is trusted. Bytes after the last item are ignored, as jaeger-client does. Without both ids
    the result is a container of the baggage.
    """
    data = bytes(data)
    if len(data) < _HEADER.size:
        return None
    high, low, span_id, _, flags, count = _HEADER.unpack_from(data)
    if not 0 <= count <= _MAX_ITEMS:
        return None
    baggage: dict[str, str] = {}
    position = _HEADER.size
    for _ in range(count):
        key, position = _text(data, position)
        value, position = _text(data, position)
        if key is None or value is None or len(key) + len(value) > _MAX_PAIR:
            return None
        if key:
            baggage[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    trace_id = high << 64 | low
    if not trace_id or not span_id:
        return WireContext(baggage=baggage) if baggage else None
    sampled = bool(flags & _SAMPLED)
    debug = sampled and bool(flags & _DEBUG)
    return WireContext(trace_id, span_id, sampled, debug, False, "", baggage or EMPTY, None, "binary")


def _text(data: bytes, position: int) -> tuple[bytes | None, int]:
    """Return the bytes at a length field and the position behind them; None and the end when they are not all there."""
    start = position + _LENGTH.size
    if start <= len(data):
        (length,) = _LENGTH.unpack_from(data, position)
        if 0 <= length <= len(data) - start:
            return data[start : start + length], start + length
    return None, len(data)
