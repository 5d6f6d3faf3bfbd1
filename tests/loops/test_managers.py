"""Each scope manager class of OpenTracing, and the user's own, in the loop that it was made for.

TornadoScopeManager, which needs an old tornado, is in test_tornado_5.py.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import opentracing
import pytest
from opentelemetry import trace
from opentracing.scope_managers import ThreadLocalScopeManager
from opentracing.scope_managers.asyncio import AsyncioScopeManager
from opentracing.scope_managers.contextvars import ContextVarsScopeManager

from compat.cells import cell, limited, unusable
from loops.running import run_program
from loops.scenario import REQUESTS, Tracing, drop_in, look, nothing_is_active, request, whole, work
from ot_bridge import ContextExecutor, in_context, telemetry

TRACERS = [pytest.param(Tracing.of, id="BridgeTracer"), pytest.param(drop_in, id="drop-in")]
Make = Callable[[Any], Tracing]

thread_local = cell("loops", "ThreadLocalScopeManager", packages=("opentracing",))
own_manager = cell("loops", "a scope manager of the application's own", packages=("opentracing",))
in_tasks = cell("loops", "AsyncioScopeManager", packages=("opentracing",))
in_variables = cell("loops", "ContextVarsScopeManager", packages=("opentracing",))
in_greenlets = cell("loops", "GeventScopeManager", packages=("opentracing", "gevent"))
on_tornado_6 = cell("loops", "TornadoScopeManager on tornado 6", packages=("opentracing", "tornado"))


class CountingScopeManager(ThreadLocalScopeManager):
    """A class of the application's own, derived from one of OpenTracing's: it counts, as others set fields for logs."""

    def __init__(self) -> None:
        super().__init__()
        self.activated = itertools.count()
        self.last = -1

    def activate(self, span: opentracing.Span, finish_on_close: bool) -> opentracing.Scope:
        self.last = next(self.activated)
        return super().activate(span, finish_on_close)


class RequestScopeManager(opentracing.ScopeManager):
    """A class of the application's own from the ground up: scopes by the name of the thread that serves the request."""

    def __init__(self) -> None:
        super().__init__()
        self.scopes: dict[str, list[opentracing.Scope]] = {}

    def activate(self, span: opentracing.Span, finish_on_close: bool) -> opentracing.Scope:
        scopes = self.scopes.setdefault(threading.current_thread().name, [])

        class Scope(opentracing.Scope):
            def close(self) -> None:
                scopes.remove(self)
                if finish_on_close:
                    span.finish()

        scopes.append(Scope(self, span))
        return scopes[-1]

    @property
    def active(self) -> opentracing.Scope | None:  # type: ignore[override]
        scopes = self.scopes.get(threading.current_thread().name)
        return scopes[-1] if scopes else None


BY_THREAD = [
    pytest.param(ThreadLocalScopeManager, marks=thread_local, id="thread-local"),
    pytest.param(CountingScopeManager, marks=own_manager, id="derived"),
    pytest.param(RequestScopeManager, marks=own_manager, id="own"),
]
IN_LOOP = [
    pytest.param(AsyncioScopeManager, marks=in_tasks, id="asyncio"),
    pytest.param(ContextVarsScopeManager, marks=in_variables, id="contextvars"),
]


# --- by thread


@pytest.mark.parametrize("make", TRACERS)
@pytest.mark.parametrize("manager", BY_THREAD)
def test_requests_in_threads_do_not_mix(manager: type[Any], make: Make) -> None:
    tracing = make(manager())
    together = threading.Barrier(REQUESTS)

    def handle(number: int) -> None:
        together.wait()
        for _ in request(tracing, number):
            together.wait()  # each step of all requests at the same time

    with ThreadPoolExecutor(REQUESTS) as pool:
        list(pool.map(handle, range(REQUESTS)))
    assert isinstance(tracing.tracer.scope_manager, manager)
    assert tracing.trees() == whole(range(REQUESTS))


@pytest.mark.parametrize("make", TRACERS)
@pytest.mark.parametrize("manager", BY_THREAD)
def test_pool_is_given_the_span_that_is_active_for_the_manager(manager: type[Any], make: Make) -> None:
    given = manager()
    tracing = make(given)
    with ContextExecutor(ThreadPoolExecutor(2)) as pool:

        def inside(span: Any) -> str | None:
            look(tracing, span, "acme")
            assert given.active.span is span
            return work(tracing, 1)

        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            seen = [pool.submit(inside, scope.span).result(10) for _ in range(3)]
            look(tracing, scope.span, "acme")
        pool.submit(nothing_is_active, tracing).result(10)
        assert pool.submit(lambda: given.active).result(10) is None
    assert (tracing.trees(), seen) == (["1: request(work work work)"], ["acme"] * 3)


@pytest.mark.parametrize("make", TRACERS)
@pytest.mark.parametrize("manager", BY_THREAD)
def test_thread_that_outlives_the_request_is_in_its_trace(manager: type[Any], make: Make) -> None:
    tracing = make(manager())
    over = threading.Event()

    def late() -> str | None:
        assert over.wait(10)
        return work(tracing, 1)

    with ThreadPoolExecutor(1) as pool:
        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            job = pool.submit(in_context(late))
        over.set()
        assert job.result(10) == "acme"
        pool.submit(nothing_is_active, tracing).result(10)
    assert tracing.trees() == ["1: request(work)"]


@own_manager
def test_own_class_is_called_for_each_span(monkeypatch: pytest.MonkeyPatch) -> None:
    given = CountingScopeManager()
    tracing = Tracing.of(given)
    with tracing.tracer.start_active_span("a"), tracing.tracer.start_active_span("b"):
        in_context(lambda: None)()
    assert given.last == 2


@own_manager
def test_own_class_that_fails_to_carry_is_counted_and_the_function_called() -> None:
    class Broken(ThreadLocalScopeManager):
        def activate(self, span: opentracing.Span, finish_on_close: bool) -> opentracing.Scope:
            if threading.current_thread() is not threading.main_thread():
                raise OSError("no storage here")
            return super().activate(span, finish_on_close)

    tracing = Tracing.of(Broken())
    with tracing.tracer.start_active_span("request"), ContextExecutor(ThreadPoolExecutor(1)) as pool:
        assert pool.submit(int, "7").result(10) == 7
    assert telemetry.snapshot()["carry.failed"] == 1


@thread_local
def test_span_that_was_activated_past_the_tracer_is_carried() -> None:
    given = ThreadLocalScopeManager()
    tracing = Tracing.of(given)
    with ThreadPoolExecutor(1) as pool, given.activate(tracing.tracer.start_span("request", tags={"request": 1}), True):
        pool.submit(in_context(work), tracing, 1).result(10)
    assert tracing.trees() == ["1: request(work)"]


# --- in asyncio's loop


async def later(tracing: Tracing) -> str | None:
    await asyncio.sleep(0)
    return work(tracing, 1)


@pytest.mark.parametrize("make", TRACERS)
@pytest.mark.parametrize("manager", IN_LOOP)
def test_requests_in_tasks_do_not_mix(manager: type[Any], make: Make) -> None:
    tracing = make(manager())

    async def handle(number: int) -> None:
        for _ in request(tracing, number):
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(handle(number) for number in range(REQUESTS)))
        nothing_is_active(tracing)

    asyncio.run(main())
    assert isinstance(tracing.tracer.scope_manager, manager)
    assert tracing.trees() == whole(range(REQUESTS))


@pytest.mark.parametrize("make", TRACERS)
@pytest.mark.parametrize("manager", IN_LOOP)
def test_span_is_passed_by_hand(manager: type[Any], make: Make) -> None:
    tracing = make(manager())

    async def child(span: Any) -> str | None:
        with tracing.tracer.scope_manager.activate(span, False):
            await asyncio.sleep(0)
            look(tracing, span, "acme")
            return await later(tracing)

    async def main() -> list[str | None]:
        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            seen = await asyncio.gather(*(asyncio.create_task(child(scope.span)) for _ in range(3)))
            look(tracing, scope.span, "acme")
        nothing_is_active(tracing)
        return seen

    assert asyncio.run(main()) == ["acme"] * 3
    assert tracing.trees() == ["1: request(work work work)"]


@pytest.mark.parametrize("make", TRACERS)
@pytest.mark.parametrize("manager", IN_LOOP)
def test_tasks_callbacks_and_threads_are_given_the_context(manager: type[Any], make: Make) -> None:
    tracing = make(manager())

    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        called = loop.create_future()
        over = asyncio.Event()

        async def late() -> Any:
            await over.wait()
            return await later(tracing)

        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            outliving = asyncio.create_task(in_context(late)())
            loop.call_soon(in_context(lambda: called.set_result(work(tracing, 1))))
            seen = [
                await asyncio.create_task(in_context(later)(tracing)),
                await loop.run_in_executor(None, in_context(work), tracing, 1),
                await asyncio.to_thread(in_context(work), tracing, 1),
                await called,
            ]
            look(tracing, scope.span, "acme")
        nothing_is_active(tracing)
        over.set()
        seen.append(await outliving)
        nothing_is_active(tracing)
        return seen

    assert asyncio.run(main()) == ["acme"] * 5
    assert tracing.trees() == ["1: request(work work work work work)"]


@pytest.mark.parametrize("manager", IN_LOOP)
def test_cancelled_task_leaves_nothing_active(manager: type[Any]) -> None:
    tracing = Tracing.of(manager())

    async def forever() -> None:
        with tracing.tracer.start_active_span("work", tags={"request": 1}):
            await asyncio.Event().wait()

    async def main() -> None:
        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            task = asyncio.create_task(in_context(forever)())
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            look(tracing, scope.span, "acme")
        nothing_is_active(tracing)

    asyncio.run(main())
    assert tracing.trees() == ["1: request(work)"]


@pytest.mark.parametrize("manager", IN_LOOP)
def test_callbacks_hand_a_span_on_until_the_last_one_finishes_it(manager: type[Any]) -> None:
    """OpenTracing's testbed has it as nested callbacks."""
    tracing = Tracing.of(manager())

    async def main() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def call_back(span: Any, step: int) -> None:
            with tracing.tracer.scope_manager.activate(span, finish_on_close=step == 3):
                assert tracing.tracer.active_span is span
                assert trace.get_current_span() is span.unwrap()
                span.set_tag(f"step{step}", step)
                if step == 3:
                    done.set_result(None)
                else:
                    loop.call_soon(call_back, span, step + 1)

        loop.call_soon(call_back, tracing.tracer.start_span("request"), 1)
        await done
        nothing_is_active(tracing)

    asyncio.run(main())
    (span,) = tracing.exporter.get_finished_spans()
    assert dict(span.attributes or {}) == {"step1": 1, "step2": 2, "step3": 3}


@in_variables
def test_task_that_outlives_the_scope_it_inherited_stays_in_its_trace() -> None:
    tracing = Tracing.of(ContextVarsScopeManager())

    async def main() -> Any:
        over = asyncio.Event()

        async def late() -> Any:
            await over.wait()
            assert tracing.tracer.active_span is not None
            return work(tracing, 1)

        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            task = asyncio.create_task(late())
            await asyncio.sleep(0)
        over.set()
        return await task

    assert asyncio.run(main()) == "acme"
    assert tracing.trees() == ["1: request(work)"]


@in_variables
def test_scope_closed_in_a_task_that_inherited_it_is_finished_and_left() -> None:
    """OpenTracing's manager cannot: it would reset a variable of another context, which raises."""
    tracing = Tracing.of(ContextVarsScopeManager())

    async def main() -> None:
        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            inner = tracing.tracer.start_active_span("inner", tags={"request": 1})

            async def close() -> None:
                inner.close()
                assert tracing.tracer.active_span is scope.span
                work(tracing, 1)

            await asyncio.create_task(close())
            look(tracing, scope.span, "acme")
        nothing_is_active(tracing)

    asyncio.run(main())
    assert tracing.trees() == ["1: request(inner work)"]
    assert telemetry.snapshot()["scope.failed.delegate"] > 0


@in_tasks
@limited(
    "a task that was given no span has none in OpenTracing, as before, while OpenTelemetry's API sees that of the task "
    "which started it: leave the manager out, and both see it",
    rationale="May the scope manager be the user's?",
)
def test_task_that_was_given_no_span_starts_a_root() -> None:
    tracing = Tracing.of(AsyncioScopeManager())

    async def child(span: Any) -> None:
        assert tracing.tracer.active_span is None
        assert trace.get_current_span() is span.unwrap()
        work(tracing, 1)

    async def main() -> None:
        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            await asyncio.create_task(child(scope.span))

    asyncio.run(main())
    assert tracing.trees() == ["1: request", "1: work"]


# --- gevent, and tornado 6


@pytest.fixture(scope="module")
def gevent_found() -> dict[str, Any]:
    pytest.importorskip("gevent", reason="needs gevent: make compat")
    return run_program("gevent_manager.py")


@in_greenlets
@pytest.mark.parametrize("tracer", ["BridgeTracer", "the drop-in"])
def test_greenlets_do_not_mix_and_are_given_the_context(gevent_found: dict[str, Any], tracer: str) -> None:
    expected = {
        "manager_keeps_its_class": ([], True),
        "requests_in_greenlets": (whole(range(REQUESTS)), None),
        "span_is_passed_by_hand": (["1: request(work work work)"], ["acme"] * 3),
        "context_is_given": (["1: request(work work work)"], ["acme"] * 3),
    }
    found = {case: gevent_found[f"{case} of {tracer}"] for case in expected}
    assert {case: one["error"] for case, one in found.items()} == dict.fromkeys(expected)
    assert {case: (one["trees"], one["result"]) for case, one in found.items()} == expected


@on_tornado_6
@unusable(
    "it needs tornado.stack_context, which tornado 6 does not have, so its import fails with any tracer: leave the "
    "manager out, the bridge's own follows coroutines and callbacks of tornado 6"
)
def test_manager_for_tornado_cannot_be_imported() -> None:
    tornado = pytest.importorskip("tornado", reason="needs tornado: make compat")
    assert tornado.version_info[0] >= 6
    with pytest.raises(ModuleNotFoundError, match="stack_context"):
        importlib.import_module("opentracing.scope_managers.tornado")
