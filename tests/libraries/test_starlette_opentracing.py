"""Starlette-OpenTracing under Starlette and under FastAPI, served by uvicorn."""

from __future__ import annotations

import asyncio
from typing import Any

import opentracing
import pytest
import requests
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing.mocktracer import MockTracer
from opentracing.scope_managers.contextvars import ContextVarsScopeManager

from compat.cells import cell, limited
from libraries.web import PARENT_ID, TRACE_ID, asgi, at_once, downstream, incoming, shape, spans, wait_for
from ot_bridge import BridgeTracer
from spans import as_dict

starlette_opentracing = pytest.importorskip("starlette_opentracing", reason="needs Starlette-OpenTracing: make compat")
fastapi = pytest.importorskip("fastapi", reason="needs FastAPI: make compat")

from starlette.applications import Starlette  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import PlainTextResponse  # noqa: E402

pytestmark = cell(
    "libraries",
    "Starlette-OpenTracing",
    packages=("Starlette-OpenTracing", "starlette", "fastapi", "uvicorn"),
    counterpart="uvicorn and an HTTP client",
)


def under_starlette(tracer: opentracing.Tracer, path: str, view: Any) -> Any:
    app = Starlette()

    async def endpoint(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await view(**request.path_params))

    app.router.add_route(path, endpoint)
    app.add_middleware(starlette_opentracing.StarletteTracingMiddleWare, tracer=tracer)
    return app


def under_fastapi(tracer: opentracing.Tracer, path: str, view: Any) -> Any:
    app = fastapi.FastAPI()
    app.get(path, response_class=PlainTextResponse)(view)
    app.add_middleware(starlette_opentracing.StarletteTracingMiddleWare, tracer=tracer)
    return app


both = pytest.mark.parametrize("make", [under_starlette, under_fastapi], ids=["Starlette", "FastAPI"])


@both
def test_request_is_one_server_span(make: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    async def orders() -> str:
        await asyncio.sleep(0)
        span = tracer.active_span
        span.log_kv({"event": "read", "number": 7})
        return str(span.get_baggage_item("tenant"))

    with asgi(make(tracer, "/orders", orders)) as url:
        answer = requests.get(f"{url}/orders?full=1", headers=incoming(), timeout=20)
    assert answer.text == "blue"
    assert shape(spans(exporter, 1)["/orders"]) == {
        "name": "/orders",
        "kind": "SERVER",
        "trace_id": TRACE_ID,
        "parent_id": PARENT_ID,
        "status": {"code": "UNSET", "description": ""},
        "attributes": {
            "component": "asgi",
            "http.method": "GET",
            "http.url": f"{url}/orders?b'full=1'",  # so the library writes it
        },
        "events": [{"name": "read", "attributes": {"number": 7}}],
        "links": [],
    }


@both
def test_error_in_the_view_is_an_error_with_its_exception(
    make: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    async def breaks() -> str:
        raise ValueError("no such order")

    with asgi(make(tracer, "/", breaks)) as url:
        answer = requests.get(url, headers=incoming(), timeout=20)
    served = shape(spans(exporter, 1)["/"])
    assert (answer.status_code, served["parent_id"], served["status"]["code"]) == (500, PARENT_ID, "ERROR")
    exception = served["events"][0]["attributes"]
    assert (exception["exception.type"], exception["exception.message"]) == ("ValueError", "no such order")


@both
def test_spans_in_the_view_are_children_and_its_call_carries_on(
    make: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with downstream() as following:

        async def index() -> str:
            with tracer.start_active_span("work"), tracer.start_active_span("call") as scope:
                headers: dict[str, str] = {}
                tracer.inject(scope.span.context, opentracing.Format.HTTP_HEADERS, headers)
                answer = await asyncio.to_thread(requests.get, following.url, headers=headers, timeout=20)
                return answer.text

        with asgi(make(tracer, "/", index)) as url:
            answer = requests.get(url, headers=incoming(), timeout=20)
        found = spans(exporter, 3)
        following.continues(found["call"])
    assert answer.text == "blue"
    assert (found["call"].parent, found["work"].parent) == (found["work"].context, found["/"].context)


def test_view_without_async_is_traced_too(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    def index() -> str:  # FastAPI runs it in a thread
        with tracer.start_active_span("work") as scope:
            return str(scope.span.get_baggage_item("tenant"))

    with asgi(under_fastapi(tracer, "/", index)) as url:
        assert requests.get(url, headers=incoming(), timeout=20).text == "blue"
    found = spans(exporter, 2)
    assert found["work"].parent == found["/"].context


@both
def test_requests_at_the_same_time_do_not_mix(make: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    arrived = []
    all_are_here = asyncio.Event()

    async def index(number: str) -> str:
        arrived.append(number)
        if len(arrived) == 8:
            all_are_here.set()
        await asyncio.wait_for(all_are_here.wait(), 20)
        with tracer.start_active_span(f"work {number}") as scope:
            await asyncio.sleep(0)
            scope.span.set_tag("tenant", scope.span.get_baggage_item("tenant"))
        return number

    with asgi(make(tracer, "/{number}", index)) as url:
        traces = at_once(url, 8)
        wait_for(lambda: len(exporter.get_finished_spans()) == 16)
    found = {span["name"]: span for span in map(as_dict, exporter.get_finished_spans())}
    for number, trace_id in enumerate(traces):
        work, served = found[f"work {number}"], found[f"/{number}"]
        assert (work["trace_id"], work["parent_id"]) == (trace_id, served["span_id"])
        assert work["attributes"]["tenant"] == f"tenant-{number}"


@pytest.mark.parametrize("with_mock", [False, True], ids=["bridge", "MockTracer"])
@limited(
    "it never sets http.status_code, and a response with 4xx or 5xx that is no exception is no error, with every "
    "tracer: set the tags in the application where dashboards need them"
)
def test_status_of_the_response_is_not_written(
    with_mock: bool, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    mock = MockTracer(ContextVarsScopeManager())

    async def index() -> str:
        raise fastapi.HTTPException(503)

    with asgi(under_fastapi(mock if with_mock else tracer, "/", index)) as url:
        assert requests.get(url, timeout=20).status_code == 503
    tags: Any = mock.finished_spans()[0].tags if with_mock else spans(exporter, 1)["/"].attributes
    assert sorted(key for key in tags if not key.startswith("span.")) == ["component", "http.method", "http.url"]
