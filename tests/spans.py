"""Whole exported spans as plain dicts, so that a test can compare all of one."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["as_dict"]


def as_dict(span: ReadableSpan) -> dict[str, Any]:
    """Return everything that an exporter reads of the span, in plain values: ids in hex, arrays as tuples."""
    context, parent, scope = span.context, span.parent, span.instrumentation_scope
    assert context is not None
    assert scope is not None
    return {
        "name": span.name,
        "kind": span.kind.name,
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "trace_flags": int(context.trace_flags),
        "trace_state": dict(context.trace_state),
        "parent_id": None if parent is None else f"{parent.span_id:016x}",
        "parent_is_remote": None if parent is None else parent.is_remote,
        "start_time": span.start_time,
        "end_time": span.end_time,
        "status": {"code": span.status.status_code.name, "description": span.status.description or ""},
        "attributes": dict(span.attributes or {}),
        "events": [
            {"name": event.name, "timestamp": event.timestamp, "attributes": dict(event.attributes or {})}
            for event in span.events
        ],
        "links": [
            {
                "trace_id": f"{link.context.trace_id:032x}",
                "span_id": f"{link.context.span_id:016x}",
                "attributes": dict(link.attributes or {}),
            }
            for link in span.links
        ],
        "dropped": {
            "attributes": span.dropped_attributes,
            "events": span.dropped_events,
            "links": span.dropped_links,
        },
        "scope": {"name": scope.name, "version": scope.version},
        "resource": dict(span.resource.attributes),
    }
