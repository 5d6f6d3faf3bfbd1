"""Takes spans on loopback, and counts them when it is asked: OTLP over HTTP and gRPC, and what Jaeger's agent takes.

A process of its own, so that its work is nobody's figure; what arrives is read and answered at once, and decoded when
somebody asks for the count.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from ot_bridge.traces.formats.jaeger_thrift import decode_packet

__all__ = ["Receiver", "receiving"]

LIMIT_S = 3.0
_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"


class Receiver:
    """The process, seen from outside.

    Attributes:
        ports: http, grpc and udp.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.ports: Mapping[str, int] = self._read()

    def received(self, spans: int) -> int:
        """Return how many spans have come since the last time; waits a little for so many."""
        found, end = 0, time.monotonic() + LIMIT_S
        while found < spans and time.monotonic() < end:
            assert self._process.stdin is not None
            self._process.stdin.write("count\n")
            self._process.stdin.flush()
            found += self._read()
        return found

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver; it ends when its standard input does."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, __file__], stdin=pipe, stdout=pipe, text=True) as process:
        yield Receiver(process)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bodies: list[bytes]

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


def _grpc(bodies: list[bytes]) -> int:
    def export(request: bytes, _: object) -> bytes:
        bodies.append(request)
        return b""

    server = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    method = grpc.unary_unary_rpc_method_handler(export)  # bytes in, bytes out: nothing is decoded
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"Export": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    _running.append(server)
    return port


def _udp(packets: list[bytes]) -> int:
    bound = socket.socket(type=socket.SOCK_DGRAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**25)
    bound.bind(("127.0.0.1", 0))

    def take() -> None:
        while True:
            packets.append(bound.recv(65536))

    threading.Thread(target=take, daemon=True).start()
    port: int = bound.getsockname()[1]
    return port


def _taken(bodies: list[bytes]) -> list[bytes]:
    taken = bodies[:]
    del bodies[: len(taken)]
    return taken


def _in_request(body: bytes) -> int:
    return _spans(ExportTraceServiceRequest.FromString(body).resource_spans)


def _spans(batches: Iterable[ResourceSpans]) -> int:
    return sum(len(scope.spans) for resource in batches for scope in resource.scope_spans)


_running: list[Any] = []


def main() -> None:
    """Serve until standard input ends."""
    requests: list[bytes] = []
    packets: list[bytes] = []
    _Handler.bodies = requests
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"http": server.server_port, "grpc": _grpc(requests), "udp": _udp(packets)}), flush=True)
    for _ in sys.stdin:
        time.sleep(0.02)
        spans = sum(map(_in_request, _taken(requests)))
        print(spans + sum(_spans(decode_packet(packet).batches) for packet in _taken(packets)), flush=True)


if __name__ == "__main__":
    main()
