"""Deletes what is too much: whole traces, those that came first, a little at each write so that nobody waits."""

from __future__ import annotations

import math
import sqlite3
from typing import NamedTuple

from ot_bridge.traces.store.retention import Retention
from ot_bridge.traces.store.schema import PART

__all__ = ["Retained", "held_spans", "retain", "used_bytes"]

_STEP_TRACES, _STEP_SPANS = 500, 5_000
_STEP_PAGES = 2_000
_LAST = 2**63 - 1
# Free pages are used by the next spans; only more of them than one in so many are given back to the disk.
_FREE_SHARE = 8
_FIRST_LOGS = "SELECT id, received FROM logs ORDER BY id LIMIT ?"
_DELETE_LOGS = f"DELETE FROM logs WHERE id IN (SELECT id FROM ({_FIRST_LOGS}) WHERE received < ?)"  # noqa: S608 - constant


class Retained(NamedTuple):
    """What a step did.

    Attributes:
        spans: that were deleted with their traces.
        more: whether there may be more to delete, or to give back to the disk, now.
        renumbered: whether names, scopes or resources were deleted, so that their numbers may be given to others.
    """

    spans: int
    more: bool
    renumbered: bool


def retain(connection: sqlite3.Connection, retention: Retention, now_ns: int) -> Retained:
    """Delete one step of what is too much, in a transaction of its own."""
    oldest = now_ns - int(retention.max_age_s * 1e9)
    held, used = held_spans(connection), used_bytes(connection)
    over_bytes = used - retention.max_bytes
    too_many = max(held - retention.max_spans, math.ceil(held * over_bytes / used) if over_bytes > 0 else 0)
    doomed, spans = list[tuple[int, bytes]](), 0
    horizon = oldest
    for trace, trace_id, count, came in connection.execute(
        "SELECT id, trace_id, spans, came FROM traces ORDER BY id LIMIT ?", (_STEP_TRACES,)
    ):
        if spans >= _STEP_SPANS or (came >= oldest and spans >= too_many):
            break
        doomed.append((trace, trace_id))
        spans += count
        horizon = max(horizon, came)
    # Log records whose trace never came go with the traces of their time.
    if over_bytes > 0 and not doomed:
        horizon = now_ns + 1
    first_log = connection.execute("SELECT received FROM logs ORDER BY id LIMIT 1").fetchone()
    logs = first_log is not None and first_log[0] < horizon
    if not doomed and not logs:
        return Retained(0, more=_give_back(connection), renumbered=False)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for trace, trace_id in doomed:
            _delete(connection, trace, trace_id)
        renumbered = bool(doomed) and _delete_unused(connection)
        if logs:
            connection.execute(_DELETE_LOGS, (_STEP_SPANS, horizon))
        connection.execute(
            "INSERT INTO counts VALUES ('deleted', ?) ON CONFLICT DO UPDATE SET number = number + excluded.number",
            (spans,),
        )
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    _give_back(connection)
    return Retained(spans, more=True, renumbered=renumbered)


def held_spans(connection: sqlite3.Connection) -> int:
    """Return how many spans are kept."""
    counts = dict(connection.execute("SELECT what, number FROM counts WHERE what IN ('spans', 'deleted')").fetchall())
    return int(counts.get("spans", 0) - counts.get("deleted", 0))


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the size of the database without the pages that are free for new spans."""
    used = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
    return used * _pragma(connection, "page_size")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _give_back(connection: sqlite3.Connection) -> bool:
    """Give some free pages back to the disk, and return whether there were enough of them."""
    free = _pragma(connection, "freelist_count")
    if free <= max(_STEP_PAGES, _pragma(connection, "page_count") // _FREE_SHARE):
        return False
    connection.execute(f"PRAGMA incremental_vacuum({_STEP_PAGES})").fetchall()
    return True


def _delete(connection: sqlite3.Connection, trace: int, trace_id: bytes) -> None:
    pairs = connection.execute("SELECT DISTINCT service, name FROM spans WHERE trace = ?", (trace,)).fetchall()
    calls = {(service, name, trace) for service, name in pairs} | {(service, 0, trace) for service, _ in pairs}
    connection.executemany("DELETE FROM calls WHERE service = ? AND name = ? AND trace = ?", calls)
    connection.execute("DELETE FROM entries WHERE trace = ?", (trace,))
    connection.execute("DELETE FROM spans WHERE trace = ?", (trace,))
    connection.execute("DELETE FROM logs WHERE trace_id = ?", (trace_id,))
    connection.execute("DELETE FROM traces WHERE id = ?", (trace,))


def _delete_unused(connection: sqlite3.Connection) -> bool:
    """Delete what only traces used that are gone, once for each part of them."""
    (first,) = connection.execute("SELECT min(id) FROM traces").fetchone()
    (part,) = connection.execute("SELECT min(part) FROM parts").fetchone()
    if part is None or (first is not None and (part + 1) * PART > first):
        return False
    connection.execute("DELETE FROM tags WHERE part = ?", (part,))
    connection.execute("DELETE FROM parts WHERE part = ?", (part,))
    gone = 0
    for table in ("names", "scopes", "resources"):
        # The tables' names are this module's own.
        gone += connection.execute(f"DELETE FROM {table} WHERE last < ?", (first or _LAST,)).rowcount  # noqa: S608
    return gone > 0
