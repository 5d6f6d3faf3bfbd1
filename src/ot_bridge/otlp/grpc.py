"""OTLP over gRPC: the official exporter, whose step from spans to bytes is ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from ot_bridge import telemetry
from ot_bridge.otlp.official import encode_batch

__all__ = ["GrpcSpanExporter"]


class _Batch(list[ReadableSpan]):
    """The spans of one export. They are encoded once, however often they are sent."""

    encoded: bytes | None = None


class _BytesChannel:
    """A channel whose requests may be bytes already.

    Args:
        channel: the real one.
    """

    used = False

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def unary_unary(self, method: str, request_serializer: Callable[[Any], bytes], **kwargs: Any) -> Any:
        """Return what calls the method."""

        def serialize(request: Any) -> bytes:
            return request if type(request) is bytes else request_serializer(request)

        self.used = True
        return self._channel.unary_unary(method, request_serializer=serialize, **kwargs)


class GrpcSpanExporter(OTLPSpanExporter):
    """The official OTLP/gRPC exporter with the bridge's encoder; takes the same arguments and variables."""

    _official_stub: Any = TraceServiceStub
    _takes_bytes = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self._takes_bytes:
            telemetry.warn_once(
                "otlp.fallback.shape", "the official OTLP/gRPC exporter is not as expected: it encodes the spans"
            )

    # The official class makes its stub from this name, a second time when it connects anew.
    @property
    def _stub(self) -> Callable[[Any], Any]:
        return self._make_stub

    @_stub.setter
    def _stub(self, stub: Callable[[Any], Any]) -> None:
        self._official_stub = stub

    def _make_stub(self, channel: Any) -> Any:
        over_bytes = _BytesChannel(channel)
        stub = self._official_stub(over_bytes)
        self._takes_bytes = over_bytes.used
        return stub

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return super().export(_Batch(spans) if self._takes_bytes else spans)

    def _translate_data(self, data: Sequence[ReadableSpan]) -> Any:
        if not isinstance(data, _Batch):
            return super()._translate_data(data)
        if data.encoded is None:
            data.encoded = encode_batch(data)
        return data.encoded
