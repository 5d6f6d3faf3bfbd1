"""Jaeger's agent protocol over UDP: each packet a call in compact or binary thrift, told by its first byte.

Nobody is answered and nothing is sent twice, so the socket must be emptied faster than it fills: one thread does
nothing else than to read, to decode and to hand on.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Final

from ot_bridge.traces.formats import jaeger_thrift
from ot_bridge.traces.formats.thrift import ThriftError
from ot_bridge.traces.receive.inbox import Counts, Inbox
from ot_bridge.traces.receive.losses import Losses
from ot_bridge.traces.receive.taking import hand_on

__all__ = ["PROTOCOL", "UdpReceiver", "bound"]

PROTOCOL: Final = "jaeger/udp"
_LARGEST_PACKET: Final = 65_535
_PAUSE_S: Final = 0.05
_WANTED_BUFFER: Final = 1 << 25
_SMALLEST_BUFFER: Final = 1 << 16


def bound(port: int, host: str = "127.0.0.1") -> socket.socket:
    """Open a socket for `UdpReceiver`.

    Args:
        port: 0 for a free one.
        host: an IPv4 address.

    Raises:
        OSError: the port is taken.
    """
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.bind((host, port))
    except OSError:
        opened.close()
        raise
    return opened


class UdpReceiver:
    """Reads packets from a bound socket in a thread of its own, from `start` to `close`; the socket is closed too."""

    def __init__(self, sock: socket.socket, inbox: Inbox, counts: Counts) -> None:
        self._socket, self._inbox, self._counts = sock, inbox, counts
        self._losses = Losses(counts, PROTOCOL)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ot_bridge-udp", daemon=True)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Begin to read."""
        _grow_buffer(self._socket)
        self._thread.start()

    def close(self) -> None:
        """End; what is in the socket's buffer by then is lost."""
        self._closing.set()
        if self._thread.is_alive():
            # A packet wakes the thread at once, where a closed socket would not.
            with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
                waker.sendto(b"", self._socket.getsockname())
            self._thread.join(timeout=2)
        self._socket.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                packet = self._socket.recv(_LARGEST_PACKET)
            except OSError as error:
                if self._closing.is_set() or self._socket.fileno() < 0:
                    return
                self._counts.add(PROTOCOL, "socket errors", example=str(error))
                self._closing.wait(_PAUSE_S)  # an error that stays does not keep a core busy
                continue
            if self._closing.is_set():
                return
            try:
                self._take(packet)
            except Exception as error:
                # No packet may be the last one that is read.
                self._counts.add(PROTOCOL, "errors of the receiver", example=repr(error))

    def _take(self, packet: bytes) -> None:
        try:
            decoded = jaeger_thrift.decode_packet(packet)
        except ThriftError as error:
            self._counts.add(PROTOCOL, "bad packets", example=str(error))
            return
        self._losses.note(decoded.batches)
        hand_on(decoded, PROTOCOL, self._inbox, self._counts)


def _grow_buffer(sock: socket.socket) -> None:
    """Ask for the largest buffer that the system grants: some grant less, and some refuse what is too large."""
    size = _WANTED_BUFFER
    while size >= _SMALLEST_BUFFER:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
            return
        size //= 2
