"""Futures that are done: what ``close()`` returns, for code that waits for it in whichever way."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future
from typing import Any

__all__ = ["future_exception", "future_result"]


class _DoneFuture(Future):  # type: ignore[type-arg]
    """Can be asked with ``result()``, yielded in a tornado coroutine, and awaited."""

    def __await__(self) -> Generator[Any, None, Any]:
        return self.result()
        yield  # what makes this a generator


def future_result(result: Any) -> _DoneFuture:
    """Return a future that has this result."""
    future = _DoneFuture()
    future.set_result(result)
    return future


def future_exception(exception: BaseException) -> _DoneFuture:
    """Return a future that has failed with this exception."""
    future = _DoneFuture()
    future.set_exception(exception)
    return future
