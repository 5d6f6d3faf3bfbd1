"""npm's jaeger-client for the demo's Node service: found, or installed once into the user's cache directory."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import platformdirs

__all__ = ["NoNode", "Node", "find_node"]

_PACKAGES = ("jaeger-client@3.19.0", "opentracing@0.14.7")
_NPM_LIMIT_S = 20.0


class Node(NamedTuple):
    """Node with jaeger-client.

    Attributes:
        command: the path of `node`.
        modules: for `NODE_PATH`.
    """

    command: str
    modules: Path


class NoNode(NamedTuple):
    """Node cannot be used, for this reason; it completes the sentence "no Node service: ..."."""

    reason: str


def find_node(cache: Path | None = None) -> Node | NoNode:
    """Find `node` and jaeger-client for it; install jaeger-client with npm the first time.

    Args:
        cache: the directory to install into, the user's cache directory by default.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None:
        return NoNode("no 'node' on PATH")
    cache = cache or platformdirs.user_cache_path("ot_bridge", appauthor=False)
    home = cache / "-".join(package.replace("@", "-") for package in _PACKAGES)
    if not home.exists():
        if npm is None:
            return NoNode("no 'npm' on PATH to install jaeger-client with")
        if problem := _install(npm, home):
            return NoNode(problem)
    return Node(node, home / "node_modules")


def _install(npm: str, home: Path) -> str | None:
    """Install into a directory beside `home`, then rename it: `home` is whole or absent, also for two runs at once."""
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent, ignore_cleanup_errors=True) as temporary:
            fresh = Path(temporary) / "fresh"
            fresh.mkdir()
            options = ("--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock", "--fetch-retries=0")
            command = (npm, "install", "--prefix", str(fresh), *options, *_PACKAGES)
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=_NPM_LIMIT_S)
            try:
                fresh.rename(home)
            except OSError:
                # another run was first
                if not home.exists():
                    raise
    except subprocess.TimeoutExpired:
        return f"npm did not install jaeger-client within {_NPM_LIMIT_S:.0f} s"
    except subprocess.CalledProcessError as error:
        errors = [line for line in error.stderr.splitlines() if "error" in line.lower() or "ERR!" in line]
        return f"npm could not install jaeger-client: {errors[0] if errors else f'exit code {error.returncode}'}"
    except OSError as error:
        return f"cannot install jaeger-client into {home}: {error.strerror or error}"
    return None
