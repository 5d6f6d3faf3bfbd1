"""Spans -> the bytes of an OTLP ``ExportTraceServiceRequest``, without a message object in between.

What comes out is the same message as the official encoder's, for a sixth of its cost. What is rare is left to that one:
who calls gives it along, and without it this module raises. It is pure; what sends the bytes stands beside it.

Source: opentelemetry-proto 1.7, trace.proto, common.proto and resource.proto: the tags below are their field numbers.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from struct import Struct
from typing import Any, Final, Protocol

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import DEFAULT_TRACE_STATE, SpanKind
from opentelemetry.trace.status import StatusCode

from ot_bridge.otlp.attributes import encode_attributes
from ot_bridge.otlp.reading import Fields, Read, plain, read_properties, reader_of, record_of
from ot_bridge.otlp.wire import Table, after, field, uint32_after, varint

__all__ = ["Rest", "encode"]


class Rest(Protocol):
    """Encodes what this module has no row for. Where it cannot either it returns None, and the spans are left out."""

    def span(self, span: ReadableSpan, reason: Exception) -> bytes | None:
        """Return the bytes of a ``Span``; ``reason`` is what came of the try."""

    def resource(self, resource: Resource, reason: Exception, spans: int) -> bytes | None:
        """Return those of a ``ResourceSpans`` without its ``scope_spans``, which so many spans need."""

    def scope(self, scope: InstrumentationScope | None, reason: Exception, spans: int) -> bytes | None:
        """Return those of a ``ScopeSpans`` without its ``spans``, which so many spans need."""


def encode(spans: Sequence[ReadableSpan], rest: Rest | None = None) -> bytes:
    """Encode a batch: grouped by resource and scope, in the order in which each first appears.

    Args:
        spans: ended spans, of any kind.
        rest: encodes what is rare.

    Raises:
        Exception: what a rare value raised; never where ``rest`` is there to take it.
    """
    readers: dict[type, Read] = {}
    groups = _Groups()
    resource = scope = group = None
    for span in spans:
        kind = type(span)
        read = readers.get(kind) or readers.setdefault(kind, reader_of(kind))
        body: bytes | None
        try:
            try:
                fields = read(span)
                body = _span(fields)
            except RuntimeError:  # another thread changed a dict that was read where it is
                fields = read_properties(span)
                body = _span(fields)
            its_resource, its_scope = fields[0], fields[1]
        except Exception as reason:
            if rest is None:
                raise
            body = rest.span(span, reason)
            if body is None:
                continue
            its_resource, its_scope = span.resource, span.instrumentation_scope
        if group is None or its_resource is not resource or its_scope is not scope:
            resource, scope = its_resource, its_scope
            group = groups.of(resource, scope)
        group += (_SPANS[len(body)], body)
    return groups.encode(rest)


class _Group:
    """What is encoded for one resource or one scope."""

    def __init__(self, owner: Any) -> None:
        self.owner = owner
        self.scopes: dict[Hashable, _Group] = {}
        self.spans: list[bytes] = []

    def size(self) -> int:
        """Return how many spans there are."""
        return len(self.spans) // 2 + sum(scope.size() for scope in self.scopes.values())


class _Groups:
    """The encoded spans of one batch, by resource and scope."""

    def __init__(self) -> None:
        self._resources: dict[Hashable, _Group] = {}
        # Equal resources are one, and to hash one takes longer than to encode a span: each object is asked once. It is
        # kept here, so that no other gets its id.
        self._known: dict[tuple[int, int], tuple[Any, Any, list[bytes]]] = {}

    def of(self, resource: Any, scope: Any) -> list[bytes]:
        """Return the list for the spans of one scope."""
        ids = (id(resource), id(scope))
        if ids not in self._known:
            above = self._resources.setdefault(_key(resource), _Group(resource))
            group = above.scopes.setdefault(_key(scope), _Group(scope))
            self._known[ids] = (resource, scope, group.spans)
        return self._known[ids][2]

    def encode(self, rest: Rest | None) -> bytes:
        """Return the request."""
        out: list[bytes] = []
        for group in self._resources.values():
            try:
                head: bytes | None = _resource(group.owner)
            except Exception as reason:
                if rest is None:
                    raise
                head = rest.resource(group.owner, reason, group.size())
            if head is not None:
                body = b"".join((head, *self._scopes(group, rest)))
                out += (b"\x0a", varint(len(body)), body)
        return b"".join(out)

    @staticmethod
    def _scopes(group: _Group, rest: Rest | None) -> list[bytes]:
        out: list[bytes] = []
        for scope in group.scopes.values():
            try:
                head: bytes | None = _scope(scope.owner)
            except Exception as reason:
                if rest is None:
                    raise
                head = rest.scope(scope.owner, reason, scope.size())
            if head is not None:
                body = b"".join((head, *scope.spans))
                out += (b"\x12", varint(len(body)), body)
        return out


def _key(owner: Any) -> Hashable:
    try:
        hash(owner)
    except Exception:  # no reason to lose its spans
        return id(owner)
    return owner  # type: ignore[no-any-return]  # it is


# --- what spans have in common

_RESOURCE_ATTRIBUTES: Final = Table(after(b"\x0a"))
_SCOPE_ATTRIBUTES: Final = Table(after(b"\x1a"))


def _resource(resource: Any) -> bytes:
    out: list[bytes] = []
    encode_attributes(out, _RESOURCE_ATTRIBUTES, plain(resource.attributes))
    return field(b"\x0a", b"".join(out)) + _text(b"\x1a", resource.schema_url)


def _scope(scope: Any) -> bytes:
    if not scope:
        return b"\x0a\x00"
    out = [_text(b"\x0a", scope.name), _text(b"\x12", scope.version)]
    encode_attributes(out, _SCOPE_ATTRIBUTES, plain(scope.attributes))
    return field(b"\x0a", b"".join(out)) + _text(b"\x1a", scope.schema_url)


def _text(tag: bytes, text: Any) -> bytes:
    return b"" if text is None else field(tag, str.encode(text))


# --- spans

_SPANS: Final = Table(after(b"\x12"))
_NAME: Final = Table(after(b"\x2a"))
_KINDS: Final = tuple(b"\x30" + varint(kind.value + 1) for kind in sorted(SpanKind, key=lambda one: int(one.value)))
_TIMES: Final = Struct("<BQBQ").pack
_ATTRIBUTES: Final = Table(after(b"\x4a"))
_DROPPED_ATTRIBUTES: Final = Table(uint32_after(b"\x50"))
_DROPPED_EVENTS: Final = Table(uint32_after(b"\x60"))
_DROPPED_LINKS: Final = Table(uint32_after(b"\x70"))
_TRACE_STATE: Final = b"\x1a"
_PARENT: Final = b"\x22\x08"
_STATUS: Final = b"\x7a"
_STATUS_CODES: Final = {
    StatusCode.UNSET.value: b"",
    StatusCode.OK.value: b"\x18\x01",
    StatusCode.ERROR.value: b"\x18\x02",
}
# Whether the parent is remote, which is the span's own flag in OTLP, with the bit that says that this is known.
_LOCAL: Final = b"\x85\x01\x00\x01\x00\x00"
_REMOTE: Final = b"\x85\x01\x00\x03\x00\x00"


def _span(fields: Fields) -> bytes:
    (
        _,
        _,
        context,
        parent,
        name,
        kind,
        start_ns,
        end_ns,
        attributes,
        events,
        links,
        status,
        dropped_attributes,
        dropped_events,
        dropped_links,
    ) = fields
    name = str.encode(name)
    out = [
        b"\x0a\x10",
        context[0].to_bytes(16, "big"),
        b"\x12\x08",
        context[1].to_bytes(8, "big"),
        _NAME[len(name)],
        name,
        _KINDS[kind._value_],
        _TIMES(0x39, start_ns or 0, 0x41, end_ns or 0),
        _status(status),
    ]
    state = context[4]
    if state is not DEFAULT_TRACE_STATE and state:
        out.append(_text(_TRACE_STATE, ",".join([f"{key}={value}" for key, value in state.items()])))
    if parent:
        out += (_PARENT, parent[1].to_bytes(8, "big"), _REMOTE if parent[2] else _LOCAL)
    else:
        out.append(_LOCAL)
    if attributes:
        encode_attributes(out, _ATTRIBUTES, plain(attributes))
    if events:
        _events(out, events)
    if links:
        _links(out, links)
    if dropped_attributes:
        out.append(_DROPPED_ATTRIBUTES[dropped_attributes])
    if dropped_events:
        out.append(_DROPPED_EVENTS[dropped_events])
    if dropped_links:
        out.append(_DROPPED_LINKS[dropped_links])
    return b"".join(out)


def _status(status: Any) -> bytes:
    if status is None:
        return b""
    code, description = status.status_code, status.description
    if not description and code is StatusCode.UNSET:
        return b"\x7a\x00"
    return field(_STATUS, _text(b"\x12", description) + _STATUS_CODES[code.value])


_EVENTS: Final = Table(after(b"\x5a"))
_EVENT_TIME: Final = Struct("<BQ").pack
_EVENT_NAME: Final = Table(after(b"\x12"))
_EVENT_ATTRIBUTES: Final = Table(after(b"\x1a"))
_EVENT_DROPPED: Final = Table(uint32_after(b"\x20"))


def _events(out: list[bytes], events: Iterable[Any]) -> None:
    for event in events:
        name, attributes, ns, dropped = event if type(event) is tuple else record_of(event)
        name = str.encode(name)
        parts = [_EVENT_TIME(0x09, ns or 0), _EVENT_NAME[len(name)], name]
        if attributes:
            encode_attributes(parts, _EVENT_ATTRIBUTES, plain(attributes))
        if dropped:
            parts.append(_EVENT_DROPPED[dropped])
        body = b"".join(parts)
        out += (_EVENTS[len(body)], body)


_LINKS: Final = Table(after(b"\x6a"))
_LINK_ATTRIBUTES: Final = Table(after(b"\x22"))
_LINK_DROPPED: Final = Table(uint32_after(b"\x28"))
_LINK_LOCAL: Final = b"\x35\x00\x01\x00\x00"
_LINK_REMOTE: Final = b"\x35\x00\x03\x00\x00"


def _links(out: list[bytes], links: Iterable[Any]) -> None:
    for link in links:
        context, attributes, dropped = link.context, link.attributes, link.dropped_attributes
        parts = [
            b"\x0a\x10",
            context.trace_id.to_bytes(16, "big"),
            b"\x12\x08",
            context.span_id.to_bytes(8, "big"),
            _LINK_REMOTE if context.is_remote else _LINK_LOCAL,
        ]
        if attributes:
            encode_attributes(parts, _LINK_ATTRIBUTES, plain(attributes))
        if dropped:
            parts.append(_LINK_DROPPED[dropped])
        body = b"".join(parts)
        out += (_LINKS[len(body)], body)
