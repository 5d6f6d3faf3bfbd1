"""Where a line's bar begins and ends, and what is drawn on it: numbers for SVG, in a box that is 1,000 wide. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ot_bridge.traces.analyse.self_time import own_intervals, union
from ot_bridge.traces.picture.lines import Line
from ot_bridge.traces.picture.picture import Picture
from ot_bridge.traces.words import duration

__all__ = ["HEIGHT", "WIDTH", "Bar", "Window", "bar", "ticks"]

WIDTH = 1000
HEIGHT = 20
_FINEST = 1.0
"""Pieces nearer than this are drawn as one: a span with 5,000 children is no reason for 5,000 shapes."""


class Window(NamedTuple):
    """The time that the picture shows."""

    start_ns: int
    end_ns: int

    def x(self, time_ns: int) -> float:
        """Return the place of a time."""
        return (time_ns - self.start_ns) * WIDTH / max(1, self.end_ns - self.start_ns)


class Bar(NamedTuple):
    """What is drawn of a line; each path is empty when there is nothing.

    Attributes:
        x: where its span begins; None when none of it is in the window.
        own: the path of its self time.
        critical: of its time on the critical path.
        events: of its events.
        logs: of its log records.
    """

    x: str | None
    width: str = ""
    own: str = ""
    critical: str = ""
    events: str = ""
    logs: str = ""


def bar(picture: Picture, line: Line, window: Window) -> Bar:
    """Measure a line's bar."""
    spans = [picture.trace.spans[index] for index in line.spans]
    edge = _clipped(window, min(span.start_ns for span in spans), max(span.end_ns for span in spans))
    if edge is None:
        return Bar(None)
    left, right = edge
    if line.what == "span":
        index = line.spans[0]
        own: Iterable[tuple[int, int]] = own_intervals(picture.trace, index)
        sections = [(one.start_ns, one.end_ns) for one in picture.sections.get(index, ())]
        events = _lines(window, (event.time_ns for event in spans[0].events), 2, 10)
        logs = _lines(window, (log.time_ns for log in picture.logs.get(index, ())), 10, 18)
    else:
        own = union((span.start_ns, span.end_ns) for span in spans) if line.what == "run" else ()
        sections = [(one.start_ns, one.end_ns) for index in line.spans for one in picture.sections.get(index, ())]
        events = logs = ""
    return Bar(
        _number(left),
        _number(max(right - left, 0.1)),
        "".join(f"M{_number(a)} 6h{_number(max(b - a, 0.1))}v8H{_number(a)}z" for a, b in _pieces(window, own)),
        "".join(f"M{_number(a)} 17h{_number(max(b - a, 0.1))}" for a, b in _pieces(window, sections)),
        events,
        logs,
    )


def ticks(picture: Picture, window: Window, most: int = 5) -> Sequence[tuple[str, str]]:
    """Return places and words of the times on the scale, at round numbers."""
    length = window.end_ns - window.start_ns
    step = 1
    while length // step > most:
        step = next((s * 10 ** (len(str(step)) - 1) for s in (2, 5, 10) if s * 10 ** (len(str(step)) - 1) > step), step)
    first = -(-(window.start_ns - picture.start_ns) // step) * step
    last = window.end_ns - picture.start_ns
    return [(_number(window.x(picture.start_ns + time)), duration(time)) for time in range(first, last, step)]


def _clipped(window: Window, start_ns: int, end_ns: int) -> tuple[float, float] | None:
    left, right = window.x(start_ns), window.x(max(start_ns, end_ns))
    return (max(left, 0.0), min(right, float(WIDTH))) if right >= 0 and left <= WIDTH else None


def _pieces(window: Window, intervals: Iterable[tuple[int, int]]) -> Iterable[tuple[float, float]]:
    """Join what lies too near to be told apart."""
    found = list[tuple[float, float]]()
    for start, end in sorted(intervals):
        edge = _clipped(window, start, end)
        if edge is None:
            continue
        if found and edge[0] - found[-1][1] < _FINEST:
            found[-1] = (found[-1][0], max(found[-1][1], edge[1]))
        else:
            found.append(edge)
    return found


def _lines(window: Window, times: Iterable[int], top: int, bottom: int) -> str:
    places = dict.fromkeys(_number(round(x)) for time in times if 0 <= (x := window.x(time)) <= WIDTH)
    return "".join(f"M{x} {top}V{bottom}" for x in places)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
