"""A pytest plugin: what the tests of tests/compat/cells.py found, as a file.

``--record FILE`` writes one JSON object for each cell, with ``--record-section NAME`` those of one section alone;
``--no-skips`` makes a run fail that skipped a test: an environment that was made for its tests must run them.
Under pytest-xdist the workers tell the process that started them.
"""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from compat.results import ORDER, empty, write

__all__: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("compat")
    group.addoption("--record", metavar="FILE", type=Path, help="write what the cells of compat_matrix.md say")
    group.addoption("--record-section", metavar="NAME", help="write the cells of this section alone")
    group.addoption("--no-skips", action="store_true", help="fail when a test is skipped")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cell(section, row, column, packages, counterpart): see compat.cells")
    config.addinivalue_line("markers", "limited(verdict, reason, rationale): see compat.cells")
    config.pluginmanager.register(_Recorder(config), "compat-recorder")


class _Recorder:
    def __init__(self, config: pytest.Config) -> None:
        self._target: Path | None = config.getoption("--record")
        self._section: str | None = config.getoption("--record-section")
        self._no_skips: bool = config.getoption("--no-skips")
        self._cells: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._skipped: set[str] = set()
        self._passed = 0

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:  # a whole module
            self._skipped.add(report.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        report = yield
        if report.skipped:
            self._skipped.add(item.nodeid)
        self._passed += report.when == "call" and report.passed
        if report.when == "call" or not report.passed:
            self._note(item, report)
        return report

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take what a worker of pytest-xdist has found; one that died has told nothing, and the run fails."""
        told = getattr(node, "workeroutput", {}).get("compat", {"cells": [], "skipped": [], "passed": 0})
        self._skipped.update(told["skipped"])
        self._passed += told["passed"]
        for cell in told["cells"]:
            self._add(cell)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        told = getattr(session.config, "workeroutput", None)
        if told is not None:
            skipped, cells = sorted(self._skipped), list(self._cells.values())
            told["compat"] = {"cells": cells, "skipped": skipped, "passed": self._passed}
            return
        if self._target is not None:
            cells = [cell for cell in self._cells.values() if self._section in (None, cell["section"])]
            write(({**cell, "passed": self._passed} for cell in cells), self._target)
        if self._no_skips and self._skipped and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            print(f"\nskipped, where nothing may be: {', '.join(sorted(self._skipped))}")

    def _note(self, item: pytest.Item, report: pytest.TestReport) -> None:
        mark = item.get_closest_marker("cell")
        if mark is None:
            return
        verdict, note, rationale = "works", "", None
        limit = item.get_closest_marker("limited")
        if report.failed:
            verdict, note = "fails", str(report.longrepr).strip().splitlines()[-1][:200]
        elif report.skipped:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            verdict, note = "not run", reason.removeprefix("Skipped: ")
        elif limit is not None:
            (verdict, note), rationale = limit.args, limit.kwargs["rationale"]
        notes = [{"text": note, "rationale": rationale}] if note else []
        self._add({**_cell(mark), "result": verdict, "notes": notes, "tests": 1})

    def _add(self, told: dict[str, Any]) -> None:
        """Let one more test, or the tests of a worker, speak for a cell."""
        found = self._cells.setdefault(
            (told["section"], told["row"], told["column"]), {**told, "result": ORDER[0], "notes": [], "tests": 0}
        )
        found["tests"] += told["tests"]
        found["result"] = max(found["result"], told["result"], key=ORDER.index)
        found["notes"] += [note for note in told["notes"] if note not in found["notes"]]


def _cell(mark: pytest.Mark) -> dict[str, Any]:
    section, row, column = mark.args
    return empty(
        section,
        row,
        column,
        python=platform.python_version(),
        packages={name: _version(name) for name in (*mark.kwargs["packages"], "opentelemetry-sdk")},
        counterpart=mark.kwargs["counterpart"],
    )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
