"""One trace: its picture, parts of it as a script asks for them, its spans as JSON, and the file to attach to a ticket.

The whole view stands in the address, and each control is a link to another one; a script asks for the same address with
`part=` and puts the answer in place.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from ot_bridge.traces.analyse.cut import is_arriving
from ot_bridge.traces.formats.otlp_out import traces_data
from ot_bridge.traces.model import Link
from ot_bridge.traces.page.opened import Opened
from ot_bridge.traces.page.site import site
from ot_bridge.traces.picture.details import as_json
from ot_bridge.traces.picture.drawing import Drawing
from ot_bridge.traces.picture.file import html_report
from ot_bridge.traces.picture.lines import Line
from ot_bridge.traces.picture.templates import trace_hex
from ot_bridge.traces.picture.view import View

__all__ = ["KEYS", "ROUTES"]

KEYS: Sequence[tuple[str, str]] = (
    ("j k, down up", "next and previous line"),
    ("right left", "open; fold, or go to the parent"),
    ("Enter", "open and close the details"),
    ("/", "find in this trace"),
    ("n N", "next and previous match"),
    ("e E", "next and previous error"),
    ("c", "go along the critical path"),
    ("g", "group repeated calls, or not"),
    ("s", "summary, or all"),
    ("a", "show all"),
    ("z Z", "zoom to the span; whole time again"),
    ("r", "recorded or aligned times"),
    ("u", "show the spans that are new"),
    ("y", "copy the link to the span"),
    ("Home End", "first and last line"),
    ("?", "this list"),
)
_ID = re.compile(r"[0-9a-f]{1,32}")
_FIRST_ROWS = 150
_MOST_ROWS = 500
_SHOWN = 50
_ABOVE = 15
"""So many lines are given above the one that was asked for."""


class _PageAddresses(NamedTuple):
    view: View

    def details(self, key: str) -> str:
        return self.view.toggled("span", key)

    def fold(self, line: Line) -> str:
        return self.view.toggled("closed" if line.what == "span" else "open", line.key)

    def at(self, key: str) -> str:
        return self.view.query(at=key, row=0) + f"#s-{key}"


def _open(request: Request) -> Opened | Response:
    """Find the trace that an address names by its id, or by the beginning or the lower half of it."""
    here, name = site(request), request.path_params["id"].lower()
    found = list[int]()
    if _ID.fullmatch(name):
        # Some write an id without the zeros that it begins with, some know the lower half of it alone.
        forms = dict.fromkeys((name, name.zfill(16), name.zfill(32), name[16:] or name))
        found = next((ids for form in forms if (ids := list(here.store.ids(form)))), [])
    if len(found) > 1 and (exact := [one for one in found if trace_hex(one) == name]):
        found = exact
    if len(found) > 1:
        near = [(f"/trace/{trace_hex(one)}", trace_hex(one)) for one in found[:50]]
        return here.problem(request, 300, "Several traces", f"Several ids begin with {name}.", near=near)
    opened = here.shelf.open(found[0], as_it_was="part" in request.query_params) if found else None
    if opened is None:
        text = f"The store has no trace {name[:40]}. It may not have arrived yet, or may have been removed for space."
        return here.problem(request, 404, "No such trace", text)
    return opened


def _trace(request: Request) -> Response:
    opened = _open(request)
    if isinstance(opened, Response):
        return opened
    view = View.read(request.query_params)
    picture = opened.picture(aligned=view.times == "aligned")
    view, missing = _known(view, opened)
    go = request.query_params.get("go", "")
    drawing = _drawing(opened, view)
    if go and (target := _target(drawing, go)):
        view = replace(view, at=target, shown=tuple(dict.fromkeys((*view.shown, target)))[-_SHOWN:], row=0)
        drawing = _drawing(opened, view)
    part, first = request.query_params.get("part", ""), view.row
    count = min(_MOST_ROWS, _count(request.query_params.get("count", "")))
    near = request.query_params.get("near", "")
    if near and (place := drawing.place(near)) >= 0:
        first = max(0, min(place - _FIRST_ROWS // 3, len(drawing.lines) - count))
    elif part != "rows" and not first and view.at and (place := drawing.place(view.at)) > _FIRST_ROWS // 2:
        first = max(0, min(place - _ABOVE, len(drawing.lines) - count))
    first = min(first, max(0, len(drawing.lines) - 1))
    matched = [picture.keys[one] for one in drawing.matches]
    template = {"rows": "_rows.html", "picture": "_waterfall.html"}.get(part, "trace.html")
    return site(request).page(
        request,
        template,
        picture=picture,
        raw=opened.picture(),
        drawing=drawing,
        addresses=_PageAddresses(view),
        rows=drawing.rows(first, first + count),
        first=first,
        base=f"/trace/{trace_hex(opened.trace.trace_id)}",
        findings=opened.analysis.findings,
        across=opened.across,
        offsets=opened.offsets,
        notices=[f"There is no span {key} in this trace." for key in missing],
        nth=matched.index(view.at) + 1 if view.at in matched else 0,
        unfinished=opened.arriving,
        keys=KEYS,
        local=lambda link: _is_local(opened, link),
    )


def _live(request: Request) -> Response:
    """Tell how much of a trace there is now, for a script that asks again and again."""
    name = request.path_params["id"].lower()
    trace = site(request).shelf.newest(int(name, 16)) if _ID.fullmatch(name) else None
    if trace is None:
        raise HTTPException(404)
    arriving = is_arriving(trace, time.time_ns())
    return JSONResponse({"spans": len(trace), "logs": len(trace.logs), "arriving": arriving})


def _drawing(opened: Opened, view: View) -> Drawing:
    aligned = view.times == "aligned"
    findings = () if aligned else opened.analysis.findings
    return Drawing(opened.picture(aligned=aligned), view, _PageAddresses(view), findings, opened.moved)


def _known(view: View, opened: Opened) -> tuple[View, Sequence[str]]:
    """Write the keys of an address as they are written here, and tell which of them no span has."""
    places, missing = opened.picture().places, list[str]()

    def known(keys: Sequence[str]) -> tuple[str, ...]:
        found = []
        for key in keys:
            full = key.lower().partition("~")
            name = full[0].zfill(16) + full[1] + full[2]
            if name in places:
                found.append(name)
            else:
                missing.append(key[:40])
        return tuple(found)

    spans, shown, at = known(view.span), known(view.shown), known((view.at,) if view.at else ())
    place = at[0] if at else spans[-1] if spans else ""
    return replace(view, span=spans, shown=shown, at=place), missing


def _target(drawing: Drawing, go: str) -> str:
    """Find where `go` leads from the span that has the focus."""
    what, _, back = go.partition("-")
    picture = drawing.picture
    among: Sequence[int] = {
        "error": picture.failed,
        "match": drawing.matches,
        "path": sorted(picture.reading.path.own_ns),
    }.get(what, ())
    index = drawing.next(among, drawing.view.at, back=bool(back))
    return "" if index is None else picture.keys[index]


def _count(text: str) -> int:
    return int(text) if text.isdecimal() and 0 < len(text) < 5 else _FIRST_ROWS


def _is_local(opened: Opened, link: Link) -> bool:
    return link.trace_id in opened.trace.trace_ids and opened.trace.index_of(link.span_id) is not None


def _span_json(request: Request) -> Response:
    opened = _open(request)
    if isinstance(opened, Response):
        return opened
    index = opened.picture().places.get(request.path_params["key"])
    if index is None:
        raise HTTPException(404)
    return _json(as_json(opened.trace.spans[index]))


def _otlp_json(request: Request) -> Response:
    opened = _open(request)
    if isinstance(opened, Response):
        return opened
    return _json(traces_data(site(request).store.raw(opened.trace.trace_id)))


def _report(request: Request) -> Response:
    opened = _open(request)
    if isinstance(opened, Response):
        return opened
    name = f"trace-{trace_hex(opened.trace.trace_id)}.html"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return HTMLResponse(html_report(opened.trace, opened.analysis), headers=headers)


def _json(what: Any) -> Response:
    text = json.dumps(what, indent=2, ensure_ascii=False, default=lambda one: one.hex())
    return Response(text.encode("utf-8", "replace"), media_type="application/json")


def _find(request: Request) -> Response:
    name = request.query_params.get("id", "").strip().lower()
    return RedirectResponse(f"/trace/{name}" if _ID.fullmatch(name) else "/", 303)


ROUTES = (
    Route("/trace", _find),
    Route("/trace/{id}", _trace),
    Route("/trace/{id}/live", _live),
    Route("/trace/{id}/otlp.json", _otlp_json),
    Route("/trace/{id}/report.html", _report),
    Route("/trace/{id}/span/{key}.json", _span_json),
)
