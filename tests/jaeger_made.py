"""Batches of Jaeger made with the thrift classes of jaeger-client, which ot_bridge itself does not use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jaeger_client.thrift_gen.agent.Agent import emitBatch_args, emitZipkinBatch_args
from jaeger_client.thrift_gen.jaeger.ttypes import Batch, Process, Span, Tag, TagType
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.transport.TTransport import TMemoryBuffer

__all__ = ["BINARY", "COMPACT", "SPAN", "Protocol", "batch", "body", "packet", "span", "tag", "tagged", "zipkin_packet"]

Protocol = Callable[[TMemoryBuffer], Any]


class _Raw:
    """The classes of jaeger-client are so old that they write bytes as text."""

    def writeString(self, value: str | bytes) -> None:
        self.writeBinary(value if isinstance(value, bytes) else value.encode())  # type: ignore[attr-defined]


class _Compact(_Raw, TCompactProtocol):
    pass


class _Binary(_Raw, TBinaryProtocol):
    pass


COMPACT: Protocol = _Compact
BINARY: Protocol = _Binary

SPAN: dict[str, Any] = {
    "traceIdLow": -0x2D964D9C7EC039F4,
    "traceIdHigh": 0x5B8EFFF798038103,
    "spanId": -2,
    "parentSpanId": 0x1F1E1D1C1B1A1918,
    "operationName": "GET /stock",
    "references": [],
    "flags": 1,
    "startTime": 1_767_268_800_000_001,
    "duration": 1_500,
    "tags": [],
    "logs": [],
}


def tag(key: str, value: object) -> Tag:
    match value:
        case bool():
            return Tag(key=key, vType=TagType.BOOL, vBool=value)
        case int():
            return Tag(key=key, vType=TagType.LONG, vLong=value)
        case float():
            return Tag(key=key, vType=TagType.DOUBLE, vDouble=value)
        case bytes():
            return Tag(key=key, vType=TagType.BINARY, vBinary=value)
        case _:
            return Tag(key=key, vType=TagType.STRING, vStr=value)


def tagged(**values: object) -> list[Tag]:
    return [tag(key.replace("_", "."), value) for key, value in values.items()]


def span(**changes: Any) -> Span:
    return Span(**{**SPAN, **changes})


def batch(*spans: Span, process: Process | None = None) -> Batch:
    return Batch(process or Process("store", [tag("jaeger.version", "Python-4.8.0"), tag("hostname", "h1")]), spans)


def packet(sent: Batch | None, protocol: Protocol, call: str = "emitBatch", kind: int = 4) -> bytes:
    return _message(emitBatch_args(sent), protocol, call, kind)


def zipkin_packet(spans: list[Any], protocol: Protocol) -> bytes:
    return _message(emitZipkinBatch_args(spans), protocol, "emitZipkinBatch", 4)


def body(sent: Batch) -> bytes:
    buffer = TMemoryBuffer()
    sent.write(_Binary(buffer))
    return bytes(buffer.getvalue())


def _message(arguments: Any, protocol: Protocol, call: str, kind: int) -> bytes:
    buffer = TMemoryBuffer()
    writer = protocol(buffer)
    writer.writeMessageBegin(call, kind, 1)
    arguments.write(writer)
    writer.writeMessageEnd()
    return bytes(buffer.getvalue())
