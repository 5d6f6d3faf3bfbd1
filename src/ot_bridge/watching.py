"""What leaves the process, counted where it leaves: exporters, queues, and the spans of others on the same provider.

Processors and exporters are the provider's, so they are looked at under a check each; what is not as expected is left
alone, and not counted.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult

from ot_bridge import telemetry
from ot_bridge.batching import CountingBatchProcessor
from ot_bridge.meter import Meter
from ot_bridge.shutdown import processors_of

__all__ = ["Watch", "queue_of"]

_LOST: Final = ("queue_full", "already_shutdown")


def queue_of(processor: SpanProcessor) -> deque[ReadableSpan] | None:
    """Return the queue of the SDK's batch processor, None where there is no such thing."""
    behind = getattr(processor, "next_processor", processor)  # a tail sampler may stand in front
    queue = getattr(getattr(behind, "_batch_processor", None), "_queue", None)
    return queue if isinstance(queue, deque) else None


class Watch:
    """Watches one provider for as long as it lives: also processors and tracers that it is given later.

    Args:
        provider: an SDK provider.
        meter: is told.
        own: the bridge's own tracer, which is not counted as native.
    """

    def __init__(self, provider: Any, meter: Meter, own: object) -> None:
        self._provider, self._meter, self._own = provider, meter, own
        self._native = telemetry.steps_of(("spans.native.started",))
        self._native_ended = telemetry.steps_of(("spans.native.finished",))
        telemetry.watch("spans.queued", self.queued)
        telemetry.watch("spans.queue_capacity", self.capacity)
        self.look()
        self._watch_additions()
        self._watch_tracers()

    def look(self) -> None:
        """Watch what is new."""
        try:
            for processor in self.processors():
                self._watch_processor(processor)
        except Exception:
            telemetry.warn_once("meter.failed.processor", "a span processor cannot be measured", exc_info=True)

    def processors(self) -> Iterator[SpanProcessor]:
        """Yield the provider's processors, those behind a tail sampler too."""
        waiting = list(processors_of(self._provider) or ())
        while waiting:
            processor = waiting.pop(0)
            yield processor
            behind = getattr(processor, "next_processor", None)
            inside = getattr(behind, "_span_processors", (behind,) if behind is not None else ())
            waiting.extend(inside)

    def queued(self) -> int:
        """Return how many spans are waiting; look for new processors while at it."""
        self.look()
        return sum(len(queue) for queue in self._queues())

    def capacity(self) -> int:
        """Return how many could."""
        return sum(queue.maxlen or 0 for queue in self._queues())

    def _queues(self) -> list[deque[ReadableSpan]]:
        found = (queue_of(one) for one in self.processors() if not hasattr(one, "next_processor"))
        return [queue for queue in found if queue is not None]

    def _watch_processor(self, processor: SpanProcessor) -> None:
        if isinstance(processor, BatchSpanProcessor):
            inside = getattr(processor, "_batch_processor", None)
            exporter = getattr(inside, "_exporter", None)
            if inside is not None and exporter is not None and not isinstance(exporter, WatchedExporter):
                inside._exporter = WatchedExporter(exporter, self._meter)
            # Since SDK 1.40. The bridge's own processor counts its losses itself.
            if hasattr(getattr(inside, "_metrics", None), "drop_items") and not isinstance(
                processor, CountingBatchProcessor
            ):
                _watch_losses(inside)
        elif isinstance(processor, SimpleSpanProcessor):
            exporter = getattr(processor, "span_exporter", None)
            if exporter is not None and not isinstance(exporter, WatchedExporter):
                # Its export is a part of the end of the span, and timed there.
                processor.span_exporter = WatchedExporter(exporter, None)

    def _watch_additions(self) -> None:
        add, look = getattr(self._provider, "add_span_processor", None), self.look

        def watched(span_processor: SpanProcessor) -> None:
            add(span_processor)  # type: ignore[misc]  # it is callable
            look()

        if callable(add):
            try:
                self._provider.add_span_processor = watched
            except Exception:  # a provider that takes no attributes
                telemetry.count("meter.failed.processor")

    def _watch_tracers(self) -> None:
        get_tracer, known = getattr(self._provider, "get_tracer", None), getattr(self._provider, "_tracers", None)
        if not callable(get_tracer) or not hasattr(self._own, "_tracer_metrics"):
            return

        def counted(*args: Any, **kwargs: Any) -> Any:
            tracer = get_tracer(*args, **kwargs)
            self._watch_tracer(tracer)
            return tracer

        try:
            for tracer in list(known.values()) if isinstance(known, dict) else ():
                self._watch_tracer(tracer)
            self._provider.get_tracer = counted
        except Exception:  # a provider that takes no attributes
            telemetry.count("meter.failed.tracer")

    def _watch_tracer(self, tracer: Any) -> None:
        metrics = getattr(tracer, "_tracer_metrics", None)
        if tracer is not self._own and metrics is not None and not isinstance(metrics, _NativeMetrics):
            tracer._tracer_metrics = _NativeMetrics(metrics, self._native, self._native_ended)


def _watch_losses(inside: Any) -> None:
    if isinstance(inside._metrics, _Losses):
        return
    inside._metrics = _Losses(inside._metrics)


class _Losses:
    """The SDK's metrics of a batch processor, which hear of each span that is lost; what they hear is counted too."""

    def __init__(self, metrics: Any) -> None:
        self._metrics = metrics

    def drop_items(self, number: int, *error_type: str) -> None:  # some versions say why
        reason = error_type[0] if error_type and error_type[0] in _LOST else "queue_full"
        telemetry.count(f"spans.dropped.{reason}", number)
        self._metrics.drop_items(number, *error_type)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._metrics, name)


class WatchedExporter(SpanExporter):
    """An exporter, and what it takes: spans, failures, CPU.

    Args:
        exporter: does the work; what else it has is seen through.
        meter: is told of the CPU; None where somebody else times it.
    """

    def __init__(self, exporter: Any, meter: Meter | None) -> None:
        self._watched = exporter
        self._meter = meter
        # The SDK looks at the arguments that they take.
        self.shutdown = exporter.shutdown  # type: ignore[method-assign]
        self.force_flush = getattr(exporter, "force_flush", super().force_flush)  # type: ignore[method-assign]

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        meter = self._meter
        began, began_cpu = time.perf_counter_ns(), 0 if meter is None else meter.thread_ns()
        result: Any = None
        try:
            result = self._watched.export(spans)
            return result  # type: ignore[no-any-return]
        finally:
            if meter is not None:
                meter.add_export(meter.thread_ns() - began_cpu, time.perf_counter_ns() - began)
            taken = result is SpanExportResult.SUCCESS
            telemetry.count("spans.exported" if taken else "spans.dropped.export_failed", len(spans))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._watched, name)


class _NativeMetrics:
    """The SDK's metrics of a tracer, which hear of each span; what they hear is counted too."""

    def __init__(self, metrics: Any, started: Any, ended: Any) -> None:
        self._metrics, self._started, self._ended = metrics, started, ended

    def start_span(self, above: Any, decision: Any) -> Callable[[], None]:
        next(self._started)
        end, ended = self._metrics.start_span(above, decision), self._ended

        def both() -> None:
            end()
            next(ended)

        return both

    def __getattr__(self, name: str) -> Any:
        return getattr(self._metrics, name)
