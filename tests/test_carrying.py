"""in_context and ContextExecutor: what they carry, what they leave, and what may be carried."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import logging
import pickle
import threading
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import baggage as otel_baggage
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing.scope_managers import ThreadLocalScopeManager
from opentracing.scope_managers.contextvars import ContextVarsScopeManager, no_parent_scope

from ot_bridge import BridgeTracer, ContextExecutor, Settings, in_context, telemetry


@pytest.fixture(autouse=True)
def _no_error_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    errors = [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    assert errors == []


@pytest.fixture(params=[None, ThreadLocalScopeManager], ids=["own-manager", "given-manager"])
def both(request: pytest.FixtureRequest, provider: TracerProvider) -> BridgeTracer:
    """A tracer with the bridge's own scope manager, and one with a manager that was given."""
    return BridgeTracer(provider, scope_manager=request.param and request.param())


def in_thread(function: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result(10)


def parents(exporter: InMemorySpanExporter) -> dict[str, str | None]:
    """Return the name of each span's parent."""
    spans = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans if span.context}
    return {span.name: names.get(span.parent.span_id) if span.parent else None for span in spans}


def active(tracer: BridgeTracer) -> tuple[Any, Any, dict[str, Any]]:
    """Return the active span in each API, and the baggage."""
    span = tracer.active_span
    current = trace.get_current_span()
    return (
        span and span.unwrap(),
        current if current.get_span_context().is_valid else None,
        dict(otel_baggage.get_all()),
    )


# --- what is carried


def test_span_and_baggage_are_active_in_both_apis_and_nothing_is_afterwards(both: BridgeTracer) -> None:
    with both.start_active_span("op") as scope:
        scope.span.set_baggage_item("k", "v")
        carried = in_context(lambda: active(both))
    otel_span = scope.span.unwrap()
    assert in_thread(lambda: [carried(), carried(), active(both)]) == [
        (otel_span, otel_span, {"k": "v"}),
        (otel_span, otel_span, {"k": "v"}),
        (None, None, {}),
    ]


def test_where_another_span_is_active_it_is_so_again_afterwards(both: BridgeTracer) -> None:
    with both.start_active_span("first") as first:
        carried = in_context(lambda: active(both))
    with both.start_active_span("second") as second:
        assert carried() == (first.span.unwrap(), first.span.unwrap(), {})
        assert active(both) == (second.span.unwrap(), second.span.unwrap(), {})


def test_nothing_active_is_carried_too(both: BridgeTracer) -> None:
    carried = in_context(lambda: active(both)[1:])
    with both.start_active_span("op"):
        assert carried() == (None, {})


def test_native_span_is_carried(both: BridgeTracer, provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    with provider.get_tracer("native").start_as_current_span("native"):
        carried = in_context(lambda: both.start_span("child").finish())
    in_thread(carried)
    assert parents(exporter) == {"native": None, "child": "native"}


def test_native_span_in_a_span_of_the_bridge_is_carried(
    both: BridgeTracer, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with both.start_active_span("outer"), provider.get_tracer("native").start_as_current_span("native") as native:
        carried = in_context(lambda: (active(both)[:2], both.start_span("child").finish()))
    assert in_thread(carried)[0] == (native, native)
    assert parents(exporter) == {"outer": None, "native": "outer", "child": "native"}


def test_baggage_of_opentelemetrys_api_is_carried(both: BridgeTracer) -> None:
    with both.start_active_span("op") as scope:
        scope.span.set_baggage_item("a", "1")
        token = otel_context.attach(otel_baggage.set_baggage("b", "2"))
        carried = in_context(lambda: (active(both), dict(both.start_span("child").context.baggage)))
        otel_context.detach(token)
    otel_span, items = scope.span.unwrap(), {"a": "1", "b": "2"}
    assert in_thread(carried) == ((otel_span, otel_span, items), items)


def test_baggage_without_a_span_and_other_values_are_carried(both: BridgeTracer) -> None:
    key = otel_context.create_key("mine")
    token = otel_context.attach(otel_context.set_value(key, "value", otel_baggage.set_baggage("k", "v")))
    carried = in_context(lambda: (otel_baggage.get_baggage("k"), otel_context.get_value(key)))
    otel_context.detach(token)
    assert in_thread(carried) == ("v", "value")


def test_baggage_set_later_on_the_span_is_seen(both: BridgeTracer) -> None:
    with both.start_active_span("op") as scope:
        carried = in_context(lambda: active(both)[2])
        scope.span.set_baggage_item("k", "v")
    assert in_thread(carried) == {"k": "v"}


def test_active_spans_of_two_tracers_are_carried(provider: TracerProvider) -> None:
    first, second = BridgeTracer(provider), BridgeTracer(provider, scope_manager=ThreadLocalScopeManager())
    third = BridgeTracer(provider)
    with first.start_active_span("a") as a, second.start_active_span("b") as b:
        carried = in_context(lambda: (first.active_span, second.active_span, third.active_span, active(first)[1]))
    assert in_thread(carried) == (a.span, b.span, None, b.span.unwrap())


def test_span_that_no_sampler_took_is_carried(both: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with both.start_active_span("op", tags={"sampling.priority": 0}) as scope:
        carried = in_context(lambda: both.start_span("child").context.trace_id)
    assert in_thread(carried) == scope.span.context.trace_id
    assert exporter.get_finished_spans() == ()


def test_spans_of_no_provider_and_of_the_meter_are_carried(provider: TracerProvider) -> None:
    for tracer in (BridgeTracer(trace.NoOpTracerProvider()), BridgeTracer(provider, settings=Settings(meter=True))):
        with tracer.start_active_span("op") as scope:
            scope.span.set_baggage_item("k", "v")
            carried = in_context(lambda tracer=tracer: tracer.active_span.get_baggage_item("k"))
        assert in_thread(carried) == "v"


def test_span_that_the_given_manager_hides_is_not_carried(provider: TracerProvider) -> None:
    tracer = BridgeTracer(provider, scope_manager=ContextVarsScopeManager())
    with tracer.start_active_span("op"), no_parent_scope():
        carried = in_context(lambda: (tracer.active_span, tracer.start_span("root")._parent))
    assert in_thread(carried) == (None, None)


# --- scopes that were closed meanwhile, left open, or closed inside


def test_span_is_a_parent_though_its_scope_was_closed_in_another_thread(
    both: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    scope = both.start_active_span("op")
    carried = in_context(lambda: both.start_span("child").finish())
    in_thread(scope.close)
    in_thread(carried)
    assert both.active_span is None
    carried()  # also where it was opened
    assert parents(exporter) == {"op": None, "child": "op"}


def test_span_is_neither_finished_nor_closed_elsewhere_by_it(
    both: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with both.start_active_span("op"):
        in_thread(in_context(int))
        assert exporter.get_finished_spans() == ()
    assert telemetry.snapshot() == {}


@pytest.mark.parametrize("error", [ValueError, SystemExit, GeneratorExit])
def test_exception_comes_through_and_leaves_nothing(both: BridgeTracer, error: type[BaseException]) -> None:
    def fail() -> None:
        raise error("boom")

    with both.start_active_span("op"):
        carried = in_context(fail)
    with pytest.raises(error, match="boom"):
        carried()
    assert active(both) == (None, None, {})


def test_interrupt_on_the_way_in_leaves_nothing(provider: TracerProvider) -> None:
    class Interrupted(ThreadLocalScopeManager):
        def activate(self, span: Any, finish_on_close: bool) -> Any:
            if threading.current_thread() is not threading.main_thread():
                raise KeyboardInterrupt
            return super().activate(span, finish_on_close)

    outer = BridgeTracer(provider, scope_manager=ThreadLocalScopeManager())
    inner = BridgeTracer(provider, scope_manager=Interrupted())
    with outer.start_active_span("outer"), inner.start_active_span("inner"):
        carried = in_context(int)

    def thread() -> Any:
        with pytest.raises(KeyboardInterrupt):
            carried()
        return active(outer)

    assert in_thread(thread) == (None, None, {})


def test_scope_left_open_inside_is_not_active_afterwards(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_active_span("op"):
        carried = in_context(lambda: tracer.start_active_span("left"))

    def thread() -> list[Any]:
        left = carried()
        seen = [active(tracer)]
        left.close()
        return [*seen, active(tracer)]

    assert in_thread(thread) == [(None, None, {})] * 2
    assert parents(exporter) == {"op": None, "left": "op"}


def test_active_scope_closed_inside_is_not_finished(both: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    def close() -> Any:
        both.scope_manager.active.close()
        return active(both)

    with both.start_active_span("op") as scope:
        assert in_thread(in_context(close)) == (None, None, {})
        assert exporter.get_finished_spans() == ()
        assert both.active_span is scope.span
    assert parents(exporter) == {"op": None}


def test_nested_carriers_restore_each_other(both: BridgeTracer) -> None:
    with both.start_active_span("a") as a:
        inner = in_context(lambda: both.active_span)
    with both.start_active_span("b") as b:
        outer = in_context(lambda: [both.active_span, inner(), both.active_span])
    assert in_thread(outer) == [b.span, a.span, b.span]


def test_one_carrier_runs_in_many_threads_at_the_same_time(both: BridgeTracer) -> None:
    together = threading.Barrier(8)

    def work() -> tuple[Any, Any]:
        together.wait(10)
        with both.start_active_span("work") as scope:
            together.wait(10)
            seen = both.active_span is scope.span
        together.wait(10)
        return seen, both.active_span

    with ThreadPoolExecutor(8) as pool:
        with both.start_active_span("op") as scope:
            carried = in_context(work)
        found = [job.result(10) for job in [pool.submit(carried) for _ in range(8)]]
        assert found == [(True, scope.span)] * 8
        assert list(pool.map(lambda _: active(both), range(8))) == [(None, None, {})] * 8


# --- what may be carried


@types.coroutine
def pause() -> Generator[None, None, None]:
    """Wait without a loop."""
    yield


class Service:
    """Has functions of each kind."""

    def __init__(self, tracer: BridgeTracer) -> None:
        self.tracer = tracer

    def method(self, number: int = 0) -> Any:
        """Say what is active."""
        return self.tracer.active_span

    async def coroutine(self, number: int = 0) -> Any:
        """Say what is active, after a while."""
        await asyncio.sleep(0)
        return self.tracer.active_span

    def __call__(self, number: int = 0) -> Any:
        return self.tracer.active_span

    async def waits(self) -> None:
        await pause()


class AsyncCallable(Service):
    """Is called like a coroutine function."""

    async def __call__(self, number: int = 0) -> Any:
        await asyncio.sleep(0)
        return self.tracer.active_span


CALLABLES: dict[str, Callable[[Service], Callable[..., Any]]] = {
    "method": lambda service: service.method,
    "partial": lambda service: functools.partial(service.method, number=2),
    "lambda": lambda service: lambda number: service.method(),
    "object": lambda service: service,
    "coroutine": lambda service: service.coroutine,
    "partial of a coroutine": lambda service: functools.partial(service.coroutine),
    "object with a coroutine": lambda service: AsyncCallable(service.tracer),
    "function that returns a coroutine": lambda service: lambda number: service.coroutine(number),
}


@pytest.mark.parametrize("made", CALLABLES.values(), ids=CALLABLES.keys())
def test_every_kind_of_callable_is_carried(both: BridgeTracer, made: Callable[[Service], Callable[..., Any]]) -> None:
    function = made(Service(both))
    with both.start_active_span("op") as scope:
        carried = in_context(function)

    async def main() -> list[Any]:
        result = carried(number=1)
        return [await result if inspect.iscoroutine(result) else result, both.active_span]

    assert asyncio.run(main()) == [scope.span, None]


def test_name_docstring_signature_and_attributes_are_kept(tracer: BridgeTracer) -> None:
    service = Service(tracer)
    service.method.__func__.retries = 3  # type: ignore[attr-defined]
    for function in (service.method, service.coroutine):
        carried: Any = in_context(function)
        assert (carried.__name__, carried.__doc__, carried.__qualname__, carried.__module__) == (
            function.__name__,
            function.__doc__,
            function.__qualname__,
            function.__module__,
        )
        assert inspect.signature(carried) == inspect.signature(function)
        assert carried.__wrapped__ == function
        assert inspect.iscoroutinefunction(carried) == inspect.iscoroutinefunction(function)
    assert in_context(service.method).retries == 3  # type: ignore[attr-defined]
    assert "Service.method" in repr(in_context(service.method))


def test_carrier_in_a_class_is_a_method(tracer: BridgeTracer) -> None:
    with tracer.start_active_span("op") as scope:

        class Derived(Service):
            carried = in_context(Service.method)

    assert Derived(tracer).carried() is scope.span
    assert Derived.carried(Derived(tracer)) is scope.span


def test_coroutine_that_is_closed_in_another_context_leaves_nothing(both: BridgeTracer) -> None:
    with both.start_active_span("op"):
        carried = in_context(Service(both).waits)
    coroutine: Coroutine[Any, Any, None] = carried()
    contextvars.copy_context().run(coroutine.send, None)
    coroutine.close()
    assert active(both) == (None, None, {})


def test_coroutine_that_is_closed_in_a_copy_of_its_context_leaves_what_was_before(tracer: BridgeTracer) -> None:
    with tracer.start_active_span("op"):
        coroutine: Coroutine[Any, Any, None] = in_context(Service(tracer).waits)()

    def start() -> Any:
        span = tracer.start_active_span("before").span
        coroutine.send(None)
        return span

    def close() -> Any:
        coroutine.close()
        return active(tracer)[:2]

    context = contextvars.copy_context()
    span = context.run(start)
    assert context.copy().run(close) == (span.unwrap(), span.unwrap())


def test_what_cannot_be_called_fails_when_it_is_called() -> None:
    carried: Any = in_context(5)  # type: ignore[type-var]
    with pytest.raises(TypeError, match="not callable"):
        carried()


def test_pickled_carrier_has_ids_and_baggage_of_the_innermost(both: BridgeTracer, provider: TracerProvider) -> None:
    with both.start_active_span("op") as scope:
        scope.span.set_baggage_item("k", "v")
        carried = in_context(_ids)
        with provider.get_tracer("native").start_as_current_span("native") as native:
            natively = in_context(_ids)
    ids = scope.span.context
    assert pickle.loads(pickle.dumps(carried))() == (ids.trace_id, ids.span_id, True, {"k": "v"})
    native_ids = native.get_span_context()
    assert pickle.loads(pickle.dumps(natively))() == (ids.trace_id, native_ids.span_id, True, {"k": "v"})
    assert pickle.loads(pickle.dumps(in_context(_ids)))() == (0, 0, False, {})


def _ids() -> tuple[int, int, bool, dict[str, Any]]:
    found = trace.get_current_span().get_span_context()
    return found.trace_id, found.span_id, found.is_remote, dict(otel_baggage.get_all())


# --- the executor


def test_executor_is_what_it_wraps_in_all_else() -> None:
    inner = ThreadPoolExecutor(1, thread_name_prefix="shop")
    with ContextExecutor(inner) as pool:
        assert isinstance(pool, ThreadPoolExecutor)
        assert isinstance(pool, ContextExecutor)
        assert pool._max_workers == 1  # type: ignore[attr-defined]
        assert pool.submit(lambda: threading.current_thread().name).result(10).startswith("shop")
        assert list(pool.map(pow, [2, 3], [3, 2], timeout=10)) == [8, 9]
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            pool.nothing  # noqa: B018
    with pytest.raises(RuntimeError, match="shutdown"):
        inner.submit(int)


def test_executor_shuts_down_with_the_options_of_its_class() -> None:
    pool = ContextExecutor(ThreadPoolExecutor(1))
    started, go_on = threading.Event(), threading.Event()
    running = pool.submit(lambda: (started.set(), go_on.wait(10)))
    assert started.wait(10)
    waiting: Future[int] = pool.submit(int)
    pool.shutdown(wait=False, cancel_futures=True)
    go_on.set()
    assert (running.result(10)[1], waiting.cancelled()) == (True, True)


def test_executor_passes_on_arguments_that_are_called_as_its_own() -> None:
    with ContextExecutor(ThreadPoolExecutor(1)) as pool:
        assert pool.submit(dict, fn=1, self=2).result(10) == {"fn": 1, "self": 2}


def test_executor_of_another_make_is_given_the_carried_function(both: BridgeTracer) -> None:
    class Late(Executor):
        def __init__(self) -> None:
            self.jobs: list[Callable[[], Any]] = []

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            self.jobs.append(lambda: fn(*args, **kwargs))
            return Future()

    late = Late()
    pool = ContextExecutor(late)
    for name in ("a", "b"):
        with both.start_active_span(name):
            pool.submit(lambda: both.active_span.operation_name)
    assert [job() for job in late.jobs] == ["a", "b"]
