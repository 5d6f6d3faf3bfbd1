"""One trace, written in each format that is received, and what each of them cannot carry."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, NamedTuple

from google.protobuf.json_format import ParseDict
from jaeger_client.thrift_gen.jaeger.ttypes import Log, Process, SpanRef, SpanRefType
from jaeger_client.thrift_gen.jaeger.ttypes import Span as JaegerSpan
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from jaeger_made import batch, tag
from ot_bridge.traces.formats.zipkin import KINDS, RESOURCE_TAGS
from ot_bridge.traces.model import Link, Resource, Scope, Span, Value
from ot_bridge.traces.words import text

__all__ = ["JAEGER", "LOSSES", "OTLP", "ZIPKIN", "Loss", "carried", "jaeger_batches", "otlp_message", "zipkin_spans"]

_TRACE_ID, _OTHER = "5b8efff798038103d269b633813fc60c", "00000000000000000af7651916cd43dd"
_NOON = 1_767_268_800_000_000_000


def _values(**values: Any) -> list[dict[str, Any]]:
    return [{"key": key.replace("__", "."), "value": value} for key, value in values.items()]


def _span(span_id: int, name: str, kind: int, start: int, took: int, **more: Any) -> dict[str, Any]:
    ids = {"traceId": _TRACE_ID, "spanId": f"{span_id:016x}"}
    times = {"startTimeUnixNano": str(_NOON + start), "endTimeUnixNano": str(_NOON + start + took)}
    return {**ids, "name": name, "kind": kind, **times, "flags": 0x101, **more}


def _batch(service: str, *spans: dict[str, Any], **resource: Any) -> dict[str, Any]:
    attributes = _values(service__name={"stringValue": service}, **resource)
    scope = {"name": f"{service}.lib", "version": "1.2"}
    return {"resource": {"attributes": attributes}, "scopeSpans": [{"scope": scope, "spans": list(spans)}]}


OTLP: Mapping[str, Any] = {
    "resourceSpans": [
        _batch(
            "shop",
            _span(
                *(1, "POST /checkout", 2, 1_001, 90_000_789),
                traceState="a=b",
                droppedAttributesCount=2,
                attributes=_values(
                    paid={"boolValue": True},
                    items={"intValue": "3"},
                    price={"doubleValue": 9.5},
                    names={"arrayValue": {"values": [{"stringValue": "cup"}, {"intValue": "1"}]}},
                    raw={"bytesValue": "AP8="},
                ),
            ),
            _span(
                *(2, "charge", 3, 5_000_001, 60_000_000),
                parentSpanId=f"{1:016x}",
                status={"code": 2, "message": "refused"},
                attributes=_values(peer__service={"stringValue": "bank"}),
                events=[
                    {
                        "timeUnixNano": str(_NOON + 60_000_500),
                        "name": "exception",
                        "attributes": _values(exception__type={"stringValue": "ValueError"}, tries={"intValue": "2"}),
                        "droppedAttributesCount": 1,
                    }
                ],
            ),
            _span(*(3, "tell", 4, 70_000_000, 1_000), parentSpanId=f"{1:016x}", status={"code": 1}),
            _span(*(4, "sum", 1, 80_000_000, 1_000), parentSpanId=f"{1:016x}"),
            host__name={"stringValue": "h1"},
            team={"stringValue": "red"},
            process__pid={"intValue": "77"},
        ),
        _batch(
            "mail",
            _span(
                *(5, "told", 5, 72_000_000, 2_000),
                parentSpanId=f"{3:016x}",
                links=[
                    {
                        "traceId": _OTHER,
                        "spanId": f"{9:016x}",
                        "traceState": "c=d",
                        "attributes": _values(why={"stringValue": "batch"}),
                    },
                ],
            ),
        ),
        _batch("bank", _span(*(6, "POST /charge", 2, 10_000_000, 50_000_000), parentSpanId=f"{2:016x}")),
    ]
}


def otlp_message() -> TracesData:
    """The trace as OTLP's message, whose JSON has its ids in base64."""

    def with_base64(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: with_base64(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [with_base64(inner) for inner in value]
        ids = ("traceId", "spanId", "parentSpanId")
        return base64.b64encode(bytes.fromhex(value)).decode() if key in ids else value

    return ParseDict(with_base64(OTLP), TracesData())


# -- in other formats, as OpenTelemetry's exporters for them write it --------------------------------------------------


def _scalars(values: Mapping[str, Value]) -> dict[str, Any]:
    return {
        key: value if isinstance(value, str | bool | int | float | bytes) else text(value)
        for key, value in values.items()
    }


def _by_resource(spans: Sequence[Span]) -> Iterator[tuple[Resource, list[Span]]]:
    for _, group in groupby(spans, key=lambda span: span.resource):
        found = list(group)
        yield found[0].resource, found


def jaeger_batches(spans: Sequence[Span]) -> list[Any]:
    """The spans as thrift objects, one batch for each process."""
    return [
        batch(*map(_as_jaeger, group), process=Process(origin.service, _tags(_without_service(origin))))
        for origin, group in _by_resource(spans)
    ]


def _without_service(origin: Resource) -> dict[str, Value]:
    return {key: value for key, value in origin.attributes.items() if key != "service.name"}


def _tags(values: Mapping[str, Value]) -> list[Any]:
    return [tag(key, value) for key, value in _scalars(values).items()]


def _signed(number: int) -> int:
    number %= 1 << 64
    return number - (1 << 64) if number >> 63 else number


def _as_jaeger(span: Span) -> JaegerSpan:
    more: dict[str, Value] = {} if span.kind == "unspecified" else {"span.kind": span.kind}
    if span.status != "unset":
        more |= {"otel.status_code": span.status.upper(), "otel.status_description": span.message}
    if span.trace_state:
        more["w3c.tracestate"] = span.trace_state
    return JaegerSpan(
        *(_signed(span.trace_id), _signed(span.trace_id >> 64), _signed(span.span_id), _signed(span.parent_id)),
        span.name,
        [
            SpanRef(SpanRefType.FOLLOWS_FROM, _signed(link.trace_id), _signed(link.trace_id >> 64), link.span_id)
            for link in span.links
        ],
        span.flags & 1,
        span.start_ns // 1000,
        span.end_ns // 1000 - span.start_ns // 1000,
        _tags({**span.attributes, **more}),
        [Log(event.time_ns // 1000, _tags({"event": event.name, **event.attributes})) for event in span.events],
    )


def zipkin_spans(spans: Sequence[Span]) -> list[dict[str, Any]]:
    """The spans as Zipkin's JSON."""
    return [_as_zipkin(span) for span in spans]


def _as_zipkin(span: Span) -> dict[str, Any]:
    tags = {**_without_service(span.resource), **span.attributes}
    peer = tags.pop("peer.service", None)
    tags |= {"otel.scope.name": span.scope.name, "otel.scope.version": span.scope.version}
    if span.kind == "internal":
        tags["span.kind"] = "internal"
    if span.status != "unset":
        tags |= {"otel.status_code": span.status.upper(), "otel.status_description": span.message}
    if span.status == "error":
        tags["error"] = "true"
    if span.trace_state:
        tags["w3c.tracestate"] = span.trace_state
    for number, link in enumerate(span.links):
        packed = (f"{link.trace_id:032x}", f"{link.span_id:016x}", link.trace_state, json.dumps(link.attributes), "0")
        tags[f"otlp.link.{number}"] = "|".join(packed)
    return {
        "traceId": f"{span.trace_id:032x}",
        "id": f"{span.span_id:016x}",
        "parentId": f"{span.parent_id:016x}" if span.parent_id else None,
        "name": span.name,
        "kind": span.kind.upper() if span.kind.upper() in KINDS else None,
        "timestamp": span.start_ns // 1000,
        "duration": span.end_ns // 1000 - span.start_ns // 1000,
        "localEndpoint": {"serviceName": span.service},
        "remoteEndpoint": {"serviceName": peer} if peer else {},
        "annotations": [
            {
                "timestamp": event.time_ns // 1000,
                "value": f"{event.name}|{json.dumps(event.attributes)}|{event.dropped}",
            }
            for event in span.events
        ],
        "tags": {key: text(value) for key, value in tags.items()},
    }


# -- what they cannot carry --------------------------------------------------------------------------------------------

JAEGER, ZIPKIN = "Jaeger", "Zipkin"


class Loss(NamedTuple):
    """What some formats cannot carry.

    Attributes:
        what: as docs/formats.md says it.
        jaeger: what becomes of it there; empty where it is carried.
        zipkin: the same.
        change: a span without it.
    """

    what: str
    jaeger: str
    zipkin: str
    change: Callable[[Span], Span]


def _microseconds(span: Span) -> Span:
    return replace(
        span,
        start_ns=span.start_ns // 1000 * 1000,
        end_ns=span.end_ns // 1000 * 1000,
        events=tuple(event._replace(time_ns=event.time_ns // 1000 * 1000) for event in span.events),
    )


def _no_lists(span: Span) -> Span:
    return replace(span, attributes=_scalars(span.attributes))


def _as_text(span: Span) -> Span:
    values = {key: text(value) for key, value in span.attributes.items()}
    return replace(span, attributes=values, resource=_text_resource(span.resource))


def _text_resource(origin: Resource) -> Resource:
    return Resource({key: text(value) for key, value in origin.attributes.items()})


def _foreign_resource(span: Span) -> Span:
    found = span.resource.attributes
    own = {key: value for key, value in found.items() if key.startswith(RESOURCE_TAGS)}
    others = {key: value for key, value in found.items() if key not in own}
    return replace(span, attributes={**span.attributes, **others}, resource=Resource(own))


def _no_links(span: Span) -> Span:
    reference = {"opentracing.ref_type": "follows_from"}
    return replace(span, links=tuple(Link(link.trace_id, link.span_id, reference) for link in span.links))


def _no_scope(span: Span) -> Span:
    return replace(span, scope=Scope())


def _no_dropped_of_events(span: Span) -> Span:
    return replace(span, events=tuple(event._replace(dropped=0) for event in span.events))


LOSSES: Sequence[Loss] = (
    Loss("Times finer than a microsecond", "cut", "cut", _microseconds),
    Loss("Lists and maps as values", "text, in JSON", "text, in JSON", _no_lists),
    Loss("Numbers, booleans and bytes as values", "", "text; bytes in hex", _as_text),
    Loss(
        "Attributes of the resource with a name of one's own",
        "",
        "attributes of the span",
        _foreign_resource,
    ),
    Loss(
        "The scope, which is the library that called the tracer", "lost", "", lambda span: replace(span, scope=Scope())
    ),
    Loss("A link's attributes and tracestate", "lost: a link is a reference FOLLOWS_FROM", "", _no_links),
    Loss("W3C's flags beside the sampled one", "lost", "lost", lambda span: replace(span, flags=span.flags & 1)),
    Loss("W3C's sampled flag", "", "lost", lambda span: replace(span, flags=0)),
    Loss(
        "Counts of what the sender's limits dropped from a span",
        *("lost", "lost"),
        lambda span: replace(span, dropped=(0, 0, 0)),
    ),
    Loss("Counts of what they dropped from an event", "lost", "", _no_dropped_of_events),
)


def carried(spans: Sequence[Span], way: str) -> list[Span]:
    """The spans without what a format cannot carry; `way` is `JAEGER`, `ZIPKIN` or empty for OTLP."""
    for loss in LOSSES:
        if way and (loss.jaeger if way == JAEGER else loss.zipkin):
            spans = [loss.change(span) for span in spans]
    return list(spans)
