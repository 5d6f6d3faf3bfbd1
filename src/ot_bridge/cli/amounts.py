"""Amounts as options take them: `4GiB`, `7d`, and the numbers of ports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import click

from ot_bridge.traces.words import plural

__all__ = ["AGE", "PORT", "SIZE", "Amount", "PortNumber", "age", "size"]

_read = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([A-Za-z]*)").fullmatch


class Amount(click.ParamType):  # type: ignore[type-arg]  # generic with newer click alone
    """A number with a unit.

    Args:
        name: what help calls it.
        units: each unit in lower case and how many of the smallest it is.
        example: for errors.
    """

    def __init__(self, name: str, units: Mapping[str, int], example: str) -> None:
        self.name = name
        self._units, self._example = units, example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = _read(value.strip())
        if found is None or found[2].lower() not in self._units or float(found[1]) <= 0:
            units = ", ".join(unit for unit in self._units if unit)
            self.fail(f"got {value!r}, expected a number above 0 and one of {units}: {self._example}", param, ctx)
        return max(1, round(float(found[1]) * self._units[found[2].lower()]))


class PortNumber(click.ParamType):  # type: ignore[type-arg]  # generic with newer click alone
    """A port: 0 for any free one, `none` for none, which is -1."""

    name = "port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if value == "none":
            return -1
        if not (value.isascii() and value.isdigit() and int(value) < 1 << 16):
            self.fail(f"got {value!r}, expected 1 to 65535, 0 for a free one, or none", param, ctx)
        return int(value)


_BYTES: Final = {
    "": 1,
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgt", 1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgt", 1)},
}
SIZE: Final = Amount("size", _BYTES, "500MB, 4GiB")
AGE: Final = Amount("age", {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}, "12h, 7d")
PORT: Final = PortNumber()


def size(count: int) -> str:
    """Write a number of bytes: `4 GiB`."""
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 1 << power:
            return f"{count / (1 << power):.3g} {unit}"
    return f"{count} bytes"


def age(seconds: float) -> str:
    """Write a time: `7 days`."""
    for unit, one in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= one:
            return plural(int(seconds // one), unit)
    return plural(int(seconds), "second")
