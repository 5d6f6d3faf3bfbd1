"""What a carrier may hold and what may be put into one.

A carrier is a list of names and values from any framework: names in any case, a name several times, values that are
texts, bytes or lists of them. Here they become one text per header, by semantics that no codec has to repeat:

- a list is the same as several lines of the same header;
- several equal values are one value; several different ones are no value (joined with a line feed, which no trace
  header can hold, so that every codec finds them malformed);
- lines of a header that is a list (``tracestate``, ``baggage``) are one list, as RFC 9110 section 5.3 says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote, unquote_to_bytes

__all__ = [
    "CarrierReader",
    "Found",
    "Item",
    "Lines",
    "Slot",
    "any_text",
    "by_lower_key",
    "is_ambiguous",
    "outgoing",
    "percent_decoded",
    "plain_text",
]

Item = tuple[str, str, str, str]
"""A baggage item that may be sent: key (an RFC 7230 token), the key in lower case, text, text percent-encoded."""

_SEVERAL: Final = "\n"
_is_token: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch  # RFC 7230, section 3.2.6
# quote() in a third of its time, for ASCII.
_QUOTED: Final = {code: quote(chr(code), safe="") for code in range(128)}

# Names come from the network: without bounds a client could fill the memory with them.
_MAX_CACHED_NAMES: Final = 512
_MAX_CACHED_LENGTH: Final = 100
# An iterator that raises every time must not hold the request.
_DictItems: Final[type] = type({}.items())
_MAX_FAULTS: Final = 1000


class Lines(Enum):
    """What several lines of one header mean."""

    EQUAL = "equal lines are one value, different ones are malformed"
    LIST = "all lines are one comma-separated list"


class Slot(NamedTuple):
    """What a header name means to the enabled codecs."""

    header: str
    """The name in lower case; of a baggage item, the prefix."""
    key: str | None
    """The baggage key that follows the prefix, None for any other header."""
    lines: Lines


Found = tuple[dict[str, str], dict[str, dict[str, str]]]
"""What the enabled codecs read: headers, name -> value; baggage items as sent, prefix -> key -> value."""


class CarrierReader:
    """Finds the headers of the enabled codecs in any carrier. Never raises.

    Args:
        headers: names in lower case, each with what several lines of it mean.
        prefixes: prefixes of baggage headers, in lower case; a name in ``headers`` comes first.
    """

    def __init__(self, headers: Mapping[str, Lines], prefixes: Iterable[str]) -> None:
        self._headers = {name: Slot(name, None, lines) for name, lines in headers.items()}
        self._prefixes = tuple(prefixes)
        # Names as they were received. Most headers of a request are somebody else's: to find that out in a set costs
        # a third of lowering and comparing the name.
        self._slots: dict[object, Slot] = {}
        self._ignored: set[object] = set()
        self._familiar: list[tuple[set[object], tuple[str, ...]]] = []

    def read(self, items: Iterable[tuple[object, object]], notes: list[str]) -> Found | None:
        """Return what the items hold, None when that is nothing."""
        hits = self.hits(items, notes)
        return self.gather(hits, notes) if hits else None

    def hits(self, items: Iterable[tuple[object, object]], notes: list[str]) -> list[tuple[object, object]]:
        """Return the items whose names are not known to mean nothing."""
        ignored = self._ignored
        if type(items) is _DictItems:  # which can be read again, should one of its names be odd
            try:
                return [item for item in items if item[0] not in ignored]
            except Exception:  # noqa: S110  (suppress() costs more than the loop)
                pass
        hits: list[tuple[object, object]] = []
        faults = 0
        try:
            rest = iter(items)
        except Exception:
            notes.append("extract.unreadable")
            return hits
        while faults < _MAX_FAULTS:
            try:
                for name, value in rest:
                    if name not in ignored:
                        hits.append((name, value))
                break
            except Exception:
                faults += 1
                notes.append("extract.unreadable")
        return hits

    def familiar(self, *names: str) -> set[object]:
        """Return a set, which grows and shrinks, of these names and all that are known to mean nothing."""
        familiar: set[object] = {*names, *self._ignored}
        self._familiar.append((familiar, names))
        return familiar

    @property
    def slots(self) -> dict[str, Slot]:
        """The headers that are read as a whole, by name."""
        return self._headers

    def gather(self, hits: Iterable[tuple[object, object]], notes: list[str]) -> Found | None:
        """Bring the lines of each header together; None when no name means anything."""
        headers: dict[str, str] = {}
        pairs: dict[str, dict[str, str]] = {}
        ambiguous: list[tuple[str, str]] = []
        slots = self._slots
        for name, value in hits:
            slot = slots.get(name) or self.slot(name)
            if slot is None:
                continue
            header, key, lines = slot
            if key is None and type(value) is str and header not in headers:
                headers[header] = value
                continue
            for text in _texts(value, lines):
                if key is not None:
                    items = pairs.get(header)
                    if items is None:
                        pairs[header] = {key: text}
                    elif items.setdefault(key, text) != text:
                        ambiguous.append((header, key))
                elif header not in headers:
                    headers[header] = text
                elif lines is Lines.LIST:
                    headers[header] += "," + text
                elif headers[header] != text:
                    headers[header] += _SEVERAL + text
        for header, key in dict.fromkeys(ambiguous):
            del pairs[header][key]
            notes.append("baggage.dropped.ambiguous")
        return (headers, pairs) if headers or pairs else None

    def wanted(self, names: Iterable[object]) -> dict[Any, Slot]:
        """Return those of the names that mean something."""
        ignored = self._ignored
        return {name: slot for name in names if name not in ignored and (slot := self.slot(name))}

    def slot(self, name: object) -> Slot | None:
        """Return what a name means, None when it is somebody else's header."""
        text = plain_text(name) if isinstance(name, str | bytes) else None
        if text is None:
            return None
        lower = text.lower()
        slot = self._headers.get(lower)
        if slot is None and lower.startswith(self._prefixes):
            prefix = next(prefix for prefix in self._prefixes if lower.startswith(prefix))
            slot = Slot(prefix, lower[len(prefix) :], Lines.EQUAL) if len(lower) > len(prefix) else None
        if len(text) <= _MAX_CACHED_LENGTH:
            if len(self._slots) + len(self._ignored) >= _MAX_CACHED_NAMES:
                self._slots.clear()
                self._ignored.clear()
                for familiar, names in self._familiar:
                    familiar.clear()
                    familiar.update(names)
            if slot is None:
                self._ignored.add(name)
                for familiar, _ in self._familiar:
                    familiar.add(name)
            else:
                self._slots[name] = slot
        return slot


def is_ambiguous(text: str) -> bool:
    """Tell whether a header came with several different values."""
    return _SEVERAL in text


def plain_text(value: object) -> str | None:
    """Return a text, bytes (UTF-8) or number as an exact ``str``; None for anything else. Never raises."""
    if isinstance(value, str):
        # A subclass may have other ideas of what "in" and "+" mean.
        return str.__str__(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, int | float):
        try:
            return str(value)
        except Exception:  # an int too long for str(), a subclass with its own __str__
            return None
    return None


def percent_decoded(text: str) -> str:
    """Decode ``%xx`` as UTF-8, with U+FFFD for what is not; what cannot be decoded stays as it is."""
    if "%" not in text:
        return text
    # The same as unquote(text) in half the time.
    return unquote_to_bytes(text).decode("utf-8", "replace") if text.isascii() else unquote(text)


def any_text(value: object) -> str | None:
    """Return any object as a text that has a UTF-8 form; None for None and where ``str(value)`` fails. Never raises."""
    if value is None:
        return None
    text = plain_text(value)
    if text is None:
        try:
            text = str.__str__(str(value))
        except Exception:
            return None
    # A lone surrogate has no UTF-8 form: quote() and the carrier's encoder would raise.
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def outgoing(baggage: Mapping[str, str], notes: list[str]) -> list[Item]:
    """Return the items that may be sent; note the others by the name of their counter.

    A value that is not a text is sent as ``str(value)``: OpenTelemetry's baggage takes any object.
    """
    items: list[Item] = []
    for key, value in baggage.items():
        lower = _lower_token(key) if isinstance(key, str) else None
        text = value if type(value) is str and value.isascii() else any_text(value)
        if lower is None:
            notes.append("baggage.dropped.key")
        elif text is None:
            notes.append("baggage.dropped.value")
        else:
            quoted = text.translate(_QUOTED) if text.isascii() else quote(text, safe="")
            items.append((key, lower, text, quoted))
    return items


@lru_cache(maxsize=_MAX_CACHED_NAMES)
def _lower_token(key: str) -> str | None:
    return key.lower() if _is_token(key) else None


def by_lower_key(items: Sequence[Item], notes: list[str]) -> dict[str, Item]:
    """Return the items by their keys in lower case, for header names, which have no case.

    Of keys that differ only in case the one that is in lower case already is kept, else the first.
    """
    lowered = {item[1]: item for item in items}
    if len(lowered) < len(items):
        notes += ["baggage.dropped.collision"] * (len(items) - len(lowered))
        for item in reversed(items):
            lowered[item[1]] = item
        lowered |= {item[0]: item for item in items if item[0] == item[1]}
    return lowered


def _texts(value: object, lines: Lines) -> Iterable[str]:
    if type(value) is str:
        return (value,)
    if not isinstance(value, list | tuple):
        text = plain_text(value)
        return () if text is None else (text,)
    texts = [text for text in map(plain_text, value) if text is not None]
    return texts if lines is Lines.LIST else dict.fromkeys(texts)
