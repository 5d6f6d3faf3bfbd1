"""Reporters: who is given each finished span. The one of :class:`Config` sends it out over OTLP."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from ot_bridge import bootstrap
from ot_bridge.config import Settings
from ot_bridge.environment import VARIABLE
from ot_bridge.export import build_processors, shutdown_processors
from ot_bridge.jaeger_client.constants import DEFAULT_FLUSH_INTERVAL
from ot_bridge.jaeger_client.ioloop_util import future_of_all, future_result
from ot_bridge.jaeger_client.metrics import LegacyMetricsFactory, Metrics, MetricsFactory
from ot_bridge.jaeger_client.span import Span, otel_face
from ot_bridge.jaeger_client.utils import ErrorReporter
from ot_bridge.jaeger_config.addresses import host_of, otlp_endpoint
from ot_bridge.sampling.tail import in_front_of, rules_of
from ot_bridge.telemetry import warn_once
from ot_bridge.watching import capacity_of, queue_of

__all__ = [
    "DEFAULT_FLUSH_INTERVAL",
    "BaseReporter",
    "CompositeReporter",
    "ErrorReporter",
    "InMemoryReporter",
    "LegacyMetricsFactory",
    "LoggingReporter",
    "Metrics",
    "MetricsFactory",
    "NullReporter",
    "Reporter",
    "ReporterMetrics",
    "Span",
]

default_logger: Final = logging.getLogger("jaeger_tracing")

_THRIFT_METHODS: Final = ("_send", "_submit", "_consume_queue", "getProtocol")


class BaseReporter:
    """Is given every finished span that is sampled; derive from it for a reporter of one's own."""

    processors: tuple[SpanProcessor, ...] = ()
    """What exports spans here, native ones too; empty for a reporter that does something else with them."""
    sees_start: bool = False
    """Whether :attr:`processors` want to be told of a span when it starts."""

    def report_span(self, span: Span) -> None:
        """Take a finished span."""
        raise NotImplementedError

    def set_process(self, service_name: str, tags: Any, max_length: int) -> None:
        """Take note of whose spans these are."""

    def close(self) -> Any:
        """Stop; return a future that is done when all was sent."""
        return future_result(True)


class NullReporter(BaseReporter):
    """Ignores every span."""

    def report_span(self, span: Span) -> None:
        pass


class InMemoryReporter(BaseReporter):
    """Keeps every span, for tests."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.lock = threading.Lock()

    def report_span(self, span: Span) -> None:
        with self.lock:
            self.spans.append(span)

    def get_spans(self) -> list[Span]:
        """Return the spans in the order in which they finished."""
        with self.lock:
            return list(self.spans)


class LoggingReporter(BaseReporter):
    """Logs every span at INFO.

    Args:
        logger: where to; None for ``jaeger_tracing``.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self.logger = logger or default_logger

    def report_span(self, span: Span) -> None:
        self.logger.info("Reporting span %s", span)


class Reporter(BaseReporter):
    """Sends spans out over OTLP, in batches, from a thread of its own.

    Args:
        channel: where the agent was; its host counts when no OTLP endpoint is set.
        queue_capacity: spans that may wait; None for ``OTEL_BSP_MAX_QUEUE_SIZE``.
        batch_size: spans sent at once; None for ``OTEL_BSP_MAX_EXPORT_BATCH_SIZE``.
        flush_interval: seconds between batches; None for ``OTEL_BSP_SCHEDULE_DELAY``.
        io_loop: not used.
        error_reporter: kept, and not used: exporters log their errors themselves.
        metrics: deprecated, see ``metrics_factory``.
        metrics_factory: is given how many spans were sent, lost and dropped.
        **kwargs: ``logger`` is kept, and not used.

    Raises:
        ValueError: the queue is smaller than a batch.
        ConfigError: an ``OTEL_*`` variable cannot be used.
    """

    def __init__(
        self,
        channel: Any = None,
        queue_capacity: int | None = None,
        batch_size: int | None = None,
        flush_interval: float | None = None,
        io_loop: Any = None,
        error_reporter: Any = None,
        metrics: Metrics | None = None,
        metrics_factory: MetricsFactory | None = None,
        **kwargs: Any,
    ) -> None:
        if queue_capacity is not None and batch_size is not None and queue_capacity < batch_size:
            raise ValueError(f"queue_capacity={queue_capacity} is less than batch_size={batch_size}")
        self.metrics_factory = metrics_factory or LegacyMetricsFactory(metrics or Metrics())
        self.metrics = ReporterMetrics(self.metrics_factory)
        self.queue_capacity, self.batch_size, self.flush_interval = queue_capacity, batch_size, flush_interval
        self.error_reporter, self.logger = error_reporter, kwargs.get("logger") or default_logger
        settings = Settings.from_env()
        existing = getattr(bootstrap.foreign_provider(), "_active_span_processor", None)
        if existing is None:
            endpoint, origin = _endpoint_beside(channel)
            self.processors = build_processors(
                endpoint,
                endpoint_origin=origin,
                defaults=_batch_values(queue_capacity, batch_size, flush_interval),
                deferred=True,
                watch=lambda exporter: _CountedExporter(exporter, self),
            )
            if settings.tail is not None:
                rules = rules_of(settings.tail, f"{VARIABLE} OT_BRIDGE_TAIL")
                self.processors = in_front_of(self.processors, rules)
                self.sees_start = True
                if rules.promote_local:
                    warn_once(
                        "dropin.promote_local",
                        "promote_local has no effect here: what jaeger_client's sampler "
                        "does not choose is not recorded",
                    )
        else:
            default_logger.info("spans go to the exporters of the TracerProvider that is there")
            self.processors = (_SharedProcessor(existing),)
            self.sees_start = True
        self._close_timeout_s = settings.close_timeout_s

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in _THRIFT_METHODS:
            if name in cls.__dict__:
                warn_once(
                    f"dropin.reporter.{cls.__name__}_{name}",
                    "%s.%s is never called: spans leave over OTLP, not as thrift batches; override report_span, or add "
                    "a SpanProcessor to the tracer's provider",
                    cls.__qualname__,
                    name,
                )

    def report_span(self, span: Span) -> None:
        face = otel_face(span)
        for processor in self.processors:
            queue = queue_of(processor)
            if queue is not None and len(queue) >= capacity_of(processor):
                self.metrics.reporter_dropped(1)
            processor.on_end(face)

    def close(self) -> Any:
        return future_result(shutdown_processors(self.processors, self._close_timeout_s))

    def queue_length(self) -> int:
        """Return how many spans are waiting."""
        return sum(len(queue_of(processor) or ()) for processor in self.processors)


class CompositeReporter(BaseReporter):
    """Hands every span to several reporters."""

    def __init__(self, *reporters: BaseReporter) -> None:
        self.reporters = reporters

    @property
    def processors(self) -> tuple[SpanProcessor, ...]:  # type: ignore[override]
        """Those of all the reporters."""
        return tuple(one for reporter in self.reporters for one in getattr(reporter, "processors", ()))

    @property
    def sees_start(self) -> bool:  # type: ignore[override]
        """Whether one of them does."""
        return any(getattr(reporter, "sees_start", False) for reporter in self.reporters)

    def set_process(self, service_name: str, tags: Any, max_length: int) -> None:
        for reporter in self.reporters:
            reporter.set_process(service_name, tags, max_length)

    def report_span(self, span: Span) -> None:
        for reporter in self.reporters:
            reporter.report_span(span)

    def close(self) -> Any:
        return future_of_all([reporter.close() for reporter in self.reporters])


class ReporterMetrics:
    """What a reporter counts."""

    def __init__(self, metrics_factory: MetricsFactory) -> None:
        def counter(result: str) -> Any:
            return metrics_factory.create_counter(name="jaeger:reporter_spans", tags={"result": result})

        self.reporter_success = counter("ok")
        self.reporter_failure = counter("err")
        self.reporter_dropped = counter("dropped")
        self.reporter_queue_length = metrics_factory.create_gauge(name="jaeger:reporter_queue_length")


class _SharedProcessor(SpanProcessor):
    """The processors of a provider that belongs to somebody else: it is not for the reporter to shut them down."""

    def __init__(self, processor: SpanProcessor) -> None:
        self._processor = processor

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        self._processor.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        self._processor.on_end(span)

    def shutdown(self) -> None:
        self.force_flush()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._processor.force_flush(timeout_millis)


class _CountedExporter(SpanExporter):
    """An exporter whose results are counted."""

    def __init__(self, exporter: SpanExporter, reporter: Reporter) -> None:
        self._exporter, self._reporter = exporter, reporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            sent = result is SpanExportResult.SUCCESS
            metrics = self._reporter.metrics
            (metrics.reporter_success if sent else metrics.reporter_failure)(len(spans))
            metrics.reporter_queue_length(self._reporter.queue_length())
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def _endpoint_beside(channel: Any) -> tuple[str | None, str]:
    """Return OTLP's endpoint on the agent's host, None without a host, and where it comes from."""
    host = host_of(getattr(channel, "host", None))
    if host is None:
        return None, ""
    agent = f"{host}:{getattr(channel, 'reporting_port', '?')}"
    origin = f"jaeger-client's agent {agent} takes no OTLP; this is OTLP's port on its host"
    return otlp_endpoint(host, os.environ), origin


def _batch_values(queue: int | None, batch: int | None, flush_interval_s: float | None) -> dict[str, str]:
    values = {"OTEL_BSP_MAX_QUEUE_SIZE": queue, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": batch}
    if queue is not None and batch is None:
        values["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"] = min(queue, 512)
    if flush_interval_s:
        values["OTEL_BSP_SCHEDULE_DELAY"] = max(1, round(flush_interval_s * 1000))
    return {name: str(value) for name, value in values.items() if value is not None}
