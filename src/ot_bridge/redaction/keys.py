"""What a key tells of its value: the last words of the key decide, because ``token_count`` is no token."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Final, NamedTuple

from ot_bridge.redaction import rules

__all__ = ["Found", "Glob", "matching_rule", "secret_word", "words_of"]

_WORD: Final = re.compile("[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_MAX_KEY: Final = 256  # the words that decide stand at the end


class Found(NamedTuple):
    """The rule that a key falls under."""

    rule: str
    numbers: bool = False
    """Whether numbers under it are secrets, too."""


def words_of(key: str) -> list[str]:
    """Split a key at everything that is no letter or digit, and in camelCase; small letters."""
    return [word.lower() for word in _WORD.findall(key[-_MAX_KEY:])]


def secret_word(key: str) -> str | None:
    """Return the last word of a key when that, or the last two, name a secret; None else."""
    words = words_of(key)
    while words and (words[-1] in rules.SKIPPED_WORDS or words[-1].isdigit()):
        words.pop()
    if not words:
        return None
    named = words[-1] in rules.SECRET_WORDS or tuple(words[-2:]) in rules.SECRET_PAIRS
    return words[-1] if named else None


def matching_rule(key: str, enabled: Container[str]) -> Found | None:
    """Return the rule that redacts what is under a key; None when its name alone is no reason.

    Args:
        key: as it was set.
        enabled: the names of the rules to go by.
    """
    lower = key.lower()
    if lower.startswith(rules.HEADER_STARTS) and "header" in enabled:
        name = lower.partition(".header.")[2].replace("_", "-")
        if name in rules.SECRET_HEADERS:
            return Found("header")
    if "ip" in enabled and lower.replace("_", "-") in _IP_KEYS:
        return Found("ip", numbers=True)
    if "user_id" in enabled and lower in rules.USER_KEYS:
        return Found("user_id", numbers=True)
    if "key" not in enabled or lower in rules.NEVER_BY_KEY or lower.startswith(rules.NEVER_BY_START):
        return None
    word = secret_word(key)
    return None if word is None else Found("key", word in rules.NUMERIC_SECRETS)


_IP_KEYS: Final = frozenset(key.replace("_", "-") for key in rules.IP_KEYS)


class Glob:
    """A key in any case with ``*`` for any part of it; matched in one pass.

    Args:
        pattern: in small letters.
    """

    def __init__(self, pattern: str) -> None:
        self._parts = pattern.split("*")

    def matches(self, lower: str) -> bool:
        """Tell whether a key in small letters is meant."""
        first, *others = self._parts
        if not others:
            return lower == first
        *middle, last = others
        if len(lower) < len(first) + len(last) or not (lower.startswith(first) and lower.endswith(last)):
            return False
        place, end = len(first), len(lower) - len(last)
        for part in middle:
            place = lower.find(part, place, end)
            if place < 0:
                return False
            place += len(part)
        return True
