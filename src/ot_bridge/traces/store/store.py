"""Traces in one SQLite file: one connection writes, each reader has another.

Write-ahead log with `synchronous=NORMAL`: a process that is killed loses what was not committed, a machine that loses
its power loses the last commits, and neither leaves a broken file (https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from ot_bridge.traces.analyse.entry import Entry
from ot_bridge.traces.model import Kind
from ot_bridge.traces.otlp import spans as read_spans
from ot_bridge.traces.store.connections import Readers, claim, connect_to_write, said
from ot_bridge.traces.store.errors import StoreError
from ot_bridge.traces.store.query import Found, Point, Query, Stats
from ot_bridge.traces.store.reading import ids_of, joined, kept_logs, kept_spans
from ot_bridge.traces.store.retaining import Retained, held_spans, retain
from ot_bridge.traces.store.retention import Retention
from ot_bridge.traces.store.rows import cleaned
from ot_bridge.traces.store.searching import clamped, points, search
from ot_bridge.traces.store.writing import Writing
from ot_bridge.traces.tree import Trace

__all__ = ["Store"]

_KINDS: Sequence[Kind] = ("unspecified", "internal", "server", "client", "producer", "consumer")
_COUNT = "INSERT INTO counts VALUES (?, ?) ON CONFLICT DO UPDATE SET number = number + excluded.number"


class _Sink:
    """The one connection that writes, and the claim to be the only one."""

    def __init__(self, path: Path) -> None:
        with contextlib.ExitStack() as undo:
            self.claim = claim(path)
            undo.callback(self.claim.close)
            self.sql = connect_to_write(path)
            undo.callback(self.sql.close)
            self.writing = Writing(self.sql)
            undo.pop_all()

    def close(self) -> None:
        self.sql.close()
        self.claim.close()


class Store:
    """The spans that were received. Read from any thread; written by one at a time. Made by `open`."""

    def __init__(self, path: Path, retention: Retention, sink: _Sink | None) -> None:
        self.path = path
        self.retention = retention
        self._sink = sink
        self._readers = Readers(path)
        self._lock = threading.Lock()
        self._closed = False

    @classmethod
    def open(cls, path: Path, *, retention: Retention | None = None) -> Store:
        """Open a database for writing, and make it where there is none.

        Raises:
            StoreError: it is no database of ours, of a newer version, in use by another writer, or cannot be made.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot make the directory {path.parent}: {error.strerror}; name another file with --db"
            ) from error
        with said(path):
            return cls(path, retention or Retention(), _Sink(path))

    @classmethod
    def open_read_only(cls, path: Path) -> Store:
        """Open a database that is there, beside a writer or without one.

        Raises:
            StoreError: it is not there, no database of ours, or of another version.
        """
        if not path.exists():
            raise StoreError(f"there is no database {path}: start `ot-bridge view`, or name another one with --db")
        found = cls(path, Retention(), None)
        found.version()
        return found

    def close(self) -> None:
        """Close all connections; nothing can be asked any more."""
        self._readers.close()
        with self._lock:
            if not self._closed and self._sink is not None:
                self._sink.close()
            self._closed = True

    def write(
        self, batches: Sequence[ResourceSpans], logs: Sequence[ResourceLogs] = (), *, now_ns: int | None = None
    ) -> None:
        """Write what arrived in one transaction, and delete at least as much of what is then too much.

        Raises:
            StoreError: it cannot be written; nothing of it is.
        """
        now_ns = time.time_ns() if now_ns is None else now_ns
        with self._writing() as sink:
            sink.sql.execute("BEGIN IMMEDIATE")
            try:
                new = sink.writing.write(batches, logs, now_ns)
                sink.sql.executemany(_COUNT, [("spans", new), ("writes", 1)])
                sink.sql.execute("COMMIT")
            except BaseException:
                # SQLite itself has taken it back where the disk was full.
                if sink.sql.in_transaction:
                    sink.sql.execute("ROLLBACK")
                sink.writing.forget()
                raise
            deleted, done = 0, self._retain(sink, now_ns)
            while done.spans and (deleted := deleted + done.spans) < new:
                done = self._retain(sink, now_ns)

    def tidy(self, *, now_ns: int | None = None) -> bool:
        """Delete one step of what is too much, and return whether there may be more."""
        with self._writing() as sink:
            return self._retain(sink, time.time_ns() if now_ns is None else now_ns).more

    def _retain(self, sink: _Sink, now_ns: int) -> Retained:
        done = retain(sink.sql, self.retention, now_ns)
        if done.renumbered:
            sink.writing.forget()
        return done

    @contextlib.contextmanager
    def _writing(self) -> Iterator[_Sink]:
        with self._lock, said(self.path):
            if self._sink is None or self._closed:
                raise StoreError(f"cannot write to {self.path}: it is {'closed' if self._closed else 'only read here'}")
            yield self._sink

    @contextlib.contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that sees one state of the database, for questions that belong together."""
        with self._readers.one() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def trace(self, trace_id: int) -> Trace | None:
        """Return a trace with its logs, None when there is none.

        A hop that knows 64 bits cuts an id in two: traces with the same low 64 bits, one of them with nothing above,
        are one where they overlap in time. Each of both ids finds it.
        """
        with self._snapshot() as connection:
            ids = joined(connection, trace_id)
            batches, logs = list(kept_spans(connection, ids)), kept_logs(connection, ids)
        return Trace(read_spans(batches), logs) if ids else None

    def raw(self, trace_id: int) -> list[ResourceSpans]:
        """Return a trace's spans as they came, grouped by resource and scope; empty when there is none."""
        with self._snapshot() as connection:
            return list(kept_spans(connection, joined(connection, trace_id)))

    def ids(self, prefix: str, limit: int = 20) -> list[int]:
        """Return the ids of traces that begin with these hex digits, whole or without what stands above 64 bits."""
        with self._readers.one() as connection:
            return ids_of(connection, prefix, limit)

    def search(self, query: Query) -> Found:
        """Return the traces that match, and how many there are; see `Found` for how far it goes."""
        with self._snapshot() as connection:
            return search(connection, query)

    def scatter(self, query: Query, limit: int = 2000) -> list[Point]:
        """Return the first of the traces that match, by the query's order, as points."""
        with self._snapshot() as connection:
            return points(connection, query, limit)

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

        A span is one by its kind, or because it names no parent: unlike `analyse.entry.is_entry` this does not see that
        the parent is of another service, so that a span inside which a service begins without saying so is missing.
        """
        words, values = ["1"], list[int | str]()
        if service:
            words.append("e.service = (SELECT id FROM names WHERE data = ?)")
            values.append(cleaned(service))
        for word, value in (("e.start >= ?", from_ns), ("e.start < ?", to_ns)):
            if value is not None:
                words.append(word)
                values.append(clamped(value))
        text = (
            "SELECT t.trace_id, s.data, o.data, e.kind, e.start, e.duration, e.failed, max(e.weight, t.weight) "  # noqa: S608
            "FROM entries e JOIN traces t ON t.id = e.trace JOIN names s ON s.id = e.service "
            f"JOIN names o ON o.id = e.operation WHERE {' AND '.join(words)} ORDER BY e.start DESC LIMIT ?"
        )
        return [
            Entry(int.from_bytes(one, "big"), name, what, _kind(kind), start, took, bool(failed), weight)
            for one, name, what, kind, start, took, failed, weight in self._all(text, (*values, clamped(limit)))
        ]

    def services(self) -> list[str]:
        """Return the names of all services, sorted."""
        # Steps from one service to the next in the index, which holds a row for each trace.
        text = (
            "WITH RECURSIVE each(id) AS (SELECT min(service) FROM calls UNION ALL "
            "SELECT (SELECT min(service) FROM calls WHERE service > each.id) FROM each WHERE each.id IS NOT NULL) "
            "SELECT data FROM each JOIN names ON names.id = each.id ORDER BY data"
        )
        return [name for (name,) in self._all(text)]

    def operations(self, service: str) -> list[str]:
        """Return the names of a service's spans, sorted."""
        text = (
            "WITH RECURSIVE me(id) AS (SELECT id FROM names WHERE data = ?), each(id) AS ("
            "SELECT min(name) FROM calls, me WHERE service = me.id AND name > 0 UNION ALL "
            "SELECT (SELECT min(name) FROM calls, me WHERE service = me.id AND name > each.id) FROM each "
            "WHERE each.id IS NOT NULL) SELECT data FROM each JOIN names ON names.id = each.id ORDER BY data"
        )
        return [name for (name,) in self._all(text, (cleaned(service),))]

    def tag_keys(self) -> list[str]:
        """Return the keys of all attributes, sorted."""
        return [key for (key,) in self._all("SELECT key FROM tag_keys ORDER BY key")]

    def stats(self) -> Stats:
        """Return what is held."""
        with self._snapshot() as connection:
            spans = held_spans(connection)
            text = "SELECT count(*), (SELECT min(start) FROM traces), (SELECT max(start) FROM traces) FROM traces"
            traces, oldest, newest = connection.execute(text).fetchone()
            (logs,) = connection.execute("SELECT count(*) FROM logs").fetchone()
            deleted = connection.execute("SELECT number FROM counts WHERE what = 'deleted'").fetchone()
        return Stats(spans, traces, logs, self._bytes(), oldest, newest, deleted[0] if deleted else 0)

    def version(self) -> int:
        """Return a number that is another one when something was written or deleted, by whatever process."""
        rows = self._all("SELECT sum(number) FROM counts")
        return int(rows[0][0] or 0)

    def _bytes(self) -> int:
        found = 0
        for end in ("", "-wal"):
            with contextlib.suppress(OSError):
                found += self.path.with_name(self.path.name + end).stat().st_size
        return found

    def _all(self, text: str, values: Sequence[int | str] = ()) -> list[Any]:
        with self._readers.one() as connection:
            return connection.execute(text, values).fetchall()


def _kind(number: int) -> Kind:
    return _KINDS[number] if 0 <= number < len(_KINDS) else "unspecified"
