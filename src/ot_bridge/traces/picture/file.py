"""A trace as one HTML file that needs nothing else: to attach to a ticket, to open years later.

It has the same templates, styles and script as the page; the policy in it lets only these run, and lets nothing be
fetched.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from markupsafe import Markup

from ot_bridge.traces.analyse import Analysis
from ot_bridge.traces.model import Link
from ot_bridge.traces.picture.drawing import Drawing
from ot_bridge.traces.picture.lines import Line, notable
from ot_bridge.traces.picture.picture import Picture
from ot_bridge.traces.picture.templates import environment, static
from ot_bridge.traces.picture.view import View
from ot_bridge.traces.tree import Trace
from ot_bridge.traces.words import number
from ot_bridge.version import __version__

__all__ = ["MOST_DETAILS", "MOST_ROWS", "html_report"]

MOST_ROWS = 20_000
"""A trace of more spans is written as its summary."""
MOST_DETAILS = 2_000
"""Of so many spans the details are in the file, the notable ones first."""


class _FileAddresses:
    """Links inside the file: without a script they lead to the details, which are shown where they are."""

    def details(self, key: str) -> str:
        return f"#d-{key}"

    def fold(self, line: Line) -> str:
        return f"#s-{line.key}"

    def at(self, key: str) -> str:
        return f"#s-{key}"


def html_report(trace: Trace, analysis: Analysis) -> str:
    """Write a trace and what was found in it as one HTML file.

    Args:
        trace: with at least one span.
        analysis: of this trace.
    """
    picture = Picture(analysis.reading)
    whole = len(trace) <= MOST_ROWS
    chosen = _with_details(picture, analysis)
    view = View(view="all" if whole else "summary", group=not whole, span=tuple(picture.keys[one] for one in chosen))
    drawing = Drawing(picture, view, _FileAddresses(), analysis.findings)
    style, script = static("view.css"), static("view.js")
    return (
        environment()
        .get_template("file.html")
        .render(
            picture=picture,
            drawing=drawing,
            rows=drawing.rows(0, len(drawing.lines)),
            findings=analysis.findings,
            addresses=_FileAddresses(),
            notices=_notices(picture, whole=whole, details=len(chosen)),
            local=lambda link: _is_local(trace, link),
            # Our own files, whose hashes are in the policy: nothing of a span is in them.
            style=Markup(style),  # noqa: S704
            script=Markup(script),  # noqa: S704
            policy=(
                f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; "
                "form-action 'none'"
            ),
            version=__version__,
        )
    )


def _with_details(picture: Picture, analysis: Analysis) -> Sequence[int]:
    trace = picture.trace
    if len(trace) <= MOST_DETAILS:
        return range(len(trace))
    first = notable(picture, analysis.findings)
    return sorted([*first, *(index for index in range(len(trace)) if index not in first)][:MOST_DETAILS])


def _notices(picture: Picture, *, whole: bool, details: int) -> Sequence[str]:
    spans, notices = len(picture.trace), []
    if not whole:
        notices.append(
            f"A summary: a file holds at most {number(MOST_ROWS)} lines, and this trace has {number(spans)}."
        )
    if details < spans:
        notices.append(f"It has the details of {number(details)} of {number(spans)} spans, the notable ones first.")
    return notices


def _is_local(trace: Trace, link: Link) -> bool:
    return link.trace_id in trace.trace_ids and trace.index_of(link.span_id) is not None


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
