"""Old and new services in one trace: real HTTP on loopback, an unchanged jaeger-client service in the middle.

    frontend (OpenTelemetry)  ->  orders (OpenTracing on ot_bridge)  ->  stock (OpenTracing on jaeger-client)
                              ->  billing (OpenTelemetry, reading with MixedFleetPropagator)

The first hop has traceparent only, the last one uber-trace-id only: jaeger-client knows nothing else.

Run it: ``python examples/mixed_services.py`` (needs jaeger-client and six). Each service prints the header that
brought the trace, and at the end all four name the same trace.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from jaeger_client import ConstSampler
from jaeger_client import Tracer as JaegerTracer
from jaeger_client.reporter import NullReporter
from opentelemetry import baggage
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentracing import Format

import ot_bridge

Headers = Mapping[str, str]
seen: dict[str, str] = {}


def note(service: str, trace_id: int, headers: Headers) -> None:
    came = ", ".join(name for name in ("traceparent", "uber-trace-id") if name in headers) or "nothing"
    seen[service] = f"{trace_id:032x}"
    print(f"{service:9} trace {trace_id:032x}, brought by {came}")


# --- the services; each one is a function that answers a request


def billing(headers: Headers) -> None:
    """Native OpenTelemetry behind an old service: its propagator reads what old services send."""
    context = ot_bridge.MixedFleetPropagator().extract(headers)
    with native.start_as_current_span("bill", context=context) as span:
        note("billing", span.get_span_context().trace_id, headers)
        print("          baggage, three hops on:", dict(baggage.get_all(context)))


def stock(headers: Headers) -> None:
    """The service that nobody has touched."""
    with old.start_active_span("reserve", child_of=old.extract(Format.HTTP_HEADERS, dict(headers))) as scope:
        note("stock", scope.span.trace_id, headers)
        sent: dict[str, str] = {}
        old.inject(scope.span.context, Format.HTTP_HEADERS, sent)
        call(billing_host, sent)


def orders(headers: Headers) -> None:
    """The service whose tracer was swapped."""
    with bridged.start_active_span("order", child_of=bridged.extract(Format.HTTP_HEADERS, headers)) as scope:
        note("orders", scope.span.trace_id, headers)
        scope.span.set_baggage_item("tenant", "acme & sons")
        sent: dict[str, str] = {}
        bridged.inject(scope.span.context, Format.HTTP_HEADERS, sent)
        call(stock_host, sent)


def frontend() -> None:
    """Native OpenTelemetry with its own propagator."""
    with native.start_as_current_span("checkout") as span:
        note("frontend", span.get_span_context().trace_id, {})
        sent: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(sent)
        call(orders_host, sent)


# --- HTTP, on a thread for each service


def call(host: str, headers: dict[str, str]) -> None:
    connection = HTTPConnection(host, timeout=5)
    connection.request("POST", "/", headers=headers)
    connection.getresponse().read()
    connection.close()


def serve(answer: Callable[[Headers], None]) -> str:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer(self.headers)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"127.0.0.1:{server.server_port}"


if __name__ == "__main__":
    provider = TracerProvider()  # no exporter: this example is about headers
    native = provider.get_tracer("native")
    bridged = ot_bridge.BridgeTracer(provider)
    old = JaegerTracer("stock", reporter=NullReporter(), sampler=ConstSampler(True))
    billing_host, stock_host, orders_host = serve(billing), serve(stock), serve(orders)

    frontend()

    print("one trace:", len(set(seen.values())) == 1, "in", len(seen), "services")
