"""The version, from the package metadata: pyproject.toml is the one place where it is written."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

try:
    __version__ = version("ot-bridge")
except PackageNotFoundError:  # run from a copy of the source that was never installed
    __version__ = "0+unknown"
