"""A dict in name, for who insists on one: it is empty itself, and every read goes to what is there now."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import Any

__all__ = ["DictView"]


class DictView(dict[str, Any]):
    """A read-only view in the shape of a dict; :meth:`_now` says of what."""

    __slots__ = ()

    @abstractmethod
    def _now(self) -> dict[str, Any]:
        """Return what is seen now."""

    def copy(self) -> dict[str, Any]:
        return self._now().copy()

    def __getitem__(self, key: str) -> Any:
        return self._now()[key]

    def get(self, key: str, default: Any = None) -> Any:
        return self._now().get(key, default)

    def __contains__(self, key: object) -> bool:
        return key in self._now()

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def keys(self) -> KeysView[str]:  # type: ignore[override]
        return self._now().keys()

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        return self._now().values()

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        return self._now().items()

    def __eq__(self, other: object) -> bool:
        return self._now() == other

    def __ne__(self, other: object) -> bool:
        return self._now() != other

    __hash__ = None

    def __or__(self, other: Any) -> Any:
        return self._now() | other

    def __ror__(self, other: Any) -> Any:
        return other | self._now()

    def __repr__(self) -> str:
        return repr(self._now())
