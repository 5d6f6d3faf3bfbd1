"""An HTTP handler that extracts, tags, logs and marks errors, with OpenTracing alone.

Run it: ``python examples/http_server.py``. It starts the server, sends three requests (a good one that continues a
caller's trace, a bad one, one whose handler raises) and prints the spans.
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

STOCK = {"teapot": 3, "cup": 0}


class Handler(BaseHTTPRequestHandler):
    """Answers GET /stock/{item}, each request in a span."""

    def do_GET(self) -> None:
        tracer = opentracing.global_tracer()
        caller = tracer.extract(opentracing.Format.HTTP_HEADERS, self.headers)
        start_tags = {tags.SPAN_KIND: tags.SPAN_KIND_RPC_SERVER, tags.HTTP_METHOD: "GET", tags.HTTP_URL: self.path}
        with tracer.start_active_span("GET /stock", child_of=caller, tags=start_tags) as scope:
            span = scope.span
            try:
                status = self.answer(span, self.path.removeprefix("/stock/"))
            except Exception as error:
                span.set_tag(tags.ERROR, True)
                span.log_kv({"event": "error", "error.object": error, "item": self.path})
                status = 500
            span.set_tag(tags.HTTP_STATUS_CODE, status)
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def answer(self, span: opentracing.Span, item: str) -> int:
        if not item.isalpha():
            span.log_kv({"event": "refused", "reason": "an item is a word"})
            return 400
        span.log_kv({"event": "looked up", "item": item, "left": STOCK[item]})
        return 200

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


# --- three requests, and the spans in memory instead of an exporter


def get(host: str, path: str, headers: dict[str, str]) -> None:
    connection = HTTPConnection(host, timeout=5)
    connection.request("GET", path, headers=headers)
    connection.getresponse().read()
    connection.close()


if __name__ == "__main__":
    finished = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(finished))
    ot_bridge.install(tracer_provider=provider)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"127.0.0.1:{server.server_port}"
    get(host, "/stock/teapot", {"uber-trace-id": "5af7183fb1d4cf5f:6b221d5bc9e6496c:0:1"})
    get(host, "/stock/42", {})
    get(host, "/stock/lamp", {})

    for span in finished.get_finished_spans():
        parent = f"child of {span.parent.span_id:016x}" if span.parent else "root"
        print(f"{span.name} {span.kind.name} {parent}, {span.attributes['http.status_code']}", end=" ")
        print(span.status.status_code.name, span.status.description or "")
        for event in span.events:
            shown = {key: value for key, value in event.attributes.items() if key != "exception.stacktrace"}
            print(f"  {event.name} {shown}")
