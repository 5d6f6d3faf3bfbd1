"""Giving way to a provider that the application sets later, though one of ours is OpenTelemetry's global one already.

OpenTelemetry takes one global provider and refuses a second. Where nobody in the application asked for the first, that
would switch off the exporters that its author configured. Tracers that were handed out before (``tracer =
trace.get_tracer(__name__)`` at the top of a module) go over to the new one, as OpenTelemetry's own stand-ins would.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, Tracer, TracerProvider
from opentelemetry.util._once import Once

__all__ = ["YieldingTracer", "give_way"]


class YieldingTracer(Tracer):
    """The tracer of a provider that may be replaced. Made by :func:`give_way` only."""

    def __init__(self, source: list[Callable[..., Tracer]], make: Callable[[Callable[..., Tracer]], Tracer]) -> None:
        self._source, self._make = source, make
        self._made_by: Callable[..., Tracer] | None = None
        self._real: Any = None

    def start_span(self, *args: Any, **kwargs: Any) -> Span:
        """As the tracer of the provider that counts."""
        span: Span = self.now().start_span(*args, **kwargs)
        return span

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        """As the tracer of the provider that counts."""
        return self.now().start_as_current_span(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.now(), name)

    def now(self) -> Any:
        """Return the tracer of the provider that counts now."""
        made_by = self._source[0]
        if made_by is not self._made_by:
            self._real, self._made_by = self._make(made_by), made_by
        return self._real


def give_way(ours: TracerProvider, taken: Callable[[TracerProvider], None]) -> Callable[[], None]:
    """Let OpenTelemetry take one more global provider after ``ours``, which is the global one now.

    Args:
        ours: its tracers go over to the other one.
        taken: is called with the other one when it has become the global one.

    Returns:
        A function that lets it take no more.
    """
    plain_set, plain_get = trace.set_tracer_provider, ours.get_tracer
    current: list[Callable[..., Tracer]] = [plain_get]

    @functools.wraps(plain_set)
    def set_tracer_provider(tracer_provider: TracerProvider) -> None:
        plain_set(tracer_provider)
        if tracer_provider is not ours and trace.get_tracer_provider() is tracer_provider and current == [plain_get]:
            current[0] = tracer_provider.get_tracer
            taken(tracer_provider)

    def get_tracer(*args: Any, **kwargs: Any) -> Tracer:
        return YieldingTracer(current, lambda maker: maker(*args, **kwargs))

    def undo() -> None:
        if trace.set_tracer_provider is set_tracer_provider:
            trace.set_tracer_provider = plain_set
        vars(ours).pop("get_tracer", None)

    vars(ours)["get_tracer"] = get_tracer
    trace.set_tracer_provider = set_tracer_provider
    trace._TRACER_PROVIDER_SET_ONCE = Once()  # there is no public way
    return undo
