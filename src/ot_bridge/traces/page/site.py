"""What every page needs: the store, what is listened on, the templates, and one way to answer.

A page is a function of a request that calls `site(request)` and answers with `Site.page`. Such functions are plain, not
async: Starlette runs them in threads, so that a long query holds up no receiver.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.requests import Request
from starlette.responses import HTMLResponse

from ot_bridge.traces.page.kept import Kept
from ot_bridge.traces.page.opened import Shelf
from ot_bridge.traces.picture.templates import environment

if TYPE_CHECKING:
    from ot_bridge.traces.receive.inbox import Counts

__all__ = ["Listening", "PageInfo", "Site", "site"]

NAVIGATION: Sequence[tuple[str, str]] = (
    ("/", "Traces"),
    ("/map", "Map"),
    ("/operations", "Operations"),
    ("/paths", "Critical path"),
    ("/compare", "Compare"),
    ("/tags", "Tags"),
)
THEMES = ("light", "dark")


class Listening(NamedTuple):
    """One address at which spans are received.

    Attributes:
        protocol: for people, such as `OTLP over HTTP`.
        address: such as `127.0.0.1:4318`.
        setting: what a service is started with to send there, such as
            `OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318`; `""` when there is none.
    """

    protocol: str
    address: str
    setting: str = ""


class PageInfo(NamedTuple):
    """What the page tells about the process that it is part of.

    Attributes:
        listening: where spans are received.
        poll_ms: how often an open page asks whether there is something new.
    """

    listening: Sequence[Listening] = ()
    poll_ms: int = 2000


class Site:
    """What the pages share."""

    def __init__(self, store: Kept, counts: Counts, info: PageInfo) -> None:
        self.store, self.counts, self.info = store, counts, info
        self.shelf = Shelf(store)

    def page(self, request: Request, template: str, status: int = 200, **what: Any) -> HTMLResponse:
        """Answer with a template, which extends `base.html` or is a part of a page."""
        theme = request.cookies.get("theme")
        text = (
            environment()
            .get_template(template)
            .render(
                navigation=NAVIGATION,
                here=request.url.path,
                theme=theme if theme in THEMES else "",
                info=self.info,
                **what,
            )
        )
        return HTMLResponse(text, status)

    def problem(self, request: Request, status: int, title: str, text: str, **what: Any) -> HTMLResponse:
        """Answer with a page that says what is wrong."""
        return self.page(request, "problem.html", status, title=title, text=text, **{"near": (), **what})


def site(request: Request) -> Site:
    """Return the site that a request is for."""
    found: Site = request.app.state.site
    return found
