"""How the encoder reads spans: those of the bridge and of the SDK in their own fields, all others by their properties.

The properties copy what they show, to be safe from a thread that still writes: with them a span costs twice as much.
This module alone knows the fields, and each way of reading gives the same tuple.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList

__all__ = ["Fields", "Read", "Record", "plain", "read_properties", "reader_of", "record_of"]

Record: TypeAlias = tuple[Any, Any, Any, Any]
"""An event: name, attributes, nanoseconds, attributes dropped."""

Fields: TypeAlias = tuple[Any, ...]
"""resource, scope, context, parent, name, kind, start, end, attributes, events, links, status, and how many attributes,
events and links were dropped. Events are records or event objects."""

Read: TypeAlias = Callable[[Any], Fields]


def _has_fields() -> bool:
    """Look whether this SDK's containers keep what they hold where the fast way takes it."""
    attributes, items = BoundedAttributes(None, {"k": 1}), BoundedList.from_seq(None, (1,))
    return getattr(attributes, "_dict", None) == {"k": 1} and list(getattr(items, "_dq", ())) == [1]


_FIELDS: Final = _has_fields()


def reader_of(kind: type) -> Read:
    """Return how spans of a class are read. A stranger's subclass may show something else than its fields hold."""
    if kind is ReadableSpan and _FIELDS:
        return _read_sdk
    # Not imported: a native service has no spans of the bridge.
    spans = sys.modules.get("ot_bridge.span")
    if spans is not None and kind in spans.OWN_CLASSES:
        return _read_recorded
    return read_properties


def read_properties(span: ReadableSpan) -> Fields:
    """Read a span as the official encoder does."""
    return (
        span.resource,
        span.instrumentation_scope,
        span.get_span_context(),
        span.parent,
        span.name,
        span.kind,
        span.start_time,
        span.end_time,
        span.attributes,
        span.events,
        span.links,
        span.status,
        span.dropped_attributes,
        span.dropped_events,
        span.dropped_links,
    )


def plain(attributes: Any) -> Mapping[str, Any]:
    """Return the attributes as what is quickest to go through."""
    if type(attributes) is BoundedAttributes and _FIELDS:
        return attributes._dict
    return attributes or {}


def record_of(event: Any) -> Record:
    """Return an event object as a record."""
    if type(event) is Event:
        attributes = event._attributes
        return event._name, attributes, event._timestamp, getattr(attributes, "dropped", 0)
    return event.name, event.attributes, event.timestamp, event.dropped_attributes


def _read_recorded(span: Any) -> Fields:
    return (
        span._resource,
        span._rules.scope,
        span._context,
        span._parent,
        span._name,
        span._kind,
        span._start_time,
        span._end_time,
        span._attributes,
        span._records,
        span._links,
        span._final_status or span.status,
        span._dropped_attributes,
        span._dropped_events,
        span._dropped_links,
    )


def _read_sdk(span: Any) -> Fields:
    attributes: Any = span._attributes
    dropped_attributes = 0
    if type(attributes) is BoundedAttributes:
        attributes, dropped_attributes = attributes._dict, attributes.dropped
    events, dropped_events = _items(span._events)
    links, dropped_links = _items(span._links)
    return (
        span._resource,
        span._instrumentation_scope,
        span._context,
        span._parent,
        span._name,
        span._kind,
        span._start_time,
        span._end_time,
        attributes,
        events,
        links,
        span._status,
        dropped_attributes,
        dropped_events,
        dropped_links,
    )


def _items(found: Any) -> tuple[Iterable[Any], int]:
    return (found, 0) if type(found) is not BoundedList else (found._dq, found.dropped)  # type: ignore[attr-defined]
