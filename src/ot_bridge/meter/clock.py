"""The CPU clocks, chosen once: a thread's own where the system has a fine one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

__all__ = ["Clock", "cost_of_pair_ns", "thread_clock"]

Clock = Callable[[], int]
"""Nanoseconds that only grow."""

_COARSEST_S: Final = 0.001
_TRIES: Final = 151


def thread_clock() -> Clock:
    """Return the CPU clock of the calling thread; where it is coarser than a millisecond (Windows), the wall clock."""
    try:
        fine = time.get_clock_info("thread_time").resolution <= _COARSEST_S
        return time.thread_time_ns if fine else time.perf_counter_ns
    except (AttributeError, ValueError):  # a system without one
        return time.perf_counter_ns


def cost_of_pair_ns(clock: Clock) -> int:
    """Return by how much a call seems to take longer when the clock is read before and after it.

    That is more than two readings: after a system call the processor has to warm up again.
    """
    alone = []
    for _ in range(_TRIES):
        began = clock()
        _call()
        alone.append(clock() - began)
    several = []
    for _ in range(_TRIES // 10):
        began = clock()
        for _ in range(10):
            _call()
        several.append((clock() - began) / 10)
    # One of the ten has paid for the pair: a ninth of the difference is still in it.
    return max(0, round((_median(alone) - _median(several)) * 10 / 9))


def _median(values: list[int] | list[float]) -> float:
    return sorted(values)[len(values) // 2]


class _Part:
    def __init__(self, number: int) -> None:
        self.number = number
        self.name = str(number)


def _call(*args: object, **kwargs: object) -> object:
    """Do what a call of the bridge does: a few objects, look-ups and texts."""
    found: dict[str, object] = {}
    for number in range(4):
        part = _Part(number)
        found[part.name] = (part.number, args, kwargs)
    return "".join(found)
