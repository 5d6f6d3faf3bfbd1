"""What OpenTracing's tornado libraries import of tornado 5, for tornado 6, which has no ``tornado.stack_context``.

opentracing_instrumentation, tornado_opentracing and opentracing.scope_managers.tornado do not import without it, and no
tornado that has it imports on Python 3.10 and later. Call ``provide`` before them:

    from ot_bridge import stack_context

    stack_context.provide()

The bridge's own scope manager needs no stack contexts: what is active follows coroutines and callbacks by itself. With
TornadoScopeManager a span is active until the first await or yield, as nothing carries its contexts on.
"""

from __future__ import annotations

import contextvars
import functools
import importlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, TypeVar

__all__ = ["NullContext", "StackContext", "provide", "wrap"]

NAME = "tornado.stack_context"

_F = TypeVar("_F", bound=Callable[..., Any])


def provide() -> bool:
    """Make ``tornado.stack_context`` importable where tornado 6 is installed.

    Returns:
        Whether it is this module now; False with a tornado that has its own, and without tornado.
    """
    if sys.modules.get(NAME) is None:
        try:
            importlib.import_module(NAME)
        except ModuleNotFoundError:
            try:
                tornado: Any = importlib.import_module("tornado")
            except ModuleNotFoundError:
                return False
            tornado.stack_context = sys.modules[NAME] = sys.modules[__name__]
    return sys.modules[NAME] is sys.modules[__name__]


class StackContext:
    """Enters what the factory makes, around the block alone.

    Args:
        context_factory: makes a context manager.
    """

    def __init__(self, context_factory: Callable[[], AbstractContextManager[Any]]) -> None:
        self.context_factory = context_factory
        # OpenTracing's subclass puts one in its place that each thread sees its own of.
        self.contexts: list[AbstractContextManager[Any]] = []

    def __enter__(self) -> Callable[[], None]:
        context = self.context_factory()
        self.contexts.append(context)
        context.__enter__()
        return _nothing_to_deactivate

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.contexts.pop().__exit__(kind, error, traceback)


class NullContext:
    """Left contexts behind, where there were any."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def wrap(function: _F) -> _F:
    """Return the function so that it runs with what is active now, in whatever thread it is called."""
    context = contextvars.copy_context()

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        # A copy, as two threads cannot be in one context at the same time.
        return context.copy().run(function, *args, **kwargs)

    return wrapped  # type: ignore[return-value]


def _nothing_to_deactivate() -> None:
    pass
