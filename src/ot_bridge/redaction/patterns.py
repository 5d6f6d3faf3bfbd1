"""Whether a user's regular expression is safe to run on every text of every span.

A span's texts come from anybody, and Python's engine backtracks: ``(a+)+b`` on thirty letters takes minutes. A pattern
is accepted when its parse tree shows that it takes at most :data:`MAX_STEPS` steps from each character of a text.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from ot_bridge.redaction.rules import MAX_LENGTH

try:
    from re import _constants as sre  # type: ignore[attr-defined]
    from re import _parser as sre_parse  # type: ignore[attr-defined]
except ImportError:  # Python 3.10
    import sre_constants as sre
    import sre_parse

__all__ = ["MAX_LENGTH", "MAX_STEPS", "PatternError", "check", "steps"]

MAX_STEPS: Final = 1000

_SAMPLE: Final = frozenset(map(chr, range(256))) | frozenset("\u0100\u0660\u1680\u2028\u20ac\U0001f600")
_CATEGORIES: Final = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_WORD": r"\W",
}


class PatternError(Exception):
    """Why a pattern is refused, as part of a sentence."""


class _Part(NamedTuple):
    """A part of a pattern."""

    first: frozenset[str]  # what it can begin with
    empty: bool
    ways: int  # in how many ways it can match at one place
    length: int  # of its longest match


def check(pattern: str) -> re.Pattern[str]:
    """Return the pattern, compiled.

    Raises:
        PatternError: it is too long, no regular expression, matches the empty text, or may take too many steps.
    """
    if len(pattern) > MAX_LENGTH:
        raise PatternError(f"the REGEX has {len(pattern)} characters")
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"the REGEX cannot be read: {error}") from None
    if compiled.match("") or not pattern:
        raise PatternError("the REGEX matches the empty text")
    found = steps(pattern)
    if found > MAX_STEPS:
        raise PatternError(f"the REGEX may take {min(found, 10**9)} steps at each character, {MAX_STEPS} are allowed")
    return compiled


def steps(pattern: str) -> int:
    """Return how many steps the pattern may take from one character on, at most.

    Raises:
        PatternError: a repeat has no upper bound, or refers to a group.
    """
    tree = sre_parse.parse(pattern)
    whole = _sequence(list(tree), frozenset(), bool(tree.state.flags & re.IGNORECASE))
    return whole.ways * max(1, whole.length)


def _sequence(nodes: list[Any], after: frozenset[str], ignorecase: bool) -> _Part:
    first, empty, ways, length = after, True, 1, 0
    for operator, argument in reversed(nodes):
        part = _node(operator, argument, first, ignorecase)
        first = part.first | first if part.empty else part.first
        empty = empty and part.empty
        ways, length = ways * part.ways, length + part.length
    return _Part(first, empty, ways, length)


def _node(operator: Any, argument: Any, after: frozenset[str], ignorecase: bool) -> _Part:
    name = str(operator)
    if name == "SUBPATTERN":
        return _sequence(list(argument[-1]), after, ignorecase or bool(argument[1] & re.IGNORECASE))
    if name == "ATOMIC_GROUP":
        return _sequence(list(argument), after, ignorecase)._replace(ways=1)
    if name == "BRANCH":
        parts = [_sequence(list(part), after, ignorecase) for part in argument[1]]
        return _Part(
            frozenset().union(*(part.first for part in parts)),
            any(part.empty for part in parts),
            sum(part.ways for part in parts),
            max(part.length for part in parts),
        )
    if name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        return _repeat(name, argument, after, ignorecase)
    if name == "AT":
        return _Part(frozenset(), True, 1, 0)
    if name in ("ASSERT", "ASSERT_NOT"):
        inner = _sequence(list(argument[1]), frozenset(), ignorecase)
        return _Part(frozenset(), True, inner.ways, inner.length)
    if name in ("LITERAL", "NOT_LITERAL", "ANY", "IN", "RANGE", "CATEGORY"):
        found = frozenset(one for one in _SAMPLE if _matches(operator, argument, one))
        if ignorecase:
            found |= frozenset(one.swapcase() for one in found)
        return _Part(found, False, 1, 1)
    raise PatternError("the REGEX refers to one of its groups")


def _repeat(name: str, argument: Any, after: frozenset[str], ignorecase: bool) -> _Part:
    least, most, body = argument
    if most is sre.MAXREPEAT:
        raise PatternError("the REGEX repeats something without end: write {1,64} for +, {0,64} for *")
    inner = _sequence(list(body), frozenset(), ignorecase)
    around = _sequence(list(body), after | inner.first, ignorecase)
    if name == "POSSESSIVE_REPEAT":
        ways = 1
    elif inner.length <= 1 and inner.ways == 1 and not inner.first & after:
        ways = 1  # what follows begins with other characters: giving back never helps
    else:
        ways = min((most - least + 1) * max(inner.ways, around.ways) ** min(most, 64), 10**12)
    return _Part(inner.first, least == 0 or inner.empty, ways, min(most * inner.length, 10**6))


def _matches(operator: Any, argument: Any, one: str) -> bool:
    name = str(operator)
    if name == "LITERAL":
        return bool(argument == ord(one))
    if name == "NOT_LITERAL":
        return bool(argument != ord(one))
    if name == "ANY":
        return True
    if name == "RANGE":
        return bool(argument[0] <= ord(one) <= argument[1])
    if name == "CATEGORY":
        return re.fullmatch(_CATEGORIES[str(argument)], one) is not None
    negated = str(argument[0][0]) == "NEGATE"
    return any(_matches(item[0], item[1], one) for item in argument[negated:]) != negated
