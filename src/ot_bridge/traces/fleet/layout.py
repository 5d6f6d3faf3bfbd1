"""Where the nodes and edges of a service map stand, as plain coordinates. Pure and deterministic.

Layers from callers on the left to callees on the right (Sugiyama, Tagawa and Toda 1981): circles are opened, each node
stands one layer right of its last caller, and nodes of a layer are ordered by where their neighbours stand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from ot_bridge.traces.fleet.service_map import Edge, ServiceMap

__all__ = ["MOST", "Box", "Layout", "Line", "layout"]

MOST = 60
"""So many nodes can be read in one drawing; the others are in the table."""

_WIDTH, _HEIGHT = 168, 52
_GAP_X, _GAP_Y = 112, 34
_MARGIN = 26
_SWEEPS = 8

_Way: TypeAlias = tuple[str, str]


class Box(NamedTuple):
    """A node. The coordinates are of its upper left corner."""

    name: str
    layer: int
    x: int
    y: int
    width: int
    height: int


class Line(NamedTuple):
    """An edge.

    Attributes:
        path: as SVG writes it.
        label: where its text stands: the middle of it.
        back: whether it runs from right to left, closing a circle.
        loop: whether it leads back to its own node.
    """

    caller: str
    callee: str
    path: str
    label: tuple[int, int]
    back: bool
    loop: bool


class Layout(NamedTuple):
    """A drawing.

    Attributes:
        left_out: how many nodes are not in it: those with the fewest calls.
    """

    width: int
    height: int
    boxes: Sequence[Box]
    lines: Sequence[Line]
    left_out: int


def layout(found: ServiceMap) -> Layout:
    """Place the nodes of a map, the busiest `MOST` of them."""
    names = _busiest(found)
    edges = [edge for edge in found.edges if edge.caller in names and edge.callee in names]
    backs = _backs(names, edges)
    forward = [(edge.caller, edge.callee) for edge in edges if edge.caller != edge.callee]
    forward = [(b, a) if (a, b) in backs else (a, b) for a, b in forward]
    layers = _layers(names, forward)
    rows = _ordered(names, layers, forward)
    tallest = max((len(row) for row in rows), default=0)
    height = 2 * _MARGIN + tallest * _HEIGHT + max(0, tallest - 1) * _GAP_Y
    boxes = [
        Box(name, layer, x, y + place * (_HEIGHT + _GAP_Y), _WIDTH, _HEIGHT)
        for layer, row in enumerate(rows)
        for x, y in [
            (
                _MARGIN + layer * (_WIDTH + _GAP_X),
                (height - len(row) * _HEIGHT - (len(row) - 1) * _GAP_Y) // 2,
            )
        ]
        for place, name in enumerate(row)
    ]
    at = {box.name: box for box in boxes}
    lines = [_line(at[edge.caller], at[edge.callee], back=(edge.caller, edge.callee) in backs) for edge in edges]
    width = 2 * _MARGIN + len(rows) * _WIDTH + max(0, len(rows) - 1) * _GAP_X
    return Layout(width, height, boxes, lines, len(found.nodes) - len(names))


def _busiest(found: ServiceMap) -> Sequence[str]:
    calls: dict[str, int] = {node.name: 0 for node in found.nodes}
    for edge in found.edges:
        calls[edge.caller] += edge.calls
        calls[edge.callee] += edge.calls
    kept = set(sorted(calls, key=lambda name: (-calls[name], name))[:MOST])
    return [node.name for node in found.nodes if node.name in kept]


def _backs(names: Sequence[str], edges: Sequence[Edge]) -> set[_Way]:
    """Choose the edges that are drawn backwards, so that no circle is left: those that a walk from the roots closes."""
    below: dict[str, list[str]] = defaultdict(list)
    called = {edge.callee for edge in edges if edge.caller != edge.callee}
    for edge in edges:
        if edge.caller != edge.callee:
            below[edge.caller].append(edge.callee)
    found, done, open_ = set[_Way](), set[str](), set[str]()
    for start in sorted(names, key=lambda name: (name in called, name)):
        stack = [(start, iter(below[start]))] if start not in done else []
        open_.update(name for name, _ in stack)
        while stack:
            name, left = stack[-1]
            child = next(left, None)
            if child is None:
                stack.pop()
                open_.discard(name)
                done.add(name)
            elif child in open_:
                found.add((name, child))
            elif child not in done:
                open_.add(child)
                stack.append((child, iter(below[child])))
    return found


def _layers(names: Sequence[str], ways: Sequence[_Way]) -> Mapping[str, int]:
    """Put each node one layer right of its last caller."""
    callers: dict[str, set[str]] = {name: set() for name in names}
    for caller, callee in ways:
        callers[callee].add(caller)
    found: dict[str, int] = {}
    while len(found) < len(names):
        ready = [name for name in names if name not in found and callers[name] <= found.keys()]
        for name in ready:
            found[name] = max((found[caller] + 1 for caller in callers[name]), default=0)
    return found


def _ordered(names: Sequence[str], layers: Mapping[str, int], ways: Sequence[_Way]) -> Sequence[list[str]]:
    """Order the nodes of each layer by the mean place of their neighbours, sweeping to and fro."""
    rows: list[list[str]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for name in names:
        rows[layers[name]].append(name)
    left, right = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for caller, callee in ways:
        left[callee].append(caller)
        right[caller].append(callee)
    for sweep in range(_SWEEPS):
        sides = left if sweep % 2 == 0 else right
        # Relative places: layers have different numbers of nodes and are centred.
        place = {name: (at + 0.5) / len(row) for row in rows for at, name in enumerate(row)}
        for row in rows if sides is left else reversed(rows):
            means = {
                name: sum(place[one] for one in sides[name]) / len(sides[name]) if sides[name] else place[name]
                for name in row
            }
            row.sort(key=lambda name: (means[name], name))
            place.update({name: (at + 0.5) / len(row) for at, name in enumerate(row)})
    return rows


def _line(caller: Box, callee: Box, *, back: bool) -> Line:
    if caller is callee:
        x, y = caller.x + caller.width // 2, caller.y
        path = f"M {x - 22} {y} C {x - 22} {y - 24} {x + 22} {y - 24} {x + 22} {y}"
        return Line(caller.name, callee.name, path, (x, y - 20), False, True)
    if back:
        # Below the boxes, so that it does not hide behind the way forward.
        x1, y1 = caller.x + caller.width // 2, caller.y + caller.height
        x2, y2 = callee.x + callee.width // 2, callee.y + callee.height
        low = max(y1, y2) + _GAP_Y - 8
        return Line(
            caller.name,
            callee.name,
            f"M {x1} {y1} C {x1} {low} {x2} {low} {x2} {y2}",
            ((x1 + x2) // 2, low - 6),
            True,
            False,
        )
    x1, y1 = caller.x + caller.width, caller.y + caller.height // 2
    x2, y2 = callee.x, callee.y + callee.height // 2
    bend = (x2 - x1) // 2 if x2 - x1 <= _GAP_X else _GAP_X
    path = f"M {x1} {y1} C {x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
    return Line(caller.name, callee.name, path, ((x1 + x2) // 2, (y1 + y2) // 2), False, False)
