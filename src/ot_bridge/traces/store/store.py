"""Traces in one SQLite file: one connection writes, each thread that reads has its own.

Write-ahead log with `synchronous=NORMAL`: a process that is killed loses what was not committed, a machine that loses
its power loses the last commits, and neither leaves a broken file (https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as OtlpLog
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from ot_bridge.traces.analyse.entry import Entry
from ot_bridge.traces.model import Kind, LogRecord
from ot_bridge.traces.otlp import logs as read_logs
from ot_bridge.traces.otlp import spans as read_spans
from ot_bridge.traces.store.errors import StoreError
from ot_bridge.traces.store.query import Found, Point, Query, Stats, Summary
from ot_bridge.traces.store.retaining import retain
from ot_bridge.traces.store.retention import Retention
from ot_bridge.traces.store.schema import VERSION, migrate
from ot_bridge.traces.store.searching import ORDERS, conditions, plain
from ot_bridge.traces.store.writing import Writing
from ot_bridge.traces.tree import Trace

__all__ = ["Store"]

_KINDS: Sequence[Kind] = ("unspecified", "internal", "server", "client", "producer", "consumer")
_CACHE_KIB = 64 << 10
_LOG_BYTES = 64 << 20
_BUSY_S = 5.0
# Up to so many traces a condition's own list is walked; beyond, traces are walked in order and each is asked.
_FEW = 3_000
_MOST_COUNTED = 10_000
_LIST_BUDGET_S, _COUNT_BUDGET_S = 2.0, 0.1
_STEPS = 2_000
_LOW = (1 << 64) - 1
_SUMMARY = (
    "SELECT trace_id, coalesce(s.text, ''), coalesce(n.text, ''), start, duration, spans, errors, services, received "
    "FROM traces LEFT JOIN names s ON s.id = root_service LEFT JOIN names n ON n.id = root_name "
)


class Store:
    """The spans that were received. Read from any thread; written by one at a time."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, retention: Retention, lock: sqlite3.Connection | None
    ) -> None:
        self.path = path
        self.retention = retention
        self._claim = lock
        self._writer = connection
        self._writing = None if lock is None else Writing(connection)
        self._write_lock = threading.Lock()
        self._readers = threading.local()
        self._all_readers = list[sqlite3.Connection]()
        self._lock = threading.Lock()
        self._closed = False

    @classmethod
    def open(cls, path: Path, *, retention: Retention | None = None) -> Store:
        """Open a database for writing, and make it where there is none.

        Raises:
            StoreError: it is no database, of a newer version, in use by another writer, or cannot be made.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot make the directory {path.parent}: {error.strerror}; choose one with --db"
            ) from error
        with _said(path), contextlib.ExitStack() as undo:
            lock = _claim(path)
            undo.callback(lock.close)
            connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
            undo.callback(connection.close)
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            connection.execute(f"PRAGMA busy_timeout = {int(_BUSY_S * 1000)}")
            migrate(connection, str(path))
            undo.pop_all()
        return cls(path, connection, retention or Retention(), lock)

    @classmethod
    def open_read_only(cls, path: Path) -> Store:
        """Open a database that is there, beside a writer or without one.

        Raises:
            StoreError: it is not there, no database, or of another version.
        """
        if not path.exists():
            raise StoreError(f"there is no database {path}: start `ot-bridge view`, or name another one with --db")
        with _said(path):
            connection = _reader(path)
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version != VERSION:
                connection.close()
                raise StoreError(
                    f"cannot read {path}: its schema has version {version}, this ot-bridge reads {VERSION}; "
                    + ("open it once with `ot-bridge view`" if version < VERSION else "use a newer ot-bridge")
                )
        return cls(path, connection, Retention(), None)

    def close(self) -> None:
        """Close all connections; nothing can be asked any more."""
        with self._write_lock, self._lock:
            if self._closed:
                return
            self._closed = True
            for connection in self._all_readers:
                connection.close()
            self._writer.close()
            if self._claim is not None:
                self._claim.close()

    def write(
        self, batches: Sequence[ResourceSpans], logs: Sequence[ResourceLogs] = (), *, now_ns: int | None = None
    ) -> None:
        """Write what arrived in one transaction, and delete what is too much by then."""
        now_ns = time.time_ns() if now_ns is None else now_ns
        with self._write_lock, _said(self.path):
            if self._writing is None or self._closed:
                raise StoreError(f"cannot write to {self.path}: it is {'closed' if self._closed else 'only read here'}")
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                new = self._writing.write(batches, logs, now_ns)
                add = "INSERT INTO counts VALUES (?, ?) ON CONFLICT DO UPDATE SET number = number + excluded.number"
                self._writer.executemany(add, [("spans", new), ("writes", 1)])
                self._writer.execute("COMMIT")
            except BaseException:
                self._writer.execute("ROLLBACK")
                self._writing.forget()
                raise
            if retain(self._writer, self.retention, now_ns):
                self._writing.forget()

    def trace(self, trace_id: int) -> Trace | None:
        """Return a trace with its logs, None when there is none.

        A hop that knows 64 bits cuts an id in two: traces with the same low 64 bits, one of them with nothing above,
        are one where they overlap in time. Each of both ids finds it.
        """
        ids = self._joined(trace_id)
        if not ids:
            return None
        spans = read_spans(self._raw(ids))
        return Trace(spans, self._logs(ids))

    def raw(self, trace_id: int) -> list[ResourceSpans]:
        """Return a trace's spans as they came, grouped by resource and scope; empty when there is none."""
        return list(self._raw(self._joined(trace_id)))

    def ids(self, prefix: str, limit: int = 20) -> list[int]:
        """Return the ids of traces that begin with these hex digits, whole or without what stands above 64 bits."""
        digits = prefix.strip().lower()
        if not digits or len(digits) > 32 or any(digit not in "0123456789abcdef" for digit in digits):
            return []
        first = bytes.fromhex(digits.ljust(32, "0")), bytes.fromhex(digits.ljust(32, "f"))
        rows = self._all("SELECT trace_id FROM traces WHERE trace_id BETWEEN ? AND ? LIMIT ?", (*first, limit))
        if len(digits) <= 16:
            low = [int(digits.ljust(16, fill), 16) for fill in "0f"]
            low = [number - (1 << 64) if number >> 63 else number for number in low]
            rows += self._all("SELECT trace_id FROM traces WHERE low BETWEEN ? AND ? LIMIT ?", (*low, limit))
        return list(dict.fromkeys(int.from_bytes(one, "big") for (one,) in rows))[:limit]

    def search(self, query: Query) -> Found:
        """Return the traces that match, and how many there are."""
        where, values = self._where(query)
        page = (max(0, query.limit), max(0, query.offset))
        text = f"{_SUMMARY}{where} ORDER BY {ORDERS[query.order]} LIMIT ? OFFSET ?"
        rows = self._within(_LIST_BUDGET_S, text, (*values, *page))
        if rows is None:
            return Found((), 0, exact=False)
        traces = [_summary(row) for row in rows]
        count = f"SELECT count(*) FROM (SELECT 1 FROM traces {where} LIMIT {_MOST_COUNTED})"  # noqa: S608 - no values in it
        counted = self._within(_COUNT_BUDGET_S, count, values)
        if counted is None:
            return Found(traces, query.offset + len(traces), exact=False)
        total = int(counted[0][0])
        return Found(traces, total, exact=total < _MOST_COUNTED)

    def scatter(self, query: Query, limit: int = 2000) -> list[Point]:
        """Return the newest of the traces that match as points."""
        where, values = self._where(query)
        text = f"SELECT trace_id, start, duration, errors FROM traces {where} ORDER BY start DESC LIMIT ?"  # noqa: S608
        rows = self._within(_LIST_BUDGET_S, text, (*values, limit)) or []
        return [Point(int.from_bytes(one, "big"), *rest) for one, *rest in rows]

    def traces(self, query: Query) -> Iterator[Trace]:
        """Yield the traces that match, each whole."""
        for summary in self.search(query).traces:
            if (found := self.trace(summary.trace_id)) is not None:
                yield found

    def entries(
        self,
        *,
        service: str = "",
        from_ns: int | None = None,
        to_ns: int | None = None,
        limit: int = 200_000,
    ) -> list[Entry]:
        """Return the requests that services were entered by, the newest first.

        A span is one by its kind, or because it names no parent.
        """
        words, values = ["1"], list[int | str]()
        if service:
            words.append("e.service = (SELECT id FROM names WHERE text = ?)")
            values.append(service)
        for word, value in (("e.start >= ?", from_ns), ("e.start < ?", to_ns)):
            if value is not None:
                words.append(word)
                values.append(value)
        text = (
            "SELECT t.trace_id, s.text, o.text, e.kind, e.start, e.duration, e.failed, max(e.weight, t.weight) "  # noqa: S608
            "FROM entries e JOIN traces t ON t.id = e.trace JOIN names s ON s.id = e.service "
            f"JOIN names o ON o.id = e.operation WHERE {' AND '.join(words)} ORDER BY e.start DESC LIMIT ?"
        )
        return [
            Entry(int.from_bytes(one, "big"), name, what, _kind(kind), start, took, bool(failed), weight)
            for one, name, what, kind, start, took, failed, weight in self._all(text, (*values, limit))
        ]

    def services(self) -> list[str]:
        """Return the names of all services, sorted."""
        # Steps from one service to the next in the index, which holds a row for each trace.
        text = (
            "WITH RECURSIVE each(id) AS (SELECT min(service) FROM calls UNION ALL "
            "SELECT (SELECT min(service) FROM calls WHERE service > each.id) FROM each WHERE each.id IS NOT NULL) "
            "SELECT text FROM each JOIN names ON names.id = each.id ORDER BY text"
        )
        return [name for (name,) in self._all(text)]

    def operations(self, service: str) -> list[str]:
        """Return the names of a service's spans, sorted."""
        text = (
            "WITH RECURSIVE me(id) AS (SELECT id FROM names WHERE text = ?), each(id) AS ("
            "SELECT min(name) FROM calls, me WHERE service = me.id AND name > 0 UNION ALL "
            "SELECT (SELECT min(name) FROM calls, me WHERE service = me.id AND name > each.id) FROM each "
            "WHERE each.id IS NOT NULL) SELECT text FROM each JOIN names ON names.id = each.id ORDER BY text"
        )
        return [name for (name,) in self._all(text, (service,))]

    def tag_keys(self) -> list[str]:
        """Return the keys of all attributes, sorted."""
        return [key for (key,) in self._all("SELECT key FROM tag_keys ORDER BY key")]

    def stats(self) -> Stats:
        """Return what is held."""
        counts = dict(self._all("SELECT what, number FROM counts"))
        ((traces, oldest, newest),) = self._all("SELECT count(*), min(start), max(start) FROM traces")
        ((logs,),) = self._all("SELECT count(*) FROM logs")
        size = sum(
            one.stat().st_size for one in (self.path, self.path.with_name(self.path.name + "-wal")) if one.exists()
        )
        deleted = counts.get("deleted", 0)
        return Stats(counts.get("spans", 0) - deleted, traces, logs, size, oldest, newest, deleted)

    def version(self) -> int:
        """Return a number that is another one when something was written, by whatever process."""
        rows = self._all("SELECT number FROM counts WHERE what = 'writes'")
        return int(rows[0][0]) if rows else 0

    def _joined(self, trace_id: int) -> list[int]:
        low = trace_id & _LOW
        low = low - (1 << 64) if low >> 63 else low
        rows = self._all('SELECT id, trace_id, start, "end" FROM traces WHERE low = ?', (low,))
        wanted = trace_id.to_bytes(16, "big") if 0 <= trace_id < 1 << 128 else b""
        one = next((row for row in rows if row[1] == wanted), None)
        if one is None:
            # Asked for by its 64 bits, or by 128 of which some service knew 64.
            short = [row for row in rows if not trace_id >> 64 or not row[1].startswith(bytes(8))]
            short = short if not trace_id >> 64 else [row for row in rows if row[1].startswith(bytes(8))]
            if len(short) != 1:
                return []
            one = short[0]
        cut = one[1].startswith(bytes(8))
        others = [
            row
            for row in rows
            if row[0] != one[0] and row[1].startswith(bytes(8)) != cut and row[2] <= one[3] and row[3] >= one[2]
        ]
        # With two whole traces for one cut id nobody can tell which one it belongs to.
        return [one[0]] + ([others[0][0]] if len(others) == 1 else [])

    def _raw(self, traces: Sequence[int]) -> Iterator[ResourceSpans]:
        marks = ", ".join("?" * len(traces))
        text = (
            "SELECT r.data, s.data, spans.data FROM spans JOIN resources r ON r.id = resource "  # noqa: S608
            f"JOIN scopes s ON s.id = scope WHERE trace IN ({marks})"
        )
        found: dict[bytes, dict[bytes, list[bytes]]] = {}
        for origin, scope, data in self._all(text, traces):
            found.setdefault(origin, {}).setdefault(scope, []).append(data)
        for origin, scopes in found.items():
            batch = ResourceSpans(resource=Resource.FromString(origin))
            for scope, datas in scopes.items():
                group = batch.scope_spans.add(scope=InstrumentationScope.FromString(scope))
                for data in datas:
                    group.spans.add().MergeFromString(data)
            yield batch

    def _logs(self, traces: Sequence[int]) -> list[LogRecord]:
        marks = ", ".join("?" * len(traces))
        text = f"SELECT service, data FROM logs WHERE trace_id IN (SELECT trace_id FROM traces WHERE id IN ({marks}))"  # noqa: S608
        found = list[LogRecord]()
        for service, data in self._all(text, traces):
            batch = ResourceLogs(scope_logs=[ScopeLogs(log_records=[OtlpLog.FromString(data)])])
            found += [log._replace(service=service) for log in read_logs([batch])]
        return found

    def _where(self, query: Query) -> tuple[str, list[int | str]]:
        words, values = plain(query)
        for condition in conditions(query):
            # `traces.id IN` is walked from its own list, which has no order: good while it is short.
            few = len(self._all(f"{condition.members} LIMIT {_FEW}", condition.values)) < _FEW
            words.append(f"traces.id IN ({condition.members})" if few else condition.holds)
            values += condition.values
        return (f"WHERE {' AND '.join(words)}" if words else ""), values

    def _all(self, text: str, values: Sequence[Any] = ()) -> list[Any]:
        with _said(self.path):
            return self._connection().execute(text, values).fetchall()

    def _within(self, budget_s: float, text: str, values: Sequence[Any]) -> list[Any] | None:
        """Ask, and return None when it takes longer than it may."""
        connection = self._connection()
        end = time.monotonic() + budget_s
        connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)
        try:
            return connection.execute(text, values).fetchall()
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                return None
            raise StoreError(f"cannot read {self.path}: {error}") from error
        finally:
            connection.set_progress_handler(None, 0)

    def _connection(self) -> sqlite3.Connection:
        found: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if found is None:
            with self._lock:
                if self._closed:
                    raise StoreError(f"cannot read {self.path}: it is closed")
                found = _reader(self.path)
                self._all_readers.append(found)
            self._readers.connection = found
        return found


def _reader(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
    )
    connection.execute(f"PRAGMA busy_timeout = {int(_BUSY_S * 1000)}")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    connection.execute("PRAGMA query_only = 1")
    return connection


def _claim(path: Path) -> sqlite3.Connection:
    """Be the only process that writes: a lock of SQLite's on a file beside it, which ends with the process."""
    lock = sqlite3.connect(
        path.with_name(path.name + "-lock"), timeout=0, isolation_level=None, check_same_thread=False
    )
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        raise StoreError(
            f"{path} is in use by another `ot-bridge view`: end that one, or name another file with --db"
        ) from error
    return lock


@contextlib.contextmanager
def _said(path: Path) -> Iterator[None]:
    """Say what SQLite could not do, and with which file."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"cannot use {path} as a database of spans: {error}; name another file with --db") from error


def _kind(number: int) -> Kind:
    return _KINDS[number] if 0 <= number < len(_KINDS) else "unspecified"


def _summary(row: Sequence[Any]) -> Summary:
    trace_id, service, name, start, took, spans, errors, services, received = row
    counts: Mapping[str, int] = json.loads(services)
    return Summary(int.from_bytes(trace_id, "big"), service, name, start, took, spans, errors, counts, received)
