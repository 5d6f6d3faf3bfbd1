"""A pytest plugin: what the tests of tests/compat/cells.py found, as a file.

``--record FILE`` writes one JSON object for each cell; ``--no-skips`` makes a run fail that skipped a test: an
environment that was made for its tests must run them.
"""

from __future__ import annotations

import datetime
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

__all__ = ["ORDER"]

ORDER = ("works", "limited", "unusable", "not run", "fails")
"""What a cell can say, from the best to the worst."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("compat")
    group.addoption("--record", metavar="FILE", type=Path, help="write what the cells of compat_matrix.md say")
    group.addoption("--no-skips", action="store_true", help="fail when a test is skipped")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cell(section, row, column, packages, counterpart): see compat.cells")
    config.addinivalue_line("markers", "limited(verdict, reason, rationale): see compat.cells")
    config.pluginmanager.register(_Recorder(config), "compat-recorder")


class _Recorder:
    def __init__(self, config: pytest.Config) -> None:
        self._target: Path | None = config.getoption("--record")
        self._no_skips: bool = config.getoption("--no-skips")
        self._cells: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._skipped: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.skipped:  # a whole module
            self._skipped.append(report.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        report = yield
        if report.skipped:
            self._skipped.append(item.nodeid)
        if report.when == "call" or not report.passed:
            self._note(item, report)
        return report

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self._target is not None:
            self._target.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps(list(self._cells.values()), indent=1)
            self._target.write_text(f"{text}\n", encoding="utf-8")
        if self._no_skips and self._skipped and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
            print(f"\nskipped, where nothing may be: {', '.join(self._skipped)}")

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
        found = self._cells.setdefault(mark.args, _empty(mark))
        found["tests"] += 1
        found["result"] = max(found["result"], verdict, key=ORDER.index)
        entry = {"text": note, "rationale": rationale}
        if note and entry not in found["notes"]:
            found["notes"].append(entry)


def _empty(mark: pytest.Mark) -> dict[str, Any]:
    section, row, column = mark.args
    return {
        "section": section,
        "row": row,
        "column": column,
        "result": "works",
        "notes": [],
        "tests": 0,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in (*mark.kwargs["packages"], "opentelemetry-sdk")},
        "counterpart": mark.kwargs["counterpart"],
        "date": datetime.datetime.now(tz=datetime.timezone.utc).date().isoformat(),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
