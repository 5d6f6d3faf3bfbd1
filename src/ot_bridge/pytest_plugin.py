"""pytest's way to :mod:`ot_bridge.testing`: the fixture ``ot_bridge_tracer``.

pytest imports this at each of its starts, also for projects that never ask for the fixture: it imports nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ot_bridge.testing import InMemoryTracer

__all__ = ["ot_bridge_tracer"]


@pytest.fixture
def ot_bridge_tracer() -> Iterator[InMemoryTracer]:
    """An in-memory tracer that is OpenTracing's and OpenTelemetry's global one during the test."""
    from ot_bridge.testing import InMemoryTracer  # noqa: PLC0415  (the SDK, for who asks for it)

    with InMemoryTracer().installed() as tracer:
        yield tracer
