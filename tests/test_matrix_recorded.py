"""What compat_matrix.md shows of recorded runs: nothing is empty, and nothing is bad without a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from ot_bridge.matrix.recorded import SECTIONS, Cell, gaps, parts, recorded
from test_rationale import ENTRIES

LIBRARY = Cell(
    section="libraries",
    row="Flask-OpenTracing",
    column="",
    result="works",
    notes=(),
    tests=3,
    python="3.13.0",
    packages={"Flask-OpenTracing": "2.0.0", "flask": "3.1.3", "absent": None},
    counterpart="werkzeug",
    date="2026-01-31",
)


def note(text: str, rationale: str | None = None) -> Mapping[str, Any]:
    return {"text": text, "rationale": rationale}


def whole() -> list[Cell]:
    """Return a run that leaves nothing empty."""
    return [
        LIBRARY._replace(section=name, row="a", column=column)
        for name, section in SECTIONS.items()
        for column in section.columns
    ]


def test_what_is_recorded_leaves_no_gap() -> None:
    assert gaps(recorded()) == []


def test_reasons_that_point_to_the_rationale_find_it() -> None:
    named = {entry["rationale"] for cell in recorded() for entry in cell.notes if entry["rationale"]}
    assert sorted(named - ENTRIES.keys()) == []


def test_whole_run_has_no_gap() -> None:
    assert gaps(whole()) == []


@pytest.mark.parametrize("missing", [cell for cell in whole() if cell.section != "libraries"], ids=lambda cell: cell[0])
def test_column_that_a_row_lacks_is_a_gap(missing: Cell) -> None:
    (found,) = gaps([cell for cell in whole() if cell != missing])
    assert found.startswith(f"{missing.section}: ")


@pytest.mark.parametrize(
    ("result", "notes", "problems"),
    [
        ("fails", [note("assert 1 == 2")], ["libraries: a fails: assert 1 == 2"]),
        ("limited", [], ["libraries: a is limited without a reason"]),
        ("unusable", [], ["libraries: a is unusable without a reason"]),
        ("not run", [], ["libraries: a is not run without a reason"]),
        ("not run", [note("no interpreter")], []),
    ],
    ids=lambda value: str(value)[:12],
)
def test_bad_result_needs_a_reason(result: str, notes: Sequence[Mapping[str, Any]], problems: list[str]) -> None:
    first, *rest = whole()
    assert gaps([first._replace(result=result, notes=notes), *rest]) == problems


def test_list_has_a_line_for_each_cell_and_each_reason_once() -> None:
    old = LIBRARY._replace(column="Flask 2", result="limited", notes=[note("slow"), note("blue", "Why?")])
    other = LIBRARY._replace(row="b", result="unusable", notes=[note("slow")])
    intro, (head, rows), reasons = parts("libraries", [LIBRARY, old, other])
    assert intro == SECTIONS["libraries"].intro
    assert [len(row) for row in rows] == [len(head)] * 3
    assert [row[:2] for row in rows] == [
        ("Flask-OpenTracing", "works"),
        ("Flask-OpenTracing, Flask 2", "limited (1, 2)"),
        ("b", "unusable (1)"),
    ]
    assert rows[0][2:] == ("Python 3.13.0, Flask-OpenTracing 2.0.0, flask 3.1.3", "werkzeug", "3", "2026-01-31")
    assert reasons == "1. slow\n2. blue [Why](RATIONALE.md#why)"


def test_grid_has_a_line_for_each_row_with_what_all_its_cells_say() -> None:
    http = LIBRARY._replace(section="versions", row="a", column="HTTP", packages={"sdk": "1.36.0"}, passed=40)
    grpc = http._replace(column="gRPC", python="3.10.1", date="2026-02-01", result="not run", notes=[note("no grpc")])
    _, (head, rows), reasons = parts("versions", [grpc, http])
    assert list(head) == ["Interpreter and SDK", "HTTP", "gRPC", "Tested with", "Tests", "Date"]
    assert rows == [("a", "works", "not run (1)", "Python 3.10.1 and 3.13.0, sdk 1.36.0", "40", "2026-02-01")]
    assert reasons == "1. no grpc"


@pytest.mark.parametrize("section", ["libraries", "loops"])
def test_cell_of_several_environments_shows_the_worst_and_all_versions(section: str) -> None:
    new = LIBRARY._replace(section=section, environment="new")
    old = new._replace(environment="old", python="3.10.1", result="limited", notes=[note("slow")], tests=2)
    _, (_, rows), reasons = parts(section, [new, old])
    (row,) = rows
    assert row[:2] == ("Flask-OpenTracing", "limited (1)")
    assert "Python 3.10.1 and 3.13.0, Flask-OpenTracing 2.0.0, flask 3.1.3" in row
    assert "5" in row
    assert reasons == "1. slow"
