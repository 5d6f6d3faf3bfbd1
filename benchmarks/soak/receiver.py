"""The collector: a real OTLP receiver in a process of its own, which behaves as the lines on its standard input say.

The ids of a batch are written to the file ``received`` before it is answered, and to ``answered`` after that, so they
outlive the process. Told to be ``gone``, it dies with the next request in hand: received, and never answered.
"""

from __future__ import annotations

import argparse
import gzip
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

_PATIENCE_S: Final = 0.5
_ON_ITS_WAY_S: Final = 0.1  # gRPC sends the last answer after the handler's end
_ANSWERS: Final = {
    "unavailable": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "rejecting": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
}
_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"


class Behaviour:
    """What happens to each request.

    Args:
        folder: where ids are written.
        slow_s: how long a slow answer takes.
    """

    def __init__(self, folder: Path, slow_s: float) -> None:
        self.name, self.slow_s = "up", slow_s
        self._received, self._answered = ((folder / name).open("ab", 0) for name in ("received", "answered"))
        self._in_hand = threading.Lock()

    def follow(self) -> None:
        """Obey the lines of standard input until it ends."""
        for line in sys.stdin:
            self.name = line.strip()
            if self.name == "gone":
                time.sleep(_PATIENCE_S)
                break  # nobody has come; whoever is there is answered first
        self._in_hand.acquire()
        time.sleep(_ON_ITS_WAY_S)
        os._exit(0)

    def take(self, body: bytes, refuse: Callable[[str], None], answer: Callable[[str], None]) -> None:
        """Take one request, and answer it in one of the two ways."""
        with self._in_hand:
            name = self.name
            if name in _ANSWERS:
                refuse(name)
                return
            ids = _span_ids(body)
            self._received.write(ids)
            if name == "gone":
                os._exit(0)
            if name == "slow":
                time.sleep(self.slow_s)
            answer(name)
            self._answered.write(ids)


def _span_ids(body: bytes) -> bytes:
    request = ExportTraceServiceRequest.FromString(body)
    return b"".join(
        span.span_id
        for resource_spans in request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    )


def serve_http(port: int, behaviour: Behaviour) -> None:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            behaviour.take(body, self.refuse, self.answer)

        def refuse(self, name: str) -> None:
            self.wfile.write(_ANSWERS[name])

        def answer(self, name: str) -> None:
            if name != "trickling":
                self.wfile.write(_OK)
                return
            for place in range(len(_OK)):
                self.wfile.write(_OK[place : place + 1])
                time.sleep(behaviour.slow_s / len(_OK))

        def log_message(self, *_: object) -> None:
            """Say nothing on stderr."""

    class Server(ThreadingHTTPServer):
        def server_bind(self) -> None:
            # The port is held for all receivers, one after the other, so that nobody else gets it in between.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            super().server_bind()

    Server(("127.0.0.1", port), Handler).serve_forever()


def serve_grpc(port: int, behaviour: Behaviour) -> None:
    import grpc  # noqa: PLC0415  (for who asks for it)
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service  # noqa: PLC0415

    codes = {"unavailable": grpc.StatusCode.UNAVAILABLE, "rejecting": grpc.StatusCode.INVALID_ARGUMENT}

    class Service(service.TraceServiceServicer):  # type: ignore[misc]
        def Export(self, request: Any, context: Any) -> Any:  # noqa: N802  (the protocol's name)
            refused: list[str] = []

            def answer(name: str) -> None:
                # One message is one piece: there is nothing to trickle.
                time.sleep(behaviour.slow_s if name == "trickling" else 0)

            behaviour.take(request.SerializeToString(), refused.append, answer)
            if refused:
                context.abort(codes[refused[0]], refused[0])
            return ExportTraceServiceResponse()

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2), options=[("grpc.so_reuseport", 1)])
    service.add_TraceServiceServicer_to_server(Service(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--slow-s", type=float, required=True)
    parser.add_argument("--protocol", choices=["http/protobuf", "grpc"], required=True)
    options = parser.parse_args()
    behaviour = Behaviour(options.folder, options.slow_s)
    threading.Thread(target=behaviour.follow, daemon=True).start()
    serve = serve_grpc if options.protocol == "grpc" else serve_http
    serve(options.port, behaviour)


if __name__ == "__main__":
    main()
