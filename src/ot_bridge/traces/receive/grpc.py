"""OTLP over gRPC: `Export` of the services of traces, logs and metrics.

Source: opentelemetry-specification's `protocol/otlp.md` ("OTLP/gRPC"). A body that cannot be read is INVALID_ARGUMENT,
a moment without room is UNAVAILABLE with RetryInfo. grpcio bounds a message before and after it is inflated.

grpcio's server of threads keeps a thread for each message that has begun, so that a few that never end would stop it.
This is its server of an event loop, where a message is waited for without one, and not for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import grpc
import grpc.aio
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
_WAITING: Final = 64
"""Messages that may be on their way at one time: of more, the one that has waited longest for its client is cut."""

_Result = TypeVar("_Result")


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
        self._inbox, self._counts, self._access, self._limits = inbox, counts, access, limits
        self._waiting: dict[asyncio.Task[bytes], None] = {}
        self._workers = ThreadPoolExecutor(_WORKERS, "ot_bridge-grpc")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ot_bridge-grpc", daemon=True)
        self._thread.start()
        self.port = port
        try:
            self._server = self._do(self._made(addresses))
        except BaseException:
            self._end_loop()
            raise

    async def _made(self, addresses: list[str]) -> grpc.aio.Server:
        limits = self._limits
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", limits.body_bytes),
                ("grpc.max_concurrent_streams", _STREAMS),
                ("grpc.max_allowed_incoming_connections", limits.connections),
                ("grpc.server_handshake_timeout_ms", int(limits.deadline_s * 1000)),
                ("grpc.max_connection_idle_ms", int(limits.idle_s * 1000)),
                # Two processes on one port would each get a half of the spans.
                ("grpc.so_reuseport", 0),
            ],
        )
        for signal, service in _SERVICES.items():
            # Bytes go to the handler as they are: what grpcio cannot decode itself it answers with INTERNAL. A stream,
            # for it is the handler then that waits for the message.
            handler = grpc.stream_unary_rpc_method_handler(self._handler(signal))
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
        for address in addresses:
            self._bind(server, address, must=address == addresses[0])
        return server

    def _bind(self, server: grpc.aio.Server, address: str, *, must: bool) -> None:
        at = f"[{address}]" if ":" in address else address
        try:
            bound = server.add_insecure_port(f"{at}:{self.port}")
        except RuntimeError as error:
            bound, text = 0, str(error)
        else:
            text = "grpcio could not bind it"
        if not bound and must:
            raise OSError(text)
        self.port = bound or self.port

    def start(self) -> None:
        """Begin to serve."""
        self._do(self._server.start())

    def close(self) -> None:
        """End; what is being decoded is finished."""
        self._do(self._server.stop(1))
        self._end_loop()

    def _do(self, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def _end_loop(self) -> None:
        self._do(_all_others_ended())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._workers.shutdown()

    async def _message(self, messages: AsyncIterator[bytes], context: Any) -> bytes:
        """Wait for a message, not for ever, and of many the newest."""
        waiting = asyncio.ensure_future(anext(messages, b""))
        self._waiting[waiting] = None
        if len(self._waiting) > _WAITING:
            next(iter(self._waiting)).cancel()
        try:
            done, _ = await asyncio.wait([waiting], timeout=self._limits.deadline_s)
            if done and not waiting.cancelled():
                return waiting.result()
            text = f"the message did not arrive within {self._limits.deadline_s:g} s"
            if done:
                text = f"the message did not arrive before {_WAITING} others that began later"
            self._counts.add(PROTOCOL, "bodies not read", example=text)
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, text)
            raise AssertionError  # never: abort raises
        finally:
            del self._waiting[waiting]
            waiting.cancel()

    def _handler(self, signal: str) -> Callable[[AsyncIterator[bytes], Any], Awaitable[bytes]]:
        kind, decode = SIGNALS[signal], _DECODERS.get(signal)

        def taken(body: bytes) -> Answer:
            if decode is None:
                self._counts.add(PROTOCOL, "requests with metrics, which are not kept")
                return Answer(200, NO_METRICS)
            try:
                return take(decode(body), kind, self._inbox, self._counts, PROTOCOL)
            except OtlpError as error:
                self._counts.add(PROTOCOL, "bad bodies", example=str(error))
                return Answer(400, str(error))

        async def export(messages: AsyncIterator[bytes], context: Any) -> bytes:
            shown = dict(context.invocation_metadata() or ()).get("authorization", "")
            if not self._access.accepts(str(shown)):
                text = "a token is needed: send the metadata 'authorization: Bearer' with the server's token"
                self._counts.add(PROTOCOL, "requests without the token", example=text)
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, text)
            body = await self._message(messages, context)
            answer = await asyncio.get_running_loop().run_in_executor(self._workers, taken, body)
            if answer.status == 503:
                details = (("grpc-status-details-bin", _retry_info(answer.text)),)
                await context.abort(grpc.StatusCode.UNAVAILABLE, answer.text, details)
            if answer.status != 200:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, answer.text)
            sent: bytes = answer.message(kind).SerializeToString()
            return sent

        return export


async def _all_others_ended() -> None:
    """Wait until every other task of the loop has ended."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for one in others:
        one.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*others, return_exceptions=True)


def _retry_info(text: str) -> bytes:
    """Return the details of the status that ask the client to come again; without them some clients give up."""
    status, retry = Status(code=grpc.StatusCode.UNAVAILABLE.value[0], message=text), RetryInfo()
    retry.retry_delay.seconds = RETRY_AFTER_S
    status.details.add().Pack(retry)
    found: bytes = status.SerializeToString()
    return found
