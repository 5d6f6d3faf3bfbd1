"""How the database is opened: to write, to read, and so that only one process writes."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from ot_bridge.traces.store.errors import StoreError
from ot_bridge.traces.store.schema import VERSION, check, migrate

__all__ = ["Readers", "claim", "connect_to_read", "connect_to_write", "said"]

_WRITER_CACHE_KIB, _READER_CACHE_KIB = 64 << 10, 16 << 10
_MAPPED_BYTES = 1 << 30
_LOG_PAGES, _LOG_BYTES = 4_000, 64 << 20
_BUSY_S = 5.0
_MOST_IDLE = 8


@contextlib.contextmanager
def said(path: Path) -> Iterator[None]:
    """Say what SQLite could not do, and with which file."""
    try:
        yield
    except sqlite3.Error as error:
        way_out = f"{'make room, or ' * ('full' in str(error))}name another file with --db"
        raise StoreError(f"cannot keep spans in {path}: {error}; {way_out}") from error


def claim(path: Path) -> sqlite3.Connection:
    """Be the only process that writes: a lock of SQLite's on a file beside it, which ends with the process.

    Raises:
        StoreError: another one writes.
    """
    lock = sqlite3.connect(
        path.with_name(path.name + "-lock"), timeout=0, isolation_level=None, check_same_thread=False
    )
    try:
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        lock.close()
        if "locked" not in str(error):
            raise
        raise StoreError(
            f"{path} is in use by another `ot-bridge view`: end that one, or name another file with --db"
        ) from error
    return lock


def connect_to_write(path: Path) -> sqlite3.Connection:
    """Open a database, make it where there is none, and bring it to this version."""
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        # Before anything is changed: it might be another program's.
        check(connection, str(path))
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        migrate(connection, str(path))
    except BaseException:
        connection.close()
        raise
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """Open a database that is there, of this version, beside a writer or without one."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        timeout=_BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
        connection.execute(f"PRAGMA mmap_size = {_MAPPED_BYTES}")
        connection.execute("PRAGMA query_only = 1")
        connection.create_function("contains", 2, _contains, deterministic=True)
        if (version := check(connection, str(path))) < VERSION:
            raise StoreError(
                f"cannot read {path}: its schema has version {version}, this ot-bridge reads {VERSION}; "
                "open it once with `ot-bridge view`"
            )
    except BaseException:
        connection.close()
        raise
    return connection


def _contains(text: str, part: str) -> bool:
    return part in text.casefold()


class Readers:
    """Connections to read with: as many as there are readers at one time, and each is used again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle = list[sqlite3.Connection]()
        self._lock = threading.Lock()
        self._closed = False

    @contextlib.contextmanager
    def one(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection to this thread.

        Raises:
            StoreError: they are closed, or the database cannot be read.
        """
        with self._lock:
            if self._closed:
                raise StoreError(f"cannot read {self._path}: it is closed")
            connection = self._idle.pop() if self._idle else None
        with said(self._path):
            connection = connection or connect_to_read(self._path)
            try:
                yield connection
            finally:
                with self._lock:
                    keep = not self._closed and len(self._idle) < _MOST_IDLE
                    if keep:
                        self._idle.append(connection)
                if not keep:
                    connection.close()

    def close(self) -> None:
        """Close them; those that are lent when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
