"""What Jaeger's clients send in thrift, as OTLP by the rules of the Collector's translator (`jaeger_rules.py`). Pure.

Source: `agent.thrift` and `jaeger.thrift` of jaeger-idl. A field that is not there, or is of another type, counts as
empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, Span

from ot_bridge.traces.formats import zipkin, zipkin_v1
from ot_bridge.traces.formats.decoded import Decoded
from ot_bridge.traces.formats.jaeger_rules import Plain, Reference, fill_span, otlp_resource
from ot_bridge.traces.formats.thrift import Fields, ThriftError, Value, read_message, read_struct
from ot_bridge.traces.formats.writing import write_attributes

__all__ = ["DROPPED", "SEQ_NO", "decode_batch", "decode_packet"]

SEQ_NO: Final = "ot_bridge.jaeger.seq_no"
"""Resource attribute: the number of the batch, counted by its client; only where the client counts."""
DROPPED: Final = "ot_bridge.jaeger.dropped_spans"
"""Resource attribute: how many spans the client had to drop since it began; only where the client counts."""

# The numbers of fields, by struct.
_BATCH_PROCESS, _BATCH_SPANS, _BATCH_SEQ_NO, _BATCH_STATS = 1, 2, 3, 4
_STATS_DROPPED = (1, 2, 3)  # by a full queue, as too large, by a failure to send
_PROCESS_SERVICE, _PROCESS_TAGS = 1, 2
_SPAN_LOW, _SPAN_HIGH, _SPAN_ID, _SPAN_PARENT, _SPAN_NAME, _SPAN_REFERENCES = 1, 2, 3, 4, 5, 6
_SPAN_FLAGS, _SPAN_START, _SPAN_DURATION, _SPAN_TAGS, _SPAN_LOGS = 7, 8, 9, 10, 11
_REFERENCE_TYPE, _REFERENCE_LOW, _REFERENCE_HIGH, _REFERENCE_SPAN = 1, 2, 3, 4
_LOG_TIME, _LOG_FIELDS = 1, 2
_TAG_KEY, _TAG_TYPE = 1, 2
# The type of a tag -> the field that its value is in, and the value when it is not.
_TAG_VALUES: Final[Mapping[int, tuple[int, Any]]] = {0: (3, b""), 1: (4, 0.0), 2: (5, False), 3: (6, 0), 4: (7, b"")}
_STRING, _BINARY = 0, 4
_CHILD_OF = 0


def decode_packet(packet: bytes) -> Decoded:
    """Read a packet as Jaeger's agent takes it: `emitBatch` or `emitZipkinBatch`, compact or binary.

    Raises:
        ThriftError: the packet is no such call.
    """
    name, _, arguments = read_message(packet)
    if name == b"emitBatch":
        return _of_batch(_struct(arguments.get(1)), packet)
    if name == b"emitZipkinBatch":
        return zipkin.decode_spans(one for span in _structs(arguments.get(1)) for one in zipkin_v1.as_v2(span))
    raise ThriftError(
        f"cannot read a packet of {len(packet)} bytes: got the call '{_text(name[:40])}', "
        "expected 'emitBatch' or 'emitZipkinBatch'"
    )


def decode_batch(body: bytes) -> Decoded:
    """Read a batch as Jaeger's collector takes it over HTTP: the struct alone, in the binary protocol.

    Raises:
        ThriftError: the body is no such struct.
    """
    return _of_batch(read_struct(body), body)


def _of_batch(batch: Fields, data: bytes) -> Decoded:
    if not isinstance(batch.get(_BATCH_SPANS), list):
        raise ThriftError(f"cannot read {len(data)} bytes as a batch of Jaeger: got no list of spans, expected one")
    process = _struct(batch.get(_BATCH_PROCESS))
    resource = otlp_resource(_text(process.get(_PROCESS_SERVICE)), _values(process.get(_PROCESS_TAGS)).items())
    write_attributes(resource.attributes, dict(_losses(batch)))
    result = ResourceSpans(resource=resource)
    spans, rejected = result.scope_spans.add().spans, 0
    for source in _structs(batch.get(_BATCH_SPANS)):
        if _number(source.get(_SPAN_ID)) and (_number(source.get(_SPAN_LOW)) or _number(source.get(_SPAN_HIGH))):
            _fill(spans.add(), source)
        else:
            rejected += 1
    problem = "got a span without its own or its trace's id, expected both" if rejected else ""
    return Decoded([result] if spans else [], rejected, problem)


def _losses(batch: Fields) -> Iterator[tuple[str, int]]:
    if (number := _number(batch.get(_BATCH_SEQ_NO))) > 0:
        yield SEQ_NO, number
    if stats := _struct(batch.get(_BATCH_STATS)):
        yield DROPPED, sum(max(0, _number(stats.get(field))) for field in _STATS_DROPPED)


def _fill(span: Span, source: Fields) -> None:
    get = source.get
    references = get(_SPAN_REFERENCES)
    logs = get(_SPAN_LOGS)
    fill_span(
        span,
        trace_id=_id(get(_SPAN_HIGH)) + _id(get(_SPAN_LOW)),
        span_id=_id(get(_SPAN_ID)),
        parent_id=_id(get(_SPAN_PARENT)),
        name=_text(get(_SPAN_NAME)),
        start_us=_number(get(_SPAN_START)),
        duration_us=_number(get(_SPAN_DURATION)),
        flags=_number(get(_SPAN_FLAGS)),
        references=[_reference(one) for one in _structs(references)] if references else (),
        tags=_values(get(_SPAN_TAGS)),
        logs=[(_number(log.get(_LOG_TIME)), _values(log.get(_LOG_FIELDS)).items()) for log in _structs(logs)],
    )


def _reference(source: Fields) -> Reference:
    return Reference(
        follows=_number(source.get(_REFERENCE_TYPE)) != _CHILD_OF,
        trace_id=_id(source.get(_REFERENCE_HIGH)) + _id(source.get(_REFERENCE_LOW)),
        span_id=_id(source.get(_REFERENCE_SPAN)),
    )


def _values(tags: Value | None) -> dict[str, Plain]:
    """Tags as a mapping; of a repeated tag the last one counts."""
    found: dict[str, Plain] = {}
    for tag in _structs(tags):
        kind = tag.get(_TAG_TYPE, _STRING)
        if type(kind) is not int:
            kind = _STRING
        field, value = _TAG_VALUES.get(kind) or (-1, f"<Jaeger's tag of type {kind}>".encode())
        given = tag.get(field, value)
        if type(given) is type(value):
            value = given
        found[_text(tag.get(_TAG_KEY))] = value if kind == _BINARY or type(value) is not bytes else _text(value)
    return found


def _struct(value: Value | None) -> Fields:
    return value if isinstance(value, dict) else {}


def _structs(value: Value | None) -> list[Fields]:
    # The elements of a list are all of one type.
    return value if isinstance(value, list) and value and isinstance(value[0], dict) else []  # type: ignore[return-value]


def _number(value: Value | None) -> int:
    return value if type(value) is int else 0


def _text(value: Value | None) -> str:
    return str(value, "utf-8", "replace") if isinstance(value, bytes) else ""


def _id(value: Value | None) -> bytes:
    return (value & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big") if type(value) is int else bytes(8)
