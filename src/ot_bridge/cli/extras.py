"""The packages that a command needs beside the core, and the words for the one that is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec

__all__ = ["missing"]

_MODULES: Mapping[str, Sequence[str]] = {
    "cli": ("click", "rich"),
    "view": ("jinja2", "starlette", "uvicorn"),
    # six is jaeger-client's, which does not ask for it; the demo receives with what is in view
    "demo": (
        "jinja2",
        "starlette",
        "uvicorn",
        "flask",
        "flask_opentracing",
        "jaeger_client",
        "platformdirs",
        "requests",
        "six",
        "thrift",
    ),
}


def missing(extra: str) -> str | None:
    """Return what to do about the first package of an extra that is not there, None when all are."""
    for module in _MODULES[extra]:
        if find_spec(module) is None:
            return f"the package {module} is missing: python -m pip install 'ot-bridge[{extra}]'"
    return None
