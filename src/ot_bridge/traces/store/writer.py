"""The inbox of the store: a queue with an end, and the thread that writes from it, many arrivals in one transaction."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from ot_bridge.traces.store.errors import StoreError
from ot_bridge.traces.store.store import Store

__all__ = ["Writer"]

_QUEUE_SPANS = 50_000
# As messages in memory they take about four times as much.
_QUEUE_BYTES = 64 << 20
_BATCH_SPANS = 5_000
_PAUSE_S = 0.1
_IDLE_S = 30.0


class _Item(NamedTuple):
    batches: Sequence[ResourceSpans]
    logs: Sequence[ResourceLogs]
    spans: int
    bytes: int


class Writer:
    """An `Inbox` that writes into a store.

    Attributes:
        lost: spans and log records that the database did not take, each time with its reason in `problem`.
        problem: what the database said last; `""` when it has taken everything.
    """

    def __init__(self, store: Store, *, queue_spans: int = _QUEUE_SPANS, queue_bytes: int = _QUEUE_BYTES) -> None:
        self.lost = 0
        self.problem = ""
        self._store = store
        self._most_spans, self._most_bytes = queue_spans, queue_bytes
        self._items = deque[_Item]()
        self._spans = self._bytes = 0
        self._put = self._done = 0
        self._closing = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="ot-bridge-writer", daemon=True)
        self._thread.start()

    def put(self, batches: Sequence[ResourceSpans], logs: Sequence[ResourceLogs] = ()) -> bool:
        """Take spans and log records; False when there is no room now, or none any more."""
        spans = sum(len(group.spans) for one in batches for group in one.scope_spans)
        spans += sum(len(group.log_records) for one in logs for group in one.scope_logs)
        size = sum(one.ByteSize() for one in batches) + sum(one.ByteSize() for one in logs)
        with self._changed:
            # What is larger than the whole queue is taken when that is empty.
            full = self._spans + spans > self._most_spans or self._bytes + size > self._most_bytes
            if self._closing or (full and self._items):
                return False
            self._items.append(_Item(batches, logs, spans, size))
            self._spans += spans
            self._bytes += size
            self._put += 1
            self._changed.notify_all()
        return True

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Wait until all that was put before is written; False when that takes too long."""
        end = time.monotonic() + timeout_s
        with self._changed:
            wanted = self._put
            while self._done < wanted:
                if (left := end - time.monotonic()) <= 0:
                    return False
                self._changed.wait(left)
        return True

    def close(self, timeout_s: float = 10.0) -> bool:
        """Write what is there and stop; False when that takes too long. The store stays open."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        more = True
        while True:
            with self._changed:
                if not self._items and not self._closing and not more:
                    self._changed.wait(_IDLE_S)
                items = self._take()
                if not items and self._closing:
                    return
            if not items:
                more = self._tidy()
                continue
            self._write(items)
            with self._changed:
                # A moment for others to come: a transaction costs as much as some hundred spans.
                self._changed.wait_for(lambda: self._closing or self._spans >= _BATCH_SPANS, _PAUSE_S)

    def _tidy(self) -> bool:
        try:
            return self._store.tidy()
        except StoreError as error:
            self.problem = str(error)
            return False

    def _take(self) -> list[_Item]:
        items, spans = list[_Item](), 0
        while self._items and (not items or spans + self._items[0].spans <= _BATCH_SPANS):
            items.append(self._items.popleft())
            spans += items[-1].spans
        return items

    def _write(self, items: Sequence[_Item]) -> None:
        try:
            self._store.write(
                [batch for item in items for batch in item.batches], [batch for item in items for batch in item.logs]
            )
        except StoreError as error:
            self._lose(items, str(error))
        except Exception as error:
            # One message that cannot be written must not take the others with it.
            if len(items) > 1:
                for item in items:
                    self._write([item])
                return
            self._lose(items, repr(error))
        with self._changed:
            self._spans -= sum(item.spans for item in items)
            self._bytes -= sum(item.bytes for item in items)
            self._done += len(items)
            self._changed.notify_all()

    def _lose(self, items: Sequence[_Item], problem: str) -> None:
        with self._changed:
            self.lost += sum(item.spans for item in items)
            self.problem = problem
