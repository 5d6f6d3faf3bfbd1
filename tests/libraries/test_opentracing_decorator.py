"""opentracing-decorator around functions that call a bridged service."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import opentracing
import pytest
import requests
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing.mocktracer import MockTracer
from opentracing.scope_managers.contextvars import ContextVarsScopeManager

import ot_bridge
from compat.cells import cell, limited
from libraries.web import downstream, shape, spans
from ot_bridge import BridgeTracer
from spans import as_dict

opentracing_decorator = pytest.importorskip("opentracing_decorator", reason="needs opentracing-decorator: make compat")

pytestmark = cell(
    "libraries",
    "opentracing-decorator",
    packages=("opentracing-decorator", "flatten-dict", "setuptools"),
    counterpart="HTTP server",
)


def test_call_is_one_span_with_arguments_and_result(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    tracing = opentracing_decorator.Tracing(tracer)

    @tracing.trace("price", tag_parameters=True, parameter_prefix="order", log_return=True)
    def price(order: dict[str, Any], currency: str = "EUR") -> dict[str, Any]:
        return {"total": sum(order["items"]), "currency": currency}

    exporter.clear()  # see test_decorating_makes_a_span_of_its_own
    with tracer.start_active_span("work"):
        assert price({"items": [1, 2]}) == {"total": 3, "currency": "EUR"}
    found = spans(exporter, 2)
    work = as_dict(found["work"])
    assert shape(found["price"]) == {
        "name": "price",
        "kind": "INTERNAL",
        "trace_id": work["trace_id"],
        "parent_id": work["span_id"],
        "status": {"code": "UNSET", "description": ""},
        "attributes": {
            "order.order.items.0": 1,
            "order.order.items.1": 2,
            "order.currency": "EUR",
        },
        "events": [{"name": "log", "attributes": {"return.total": 3, "return.currency": "EUR"}}],
        "links": [],
    }


def test_nested_calls_are_children_and_the_innermost_carries_on(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    ot_bridge.install(tracer_provider=provider)
    tracing = opentracing_decorator.Tracing()  # the global tracer
    with downstream() as following:

        def call(*, span: opentracing.Span) -> str:
            assert span is opentracing.tracer.active_span
            headers: dict[str, str] = {}
            opentracing.tracer.inject(span.context, opentracing.Format.HTTP_HEADERS, headers)
            return requests.get(following.url, headers=headers, timeout=20).text

        traced_call = tracing.trace("call", call, pass_span=True)

        @tracing.trace("work")
        def work() -> str:
            opentracing.tracer.active_span.set_baggage_item("tenant", "blue")
            return str(traced_call())

        exporter.clear()
        assert work() == "blue"
        found = spans(exporter, 2)
        following.continues(found["call"])
    assert found["call"].parent == found["work"].context


def test_tracing_that_is_made_before_install_reaches_the_installed_tracer(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracing = opentracing_decorator.Tracing()

    @tracing.trace("work")
    def work() -> None: ...

    ot_bridge.install(tracer_provider=provider)
    work()
    assert spans(exporter, 1)["work"].parent is None


def test_exception_is_an_error_and_is_raised(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    @opentracing_decorator.Tracing(tracer).trace("work")
    def work() -> None:
        raise ValueError("no such order")

    exporter.clear()
    with pytest.raises(ValueError, match="no such order"):
        work()
    done = shape(spans(exporter, 1)["work"])
    assert done["status"]["code"] == "ERROR"
    assert done["events"][0]["attributes"]["exception.message"] == "no such order"


def test_threads_do_not_mix(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    tracing = opentracing_decorator.Tracing(tracer)

    @tracing.trace("inner", tag_parameters=True)
    def inner(number: int) -> None: ...

    @tracing.trace("outer", tag_parameters=True)
    def outer(number: int) -> None:
        inner(number)

    exporter.clear()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(outer, range(64)))
    found = [as_dict(span) for span in exporter.get_finished_spans()]
    outers = {span["attributes"]["number"]: span["span_id"] for span in found if span["name"] == "outer"}
    inners = {span["attributes"]["number"]: span["parent_id"] for span in found if span["name"] == "inner"}
    assert len(outers) == 64
    assert inners == outers


both_tracers = pytest.mark.parametrize("with_mock", [False, True], ids=["bridge", "MockTracer"])


@both_tracers
@limited(
    "@trace(name) makes a span also when it decorates, at import, and with pass_span=True raises there, with every "
    "tracer: write function = trace(name, function) instead"
)
def test_decorating_makes_a_span_of_its_own(
    with_mock: bool, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    mock = MockTracer()
    tracing = opentracing_decorator.Tracing(mock if with_mock else tracer)

    @tracing.trace("work")
    def work() -> None: ...

    assert len(mock.finished_spans() if with_mock else exporter.get_finished_spans()) == 1
    with pytest.raises(TypeError, match="unexpected keyword argument 'span'"):
        tracing.trace("work", pass_span=True)(lambda span: None)


@both_tracers
@limited(
    "the span of a coroutine function ends before the coroutine runs, with every tracer: decorate synchronous "
    "functions, and use start_active_span in coroutines"
)
def test_coroutine_runs_after_its_span(with_mock: bool, tracer: BridgeTracer) -> None:
    used = MockTracer(ContextVarsScopeManager()) if with_mock else tracer

    async def work() -> Any:
        return used.active_span

    assert asyncio.run(opentracing_decorator.Tracing(used).trace("work", work)()) is None


@limited(
    "flatten-dict 0.3.0, which it pins, imports pkg_resources, which setuptools has until 81: setuptools<82 beside it"
)
def test_import_needs_pkg_resources() -> None:
    code = "import sys; sys.modules['pkg_resources'] = None; import opentracing_decorator"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: import of pkg_resources")
