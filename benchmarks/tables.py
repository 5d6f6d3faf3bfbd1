"""What a topic found: tables of figures, shown on the terminal, in Markdown, and kept as JSON."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table as RichTable

__all__ = ["Cell", "Column", "Table", "console", "from_json", "machine", "show", "show_machine", "to_json"]

console = Console(width=None if Console().is_terminal else 120)

_PACKAGES = ("ot-bridge", "opentelemetry-sdk", "opentelemetry-opentracing-shim", "jaeger-client", "opentracing")


class Cell(NamedTuple):
    """One figure; ``low`` and ``high`` are the middle half of the rounds, where there were rounds."""

    value: float
    low: float | None = None
    high: float | None = None

    def text(self, digits: int) -> str:
        """Return the figure with so many digits after the point, and its spread."""
        if self.low is None or self.high is None:
            return f"{self.value:,.{digits}f}"
        dash = "-" if self.low >= 0 else " to "
        return f"{self.value:,.{digits}f} ({self.low:,.{digits}f}{dash}{self.high:,.{digits}f})"


class Column(NamedTuple):
    """The name of a column, with its unit, and the digits after the point."""

    name: str
    digits: int = 2


@dataclass
class Table:
    """Figures by row and column.

    Attributes:
        key: the name by which a goal asks for it.
        title: what was measured, for readers.
        columns: from left to right.
        rows: name -> one cell for each column; None where there is no figure.
        notes: sentences below it.
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: dict[str, list[Cell | None]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def cell(self, row: str, column: str) -> Cell | None:
        """Return a figure; None where there is none."""
        names = [one.name for one in self.columns]
        return self.rows[row][names.index(column)] if row in self.rows and column in names else None

    def texts(self) -> Iterable[list[str]]:
        """Return each row as texts, its name first."""
        for name, cells in self.rows.items():
            pairs = zip(self.columns, cells, strict=True)
            yield [name, *("" if cell is None else cell.text(column.digits) for column, cell in pairs)]

    def markdown(self) -> str:
        """Return it as a table of Markdown, without its title."""
        heads = ["", *(column.name for column in self.columns)]
        lines = [heads, ["---", *("---:" for _ in self.columns)], *self.texts()]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def show(table: Table) -> None:
    """Print a table on the terminal."""
    shown = RichTable(title=table.title, title_justify="left")
    shown.add_column("")
    for column in table.columns:
        shown.add_column(column.name, justify="right")
    for row in table.texts():
        shown.add_row(*row)
    console.print(shown)
    for note in table.notes:
        console.print(note)


def show_machine() -> None:
    """Print what the figures belong to."""
    console.print(machine())


def machine() -> str:
    """Return the processor, and the versions of what runs on it."""
    versions = [f"{platform.python_implementation()} {platform.python_version()}"]
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            versions.append(f"{name} {version(name)}")
    return f"{_processor()}, {os.cpu_count()} cores; {', '.join(versions)}"


def to_json(tables: Iterable[Table]) -> list[dict[str, Any]]:
    """Return tables as plain lists, dicts, texts and numbers, of six digits."""
    return [
        {
            "key": table.key,
            "title": table.title,
            "columns": [list(column) for column in table.columns],
            "rows": {name: list(map(_plain, cells)) for name, cells in table.rows.items()},
            "notes": table.notes,
        }
        for table in tables
    ]


def from_json(data: Iterable[Mapping[str, Any]]) -> list[Table]:
    """Return the tables that :func:`to_json` was given."""
    return [
        Table(
            one["key"],
            one["title"],
            tuple(Column(*column) for column in one["columns"]),
            {name: [cell and Cell(*cell) for cell in cells] for name, cells in one["rows"].items()},
            list(one["notes"]),
        )
        for one in data
    ]


def _plain(cell: Cell | None) -> list[float | None] | None:
    return cell and [None if value is None else float(f"{value:.6g}") for value in cell]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
