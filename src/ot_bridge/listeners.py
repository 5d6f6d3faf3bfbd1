"""Which processors have something to do when a span starts, is ending and has ended: the others are not called.

The provider's own processor calls every processor three times a span, and most do nothing in two of the three.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from opentelemetry.sdk.trace import SpanProcessor, SynchronousMultiSpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

__all__ = ["Listeners"]

_CALLS: Final = ("on_start", "_on_ending", "on_end")
_CALLED: Final = {call for call in _CALLS if hasattr(SpanProcessor, call)}  # _on_ending since SDK 1.40
_DO_NOTHING: Final[set[Callable[..., Any]]] = {
    method
    for kind, calls in ((SpanProcessor, _CALLS), (BatchSpanProcessor, _CALLS[:2]), (SimpleSpanProcessor, _CALLS[:2]))
    for call in calls
    if (method := getattr(kind, call, None)) is not None
}


class Listeners:
    """The processors of one provider, sorted by what they listen to.

    Where ``source._span_processors`` is not ``seen``, one was added: :meth:`look` has to be called first.

    Args:
        processor: the provider's processor: the SDK's, which holds the others, or any.
        stands_before: names of its methods that somebody may have put before the SDK's own on this one object, and that
            only pass the bridge's spans on.
    """

    __slots__ = ("ending", "on_end", "seen", "source", "starting")

    starting: tuple[Any, ...]
    ending: tuple[Any, ...]
    on_end: tuple[Any, ...]

    def __init__(self, processor: Any, stands_before: type | None = None) -> None:
        self.seen: Any = None
        own = getattr(processor, "__dict__", {})
        replaced = [own[call] for call in _CALLS if call in own]
        known = all(isinstance(getattr(method, "__self__", None), stands_before or ()) for method in replaced)
        holds_others = type(processor) is SynchronousMultiSpanProcessor and type(own.get("_span_processors")) is tuple
        self.source: Any = processor if holds_others and known else _Alone(processor)
        self.look()

    def look(self) -> None:
        """Sort the processors that there are now."""
        seen = self.source._span_processors
        self.starting, self.ending, self.on_end = (
            tuple(one for one in seen if call in _CALLED and _listens(one, call)) for call in _CALLS
        )
        self.seen = seen


class _Alone:
    """Holds one processor as the SDK's holds several."""

    def __init__(self, processor: Any) -> None:
        self._span_processors = (processor,)


def _listens(processor: Any, call: str) -> bool:
    if not getattr(processor, "bridge_spans", True):  # the bridge's own, for native spans
        return False
    if call in getattr(processor, "__dict__", ()):
        return True
    method = getattr(type(processor), call, None)
    return (method is not None or hasattr(processor, call)) and method not in _DO_NOTHING
