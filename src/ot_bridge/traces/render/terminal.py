"""One trace for the terminal: what was found first, then the tree, a line for each span with its details below.

`draw` is what `ot-bridge demo` and `ot-bridge trace` show. Everything that comes from a span is made harmless before it
is printed: neither a control character nor what the encoding cannot hold leaves here.
"""

from __future__ import annotations

import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.text import Text

from ot_bridge.traces.analyse import Analysis, Finding, Severity
from ot_bridge.traces.analyse.blocking import is_blocking
from ot_bridge.traces.analyse.errors import error_marks
from ot_bridge.traces.analyse.runs import Run
from ot_bridge.traces.instrumentation import hop, producer
from ot_bridge.traces.model import ENTRIES, LogRecord, Span
from ot_bridge.traces.render.bars import ASCII, BLOCKS, Bars, Glyphs
from ot_bridge.traces.render.details import Details, Parts, details, log_line
from ot_bridge.traces.render.harmless import cut, harmless
from ot_bridge.traces.render.rows import Row, rows
from ot_bridge.traces.tree import Trace
from ot_bridge.traces.words import duration, number, plural

__all__ = ["Drawing", "draw", "print_findings"]

_HEADS = ("duration", "", "produced by", "carried by")
_BLANKS = re.compile(r"\s+|\S+")
_GAP = 2
_COLUMNS_PER_LEVEL = 10
_BAR_MIN, _BAR_MAX = 16, 60
_LONG_NAME = 120
_LONG_PRODUCER = 40
# So many labels may stand on a line of their own before all rows get two lines.
_OUTLIERS = 0.1
_LEAST = 24
_PROSE = 120
_SIGNS: Mapping[Severity, tuple[str, str]] = {
    "error": ("x ERROR", "bold red"),
    "warning": ("! warning", "yellow"),
    "note": ("- note", "dim"),
}


class _Guides(NamedTuple):
    more: str
    last: str
    through: str
    none: str = "    "


_LINES = _Guides("\u251c\u2500\u2500 ", "\u2514\u2500\u2500 ", "\u2502   ")
_PLAIN = _Guides("+-- ", "`-- ", "|   ")


class _Line(NamedTuple):
    """A row of the tree, placed.

    Attributes:
        prefix: the guides before the label.
        below: the guides before the lines that follow it.
    """

    row: Row | None
    prefix: str
    below: str
    label: Parts
    columns: Sequence[str] = ("", "", "", "")
    bar: str = ""


def draw(
    trace: Trace,
    width: int,
    *,
    skipped: Mapping[str, str] | None = None,
    analysis: Analysis | None = None,
    shown: Details | None = None,
    whole: bool = False,
) -> Drawing:
    """Draw a trace.

    Args:
        trace: any.
        width: columns of the terminal; where the tree is too wide for it, a span gets two lines.
        skipped: services that had nothing to do, each with the reason; drawn as the last branches of the root.
        analysis: what was found in it: gives bars, marks at the spans that findings name, folded repeats, and a summary
            of a long trace.
        shown: which details.
        whole: no row is folded or left out.
    """
    return Drawing(trace, width, skipped or {}, analysis, shown or Details(times=analysis is not None), whole)


class Drawing:
    """A tree that rich prints."""

    def __init__(
        self,
        trace: Trace,
        width: int,
        skipped: Mapping[str, str],
        analysis: Analysis | None,
        shown: Details,
        whole: bool,
    ) -> None:
        self._trace = trace
        self._start_ns = trace.start_ns
        self._width = width
        # Guides take four columns a level, and must leave room for what they lead to.
        self._deepest = max(2, width // _COLUMNS_PER_LEVEL)
        self._skipped = skipped
        self._analysis = analysis
        self._shown = shown
        self._whole = whole
        self._errors = error_marks(trace) if analysis is None else analysis.reading.errors
        self._above_errors = _above(trace, self._errors)
        self._producers = {producer(span) for span in trace.spans}
        self._encoding = "utf-8"
        self._marks = _marks(analysis)
        self._logs: dict[int, list[LogRecord]] = defaultdict(list)
        self._loose: list[LogRecord] = []
        for record in trace.logs:
            index = trace.index_of(record.span_id)
            if index is None:
                self._loose.append(record)
            else:
                self._logs[index].append(record)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Print it."""
        for parts in self.lines(console.encoding):
            for text, style in parts:
                yield Segment(text, console.get_style(style) if style else None)
            yield Segment.line()

    def lines(self, encoding: str = "utf-8") -> Iterator[Parts]:
        """Yield the lines as a terminal of this encoding can show them."""
        self._encoding = encoding
        ascii_only = not encoding.lower().startswith("utf")
        lines = list(self._place(_PLAIN if ascii_only else _LINES))
        columns = [max((cell_len(line.columns[at]) for line in lines), default=0) for at in range(4)]
        columns = [max(width, cell_len(head)) if width else 0 for width, head in zip(columns, _HEADS, strict=True)]
        columns[0], columns[1] = max(columns[0], 8), 5
        labels = sorted(cell_len(line.prefix) + _length(line.label) for line in lines)
        right = sum(width + _GAP for width in columns if width)
        room = self._width - right
        fitting = labels[int((len(labels) - 1) * (1 - _OUTLIERS))] if len(labels) > 20 else labels[-1] if labels else 0
        if fitting > room or room < _LEAST:
            for line in lines:
                yield from self._two_lines(line)
        else:
            yield from self._one_line_each(lines, columns, min(max(labels, default=0), room), ascii_only)
        if self._loose and self._shown.events:
            yield []
            yield [("log records of this trace that name none of its spans", "dim")]
            for record in self._loose:
                yield from _wrapped(self._safe(log_line(record, self._shown)), self._width, "  ")

    def _safe(self, parts: Parts) -> Parts:
        return [(harmless(text, self._encoding), style) for text, style in parts]

    def _one_line_each(
        self, lines: Sequence[_Line], widths: Sequence[int], labels: int, ascii_only: bool
    ) -> Iterator[Parts]:
        right = sum(width + _GAP for width in widths if width)
        bar = min(self._width - right - labels - _GAP, _BAR_MAX) if self._analysis is not None else 0
        bars = None
        if bar >= _BAR_MIN and self._analysis is not None:
            glyphs = ASCII if ascii_only else BLOCKS
            bars = Bars(self._analysis.reading, bar, glyphs)
            yield from _wrapped([(_legend(glyphs), "dim")], self._width, "")
        name = labels + _GAP if bars else self._width - right + _GAP
        yield _stripped([("span".ljust(name), "dim"), *_cells(_HEADS, widths, ("dim",) * 4)])
        for line in lines:
            label = [(line.prefix, "dim"), *line.label]
            if _length(label) > name:
                yield from _wrapped(line.label, self._width, line.prefix, line.below)
                label = [(line.below, "dim")]
            parts = [*label, (" " * (name - _length(label)), "")]
            if line.row is not None:
                parts += _cells(line.columns, widths, ("", "bold red" if line.columns[1] == "ERROR" else "red", "", ""))
                if bars is not None and line.row.span >= 0:
                    parts.append((bars.bar(line.row.spans), self._bar_style(line.row)))
            yield _stripped(parts)
            yield from self._details(line)

    def _two_lines(self, line: _Line) -> Iterator[Parts]:
        took, error, made_by, carried_by = line.columns
        label = [*line.label, *([(f"  {took}", "")] if took else []), *([(f"  {error}", "bold red")] if error else [])]
        yield from _wrapped(label, self._width, line.prefix, line.below)
        by = made_by + (f", carried by {carried_by}" if carried_by else "")
        if by:
            yield from _wrapped([(by, "dim")], self._width, line.below)
        yield from self._details(line)

    def _details(self, line: _Line) -> Iterator[Parts]:
        row = line.row
        if row is None or row.span < 0:
            return
        if row.run is None:
            span, logs = self._trace.spans[row.span], self._logs.get(row.span, ())
            for parts in details(span, logs, self._shown, self._start_ns):
                yield from _wrapped(self._safe(parts), self._width, line.below + "  ")
        if row.hidden:
            yield [(f"{line.below}  {_left_out(row)}", "dim")]

    def _bar_style(self, row: Row) -> str:
        return "red" if any(one in self._errors for one in row.spans) else "green"

    def _place(self, guides: _Guides) -> Iterator[_Line]:
        """Go through the rows with the guides before each."""
        top = rows(self._trace, self._analysis, whole=self._whole)
        for at, root in enumerate(top):
            stack = [(root, "", "", 0)]
            while stack:
                row, prefix, below, depth = stack.pop()
                yield self._line(row, prefix, below, depth)
                skipped = self._skipped if at == 0 and depth == 0 else {}
                deeper = depth < self._deepest
                for place, child in enumerate(reversed(row.below)):
                    last = place == 0 and not skipped
                    before = below + (guides.last if last else guides.more) if deeper else below
                    after = below + (guides.none if last else guides.through) if deeper else below
                    stack.append((child, before, after, depth + 1))
            for place, (service, reason) in enumerate((self._skipped if at == 0 else {}).items(), 1):
                label = [(service, "bold dim"), (f"  skipped: {reason}", "dim")]
                yield _Line(None, guides.last if place == len(self._skipped) else guides.more, "", label)

    def _line(self, row: Row, prefix: str, below: str, depth: int) -> _Line:
        if row.span < 0:
            return _Line(None, prefix, below, [(_left_out(row), "dim")])
        trace, span = self._trace, self._trace.spans[row.span]
        label = self._safe(
            [
                (cut(span.service, _LONG_NAME), "bold cyan" if span.kind == "server" else "cyan"),
                (f" {cut(span.name, _LONG_NAME)}", ""),
            ]
        )
        if depth > self._deepest:
            label.insert(0, (f"(level {number(self._trace.depths[row.span])}) ", "dim"))
        if row.levels:
            label.append((f"  ({plural(row.levels, 'level')} left out above)", "dim"))
        above = trace.parents[row.span]
        if above >= 0 and self._analysis is not None and not is_blocking(trace.spans[above], span):
            label.append(("  async", "dim"))
        if row.run is not None:
            label = self._folded(row.run)
            columns = (duration(row.run.total_ns), "", self._made_by(span), self._carried_by(row.span))
            return _Line(row, prefix, below, label, columns)
        label += [(f"  [{mark}]", "bold yellow") for mark in self._marks.get(row.span, ())]
        error = "ERROR" if row.span in self._errors else "below" if row.span in self._above_errors else ""
        columns = (duration(span.duration_ns), error, self._made_by(span), self._carried_by(row.span))
        return _Line(row, prefix, below, label, columns)

    def _folded(self, run: Run) -> Parts:
        together = "in sequence" if run.at_once == 1 else f"up to {number(run.at_once)} at once"
        marks = sorted({mark for one in run.spans for mark in self._marks.get(one, ())})
        service = self._trace.spans[run.spans[0]].service
        return [
            *self._safe([(cut(service, _LONG_NAME), "cyan"), (f" {cut(run.label, _LONG_NAME)}", "")]),
            (f"  x {number(len(run.spans))}", "bold"),
            (f", {together}", "dim"),
            *((f"  [{mark}]", "bold yellow") for mark in marks),
        ]

    def _made_by(self, span: Span) -> str:
        """Name the library; the title does where it is one for all."""
        if self._analysis is not None and len(self._producers) == 1:
            return ""
        return harmless(cut(str(producer(span)), _LONG_PRODUCER), self._encoding)

    def _carried_by(self, index: int) -> str:
        span, above = self._trace.spans[index], self._trace.parents[index]
        if span.kind not in ENTRIES or not span.parent_id:
            return ""
        found = hop(span, self._trace.spans[above] if above >= 0 else None)
        if found.followed is None:
            return "nothing" if found.arrived else ""
        return found.followed if found.certainty == "sure" else f"{found.followed} ?"


def print_findings(findings: Sequence[Finding], console: Console, *, most: int | None = None) -> None:
    """Print what was found, `most` of it; the numbers in front are those of the marks in the tree."""
    for parts in _findings(findings[:most], console):
        console.print(Text.assemble(*parts), soft_wrap=True)


def _findings(findings: Sequence[Finding], console: Console) -> Iterator[Parts]:
    width = min(console.width, _PROSE)
    for place, finding in enumerate(findings, 1):
        sign, style = _SIGNS[finding.severity]
        head = f"{place:>3}  {sign:<9}  {finding.certainty:<6}  "
        room = max(width - len(head), _LEAST)
        indent = " " * len(head)
        for words in filter(None, (finding.text, finding.advice and f"-> {finding.advice}")):
            text = harmless(" ".join(words.split()), console.encoding)
            for line in textwrap.wrap(text, room, break_on_hyphens=False):
                yield [(head, style), (line, "")]
                head = indent


def _marks(analysis: Analysis | None) -> dict[int, list[int]]:
    """Number the spans that findings name, except mere notes."""
    found: dict[int, list[int]] = defaultdict(list)
    for place, finding in enumerate(analysis.findings if analysis is not None else (), 1):
        if finding.severity != "note":
            for index in finding.spans:
                found[index].append(place)
    return found


def _above(trace: Trace, errors: Mapping[int, object]) -> set[int]:
    """Return the spans above a failed one that did not fail themselves."""
    found = set[int]()
    for index in errors:
        while (index := trace.parents[index]) >= 0 and index not in errors and index not in found:
            found.add(index)
    return found


def _left_out(row: Row) -> str:
    errors = f", {plural(row.hidden_errors, 'error')}" if row.hidden_errors else ""
    return f"{plural(row.hidden, 'span')} more{errors}"


def _legend(glyphs: Glyphs) -> str:
    critical, own, waiting = glyphs
    return f"bars: {critical * 2} the request waited for this  {own * 2} own time beside that  {waiting * 2} waiting"


def _cells(cells: Sequence[str], widths: Sequence[int], styles: Sequence[str]) -> Parts:
    parts: Parts = []
    for at, (cell, width, style) in enumerate(zip(cells, widths, styles, strict=True)):
        if width:
            filling = " " * (width - cell_len(cell))
            parts.append((f"{filling}{cell}" if at == 0 else f"{cell}{filling}", style))
            parts.append((" " * _GAP, ""))
    return parts


def _length(parts: Parts) -> int:
    return sum(cell_len(text) for text, _ in parts)


def _stripped(parts: Parts) -> Parts:
    while parts and not parts[-1][0].strip():
        parts = parts[:-1]
    return [*parts[:-1], (parts[-1][0].rstrip(), parts[-1][1])] if parts else []


def _wrapped(parts: Parts, width: int, first: str, then: str | None = None) -> Iterator[Parts]:
    """Break a line between words, and a word that is too long for one; the guides stand before each piece."""
    then = first if then is None else then
    room = max(width - cell_len(first), _LEAST)
    line, used, guides = list[tuple[str, str]](), 0, first
    for piece, style in _pieces(parts, room):
        if used and used + cell_len(piece) > room:
            yield _stripped([(guides, "dim"), *line])
            line, used, guides = [], 0, then
            if piece.isspace():
                continue
        line.append((piece, style))
        used += cell_len(piece)
    yield _stripped([(guides, "dim"), *line])


def _pieces(parts: Parts, room: int) -> Iterator[tuple[str, str]]:
    """Yield words and the blanks between them; none is wider than the room."""
    for text, style in parts:
        for piece in _BLANKS.findall(text):
            if cell_len(piece) <= room:
                yield piece, style
            else:
                # Some characters take two columns.
                step = max(1, room if piece.isascii() else room // 2)
                yield from ((piece[at : at + step], style) for at in range(0, len(piece), step))
