"""Spans with the words of ``opentracing.mocktracer.MockSpan``, over what is exported.

A value is shown as the application passed it where the export says the same, such as an exception whose text is in the
event; it is shown as it is exported where that differs: redacted, cut, or dropped. So tests that were written for
MockTracer go on passing, and nothing is shown that would not be sent.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry.sdk.trace import Event as SdkEvent
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import StatusCode

from ot_bridge.conventions import Event, log_to_event, read_error, read_kind
from ot_bridge.recording import RecordingSpan, face_of
from ot_bridge.span import OWN_CLASSES, BridgeSpan, UnsampledSpan
from ot_bridge.telemetry import count
from ot_bridge.values import clean_key, clean_value, to_ns, to_text
from ot_bridge.wrapped import WrappedSpan

if TYPE_CHECKING:
    from ot_bridge.testing.tracer import InMemoryTracer

__all__ = ["KeptSpan", "LogData", "MockShaped", "SeenSpan", "UnkeptSpan", "as_dict", "otel_face"]

_S: Final = 10**9  # nanoseconds
# Tags that the status carries, and no attribute.
_IN_STATUS: Final = ("otel.status_code", "otel.status_description")
# An exception's attributes, and the fields that they come from.
_FIELDS: Final = {"exception.type": "error.kind", "exception.message": "message", "exception.stacktrace": "stack"}
_EXCEPTION_FIELDS: Final = frozenset({"event", "error.object", "error.kind", "stack"})
# What is the same in each run; stack traces, and the ids of links, are not.
_STEADY: Final = ("name", "kind", "parent_is_remote", "status", "attributes")

_lock: Final = threading.RLock()  # str() of an application's object may log to a span, too


class LogData(NamedTuple):
    """One log of a span.

    Attributes:
        key_values: its fields.
        timestamp: Unix time in seconds.
    """

    key_values: dict[Any, Any]
    timestamp: float


class MockShaped(BridgeSpan):
    """What the tests of applications read of a span, in MockSpan's words; ``otel`` has OpenTelemetry's."""

    @property
    def otel(self) -> Any:
        """The span as processors and exporters read it: a ``ReadableSpan``, with times in nanoseconds."""
        return otel_face(self.unwrap())

    @property
    def tags(self) -> dict[str, Any]:
        """The tags, as they were set where the export says the same; a dict of the caller's own."""
        return _tags_of(self.otel)

    @property
    def logs(self) -> list[LogData]:
        """The logs, in order; a list of the caller's own."""
        events = getattr(self.otel, "events", None) or ()
        return [LogData(_fields_of(event), _seconds(event.timestamp)) for event in events]

    @property
    def start_time(self) -> float:
        """When it started: Unix time in seconds; -1 where a span that is not recorded does not know."""
        start_ns = getattr(self.otel, "start_time", None)
        return -1 if start_ns is None else _seconds(start_ns)

    @start_time.setter
    def start_time(self, seconds: Any) -> None:
        otel = self.unwrap()
        if getattr(otel, "_end_time", 0) is None:
            otel._start_time = to_ns(seconds) or otel._start_time  # type: ignore[attr-defined]

    @property
    def finish_time(self) -> float:
        """When it finished: Unix time in seconds; -1 while it runs."""
        end_ns = getattr(self.otel, "end_time", None)
        return -1 if end_ns is None else _seconds(end_ns)

    @property
    def finished(self) -> bool:
        """Whether it has finished."""
        return getattr(self.otel, "end_time", None) is not None

    def as_dict(self) -> dict[str, Any]:
        """Return what is exported of the span, without ids, times, stack traces and versions, which vary."""
        return _steady(as_dict(self.otel)) if isinstance(self.otel, ReadableSpan) else {}


class KeptSpan(MockShaped, RecordingSpan):  # type: ignore[misc]  # both have a start_time
    """A span of the in-memory tracer: when it has finished it is in ``finished_spans()`` itself."""

    _tracer: InMemoryTracer
    _given_tags: dict[str, Any]
    _given_logs: dict[int, tuple[Any, Any, Event]]
    _given_times: tuple[Any, Any] = (None, None)
    _face: RecordingSpan | None = None

    @property
    def tags(self) -> dict[str, Any]:
        """The tags, as they were set where the export says the same; a dict of the caller's own."""
        exported, given = dict(self.attributes), self._given()
        shown = {key: _one_of(given[key], value) if key in given else value for key, value in exported.items()}
        if self._context.debug and "jaeger.debug" not in given:
            shown.pop("jaeger.debug", None)  # for the tools of Jaeger, beside sampling.priority
        kind, asked = self._kind, given.get("span.kind")
        if "span.kind" not in shown and (kind is not SpanKind.INTERNAL or read_kind(asked) is kind):
            shown["span.kind"] = asked if read_kind(asked) is kind else kind.name.lower()
        if "error" not in shown and self._error is not None and "error" in given:
            shown["error"] = given["error"] if read_error(given["error"]) is self._error else self._error
        elif "error" not in shown and self._explicit_status is not None:  # by OpenTelemetry's set_status
            shown.update({"error": True} if self.status.status_code is StatusCode.ERROR else {})
        if self._end_time is not None:
            shown.update({key: given[key] for key in _IN_STATUS if key in given and key not in shown})
        return shown

    @property
    def logs(self) -> list[LogData]:
        """The logs, in order; a list of the caller's own."""
        with _lock:
            events, first = self.events, self._dropped_events
            given = dict(self.__dict__.get("_given_logs", {}))
        return [_log_of(event, given.get(first + number)) for number, event in enumerate(events)]

    @property  # type: ignore[override]
    def start_time(self) -> float:
        """When it started: Unix time in seconds."""
        return _seconds(self._start_time, self._given_times[0])

    @start_time.setter
    def start_time(self, seconds: Any) -> None:
        self._start_time = to_ns(seconds) or self._start_time

    @property
    def finish_time(self) -> float:
        """When it finished: Unix time in seconds; -1 while it runs."""
        return -1 if self._end_time is None else _seconds(self._end_time, self._given_times[1])

    def set_tag(self, key: Any, value: Any) -> KeptSpan:
        if self._end_time is None:
            self._given()[clean_key(key)] = value
        RecordingSpan.set_tag(self, key, value)
        return self

    def log_kv(self, key_values: Any, timestamp: Any = None) -> KeptSpan:
        with _lock:
            before = self._logged()
            RecordingSpan.log_kv(self, key_values, timestamp)
            after = self._logged()
            if after > before:
                try:
                    kept = dict(key_values) if isinstance(key_values, Mapping) else key_values
                    logs = self.__dict__.setdefault("_given_logs", {})
                    logs[after - 1] = (kept, timestamp, log_to_event(key_values))
                except Exception:  # an application's own mapping
                    count("span.failed.log_kv")
        return self

    def finish(self, finish_time: Any = None, _end_ns: int | None = None) -> None:
        if finish_time is not None and self._end_time is None:
            self._given_times = (self._given_times[0], finish_time)
        RecordingSpan.finish(self, finish_time, _end_ns)

    def _given(self) -> dict[str, Any]:
        given: dict[str, Any] = self.__dict__.setdefault("_given_tags", {})
        return given

    def _logged(self) -> int:
        return len(self._records or ()) + self._dropped_events


KeptSpan._alike = {KeptSpan}


class UnkeptSpan(MockShaped, UnsampledSpan):  # type: ignore[misc]
    """A span that is not sampled, and would not be sent: ``sampling.priority`` 0 at its start."""

    @property
    def tags(self) -> dict[str, Any]:
        """None: they are not recorded."""
        return {}

    @property
    def logs(self) -> list[LogData]:
        """None: they are not recorded."""
        return []

    start_time = finish_time = -1.0
    finished = False

    def as_dict(self) -> dict[str, Any]:
        """Return nothing: that is what is exported of it."""
        return {}


OWN_CLASSES.update((KeptSpan, UnkeptSpan))


class SeenSpan(MockShaped, WrappedSpan):
    """A native span in MockSpan's words: while it runs, or as it was exported."""


def otel_face(span: Any) -> Any:
    """Return what OpenTelemetry's processors are given for a span: all of its state, and times in nanoseconds."""
    if type(span) not in KeptSpan._alike:
        return span
    if span._face is None:
        span._face = face_of(span)  # the same one at start and end: some processors hold a weak reference
        span._shown = span  # for who is given the face
    return span._face


def as_dict(span: ReadableSpan) -> dict[str, Any]:
    """Return everything that an exporter reads of the span, in plain values: ids in hex, arrays as tuples."""
    context, parent, scope = span.context, span.parent, span.instrumentation_scope
    if context is None or scope is None:
        raise TypeError("a span without ids, or without an instrumentation scope, is not exported")
    return {
        "name": span.name,
        "kind": span.kind.name,
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "trace_flags": int(context.trace_flags),
        "trace_state": dict(context.trace_state),
        "parent_id": None if parent is None else f"{parent.span_id:016x}",
        "parent_is_remote": None if parent is None else parent.is_remote,
        "start_time": span.start_time,
        "end_time": span.end_time,
        "status": {"code": span.status.status_code.name, "description": span.status.description or ""},
        "attributes": dict(span.attributes or {}),
        "events": [
            {"name": event.name, "timestamp": event.timestamp, "attributes": dict(event.attributes or {})}
            for event in span.events
        ],
        "links": [
            {
                "trace_id": f"{link.context.trace_id:032x}",
                "span_id": f"{link.context.span_id:016x}",
                "attributes": dict(link.attributes or {}),
            }
            for link in span.links
        ],
        "dropped": {
            "attributes": span.dropped_attributes,
            "events": span.dropped_events,
            "links": span.dropped_links,
        },
        "scope": {"name": scope.name, "version": scope.version},
        "resource": dict(span.resource.attributes),
    }


def _steady(value: dict[str, Any]) -> dict[str, Any]:
    """Return what :func:`as_dict` made, without all that differs from run to run or from version to version."""
    steady = {key: value[key] for key in _STEADY}
    for event in value["events"]:
        event["attributes"].pop("exception.stacktrace", None)
    steady["events"] = [{"name": event["name"], "attributes": event["attributes"]} for event in value["events"]]
    steady["links"] = [link["attributes"] for link in value["links"]]
    return {**steady, "scope": value["scope"]["name"]}


def _seconds(ns: int, given: Any = None) -> float:
    """Return nanoseconds as seconds: the number that was given for them, where there is one."""
    if type(given) in (int, float) and to_ns(given) == ns:
        return given  # type: ignore[no-any-return]
    return ns / _S


def _says(given: Any, exported: Any) -> bool:
    """Tell whether an exported value says what was given: only its type may differ."""
    return to_text("None" if given is None else clean_value(given)) == to_text(exported)


def _one_of(given: Any, exported: Any) -> Any:
    return given if _says(given, exported) else exported


def _tags_of(span: Any) -> dict[str, Any]:
    """Return a native span's attributes, kind and status as tags; none for a span that is not recorded."""
    if not isinstance(span, ReadableSpan):
        return {}
    tags = dict(span.attributes or {})
    if span.kind is not SpanKind.INTERNAL:
        tags.setdefault("span.kind", span.kind.name.lower())
    if span.status.status_code is StatusCode.ERROR:
        tags.setdefault("error", True)
    return tags


def _fields_of(event: SdkEvent) -> dict[Any, Any]:
    """Return an exported event in a log's words."""
    attributes = dict(event.attributes or {})
    if event.name != "exception":
        return {"event": event.name, **attributes}
    fields: dict[Any, Any] = {"event": "error"}
    for key, field in _FIELDS.items():
        if key in attributes:
            fields[field] = attributes.pop(key)
    if "message" in fields:
        fields["error.object"] = fields["message"]
    return {**fields, **attributes}


def _log_of(event: SdkEvent, given: tuple[Any, Any, Event] | None) -> LogData:
    if given is None:
        return LogData(_fields_of(event), _seconds(event.timestamp))
    passed, timestamp, expected = given
    at = _seconds(event.timestamp, timestamp)
    exported = dict(event.attributes or {})
    if event.name == expected.name and _same(exported, expected.attributes):
        return LogData(passed if isinstance(passed, dict) else {"message": passed}, at)
    fields = _fields_of(event)
    if isinstance(passed, dict):
        fields = {
            key: passed[key] if key in passed and _says(passed[key], value) else value for key, value in fields.items()
        }
        if event.name == "exception":  # those of the fields that were not logged
            fields = {key: value for key, value in fields.items() if key in passed or key not in _EXCEPTION_FIELDS}
        if "event" not in passed:
            del fields["event"]
    return LogData(fields, at)


def _same(exported: dict[str, Any], expected: dict[str, Any]) -> bool:
    return exported.keys() == expected.keys() and all(_says(expected[key], exported[key]) for key in exported)
