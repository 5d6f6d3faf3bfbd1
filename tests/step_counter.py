"""A regular expression engine that counts: Python's own does not tell how often it tried.

It backtracks as Python's does, over Python's own parse tree, and counts each time that it compares a character.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

try:
    from re import _constants as sre  # type: ignore[attr-defined]
    from re import _parser as sre_parse
except ImportError:  # Python 3.10
    import sre_constants as sre  # type: ignore[no-redef]
    import sre_parse  # type: ignore[no-redef]

__all__ = ["Counted"]

Then = Callable[[int], "int | None"]
CATEGORIES = {"CATEGORY_SPACE": r"\s", "CATEGORY_NOT_SPACE": r"\S", "CATEGORY_DIGIT": r"\d", "CATEGORY_WORD": r"\w"}


class Counted:
    """One pattern; :attr:`steps` goes up with each comparison."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._nodes = list(sre_parse.parse(pattern.pattern, pattern.flags))
        self._flags = pattern.flags
        self.steps = 0

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where it matches, from left to right, as ``finditer`` does."""
        found, place = [], 0
        while place <= len(text):
            self._text, self._groups = text, {}
            end = self._sequence(self._nodes, 0, place, lambda end: end)
            if end is not None and end > place:
                found.append((place, end))
                place = end
            else:
                place += 1
        return found

    def _sequence(self, nodes: list[Any], number: int, place: int, then: Then) -> int | None:
        if number == len(nodes):
            return then(place)
        operator, argument = nodes[number]

        def rest(after: int) -> int | None:
            return self._sequence(nodes, number + 1, after, then)

        return self._node(operator, argument, place, rest)

    def _node(self, operator: Any, argument: Any, place: int, then: Then) -> int | None:
        if operator is sre.SUBPATTERN:
            group, inner = argument[0], list(argument[-1])

            def close(end: int) -> int | None:
                before = self._groups.get(group)
                self._groups[group] = (place, end)
                found = then(end)
                if found is None:
                    self._groups[group] = before
                return found

            return self._sequence(inner, 0, place, close)
        if operator is sre.BRANCH:
            for part in argument[1]:
                found = self._sequence(list(part), 0, place, then)
                if found is not None:
                    return found
            return None
        if operator in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            return self._repeat(operator, argument, place, then)
        if operator is sre.AT:
            at = re.compile({"AT_BEGINNING": "^", "AT_END_STRING": r"\Z", "AT_BOUNDARY": r"\b"}[str(argument)])
            return then(place) if at.match(self._text, place) else None
        if operator in (sre.ASSERT, sre.ASSERT_NOT):
            direction, inner = argument
            start = place if direction > 0 else place - inner.getwidth()[0]
            held = start >= 0 and self._sequence(list(inner), 0, start, lambda end: end) is not None
            return then(place) if held == (operator is sre.ASSERT) else None
        if operator is sre.GROUPREF:
            begin, end = self._groups[argument]
            wanted = self._text[begin:end]
            self.steps += len(wanted)
            return then(place + len(wanted)) if self._text.startswith(wanted, place) else None
        return then(place + 1) if self._is(operator, argument, place) else None

    def _repeat(self, operator: Any, argument: Any, place: int, then: Then) -> int | None:
        least, most, body = argument
        most = 10**9 if most is sre.MAXREPEAT else most
        if len(body) == 1 and body[0][0] in (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN):  # without recursion
            ends = [place]
            lazy = operator is sre.MIN_REPEAT
            while len(ends) <= most and (not lazy or len(ends) <= least) and self._is(*body[0], ends[-1]):
                ends.append(ends[-1] + 1)
            if lazy:
                while len(ends) > least:
                    found = then(ends[-1])
                    if found is not None or not self._is(*body[0], ends[-1]):
                        return found
                    ends.append(ends[-1] + 1)
                return None
            for end in reversed(ends[least:]):
                found = then(end)
                if found is not None:
                    return found
            return None

        def again(count: int, start: int) -> int | None:
            if count < most:
                found = self._sequence(list(body), 0, start, lambda end: again(count + 1, end) if end > start else None)
                if found is not None:
                    return found
            return then(start) if count >= least else None

        return again(0, place)

    def _is(self, operator: Any, argument: Any, place: int) -> bool:
        self.steps += 1
        return place < len(self._text) and self._matches(operator, argument, self._text[place])

    def _matches(self, operator: Any, argument: Any, one: str) -> bool:
        if operator is sre.LITERAL:
            return bool(argument == ord(one))
        if operator is sre.NOT_LITERAL:
            return bool(argument != ord(one))
        if operator is sre.ANY:
            return one != "\n" or bool(self._flags & re.DOTALL)
        if operator is sre.RANGE:
            return bool(argument[0] <= ord(one) <= argument[1])
        if operator is sre.CATEGORY:
            return re.fullmatch(CATEGORIES[str(argument)], one) is not None
        negated = argument[0][0] is sre.NEGATE
        return any(self._matches(*item, one) for item in argument[negated:]) != negated
