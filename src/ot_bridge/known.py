"""What was seen before and may stay as it is: most tags, fields and names of a service.

A value goes through three questions: is its key a word of OpenTracing's, can OTLP carry it, and is it a secret? Where
the answers were no, yes and no, they are remembered. A tag of a known key and text then costs a look into a dict and
one into a set, which is a third of what the questions cost.
"""

from __future__ import annotations

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
_MAX_TEXT: Final = 256


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

    __slots__ = ("_epoch", "_is_open", "_may_open", "_redactor", "bits", "names", "texts", "texts_under")

    def __init__(self, redactor: Redactor | None, *, is_open: bool) -> None:
        self._redactor = redactor
        self._is_open = self._may_open = is_open
        self._epoch = 0
        self.texts: dict[Any, AbstractSet[Any]] = {}
        self.texts_under = self.texts.get
        self.names: AbstractSet[Any] = set() if redactor is None else redactor.clean_texts
        self.bits = 64 if redactor is None or redactor.spares_numbers else 0

    def close(self) -> None:
        """Let nothing stay as it is from now on, until :meth:`reopen`."""
        self._is_open = False
        self.texts.clear()

    def reopen(self) -> None:
        """Learn again."""
        self._is_open = self._may_open

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
        if not self._is_open or key in ROLES or len(key) > _MAX_KEY or not key.isascii():
            return
        texts = self.texts.get(key)
        if texts is None:
            texts = set() if redactor is None else redactor.texts_under(key)
            if texts is None or len(self.texts) >= _MAX_KEYS:
                return
            self.texts[key] = texts
        if redactor is None:
            _add(texts, value)

    def learn_name(self, name: str) -> None:
        """Remember a name, where there is no redactor to do so."""
        if self._redactor is None:
            _add(self.names, name)


def _add(texts: Any, text: Any) -> None:
    if type(text) is str and len(text) <= _MAX_TEXT and len(texts) < _MAX_TEXTS and text.isascii():
        texts.add(text)
