"""Scopes, kept in OpenTelemetry's Context: what is active in one API is active in the other.

A scope puts its span, the span's live baggage and itself into a new Context, and closing it goes back to the Context
that was there before. The Context is the truth about what is active. Beside it, ``_OPEN`` tells which scopes were
opened in this very execution context: native code that leaves its own spans in a wrong order can bring a closed scope's
Context back, and a task that outlives a request legitimately keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextvars import ContextVar, Token
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import opentracing
from opentelemetry import trace as trace_api
from opentelemetry.context import Context, attach, create_key, get_current
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan

from ot_bridge.baggage import live, texts
from ot_bridge.context import BAGGAGE_KEY, SPAN_KEY, BridgeSpanContext, foreign_context
from ot_bridge.span import BridgeSpan, record_failure
from ot_bridge.telemetry import count
from ot_bridge.wrapped import WrappedSpan, view_of

if TYPE_CHECKING:
    from ot_bridge.tracer import BridgeTracer

__all__ = ["SCOPE_KEY", "BridgeScope", "BridgeScopeManager", "native_on_top", "otel_side"]

SCOPE_KEY: Final = create_key("ot-bridge-scope")
_OPEN: ContextVar[BridgeScope | None] = ContextVar("ot_bridge_open_scope", default=None)


class BridgeScope(opentracing.Scope):
    """The time in which a span is active here. ``close`` never raises, wherever and however often it is called.

    Closed while a scope inside it is still open, it is left, and its span finished, together with that one. Closed in
    another thread or task, it finishes its span there and is no longer active where it was opened.
    """

    _token: Token[BridgeScope | None]
    _otel_span: trace_api.Span
    _prior: Context
    _thread: int
    _outer: BridgeScope | None = None
    _closed = False
    _pending = False  # asked to close, waiting for the scopes inside
    _elsewhere = False  # closed where it was not opened

    def __init__(
        self, manager: BridgeScopeManager, span: Any, finish_on_close: bool = False, *, closed: bool = False
    ) -> None:
        self._manager = manager
        self._span = span
        self._finish_on_close = finish_on_close
        if closed:
            self._closed = True

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
        if self._is_covered():
            self._pending = True
            count("scope.closed_out_of_order")
        else:
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

    def open(self) -> BridgeScope:
        """Make the span active. Called once, by the manager."""
        _close_waiting()
        prior = self._prior = _live(get_current())
        otel_span, baggage = otel_side(self._span)
        self._otel_span = otel_span
        self._thread = get_ident()
        self._outer = _OPEN.get()
        self._token = _OPEN.set(self)
        # Not kept: it holds this scope, and a cycle for each span is work for the collector.
        attach(Context({**prior, SPAN_KEY: otel_span, BAGGAGE_KEY: baggage, SCOPE_KEY: self}))
        return self

    def is_stale(self) -> bool:
        """Tell whether a Context that holds this scope is out of date in the place where that is asked."""
        if not self._closed or self._elsewhere:
            return self._closed
        # Who took the Context along before the scope was closed, as a task does, goes on under its span.
        return self._thread == get_ident() and not any(scope is self for scope in _opened_here())

    def _is_covered(self) -> bool:
        if _OPEN.get() is self:
            return False
        covered = False
        for scope in _opened_here():
            if scope is self:
                return covered
            covered = covered or (scope._manager is self._manager and not (scope._closed or scope._pending))
        return False

    def _close(self) -> None:
        self._closed = True
        self._pending = False
        try:
            self._finish_span()
        finally:
            self._leave()

    def _finish_span(self) -> None:
        if self._finish_on_close and hasattr(self._span, "finish"):
            self._span.finish()

    def _leave(self) -> None:
        innermost = _OPEN.get()
        try:
            _OPEN.reset(self._token)
        except ValueError:  # it was opened in another thread, task or copied context
            self._elsewhere = True
            count("scope.closed_elsewhere")
        else:
            if innermost is not self:  # another tracer's scope is open inside: it will go back to what was before both
                _OPEN.set(innermost)
                for scope in _opened_here():
                    if scope._prior.get(SCOPE_KEY) is self:
                        scope._prior, scope._outer = self._prior, self._outer
                        break
        if get_current().get(SCOPE_KEY) is self:
            attach(_live(self._prior))
        _close_waiting()


def _opened_here() -> Iterator[BridgeScope]:
    """Yield the scopes opened in this execution context, from the innermost outwards."""
    scope = _OPEN.get()
    while scope is not None:
        yield scope
        scope = scope._outer


def _close_waiting() -> None:
    """Close the innermost scope if it was asked to close and waited for those inside, which are gone by now."""
    innermost = scope = _OPEN.get()
    while scope is not None and scope._elsewhere:
        scope = scope._outer
    if scope is not innermost:
        _OPEN.set(scope)
    if scope is not None and scope._pending:
        scope._close()


def _live(context: Context) -> Context:
    """Return the Context without the stale scopes on top of it."""
    scope = context.get(SCOPE_KEY)
    if scope is None:
        return context
    while isinstance(scope, BridgeScope) and scope._otel_span is context.get(SPAN_KEY) and scope.is_stale():
        context = scope._prior
        scope = context.get(SCOPE_KEY)
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
        return BridgeScope(self, self._seen(span), finish_on_close).open()

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
        return context, span if isinstance(span, trace_api.Span) else None

    def _find(self) -> tuple[Context, BridgeScope | None]:
        """Return the innermost Context that counts for this manager, and its scope unless a native span is on top."""
        context = get_current()
        scope = context.get(SCOPE_KEY)
        if scope is None:
            return context, None
        if (
            isinstance(scope, BridgeScope)
            and scope._manager is self
            and not (scope._closed or scope._pending)
            and scope._otel_span is context.get(SPAN_KEY)
        ):
            return context, scope
        return self._search()

    def _search(self) -> tuple[Context, BridgeScope | None]:
        _close_waiting()
        current = get_current()
        context = _live(current)
        if context is not current:
            attach(context)
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
                shown = BridgeScope(self, span, closed=True)
                span._shown_scope = shown  # type: ignore[attr-defined]
            return shown
        if isinstance(held, dict) and held and context.get(SCOPE_KEY) is None:
            return BridgeScope(self, WrappedSpan(self._tracer, INVALID_SPAN, texts(held)), closed=True)
        return None

    def _seen(self, span: Any) -> Any:
        if isinstance(span, BridgeSpan) or self._tracer is None or not isinstance(span, trace_api.Span):
            return span
        return view_of(self._tracer, span)
