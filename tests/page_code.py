"""The Python in the pages: its blocks, and which of the packages that a page is about are not installed."""

from __future__ import annotations

import ast
import importlib.util
import re
from typing import Final

__all__ = ["missing", "programs_of"]

# What only some environments have: a page about it is skipped elsewhere. Any other import that fails is an error.
OPTIONAL: Final = {
    "django": "Django",
    "django_opentracing": "django-opentracing",
    "fastapi": "FastAPI",
    "flask": "Flask",
    "flask_opentracing": "Flask-OpenTracing",
    "grpc_opentracing": "grpcio-opentracing",
    "jaeger_client": "jaeger-client",
    "opentelemetry.instrumentation.django": "opentelemetry-instrumentation-django",
    "opentelemetry.instrumentation.fastapi": "opentelemetry-instrumentation-fastapi",
    "opentelemetry.instrumentation.flask": "opentelemetry-instrumentation-flask",
    "opentelemetry.instrumentation.grpc": "opentelemetry-instrumentation-grpc",
    "starlette_opentracing": "Starlette-OpenTracing",
}


def programs_of(page: str) -> list[str]:
    """Return the blocks of Python in a page."""
    return re.findall(r"^```python\n(.*?)^```$", page, flags=re.DOTALL | re.MULTILINE)


def missing(program: str, but: tuple[str, ...] = ()) -> str:
    """Return the distributions that a program needs and that are not installed, as text; "" when all are there.

    Args:
        program: its text.
        but: modules that it can do without.
    """
    tree = ast.walk(ast.parse(program))
    named = {alias.name for node in tree if isinstance(node, ast.Import) for alias in node.names}
    named |= {node.module or "" for node in ast.walk(ast.parse(program)) if isinstance(node, ast.ImportFrom)}
    wanted = {module for module in OPTIONAL for name in named if name == module or name.startswith(f"{module}.")} - set(
        but
    )
    return ", ".join(OPTIONAL[module] for module in sorted(wanted) if not _is_there(module))


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # a package above it
        return False
