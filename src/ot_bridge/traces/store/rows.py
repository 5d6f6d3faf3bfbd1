"""What the store keeps of a span, read off OTLP's message without making a `model.Span` of it. Pure.

It runs for every span that arrives: each field of the message is read once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan

from ot_bridge.traces.analyse.entry import operation_of, weight_of
from ot_bridge.traces.analyse.errors import GRPC_CODES, HTTP_CODES, error_mark
from ot_bridge.traces.model import Resource, Scope
from ot_bridge.traces.otlp import attributes, one_span, resource
from ot_bridge.traces.words import text

__all__ = [
    "LONGEST_NAME",
    "LONGEST_TAG",
    "EntryRow",
    "Group",
    "RowReader",
    "SpanRow",
    "cleaned",
    "hash64",
    "signed",
    "tag_hash",
]

LONGEST_NAME = 1_000
"""Of the names of services and spans so many characters count in searches and lists."""
LONGEST_TAG = 1_000
"""Values of more characters are not found by a search for their tag."""

_LAST = 2**63 - 1
_ENTRIES = (OtlpSpan.SPAN_KIND_SERVER, OtlpSpan.SPAN_KIND_CONSUMER)
_ERROR, _OK = 2, 1
# Only with one of these can a span without a status have failed by the rules of `error_mark`.
_SIGNS = frozenset({"error", "otel.status_code", *HTTP_CODES, *GRPC_CODES})
_FIRST_FAILURE = "400"
# Only with one of these does an entry say more than its name: what `operation_of` and `weight_of` read.
_TELLING = frozenset({"http.route", "sampler.type"})
_MOST_PAIRS, _LONGEST_KNOWN = 50_000, 100
_MOST_ORIGINS = 1_000
_MAY_FAIL, _TELLS = 1, 2


class EntryRow(NamedTuple):
    """What is kept of a span that a service was entered by."""

    operation: str
    weight: float


class SpanRow(NamedTuple):
    """What is kept of one span.

    Attributes:
        span_id: as SQLite has it, signed.
        is_root: whether it names no parent.
        tags: of its own attributes the hashes.
        entry: None unless its service was entered by it, as far as the span alone tells.
    """

    trace_id: bytes
    span_id: int
    name: str
    kind: int
    start_ns: int
    end_ns: int
    failed: bool
    is_root: bool
    tags: Sequence[int]
    entry: EntryRow | None
    data: bytes


class Group(NamedTuple):
    """The spans of one resource and scope.

    Attributes:
        resource: OTLP's message as bytes, and so the scope.
        tags: hashes of the resource's attributes.
    """

    resource: bytes
    service: str
    scope: bytes
    tags: Sequence[int]
    origin: Resource
    named: Scope
    via: str
    spans: Sequence[OtlpSpan]


class _Origin(NamedTuple):
    """What is read of a resource."""

    resource: Resource
    via: str
    service: str
    tags: Sequence[int]


class _Pair(NamedTuple):
    """What an attribute tells.

    Attributes:
        hash: None when it is too long to be searched.
        flags: `_MAY_FAIL`: a span with it may have failed; `_TELLS`: an entry with it says more than its name.
    """

    hash: int | None
    flags: int


class RowReader:
    """Reads what is kept of spans, and remembers what it has read of attributes and resources: most come again.

    Attributes:
        keys: of all attributes that were read; who takes them clears it.
    """

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self._pairs: dict[bytes, _Pair] = {}
        self._origins: dict[bytes, _Origin] = {}

    def groups(self, batches: Sequence[ResourceSpans]) -> Iterator[Group]:
        """Split batches by resource and scope."""
        for batch in batches:
            data = batch.resource.SerializeToString(deterministic=True)
            origin = self._origins.get(data) or self._origin(batch, data)
            for scope_spans in batch.scope_spans:
                scope = scope_spans.scope
                yield Group(
                    data,
                    origin.service,
                    scope.SerializeToString(deterministic=True),
                    origin.tags,
                    origin.resource,
                    Scope(scope.name, scope.version),
                    origin.via,
                    scope_spans.spans,
                )

    def _origin(self, batch: ResourceSpans, data: bytes) -> _Origin:
        found, via = resource(batch.resource.attributes)
        self.keys.update(found.attributes)
        named = ((key, text(value)) for key, value in found.attributes.items())
        tags = [tag_hash(key, value) for key, value in named if len(value) <= LONGEST_TAG]
        if len(self._origins) >= _MOST_ORIGINS:
            self._origins.clear()
        origin = self._origins[data] = _Origin(found, via, cleaned(found.service), tags)
        return origin

    def row(self, span: OtlpSpan, group: Group) -> SpanRow:
        """Read a span."""
        start = min(span.start_time_unix_nano, _LAST)
        end = min(max(span.end_time_unix_nano, start), _LAST)
        tags, flags, known = list[int](), 0, self._pairs.get
        for pair in span.attributes:
            data = pair.SerializeToString()
            number, more = known(data) or self._pair(pair, data)
            flags |= more
            if number is not None:
                tags.append(number)
        status, kind, is_root = span.status.code, span.kind, not span.parent_span_id.strip(b"\0")
        is_entry = is_root or kind in _ENTRIES
        failed, name = status == _ERROR, cleaned(span.name)
        entry = EntryRow(name, 1.0) if is_entry else None
        suspect = status not in (_ERROR, _OK) and (flags & _MAY_FAIL or span.events)
        if suspect or (is_entry and (flags & _TELLS or span.trace_state)):
            whole = one_span(span, group.origin, group.named, group.via)
            failed = error_mark(whole) is not None
            entry = EntryRow(cleaned(operation_of(whole)), weight_of(whole)) if is_entry else None
        trace_id = span.trace_id.rjust(16, b"\0")[-16:]
        span_id = signed(int.from_bytes(span.span_id[-8:], "big"))
        whole_data = span.SerializeToString()
        return SpanRow(trace_id, span_id, name, kind, start, end, failed, is_root, tags, entry, whole_data)

    def _pair(self, pair: KeyValue, data: bytes) -> _Pair:
        key, value = pair.key, _text(pair.value)
        self.keys.add(key)
        survived = key in HTTP_CODES and value < _FIRST_FAILURE and len(value) == len(_FIRST_FAILURE)
        flags = (_MAY_FAIL if key in _SIGNS and not survived else 0) | (_TELLS if key in _TELLING else 0)
        found = _Pair(tag_hash(key, value) if len(value) <= LONGEST_TAG else None, flags)
        if len(data) <= _LONGEST_KNOWN:
            if len(self._pairs) >= _MOST_PAIRS:
                self._pairs.clear()
            self._pairs[data] = found
        return found


def _text(value: AnyValue) -> str:
    """Do what `words.text` does, the commonest kinds first."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return str(value.string_value)
    if kind == "int_value":
        return str(value.int_value)
    return text(attributes([KeyValue(key="", value=value)])[""])


def tag_hash(key: str, value: str) -> int:
    """Return the number by which a tag is found, the same in each process."""
    return hash64(f"{key}\0{value}".encode(errors="surrogatepass"))


def hash64(data: bytes) -> int:
    """Return a number for some bytes, as SQLite has it, signed."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big", signed=True)


def signed(number: int) -> int:
    """Return 64 bits as SQLite's signed number."""
    return number - (1 << 64) if number >= 1 << 63 else number


def cleaned(name: str) -> str:
    """Return a name as it is kept and searched: text that SQLite takes whole, of a length that a list can show."""
    if name.isascii() and name.isprintable() and len(name) <= LONGEST_NAME:
        return name
    return name[:LONGEST_NAME].replace("\0", "\ufffd").encode(errors="replace").decode()
