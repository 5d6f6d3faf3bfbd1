"""An inbox that keeps what it is given, and requests as a test sends them, for tests of receivers."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from otlp_made import found

__all__ = ["KeepingInbox", "Reply", "ask"]


class KeepingInbox:
    """Keeps everything, or has no room."""

    def __init__(self) -> None:
        self.room = True
        self.batches: list[ResourceSpans] = []
        self.logs: list[Any] = []
        self._changed = threading.Condition()

    def put(self, batches: Sequence[ResourceSpans], logs: Sequence[Any] = ()) -> bool:
        with self._changed:
            if self.room:
                self.batches += batches
                self.logs += logs
                self._changed.notify_all()
            return self.room

    def names(self) -> list[str]:
        """Return the names of the spans, sorted."""
        return sorted(span.name for span in found(self.batches))

    def wait(self, count: int, timeout_s: float = 10) -> list[str]:
        """Return the names of the spans once there are so many."""
        with self._changed:
            self._changed.wait_for(lambda: len(found(self.batches)) >= count, timeout_s)
        return self.names()


class Reply(NamedTuple):
    """What a server answered; the names of headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(
    port: int, path: str, body: bytes | None = b"", headers: Mapping[str, str] | None = None, *, method: str = "POST"
) -> Reply:
    """Send a request to a port of this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        return Reply(answer.status, {name.lower(): one for name, one in answer.getheaders()}, answer.read())
    finally:
        connection.close()
