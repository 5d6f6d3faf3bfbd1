"""Ends that ``atexit`` never hears of: children of multiprocessing and billiard, and uvicorn's servers.

They are modules that a process may import before or after install, or never: each is prepared once it is there.

- multiprocessing's children, and those of celery's copy of it, billiard, end by ``os._exit`` after finalizers of their
  own kind. Forked ones inherit what was prepared in their parent.
- billiard's pool, which is celery's prefork, does not even run those: its workers end in ``Worker._do_exit``.
- uvicorn puts the old handlers back when it has served, and raises the signal again that it was stopped by. A program
  that calls install where uvicorn imports it finds uvicorn's handler, and SIGTERM's own is out of reach.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from ot_bridge import telemetry
from ot_bridge.importing import Watch

__all__ = ["arm"]

_LAST: Final = -1000  # of multiprocessing's priorities: other finalizers may still make spans


class _Armed:
    """What is called at the ends; both do nothing until somebody is armed."""

    def __init__(self) -> None:
        self._close: Callable[[], object] | None = None
        self._flush: Callable[[], object] | None = None

    def set(self, close: Callable[[], object] | None, flush: Callable[[], object] | None) -> None:
        self._close, self._flush = close, flush

    def close(self) -> None:
        _call(self._close)

    def flush(self) -> None:
        _call(self._flush)


def _call(send: Callable[[], object] | None) -> None:
    if send is not None:
        try:
            send()
        except Exception as error:
            telemetry.warn_once("close.error", "shutting down or flushing failed: %s: %s", type(error).__name__, error)


_armed: Final = _Armed()


def _prepare_finalizers(util: ModuleType) -> None:
    def in_child(_: object) -> None:
        util.Finalize(None, _armed.close, exitpriority=_LAST)

    util.register_after_fork(_armed, in_child)
    if _is_child(util):
        in_child(None)


def _is_child(util: ModuleType) -> bool:
    process = sys.modules.get(f"{util.__name__.partition('.')[0]}.process")
    current = getattr(process, "_current_process", None)
    return getattr(current, "_parent_pid", None) is not None


def _prepare_pool(pool: ModuleType) -> None:
    plain = pool.Worker._do_exit

    @functools.wraps(plain)
    def _do_exit(self: Any, *args: Any, **kwargs: Any) -> Any:
        told = self.on_exit

        def on_exit(*args: Any, **kwargs: Any) -> None:
            try:
                if told is not None:
                    told(*args, **kwargs)  # celery's worker_process_shutdown, whose receivers may make spans
            finally:
                _armed.close()

        self.on_exit = on_exit
        return plain(self, *args, **kwargs)

    pool.Worker._do_exit = _do_exit


def _prepare_uvicorn(server: ModuleType) -> None:
    plain = server.Server.shutdown

    @functools.wraps(plain)
    async def shutdown(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await plain(self, *args, **kwargs)
        finally:
            _armed.flush()  # no close: a program may go on after its server

    server.Server.shutdown = shutdown


_ENDS: Final[dict[str, Callable[[ModuleType], None]]] = {
    "multiprocessing.util": _prepare_finalizers,
    "billiard.util": _prepare_finalizers,
    "billiard.pool": _prepare_pool,
    "uvicorn.server": _prepare_uvicorn,
}


class _Ends(Watch):
    def __init__(self) -> None:
        self._prepared: set[int] = set()

    def watches(self, name: str) -> bool:
        return name in _ENDS

    def left(self, name: str, *, failed: bool) -> None:
        if not failed:
            self.prepare(name)

    def prepare(self, name: str) -> None:
        module = sys.modules.get(name)
        if module is None or id(module) in self._prepared:
            return
        self._prepared.add(id(module))
        try:
            _ENDS[name](module)
        except AttributeError as error:
            telemetry.warn_once(
                f"close.unprepared.{name}", "%s is not as expected: spans may be lost at its end: %s", name, error
            )


_ends: Final = _Ends()


def arm(close: Callable[[], object], flush: Callable[[], object]) -> Callable[[], None]:
    """Have the spans of this process, and of its children, sent before such an end.

    Args:
        close: sends and stops, for a process that ends.
        flush: sends, for one that may go on.

    Returns:
        A function that undoes it: what was prepared stays, and does nothing.
    """
    _armed.set(close, flush)
    _ends.arm()
    for name in _ENDS:
        _ends.prepare(name)

    def undo() -> None:
        _armed.set(None, None)
        _ends.disarm()

    return undo
