"""Which baggage may enter and leave: limits and key lists of the settings, for whole items, whatever the format."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ot_bridge.config import Settings

__all__ = ["BaggageLimits"]


class BaggageLimits:
    """The ``baggage_*`` limits of some settings.

    Items are asked for in their order. One that does not fit is left out as a whole, and a later, smaller one may fit.

    Args:
        settings: ``baggage_max_items``, ``baggage_max_bytes`` (keys and values, UTF-8), ``baggage_allow`` and
            ``baggage_deny`` count here.
    """

    def __init__(self, settings: Settings) -> None:
        self._max_items = settings.baggage_max_items
        self._max_bytes = settings.baggage_max_bytes
        self._allow = _Keys(settings.baggage_allow)
        self._deny = _Keys(settings.baggage_deny)

    @classmethod
    def of(cls, settings: Settings) -> BaggageLimits | None:
        """Return the limits; None where the settings name none."""
        lists = settings.baggage_allow or settings.baggage_deny
        limits = (settings.baggage_max_items, settings.baggage_max_bytes)
        return cls(settings) if lists or limits != (None, None) else None

    def begin(self, notes: list[str]) -> Callable[[str, str], bool]:
        """Return the question whether an item, as key and value, may pass: to be asked once for each item of a request.

        Args:
            notes: takes the name of a counter for each item that may not.
        """
        items, size = 0, 0

        def passes(key: str, value: str) -> bool:
            nonlocal items, size
            if key in self._deny or (self._allow and key not in self._allow):
                notes.append("baggage.dropped.deny")
                return False
            more = _bytes(key) + _bytes(value)
            if items == self._max_items or (self._max_bytes is not None and size + more > self._max_bytes):
                notes.append("baggage.dropped.limit")
                return False
            items += 1
            size += more
            return True

        return passes


class _Keys:
    """Keys without case, whole or by their start."""

    def __init__(self, patterns: Iterable[str]) -> None:
        lowered = [pattern.lower() for pattern in patterns]
        self._whole = frozenset(pattern for pattern in lowered if not pattern.endswith("*"))
        self._starts = tuple(pattern[:-1] for pattern in lowered if pattern.endswith("*"))

    def __bool__(self) -> bool:
        return bool(self._whole or self._starts)

    def __contains__(self, key: str) -> bool:
        lower = key.lower()
        return lower in self._whole or lower.startswith(self._starts)


def _bytes(text: str) -> int:
    # A lone surrogate has no UTF-8 form; it is sent as "?".
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
