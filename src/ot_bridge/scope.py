"""Scopes, kept in OpenTelemetry's Context: what is active in one API is active in the other.

A scope puts its span, the span's live baggage and itself into a new Context, and closing it goes back to the Context
that was there before. The Context is the truth about what is active. Beside it, ``_OPEN`` tells which scopes were
opened in this very execution context: native code that leaves its own spans in a wrong order can bring a closed scope's
Context back, and a task that outlives a request legitimately keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

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
)
from ot_bridge.locks import fork_safe_lock
from ot_bridge.recording import RECORDING_CLASSES
from ot_bridge.span import BridgeSpan, record_failure
from ot_bridge.telemetry import count, warn_once
from ot_bridge.wrapped import view_of

if TYPE_CHECKING:
    from ot_bridge.tracer import BridgeTracer

__all__ = ["SCOPE_KEY", "BridgeScope", "BridgeScopeManager", "live_context", "native_on_top", "otel_side"]

SCOPE_KEY: Final = create_key("ot-bridge-scope")
_OPEN: ContextVar[BridgeScope | None] = ContextVar("ot_bridge_open_scope", default=None)
_lock = fork_safe_lock()  # only for scopes that are closed out of order


class BridgeScope(opentracing.Scope):
    """The time in which a span is active here. ``close`` never raises, wherever and however often it is called.

    Closed while a scope inside it is still open, it is left, and its span finished, together with that one. Closed in
    another thread or task, it finishes its span there and is no longer active where it was opened.
    """

    _closed = False
    _elsewhere = False  # closed where it was not opened
    _pending = False  # asked to close, and waiting for the one inside
    _waiter: BridgeScope | None = None  # closes when this one does

    def __init__(self, manager: BridgeScopeManager, span: Any, finish_on_close: bool) -> None:
        outer = _OPEN.get()
        while outer is not None and outer._elsewhere:
            outer = outer._outer
        prior = get_current()
        top = prior.get(SCOPE_KEY)
        if top is not None and top._closed:  # type: ignore[attr-defined]
            prior = _live(prior)
        otel_span, baggage = (span, live(span)) if type(span) in RECORDING_CLASSES else otel_side(span)
        self._manager = manager
        self._span = span
        self._finish_on_close = finish_on_close
        self._otel_span: trace_api.Span = otel_span
        self._prior = prior
        self._outer: BridgeScope | None = outer
        self._thread = get_ident()
        self._token = _OPEN.set(self)
        # Not kept: it holds this scope, and a cycle for each span is work for the collector.
        attach(Context({**prior, SPAN_KEY: otel_span, BAGGAGE_KEY: baggage, SCOPE_KEY: self}))

    @property
    def span(self) -> Any:
        """The span that is active."""
        return self._span

    @property
    def manager(self) -> BridgeScopeManager:
        """The manager that made this scope."""
        return self._manager

    def close(self) -> None:
        """Leave the scope; finish the span when that was asked for."""
        if self._closed or self._pending:
            return
        inside = None if _OPEN.get() is self else self._open_inside()
        if inside is None or not self._wait_for(inside):
            self._close()

    def __enter__(self) -> BridgeScope:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        """Record the exception on the span, once, and close."""
        if exc_val is not None:
            record_failure(self._span, exc_type, exc_val, exc_tb)
        self.close()

    def is_stale(self) -> bool:
        """Tell whether a Context that holds this scope is out of date in the place where that is asked."""
        if not self._closed or self._elsewhere:
            return self._closed
        # Who took the Context along before the scope was closed, as a task does, goes on under its span.
        return self._thread == get_ident() and not any(scope is self for scope in _opened_here())

    def _open_inside(self) -> BridgeScope | None:
        """Return the next scope of the same manager that was opened here after this one and is still open."""
        inside = None
        for scope in _opened_here():
            if scope is self:
                return inside
            if scope._manager is self._manager and not scope._closed:
                inside = scope
        return None

    def _wait_for(self, inside: BridgeScope) -> bool:
        """Close together with ``inside``; tell whether that is still to come."""
        count("scope.closed_out_of_order")
        with _lock:
            self._pending = True
            inside._waiter = self
        # It may have closed meanwhile, in another thread, without having seen its waiter.
        return not (inside._closed and inside._take_waiter() is self)

    def _take_waiter(self) -> BridgeScope | None:
        with _lock:
            waiter, self._waiter = self._waiter, None
            return waiter

    def _close(self) -> None:
        self._closed = True
        try:
            if self._finish_on_close:
                self._finish_span()
        finally:
            self._leave()
            if self._waiter is not None:
                self._close_waiters()

    def _close_waiters(self) -> None:
        # A loop: a thousand scopes that overlap are a thousand waiters.
        waiter = self._take_waiter()
        while waiter is not None:
            waiter._closed = True
            try:
                if waiter._finish_on_close:
                    waiter._finish_span()
            except Exception:
                warn_once("scope.failed.finish", "a span could not be finished with its scope", exc_info=True)
            waiter._leave()
            waiter = waiter._take_waiter()

    def _finish_span(self) -> None:
        if hasattr(self._span, "finish"):
            self._span.finish()

    def _leave(self) -> None:
        innermost = _OPEN.get()
        try:
            _OPEN.reset(self._token)
        except ValueError:  # it was opened in another thread, task or copied context
            self._elsewhere = True
            count("scope.closed_elsewhere")
        else:
            if innermost is not self:
                self._leave_from_below(innermost)
        current = get_current()
        if current.get(SCOPE_KEY) is self:
            prior = self._prior
            top = prior.get(SCOPE_KEY)
            attach(_live(prior) if top is not None and top._closed else prior)  # type: ignore[attr-defined]
        elif innermost is not self and (healed := _live(current)) is not current:
            attach(healed)

    def _leave_from_below(self, innermost: BridgeScope | None) -> None:
        """Take this scope out from under those that are still open inside: they go back to what was before it."""
        inside: BridgeScope | None = None
        scope = innermost
        while scope is not None and scope is not self:
            if inside is None and not scope._closed:
                inside = scope
                _OPEN.set(scope)
            if scope._outer is self:
                scope._outer = self._outer
                if scope._prior.get(SCOPE_KEY) is self:
                    scope._prior = self._prior
                return
            scope = scope._outer


class _ShownScope(BridgeScope):
    """Shows a span that was not activated through OpenTracing. There is nothing to close."""

    _closed = True

    def __init__(self, manager: BridgeScopeManager, span: Any) -> None:
        self._manager = manager
        self._span = span


def _opened_here() -> Iterator[BridgeScope]:
    """Yield the scopes opened in this execution context, from the innermost outwards."""
    scope = _OPEN.get()
    while scope is not None:
        yield scope
        scope = scope._outer


def _live(context: Context) -> Context:
    """Return the Context without the stale scopes on top of it."""
    scope = context.get(SCOPE_KEY)
    if scope is None:
        return context
    while isinstance(scope, BridgeScope) and scope._otel_span is context.get(SPAN_KEY) and scope.is_stale():
        context = scope._prior
        scope = context.get(SCOPE_KEY)
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
    span, scope = context.get(SPAN_KEY), context.get(SCOPE_KEY)
    if isinstance(scope, BridgeScope) and scope._otel_span is span:
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
        return BridgeScope(self, span if type(span) in RECORDING_CLASSES else self._seen(span), finish_on_close)

    @property
    def active(self) -> Any:
        """The active scope: this manager's, or one that shows a native span; None without one."""
        context, scope = self._find()
        if scope is not None:
            return scope if scope._span is not None else None
        return self._showing(context)

    def current(self) -> tuple[Context, trace_api.Span | None]:
        """Return the Context that a new span starts in, and the OpenTelemetry span that is current in it."""
        context, scope = self._find()
        if scope is not None:
            return context, scope._otel_span
        span = context.get(SPAN_KEY)
        return context, None if span is None or not isinstance(span, trace_api.Span) else span

    def _find(self) -> tuple[Context, BridgeScope | None]:
        """Return the innermost Context that counts for this manager, and its scope unless a native span is on top."""
        context = get_current()
        scope = context.get(SCOPE_KEY)
        if scope is None:
            return context, None
        if (
            isinstance(scope, BridgeScope)
            and scope._manager is self
            and not scope._closed
            and scope._otel_span is context.get(SPAN_KEY)
        ):
            return context, scope
        return self._search()

    def _search(self) -> tuple[Context, BridgeScope | None]:
        context = live_context()
        while True:
            scope = context.get(SCOPE_KEY)
            if not isinstance(scope, BridgeScope) or scope._otel_span is not context.get(SPAN_KEY):
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
        if isinstance(held, dict) and held and context.get(SCOPE_KEY) is None:
            return _ShownScope(self, self._tracer._wrapped_class(self._tracer, INVALID_SPAN, texts(held)))
        return None

    def _seen(self, span: Any) -> Any:
        if isinstance(span, BridgeSpan) or self._tracer is None or not isinstance(span, trace_api.Span):
            return span
        return view_of(self._tracer, span)
