"""What must hold, as pure functions of what was sampled: the books, the losses, the memory, the calls."""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from soak.phases import EXPORT_FAILED, PHASES, QUEUE_FULL

__all__ = ["BOUND_P999_US", "Books", "Rule", "Sample", "growth", "lost_by_phase", "rules"]

BOUND_P999_US: Final = 5_000.0
"""CPython's switch interval: what a thread that wants to run waits before it asks for the GIL."""
BOUND_MAX_US: Final = 250_000.0
"""No call waits for a collector: its shortest delay in this run is eight times as long."""
MOST_GROWTH: Final = 0.03
MOST_LOST_UP: Final = 0.001
"""At its highest rate a process has no reserve for what else the machine does."""
_FEWEST_CYCLES: Final = 3
_LOST: Final = (QUEUE_FULL, EXPORT_FAILED, "spans.dropped.already_shutdown")


class Sample(NamedTuple):
    """One look at the application."""

    seconds: float
    """Since the first phase began."""
    cycle: int
    phase: str
    rss: int
    """Bytes."""
    blocks: int
    """Blocks of memory that Python's objects have."""
    finished: int
    """Sampled spans, by the application's own count."""
    counters: Mapping[str, int]


class Books(NamedTuple):
    """Where every sampled span is, at the end."""

    finished: int
    """By the application's own count."""
    exported: int
    lost: Mapping[str, int]
    """By counter."""
    answered: int
    """Different ids in batches that the collector has answered well."""
    received: int
    """Different ids that it has seen."""

    @classmethod
    def of(cls, finished: int, counters: Mapping[str, int], answered: int, received: int) -> Books:
        """Fill them from the counters."""
        lost = {name: counters[name] for name in _LOST if name in counters}
        return cls(finished, counters.get("spans.exported", 0), lost, answered, received)

    @property
    def missing(self) -> int:
        """Finished, and neither exported nor counted as lost; below 0 when losses were counted that were none."""
        return self.finished - self.exported - sum(self.lost.values())

    @property
    def unanswered(self) -> int:
        """Arrived, and counted as lost because no answer said so."""
        return self.received - self.answered


class Rule(NamedTuple):
    """One thing that must hold."""

    name: str
    holds: bool | None
    """None where this run cannot tell."""
    found: str


def growth(samples: Sequence[Sample], of: str) -> float:
    """Return how much the samples grow over their time, as a part of their mean.

    By a straight line through them, each beside others of its phase only: a full queue takes more than an empty one.
    """
    by_phase: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in samples:
        by_phase[one.phase].append((one.seconds, float(getattr(one, of))))
    away: list[tuple[float, float]] = []
    for points in by_phase.values():
        middle_s, middle = (statistics.fmean(column) for column in zip(*points, strict=True))
        away.extend((seconds - middle_s, value - middle) for seconds, value in points)
    spread = sum(seconds**2 for seconds, _ in away)
    if not spread:
        return 0.0
    slope = sum(seconds * value for seconds, value in away) / spread
    mean = statistics.fmean(float(getattr(one, of)) for one in samples)
    return slope * (samples[-1].seconds - samples[0].seconds) / mean if mean else 0.0


def lost_by_phase(samples: Iterable[Sample]) -> dict[str, dict[str, int]]:
    """Return what was finished and what was counted as lost in each phase."""
    found: dict[str, dict[str, int]] = {phase.name: defaultdict(int) for phase in PHASES}
    for before, after in itertools.pairwise(samples):
        row = found[after.phase]
        row["finished"] += after.finished - before.finished
        for name in _LOST:
            row[name] += after.counters.get(name, 0) - before.counters.get(name, 0)
    return {phase: dict(row) for phase, row in found.items()}


def rules(samples: Sequence[Sample], books: Books, calls: Iterable[Mapping[str, Any]]) -> list[Rule]:
    """Judge the run.

    Args:
        samples: in the order of their time; each phase ends with one.
        books: at the end, when everything was flushed.
        calls: rows of phase, call, and figures in microseconds.
    """
    sums = [row for row in calls if row["call"] == "(all)" and row["phase"] in {phase.name for phase in PHASES}]
    return [*_books(books), *_losses(samples), *_memory(samples), *_calls(sums)]


def _books(books: Books) -> list[Rule]:
    lost = sum(books.lost.values())
    return [
        Rule(
            "sampled and finished = exported + counted as lost",
            books.missing == 0,
            f"{books.finished:,} = {books.exported:,} + {lost:,}" + (f" {books.missing:+,}" if books.missing else ""),
        ),
        Rule(
            "exported = received once and answered",
            books.exported == books.answered,
            f"{books.exported:,} and {books.answered:,}; {books.unanswered:,} more arrived and were not answered",
        ),
    ]


def _losses(samples: Sequence[Sample]) -> list[Rule]:
    lost = lost_by_phase(samples)
    wrong = {
        f"{phase.name}: {name}": lost[phase.name][name]
        for phase in PHASES
        for name in _LOST
        if name not in phase.may_lose and lost[phase.name].get(name)
    }
    found = ", ".join(f"{name} {number:,}" for name, number in wrong.items())
    up = lost["up"]
    part = up.get(QUEUE_FULL, 0) / up["finished"] if up.get("finished") else 0.0
    return [
        Rule("exports fail only where the collector fails", not wrong, found or "none elsewhere"),
        Rule(f"while it is up at most {MOST_LOST_UP:.1%} find the queue full", part <= MOST_LOST_UP, f"{part:.3%}"),
    ]


def _memory(samples: Sequence[Sample]) -> list[Rule]:
    settled = [one for one in samples if one.cycle > 1]  # the first cycle warms up
    cycles = sorted({one.cycle for one in settled})
    found = []
    for of, name in (("rss", "resident memory"), ("blocks", "blocks of Python's objects")):
        grown = growth(settled, of)
        peaks = [max(getattr(one, of) for one in settled if one.cycle == cycle) for cycle in cycles]
        ratchet = peaks[-1] / peaks[0] - 1 if peaks and peaks[0] else 0.0
        enough = len(cycles) >= _FEWEST_CYCLES - 1 and bool(peaks[0])
        holds = (grown <= MOST_GROWTH and ratchet <= MOST_GROWTH) if enough else None
        text = f"{grown:+.1%} by the line, {ratchet:+.1%} from the peak of cycle 2 to that of the last"
        found.append(Rule(f"{name}: at most {MOST_GROWTH:.0%} more", holds, text))
    return found


def _calls(sums: Sequence[Mapping[str, Any]]) -> list[Rule]:
    found = []
    for figure, bound, name in (("p99.9", BOUND_P999_US, "99.9% of calls"), ("max", BOUND_MAX_US, "every call")):
        worst = max(sums, key=lambda row: row[figure])
        text = f"{worst[figure] / 1000:.2f} ms in the worst phase, {worst['phase']}"
        found.append(Rule(f"{name} under {bound / 1000:g} ms, in each phase", worst[figure] < bound, text))
    return found
