"""How a query is answered: by the shortest list of traces that one of its conditions gives, or by walking in order.

A condition that few traces fulfil gives the list of them, which is then filtered and sorted. Where each is fulfilled by
many, and all together too, the traces are walked in the order that was asked for until there are enough of them.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ot_bridge.traces.store.query import Found, Order, Point, Query, Summary
from ot_bridge.traces.store.rows import cleaned, tag_hash
from ot_bridge.traces.store.schema import PART

__all__ = ["clamped", "points", "search"]

_LIST_BUDGET_S, _COUNT_BUDGET_S = 2.0, 0.1
_STEPS = 1_000
_MOST_COUNTED = 10_000
# Up to so many traces are sorted; the sizes of lists are compared up to so many.
_FEW, _MANY = 3_000, 50_000
_LARGEST = 2**63 - 1

_ORDERS: Mapping[Order, tuple[str, str]] = {
    "newest": ("start", "start DESC, id DESC"),
    "longest": ("duration", "duration DESC, id DESC"),
    "most spans": ("spans", "spans DESC, id DESC"),
    "most errors": ("errors", "errors DESC, start DESC, id DESC"),
}
_NAMED = "(SELECT id FROM names WHERE data = ?)"
_LISTED = "(SELECT value FROM json_each(?))"
_COLUMNS = (
    "trace_id, coalesce((SELECT data FROM names WHERE names.id = root_service), ''), "
    "coalesce((SELECT data FROM names WHERE names.id = root_name), ''), "
    "start, duration, spans, errors, services, received"
)


class _Condition(NamedTuple):
    """A condition on a trace, in two ways; both have the same values.

    Attributes:
        members: selects the traces for which it holds.
        holds: an expression on one trace, `{trace}`.
    """

    members: str
    holds: str
    values: Sequence[int | str]


class _Plan(NamedTuple):
    where: str
    values: Sequence[int | str]


def search(connection: sqlite3.Connection, query: Query) -> Found:
    """Return the traces that match, and how many there are, both as far as the time goes."""
    rows = counted = None
    with _Budget(connection, _LIST_BUDGET_S):
        plan = _plan(connection, query)
        text = f"SELECT {_COLUMNS} FROM traces {plan.where} ORDER BY {_ORDERS[query.order][1]} LIMIT ? OFFSET ?"  # noqa: S608
        page = (clamped(max(0, query.limit)), clamped(max(0, query.offset)))
        rows = connection.execute(text, (*plan.values, *page)).fetchall()
    if rows is None:
        return Found((), 0, exact=False)
    traces = [_summary(row) for row in rows]
    with _Budget(connection, _COUNT_BUDGET_S):
        text = f"SELECT count(*) FROM (SELECT 1 FROM traces {plan.where} LIMIT {_MOST_COUNTED})"  # noqa: S608
        (counted,) = connection.execute(text, plan.values).fetchone()
    if counted is None:
        return Found(traces, max(0, query.offset) + len(traces) if traces else 0, exact=False)
    return Found(traces, counted, exact=counted < _MOST_COUNTED)


def points(connection: sqlite3.Connection, query: Query, limit: int) -> list[Point]:
    """Return the first of the traces that match, by their order, as points; none when it takes too long."""
    with _Budget(connection, _LIST_BUDGET_S):
        plan = _plan(connection, query)
        order = _ORDERS[query.order][1]
        text = f"SELECT trace_id, start, duration, errors FROM traces {plan.where} ORDER BY {order} LIMIT ?"  # noqa: S608
        rows = connection.execute(text, (*plan.values, clamped(max(0, limit)))).fetchall()
        return [Point(int.from_bytes(one, "big"), *rest) for one, *rest in rows]
    return []


def clamped(number: int) -> int:
    """Return the nearest number that SQLite has."""
    return max(-_LARGEST - 1, min(number, _LARGEST))


class _Budget:
    """Ends the block without an error when it takes longer than it may."""

    def __init__(self, connection: sqlite3.Connection, seconds: float) -> None:
        self._connection = connection
        self._seconds = seconds

    def __enter__(self) -> None:
        end = time.monotonic() + self._seconds
        self._connection.set_progress_handler(lambda: time.monotonic() > end, _STEPS)

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        self._connection.set_progress_handler(None, 0)
        return isinstance(error, sqlite3.OperationalError) and "interrupted" in str(error)


def _plan(connection: sqlite3.Connection, query: Query) -> _Plan:
    order = _ORDERS[query.order][0]
    words, values = list[str](), list[int | str]()
    for column, condition, value in _plain(query):
        # With a plus SQLite does not leave the order's index for this column's.
        words.append(f"{column if column == order else '+' + column} {condition}")
        values.append(value)
    others = _conditions(connection, query)
    lists = [*others, *_ranges(query, order)]
    sized = sorted((_size(connection, one), index) for index, one in enumerate(lists))
    if sized and (sized[0][0] <= _FEW or len(sized) > 1):
        ids = _common(connection, lists[sized[0][1]], others, query)
        if ids is not None:
            words, values = [f"id IN {_LISTED}"], [json.dumps(ids)]
            return _Plan(f"WHERE {words[0]}", values)
    for one in others:
        words.append(one.holds.format(trace="traces.id"))
        values += one.values
    return _Plan(f"WHERE {' AND '.join(words)}" if words else "", values)


def _size(connection: sqlite3.Connection, condition: _Condition) -> int:
    text = f"SELECT count(*) FROM (SELECT 1 FROM ({condition.members}) LIMIT {_MANY})"  # noqa: S608
    (found,) = connection.execute(text, condition.values).fetchone()
    return int(found)


def _common(
    connection: sqlite3.Connection, first: _Condition, conditions: Sequence[_Condition], query: Query
) -> list[int] | None:
    """Return the traces of a condition's list for which all others hold, None when they are many."""
    words, values = list[str](), list[int | str](first.values)
    for one in conditions:
        if one is not first:
            words.append(one.holds.format(trace="traces.id"))
            values += one.values
    for column, condition, value in _plain(query):
        words.append(f"+{column} {condition}")
        values.append(value)
    where = f"WHERE {' AND '.join(words)}" if words else ""
    text = f"SELECT id FROM ({first.members}) AS list CROSS JOIN traces ON id = list.trace {where} LIMIT {_MANY}"  # noqa: S608
    found = set[int]()
    for (trace,) in connection.execute(text, values):
        found.add(trace)
        if len(found) > _FEW:
            return None
    return list(found)


def _plain(query: Query) -> list[tuple[str, str, int]]:
    """Return what a query asks of the table `traces` itself: column, condition and value."""
    asked = (
        ("duration", ">= ?", query.min_ns),
        ("duration", "<= ?", query.max_ns),
        ("start", ">= ?", query.from_ns),
        ("start", "< ?", query.to_ns),
    )
    found = [(column, condition, clamped(value)) for column, condition, value in asked if value is not None]
    if query.errors is not None:
        found.append(("errors", "> ?" if query.errors else "= ?", 0))
    return found


def _ranges(query: Query, order: str) -> list[_Condition]:
    """Return the lists that the columns of `traces` give; the order's own is walked anyway."""
    found = list[_Condition]()
    for name in ("duration", "start", "errors"):
        asked = [(condition, value) for column, condition, value in _plain(query) if column == name]
        if asked and name != order and not (name == "errors" and not query.errors):
            where = " AND ".join(f"{name} {condition}" for condition, _ in asked)
            members = f"SELECT id AS trace FROM traces WHERE {where}"  # noqa: S608 - no value is in it
            found.append(_Condition(members, "1", [value for _, value in asked]))
    return found


def _conditions(connection: sqlite3.Connection, query: Query) -> list[_Condition]:
    """Return what a query asks of other tables than `traces`."""
    found = list[_Condition]()
    if query.service and query.operation:
        call = f"FROM calls WHERE service = {_NAMED} AND name = {_NAMED}"
        found.append(_call(call, cleaned(query.service), cleaned(query.operation)))
    elif query.service:
        found.append(_call(f"FROM calls WHERE service = {_NAMED} AND name = 0", cleaned(query.service)))
    elif query.operation:
        found.append(_call(f"FROM calls WHERE name = {_NAMED}", cleaned(query.operation)))
    for key, value in query.tags:
        members = "SELECT trace FROM parts CROSS JOIN tags ON tags.part = parts.part WHERE hash = ?"
        holds = f"EXISTS (SELECT 1 FROM tags WHERE part = {{trace}} / {PART} AND hash = ? AND trace = {{trace}})"  # noqa: S608
        found.append(_Condition(members, holds, (tag_hash(key, value),)))
    if query.text:
        text = "SELECT id FROM names WHERE contains(data, ?)"
        names = json.dumps([name for (name,) in connection.execute(text, (cleaned(query.text).casefold(),))])
        members = (
            f"SELECT trace FROM calls WHERE name IN {_LISTED} "  # noqa: S608 - no value is in it
            f"UNION ALL SELECT trace FROM calls WHERE service IN {_LISTED} AND name = 0"
        )
        some = f"SELECT 1 FROM spans WHERE trace = {{trace}} AND (name IN {_LISTED} OR service IN {_LISTED})"  # noqa: S608
        found.append(_Condition(members, f"EXISTS ({some})", (names, names)))
    return found


def _call(rows: str, *values: int | str) -> _Condition:
    return _Condition(f"SELECT trace {rows}", f"EXISTS (SELECT 1 {rows} AND trace = {{trace}})", values)


def _summary(row: Sequence[Any]) -> Summary:
    trace_id, service, name, start, took, spans, errors, services, received = row
    counts: Mapping[str, int] = json.loads(services)
    return Summary(int.from_bytes(trace_id, "big"), service, name, start, took, spans, errors, counts, received)
