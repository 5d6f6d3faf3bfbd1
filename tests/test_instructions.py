"""Instructions per span, held to a limit: they are the same in each run, whatever else the machine does."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest
from goals import allowed
from tables import Table, from_json

TOPIC = Path(__file__).parent.parent / "benchmarks" / "instructions.py"
LIMIT_S = 300

pytestmark = [
    pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind counts them, and is not installed"),
    pytest.mark.skipif(find_spec("opentelemetry.shim") is None, reason="needs the extra bench, for the peers"),
]


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Table]:
    """One run of the benchmark, without the peers."""
    into = tmp_path_factory.mktemp("instructions") / "tables.json"
    command = [sys.executable, str(TOPIC), "--smoke", "--into", str(into)]
    subprocess.run(command, check=True, capture_output=True, timeout=LIMIT_S)
    return {table.key: table for table in from_json(json.loads(into.read_text(encoding="utf-8")))}


def test_a_span_takes_no_more_instructions_than_it_is_held_to(counted: Mapping[str, Table]) -> None:
    held = allowed()
    if held is None:
        pytest.skip(f"goals.HELD says nothing of Python {sys.version_info.major}.{sys.version_info.minor}")
    table = counted["instructions"]
    cells = {column: table.cell("ot_bridge", column) for column in held}
    found = {column: cell.value for column, cell in cells.items() if cell is not None}
    assert found.keys() == held.keys()
    assert {column: value for column, value in found.items() if value > held[column]} == {}


def test_twice_as_many_take_at_most_twice_the_instructions(counted: Mapping[str, Table]) -> None:
    table = counted["growth, instructions"]
    ratios = {name: table.cell(name, "x for twice as many") for name in table.rows}
    assert len(ratios) == 6
    assert {name: cell for name, cell in ratios.items() if cell is None or cell.value > 2.1} == {}
