"""The recorded span: OpenTracing's and OpenTelemetry's at once, readable by every processor and exporter.

One object instead of a wrapper around another is where the speed comes from: it keeps plain dicts and lists, cleans a
value once, and settles kind and status when it finishes, so that a late ``span.kind`` and a last-wins ``error`` need no
private writes. :mod:`ot_bridge.recorder` makes it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from time import time_ns
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final

from opentelemetry import trace as trace_api
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event as SdkEvent
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind
from opentelemetry.trace.status import Status, StatusCode

from ot_bridge import semconv
from ot_bridge.config import Settings
from ot_bridge.context import BridgeSpanContext
from ot_bridge.conventions import (
    ROLES,
    Role,
    accepted_priority,
    log_to_event,
    read_error,
    read_int,
    read_kind,
    resolve_status,
)
from ot_bridge.doubles import kind_inside
from ot_bridge.known import PLAIN, Known
from ot_bridge.listeners import Listeners
from ot_bridge.locks import fork_safe_lock
from ot_bridge.redacting import Guard, SpanRedactor, redactor_of
from ot_bridge.span import OWN_CLASSES, BridgeSpan, operation_name_of
from ot_bridge.telemetry import count, warn_once
from ot_bridge.values import clean_key, clean_value, to_ns, to_text

if TYPE_CHECKING:
    from ot_bridge.watch import Group

__all__ = ["RecordingSpan", "SpanRules", "cleaner", "face_of", "summarize"]

_UNSET: Final = Status()
_TOLD_EVENTS: Final = frozenset({"", "baggage", "error"})  # their fields have rules of their own
_ERROR_FIELDS: Final = frozenset({"error.object", "error.kind", "stack"})

# On CPython 3.11 reading a member from its enum costs as much as setting a whole tag.
_KIND, _ERROR, _PRIORITY, _INTEGER, _HTTP = Role.KIND, Role.ERROR, Role.PRIORITY, Role.INTEGER, Role.HTTP_STATUS

_lock = fork_safe_lock()  # one for all spans: it is held for a few instructions, and a lock a span costs memory


class SpanRules:
    """What all spans of one tracer share: limits, processor, instrumentation scope, settings.

    Args:
        limits: the provider's span limits.
        processor: the provider's processor, which knows those that are added later.
        scope: the instrumentation scope that spans are exported under.
        settings: the bridge's settings.
    """

    def __init__(
        self, limits: SpanLimits, processor: SpanProcessor, scope: InstrumentationScope, settings: Settings
    ) -> None:
        self.listeners = Listeners(processor, Guard)
        self.scope = scope
        self.settings = settings
        self.max_attributes = _unlimited(limits.max_span_attributes)
        self.max_events = _unlimited(limits.max_events)
        self.max_links = _unlimited(limits.max_links)
        self.max_event_attributes = _unlimited(limits.max_event_attributes)
        self.max_link_attributes = limits.max_link_attributes
        self.tag_limit = _smaller(limits.max_span_attribute_length, settings.max_tag_value_length)
        self.log_limit = _smaller(limits.max_attribute_length, settings.max_tag_value_length)
        self.traceback_limit = _smaller(limits.max_attribute_length, settings.max_traceback_length)
        self.clean_tag = cleaner(self.tag_limit, settings)
        self.clean_field = cleaner(self.log_limit, settings)
        self.ended: Iterator[int] | None = None
        """Counts the spans that end, where there is a meter."""
        self.terse = False
        self.debug_allowed: Callable[[str], bool] | None = None
        redactor = redactor_of(settings)
        self._redactor = None if redactor is None else SpanRedactor(redactor)
        self.redact_value: Any = None if redactor is None else redactor.value
        self.redact = None if self._redactor is None else self._redactor.bridge_span
        self.known = Known(redactor, is_open=self.tag_limit is None and self.log_limit is None)
        self.names, self.texts_under, self.bits = self.known.names, self.known.texts_under, self.known.bits
        self.event_names: AbstractSet[Any] = self.names
        if settings.find_unfinished is not None or settings.flood_limit is not None:
            from ot_bridge.watch import Flood, Unfinished
        self.unfinished = None if settings.find_unfinished is None else Unfinished(settings.find_unfinished)
        limit = settings.flood_limit
        self.flood = None if limit is None else Flood(limit, collapse=settings.flood_collapse)
        self.watches = self.unfinished is not None or self.flood is not None
        self.redact_start = None if settings.redact_dry_run else self.redact  # a dry run counts once
        self.translates = settings.semconv != "legacy"
        self.resource: Resource | None = None
        """The provider's, as it was last."""
        self.exported_resource: Resource = Resource.get_empty()
        """What is exported of it: see :meth:`take`."""

    def take(self, resource: Resource) -> Resource:
        """Take the provider's resource, where it is another than before; return what is exported of it."""
        if resource is not self.resource:
            self.exported_resource = resource if self._redactor is None else self._redactor.resource(resource)
            self.resource = resource
        return self.exported_resource

    def leave_out_logs(self, *, terse: bool) -> None:
        """Leave out logs that tell of no error, or leave out none: see :mod:`ot_bridge.shedding`."""
        self.terse = terse
        self.event_names = frozenset() if terse else self.names

    def may_force(self, name: str) -> bool:
        """Tell whether a trace may be forced by a span of this name: a throttler may say no."""
        return self.debug_allowed is None or self.debug_allowed(name)


def _unlimited(limit: int | None) -> int:
    return sys.maxsize if limit is None else limit


def cleaner(limit: int | None, settings: Settings) -> Callable[[Any], Any]:
    """Return what cleans the values of tags or fields.

    Args:
        limit: characters kept, None for all.
        settings: the bridge's settings.
    """
    if limit is None and not settings.stringify_sequences:
        return clean_value
    return partial(clean_value, limit=limit, stringify_sequences=settings.stringify_sequences)


def _smaller(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


class _BridgeEvent(SdkEvent):
    """An event as exporters read it, with the number of its fields that did not fit."""

    def __init__(self, name: str, attributes: Mapping[str, Any], timestamp: int, dropped: int) -> None:
        super().__init__(name, attributes, timestamp)
        self._dropped = dropped

    @property
    def dropped_attributes(self) -> int:
        return self._dropped


class RecordingSpan(BridgeSpan, SdkSpan):  # type: ignore[misc]  # both bases have __enter__ and _context
    """A span that is recorded. Made by the tracer, which fills the fields; processors get the object itself."""

    _alike: ClassVar[set[type]]  # this class, and those that stand in for it: see ot_bridge.metering
    _rules: SpanRules
    _attributes: dict[str, Any]
    _kind: SpanKind = SpanKind.INTERNAL
    _resource: Resource
    _links: Sequence[Link] = ()
    _start_time: int
    _end_time: int | None = None
    _records: list[tuple[str, dict[str, Any], int, int] | SdkEvent] | None = None
    _record_end_metrics: Callable[[], None] | None = None
    _explicit_status: Status | None = None  # set_status's word
    _final_status: Status | None = None
    _error: bool | None = None  # the error tag's word
    _error_message: str | None = None
    _status_tags: bool = False  # whether a tag other than error may decide on the status
    _is_judged: bool = True  # whether there is anything to settle at the end, such as a status
    _is_seen: bool = False  # whether all in it was seen before, and may stay as it is: see ot_bridge.known
    _unended: bool  # deleted at the end: of two threads that finish a span at once, one gets the exception
    _dropped_attributes: int = 0
    _dropped_events: int = 0
    _dropped_links: int = 0
    _outer: Any = None  # the native span of a request that it was started inside of: see ot_bridge.doubles
    _refused: bool = False  # sampling.priority=0 after the start: for a tail sampler, where nothing was sampled before
    _is_summary: bool = False  # of spans that were collapsed

    def unwrap(self) -> trace_api.Span:
        return self

    # --- OpenTracing

    def set_tag(self, key: Any, value: Any) -> RecordingSpan:
        """Set a tag: by its row in TAG_RULES, else as attribute. None is skipped."""
        if self._end_time is None:
            rules = self._rules
            try:
                texts = rules.texts_under(key)
                if texts is not None:
                    kind = type(value)
                    if (
                        value in texts
                        if kind is str
                        else value.bit_length() < rules.bits
                        if kind is int
                        else kind in PLAIN
                    ):
                        attributes = self._attributes
                        if len(attributes) < rules.max_attributes or key in attributes:
                            attributes[key] = value
                            return self
            except Exception:  # a key without a hash
                return self._set_other_tag(key, value)
        return self._set_other_tag(key, value)

    def _set_other_tag(self, key: Any, value: Any) -> RecordingSpan:
        """Set a tag that is not known yet."""
        if self._end_time is not None:
            count("span.after_finish")
            return self
        try:
            if type(key) is not str or not key.isascii():
                key = clean_key(key)
            role = ROLES.get(key)
            if role is not None:
                self._apply(role, key, value)
            elif value is not None:
                value = self._rules.clean_tag(value)
                self._put(key, value)
        except Exception:
            count("span.failed.set_tag")
        return self

    def log_kv(self, key_values: Any, timestamp: Any = None) -> RecordingSpan:
        """Add an event for the log, by LOG_RULES. ``timestamp`` is a Unix time in seconds, default now."""
        if self._end_time is not None:
            count("span.after_finish")
            return self
        try:
            rules = self._rules
            attributes: dict[str, Any] | None = None
            if type(key_values) is dict:
                name = key_values.get("event", "log")
                if type(name) is str and name in rules.event_names and name not in _TOLD_EVENTS:
                    attributes = key_values.copy()
                    attributes.pop("event", None)
                    texts_under, bits = rules.texts_under, rules.bits
                    for key, value in attributes.items():
                        texts = texts_under(key)
                        kind = type(value)
                        if texts is None or not (
                            value in texts
                            if kind is str
                            else value.bit_length() < bits
                            if kind is int
                            else kind in PLAIN
                        ):
                            attributes = None
                            break
            if attributes is None:
                if rules.terse and not _tells_of_error(key_values):
                    with _lock:
                        self._dropped_events += 1
                    return self
                name, attributes = self._read_log(key_values)
            ns = time_ns() if timestamp is None else _ns_of(timestamp, "log")
            dropped = 0
            if len(attributes) > rules.max_event_attributes:
                dropped = len(attributes) - rules.max_event_attributes
                attributes = dict(list(attributes.items())[dropped:])
            if self._records is None and rules.max_events:
                self._records = [(name, attributes, ns, dropped)]
            else:
                self._record((name, attributes, ns, dropped))
        except Exception:
            count("span.failed.log_kv")
        return self

    def set_operation_name(self, operation_name: Any) -> RecordingSpan:
        """Rename the span."""
        if self._end_time is None:
            self._name = operation_name_of(operation_name)
            self._is_seen = False
        else:
            count("span.after_finish")
        return self

    def finish(self, finish_time: Any = None, _end_ns: int | None = None) -> None:
        """End the span and hand it to the processors.

        Args:
            finish_time: Unix time in seconds; None, or what is no time, for now.
        """
        try:
            del self._unended  # one step, which no other thread can come into: a lock would be four times as much
        except AttributeError:
            count("span.finished_twice")
            return
        rules = self._rules
        if _end_ns is None:
            _end_ns = time_ns() if finish_time is None else _ns_of(finish_time, "finish")
        self._end_time = _end_ns
        if rules.ended is not None:
            next(rules.ended)
        if self._is_judged:
            try:
                self._settle()
            except Exception:
                warn_once("span.failed.ending", "a span could not be settled", exc_info=True)
        else:
            self._final_status = _UNSET
        if rules.watches:
            self._watch(rules)
        if not self._is_seen and rules.redact is not None:  # before anybody sees it, whatever failed so far
            rules.redact(self)
        listeners = rules.listeners
        if listeners.source._span_processors is not listeners.seen:
            listeners.look()
        try:
            for processor in listeners.ending:
                processor._on_ending(self)
        except Exception:
            warn_once("span.failed.ending", "a span processor failed when a span was ending", exc_info=True)
        try:
            for processor in listeners.on_end:
                processor.on_end(self)
        except Exception:
            warn_once("span.failed.end", "a span processor failed when a span ended", exc_info=True)

    # --- OpenTelemetry. Its callers know its rules: no tag is mapped here.

    def get_span_context(self) -> BridgeSpanContext:
        return self._context

    def is_recording(self) -> bool:
        return self._end_time is None

    def end(self, end_time: int | None = None) -> None:
        type(self).finish(self, None, end_time)  # not what an application has put there

    def update_name(self, name: str) -> None:
        self.set_operation_name(name)

    def set_attribute(self, key: str, value: Any) -> None:
        self.set_attributes({key: value})

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        if self._end_time is not None:
            count("span.after_finish")
            return
        try:
            # The SDK's own container cleans the values: which ones it takes differs between its versions.
            for key, value in BoundedAttributes(None, attributes, True, self._rules.tag_limit).items():
                self._put(key, value)
        except Exception:
            count("span.failed.set_attribute")

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        if self._end_time is not None:
            count("span.after_finish")
            return
        try:
            rules = self._rules
            limit = None if rules.max_event_attributes == sys.maxsize else rules.max_event_attributes
            bounded = BoundedAttributes(limit, attributes, True, rules.log_limit)
            event = SdkEvent(to_text(name) or "event", bounded, timestamp)
            self._is_seen = False
            self._record(event)
        except Exception:
            count("span.failed.add_event")

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        if self._end_time is not None:
            count("span.after_finish")
        elif context is not None and (context.is_valid or attributes or context.trace_state):
            try:
                bounded = BoundedAttributes(self._rules.max_link_attributes, attributes, True, self._rules.log_limit)
                with _lock:
                    self._set_links((*self._links, Link(context, bounded)))
                self._is_seen = False
            except Exception:
                count("span.failed.add_link")

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        if self._end_time is not None:
            count("span.after_finish")
            return
        if isinstance(status, StatusCode):
            status = Status(status, description if status is StatusCode.ERROR else None)
        elif not isinstance(status, Status):
            count("span.failed.set_status")
            return
        final = self._explicit_status is not None and self._explicit_status.status_code is StatusCode.OK
        if not final and status.status_code is not StatusCode.UNSET:
            self._explicit_status = status
            self._is_judged, self._is_seen = True, False

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        if not isinstance(exception, BaseException):
            self.log_kv({"event": "error", "message": exception})
            return
        self._remember(exception)
        try:
            super().record_exception(exception, attributes, timestamp, escaped)
        except Exception:  # its str() may raise
            self.log_kv({"event": "error", "error.object": exception})

    # --- what processors and exporters read

    @property
    def attributes(self) -> Mapping[str, Any]:
        # A copy: a thread that still sets a tag must not change the dict under an exporter which iterates over it.
        return MappingProxyType(self._attributes.copy())

    @property
    def events(self) -> tuple[SdkEvent, ...]:
        records = list(self._records or ())
        return tuple(entry if isinstance(entry, SdkEvent) else _BridgeEvent(*entry) for entry in records)

    @property
    def _events(self) -> tuple[SdkEvent, ...]:  # type: ignore[override]  # to_json and the SDK's snapshot read it
        return self.events

    @property
    def status(self) -> Status:
        return self._final_status or self._settle_status()[0]

    @property
    def _status(self) -> Status:
        return self.status

    @_status.setter
    def _status(self, status: Status) -> None:
        self._explicit_status = status
        self._final_status = None
        self._is_judged, self._is_seen = True, False

    @property
    def instrumentation_scope(self) -> InstrumentationScope:
        return self._rules.scope

    @property
    def _instrumentation_scope(self) -> InstrumentationScope:  # type: ignore[override]
        return self._rules.scope

    @property
    def _instrumentation_info(self) -> InstrumentationScope:  # type: ignore[override]  # deprecated: name and version
        return self._rules.scope

    @property
    def dropped_attributes(self) -> int:
        return self._dropped_attributes

    @property
    def dropped_events(self) -> int:
        return self._dropped_events

    @property
    def dropped_links(self) -> int:
        return self._dropped_links

    # --- inside

    def begin(self, links: Sequence[Link], error: Any, *, status_tags: bool) -> None:
        """Take what only some spans start with; keep the newest attributes and links where there are too many.

        Args:
            links: to the references that are not the parent.
            error: the initial ``error`` tag, None without one.
            status_tags: whether another initial tag may decide on the status.
        """
        if links:
            self._set_links(links)
            self._is_seen = False
        self._is_judged = True
        self._status_tags = status_tags
        if error is not None:
            self._apply_error(error)
        excess = len(self._attributes) - self._rules.max_attributes
        if excess > 0:
            self._dropped_attributes = excess
            self._attributes = dict(list(self._attributes.items())[excess:])

    def _set_links(self, links: Sequence[Link]) -> None:
        excess = max(0, len(links) - self._rules.max_links)
        self._dropped_links += excess
        self._links = links[excess:]

    def _apply(self, role: Role, key: str, value: Any) -> None:
        if value is None:
            return
        if role is _KIND:
            kind = read_kind(value)
            if kind is not None:
                self._kind = kind
                self._attributes.pop(key, None)
                return
        elif role is _ERROR:
            if self._apply_error(value):
                self._attributes.pop(key, None)
                return
        elif role is _PRIORITY:
            wanted = accepted_priority(value)
            if wanted is not None:
                if wanted and not self._context.debug and not self._rules.may_force(self._name):
                    return
                self._context = self._context.with_sampling(sampled=wanted, debug=wanted)
                if not wanted:
                    self._refused = True
                    self._attributes.pop(key, None)
                    return
                if self._parent is None or self._parent.is_remote:
                    self._put("jaeger.debug", True)
        else:
            if role is not _INTEGER:
                self._status_tags = self._is_judged = True
            if role is _INTEGER or role is _HTTP:
                value = read_int(value)
        self._put(key, self._rules.clean_tag(value))

    def _apply_error(self, value: Any) -> bool:
        failed = read_error(value)
        if failed is None:
            warn_once(
                "tag.error.unreadable",
                "the tag error=%r is neither true nor false; it is kept as attribute and the status is not touched",
                to_text(value)[:80],
            )
            return False
        self._error = failed
        self._is_judged = True
        if isinstance(value, BaseException):
            self._error_message = to_text(value)
            self._is_seen = False
        return True

    def _put(self, key: str, value: Any) -> None:
        known = self._rules.known
        if self._is_seen and not known.has(key, value):
            self._is_seen = False
            known.learn(key, value)
        attributes = self._attributes
        if key in attributes or len(attributes) < self._rules.max_attributes:
            if key:
                attributes[key] = value
            else:
                count("span.key.empty")
            return
        with _lock:  # two threads that evict at once would drop two and count one
            while attributes and len(attributes) >= self._rules.max_attributes:
                del attributes[next(iter(attributes))]
                self._dropped_attributes += 1
            if self._rules.max_attributes:
                attributes[key] = value
            else:
                self._dropped_attributes += 1

    def _read_log(self, key_values: Any) -> tuple[str, dict[str, Any]]:
        """Return the event for a log that is not known yet; keep in mind what it tells about the span's failure."""
        rules = self._rules
        name, attributes, exception, error_message = log_to_event(key_values, rules.clean_field, rules.traceback_limit)
        self._is_seen = False
        rules.known.learn_name(name)
        for key, value in attributes.items():
            rules.known.learn(key, value)
        if exception is not None:
            self._remember(exception)
            self._is_judged = True
        if error_message is not None:
            self._error_message = error_message
            if rules.settings.error_log_sets_status:
                self._error = self._is_judged = True
        return name, attributes

    def _record(self, entry: tuple[str, dict[str, Any], int, int] | SdkEvent) -> None:
        records = self._records
        if records is None:
            records = self._records = []
        if len(records) < self._rules.max_events:
            records.append(entry)
            return
        with _lock:
            self._dropped_events += 1
            if records:
                del records[0]
                records.append(entry)

    def _settle_status(self) -> tuple[Status, tuple[str, ...]]:
        settings = self._rules.settings
        return resolve_status(
            self._attributes,
            explicit=self._explicit_status,
            error=self._error,
            error_message=self._error_message,
            kind=self._kind,
            http=settings.status_from_http and self._status_tags,
            error_false_as_ok=settings.error_false_as_ok,
        )

    def _watch(self, rules: SpanRules) -> None:
        try:
            if rules.unfinished is not None:
                rules.unfinished.ended(self)
            if rules.flood is not None and not self._is_summary:
                collapsed, due = rules.flood.ended(self)
                if collapsed:  # processors are told of its end, as of its start; what exports skips it
                    self._context = self._context.with_sampling(sampled=False, debug=False)
                summarize(due)
        except Exception:
            warn_once("flood.failed", "a span could not be counted", exc_info=True)

    def _settle(self) -> None:
        if self._explicit_status is None and self._error is None and not self._status_tags:
            self._final_status = _UNSET
        else:
            self._final_status, consumed = self._settle_status()
            for key in consumed:
                self._attributes.pop(key, None)
        if self._rules.translates:
            self._is_seen = False
            exception_type = semconv.exception_type_of(self.events)
            self._attributes = semconv.translate(
                self._attributes,
                kind=self._kind,
                failed=self._final_status.status_code is StatusCode.ERROR,
                exception_type=exception_type,
                keep=self._rules.settings.semconv == "dup",
            )
        if self._outer is not None:  # after all that depends on what the span's own tags say
            nest = self._rules.settings.double_servers == "nest"
            outer, self._outer = self._outer, None
            self._kind = kind_inside(outer, self._kind, nest=nest)
        if self._exceptions is not None:
            self._exceptions = None
        if self._record_end_metrics is not None:
            self._record_end_metrics()


READ_ONLY: Final = (
    "attributes",
    "dropped_attributes",
    "dropped_events",
    "dropped_links",
    "end_time",
    "events",
    "instrumentation_info",
    "instrumentation_scope",
    "kind",
    "links",
    "name",
    "parent",
    "resource",
    "start_time",
    "status",
)
"""What processors and exporters read from a span: the names that an application's own attributes cannot have."""


def _refusing(name: str) -> property:
    def refuse(_: Any, value: Any) -> None:
        warn_once(
            f"span.field.{name}",
            "span.%s is what exporters read, and stays as it is: the program sets it to a %s; use another name",
            name,
            type(value).__name__,
        )

    return property(getattr(RecordingSpan, name).fget, refuse)


for _name in READ_ONLY:  # a span takes free attributes, as jaeger-client's does: none of them may raise
    setattr(RecordingSpan, _name, _refusing(_name))


OWN_CLASSES.add(RecordingSpan)
RecordingSpan._alike = {RecordingSpan}


def face_of(span: Any) -> RecordingSpan:
    """Return an object of the bridge's own class that shares all state of a span of a derived one.

    Processors and exporters are given it where the derived class means something else by one of :data:`READ_ONLY`.
    """
    face: RecordingSpan = object.__new__(RecordingSpan)
    face.__dict__ = span.__dict__
    return face


def _tells_of_error(key_values: Any) -> bool:
    return key_values.get("event") == "error" or not _ERROR_FIELDS.isdisjoint(key_values)


def summarize(groups: Iterable[Group]) -> None:
    """Export a summary of each group of collapsed spans."""
    for group in groups:
        recorder = group.like._tracer._recorder
        if recorder is not None:
            recorder.summarize(group)


def _ns_of(seconds: Any, where: str) -> int:
    ns = to_ns(seconds)
    if ns is None:
        count(f"span.time.unreadable.{where}")
        return time_ns()
    return ns
