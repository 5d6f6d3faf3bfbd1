"""Baggage read two services later: set at the edge, carried by a service that does not know it, read at the end.

Run it: ``python examples/baggage.py``. Three services talk HTTP on loopback; the last one prints what it read.
"""

from __future__ import annotations

import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import opentracing
from opentelemetry.sdk.trace import TracerProvider

import ot_bridge


def call(host: str) -> None:
    """Make a request with the headers of the active span."""
    tracer = opentracing.global_tracer()
    headers: dict[str, str] = {}
    tracer.inject(tracer.active_span.context, opentracing.Format.HTTP_HEADERS, headers)
    connection = HTTPConnection(host, timeout=5)
    connection.request("GET", "/", headers=headers)
    connection.getresponse().read()
    connection.close()


class Service(BaseHTTPRequestHandler):
    """A service that calls the next one, or is the last one."""

    next_host: str | None = None

    def do_GET(self) -> None:
        tracer = opentracing.global_tracer()
        caller = tracer.extract(opentracing.Format.HTTP_HEADERS, self.headers)
        with tracer.start_active_span("GET", child_of=caller) as scope:
            if self.next_host is not None:
                call(self.next_host)  # the service in the middle: it never mentions baggage
            else:
                print("two services later:", scope.span.get_baggage_item("customer-tier"))
                print("  as sent:", {name: self.headers[name] for name in ("uberctx-customer-tier", "baggage")})
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


def serve(next_host: str | None) -> str:
    """Start a service on a thread of its own; return its host and port."""
    handler = type("Handler", (Service,), {"next_host": next_host})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"127.0.0.1:{server.server_port}"


if __name__ == "__main__":
    tracer = ot_bridge.install(tracer_provider=TracerProvider())  # no exporter: this example is about headers
    first = serve(next_host=serve(next_host=None))
    with tracer.start_active_span("edge") as scope:
        scope.span.set_baggage_item("customer-tier", "gold member")
        call(first)
    print("the edge still has:", dict(scope.span.context.baggage))
