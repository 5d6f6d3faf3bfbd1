"""A stand-in for the drop-in."""

from ot_bridge.jaeger_client.config import Config
from ot_bridge.jaeger_client.span import Span
from ot_bridge.jaeger_client.span_context import SpanContext

__all__ = ["Config", "Span", "SpanContext"]
