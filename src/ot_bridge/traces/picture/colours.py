"""Which colour a service has in a trace's picture (seeing.md 4.2). Pure.

Services sorted by name take the next of eight hues, then the same hues under a pattern, so that every reader sees the
same. The hues themselves are in the stylesheet, as `--h0` to `--h7`, once for light and once for dark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

__all__ = ["HUES", "PATTERNS", "Colour", "colours"]

HUES = 8
PATTERNS = 4
"""Plain and three patterns; after 32 services they begin again: names tell them apart."""


class Colour(NamedTuple):
    """A place in the stylesheet: its hue, and the pattern over it, 0 for none."""

    hue: int
    pattern: int

    @property
    def css(self) -> str:
        """The classes that draw it."""
        return f"h{self.hue} p{self.pattern}" if self.pattern else f"h{self.hue}"


def colours(services: Iterable[str]) -> Mapping[str, Colour]:
    """Give each service its colour; the names are sorted here."""
    return {name: Colour(place % HUES, place // HUES % PATTERNS) for place, name in enumerate(sorted(set(services)))}
