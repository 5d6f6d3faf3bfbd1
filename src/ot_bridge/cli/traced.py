"""Prints a trace for people: its title, what was found, the tree; of several a table first."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from ot_bridge.traces.analyse import Analysis
from ot_bridge.traces.analyse.finding import SEVERITIES
from ot_bridge.traces.instrumentation import producer
from ot_bridge.traces.render.details import Details
from ot_bridge.traces.render.harmless import cut, harmless
from ot_bridge.traces.render.report import time_text
from ot_bridge.traces.render.terminal import draw, print_findings
from ot_bridge.traces.tree import Trace
from ot_bridge.traces.words import duration, number, plural

__all__ = ["Read", "badness", "console", "show", "table"]

_PLAIN_WIDTH = 120
_ROWS = 20
_FINDINGS = 15

Read = tuple[Trace, Analysis]


class _Console(Console):
    """Leaves a closed pipe to the command, which knows what to exit with."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """Make a console: of a pipe's width, unless COLUMNS says another one, and without markup or emoji."""
    columns = os.environ.get("COLUMNS", "")
    width = None if sys.stdout.isatty() else int(columns) if columns.isdecimal() and int(columns) else _PLAIN_WIDTH
    return _Console(width=width, highlight=False, markup=False, emoji=False)


def badness(read: Read) -> tuple[int, int, int]:
    """Order traces by how much they deserve a look: the worst finding, then errors, then the duration."""
    trace, analysis = read
    worst = min((SEVERITIES.index(one.severity) for one in analysis.findings), default=len(SEVERITIES))
    return -worst, len(analysis.reading.errors), trace.duration_ns


def show(read: Read, to: Console, *, whole: bool, notes: Sequence[str]) -> None:
    """Print one trace."""
    trace, analysis = read
    to.print(Text(_title(read), "bold"), soft_wrap=True)
    libraries = {str(producer(span)) for span in trace.spans}
    if len(libraries) == 1 and libraries != {"unknown"}:
        to.print(Text(f"all spans produced by {_safe(libraries.pop(), to)}", "dim"), soft_wrap=True)
    for note in notes:
        to.print(Text(f"note: {_safe(note, to)}", "yellow"), soft_wrap=True)
    to.print()
    if analysis.findings:
        print_findings(analysis.findings, to, most=None if whole else _FINDINGS)
        if not whole and (more := len(analysis.findings) - _FINDINGS) > 0:
            to.print(Text(f"     {plural(more, 'finding')} more: --all", "dim"))
    else:
        to.print("no findings")
    to.print()
    to.print(draw(trace, to.width, analysis=analysis, shown=Details(plumbing=whole), whole=whole))


def _title(read: Read) -> str:
    trace, analysis = read
    parts = [
        f"{plural(len(trace), 'span')} of {plural(len(trace.services), 'service')}",
        duration(trace.duration_ns),
        *([plural(len(analysis.reading.errors), "error")] if analysis.reading.errors else []),
        f"began {time_text(trace.start_ns)[:23].replace('T', ' ')} UTC",
    ]
    ids = " and ".join(f"{one:032x}" for one in trace.trace_ids)
    return f"trace {ids}  {', '.join(parts)}"


def table(found: Sequence[Read], shown: Read, source: str, to: Console, *, whole: bool) -> None:
    """Print a row for each of several traces, and which of them is shown below."""
    rows = sorted(found, key=badness, reverse=True)
    listed = rows if whole else rows[:_ROWS]
    to.print(Text(f"{plural(len(found), 'trace')} in {_safe(source, to)}, the worst first", "bold"), soft_wrap=True)
    to.print(Text(f"{'trace id':<32}  {'duration':>9}  {'spans':>6}  {'errors':>6}  found", "dim"), soft_wrap=True)
    for trace, analysis in listed:
        root = trace.spans[trace.root]
        worst = analysis.findings[0] if analysis.findings else None
        said = f"{worst.severity} {worst.rule}" if worst is not None else "nothing"
        named = cut(_safe(f"{root.service} {root.name}", to), 60)
        errors = len(analysis.reading.errors)
        line = (
            f"{trace.trace_id:032x}  {duration(trace.duration_ns):>9}  {number(len(trace)):>6}  {errors or '':>6}  "
            f"{said:<24}  {named}"
        )
        to.print(Text(line, "" if trace is not shown[0] else "bold"), soft_wrap=True)
    if len(rows) > len(listed):
        to.print(Text(f"{plural(len(rows) - len(listed), 'trace')} more: --all", "dim"), soft_wrap=True)
    to.print(Text("below is the first of them; another one: --trace ID, the beginning of the id will do", "dim"))
    to.print()


def _safe(text: str, to: Console) -> str:
    return harmless(text, to.encoding)
