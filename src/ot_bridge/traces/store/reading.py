"""How the spans of one trace are found, also when a hop cut its id in two (seeing.md 1.7)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as OtlpLog
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from ot_bridge.traces.model import LogRecord
from ot_bridge.traces.otlp import logs as read_logs
from ot_bridge.traces.store.rows import signed

__all__ = ["ids_of", "joined", "kept_logs", "kept_spans"]

_DIGITS, _LOW_DIGITS = 32, 16
_LOW = (1 << 64) - 1
_SHORT = bytes(8)


def joined(connection: sqlite3.Connection, trace_id: int) -> list[bytes]:
    """Return the ids of the stored traces that are one with this id; none when there is none.

    Traces with the same low 64 bits, one of them with nothing above, are one where they overlap in time, and each of
    both ids finds both. An id of 64 bits finds the only one of 128 that ends in it, and the reverse.
    """
    if not 0 <= trace_id < 1 << 128:
        return []
    text = 'SELECT trace_id, start, "end" FROM traces WHERE low = ?'
    rows = connection.execute(text, (signed(trace_id & _LOW),)).fetchall()
    wanted = trace_id.to_bytes(16, "big")
    is_short = wanted.startswith(_SHORT)
    one = next((row for row in rows if row[0] == wanted), None)
    others = [row for row in rows if row[0].startswith(_SHORT) != is_short]
    if one is None:
        return [others[0][0]] if len(others) == 1 else []
    others = [row for row in others if row[1] <= one[2] and row[2] >= one[1]]
    # With two whole traces for one cut id nobody can tell which one it belongs to.
    return [one[0]] + ([others[0][0]] if len(others) == 1 else [])


def ids_of(connection: sqlite3.Connection, prefix: str, limit: int) -> list[int]:
    """Return the ids of traces that begin with these hex digits, whole or without what stands above 64 bits."""
    digits = prefix.strip().lower()
    if not digits or len(digits) > _DIGITS or any(digit not in "0123456789abcdef" for digit in digits):
        return []
    first = [bytes.fromhex(digits.ljust(_DIGITS, fill)) for fill in "0f"]
    text = "SELECT trace_id FROM traces WHERE {} BETWEEN ? AND ? LIMIT ?"
    rows = connection.execute(text.format("trace_id"), (*first, limit)).fetchall()
    if len(digits) <= _LOW_DIGITS:
        for some in _halves(*(int(digits.ljust(_LOW_DIGITS, fill), 16) for fill in "0f")):
            rows += connection.execute(text.format("low"), (*some, limit)).fetchall()
    return list(dict.fromkeys(int.from_bytes(one, "big") for (one,) in rows))[:limit]


def _halves(first: int, last: int) -> list[tuple[int, int]]:
    """Return a range of 64 bits as ranges of signed numbers."""
    if first >> 63 == last >> 63:
        return [(signed(first), signed(last))]
    return [(first, (1 << 63) - 1), (-(1 << 63), signed(last))]


def kept_spans(connection: sqlite3.Connection, trace_ids: Sequence[bytes]) -> Iterator[ResourceSpans]:
    """Yield the spans of traces, grouped by resource and scope."""
    text = (
        "SELECT r.data, s.data, spans.data FROM spans JOIN resources r ON r.id = resource "
        "JOIN scopes s ON s.id = scope WHERE trace = (SELECT id FROM traces WHERE trace_id = ?)"
    )
    found: dict[bytes, dict[bytes, list[bytes]]] = {}
    for trace_id in trace_ids:
        for origin, scope, data in connection.execute(text, (trace_id,)):
            found.setdefault(origin, {}).setdefault(scope, []).append(data)
    for origin, scopes in found.items():
        batch = ResourceSpans(resource=Resource.FromString(origin))
        for scope, datas in scopes.items():
            group = batch.scope_spans.add(scope=InstrumentationScope.FromString(scope))
            for data in datas:
                group.spans.add().MergeFromString(data)
        yield batch


def kept_logs(connection: sqlite3.Connection, trace_ids: Sequence[bytes]) -> list[LogRecord]:
    """Return the log records of traces."""
    found = list[LogRecord]()
    for trace_id in trace_ids:
        for service, data in connection.execute("SELECT service, data FROM logs WHERE trace_id = ?", (trace_id,)):
            batch = ResourceLogs(scope_logs=[ScopeLogs(log_records=[OtlpLog.FromString(data)])])
            found += [log._replace(service=service) for log in read_logs([batch])]
    return found
