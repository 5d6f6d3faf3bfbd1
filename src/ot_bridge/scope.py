"""Scopes, kept in OpenTelemetry's Context: what is active in one API is active in the other.

A scope makes a Context current in which its span, the span's live baggage and the scope itself are, and closing it goes
back to the Context that was there before. That Context holds nothing but the scope, and answers from it: to fill a dict
for each span would be a seventh of the span.

The Context is the truth about what is active. Native code that leaves its own spans in a wrong order can bring a closed
scope's Context back, and a task that outlives a request legitimately keeps it. So ``_LEFT`` tells which scopes were
closed in this very execution context while something else lay on top of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final
from weakref import ReferenceType, ref

import opentracing
from opentelemetry import trace as trace_api
from opentelemetry.context import Context, create_key
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan

from ot_bridge.baggage import live, texts
from ot_bridge.context import (
    BAGGAGE_KEY,
    SPAN_KEY,
    BridgeSpanContext,
    attach,
    foreign_context,
    get_current,
    reset,
)
from ot_bridge.dict_view import DictView
from ot_bridge.locks import fork_safe_lock
from ot_bridge.span import OWN_CLASSES, BridgeSpan, record_failure
from ot_bridge.telemetry import count, warn_once
from ot_bridge.wrapped import view_of

if TYPE_CHECKING:
    from ot_bridge.tracer import BridgeTracer

__all__ = [
    "SCOPE_KEY",
    "BridgeScope",
    "BridgeScopeManager",
    "ScopeContext",
    "live_context",
    "native_on_top",
    "otel_side",
    "scope_of",
    "scopes_in",
]

SCOPE_KEY: Final = create_key("ot-bridge-scope")
_LEFT: ContextVar[tuple[ReferenceType[BridgeScope], ...]] = ContextVar("ot_bridge_left_scopes", default=())
_lock = fork_safe_lock()  # only for scopes that are closed out of order
_new_dict: Final[Any] = dict.__new__


class ScopeContext(DictView, Context):
    """OpenTelemetry's Context while a scope is the last thing that was opened. Made by the scope only.

    Attributes:
        scope: the scope.
        rest: all else that is in the Context: of the last one below that is not a scope's.
    """

    __slots__ = ("rest", "scope")

    scope: BridgeScope
    rest: Context

    def get(self, key: str, default: Any = None) -> Any:
        if key == SPAN_KEY:
            return self.scope._otel_span
        if key == BAGGAGE_KEY:
            return self.scope.baggage
        return self.scope if key == SCOPE_KEY else self.rest.get(key, default)

    def copy(self) -> dict[str, Any]:
        return self._now()

    def _now(self) -> dict[str, Any]:
        scope = self.scope
        return {**self.rest, SPAN_KEY: scope._otel_span, BAGGAGE_KEY: scope.baggage, SCOPE_KEY: scope}


def scope_of(context: Context) -> Any:
    """Return the innermost scope of a Context, also under native spans; None without one."""
    return context.scope if type(context) is ScopeContext else context.get(SCOPE_KEY)


class BridgeScope(opentracing.Scope):
    """The time in which a span is active here. ``close`` never raises, wherever and however often it is called.

    Closed while a scope inside it is still open, it is left, and its span finished, together with that one. Closed in
    another thread or task, it finishes its span there and is no longer active where it was opened.
    """

    span: Any = None
    """The span that is active."""
    _closed: bool
    _elsewhere = False  # closed where it was not opened
    _pending = False  # asked to close, and waiting for the one inside
    _waiter: BridgeScope | None = None  # closes when this one does
    _baggage: dict[str, Any] | None = None  # of a span that is not the bridge's own

    def __init__(self, manager: BridgeScopeManager, span: Any, finish_on_close: bool) -> None:
        prior = rest = get_current()
        if type(prior) is ScopeContext and not prior.scope._closed:
            rest = prior.rest
        elif prior:
            prior = live_context()
            rest = prior.rest if type(prior) is ScopeContext else prior
        # All of them here: to read what only the class has costs three times as much.
        self._closed = False
        self._is_special = False  # has more to close than a span: it waits for another one, or is waited for
        self._manager = manager
        self._prior = prior
        if type(span) in OWN_CLASSES:
            self._otel_span: trace_api.Span = span
            self._finishes = finish_on_close
        else:
            span = manager._seen(span)
            self._otel_span, self._baggage = otel_side(span)
            self._finishes = finish_on_close and hasattr(span, "finish")
        self.span = span
        # Not kept: it holds this scope, and a cycle for each span is work for the collector.
        context: ScopeContext = _new_dict(ScopeContext)
        context.scope = self
        context.rest = rest
        self._token = attach(context)

    @property
    def manager(self) -> BridgeScopeManager:
        """The manager that made this scope."""
        return self._manager

    @property
    def baggage(self) -> dict[str, Any]:
        """What OpenTelemetry's API sees as baggage while this scope is the last thing that was opened."""
        return live(self.span) if self._baggage is None else self._baggage

    def close(self) -> None:
        """Leave the scope; finish the span when that was asked for."""
        if self._closed:
            return
        current = get_current()
        is_on_top = type(current) is ScopeContext and current.scope is self
        if not is_on_top:
            inside = self._open_inside(current)
            if self._pending or (inside is not None and self._wait_for(inside)):
                return
        self._closed = True
        try:
            if self._finishes:
                self.span.finish()
        finally:
            prior = self._prior
            if (
                is_on_top
                and not self._is_special
                and not (prior.scope._closed if type(prior) is ScopeContext else prior)
            ):
                try:
                    reset(self._token)  # the most of _leave that most scopes need
                except ValueError:
                    self._leave(current)
            else:
                self._leave(current)
                if self._is_special:
                    self._close_waiters()

    def __enter__(self) -> BridgeScope:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        """Record the exception on the span, once, and close."""
        if exc_val is not None:
            record_failure(self.span, exc_type, exc_val, exc_tb)
        self.close()

    def let_go(self) -> None:
        """Count as closed. Nothing is finished, and who opened the scope goes back to the Context before by himself."""
        self._closed = True

    def is_stale(self) -> bool:
        """Tell whether a Context that holds this scope is out of date in the place where that is asked."""
        # Who took the Context along before the scope was closed, as a task does, goes on under its span.
        return self._closed and (self._elsewhere or any(left() is self for left in _LEFT.get()))

    def _open_inside(self, current: Context) -> BridgeScope | None:
        """Return the next scope of the same manager that was opened after this one and is still open."""
        inside = None
        for scope in scopes_in(current):
            if scope is self:
                return inside
            if scope._manager is self._manager and not scope._closed:
                inside = scope
        return None

    def _wait_for(self, inside: BridgeScope) -> bool:
        """Close together with ``inside``; tell whether that is still to come."""
        count("scope.closed_out_of_order")
        with _lock:
            self._pending = self._is_special = inside._is_special = True
            inside._waiter = self
        # It may have closed meanwhile, in another thread, without having seen its waiter.
        return not (inside._closed and inside._take_waiter() is self)

    def _take_waiter(self) -> BridgeScope | None:
        with _lock:
            waiter, self._waiter = self._waiter, None
            return waiter

    def _close_waiters(self) -> None:
        # A loop: a thousand scopes that overlap are a thousand waiters.
        waiter = self._take_waiter()
        while waiter is not None:
            if not waiter._closed:
                waiter._closed = True
                try:
                    if waiter._finishes:
                        waiter.span.finish()
                except Exception:
                    warn_once("scope.failed.finish", "a span could not be finished with its scope", exc_info=True)
                waiter._leave(get_current())
            waiter = waiter._take_waiter()

    def _leave(self, current: Context) -> None:
        try:
            reset(self._token)  # which goes back, and tells whether this is where it was opened
        except ValueError:  # in another thread, task or copied context
            self._elsewhere = True
            count("scope.closed_elsewhere")
        if type(current) is not ScopeContext or current.scope is not self:
            self._leave_covered(current)
            return
        prior = self._prior
        if type(prior) is ScopeContext:
            if prior.scope._closed or self._elsewhere:
                attach(_live(prior))
        elif prior or self._elsewhere:
            attach(_live(prior))

    def _leave_covered(self, current: Context) -> None:
        """Leave, with something else on top: scopes of another manager, or what native code made current."""
        if not self._elsewhere:
            alive = [left for left in _LEFT.get() if left() is not None]
            _LEFT.set((*alive, ref(self)))
        if scope_of(current) is self:
            attach(_live(self._prior))
            return
        if not self._elsewhere:
            self._take_out(current)
        attach(_live(current))

    def _take_out(self, current: Context) -> None:
        """Take this scope out from under the one that was opened on top of it, which goes back to what was before."""
        for scope in scopes_in(current):
            if scope_of(scope._prior) is self:
                scope._prior = _live(scope._prior)
                attach(scope._prior)
                scope._token = attach(current)
                return


class _ShownScope(BridgeScope):
    """Shows a span that was not activated through OpenTracing. There is nothing to close."""

    _closed = True

    def __init__(self, manager: BridgeScopeManager, span: Any) -> None:
        self._manager = manager
        self.span = span


def scopes_in(context: Context) -> Iterator[BridgeScope]:
    """Yield the scopes of a Context, from the innermost outwards."""
    scope = scope_of(context)
    while scope is not None:
        yield scope
        scope = scope_of(scope._prior)


def _live(context: Context) -> Context:
    """Return the Context without the stale scopes on top of it."""
    scope = scope_of(context)
    while scope is not None and scope._otel_span is context.get(SPAN_KEY) and scope.is_stale():
        context = scope._prior
        scope = scope_of(context)
    return context


def live_context() -> Context:
    """Return the current Context, after leaving the scopes on top of it that were closed elsewhere."""
    current = get_current()
    context = _live(current)
    if context is not current:
        attach(context)
    return context


def otel_side(span: Any) -> tuple[trace_api.Span, dict[str, Any]]:
    """Return what OpenTelemetry's Context holds for an OpenTracing span: a span, and baggage."""
    if isinstance(span, BridgeSpan):
        return span.unwrap(), live(span)
    context = foreign_context(getattr(span, "context", None))
    if context is None:
        return NonRecordingSpan(BridgeSpanContext()), {}
    return NonRecordingSpan(context), texts(context.baggage)


def native_on_top(context: Context) -> trace_api.Span | None:
    """Return the current span of a Context when it was not a scope of the bridge that made it current."""
    if type(context) is ScopeContext:
        return None
    span, scope = context.get(SPAN_KEY), scope_of(context)
    if scope is not None and scope._otel_span is span:
        return None
    return span if isinstance(span, trace_api.Span) and span.get_span_context().is_valid else None


class BridgeScopeManager(opentracing.ScopeManager):
    """Keeps the active scope in OpenTelemetry's Context.

    Args:
        tracer: the tracer whose scopes these are, through which native spans are seen; None: they are not seen.
    """

    def __init__(self, tracer: BridgeTracer | None = None) -> None:
        super().__init__()
        self._tracer = tracer

    def activate(self, span: Any, finish_on_close: bool = True) -> BridgeScope:
        """Make a span active until the scope is closed; None makes no span active."""
        return BridgeScope(self, span, finish_on_close)

    @property
    def active(self) -> Any:
        """The active scope: this manager's, or one that shows a native span; None without one."""
        context, scope = self._find()
        if scope is not None:
            return scope if scope.span is not None else None
        return self._showing(context)

    def holds(self, scope: BridgeScope) -> bool:
        """Tell whether a scope of this manager, the innermost of them in the current Context, is active."""
        return not scope.is_stale()

    def current(self) -> tuple[Context, trace_api.Span | None]:
        """Return the Context that a new span starts in, and the OpenTelemetry span that is current in it."""
        context, scope = self._find()
        if scope is not None:
            return context, scope._otel_span
        span = context.get(SPAN_KEY) if context else None
        return context, None if span is None or not isinstance(span, trace_api.Span) else span

    def _find(self) -> tuple[Context, BridgeScope | None]:
        """Return the innermost Context that counts for this manager, and its scope unless a native span is on top."""
        context = get_current()
        if type(context) is ScopeContext:
            scope = context.scope
            if scope._manager is self and not scope._closed:
                return context, scope
        elif not context or context.get(SCOPE_KEY) is None:
            return context, None
        return self._search()

    def _search(self) -> tuple[Context, BridgeScope | None]:
        context = live_context()
        while True:
            scope = scope_of(context)
            if scope is None or scope._otel_span is not context.get(SPAN_KEY):
                return context, None
            if scope._manager is self:
                return context, scope
            context = _live(scope._prior)

    def _showing(self, context: Context) -> BridgeScope | None:
        """Return a scope that shows the current native span, or the baggage that is there without a span."""
        if self._tracer is None:
            return None
        native, held = native_on_top(context), context.get(BAGGAGE_KEY)
        if native is not None:
            span = view_of(self._tracer, native)
            shown: BridgeScope | None = getattr(span, "_shown_scope", None)
            if shown is None or shown._manager is not self:
                shown = _ShownScope(self, span)
                span._shown_scope = shown  # type: ignore[attr-defined]
            return shown
        if isinstance(held, dict) and held and scope_of(context) is None:
            return _ShownScope(self, self._tracer._wrapped_class(self._tracer, INVALID_SPAN, texts(held)))
        return None

    def _seen(self, span: Any) -> Any:
        if isinstance(span, BridgeSpan) or self._tracer is None or not isinstance(span, trace_api.Span):
            return span
        return view_of(self._tracer, span)
