"""How a batch gets into the tables: all its rows are made first, then each table takes its own at once."""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from ot_bridge.traces.otlp import attributes
from ot_bridge.traces.store.rows import Group, SpanRow, groups, signed, span_row

__all__ = ["Writing"]

_MOST_NAMES = 100_000
_MOST_KEYS = 10_000
_LAST = 2**63 - 1

_SUMS = 'id, start, "end", spans, errors, root_service, root_name, root_start, services, weight, tags'


class _Sums:
    """What is known of one trace, with what a batch adds."""

    def __init__(self, trace: int, found: Sequence[Any] | None) -> None:
        self.trace = trace
        self.is_new = found is None
        self.calls: set[tuple[int, int]] = set()
        self.more_tags: set[int] = set()
        if found is None:
            self.start, self.end, self.spans, self.errors = _LAST, 0, 0, 0
            self.root: tuple[int, int, int | None] = (0, 0, None)
            self.services: dict[str, int] = {}
            self.weight, self.tags = 1.0, b""
        else:
            self.start, self.end, self.spans, self.errors = found[1:5]
            self.root = (found[5], found[6], found[7])
            self.services = json.loads(found[8])
            self.weight, self.tags = found[9], found[10]

    def add(self, row: SpanRow, group: Group, service: int, name: int) -> None:
        self.start = min(self.start, row.start_ns)
        self.end = max(self.end, row.end_ns)
        self.calls.add((service, name))
        self.calls.add((service, 0))
        self.more_tags.update(row.tags)
        self.more_tags.update(group.tags)
        if row.is_root and (self.root[2] is None or row.start_ns < self.root[2]):
            self.root = (service, name, row.start_ns)
            self.weight = row.entry.weight if row.entry is not None else 1.0

    def row(self, trace_id: bytes, now_ns: int) -> tuple[Any, ...]:
        tags = self.tags + array("q", self.more_tags).tobytes()
        low = signed(int.from_bytes(trace_id[8:], "big"))
        took = self.end - self.start
        counts = (self.spans, self.errors, *self.root, json.dumps(self.services), self.weight)
        return (self.trace, trace_id, low, self.start, self.end, took, *counts, tags, now_ns)


class Writing:
    """Writes batches; it remembers the numbers of resources, scopes and names.

    Args:
        connection: the only one that writes.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sql = connection
        self._resources: dict[bytes, int] = {}
        self._scopes: dict[bytes, int] = {}
        self._names: dict[str, int] = {}
        (self._last,) = connection.execute("SELECT coalesce(max(id), 0) FROM traces").fetchone()
        self._keys: set[str] = {key for (key,) in connection.execute("SELECT key FROM tag_keys")}

    def write(self, batches: Sequence[ResourceSpans], logs: Sequence[ResourceLogs], now_ns: int) -> int:
        """Write what arrived, in the transaction that is open, and return the number of spans that are new."""
        keys = set[str]()
        sums: dict[bytes, _Sums] = {}
        spans: dict[tuple[int, ...], tuple[Any, ...]] = {}
        entries = list[tuple[Any, ...]]()
        new = 0
        for group in groups(batches):
            keys.update(group.keys)
            service, origin, scope = self._name(group.service), self._resource(group), self._scope(group)
            for span in group.spans:
                row = span_row(span, group, keys)
                one = sums.get(row.trace_id)
                if one is None:
                    one = sums[row.trace_id] = self._sums(row.trace_id)
                name = self._name(row.name)
                key = (one.trace, row.span_id, service, name, row.kind)
                before = self._failed(one, key, spans)
                if before is None:
                    new += 1
                    one.spans += 1
                    one.services[group.service] = one.services.get(group.service, 0) + 1
                one.errors += row.failed - (before or 0)
                one.add(row, group, service, name)
                spans[key] = (*key, row.failed, origin, scope, row.data)
                if row.entry is not None:
                    operation = self._name(row.entry.operation)
                    times = (row.start_ns, row.end_ns - row.start_ns, row.failed, row.entry.weight)
                    entries.append((one.trace, row.span_id, service, operation, row.kind, *times))
        for one in sums.values():
            one.more_tags.difference_update(array("q", one.tags))
        self._insert("REPLACE", "spans", spans.values())
        self._insert("REPLACE", "entries", entries)
        # In the order of the tables, whose pages are then each written once.
        self._insert("IGNORE", "calls", sorted((*call, one.trace) for one in sums.values() for call in one.calls))
        self._insert("IGNORE", "tags", sorted((tag, one.trace) for one in sums.values() for tag in one.more_tags))
        self._insert("REPLACE", "traces", [one.row(trace_id, now_ns) for trace_id, one in sums.items()])
        self._add_keys(keys)
        if logs:
            self._logs(logs, now_ns)
        return new

    def forget(self) -> None:
        """Read all numbers anew: rows that they belong to may be gone."""
        self._resources.clear()
        self._scopes.clear()
        self._names.clear()
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
        self._insert("IGNORE", "tag_keys", [(key,) for key in fresh])
        self._keys.update(fresh)

    def _logs(self, batches: Iterable[ResourceLogs], now_ns: int) -> None:
        values = []
        for batch in batches:
            service = str(attributes(batch.resource.attributes).get("service.name") or "unknown")
            for group in batch.scope_logs:
                for record in group.log_records:
                    if record.trace_id.strip(b"\0"):
                        trace_id = record.trace_id.rjust(16, b"\0")[-16:]
                        span_id = signed(int.from_bytes(record.span_id[-8:], "big"))
                        at = min(record.time_unix_nano or record.observed_time_unix_nano, _LAST)
                        values.append((None, trace_id, span_id, at, service, record.SerializeToString(), now_ns))
        self._insert("IGNORE", "logs", values)

    def _name(self, name: str) -> int:
        return self._names.get(name) or self._number(self._names, "names", name, (name,))

    def _scope(self, group: Group) -> int:
        return self._scopes.get(group.scope) or self._number(self._scopes, "scopes", group.scope, (group.scope,))

    def _resource(self, group: Group) -> int:
        columns = (group.resource, group.service)
        return self._resources.get(group.resource) or self._number(
            self._resources, "resources", group.resource, columns
        )

    def _number(self, known: dict[Any, int], table: str, value: str | bytes, columns: Sequence[str | bytes]) -> int:
        """Return the number of a row of `names`, `scopes` or `resources`, which is made where it is not there."""
        self._insert("IGNORE", table, [(None, *columns)])
        column = "text" if table == "names" else "data"
        found = self._sql.execute(f"SELECT id FROM {table} WHERE {column} = ?", (value,)).fetchone()  # noqa: S608
        if len(known) >= _MOST_NAMES:
            known.clear()
        known[value] = int(found[0])
        return known[value]
