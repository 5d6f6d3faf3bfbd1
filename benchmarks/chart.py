"""The chart of the README: what everybody costs of what the native SDK costs.

Written with the standard library: pygal's charts bring styles of fifteen kilobytes, with their licence, and the date of
the day; matplotlib's know no dark page. This one follows the reader's light or dark page, takes the fonts of the
reader's machine, and has a title and a description for those who do not see it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from textwrap import wrap
from typing import Final
from xml.etree import ElementTree as ET

from names import BRIDGE, JAEGER, NATIVE, SHIM
from tables import Table

__all__ = ["BARS", "draw", "figures"]

_OTLP: Final = "official OTLP/HTTP"
_EXPORTS: Final = {
    BRIDGE: f"{BRIDGE}, own encoder, HTTP",
    JAEGER: f"{JAEGER}, UDP to its agent",
    SHIM: f"{SHIM}, {_OTLP}",
}
_SAME: Final = {name: name for name in (BRIDGE, JAEGER, SHIM)}
_HEADERS: Final = {BRIDGE: "ot_bridge uber", JAEGER: JAEGER}
BARS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "sampled span": ("spans, sampled", _SAME),
    "unsampled span": ("spans, unsampled", _SAME),
    "span, made and exported": ("export", _EXPORTS),
    "headers out": ("inject, 0", _HEADERS),
    "headers in": ("extract, 0", _HEADERS),
    "memory of a live span": ("memory, live", _SAME),
}
"""What is shown: name -> the key of its table, and the row of each who has a bar."""

_COLUMN: Final = f"x {NATIVE}"
_TITLE: Final = "Cost beside OpenTelemetry's native SDK"
_CLASSES: Final = {BRIDGE: "bridge", JAEGER: "jaeger", SHIM: "shim"}
_STYLE: Final = """
text { font: 14px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #24292f }
.title { font-size: 17px; font-weight: 600 }
.bridge { fill: #0a7d5a } .jaeger { fill: #c2631a } .shim { fill: #8a8f98 }
.line { stroke: #3f6fb5; stroke-width: 1.5; stroke-dasharray: 4 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .bridge { fill: #2fb58a } .jaeger { fill: #e08a45 } .shim { fill: #7d838c }
  .line { stroke: #7aa7e6 }
}
"""
_WIDTH, _LEFT, _UNIT, _TOP = 760, 200, 320.0, 92
_BAR, _STEP, _GAP = 14, 18, 16
_MOST: Final = 1.55  # a longer bar is cut, its number is not


def figures(tables: Iterable[Table]) -> dict[str, dict[str, float]]:
    """Return what has a bar: name -> who -> ratio. What was not measured has none."""
    by_key = {table.key: table for table in tables}
    found: dict[str, dict[str, float]] = {}
    for name, (key, rows) in BARS.items():
        cells = {who: by_key[key].cell(row, _COLUMN) for who, row in rows.items()} if key in by_key else {}
        found[name] = {who: cell.value for who, cell in cells.items() if cell is not None}
    return found


def draw(shown: Mapping[str, Mapping[str, float]], below: str) -> str:
    """Return the chart as SVG.

    Args:
        shown: as of :func:`figures`.
        below: the line under it: the machine and the versions.
    """
    root = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img", "aria-labelledby": "title desc"})
    ET.SubElement(root, "title", {"id": "title"}).text = _TITLE
    ET.SubElement(root, "desc", {"id": "desc"}).text = _described(shown, below)
    ET.SubElement(root, "style").text = _STYLE
    _text(root, 16, 28, f"{_TITLE}: less is better", {"class": "title"})
    for number, (who, kind) in enumerate(_CLASSES.items()):
        _rect(root, 16 + 150 * number, 44, _BAR, kind)
        _text(root, 36 + 150 * number, 56, who)
    lines = wrap(below, 105)
    place = float(_TOP)
    line = ET.SubElement(root, "line", {"class": "line", "y1": "70"})
    for name, bars in shown.items():
        _text(root, _LEFT - 12, place + _STEP * max(len(bars), 1) / 2 + 4, name, {"text-anchor": "end"})
        for who, value in bars.items():
            length = min(value, _MOST) * _UNIT
            _rect(root, _LEFT, place, length, _CLASSES[who])
            # Not across the line of the native SDK.
            start = _UNIT if _UNIT - 40 < length < _UNIT else length
            _text(root, _LEFT + start + 6, place + 12, f"{value:.2f}")
            place += _STEP
        place += _GAP if bars else _STEP + _GAP
    one = f"{_LEFT + _UNIT:.0f}"
    line.attrib.update({"x1": one, "x2": one, "y2": f"{place - _GAP / 2:.0f}"})
    _text(root, _LEFT + _UNIT + 6, 80, f"{NATIVE} = 1")
    for number, part in enumerate(lines):
        _text(root, 16, place + 14 + 18 * number, part)
    height = f"{place + 18 * len(lines) + 10:.0f}"
    root.attrib.update({"width": str(_WIDTH), "height": height, "viewBox": f"0 0 {_WIDTH} {height}"})
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _described(shown: Mapping[str, Mapping[str, float]], below: str) -> str:
    parts = [
        f"{name}: " + (", ".join(f"{who} {value:.2f}" for who, value in bars.items()) or "not measured")
        for name, bars in shown.items()
    ]
    return f"The native SDK is 1. {'; '.join(parts)}. {below}"


def _rect(root: ET.Element, x: float, y: float, width: float, kind: str) -> None:
    sides = {"x": f"{x:.0f}", "y": f"{y:.0f}", "width": f"{width:.1f}", "height": str(_BAR), "rx": "2"}
    ET.SubElement(root, "rect", {"class": kind, **sides})


def _text(root: ET.Element, x: float, y: float, text: str, more: Mapping[str, str] = {}) -> None:
    ET.SubElement(root, "text", {"x": f"{x:.0f}", "y": f"{y:.0f}", **more}).text = text
