"""The meter: what the bridge costs, measured on a few of its own calls, window by window.

Spans are always counted, by :mod:`ot_bridge.telemetry`. One in :data:`STRIDE` is timed, with the CPU clock of its
thread around each of the bridge's calls; batches are timed where they are exported. Nobody waits for a window to end:
the first timed call, export or reading after it closes it.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, Protocol

from ot_bridge import telemetry
from ot_bridge.meter.clock import Clock, cost_of_pair_ns, thread_clock
from ot_bridge.meter.model import WINDOW_S, Budget, Gain, Window
from ot_bridge.meter.tally import Moment, Tally

__all__ = ["STRIDE", "Lever", "Measured", "Meter"]

STRIDE: Final = 512
"""One span in so many is timed, on the average; which ones is drawn."""
_FIRST: Final = 64  # the first ones come earlier: a process need not live long
_BURST: Final = 16
# Code that has not run for a while is slow, and what is measured is not to be: so many in a row.

_ORDER: Final = ("rest", "detail", "head")
_NOT_RECORDED: Final = ("sampler", "priority", "disabled", "head_shed")
_WINDOW_NS: Final = int(WINDOW_S * 1e9)
_logger = logging.getLogger("ot_bridge")


class Lever(Protocol):
    """What the budget can pull: rest, detail or head, in this order."""

    @property
    def name(self) -> str:
        """Which of the three."""

    @property
    def gradual(self) -> bool:
        """Whether it knows parts; else it is all or nothing."""

    def gain_s(self, costs: Mapping[str, float]) -> float:
        """Return what it spares at most: CPU seconds per recorded span, at its present part. The head is not asked.

        Args:
            costs: path -> CPU seconds per recorded span.
        """

    def pull(self, part: float) -> None:
        """Leave this part, from 0 to 1."""


class Measured(NamedTuple):
    """What the meter knows."""

    counts: Mapping[str, int]
    """The counters and gauges ``spans.*`` without that word, and what follows from them: recorded, sampled."""
    cpu_s: Mapping[str, float]
    """CPU seconds by path, as in ``PATHS``: estimated from the timed spans, but export, which is timed whole."""
    export_wall_s: float
    """Seconds that exporting took, with all waiting."""
    share: float | None
    """Part of the process's CPU in the last whole window, from 0 to 1; None before one has ended."""
    us_per_span: float | None
    """CPU microseconds per recorded span, its export included."""
    us_per_dropped: float | None
    """CPU microseconds per span that is not recorded."""
    budget: float | None
    """The budget, None without one."""
    parts: Mapping[str, float]
    """What the budget leaves to each lever; 1 where it is not pulled."""


class Meter:
    """Measures this process. Safe with threads; the child of a fork starts anew.

    Args:
        stride: one span in so many is timed.
        burst: so many in a row.
        thread_ns: CPU clock of the calling thread; None for the system's.
        process_ns: CPU clock of the process.
        clock_ns: nanoseconds that only grow.
        draw: from a number n to one of 1, 2, ... n.
    """

    def __init__(
        self,
        *,
        stride: int = STRIDE,
        burst: int = _BURST,
        thread_ns: Clock | None = None,
        process_ns: Clock = time.process_time_ns,
        clock_ns: Clock = time.monotonic_ns,
        draw: Callable[[int], int] = lambda most: random.randrange(most) + 1,  # noqa: S311  (no secret)
    ) -> None:
        # What the recorder counts with.
        self.ticks = telemetry.steps_of(("spans.started",))
        self.finished = telemetry.steps_of(("spans.finished",))
        self.promoted = telemetry.steps_of(("spans.promoted",))
        self.recorded_only = telemetry.steps_of(("spans.recorded_only",))
        self.native = telemetry.steps_of(("spans.native.started",))
        self.unsampled, self.refused, self.disabled, self.shed = (
            telemetry.steps_of((f"spans.dropped.{reason}",)) for reason in _NOT_RECORDED
        )
        self.thread_ns = thread_clock() if thread_ns is None else thread_ns
        self.busy: set[int] = set()
        """Ids of timed spans that are in a call."""
        self._pair_ns = cost_of_pair_ns(self.thread_ns) if thread_ns is None else 0
        self._burst, self._left = burst, 0
        self._process_ns, self._clock_ns, self._draw, self._stride = process_ns, clock_ns, draw, stride
        # One thread may take it twice: the garbage collector or a signal may finish a span in the middle of this.
        self._lock = threading.RLock()
        self._held: list[weakref.ref[Lever]] = []  # a tracer that is gone takes its levers along
        self._share: float | None = None
        self._adaptive = False
        self._budget: Budget | None = None
        self._begin()
        telemetry.watch("spans.unfinished", self._unfinished)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_Renewal(self))

    def _begin(self) -> None:
        """Start with nothing measured."""
        self.due = telemetry.read_steps("spans.started") + self._draw(min(self._stride, _FIRST)) - 1
        """The number of the next span to time."""
        now = self._now()
        self._tally = Tally(now)
        self._last_share: float | None = None
        self._ends_ns = now.clock_ns + _WINDOW_NS
        self._renew_budget(self._levers())

    # --- what is measured; ot_bridge.metering and ot_bridge.watching tell it

    def begin(self) -> int:
        """Draw which span is timed next, and return the time: the one that is due starts now."""
        if self._left:
            self._left -= 1
            self.due += 1
        else:
            # A fixed distance would fall in step with the application.
            self._left = self._burst - 1
            self.due += self._draw(2 * self._stride * self._burst - 1)
        return self.thread_ns()

    def add(self, path: str, spent_ns: int) -> None:
        """Add the CPU that a call on a timed span took.

        Args:
            path: a key of PATHS.
            spent_ns: nanoseconds between two readings, what reading itself takes included.
        """
        with self._lock:
            self._tally.add(path, max(0, spent_ns - self._pair_ns))

    def add_start(self, spent_ns: int, *, recorded: bool) -> None:
        """Add the start of a timed span; nanoseconds as in :meth:`add`."""
        with self._lock:
            self._tally.add_start(max(0, spent_ns - self._pair_ns), recorded=recorded)
        self.look()

    def add_export(self, spent_ns: int, wall_ns: int) -> None:
        """Add the export of a batch: nanoseconds of CPU, and of the wall clock."""
        with self._lock:
            self._tally.add("export", spent_ns)
            self._tally.wall_ns += wall_ns
        self.look()

    # --- the budget

    def keep_under(self, share: float, *, adaptive: bool) -> None:
        """Set the budget: of several, the smallest holds."""
        with self._lock:
            self._share = share if self._share is None else min(share, self._share)
            self._adaptive = self._adaptive or adaptive
            self._renew_budget(self._levers())

    def add_lever(self, lever: Lever) -> None:
        """Have the budget pull this too, for as long as somebody else holds it."""
        with self._lock:
            self._held.append(weakref.ref(lever))
            self._renew_budget(self._levers())

    def _levers(self) -> list[Lever]:
        self._held = [held for held in self._held if held() is not None]
        alive = [lever for lever in (held() for held in self._held) if lever is not None]
        return sorted(alive, key=lambda lever: _ORDER.index(lever.name))

    def _renew_budget(self, levers: list[Lever]) -> None:
        if self._share is not None:
            self._budget = Budget(self._share, _names(levers), adaptive=self._adaptive)

    # --- windows

    def look(self) -> None:
        """Close the window if it is over, and do what follows from it."""
        if self._clock_ns() < self._ends_ns:
            return
        with self._lock:
            if self._clock_ns() < self._ends_ns:
                return
            now = self._now()
            self._ends_ns = now.clock_ns + _WINDOW_NS
            window = self._tally.close(now)
            self._last_share = window.share
            costs, levers = self._tally.costs(), self._levers()
            if self._budget is not None and self._budget.names != _names(levers):
                self._renew_budget(levers)  # with a tracer went the last lever of its name
            budget = self._budget
        if budget is not None:
            _act(budget, window, levers, costs)

    def _now(self) -> Moment:
        read = telemetry.read_steps
        dropped = sum(read(f"spans.dropped.{reason}") for reason in _NOT_RECORDED)
        counted = (read("spans.started"), dropped, read("spans.promoted"), read("spans.native.started"))
        return Moment(self._clock_ns(), self._process_ns(), *counted)

    # --- what is known

    def measured(self) -> Measured:
        """Return what is known now. A window that is over is closed first."""
        self.look()
        counters = {**telemetry.snapshot(), **telemetry.gauges()}
        counts = {name[len("spans.") :]: number for name, number in counters.items() if name.startswith("spans.")}
        recorded = _recorded(counters)
        counts |= {"recorded": recorded, "sampled": recorded - counts.get("recorded_only", 0)}
        with self._lock:
            tally, budget = self._tally, self._budget
            known = tally.means["start"] is not None
            return Measured(
                dict(sorted(counts.items())),
                dict(tally.cpu_s),
                tally.wall_ns / 1e9,
                self._last_share,
                1e6 * sum(tally.costs().values()) if known else None,
                None if tally.dropped_s is None else 1e6 * tally.dropped_s,
                None if budget is None else budget.share,
                {} if budget is None else dict(zip(budget.names, budget.parts, strict=True)),
            )

    def _unfinished(self) -> int:
        counters = telemetry.snapshot()
        return max(0, _recorded(counters) - counters.get("spans.finished", 0))

    def _after_fork(self) -> None:
        self._lock = threading.RLock()  # another thread may have held it in the parent
        telemetry.forget("spans.")
        self.busy.clear()
        levers = self._levers()
        self._begin()
        for lever in levers:
            lever.pull(1.0)


class _Renewal:
    """Lets the child of a fork start anew, as long as there is a meter."""

    def __init__(self, meter: Meter) -> None:
        self._meter = weakref.ref(meter)

    def __call__(self) -> None:
        meter = self._meter()
        if meter is not None:
            meter._after_fork()


def _names(levers: list[Lever]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(lever.name for lever in levers))


def _recorded(counters: Mapping[str, int]) -> int:
    dropped = sum(counters.get(f"spans.dropped.{reason}", 0) for reason in _NOT_RECORDED)
    return counters.get("spans.started", 0) - dropped + counters.get("spans.promoted", 0)


def _act(budget: Budget, window: Window, levers: list[Lever], costs: Mapping[str, float]) -> None:
    """Tell of a window, and pull what follows from it."""
    before, alike = budget.parts, {name: [one for one in levers if one.name == name] for name in budget.names}
    gains = [
        Gain(sum(lever.gain_s(costs) for lever in same), same[0].gradual)
        for name, same in alike.items()
        if name != _ORDER[-1]
    ]
    outcome = budget.step(window, gains)
    if outcome.over:
        telemetry.warn_once(
            "meter.over_budget",
            "tracing took %.2f%% of this process's CPU, the budget is %.2f%%%s",
            100 * window.share,
            100 * budget.share,
            "" if budget.adaptive else "; with adaptive_budget less is sampled then",
        )
    if outcome.floor is not None:
        telemetry.warn_once(
            "meter.floor",
            "no sampling meets the CPU budget of %.2f%%: to start spans alone takes %.2f%%; start fewer",
            100 * budget.share,
            100 * outcome.floor,
        )
    for (name, same), old, part in zip(alike.items(), before, outcome.parts, strict=True):
        if old != part:
            _pull(name, part, same)


def _pull(name: str, part: float, levers: list[Lever]) -> None:
    try:
        for lever in levers:
            lever.pull(part)
    except Exception:
        telemetry.warn_once("meter.failed.lever", "a lever of the CPU budget failed", exc_info=True)
    telemetry.warn_once(f"meter.lever.{name}", "the CPU budget changes what is traced: see docs/sampling.md")
    _logger.info("CPU budget: %s is %.3g now", name, part)
