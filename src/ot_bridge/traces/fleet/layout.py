"""Where the nodes and edges of a service map stand, as plain coordinates. Pure and deterministic.

Layers from callers on the left to callees on the right (Sugiyama, Tagawa and Toda 1981): circles are opened, each node
stands one layer right of its last caller, and nodes of a layer are ordered by where their neighbours stand. A way over
several layers has a place of its own in each, so that it runs between the nodes and not behind them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from ot_bridge.traces.fleet.service_map import Edge, ServiceMap

__all__ = ["MOST", "Box", "Layout", "Line", "layout"]

MOST = 60
"""So many nodes can be read in one drawing; the others are in the table."""

_WIDTH, _HEIGHT = 168, 66
_GAP_X, _GAP_Y = 168, 34
_SLOT = 22
"""The height that a way takes where it passes a layer."""
_MARGIN = 26
_SWEEPS = 8
_BACK = 14
"""So much lower a way back begins and ends, so that both ways between two nodes are seen."""

_Way: TypeAlias = tuple[str, str]
_Stop: TypeAlias = tuple[str, str, int]
"""A node by its name, or the place of a way between two nodes in a layer."""


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
    layers = {_stop(name): layer for name, layer in _layers(names, forward).items()}
    ways = _ways(forward, layers)
    rows = _ordered(layers, [step for way in ways.values() for step in pairwise(way)])
    heights = [sum(_tall(one) for one in row) + max(0, len(row) - 1) * _GAP_Y for row in rows]
    height = 2 * _MARGIN + max(heights, default=0)
    at: dict[_Stop, Box] = {}
    for layer, row in enumerate(rows):
        x, y = _MARGIN + layer * (_WIDTH + _GAP_X), (height - heights[layer]) // 2
        for one in row:
            at[one] = Box(one[0], layer, x, y, _WIDTH, _tall(one))
            y += _tall(one) + _GAP_Y
    boxes = [box for one, box in at.items() if one[2] < 0]
    lines = [
        _line(edge, [at[one] for one in _way(edge, ways, back=back)], back=back)
        for edge in edges
        for back in [_pair(edge) in backs]
    ]
    width = 2 * _MARGIN + len(rows) * _WIDTH + max(0, len(rows) - 1) * _GAP_X
    return Layout(width, height, boxes, lines, len(found.nodes) - len(names))


def _pair(edge: Edge) -> _Way:
    return edge.caller, edge.callee


def _stop(name: str) -> _Stop:
    return name, "", -1


def _tall(one: _Stop) -> int:
    return _HEIGHT if one[2] < 0 else _SLOT


def _ways(forward: Iterable[_Way], layers: dict[_Stop, int]) -> Mapping[_Way, Sequence[_Stop]]:
    """Return what each way passes, from the left: its nodes, and a place in each layer between, added to `layers`."""
    found: dict[_Way, Sequence[_Stop]] = {}
    for left, right in forward:
        between: list[_Stop] = [(left, right, layer) for layer in range(layers[_stop(left)] + 1, layers[_stop(right)])]
        layers |= {one: one[2] for one in between}
        found[left, right] = (_stop(left), *between, _stop(right))
    return found


def _way(edge: Edge, ways: Mapping[_Way, Sequence[_Stop]], *, back: bool) -> Sequence[_Stop]:
    if edge.caller == edge.callee:
        return [_stop(edge.caller)]
    return ways[edge.callee, edge.caller][::-1] if back else ways[_pair(edge)]


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


def _ordered(layers: Mapping[_Stop, int], ways: Iterable[tuple[_Stop, _Stop]]) -> Sequence[list[_Stop]]:
    """Order the nodes of each layer by the mean place of their neighbours, sweeping to and fro."""
    rows: list[list[_Stop]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for name in sorted(layers):
        rows[layers[name]].append(name)
    left, right = defaultdict[_Stop, list[_Stop]](list), defaultdict[_Stop, list[_Stop]](list)
    for one, other in ways:
        left[other].append(one)
        right[one].append(other)
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


def _line(edge: Edge, stops: Sequence[Box], *, back: bool) -> Line:
    first, last = stops[0], stops[-1]
    if first is last:
        x, y = first.x + first.width // 2, first.y
        path = f"M {x - 22} {y} C {x - 22} {y - 24} {x + 22} {y - 24} {x + 22} {y}"
        return Line(*_pair(edge), path, (x, y - 20), back=False, loop=True)
    down = _BACK if back else 0
    path = f"M {_side(first, right=not back)} {_middle(first) + down}"
    for one, other in pairwise(stops):
        x1, x2 = _side(one, right=not back), _side(other, right=back)
        bend, y2 = (x1 + x2) // 2, _middle(other) + down
        path += f" C {bend} {_middle(one) + down} {bend} {y2} {x2} {y2}"
        if other is not last:
            path += f" H {_side(other, right=not back)}"
    # Nearer to the end than to the start: ways part as they go.
    before = stops[-2]
    x1, x2 = _side(before, right=not back), _side(last, right=back)
    label = (x1 + (x2 - x1) * 11 // 20, _middle(before) + (_middle(last) - _middle(before)) * 6 // 10 + 2 * down)
    return Line(*_pair(edge), path, label, back=back, loop=False)


def _side(box: Box, *, right: bool) -> int:
    return box.x + box.width if right else box.x


def _middle(box: Box) -> int:
    return box.y + box.height // 2
