"""How long calls took: every call of the run, in buckets of two percent."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Mapping
from time import perf_counter_ns
from typing import Any, Final

import numpy as np

__all__ = ["HEARTBEAT", "Histogram", "Stopwatch", "merged"]

HEARTBEAT: Final = "(heartbeat)"
"""Not a call: how late a thread wakes up that does nothing but sleep."""

_PER_OCTAVE: Final = 32
_BUCKETS: Final = 40 * _PER_OCTAVE  # up to 18 minutes
_FOLD_AT: Final = 2048


class Histogram:
    """Counts of durations in nanoseconds; the extremes are exact."""

    def __init__(self) -> None:
        self._counts = np.zeros(_BUCKETS, dtype=np.int64)
        self.max_ns = 0

    def add(self, durations_ns: array[int]) -> None:
        """Take all of them."""
        taken = np.array(durations_ns, dtype=np.int64)
        buckets = (np.log2(np.maximum(taken, 1)) * _PER_OCTAVE).astype(np.int64)
        self._counts += np.bincount(np.minimum(buckets, _BUCKETS - 1), minlength=_BUCKETS)
        self.max_ns = max(self.max_ns, int(taken.max()))

    def merge(self, other: Histogram) -> None:
        """Take what the other one has."""
        self._counts += other._counts
        self.max_ns = max(self.max_ns, other.max_ns)

    @property
    def calls(self) -> int:
        """How many there are."""
        return int(self._counts.sum())

    def percentile_us(self, percent: float) -> float:
        """Return what this part of the calls did not exceed, in microseconds: the upper edge of the bucket."""
        wanted = math.ceil(self.calls * percent / 100)
        if not wanted:
            return 0.0
        bucket = int(np.searchsorted(np.cumsum(self._counts), wanted))
        return min(2 ** ((bucket + 1) / _PER_OCTAVE), self.max_ns) / 1000

    def figures(self) -> dict[str, float]:
        """Return what is reported, times in microseconds."""
        percentiles = {f"p{percent:g}": round(self.percentile_us(percent), 1) for percent in (50, 99, 99.9, 99.99)}
        return {"calls": self.calls, **percentiles, "max": round(self.max_ns / 1000, 1)}


class Stopwatch:
    """Times the calls of one thread, by what is going on.

    Args:
        phase: says what is going on.
    """

    def __init__(self, phase: Callable[[], str]) -> None:
        self._phase, self._now = phase, phase()
        self._pending: dict[str, array[int]] = {}
        self.histograms: dict[tuple[str, str], Histogram] = {}

    def timed(self, name: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Make the call."""
        began = perf_counter_ns()
        result = call(*args, **kwargs)
        self.took(name, perf_counter_ns() - began)
        return result

    def took(self, name: str, duration_ns: int) -> None:
        """Take one duration."""
        try:
            self._pending[name].append(duration_ns)
        except KeyError:
            self._pending[name] = array("q", [duration_ns])

    def turn(self) -> None:
        """Between two requests: put away what there is, if it is much or belongs to a phase that is over."""
        phase = self._phase()
        if phase != self._now or any(len(pending) >= _FOLD_AT for pending in self._pending.values()):
            self.fold()
            self._now = phase

    def fold(self) -> None:
        """Put away what there is."""
        for name, pending in self._pending.items():
            if pending:
                self.histograms.setdefault((self._now, name), Histogram()).add(pending)
                del pending[:]


def merged(parts: Iterable[Mapping[tuple[str, str], Histogram]]) -> dict[tuple[str, str], Histogram]:
    """Return the sums of the threads, and for each phase that of all calls under the name ``(all)``."""
    sums: dict[tuple[str, str], Histogram] = {}
    for part in parts:
        for (phase, name), histogram in part.items():
            sums.setdefault((phase, name), Histogram()).merge(histogram)
            if name != HEARTBEAT:
                sums.setdefault((phase, "(all)"), Histogram()).merge(histogram)
    return sums
