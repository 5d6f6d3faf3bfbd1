"""What a file holds, told by what is in it, and its spans and log records. Pure: bytes in.

Read are OTLP as protobuf and as JSON (an object, a list, or an object a line, as the Collector's file exporter writes
it), what the query APIs of Jaeger and Tempo answer, Jaeger's own JSON, Zipkin's v2 JSON, and each of them in gzip.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData, ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, TracesData

from ot_bridge.errors import BridgeError
from ot_bridge.traces.formats import otlp_json, zipkin
from ot_bridge.traces.formats.decoded import Decoded
from ot_bridge.traces.formats.inflating import TooLargeError, inflated
from ot_bridge.traces.formats.jaeger_json import is_jaeger, read_jaeger
from ot_bridge.traces.formats.otlp_checks import OtlpError
from ot_bridge.traces.words import number, plural

__all__ = ["FORMATS", "LARGEST", "Contents", "UnreadableError", "read"]

FORMATS: Sequence[str] = ("OTLP JSON", "OTLP protobuf", "Jaeger JSON", "Zipkin JSON")
LARGEST = 1 << 30
"""Bytes that a file may have, also after inflating."""


class UnreadableError(BridgeError, ValueError):
    """A file is of no kind that can be read, or too large. The text says what was tried."""


class Contents(NamedTuple):
    """What a file holds.

    Attributes:
        format: one of `FORMATS`.
        rejected: how many spans could not be read.
        problem: what was wrong with the last of them.
        notes: what else a reader should know.
    """

    format: str
    batches: Sequence[ResourceSpans]
    logs: Sequence[ResourceLogs] = ()
    rejected: int = 0
    problem: str = ""
    notes: Sequence[str] = ()


def read(data: bytes, name: str = "", *, largest: int = LARGEST) -> Contents:
    """Read a file.

    Args:
        data: all of it.
        name: how errors call it.
        largest: bytes that it may have after inflating.

    Raises:
        UnreadableError: it is empty, too large, or of no known kind.
    """
    name = name or "the input"
    data = _inflated(data, name, largest).removeprefix(b"\xef\xbb\xbf")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = data.decode("utf-16", "replace").encode()
    if not data.strip():
        raise UnreadableError(f"cannot read {name}: it is empty")
    if data.lstrip()[:1] in (b"{", b"["):
        return _json(data, name)
    contents = _protobuf(data)
    if contents is None:
        raise UnreadableError(
            f"cannot read {name}: {plural(len(data), 'byte')} that begin with {data[:16]!r} are neither JSON nor OTLP "
            f"protobuf; read are {', '.join(FORMATS)}, each also in gzip"
        )
    return contents


def _inflated(data: bytes, name: str, largest: int) -> bytes:
    """Inflate what is in gzip, never beyond the limit."""
    if len(data) > largest:
        raise UnreadableError(f"cannot read {name}: got {plural(len(data), 'byte')}, expected at most {largest:,}")
    try:
        return inflated(data, largest)
    except zlib.error as error:
        raise UnreadableError(f"cannot read {name}: it begins like gzip and is not: {error}") from error
    except TooLargeError as error:
        raise UnreadableError(f"cannot read {name}: got more than {plural(largest, 'byte')} when inflated") from error


# -- JSON --------------------------------------------------------------------------------------------------------------


def _json(data: bytes, name: str) -> Contents:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        lines = [line for line in data.splitlines() if line.strip()]
        if len(lines) > 1 and (contents := _lines(lines)) is not None:
            return contents
        what = "no line of it is trace data" if len(lines) > 1 else str(error)
        raise UnreadableError(
            f"cannot read {name}: it begins like JSON and is not: {what}; expected {_EXPECTED}"
        ) from error
    contents = _one(found)
    if contents is None:
        raise UnreadableError(f"cannot read {name}: JSON {_shape(found)}; expected {_EXPECTED}")
    return contents


_EXPECTED = (
    "OTLP ('resourceSpans'), an answer of Jaeger or Tempo ('result', 'trace', 'batches'), Jaeger's own ('data' with "
    "'spans' and 'processes'), or Zipkin's v2 (a list of spans with 'traceId' and 'id')"
)


def _shape(found: Any) -> str:
    if isinstance(found, dict):
        return f"with the keys {', '.join(repr(key)[:40] for key in list(found)[:8])}" if found else "without any key"
    if isinstance(found, list):
        return f"that is a list of {plural(len(found), 'element')}, the first one {_shape(found[0])}" if found else "[]"
    return f"that is {found!r:.40}"


def _lines(lines: Sequence[bytes]) -> Contents | None:
    """Read an object a line; lines that are none are counted, a half one at the end is usual in a growing file."""
    parts, broken, last_broken = list[Contents](), 0, False
    for line in lines:
        part = _line(line)
        last_broken = part is None
        broken += last_broken
        if part is not None:
            parts.append(part)
    if not parts:
        return None
    notes = list(dict.fromkeys(note for part in parts for note in part.notes))
    if broken - last_broken:
        notes.append(f"{plural(broken - last_broken, 'line')} of {len(lines):,} left out: no trace data")
    if last_broken:
        notes.append("the last line is not whole; the file may still be written")
    return Contents(
        parts[0].format,
        [batch for part in parts for batch in part.batches],
        [batch for part in parts for batch in part.logs],
        sum(part.rejected for part in parts),
        next((part.problem for part in reversed(parts) if part.problem), ""),
        notes,
    )


def _line(line: bytes) -> Contents | None:
    try:
        return _one(json.loads(line))
    except (ValueError, RecursionError):
        return None


def _one(found: Any) -> Contents | None:
    """Read parsed JSON of whatever kind, None when it is of none."""
    if objects := list(_otlp(found)):
        try:
            return _contents("OTLP JSON", otlp_json.decode_object(objects))
        except OtlpError as error:
            return Contents("OTLP JSON", [], rejected=1, problem=str(error))
    if is_jaeger(found):
        return _contents("Jaeger JSON", read_jaeger(found))
    if (spans := _zipkin(found)) is not None:
        return _contents("Zipkin JSON", zipkin.decode_spans(spans))
    return None


def _contents(kind: str, decoded: Decoded) -> Contents:
    notes = [f"{what}: {number(count)}" for what, count in decoded.noted.items()]
    return Contents(kind, decoded.batches, decoded.logs, decoded.rejected, decoded.problem, notes)


_LISTS: Mapping[str, str] = {
    "resourceSpans": "resourceSpans",
    "resourceLogs": "resourceLogs",
    "batches": "resourceSpans",
}
_ENVELOPES = ("result", "trace")


def _otlp(found: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the objects that hold OTLP, out of what query APIs put around them, by OTLP's own names."""
    for one in found if isinstance(found, list) else [found]:
        if not isinstance(one, dict):
            return
        lists = {key: one[name] for name, key in _LISTS.items() if isinstance(one.get(name), list)}
        if lists:
            yield lists
        else:
            yield from (inner for key in _ENVELOPES if isinstance(one.get(key), dict) for inner in _otlp(one[key]))


def _zipkin(found: Any) -> list[Any] | None:
    """Return Zipkin's spans, of one trace or of several; None when this is nothing of Zipkin's."""
    if not isinstance(found, list) or not found:
        return None
    spans = [span for one in found for span in (one if isinstance(one, list) else [one])]
    known = any(isinstance(span, dict) and "traceId" in span and "id" in span for span in spans)
    return spans if known else None


# -- protobuf ----------------------------------------------------------------------------------------------------------


def _protobuf(data: bytes) -> Contents | None:
    """Read spans or log records; the Collector's file exporter puts the length before each message."""
    for messages in (_prefixed(data), [data]):
        if not messages:
            continue
        batches = _parsed(messages, lambda one: TracesData.FromString(one).resource_spans)
        if any(span.trace_id for batch in batches for group in batch.scope_spans for span in group.spans):
            return Contents("OTLP protobuf", batches)
        logs = _parsed(messages, lambda one: LogsData.FromString(one).resource_logs)
        if any(_looks_like_log(one) for batch in logs for group in batch.scope_logs for one in group.log_records):
            return Contents("OTLP protobuf", [], logs)
    return None


def _looks_like_log(record: Any) -> bool:
    return bool(record.time_unix_nano or record.observed_time_unix_nano or record.HasField("body"))


def _parsed(messages: Sequence[bytes], parse: Callable[[bytes], Sequence[Any]]) -> list[Any]:
    try:
        return [batch for one in messages for batch in parse(one)]
    except DecodeError:
        return []


def _prefixed(data: bytes) -> list[bytes]:
    found, at = list[bytes](), 0
    while at + 4 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if not size or at + 4 + size > len(data):
            return found if at and size else []
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found
