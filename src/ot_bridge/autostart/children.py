"""The children of multiprocessing end without atexit: their last spans are sent by a finalizer of its own kind.

celery's billiard is a copy of multiprocessing, with the same functions.
"""

from __future__ import annotations

import sys

from ot_bridge.autostart.imports import Watch

TYPE_CHECKING = False

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["arm"]

_UTILS = ("multiprocessing.util", "billiard.util")
_LAST = -1000  # of its priorities: other finalizers may still make spans


class _Children(Watch):
    def watches(self, name: str) -> bool:
        return name in _UTILS

    def left(self, name: str, *, failed: bool) -> None:
        if not failed:
            _prepare(sys.modules[name])


_children = _Children()


def arm() -> None:
    """Have the children of this process, and this process if it is one, send their spans before they end."""
    _children.arm()
    for name in _UTILS:
        util = sys.modules.get(name)
        if util is not None and hasattr(util, "Finalize"):
            _prepare(util)


def _prepare(util: ModuleType) -> None:
    def in_child(_: object) -> None:
        util.Finalize(None, flush, exitpriority=_LAST)

    util.register_after_fork(flush, in_child)
    if _is_child(util):
        in_child(None)


def _is_child(util: ModuleType) -> bool:
    process = sys.modules.get(f"{util.__name__.partition('.')[0]}.process")
    current = getattr(process, "_current_process", None)
    return getattr(current, "_parent_pid", None) is not None


def flush() -> None:
    """Send what has finished, as far as the tracer of this process can. Never raises."""
    opentracing = sys.modules.get("opentracing")
    send = getattr(getattr(opentracing, "tracer", None), "flush", None)
    if callable(send):
        try:
            send()
        except Exception as error:
            from ot_bridge.autostart import state

            state.say(f"spans may be lost: {type(error).__name__}: {error}")
