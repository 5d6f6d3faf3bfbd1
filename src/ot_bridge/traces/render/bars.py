"""A span's time as a bar of characters: where it worked, where it waited, what the request waited for. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from ot_bridge.traces.analyse import Reading
from ot_bridge.traces.analyse.self_time import Interval, own_intervals

__all__ = ["ASCII", "BLOCKS", "Bars", "Glyphs"]


class Glyphs(NamedTuple):
    """The characters of a bar: own time that the end of the request waited for, other own time, waiting for a child."""

    critical: str
    own: str
    waiting: str


BLOCKS = Glyphs("\N{FULL BLOCK}", "\N{MEDIUM SHADE}", "\N{BOX DRAWINGS LIGHT HORIZONTAL}")
ASCII = Glyphs("#", "=", "-")


class Bars:
    """The bars of one trace.

    Args:
        reading: the trace and its critical path.
        width: characters of the whole trace's time.
        glyphs: what they are drawn with.
    """

    def __init__(self, reading: Reading, width: int, glyphs: Glyphs = BLOCKS) -> None:
        self._reading = reading
        self._width = width
        self._glyphs = glyphs
        self._start_ns = reading.trace.start_ns
        self._length_ns = max(1, reading.trace.duration_ns)
        self._critical = defaultdict[int, list[Interval]](list)
        for section in reading.path.sections:
            self._critical[section.span].append((section.start_ns, section.end_ns))

    def bar(self, spans: Iterable[int]) -> str:
        """Draw the bar of some spans over each other; spaces where there is none, and none behind the last one."""
        cells = [" "] * self._width
        spans = list(spans)
        for index in spans:
            self._fill(cells, self._interval(index), self._glyphs.waiting, whole=True)
        for index in spans:
            for interval in own_intervals(self._reading.trace, index):
                self._fill(cells, interval, self._glyphs.own, whole=interval == self._interval(index))
        for index in spans:
            for interval in self._critical.get(index, ()):
                self._fill(cells, interval, self._glyphs.critical, whole=interval == self._interval(index))
        return "".join(cells).rstrip()

    def _interval(self, index: int) -> Interval:
        span = self._reading.trace.spans[index]
        return span.start_ns, span.start_ns + span.duration_ns

    def _fill(self, cells: list[str], interval: Interval, glyph: str, *, whole: bool = False) -> None:
        """Write a glyph over the cells between the edges next to an interval; `whole`: over each that it touches."""
        first, last = ((one - self._start_ns) * self._width / self._length_ns for one in interval)
        begin, end = (int(first), -int(-last // 1)) if whole else (round(first), round(last))
        begin = min(begin, self._width - 1)
        # Nothing is too short to be seen.
        end = min(max(end, begin + 1), self._width) if whole else min(end, self._width)
        for cell in range(begin, end):
            cells[cell] = glyph
