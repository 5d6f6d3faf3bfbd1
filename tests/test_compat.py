"""How results of environments become compat_matrix.md: which versions are run, what is recorded, what is merged."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from compat import merge, versions
from compat.results import ORDER, empty, write
from ot_bridge.matrix.recorded import RESULTS, SECTIONS, Cell, recorded

ROOT = Path(__file__).parent.parent


# -- versions ----------------------------------------------------------------------------------------------------------


def test_every_python_of_the_package_runs_the_lowest_and_the_newest_sdk() -> None:
    lowest, newest = versions.minors()[0], versions.minors()[-1]
    run = {(pair.python, pair.requirement) for pair in versions.pairs()}
    classifiers = metadata.metadata("ot-bridge").get_all("Classifier") or []
    pythons = [found[1] for one in classifiers if (found := re.search(r":: Python :: (3\.\d+)$", one))]
    assert pythons == list(versions.PYTHONS)
    assert {(python, sdk) for python in pythons for sdk in (f"=={lowest}.0", f"~={newest}.0")} <= run


def test_every_sdk_of_the_range_is_run() -> None:
    assert {pair.sdk for pair in versions.pairs()} == set(versions.minors())


def test_range_is_that_of_the_package() -> None:
    lowest, newest = versions.minors()[0], versions.minors()[-1]
    ends = f"<1.{int(newest.removeprefix('1.')) + 1},>={lowest}"
    needed = [
        one for one in metadata.requires("ot-bridge") or () if one.startswith("opentelemetry-") and ";" not in one
    ]
    assert needed == [f"opentelemetry-{name}{ends}" for name in ("api", "exporter-otlp", "sdk")]


def test_dependencies_with_different_ranges_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "pyproject.toml"
    other.write_text('"opentelemetry-api>=1.36,<1.46", "opentelemetry-sdk>=1.35,<1.46"', encoding="utf-8")
    monkeypatch.setattr(versions, "PYPROJECT", other)
    with pytest.raises(ValueError, match="not one range"):
        versions.minors()


def test_make_test_lowest_installs_the_lowest_sdk() -> None:
    words = [shutil.which("make") or "make", "--dry-run", "--always-make", "test-lowest"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    lowest = versions.minors()[0]
    assert f"opentelemetry-sdk=={lowest}.0" in done.stdout
    assert f"opentelemetry-opentracing-shim==0.{int(lowest.removeprefix('1.')) + 21}b0" in done.stdout


def test_tests_of_the_smoke_set_are_there() -> None:
    assert [path for path in versions.SMOKE if not (ROOT / path).exists()] == []


def test_interpreter_that_is_absent_is_not_run_with_the_reason() -> None:
    pair = versions.Pair("3.14", "1.45", "~=1.45.0")
    cells = [{**cell, "environment": pair.record} for cell in versions.absent(pair)]
    assert [(cell["row"], cell["column"], cell["result"]) for cell in cells] == [
        ("Python 3.14, OpenTelemetry SDK 1.45", "HTTP", "not run"),
        ("Python 3.14, OpenTelemetry SDK 1.45", "gRPC", "not run"),
    ]
    assert merge.problems(cells) == []


# -- records -----------------------------------------------------------------------------------------------------------

TESTS = """
import pytest
from compat.cells import cell, limited, unusable

pytestmark = cell("libraries", "a", packages=("pytest", "no-such-thing"), counterpart="a server")

def test_works(): pass

@limited("slow")
def test_limited(): pass

@limited("slow")
@pytest.mark.parametrize("n", [1, 2, 3])
def test_limited_alike(n): pass

@unusable("gone")
@cell("libraries", "b")
def test_unusable(): pass

@cell("loops", "c")
def test_fails(): assert "this" == "that"

@cell("loops", "d")
def test_skipped(): pytest.skip("no server")

@cell("loops", "e")
def test_fails_at_its_end(request): request.addfinalizer(lambda: 1 / 0)

def test_of_no_cell(): pass
test_of_no_cell.pytestmark = []
"""


def recorded_by(folder: Path, *words: str, tests: str = TESTS) -> tuple[int, dict[str, Any]]:
    """Run the tests in a pytest of their own; return its exit code, and the cells by their rows."""
    (folder / "test_them.py").write_text(tests, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "compat.recording",
        "-p",
        "no:cacheprovider",
        "--record=found.json",
    ]
    done = subprocess.run(
        [*command, "-o", f"pythonpath={ROOT / 'tests'}", "--rootdir=.", *words],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (folder / "found.json").exists(), done.stdout + done.stderr
    return done.returncode, {cell["row"]: cell for cell in json.loads((folder / "found.json").read_text())}


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one", "xdist"])
def test_cell_says_what_its_worst_test_says(workers: tuple[str, ...], tmp_path: Path) -> None:
    if workers:
        pytest.importorskip("xdist", reason="needs pytest-xdist")
    _, cells = recorded_by(tmp_path, *workers)
    assert {row: (cell["result"], cell["tests"]) for row, cell in cells.items()} == {
        "a": ("limited", 6),
        "b": ("unusable", 1),
        "c": ("fails", 1),
        "d": ("not run", 1),
        "e": ("fails", 2),
    }
    assert cells["a"]["notes"] == [{"text": "slow", "rationale": None}]
    assert (cells["a"]["packages"]["pytest"], cells["a"]["packages"]["no-such-thing"]) == (pytest.__version__, None)
    assert (cells["a"]["counterpart"], cells["a"]["environment"]) == ("a server", "found")
    assert set(cells["a"]) == set(Cell._fields)
    assert {cell["passed"] for cell in cells.values()} == {8}


def test_results_are_those_of_the_page() -> None:
    assert ORDER == RESULTS


def test_one_section_is_recorded_alone(tmp_path: Path) -> None:
    assert set(recorded_by(tmp_path, "--record-section=libraries")[1]) == {"a", "b"}


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["one", "xdist"])
@pytest.mark.parametrize(
    "tests",
    ["import pytest\ndef test_it(): pytest.skip('x')\n", "import pytest\npytest.importorskip('no_such_thing')\n"],
    ids=["test", "module"],
)
def test_skip_fails_the_run_where_none_may_be(tests: str, workers: tuple[str, ...], tmp_path: Path) -> None:
    if workers:
        pytest.importorskip("xdist", reason="needs pytest-xdist")
    other = "def test_other(): pass\n"
    (tmp_path / "test_other.py").write_text(other, encoding="utf-8")
    assert recorded_by(tmp_path, *workers, tests=tests)[0] == 0
    assert recorded_by(tmp_path, "--no-skips", *workers, tests=tests)[0] == 1


# -- merging -----------------------------------------------------------------------------------------------------------


def cell(section: str, row: str, column: str = "", **more: Any) -> dict[str, Any]:
    return {**empty(section, row, column, python="3.13.0"), "tests": 1, "environment": "one", **more}


def rows(cells: list[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [(one["row"], one["column"]) for one in cells]


def test_environment_replaces_what_it_found_and_nothing_else() -> None:
    before = [cell("loops", "a"), cell("loops", "b"), cell("loops", "c", environment="other")]
    after = merge.merged(before, {"one": [cell("loops", "b", tests=7)]})
    assert [(one["row"], one["tests"], one["environment"]) for one in after] == [("b", 7, "one"), ("c", 1, "other")]


def test_cells_stand_by_section_then_by_number_in_the_name_then_by_column() -> None:
    found = [
        *(cell("versions", f"Python {python}", column) for python in ("3.10", "3.9") for column in ("gRPC", "HTTP")),
        cell("libraries", "b", "Flask 10"),
        cell("libraries", "b", "Flask 9"),
        cell("libraries", "A"),
    ]
    assert rows(merge.merged([], {"one": found})) == [
        ("A", ""),
        ("b", "Flask 9"),
        ("b", "Flask 10"),
        ("Python 3.9", "HTTP"),
        ("Python 3.9", "gRPC"),
        ("Python 3.10", "HTTP"),
        ("Python 3.10", "gRPC"),
    ]


BOTH = (cell("versions", "a", "HTTP"), cell("versions", "a", "gRPC"))


@pytest.mark.parametrize(
    ("cells", "wrong"),
    [
        (BOTH, []),
        (BOTH[:1], ["versions: a: nothing for gRPC"]),
        ((*BOTH, cell("loops", "x", result="fails", notes=[{"text": "1 == 2"}])), ["loops: x fails: 1 == 2"]),
        ((cell("loops", "x", result="not run"),), ["loops: x is not run without a reason"]),
        ((cell("loops", "x"), cell("loops", "x", environment="two")), []),
        ((cell("elsewhere", "x"),), ["elsewhere: no such section"]),
    ],
    ids=["whole", "column", "fails", "reason", "twice", "section"],
)
def test_what_cannot_be_a_page_is_refused(cells: tuple[dict[str, Any], ...], wrong: list[str]) -> None:
    assert merge.problems(cells) == wrong


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A file with the results of an environment ``old``."""
    path = tmp_path / "recorded.json"
    path.write_text(json.dumps([cell("loops", "old", environment="old")]), encoding="utf-8")
    return path


def test_merge_writes_what_is_recorded(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(BOTH, target.parent / "one.json")
    assert merge.main([f"--target={target}", str(target.parent / "one.json")]) == 0
    assert rows(json.loads(target.read_text())) == [("old", ""), ("a", "HTTP"), ("a", "gRPC")]
    assert "3 cells" in capsys.readouterr().out
    assert merge.main([f"--target={target}", "--fresh", str(target.parent / "one.json")]) == 0
    assert rows(json.loads(target.read_text())) == [("a", "HTTP"), ("a", "gRPC")]


def test_merge_writes_nothing_when_it_refuses(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = target.read_bytes()
    write(BOTH[:1], target.parent / "one.json")
    assert merge.main([f"--target={target}", str(target.parent / "one.json")]) == 1
    assert target.read_bytes() == before
    assert capsys.readouterr().err == "not merged:\nversions: a: nothing for gRPC\n"


def test_merge_without_a_record_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(merge, "RECORDS", tmp_path)
    assert merge.main([]) == 1
    assert capsys.readouterr().err == f"there is no record in {tmp_path}: run make compat\n"


def test_recorded_cells_are_in_the_order_of_the_page() -> None:
    cells = [one._asdict() for one in recorded()]
    assert merge.merged(cells, {}) == cells
    assert {one["section"] for one in cells} <= set(SECTIONS)
