"""The service map: which services call which, drawn and as tables, and where traces break."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ot_bridge.traces.analyse.lost_context import LostHop, lost_hops
from ot_bridge.traces.fleet.layout import layout
from ot_bridge.traces.fleet.service_map import service_map
from ot_bridge.traces.page.asked import LASTS
from ot_bridge.traces.page.groups import described, population, read, selection
from ot_bridge.traces.page.kept import Kept
from ot_bridge.traces.page.site import site
from ot_bridge.traces.tree import Trace

__all__ = ["FEWEST_FOR_RATE", "ROUTES", "WORLDS"]

WORLDS = {
    "opentracing": "OpenTracing",
    "bridge": "bridge",
    "native": "OpenTelemetry",
    "unknown": "not known",
}
"""What each instrumentation is called on the page."""
FEWEST_FOR_RATE = 10
"""What one minute holds by chance is no rate."""


_TIMES = ("last", "from", "to")
_CERTAINTIES = ("sure", "likely", "guess")


class Lost(NamedTuple):
    """The calls between two services that lost their trace for one reason.

    Attributes:
        hops: the surest first.
    """

    caller: str
    callee: str
    hops: Sequence[LostHop]


def _map(request: Request) -> Response:
    here = site(request)
    found, traces = population(here.store, request.query_params)
    starts = [trace.start_ns for trace in traces]
    seconds = (max(starts) - min(starts)) / 1e9 if len(starts) >= FEWEST_FOR_RATE else 0.0
    drawn = service_map(traces, seconds)
    placed = layout(drawn)
    return here.page(
        request,
        "map.html",
        asked=found.asked,
        found=found,
        read=len(traces),
        described=described(found.asked.fields),
        map=drawn,
        layout=placed,
        nodes={node.name: node for node in drawn.nodes},
        edges={(edge.caller, edge.callee): edge for edge in drawn.edges},
        services=here.store.services(),
        lasts=[(last, last) for last in LASTS],
        worlds=WORLDS,
        lost=_lost(here.store, request.query_params, traces),
    )


def _lost(store: Kept, asked: Mapping[str, str], shown: Sequence[Trace]) -> Sequence[Lost]:
    """Find the hops from or into the traces that are shown that lost their trace, the most frequent first."""
    times = {name: asked[name] for name in _TIMES if asked.get(name)}
    # The other half is in a trace that the search need not find, as when it is for one service.
    narrowed = any(text for name, text in asked.items() if name not in _TIMES)
    ids = {trace.trace_id for trace in shown}
    others = [row for row in selection(store, times).rows if row.trace_id not in ids] if narrowed else []
    groups: dict[tuple[str, str, str, str], list[LostHop]] = defaultdict(list)
    for hop in lost_hops([*shown, *read(store, others)]):
        if ids & {hop.caller.trace_id, hop.callee.trace_id}:
            groups[hop.caller.service, hop.callee.service, hop.cause, hop.advice].append(hop)
    found = [
        Lost(*key[:2], sorted(hops, key=lambda hop: _CERTAINTIES.index(hop.certainty))) for key, hops in groups.items()
    ]
    return sorted(found, key=lambda one: (-len(one.hops), one.caller, one.callee))


ROUTES = (Route("/map", _map),)
