"""What tracing costs this process, and a budget for it.

    print(ot_bridge.meter.snapshot())

``model`` has the control rule, ``clock`` the CPU clocks, ``core`` the windows. :mod:`ot_bridge.metering` times the spans
and :mod:`ot_bridge.watching` the exporters. On with ``Settings(meter=True)`` and with a ``cpu_budget``; off it costs
nothing.
"""

from __future__ import annotations

import threading
from typing import Final

from ot_bridge.meter.core import PATHS, STRIDE, Lever, Measured, Meter

__all__ = ["PATHS", "STRIDE", "Lever", "Measured", "Meter", "of_process", "snapshot"]

_lock: Final = threading.RLock()
_of_process: Meter | None = None


def of_process() -> Meter:
    """Return the meter of this process; the first call makes it."""
    global _of_process
    with _lock:
        if _of_process is None:
            _of_process = Meter()
        return _of_process


def snapshot() -> Measured | None:
    """Return what is known now: counts, CPU by path, share and budget. None while nothing is measured."""
    return None if _of_process is None else _of_process.measured()


def _forget() -> None:
    """Let the next tracer make a new one. For tests."""
    global _of_process
    _of_process = None
