"""A picture as one reader sees it: lines, and of those that are asked for all that a template writes. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from ot_bridge.traces.analyse import Finding
from ot_bridge.traces.analyse.blocking import why_not_waited_for
from ot_bridge.traces.model import Span
from ot_bridge.traces.picture.bars import Bar, Window, bar, ticks
from ot_bridge.traces.picture.details import Details, details
from ot_bridge.traces.picture.icicle import Block, icicle
from ot_bridge.traces.picture.lines import Line, is_summary, lines
from ot_bridge.traces.picture.overview import Overview, overview
from ot_bridge.traces.picture.picture import Picture
from ot_bridge.traces.picture.templates import clock, offset
from ot_bridge.traces.picture.view import View
from ot_bridge.traces.words import plural

__all__ = ["DEEPEST", "Addresses", "Drawing", "Row"]

DEEPEST = 14
"""Deeper lines are indented no further, and their depth is written."""
_KINDS = {"server": "S", "client": "C", "producer": "P", "consumer": "Q", "internal": "I"}


class Addresses(Protocol):
    """Where the links of a row lead, on the page and in the file."""

    def details(self, key: str) -> str:
        """Open or close the details of a span."""

    def fold(self, line: Line) -> str:
        """Open or close what is below a line."""

    def at(self, key: str) -> str:
        """Go to a span."""


class Row(NamedTuple):
    """A line with all that is written of it.

    Attributes:
        number: its place among all lines, from 1.
        css: the classes of its service's colour.
        kind: one letter, and the word for it.
        below: how many spans failed below it, and where the first of these chains began.
        marks: short words about it, each with its explanation.
        details: all of its span, when that is open.
    """

    number: int
    line: Line
    key: str
    span: Span
    name: str
    service: str
    css: str
    kind: tuple[str, str]
    duration_ns: int
    offset_ns: int
    bar: Bar
    error: str | None
    below: tuple[int, str]
    marks: Sequence[tuple[str, str]]
    match: bool
    here: bool
    details: Details | None
    address: str
    fold: str
    source: str

    @property
    def zoom(self) -> str:
        """The time to show when the picture is zoomed to the line, from and to."""
        return f"{max(0, self.offset_ns)} {max(0, self.offset_ns) + max(1000, self.duration_ns)}"


class Drawing:
    """What one reader sees.

    Attributes:
        lines: all of them, from top to bottom.
        window: the time that is shown.
        matches: the spans that a search found.
        summary: whether something may be left out for being unremarkable.
    """

    def __init__(
        self,
        picture: Picture,
        view: View,
        addresses: Addresses,
        findings: Sequence[Finding] = (),
        moved: Mapping[str, int] | None = None,
    ) -> None:
        self.picture, self.view, self.findings = picture, view, findings
        self._addresses, self._moved = addresses, moved or {}
        self.lines: Sequence[Line] = lines(picture, view, findings)
        self.summary = is_summary(picture, view)
        self.matches: Sequence[int] = picture.matches(view.q)
        self._matching = set(self.matches)
        self._details = {key: place for place, key in enumerate(view.span)}
        start = picture.start_ns
        self.window = (
            Window(start + view.start, start + view.end) if view.end else Window(start, start + picture.duration_ns)
        )

    @property
    def ticks(self) -> Sequence[tuple[str, str]]:
        """The scale."""
        return ticks(self.picture, self.window)

    @property
    def overview(self) -> Overview:
        """The strip above."""
        return overview(self.picture, self.window)

    @property
    def icicle(self) -> Sequence[tuple[Block, str]]:
        """The critical path, each block with the address of its span."""
        return [(one, self._addresses.at(self.picture.keys[one.place])) for one in icicle(self.picture, self.window)]

    def place(self, key: str) -> int:
        """Return the number of the line of this key, -1 when there is none, or when it is inside one that is folded."""
        return next((n for n, line in enumerate(self.lines) if line.key == key), -1)

    def next(self, among: Sequence[int], key: str, *, back: bool = False) -> int | None:
        """Return the next of some sorted spans after a span, around the end; None when there are none."""
        if not among:
            return None
        here = self.picture.places.get(key, len(self.picture.trace) if back else -1)
        if back:
            return among[bisect_left(among, here) - 1]
        return among[bisect_left(among, here + 1) % len(among)]

    def rows(self, first: int, last: int) -> list[Row]:
        """Return the lines from one up to another, the latter not included."""
        return [self._row(number + first, line) for number, line in enumerate(self.lines[first:last])]

    def _row(self, number: int, line: Line) -> Row:
        picture, trace = self.picture, self.picture.trace
        index = line.spans[0]
        span, key = trace.spans[index], picture.keys[index]
        single = line.what == "span"
        mark = picture.reading.errors.get(index)
        below, source = picture.failed_below(index) if single else (0, -1)
        if line.what == "more":
            below, source = picture.failed_in(line.spans), -1
        start = min(trace.spans[one].start_ns for one in line.spans)
        length = span.duration_ns if single else sum(trace.spans[one].duration_ns for one in line.spans)
        source_key = picture.keys[source] if source >= 0 else ""
        return Row(
            number=number + 1,
            line=line,
            key=key if single else line.key,
            span=span,
            name=self._name(line),
            service="" if line.what == "more" else span.service,
            css=picture.colours[span.service].css,
            kind=(_KINDS.get(span.kind, ""), span.kind),
            duration_ns=length,
            offset_ns=start - picture.start_ns,
            bar=bar(picture, line, self.window),
            error=None if mark is None or line.what == "more" else mark.message or mark.sign,
            below=(below, source_key),
            marks=self._marks(index) if single else self._run_marks(line),
            match=single and index in self._matching,
            here=single and key == self.view.at,
            details=self._detail(index) if single and key in self._details else None,
            address=self._addresses.details(key) if single else self._addresses.fold(line),
            fold=self._addresses.fold(line),
            source=self._addresses.at(source_key) if source_key else "",
        )

    def _detail(self, index: int) -> Details:
        found = details(self.picture, index)
        shift = self._moved.get(self.picture.keys[index], 0)
        if not shift:
            return found
        start = found.span.start_ns - (shift if self.view.times == "aligned" else 0)
        times = [("Recorded start", f"{clock(start)} UTC"), ("Aligned start", f"{clock(start + shift)} UTC")]
        return found._replace(facts=[*times, ("Its clock", f"put right by {offset(shift)}"), *found.facts])

    def _name(self, line: Line) -> str:
        if line.what == "run":
            return self.picture.runs[line.spans[0]].label
        if line.what == "more":
            return f"{plural(sum(self.picture.trace.sizes[one] for one in line.spans), 'more span')}"
        return self.picture.trace.spans[line.spans[0]].name

    def _marks(self, index: int) -> Sequence[tuple[str, str]]:
        trace, span = self.picture.trace, self.picture.trace.spans[index]
        parent = trace.parents[index]
        marks = []
        if (hop := self.picture.hop(index)) is not None and hop.followed:
            marks.append((hop.followed, f"the header that brought the trace here ({hop.certainty})"))
        if parent >= 0 and (reason := why_not_waited_for(trace.spans[parent], span)) is not None:
            marks.append(("async", f"not waited for: {reason}"))
        if span.links:
            marks.append((plural(len(span.links), "link"), "spans that it names beside its parent"))
        if any(span.dropped):
            marks.append(
                (f"dropped {sum(span.dropped)}", "attributes, events or links that the sender's limits dropped")
            )
        if shift := self._moved.get(self.picture.keys[index]):
            word = "aligned" if self.view.times == "aligned" else "clock off"
            marks.append((f"{word} {offset(shift)}", "what its clock is behind the root's by all its calls"))
        return marks

    def _run_marks(self, line: Line) -> Sequence[tuple[str, str]]:
        if line.what == "more":
            return ()
        run = self.picture.runs[line.spans[0]]
        together = "in sequence" if run.at_once == 1 else f"up to {run.at_once:,} at once"
        return [(f"x {len(line.spans):,}", "equal calls, side by side under one parent"), (together, "how they ran")]
