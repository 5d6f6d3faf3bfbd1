"""What was found by running it: libraries, both APIs in one process, loops, servers, versions.

``recorded.json`` is written by ``make compat`` from the tests that name a cell of ``SECTIONS`` (tests/compat/cells.py),
and never by hand. What each of them holds is in the test; here is how the page shows it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ot_bridge.matrix.peer_tables import Part

__all__ = ["LEGEND", "RESULTS", "SECTIONS", "Cell", "Section", "gaps", "parts", "recorded"]


class Section(NamedTuple):
    """One table of the page.

    Attributes:
        title: its heading.
        head: what a row is.
        intro: a sentence above the table.
        columns: what every row has been tried in; "" where a row is one result.
        listed: whether each cell is a line of its own, with a column's name in its first cell.
        counts_all: whether all tests of the run are counted, as each of them could have failed there.
    """

    title: str
    head: str
    intro: str
    columns: tuple[str, ...] = ("",)
    listed: bool = False
    counts_all: bool = False


SECTIONS: Final[Mapping[str, Section]] = MappingProxyType(
    {
        "libraries": Section(
            "Libraries",
            "Library",
            "Libraries that were written for OpenTracing, as PyPI has them, with what they instrument for real.",
            listed=True,
        ),
        "worlds": Section(
            "Both APIs in one process",
            "What is instrumented",
            "OpenTracing code beside OpenTelemetry's own instrumentations, see "
            "[docs/auto-instrumentation.md](docs/auto-instrumentation.md).",
            ("OpenTracing alone", "OpenTelemetry alone", "both", "half of each"),
        ),
        "loops": Section(
            "Threads and loops",
            "What runs at the same time",
            "Active spans and baggage, in both APIs, where many things run at the same time; and OpenTracing's scope "
            "managers.",
        ),
        "processes": Section(
            "Servers and processes",
            "Server or process",
            "Every span arrives, also from a worker that is stopped or recycled, and the end is bounded.",
            ("install()", "ot-bridge run"),
        ),
        "versions": Section(
            "Versions",
            "Interpreter and SDK",
            "Spans from a process of its own over both protocols, to a collector and through rotel, and the tests of "
            "what a version could break.",
            ("HTTP", "gRPC"),
            counts_all=True,
        ),
    }
)

RESULTS: Final = ("works", "limited", "unusable", "not run", "fails")
"""What a cell can say, from the best to the worst."""

LEGEND: Final = """\
Printed from the last run of `make compat`, which sets up each environment, starts the servers, and runs the tests.
*works*: every test of it passes. *limited*: it works but for what is said. *unusable*: it does not, with any tracer.
*not run*: the reason is said. A limit without a link is the library's or the server's own.
"""


class Cell(NamedTuple):
    """One result, as tests/compat/recording.py writes it.

    Attributes:
        section: a key of SECTIONS.
        row: what was tested.
        column: one of the section's columns.
        result: works, limited, unusable, not run or fails.
        notes: reasons, each with the heading of its entry in RATIONALE.md, None when the fault is not ot_bridge's.
        tests: how many tests spoke for it.
        python: the version of the interpreter, "" where there was none.
        packages: versions by distribution, None for one that was not installed.
        counterpart: what was on the other side.
        date: of the run, as in ISO 8601.
        environment: which environment it was found in: a session of noxfile.py.
        passed: how many tests of all kinds passed in it then.
    """

    section: str
    row: str
    column: str
    result: str
    notes: Sequence[Mapping[str, Any]]
    tests: int
    python: str
    packages: Mapping[str, str | None]
    counterpart: str
    date: str
    environment: str = ""
    passed: int = 0


@functools.cache
def recorded() -> tuple[Cell, ...]:
    """Return what the last run found, in the order in which it is stored."""
    text = (resources.files(__package__) / "recorded.json").read_text(encoding="utf-8")
    return tuple(Cell(**row) for row in json.loads(text))


def gaps(cells: Iterable[Cell]) -> list[str]:
    """Return what keeps the page from being whole: cells that are empty, failed, or bad without a reason."""
    found: dict[str, dict[str, set[str]]] = {name: {} for name in SECTIONS}
    problems = []
    for cell in cells:
        found[cell.section].setdefault(cell.row, set()).add(cell.column)
        where = f"{cell.section}: {cell.row} {cell.column}".rstrip()
        if cell.result == "fails":
            problems.append(f"{where} fails: {'; '.join(note['text'] for note in cell.notes)}")
        elif cell.result != "works" and not cell.notes:
            problems.append(f"{where} is {cell.result} without a reason")
    for name, rows in found.items():
        if not rows:
            problems.append(f"{name}: no row")
        for row, columns in rows.items():
            if not SECTIONS[name].listed:
                problems += [
                    f"{name}: {row}: nothing for {one}" for one in SECTIONS[name].columns if one not in columns
                ]
    return problems


def parts(name: str, cells: Sequence[Cell]) -> list[Part]:
    """Return a section's table and notes: texts, and tables as pairs of a head and rows."""
    section = SECTIONS[name]
    mine: dict[str, dict[str, list[Cell]]] = {}
    for cell in cells:
        if cell.section == name:
            mine.setdefault(cell.row, {}).setdefault(cell.column, []).append(cell)
    notes: dict[str, int] = {}
    rows: list[Sequence[str]] = []
    if section.listed:
        head: Sequence[str] = (section.head, "Result", "Tested with", "On the other side", "Tests", "Date")
        for row, by_column in mine.items():
            for column, found in by_column.items():
                named = f"{row}, {column}" if column else row
                tests, date = _tests_and_date(section, found)
                rows.append((named, _result(found, notes), _versions(found), found[0].counterpart, tests, date))
    else:
        head = (section.head, *(one or "Result" for one in section.columns), "Tested with", "Tests", "Date")
        for row, by_column in mine.items():
            of_row = [cell for found in by_column.values() for cell in found]
            results = [_result(by_column[column], notes) if column in by_column else "" for column in section.columns]
            rows.append((row, *results, _versions(of_row), *_tests_and_date(section, of_row)))
    listed = "\n".join(f"{number}. {text}" for text, number in notes.items())
    return [section.intro, (head, rows), *([listed] if listed else [])]


def _tests_and_date(section: Section, cells: Sequence[Cell]) -> tuple[str, str]:
    tests = max(cell.passed for cell in cells) if section.counts_all else sum(cell.tests for cell in cells)
    return str(tests), max(cell.date for cell in cells)


def _result(cells: Sequence[Cell], notes: dict[str, int]) -> str:
    """Return the worst that was found, in whichever environment, with the numbers of all reasons."""
    numbers = set()
    for note in (note for cell in cells for note in cell.notes):
        text = note["text"]
        if note["rationale"]:
            anchor = "".join(c for c in note["rationale"].lower().replace(" ", "-") if c.isalnum() or c in "-_")
            text += f" [Why](RATIONALE.md#{anchor})"
        numbers.add(notes.setdefault(text, len(notes) + 1))
    worst = max((cell.result for cell in cells), key=RESULTS.index)
    return f"{worst} ({', '.join(map(str, sorted(numbers)))})" if numbers else worst


def _versions(cells: Sequence[Cell]) -> str:
    """Return the versions, the interpreter's first; those of several cells in one text."""
    found: dict[str, list[str]] = {}
    for cell in cells:
        for name, version in {"Python": cell.python, **cell.packages}.items():
            if version:
                found.setdefault(name, []).append(version)
    return ", ".join(f"{name} {' and '.join(sorted(set(versions)))}" for name, versions in found.items())
