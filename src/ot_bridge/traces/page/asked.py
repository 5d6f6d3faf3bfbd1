"""The search form's fields in an address, as a query to the store, and back. Pure.

What cannot be read is said, field by field, and does not narrow the search.
"""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args
from urllib.parse import urlencode

from ot_bridge.traces.picture.templates import trace_hex
from ot_bridge.traces.picture.view import time_ns
from ot_bridge.traces.store.query import Order, Query

__all__ = ["FIELDS", "LASTS", "ORDERS", "Asked"]

FIELDS = ("service", "operation", "tags", "q", "min", "max", "errors", "last", "from", "to", "order", "limit")
ORDERS: Sequence[Order] = get_args(Order)
LASTS: Mapping[str, int] = {"5 min": 300, "15 min": 900, "1 h": 3600, "6 h": 21_600, "24 h": 86_400, "7 d": 604_800}
_LONGEST = 500
LIMITS = (20, 50, 200)


@dataclass(frozen=True)
class Asked:
    """A search as it stands in the address.

    Attributes:
        fields: the text of each field of the form that is not empty.
        query: what they ask of the store.
        problems: what could not be read, by field.
        picks: the traces that were picked to be compared, `a` and `b`.
    """

    fields: Mapping[str, str]
    query: Query
    problems: Mapping[str, str]
    picks: Mapping[str, str]

    @classmethod
    def read(cls, asked: Mapping[str, str], now_ns: int) -> Asked:
        """Read an address."""
        fields = {name: text for name in FIELDS if (text := asked.get(name, "").strip()[:_LONGEST])}
        problems, parts = dict[str, str](), dict[str, Any]()
        for name, text in fields.items():
            part, read = _READERS[name]
            try:
                parts[part] = read(text)
            except ValueError as error:
                problems[name] = str(error)
        if parts.get("from_ns", 0) < 0:
            parts["from_ns"] += now_ns
        query = Query(**parts)
        skip = asked.get("skip", "")
        offset = int(skip) if skip.isdecimal() and len(skip) < 10 else 0
        picks = {side: asked[side][:32] for side in ("a", "b") if asked.get(side)}
        return cls(fields, replace(query, offset=offset), problems, picks)

    def address(self, **changes: str | None) -> str:
        """Write the address of this search with some fields changed, or without them where they are None."""
        pairs = {**self.fields, **self.picks}
        if self.query.offset:
            pairs["skip"] = str(self.query.offset)
        pairs |= {name: text for name, text in changes.items() if text}
        left = {name: text for name, text in pairs.items() if changes.get(name, text) is not None}
        return "/?" + urlencode(left) if left else "/"

    @property
    def uses_more(self) -> bool:
        """Whether a field is filled that is not in sight at first."""
        return any(name in self.fields for name in ("q", "max", "from", "to", "order", "limit"))

    @property
    def cleared(self) -> str:
        """The address of the search for everything; what was picked stays."""
        return self.address(skip=None, **dict.fromkeys(self.fields))

    def picked(self, side: str, trace_id: int) -> str:
        """Write the address with a trace picked, or put back where it is picked."""
        name = trace_hex(trace_id)
        return self.address(**{side: None if self.picks.get(side) == name else name})


def _tags(text: str) -> Sequence[tuple[str, str]]:
    try:
        parts = shlex.split(text)
    except ValueError:
        raise ValueError(f"got {text!r}, expected key=value, with quotes closed") from None
    pairs = [part.partition("=") for part in parts]
    for key, sign, _ in pairs:
        if not key or not sign:
            raise ValueError(f"got {key!r}, expected key=value")
    return tuple((key, value) for key, _, value in pairs)


def _duration(text: str) -> int:
    found = time_ns(text)
    if found is None:
        raise ValueError(f"got {text!r}, expected a duration such as 200ms or 1.5s")
    return found


def _moment(text: str) -> int:
    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.timezone.utc)
        return int(moment.timestamp()) * 1_000_000_000 + moment.microsecond * 1000
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"got {text!r}, expected a time such as 2026-01-31 12:00, in UTC") from None


def _choice(text: str, choices: Mapping[str, Any]) -> Any:
    if text not in choices:
        raise ValueError(f"got {text!r}, expected one of {_listed(choices)}")
    return choices[text]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


# Of each field the query's part, and how its text is read.
_READERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "service": ("service", str),
    "operation": ("operation", str),
    "q": ("text", str),
    "tags": ("tags", _tags),
    "min": ("min_ns", _duration),
    "max": ("max_ns", _duration),
    "errors": ("errors", lambda text: _choice(text, {"1": True, "0": False})),
    "last": ("from_ns", lambda text: -_choice(text, LASTS) * 1_000_000_000),
    "from": ("from_ns", _moment),
    "to": ("to_ns", _moment),
    "order": ("order", lambda text: _choice(text, {order: order for order in ORDERS})),
    "limit": ("limit", lambda text: _choice(text, {str(number): number for number in LIMITS})),
}
