"""OTLP collectors on loopback: good ones over both protocols, and the three bad ones that a process must outlive."""

from __future__ import annotations

import contextlib
import gzip
import socket
import ssl
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

__all__ = ["BAD_COLLECTORS", "Arrival", "Reply", "grpc_collector", "http_collector"]

_DECODERS = {"gzip": gzip.decompress, "deflate": zlib.decompress}


class Arrival(NamedTuple):
    """One export request, as it arrived."""

    path: str
    headers: Mapping[str, str]
    request: Any
    port: int = 0
    """Of the sender: each connection has its own."""
    closed: threading.Event = threading.Event()
    """Whether that connection is closed."""

    @property
    def span_names(self) -> list[str]:
        """The names of all its spans."""
        return [
            span.name
            for resource_spans in self.request.resource_spans
            for scope_spans in resource_spans.scope_spans
            for span in scope_spans.spans
        ]


class Reply(NamedTuple):
    """How a collector answers one request."""

    status: Any = 200
    """Of HTTP, or of gRPC; None for no answer before the collector is closed."""
    headers: Mapping[str, str] = {}
    response: ExportTraceServiceResponse = ExportTraceServiceResponse()


@contextlib.contextmanager
def http_collector(
    replies: Iterable[Reply] = (), tls: ssl.SSLContext | None = None, idle_s: float | None = None, delay_s: float = 0
) -> Iterator[tuple[str, list[Arrival]]]:
    """Run an OTLP/HTTP collector; give its base URL and what arrives. After the replies all is well.

    With ``idle_s`` connections are kept alive, and closed when they were idle for so many seconds. With ``delay_s`` an
    answer comes so many seconds late.
    """
    arrivals: list[Arrival] = []
    left, closed = iter(replies), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0" if idle_s is None else "HTTP/1.1"
        timeout = idle_s

        def setup(self) -> None:
            super().setup()
            self.ended = threading.Event()

        def finish(self) -> None:
            super().finish()
            self.connection.close()
            self.ended.set()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            body = _DECODERS.get(self.headers.get("content-encoding", ""), bytes)(body)
            headers = {key.lower(): value for key, value in self.headers.items()}
            request = ExportTraceServiceRequest.FromString(body)
            arrivals.append(Arrival(self.path, headers, request, self.client_address[1], self.ended))
            closed.wait(delay_s)
            reply = next(left, Reply())
            if reply.status is None:
                closed.wait()
                return
            answer = reply.response.SerializeToString()
            self.send_response(reply.status)
            for name, value in {"content-length": f"{len(answer)}", **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}", arrivals
    finally:
        closed.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def grpc_collector(
    replies: Iterable[Reply] = (), tls: grpc.ServerCredentials | None = None
) -> Iterator[tuple[str, list[Arrival]]]:
    """Run an OTLP/gRPC collector; give its URL and what arrives. After the replies all is well."""
    arrivals: list[Arrival] = []
    left, closed = iter(replies), threading.Event()

    class Service(TraceServiceServicer):
        def Export(self, request: Any, context: Any) -> Any:
            metadata = dict(context.invocation_metadata())
            arrivals.append(Arrival("grpc", metadata, request))
            reply = next(left, Reply())
            if reply.status is None:
                closed.wait()
            elif isinstance(reply.status, grpc.StatusCode):
                context.abort(reply.status, "as told")
            return reply.response

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    add_TraceServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0") if tls is None else server.add_secure_port("127.0.0.1:0", tls)
    server.start()
    try:
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{port}", arrivals
    finally:
        closed.set()
        server.stop(grace=None).wait()


@contextlib.contextmanager
def _refusing() -> Iterator[int]:
    # Bound and not listening: nobody else can get the port meanwhile.
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextlib.contextmanager
def _silent() -> Iterator[int]:
    # The kernel accepts the connections; nobody reads them.
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        yield listening.getsockname()[1]


@contextlib.contextmanager
def _unreachable() -> Iterator[int]:
    # With its backlog full a listening socket leaves new connections without an answer, as a firewall would.
    with contextlib.ExitStack() as sockets:
        listening = sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


BAD_COLLECTORS = {"refuses": _refusing, "never-answers": _silent, "unreachable": _unreachable}
