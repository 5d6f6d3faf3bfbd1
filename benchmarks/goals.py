"""What the figures have to be, as data: the goals, the gates, and what a version of Python may cost today.

A goal is met when the median is at most its limit. One that was not measured is not met.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from rich.table import Table as RichTable
from tables import Cell, Table, console

__all__ = ["GATED", "GOALS", "HELD", "Goal", "Verdict", "allowed", "judge", "markdown", "show_verdicts"]

NATIVE: Final = "x native SDK"
JAEGER: Final = "x jaeger-client"
_BRIDGE: Final = "ot_bridge"
_TWICE: Final = "x for twice as many"


class Goal(NamedTuple):
    """One figure, and what it may be at most.

    Attributes:
        metric: what it is, for readers.
        limit: the highest value that is good enough.
        table: the key of the table that has it.
        row: its row.
        column: its column, which says beside what or in which unit.
    """

    metric: str
    limit: float
    table: str
    row: str
    column: str


def _both(metric: str, native: float, jaeger: float | None, table: str, row: str = _BRIDGE) -> list[Goal]:
    found = [Goal(metric, native, table, row, NATIVE)]
    return found if jaeger is None else [*found, Goal(metric, jaeger, table, row, JAEGER)]


def _growing(*names: str) -> list[Goal]:
    # Twice as much may take twice as long, and a little for what the cache of the processor no longer holds.
    return [Goal(f"growth: {name}", 2.2, f"growth, {name}", _BRIDGE, _TWICE) for name in names]


GOALS: Final[tuple[Goal, ...]] = (
    *_both("sampled span", 0.20, 0.27, "spans, sampled"),
    *_both("unsampled span", 0.30, 0.32, "spans, unsampled"),
    *_both("inject, uber", 0.25, 0.60, "inject, 0", "ot_bridge uber"),
    *_both("inject, W3C", 0.25, None, "inject, 0", "ot_bridge W3C"),
    *_both("extract, uber", 0.40, 0.50, "extract, 0", "ot_bridge uber"),
    *_both("extract, W3C", 0.50, None, "extract, 0", "ot_bridge W3C"),
    *_both("make and export, own encoder", 0.22, 0.18, "export", "ot_bridge, own encoder, HTTP"),
    *_both("make and export, official encoder", 0.75, 0.62, "export", "ot_bridge, official OTLP/HTTP"),
    Goal("export alone, own encoder", 0.25, "exporting", "ot_bridge, own encoder, HTTP", "x official"),
    *_both("memory of a live span", 0.35, 0.60, "memory, live"),
    Goal("instructions of a sampled span, CPython 3.11", 50_000, "instructions", _BRIDGE, "W, sampled"),
    Goal("instructions of an unsampled span, CPython 3.11", 22_000, "instructions", _BRIDGE, "W, not sampled"),
    *_growing("tags on one span", "logs on one span", "spans inside each other", "baggage items sent"),
    *_growing("baggage items that a child inherits", "threads at once", "asyncio tasks at once"),
    Goal("import ot_bridge", 15, "footprint", "import ot_bridge", "ms more than the SDK"),
    Goal("everything imported", 15, "footprint", "from ot_bridge import install", "ms more than the SDK"),
    Goal("ot_bridge.install()", 15, "footprint", "ot_bridge.install()", "ms more than the SDK"),
)

GATED: Final = (3, 11)
"""The version of Python that the goals on instructions are for."""

_SAMPLED, _UNSAMPLED = "W, sampled, x no-op", "W, not sampled, x no-op"
# Measured: 7.0 and 3.2; 5.9 to 6.3 and 2.7 to 2.9; 7.3 and 3.1; 7.3 and 3.1. The no-op tracer takes 12,300
# instructions, 7,300 to 8,100 in two builds, 8,300 and 8,000.
HELD: Final[Mapping[tuple[int, int], Mapping[str, float]]] = {
    (3, 10): {_SAMPLED: 7.4, _UNSAMPLED: 3.4},
    (3, 11): {_SAMPLED: 6.6, _UNSAMPLED: 3.1},
    (3, 12): {_SAMPLED: 7.7, _UNSAMPLED: 3.3},
    (3, 13): {_SAMPLED: 7.7, _UNSAMPLED: 3.3},
}
"""Version of Python -> what a span of W has been brought down to, and may not exceed again."""


class Verdict(NamedTuple):
    """A goal, and the figure that was found; None where there is none."""

    goal: Goal
    cell: Cell | None

    @property
    def met(self) -> bool:
        """Whether there is a figure, and it is low enough."""
        return self.cell is not None and self.cell.value <= self.goal.limit

    def texts(self) -> list[str]:
        """Return metric, unit, goal, figure and verdict."""
        unit, limit = self.goal.column, self.goal.limit
        digits = 0 if limit >= 1000 else 1 if limit >= 10 else 2
        # A digit more than the limit of a ratio has: it may be missed by little.
        found = "not measured" if self.cell is None else self.cell.text(digits + (limit < 1))
        return [self.goal.metric, unit, f"{limit:,.{digits}f}", found, "met" if self.met else "NOT met"]


def allowed() -> Mapping[str, float] | None:
    """Return what :data:`HELD` says of this Python; None where it was not measured."""
    return HELD.get(sys.version_info[:2])


def judge(tables: Iterable[Table]) -> list[Verdict]:
    """Return each goal with its figure."""
    by_key = {table.key: table for table in tables}
    return [
        Verdict(goal, by_key[goal.table].cell(goal.row, goal.column) if goal.table in by_key else None)
        for goal in GOALS
    ]


def show_verdicts(verdicts: Iterable[Verdict]) -> None:
    """Print one row a goal."""
    shown = RichTable(title="goals, lower is better", title_justify="left")
    for name, justify in (("", "left"), ("unit", "left"), ("goal", "right"), ("measured", "right"), ("", "left")):
        shown.add_column(name, justify=justify)  # type: ignore[arg-type]
    for verdict in verdicts:
        shown.add_row(*verdict.texts(), style="" if verdict.met else "bold")
    console.print(shown)


def markdown(verdicts: Iterable[Verdict]) -> str:
    """Return one row a goal, as a table of Markdown."""
    lines = [["", "unit", "goal", "measured", ""], ["---", "---", "---:", "---:", "---"]]
    return "\n".join("| " + " | ".join(line) + " |" for line in [*lines, *(verdict.texts() for verdict in verdicts)])
