"""Rate, errors and durations of each operation, and what changed between two periods."""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ot_bridge.traces.fleet.periods import Period, changes
from ot_bridge.traces.fleet.rates import in_period, rates, span_of
from ot_bridge.traces.page.asked import LASTS, Asked
from ot_bridge.traces.page.site import site

__all__ = ["FEWEST_REQUESTS", "MOST_REQUESTS", "ROUTES"]

MOST_REQUESTS = 30_000
"""So many requests are read, the newest; the page says so."""

FEWEST_REQUESTS = 5
"""With fewer in a period and no difference found, nothing is said to be the same either."""

_BETTER = ("fails less", "faster")


def _operations(request: Request) -> Response:
    here = site(request)
    asked = Asked.read(request.query_params, time.time_ns())
    query = asked.query
    requests = here.store.entries(
        service=query.service, from_ns=query.from_ns, to_ns=query.to_ns, limit=MOST_REQUESTS + 1
    )
    cut = len(requests) > MOST_REQUESTS
    requests = [one for one in requests[:MOST_REQUESTS] if not query.operation or one.operation == query.operation]
    from_ns, to_ns = span_of(requests)
    split_text = request.query_params.get("split", "").strip()[:40]
    when = Asked.read({"from": split_text}, 0)
    split = when.query.from_ns if when.query.from_ns is not None else (from_ns + to_ns) // 2
    periods = [Period(start, end, in_period(requests, start, end)) for start, end in ((from_ns, split), (split, to_ns))]
    changed: Any = changes(*periods) if all(period.entries for period in periods) else None
    return here.page(
        request,
        "operations.html",
        asked=asked,
        cut=cut,
        most=MOST_REQUESTS,
        rates=rates(requests, (to_ns - from_ns) / 1e9 if len(requests) > 1 else 0.0),
        requests=len(requests),
        from_ns=from_ns,
        to_ns=to_ns,
        split_ns=split,
        split=split_text,
        problem=when.problems.get("from", ""),
        periods=periods,
        changed=changed,
        too_few=min(len(period.entries) for period in periods) < FEWEST_REQUESTS and not (changed and changed.rows),
        better=_BETTER,
        services=here.store.services(),
        lasts=[(last, last) for last in LASTS],
    )


ROUTES = (Route("/operations", _operations),)
