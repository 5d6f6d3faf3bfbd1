"""Zipkin's v2 JSON as OTLP, by the rules of the Collector's Zipkin translator. Pure.

Source: zipkin-api's `zipkin2-api.yaml`; `pkg/translator/zipkin/zipkinv2` of opentelemetry-collector-contrib. Unlike
there a bad span costs itself alone, an `error` tag is an error whatever it says, as Zipkin shows it, and a span that
came in pieces is put together. A server's half that shares its client's id keeps it: `tree.Trace` tells them apart.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, cast

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from ot_bridge.traces.formats.decoded import Decoded
from ot_bridge.traces.formats.otlp_json import MOST_OBJECTS
from ot_bridge.traces.formats.writing import encodable, nanoseconds, write_attributes
from ot_bridge.traces.otlp import VIA

__all__ = ["ABSENT_START", "ENDPOINTS", "KINDS", "RESOURCE_TAGS", "ZipkinError"]
__all__ += ["decode_json", "decode_spans", "spans_in"]

KINDS: Final[Mapping[str, Span.SpanKind.ValueType]] = {
    "CLIENT": Span.SPAN_KIND_CLIENT,
    "SERVER": Span.SPAN_KIND_SERVER,
    "PRODUCER": Span.SPAN_KIND_PRODUCER,
    "CONSUMER": Span.SPAN_KIND_CONSUMER,
}
ENDPOINTS: Final[Mapping[str, Mapping[str, str]]] = {
    "localEndpoint": {"ipv4": "net.host.ip", "ipv6": "net.host.ip", "port": "net.host.port"},
    "remoteEndpoint": {
        "serviceName": "peer.service",
        "ipv4": "net.peer.ip",
        "ipv6": "net.peer.ip",
        "port": "net.peer.port",
    },
}
"""Endpoint -> its field -> the attribute. The name of the local one is the resource's `service.name`."""
RESOURCE_TAGS: Final = (
    *("cloud.", "container.", "deployment.", "device.", "host.", "k8s.", "opencensus.", "os."),
    *("process.", "service.", "telemetry."),
)
"""A tag whose name begins so is the resource's: exporters from OpenTelemetry write a resource into each span's tags."""
ABSENT_START: Final = "otel.zipkin.absentField.startTime"
"""Attribute of a span that came without a timestamp; its start is then the first one that is known."""

_CODES: Final = {
    **dict.fromkeys(("ok", "status_code_ok"), Status.STATUS_CODE_OK),
    **dict.fromkeys(("error", "status_code_error"), Status.STATUS_CODE_ERROR),
}
_LINK: Final = "otlp.link."
_MOST_LINKS: Final = 128
_is_hex = re.compile(r"[0-9a-fA-F]{1,32}").fullmatch
_is_trace_id = re.compile(r"[0-9a-f]{32}").fullmatch
_is_span_id = re.compile(r"[0-9a-f]{16}").fullmatch
_is_count = re.compile(r"[0-9]{1,9}").fullmatch

_Plain = str | bool | int | float


class ZipkinError(ValueError):
    """It is no JSON list of spans, or a span is none. The text says where, what was found and what was wanted."""


@dataclass(frozen=True)
class _Piece:
    """A span, or what one message says of it. Times are in microseconds, None where nothing is said."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes
    kind: str
    shared: bool
    name: str
    service: str
    start_us: int | None
    duration_us: int | None
    annotations: tuple[tuple[int, str], ...]
    tags: Mapping[str, str]
    endpoints: Mapping[str, _Plain]


class _Packed(NamedTuple):
    """What an exporter packed into one text."""

    heads: Sequence[str]
    attributes: Mapping[str, _Plain]
    dropped: int


def decode_json(data: bytes) -> Decoded:
    """Read the body of `POST /api/v2/spans`, or what Zipkin answers: a list of spans, or of lists of spans.

    Raises:
        ZipkinError: it is no such JSON.
    """
    if data.count(b"{") + data.count(b"[") > MOST_OBJECTS:
        raise ZipkinError(f"cannot read Zipkin's JSON: got more objects and lists than {MOST_OBJECTS:,}, the most")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ZipkinError(f"cannot read {len(data)} bytes as Zipkin's JSON: {error}") from None
    return decode_spans(spans_in(found))


def spans_in(found: object) -> list[object]:
    """Return the spans of a parsed document.

    Raises:
        ZipkinError: it is no list.
    """
    if not isinstance(found, list):
        raise ZipkinError(f"cannot read Zipkin's JSON: got {_kind(found)}, expected a list of spans")
    return [one for item in found for one in (item if isinstance(item, list) else [item])]


def decode_spans(spans: Iterable[object]) -> Decoded:
    """Turn parsed spans into OTLP; what is no span is counted."""
    good, rejected, problem = list[_Piece](), 0, ""
    for one in spans:
        try:
            good.append(_piece(one))
        except ZipkinError as error:  # noqa: PERF203  (one bad span does not cost the others)
            rejected, problem = rejected + 1, str(error)
    whole = list(_whole(good))
    starts = _first_starts(whole)
    batches: dict[tuple[tuple[str, str], ...], ResourceSpans] = {}
    scopes: dict[tuple[object, ...], ScopeSpans] = {}
    for piece in whole:
        tags = dict(piece.tags)
        resource = {VIA: "zipkin", **_resource(piece.service, tags)}
        origin = tuple(resource.items())
        if origin not in batches:
            batches[origin] = ResourceSpans()
            write_attributes(batches[origin].resource.attributes, resource)
        scope = _scope(tags)
        if (origin, scope) not in scopes:
            scopes[origin, scope] = batches[origin].scope_spans.add()
            scopes[origin, scope].scope.name, scopes[origin, scope].scope.version = scope
        _fill(scopes[origin, scope].spans.add(), piece, tags, starts.get(piece.trace_id, 0))
    return Decoded(list(batches.values()), rejected, problem)


def _piece(found: object) -> _Piece:
    if not isinstance(found, dict):
        raise ZipkinError(f"cannot read a span of Zipkin: got {_kind(found)}, expected an object")
    span = cast("dict[str, object]", found)
    local, remote = _object(span, "localEndpoint"), _object(span, "remoteEndpoint")
    service = local.get("serviceName")
    endpoints: dict[str, _Plain] = {}
    for endpoint, name in ((local, "localEndpoint"), (remote, "remoteEndpoint")):
        for field, attribute in ENDPOINTS[name].items():
            value = endpoint.get(field)
            # Zero and nothing are no address.
            if value and type(value) is (int if field == "port" else str):
                endpoints.setdefault(attribute, cast("_Plain", value))
    annotations = span.get("annotations")
    return _Piece(
        trace_id=_id(span, "traceId", 16),
        span_id=_id(span, "id", 8),
        parent_id=_id(span, "parentId", 8) if span.get("parentId") else b"",
        kind=str(span.get("kind") or "").upper(),
        shared=span.get("shared") is True,
        name=_text(span.get("name")),
        service=_text(service),
        start_us=_microseconds(span, "timestamp"),
        duration_us=_microseconds(span, "duration"),
        annotations=tuple(
            (_microseconds(one, "timestamp") or 0, _text(one.get("value")))
            for one in (annotations if isinstance(annotations, list) else ())
            if isinstance(one, dict)
        ),
        tags={str(key): _text(value) for key, value in _object(span, "tags").items()},
        endpoints=endpoints,
    )


def _id(span: Mapping[str, object], field: str, size: int) -> bytes:
    value = span.get(field)
    if isinstance(value, str) and _is_hex(value) and len(value) <= 2 * size:
        found = int(value, 16).to_bytes(size, "big")
        if any(found):
            return found
        if field == "parentId":
            return b""
    wanted = f"{2 * size} hex digits, not all zero"
    raise ZipkinError(f"cannot read the {field} of a span of Zipkin: got {_shown(value)}, expected {wanted}")


def _microseconds(source: Mapping[str, object], field: str) -> int | None:
    value = source.get(field)
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
        value = int(value)
    if isinstance(value, float) and abs(value) < 2**63:
        value = int(value)
    if value is None or (type(value) is int and value <= 0):
        return None
    if type(value) is int:
        return value
    raise ZipkinError(f"cannot read the {field} of a span of Zipkin: got {_shown(value)}, expected microseconds")


def _object(span: Mapping[str, object], field: str) -> Mapping[str, object]:
    value = span.get(field)
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _whole(pieces: Sequence[_Piece]) -> Iterator[_Piece]:
    """Put pieces together: same ids, both shared or not, and neither two kinds nor two services."""
    groups: dict[tuple[object, ...], list[_Piece]] = defaultdict(list)
    for piece in pieces:
        groups[piece.trace_id, piece.span_id, piece.shared].append(piece)
    for group in groups.values():
        if len(group) == 1:
            yield group[0]
        else:
            yield from map(_joined, _sorted_out(group))


def _sorted_out(pieces: Sequence[_Piece]) -> Iterable[list[_Piece]]:
    """Sort the pieces of one id by the span that they are of; the ones that say most first, the others go to them."""
    spans: dict[tuple[str, str], list[_Piece]] = {}
    of_kind, of_service = dict[str, list[_Piece]](), dict[str, list[_Piece]]()
    for piece in sorted(pieces, key=lambda one: (not one.kind, not one.service)):
        fitting = spans.get((piece.kind, piece.service))
        if fitting is None and not piece.service:
            fitting = of_kind.get(piece.kind) if piece.kind else next(iter(spans.values()), None)
        if fitting is None and not piece.kind:
            fitting = of_service.get(piece.service) or of_service.pop("", None)
        if fitting is None:
            fitting = spans[piece.kind, piece.service] = []
        fitting.append(piece)
        of_kind.setdefault(piece.kind, fitting)
        of_service.setdefault(piece.service, fitting)
    return spans.values()


def _joined(pieces: Sequence[_Piece]) -> _Piece:
    """Make one of many; where two say different things, the first counts."""
    first = pieces[0]
    tags, endpoints = dict[str, str](), dict[str, _Plain]()
    for piece in reversed(pieces):
        tags.update(piece.tags)
        endpoints.update(piece.endpoints)
    return _Piece(
        trace_id=first.trace_id,
        span_id=first.span_id,
        shared=first.shared,
        parent_id=next((one.parent_id for one in pieces if one.parent_id), b""),
        kind=next((one.kind for one in pieces if one.kind), ""),
        name=next((one.name for one in pieces if one.name), ""),
        service=next((one.service for one in pieces if one.service), ""),
        start_us=min((one.start_us for one in pieces if one.start_us), default=None),
        duration_us=max((one.duration_us for one in pieces if one.duration_us), default=None),
        annotations=tuple(sorted({each for one in pieces for each in one.annotations})),
        tags=tags,
        endpoints=endpoints,
    )


def _first_starts(pieces: Iterable[_Piece]) -> dict[bytes, int]:
    """When each trace is first heard of, for spans that do not say when they began."""
    first: dict[bytes, int] = {}
    for piece in pieces:
        times = [time for time in (piece.start_us, *(time for time, _ in piece.annotations)) if time]
        if times:
            first[piece.trace_id] = min(first.get(piece.trace_id, times[0]), *times)
    return first


def _resource(service: str, tags: dict[str, str]) -> dict[str, str]:
    tags.pop("otlp.service.name.source", None)
    found = {key: tags.pop(key) for key in sorted(tags) if key.startswith(RESOURCE_TAGS)}
    if service:
        found["service.name"] = service
    return found


def _scope(tags: dict[str, str]) -> tuple[str, str]:
    for prefix in ("otel.scope.", "otel.library."):
        if f"{prefix}name" in tags:
            return encodable(tags.pop(f"{prefix}name")), encodable(tags.pop(f"{prefix}version", ""))
    return "", ""


def _fill(span: Span, piece: _Piece, tags: dict[str, str], first_us: int) -> None:
    start_us = piece.start_us or min((time for time, _ in piece.annotations if time), default=first_us)
    span.trace_id, span.span_id = piece.trace_id, piece.span_id
    if piece.parent_id != piece.span_id:
        span.parent_span_id = piece.parent_id
    span.name = encodable(piece.name)
    span.kind = KINDS.get(piece.kind, Span.SPAN_KIND_UNSPECIFIED)
    if piece.kind not in KINDS and tags.get("span.kind") == "internal":
        del tags["span.kind"]
        span.kind = Span.SPAN_KIND_INTERNAL
    span.start_time_unix_nano = nanoseconds(start_us)
    span.end_time_unix_nano = nanoseconds(start_us + (piece.duration_us or 0))
    span.trace_state = encodable(tags.pop("w3c.tracestate", ""))
    _take_status(tags, span)
    _take_links(tags, span)
    for time_us, value in piece.annotations:
        name, attributes, dropped = _unpacked(value)
        event = span.events.add()
        event.time_unix_nano, event.name, event.dropped_attributes_count = (
            nanoseconds(time_us),
            encodable(name),
            dropped,
        )
        write_attributes(event.attributes, attributes)
    attributes = {**piece.endpoints, **tags}
    if piece.start_us is None:
        attributes[ABSENT_START] = True
    write_attributes(span.attributes, attributes)


def _take_status(tags: dict[str, str], span: Span) -> None:
    """Take the status out of the tags: `otel.status_code` as OpenTelemetry writes it, and Zipkin's `error`."""
    explicit = _CODES.get(tags.pop("otel.status_code", "").lower())
    error = tags.get("error")
    if explicit is None and error is None:
        return
    message = tags.pop("otel.status_description", "")
    if error is not None:
        explicit_error = explicit == Status.STATUS_CODE_ERROR
        message = message or (error if error not in ("true", "false") else "")
        if error in ("", "true") or explicit_error:
            del tags["error"]
        explicit = Status.STATUS_CODE_ERROR
    span.status.code = explicit or Status.STATUS_CODE_UNSET
    span.status.message = encodable(message)


def _take_links(tags: dict[str, str], span: Span) -> None:
    for number in range(_MOST_LINKS):
        packed = _packed(tags.get(f"{_LINK}{number}", ""), 3)
        if packed is None or not (_is_trace_id(packed.heads[0]) and _is_span_id(packed.heads[1])):
            return
        del tags[f"{_LINK}{number}"]
        link = span.links.add()
        link.trace_id, link.span_id = bytes.fromhex(packed.heads[0]), bytes.fromhex(packed.heads[1])
        link.trace_state, link.dropped_attributes_count = encodable(packed.heads[2]), packed.dropped
        write_attributes(link.attributes, packed.attributes)


def _unpacked(annotation: str) -> tuple[str, Mapping[str, _Plain], int]:
    """Take an event's name, attributes and dropped count out of an annotation that an exporter packed them into."""
    if packed := _packed(annotation, 1):
        return packed.heads[0], packed.attributes, packed.dropped
    if annotation.startswith("{") and (named := _parsed(annotation)) and len(named) == 1:
        # OpenTelemetry's own exporters: the name, and below it the attributes.
        ((name, inner),) = named.items()
        if isinstance(inner, dict):
            return name, _plain(inner), 0
    return annotation, {}, 0


def _packed(value: str, heads: int) -> _Packed | None:
    """Read what the Collector's exporter packs between bars: some words, attributes as JSON, how many were dropped."""
    *found, rest = value.split("|", heads)
    attributes, _, dropped = rest.rpartition("|")
    if len(found) < heads or not attributes.startswith("{") or not _is_count(dropped):
        return None
    parsed = _parsed(attributes)
    return None if parsed is None else _Packed(found, _plain(parsed), int(dropped))


def _parsed(text: str) -> dict[str, object] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _plain(values: Mapping[str, object]) -> dict[str, _Plain]:
    return {key: value if isinstance(value, _Plain) else _text(value) for key, value in values.items()}


def _kind(value: object) -> str:
    return {dict: "an object", list: "a list", str: "text", type(None): "null"}.get(type(value), "a number")


def _shown(value: object) -> str:
    return repr(value)[:60]
