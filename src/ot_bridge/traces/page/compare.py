"""Two traces or two groups of traces side by side, and the tags that the second has more often than the first."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ot_bridge.traces.fleet.compare import PathRow, compare
from ot_bridge.traces.fleet.tags import over_represented
from ot_bridge.traces.page.groups import Group, group
from ot_bridge.traces.page.site import site

__all__ = ["ROUTES"]

_SHOWN = 100


class _Bar(NamedTuple):
    """A contribution as a bar from the middle, in percent of half the width."""

    x: float
    width: float
    more: bool


def _compare(request: Request) -> Response:
    here = site(request)
    texts = [request.query_params.get(side, "").strip()[:2000] for side in ("a", "b")]
    rename_text = request.query_params.get("rename", "")[:2000]
    rename, problem = _renames(rename_text)
    groups: Sequence[Group] = [group(here.store, text) for text in texts if text]
    ready = len(groups) == 2 and all(one.traces for one in groups)
    found = compare(groups[0].traces, groups[1].traces, rename) if ready else None
    rows = found.rows if found else []
    largest = max((abs(row.contribution_ns) for row in rows), default=0) or 1
    return here.page(
        request,
        "compare.html",
        texts=texts,
        groups=groups,
        rename=rename_text,
        problem=problem,
        found=found,
        rows=rows[:_SHOWN],
        left=len(rows) - len(rows[:_SHOWN]),
        bar=lambda row: _bar(row, largest),
        tags=[
            over_represented(groups[this].traces, groups[1 - this].traces, word=name)
            for this, name in ((1, "B"), (0, "A"))
        ]
        if ready
        else [],
    )


def _renames(text: str) -> tuple[Mapping[str, str], str]:
    try:
        parts = [part.partition("=") for part in shlex.split(text)]
    except ValueError:
        return {}, f"got {text!r}, expected 'old name'='new name', with quotes closed"
    wrong = next((old for old, sign, new in parts if not (old and sign and new)), None)
    if wrong is not None:
        return {}, f"got {wrong!r}, expected old=new, with quotes around names that have spaces"
    return {old: new for old, _, new in parts}, ""


def _bar(row: PathRow, largest: int) -> _Bar:
    width = round(50 * abs(row.contribution_ns) / largest, 2)
    more = row.contribution_ns > 0
    return _Bar(50 if more else 50 - width, width, more)


ROUTES = (Route("/compare", _compare),)
