"""The control rule of the CPU budget, free of clocks and of spans: from what a window cost to what the next one may do.

The rule inverts the measured model instead of groping. A started span costs ``dropped_s`` when nothing is recorded, and
``recorded_s`` when it is; what the budget leaves for one span says which part can be recorded. There is no loop through
that part, only through slow estimates of the two costs, so it does not oscillate; a capped rise bounds what a wrong
estimate can do to one window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ["ALLOWANCE_S", "LEAST", "WINDOW_S", "Budget", "Gain", "Outcome", "Window", "smoothed"]

WINDOW_S: Final = 5.0
ALLOWANCE_S: Final = 0.005
"""CPU seconds that a window of 5 seconds may always cost: a process that does nothing is never throttled."""
LEAST: Final = 0.01
"""The part that is always left: without it nobody would learn what a recorded span costs."""

_MARGIN: Final = 0.9
_RISE: Final = 1.25
_DEAD: Final = 0.1
_SMOOTHING: Final = 0.2
_RATE_KEPT: Final = 0.7
# Until a dropped span was timed: what it costs of a recorded one, as measured.
_DROPPED_PART: Final = 0.3


class Window(NamedTuple):
    """What was measured between two moments."""

    seconds: float
    """Of the wall clock."""
    process_s: float
    """CPU of the whole process."""
    started: int
    """Spans."""
    recorded_s: float | None
    """CPU per recorded span, its export included; None when none was timed."""
    dropped_s: float | None
    """CPU per span that is not recorded; None when none was timed."""
    bridge_s: float
    """CPU of the bridge."""

    @property
    def share(self) -> float:
        """The bridge's part of the CPU of the process, from 0 to 1."""
        return min(1.0, self.bridge_s / self.process_s) if self.process_s > 0 else 0.0


class Gain(NamedTuple):
    """What one lever can spare."""

    seconds: float
    """CPU per recorded span, from all of it to none of it."""
    gradual: bool = True
    """Whether it knows parts; else it is all or nothing."""


class Outcome(NamedTuple):
    """What a window says about the next one."""

    parts: tuple[float, ...]
    """What is left to each lever: 1 untouched, LEAST (0 for one without parts) pulled down all the way."""
    over: bool
    """Whether the window was over the budget."""
    floor: float | None
    """The share that the spans would cost if none were recorded, where that alone is over the budget; else None."""


def smoothed(old: float | None, new: float | None) -> float | None:
    """Return the running mean of a cost, in which a new value counts for a fifth."""
    if old is None or new is None:
        return old if new is None else new
    return old + _SMOOTHING * (new - old)


class Budget:
    """Keeps the bridge under its share of the process's CPU.

    The last lever is the head: which part of the spans is recorded at all. Those before it make a recorded span
    cheaper, and are pulled first and let go last.

    Args:
        share: the budget, above 0 and below 1.
        names: the levers, in order; none where there is nothing to pull.
        adaptive: pull them; else they are left where they are.
    """

    def __init__(self, share: float, names: Sequence[str] = ("head",), *, adaptive: bool = True) -> None:
        self.share = share
        self.names = tuple(names)
        self.adaptive = adaptive
        self.parts: tuple[float, ...] = (1.0,) * len(self.names)
        self.recorded_s: float | None = None
        self.dropped_s: float | None = None
        self._rate: float | None = None

    def step(self, window: Window, gains: Sequence[Gain] = ()) -> Outcome:
        """Take one window.

        Args:
            window: what was measured.
            gains: of each lever before the head, in order, at its present part.
        """
        self.recorded_s = smoothed(self.recorded_s, window.recorded_s)
        self.dropped_s = smoothed(self.dropped_s, window.dropped_s)
        least_s = ALLOWANCE_S * window.seconds / WINDOW_S
        over = window.bridge_s > max(self.share * window.process_s, least_s)
        if window.seconds <= 0 or self.recorded_s is None:
            return Outcome(self.parts, over, None)
        now = window.started / window.seconds
        self._rate = now if self._rate is None else _RATE_KEPT * self._rate + (1 - _RATE_KEPT) * now
        # The higher of the two: a burst is met at once, and its end is not believed at once.
        rate = max(now, self._rate)
        if not rate:
            return Outcome(self.parts, over, None)
        process = window.process_s / window.seconds
        dropped_s = _DROPPED_PART * self.recorded_s if self.dropped_s is None else self.dropped_s
        limit = max(self.share * process, ALLOWANCE_S / WINDOW_S)
        hopeless = self.dropped_s is not None and process > 0 and rate * dropped_s > limit
        floor = rate * dropped_s / process if hopeless else None
        if self.adaptive and self.parts:
            allowed_s = max(_MARGIN * self.share * process, ALLOWANCE_S / WINDOW_S) / rate
            self._pull(allowed_s, dropped_s, gains)
        return Outcome(self.parts, over, floor)

    def _pull(self, allowed_s: float, dropped_s: float, gains: Sequence[Gain]) -> None:
        recorded_s: float = self.recorded_s or 0.0
        full = [self._at_full(gain, part) for gain, part in zip(gains, self.parts, strict=False)]
        # What a recorded span would cost with no lever pulled.
        cost_s = recorded_s + sum(whole * (1 - part) for whole, part in zip(full, self.parts, strict=False))
        excess_s = cost_s - allowed_s
        parts = list(self.parts)
        wanted: list[float] = []
        for gain, whole, part in zip(gains, full, parts, strict=False):
            least = LEAST if gain.gradual else 0.0
            spared_s = whole * (1 - least)
            if not gain.gradual:
                # One that knows no parts would flap at the edge.
                edge_s = 0.0 if part else -_DEAD * allowed_s
                wanted.append(0.0 if excess_s > edge_s else 1.0)
            elif excess_s <= 0:
                wanted.append(1.0)
            else:
                wanted.append(max(least, 1 - excess_s / whole) if whole > 0 else least)
            excess_s -= spared_s
            cost_s -= spared_s
        span_s = cost_s - dropped_s
        wanted.append(max(LEAST, (allowed_s - dropped_s) / span_s) if span_s > 0 else 1.0)
        for place in reversed(range(len(parts))):
            parts[place] = _moved(parts[place], wanted[place])
            if parts[place] < 1:
                # The levers before this one are let go when this one has been.
                wanted[:place] = [min(*pair) for pair in zip(wanted[:place], parts[:place], strict=True)]
        self.parts = tuple(parts)

    @staticmethod
    def _at_full(gain: Gain, part: float) -> float:
        return gain.seconds / part if gain.gradual else gain.seconds


def _moved(part: float, wanted: float) -> float:
    if wanted >= 1:
        return min(1.0, _RISE * part) if part else 1.0
    if math.isclose(part, wanted):
        return part
    moved = wanted if wanted < part or not part else min(wanted, _RISE * part)
    return moved if abs(moved - part) > _DEAD * part else part
