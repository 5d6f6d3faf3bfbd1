r"""Regular expressions of Python in the syntax of the Collector, Go's RE2.

Both search anywhere in a value. RE2 has no lookaround, no back references, no conditions, no atomic groups and no
possessive quantifiers, and ``\d``, ``\w`` and ``\b`` know ASCII alone. Source: github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import math
import re
from typing import Final

__all__ = ["NotRE2Error", "to_re2"]

_MOST_REPEATS: Final = 1000
_GROUPS: Final = {
    "=": "a lookahead",
    "!": "a lookahead",
    "<": "a lookbehind",
    "(": "a condition",
    ">": "an atomic group",
    "#": "a comment",
    "P=": "a back reference",
}
_QUANTIFIER: Final = re.compile(r"[*+?]|\{(?P<least>[0-9]*)(?P<comma>,(?P<most>[0-9]*))?\}")


class NotRE2Error(ValueError):
    """The Collector cannot read the expression; the text says what in it."""


def to_re2(pattern: str) -> str:
    """Return the same expression for the Collector.

    Args:
        pattern: one that Python's ``re`` compiles.

    Raises:
        NotRE2Error: there is none.
    """
    written: list[str] = []
    repeats: list[int] = []
    at = 0
    while at < len(pattern):
        if pattern[at] == "\\":
            text, at = _escape(pattern, at, in_class=False)
        elif pattern[at] == "[":
            text, at = _class(pattern, at)
        elif pattern.startswith("(?", at):
            text, at = _group(pattern, at)
        elif written and (found := _QUANTIFIER.match(pattern, at)) and found[0] != "{}":
            text, at = _quantifier(pattern, found, repeats)
        else:
            text, at = ("\\{" if pattern[at] == "{" else pattern[at]), at + 1
        written.append(text)
    if math.prod(repeats) > _MOST_REPEATS:
        raise NotRE2Error(f"more than {_MOST_REPEATS} repeats")
    return "".join(written)


def _escape(pattern: str, at: int, *, in_class: bool) -> tuple[str, int]:
    letter, after = pattern[at + 1], at + 2
    if letter in "uU":
        end = after + (4 if letter == "u" else 8)
        return f"\\x{{{pattern[after:end]}}}", end
    if letter.isdigit() and letter.isascii():
        raise NotRE2Error("an octal escape" if letter == "0" or in_class else "a back reference")
    if letter == "N" or (letter == "b" and in_class):
        raise NotRE2Error(f"the escape \\{letter}")
    if letter == "Z":
        return "\\z", after
    return (f"\\{letter}" if letter.isascii() else letter), after


def _class(pattern: str, at: int) -> tuple[str, int]:
    """Return a set of characters and the place behind it."""
    after = at + 1 + pattern.startswith("^", at + 1)
    written = [pattern[at:after]]
    first = True
    while first or pattern[after] != "]":
        if pattern[after] == "\\":
            text, after = _escape(pattern, after, in_class=True)
        elif pattern.startswith("[:", after):
            raise NotRE2Error("[: in a set of characters")
        else:
            # As the first in a set both take it as a character.
            text, after = pattern[after], after + 1
        written.append(text)
        first = False
    return "".join(written) + "]", after + 1


def _group(pattern: str, at: int) -> tuple[str, int]:
    """Return the beginning of a group with a question mark, and the place behind it."""
    found = re.compile(r"\(\?(?::|P<[A-Za-z_][A-Za-z0-9_]*>|[ims]*-?[ims]*[:)])").match(pattern, at)
    if found is not None:
        return found[0], found.end()
    sign = pattern[at + 2 : at + 4]
    what = _GROUPS.get(sign) or _GROUPS.get(sign[:1]) or "a group's flag or name that is not ASCII or not i, m, s"
    raise NotRE2Error(what)


def _quantifier(pattern: str, found: re.Match[str], repeats: list[int]) -> tuple[str, int]:
    """Return a quantifier with what makes it lazy, and the place behind it."""
    after = found.end()
    text = found[0]
    if text.startswith("{"):
        text = f"{{{found['least'] or 0}{found['comma'] or ''}}}"
        repeats.append(max(1, int(found["least"] or 0), int(found["most"] or 0)))
    if pattern.startswith("+", after):
        raise NotRE2Error("a possessive quantifier")
    if pattern.startswith("?", after):
        return f"{text}?", after + 1
    return text, after
