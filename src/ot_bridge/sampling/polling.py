"""Ask a URL again and again in the background, without ever being in the application's way.

Each question has one deadline for all of the answer, however slowly it drips; the answer has a size limit; redirects
are not followed, and compressed answers not asked for. The thread is a daemon: it does not delay the interpreter's
exit. The child of a fork has none until somebody needs it. The standard library's HTTP client is used below the level
at which instrumentations act, and they are told to look away as well: asking makes no spans.
"""

from __future__ import annotations

import io
import os
import random
import socket
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from opentelemetry import context as otel_context

from ot_bridge.locks import fork_safe_lock
from ot_bridge.version import __version__

__all__ = ["BODY_LIMIT", "JITTER", "LEAST_INTERVAL_S", "TIMEOUT_S", "AnswerError", "Asking", "Poller", "fetch"]

BODY_LIMIT: Final = 2**20
"""Bytes of an answer that are read: room for about 5000 operations."""
TIMEOUT_S: Final = 10.0
"""How long an answer may take, in seconds; making the connection has as much again."""
LEAST_INTERVAL_S: Final = 1.0
"""The shortest interval: a shorter one is taken for this."""
JITTER: Final = 0.1
"""The part of the interval by which each wait is made longer or shorter."""

_CHUNK: Final = 65536
_LONGEST_MESSAGE: Final = 300
# OpenTelemetry's API gives these to instrumentations, under private names; the plain text is what older ones read.
_SUPPRESS: Final = [
    "suppress_instrumentation",
    *(
        getattr(otel_context, name)
        for name in ("_SUPPRESS_INSTRUMENTATION_KEY", "_SUPPRESS_HTTP_INSTRUMENTATION_KEY")
        if hasattr(otel_context, name)
    ),
]


class AnswerError(Exception):
    """An answer cannot be used.

    Attributes:
        why: a word for the counter.
    """

    def __init__(self, why: str, detail: str) -> None:
        super().__init__(detail)
        self.why = why


class Asking(Protocol):
    """What has questions: the owner of a poller."""

    def _question(self) -> str | None:
        """Return the URL to ask, None for nothing this time."""

    def _take(self, body: bytes) -> None:
        """Take an answer, and count it. Raises AnswerError when it cannot be used."""

    def _failed(self, why: str, message: str) -> None:
        """Count a question without a usable answer, and warn."""


class Poller:
    """Asks at once and then after each interval, and hands on what comes.

    It holds its owner weakly: when that is gone, the thread ends.

    Args:
        owner: knows what to ask, and takes the answers.
        interval_s: seconds between two questions.
        timeout_s: seconds for each.
    """

    def __init__(self, owner: Asking, interval_s: float, timeout_s: float = TIMEOUT_S) -> None:
        self._owner = weakref.ref(owner)
        self._interval_s = max(interval_s, LEAST_INTERVAL_S)
        self._timeout_s = timeout_s
        self._stop = threading.Event()
        self._socket: socket.socket | None = None
        self._closed = False
        self.idle = True
        """No thread is running, and one should be: the owner calls :meth:`start` when it is next used."""
        _pollers.add(self)

    def start(self) -> None:
        """Start the thread, unless there is one. Never raises: without a thread nothing is asked, with a warning."""
        with _start_lock:
            if not self.idle:
                return
            self.idle = False
            self._stop = threading.Event()
            thread = threading.Thread(target=self._run, args=(self._stop,), name="ot_bridge-poll", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no more threads, or the interpreter is about to end
                self._fail("thread", f"cannot ask in the background: {error}")

    def poll(self) -> bool:
        """Ask once, in this thread. Never raises; False when the owner is gone."""
        owner = self._owner()
        if owner is None:
            return False
        asked = None
        try:
            asked = owner._question()
            if asked is not None:
                owner._take(fetch(asked, self._timeout_s, opened=self._opened))
        except AnswerError as error:
            self._fail(error.why, f"cannot use {(asked or '').partition('?')[0]}: {error}")
        except Exception as error:
            self._fail("unexpected", f"asking failed with {type(error).__name__}: {error}")
        finally:
            self._socket = None
        return True

    def close(self) -> None:
        """Stop asking, for good. Does not wait: an answer that is under way is broken off."""
        with _start_lock:
            self._closed = True
            self.idle = False
            self._stop.set()
        opened = self._socket
        if opened is not None:
            with suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)

    def _run(self, stop: threading.Event) -> None:
        while not stop.is_set() and self.poll():
            stop.wait(self._interval_s * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311  (no secret)

    def _opened(self, opened: socket.socket) -> None:
        self._socket = opened
        if self._closed:
            raise AnswerError("closed", "closed meanwhile")

    def _fail(self, why: str, message: str) -> None:
        owner = self._owner()
        if owner is not None and not self._closed:  # else it is no failure that the answer broke off
            # What the other side sent may be part of it, at any length.
            plain = "".join(letter if letter.isprintable() else "?" for letter in message[:_LONGEST_MESSAGE])
            owner._failed(why, plain)

    def _forget_thread(self) -> None:
        """In the child of a fork: the thread and its lock stayed in the parent."""
        self._stop = threading.Event()
        self._socket = None
        self.idle = not self._closed


_start_lock: Final = fork_safe_lock()
_pollers: Final[weakref.WeakSet[Poller]] = weakref.WeakSet()


def _after_fork() -> None:
    for poller in list(_pollers):
        poller._forget_thread()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def fetch(url: str, timeout_s: float = TIMEOUT_S, *, opened: Callable[[socket.socket], None] | None = None) -> bytes:
    """GET a URL and return its body.

    Args:
        url: http or https.
        timeout_s: seconds for the connection, and again for the whole answer.
        opened: is given the socket, for another thread to break off.

    Raises:
        AnswerError: there is no answer with status 200, of at most BODY_LIMIT bytes, in that time.
    """
    keys = otel_context.get_current()
    for key in _SUPPRESS:
        keys = otel_context.set_value(key, True, keys)
    token = otel_context.attach(keys)
    try:
        return _fetch(url, timeout_s, opened)
    except TimeoutError:
        raise AnswerError("timeout", f"no answer within {timeout_s:g} s") from None
    except (OSError, HTTPException, ValueError) as error:
        raise AnswerError("broken", f"the answer broke off: {type(error).__name__}: {error}") from None
    finally:
        otel_context.detach(token)


def _fetch(url: str, timeout_s: float, opened: Callable[[socket.socket], None] | None) -> bytes:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection: Any = kind(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.connect()
    except TimeoutError:
        raise
    except OSError as error:
        raise AnswerError("connect", f"no connection: {error}") from None
    raw = connection.sock
    try:
        if opened is not None:
            opened(raw)
        connection.sock = _Timed(raw, timeout_s)
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "close",
            "User-Agent": f"ot_bridge/{__version__}",
        }
        connection.request("GET", target, headers=headers)
        return _read(connection.getresponse())
    finally:
        raw.close()


def _read(response: Any) -> bytes:
    if response.status != 200:
        raise AnswerError("status", f"status {response.status}, expected 200; redirects are not followed")
    encoding = response.getheader("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise AnswerError("encoding", f"Content-Encoding {encoding[:20]!r}, expected identity")
    body = bytearray()
    while len(body) <= BODY_LIMIT and (response.length or 0) <= BODY_LIMIT:
        chunk = response.read(_CHUNK)
        body += chunk
        if not chunk:
            if response.length:
                raise AnswerError("broken", f"the answer broke off: {response.length} bytes are missing")
            return bytes(body)
    raise AnswerError("size", f"more than {BODY_LIMIT} bytes")


class _Timed:
    """A socket with one deadline for all that is sent and received: a time-out of its own starts anew at each byte."""

    def __init__(self, opened: socket.socket, timeout_s: float) -> None:
        self._socket = opened
        self._deadline = time.monotonic() + timeout_s

    def sendall(self, data: bytes) -> None:
        self._wait_no_longer()
        self._socket.sendall(data)

    def receive(self, buffer: Any) -> int:
        self._wait_no_longer()
        return self._socket.recv_into(buffer)

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_Received(self))

    def close(self) -> None:
        """Leave it open: the client closes its socket as soon as it has the headers."""

    def _wait_no_longer(self) -> None:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._socket.settimeout(left_s)


class _Received(io.RawIOBase):
    def __init__(self, timed: _Timed) -> None:
        super().__init__()
        self._timed = timed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._timed.receive(buffer)
