"""The meter: what the bridge costs, measured on a few of its own calls, window by window.

Spans are always counted, by :mod:`ot_bridge.telemetry`. One in :data:`STRIDE` is timed, with the CPU clock of its thread
around each of the bridge's calls; batches are timed where they are exported. Nobody waits for a window to end: the
first timed call, export or reading after it closes it.
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
from ot_bridge.meter.model import WINDOW_S, Budget, Gain, Window, smoothed

__all__ = ["PATHS", "STRIDE", "Lever", "Measured", "Meter"]

STRIDE: Final = 128
"""One span in so many is timed, on the average; which one is drawn."""

PATHS: Final[Mapping[str, str]] = {
    "start": "making a span and telling the processors of it",
    "tag": "tags, names, status and baggage of a span",
    "log": "logs, events and exceptions",
    "scope": "making a span active, and leaving it",
    "end": "finishing a span",
    "decide": "what the span processors do at its end: the tail sampler's decision, the queue",
    "redact": "redaction",
    "export": "exporting batches, in the exporting thread",
}
"""Where CPU goes. Finding the parent, inject and extract are not timed."""

_IN_THREAD: Final = tuple(path for path in PATHS if path != "export")
_ORDER: Final = ("rest", "detail", "head")
_NAMES: Final = ("spans.started", "spans.promoted", "spans.native.started")
_NOT_RECORDED: Final = ("sampler", "priority", "disabled", "head_shed")
_logger = logging.getLogger("ot_bridge")


class Lever(Protocol):
    """What the budget can pull. The head's is the last one."""

    name: str
    gradual: bool

    def gain_s(self, costs: Mapping[str, float]) -> float:
        """Return what it spares at most: CPU seconds per recorded span, at its present part.

        Args:
            costs: path -> CPU seconds per recorded span.
        """

    def pull(self, part: float) -> None:
        """Leave this part, from 0 to 1."""


class Measured(NamedTuple):
    """What the meter knows."""

    counts: Mapping[str, int]
    """Counters and gauges of spans: started, recorded, sampled, finished, unfinished, exported, queued,
    ``dropped.<reason>``, ``native.<what>``."""
    cpu_s: Mapping[str, float]
    """CPU seconds by path, estimated from the timed spans; export is timed whole."""
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
        thread_ns: CPU clock of the calling thread.
        process_ns: CPU clock of the process.
        clock_ns: nanoseconds that only grow.
        draw: from a number n to one of 1, 2, ... n.
    """

    # Read for every span, and more than an object's short way to its attributes has room for.
    __slots__ = (
        "_adaptive",
        "_budget",
        "_costs",
        "_cpu_s",
        "_draw",
        "_dropped_mean",
        "_dropped_ns",
        "_ends_ns",
        "_export_mean",
        "_held",
        "_last_share",
        "_lock",
        "_means",
        "_share",
        "_since",
        "_stride",
        "_sums",
        "_timed",
        "_timed_dropped",
        "_wall_ns",
        "busy",
        "disabled",
        "due",
        "finished",
        "pair_ns",
        "promoted",
        "recorded_only",
        "refused",
        "shed",
        "thread_ns",
        "ticks",
        "unsampled",
        "__weakref__",
    )

    def __init__(
        self,
        *,
        stride: int = STRIDE,
        thread_ns: Clock | None = None,
        process_ns: Clock = time.process_time_ns,
        clock_ns: Clock = time.monotonic_ns,
        draw: Callable[[int], int] = lambda most: random.randrange(most) + 1,  # noqa: S311  (no secret)
    ) -> None:
        self.thread_ns = thread_clock() if thread_ns is None else thread_ns
        self.pair_ns = cost_of_pair_ns(self.thread_ns) if thread_ns is None else 0
        self._process_ns, self._clock_ns, self._draw = process_ns, clock_ns, draw
        self._stride = stride
        self.busy: set[int] = set()
        """Ids of timed spans that are in a call."""
        self.ticks = telemetry.ticks_of("spans.started")
        self.finished = telemetry.ticks_of("spans.finished")
        self.promoted = telemetry.ticks_of("spans.promoted")
        self.recorded_only = telemetry.ticks_of("spans.recorded_only")
        for name in _NAMES:
            telemetry.ticks_of(name)
        self.unsampled, self.refused, self.disabled, self.shed = (
            telemetry.ticks_of(f"spans.dropped.{reason}") for reason in _NOT_RECORDED
        )
        # One thread may take it twice: the garbage collector or a signal may finish a span in the middle of this.
        self._lock = threading.RLock()
        self._held: list[weakref.ref[Lever]] = []  # a tracer that is gone takes its levers along
        self._share: float | None = None
        self._adaptive = False
        self._begin()
        telemetry.watch("spans.unfinished", self._unfinished)
        if hasattr(os, "register_at_fork"):
            renew = weakref.WeakMethod(self._after_fork)
            os.register_at_fork(after_in_child=lambda: (renew() or (lambda: None))())

    def _begin(self) -> None:
        """Start with nothing measured."""
        self.due = telemetry.read_ticks("spans.started") + self._draw(self._stride)
        """The number of the next span to time."""
        self._sums = dict.fromkeys(PATHS, 0)
        self._timed = self._timed_dropped = self._dropped_ns = 0
        self._wall_ns = 0
        self._means: dict[str, float | None] = dict.fromkeys(_IN_THREAD)
        self._dropped_mean: float | None = None
        self._cpu_s = dict.fromkeys(PATHS, 0.0)
        self._last_share: float | None = None
        self._costs: dict[str, float] = {}
        self._export_mean: float | None = None
        self._since = self._now()
        self._ends_ns = self._since[0] + int(WINDOW_S * 1e9)
        self._budget: Budget | None = None
        self._renew_budget()

    # --- what is measured; called by ot_bridge.metering

    def begin(self) -> int:
        """Draw which span is timed next, and return the time: the one that is due starts now."""
        # A fixed distance would fall in step with the application.
        self.due += self._draw(2 * self._stride - 1)
        return self.thread_ns()

    def add(self, path: str, spent_ns: int) -> None:
        """Add the CPU that a call on a timed span took.

        Args:
            path: a key of PATHS.
            spent_ns: nanoseconds between two readings, what reading itself takes included.
        """
        with self._lock:
            self._sums[path] += max(0, spent_ns - self.pair_ns)

    def add_start(self, spent_ns: int, *, recorded: bool) -> None:
        """Add the start of a timed span."""
        spent_ns = max(0, spent_ns - self.pair_ns)
        with self._lock:
            if recorded:
                self._sums["start"] += spent_ns
                self._timed += 1
            else:
                self._dropped_ns += spent_ns
                self._timed_dropped += 1
        self.look()

    def add_export(self, spent_ns: int, wall_ns: int) -> None:
        """Add the export of a batch."""
        with self._lock:
            self._sums["export"] += spent_ns
            self._wall_ns += wall_ns
        self.look()

    # --- the budget

    def keep_under(self, share: float, *, adaptive: bool) -> None:
        """Set the budget: of several, the smallest holds."""
        with self._lock:
            self._share = share if self._share is None else min(share, self._share)
            self._adaptive = self._adaptive or adaptive
            self._renew_budget()

    def add_lever(self, lever: Lever) -> None:
        """Have the budget pull this too; in the order rest, detail, head, those of one name together."""
        with self._lock:
            self._held.append(weakref.ref(lever))
            self._renew_budget()

    def _renew_budget(self) -> None:
        if self._share is not None:
            names = self._names()
            self._budget = Budget(self._share, max(1, len(names)), adaptive=self._adaptive and "head" in names)

    def _levers(self) -> list[Lever]:
        alive = [lever for lever in (held() for held in self._held) if lever is not None]
        return sorted(alive, key=lambda lever: _ORDER.index(lever.name))

    def _names(self) -> list[str]:
        return list(dict.fromkeys(lever.name for lever in self._levers()))

    # --- windows

    def look(self) -> None:
        """Close the window if it is over, and do what follows from it."""
        if self._clock_ns() >= self._ends_ns:
            with self._lock:
                if self._clock_ns() < self._ends_ns:
                    return
                window = self._close()
                budget, levers = self._budget, self._levers()
                costs = dict(self._costs)
                names = list(dict.fromkeys(lever.name for lever in levers))
                if budget is not None and len(names) not in (0, len(budget.parts)):
                    self._renew_budget()  # a tracer went, and with it the last lever of a kind
                    budget = self._budget
            if budget is not None:
                self._act(budget, window, levers, names, costs)

    def _now(self) -> tuple[int, int, dict[str, int]]:
        counts = {name: telemetry.read_ticks(name) for name in _NAMES}
        counts["dropped"] = sum(telemetry.read_ticks(f"spans.dropped.{reason}") for reason in _NOT_RECORDED)
        return self._clock_ns(), self._process_ns(), counts

    def _close(self) -> Window:
        now = self._now()
        seconds, process_s = (now[0] - self._since[0]) / 1e9, (now[1] - self._since[1]) / 1e9
        moved = {name: number - self._since[2][name] for name, number in now[2].items()}
        self._since, self._ends_ns = now, now[0] + int(WINDOW_S * 1e9)
        dropped = moved["dropped"]
        recorded = max(0, moved["spans.started"] - dropped) + moved["spans.promoted"]
        timed, self._timed = self._timed, 0
        sums, self._sums = self._sums, dict.fromkeys(PATHS, 0)
        spent = {"export": sums["export"] / 1e9}
        in_thread_s: float | None = 0.0
        for path in _IN_THREAD:
            mean = sums[path] / timed / 1e9 if timed else None
            self._means[path] = smoothed(self._means[path], mean)
            spent[path] = recorded * ((self._means[path] or 0.0) if mean is None else mean)
            if mean is None:
                in_thread_s = None
            elif in_thread_s is not None:
                in_thread_s += mean
        dropped_s = self._dropped_ns / self._timed_dropped / 1e9 if self._timed_dropped else None
        self._dropped_mean = smoothed(self._dropped_mean, dropped_s)
        self._dropped_ns = self._timed_dropped = 0
        spent["start"] += dropped * ((self._dropped_mean or 0.0) if dropped_s is None else dropped_s)
        for path, seconds_spent in spent.items():
            self._cpu_s[path] += seconds_spent
        exported = recorded + moved["spans.native.started"]  # they share the way out
        export_s = spent["export"] / exported if exported else 0.0
        recorded_s = None if in_thread_s is None else in_thread_s + export_s
        window = Window(seconds, process_s, moved["spans.started"], recorded_s, dropped_s, sum(spent.values()))
        self._last_share = window.share
        self._costs = {path: mean or 0.0 for path, mean in self._means.items()}
        self._export_mean = smoothed(self._export_mean, export_s if recorded else None)
        self._costs["export"] = self._export_mean or 0.0
        return window

    def _act(
        self, budget: Budget, window: Window, levers: list[Lever], names: list[str], costs: Mapping[str, float]
    ) -> None:
        before = budget.parts
        gains = []
        for name in names:
            if name != "head":
                alike = [lever for lever in levers if lever.name == name]
                gains.append(Gain(sum(lever.gain_s(costs) for lever in alike), alike[0].gradual))
        outcome = budget.step(window, gains)
        if outcome.over:
            telemetry.warn_once(
                "meter.over_budget",
                "tracing took %.2f%% of this process's CPU, the budget is %.2f%%%s",
                100 * window.share,
                100 * budget.share,
                "" if budget.adaptive else "; adaptive_budget would sample less",
            )
        if outcome.floor is not None:
            telemetry.warn_once(
                "meter.floor",
                "no sampling meets the CPU budget of %.2f%%: starting spans alone takes %.2f%%; start fewer spans",
                100 * budget.share,
                100 * outcome.floor,
            )
        for name, old, part in zip(names, before, outcome.parts, strict=False):
            if old != part:
                self._pull(name, part, [lever for lever in levers if lever.name == name])

    def _pull(self, name: str, part: float, levers: list[Lever]) -> None:
        for lever in levers:
            try:
                lever.pull(part)
            except Exception:
                telemetry.warn_once("meter.failed.lever", "a lever of the CPU budget failed", exc_info=True)
        telemetry.warn_once(
            f"meter.lever.{name}", "the CPU budget changes what is traced: %s=%.3g (docs/sampling.md)", name, part
        )
        _logger.info("CPU budget: %s is %.3g now", name, part)

    # --- what is known

    def measured(self) -> Measured:
        """Return what is known now. A window that is over is closed first."""
        self.look()
        counters = {**telemetry.snapshot(), **telemetry.gauges()}
        counts = {name.removeprefix("spans."): number for name, number in counters.items() if name.startswith("spans.")}
        dropped = sum(counts.get(f"dropped.{reason}", 0) for reason in _NOT_RECORDED)
        recorded = counts.get("started", 0) - dropped + counts.get("promoted", 0)
        counts |= {"recorded": recorded, "sampled": recorded - counts.get("recorded_only", 0)}
        with self._lock:
            means = [mean for mean in self._means.values() if mean is not None]
            budget = self._budget
            return Measured(
                dict(sorted(counts.items())),
                dict(self._cpu_s),
                self._wall_ns / 1e9,
                self._last_share,
                1e6 * (sum(means) + self._costs.get("export", 0.0)) if means else None,
                None if self._dropped_mean is None else 1e6 * self._dropped_mean,
                None if budget is None else budget.share,
                {} if budget is None else dict(zip(self._names(), budget.parts, strict=False)),
            )

    def _unfinished(self) -> int:
        counts = telemetry.snapshot()
        dropped = sum(counts.get(f"spans.dropped.{reason}", 0) for reason in _NOT_RECORDED)
        started = counts.get("spans.started", 0) + counts.get("spans.promoted", 0)
        return max(0, started - dropped - counts.get("spans.finished", 0))

    def _after_fork(self) -> None:
        self._lock = threading.RLock()  # another thread may have held it in the parent
        telemetry.forget("spans.")
        with self._lock:
            self._begin()
            levers = self._levers()
        for lever in levers:
            lever.pull(1.0)
