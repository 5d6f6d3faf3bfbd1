"""A value that raises whatever is asked of it, for the tests of what never raises."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["Hostile"]


class Hostile:
    """Raises whatever is asked of it."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __hash__(self) -> int:
        raise RuntimeError("no hash")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    def __iter__(self) -> Iterator[Any]:
        raise RuntimeError("no items")
