"""The span with Jaeger's words: its ids, tags and logs as code reads them, times in seconds.

It is the bridge's own span with more to read. The one word that means two things is the time: OpenTelemetry's
processors and exporters read ``start_time`` in nanoseconds, old code in seconds. So they get another face of the same
span, see :func:`otel_face`: an object of the bridge's class which shares all of its state.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from time import time, time_ns
from typing import TYPE_CHECKING, Any, Final, cast

import opentracing
from opentelemetry.trace import SpanContext as OtelSpanContext
from opentelemetry.trace import SpanKind
from opentracing.tracer import Reference

from ot_bridge.context import BridgeSpanContext
from ot_bridge.jaeger_client import thrift
from ot_bridge.jaeger_client.codecs import span_context_to_string
from ot_bridge.jaeger_client.constants import DEBUG_FLAG, SAMPLED_FLAG
from ot_bridge.jaeger_client.span_context import SpanContext
from ot_bridge.jaeger_client.thrift_gen.jaeger.ttypes import Log, Tag
from ot_bridge.not_carried import reason_for
from ot_bridge.recording import READ_ONLY, RecordingSpan, face_of
from ot_bridge.span import OWN_CLASSES, BridgeSpan, UnsampledSpan, operation_name_of
from ot_bridge.telemetry import count, warn_once
from ot_bridge.values import clean_value, to_ns, to_text
from ot_bridge.wrapped import WrappedSpan

if TYPE_CHECKING:
    from ot_bridge.jaeger_client.tracer import Tracer

__all__ = [
    "DEBUG_FLAG",
    "SAMPLED_FLAG",
    "RecordedSpan",
    "Reference",
    "Span",
    "SpanContext",
    "SpanView",
    "UnrecordedSpan",
    "otel_face",
]

logger: Final = logging.getLogger("jaeger_tracing")

_S: Final = 10**9  # nanoseconds
_PRIORITY: Final = "sampling.priority"
_PLAIN: Final = frozenset({str, int, float, bool})


class Span(BridgeSpan):
    """Every span of :class:`ot_bridge.jaeger_client.Tracer`.

    Args:
        context: its ids and flags.
        tracer: the tracer that it reports to.
        operation_name: its name.
        tags: initial tags.
        start_time: Unix time in seconds, None for now.
        references: what it refers to; only kept.
    """

    references: list[opentracing.Reference] | None = None
    _start_time: int = 0
    _end_time: int | None = None
    _seen_first: dict[Any, Any] | None = None  # what it started with
    _added_tags: tuple[tuple[str, Any], ...] = ()  # by the tracer, to a root
    _seen_tags: list[tuple[Any, Any]] | None = None  # as they were set, as text: a span keeps nobody's objects alive
    _seen_logs: list[tuple[Any, dict[Any, Any]]] | None = None
    _seen_context: tuple[BridgeSpanContext, SpanContext] | None = None
    _update_lock: threading.Lock | None = None
    _ending: Span  # there while the span is handed to the processors
    _face: RecordingSpan | None = None  # what the processors were shown at the start, until the end

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is Span:
            return _built(*args, **kwargs)
        if not issubclass(cls, RecordingSpan | UnsampledSpan | WrappedSpan):
            raise TypeError(f"cannot build a {cls.__qualname__}: no class can be derived from Span here{_derived}")
        return super().__new__(cls)

    @property
    def context(self) -> SpanContext:
        """The span's context as it is now."""
        core = super().context
        held = self._seen_context
        if held is None or held[0] is not core:
            held = self._seen_context = (core, SpanContext.seen(core, self.parent_id))
        return held[1]

    @property
    def tracer(self) -> Tracer:
        """The tracer that started this span."""
        return cast("Tracer", self._tracer)

    @property
    def start_time(self) -> float:
        """When it started: Unix time in seconds."""
        return self._start_time / _S  # of integers: a float of nanoseconds would be off by a microsecond

    @start_time.setter
    def start_time(self, seconds: Any) -> None:
        self._start_time = to_ns(seconds) or self._start_time

    @property
    def end_time(self) -> float | None:
        """When it finished: Unix time in seconds; None while it runs, and when it is not sampled."""
        if self._end_time is None or not self._context.sampled:
            return None
        return self._end_time / _S

    @end_time.setter
    def end_time(self, seconds: Any) -> None:
        if self._end_time is not None:
            self._end_time = to_ns(seconds) or self._end_time

    @property
    def finished(self) -> bool:
        """Whether it has finished; never so when it is not sampled."""
        return self._end_time is not None and self._context.sampled

    @finished.setter
    def finished(self, value: Any) -> None:
        _refuse("finished", value, "call finish()")

    @property
    def tags(self) -> list[Tag]:
        """The tags that were set, in order, each time that one was set; a list of the caller's own."""
        limits = self.tracer.max_tag_value_length, self.tracer.max_traceback_length
        rules = self.tracer._seen_redactor
        seen = (*(self._seen_first or {}).items(), *self._added_tags, *(self._seen_tags or ()))
        if rules is not None:
            seen = tuple((key, rules.value(thrift.text_of(key), value)) for key, value in seen)
        return [thrift.make_tag(key, value, *limits) for key, value in seen]

    @tags.setter
    def tags(self, value: Any) -> None:
        _refuse("tags", value, "call set_tag()")

    @property
    def logs(self) -> list[Log]:
        """The logs, in order; a list of the caller's own."""
        limits = self.tracer.max_tag_value_length, self.tracer.max_traceback_length
        rules = self.tracer._seen_redactor
        logs = []
        for at, fields in self._seen_logs or ():
            shown: Mapping[Any, Any] = fields
            if rules is not None:
                named = {thrift.text_of(key): value for key, value in fields.items()}
                shown = rules.event(to_text(named.get("event")), named)
            tags = [thrift.make_tag(key, value, *limits) for key, value in shown.items()]
            logs.append(Log((to_ns(at) or 0) // 1000, tags))
        return logs

    @logs.setter
    def logs(self, value: Any) -> None:
        _refuse("logs", value, "call log_kv()")

    @property
    def update_lock(self) -> threading.Lock:
        """A lock for the caller's own use: nothing here waits for it."""
        if self._update_lock is None:
            self._update_lock = threading.Lock()
        return self._update_lock

    def set_baggage_item(self, key: Any, value: Any) -> Span:
        """Set one item, or delete it when ``value`` is None, and log that on a sampled span."""
        before = self.get_baggage_item(key)
        super().set_baggage_item(key, value)
        if self.is_sampled():
            override = {"override": "true"} if before else {}
            self.log_kv({"event": "baggage", "key": key, "value": value, **override})
        return self

    def is_rpc(self) -> bool:
        """Tell whether it is a client's or a server's span."""
        return getattr(self, "_kind", None) in (SpanKind.CLIENT, SpanKind.SERVER)

    def is_rpc_client(self) -> bool:
        """Tell whether it is a client's span."""
        return getattr(self, "_kind", None) is SpanKind.CLIENT

    def __repr__(self) -> str:
        context = self._context
        ids = span_context_to_string(context.trace_id, context.span_id, self.parent_id, context.flags)
        return f"{ids} {self.tracer.service_name}.{self.operation_name}"

    __str__ = __repr__


class RecordedSpan(Span, RecordingSpan):  # type: ignore[misc]  # both have names of their own for the times
    """A span that is recorded."""

    def set_tag(self, key: Any, value: Any) -> RecordedSpan:
        """Set a tag; what ``sampling.priority`` means is Jaeger's rule."""
        if key == _PRIORITY:
            return self._set_priority(value)
        if self._end_time is None and self._context[3] & 1:
            seen = self._seen_tags
            if seen is None:
                seen = self.__dict__.setdefault("_seen_tags", [])  # one list, whichever thread comes first
            if type(value) in _PLAIN:
                seen.append((key, value))
            else:
                seen.append((key, thrift.plain_value(value, self.tracer.max_traceback_length)))
        RecordingSpan.set_tag(self, key, value)
        return self

    def _set_priority(self, value: Any) -> RecordedSpan:
        wanted = read_priority(value)
        if wanted is None or self._end_time is not None:
            return self
        if not wanted:
            RecordingSpan.set_tag(self, _PRIORITY, 0)
        elif not self.is_debug():
            RecordingSpan.set_tag(self, _PRIORITY, 1)
            if self.is_debug():  # and no throttler has refused it
                self._attributes[_PRIORITY] = clean_value(value)
                self._seen_tags = [*(self._seen_tags or ()), (_PRIORITY, thrift.plain_value(value))]
        return self

    def log_kv(self, key_values: Any, timestamp: Any = None) -> RecordedSpan:
        """Add a log; ``timestamp`` is a Unix time in seconds, default now."""
        RecordingSpan.log_kv(self, key_values, timestamp)
        if self._end_time is None and self._context[3] & 1:
            try:
                seen = self._seen_logs
                if seen is None:
                    seen = self.__dict__.setdefault("_seen_logs", [])
                seen.append((timestamp or time(), _kept(key_values, self._tracer)))
            except Exception:
                count("dropin.log_not_seen")
        return self

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: whoever makes it has filled it, and after that Python calls this for ``Span(...)``."""


class _Readable:
    """A property that gives way: applications write ``span.resource`` and the like, and read back what they wrote.

    Processors and exporters are given the span's other face, where the name means what OpenTelemetry means by it.
    """

    def __init__(self, read: Any) -> None:
        self._read = read

    def __get__(self, span: Any, owner: type | None = None) -> Any:
        return self if span is None else self._read(span)


for _name in READ_ONLY:
    if _name not in vars(Span):
        setattr(RecordedSpan, _name, _Readable(getattr(RecordingSpan, _name).fget))

RecordedSpan._alike = {RecordedSpan}


class UnrecordedSpan(Span, UnsampledSpan):  # type: ignore[misc]
    """A span that is not recorded, until a ``sampling.priority`` asks for it."""

    def set_tag(self, key: Any, value: Any) -> UnrecordedSpan:
        """Do nothing, except for ``sampling.priority``: what comes after it is recorded, as Jaeger does it."""
        if key == _PRIORITY and read_priority(value) and self.tracer.is_debug_allowed(self.operation_name):
            recorder = self.tracer._recorder
            context = self._context = self._context.with_sampling(sampled=True, debug=True)
            if recorder is not None:
                self.__class__ = RecordedSpan  # type: ignore[assignment]
                self._context = context
                recorder.promote(cast("RecordingSpan", self), self._start_time)
                RecordingSpan.set_tag(cast("RecordingSpan", self), key, 1)
                cast("RecordingSpan", self)._attributes[key] = clean_value(value)
                self._seen_tags = [(_PRIORITY, thrift.plain_value(value))]
        return self


OWN_CLASSES.update((RecordedSpan, UnrecordedSpan))


class SpanView(Span, WrappedSpan):
    """A native span, or one of another provider, seen as Jaeger would show it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._start_time = getattr(self._otel_span, "start_time", None) or time_ns()


def otel_face(span: Any) -> Any:
    """Return what OpenTelemetry's processors are given for a span: all of its state, and times in nanoseconds."""
    if type(span) not in RecordedSpan._alike:
        return span
    return face_of(span) if span._face is None else span._face


def _refuse(name: str, value: Any, instead: str) -> None:
    warn_once(f"dropin.span.{name}", "Span.%s cannot be set to %s: %s", name, type(value).__name__, instead)


def read_priority(value: Any) -> int | None:
    """Return 1 or 0 for what a ``sampling.priority`` asks for; None to ignore it. By Jaeger's rule -1 is 1, too."""
    try:
        return 1 if int(value) else 0
    except (TypeError, ValueError, OverflowError):
        return None


_derived: Final = reason_for("span.Span (derived)")


def see_initial(span: RecordedSpan, tags: Any) -> None:
    """Keep the tags that a span started with, for who reads ``span.tags``."""
    try:
        seen = _kept(tags, span._tracer)
        if _PRIORITY in seen:
            if _PRIORITY in span._attributes:
                span._attributes[_PRIORITY] = clean_value(tags[_PRIORITY])  # as it was set, not what it was read as
            else:
                del seen[_PRIORITY]
        span._seen_first = seen
    except Exception:
        count("dropin.tags_not_seen")


def _kept(values: Any, tracer: Any) -> dict[Any, Any]:
    """Return the values as Jaeger would have kept them, and nobody's objects: most are plain, and only copied."""
    if type(values) is dict and _PLAIN.issuperset(map(type, values.values())):
        return values.copy()
    limit = tracer.max_traceback_length
    return {key: value if type(value) in _PLAIN else thrift.plain_value(value, limit) for key, value in values.items()}


def _built(
    context: BridgeSpanContext,
    tracer: Tracer,
    operation_name: str,
    tags: Mapping[str, Any] | None = None,
    start_time: float | None = None,
    references: list[opentracing.Reference] | None = None,
) -> Span:
    span: Span = object.__new__(RecordedSpan)
    span._tracer = tracer
    span._name = operation_name_of(operation_name)
    span._context = BridgeSpanContext.of(context, context.items)
    span.references = references
    parent_id = getattr(context, "parent_id", None)
    if parent_id:
        span._parent = OtelSpanContext(context.trace_id, parent_id, is_remote=False, trace_flags=context.trace_flags)
    start_ns = (to_ns(start_time) if start_time else None) or time_ns()
    if tracer._recorder is None:
        raise TypeError("a Span can only be built for a tracer that records: OTEL_SDK_DISABLED is set")
    tracer._recorder.promote(cast("RecordingSpan", span), start_ns)
    for key, value in (tags or {}).items():
        span.set_tag(key, value)
    return span
