"""OTLP's JSON: requests, files, with an object a line as the Collector writes them, and the way back. Pure.

Source: opentelemetry-specification's `protocol/otlp.md` and `protocol/file-exporter.md`.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from ot_bridge.traces.formats.decoded import Decoded
from ot_bridge.traces.formats.inflating import TooLargeError, inflated
from ot_bridge.traces.formats.otlp_checks import OtlpError, Problems, checked_logs, checked_spans
from ot_bridge.traces.formats.otlp_fields import LOG_RECORD, RESOURCE, SCOPE, SPAN, FieldError, Filler, Table
from ot_bridge.traces.words import plural

__all__ = ["LARGEST_FILE", "MOST_OBJECTS", "decode_logs", "decode_object", "decode_traces", "read_json", "to_json"]

MOST_OBJECTS: Final = 2_000_000
"""Objects and lists of one body: as Python's they take a hundred times the bytes that they have in JSON."""
LARGEST_FILE: Final = 1 << 30
"""Bytes that a file may have, also after inflating."""

_SPAN_KEYS: Final = ("resourceSpans", "batches")
_LOG_KEYS: Final = ("resourceLogs",)


def decode_traces(data: bytes) -> Decoded:
    """Decode an `ExportTraceServiceRequest`.

    Raises:
        OtlpError: it is none.
    """
    return _decode([_parsed(data)], _SPAN_KEYS[:1])


def decode_logs(data: bytes) -> Decoded:
    """Decode an `ExportLogsServiceRequest`.

    Raises:
        OtlpError: it is none.
    """
    return _decode([_parsed(data)], _LOG_KEYS)


def decode_object(found: object) -> Decoded:
    """Decode parsed JSON: `TracesData`, `LogsData`, what Tempo calls `batches`, or a list of them.

    Raises:
        OtlpError: it is none of them.
    """
    decoded = _decode(found if isinstance(found, list) else [found], (*_SPAN_KEYS, *_LOG_KEYS))
    if decoded.problem and not (decoded.rejected or decoded.batches or decoded.logs):
        raise OtlpError(decoded.problem)
    return decoded


def read_json(data: bytes) -> Decoded:
    """Read a file: an object, a list of them, or an object a line; also in gzip. No order is asked of it.

    A line that is no JSON is left out and noted. The last one may be half: the file may still be written.

    Raises:
        OtlpError: nothing of it can be read.
    """
    data = _inflated(data).removeprefix(b"\xef\xbb\xbf")
    try:
        return decode_object(_parsed(data))
    except OtlpError:
        lines = [line for line in data.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
    return _joined(lines)


def to_json(batches: Iterable[ResourceSpans]) -> dict[str, Any]:
    """Return `TracesData` as OTLP's JSON has it: ids in hex, enums as integers, numbers of 64 bits as text."""
    found = [MessageToDict(batch, use_integers_for_enums=True) for batch in batches]
    for span in _spans(found):
        _with_hex(span)
        for link in span.get("links", ()):
            _with_hex(link)
    return {"resourceSpans": found}


def _spans(batches: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for batch in batches:
        for group in batch.get("scopeSpans", ()):
            yield from group.get("spans", ())


def _with_hex(found: dict[str, Any]) -> None:
    for key in ("traceId", "spanId", "parentSpanId"):
        if key in found:
            found[key] = base64.b64decode(found[key]).hex()


# -- bodies ------------------------------------------------------------------------------------------------------------


def _parsed(data: bytes) -> object:
    if data.count(b"{") + data.count(b"[") > MOST_OBJECTS:
        raise OtlpError(f"cannot read JSON of more than {MOST_OBJECTS:,} objects and lists: send smaller batches")
    try:
        return json.loads(data)
    except RecursionError:
        raise OtlpError("cannot read JSON that nests so deep") from None
    except ValueError as error:
        raise OtlpError(f"cannot read {len(data):,} bytes as JSON: {error}") from None


def _decode(objects: Sequence[object], keys: Sequence[str]) -> Decoded:
    """Decode objects with batches under one of some keys; one without any is empty, and said when it has others."""
    unknown = ""
    filler, problems, log_problems = Filler(), Problems(), Problems()
    batches, logs = list[ResourceSpans](), list[ResourceLogs]()
    for found in objects:
        if not isinstance(found, dict):
            raise OtlpError(f"cannot read {_shape(found)} as OTLP JSON: expected an object with {keys[0]!r}")
        for key in keys:
            if (inner := found.get(key)) is None:
                continue
            if not isinstance(inner, list):
                raise OtlpError(f"cannot read OTLP JSON: {key} is {_shape(inner)}, expected a list")
            if key in _LOG_KEYS:
                logs += _batches(inner, ResourceLogs, _LOGS, filler, log_problems)
            else:
                batches += _batches(inner, ResourceSpans, _TRACES, filler, problems)
        if found and not any(key in found for key in keys):
            names = ", ".join(repr(name)[:40] for name in list(found)[:5])
            unknown = f"OTLP JSON has the keys {names}, expected {' or '.join(map(repr, keys))}"
    spans, records = checked_spans(batches, problems, filler.noted), checked_logs(logs, log_problems, filler.noted)
    return Decoded(
        spans.batches,
        spans.rejected + records.rejected,
        spans.problem or records.problem or unknown,
        records.logs,
        filler.noted,
    )


_Names = tuple[str, str, str, str, Table]
_TRACES: Final[_Names] = ("scopeSpans", "scope_spans", "spans", "spans", SPAN)
_LOGS: Final[_Names] = ("scopeLogs", "scope_logs", "logRecords", "log_records", LOG_RECORD)


def _batches(
    found: list[object], kind: Callable[[], Any], names: _Names, filler: Filler, problems: Problems
) -> list[Any]:
    groups_key, groups_name, items_key, items_name, table = names
    made = []
    for at, one in enumerate(found):
        batch = kind()
        where = f"resource {at}"
        groups = _list(one, groups_key, where, problems)
        try:
            _head(filler, batch, one, "resource", RESOURCE)
        except FieldError as error:
            lost = sum(len(_list(group, items_key, where, Problems())) for group in groups)
            problems.add(f"{where}: {error}", max(1, lost))
            continue
        for group in groups:
            items = _list(group, items_key, where, problems)
            target = getattr(batch, groups_name).add()
            try:
                _head(filler, target, group, "scope", SCOPE)
            except FieldError as error:
                problems.add(f"{where}: {error}", max(1, len(items)))
                continue
            _fill(filler, getattr(target, items_name), items, table, problems)
        made.append(batch)
    return made


def _list(found: object, key: str, where: str, problems: Problems) -> list[Any]:
    """Return the list under a key; what is none is a problem, and counts as one span or record."""
    inner = found.get(key, []) if isinstance(found, dict) else None
    if isinstance(inner, list):
        return inner
    if inner is None and isinstance(found, dict):
        return []
    problems.add(f"{where}: got {_shape(found if inner is None else inner)}, expected a list {key!r}")
    return []


def _head(filler: Filler, message: Any, found: object, name: str, table: Table) -> None:
    """Fill the resource of a batch or the scope of a group, and its schema."""
    if not isinstance(found, dict):
        return
    if (inner := found.get(name)) is not None:
        try:
            filler.fill(getattr(message, name), inner, table)
        except FieldError as error:
            raise error.within(name) from None
    if isinstance(schema := found.get("schemaUrl"), str):
        message.schema_url = filler.text(schema)


def _fill(filler: Filler, target: Any, items: Sequence[object], table: Table, problems: Problems) -> None:
    for at, item in enumerate(items):
        message = target.add()
        try:
            filler.fill(message, item, table)
        except FieldError as error:
            del target[-1]
            name = item.get("name") if isinstance(item, dict) else None
            problems.add(f"{f'span {name[:60]!r}' if isinstance(name, str) else f'item {at}'}: {error}")


def _shape(found: object) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(found), "a number")


# -- files -------------------------------------------------------------------------------------------------------------


def _joined(lines: Sequence[bytes]) -> Decoded:
    read = [_line(line) for line in lines]
    parts = [one for one in read if isinstance(one, Decoded)]
    broken, half = len(read) - len(parts), not isinstance(read[-1], Decoded)
    if not parts:
        raise OtlpError(f"cannot read {plural(len(lines), 'line')} as OTLP JSON, the first one: {read[0]}")
    noted = dict[str, int]()
    for part in parts:
        for what, count in part.noted.items():
            noted[what] = noted.get(what, 0) + count
    if half:
        noted["last lines that are not whole; the file may still be written"] = 1
        broken -= 1
    if broken:
        noted["lines that are no OTLP JSON"] = broken
    return Decoded(
        [batch for part in parts for batch in part.batches],
        sum(part.rejected for part in parts),
        next((part.problem for part in reversed(parts) if part.problem), ""),
        [batch for part in parts for batch in part.logs],
        noted,
    )


def _line(line: bytes) -> Decoded | OtlpError:
    try:
        return decode_object(_parsed(line))
    except OtlpError as error:
        return error


def _inflated(data: bytes) -> bytes:
    """Inflate what is in gzip, never beyond the limit."""
    try:
        return inflated(data, LARGEST_FILE)
    except zlib.error as error:
        raise OtlpError(f"cannot inflate {len(data):,} bytes: {error}") from None
    except TooLargeError:
        raise OtlpError(f"cannot read more than {LARGEST_FILE:,} bytes when inflated") from None
