"""What leaves the process, counted where it leaves: exporters, queues, and the spans of others on the same provider.

Processors and exporters are the provider's, so they are looked at under a check each; what is not as expected is left
alone, and not counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from ot_bridge import telemetry
from ot_bridge.batching import CountingBatchProcessor
from ot_bridge.exported import WatchedExporter
from ot_bridge.meter import Meter
from ot_bridge.shutdown import processors_of

__all__ = ["Watch", "capacity_of", "queue_of"]

_LOST: Final = ("queue_full", "already_shutdown")


def queue_of(processor: SpanProcessor) -> deque[ReadableSpan] | None:
    """Return the queue of the SDK's batch processor, None where there is no such thing."""
    queue = getattr(_inside_of(processor), "_queue", None)
    return queue if isinstance(queue, deque) else None


def capacity_of(processor: SpanProcessor) -> int:
    """Return how many spans may wait there, 0 where there is no queue. The queue itself may have room for more."""
    capacity = getattr(_inside_of(processor), "_max_queue_size", None)
    return capacity if isinstance(capacity, int) else 0


def _inside_of(processor: SpanProcessor) -> Any:
    behind = getattr(processor, "next_processor", processor)  # a tail sampler may stand in front
    return getattr(behind, "_batch_processor", None)


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
        return sum(len(queue_of(one) or ()) for one in self._last())

    def capacity(self) -> int:
        """Return how many could."""
        return sum(map(capacity_of, self._last()))

    def _last(self) -> Iterator[SpanProcessor]:
        """Yield those behind which there is no other."""
        return (one for one in self.processors() if not hasattr(one, "next_processor"))

    def _watch_processor(self, processor: SpanProcessor) -> None:
        if isinstance(processor, BatchSpanProcessor):
            inside = getattr(processor, "_batch_processor", None)
            exporter = getattr(inside, "_exporter", None)
            if inside is not None and exporter is not None:
                watched = exporter if isinstance(exporter, WatchedExporter) else WatchedExporter(exporter)
                watched.meter = self._meter
                inside._exporter = watched
            # Since SDK 1.40. The bridge's own processor counts its losses itself.
            if hasattr(getattr(inside, "_metrics", None), "drop_items") and not isinstance(
                processor, CountingBatchProcessor
            ):
                _watch_losses(inside)
        elif isinstance(processor, SimpleSpanProcessor):
            exporter = getattr(processor, "span_exporter", None)
            if exporter is not None and not isinstance(exporter, WatchedExporter):
                # Its export is a part of the end of the span, and timed there.
                processor.span_exporter = WatchedExporter(exporter)

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
