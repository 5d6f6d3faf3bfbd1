"""The stand-in for tornado.stack_context: with it OpenTracing's tornado code imports on tornado 6, and is harmless."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import opentracing.scope_managers
import pytest

from ot_bridge import BridgeTracer, stack_context

tornado: Any = pytest.importorskip("tornado", reason="needs tornado: make .venv")
if tornado.version_info < (6,):
    pytest.skip("tornado has its own", allow_module_level=True)


OPENTRACINGS = "opentracing.scope_managers.tornado"


@pytest.fixture(autouse=True)
def _put_back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave tornado and OpenTracing as they were: other tests hold that they do not go together."""
    monkeypatch.setitem(sys.modules, stack_context.NAME, None)
    monkeypatch.setattr(tornado, "stack_context", None, raising=False)
    before = sys.modules.pop(OPENTRACINGS, None)
    yield
    sys.modules.pop(OPENTRACINGS, None)
    vars(opentracing.scope_managers).pop("tornado", None)
    if before is not None:
        sys.modules[OPENTRACINGS] = before


def run(program: str) -> str:
    """Run a program in a process of its own and return what it prints."""
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_opentracings_tornado_code_imports_after_provide_alone() -> None:
    said = run("""
        import opentracing
        from ot_bridge import stack_context
        try:
            import opentracing.scope_managers.tornado
        except ModuleNotFoundError as error:
            print(error.name)
        print(stack_context.provide(), stack_context.provide())
        import opentracing.scope_managers.tornado
        import tornado.stack_context
        print(tornado.stack_context is stack_context)
    """)
    assert said.split() == ["tornado.stack_context", "True", "True", "True"]


def test_a_tornado_with_its_own_keeps_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, stack_context.NAME, tornado)
    assert not stack_context.provide()


def test_without_tornado_nothing_happens() -> None:
    said = run("""
        import sys
        sys.modules["tornado"] = None
        from ot_bridge import stack_context
        print(stack_context.provide(), "tornado.stack_context" in sys.modules)
    """)
    assert said.split() == ["False", "False"]


def test_importing_it_does_not_import_tornado() -> None:
    assert run("import sys, ot_bridge.stack_context; print('tornado' in sys.modules)").split() == ["False"]


def test_active_span_follows_coroutines_in_a_stack_context(tracer: BridgeTracer) -> None:
    manager = tracer_stack_context()

    async def work(name: str) -> tuple[str, Any]:
        with manager() as deactivate, tracer.start_active_span(name) as scope:
            await asyncio.sleep(0)
            deactivate()
            return name, tracer.active_span is scope.span

    async def both() -> list[tuple[str, Any]]:
        return await asyncio.gather(work("a"), work("b"))

    assert asyncio.run(both()) == [("a", True), ("b", True)]


def test_threads_at_the_same_time_enter_and_leave(tracer: BridgeTracer) -> None:
    context = tracer_stack_context()()

    def work(_: int) -> None:
        with context:
            pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(100)))


def test_wrapped_function_sees_what_was_active_in_each_thread(tracer: BridgeTracer) -> None:
    with tracer.start_active_span("work") as scope:
        seen = stack_context.wrap(lambda: tracer.active_span)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: seen(), range(20)))
    assert all(span is scope.span for span in found)
    assert tracer.active_span is None


def test_null_context_is_entered_and_left() -> None:
    with stack_context.NullContext() as nothing:
        assert nothing is None


def tracer_stack_context() -> Any:
    """Return OpenTracing's function of that name."""
    sys.modules.pop(stack_context.NAME)
    assert stack_context.provide()
    from opentracing.scope_managers.tornado import tracer_stack_context

    return tracer_stack_context
