"""Futures as ``close()`` returns them, for code that waits for one in whichever way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import Any

__all__ = ["WaitableFuture", "future_exception", "future_of_all", "future_result", "submit"]


class WaitableFuture(Future):  # type: ignore[type-arg]
    """Can be asked with ``result()``, yielded in a tornado coroutine, and awaited."""

    def __await__(self) -> Generator[Any, None, Any]:
        if not self.done():
            return (yield from asyncio.wrap_future(self).__await__())
        return self.result()


def submit(fn: Callable[..., Any], io_loop: Any, *args: Any, **kwargs: Any) -> WaitableFuture:
    """Call a function, or a coroutine of tornado, on a loop of tornado; return the future of what it gives."""
    future = WaitableFuture()

    def done(found: Any) -> None:
        try:
            future.set_result(found.result())
        except Exception as error:
            future.set_exception(error)

    def execute() -> None:
        try:
            found = fn(*args, **kwargs)
            if not hasattr(found, "add_done_callback"):
                future.set_result(found)
                return
            io_loop.add_future(found, done)
        except Exception as error:
            future.set_exception(error)

    io_loop.add_callback(execute)
    return future


def future_result(result: Any) -> WaitableFuture:
    """Return a future that has this result."""
    future = WaitableFuture()
    future.set_result(result)
    return future


def future_exception(exception: BaseException) -> WaitableFuture:
    """Return a future that has failed with this exception."""
    future = WaitableFuture()
    future.set_exception(exception)
    return future


def future_of_all(futures: list[Any]) -> WaitableFuture:
    """Return a future that is done when all are, True when none failed or has the result False."""
    future = WaitableFuture()
    waiting, good = len(futures), True

    def done(found: Any) -> None:
        nonlocal waiting, good
        try:
            good = good and found.result() is not False
        except Exception:  # a reporter of the application's own, with a future of any make
            good = False
        waiting -= 1
        if not waiting:
            future.set_result(good)

    if not futures:
        future.set_result(True)
    for one in futures:
        if hasattr(one, "add_done_callback"):
            one.add_done_callback(done)
        else:
            done(future_result(one))
    return future
