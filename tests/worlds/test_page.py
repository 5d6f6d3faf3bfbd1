"""What docs/auto-instrumentation.md shows and tests/test_pages.py cannot run: it needs this environment's packages."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from zero_code import environment

pytest.importorskip("opentelemetry.instrumentation.flask", reason="needs OpenTelemetry's instrumentations: make compat")

PAGE = (Path(__file__).parents[2] / "docs" / "auto-instrumentation.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python worlds\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_code_runs(block: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_names_of_instrumentations_are_real() -> None:
    there = {entry.name for entry in metadata.entry_points(group="opentelemetry_instrumentor")}
    (sentence,) = re.findall(r"^OpenTelemetry's names for `\w+` are (.*?)\.$", PAGE, flags=re.DOTALL | re.MULTILINE)
    named = re.findall(r"`(\w+)`", sentence)
    assert len(named) > 13
    assert sorted(set(named) - there) == []


def test_variables_of_the_instrumentations_are_real() -> None:
    named = set(re.findall(r"\bOTEL_PYTHON_\w+", PAGE))
    sources = "".join(
        path.read_text(encoding="utf-8")
        for distribution in metadata.distributions()
        if distribution.metadata["Name"].startswith("opentelemetry-instrumentation")
        for file in distribution.files or ()
        if (path := Path(str(file.locate()))).suffix == ".py"
    )
    assert len(named) > 1
    assert sorted(name for name in named if name not in sources) == []
