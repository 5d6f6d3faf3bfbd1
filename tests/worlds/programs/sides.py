"""What each program here is told: which of its parts OpenTracing traces, and which OpenTelemetry.

``OLD`` names the parts that OpenTracing code instruments. ``NATIVE`` names OpenTelemetry's instrumentations that the
program switches on by itself: nothing under opentelemetry-instrument, which has done it by then.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from importlib import metadata
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import opentracing
from opentelemetry import baggage, context, propagate, trace
from opentracing.ext import tags

__all__ = ["HEADERS", "OLD", "begin", "called", "entry", "inner", "native_baggage", "served", "work"]

OLD = os.environ["OLD"].split()
NATIVE = os.environ["NATIVE"].split()
HEADERS = {"Uber-Trace-Id": "0af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:1", "Uberctx-Tenant": "acme"}
"""What an old service sent with the request that the program serves."""


def begin() -> None:
    """Do what a program does first: install the tracer where no launcher did, and switch instrumentations on."""
    if os.environ.get("INSTALL"):
        import ot_bridge

        ot_bridge.install()
    for name in NATIVE:
        (found,) = metadata.entry_points(group="opentelemetry_instrumentor", name=name)
        found.load()().instrument()


@contextlib.contextmanager
def work(name: str, parent: Any = None) -> Iterator[Any]:
    """Trace a step of the program with OpenTracing, and note what baggage each API sees in it."""
    with opentracing.global_tracer().start_active_span(name, child_of=parent) as scope:
        scope.span.set_tag("baggage.opentracing", _text(scope.span.context.baggage))
        scope.span.set_tag("baggage.opentelemetry", _text(baggage.get_all()))
        yield scope.span


@contextlib.contextmanager
def inner(name: str) -> Iterator[None]:
    """Trace a step of the program in one API or the other."""
    if "inner" in OLD:
        with work(name):
            yield
    else:
        with trace.get_tracer("shop").start_as_current_span(name) as span:
            span.set_attribute("baggage.opentracing", _text(_active_baggage()))
            span.set_attribute("baggage.opentelemetry", _text(baggage.get_all()))
            yield


@contextlib.contextmanager
def native_baggage(name: str, value: str) -> Iterator[None]:
    """Have a baggage item, set through OpenTelemetry's API."""
    token = context.attach(baggage.set_baggage(name, value))
    try:
        yield
    finally:
        context.detach(token)


@contextlib.contextmanager
def entry(name: str, headers: Mapping[str, str] = HEADERS) -> Iterator[None]:
    """Be the server of a request, written by hand as services without a framework are, in one API or the other."""
    if "entry" in OLD:
        tracer = opentracing.global_tracer()
        parent = tracer.extract(opentracing.Format.HTTP_HEADERS, headers)
        own = {tags.SPAN_KIND: tags.SPAN_KIND_RPC_SERVER, tags.COMPONENT: "shop"}
        with tracer.start_active_span(name, child_of=parent, tags=own):
            yield
        return
    lower = {key.lower(): value for key, value in headers.items()}
    token = context.attach(propagate.extract(lower))
    try:
        with trace.get_tracer("shop").start_as_current_span(name, kind=trace.SpanKind.SERVER):
            yield
    finally:
        context.detach(token)


@contextlib.contextmanager
def called(name: str, component: str, headers: dict[str, str] | None = None) -> Iterator[Any]:
    """Trace a call with OpenTracing as code does whose library nobody has instrumented; put the context in headers."""
    tracer = opentracing.global_tracer()
    own = {tags.SPAN_KIND: tags.SPAN_KIND_RPC_CLIENT, tags.COMPONENT: component}
    with tracer.start_active_span(name, tags=own) as scope:
        if headers is not None:
            tracer.inject(scope.span.context, opentracing.Format.HTTP_HEADERS, headers)
        yield scope.span


@contextlib.contextmanager
def served(app: Any) -> Iterator[int]:
    """Serve a WSGI application, one thread for each request; end with the last request."""

    class Server(ThreadingMixIn, WSGIServer):
        daemon_threads = False  # so that server_close() waits for them, and no span is still open then

    class Handler(WSGIRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing on stderr."""

    server = Server(("127.0.0.1", 0), Handler)
    server.set_app(app)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _active_baggage() -> Mapping[str, str]:
    active = opentracing.global_tracer().active_span
    return {} if active is None else active.context.baggage


def _text(items: Mapping[str, object]) -> str:
    return json.dumps(dict(sorted(items.items())))
