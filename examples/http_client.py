"""A client that injects: a span around the request, its context in the headers.

Run it: ``python examples/http_client.py``. A small server on loopback prints the trace headers that arrived; the
client's spans are printed after them.
"""

from __future__ import annotations

import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import opentracing
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing.ext import tags

import ot_bridge


def get(host: str, path: str) -> int:
    """Request a path inside a client span; return the status code."""
    tracer = opentracing.global_tracer()
    url = f"http://{host}{path}"
    start_tags = {tags.SPAN_KIND: tags.SPAN_KIND_RPC_CLIENT, tags.HTTP_METHOD: "GET", tags.HTTP_URL: url}
    with tracer.start_active_span("GET", tags=start_tags) as scope:
        headers: dict[str, str] = {}
        tracer.inject(scope.span.context, opentracing.Format.HTTP_HEADERS, headers)
        connection = HTTPConnection(host, timeout=5)
        connection.request("GET", path, headers=headers)
        status = connection.getresponse().status
        connection.close()
        scope.span.set_tag(tags.HTTP_STATUS_CODE, status)
        return status


# --- a server to call, and the spans in memory instead of an exporter


class Server(BaseHTTPRequestHandler):
    """Prints the trace headers of each request."""

    def do_GET(self) -> None:
        for name in ("uber-trace-id", "traceparent"):
            print(f"server got {name}: {self.headers[name]}")
        self.send_response(200 if self.path == "/stock" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


if __name__ == "__main__":
    finished = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(finished))
    ot_bridge.install(tracer_provider=provider)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for path in ("/stock", "/nowhere"):
        get(f"127.0.0.1:{server.server_port}", path)

    for span in finished.get_finished_spans():
        ids = f"trace {span.context.trace_id:032x}, span {span.context.span_id:016x}"
        print(
            f"{span.name} {span.kind.name} {span.attributes['http.status_code']} {span.status.status_code.name}, {ids}"
        )
