"""What changed between two periods, operation by operation (seeing.md 1.10 and the tests of 1.9). Pure.

Errors are compared by Fisher's exact test, durations by ranks, and rates by how much they vary within each period
anyway: requests come in bursts, and a test that takes each for independent would see a change every day. All tests are
judged together at a false discovery rate of 5%.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from ot_bridge.traces.analyse.entry import Entry
from ot_bridge.traces.fleet.rates import Operation, Rate, rates
from ot_bridge.traces.fleet.statistics import (
    Difference,
    adjusted,
    fisher,
    mann_whitney,
    normal_p,
    risk_difference,
    shift,
    student_as_normal,
)
from ot_bridge.traces.words import and_, duration, plural

__all__ = ["Change", "Changes", "Period", "What", "changes"]

What: TypeAlias = Literal[
    "fails more", "vanished", "slower", "rate fell", "rate rose", "appeared", "fails less", "faster"
]
_ORDER: Sequence[str] = What.__args__  # type: ignore[attr-defined]

_LIKELY = 0.05
_FEWEST = 20
"""Durations of fewer requests a side are not tested."""
_WINDOWS = 10
"""The pieces of a period whose counts tell how much a rate varies by itself."""
_LEAST_SHIFT = 0.05
"""A shift below this share of the median before is real in many requests, and of no use."""
_LEAST_RATE = 0.1


class Period(NamedTuple):
    """A period and the requests that began in it."""

    from_ns: int
    to_ns: int
    entries: Sequence[Entry]

    @property
    def seconds(self) -> float:
        """Its length."""
        return max(0, self.to_ns - self.from_ns) / 1e9


class Change(NamedTuple):
    """One change of one operation.

    Attributes:
        before: None where there was no request.
        after: None where there is none.
        difference: of the share of errors, 0 to 1; of durations in ns; of the estimated rate as a factor; None where
            one period has no request.
        p: adjusted for all tests.
        cost: what it means in all requests of the second period: failures, ns, or requests.
    """

    what: What
    service: str
    operation: str
    sentence: str
    before: Rate | None
    after: Rate | None
    difference: Difference | None
    p: float
    cost: float


class Changes(NamedTuple):
    """What changed.

    Attributes:
        rows: what got worse first, the most costly first.
        tested: how many tests were made.
        too_few: operations of which one period has no request and the other too few to say.
        before: all operations of the first period.
        after: of the second.
    """

    rows: Sequence[Change]
    tested: int
    too_few: Sequence[Operation]
    before: Mapping[Operation, Rate]
    after: Mapping[Operation, Rate]


class _Test(NamedTuple):
    what: Literal["rate", "errors", "duration", "there"]
    operation: Operation
    p: float
    difference: Difference | None


def changes(before: Period, after: Period) -> Changes:
    """Compare two periods of any lengths."""
    olds, news = _groups(before.entries), _groups(after.entries)
    tests = [
        test
        for operation in sorted(olds.keys() | news.keys())
        for test in _tests(operation, before, after, olds.get(operation, []), news.get(operation, []))
    ]
    levels = adjusted([test.p for test in tests])
    old_rates, new_rates = (
        {(rate.service, rate.operation): rate for rate in rates(period.entries, period.seconds)}
        for period in (before, after)
    )
    rows, too_few = list[Change](), list[Operation]()
    for test, level in zip(tests, levels, strict=True):
        old, new = old_rates.get(test.operation), new_rates.get(test.operation)
        if level > _LIKELY:
            if test.what == "there":
                too_few.append(test.operation)
        elif (row := _change(test, level, old, new)) is not None:
            rows.append(row)
    rows.sort(key=lambda row: (_ORDER.index(row.what), -row.cost, row.service, row.operation))
    return Changes(rows, len(tests), too_few, old_rates, new_rates)


def _groups(entries: Iterable[Entry]) -> Mapping[Operation, list[Entry]]:
    found: dict[Operation, list[Entry]] = defaultdict(list)
    for entry in entries:
        found[entry.service, entry.operation].append(entry)
    return found


def _tests(
    operation: Operation, before: Period, after: Period, old: Sequence[Entry], new: Sequence[Entry]
) -> Iterable[_Test]:
    if not before.entries or not after.entries:
        return
    counts = _windows(before, old), _windows(after, new)
    if not old or not new:
        if before.seconds and after.seconds:
            yield _Test("there", operation, _absent(before, after, *counts), None)
        return
    if before.seconds and after.seconds:
        factor, p = _factor(before, after, *counts)
        yield _Test("rate", operation, p, factor)
    failed, fails = (sum(entry.error for entry in group) for group in (old, new))
    if failed or fails:
        difference = risk_difference(fails, len(new), failed, len(old))
        yield _Test("errors", operation, fisher(fails, len(new) - fails, failed, len(old) - failed), difference)
    if min(len(old), len(new)) >= _FEWEST:
        took, takes = ([entry.duration_ns for entry in group] for group in (old, new))
        yield _Test("duration", operation, mann_whitney(took, takes).p, shift(took, takes))


def _windows(period: Period, entries: Iterable[Entry]) -> list[float]:
    """Return the estimated number of requests in each window of a period."""
    found = [0.0] * _WINDOWS
    length = max(1, period.to_ns - period.from_ns)
    for entry in entries:
        found[min(_WINDOWS - 1, max(0, (entry.start_ns - period.from_ns) * _WINDOWS // length))] += entry.weight
    return found


def _spread(counts: Sequence[Sequence[float]]) -> float:
    """Return how many times more the counts of windows vary than those of independent requests would; at least 1."""
    squares = freedom = 0.0
    for group in counts:
        mean = sum(group) / len(group)
        if mean:
            squares += sum((count - mean) ** 2 for count in group) / mean
            freedom += len(group) - 1
    return max(1.0, squares / freedom) if freedom else 1.0


def _factor(before: Period, after: Period, old: Sequence[float], new: Sequence[float]) -> tuple[Difference, float]:
    """Compare two rates: the factor with its 95% interval, and the p-value."""
    first, second = sum(old), sum(new)
    ratio = math.log(second / after.seconds) - math.log(first / before.seconds)
    error = math.sqrt(_spread((old, new)) * (1 / first + 1 / second))
    z = student_as_normal(ratio / error, 2 * (_WINDOWS - 1))
    # Where Student's t is this much rarer than its normal value, the interval is that much wider.
    half = 1.959964 * error * (ratio / error / z if z else 1.0)
    return Difference(math.exp(ratio), math.exp(ratio - half), math.exp(ratio + half)), normal_p(z)


def _absent(before: Period, after: Period, old: Sequence[float], new: Sequence[float]) -> float:
    """Tell how likely one period has none of the requests, if they came at one rate: those in a burst count once."""
    here, there = (after, before) if sum(new) else (before, after)
    requests = (sum(old) + sum(new)) / _spread((old, new))
    share = here.seconds / (here.seconds + there.seconds)
    return float(min(1.0, 2 * share**requests))


def _change(test: _Test, level: float, old: Rate | None, new: Rate | None) -> Change | None:
    service, operation = test.operation
    name = f"{service} {operation!r}"
    if test.what == "there" or old is None or new is None:
        one = new or old
        if one is None:
            return None
        what: What = "appeared" if new else "vanished"
        times = _counted(one)
        sentence = f"{name} appeared: {times}, none before" if new else f"{name} vanished: {times} before, none now"
        return Change(what, service, operation, sentence, old, new, None, level, one.estimated)
    difference = test.difference or Difference(0, 0, 0)
    if test.what == "errors":
        what = "fails more" if difference.value > 0 else "fails less"
        sentence = (
            f"{name} {what}: {_percent(new.error_share)} of requests, {_percent(old.error_share)} before "
            f"({new.errors} of {new.seen}, {old.errors} of {old.seen})"
        )
        return Change(
            what, *test.operation, sentence, old, new, difference, level, abs(difference.value) * new.estimated
        )
    if test.what == "duration":
        if abs(difference.value) < _LEAST_SHIFT * old.p50_ns:
            return None
        what = "slower" if difference.value > 0 else "faster"
        low, high = sorted((abs(difference.low), abs(difference.high)))
        sentence = (
            f"{name} is {what} by {duration(abs(difference.value))} ({duration(low)} to {duration(high)}): "
            f"median {duration(new.p50_ns)}, {duration(old.p50_ns)} before"
        )
        return Change(
            what, *test.operation, sentence, old, new, difference, level, abs(difference.value) * new.estimated
        )
    if abs(difference.value - 1) < _LEAST_RATE:
        return None
    what = "rate rose" if difference.value > 1 else "rate fell"
    sentence = (
        f"the rate of {name} {what[5:]} to {_times(difference.value)} ({_times(difference.low)} to "
        f"{_times(difference.high)}): {_per_second(new)}, {_per_second(old)} before"
    )
    return Change(what, *test.operation, sentence, old, new, difference, level, abs(new.estimated - old.estimated))


def _counted(rate: Rate) -> str:
    seen = plural(rate.seen, "request")
    return f"{seen} seen, {rate.estimated:,.0f} estimated" if rate.weighted else seen


def _percent(share: float) -> str:
    return f"{share * 100:.3g}%"


def _times(factor: float) -> str:
    return f"{factor:.3g} times"


def _per_second(rate: Rate) -> str:
    seen = f"{rate.per_second or 0:.3g} a second"
    return and_([f"{seen} seen", f"{rate.estimated_per_second or 0:.3g} estimated"]) if rate.weighted else seen
