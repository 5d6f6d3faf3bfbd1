"""Whose context is continued: ``Settings.trust_incoming``, asked once for each request that brings a context.

A service at the edge of the fleet is sent contexts by anybody: a forged one joins a trace of the caller's choice,
forces its sampling and fills the baggage. What is refused here is not used at all, see :mod:`ot_bridge.propagator`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Protocol

from ot_bridge.codecs.carrier import plain_text
from ot_bridge.config import Settings
from ot_bridge.telemetry import warn_once

__all__ = ["NO_HEADERS", "AskedHeaders", "Gate", "HeaderSource", "ListedHeaders"]


class HeaderSource(Protocol):
    """Where the headers of one request can be had."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers, read-only: names in lower case, several lines of one header joined with ``", "``."""


class Gate:
    """Tells whether a request may bring a context. Never raises: who gives no answer says no.

    Args:
        predicate: given the headers; None refuses everybody.
    """

    def __init__(self, predicate: Callable[[Mapping[str, str]], bool] | None) -> None:
        self._predicate = predicate

    @classmethod
    def of(cls, settings: Settings) -> Gate | None:
        """Return the gate of the settings; None where everybody is trusted."""
        rule = settings.trust_incoming
        if isinstance(rule, str):
            return None if rule == "all" else cls(None)
        return cls(rule)

    def admits(self, source: HeaderSource) -> bool:
        """Tell whether the context of a request is to be continued."""
        if self._predicate is None:
            return False
        try:
            answer: object = self._predicate(source.headers())
        except Exception as error:
            warn_once("extract.trust_failed", "trust_incoming failed, which counts as no: %r", error)
            return False
        if isinstance(answer, bool):
            return answer
        kind = type(answer).__name__
        warn_once("extract.trust_failed", "trust_incoming returned a value of type %s, expected a bool: no", kind)
        return False


class ListedHeaders:
    """The items of a carrier, remembered while somebody else iterates over them. They may raise, as theirs do.

    Args:
        items: names and values of any kind.
    """

    def __init__(self, items: Iterable[tuple[object, object]]) -> None:
        self._items = items
        self._rest: Iterator[tuple[object, object]] | None = None
        self._seen: list[object] = []

    def __iter__(self) -> Iterator[tuple[object, object]]:
        if self._rest is None:  # a loop that goes on behind an item that raised asks again
            self._rest = iter(self._items)
        return self

    def __next__(self) -> tuple[object, object]:
        if self._rest is None:
            raise StopIteration
        item = next(self._rest)
        self._seen.append(item)
        return item

    def headers(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for item in self._seen:
            if isinstance(item, tuple | list) and len(item) == 2:
                _add(found, *item)
        return MappingProxyType(found)


class AskedHeaders(Mapping[str, str]):
    """The headers behind an OpenTelemetry Getter. One that cannot list its keys is asked for each name.

    Args:
        carrier: what the getter reads.
        getter: with ``keys`` and ``get``.
    """

    def __init__(self, carrier: Any, getter: Any) -> None:
        self._carrier, self._getter = carrier, getter
        self._found: dict[str, str] = {}

    def headers(self) -> Mapping[str, str]:
        try:
            names = list(self._getter.keys(self._carrier))
        except Exception:  # the propagator counts that
            names = []
        for name in dict.fromkeys(names):
            _add(self._found, name, self._get(name))
        return self

    def __getitem__(self, name: str) -> str:
        if name not in self._found and name == name.lower():
            _add(self._found, name, self._get(name))
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def _get(self, name: str) -> object:
        try:
            return self._getter.get(self._carrier, name)
        except Exception:
            return None


class _NoHeaders:
    def headers(self) -> Mapping[str, str]:
        return MappingProxyType({})


NO_HEADERS: Final = _NoHeaders()
"""A carrier that has none: BINARY."""


def _add(found: dict[str, str], name: object, value: object) -> None:
    key = plain_text(name)
    if key is None:
        return
    key = key.lower()
    for line in value if isinstance(value, list | tuple) else (value,):
        text = plain_text(line)
        if text is not None:
            found[key] = f"{found[key]}, {text}" if key in found else text
