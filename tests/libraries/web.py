"""What tests of web libraries share: servers on loopback, a service downstream, headers, spans as plain dicts."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from socketserver import ThreadingMixIn
from typing import Any, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import requests
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing import Format

from ot_bridge import BridgeTracer
from spans import as_dict

__all__ = [
    "PARENT_ID",
    "TRACE_ID",
    "Downstream",
    "asgi",
    "at_once",
    "downstream",
    "incoming",
    "shape",
    "spans",
    "wait_for",
    "wsgi",
]

TRACE_ID = "5af7183fb1d4cf5f0123456789abcdef"
PARENT_ID = "6b221d5bc9e6496c"
LIMIT_S = 20.0

WSGIApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def incoming(trace_id: str = TRACE_ID, tenant: str = "blue") -> dict[str, str]:
    """Return what a client on jaeger-client sends: a sampled span's ids and a baggage item."""
    return {"Uber-Trace-Id": f"{trace_id}:{PARENT_ID}:0:1", "Uberctx-Tenant": tenant}


# -- servers -----------------------------------------------------------------------------------------------------------


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 64


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass

    def address_string(self) -> str:
        return "127.0.0.1"


@contextlib.contextmanager
def wsgi(app: WSGIApp) -> Iterator[str]:
    """Serve the application, each request in a thread of its own; yield the URL without a path."""
    server = make_server("127.0.0.1", 0, app, server_class=_Server, handler_class=_Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(LIMIT_S)
        server.server_close()


@contextlib.contextmanager
def asgi(app: Any) -> Iterator[str]:
    """Serve the application with uvicorn in a thread of its own; yield the URL without a path."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        wait_for(lambda: server.started or not thread.is_alive())
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(LIMIT_S)


class Downstream(NamedTuple):
    """A service that OpenTracing code calls, on a tracer and an exporter of its own.

    Attributes:
        url: without a path.
        headers: of each request that it got, with lower-case names.
        exporter: its spans.
    """

    url: str
    headers: list[dict[str, str]]
    exporter: InMemorySpanExporter

    def continues(self, span: ReadableSpan) -> None:
        """Assert that its last span is the span's child, and that both headers were sent."""
        assert span.context is not None
        wait_for(lambda: self.exporter.get_finished_spans())
        served, sent = as_dict(self.exporter.get_finished_spans()[-1]), self.headers[-1]
        client = as_dict(span)
        assert (served["trace_id"], served["parent_id"]) == (client["trace_id"], client["span_id"])
        trace_id = client["trace_id"]
        assert sent["uber-trace-id"] == f"{trace_id}:{client['span_id']}:0:1"
        assert sent["traceparent"].startswith(f"00-{trace_id}-{client['span_id']}-")


@contextlib.contextmanager
def downstream() -> Iterator[Downstream]:
    """Serve a bridged service that continues traces; what is asked for below /500 fails."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = BridgeTracer(provider)
    got: list[dict[str, str]] = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        headers = {
            name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")
        }
        got.append(headers)
        parent: Any = tracer.extract(Format.HTTP_HEADERS, headers)
        with tracer.start_active_span("served", child_of=parent) as scope:
            tenant = scope.span.get_baggage_item("tenant") or ""
        failed = environ["PATH_INFO"].startswith("/500")
        start_response("500 Failed" if failed else "200 OK", [("Content-Type", "text/plain")])
        return [tenant.encode()]

    with wsgi(app) as url:
        yield Downstream(url, got, exporter)


# -- requests ----------------------------------------------------------------------------------------------------------


def at_once(url: str, count: int) -> list[str]:
    """Ask for /0, /1 and so on at the same time, each in a trace and with a tenant of its own; return the trace ids."""

    def ask(number: int) -> str:
        trace_id = f"{number + 1:032x}"
        answer = requests.get(f"{url}/{number}", headers=incoming(trace_id, f"tenant-{number}"), timeout=LIMIT_S)
        assert answer.status_code == 200, answer.text
        return trace_id

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(ask, range(count)))


def wait_for(condition: Callable[[], Any], limit_s: float = LIMIT_S) -> None:
    """Wait until the condition holds; a server may finish its span after its answer has arrived."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


# -- spans -------------------------------------------------------------------------------------------------------------


def spans(exporter: InMemorySpanExporter, count: int) -> dict[str, ReadableSpan]:
    """Wait for that many spans, and return them by their names; each name must be there once."""
    wait_for(lambda: len(exporter.get_finished_spans()) >= count)
    found = exporter.get_finished_spans()
    named = {span.name: span for span in found}
    assert len(found) == len(named) == count, [span.name for span in found]
    return named


def shape(span: ReadableSpan) -> dict[str, Any]:
    """Return all of a span that is the same in each run, but for its own id."""
    whole: Mapping[str, Any] = as_dict(span)
    return {
        **{key: whole[key] for key in ("name", "kind", "trace_id", "parent_id", "status", "attributes", "links")},
        "events": [{key: event[key] for key in ("name", "attributes")} for event in whole["events"]],
    }
