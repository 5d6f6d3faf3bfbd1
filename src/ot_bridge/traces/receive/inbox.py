"""Where receivers put what arrived, and what they count."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

__all__ = ["Counts", "Inbox"]


class Inbox(Protocol):
    """Takes what arrived. Called from any thread; returns at once."""

    def put(self, batches: Sequence[ResourceSpans], logs: Sequence[ResourceLogs] = ()) -> bool:
        """Take spans and log records; False when there is no room now, and the sender should come again later."""
        ...


class Counts:
    """What was received and what was refused, for people who look for spans that are not there.

    A key is the protocol, such as `otlp/http`, `jaeger/udp`, `zipkin`, and what happened: `spans`, or the reason for
    which something was refused.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, str]] = Counter()
        self._last: dict[tuple[str, str], str] = {}

    def add(self, protocol: str, what: str, number: int = 1, *, example: str = "") -> None:
        """Count; the last example of each key is kept, cut to 300 characters."""
        with self._lock:
            self._counts[protocol, what] += number
            if example:
                self._last[protocol, what] = example[:300]

    def snapshot(self) -> Mapping[tuple[str, str], int]:
        """Return all counts."""
        with self._lock:
            return dict(self._counts)

    def examples(self) -> Mapping[tuple[str, str], str]:
        """Return the last example of each thing that has one."""
        with self._lock:
            return dict(self._last)
