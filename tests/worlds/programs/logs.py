"""A request that writes logs, with the ids of its trace, by the standard library and by structlog, as JSON lines."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import opentracing
import structlog
from opentelemetry import trace
from sides import OLD, begin, entry, inner

begin()


class OpenTracingIds(logging.Filter):
    """What OpenTracing code has where its logs carry ids."""

    def filter(self, record: logging.LogRecord) -> bool:
        span = opentracing.global_tracer().active_span
        record.trace_id = "" if span is None else f"{span.context.trace_id:032x}"
        record.span_id = "" if span is None else f"{span.context.span_id:016x}"
        return True


class Lines(logging.Formatter):
    """Writes the ids of a record that somebody gave it."""

    def format(self, record: logging.LogRecord) -> str:
        pairs = ("otelTraceID", "otelSpanID"), ("trace_id", "span_id")
        ids = [[getattr(record, name) for name in pair] for pair in pairs if hasattr(record, pair[0])]
        return json.dumps({"by": "logging", "message": record.getMessage(), "ids": ids})


def opentracing_ids(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Give a structlog record the ids of OpenTracing's active span."""
    span = opentracing.global_tracer().active_span
    if span is not None:
        event["ids"] = [[f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"]]
    return event


def opentelemetry_ids(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Give a structlog record the ids of OpenTelemetry's current span."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event.setdefault("ids", []).append([f"{context.trace_id:032x}", f"{context.span_id:016x}"])
    return event


def write(message: str) -> None:
    logging.getLogger("shop").warning(message)
    structlog.get_logger().warning(message, by="structlog")


if __name__ == "__main__":
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(Lines())
    if "logging" in OLD:
        handler.addFilter(OpenTracingIds())
    logging.getLogger("shop").addHandler(handler)
    logging.getLogger("shop").propagate = False
    processors = [opentracing_ids] if "logging" in OLD else []
    end = [structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer()]
    structlog.configure([*processors, opentelemetry_ids, *end])
    write("before")
    with entry("front"), inner("count"):
        write("inside")
    write("after")
