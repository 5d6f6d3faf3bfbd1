"""The environments that compat_matrix.md is measured in: `make compat` runs them, `make compat-ci` what CI runs.

    nox -s "compat(flask)"           one of tests/compat/environments.py
    nox -s "versions(3.10, 1.36)"    an interpreter, an SDK, and the tests of what versions could break
    nox -s "whole(3.10, 1.36)"       the same with every test
    nox -s interpreters              writes down which interpreters are not there

Each session is a virtual environment that uv makes; what its tests found lies in .compat/, and `make compat` puts it
into src/ot_bridge/matrix/recorded.json and the page.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).parent / "tests"))

from compat.environments import BASE, ENVIRONMENTS
from compat.results import write
from compat.versions import PYTHONS, SMOKE, Pair, absent, minors, pairs

nox.options.default_venv_backend = "uv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True

RECORDS = Path(".compat")


def _choose_every_pyenv_version() -> None:
    """Let python3.10 and its like be what they say: pyenv's commands fail unless their version is among the chosen."""
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    if "PYENV_VERSION" not in os.environ and versions.is_dir():
        own = Path(sys.base_prefix).name
        names = sorted((one.name for one in versions.iterdir()), key=lambda name: name != own)
        os.environ["PYENV_VERSION"] = ":".join(names)


_choose_every_pyenv_version()


def _record(session: nox.Session, name: str) -> list[str]:
    return ["-q", f"--record={RECORDS / name}.json", *session.posargs]


for _name, _environment in ENVIRONMENTS.items():

    @nox.session(name=f"compat({_name})", python=_environment.python, tags=["all", *["ci"] * _environment.ci])
    def _compat(session: nox.Session, name: str = _name) -> None:
        environment = ENVIRONMENTS[name]
        session.install("--quiet", "--editable", ".[cli]", *BASE, *environment.packages)
        words = [*_record(session, name), "--no-skips", *environment.arguments]
        session.run("python", "-m", "pytest", *words, *environment.tests)


def _versions(session: nox.Session, pair: Pair, extras: str, *tests: str) -> None:
    names = ("opentelemetry-api", "opentelemetry-sdk", "opentelemetry-exporter-otlp")
    sdk = [f"{name}{pair.requirement}" for name in names]
    session.install("--quiet", "--editable", f".[{extras}]", *BASE, *sdk)
    words = [*_record(session, pair.record), "--record-section=versions", "--numprocesses=2", "--dist=loadfile"]
    session.run("python", "-m", "pytest", *words, *tests)


for _pair in pairs():
    _newest = (_pair.python, _pair.sdk) == (PYTHONS[-1], minors()[-1])
    _is_one_of_the_matrix = _pair.python in PYTHONS and _pair.sdk in (minors()[0], minors()[-1])

    # In CI `make test` runs the newest pair, and all its tests. The newest SDK runs on the oldest Python too,
    # the lowest on each; the pairs between are left to `make compat`: CI has twenty minutes.
    _in_ci = _is_one_of_the_matrix and not _newest and (_pair.sdk == minors()[0] or _pair.python == PYTHONS[0])

    @nox.session(
        name=f"versions({_pair.name})",
        python=_pair.python,
        tags=["all", *["ci"] * _in_ci],
    )
    def _smoke(session: nox.Session, pair: Pair = _pair) -> None:
        _versions(session, pair, "cli", *SMOKE)

    if _is_one_of_the_matrix:

        @nox.session(name=f"whole({_pair.name})", python=_pair.python, tags=["whole"])
        def _whole(session: nox.Session, pair: Pair = _pair) -> None:
            _versions(session, pair, "bench,test")


@nox.session(python=False, tags=["all", "ci"])
def interpreters(session: nox.Session) -> None:
    """Write down which interpreters are not there; nox skips their sessions."""
    find = ("uv", "python", "find", "--quiet", "--no-project", "--no-python-downloads")
    for python in dict.fromkeys(pair.python for pair in pairs()):
        if subprocess.run([*find, python], capture_output=True, check=False).returncode == 0:
            continue
        session.log(f"no Python {python} on this machine")
        for pair in pairs():
            if pair.python == python:
                write(absent(pair), RECORDS / f"{pair.record}.json")
