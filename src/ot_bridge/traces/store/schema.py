"""The tables, their version, and the way from an older version to this one.

A span is a row that holds OTLP's message as it came, beside the columns that a search or a sum reads. What a search
asks of a trace stands in tables of a row for each trace and thing, not for each span: a list over a million spans reads
none of them. A row of `calls` whose name is 0 stands for any name. The tags of a trace are also in its own row, so that
they can be deleted without an index by trace. Numbers are SQLite's 64-bit signed ones: ids are stored as such, times
end at 2^63 - 1.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ot_bridge.traces.store.errors import StoreError

__all__ = ["VERSION", "migrate"]

_FIRST = """
CREATE TABLE resources (id INTEGER PRIMARY KEY, data BLOB NOT NULL UNIQUE, service TEXT NOT NULL);
CREATE TABLE scopes (id INTEGER PRIMARY KEY, data BLOB NOT NULL UNIQUE);
CREATE TABLE names (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
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
    tags BLOB NOT NULL,
    received INTEGER NOT NULL
);
CREATE INDEX traces_low ON traces (low);
CREATE INDEX traces_start ON traces (start);
CREATE INDEX traces_duration ON traces (duration);
CREATE INDEX traces_spans ON traces (spans);
CREATE INDEX traces_errors ON traces (errors, start);
CREATE INDEX traces_received ON traces (received);
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
    operation INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    start INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    weight REAL NOT NULL,
    PRIMARY KEY (trace, span_id, service, operation, kind)
) WITHOUT ROWID;
CREATE INDEX entries_start ON entries (start, service, operation, kind, duration, failed, weight);
CREATE TABLE calls (
    service INTEGER NOT NULL, name INTEGER NOT NULL, trace INTEGER NOT NULL, PRIMARY KEY (service, name, trace)
) WITHOUT ROWID;
CREATE INDEX calls_name ON calls (name, trace);
CREATE TABLE tags (hash INTEGER NOT NULL, trace INTEGER NOT NULL, PRIMARY KEY (hash, trace)) WITHOUT ROWID;
CREATE TABLE tag_keys (key TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE logs (
    id INTEGER PRIMARY KEY, trace_id BLOB NOT NULL, span_id INTEGER NOT NULL, time INTEGER NOT NULL,
    service TEXT NOT NULL, data BLOB NOT NULL, received INTEGER NOT NULL, UNIQUE (trace_id, span_id, time, data)
);
CREATE TABLE counts (what TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
"""

_MIGRATIONS: Sequence[str] = (_FIRST,)
"""The statements that lead from version `index` to `index + 1`."""

VERSION = len(_MIGRATIONS)


def migrate(connection: sqlite3.Connection, place: str) -> None:
    """Bring a database to this version.

    Raises:
        StoreError: it was made by a newer version.
    """
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > VERSION:
        raise StoreError(
            f"cannot read {place}: its schema has version {found}, this ot-bridge knows {VERSION}; "
            "use a newer ot-bridge, or another file with --db"
        )
    for version in range(found, VERSION):
        steps = f"{_MIGRATIONS[version]} PRAGMA user_version = {version + 1};"
        connection.executescript(f"BEGIN IMMEDIATE; {steps} COMMIT;")
