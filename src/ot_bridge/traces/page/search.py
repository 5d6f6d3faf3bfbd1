"""The list of traces: what to search for, how long they took, which were picked to be compared, and what is new."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ot_bridge.traces.page.asked import LASTS, ORDERS, Asked
from ot_bridge.traces.page.site import Site, site
from ot_bridge.traces.picture.colours import colours
from ot_bridge.traces.picture.scatter import scatter

__all__ = ["ROUTES"]


def _list(request: Request) -> Response:
    here, now = site(request), time.time_ns()
    asked = Asked.read(request.query_params, now)
    services = here.store.services()
    found = here.store.search(asked.query)
    shown = [service for one in found.traces for service in one.services]
    part = request.query_params.get("part") == "results"
    return here.page(
        request,
        "_results.html" if part else "list.html",
        asked=asked,
        found=found,
        longest=max((one.duration_ns for one in found.traces), default=1) or 1,
        colours=colours([*services, *shown]),
        services=services,
        operations=here.store.operations(asked.query.service) if asked.query.service else (),
        scatter=scatter(here.store.scatter(asked.query)) if found.total else None,
        orders=[(order, order) for order in ORDERS],
        lasts=[(last, last) for last in LASTS],
        now=now,
        empty=not services,
        received=_received(here),
    )


def _live(request: Request) -> Response:
    """Tell how many traces match now, for a script that asks again and again."""
    here = site(request)
    asked = Asked.read(request.query_params, time.time_ns())
    found = here.store.search(replace(asked.query, limit=1, offset=0))
    return JSONResponse({"version": str(here.store.version()), "total": found.total, "exact": found.exact})


def _operations(request: Request) -> Response:
    """The operations of a service, for the field that depends on it."""
    here = site(request)
    service = request.query_params.get("service", "")
    return JSONResponse(list(here.store.operations(service))[:2000] if service else [])


def _received(here: Site) -> Sequence[tuple[str, str, int, str]]:
    """What arrived and what was refused: protocol, what, how many, an example."""
    examples = here.counts.examples()
    return [(*key, number, examples.get(key, "")) for key, number in sorted(here.counts.snapshot().items())]


ROUTES = (Route("/", _list), Route("/live", _live), Route("/names", _operations))
