"""The service map: which services call which, drawn and as tables, and where traces break."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ot_bridge.traces.fleet.layout import layout
from ot_bridge.traces.fleet.service_map import service_map
from ot_bridge.traces.page.asked import LASTS
from ot_bridge.traces.page.groups import described, population
from ot_bridge.traces.page.site import site

__all__ = ["ROUTES", "WORLDS"]

WORLDS = {
    "opentracing": "OpenTracing",
    "bridge": "bridge",
    "native": "OpenTelemetry",
    "unknown": "not known",
}
"""What each instrumentation is called on the page."""


def _map(request: Request) -> Response:
    here = site(request)
    found, traces = population(here.store, request.query_params)
    starts = [trace.start_ns for trace in traces]
    seconds = (max(starts) - min(starts)) / 1e9 if len(starts) > 1 else 0.0
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
    )


ROUTES = (Route("/map", _map),)
