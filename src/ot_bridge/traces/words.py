"""How figures are written for people, the same in the terminal, in findings and on the page. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ot_bridge.traces.model import Value

__all__ = ["and_", "duration", "line", "number", "plural", "text"]


def duration(nanoseconds: float) -> str:
    """Write a duration as people read it: `350 ns`, `12 us`, `0.4 ms`, `412 ms`, `1.02 s`, `3 min 20 s`."""
    if nanoseconds < 0:
        return "-" + duration(-nanoseconds)
    if nanoseconds < 1e3:
        return f"{nanoseconds:.0f} ns" if nanoseconds else "0 ms"
    if nanoseconds < 1e5:
        return f"{nanoseconds / 1e3:.0f} us"
    if nanoseconds < 9.95e6:
        return f"{nanoseconds / 1e6:.1f} ms"
    if nanoseconds < 999.5e6:
        return f"{nanoseconds / 1e6:.0f} ms"
    if nanoseconds < 119.5e9:
        return f"{nanoseconds / 1e9:.2f} s"
    minutes, seconds = divmod(round(nanoseconds / 1e9), 60)
    return f"{minutes:,} min {seconds} s"


def number(count: int) -> str:
    """Write a count with its thousands apart: `12,345`."""
    return f"{count:,}"


def plural(count: int, one: str, many: str = "") -> str:
    """Write a count and its noun: `1 span`, `12,345 spans`."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def and_(names: Sequence[str]) -> str:
    """Join names: `a`, `a and b`, `a, b and c`."""
    *first, last = names or [""]
    return f"{', '.join(first)} and {last}" if first else last


def line(said: str, length: int = 80) -> str:
    """Write what a span says on one line of a sentence: printable, and cut to a length."""
    one = " ".join(said[: 2 * length].split())
    if not one.isprintable():
        one = "".join(char if char.isprintable() else "?" for char in one)
    return one if len(one) <= length else one[: length - 3] + "..."


def text(value: Value) -> str:
    """Write an attribute's value: text as it is, bytes in hex, lists and mappings as JSON, `true`, `null`."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    return json.dumps(value, ensure_ascii=False, default=lambda inner: inner.hex())
