"""The span as OpenTracing sees it: what every span of the bridge has, and the one that is not recorded.

:mod:`ot_bridge.recording` has the span that is, :mod:`ot_bridge.wrapped` those which the bridge did not make.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Final, cast

import opentracing
from opentelemetry import trace as trace_api
from opentelemetry.context import set_value
from opentelemetry.trace import SpanContext
from opentelemetry.trace.status import Status, StatusCode

from ot_bridge.baggage import ChangedBaggage, LiveBaggage, baggage_of, live
from ot_bridge.context import BAGGAGE_KEY, SPAN_KEY, BridgeSpanContext, attach, get_current
from ot_bridge.conventions import accepted_priority
from ot_bridge.locks import fork_safe_lock
from ot_bridge.telemetry import count, warn_once
from ot_bridge.values import clean_key, to_text

if TYPE_CHECKING:
    from ot_bridge.tracer import BridgeTracer

__all__ = ["OWN_CLASSES", "BridgeSpan", "UnsampledSpan", "operation_name_of", "record_failure"]

_lock = fork_safe_lock()  # one for the baggage of all spans: it is held for a few instructions


class BridgeSpan(opentracing.Span):
    """Every span that a :class:`ot_bridge.BridgeTracer` hands out: OpenTracing's interface and what jaeger-client adds.

    No method raises. What comes after ``finish`` is ignored and counted.
    """

    _tracer: BridgeTracer
    _context: BridgeSpanContext
    _name: str
    _parent: SpanContext | None = None
    _exceptions: list[BaseException] | None = None  # recorded ones, held until the end to recognise them again

    @property
    def context(self) -> BridgeSpanContext:
        """The span's context as it is now, with what OpenTelemetry's API added to its baggage where it is active."""
        current = get_current()
        scope = getattr(current, "scope", None)  # of a ScopeContext, which holds nothing that the scope does not know
        if scope is not None and scope._baggage is None:
            return self._context
        if current.get(SPAN_KEY) is not self.unwrap():
            return self._context
        items = baggage_of(self, current)
        return self._context if items is self._context.items else self._context.with_baggage(items)

    @property
    def tracer(self) -> BridgeTracer:
        """The tracer that started this span, or through which it is seen."""
        return self._tracer

    @abstractmethod
    def unwrap(self) -> trace_api.Span:
        """Return the OpenTelemetry span: this object itself, unless it wraps one that the bridge did not make."""

    @property
    def operation_name(self) -> str:
        """The present operation name; can be set."""
        return self._name

    @operation_name.setter
    def operation_name(self, operation_name: Any) -> None:
        self.set_operation_name(operation_name)

    @property
    def trace_id(self) -> int:
        """The trace id as integer."""
        return self._context.trace_id

    @property
    def span_id(self) -> int:
        """The span id as integer."""
        return self._context.span_id

    @property
    def parent_id(self) -> int | None:
        """The parent's span id as integer, None for a root."""
        return None if self._parent is None else self._parent.span_id

    @property
    def flags(self) -> int:
        """The flags as Jaeger counts them: 1 sampled, 2 debug."""
        return self._context.flags

    def is_sampled(self) -> bool:
        """Tell whether the span is sampled."""
        return self._context.sampled

    def is_debug(self) -> bool:
        """Tell whether Jaeger's debug flag is set."""
        return self._context.debug

    def set_baggage_item(self, key: Any, value: Any) -> BridgeSpan:
        """Set one item, or delete it when ``value`` is None; OpenTelemetry sees it where the span is active."""
        try:
            current = get_current()
            active = current.get(SPAN_KEY) is self.unwrap()
            seen = baggage_of(self, current) if active else None
            key, value = clean_key(key), None if value is None else to_text(value)  # an application's __str__ may run
            while True:
                before = self._context
                own = before.with_baggage_item(key, value)
                # Nothing in here is a call: a thread that lost the GIL while it held the lock would stop all others.
                # With the line above in here, 0.1% of the calls of four busy threads took over 16 ms, now 0.04 ms.
                with _lock:
                    if self._context is before:
                        self._context = own
                        break
            held = current.get(BAGGAGE_KEY)
            if active and not (type(held) is LiveBaggage and held.owner is self):
                # Attached without a token to detach: whoever made the span current restores what was before it.
                if held is None:
                    attach(set_value(BAGGAGE_KEY, live(self), current))
                else:
                    items = own.with_baggage(seen or {}).with_baggage_item(key, value).baggage
                    attach(set_value(BAGGAGE_KEY, ChangedBaggage(items, own.baggage, self), current))
        except Exception:
            count("span.failed.set_baggage_item")
        return self

    def get_baggage_item(self, key: Any) -> str | None:
        """Return an item: by its exact key, else by the first that differs only in case; None without one."""
        items = self.context.items
        name = clean_key(key)
        if name in items:
            return items[name]
        lower = name.lower()
        return next((value for other, value in items.items() if other.lower() == lower), None)

    def info(self, message: Any, payload: Any = None) -> BridgeSpan:
        """Log an event, as jaeger-client's spans do."""
        return self.log_event(message, payload)

    def error(self, message: Any, payload: Any = None) -> BridgeSpan:
        """Tag the span with ``error`` and log an event, as jaeger-client's spans do."""
        self.set_tag("error", True)
        return self.log_event(message, payload)

    def __enter__(self) -> BridgeSpan:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        """Record the exception, once, and finish."""
        record_failure(self, exc_type, exc_val, exc_tb)
        self.finish()

    def _remember(self, exception: BaseException) -> None:
        if self._exceptions is None:
            self._exceptions = []
        self._exceptions.append(exception)


def record_failure(
    span: opentracing.Span | None,
    exc_type: type[BaseException] | None,
    exc_val: BaseException | None,
    exc_tb: TracebackType | None,
) -> None:
    """Tag a span with ``error`` and log the exception, unless the span recorded this very exception before."""
    if span is None or exc_val is None:
        return
    recorded = getattr(span, "_exceptions", None)
    if isinstance(span, BridgeSpan) and not cast("Any", span.unwrap()).is_recording():
        return
    span.set_tag("error", True)
    if recorded is None or not any(exception is exc_val for exception in recorded):
        fields = {"event": "error", "message": to_text(exc_val), "error.object": exc_val}
        span.log_kv({**fields, "error.kind": exc_type, "stack": exc_tb})


class UnsampledSpan(BridgeSpan, trace_api.Span):  # type: ignore[misc]  # both bases have __enter__
    """A span that is not recorded: ids and baggage only, and those not before somebody asks.

    Nobody does for most of them: to draw the ids and to make the context would be a quarter of such a span.
    """

    _trace_id: int = 0  # of a root: still to be drawn
    _items: Mapping[str, str] = MappingProxyType({})  # the baggage that the context is made with
    _made: BridgeSpanContext

    def __init__(
        self, tracer: BridgeTracer, name: str, context: BridgeSpanContext, parent: SpanContext | None = None
    ) -> None:
        self._tracer = tracer
        self._name = name
        self._made = context
        self._parent = parent

    @property
    def _context(self) -> BridgeSpanContext:
        try:
            return self._made
        except AttributeError:
            recorder: Any = self._tracer._recorder
            # One for all, whichever thread comes first.
            made: BridgeSpanContext = self.__dict__.setdefault("_made", recorder.unsampled_context(self))
            return made

    @_context.setter
    def _context(self, context: BridgeSpanContext) -> None:
        self._made = context

    def unwrap(self) -> trace_api.Span:
        return self

    def set_tag(self, key: Any, value: Any) -> UnsampledSpan:
        """Do nothing, except for ``sampling.priority``: the flags that are sent on follow it."""
        if key == "sampling.priority" and accepted_priority(value) and self._tracer._may_force(self._name):
            warn_once(
                "sampling.priority.late",
                "sampling.priority was set on a span that is not recorded: this span stays unrecorded, its children "
                "and callees are sampled; set it at the start, or use late_sampling",
            )
            self._context = self._context.with_sampling(sampled=True, debug=True)
        return self

    def set_operation_name(self, operation_name: Any) -> UnsampledSpan:
        """Rename the span."""
        self._name = operation_name_of(operation_name)
        return self

    def finish(self, finish_time: Any = None) -> None:
        """Do nothing."""

    def get_span_context(self) -> BridgeSpanContext:
        return self._context

    def is_recording(self) -> bool:
        return False

    def end(self, end_time: int | None = None) -> None: ...
    def set_attributes(self, attributes: Mapping[str, Any]) -> None: ...
    def set_attribute(self, key: str, value: Any) -> None: ...
    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None: ...
    def add_link(self, context: SpanContext, attributes: Any = None) -> None: ...
    def update_name(self, name: str) -> None: ...
    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None: ...
    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None: ...


OWN_CLASSES: Final[set[type]] = {UnsampledSpan}
"""The classes of spans that are their own OpenTelemetry span, for short ways: an ABC's ``isinstance`` costs six times
that."""


def operation_name_of(name: Any) -> str:
    """Return the span name for an operation name; ``unnamed`` for None and for the empty one."""
    if type(name) is str and name and name.isascii():
        return name
    return "unnamed" if name is None else clean_key(name) or "unnamed"
