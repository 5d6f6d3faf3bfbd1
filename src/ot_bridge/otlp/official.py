"""The official encoder, for what ours has no row for, span by span: one odd value costs nothing to the others.

Where that one fails as well the span is left out, and counted: it would have taken its whole batch with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext

from ot_bridge import telemetry
from ot_bridge.otlp.encoder import encode

__all__ = ["encode_batch"]


def encode_batch(spans: Sequence[ReadableSpan]) -> bytes:
    """Return the bytes of an ``ExportTraceServiceRequest`` with every span that can be encoded.

    Raises:
        Exception: none can; what the official encoder raised.
    """
    rest = _Official()
    try:
        encoded = encode(spans, rest)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        telemetry.warn_once("otlp.fallback.batch", "a batch is encoded the official way: %s", reason)
        encoded = encode_spans(spans).SerializePartialToString()
    if rest.failure is not None and not encoded:
        raise rest.failure
    return encoded


class _Official:
    """Encodes single parts; see :class:`ot_bridge.otlp.encoder.Rest`."""

    def __init__(self) -> None:
        self.failure: Exception | None = None

    def span(self, span: ReadableSpan, reason: Exception) -> bytes | None:
        return self._encoded(span, lambda resource: resource.scope_spans[0].spans[0], 1)

    def resource(self, resource: Resource, reason: Exception, spans: int) -> bytes | None:
        return self._encoded(_carrier(resource, None), lambda resource: _without(resource, "scope_spans"), spans)

    def scope(self, scope: InstrumentationScope | None, reason: Exception, spans: int) -> bytes | None:
        return self._encoded(
            _carrier(Resource({}), scope), lambda resource: _without(resource.scope_spans[0], "spans"), spans
        )

    def _encoded(self, span: ReadableSpan, part_of: Callable[[Any], Any], spans: int) -> bytes | None:
        try:
            encoded: bytes = part_of(encode_spans((span,)).resource_spans[0]).SerializePartialToString()
        except Exception as error:
            self.failure = error
            reason = f"{type(error).__name__}: {error}"
            telemetry.warn_once("otlp.dropped.unencodable", "a span is lost, as nobody can encode it: %s", reason)
            telemetry.count("otlp.dropped.unencodable", spans - 1)
            return None
        telemetry.count("otlp.fallback.value", spans)
        return encoded


def _carrier(resource: Resource, scope: InstrumentationScope | None) -> ReadableSpan:
    return ReadableSpan("", SpanContext(1, 1, is_remote=False), resource=resource, instrumentation_scope=scope)


def _without(message: Any, name: str) -> Any:
    message.ClearField(name)
    return message
