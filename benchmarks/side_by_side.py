"""Times several ways of doing one thing in interleaved rounds of one process, and prints them as ratios.

Wall time wanders with the machine; what the rounds share, wanders together. A ratio is the median of the ratios of the
single rounds, its spread the middle half of them.
"""

from __future__ import annotations

import gc
import platform
import statistics
from collections.abc import Mapping
from importlib.metadata import version
from timeit import Timer

from rich.console import Console
from rich.progress import track
from rich.table import Table

__all__ = ["LOOP", "console", "measure", "show"]

LOOP = "loop"
"""The name of the case that does nothing but what all others contain."""

console = Console()
_PACKAGES = ("ot-bridge", "opentelemetry-sdk", "opentracing", "jaeger-client")

Rounds = dict[str, list[float]]


def measure(cases: Mapping[str, Timer], *, rounds: int = 31, seconds: float = 0.02) -> Rounds:
    """Return, for each case, the time of one call in each round, in seconds.

    Args:
        cases: name -> the statement to run: its own text stands in the loop, with no call around it.
        rounds: how often each case has its turn.
        seconds: how long one turn takes about.
    """
    numbers = {name: max(1, int(seconds / _once(case))) for name, case in cases.items()}
    times: Rounds = {name: [] for name in cases}
    for _ in track(range(rounds), description="measuring", console=console, transient=True):
        for name, case in cases.items():
            times[name].append(_turn(case, numbers[name]))
    return times


def show(title: str, times: Rounds, references: tuple[str, ...]) -> None:
    """Print one row a case: microseconds, and the ratio to each reference, less those of the case ``loop``."""
    times = dict(times)
    empty = times.pop(LOOP, None)
    if empty is not None:
        title = f"{title}; less {statistics.median(empty) * 1e6:.2f} us for the loop"
        times = {name: [mine - loop for mine, loop in zip(own, empty, strict=True)] for name, own in times.items()}
    table = Table(title=title, title_justify="left")
    table.add_column("")
    table.add_column("us", justify="right")
    for reference in references:
        table.add_column(f"x {reference}", justify="right")
    for name, own in times.items():
        ratios = [_ratio(own, times[reference]) for reference in references]
        table.add_row(name, f"{statistics.median(own) * 1e6:.2f}", *ratios)
    console.print(table)


def show_machine() -> None:
    """Print what the figures belong to."""
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    console.print(f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}; {versions}")


def _ratio(own: list[float], other: list[float]) -> str:
    ratios = [mine / theirs for mine, theirs in zip(own, other, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def _once(case: Timer) -> float:
    return min(_turn(case, 50) for _ in range(5))


def _turn(case: Timer, number: int) -> float:
    gc.collect()
    return case.timeit(number) / number
