"""A small collector: OTLP over HTTP as OpenTelemetry sends it, UDP thrift as the Jaeger clients send it.

It keeps what it receives in memory. Protocols: OTLP 1.x `POST /v1/traces`, protobuf, gzip or not; Jaeger agent
`emitBatch` in compact (jaeger-client for Python) or binary thrift (for Node), both on one UDP port.
"""

from __future__ import annotations

import gzip
import logging
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from ot_bridge.demo.jaeger import decode_packet, to_otlp
from ot_bridge.demo.spans import SpanRecord, records

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

__all__ = ["Receiver"]

_PROTOBUF = "application/x-protobuf"
_LARGEST_PACKET = 65536


class Receiver:
    """A collector on two free ports of the loopback, open as long as its `with` block.

    Attributes:
        otlp_url: for `OTEL_EXPORTER_OTLP_ENDPOINT`.
        udp_port: for `JAEGER_AGENT_PORT`, whatever thrift protocol the client speaks.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._batches: list[ResourceSpans] = []
        self._problems: list[str] = []
        self._last_arrival_s = time.monotonic()
        self._closing = False
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._http = make_server("127.0.0.1", 0, self._application, threaded=True)
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self.otlp_url = f"http://127.0.0.1:{self._http.server_port}"
        self.udp_port: int = self._udp.getsockname()[1]
        self._threads = [
            threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True),
            threading.Thread(target=self._listen, daemon=True),
        ]

    def __enter__(self) -> Receiver:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._closing = True
        # wakes the listener, which a close alone would not
        self._udp.sendto(b"", self._udp.getsockname())
        for thread in self._threads:
            thread.join()
        self._udp.close()

    def batches(self, since: int = 0) -> list[ResourceSpans]:
        """Return what arrived, in OTLP's form, without the first `since` batches."""
        with self._changed:
            return self._batches[since:]

    def spans(self, since: int = 0) -> list[SpanRecord]:
        """Return the spans that arrived, without those of the first `since` batches."""
        return records(self.batches(since))

    def problems(self) -> list[str]:
        """Return one sentence for each request or packet that could not be read."""
        with self._changed:
            return list(self._problems)

    def wait(
        self,
        done: Callable[[list[SpanRecord]], bool],
        *,
        quiet_s: float,
        patience_s: float,
        limit_s: float,
        since: int = 0,
    ) -> list[SpanRecord]:
        """Wait until the spans are `done` and nothing has arrived for a while, and return them.

        Args:
            done: is asked again after each arrival, and at least ten times a second; what it raises goes through.
            quiet_s: seconds without an arrival that are enough when the spans are done.
            patience_s: seconds without an arrival after which the spans are returned as they are.
            limit_s: seconds after which the spans are returned in any case.
            since: leave out this number of batches.
        """
        began_s = time.monotonic()
        while True:
            spans = self.spans(since)
            now_s = time.monotonic()
            silence_s = now_s - max(began_s, self._last_arrival_s)
            enough_s = quiet_s if done(spans) else patience_s
            if silence_s >= enough_s or now_s - began_s >= limit_s:
                return spans
            with self._changed:
                self._changed.wait(0.1)

    def _keep(self, batches: list[ResourceSpans]) -> None:
        with self._changed:
            self._batches += batches
            self._last_arrival_s = time.monotonic()
            self._changed.notify_all()

    def _refuse(self, problem: str) -> None:
        with self._changed:
            self._problems.append(problem)

    def _application(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return self._answer(Request(environ))(environ, start_response)

    def _answer(self, request: Request) -> Response:
        if (request.method, request.path, request.mimetype) != ("POST", "/v1/traces", _PROTOBUF):
            return Response(f"expected POST /v1/traces with {_PROTOBUF}\n", status=404)
        try:
            body = request.get_data()
            if request.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            export = ExportTraceServiceRequest.FromString(body)
        except (DecodeError, EOFError, OSError, zlib.error) as error:
            self._refuse(f"cannot read an OTLP request of {request.content_length} bytes: {error!r}")
            return Response("not an ExportTraceServiceRequest\n", status=400)
        self._keep(list(export.resource_spans))
        return Response(ExportTraceServiceResponse().SerializeToString(), mimetype=_PROTOBUF)

    def _listen(self) -> None:
        while True:
            packet = self._udp.recv(_LARGEST_PACKET)
            if self._closing:
                return
            try:
                self._keep([to_otlp(decode_packet(packet))])
            except (ValueError, LookupError, TypeError) as error:
                self._refuse(str(error))
