"""A span as it is exported after all: with the stamps of the decision, and sampled where the head sampler had said no.

The span itself stays as it is: other processors have it too, and an ended span of the SDK takes no attribute.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, TraceFlags, TraceState

__all__ = ["PARTIAL", "POLICY", "ExportedSpan"]

POLICY: Final = "ot_bridge.tail.policy"
PARTIAL: Final = "ot_bridge.tail.partial"


class ExportedSpan(ReadableSpan):
    """All that exporters read of a span, with more attributes and another context.

    Args:
        span: the ended span.
        more: attributes on top of its own.
        trace_state: the state to export, None for its own.
    """

    def __init__(self, span: ReadableSpan, more: Mapping[str, Any], trace_state: TraceState | None = None) -> None:
        context: Any = span.get_span_context()
        # Processors that export skip spans whose context is not sampled.
        flags = TraceFlags(context.trace_flags | TraceFlags.SAMPLED)
        state = context.trace_state if trace_state is None else trace_state
        super().__init__(
            name=span.name,
            context=SpanContext(context.trace_id, context.span_id, context.is_remote, flags, state),
            parent=span.parent,
            resource=span.resource,
            attributes=MappingProxyType({**(span.attributes or {}), **more}),
            events=span.events,
            links=span.links,
            kind=span.kind,
            status=span.status,
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )
        self._counts = (span.dropped_attributes, span.dropped_events, span.dropped_links)

    @property
    def dropped_attributes(self) -> int:
        return self._counts[0]

    @property
    def dropped_events(self) -> int:
        return self._counts[1]

    @property
    def dropped_links(self) -> int:
        return self._counts[2]
