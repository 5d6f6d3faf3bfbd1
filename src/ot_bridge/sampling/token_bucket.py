"""A bucket of credits that fills with time: so many per second on the average, a burst of what it holds.

Equal to the rate limiter of jaeger-client-python 4.8.0, except that it reads a clock that never jumps.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from ot_bridge.locks import fork_safe_lock

__all__ = ["TokenBucket"]


class TokenBucket:
    """Credits to take. Safe with threads and forks.

    Args:
        credits_per_second: how fast it fills.
        capacity: how many credits it holds.
        clock: seconds that only grow.
        fraction: a number from 0 up to 1: how full it is at first, so that the processes of a fleet that starts as one
            do not all begin with a burst.
        lock: shared by buckets that belong together; None for an own one.
    """

    def __init__(
        self,
        credits_per_second: float,
        capacity: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        fraction: Callable[[], float] = random.random,
        lock: threading.Lock | None = None,
    ) -> None:
        self._clock = clock
        self._lock = fork_safe_lock() if lock is None else lock
        self._rate = credits_per_second
        self._capacity = capacity
        self._balance = capacity * fraction()
        self._filled_at = clock()

    def take(self, cost: float = 1.0) -> bool:
        """Pay ``cost`` credits; False, and nothing paid, where there are fewer."""
        with self._lock:
            self._fill()
            if self._balance < cost:
                return False
            self._balance -= cost
            return True

    def update(self, credits_per_second: float, capacity: float) -> None:
        """Change the rate and the size; it stays as full in proportion as it was."""
        with self._lock:
            self._fill()
            self._balance = capacity * self._balance / self._capacity
            self._rate = credits_per_second
            self._capacity = capacity

    def _fill(self) -> None:
        now = self._clock()
        self._balance = min(self._capacity, self._balance + (now - self._filled_at) * self._rate)
        self._filled_at = now

    def __repr__(self) -> str:
        return f"TokenBucket(credits_per_second={self._rate!r}, capacity={self._capacity!r})"
