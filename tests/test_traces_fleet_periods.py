from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from ot_bridge.traces.analyse.entry import Entry
from ot_bridge.traces.fleet.periods import Changes, Period, changes
from traces_made import MS, NOON

HOUR_NS = 3_600_000_000_000


def entries(
    numbers: random.Random,
    hour: int,
    count: int,
    *,
    operation: str = "GET /",
    took: float = 20,
    failing: float = 0.02,
    weight: float = 1.0,
    burst: int = 1,
) -> list[Entry]:
    """Requests spread over an hour; those of one burst begin within a second."""
    starts = [numbers.randrange(HOUR_NS) for _ in range(-(-count // burst))]
    return [
        Entry(
            trace_id=number + 1,
            service="shop",
            operation=operation,
            kind="server",
            start_ns=NOON + hour * HOUR_NS + min(HOUR_NS - 1, starts[number // burst] + numbers.randrange(10**9)),
            duration_ns=round(numbers.lognormvariate(0, 0.6) * took * MS),
            error=numbers.random() < failing,
            weight=weight,
        )
        for number in range(count)
    ]


def hours(old: Sequence[Entry], new: Sequence[Entry]) -> Changes:
    return changes(Period(NOON, NOON + HOUR_NS, old), Period(NOON + HOUR_NS, NOON + 2 * HOUR_NS, new))


def kinds(found: Changes) -> list[tuple[str, str]]:
    return [(row.what, row.operation) for row in found.rows]


def test_planted_changes_are_found_the_gravest_first() -> None:
    numbers = random.Random(1)  # noqa: S311
    same = [entries(numbers, hour, 300, operation="same") for hour in (0, 1)]
    old = [
        *same[0],
        *entries(numbers, 0, 300, operation="slow"),
        *entries(numbers, 0, 300, operation="broken"),
        *entries(numbers, 0, 300, operation="busy"),
        *entries(numbers, 0, 30, operation="gone"),
    ]
    new = [
        *same[1],
        *entries(numbers, 1, 300, operation="slow", took=40),
        *entries(numbers, 1, 300, operation="broken", failing=0.2),
        *entries(numbers, 1, 900, operation="busy"),
        *entries(numbers, 1, 30, operation="new"),
        *entries(numbers, 1, 2, operation="seldom"),
    ]
    found = hours(old, new)
    assert kinds(found) == [
        ("fails more", "broken"),
        ("vanished", "gone"),
        ("slower", "slow"),
        ("rate rose", "busy"),
        ("appeared", "new"),
    ]
    assert found.too_few == [("shop", "seldom")]
    turned = hours(
        [one._replace(start_ns=one.start_ns - HOUR_NS) for one in new],
        [one._replace(start_ns=one.start_ns + HOUR_NS) for one in old],
    )
    assert sorted(kinds(turned)) == sorted(
        [
            ("fails less", "broken"),
            ("appeared", "gone"),
            ("faster", "slow"),
            ("rate fell", "busy"),
            ("vanished", "new"),
        ]
    )


def test_a_sentence_says_the_change_its_bounds_and_both_values() -> None:
    old = [Entry(n + 1, "shop", "GET /", "server", NOON + n * 10**9, 20 * MS, n < 2, 1.0) for n in range(200)]
    new = [one._replace(duration_ns=30 * MS, error=one.trace_id < 100, start_ns=one.start_ns + HOUR_NS) for one in old]
    assert [row.sentence for row in hours(old, new).rows] == [
        "shop 'GET /' fails more: 49.5% of requests, 1% before (99 of 200, 2 of 200)",
        "shop 'GET /' is slower by 10 ms (10 ms to 10 ms): median 30 ms, 20 ms before",
    ]


def test_other_sampling_is_no_other_rate() -> None:
    numbers = random.Random(2)  # noqa: S311
    found = hours(entries(numbers, 0, 1000), entries(numbers, 1, 100, weight=10.0))
    assert kinds(found) == []
    [row] = hours(entries(numbers, 0, 1000), entries(numbers, 1, 300, weight=10.0)).rows
    assert row.what == "rate rose"
    assert "0.0833 a second seen and 0.833 estimated, 0.278 a second before" in row.sentence


@pytest.mark.parametrize("burst", [1, 20])
def test_equal_periods_raise_few_false_alarms(burst: int) -> None:
    numbers = random.Random(burst)  # noqa: S311
    alarms = 0
    for _ in range(60):
        periods = [
            [
                one
                for number in range(4)
                for one in entries(numbers, hour, numbers.randrange(230, 270), operation=str(number), burst=burst)
            ]
            + entries(numbers, hour, numbers.randrange(4), operation="seldom")
            for hour in (0, 1)
        ]
        alarms += bool(hours(*periods).rows)
    # At a false discovery rate of 5%, 3 of 60 are expected; 9 or more would come by chance in 3 of 1,000 runs.
    assert alarms <= 8


def test_few_or_no_requests_say_nothing() -> None:
    numbers = random.Random(3)  # noqa: S311
    some = entries(numbers, 0, 3)
    assert (hours([], []).rows, hours([], some).rows, hours(some, []).rows, hours(some, some).rows) == ([], [], [], [])


def test_a_period_without_length_has_no_rate() -> None:
    numbers = random.Random(4)  # noqa: S311
    old, new = entries(numbers, 0, 30), entries(numbers, 0, 300)
    assert changes(Period(NOON, NOON, old), Period(NOON, NOON, new)).rows == []
