"""HTTP/2 by hand: requests of gRPC that a client of good will does not send."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

__all__ = ["closed", "half_a_message", "said"]

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _GOAWAY = 0, 1, 4, 7
_END_HEADERS = 4
_PATH = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack("!I", len(payload))[1:] + bytes([kind, flags]) + struct.pack("!I", stream) + payload


def _headers() -> bytes:
    """Return the block of a request, every header as a literal without an index."""
    pairs = {
        ":method": "POST",
        ":scheme": "http",
        ":path": _PATH,
        ":authority": "localhost",
        "te": "trailers",
        "content-type": "application/grpc",
    }
    texts = (text.encode() for pair in pairs.items() for text in pair)
    names_and_values = [bytes([len(text)]) + text for text in texts]
    return b"".join(
        b"\0" + name + value for name, value in zip(names_and_values[::2], names_and_values[1::2], strict=True)
    )


def half_a_message(port: int) -> socket.socket:
    """Begin a message of 1,000 bytes, within a frame of 100, and send 8 of them."""
    client = socket.create_connection(("127.0.0.1", port), timeout=20)
    data = _frame(_DATA, 0, 1, b"\0" + struct.pack("!I", 1000) + bytes(95))
    client.sendall(_PREFACE + _frame(_SETTINGS, 0, 0, b"") + _frame(_HEADERS, _END_HEADERS, 1, _headers()) + data[:17])
    return client


def said(client: socket.socket) -> Iterator[bytes]:
    """Give the headers and trailers that the server sends for the request, as they are on the wire."""
    left = b""
    while piece := client.recv(65_536):
        left += piece
        while len(left) >= 9 and len(left) >= 9 + (size := int.from_bytes(left[:3], "big")):
            if left[3] == _HEADERS:
                yield left[9 : 9 + size]
            left = left[9 + size :]


def closed(client: socket.socket) -> bool:
    """Wait until the server ends the connection."""
    try:
        while client.recv(65_536):
            pass
    except ConnectionResetError:
        pass
    return True
