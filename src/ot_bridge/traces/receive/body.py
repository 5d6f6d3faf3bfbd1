"""Reads the body of a request, whatever its client does: never more bytes than are allowed, never for longer.

What all bodies together may hold in memory is bounded too. A small body never waits for large ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from ot_bridge.traces.formats.decoded import Decoded
from ot_bridge.traces.receive.apart import DecoderError, Decoding

__all__ = ["BodyError", "Limits", "Room", "Share", "decode_apart", "read_body"]

_SMALL: Final = 1 << 20
"""Bytes that a body may have without asking for room, and be decoded in a thread: 1 MiB of JSON is parsed in 10 ms."""
_STEP: Final = 1 << 18
_LINGER_S: Final = 2.0


class Limits(NamedTuple):
    """How much is taken from one client, and from all.

    Attributes:
        body_bytes: of one body, as it is sent and after inflating.
        room_bytes: of all bodies that are read and decoded at one time, small ones left out.
        deadline_s: for a request to arrive.
        decoders: large bodies that are decoded at one time, each in a process of its own.
        decode_s: for one of them.
        connections: that may be open at one time; the one that has waited longest for its client is cut for a new one.
    """

    body_bytes: int = 64 << 20
    room_bytes: int = 256 << 20
    deadline_s: float = 30.0
    decoders: int = 2
    decode_s: float = 60.0
    connections: int = 512


class BodyError(Exception):
    """A body that is not taken.

    Attributes:
        status: for the answer.
        retry_after_s: when the client may come again, None when there is no use in it.
    """

    def __init__(self, status: int, text: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after_s = retry_after_s


class Room:
    """What the bodies that are in memory may take together, and the few large ones that are decoded at a time.

    Args:
        size: bytes.
        decoders: how many are decoded at a time.
        decode_s: for how long each.
    """

    def __init__(self, size: int, decoders: int = Limits().decoders, decode_s: float = Limits().decode_s) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._taken = 0
        self.decoders = asyncio.Semaphore(decoders)
        self.decode_s = decode_s

    def take(self, size: int) -> None:
        """Take room.

        Raises:
            BodyError: 503, there is none left.
        """
        with self._lock:
            if self._taken + size > self._size:
                raise BodyError(
                    503, "cannot take this body now: too many large ones are being received", retry_after_s=1
                )
            self._taken += size

    def give_back(self, size: int) -> None:
        """Give room back."""
        with self._lock:
            self._taken -= size

    @property
    def taken(self) -> int:
        """Bytes that are taken."""
        return self._taken


class Share:
    """What one request has of the room; the guard in front of every application gives it back."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self._bytes = self._taken = 0

    def grow(self, size: int) -> None:
        """Count bytes that the request holds; the first of them are free."""
        self._bytes += size
        if wanted := max(0, self._bytes - _SMALL - self._taken):
            self.room.take(wanted)
            self._taken += wanted

    def give_back(self) -> None:
        """Give back all."""
        self.room.give_back(self._taken)
        self._taken = 0


SHARE: Final = "ot_bridge.share"
"""Key of a request's share in its ASGI scope."""


def _share(request: Request) -> Share:
    found = request.scope.get(SHARE)
    return found if isinstance(found, Share) else Share(Room(Limits().room_bytes))


async def read_body(request: Request, limits: Limits) -> bytes:
    """Read a body, and inflate it when it is in gzip.

    Raises:
        BodyError: 413 too large, 408 too slow, 415 another encoding, 400 not whole or not gzip, 503 no room for it.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower()
    share, incoming = _share(request), _Incoming(request)
    try:
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            raise BodyError(415, f"cannot read the content encoding {encoding[:50]!r}: expected gzip or none")
        # Not asyncio.timeout, which needs Python 3.11.
        body = await asyncio.wait_for(_whole(incoming, limits.body_bytes, share), limits.deadline_s)
    except (asyncio.TimeoutError, TimeoutError):
        raise BodyError(
            408, f"got {incoming.size:,} bytes of the body in {limits.deadline_s:g} s, expected all of it"
        ) from None
    except BodyError:
        await incoming.pass_over(limits.body_bytes)
        raise
    if "gzip" not in encoding:
        return body
    return await run_in_threadpool(_inflated, body, limits.body_bytes, share)


class _Incoming:
    """The pieces of a body as they come."""

    def __init__(self, request: Request) -> None:
        announced = request.headers.get("content-length", "")
        self.announced = int(announced) if announced.isdigit() else 0
        self._receive = request.receive
        self.size = 0
        self.more = True

    async def piece(self) -> bytes:
        message = await self._receive()
        self.more = message.get("more_body", False)
        if message["type"] != "http.request":
            raise BodyError(400, f"the connection was closed after {self.size:,} bytes of the body")
        piece: bytes = message.get("body", b"")
        self.size += len(piece)
        return piece

    async def pass_over(self, most: int) -> None:
        """Read on for a moment: many clients listen for an answer only when they have sent all."""
        largest = self.size + most

        async def read() -> None:
            while self.more and self.size < largest:
                await self.piece()

        with contextlib.suppress(BodyError, asyncio.TimeoutError, TimeoutError):
            await asyncio.wait_for(read(), _LINGER_S)


async def _whole(incoming: _Incoming, most: int, share: Share) -> bytes:
    body = bytearray()
    while incoming.more:
        piece = await incoming.piece() if incoming.announced <= most else b""
        if max(incoming.size, incoming.announced) > most:
            raise BodyError(413, f"the body is too large: got more than {most:,} bytes, the most that is read")
        share.grow(len(piece))
        body += piece
    return bytes(body)


def _inflated(data: bytes, most: int, share: Share) -> bytes:
    """Inflate gzip, all of its members, in steps, so that a bomb never gets further than the limit."""
    found = bytearray()
    left = data
    while left:
        inflater = zlib.decompressobj(wbits=31)
        while not inflater.eof:
            try:
                piece = inflater.decompress(left, _STEP)
            except zlib.error as error:
                raise BodyError(400, f"cannot inflate the body of {len(data):,} bytes: {error}") from None
            left = inflater.unconsumed_tail
            share.grow(len(piece))
            found += piece
            if len(found) > most:
                raise BodyError(
                    413, f"the body is too large: got more than {most:,} bytes when inflated, the most that is read"
                )
            if not piece and not left and not inflater.eof:
                raise BodyError(400, f"cannot inflate the body of {len(data):,} bytes: it ends too early")
        left = inflater.unused_data
    return bytes(found)


async def decode_apart(request: Request, decode: Callable[[bytes], Decoded], body: bytes) -> Decoded:
    """Decode so that all connections are served meanwhile: a small body in a thread, a large one in a process.

    Args:
        request: that it belongs to.
        decode: a function of a module.
        body: of the request.

    Raises:
        ValueError: `decode` cannot read it.
        BodyError: 413 it needs too much time or memory, 400 its client is gone, 500 the process failed.
    """
    if len(body) <= _SMALL:
        return await run_in_threadpool(decode, body)
    room = _share(request).room

    async def decoded() -> Decoded:
        async with room.decoders:
            return await Decoding(decode, body).result(room.decode_s)

    work, gone = asyncio.ensure_future(decoded()), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise BodyError(400, "the connection was closed before the body was decoded")
        return work.result()
    except DecoderError as error:
        raise BodyError(413 if error.too_large else 500, str(error)) from None
    finally:
        for one in (work, gone):
            one.cancel()
        await asyncio.wait([work, gone])


async def _gone(request: Request) -> None:
    """Wait until the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
