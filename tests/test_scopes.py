"""Scopes: what is active where, and what remains when they are closed twice, out of order, elsewhere or never."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar
from unittest.mock import MagicMock

import opentracing
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ot_bridge import BridgeScope, BridgeScopeManager, BridgeTracer
from shown import shown

T = TypeVar("T")


def in_thread(function: Callable[[], T]) -> T:
    """Run the function in a new thread and return what it returned."""
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def names(exporter: InMemorySpanExporter) -> list[str]:
    return [span.name for span in exporter.get_finished_spans()]


@pytest.fixture(autouse=True)
def _no_error_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    errors = [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    assert errors == []


# --- one scope


def test_types_are_opentracings_own(tracer: BridgeTracer) -> None:
    assert isinstance(tracer.scope_manager, BridgeScopeManager)
    assert isinstance(tracer.scope_manager, opentracing.ScopeManager)
    with tracer.start_active_span("op") as scope:
        assert isinstance(scope, BridgeScope)
        assert isinstance(scope, opentracing.Scope)
        assert scope.manager is tracer.scope_manager


def test_the_same_objects_come_back(tracer: BridgeTracer) -> None:
    with tracer.start_active_span("op") as scope:
        assert tracer.scope_manager.active is scope
        assert tracer.active_span is scope.span
        assert trace.get_current_span() is scope.span.unwrap()
    assert (tracer.scope_manager.active, tracer.active_span) == (None, None)


def test_activated_span_comes_back(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op")
    assert tracer.active_span is None
    with tracer.scope_manager.activate(span, True) as scope:
        assert scope.span is span
        assert tracer.active_span is span
        assert trace.get_current_span() is span.unwrap()
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_start_span_alone_activates_nothing(tracer: BridgeTracer) -> None:
    with tracer.start_span("op"):
        assert tracer.active_span is None
        assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.parametrize("finish_on_close", [True, False])
def test_finish_on_close_of_start_active_span(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, finish_on_close: bool
) -> None:
    tracer.start_active_span("op", finish_on_close=finish_on_close).close()
    assert names(exporter) == (["op"] if finish_on_close else [])


@pytest.mark.parametrize("finish_on_close", [True, False])
def test_finish_on_close_of_activate(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, finish_on_close: bool
) -> None:
    tracer.scope_manager.activate(tracer.start_span("op"), finish_on_close).close()
    assert names(exporter) == (["op"] if finish_on_close else [])


def test_close_calls_the_finish_of_the_span(tracer: BridgeTracer) -> None:
    calls: list[tuple[Any, ...]] = []
    scope = tracer.start_active_span("op")
    scope.span.finish = lambda *args: calls.append(args)  # type: ignore[method-assign,assignment,misc]
    scope.close()
    assert calls == [()]


def test_finish_inside_the_scope_leaves_the_span_active(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_active_span("op") as scope:
        scope.span.finish()
        assert tracer.active_span is scope.span
    assert (tracer.active_span, names(exporter)) == (None, ["op"])


def test_nested_scopes_give_the_outer_one_back(tracer: BridgeTracer) -> None:
    with tracer.start_active_span("outer") as outer:
        with tracer.start_active_span("inner") as inner:
            assert tracer.scope_manager.active is inner
        assert tracer.scope_manager.active is outer
        assert trace.get_current_span() is outer.span.unwrap()


def test_one_span_can_be_active_twice(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_active_span("op") as outer:
        with tracer.scope_manager.activate(outer.span, False):
            assert tracer.active_span is outer.span
        assert tracer.scope_manager.active is outer
        assert names(exporter) == []
    assert names(exporter) == ["op"]


def test_two_hundred_nested_scopes_unwind(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    scopes = [tracer.start_active_span(str(number)) for number in range(200)]
    for scope in reversed(scopes):
        scope.close()
    assert tracer.active_span is None
    assert names(exporter) == [str(number) for number in reversed(range(200))]


def test_native_values_in_the_context_are_kept_inside_a_scope(tracer: BridgeTracer) -> None:
    key = otel_context.create_key("mine")
    token = otel_context.attach(otel_context.set_value(key, "value"))
    try:
        with tracer.start_active_span("op"):
            assert otel_context.get_value(key) == "value"
        assert otel_context.get_value(key) == "value"
    finally:
        otel_context.detach(token)


# --- nothing and foreign things as spans


def test_activating_none_hides_the_active_span(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_active_span("outer") as outer:
        with tracer.scope_manager.activate(None, True):  # type: ignore[arg-type]
            assert tracer.active_span is None
            assert trace.get_current_span().get_span_context().is_valid is False
            tracer.start_span("root").finish()
        assert tracer.active_span is outer.span
    assert [(span.name, span.parent) for span in exporter.get_finished_spans()] == [("root", None), ("outer", None)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: opentracing.Span(opentracing.Tracer(), opentracing.SpanContext()),
        lambda: opentracing.Tracer().start_span("x"),
        lambda: MagicMock(spec=opentracing.Span),
    ],
    ids=["base-span", "noop-span", "mock"],
)
def test_foreign_span_is_active_as_it_is(tracer: BridgeTracer, make: Callable[[], Any]) -> None:
    foreign = make()
    with tracer.scope_manager.activate(foreign, True) as scope:
        assert tracer.scope_manager.active is scope
        assert tracer.active_span is foreign
        tracer.start_span("child").finish()
    assert tracer.active_span is None


@pytest.mark.parametrize("thing", ["text", 5, object()], ids=shown)
def test_activating_what_is_no_span_never_raises(tracer: BridgeTracer, thing: Any) -> None:
    tracer.scope_manager.activate(thing, True).close()
    assert tracer.active_span is None


# --- closed twice, out of order


def test_scope_closed_twice_finishes_once(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    scope = tracer.start_active_span("op")
    scope.close()
    scope.close()
    assert (tracer.active_span, names(exporter)) == (None, ["op"])


def test_second_close_leaves_a_later_scope_alone(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    first = tracer.start_active_span("first")
    first.close()
    with tracer.start_active_span("second") as second:
        first.close()
        assert tracer.scope_manager.active is second
    assert names(exporter) == ["first", "second"]


def test_close_inside_the_with_block_is_enough(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_active_span("outer") as outer:
        with tracer.start_active_span("inner") as inner:
            inner.close()
            assert tracer.scope_manager.active is outer
        assert tracer.scope_manager.active is outer
    assert names(exporter) == ["inner", "outer"]


def test_parent_closed_before_its_child_waits_for_it(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    parent = tracer.start_active_span("parent")
    child = tracer.start_active_span("child")
    parent.close()
    assert (tracer.scope_manager.active, names(exporter)) == (child, [])
    child.close()
    assert (tracer.scope_manager.active, names(exporter)) == (None, ["child", "parent"])
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_waiting_parent_that_does_not_finish_is_only_left(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    parent = tracer.start_active_span("parent", finish_on_close=False)
    child = tracer.start_active_span("child")
    parent.close()
    child.close()
    assert (tracer.active_span, names(exporter)) == (None, ["child"])


def test_three_scopes_closed_from_the_outside_in(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    scopes = [tracer.start_active_span(name) for name in ("a", "b", "c")]
    scopes[0].close()
    scopes[1].close()
    assert (tracer.scope_manager.active, names(exporter)) == (scopes[2], [])
    scopes[2].close()
    assert (tracer.active_span, sorted(names(exporter))) == (None, ["a", "b", "c"])


def test_thousand_overlapping_scopes_closed_in_the_order_of_their_opening(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    scopes = [tracer.start_active_span(str(number), ignore_active_span=True) for number in range(1000)]
    for scope in scopes:
        scope.close()
    assert (tracer.active_span, trace.get_current_span()) == (None, trace.INVALID_SPAN)
    assert sorted(map(int, names(exporter))) == list(range(1000))


def test_middle_scope_closed_first_gives_the_outer_one_back(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    outer = tracer.start_active_span("outer")
    middle = tracer.start_active_span("middle")
    inner = tracer.start_active_span("inner")
    middle.close()
    inner.close()
    assert (tracer.scope_manager.active, sorted(names(exporter))) == (outer, ["inner", "middle"])
    outer.close()
    assert tracer.active_span is None


def test_siblings_opened_by_callbacks_and_closed_in_their_order(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    first = tracer.start_active_span("first", ignore_active_span=True)
    second = tracer.start_active_span("second", ignore_active_span=True)
    first.close()
    first.close()
    second.close()
    second.close()
    assert (tracer.active_span, sorted(names(exporter))) == (None, ["first", "second"])


def test_scope_that_is_never_closed_ends_with_its_context(tracer: BridgeTracer) -> None:
    contextvars.copy_context().run(tracer.start_active_span, "forgotten")
    gc.collect()
    assert tracer.active_span is None
    assert trace.get_current_span() is trace.INVALID_SPAN


# --- other threads


def test_new_thread_has_no_active_span(tracer: BridgeTracer) -> None:
    with tracer.start_active_span("op"):
        assert in_thread(lambda: tracer.active_span) is None


def test_scope_closed_in_another_thread_is_finished_and_left(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    scope = tracer.start_active_span("op")
    in_thread(scope.close)
    assert (tracer.scope_manager.active, tracer.active_span, names(exporter)) == (None, None, ["op"])
    assert tracer.start_span("next").unwrap().parent is None  # type: ignore[attr-defined]
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_scope_closed_in_another_thread_gives_the_outer_one_back(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_active_span("outer") as outer:
        inner = tracer.start_active_span("inner")
        in_thread(inner.close)
        assert tracer.scope_manager.active is outer
        assert trace.get_current_span() is outer.span.unwrap()
    assert names(exporter) == ["inner", "outer"]


def test_scope_closed_in_another_thread_and_here_finishes_once(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    scope = tracer.start_active_span("op")
    in_thread(scope.close)
    scope.close()
    assert (tracer.active_span, names(exporter)) == (None, ["op"])


def test_parent_that_waits_for_a_child_closed_in_another_thread_is_closed_with_it(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    parent, child = tracer.start_active_span("parent"), tracer.start_active_span("child")
    parent.close()
    in_thread(child.close)
    assert (tracer.active_span, names(exporter)) == (None, ["child", "parent"])
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_scopes_closed_out_of_order_after_one_inside_was_closed_in_another_thread(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    outer, middle, inner = (tracer.start_active_span(name) for name in ("outer", "middle", "inner"))
    in_thread(inner.close)
    outer.close()
    middle.close()
    assert (tracer.active_span, sorted(names(exporter))) == (None, ["inner", "middle", "outer"])
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_scope_opened_after_one_was_closed_in_another_thread_closes_out_of_order_too(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    outer, dead = tracer.start_active_span("outer"), tracer.start_active_span("dead")
    in_thread(dead.close)
    inner = tracer.start_active_span("inner")
    outer.close()
    inner.close()
    assert (tracer.active_span, sorted(names(exporter))) == (None, ["dead", "inner", "outer"])
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_parent_that_waits_in_a_task_that_is_over_is_closed_with_its_child(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    def task() -> opentracing.Scope:
        parent, child = tracer.start_active_span("parent"), tracer.start_active_span("child")
        parent.close()
        return child

    contextvars.copy_context().run(task).close()
    assert names(exporter) == ["child", "parent"]


def test_task_that_inherited_a_waiting_scope_does_not_close_it(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    parent = tracer.start_active_span("parent")
    task = contextvars.copy_context()
    child = tracer.start_active_span("child")
    parent.close()
    assert task.run(lambda: tracer.active_span) is parent.span
    task.run(lambda: tracer.start_active_span("in task").close())
    assert (tracer.scope_manager.active, names(exporter)) == (child, ["in task"])
    child.close()
    assert names(exporter) == ["in task", "child", "parent"]


def test_task_that_inherited_a_waiting_scope_keeps_its_native_span(tracer: BridgeTracer) -> None:
    def task() -> tuple[bool, bool]:
        with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1, 2, True))) as native:
            active: Any = tracer.active_span
            return active is not None and active.unwrap() is native, trace.get_current_span() is native

    parent = tracer.start_active_span("parent")
    context = contextvars.copy_context()
    child = tracer.start_active_span("child")
    parent.close()
    assert context.run(task) == (True, True)
    child.close()
    assert tracer.active_span is None


def test_span_can_be_active_in_two_threads(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    def work() -> bool:
        with tracer.scope_manager.activate(scope.span, False):
            return tracer.active_span is scope.span

    with tracer.start_active_span("op") as scope:
        assert in_thread(work)
        assert names(exporter) == []


def test_threads_do_not_disturb_each_other(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    barrier = threading.Barrier(6)
    wrong: list[str] = []

    def work(worker: int) -> None:
        barrier.wait()
        for number in range(50):
            with tracer.start_active_span(f"{worker}-{number}") as scope:
                with tracer.start_active_span("child") as child:
                    if child.span.unwrap().parent.span_id != scope.span.context.span_id:  # type: ignore[attr-defined]
                        wrong.append(f"{worker}-{number}")
                if tracer.active_span is not scope.span:
                    wrong.append(f"{worker}-{number}")
        if tracer.active_span is not None:
            wrong.append(str(worker))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(exporter.get_finished_spans()) == 600


# --- asyncio


def test_task_inherits_the_active_span(tracer: BridgeTracer) -> None:
    async def child() -> opentracing.Span | None:
        return tracer.active_span

    async def main() -> bool:
        with tracer.start_active_span("op") as scope:
            return await asyncio.create_task(child()) is scope.span

    assert asyncio.run(main())


def test_scope_opened_in_a_task_stays_in_it(tracer: BridgeTracer) -> None:
    async def child() -> None:
        tracer.start_active_span("left open")
        await asyncio.sleep(0)

    async def main() -> bool:
        with tracer.start_active_span("op") as scope:
            await asyncio.create_task(child())
            return tracer.active_span is scope.span and trace.get_current_span() is scope.span.unwrap()

    assert asyncio.run(main())


def test_interleaved_tasks_do_not_disturb_each_other(tracer: BridgeTracer) -> None:
    async def work(name: str) -> list[bool]:
        seen = []
        with tracer.start_active_span(name) as scope:
            for _ in range(5):
                await asyncio.sleep(0)
                with tracer.start_active_span("step") as step:
                    await asyncio.sleep(0)
                    seen.append(tracer.active_span is step.span)
                seen.append(tracer.active_span is scope.span)
        return seen

    async def main() -> list[list[bool]]:
        with tracer.start_active_span("server"):
            return await asyncio.gather(*(work(str(number)) for number in range(5)))

    assert all(all(seen) for seen in asyncio.run(main()))


def test_scope_closed_in_another_task_is_finished_and_left(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    async def close(scope: opentracing.Scope) -> None:
        scope.close()

    async def main() -> None:
        scope = tracer.start_active_span("op")
        await asyncio.create_task(close(scope))
        assert (tracer.scope_manager.active, names(exporter)) == (None, ["op"])
        assert tracer.start_span("next").unwrap().parent is None  # type: ignore[attr-defined]

    asyncio.run(main())


def test_task_that_outlives_the_scope_it_inherited_stays_in_its_trace(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    async def late(closed: asyncio.Event) -> None:
        await closed.wait()
        with tracer.start_active_span("late"):
            await asyncio.sleep(0)

    async def main() -> None:
        closed = asyncio.Event()
        with tracer.start_active_span("op"):
            task = asyncio.create_task(late(closed))
            await asyncio.sleep(0)
        closed.set()
        await task

    asyncio.run(main())
    op, found = exporter.get_finished_spans()
    assert found.parent is not None
    assert (op.name, found.name, found.parent.span_id) == ("op", "late", op.context.span_id)


def test_to_thread_inherits_the_active_span(tracer: BridgeTracer) -> None:
    async def main() -> bool:
        with tracer.start_active_span("op") as scope:
            return await asyncio.to_thread(lambda: tracer.active_span) is scope.span

    assert asyncio.run(main())


def test_callback_inherits_the_active_span(tracer: BridgeTracer) -> None:
    async def main() -> bool:
        found: asyncio.Future[opentracing.Span | None] = asyncio.get_running_loop().create_future()
        with tracer.start_active_span("op") as scope:
            asyncio.get_running_loop().call_soon(lambda: found.set_result(tracer.active_span))
            return await found is scope.span

    assert asyncio.run(main())


# --- generators: their scope is opened in one context and closed wherever they end


def test_scope_in_a_contextmanager(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    @contextmanager
    def operation() -> Iterator[opentracing.Span]:
        with tracer.start_active_span("op") as scope:
            yield scope.span

    with operation() as span:
        assert tracer.active_span is span
    assert (tracer.active_span, names(exporter)) == (None, ["op"])


def test_generator_closed_in_another_context(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    def steps() -> Iterator[int]:
        with tracer.start_active_span("op"):
            yield 1

    generator = steps()
    contextvars.copy_context().run(next, generator)
    generator.close()  # type: ignore[attr-defined]
    assert (tracer.active_span, names(exporter)) == (None, ["op"])


def test_generator_left_to_the_collector(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    def steps() -> Iterator[int]:
        with tracer.start_active_span("op"):
            yield 1

    generator = steps()
    next(generator)
    del generator
    gc.collect()
    assert (tracer.active_span, names(exporter)) == (None, ["op"])
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_async_generator_that_is_broken_off(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    async def steps() -> AsyncIterator[int]:
        with tracer.start_active_span("op"):
            yield 1
            yield 2

    async def main() -> None:
        async for _ in steps():
            break

    asyncio.run(main())
    assert names(exporter) == ["op"]


def test_two_generators_with_scopes_advanced_in_turns(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    def steps(name: str) -> Iterator[int]:
        with tracer.start_active_span(name):
            yield from range(3)

    assert list(zip(steps("a"), steps("b"), strict=True)) == [(0, 0), (1, 1), (2, 2)]
    gc.collect()
    assert (tracer.active_span, sorted(names(exporter))) == (None, ["a", "b"])


def test_native_code_that_leaves_first_takes_the_scope_inside_it_along(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    before = otel_context.get_current()
    token = otel_context.attach(otel_context.set_value("native", "there"))
    scope = tracer.start_active_span("op")
    otel_context.detach(token)
    assert (tracer.scope_manager.active, tracer.active_span) == (None, None)
    assert tracer.start_span("next").parent_id is None
    scope.close()
    assert [span.name for span in exporter.get_finished_spans()] == ["op"]
    assert otel_context.get_current() == before
