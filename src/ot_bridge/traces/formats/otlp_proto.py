"""OTLP's protobuf: requests of its three signals' services and files. Pure.

A message that protobuf refuses as a whole is taken apart, so that a bad span costs itself alone. Source:
opentelemetry-proto; https://protobuf.dev/programming-guides/encoding/ for the parts of a message.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, TracesData

from ot_bridge.traces.formats.decoded import Decoded
from ot_bridge.traces.formats.otlp_checks import OtlpError, Problems, checked_logs, checked_spans

__all__ = ["decode_logs", "decode_traces"]

_BATCHES: Final = ResourceSpans.DESCRIPTOR.fields_by_name["scope_spans"].number
_SPANS: Final = ScopeSpans.DESCRIPTOR.fields_by_name["spans"].number
_OF_REQUEST: Final = TracesData.DESCRIPTOR.fields_by_name["resource_spans"].number


def decode_traces(data: bytes) -> Decoded:
    """Decode an `ExportTraceServiceRequest`, or a `TracesData` of a file, which is the same on the wire.

    Raises:
        OtlpError: it is none.
    """
    try:
        return checked_spans(TracesData.FromString(data).resource_spans)
    except DecodeError as error:
        problems = Problems()
        batches = list(_in_parts(data, problems, str(error)))
        if not any(group.spans for batch in batches for group in batch.scope_spans):
            raise OtlpError(f"cannot read {len(data):,} bytes as OTLP protobuf: {error}") from None
        return checked_spans(batches, problems)


def decode_logs(data: bytes) -> Decoded:
    """Decode an `ExportLogsServiceRequest`, or a `LogsData` of a file.

    Raises:
        OtlpError: it is none.
    """
    try:
        return checked_logs(LogsData.FromString(data).resource_logs)
    except DecodeError as error:
        raise OtlpError(f"cannot read {len(data):,} bytes as OTLP protobuf: {error}") from None


# -- in parts ----------------------------------------------------------------------------------------------------------


class _Part(NamedTuple):
    """A field of a message: its number, what it holds when that has a length, and all of its bytes."""

    number: int
    body: bytes | None
    whole: bytes


def _in_parts(data: bytes, problems: Problems, error: str) -> Iterator[ResourceSpans]:
    for part in _parts(data, error):
        if part.number != _OF_REQUEST or part.body is None:
            continue
        groups = list[ScopeSpans]()
        rest = list[bytes]()
        for inner in _parts(part.body, error):
            if inner.number == _BATCHES and inner.body is not None:
                groups.append(_group(inner.body, problems, error))
            else:
                rest.append(inner.whole)
        try:
            batch = ResourceSpans.FromString(b"".join(rest))
        except DecodeError:
            problems.add("the resource cannot be read", sum(len(group.spans) for group in groups))
            continue
        batch.scope_spans.extend(groups)
        yield batch


def _group(data: bytes, problems: Problems, error: str) -> ScopeSpans:
    spans, rest = list[Span](), list[bytes]()
    for part in _parts(data, error):
        if part.number != _SPANS or part.body is None:
            rest.append(part.whole)
            continue
        try:
            spans.append(Span.FromString(part.body))
        except DecodeError:
            problems.add(
                f"a span of {len(part.body):,} bytes is no protobuf, nests too deep, or has text that is not UTF-8"
            )
    try:
        group: ScopeSpans = ScopeSpans.FromString(b"".join(rest))
    except DecodeError:
        problems.add("the scope cannot be read", len(spans))
        return ScopeSpans()
    group.spans.extend(spans)
    return group


def _parts(data: bytes, error: str) -> Iterator[_Part]:
    """Split a message into its fields.

    Raises:
        OtlpError: it is cut, or no message.
    """
    at = 0
    try:
        while at < len(data):
            began = at
            tag, at = _varint(data, at)
            kind, body = tag & 7, None
            if kind == 0:
                _, at = _varint(data, at)
            elif kind == 1:
                at += 8
            elif kind == 2:
                size, at = _varint(data, at)
                body = data[at : at + size]
                at += size
            elif kind == 5:
                at += 4
            else:
                raise IndexError(at)
            if at > len(data):
                raise IndexError(at)
            yield _Part(tag >> 3, body, data[began:at])
    except IndexError:
        raise OtlpError(f"cannot read {len(data):,} bytes as OTLP protobuf: {error}") from None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    for place in range(at, at + 10):
        byte = data[place]
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place + 1
        shift += 7
    raise IndexError(at)
