"""Carry what is active into another thread, greenlet, pool, callback or process; Python does it for few of them.

What is carried is a picture of the moment: OpenTelemetry's Context, and for each scope manager the span that was active
for it. Where the function is called, these spans are activated anew, not finished, and left again; so the scopes of the
moment may be closed meanwhile, and a scope manager of the user's own, which looks into the thread or task, finds them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Executor, Future
from types import CoroutineType, MethodType, TracebackType
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan

from ot_bridge.baggage import texts
from ot_bridge.context import BAGGAGE_KEY, SPAN_KEY, BridgeSpanContext, attach, get_current, reset
from ot_bridge.delegation import delegating_managers
from ot_bridge.scope import (
    SCOPE_KEY,
    BridgeScope,
    BridgeScopeManager,
    ScopeContext,
    live_context,
    otel_side,
    scope_of,
    scopes_in,
)
from ot_bridge.telemetry import warn_once

__all__ = ["ContextExecutor", "in_context"]

P = ParamSpec("P")
R = TypeVar("R")


class _Moment(NamedTuple):
    """What was active when it was taken.

    Attributes:
        base: the Context below all scopes, with everything in it that is neither span nor baggage.
        spans: the active span of each scope manager, the innermost last.
        top: the Context that native code made current on top of the last scope; None where the scope was on top.
    """

    base: Context
    spans: tuple[tuple[BridgeScopeManager, Any], ...] = ()
    top: Context | None = None

    def innermost(self) -> BridgeSpanContext:
        """Return ids and baggage of what is current, for another process."""
        if self.top is None and self.spans:
            span, held = otel_side(self.spans[-1][1])
        else:
            context = self.base if self.top is None else self.top
            span, held = context.get(SPAN_KEY), context.get(BAGGAGE_KEY) or {}  # type: ignore[assignment]
        ids = BridgeSpanContext.of(INVALID_SPAN_CONTEXT if span is None else span.get_span_context())
        return BridgeSpanContext(*ids[:2], ids.is_valid, *ids[3:5], texts(held), ids.debug)


def _moment() -> _Moment:
    context = live_context()
    found: list[tuple[BridgeScopeManager, Any]] = []
    outermost: Context = context
    for scope in scopes_in(context):
        outermost = scope._prior
        manager = scope._manager
        if not any(known is manager for known, _ in found) and manager.holds(scope):
            found.append((manager, scope.span))
    for manager in delegating_managers():  # what was activated in them, past the tracer or in another Context
        if not any(known is manager for known, _ in found):
            scope = manager.active_here()
            if scope is not None:
                found.append((manager, scope.span))
    base = {key: value for key, value in context.items() if key not in (SPAN_KEY, BAGGAGE_KEY, SCOPE_KEY)}
    base.update({key: outermost[key] for key in (SPAN_KEY, BAGGAGE_KEY) if key in outermost})
    covered = type(context) is not ScopeContext and scope_of(context) is not None
    return _Moment(Context(base), tuple(reversed(found)), context if covered else None)


class _Here:
    """A block in which a moment is active; it goes back to what was before, whatever the block left open.

    Args:
        moment: what to activate.
        resumed: the Context that an earlier block of the same generator had come to.
    """

    __slots__ = ("_before", "_moment", "_scopes", "_token", "left")

    def __init__(self, moment: _Moment, resumed: Context | None = None) -> None:
        self._moment = moment
        self._scopes: list[BridgeScope] = []
        self.left = resumed

    def __enter__(self) -> None:
        moment = self._moment
        self._before = get_current()
        self._token = attach(moment.base)
        try:
            for manager, span in moment.spans:
                self._scopes.append(manager.activate(span, False))
            if self.left is not None:
                attach(self.left)
            elif moment.top is not None:
                covered = scope_of(moment.top)
                anew = [scope for scope in self._scopes if scope._manager is covered._manager]
                attach(Context({**moment.top, SCOPE_KEY: anew[0] if anew else covered}))
        except Exception:  # a scope manager of the user's
            warn_once("carry.failed", "a function is called without all of the context it carries", exc_info=True)
        except BaseException:  # the greenlet is killed
            self.__exit__(None, None, None)
            raise

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        self.left = get_current()
        try:
            reset(self._token)
        except ValueError:  # a coroutine that is closed in another context than it ran in
            if any(scope in self._scopes for scope in scopes_in(self.left)):
                attach(self._before)
        for scope in reversed(self._scopes):
            scope.let_go()


class _Carrier:
    """A callable that calls another one in the moment of its making. Pickled, it carries ids and baggage.

    A coroutine that the function returns, and the body of a generator function, run there too.
    """

    def __init__(self, function: Callable[..., Any], moment: _Moment) -> None:
        functools.update_wrapper(self, function, updated=())
        self._function = function
        self._moment = moment
        self._advance: Callable[[Any, _Moment], Any] | None = None
        if inspect.isgeneratorfunction(function):
            self._advance = _advanced
        elif inspect.isasyncgenfunction(function):
            self._advance = _advanced_async

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        with _Here(self._moment):
            result = self._function(*args, **kwargs)
        if type(result) is CoroutineType:
            return _awaited(result, self._moment)
        return result if self._advance is None else self._advance(result, self._moment)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, (self._function, self._moment.innermost())

    def __repr__(self) -> str:
        return f"<{self._function!r} in context>"


def _unpickled(function: Callable[..., Any], context: BridgeSpanContext) -> _Carrier:
    held = {BAGGAGE_KEY: context.items} if context.items else {}
    spans = {SPAN_KEY: NonRecordingSpan(context)} if context.is_valid else {}
    return _Carrier(function, _Moment(Context({**held, **spans})))


async def _awaited(coroutine: Coroutine[Any, Any, R], moment: _Moment) -> R:
    with _Here(moment):
        return await coroutine


def _advanced(generator: Generator[Any, Any, R], moment: _Moment) -> Generator[Any, Any, R]:
    here = None
    step: Callable[[], Any] = functools.partial(next, generator)
    while True:
        here = _Here(moment, None if here is None else here.left)
        with here:
            try:
                item = step()
            except StopIteration as stop:
                return cast("R", stop.value)
        try:
            received = yield item
        except GeneratorExit:
            with _Here(moment, here.left):
                generator.close()
            raise
        except BaseException as error:
            step = functools.partial(generator.throw, error)
        else:
            step = functools.partial(generator.send, received)


async def _advanced_async(generator: AsyncGenerator[Any, Any], moment: _Moment) -> AsyncGenerator[Any, Any]:
    here = None
    step: Callable[[], Any] = generator.__anext__
    while True:
        here = _Here(moment, None if here is None else here.left)
        with here:
            try:
                item = await step()
            except StopAsyncIteration:
                return
        try:
            received = yield item
        except GeneratorExit:
            with _Here(moment, here.left):
                await generator.aclose()
            raise
        except BaseException as error:
            step = functools.partial(generator.athrow, error)
        else:
            step = functools.partial(generator.asend, received)


def in_context(function: Callable[P, R]) -> Callable[P, R]:
    """Return a callable that runs ``function`` with what is active now, wherever and whenever it is called.

    Active are then the span, in both APIs and for the scope manager of each tracer, and the baggage. A span that was
    finished meanwhile is still a valid parent; it is not finished by this. Afterwards all is as it was before the call.
    The result can be called any number of times, in several threads at a time, and goes wherever a function goes: into
    threads, greenlets, pools, executors and callbacks. When it is pickled, as for a process pool, it carries ids and
    baggage, and in the other process they are active like those of a request.

    Args:
        function: any callable. For a coroutine function the result is one too; the body of a generator function runs
            with what is active now, whoever advances it.
    """
    try:
        moment = _moment()
        if not _is_coroutine_function(function):
            return cast("Callable[P, R]", _Carrier(function, moment))
    except Exception:
        warn_once("carry.failed", "a function carries no context", exc_info=True)
        return function

    @functools.wraps(function)
    async def carried(*args: P.args, **kwargs: P.kwargs) -> Any:
        with _Here(moment):
            return await cast("Any", function)(*args, **kwargs)

    return cast("Callable[P, R]", carried)


def _is_coroutine_function(function: Any) -> bool:
    if inspect.iscoroutinefunction(function):
        return True
    return not inspect.isclass(function) and inspect.iscoroutinefunction(type(function).__call__)


class ContextExecutor(Executor):
    """An executor that runs each function with what was active when it was submitted, see :func:`in_context`.

    Args:
        executor: any ``concurrent.futures.Executor``, one of processes among them. All else is asked of it,
            ``isinstance`` finds its class, and it is shut down with this one.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._executor)  # asyncio takes nothing but a ThreadPoolExecutor as the default executor

    def __getattr__(self, name: str) -> Any:
        if name == "_executor":  # of a copy that is being made
            raise AttributeError(name)
        return getattr(self._executor, name)

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run a function with what is active now."""
        return self._executor.submit(in_context(fn), *args, **kwargs)

    def map(self, fn: Callable[..., R], *iterables: Any, **options: Any) -> Iterator[R]:
        """Run a function for each item, with what is active now."""
        return self._executor.map(in_context(fn), *iterables, **options)

    def shutdown(self, *args: Any, **options: Any) -> None:
        """Shut the executor down; arguments as for its class."""
        self._executor.shutdown(*args, **options)

    def __enter__(self) -> ContextExecutor:
        self._executor.__enter__()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None:
        return self._executor.__exit__(exc_type, exc_val, exc_tb)
