"""Code that took ``opentracing.tracer`` before install reaches the installed tracer: the old object forwards to it.

Before a tracer is set, OpenTracing's global is one no-op object, and modules keep it (``from opentracing import
tracer``, ``self.tracer = opentracing.global_tracer()``). That object is turned into a forwarding one. Its bound methods
(``start = opentracing.tracer.start_span``) and the no-op spans and scopes that it gave out cannot be reached.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Final

import opentracing

__all__ = ["LateBoundScopeManager", "LateBoundTracer", "bind", "redirect"]

_TARGET: Final = "_ot_bridge_target"

_turned: Final[list[_Forwarding]] = []  # the objects that forward now


class _Forwarding:
    """Whatever the class does not define comes from the target: close, flush, settings ..."""

    def __getattr__(self, name: str) -> Any:
        # Through vars: while an instance is copied its __dict__ is empty, and self would come here again.
        target = vars(self).get(_TARGET)
        if target is None or name.startswith("__"):
            raise AttributeError(name)
        return getattr(target, name)


class LateBoundTracer(_Forwarding, opentracing.Tracer):
    """OpenTracing's default tracer after install. Made by :func:`bind` only."""

    _ot_bridge_target: opentracing.Tracer

    @property
    def scope_manager(self) -> opentracing.ScopeManager:
        """The installed tracer's scope manager."""
        return self._ot_bridge_target.scope_manager

    @property
    def active_span(self) -> opentracing.Span | None:
        """The installed tracer's active span."""
        return self._ot_bridge_target.active_span

    def start_active_span(self, *args: Any, **kwargs: Any) -> opentracing.Scope:
        """As on the installed tracer."""
        return self._ot_bridge_target.start_active_span(*args, **kwargs)

    def start_span(self, *args: Any, **kwargs: Any) -> opentracing.Span:
        """As on the installed tracer."""
        return self._ot_bridge_target.start_span(*args, **kwargs)

    def inject(self, *args: Any, **kwargs: Any) -> None:
        """As on the installed tracer."""
        self._ot_bridge_target.inject(*args, **kwargs)

    def extract(self, *args: Any, **kwargs: Any) -> opentracing.SpanContext:
        """As on the installed tracer."""
        return self._ot_bridge_target.extract(*args, **kwargs)


class LateBoundScopeManager(_Forwarding, opentracing.ScopeManager):
    """The default tracer's scope manager after install. Made by :func:`bind` only."""

    _ot_bridge_target: opentracing.ScopeManager

    def activate(self, *args: Any, **kwargs: Any) -> opentracing.Scope:
        """As on the installed scope manager."""
        return self._ot_bridge_target.activate(*args, **kwargs)

    @property
    def active(self) -> opentracing.Scope | None:
        """The installed scope manager's active scope."""
        return self._ot_bridge_target.active


def bind(early: opentracing.Tracer, installed: opentracing.Tracer) -> Callable[[], None]:
    """Make ``early`` forward to ``installed`` when it is OpenTracing's own no-op tracer; else leave it alone.

    Returns:
        A function that makes it the no-op tracer again.
    """
    if type(early) is not opentracing.Tracer:
        return lambda: None
    undo = contextlib.ExitStack()
    manager = early.scope_manager
    if type(manager) is opentracing.ScopeManager:
        undo.callback(_turn(manager, LateBoundScopeManager, installed.scope_manager))
    undo.callback(_turn(early, LateBoundTracer, installed))
    return undo.close


def redirect(installed: opentracing.Tracer) -> Callable[[], None]:
    """Let all that forwards now forward to ``installed`` instead.

    Returns:
        A function that lets it forward to where it did before.
    """
    held = [(vars(one), vars(one)[_TARGET]) for one in _turned]
    for one, target in held:
        one[_TARGET] = installed if isinstance(target, opentracing.Tracer) else installed.scope_manager

    def undo() -> None:
        for one, target in held:
            if _TARGET in one:
                one[_TARGET] = target

    return undo


def _turn(plain: Any, forwarding: type[_Forwarding], target: object) -> Callable[[], None]:
    plain_class = type(plain)
    # First the target: another thread may be in a call.
    vars(plain)[_TARGET] = target
    plain.__class__ = forwarding
    _turned.append(plain)

    def undo() -> None:
        _turned.remove(plain)
        plain.__class__ = plain_class
        del vars(plain)[_TARGET]

    return undo
