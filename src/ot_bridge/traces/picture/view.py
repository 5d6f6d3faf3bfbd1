"""What a reader chose to see of a trace, all of which stands in the address (seeing.md 4.2). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

__all__ = ["View", "time_ns"]

_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ns|us|ms|s|min|m)?", re.ASCII)
_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "min": 60 * 10**9, None: 10**6}
_LISTS = ("open", "closed", "span", "shown")
_MOST = 200
_LONGEST = 200


def time_ns(text: str) -> int | None:
    """Read `12ms`, `1.5 s`, `2min`; milliseconds without a unit. None when it is no time."""
    found = _TIME.fullmatch(text.strip())
    if found is None or len(text) > 30:
        return None
    return round(float(found[1]) * _UNITS[found[2]])


@dataclass(frozen=True)
class View:
    """What is shown of a trace.

    Spans are named by their key in `Picture.keys`.

    Attributes:
        view: `all` or `summary`; `""`: a summary of a large trace, all of a small one.
        group: runs of equal siblings are one line.
        times: `raw`, or `aligned` when clocks that are off are put right.
        q: what is searched for.
        only: spans that do not match and are above none that does are left out.
        start: the picture begins here, nanoseconds after the trace; 0 with `end` 0 for all of it.
        end: and ends here.
        open: folded lines that were opened.
        closed: spans whose children were folded away.
        span: spans whose details are open, the one opened last at the end.
        shown: spans that a search or a link led to, so that they stay where a summary would hide them.
        at: the span that has the focus.
        row: the first line that is wanted, of those that there are.
    """

    view: str = ""
    group: bool = True
    times: str = "raw"
    q: str = ""
    only: bool = False
    start: int = 0
    end: int = 0
    open: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    span: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    at: str = ""
    row: int = 0

    @classmethod
    def read(cls, asked: Mapping[str, str]) -> View:
        """Read an address. What makes no sense there is left out: an old link still opens the trace."""
        start, end = time_ns(asked.get("from", "")) or 0, time_ns(asked.get("to", "")) or 0
        row = asked.get("row", "")
        return cls(
            view=asked.get("view", "") if asked.get("view") in ("all", "summary") else "",
            group=asked.get("group") != "0",
            times="aligned" if asked.get("times") == "aligned" else "raw",
            q=asked.get("q", "")[:_LONGEST],
            only=asked.get("only") == "1",
            start=start if end > start else 0,
            end=end if end > start else 0,
            at=asked.get("at", "")[:_LONGEST],
            row=int(row) if row.isdecimal() and len(row) < 9 else 0,
            **{name: _list(asked.get(name, "")) for name in _LISTS},
        )

    def query(self, **changes: Any) -> str:
        """Write the address of this view with some changes, from the `?` on."""
        other = replace(self, **changes)
        pairs = [
            ("view", other.view),
            ("group", "" if other.group else "0"),
            ("times", "aligned" if other.times == "aligned" else ""),
            ("q", other.q),
            ("only", "1" if other.only else ""),
            ("from", f"{other.start}ns" if other.end else ""),
            ("to", f"{other.end}ns" if other.end else ""),
            *((name, ",".join(getattr(other, name))) for name in _LISTS),
            ("at", other.at),
            ("row", str(other.row) if other.row else ""),
        ]
        # A lone "?" is an address too, and a link to it is one to the page itself.
        return "?" + urlencode([(name, value) for name, value in pairs if value], safe=",~")

    def toggled(self, name: str, key: str) -> str:
        """Write the address of this view with a key put into one of its lists, or taken out."""
        there: tuple[str, ...] = getattr(self, name)
        more = tuple(one for one in there if one != key) if key in there else (*there, key)[-_MOST:]
        return self.query(**{name: more, "at": key.lstrip("mr")})

    def hidden(self, *without: str) -> Sequence[tuple[str, str]]:
        """Return what a form has to carry so that nothing of the view is lost, but the fields it has itself."""
        return [(name, value) for name, value in parse_qsl(self.query()[1:]) if name not in without]


def _list(text: str) -> tuple[str, ...]:
    found = dict.fromkeys(part for part in text[: _MOST * 24].split(",") if 0 < len(part) <= 24)
    return tuple(found)[-_MOST:]
