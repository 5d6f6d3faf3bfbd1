"""How a batch gets into the tables: all its rows are made first, then each table takes its own at once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from ot_bridge.traces.model import Resource
from ot_bridge.traces.otlp import attributes
from ot_bridge.traces.store.rows import Group, SpanRow, cleaned, groups, hash64, signed, span_row
from ot_bridge.traces.store.schema import PART

__all__ = ["MOST_SERVICES", "Writing"]

MOST_SERVICES = 1_000
"""So many services of one trace are named in its row; the search knows all."""
_MOST_KEYS = 10_000
_MOST_KNOWN = 20_000
_LAST = 2**63 - 1

_SUMS = 'id, start, "end", spans, errors, root_service, root_name, root_start, services, weight, came'


class _Sums:
    """What is known of one trace, with what a batch adds."""

    def __init__(self, trace: int, found: Sequence[Any] | None) -> None:
        self.trace = trace
        self.is_new = found is None
        self.calls: set[tuple[int, int]] = set()
        self.tags: set[int] = set()
        if found is None:
            self.start, self.end, self.spans, self.errors = _LAST, 0, 0, 0
            self.root: tuple[int, int, int | None] = (0, 0, None)
            self.services: dict[str, int] = {}
            self.weight, self.came = 1.0, 0
        else:
            self.start, self.end, self.spans, self.errors = found[1:5]
            self.root = (found[5], found[6], found[7])
            self.services = json.loads(found[8])
            self.weight, self.came = found[9], found[10]

    def add(self, row: SpanRow, group: Group, service: int, name: int) -> None:
        self.start = min(self.start, row.start_ns)
        self.end = max(self.end, row.end_ns)
        self.calls.add((service, name))
        self.calls.add((service, 0))
        self.tags.update(row.tags)
        self.tags.update(group.tags)
        if row.is_root and (self.root[2] is None or row.start_ns < self.root[2]):
            self.root = (service, name, row.start_ns)
            self.weight = row.entry.weight if row.entry is not None else 1.0

    def count(self, service: str) -> None:
        self.spans += 1
        seen = self.services.get(service, 0)
        if seen or len(self.services) < MOST_SERVICES:
            self.services[service] = seen + 1

    def row(self, trace_id: bytes, now_ns: int) -> tuple[Any, ...]:
        low = signed(int.from_bytes(trace_id[8:], "big"))
        took = self.end - self.start
        counts = (self.spans, self.errors, *self.root, json.dumps(self.services), self.weight)
        return (self.trace, trace_id, low, self.start, self.end, took, *counts, self.came or now_ns, now_ns)


class _Numbers:
    """The numbers of the rows of a table of things that are kept once, by what they are.

    Args:
        table: `names`, `scopes` or `resources`.
    """

    def __init__(self, connection: sqlite3.Connection, table: str) -> None:
        self._sql = connection
        self._table = table
        self._known: dict[str | bytes, int] = {}
        self._used: dict[int, int] = {}

    def of(self, value: str | bytes, trace: int, *more: str) -> int:
        """Return the number of a thing that a trace uses; it is written where it is not there."""
        found = self._known.get(value)
        if found is None:
            found = self._known[value] = self._write(value, trace, more)
        if self._used.get(found, 0) < trace:
            self._used[found] = trace
        return found

    def _write(self, value: str | bytes, trace: int, more: Sequence[str]) -> int:
        # The table's name is this module's own.
        row = self._sql.execute(f"SELECT id FROM {self._table} WHERE data = ?", (value,)).fetchone()  # noqa: S608
        if row is not None:
            return int(row[0])
        marks = ", ?" * len(more)
        text = f"INSERT INTO {self._table} VALUES (NULL, ?{marks}, ?)"  # noqa: S608
        number = self._sql.execute(text, (value, *more, trace)).lastrowid
        return int(number or 0)

    def write_uses(self) -> None:
        """Write which trace was the last that used each; to be called before the transaction ends."""
        text = f"UPDATE {self._table} SET last = ? WHERE id = ? AND last < ?"  # noqa: S608
        self._sql.executemany(text, [(trace, number, trace) for number, trace in self._used.items()])
        self._used.clear()
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()

    def forget(self) -> None:
        self._known.clear()
        self._used.clear()


class Writing:
    """Writes batches; it remembers the numbers of resources, scopes and names.

    Args:
        connection: the only one that writes.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection
        self._names, self._scopes, self._resources = (
            _Numbers(connection, table) for table in ("names", "scopes", "resources")
        )
        # No number is given twice while tags of the one who had it before are there.
        (trace,) = connection.execute("SELECT max(id) FROM traces").fetchone()
        (part,) = connection.execute("SELECT max(part) FROM parts").fetchone()
        self._last = max(trace or 0, 0 if part is None else part * PART + PART - 1)
        self._keys: set[str] = {key for (key,) in connection.execute("SELECT key FROM tag_keys")}

    def write(self, batches: Sequence[ResourceSpans], logs: Sequence[ResourceLogs], now_ns: int) -> int:
        """Write what arrived, in the transaction that is open, and return the number of spans that are new."""
        keys = set[str]()
        sums: dict[bytes, _Sums] = {}
        spans: dict[tuple[int, ...], tuple[Any, ...]] = {}
        entries: dict[tuple[int, ...], tuple[Any, ...]] = {}
        new = 0
        for group in groups(batches):
            keys.update(group.origin.attributes)
            for span in group.spans:
                row = span_row(span, group, keys)
                one = sums.get(row.trace_id)
                if one is None:
                    one = sums[row.trace_id] = self._sums(row.trace_id)
                service, name = self._names.of(group.service, one.trace), self._names.of(row.name, one.trace)
                key = (one.trace, row.span_id, service, name, row.kind)
                before = self._failed(one, key, spans)
                if before is None:
                    new += 1
                    one.count(group.service)
                one.errors += row.failed - (before or 0)
                one.add(row, group, service, name)
                origin = self._resources.of(group.resource, one.trace, group.service)
                spans[key] = (*key, row.failed, origin, self._scopes.of(group.scope, one.trace), row.data)
                if row.entry is not None:
                    operation = self._names.of(row.entry.operation, one.trace)
                    times = (row.start_ns, row.end_ns - row.start_ns, row.failed, row.entry.weight)
                    entries[key] = (*key, operation, *times)
        self._insert("REPLACE", "spans", spans.values())
        self._insert("REPLACE", "entries", entries.values())
        # In the order of the tables, whose pages are then each written once.
        self._insert("IGNORE", "calls", sorted((*call, one.trace) for one in sums.values() for call in one.calls))
        tags = sorted((one.trace // PART, tag, one.trace) for one in sums.values() for tag in one.tags)
        self._insert("IGNORE", "tags", tags)
        self._insert("IGNORE", "parts", [(part,) for part in {one.trace // PART for one in sums.values()}])
        self._insert("REPLACE", "traces", [one.row(trace_id, now_ns) for trace_id, one in sums.items()])
        for numbers in (self._names, self._scopes, self._resources):
            numbers.write_uses()
        self._add_keys(keys)
        if logs:
            self._logs(logs, now_ns)
        return new

    def forget(self) -> None:
        """Read all numbers anew: rows that they belong to may be gone."""
        for numbers in (self._names, self._scopes, self._resources):
            numbers.forget()
        self._keys = {key for (key,) in self._sql.execute("SELECT key FROM tag_keys")}

    def _sums(self, trace_id: bytes) -> _Sums:
        found = self._sql.execute(f"SELECT {_SUMS} FROM traces WHERE trace_id = ?", (trace_id,)).fetchone()  # noqa: S608
        if found is not None:
            return _Sums(found[0], found)
        self._last += 1
        return _Sums(self._last, None)

    def _failed(self, one: _Sums, key: tuple[int, ...], spans: Mapping[tuple[int, ...], tuple[Any, ...]]) -> int | None:
        """Return whether the same span, sent before, has failed; None when it was not sent."""
        if key in spans:
            return int(spans[key][5])
        if one.is_new:
            return None
        where = "trace = ? AND span_id = ? AND service = ? AND name = ? AND kind = ?"
        found = self._sql.execute(f"SELECT failed FROM spans WHERE {where}", key).fetchone()  # noqa: S608
        return None if found is None else int(found[0])

    def _insert(self, otherwise: str, table: str, rows: Collection[Sequence[Any]]) -> None:
        if rows:
            marks = ", ".join("?" * len(next(iter(rows))))
            # The table's name is this module's own.
            self._sql.executemany(f"INSERT OR {otherwise} INTO {table} VALUES ({marks})", rows)  # noqa: S608

    def _add_keys(self, keys: set[str]) -> None:
        fresh = sorted(keys - self._keys)[: max(0, _MOST_KEYS - len(self._keys))]
        self._insert("IGNORE", "tag_keys", [(cleaned(key),) for key in fresh])
        self._keys.update(fresh)

    def _logs(self, batches: Iterable[ResourceLogs], now_ns: int) -> None:
        values = []
        for batch in batches:
            service = cleaned(Resource(attributes(batch.resource.attributes)).service)
            for group in batch.scope_logs:
                for record in group.log_records:
                    if record.trace_id.strip(b"\0"):
                        trace_id = record.trace_id.rjust(16, b"\0")[-16:]
                        span_id = signed(int.from_bytes(record.span_id[-8:], "big"))
                        at = min(record.time_unix_nano or record.observed_time_unix_nano, _LAST)
                        data = record.SerializeToString(deterministic=True)
                        values.append((None, trace_id, span_id, at, service, data, hash64(data), now_ns))
        self._insert("IGNORE", "logs", values)
