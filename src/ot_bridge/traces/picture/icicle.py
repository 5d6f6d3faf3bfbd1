"""The critical path as an icicle: each span that the request waited for under its parent. Places in percent. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ot_bridge.traces.picture.bars import Window
from ot_bridge.traces.picture.picture import Picture

__all__ = ["DEEPEST", "MOST", "Block", "icicle"]

DEEPEST = 16
MOST = 400
_NARROWEST = 0.25
"""Percent of the width: what is narrower is no more than a line, and is in the waterfall."""


class Block(NamedTuple):
    """A span, by its index, for the time that the request waited for it or for something below it."""

    place: int
    depth: int
    x: str
    width: str


def icicle(picture: Picture, window: Window) -> Sequence[Block]:
    """Place the blocks that are in a window, from the top down, at most `MOST` of them and the widest ones."""
    path, trace = picture.reading.path, picture.trace
    top = trace.depths[path.root] if path.root >= 0 else 0
    found = []
    for index, (start_ns, end_ns) in path.windows.items():
        left, right = max(0.0, window.x(start_ns) / 10), min(100.0, window.x(end_ns) / 10)
        depth = trace.depths[index] - top
        if right - left >= _NARROWEST and depth < DEEPEST:
            found.append((left, right, depth, index))
    found.sort(key=lambda one: one[0] - one[1])
    return [
        Block(index, depth, f"{left:.2f}%", f"{right - left:.2f}%")
        for left, right, depth, index in sorted(found[:MOST], key=lambda one: (one[2], one[0]))
    ]
