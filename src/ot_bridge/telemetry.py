"""The bridge's own counters: what was dropped, ignored, truncated or in conflict, by name. Nothing is silent."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping

_logger = logging.getLogger("ot_bridge")
_lock = threading.Lock()
_counters: dict[str, int] = {}
_warned: set[str] = set()


def _renew_lock() -> None:
    global _lock  # another thread may hold it at the moment of a fork
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def count(name: str, amount: int = 1) -> None:
    """Add to one counter. Names are dotted, from wide to narrow: ``extract.malformed.jaeger``."""
    with _lock:
        _counters[name] = _counters.get(name, 0) + amount


def warn_once(key: str, message: str, *args: object, exc_info: bool = False) -> None:
    """Log a warning the first time that ``key`` is seen in this process; count it every time."""
    count(key)
    with _lock:
        if key in _warned:
            return
        _warned.add(key)
    _logger.warning(message, *args, exc_info=exc_info)


def snapshot() -> Mapping[str, int]:
    """Return a copy of all counters, sorted by name."""
    with _lock:
        return dict(sorted(_counters.items()))


def reset() -> None:
    """Forget all counts and warnings. For tests."""
    with _lock:
        _counters.clear()
        _warned.clear()
