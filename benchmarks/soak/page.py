"""What was found, as tables: on the terminal, as JSON, and between two marks of a page."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from soak.latency import HEARTBEAT
from soak.phases import CALIBRATING, EXPORT_FAILED, PHASES, QUEUE_FULL
from soak.verdict import Rule

__all__ = ["Found", "as_json", "show", "write_page"]

_BEGIN, _END = "<!-- soak:begin -->", "<!-- soak:end -->"
_PACKAGES: Final = ("ot-bridge", "opentelemetry-sdk", "opentracing")
_FIGURES: Final = ("p50", "p99", "p99.9", "p99.99", "max")
Row = Sequence[str]


@dataclass(frozen=True)
class Found:
    """All that a run has found."""

    minutes: float
    protocol: str
    rate: float
    """Spans per second, sampled or not."""
    held: float
    """The highest rate that was held while it was sought."""
    cores: Mapping[str, float]
    """Of the application and of the collector, in the phase ``up``."""
    rss_mb: Sequence[float]
    """The lowest and the highest, from the second cycle on."""
    books: Mapping[str, Any]
    lost: Mapping[str, Mapping[str, int]]
    calls: Sequence[Mapping[str, Any]]
    controls: Mapping[str, Sequence[Mapping[str, Any]]]
    """As ``calls``, of the same load without ot_bridge."""
    rules: Sequence[Rule]


def machine() -> str:
    """Say what the figures belong to."""
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {os.cpu_count()} cores, {platform.machine()}; {versions}"


def as_json(found: Found) -> str:
    """Return everything, for machines."""
    rules = [rule._asdict() for rule in found.rules]
    return json.dumps({"machine": machine(), **asdict(found), "rules": rules}, indent=1)


def show(found: Found, console: Console) -> None:
    """Print it."""
    console.print(machine())
    console.print(_summary(found))
    for title, head, rows in _tables(found):
        table = Table(title=title, title_justify="left")
        for number, column in enumerate(head):
            table.add_column(column, justify="right" if number else "left")
        for row in rows:
            table.add_row(*row)
        console.print(table)


def write_page(found: Found, page: Path) -> None:
    """Put it between the marks of a page.

    Raises:
        ValueError: the page has no such marks.
    """
    text = page.read_text(encoding="utf-8")
    parts = [f"{machine()}.", _summary(found)]
    for title, head, rows in _tables(found):
        lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
        parts.append(f"**{title}**")
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    block = "\n\n".join([_BEGIN, *parts, _END])
    changed, times = re.subn(f"{_BEGIN}.*?{_END}", lambda _: block, text, flags=re.DOTALL)
    if times != 1:
        raise ValueError(f"cannot write to {page}: found {times} places, expected one of {_BEGIN} to {_END}")
    page.write_text(changed, encoding="utf-8")


def _summary(found: Found) -> str:
    rate = f"{found.rate:,.0f} spans a second for {found.minutes:.1f} minutes over {found.protocol}"
    cores = ", ".join(f"{who} {cores:.2f}" for who, cores in found.cores.items())
    low, high = found.rss_mb
    return (
        f"{rate}; the highest rate found to be held was {found.held:,.0f}. "
        f"Cores in use while the collector is up: {cores}. Resident memory: {low:.0f} to {high:.0f} MB."
    )


def _tables(found: Found) -> Iterable[tuple[str, Row, list[Row]]]:
    verdicts = {True: "yes", False: "NO", None: "cannot tell"}
    yield (
        "What must hold",
        ("", "holds", "found"),
        [(rule.name, verdicts[rule.holds], rule.found) for rule in found.rules],
    )
    names = ("finished", QUEUE_FULL, EXPORT_FAILED)
    yield (
        "Sampled spans by what the collector did",
        ("", *("finished", "queue full", "export failed", "the collector")),
        [
            (phase.name, *(f"{found.lost[phase.name].get(name, 0):,}" for name in names), phase.meaning)
            for phase in PHASES
        ],
    )
    rows = {(row["phase"], row["call"]): row for row in found.calls}
    order = [phase.name for phase in PHASES]
    listed = [(phase, f"{phase}, all calls") for phase in order]
    yield (
        "Wall time of one call, in microseconds",
        ("", "calls", *_FIGURES),
        [_figures(label, rows[phase, "(all)"]) for phase, label in listed if (phase, "(all)") in rows]
        + [
            _figures(f"up, {call}", row)
            for (phase, call), row in sorted(rows.items())
            if phase == "up" and call not in ("(all)", HEARTBEAT)
        ]
        + [
            _figures(f"{name}, all calls", row)
            for name, control in found.controls.items()
            for row in control
            if row["call"] == "(all)" and row["phase"] == CALIBRATING
        ],
    )
    beats = [(f"{phase}", rows.get((phase, HEARTBEAT))) for phase in order]
    beats += [(name, row) for name, control in found.controls.items() for row in control if row["call"] == HEARTBEAT]
    yield (
        "How late a thread wakes that only sleeps, in microseconds",
        ("", "times", *_FIGURES),
        [_figures(name, row) for name, row in beats if row],
    )


def _figures(label: str, row: Mapping[str, Any]) -> Row:
    return (label, f"{row['calls']:,}", *(f"{row[figure]:,.1f}" for figure in _FIGURES))
