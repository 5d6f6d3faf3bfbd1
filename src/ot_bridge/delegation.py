"""A scope manager that the user brought: it decides what is active, and OpenTelemetry's Context is kept in step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

import opentracing
from opentelemetry import trace as trace_api
from opentelemetry.context import Context

from ot_bridge.context import BAGGAGE_KEY, SPAN_KEY, get_current
from ot_bridge.locks import fork_safe_lock
from ot_bridge.scope import (
    SCOPE_KEY,
    BridgeScope,
    BridgeScopeManager,
    live_context,
    native_on_top,
    otel_side,
    scope_of,
    scopes_in,
)
from ot_bridge.telemetry import count

if TYPE_CHECKING:
    from ot_bridge.tracer import BridgeTracer

__all__ = ["DelegatingScopeManager", "delegating_managers"]

_OURS = "_ot_bridge_scope"
_managers: tuple[ReferenceType[DelegatingScopeManager], ...] = ()
_lock = fork_safe_lock()


def delegating_managers() -> list[DelegatingScopeManager]:
    """Return those that there are in the process."""
    return [manager for found in _managers if (manager := found()) is not None]


class _DelegatedScope(BridgeScope):
    """A scope of the bridge over one of the user's scope manager, which finishes the span when it is closed."""

    def __init__(self, manager: DelegatingScopeManager, span: Any, finish_on_close: bool, theirs: Any) -> None:
        super().__init__(manager, span, finish_on_close)
        self._theirs = theirs
        # It is their scope that finishes it, unless their manager does not hold that for active any more.
        self._left_to_us, self._finishes = self._finishes, False
        self._is_special = True
        # What was attached: their manager may find the scope where that is not current.
        self.context: Context | None = get_current()
        self.is_left = False  # closed by their manager, where it was active; a task may still have a copy of it

    def let_go(self) -> None:
        if not self._closed:
            super().let_go()
            self._close_theirs()

    def close(self) -> None:
        if not self._closed and self._open_inside(get_current()) is not None:
            self._drop_inside()
        super().close()

    def _drop_inside(self) -> None:
        """Leave what their manager has dropped without a close, as a stack context does: nothing waits for it."""
        if self._manager.delegate.active is not self._theirs:  # type: ignore[attr-defined]
            return
        for scope in [*scopes_in(get_current())]:
            if scope is self:
                return
            if scope._manager is self._manager and not scope._closed:
                scope._closed = True
                BridgeScope._leave(scope, get_current())

    def _leave(self, current: Context) -> None:
        self.context = None
        try:
            self._close_theirs()
        finally:
            super()._leave(current)

    def _close_theirs(self) -> None:
        try:
            if self._manager.delegate.active is self._theirs:  # type: ignore[attr-defined]
                self._theirs.close()
                self.is_left = True
                return
        except Exception:
            # OpenTracing's manager on context variables refuses in a task that only inherited the scope.
            count("scope.failed.delegate")
        if self._left_to_us:
            self.span.finish()


class DelegatingScopeManager(BridgeScopeManager):
    """Stands in for the user's scope manager: ``isinstance`` finds their class, their other attributes are there.

    Args:
        tracer: the tracer whose scopes these are.
        delegate: any OpenTracing scope manager.
    """

    def __init__(self, tracer: BridgeTracer, delegate: opentracing.ScopeManager) -> None:
        global _managers
        super().__init__(tracer)
        self.delegate = delegate
        with _lock:
            _managers = (*(found for found in _managers if found() is not None), ref(self))

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        # Libraries ask for the class: opentracing_instrumentation insists on TornadoScopeManager.
        return type(self.delegate)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.delegate, name)

    def activate(self, span: Any, finish_on_close: bool = True) -> BridgeScope:
        """Activate a span in the user's scope manager, and in OpenTelemetry's Context."""
        span = self._seen(span)
        theirs = self.delegate.activate(span, finish_on_close)
        scope = _DelegatedScope(self, span, finish_on_close, theirs)
        setattr(theirs, _OURS, scope)
        return scope

    @property
    def active(self) -> Any:
        """What the user's scope manager holds for active, unless a native span was started inside."""
        context, theirs = live_context(), self._theirs()
        if native_on_top(context) is not None:
            return self._showing(context)
        return getattr(theirs, _OURS, theirs)

    def current(self) -> tuple[Context, trace_api.Span | None]:
        """Return the Context that a new span starts in, and the OpenTelemetry span that is current in it."""
        context, theirs = live_context(), self._theirs()
        native = native_on_top(context)
        if native is not None:
            return context, native
        scope = getattr(theirs, _OURS, None)
        if isinstance(scope, _DelegatedScope) and scope.context is not None:
            return (context if scope_of(context) is scope else scope.context), scope._otel_span
        bare = {key: value for key, value in context.items() if key not in (SPAN_KEY, SCOPE_KEY)}
        if theirs is None or theirs.span is None:
            if scope_of(context) is not None:
                bare.pop(BAGGAGE_KEY, None)  # of a scope that their manager does not know here
            return Context(bare), None
        span, baggage = otel_side(theirs.span)  # activated in their manager, past the tracer
        return Context({**bare, SPAN_KEY: span, BAGGAGE_KEY: baggage}), span

    def holds(self, scope: BridgeScope) -> bool:
        return getattr(self._theirs(), _OURS, None) is scope

    def active_here(self) -> Any:
        """Return their active scope when it has a span, else None."""
        theirs = self._theirs()
        return None if theirs is None or theirs.span is None else theirs

    def _theirs(self) -> Any:
        """Return their active scope, after letting go of those that were closed in another thread or task."""
        theirs = self.delegate.active
        while theirs is not None:
            ours = getattr(theirs, _OURS, None)
            if not isinstance(ours, _DelegatedScope) or not ours._closed or ours.is_left:
                return theirs
            try:
                theirs.close()
            except Exception:  # a task that only inherited it, as above
                count("scope.failed.delegate")
            if self.delegate.active is theirs:
                return self._below(ours)
            theirs = self.delegate.active
        return None

    def _below(self, closed: BridgeScope) -> Any:
        """Return their scope that was active before one that is closed and that their manager does not let go."""
        for scope in scopes_in(closed._prior):
            if isinstance(scope, _DelegatedScope) and scope._manager is self and not scope._closed:
                return scope._theirs
        return None
