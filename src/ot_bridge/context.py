"""The span context: OpenTelemetry's and OpenTracing's in one immutable object, with the baggage in it.

Also OpenTelemetry's Context as the bridge uses it: how to get and set the current one, and the two keys under which it
keeps the span and the baggage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Final

import opentracing
from opentelemetry import baggage as otel_baggage
from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.trace import (
    DEFAULT_TRACE_OPTIONS,
    DEFAULT_TRACE_STATE,
    INVALID_SPAN,
    SpanContext,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from ot_bridge.codecs.tracecontext import is_debug, with_debug
from ot_bridge.values import clean_key, to_text

__all__ = [
    "BAGGAGE_KEY",
    "FLAGS",
    "SPAN_KEY",
    "BridgeSpanContext",
    "attach",
    "debug_state",
    "foreign_context",
    "get_current",
    "reset",
]


def _current_context() -> tuple[Callable[[], Context], Callable[[Context], Any], Callable[[Any], object]]:
    """Return how to get, set and reset the current Context: on its variable where it is a plain one, else by the API.

    The API takes two frames more for each; an active span needs five of them.
    """
    runtime = getattr(otel_context, "_RUNTIME_CONTEXT", None)
    variable = getattr(runtime, "_current_context", None)
    if type(runtime) is ContextVarsRuntimeContext and isinstance(variable, ContextVar):
        return variable.get, variable.set, variable.reset
    # The API's own detach logs a traceback where the runtime's raises ValueError.
    return otel_context.get_current, otel_context.attach, getattr(runtime, "detach", otel_context.detach)


get_current, attach, reset = _current_context()

# The keys are private names; a span, or an item, set in an empty Context shows them.
SPAN_KEY: Final[str] = next(iter(set_span_in_context(INVALID_SPAN, Context())))
BAGGAGE_KEY: Final[str] = next(iter(otel_baggage.set_baggage("k", "v", Context())))

FLAGS: Final = tuple(TraceFlags(bits) for bits in range(4))
"""Trace flags by their two defined bits, 1 sampled and 2 random: one object each for all spans."""

_NO_BAGGAGE: Final[dict[str, str]] = {}


class BridgeSpanContext(opentracing.SpanContext, SpanContext):
    """What a span hands to its children and to other processes. Immutable; can be copied and pickled.

    A context without ids is a *container*: ``is_valid`` is false, and it carries baggage or a debug id only.
    It equals another context with the same ids, flags and trace state; baggage takes no part, as in OpenTelemetry.

    Args:
        trace_id: 128-bit integer, 0 when there is none.
        span_id: 64-bit integer, 0 when there is none.
        is_remote: whether it came from another process.
        trace_flags: W3C flags, sampled and random.
        trace_state: W3C trace state.
        baggage: items; copied.
        debug: Jaeger's debug flag.
        debug_id: the value of a ``jaeger-debug-id`` header.
        refused: ids that came with a request and were not trusted; only a container has them.
    """

    def __new__(
        cls,
        trace_id: int = 0,
        span_id: int = 0,
        is_remote: bool = False,
        trace_flags: TraceFlags | None = DEFAULT_TRACE_OPTIONS,
        trace_state: TraceState | None = DEFAULT_TRACE_STATE,
        baggage: Mapping[str, str] | None = None,
        debug: bool = False,
        debug_id: str | None = None,
        refused: SpanContext | None = None,
    ) -> BridgeSpanContext:
        base = SpanContext(trace_id, span_id, is_remote, trace_flags, trace_state)
        items = {clean_key(key): to_text(value) for key, value in baggage.items()} if baggage else _NO_BAGGAGE
        return tuple.__new__(cls, (*base, items, bool(debug), debug_id, refused))

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (*self[:5], self.items, self.debug, self.debug_id, self.refused)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SpanContext) and tuple(self)[:6] == tuple(other)[:6]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((self[0], self[1]))

    @property
    def baggage(self) -> Mapping[str, str]:  # type: ignore[override]  # the stubs promise a dict, the docs a read-only one
        """The baggage items, read-only."""
        return MappingProxyType(self.items)

    @property
    def items(self) -> dict[str, str]:
        """The baggage items themselves, shared by all contexts that have the same: nobody may change them."""
        return self[6]  # type: ignore[misc,no-any-return]

    @property
    def debug(self) -> bool:
        """Whether Jaeger's debug flag is set."""
        return self[7]  # type: ignore[misc,no-any-return]

    @property
    def debug_id(self) -> str | None:
        """The correlation id of a ``jaeger-debug-id`` header, None without one."""
        return self[8]  # type: ignore[misc,no-any-return]

    @property
    def refused(self) -> SpanContext | None:
        """The ids that were not trusted: a span that starts from this context is a root with a link to them."""
        return self[9]  # type: ignore[misc,no-any-return]

    @property
    def sampled(self) -> bool:
        """Whether the trace is sampled."""
        return bool(self[3] & 1)

    @property
    def flags(self) -> int:
        """The flags as Jaeger counts them: 1 sampled, 2 debug."""
        return (self[3] & 1) | (2 if self.debug else 0)

    def unwrap(self) -> SpanContext:
        """Return OpenTelemetry's span context: this object is one."""
        return self

    def with_baggage_item(self, key: Any, value: Any) -> BridgeSpanContext:
        """Return a context with one item more, or with one less when ``value`` is None."""
        name = clean_key(key)
        items = {**self.items}
        if value is None:
            items.pop(name, None)
        elif name:
            items[name] = to_text(value)
        return self.with_baggage(items)

    def with_baggage(self, items: dict[str, str]) -> BridgeSpanContext:
        """Return a context with these items. The dict is kept, not copied: nobody may change it any more."""
        return tuple.__new__(type(self), (*self[:6], items, *self[7:]))

    def with_sampling(self, *, sampled: bool, debug: bool) -> BridgeSpanContext:
        """Return a context with another sampling decision."""
        flags = FLAGS[(self[3] & 2) | sampled]
        state = debug_state(self[4], debug=debug)
        return tuple.__new__(type(self), (*self[:3], flags, state, self[5], self.items, debug, *self[8:]))

    @classmethod
    def of(cls, context: SpanContext, baggage: Mapping[str, str] | None = None) -> BridgeSpanContext:
        """Return a bridge context for any OpenTelemetry one, with the baggage given.

        The debug flag of a context that is not the bridge's own is read from its trace state.
        """
        sampled = bool(context.trace_flags & 1)
        debug = sampled and bool(getattr(context, "debug", False) or is_debug(context.trace_state))
        ids = (context.trace_id, context.span_id, context.is_remote, context.trace_flags, context.trace_state)
        return cls(*ids, baggage, debug)

    def __repr__(self) -> str:
        more = f", baggage={self.items!r}, debug={self.debug}, debug_id={self.debug_id!r}"
        refused = "" if self.refused is None else f", refused={self.refused!r}"
        return f"{super().__repr__()[:-1]}{more}{refused})"


def foreign_context(context: Any) -> BridgeSpanContext | None:
    """Return the context of another OpenTracing implementation, None when it has neither ids nor baggage.

    jaeger-client's has integer ids and flags. Other tracers number their spans in ways of their own.
    """
    try:
        trace_id, span_id = getattr(context, "trace_id", None), getattr(context, "span_id", None)
        found = getattr(context, "baggage", None)
        baggage = dict(found) if isinstance(found, Mapping) else {}
        flags = getattr(context, "flags", None)
        if type(trace_id) is type(span_id) is type(flags) is int and 0 < trace_id < 2**128 and 0 < span_id < 2**64:
            read = BridgeSpanContext(trace_id, span_id, False, None, None, baggage)
            return read.with_sampling(sampled=bool(flags & 1), debug=flags & 3 == 3)
        return BridgeSpanContext(baggage=baggage) if baggage else None
    except Exception:
        return None


def debug_state(state: TraceState, *, debug: bool) -> TraceState:
    """Return the trace state with the debug member in front, or without it.

    The member lives in the context of every local span: that is how the flag passes through native spans.
    """
    if is_debug(state) == debug:
        return state
    return TraceState(with_debug(list(state.items()), debug=debug))
