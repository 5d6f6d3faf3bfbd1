"""opentracing 2.3, the newest that dbapi-opentracing and pymongo-opentracing take."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing.scope_managers.asyncio import AsyncioScopeManager
from opentracing.scope_managers.contextvars import ContextVarsScopeManager

from compat.cells import cell, limited
from compat.shapes import shapes
from libraries.requirements import needs
from ot_bridge import BridgeTracer

needs("opentracing<2.4")

pytestmark = cell("libraries", "opentracing", "2.3", packages=("opentracing",))


@pytest.mark.parametrize("manager", [None, ContextVarsScopeManager], ids=["own", "ContextVarsScopeManager"])
def test_tasks_do_not_mix(
    provider: TracerProvider, exporter: InMemorySpanExporter, manager: type[ContextVarsScopeManager] | None
) -> None:
    tracer = BridgeTracer(provider, scope_manager=manager and manager())

    async def request(number: int) -> None:
        with tracer.start_active_span(f"request {number}"):
            await asyncio.sleep(0)
            with tracer.start_active_span(f"query {number}"):
                await asyncio.sleep(0)

    async def scenario() -> None:
        await asyncio.gather(*(request(number) for number in range(10)))

    asyncio.run(scenario())
    queries = [span for span in shapes(exporter.get_finished_spans()) if span["parent"] is not None]
    assert sorted((span["name"], span["parent"]) for span in queries) == [
        (f"query {number}", f"request {number}") for number in range(10)
    ]


@limited(
    "its AsyncioScopeManager fails on Python 3.9 and newer, with any tracer: take ContextVarsScopeManager or "
    "opentracing 2.4"
)
def test_asyncio_scope_manager_fails() -> None:
    async def ask() -> None:
        with pytest.raises(AttributeError, match="current_task"):
            _ = AsyncioScopeManager().active

    asyncio.run(ask())
