"""The tables, their version, and the way from an older version to this one.

A span is a row that holds OTLP's message as it came, beside the columns that a search or a sum reads. What a search
asks of a trace stands in tables of a row for each trace and thing, not for each span: a list over a million spans reads
none of them. A row of `calls` whose name is 0 stands for any name.

Traces are numbered as they come and deleted in that order. So `last`, the highest trace that used a row, tells when a
name, scope or resource is not needed any more, and the tags of `PART` traces at a time are written side by side and
deleted at once. Numbers are SQLite's 64-bit signed ones: ids are stored as such, times end at 2^63 - 1.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ot_bridge.traces.store.errors import StoreError

__all__ = ["PART", "VERSION", "check", "migrate"]

PART = 1024
"""How many traces a part of the table `tags` has; a part is a trace's number divided by it."""

_APPLICATION = 0x6F74_6272
"""Marks a file as ours (https://www.sqlite.org/pragma.html#pragma_application_id): "otbr"."""

_FIRST = """
CREATE TABLE resources (
    id INTEGER PRIMARY KEY, data BLOB NOT NULL UNIQUE, service TEXT NOT NULL, last INTEGER NOT NULL
);
CREATE TABLE scopes (id INTEGER PRIMARY KEY, data BLOB NOT NULL UNIQUE, last INTEGER NOT NULL);
CREATE TABLE names (id INTEGER PRIMARY KEY, data TEXT NOT NULL UNIQUE, last INTEGER NOT NULL);
CREATE TABLE traces (
    id INTEGER PRIMARY KEY,
    trace_id BLOB NOT NULL UNIQUE,
    low INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    spans INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    root_service INTEGER NOT NULL,
    root_name INTEGER NOT NULL,
    root_start INTEGER,
    services TEXT NOT NULL,
    weight REAL NOT NULL,
    came INTEGER NOT NULL,
    received INTEGER NOT NULL
);
CREATE INDEX traces_low ON traces (low);
CREATE INDEX traces_start ON traces (start);
CREATE INDEX traces_duration ON traces (duration);
CREATE INDEX traces_spans ON traces (spans);
CREATE INDEX traces_errors ON traces (errors, start);
CREATE TABLE spans (
    trace INTEGER NOT NULL,
    span_id INTEGER NOT NULL,
    service INTEGER NOT NULL,
    name INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    resource INTEGER NOT NULL,
    scope INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (trace, span_id, service, name, kind)
) WITHOUT ROWID;
CREATE TABLE entries (
    trace INTEGER NOT NULL,
    span_id INTEGER NOT NULL,
    service INTEGER NOT NULL,
    name INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    operation INTEGER NOT NULL,
    start INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    weight REAL NOT NULL,
    PRIMARY KEY (trace, span_id, service, name, kind)
) WITHOUT ROWID;
CREATE INDEX entries_start ON entries (start, service, operation, duration, failed, weight);
CREATE TABLE calls (
    service INTEGER NOT NULL, name INTEGER NOT NULL, trace INTEGER NOT NULL, PRIMARY KEY (service, name, trace)
) WITHOUT ROWID;
CREATE INDEX calls_name ON calls (name, trace);
CREATE TABLE tags (
    part INTEGER NOT NULL, hash INTEGER NOT NULL, trace INTEGER NOT NULL, PRIMARY KEY (part, hash, trace)
) WITHOUT ROWID;
CREATE TABLE parts (part INTEGER PRIMARY KEY);
CREATE TABLE tag_keys (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE logs (
    id INTEGER PRIMARY KEY, trace_id BLOB NOT NULL, span_id INTEGER NOT NULL, time INTEGER NOT NULL,
    service TEXT NOT NULL, data BLOB NOT NULL, hash INTEGER NOT NULL, received INTEGER NOT NULL,
    UNIQUE (trace_id, hash)
);
CREATE TABLE counts (what TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
"""

_MIGRATIONS: Sequence[str] = (_FIRST,)
"""The statements that lead from version `index` to `index + 1`."""

VERSION = len(_MIGRATIONS)


def check(connection: sqlite3.Connection, place: str) -> int:
    """Return the version of a database's schema, 0 for an empty one. Changes nothing.

    Raises:
        StoreError: it is another program's, or was made by a newer version.
    """
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != _APPLICATION and (found or application or tables):
        raise StoreError(
            f"cannot keep spans in {place}: it is the database of another program; name another file with --db"
        )
    if found > VERSION:
        raise StoreError(
            f"cannot read {place}: its schema has version {found}, this ot-bridge knows {VERSION}; "
            "use a newer ot-bridge, or another file with --db"
        )
    return int(found)


def migrate(connection: sqlite3.Connection, place: str, *, migrations: Sequence[str] = _MIGRATIONS) -> None:
    """Bring a database to this version, each step whole or not at all."""
    for version in range(check(connection, place), len(migrations)):
        mark = f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {version + 1};"
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {migrations[version]} {mark} COMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
