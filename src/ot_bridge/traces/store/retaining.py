"""Deletes what is too much, whole traces and the first that came first, a little at each write so that none waits."""

from __future__ import annotations

import sqlite3
from array import array

from ot_bridge.traces.store.retention import Retention

__all__ = ["retain"]

_STEP_TRACES, _STEP_SPANS = 500, 5_000
_STEP_PAGES = 2_000
# Free pages are used by the next spans; only more of them than one in so many are given back to the disk.
_FREE_SHARE = 8


def retain(connection: sqlite3.Connection, retention: Retention, now_ns: int) -> bool:
    """Delete one step of what is too much, and return whether anything was deleted."""
    over_spans, over_bytes = _spans(connection) - retention.max_spans, _bytes(connection) - retention.max_bytes
    oldest = now_ns - int(retention.max_age_s * 1e9)
    rows = connection.execute(
        "SELECT id, trace_id, spans, tags, received FROM traces ORDER BY received, id LIMIT ?", (_STEP_TRACES,)
    )
    doomed, spans = [], 0
    for trace, trace_id, count, tags, received in rows.fetchall():
        if spans >= _STEP_SPANS or not (received < oldest or spans < over_spans or over_bytes > 0):
            break
        doomed.append((trace, trace_id, tags))
        spans += count
    connection.execute("BEGIN IMMEDIATE")
    try:
        for trace, trace_id, tags in doomed:
            _delete(connection, trace, trace_id, tags)
        if doomed:
            connection.execute(
                "INSERT INTO counts VALUES ('deleted', ?) ON CONFLICT DO UPDATE SET number = number + excluded.number",
                (spans,),
            )
        # Log records whose trace never came have nobody else to delete them.
        few = 0 if doomed or over_bytes <= 0 else _STEP_SPANS
        gone = connection.execute(
            "DELETE FROM logs WHERE id IN (SELECT id FROM logs WHERE received < ? ORDER BY id LIMIT ?) "
            "OR id IN (SELECT id FROM logs ORDER BY id LIMIT ?)",
            (oldest, _STEP_SPANS, few),
        ).rowcount
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    _give_back(connection)
    return bool(doomed or gone)


def _spans(connection: sqlite3.Connection) -> int:
    counts = dict(connection.execute("SELECT what, number FROM counts").fetchall())
    return int(counts.get("spans", 0) - counts.get("deleted", 0))


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _bytes(connection: sqlite3.Connection) -> int:
    used = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
    return used * _pragma(connection, "page_size")


def _give_back(connection: sqlite3.Connection) -> None:
    free = _pragma(connection, "freelist_count")
    if free > _STEP_PAGES and free > _pragma(connection, "page_count") // _FREE_SHARE:
        connection.execute(f"PRAGMA incremental_vacuum({_STEP_PAGES})").fetchall()


def _delete(connection: sqlite3.Connection, trace: int, trace_id: bytes, tags: bytes) -> None:
    calls = connection.execute("SELECT DISTINCT service, name FROM spans WHERE trace = ?", (trace,)).fetchall()
    named = {(service, name, trace) for service, name in calls} | {(service, 0, trace) for service, _ in calls}
    connection.executemany("DELETE FROM calls WHERE service = ? AND name = ? AND trace = ?", named)
    connection.executemany("DELETE FROM tags WHERE hash = ? AND trace = ?", [(one, trace) for one in array("q", tags)])
    connection.execute("DELETE FROM entries WHERE trace = ?", (trace,))
    connection.execute("DELETE FROM spans WHERE trace = ?", (trace,))
    connection.execute("DELETE FROM logs WHERE trace_id = ?", (trace_id,))
    connection.execute("DELETE FROM traces WHERE id = ?", (trace,))
