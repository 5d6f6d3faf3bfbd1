"""A scope manager that the application gives: it is honoured, and OpenTelemetry's context is kept in step with it."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator

import opentracing
import pytest
from opentelemetry import baggage as otel_baggage
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing import ScopeManager
from opentracing.harness.scope_check import ScopeCompatibilityCheckMixin
from opentracing.scope_managers import ThreadLocalScopeManager
from opentracing.scope_managers.asyncio import AsyncioScopeManager
from opentracing.scope_managers.contextvars import ContextVarsScopeManager, no_parent_scope

from ot_bridge import BridgeTracer


class OwnScopeManager(ScopeManager):
    """The simplest manager that an application could write: one stack for the whole process."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[opentracing.Scope] = []

    def activate(self, span: opentracing.Span, finish_on_close: bool) -> opentracing.Scope:
        scope = _OwnScope(self, span, finish_on_close)
        self.stack.append(scope)
        return scope

    @property
    def active(self) -> opentracing.Scope | None:  # type: ignore[override]
        return self.stack[-1] if self.stack else None


class _OwnScope(opentracing.Scope):
    def __init__(self, manager: OwnScopeManager, span: opentracing.Span, finish_on_close: bool) -> None:
        super().__init__(manager, span)
        self.own = manager
        self.finish_on_close = finish_on_close

    def close(self) -> None:
        if self in self.own.stack:
            self.own.stack.remove(self)
            if self.finish_on_close:
                self.span.finish()


GIVEN: dict[str, Callable[[], ScopeManager]] = {
    "thread-local": ThreadLocalScopeManager,
    "contextvars": ContextVarsScopeManager,
    "asyncio": AsyncioScopeManager,
    "own": OwnScopeManager,
}


@pytest.fixture(params=GIVEN.values(), ids=GIVEN.keys())
def given(request: pytest.FixtureRequest) -> Iterator[ScopeManager]:
    """The application's own manager, with an event loop in reach: AsyncioScopeManager makes one where it finds none."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield request.param()
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture
def bridged(provider: TracerProvider, given: ScopeManager) -> BridgeTracer:
    """A tracer that was given it."""
    return BridgeTracer(provider, scope_manager=given)


@pytest.fixture(autouse=True)
def _no_error_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    errors = [record.getMessage() for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    assert errors == []


def names(exporter: InMemorySpanExporter) -> list[str]:
    return [span.name for span in exporter.get_finished_spans()]


def current() -> trace.Span:
    return trace.get_current_span()


# --- honoured


def test_manager_keeps_its_class(bridged: BridgeTracer, given: ScopeManager) -> None:
    assert isinstance(bridged.scope_manager, type(given))


def test_given_manager_knows_what_the_tracer_activated(bridged: BridgeTracer, given: ScopeManager) -> None:
    with bridged.start_active_span("op") as scope:
        assert given.active is not None
        assert given.active.span is scope.span
    assert given.active is None


def test_tracer_knows_what_the_given_manager_activated(
    bridged: BridgeTracer, given: ScopeManager, exporter: InMemorySpanExporter
) -> None:
    span = bridged.start_span("op")
    with given.activate(span, True):
        assert bridged.active_span is span
        bridged.start_span("child").finish()
    child, _ = exporter.get_finished_spans()
    assert child.parent is not None
    assert child.parent.span_id == span.context.span_id


def test_the_same_objects_come_back(bridged: BridgeTracer) -> None:
    with bridged.start_active_span("op") as scope:
        assert bridged.active_span is scope.span
        assert bridged.scope_manager.active is not None
        assert bridged.scope_manager.active.span is scope.span
    assert (bridged.active_span, bridged.scope_manager.active) == (None, None)


def test_nested_scopes_parent_and_unwind(bridged: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with bridged.start_active_span("outer") as outer:
        with bridged.start_active_span("inner"):
            pass
        assert bridged.active_span is outer.span
    inner_span, outer_span = exporter.get_finished_spans()
    assert inner_span.parent is not None
    assert inner_span.parent.span_id == outer_span.context.span_id


@pytest.mark.parametrize("finish_on_close", [True, False])
def test_finish_on_close(bridged: BridgeTracer, exporter: InMemorySpanExporter, finish_on_close: bool) -> None:
    bridged.start_active_span("a", finish_on_close=finish_on_close).close()
    bridged.scope_manager.activate(bridged.start_span("b"), finish_on_close).close()
    assert names(exporter) == (["a", "b"] if finish_on_close else [])


def test_exception_is_recorded_once(bridged: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="boom"), bridged.start_active_span("op"):
        raise ValueError("boom")
    (span,) = exporter.get_finished_spans()
    assert ([event.name for event in span.events], span.status.status_code.name) == (["exception"], "ERROR")
    assert bridged.active_span is None


# --- in step


def test_native_code_sees_the_active_span(bridged: BridgeTracer) -> None:
    with bridged.start_active_span("outer") as outer:
        assert current() is outer.span.unwrap()
        with bridged.scope_manager.activate(bridged.start_span("inner"), True) as inner:
            assert current() is inner.span.unwrap()
        assert current() is outer.span.unwrap()
    assert current() is trace.INVALID_SPAN


def test_native_code_sees_the_baggage(bridged: BridgeTracer) -> None:
    with bridged.start_active_span("op") as scope:
        scope.span.set_baggage_item("k", "v")
        assert otel_baggage.get_baggage("k") == "v"
    assert otel_baggage.get_all() == {}


def test_native_span_inside_is_child_and_active(
    bridged: BridgeTracer, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with bridged.start_active_span("outer"), provider.get_tracer("native").start_as_current_span("native") as native:
        assert bridged.active_span is not None
        assert bridged.active_span.unwrap() is native  # type: ignore[attr-defined]
        bridged.start_span("child").finish()
    found = {span.name: span for span in exporter.get_finished_spans()}
    assert found["child"].parent.span_id == found["native"].context.span_id  # type: ignore[union-attr]
    assert found["native"].parent.span_id == found["outer"].context.span_id  # type: ignore[union-attr]


def test_native_span_outside_is_the_parent(
    bridged: BridgeTracer, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with provider.get_tracer("native").start_as_current_span("native") as native:
        with bridged.start_active_span("bridged"):
            pass
        assert bridged.active_span.unwrap() is native  # type: ignore[union-attr]
    bridged_span, native_span = exporter.get_finished_spans()
    assert bridged_span.parent is not None
    assert bridged_span.parent.span_id == native_span.context.span_id


def test_scope_closed_twice_leaks_nothing(bridged: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    scope = bridged.start_active_span("op")
    scope.close()
    scope.close()
    assert (bridged.active_span, names(exporter)) == (None, ["op"])
    assert current() is trace.INVALID_SPAN


def test_scopes_closed_out_of_order_leak_nothing_in_the_end(bridged: BridgeTracer) -> None:
    outer = bridged.start_active_span("outer")
    inner = bridged.start_active_span("inner")
    outer.close()
    inner.close()
    outer.close()
    assert bridged.active_span is None
    assert current() is trace.INVALID_SPAN


@pytest.mark.parametrize("manager", [ThreadLocalScopeManager, ContextVarsScopeManager, OwnScopeManager])
def test_scope_closed_in_another_thread_is_finished_and_left(
    provider: TracerProvider, exporter: InMemorySpanExporter, manager: type[ScopeManager]
) -> None:
    tracer = BridgeTracer(provider, scope_manager=manager())
    with tracer.start_active_span("outer") as outer:
        inner = tracer.start_active_span("inner")
        thread = threading.Thread(target=inner.close)
        thread.start()
        thread.join()
        assert (tracer.active_span, current()) == (outer.span, outer.span.unwrap())
        assert names(exporter) == ["inner"]
    assert (tracer.active_span, current(), names(exporter)) == (None, trace.INVALID_SPAN, ["inner", "outer"])


def test_new_thread_has_no_active_span(provider: TracerProvider) -> None:
    for manager in (ThreadLocalScopeManager(), ContextVarsScopeManager()):
        tracer = BridgeTracer(provider, scope_manager=manager)
        found: list[object] = []
        with tracer.start_active_span("op"):
            thread = threading.Thread(target=lambda: found.extend([tracer.active_span, current()]))  # noqa: B023
            thread.start()
            thread.join()
        assert found == [None, trace.INVALID_SPAN]


# --- OpenTracing's own checks, over each given manager


class TestThreadLocal(ScopeCompatibilityCheckMixin):
    """The harness with a thread-local manager inside."""

    manager: type[ScopeManager] = ThreadLocalScopeManager

    @pytest.fixture(autouse=True)
    def _manager_under_check(self, provider: TracerProvider) -> Iterator[None]:
        self._manager = BridgeTracer(provider, scope_manager=type(self).manager()).scope_manager
        yield
        for _ in range(5):
            if self._manager.active is not None:
                self._manager.active.close()

    def scope_manager(self) -> ScopeManager:
        return self._manager


class TestContextVars(TestThreadLocal):
    """The same with a manager on context variables."""

    manager = ContextVarsScopeManager


# --- asyncio


def test_asyncio_manager_in_a_task(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    tracer = BridgeTracer(provider, scope_manager=AsyncioScopeManager())

    async def child(span: opentracing.Span) -> bool:
        with tracer.scope_manager.activate(span, finish_on_close=False):
            await asyncio.sleep(0)
            with tracer.start_active_span("child") as scope:
                await asyncio.sleep(0)
                return current() is scope.span.unwrap() and tracer.active_span is scope.span

    async def main() -> bool:
        with tracer.start_active_span("parent") as scope:
            seen = await asyncio.gather(child(scope.span), child(scope.span))
            return all(seen) and tracer.active_span is scope.span and current() is scope.span.unwrap()

    assert asyncio.run(main())
    *children, parent = exporter.get_finished_spans()
    assert [span.parent.span_id for span in children if span.parent] == [parent.context.span_id] * 2


def test_contextvars_manager_propagates_into_tasks(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    tracer = BridgeTracer(provider, scope_manager=ContextVarsScopeManager())

    async def child() -> None:
        with tracer.start_active_span("child") as scope:
            await asyncio.sleep(0)
            assert current() is scope.span.unwrap()

    async def main() -> None:
        with tracer.start_active_span("parent") as scope:
            await asyncio.gather(child(), child())
            assert (tracer.active_span, current()) == (scope.span, scope.span.unwrap())

    asyncio.run(main())
    *children, parent = exporter.get_finished_spans()
    assert [span.parent.span_id for span in children if span.parent] == [parent.context.span_id] * 2


def test_no_parent_scope_of_contextvars_breaks_the_propagation(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracer = BridgeTracer(provider, scope_manager=ContextVarsScopeManager())
    with tracer.start_active_span("outer"):
        with no_parent_scope():
            tracer.start_span("root").finish()
        tracer.start_span("child").finish()
    assert {span.name: span.parent is None for span in exporter.get_finished_spans()} == {
        "root": True,
        "child": False,
        "outer": True,
    }


# --- gevent and tornado

GEVENT_PROGRAM = textwrap.dedent(
    """
    from gevent import monkey
    monkey.patch_all()
    import gevent
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentracing.scope_managers.gevent import GeventScopeManager
    from ot_bridge import BridgeTracer

    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def run(tracer):
        def child(span, name):
            assert tracer.active_span is None, tracer.active_span
            with tracer.scope_manager.activate(span, finish_on_close=False):
                gevent.sleep(0)
                with tracer.start_active_span(name) as scope:
                    gevent.sleep(0)
                    assert tracer.active_span is scope.span
                    assert trace.get_current_span() is scope.span.unwrap()
                gevent.sleep(0)
                assert tracer.active_span is span
            assert tracer.active_span is None

        with tracer.start_active_span("parent") as scope:
            jobs = [gevent.spawn(child, scope.span, f"child-{n}") for n in range(3)]
            gevent.joinall(jobs, raise_error=True)
            assert tracer.active_span is scope.span
            assert trace.get_current_span() is scope.span.unwrap()
        assert tracer.active_span is None
        assert trace.get_current_span() is trace.INVALID_SPAN
        *children, parent = exporter.get_finished_spans()
        assert [c.parent.span_id for c in children] == [parent.context.span_id] * 3
        exporter.clear()

    given = BridgeTracer(provider, scope_manager=GeventScopeManager())
    assert isinstance(given.scope_manager, GeventScopeManager)
    run(given)
    run(BridgeTracer(provider))
    print("whole")
    """
)


def test_gevent_manager_and_the_bridges_own_work_on_greenlets() -> None:
    pytest.importorskip("gevent")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", GEVENT_PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("whole\n", 0), done.stderr


# Tornado 6 removed stack contexts. OpenTracing's manager for them only needs one that can be entered and left.
TORNADO_PROGRAM = textwrap.dedent(
    """
    import sys, types
    import tornado

    class StackContext:
        def __init__(self, context_factory):
            self.context_factory, self.contexts = context_factory, []

        def __enter__(self):
            context = self.context_factory()
            self.contexts.append(context)
            context.__enter__()

        def __exit__(self, *failure):
            self.contexts.pop().__exit__(*failure)

    module = types.ModuleType("tornado.stack_context")
    module.StackContext = StackContext
    sys.modules["tornado.stack_context"] = tornado.stack_context = module

    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentracing.scope_managers.tornado import TornadoScopeManager, tracer_stack_context
    from ot_bridge import BridgeTracer

    tracer = BridgeTracer(TracerProvider(), scope_manager=TornadoScopeManager())
    assert isinstance(tracer.scope_manager, TornadoScopeManager)
    with tracer_stack_context(), tracer.start_active_span("outer") as scope:
        assert tracer.active_span is scope.span
        assert trace.get_current_span() is scope.span.unwrap()
        assert tracer.start_span("child")._parent.span_id == scope.span.span_id
        with tracer_stack_context():  # another request on the same thread
            assert tracer.active_span is None
        assert tracer.active_span is scope.span
    assert tracer.active_span is None
    assert trace.get_current_span() is trace.INVALID_SPAN
    print("whole")
    """
)


def test_tornado_manager_is_honoured() -> None:
    pytest.importorskip("tornado")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TORNADO_PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.returncode) == ("whole\n", 0), done.stderr


def test_scope_that_the_manager_dropped_is_not_waited_for(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    manager = OwnScopeManager()
    tracer = BridgeTracer(provider, scope_manager=manager)
    outer = tracer.start_active_span("outer")
    dropped = [tracer.start_span(name) for name in ("dropped", "dropped inside")]
    for span in dropped:
        tracer.scope_manager.activate(span, finish_on_close=False)
    del manager.stack[1:]  # as the exit of a tornado stack context does
    outer.close()
    assert [span.name for span in exporter.get_finished_spans()] == ["outer"]
    assert not trace.get_current_span().get_span_context().is_valid
