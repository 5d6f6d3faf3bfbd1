"""Jaeger's spans as its agent receives them, turned into OTLP by the rules of the Collector's Jaeger translator. Pure.

A UDP packet holds one thrift call `emitBatch`: compact from most clients, binary from Node's. Rules: `pkg/translator/
jaeger` of opentelemetry-collector-contrib, the thrift path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jaeger_client.thrift_gen.agent.Agent import emitBatch_args
from jaeger_client.thrift_gen.jaeger.ttypes import Batch, SpanRefType, Tag, TagType
from jaeger_client.thrift_gen.jaeger.ttypes import Span as JaegerSpan
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span, Status
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.transport.TTransport import TMemoryBuffer

__all__ = ["decode_packet", "to_otlp"]

_PROTOCOLS = {0x82: TCompactProtocol, 0x80: TBinaryProtocol}
_KINDS = {
    "server": Span.SPAN_KIND_SERVER,
    "client": Span.SPAN_KIND_CLIENT,
    "producer": Span.SPAN_KIND_PRODUCER,
    "consumer": Span.SPAN_KIND_CONSUMER,
    "internal": Span.SPAN_KIND_INTERNAL,
}
_PROCESS_TAGS = {"hostname": "host.name", "jaeger.version": "opencensus.exporterversion"}
_REF_TYPES = {SpanRefType.CHILD_OF: "child_of", SpanRefType.FOLLOWS_FROM: "follows_from"}


def decode_packet(packet: bytes) -> Batch:
    """Read the batch of one UDP packet.

    Raises:
        ValueError: the packet is neither compact nor binary thrift, or holds no `emitBatch` call.
    """
    first = packet[0] if packet else None
    if first not in _PROTOCOLS:
        raise ValueError(f"cannot read a packet of {len(packet)} bytes: got first byte {first}, expected 0x80 or 0x82")
    protocol = _PROTOCOLS[first](TMemoryBuffer(packet))
    arguments = emitBatch_args()
    try:
        call, _, _ = protocol.readMessageBegin()
        if call == "emitBatch":
            arguments.read(protocol)
    except Exception as error:
        # thrift raises whatever the broken bytes lead it into: its own errors, EOFError, struct.error, UnicodeError
        raise ValueError(f"cannot read a packet of {len(packet)} bytes as thrift: {error!r}") from error
    batch = arguments.batch
    if not isinstance(batch, Batch):
        raise ValueError(f"cannot read a packet of {len(packet)} bytes: got the call {call!r}, expected 'emitBatch'")
    return batch


def to_otlp(batch: Batch) -> ResourceSpans:
    """Turn a Jaeger batch into OTLP, as a Collector would."""
    result = ResourceSpans()
    process = _values(batch.process.tags)
    resource: dict[str, object] = {"service.name": batch.process.serviceName}
    for key, value in process.items():
        new_key = _PROCESS_TAGS.get(key, key)
        if new_key in process and new_key != key:
            new_key = key
        resource[new_key] = f"Jaeger-{value}" if key == "jaeger.version" else value
    result.resource.attributes.extend(_attributes(resource))
    result.scope_spans.add().spans.extend(_span(span) for span in batch.spans)
    return result


def _span(source: JaegerSpan) -> Span:
    tags = _values(source.tags)
    kind = _KINDS.get(str(tags.pop("span.kind", "")), Span.SPAN_KIND_UNSPECIFIED)
    trace_id = _trace_id(source)
    references = [(_REF_TYPES[ref.refType], _trace_id(ref), _span_id(ref.spanId)) for ref in source.references or ()]
    parent_id = _span_id(source.parentSpanId) if source.parentSpanId else _parent(trace_id, references)
    span = Span(
        trace_id=trace_id,
        span_id=_span_id(source.spanId),
        parent_span_id=parent_id,
        name=source.operationName,
        kind=kind,
        start_time_unix_nano=source.startTime * 1000,
        end_time_unix_nano=(source.startTime + source.duration) * 1000,
        flags=source.flags & 1,
        status=_status(tags, kind),
    )
    for log in source.logs or ():
        fields = _values(log.fields)
        event = fields.pop("event", "")
        span.events.add(
            time_unix_nano=log.timestamp * 1000,
            name=event if isinstance(event, str) else "",
            attributes=_attributes(fields),
        )
    for ref_type, ref_trace_id, ref_span_id in references:
        if (ref_type, ref_span_id) != ("child_of", parent_id):
            attributes = _attributes({"opentracing.ref_type": ref_type})
            span.links.add(trace_id=ref_trace_id, span_id=ref_span_id, attributes=attributes)
    span.attributes.extend(_attributes(tags))
    return span


def _parent(trace_id: bytes, references: Iterable[tuple[str, bytes, bytes]]) -> bytes:
    """The parent of a span that names none: its first CHILD_OF in the same trace, else its first FOLLOWS_FROM."""
    same_trace = [(ref_type, span_id) for ref_type, ref_trace_id, span_id in references if ref_trace_id == trace_id]
    return next((span_id for _, span_id in sorted(same_trace, key=lambda item: item[0])), b"")


def _status(tags: dict[str, object], kind: int) -> Status:
    """Take the status out of the tags: a boolean `error`, else `otel.status_code`, else an HTTP status code."""
    message = tags.pop("otel.status_description", None) or tags.get("http.status_message", "")
    explicit = str(tags.pop("otel.status_code", "")).upper()
    if tags.get("error") is True:
        del tags["error"]
        return Status(code=Status.STATUS_CODE_ERROR, message=str(message))
    if explicit in ("OK", "ERROR"):
        return Status(code=Status.StatusCode.Value(f"STATUS_CODE_{explicit}"), message=str(message))
    if _is_http_error(tags.get("http.status_code"), kind):
        return Status(code=Status.STATUS_CODE_ERROR, message=str(message))
    return Status()


def _is_http_error(code: object, kind: int) -> bool:
    if isinstance(code, bool) or not isinstance(code, int | str) or not str(code).isdecimal():
        return False
    number = int(code)
    return number >= 500 or number < 100 or (number >= 400 and kind != Span.SPAN_KIND_SERVER)


def _trace_id(source: object) -> bytes:
    high, low = getattr(source, "traceIdHigh", 0) or 0, getattr(source, "traceIdLow", 0) or 0
    return _span_id(high) + _span_id(low)


def _span_id(signed: int) -> bytes:
    return (signed % (1 << 64)).to_bytes(8, "big")


def _values(tags: Iterable[Tag] | None) -> dict[str, object]:
    """Tags as a mapping; of a repeated tag the last one counts."""
    fields = {
        TagType.STRING: "vStr",
        TagType.DOUBLE: "vDouble",
        TagType.BOOL: "vBool",
        TagType.LONG: "vLong",
        TagType.BINARY: "vBinary",
    }
    return {tag.key: getattr(tag, fields[tag.vType]) for tag in tags or ()}


def _attributes(values: Mapping[str, object]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_any_value(value)) for key, value in values.items()]


def _any_value(value: object) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int():
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case bytes():
            return AnyValue(bytes_value=value)
        case _:
            return AnyValue(string_value=str(value))
