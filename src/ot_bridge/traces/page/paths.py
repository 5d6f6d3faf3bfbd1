"""The critical path over many traces: on whom requests wait, by call path and by how long they took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ot_bridge.traces.fleet.call_paths import Step
from ot_bridge.traces.fleet.paths import Band, PathRow, paths, together
from ot_bridge.traces.page.asked import LASTS
from ot_bridge.traces.page.groups import described, population
from ot_bridge.traces.page.site import site
from ot_bridge.traces.picture.colours import Colour, colours
from ot_bridge.traces.words import duration

__all__ = ["ROUTES"]

_FEWEST = 5
_SHOWN = 100
_BLOCKS = 300
_DEEPEST = 24
_NARROWEST = 0.3
"""Percent of the width: what is narrower is no more than a line, and is in the table."""


class Block(NamedTuple):
    """A call path in the picture, from left to right in percent of the time of all requests."""

    row: PathRow
    depth: int
    x: float
    width: float


def _paths(request: Request) -> Response:
    here = site(request)
    found, traces = population(here.store, request.query_params)
    bands = paths(traces)
    rows = together(bands)
    blocks = icicle(rows, sum(band.total_ns for band in bands))
    shown = rows[:_SHOWN]
    steps = [block.row.whole.chain[-1] for block in blocks] + [row.whole.chain[-1] for row in shown]
    hues: Mapping[str, Colour] = colours(step.service for step in steps)
    return here.page(
        request,
        "paths.html",
        asked=found.asked,
        found=found,
        read=len(traces),
        described=described(found.asked.fields),
        bands=[(band, *_named(band)) for band in bands],
        operations=sum(row.whole.parent < 0 for row in rows),
        rows=shown,
        left=len(rows) - len(shown),
        blocks=blocks,
        slower=_slower(bands, rows),
        hues=hues,
        total_ns=sum(band.total_ns for band in bands),
        services=here.store.services(),
        lasts=[(last, last) for last in LASTS],
    )


class Slower(NamedTuple):
    """What the slowest requests wait for longer than the fastest ones.

    Attributes:
        name: of the slow ones.
        slow_ns: per trace.
        fast_ns: per trace.
    """

    name: str
    step: Step
    slow_ns: float
    fast_ns: float


def _slower(bands: Sequence[Band], rows: Sequence[PathRow]) -> Slower | None:
    """Find the path to which most of the difference goes; it is of slow requests that are more than a few."""
    high = next((place for place in reversed(range(len(bands))) if bands[place].traces >= _FEWEST), 0)
    if not high:
        return None

    def per_trace(row: PathRow, place: int) -> float:
        one = row.bands[place]
        return one.on_path_ns / bands[place].traces if one is not None else 0.0

    row = max(rows, key=lambda row: (per_trace(row, high) - per_trace(row, 0), -row.whole.path))
    slow_ns, fast_ns = per_trace(row, high), per_trace(row, 0)
    name, _ = _named(bands[high])
    # Sums are per trace of one band; a smaller difference than a tenth of the whole says nothing.
    gap_ns = bands[high].total_ns / bands[high].traces - bands[0].total_ns / bands[0].traces
    if slow_ns - fast_ns <= gap_ns / 10:
        return None
    return Slower(name, row.whole.chain[-1], slow_ns, fast_ns)


def _named(band: Band) -> tuple[str, str]:
    """Name a band for people, and say how long its requests took."""
    low, high = (f"{100 * share:g}%" for share in (band.low, band.high))
    name = f"fastest {high}" if not band.low else f"slowest {100 - 100 * band.low:.3g}%" if band.high == 1 else ""
    return name or f"{low} to {high}", f"up to {duration(band.longest_ns)}"


def icicle(rows: Sequence[PathRow], total_ns: int) -> Sequence[Block]:
    """Place the widest call paths under their callers, from the top down; the wider of two is on the left."""
    below: dict[int, list[PathRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (-row.below_ns, row.whole.path)):
        below[row.whole.parent].append(row)
    found, level = list[Block](), [(-1, 0.0)]
    for depth in range(_DEEPEST):
        following = list[tuple[int, float]]()
        for parent, left in level:
            x = left
            for row in below[parent]:
                width = 100 * row.below_ns / total_ns if total_ns else 0.0
                if width < _NARROWEST or len(found) == _BLOCKS:
                    break
                found.append(Block(row, depth, x, width))
                following.append((row.whole.path, x))
                x += width
        level = following
    return found


ROUTES = (Route("/paths", _paths),)
