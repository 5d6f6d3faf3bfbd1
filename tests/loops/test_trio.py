"""trio: tasks of nurseries, threads, cancellation."""

from __future__ import annotations

from typing import Any

import pytest

from compat.cells import cell
from loops.scenario import REQUESTS, Tracing, look, nothing_is_active, request, whole, work
from ot_bridge import in_context

trio = pytest.importorskip("trio", reason="needs trio: make compat")

pytestmark = cell("loops", "trio", packages=("trio",))


@pytest.fixture
def tracing() -> Tracing:
    return Tracing.of()


async def handle(tracing: Tracing, number: int) -> None:
    for _ in request(tracing, number):
        await trio.lowlevel.checkpoint()


def test_requests_in_tasks_do_not_mix(tracing: Tracing) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(REQUESTS):
                nursery.start_soon(handle, tracing, number)
        nothing_is_active(tracing)

    trio.run(main)
    assert tracing.trees() == whole(range(REQUESTS))


def test_tasks_and_threads_inherit_span_and_baggage(tracing: Tracing) -> None:
    seen: list[Any] = []

    async def task() -> None:
        await trio.lowlevel.checkpoint()
        seen.append(work(tracing, 1))

    def thread() -> None:
        seen.append(work(tracing, 1))
        trio.from_thread.run(task)
        trio.from_thread.run_sync(lambda: seen.append(work(tracing, 1)))

    async def starting(task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        seen.append(work(tracing, 1))
        task_status.started()

    async def main() -> None:
        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(task)
                await nursery.start(starting)
            await trio.to_thread.run_sync(thread)
            look(tracing, scope.span, "acme")

    trio.run(main)
    assert seen == ["acme"] * 5
    assert tracing.trees() == ["1: request(work work work work work)"]


def test_task_that_outlives_the_request_is_in_its_trace(tracing: Tracing) -> None:
    async def late(over: Any) -> None:
        await over.wait()
        work(tracing, 1)

    async def main() -> None:
        over = trio.Event()
        async with trio.open_nursery() as background:
            with tracing.tracer.start_active_span("request", tags={"request": 1}):
                background.start_soon(late, over)
            nothing_is_active(tracing)
            await handle(tracing, 2)
            over.set()

    trio.run(main)
    assert tracing.trees() == ["1: request(work)", "2: request(native(query))"]


def test_cancellation_and_exceptions_leave_nothing_active(tracing: Tracing) -> None:
    async def forever() -> None:
        with (
            tracing.tracer.start_active_span("work", tags={"request": 1}),
            tracing.native.start_as_current_span("native", attributes={"request": 1}),
        ):
            await trio.sleep_forever()

    async def fail() -> None:
        with tracing.tracer.start_active_span("failing", tags={"request": 1}):
            await trio.lowlevel.checkpoint()
            raise ValueError("boom")

    async def main() -> None:
        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            with trio.move_on_after(0.01):
                await forever()
            look(tracing, scope.span, "acme")
            with pytest.raises(BaseException, match="nursery") as failure:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(forever)
                    nursery.start_soon(fail)
            assert [str(error) for error in failure.value.exceptions] == ["boom"]  # type: ignore[attr-defined]
            look(tracing, scope.span, "acme")
        nothing_is_active(tracing)

    trio.run(main)
    assert tracing.trees() == ["1: request(failing work(native) work(native))"]


def test_job_for_a_worker_task_is_given_the_context_of_its_request(tracing: Tracing) -> None:
    async def job() -> None:
        await trio.lowlevel.checkpoint()
        work(tracing, 1)

    async def worker(jobs: Any) -> None:
        async for one in jobs:
            await one()
            nothing_is_active(tracing)

    async def main() -> None:
        sender, receiver = trio.open_memory_channel(0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(worker, receiver)
            with tracing.tracer.start_active_span("request", tags={"request": 1}):
                await sender.send(in_context(job))
            await sender.send(in_context(handle_other))
            await sender.aclose()

    async def handle_other() -> None:
        await handle(tracing, 2)

    trio.run(main)
    assert tracing.trees() == ["1: request(work)", "2: request(native(query))"]
