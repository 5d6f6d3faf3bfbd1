"""What the timed calls add up to: CPU by path, and one window after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from ot_bridge.meter.model import Window, smoothed

__all__ = ["PATHS", "Moment", "Tally"]

PATHS: Final[Mapping[str, str]] = {
    "start": "making a span and telling the processors of it",
    "tag": "tags, names, status and baggage of a span",
    "log": "logs, events and exceptions",
    "scope": "making a span active, and leaving it",
    "end": "finishing a span",
    "decide": "redaction, and what the span processors do at its end: the tail sampler's decision, the queue",
    "export": "exporting batches, in the exporting thread",
}
"""Where CPU goes. Finding the parent, inject and extract are not timed."""

_IN_THREAD: Final = tuple(path for path in PATHS if path != "export")


class Moment(NamedTuple):
    """What the clocks and the counters show."""

    clock_ns: int
    process_ns: int
    started: int
    dropped: int
    """Of these, not recorded."""
    promoted: int
    native: int


class Tally:
    """Adds up what was timed, and estimates from it what all of it took. Not safe with threads.

    Args:
        now: when it begins.
    """

    def __init__(self, now: Moment) -> None:
        self._since = now
        self.cpu_s = dict.fromkeys(PATHS, 0.0)
        """CPU seconds by path, of the windows that are over."""
        self.wall_ns = 0
        """Nanoseconds that exporting took, with all waiting."""
        self.means: dict[str, float | None] = dict.fromkeys(PATHS)
        """CPU seconds per recorded span by path, smoothed."""
        self.dropped_s: float | None = None
        """CPU seconds per span that is not recorded, smoothed."""
        self._clear()

    def _clear(self) -> None:
        self._sums = dict.fromkeys(PATHS, 0)
        self._timed = self._timed_dropped = self._dropped_ns = 0

    def add(self, path: str, spent_ns: int) -> None:
        """Add what a call took."""
        self._sums[path] += spent_ns

    def add_start(self, spent_ns: int, *, recorded: bool) -> None:
        """Add what a start took."""
        if recorded:
            self._sums["start"] += spent_ns
            self._timed += 1
        else:
            self._dropped_ns += spent_ns
            self._timed_dropped += 1

    def close(self, now: Moment) -> Window:
        """End the window, and begin the next one."""
        since, self._since = self._since, now
        dropped = now.dropped - since.dropped
        promoted = now.promoted - since.promoted
        recorded = max(0, now.started - since.started - dropped) + promoted
        spent = {"export": self._sums["export"] / 1e9}
        means = {path: self._sums[path] / self._timed / 1e9 if self._timed else None for path in _IN_THREAD}
        dropped_s = self._dropped_ns / self._timed_dropped / 1e9 if self._timed_dropped else None
        self._clear()
        sent = recorded + now.native - since.native  # they share the way out
        means["export"] = spent["export"] / sent if sent else None
        for path, mean in means.items():
            self.means[path] = smoothed(self.means[path], mean)
            if path != "export":
                spent[path] = recorded * ((self.means[path] or 0.0) if mean is None else mean)
        self.dropped_s = smoothed(self.dropped_s, dropped_s)
        spent["start"] += dropped * ((self.dropped_s or 0.0) if dropped_s is None else dropped_s)
        for path, seconds in spent.items():
            self.cpu_s[path] += seconds
        known = [mean for mean in means.values() if mean is not None]
        return Window(
            (now.clock_ns - since.clock_ns) / 1e9,
            (now.process_ns - since.process_ns) / 1e9,
            now.started - since.started,
            sum(known) if means["start"] is not None else None,
            dropped_s,
            sum(spent.values()),
        )

    def costs(self) -> dict[str, float]:
        """Return the CPU seconds per recorded span, by path."""
        return {path: mean or 0.0 for path, mean in self.means.items()}
