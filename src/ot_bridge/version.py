"""The version. This is the one place where it is written: the build reads it here, and nobody reads the metadata."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
