"""What exporters take, counted where it leaves the process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from ot_bridge import telemetry

if TYPE_CHECKING:
    from ot_bridge.meter import Meter

__all__ = ["WatchedExporter"]


class WatchedExporter(SpanExporter):
    """An exporter, and what it takes: spans, failures, CPU.

    Args:
        exporter: does the work; what else it has is seen through.
    """

    meter: Meter | None = None
    """Is told of the CPU; None where nobody asks, or somebody else times it."""

    def __init__(self, exporter: Any) -> None:
        self.watched = exporter
        # The SDK looks at the arguments that they take.
        self.shutdown = exporter.shutdown  # type: ignore[method-assign]
        self.force_flush = getattr(exporter, "force_flush", super().force_flush)  # type: ignore[method-assign]

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        meter = self.meter
        began, began_cpu = time.perf_counter_ns(), 0 if meter is None else meter.thread_ns()
        result: Any = None
        try:
            result = self.watched.export(spans)
            return result  # type: ignore[no-any-return]
        finally:
            if meter is not None:
                meter.add_export(meter.thread_ns() - began_cpu, time.perf_counter_ns() - began)
            taken = result is SpanExportResult.SUCCESS
            telemetry.count("spans.exported" if taken else "spans.dropped.export_failed", len(spans))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.watched, name)
