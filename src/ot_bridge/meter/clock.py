"""The CPU clocks, chosen once: a thread's own where the system has a fine one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

__all__ = ["Clock", "cost_of_pair_ns", "thread_clock"]

Clock = Callable[[], int]
"""Nanoseconds that only grow."""

_COARSEST_S: Final = 0.001
_TRIES: Final = 200


def thread_clock() -> Clock:
    """Return the CPU clock of the calling thread; where it is coarser than a millisecond (Windows), the wall clock."""
    try:
        fine = time.get_clock_info("thread_time").resolution <= _COARSEST_S
        return time.thread_time_ns if fine else time.perf_counter_ns
    except (AttributeError, ValueError):  # a system without one
        return time.perf_counter_ns


def cost_of_pair_ns(clock: Clock) -> int:
    """Return what two readings in a row differ by: it is in every measurement, and is not the bridge's."""
    pairs = [-clock() + clock() for _ in range(_TRIES)]
    return max(0, sorted(pairs)[_TRIES // 4])
