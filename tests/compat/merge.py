"""Put what the environments found into src/ot_bridge/matrix/recorded.json, which compat_matrix.md is printed from.

    python tests/compat/merge.py [--fresh] [RECORD ...]

The records are .compat/*.json, one for each environment. What an environment found takes the place of all that it had
found before; what others found stays, unless --fresh forgets it. Nothing is written, and the exit code is 1, when a
cell fails or is bad without a reason, and when a row lacks a column. A cell that was found in several environments
stays so; the page shows the worst.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ot_bridge.matrix import recorded

__all__ = ["main", "merged", "problems"]

ROOT = Path(__file__).parent.parent.parent
RECORDS = ROOT / ".compat"
TARGET = Path(recorded.__file__).parent / "recorded.json"

Record = Mapping[str, Any]


def merged(before: Iterable[Record], found: Mapping[str, Iterable[Record]]) -> list[Record]:
    """Return the cells of both, in the order of the page.

    Args:
        before: what is recorded.
        found: new cells by the environment that they were found in.
    """
    kept = [cell for cell in before if cell["environment"] not in found]
    new = [{**cell, "environment": name} for name, cells in found.items() for cell in cells]
    return sorted(kept + new, key=_place)


def _place(cell: Record) -> tuple[Any, ...]:
    """Return where a cell stands: rows by name, numbers in them by size, the columns as the section has them."""
    names = list(recorded.SECTIONS)
    section = names.index(cell["section"]) if cell["section"] in names else len(names)
    columns = recorded.SECTIONS[cell["section"]].columns if cell["section"] in names else ()
    column = columns.index(cell["column"]) if cell["column"] in columns else len(columns)
    return section, _natural(cell["row"]), column, _natural(cell["column"]), cell["environment"]


def _natural(text: str) -> list[tuple[int, str]]:
    """Return a key that sorts 3.9 before 3.10, and capitals with the others."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text.lower())]


def problems(cells: Sequence[Record]) -> list[str]:
    """Return why the cells cannot be a page; a section that nobody has run yet is none."""
    found = [f"{cell['section']}: no such section" for cell in cells if cell["section"] not in recorded.SECTIONS]
    if found:
        return found
    unseen = {f"{name}: no row" for name in recorded.SECTIONS}
    return [one for one in recorded.gaps(recorded.Cell(**cell) for cell in cells) if one not in unseen]


def main(words: Sequence[str] | None = None) -> int:
    """Merge, and say what was done or what keeps it from being done."""
    parser = argparse.ArgumentParser(description="Merge the records of environments into the page's data.")
    parser.add_argument("--fresh", action="store_true", help="forget what is recorded")
    parser.add_argument("--target", type=Path, default=TARGET, help=argparse.SUPPRESS)
    parser.add_argument("records", nargs="*", type=Path, metavar="RECORD", help="default: .compat/*.json")
    given = parser.parse_args(words)
    records = given.records or sorted(RECORDS.glob("*.json"))
    if not records:
        print(f"there is no record in {RECORDS}: run make compat", file=sys.stderr)
        return 1
    before = [] if given.fresh else json.loads(given.target.read_text(encoding="utf-8"))
    cells = merged(before, {record.stem: json.loads(record.read_text(encoding="utf-8")) for record in records})
    wrong = problems(cells)
    if wrong:
        print("\n".join(("not merged:", *wrong)), file=sys.stderr)
        return 1
    fresh = given.target.with_suffix(".new")
    fresh.write_text(f"{json.dumps(cells, indent=1, ensure_ascii=True)}\n", encoding="utf-8")
    fresh.replace(given.target)
    print(f"{given.target.name}: {len(cells)} cells, with what was found now in {len(records)} environments")
    return 0


if __name__ == "__main__":
    sys.exit(main())
