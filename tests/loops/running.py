"""Programs that patch the process they run in, and so need one of their own: what they report, and how it is read."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from loops.scenario import Tracing, nothing_is_active

__all__ = ["report", "run_program"]

HERE = Path(__file__).parent
LIMIT_S = 60


def report(*cases: Callable[[Tracing], object], tracers: Mapping[str, Callable[[], Tracing]] | None = None) -> None:
    """Run each case with a tracer of its own; print what it returned, the trees of its spans, and what went wrong.

    Args:
        cases: what to run.
        tracers: the kinds of tracer to run each case with, by a suffix for its name; None for the bridge's own.
    """
    found: dict[str, Any] = {}
    for case, (suffix, make) in itertools.product(cases, (tracers or {"": Tracing.of}).items()):
        tracing, result, error = make(), None, None
        try:
            result = case(tracing)
            nothing_is_active(tracing)
        except BaseException:
            error = traceback.format_exc()
        found[case.__name__ + suffix] = {"trees": tracing.trees(), "result": result, "error": error}
    print(json.dumps(found))


def run_program(name: str) -> dict[str, Any]:
    """Run a program of tests/loops/programs, and return what it reported. It has to be silent on stderr."""
    paths = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, HERE / "programs" / name],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
