"""Installed packages of the test's own: what importlib.metadata.entry_points gives, without installing any."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

__all__ = ["EntryPoints"]


class EntryPoints(dict[str, Any]):
    """The entry points of one group, by name."""

    def __init__(self, **made: Any) -> None:
        super().__init__({name: SimpleNamespace(name=name, load=lambda it=it: it) for name, it in made.items()})
        self.names = set(made)
