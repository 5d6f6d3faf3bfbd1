"""The names of all tests, for the pages that say which test holds what."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

__all__ = ["all_tests"]


@functools.cache
def all_tests() -> frozenset[str]:
    """Return every test function as ``module::name``, those in classes too."""
    return frozenset(
        f"{path.stem}::{node.name}"
        for path in Path(__file__).parent.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )
