"""OTLP over gRPC: `Export` of the services of traces, logs and metrics.

Source: opentelemetry-specification's `protocol/otlp.md` ("OTLP/gRPC"). A body that cannot be read is INVALID_ARGUMENT,
a moment without room is UNAVAILABLE with RetryInfo. grpcio bounds a message before and after it is inflated.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

from ot_bridge.traces.formats import otlp_proto
from ot_bridge.traces.formats.otlp_checks import OtlpError
from ot_bridge.traces.receive.body import Limits
from ot_bridge.traces.receive.guard import Access
from ot_bridge.traces.receive.http import NO_METRICS, SIGNALS, Answer, take
from ot_bridge.traces.receive.inbox import Counts, Inbox
from ot_bridge.traces.receive.taking import RETRY_AFTER_S

__all__ = ["PROTOCOL", "GrpcServer"]

PROTOCOL: Final = "otlp/grpc"
_SERVICES: Final = {
    "traces": "opentelemetry.proto.collector.trace.v1.TraceService",
    "logs": "opentelemetry.proto.collector.logs.v1.LogsService",
    "metrics": "opentelemetry.proto.collector.metrics.v1.MetricsService",
}
_DECODERS: Final = {"traces": otlp_proto.decode_traces, "logs": otlp_proto.decode_logs}
_WORKERS: Final = 4
_STREAMS: Final = 32
"""Requests that one connection may have open: each may hold a whole message."""


class GrpcServer:
    """Serves OTLP over gRPC from `start` to `close`; its ports are bound when it is made.

    Args:
        addresses: such as `127.0.0.1` or `::1`; the ones after the first are bound where it can be done.
        port: 0 for a free one.
        inbox: takes what arrives.
        counts: where it is counted.
        access: the token.
        limits: of a message.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self, addresses: list[str], port: int, inbox: Inbox, counts: Counts, access: Access, limits: Limits
    ) -> None:
        self._inbox, self._counts, self._access = inbox, counts, access
        self._server = grpc.server(
            ThreadPoolExecutor(_WORKERS, "ot_bridge-grpc"),
            options=[
                ("grpc.max_receive_message_length", limits.body_bytes),
                ("grpc.max_concurrent_streams", _STREAMS),
                # Two processes on one port would each get a half of the spans.
                ("grpc.so_reuseport", 0),
            ],
        )
        for signal, service in _SERVICES.items():
            # Bytes go to the handler as they are: what grpcio cannot decode itself it answers with INTERNAL.
            handler = grpc.unary_unary_rpc_method_handler(self._handler(signal))
            self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"Export": handler})])
        self.port = port
        for address in addresses:
            self._bind(address, must=address == addresses[0])

    def _bind(self, address: str, *, must: bool) -> None:
        at = f"[{address}]" if ":" in address else address
        try:
            bound = self._server.add_insecure_port(f"{at}:{self.port}")
        except RuntimeError as error:
            bound, text = 0, str(error)
        else:
            text = "grpcio could not bind it"
        if not bound and must:
            raise OSError(text)
        self.port = bound or self.port

    def start(self) -> None:
        """Begin to serve."""
        self._server.start()

    def close(self) -> None:
        """End; what is being decoded is finished."""
        self._server.stop(1).wait()

    def _handler(self, signal: str) -> Callable[[bytes, Any], bytes]:
        kind, decode = SIGNALS[signal], _DECODERS.get(signal)

        def export(body: bytes, context: Any) -> bytes:
            shown = dict(context.invocation_metadata()).get("authorization", "")
            if not self._access.accepts(str(shown)):
                text = "a token is needed: send the metadata 'authorization: Bearer' with the server's token"
                self._counts.add(PROTOCOL, "requests without the token", example=text)
                context.abort(grpc.StatusCode.UNAUTHENTICATED, text)
            if decode is None:
                self._counts.add(PROTOCOL, "requests with metrics, which are not kept")
                answer = Answer(200, NO_METRICS)
            else:
                try:
                    answer = take(decode(body), kind, self._inbox, self._counts, PROTOCOL)
                except OtlpError as error:
                    self._counts.add(PROTOCOL, "bad bodies", example=str(error))
                    answer = Answer(400, str(error))
            if answer.status == 503:
                context.set_trailing_metadata((("grpc-status-details-bin", _retry_info(answer.text)),))
                context.abort(grpc.StatusCode.UNAVAILABLE, answer.text)
            if answer.status != 200:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, answer.text)
            sent: bytes = answer.message(kind).SerializeToString()
            return sent

        return export


def _retry_info(text: str) -> bytes:
    """Return the details of the status that ask the client to come again; without them some clients give up."""
    status, retry = Status(code=grpc.StatusCode.UNAVAILABLE.value[0], message=text), RetryInfo()
    retry.retry_delay.seconds = RETRY_AFTER_S
    status.details.add().Pack(retry)
    found: bytes = status.SerializeToString()
    return found
