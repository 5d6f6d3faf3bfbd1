"""Tags that the slow or the failed traces have more often than the rest of what a search finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ot_bridge.traces.fleet.statistics import quantile
from ot_bridge.traces.fleet.tags import FAILURE_TAGS, Condition, over_represented
from ot_bridge.traces.page.asked import LASTS, Asked
from ot_bridge.traces.page.groups import described, read, selection
from ot_bridge.traces.page.site import site
from ot_bridge.traces.store.query import Summary
from ot_bridge.traces.words import duration

__all__ = ["ROUTES"]

_SLOW = 0.9


class _Picked(NamedTuple):
    """How the traces were told apart."""

    rows: Sequence[Summary]
    others: Sequence[Summary]
    words: str
    exclude: Sequence[Condition | str]


def _tags(request: Request) -> Response:
    here = site(request)
    found = selection(here.store, request.query_params)
    pick = "failed" if request.query_params.get("pick") == "failed" else "slow"
    over = request.query_params.get("over", "").strip()[:40]
    threshold = Asked.read({"min": over}, 0)
    picked = _failed(found.rows) if pick == "failed" else _slow(found.rows, threshold.query.min_ns)
    tags = over_represented(
        read(here.store, picked.rows),
        read(here.store, picked.others),
        exclude=[*picked.exclude, *_conditions(found.asked)],
        word=pick,
    )
    return here.page(
        request,
        "tags.html",
        asked=found.asked,
        found=found,
        described=described(found.asked.fields),
        pick=pick,
        over=over,
        problem=threshold.problems.get("min", ""),
        words=picked.words,
        tags=tags,
        services=here.store.services(),
        lasts=[(last, last) for last in LASTS],
    )


def _slow(rows: Sequence[Summary], least: int | None) -> _Picked:
    if least is None:
        least = round(quantile(sorted(row.duration_ns for row in rows), _SLOW))
    return _Picked(
        [row for row in rows if row.duration_ns >= least],
        [row for row in rows if row.duration_ns < least],
        f"took {duration(least)} or longer",
        (),
    )


def _failed(rows: Sequence[Summary]) -> _Picked:
    return _Picked(
        [row for row in rows if row.errors],
        [row for row in rows if not row.errors],
        "have a failed span",
        FAILURE_TAGS,
    )


def _conditions(asked: Asked) -> Sequence[Condition]:
    """Return what all the traces were searched by: it tells none of them apart."""
    service = [("service.name", asked.query.service)] if asked.query.service else []
    return [*service, *asked.query.tags]


ROUTES = (Route("/tags", _tags),)
