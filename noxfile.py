"""The environments that compat_matrix.md is measured in: `make compat` runs them all, `make compat-ci` what CI runs.

    nox -s "compat(flask)"      one of them

Each session is a virtual environment that uv makes; what its tests found lies in .compat/, and `make compat` puts it
into src/ot_bridge/matrix/recorded.json and the page.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).parent / "tests"))

from compat.environments import BASE, ENVIRONMENTS

nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True

RECORDS = Path(".compat")


def _compat(session: nox.Session, name: str) -> None:
    environment = ENVIRONMENTS[name]
    session.install("--quiet", "--editable", ".[cli]", *BASE, *environment.packages)
    record = str(RECORDS / f"{name}.json")
    words = ["-q", "--no-skips", f"--record={record}", *environment.arguments, *session.posargs]
    session.run("python", "-m", "pytest", *words, *environment.tests)


for _name, _environment in ENVIRONMENTS.items():

    @nox.session(name=f"compat({_name})", python=_environment.python, tags=["ci"] if _environment.ci else [])
    def _session(session: nox.Session, name: str = _name) -> None:
        _compat(session, name)
