"""How long an operation usually takes: a running percentile of each, and from it what counts as slow.

A sparse histogram with logarithmic buckets, each a tenth wider than the one before, so that any percentile is right
within 5%. Two windows take turns, so that it forgets: a percentile is over the last 5 to 10 minutes.
"""

from __future__ import annotations

import math
from typing import Final

__all__ = ["MIN_SAMPLES", "OperationLimits", "RunningPercentile"]

GAMMA: Final = 1.1
WINDOW_NS: Final = 300 * 10**9
REFRESH_NS: Final = 10 * 10**9
MIN_SAMPLES: Final = 200
"""Below so many a percentile is a guess: off by a quarter at 100 samples, by half at 20."""
MAX_OPERATIONS: Final = 2000
FACTOR: Final = 1.5

_PER_BUCKET: Final = 1 / math.log(GAMMA)


class RunningPercentile:
    """The durations of one operation. Not safe with threads.

    Args:
        now_ns: nanoseconds of a clock that only grows.
    """

    __slots__ = ("_before", "_now", "_rotate_at", "limit_at", "limit_ns", "seen_at")

    def __init__(self, now_ns: int) -> None:
        self._before: dict[int, int] = {}
        self._now: dict[int, int] = {}
        self._rotate_at = now_ns + WINDOW_NS
        self.seen_at = now_ns
        self.limit_at = now_ns
        """When the limit has to be computed anew."""
        self.limit_ns: float | None = None

    def add(self, duration_ns: int, now_ns: int) -> None:
        """Count one duration."""
        self.seen_at = now_ns
        if now_ns >= self._rotate_at:
            self._rotate(now_ns)
        bucket = math.ceil(math.log(duration_ns) * _PER_BUCKET) if duration_ns > 0 else 0
        self._now[bucket] = self._now.get(bucket, 0) + 1

    def quantile(self, part: float, now_ns: int) -> float | None:
        """Return the duration that ``part`` of the samples does not exceed, in ns; None with too few samples."""
        if now_ns >= self._rotate_at:
            self._rotate(now_ns)
        total = sum(self._now.values()) + sum(self._before.values())
        if total < MIN_SAMPLES:
            return None
        left = math.ceil(part * total)
        for bucket in sorted({*self._now, *self._before}):
            left -= self._now.get(bucket, 0) + self._before.get(bucket, 0)
            if left <= 0:
                break
        # The point of the bucket that is equally far, in proportion, from both its ends.
        return float(2 * GAMMA**bucket / (GAMMA + 1))

    def _rotate(self, now_ns: int) -> None:
        # After a long silence both windows are old.
        self._before = self._now if now_ns < self._rotate_at + WINDOW_NS else {}
        self._now = {}
        self._rotate_at = now_ns + WINDOW_NS


class OperationLimits:
    """From which duration on an operation is slow. Not safe with threads.

    With a quantile it is 1.5 times that, held between a floor and a ceiling: without the ceiling a service that gets
    slower day by day would declare itself normal. Below 200 samples it is the ceiling.

    It knows 2000 operations. Beyond these, one that was not seen for two windows gives its place to a new one; where
    there is none, new ones share one histogram.

    Args:
        quantile: from 0 to 1; None for the ceiling alone.
        floor_ns: the least.
        ceiling_ns: the most.
    """

    def __init__(self, quantile: float | None, floor_ns: float, ceiling_ns: float) -> None:
        self._quantile, self._floor_ns, self._ceiling_ns = quantile, floor_ns, ceiling_ns
        self._operations: dict[str, RunningPercentile] = {}
        self._rest: RunningPercentile | None = None
        self._made_room_at: int | None = None

    def limit_ns(self, operation: str, now_ns: int) -> float:
        """Return the duration above which this operation is slow; computed anew every 10 seconds."""
        if self._quantile is None:
            return self._ceiling_ns
        one = self._of(operation, now_ns)
        if now_ns >= one.limit_at:
            found = one.quantile(self._quantile, now_ns)
            usual = self._ceiling_ns if found is None else FACTOR * found
            one.limit_ns = min(max(usual, self._floor_ns), self._ceiling_ns)
            one.limit_at = now_ns + REFRESH_NS
        return self._ceiling_ns if one.limit_ns is None else one.limit_ns

    def add(self, operation: str, duration_ns: int, now_ns: int) -> None:
        """Count one duration; nothing without a quantile."""
        if self._quantile is not None:
            self._of(operation, now_ns).add(duration_ns, now_ns)

    def __len__(self) -> int:
        return len(self._operations) + (self._rest is not None)

    def _of(self, operation: str, now_ns: int) -> RunningPercentile:
        known = self._operations.get(operation)
        if known is not None:
            return known
        if len(self._operations) >= MAX_OPERATIONS and not self._make_room(now_ns):
            if self._rest is None:
                self._rest = RunningPercentile(now_ns)
            return self._rest
        one = self._operations[operation] = RunningPercentile(now_ns)
        return one

    def _make_room(self, now_ns: int) -> bool:
        # A look at 2000 operations, not at every span of a service that puts ids into its names.
        if self._made_room_at is not None and now_ns < self._made_room_at + REFRESH_NS:
            return False
        self._made_room_at = now_ns
        for name, one in list(self._operations.items()):
            if now_ns - one.seen_at > 2 * WINDOW_NS:
                del self._operations[name]
        return len(self._operations) < MAX_OPERATIONS
