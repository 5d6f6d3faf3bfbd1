"""Groups of traces as an address names them: a trace by its id, or whatever a search finds."""

from __future__ import annotations

import re
import time
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from urllib.parse import parse_qsl, urlencode

from ot_bridge.traces.page.asked import FIELDS, Asked
from ot_bridge.traces.page.kept import Kept
from ot_bridge.traces.picture.templates import trace_hex
from ot_bridge.traces.store.query import Summary
from ot_bridge.traces.tree import Trace

__all__ = [
    "MOST",
    "MOST_SPANS",
    "NARROWING",
    "Group",
    "Selection",
    "described",
    "group",
    "narrowing",
    "population",
    "read",
    "selection",
]

MOST = 1000
"""So many traces of a search are read, the first that it finds; the page says so."""
MOST_SPANS = 10_000
"""No more is read after so many spans, whose reading and counting takes half a second."""
NARROWING = ("service", "operation", "tags", "q", "min", "max", "errors", "last", "from", "to")
"""The fields that say which traces are meant; order and page do not."""

_ID = re.compile(r"[0-9a-fA-F]{1,32}")


@dataclass(frozen=True)
class Group:
    """A group of traces.

    Attributes:
        text: as it stands in the address.
        name: for people.
        address: of the page that shows it.
        traces: those that were read.
        total: how many there are.
        problem: why there are none; `""` when there are.
    """

    text: str
    name: str
    address: str
    traces: Sequence[Trace]
    total: int
    exact: bool = True
    problem: str = ""


def group(store: Kept, text: str) -> Group:
    """Read a group: a trace's id or its beginning, or the address of a search, or what stands in it behind the `?`."""
    text = text.strip()
    if _ID.fullmatch(text):
        return _of_one(store, text)
    if "/trace/" in text:
        return _of_one(store, re.split(r"[/?#]", text.partition("/trace/")[2])[0])
    found = selection(store, dict(parse_qsl(text.partition("?")[2] or text.lstrip("/"))))
    asked = found.asked
    problem = "; ".join(f"{name}: {one}" for name, one in asked.problems.items())
    if not found.rows:
        problem = problem or "no trace matches"
    return Group(
        text,
        f"traces{described(asked.fields)}" if asked.fields else "all traces",
        "/?" + urlencode(narrowing(asked.fields)),
        read(store, found.rows),
        found.total,
        found.exact,
        problem,
    )


def _of_one(store: Kept, text: str) -> Group:
    ids = store.ids(text.lower())
    exact = [one for one in ids if trace_hex(one) == text.lower()] or ids
    trace = store.trace(exact[0]) if len(exact) == 1 else None
    if trace is None or not len(trace):
        problem = f"several ids begin with {text}" if len(exact) > 1 else f"there is no trace {text[:40]}"
        return Group(text, f"trace {text[:16]}", "", (), 0, problem=problem)
    root, name = trace.spans[trace.root], trace_hex(trace.trace_id)
    return Group(text, f"{root.service} {root.name}", f"/trace/{name}", (trace,), 1)


@dataclass(frozen=True)
class Selection:
    """What a search finds, as rows.

    Attributes:
        rows: the first `MOST`, of them as many as have `MOST_SPANS` together, and one at least.
    """

    asked: Asked
    rows: Sequence[Summary]
    total: int
    exact: bool


def selection(store: Kept, asked: Mapping[str, str], most: int = MOST) -> Selection:
    """Search by the fields of an address."""
    search = Asked.read(asked, time.time_ns())
    found = store.search(replace(search.query, limit=most, offset=0))
    ends = list(accumulate(row.spans for row in found.traces))
    return Selection(search, found.traces[: max(1, bisect_right(ends, MOST_SPANS))], found.total, found.exact)


def read(store: Kept, rows: Iterable[Summary]) -> list[Trace]:
    """Read the traces of some rows; one that was removed in between is left out."""
    found = (store.trace(row.trace_id) for row in rows)
    return [trace for trace in found if trace is not None and len(trace)]


def population(store: Kept, asked: Mapping[str, str]) -> tuple[Selection, list[Trace]]:
    """Search, and read what was found."""
    found = selection(store, asked)
    return found, read(store, found.rows)


def narrowing(fields: Mapping[str, str]) -> Mapping[str, str]:
    """Keep the fields that say which traces are meant."""
    return {name: fields[name] for name in FIELDS if name in NARROWING and name in fields}


_WORDS: Mapping[str, str] = {
    "service": "of {}",
    "operation": "doing {}",
    "tags": "with {}",
    "q": "named like {}",
    "min": "of at least {}",
    "max": "of at most {}",
    "last": "begun in the last {}",
    "from": "from {}",
    "to": "until {}",
}


def described(fields: Mapping[str, str]) -> str:
    """Say a search in words that follow a noun: ` of web, with errors`; `""` for all."""
    parts = [_WORDS[name].format(text) for name, text in fields.items() if name in _WORDS]
    if "errors" in fields:
        parts.append("with errors" if fields["errors"] == "1" else "without errors")
    return "".join(f" {part}" if not place else f", {part}" for place, part in enumerate(parts))
