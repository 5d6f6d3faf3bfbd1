"""A query as SQL. Pure: text and values, which are never written into the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ot_bridge.traces.store.query import Order, Query
from ot_bridge.traces.store.rows import tag_hash

__all__ = ["ORDERS", "Condition", "conditions", "plain"]

ORDERS: Mapping[Order, str] = {
    "newest": "start DESC",
    "longest": "duration DESC",
    "most spans": "spans DESC",
    "most errors": "errors DESC, start DESC",
}

_SERVICE = "(SELECT id FROM names WHERE text = ?)"


class Condition(NamedTuple):
    """A condition on a trace that other tables answer, in two ways.

    Attributes:
        members: selects the traces for which it holds; good where they are few.
        holds: an expression on one trace; good where they are many.
        values: for the placeholders of `members`, and so of `holds`.
    """

    members: str
    holds: str
    values: Sequence[int | str]


def conditions(query: Query) -> list[Condition]:
    """Return what a query asks of other tables than `traces`."""
    found = list[Condition]()
    if query.service and query.operation:
        call = f"FROM calls WHERE service = {_SERVICE} AND name = {_SERVICE}"
        found.append(_condition(call, query.service, query.operation))
    elif query.service:
        found.append(_condition(f"FROM calls WHERE service = {_SERVICE} AND name = 0", query.service))
    elif query.operation:
        found.append(_condition(f"FROM calls WHERE name = {_SERVICE}", query.operation))
    found += [_condition("FROM tags WHERE hash = ?", tag_hash(key, value)) for key, value in query.tags]
    if query.text:
        like = r"(SELECT id FROM names WHERE text LIKE ? ESCAPE '\')"
        pattern = "%" + "".join(f"\\{one}" if one in "\\%_" else one for one in query.text) + "%"
        rows = ("SELECT trace FROM calls WHERE name IN ", "SELECT trace FROM calls WHERE service IN ")
        named = " UNION ".join(one + like for one in rows)
        found.append(Condition(named, f"traces.id IN ({named})", (pattern, pattern)))
    return found


def _condition(rows: str, *values: int | str) -> Condition:
    return Condition(f"SELECT trace {rows}", f"EXISTS (SELECT 1 {rows} AND trace = traces.id)", values)


def plain(query: Query) -> tuple[list[str], list[int | str]]:
    """Return what a query asks of the table `traces` itself: expressions and their values."""
    words, values = list[str](), list[int | str]()
    for word, value in (
        ("duration >= ?", query.min_ns),
        ("duration <= ?", query.max_ns),
        ("start >= ?", query.from_ns),
        ("start < ?", query.to_ns),
    ):
        if value is not None:
            words.append(word)
            values.append(max(-(2**63), min(value, 2**63 - 1)))
    if query.errors is not None:
        words.append("errors > 0" if query.errors else "errors = 0")
    return words, values
