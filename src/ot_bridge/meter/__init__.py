"""What tracing costs this process, and a budget for it.

    print(ot_bridge.meter.snapshot())

``model`` has the control rule, ``clock`` the CPU clocks, ``tally`` the sums, ``core`` the meter. The spans are timed by
:mod:`ot_bridge.metering`, exporters by :mod:`ot_bridge.watching`. On with ``Settings(meter=True)`` and with a
``cpu_budget``.
"""

from __future__ import annotations

import threading
from typing import Final

from ot_bridge.meter.core import STRIDE, Lever, Measured, Meter
from ot_bridge.meter.tally import PATHS

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
