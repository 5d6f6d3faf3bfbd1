"""jaeger_client and the drop-in side by side, for tests that ask both the same."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import pytest

__all__ = ["BOTH", "NEW", "OLD", "logs_of", "module", "needs_the_real_one", "tags_of", "tracer_of"]

OLD, NEW = "jaeger_client", "ot_bridge.jaeger_client"
BOTH = (OLD, NEW)

try:
    importlib.import_module(f"{OLD}.tracer")
except ImportError:
    _THERE = False
else:
    _THERE = True

needs_the_real_one = pytest.mark.skipif(not _THERE, reason="jaeger-client cannot be imported here")


def module(base: str, name: str) -> Any:
    """Return one module of either package."""
    found: ModuleType = importlib.import_module(f"{base}.{name}")
    return found


def tracer_of(base: str, sampler: Any = True, **arguments: Any) -> Any:
    """Return a tracer with an InMemoryReporter; a bool stands for a ConstSampler."""
    if base == OLD:  # it asks for the address in ways that leave sockets behind
        arguments["tags"] = {"ip": "127.0.0.1", **arguments.get("tags", {})}
    if isinstance(sampler, bool):
        sampler = module(base, "sampler").ConstSampler(sampler)
    return module(base, "tracer").Tracer("svc", module(base, "reporter").InMemoryReporter(), sampler, **arguments)


def tags_of(span: Any) -> list[tuple[str, int, Any]]:
    """Return key, type and value of each of ``span.tags``."""
    return [_plain(tag) for tag in span.tags]


def logs_of(span: Any) -> list[tuple[int, list[tuple[str, int, Any]]]]:
    """Return microseconds and fields of each of ``span.logs``."""
    return [(log.timestamp, [_plain(field) for field in log.fields]) for log in span.logs]


def _plain(tag: Any) -> tuple[str, int, Any]:
    return tag.key, tag.vType, (tag.vStr, tag.vDouble, tag.vBool, tag.vLong)[(0, 1, 2, 3)[tag.vType]]
