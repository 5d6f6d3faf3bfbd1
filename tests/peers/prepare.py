"""Environments for the peers that do not run in this interpreter, installed once into the user's cache directory.

    python tests/peers/prepare.py [NAME ...]

or $PEERS_CACHE_DIR. Each one is a directory of packages of its own, whole or absent, named after what is in it.
tests/test_peers.py calls `prepare` with a limit; what is not there by then is skipped, with the reason.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import platformdirs

__all__ = ["ENVIRONMENTS", "Missing", "Ready", "cache_directory", "prepare", "prepared"]

_THIS = f"{sys.version_info.major}.{sys.version_info.minor}"


class Environment(NamedTuple):
    """What one environment is made of.

    Attributes:
        runtime: a Python version such as 3.8, or node.
        packages: requirements, all that matter pinned.
        check: a program that ends well exactly when the environment is fit for use.
    """

    runtime: str
    packages: tuple[str, ...]
    check: str


class Ready(NamedTuple):
    """An environment that can be used.

    Attributes:
        command: the path of the interpreter.
        packages: for PYTHONPATH or NODE_PATH.
    """

    command: str
    packages: Path


class Missing(NamedTuple):
    """An environment that cannot be used, for this reason."""

    reason: str


ENVIRONMENTS = {
    # jaeger-client imports six, but only its thrift of old brought it along.
    "python3.8": Environment(
        "3.8", ("jaeger-client==4.8.0", "six==1.17.0", "thrift==0.22.0", "tornado==6.4.2"), "import jaeger_client"
    ),
    # The last jaeger-client that Python 2.7 can run.
    "python2.7": Environment(
        "2.7",
        ("jaeger-client==4.3.0", "six==1.17.0", "thrift==0.13.0", "tornado==5.1.1", "futures==3.4.0"),
        "import jaeger_client",
    ),
    # All of OpenTelemetry is pinned: without, pip searches for a set that fits for ten minutes.
    "otel": Environment(
        _THIS,
        (
            *(
                f"opentelemetry-{name}==1.45.1"
                for name in ("api", "sdk", "proto", "exporter-otlp", "exporter-otlp-proto-http", "propagator-jaeger")
            ),
            *(
                f"opentelemetry-{name}==0.66b1"
                for name in (
                    "distro",
                    "instrumentation",
                    "instrumentation-asgi",
                    "instrumentation-flask",
                    "instrumentation-requests",
                    "instrumentation-wsgi",
                    "semantic-conventions",
                    "util-http",
                )
            ),
            "opentracing==2.4.0",
            "flask>=3,<4",
            "requests>=2.31,<3",
        ),
        "import opentelemetry.instrumentation.flask, opentelemetry.propagators.jaeger",
    ),
    "node": Environment(
        "node",
        (
            "jaeger-client@3.19.0",
            "opentracing@0.14.7",
            "@opentelemetry/api@1.9.0",
            "@opentelemetry/core@2.12.1",
            "@opentelemetry/sdk-trace-node@2.12.0",
        ),
        "require('jaeger-client'); require('@opentelemetry/sdk-trace-node')",
    ),
    "axe": Environment("node", ("axe-core@4.14.1",), "require('axe-core')"),
    # A collector in a wheel, which needs the shared library of the interpreter that it was made for: Debian's has one.
    "rotel": Environment(
        "3.11",
        ("rotel==0.0.1a15",),
        "import subprocess, rotel; "
        "subprocess.run([rotel.__path__[0] + '/rotel-agent', '--version'], check=True, capture_output=True)",
    ),
}


class _ProblemError(Exception):
    """Why an environment cannot be had."""


def cache_directory() -> Path:
    """Return where the environments are kept."""
    chosen = os.environ.get("PEERS_CACHE_DIR")
    return Path(chosen) if chosen else platformdirs.user_cache_path("ot_bridge", appauthor=False) / "peers"


def prepare(
    cache: Path | None = None,
    limit_s: float = 60.0,
    said: Callable[[str], None] = lambda line: None,
    names: Sequence[str] = tuple(ENVIRONMENTS),
) -> dict[str, Ready | Missing]:
    """Find or install environments, all at the same time.

    Args:
        cache: None for `cache_directory()`.
        limit_s: seconds that installing may take, all in all.
        said: takes a line for each environment that is installed now.
        names: which ones, all without it.
    """
    cache = cache or cache_directory()
    end_s = time.monotonic() + limit_s

    def one(name: str) -> Ready | Missing:
        try:
            return _prepare(name, ENVIRONMENTS[name], cache, end_s, said)
        except _ProblemError as problem:
            return Missing(f"{name}: {problem}")
        except OSError as error:
            return Missing(f"{name}: cannot install into {cache}: {error.strerror or error}")

    with ThreadPoolExecutor(len(names)) as pool:
        return dict(zip(names, pool.map(one, names), strict=True))


@functools.cache
def prepared() -> dict[str, Ready | Missing]:
    """Return what `prepare` gives within its own limit; the same for all tests of a run."""
    return prepare()


def _prepare(name: str, wanted: Environment, cache: Path, end_s: float, said: Callable[[str], None]) -> Ready | Missing:
    command = _interpreter(wanted.runtime)
    if command is None:
        raise _ProblemError(f"no {_spoken(wanted.runtime)} on this machine")
    content = "\n".join((*wanted.packages, command))
    home = cache / f"{name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
    if not home.exists():
        said(f"{name}: installing ...")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, ignore_cleanup_errors=True) as temporary:
            fresh = Path(temporary) / "fresh"
            fresh.mkdir()
            _install(wanted, command, fresh, end_s)
            _run(_check(wanted, command), end_s, packages=_found(wanted, fresh))
            with contextlib.suppress(OSError):  # another run was first
                fresh.rename(home)
    return Ready(command, _found(wanted, home))


def _spoken(runtime: str) -> str:
    return "node" if runtime == "node" else f"Python {runtime}"


def _interpreter(runtime: str) -> str | None:
    """Return the path of the first interpreter of that version that starts, None without one."""
    if runtime == "node":
        return shutil.which("node")
    if runtime == _THIS:
        # Not the one of the virtual environment: its packages must not mix with those installed here.
        outside = Path(sys.base_prefix) / "bin" / f"python{runtime}"
        return str(outside) if outside.exists() else sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [shutil.which(f"python{runtime}"), *sorted(map(str, pyenv.glob(f"versions/{runtime}.*/bin/python")))]
    for path in filter(None, found):
        # pyenv puts a command of that name on the PATH that only says that it is not chosen.
        asked = [path, "-c", "import sys; print(sys.executable)"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False)
        if done.returncode == 0:
            return done.stdout.strip()
    return None


def _install(wanted: Environment, command: str, target: Path, end_s: float) -> None:
    if wanted.runtime == "node":
        npm = shutil.which("npm")
        if npm is None:
            raise _ProblemError("no npm on this machine to install it with")
        options = ("--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--fetch-retries=0")
        _run((npm, "install", "--prefix", str(target), *options, *wanted.packages), end_s)
        return
    uv = shutil.which("uv")
    if uv is not None and wanted.runtime != "2.7":
        tool = (uv, "pip", "install", "--quiet", "--python", command)
    else:
        tool = (command, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries=0")
    _run((*tool, "--target", str(target), *wanted.packages), end_s)


def _found(wanted: Environment, home: Path) -> Path:
    return home / "node_modules" if wanted.runtime == "node" else home


def _check(wanted: Environment, command: str) -> Sequence[str]:
    return (command, "-e" if wanted.runtime == "node" else "-c", wanted.check)


def _run(command: Sequence[str], end_s: float, packages: Path | None = None) -> None:
    """Run a command to its end, or end it with all that it has started. Raises _ProblemError when it fails."""
    outer = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    paths = {} if packages is None else {"PYTHONPATH": str(packages), "NODE_PATH": str(packages)}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            env={**outer, **paths},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(max(0.1, end_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise _ProblemError("it could not be installed in time") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code != 0:
            output.seek(0)
            lines = [line.strip() for line in output.read().decode(errors="replace").splitlines() if line.strip()]
            telling = [line for line in lines if "error" in line.lower()] or lines or [f"exit code {code}"]
            raise _ProblemError(f"it could not be installed: {telling[-1]}")


def _main() -> int:
    parser = argparse.ArgumentParser(description="Install the environments of the peers.")
    parser.add_argument("--limit", type=float, default=300.0, metavar="SECONDS", help="how long it may take")
    parser.add_argument("names", nargs="*", default=tuple(ENVIRONMENTS), metavar="NAME", help="default: all")
    given = parser.parse_args()
    found = prepare(limit_s=given.limit, said=print, names=given.names)
    for name, state in found.items():
        print(f"{name}: ready" if isinstance(state, Ready) else state.reason)
    return int(any(isinstance(state, Missing) for state in found.values()))


if __name__ == "__main__":
    sys.exit(_main())
