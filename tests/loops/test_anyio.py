"""anyio on both of its backends: task groups, threads, cancellation."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from compat.cells import cell
from loops.scenario import REQUESTS, Tracing, look, nothing_is_active, request, whole, work
from ot_bridge import in_context

anyio = pytest.importorskip("anyio", reason="needs anyio: make compat")
pytest.importorskip("trio", reason="needs trio: make compat")
for part in ("from_thread", "to_thread"):
    importlib.import_module(f"anyio.{part}")

BACKENDS = [
    pytest.param("asyncio", marks=cell("loops", "anyio on asyncio", packages=("anyio",))),
    pytest.param("trio", marks=cell("loops", "anyio on trio", packages=("anyio", "trio"))),
]
pytestmark = pytest.mark.parametrize("backend", BACKENDS)


@pytest.fixture
def tracing() -> Tracing:
    return Tracing.of()


async def handle(tracing: Tracing, number: int) -> None:
    for _ in request(tracing, number):
        await anyio.lowlevel.checkpoint()


def test_requests_in_tasks_do_not_mix(tracing: Tracing, backend: str) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as group:
            for number in range(REQUESTS):
                group.start_soon(handle, tracing, number)
        nothing_is_active(tracing)

    anyio.run(main, backend=backend)
    assert tracing.trees() == whole(range(REQUESTS))


def test_requests_in_threads_do_not_mix(tracing: Tracing, backend: str) -> None:
    def thread(number: int) -> None:
        for _ in request(tracing, number):
            anyio.from_thread.run(anyio.sleep, 0)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for number in range(REQUESTS):
                group.start_soon(anyio.to_thread.run_sync, thread, number)

    anyio.run(main, backend=backend)
    assert tracing.trees() == whole(range(REQUESTS))


def test_tasks_and_threads_inherit_span_and_baggage(tracing: Tracing, backend: str) -> None:
    seen: list[Any] = []

    async def task() -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(work(tracing, 1))

    def thread() -> None:
        seen.append(work(tracing, 1))
        anyio.from_thread.run(task)
        anyio.from_thread.run_sync(lambda: seen.append(work(tracing, 1)))

    async def main() -> None:
        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            async with anyio.create_task_group() as group:
                group.start_soon(task)
            await anyio.to_thread.run_sync(thread)
            look(tracing, scope.span, "acme")

    anyio.run(main, backend=backend)
    assert seen == ["acme"] * 4
    assert tracing.trees() == ["1: request(work work work work)"]


def test_thread_of_its_own_calls_into_a_portal_with_its_span(tracing: Tracing, backend: str) -> None:
    async def task() -> str | None:
        await anyio.lowlevel.checkpoint()
        return work(tracing, 1)

    with anyio.from_thread.start_blocking_portal(backend) as portal:
        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            seen = [portal.call(in_context(task)), portal.start_task_soon(in_context(task)).result(10)]
        portal.call(lambda: nothing_is_active(tracing))
    assert seen == ["acme"] * 2
    assert tracing.trees() == ["1: request(work work)"]


def test_cancellation_and_exceptions_leave_nothing_active(tracing: Tracing, backend: str) -> None:
    async def forever() -> None:
        with (
            tracing.tracer.start_active_span("work", tags={"request": 1}),
            tracing.native.start_as_current_span("native", attributes={"request": 1}),
        ):
            await anyio.sleep_forever()

    async def fail() -> None:
        with tracing.tracer.start_active_span("failing", tags={"request": 1}):
            await anyio.lowlevel.checkpoint()
            raise ValueError("boom")

    async def main() -> None:
        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            with anyio.move_on_after(0.01):
                await forever()
            look(tracing, scope.span, "acme")
            with pytest.raises(BaseException, match=r"TaskGroup|nursery") as failure:
                async with anyio.create_task_group() as group:
                    group.start_soon(forever)
                    group.start_soon(fail)
            assert [str(error) for error in failure.value.exceptions] == ["boom"]  # type: ignore[attr-defined]
            look(tracing, scope.span, "acme")
        nothing_is_active(tracing)

    anyio.run(main, backend=backend)
    assert tracing.trees() == ["1: request(failing work(native) work(native))"]


def test_generator_as_a_dependency_opens_and_closes_in_different_threads(tracing: Tracing, backend: str) -> None:
    """As FastAPI runs a dependency that is a plain generator: each step in a thread with a copy of the context."""

    def dependency() -> Iterator[Any]:
        with tracing.tracer.start_active_span("dependency", tags={"request": 1}):
            yield

    async def main() -> None:
        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            generator = dependency()
            await anyio.to_thread.run_sync(next, generator)
            look(tracing, scope.span, "acme")
            await anyio.to_thread.run_sync(next, generator, None)
            look(tracing, scope.span, "acme")
        nothing_is_active(tracing)

    anyio.run(main, backend=backend)
    assert tracing.trees() == ["1: request(dependency)"]
