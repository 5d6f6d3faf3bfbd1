"""The span context with Jaeger's words: parent id and flags, ids that are None where there are none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.trace import DEFAULT_TRACE_STATE

from ot_bridge.context import FLAGS, BridgeSpanContext, debug_state
from ot_bridge.jaeger_client.constants import DEBUG_FLAG, SAMPLED_FLAG
from ot_bridge.telemetry import count, warn_once

__all__ = ["SpanContext"]

_MAX_TRACE_ID: Final = (1 << 128) - 1
_MAX_SPAN_ID: Final = (1 << 64) - 1
_IDS: Final = ("trace_id", "span_id", "parent_id", "flags")


def _fits(number: object, most: int) -> bool:
    if isinstance(number, int) and 0 < number <= most:
        return True
    if number:
        count("dropin.id_unusable")
    return False


class SpanContext(BridgeSpanContext):
    """The context of a span, and one that can be built by hand for ``child_of`` and ``inject``. Immutable.

    Args:
        trace_id: up to 128 bits, None when there is none.
        span_id: 64 bits, None when there is none.
        parent_id: the parent's span id; None for a root.
        flags: ``SAMPLED_FLAG`` and ``DEBUG_FLAG``, None when there is no trace.
        baggage: items; copied.
        debug_id: the value of a ``jaeger-debug-id`` header.
    """

    def __new__(
        cls,
        trace_id: int | None,
        span_id: int | None,
        parent_id: int | None,
        flags: int | None,
        baggage: Mapping[str, str] | None = None,
        debug_id: str | None = None,
    ) -> SpanContext:
        container = BridgeSpanContext(baggage=baggage, debug_id=debug_id)
        if not (_fits(trace_id, _MAX_TRACE_ID) and _fits(span_id, _MAX_SPAN_ID) and isinstance(flags, int)):
            return cls.seen(container)
        sampled = bool(flags & SAMPLED_FLAG)
        debug = sampled and bool(flags & DEBUG_FLAG)
        state = debug_state(DEFAULT_TRACE_STATE, debug=debug)
        # Remote: who builds a context was told of it by another process.
        core = (trace_id, span_id, True, FLAGS[sampled], state, True, container.items, debug, debug_id, None)
        return tuple.__new__(cls, (*core, parent_id if _fits(parent_id, _MAX_SPAN_ID) else None))

    @classmethod
    def seen(cls, context: BridgeSpanContext, parent_id: int | None = None) -> SpanContext:
        """Return a context of the bridge as Jaeger would show it."""
        return tuple.__new__(cls, tuple.__add__(context[:10], (parent_id,)))

    def as_core(self) -> BridgeSpanContext:
        """Return the bridge's own context, without what Jaeger adds."""
        return tuple.__new__(BridgeSpanContext, self[:10])

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (tuple(self),)

    def __setattr__(self, *args: Any) -> None:
        """Change nothing, and say so once: old code assigns ids."""
        name, value = args
        if name in _IDS:
            warn_once(
                f"dropin.context.{name}",
                "SpanContext.%s cannot be changed to %r, it stays %r: build a SpanContext with the ids that are "
                "wanted, and start the span with child_of=that",
                name,
                value,
                getattr(self, name),
            )

    @property
    def trace_id(self) -> int | None:  # type: ignore[override]  # None where there is none, as in jaeger-client
        """The trace id, None when there is none."""
        return self[0] or None

    @property
    def span_id(self) -> int | None:  # type: ignore[override]
        """The span id, None when there is none."""
        return self[1] or None

    @property
    def parent_id(self) -> int | None:
        """The parent's span id, None for a root and for a context that came with a request."""
        return self[10]  # type: ignore[misc,no-any-return]

    @property
    def flags(self) -> int | None:  # type: ignore[override]
        """The flags as Jaeger counts them, None when there is no trace."""
        return BridgeSpanContext.flags.__get__(self) if self[5] else None

    @property
    def baggage(self) -> dict[str, str]:
        """The baggage items, in a dict of the caller's own."""
        return dict(self.items)

    @property
    def has_trace(self) -> bool:
        """Whether there are ids."""
        return self.is_valid

    @property
    def is_debug_id_container_only(self) -> bool:
        """Whether there is a debug id, and no trace."""
        return not self.is_valid and self.debug_id is not None

    @staticmethod
    def with_debug_id(debug_id: str) -> SpanContext:
        """Return a context that has a debug id only."""
        return SpanContext(None, None, None, None, debug_id=debug_id)


def _restored(fields: tuple[Any, ...]) -> SpanContext:
    return tuple.__new__(SpanContext, fields)
