"""The list of traces."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ot_bridge.traces.page.site import site

__all__ = ["ROUTES"]


def _list(request: Request) -> Response:
    return site(request).page(request, "list.html")


ROUTES = (Route("/", _list),)
