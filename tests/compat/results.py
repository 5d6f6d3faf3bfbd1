"""What a result is, for who writes one: the recording plugin, and noxfile.py for what cannot run."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["ORDER", "empty", "write"]

ORDER = ("works", "limited", "unusable", "not run", "fails")
"""What a cell can say, from the best to the worst."""


def empty(
    section: str,
    row: str,
    column: str,
    *,
    python: str = "",
    packages: Mapping[str, str | None] = {},
    counterpart: str = "",
) -> dict[str, Any]:
    """Return a cell that no test has spoken for yet; see ot_bridge.matrix.recorded.Cell."""
    return {
        "section": section,
        "row": row,
        "column": column,
        "result": "works",
        "notes": [],
        "tests": 0,
        "passed": 0,
        "python": python,
        "packages": dict(packages),
        "counterpart": counterpart,
        "date": datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
    }


def write(cells: Iterable[Mapping[str, Any]], target: Path) -> None:
    """Write the record of one environment, which has the name of the file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps([{**cell, "environment": target.stem} for cell in cells], indent=1)
    target.write_text(f"{text}\n", encoding="utf-8")
