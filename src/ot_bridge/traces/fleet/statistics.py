"""The statistics of many traces, exact where that is cheap, without any library but `math`. Pure.

Sources: R. A. Fisher's exact test; Benjamini and Hochberg 1995; Newcombe 1998, Statistics in Medicine 17:873 (interval
of a difference, method 10) on Wilson's score interval; Mann and Whitney 1947 with the correction for ties; Hodges and
Lehmann 1963; Hanley and McNeil 1982 (error of the area under a curve); Wallace 1959 (Student's t as a normal).
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple, TypeAlias

__all__ = [
    "Difference",
    "Number",
    "Ranks",
    "adjusted",
    "dominance",
    "fisher",
    "mann_whitney",
    "normal_p",
    "quantile",
    "risk_difference",
    "shift",
    "student_as_normal",
    "wilson",
]

Number: TypeAlias = "int | float"

_Z = 1.959963984540054
"""The normal distribution's 97.5th percentile: intervals are at 95%."""


class Difference(NamedTuple):
    """A difference and its 95% interval."""

    value: float
    low: float
    high: float


class Ranks(NamedTuple):
    """The outcome of a rank test.

    Attributes:
        u: the pairs in which the second sample's value is larger, equal ones by half.
        p: two-sided, by the normal approximation with corrections for ties and for continuity.
    """

    u: float
    p: float


def quantile(ordered: Sequence[Number], share: float) -> float:
    """Return a quantile of sorted values, between two of them in proportion (as numpy and R do); 0.0 of none."""
    if not ordered:
        return 0.0
    whole, part = divmod((len(ordered) - 1) * share, 1)
    low = ordered[int(whole)]
    high = ordered[min(int(whole) + 1, len(ordered) - 1)]
    return float(low + (high - low) * part) if part else float(low)


def normal_p(z: float) -> float:
    """Return the two-sided p-value of a standard normal value."""
    return math.erfc(abs(z) / math.sqrt(2))


def student_as_normal(t: float, freedom: float) -> float:
    """Return the normal value that is as rare as Student's t, to two digits."""
    size = (8 * freedom + 1) / (8 * freedom + 3) * math.sqrt(freedom * math.log1p(t * t / freedom))
    return math.copysign(size, t)


@lru_cache(maxsize=65536)
def fisher(a: int, b: int, c: int, d: int) -> float:
    """Return the two-sided p-value of Fisher's exact test of the table `a, b` over `c, d`.

    Two-sided as usual: the tables with the same margins that are no likelier than this one.
    """
    first, second, chosen = a + b, c + d, a + c
    low, high = max(0, chosen - second), min(first, chosen)
    if low == high:
        return 1.0
    total = _choices(first + second, chosen)
    likelihood = _choices(first, a) + _choices(second, c) - total
    # From the likeliest table outwards, each by its ratio to the last: no logarithm for each.
    mode = min(high, max(low, (first + 1) * (chosen + 1) // (first + second + 2)))
    at_mode = math.exp(_choices(first, mode) + _choices(second, chosen - mode) - total)
    limit = math.exp(likelihood) * (1 + 1e-7)
    found = at_mode if at_mode <= limit else 0.0
    here = at_mode
    for k in range(mode, high):
        here *= (first - k) * (chosen - k) / ((k + 1) * (second - chosen + k + 1))
        if here <= limit:
            found += here
            if here < 1e-18 * found:
                break
    here = at_mode
    for k in range(mode, low, -1):
        here *= k * (second - chosen + k) / ((first - k + 1) * (chosen - k + 1))
        if here <= limit:
            found += here
            if here < 1e-18 * found:
                break
    # Of very unlikely tables the sum above may underflow; the likelihood of this one is its least.
    return min(1.0, max(found, math.exp(likelihood)))


def _choices(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def adjusted(values: Sequence[float]) -> list[float]:
    """Return p-values adjusted by Benjamini and Hochberg: those up to 0.05 have a false discovery rate of 5%."""
    order = sorted(range(len(values)), key=lambda index: values[index], reverse=True)
    found, least = [1.0] * len(values), 1.0
    for rank, index in enumerate(order):
        least = min(least, values[index] * len(values) / (len(values) - rank))
        found[index] = least
    return found


def wilson(part: float, whole: float) -> tuple[float, float]:
    """Return the 95% interval of a share, by Wilson's score."""
    if not whole:
        return 0.0, 1.0
    share, square = part / whole, _Z * _Z
    middle = share + square / (2 * whole)
    half = _Z * math.sqrt(share * (1 - share) / whole + square / (4 * whole * whole))
    scale = 1 + square / whole
    # Exact at the ends, where rounding would leave them a little inside.
    low = 0.0 if part <= 0 else (middle - half) / scale
    high = 1.0 if part >= whole else (middle + half) / scale
    return low, high


def risk_difference(a: int, n: int, b: int, m: int) -> Difference:
    """Return by how much the share `a` of `n` exceeds `b` of `m`, by Newcombe's method 10."""
    first, second = a / n if n else 0.0, b / m if m else 0.0
    (low1, high1), (low2, high2) = wilson(a, n), wilson(b, m)
    value = first - second
    return Difference(
        value,
        value - math.hypot(first - low1, high2 - second),
        value + math.hypot(high1 - first, second - low2),
    )


def mann_whitney(first: Iterable[Number], second: Iterable[Number]) -> Ranks:
    """Tell how likely two samples differ as much as these do if both come from one distribution."""
    ones, others = Counter(first), Counter(second)
    n, m = ones.total(), others.total()
    if not n or not m:
        return Ranks(0.0, 1.0)
    below, u, ties = 0, 0.0, 0
    for value in sorted(ones.keys() | others.keys()):
        same, other = ones[value], others[value]
        u += other * (below + same / 2)
        below += same
        ties += (same + other) ** 3 - (same + other)
    total = n + m
    variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0:
        return Ranks(u, 1.0)
    distance = max(0.0, abs(u - n * m / 2) - 0.5)
    return Ranks(u, normal_p(distance / math.sqrt(variance)))


def dominance(u: float, n: int, m: int) -> Difference:
    """Return how much oftener the second sample's value is larger than smaller, -1 to 1 (Cliff's delta).

    For a value that is there or not it is the difference of the shares, so that both can stand in one order.
    """
    area = u / (n * m)
    inside = min(max(area, 0.5 / (n * m)), 1 - 0.5 / (n * m))
    less, more = inside / (2 - inside), 2 * inside * inside / (1 + inside)
    alone = inside * (1 - inside)
    spread = alone + (m - 1) * (less - inside * inside) + (n - 1) * (more - inside * inside)
    # As many independent draws as have this variance: Wilson's interval of them stays within -1 to 1, and has a width
    # where one sample is wholly above the other.
    draws = n * m * alone / spread
    low, high = wilson(area * draws, draws)
    return Difference(2 * area - 1, 2 * low - 1, 2 * high - 1)


def shift(first: Sequence[int], second: Sequence[int]) -> Difference:
    """Return by how much the second sample is larger: the median of all differences of pairs, by Hodges and Lehmann.

    The interval is the one of the Mann-Whitney test, with its correction for ties.

    Args:
        first: integers, such as nanoseconds.
        second: of the same.
    """
    n, m = len(first), len(second)
    if not n or not m:
        return Difference(0.0, 0.0, 0.0)
    pairs = _Pairs(first, second)
    middle = (pairs.smallest((n * m - 1) // 2) + pairs.smallest(n * m // 2)) / 2
    ties = sum(count**3 - count for count in (Counter(first) + Counter(second)).values())
    total = n + m
    spread = math.sqrt(max(0.0, n * m / 12 * (total + 1 - ties / (total * (total - 1)))))
    cut = max(0, math.floor(n * m / 2 - _Z * spread - 0.5))
    return Difference(middle, pairs.smallest(cut), pairs.smallest(n * m - 1 - cut))


class _Pairs:
    """The differences of all pairs of two samples, in order, without making them: counted for a bound by bisection."""

    def __init__(self, first: Sequence[int], second: Sequence[int]) -> None:
        ones, others = Counter(first), Counter(second)
        self._flip = len(ones) > len(others)
        walked, searched = (others, ones) if self._flip else (ones, others)
        self._walked = sorted(walked.items())
        self._searched = sorted(searched)
        self._below = [0, *accumulate(searched[value] for value in self._searched)]
        self._all = len(first) * len(second)
        self._few = 4 * (len(first) + len(second))
        self._low = min(others) - max(ones)
        self._high = max(others) - min(ones)

    def smallest(self, rank: int) -> int:
        """Return the difference that has `rank` ones before it."""
        # The difference is above `low`, which `below` of them are not, and not above `high`, which `until` are not.
        low, high, below, until, step = self._low - 1, self._high, 0, self._all, 0
        while high - low > 1 and until - below > self._few:
            # By proportion, which is quick where they lie evenly; in between by halves, which is never slow.
            guess = low + (high - low) * (rank + 1 - below) // (until - below) if step % 2 else (low + high) // 2
            guess = min(max(guess, low + 1), high - 1)
            count, step = self._up_to(guess), step + 1
            if count > rank:
                high, until = guess, count
            else:
                low, below = guess, count
        if high - low == 1:
            return high
        for value, count in sorted(self._between(low, high)):
            below += count
            if below > rank:
                return value
        return high

    def _between(self, low: int, high: int) -> Iterator[tuple[int, int]]:
        """Yield the differences above `low` and up to `high`, each with its count."""
        searched, below = self._searched, self._below
        for value, n in self._walked:
            if self._flip:
                first, last = bisect_left(searched, value - high), bisect_left(searched, value - low)
            else:
                first, last = bisect_right(searched, value + low), bisect_right(searched, value + high)
            for index in range(first, last):
                other = searched[index]
                yield (value - other if self._flip else other - value), n * (below[index + 1] - below[index])

    def _up_to(self, bound: int) -> int:
        searched, below = self._searched, self._below
        if self._flip:
            # second - first <= bound is first >= second - bound.
            missed = sum(n * below[bisect_left(searched, value - bound)] for value, n in self._walked)
            return self._all - missed
        return sum(n * below[bisect_right(searched, value + bound)] for value, n in self._walked)
