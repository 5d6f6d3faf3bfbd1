"""tornado-opentracing under tornado 5 and tornado 6: handlers of each kind, and AsyncHTTPClient."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import opentracing
import pytest
import requests
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import ot_bridge
from compat.cells import cell, limited
from libraries.tornado_versions import prepared, serve
from libraries.web import PARENT_ID, TRACE_ID, at_once, downstream, incoming, shape, spans, wait_for
from ot_bridge import BridgeTracer
from spans import as_dict

TORNADO = prepared("tornado_opentracing")
tornado_opentracing = importlib.import_module("tornado_opentracing")

import tornado.gen  # noqa: E402
import tornado.httpclient  # noqa: E402
import tornado.ioloop  # noqa: E402
import tornado.web  # noqa: E402
from opentracing.mocktracer import MockTracer  # noqa: E402
from opentracing.scope_managers.tornado import TornadoScopeManager  # noqa: E402

pytestmark = cell(
    "libraries",
    "tornado-opentracing",
    f"tornado {TORNADO}",
    packages=("tornado-opentracing", "tornado"),
    counterpart="HTTP server and client",
)

Handlers = dict[str, type[Any]]
Start = Callable[..., AbstractContextManager[str]]


PATCHED = (
    (tornado.web.Application, "__init__"),
    (tornado.web.RequestHandler, "_execute"),
    (tornado.web.RequestHandler, "on_finish"),
    (tornado.web.RequestHandler, "log_exception"),
    (tornado.httpclient.AsyncHTTPClient, "fetch"),
)


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Start:
    """Serve handlers with tracing; what the library patches is put back after the test."""
    for owner, name in PATCHED:
        monkeypatch.setattr(owner, name, vars(owner)[name])
    for name in ("__opentracing_patch", "__opentracing_client_patch"):
        monkeypatch.setattr(tornado, name, False, raising=False)
    tornado_opentracing.init_tracing()

    def start(tracer: opentracing.Tracer | None, handlers: Handlers, **settings: Any) -> Any:
        tracing = tornado_opentracing.TornadoTracing(tracer)
        return serve(
            lambda: tornado.web.Application(
                [(f"/{name}", one) for name, one in handlers.items()], opentracing_tracing=tracing, **settings
            )
        )

    return start


def handler_of(kind: str, body: Callable[..., Any]) -> type[Any]:
    """Return a handler that runs the function's generator as a method, or as a coroutine of either kind."""

    def plain(self: Any, *args: str) -> None:
        for _ in body(self, *args):
            pass

    async def native(self: Any, *args: str) -> None:
        for _ in body(self, *args):
            await tornado.gen.sleep(0.001)

    def generator(self: Any, *args: str) -> Any:
        for _ in body(self, *args):
            yield tornado.gen.sleep(0.001)

    made = {"method": plain, "coroutine": native, "generator": tornado.gen.coroutine(generator)}
    return type("Orders", (tornado.web.RequestHandler,), {"get": made[kind]})


kinds = pytest.mark.parametrize("kind", ["method", "generator", "coroutine"])


@kinds
def test_request_is_one_server_span(
    kind: str, tracer: BridgeTracer, exporter: InMemorySpanExporter, start: Start
) -> None:
    def orders(self: Any) -> Iterator[None]:
        yield
        span = tracer.active_span
        span.log_kv({"event": "read", "number": 7})
        self.write(span.get_baggage_item("tenant"))

    app = start(tracer, {"orders": handler_of(kind, orders)}, opentracing_traced_attributes=["method", "path"])
    with app as url:
        answer = requests.get(f"{url}/orders?full=1", headers=incoming(), timeout=20)
        served = spans(exporter, 1)["Orders"]
    assert answer.text == "blue"
    assert shape(served) == {
        "name": "Orders",
        "kind": "SERVER",
        "trace_id": TRACE_ID,
        "parent_id": PARENT_ID,
        "status": {"code": "UNSET", "description": ""},
        "attributes": {
            "component": "tornado",
            "http.method": "GET",
            "http.url": "/orders?full=1",
            "http.status_code": 200,
            "method": "GET",
            "path": "/orders",
        },
        "events": [{"name": "read", "attributes": {"number": 7}}],
        "links": [],
    }


@kinds
def test_error_in_the_handler_is_an_error_with_its_exception(
    kind: str, tracer: BridgeTracer, exporter: InMemorySpanExporter, start: Start
) -> None:
    def breaks(self: Any) -> Iterator[None]:
        yield
        raise ValueError("no such order")

    with start(tracer, {"": handler_of(kind, breaks)}) as url:
        assert requests.get(url, headers=incoming(), timeout=20).status_code == 500
        served = shape(spans(exporter, 1)["Orders"])
    assert (served["parent_id"], served["status"]["code"]) == (PARENT_ID, "ERROR")
    exception = served["events"][0]["attributes"]
    assert (exception["exception.type"], exception["exception.message"]) == ("ValueError", "no such order")


def test_client_span_is_a_child_and_carries_on(
    provider: TracerProvider, exporter: InMemorySpanExporter, start: Start
) -> None:
    tracer = ot_bridge.install(tracer_provider=provider)

    with downstream() as following:

        class Orders(tornado.web.RequestHandler):
            async def get(self) -> None:
                await tornado.gen.sleep(0.001)
                with tracer.start_active_span("work"):
                    answer = await tornado.httpclient.AsyncHTTPClient().fetch(f"{following.url}/orders")
                self.write(answer.body)

        with start(None, {"": Orders}) as url:  # the global tracer
            answer = requests.get(url, headers=incoming(), timeout=20)
            found = spans(exporter, 3)
        following.continues(found["GET"])
    assert answer.text == "blue"
    assert shape(found["GET"])["attributes"] == {
        "component": "tornado",
        "http.method": "GET",
        "http.status_code": 200,
        "http.url": f"{following.url}/orders",
    }
    assert shape(found["GET"])["kind"] == "CLIENT"
    assert (found["GET"].parent, found["work"].parent) == (found["work"].context, found["Orders"].context)


@kinds
def test_requests_on_one_connection_are_traces_of_their_own(
    kind: str, tracer: BridgeTracer, exporter: InMemorySpanExporter, start: Start
) -> None:
    def orders(self: Any) -> Iterator[None]:
        yield

    with start(tracer, {"": handler_of(kind, orders)}) as url, requests.Session() as session:
        for _ in range(4):
            session.get(url, timeout=20)
        wait_for(lambda: len(exporter.get_finished_spans()) == 4)
    assert [span.parent for span in exporter.get_finished_spans()] == [None] * 4


@pytest.mark.parametrize("kind", ["generator", "coroutine"])
def test_requests_at_the_same_time_do_not_mix(
    kind: str, tracer: BridgeTracer, exporter: InMemorySpanExporter, start: Start
) -> None:
    arrived: list[str] = []

    def orders(self: Any, number: str) -> Iterator[None]:
        arrived.append(number)
        while len(arrived) < 8:
            yield
        with tracer.start_active_span(f"work {number}") as scope:
            yield
            scope.span.set_tag("tenant", scope.span.get_baggage_item("tenant"))

    with start(tracer, {"(.*)": handler_of(kind, orders)}) as url:
        traces = at_once(url, 8)
        wait_for(lambda: len(exporter.get_finished_spans()) == 16)
    found = [as_dict(span) for span in exporter.get_finished_spans()]
    served = {span["attributes"]["http.url"]: span for span in found if span["name"] == "Orders"}
    work = {span["name"]: span for span in found if span["name"] != "Orders"}
    for number, trace_id in enumerate(traces):
        one = work[f"work {number}"]
        assert (one["trace_id"], one["parent_id"]) == (trace_id, served[f"/{number}"]["span_id"])
        assert one["attributes"]["tenant"] == f"tenant-{number}"


@pytest.mark.parametrize("kind", ["coroutine"] if TORNADO == 5 else ["method", "generator", "coroutine"])
@pytest.mark.parametrize("with_mock", [False, True], ids=["bridge", "MockTracer"])
@limited(
    "with TornadoScopeManager no span is active in handlers that are native coroutines, and on tornado 6 in any, with "
    "every tracer: give BridgeTracer no scope manager"
)
def test_tornado_scope_manager_has_no_active_span(
    with_mock: bool, kind: str, provider: TracerProvider, start: Start
) -> None:
    manager = TornadoScopeManager()
    mock = MockTracer(manager)
    tracer = mock if with_mock else BridgeTracer(provider, scope_manager=manager)
    active: list[Any] = []

    def orders(self: Any) -> Iterator[None]:
        active.append(tracer.active_span)
        yield
        active.append(tracer.active_span)

    with start(tracer, {"": handler_of(kind, orders)}) as url:
        requests.get(url, timeout=20)
    assert active == [None, None]


if TORNADO == 5:

    @limited(
        "tornado 5 imports on Python 3.10 and 3.11 only after collections.MutableMapping = "
        "collections.abc.MutableMapping, and not on 3.12: take tornado 6, see there"
    )
    def test_tornado_5_needs_a_line_before_its_import() -> None:
        done = subprocess.run(
            [sys.executable, "-c", "import tornado.httputil"], capture_output=True, text=True, check=False
        )
        assert "no attribute 'MutableMapping'" in done.stderr

else:

    @limited(
        "it imports tornado.stack_context, which tornado 6 has not, and it wants opentracing<2.1: install it with "
        "--no-deps, and call ot_bridge.stack_context.provide() before its import"
    )
    def test_import_on_tornado_6_needs_stack_context() -> None:
        done = subprocess.run(
            [sys.executable, "-c", "import tornado_opentracing"], capture_output=True, text=True, check=False
        )
        assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'tornado.stack_context'"
