"""What was seen before and may stay as it is: most tags, fields and names of a service.

A value goes through three questions: is its key a word of OpenTracing's, can OTLP carry it, and is it a secret? Where
the answers were no, yes and no, they are remembered. A tag of a known key and text then costs a look into a dict and
one into a set, which is a third of what the questions cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from ot_bridge.conventions import ROLES
from ot_bridge.redaction import Redactor

__all__ = ["PLAIN", "Known"]

PLAIN: Final = frozenset({float, bool})
"""The classes whose values may always stand under a known key, beside texts that are known and numbers."""

_MAX_KEYS: Final = 4096
_MAX_KEY: Final = 256
_MAX_TEXTS: Final = 512  # under one key
_MAX_TEXT: Final = 256  # also of a redactor, and where the budget cuts: what is known is never cut


class Known:
    """What the spans of one tracer have in common. For all threads; holds no lock.

    Args:
        redactor: tells what is no secret, and remembers it; None where nothing is one.
        is_open: whether values may stay as they are at all: not where they are to be cut.

    Attributes:
        texts: for each key that is plain text and no word of OpenTracing's, the texts that may stand under it. Keys
            whose values are never plain are missing. Stays the same object.
        texts_under: its ``get``.
        names: operation names and event names that may stay as they are.
        bits: a number of fewer may stand under a known key.
    """

    __slots__ = ("_epoch", "_is_open", "_redactor", "_told", "bits", "names", "texts", "texts_under")

    def __init__(self, redactor: Redactor | None, *, is_open: bool) -> None:
        self._redactor = redactor
        self._is_open = is_open
        self._epoch = 0
        self.texts: dict[Any, AbstractSet[Any]] = {}
        self.texts_under = self.texts.get
        self._told: dict[str, AbstractSet[Any]] = {}  # the same for the words of OpenTracing's
        self.names: AbstractSet[Any] = set() if redactor is None else redactor.clean_texts
        self.bits = 64 if redactor is None or redactor.spares_numbers else 0

    def learn(self, key: str, value: Any) -> None:
        """Remember a key, and the value where there is no redactor to do so.

        Args:
            key: one that was set.
            value: what was cleaned.
        """
        redactor = self._redactor
        if redactor is not None and redactor.epoch != self._epoch:  # it has forgotten, and made new sets
            self._epoch = redactor.epoch
            self.texts.clear()
            self._told.clear()
        if not self._is_open or not 0 < len(key) <= _MAX_KEY or not key.isascii():
            return
        held = self._told if key in ROLES else self.texts
        texts = held.get(key)
        if texts is None:
            texts = set() if redactor is None else redactor.texts_under(key)
            if texts is None or len(held) >= _MAX_KEYS:
                return
            held[key] = texts
        if redactor is None:
            _add(texts, value)

    def has(self, key: str, value: Any) -> bool:
        """Tell whether a value may stay as it is under a key, which may be a word of OpenTracing's."""
        texts, kind = self._told.get(key) if key in ROLES else self.texts.get(key), type(value)
        if texts is None:
            return False
        return value in texts if kind is str else value.bit_length() < self.bits if kind is int else kind in PLAIN

    def has_all(self, attributes: Mapping[str, Any]) -> bool:
        """Tell whether all of them may stay as they are; learn those that are new."""
        new = [key for key, value in attributes.items() if not self.has(key, value)]
        for key in new:
            self.learn(key, attributes[key])
        return not new

    def learn_name(self, name: str) -> None:
        """Remember a name, where there is no redactor to do so."""
        if self._redactor is None:
            _add(self.names, name)


def _add(texts: Any, text: Any) -> None:
    if type(text) is str and len(text) <= _MAX_TEXT and len(texts) < _MAX_TEXTS and text.isascii():
        texts.add(text)
