"""The generated parts of docs/performance.md, and its chart, from the figures of a full run: performance.json.

python benchmarks/page.py       # writes them again, after a change of the goals or of what is shown
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import chart
import goals
from tables import Table, from_json, to_json

__all__ = ["load", "pages", "save", "write"]

_MARKED: Final = "<!-- {name}: written by make bench -->\n{text}\n<!-- end of {name} -->"
_STORE, _PAGE, _CHART = "performance.json", "performance.md", "performance.svg"


def save(folder: Path, machine: str, tables: Iterable[Table]) -> None:
    """Keep the figures of a run, and write the page and the chart from them."""
    stored = json.dumps({"machine": machine, "tables": to_json(tables)}, indent=1)
    # One line a row: a reader of the difference sees which figure moved.
    stored = re.sub(r"\n {5,}|\n {4}(?=\])", " ", stored)
    (folder / _STORE).write_text(stored + "\n", encoding="utf-8")
    write(folder)


def write(folder: Path) -> None:
    """Write the page and the chart from the stored figures."""
    for name, text in pages(folder, *load(folder)).items():
        (folder / name).write_text(text, encoding="utf-8")


def load(folder: Path) -> tuple[str, list[Table]]:
    """Return the machine and the figures of the last full run."""
    stored = json.loads((folder / _STORE).read_text(encoding="utf-8"))
    return stored["machine"], from_json(stored["tables"])


def pages(folder: Path, machine: str, tables: Iterable[Table]) -> Mapping[str, str]:
    """Return the files that are made from figures; the prose of the page is the one that it has.

    Raises:
        ValueError: the page has no place for them.
    """
    tables = tuple(tables)
    verdicts = goals.judge(tables)
    met = sum(verdict.met for verdict in verdicts)
    text = (folder / _PAGE).read_text(encoding="utf-8")
    summary = f"{met} of {len(verdicts)} goals met. Measured on {machine}."
    text = _put(text, "goals", f"{goals.markdown(verdicts)}\n\n{summary}")
    text = _put(text, "tables", "\n\n".join(map(_section, tables)))
    return {_PAGE: text, _CHART: chart.draw(chart.figures(tables), machine)}


def _section(table: Table) -> str:
    notes = "".join(f"\n\n{note}" for note in table.notes)
    return f"### {table.title[0].upper()}{table.title[1:]}\n\n{table.markdown()}{notes}"


def _put(page: str, name: str, text: str) -> str:
    before, start, rest = page.partition(f"<!-- {name}: ")
    _, end, after = rest.partition(f"<!-- end of {name} -->")
    if not (start and end):
        raise ValueError(f"cannot write {name} into the page: got no marked place, expected <!-- {name}: ... -->")
    return before + _MARKED.format(name=name, text=text) + after


if __name__ == "__main__":
    write(Path(__file__).resolve().parent.parent / "docs")
