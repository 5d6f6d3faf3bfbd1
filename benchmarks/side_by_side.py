"""Times several ways of doing one thing in interleaved rounds of one process, and gives them as ratios.

Time is processor time of the process, as other programs disturb a clock on the wall. It still wanders with the machine;
what the rounds share, wanders together: a ratio is the median of the ratios of the single rounds, its spread the middle
half of them. The garbage collector is on, as it is in a program.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Iterable, Mapping, Sequence
from time import process_time
from timeit import Timer
from typing import Any, NamedTuple

from rich.progress import track
from tables import Cell, Column, Table, console

__all__ = [
    "FULL", "LOOP", "QUICK", "SMOKE", "Effort", "Rounds", "in_turns", "measure", "middle", "ratio", "repeated",
    "table_of",
]  # fmt: skip

LOOP = "loop"
"""The name of the case that does nothing but what all others contain."""

Rounds = dict[str, list[float]]


class Effort(NamedTuple):
    """How much is measured.

    Attributes:
        rounds: how often each case has its turn, at least two.
        seconds: how long one turn takes about.
        share: the part of a full run's operations, where a turn is counted and not timed.
    """

    rounds: int
    seconds: float
    share: float


FULL = Effort(31, 0.02, 1.0)
QUICK = Effort(7, 0.01, 0.25)
SMOKE = Effort(2, 0.0, 0.01)
"""Just enough to see that every case runs; its figures mean nothing."""


def repeated(text: str, names: Mapping[str, Any]) -> Timer:
    """Return a statement to be repeated: its own text stands in the loop, with no call around it.

    Args:
        text: the statement, of one or more lines.
        names: what it uses.
    """
    return Timer(text, "gc.enable()", process_time, {**names, "gc": gc})


def measure(cases: Mapping[str, Timer], effort: Effort = FULL, *, what: str = "measuring") -> Rounds:
    """Return, for each case, the time of one call in each round, in seconds.

    Args:
        cases: name -> the statement to run.
        effort: how often, and how long.
        what: is shown while it runs.
    """
    numbers = {name: max(1, int(effort.seconds / _once(case, effort))) for name, case in cases.items()}
    times: Rounds = {name: [] for name in cases}
    gc.collect()
    gc.freeze()  # what is there already is no work for the collector
    for _ in in_turns(effort.rounds, what):
        for name, case in cases.items():
            times[name].append(_turn(case, numbers[name]))
    gc.unfreeze()
    return times


def in_turns(rounds: int, what: str) -> Iterable[int]:
    """Return the numbers of the rounds, with a bar on the terminal meanwhile."""
    return track(range(rounds), description=what, console=console, transient=True, disable=not console.is_terminal)


def middle(values: Iterable[float]) -> Cell:
    """Return the median, and the middle half as its spread."""
    low, median, high = statistics.quantiles(values, n=4)
    return Cell(median, low, high)


def ratio(own: Sequence[float], other: Sequence[float]) -> Cell:
    """Return how often the other goes into the own one: the median over the rounds, and its spread."""
    return middle([mine / theirs for mine, theirs in zip(own, other, strict=True)])


def table_of(key: str, title: str, times: Rounds, references: Sequence[str]) -> Table:
    """Return one row a case: microseconds, and the ratio to each reference, less those of the case ``loop``."""
    times = dict(times)
    notes = []
    empty = times.pop(LOOP, None)
    if empty is not None:
        notes.append(f"{statistics.median(empty) * 1e6:.2f} us for the loop are taken off.")
        # Never less than nothing: in a run that is too short the loop may seem to take longer than a case.
        times = {
            name: [max(mine - loop, 1e-9) for mine, loop in zip(own, empty, strict=True)] for name, own in times.items()
        }
    table = Table(key, title, (Column("us"), *(Column(f"x {name}") for name in references)), notes=notes)
    for name, own in times.items():
        table.rows[name] = [
            Cell(statistics.median(own) * 1e6),
            *(ratio(own, times[reference]) for reference in references),
        ]
    return table


def _once(case: Timer, effort: Effort) -> float:
    """Return about what one call takes, once it is warm."""
    number, taken = 1, _turn(case, 1)
    while number * taken < effort.seconds / 4:
        number *= 4
        taken = _turn(case, number)
    return max(taken, 1e-9)


def _turn(case: Timer, number: int) -> float:
    gc.collect()
    return case.timeit(number) / number
