"""The page as an ASGI application: its addresses, and the headers that keep what a span holds from running.

A module of pages has `ROUTES`, and is named in `_ROUTES` below; its templates extend `base.html`. No style and no
script is written into a page: a picture is SVG with attributes, which the policy allows.

Who may ask at all (the Host header, the token) is decided before, by the server that it is part of.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ot_bridge.traces.page import compare, operations, paths, rules, search, service_map, tags, trace
from ot_bridge.traces.page.kept import Kept
from ot_bridge.traces.page.site import Listening, PageInfo, Site, site
from ot_bridge.traces.picture.templates import environment, static
from ot_bridge.traces.store.errors import StoreError

if TYPE_CHECKING:
    from ot_bridge.traces.receive.inbox import Counts

__all__ = ["HEADERS", "Listening", "PageInfo", "page_app"]

HEADERS = {
    # Styles and scripts are files of our own; nothing is written into the page that could run or colour anything.
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_STATIC = {"fleet.css": "text/css", "view.css": "text/css", "view.js": "text/javascript", "icon.svg": "image/svg+xml"}


def page_app(store: Kept, counts: Counts, info: PageInfo) -> ASGIApp:
    """Make the page.

    Args:
        store: whose traces it shows.
        counts: what was received and refused.
        info: what listens where, for the page that is shown while there is nothing else.
    """
    environment().globals["asset"] = _asset
    # Compiled now, so that the first reader does not wait for it.
    for name in environment().list_templates():
        environment().get_template(name)
    app = Starlette(
        routes=[*_ROUTES, Route("/static/{name}", _file)],
        exception_handlers={HTTPException: _http_problem, StoreError: _store_problem},
    )
    app.state.site = Site(store, counts, info)
    return _WithHeaders(app)


FLEET: Sequence[BaseRoute] = (*service_map.ROUTES, *operations.ROUTES, *paths.ROUTES, *compare.ROUTES, *tags.ROUTES)
_ROUTES: Sequence[BaseRoute] = (*search.ROUTES, *trace.ROUTES, *rules.ROUTES, *FLEET)


def _asset(name: str) -> str:
    return f"/static/{name}?{hashlib.sha256(static(name).encode()).hexdigest()[:12]}"


def _file(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _STATIC:
        raise HTTPException(404)
    return Response(static(name), media_type=_STATIC[name], headers={"cache-control": "max-age=86400"})


async def _http_problem(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = {404: "There is nothing at this address.", 405: "This address is only read."}
    return site(request).problem(request, status, "Not here", words.get(status, "This did not work."))


async def _store_problem(request: Request, error: Exception) -> Response:
    return site(request).problem(request, 503, "The store does not answer", str(error))


class _WithHeaders:
    """Adds `HEADERS` to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message.get("headers", ())}
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] = [*message.get("headers", ()), *(one for one in more if one[0] not in there)]
            await send(message)

        await self._app(scope, receive, with_headers)
