"""asyncio: tasks of every making, callbacks, other threads, cancellation, and tasks that outlive their request."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from compat.cells import cell
from loops.scenario import REQUESTS, Tracing, look, nothing_is_active, request, whole, work
from ot_bridge import ContextExecutor, in_context, telemetry

tasks = cell("loops", "asyncio tasks")
callbacks = cell("loops", "asyncio callbacks")
executors = cell("loops", "asyncio and threads")


@pytest.fixture
def tracing() -> Tracing:
    return Tracing.of()


async def handle(tracing: Tracing, number: int) -> None:
    for _ in request(tracing, number):
        await asyncio.sleep(0)


async def later(tracing: Tracing, number: int = 1) -> str | None:
    await asyncio.sleep(0)
    return work(tracing, number)


def in_request(tracing: Tracing, body: Callable[[], Awaitable[Any]]) -> Any:
    """Run the body in a request with baggage, in a loop of its own, which has to leave the request as it was."""

    async def main() -> Any:
        nothing_is_active(tracing)
        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            result = await body()
            look(tracing, scope.span, "acme")
        nothing_is_active(tracing)
        return result

    return asyncio.run(main())


# --- tasks


@tasks
def test_requests_in_tasks_do_not_mix(tracing: Tracing) -> None:
    async def main() -> None:
        await asyncio.gather(*(handle(tracing, number) for number in range(REQUESTS)))
        nothing_is_active(tracing)

    asyncio.run(main())
    assert tracing.trees() == whole(range(REQUESTS))


async def by_group(work: Coroutine[Any, Any, Any]) -> Any:
    async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined,unused-ignore]
        task = group.create_task(work)
    return task.result()


async def by_gather(work: Coroutine[Any, Any, Any]) -> Any:
    (result,) = await asyncio.gather(work)
    return result


async def by_as_completed(work: Coroutine[Any, Any, Any]) -> Any:
    (first,) = asyncio.as_completed([work])
    return await first


WAYS: dict[str, Callable[[Coroutine[Any, Any, Any]], Awaitable[Any]]] = {
    "await": lambda work: work,
    "create_task": asyncio.create_task,
    "ensure_future": asyncio.ensure_future,
    "gather": by_gather,
    "wait_for": lambda work: asyncio.wait_for(work, 10),
    "shield": asyncio.shield,
    "as_completed": by_as_completed,
    **({"TaskGroup": by_group} if sys.version_info >= (3, 11) else {}),
}


@tasks
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_task_inherits_span_and_baggage(
    tracing: Tracing, way: Callable[[Coroutine[Any, Any, Any]], Awaitable[Any]]
) -> None:
    async def body() -> Any:
        return await way(later(tracing))

    assert in_request(tracing, body) == "acme"
    assert tracing.trees() == ["1: request(work)"]


@tasks
def test_eager_tasks_do_not_mix(tracing: Tracing) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(getattr(asyncio, "eager_task_factory", None))  # since Python 3.12
        await asyncio.gather(*(handle(tracing, number) for number in range(REQUESTS)))
        nothing_is_active(tracing)

    asyncio.run(main())
    assert tracing.trees() == whole(range(REQUESTS))


@tasks
def test_siblings_are_children_of_the_request_and_not_of_each_other(tracing: Tracing) -> None:
    async def body() -> None:
        await asyncio.gather(*(later(tracing) for _ in range(3)))

    in_request(tracing, body)
    assert tracing.trees() == ["1: request(work work work)"]


@tasks
def test_task_that_outlives_the_request_is_in_its_trace_and_the_next_request_is_not(tracing: Tracing) -> None:
    async def main() -> str | None:
        over = asyncio.Event()

        async def late() -> str | None:
            await over.wait()
            return work(tracing, 1)

        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            task = asyncio.create_task(late())
            await asyncio.sleep(0)
        await handle(tracing, 2)
        over.set()
        return await task

    assert asyncio.run(main()) == "acme"
    assert tracing.trees() == ["1: request(work)", "2: request(native(query))"]


@tasks
def test_cancelled_task_ends_its_spans_and_leaves_nothing_active(tracing: Tracing) -> None:
    async def forever() -> None:
        with (
            tracing.tracer.start_active_span("work", tags={"request": 1}),
            tracing.native.start_as_current_span("native"),
        ):
            await asyncio.Event().wait()

    async def body() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(forever(), 0.01)
        task = asyncio.create_task(forever())
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    in_request(tracing, body)
    spans = tracing.exporter.get_finished_spans()
    assert [span.name for span in spans] == ["native", "work", "native", "work", "request"]
    assert len({span.context.trace_id for span in spans if span.context}) == 1


@tasks
def test_exception_in_one_task_leaves_the_others_as_they_are(tracing: Tracing) -> None:
    async def fail() -> None:
        with tracing.tracer.start_active_span("failing", tags={"request": 1}):
            await asyncio.sleep(0)
            raise ValueError("boom")

    async def body() -> Any:
        return await asyncio.gather(fail(), later(tracing), return_exceptions=True)

    failure, seen = in_request(tracing, body)
    assert (str(failure), seen) == ("boom", "acme")
    assert tracing.trees() == ["1: request(failing work)"]


@tasks
def test_async_context_manager_keeps_its_span_active(tracing: Tracing) -> None:
    @contextlib.asynccontextmanager
    async def transaction() -> AsyncIterator[Any]:
        with tracing.tracer.start_active_span("transaction", tags={"request": 1}) as scope:
            await asyncio.sleep(0)
            yield scope.span
            await asyncio.sleep(0)

    async def body() -> None:
        async with transaction() as span:
            look(tracing, span, "acme")
            await later(tracing)

    in_request(tracing, body)
    assert tracing.trees() == ["1: request(transaction(work))"]


@tasks
def test_scopes_opened_and_closed_by_hand_do_not_leak_into_other_tasks(tracing: Tracing) -> None:
    async def by_hand(number: int) -> None:
        scope = tracing.tracer.start_active_span("request", tags={"request": number})
        await asyncio.sleep(0)
        inner = tracing.tracer.start_active_span("query", tags={"request": number})
        await asyncio.sleep(0)
        inner.close()
        scope.close()
        nothing_is_active(tracing)

    async def main() -> None:
        await asyncio.gather(*(by_hand(number) for number in range(REQUESTS)))

    asyncio.run(main())
    assert tracing.trees() == whole(range(REQUESTS), "request(query)")


@tasks
def test_coroutine_function_is_given_the_context_of_another_request(tracing: Tracing) -> None:
    """A worker task was started before the requests, and takes their jobs from a queue."""

    async def main() -> None:
        queue: asyncio.Queue[Any] = asyncio.Queue()

        async def worker() -> None:
            while (job := await queue.get()) is not None:
                await job(tracing, 1)
                nothing_is_active(tracing)

        started = [asyncio.create_task(worker()) for _ in range(2)]
        with tracing.tracer.start_active_span("request", tags={"request": 1}):
            carried = in_context(later)
            assert inspect.iscoroutinefunction(carried)
            assert (carried.__name__, carried.__doc__) == (later.__name__, later.__doc__)
        for job in (carried, carried, carried, None, None):
            queue.put_nowait(job)
        await asyncio.gather(*started)

    asyncio.run(main())
    assert tracing.trees() == ["1: request(work work work)"]


# --- callbacks


@callbacks
@pytest.mark.parametrize("way", ["call_soon", "call_later", "call_at", "call_soon_threadsafe", "done"])
def test_callback_inherits_span_and_baggage(tracing: Tracing, way: str) -> None:
    async def body() -> Any:
        loop = asyncio.get_running_loop()
        seen: asyncio.Future[Any] = loop.create_future()

        def call_back(*_: object) -> None:
            seen.set_result(work(tracing, 1))

        if way == "done":
            asyncio.ensure_future(asyncio.sleep(0)).add_done_callback(call_back)
        else:
            when = {"call_later": [0.001], "call_at": [loop.time()]}.get(way, [])
            getattr(loop, way)(*when, call_back)
        return await seen

    assert in_request(tracing, body) == "acme"
    assert tracing.trees() == ["1: request(work)"]


@callbacks
def test_callback_after_the_request_is_in_its_trace_and_leaves_nothing_active(tracing: Tracing) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        called = loop.create_future()

        def call_back() -> None:
            tracing.tracer.start_active_span("work", tags={"request": 1})  # never closed
            called.set_result(None)

        with tracing.tracer.start_active_span("request", tags={"request": 1}):
            loop.call_soon(call_back)
        await called
        nothing_is_active(tracing)
        await handle(tracing, 2)

    asyncio.run(main())
    assert tracing.trees() == ["1: request", "2: request(native(query))"]


@callbacks
def test_span_of_a_callback_protocol_is_closed_in_the_callback_that_ends_it(tracing: Tracing) -> None:
    """As a protocol does: data_received opens, connection_lost closes; each is called in a context of its own."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done, scopes = loop.create_future(), []

        def opened() -> None:
            scopes.append(tracing.tracer.start_active_span("request", tags={"request": 1}))
            loop.call_soon(closed)  # inherits the scope

        def closed() -> None:
            scopes.pop().close()
            assert tracing.tracer.active_span is None
            done.set_result(None)

        loop.call_soon(opened)
        await done
        nothing_is_active(tracing)

    asyncio.run(main())
    assert tracing.trees() == ["1: request"]
    assert telemetry.snapshot()["scope.closed_elsewhere"] == 1


@callbacks
def test_callback_from_another_thread_is_given_the_context(tracing: Tracing) -> None:
    async def body() -> Any:
        loop = asyncio.get_running_loop()
        seen: asyncio.Future[Any] = loop.create_future()
        call_back = in_context(lambda: seen.set_result(work(tracing, 1)))
        with ThreadPoolExecutor(1) as pool:
            pool.submit(loop.call_soon_threadsafe, call_back)
            return await seen

    assert in_request(tracing, body) == "acme"
    assert tracing.trees() == ["1: request(work)"]


# --- and threads


@executors
def test_to_thread_inherits_span_and_baggage(tracing: Tracing) -> None:
    assert in_request(tracing, lambda: asyncio.to_thread(work, tracing, 1)) == "acme"
    assert tracing.trees() == ["1: request(work)"]


@executors
def test_run_in_executor_is_given_the_context(tracing: Tracing) -> None:
    async def body() -> Any:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, work, tracing, 2)
        return await loop.run_in_executor(None, in_context(work), tracing, 1)

    assert in_request(tracing, body) == "acme"
    assert tracing.trees() == ["1: request(work)", "2: work"]  # alone it is a root, as with jaeger-client


@executors
def test_default_executor_carries_the_context_of_each_call(tracing: Tracing) -> None:
    async def handle_with_work(number: int) -> None:
        loop = asyncio.get_running_loop()
        with tracing.tracer.start_active_span("request", tags={"request": number}) as scope:
            scope.span.set_baggage_item("tenant", f"tenant-{number}")
            jobs = [loop.run_in_executor(None, work, tracing, number) for _ in range(3)]
            assert await asyncio.gather(*jobs) == [f"tenant-{number}"] * 3

    async def main() -> None:
        asyncio.get_running_loop().set_default_executor(ContextExecutor(ThreadPoolExecutor(4)))  # type: ignore[arg-type]
        await asyncio.gather(*(handle_with_work(number) for number in range(REQUESTS)))

    asyncio.run(main())
    assert tracing.trees() == whole(range(REQUESTS), "request(work work work)")


@executors
def test_coroutine_from_a_thread_is_given_the_context(tracing: Tracing) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        def thread() -> str | None:
            with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
                scope.span.set_baggage_item("tenant", "acme")
                return asyncio.run_coroutine_threadsafe(in_context(later)(tracing), loop).result(10)

        assert await loop.run_in_executor(None, thread) == "acme"

    asyncio.run(main())
    assert tracing.trees() == ["1: request(work)"]
