"""The decisions of Jaeger's samplers: those of jaeger-client, id by id and credit by credit."""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ot_bridge import ConfigError
from ot_bridge.sampling import Const, Decider, GuaranteedThroughput, PerOperation, Probabilistic, RateLimiting
from ot_bridge.sampling.token_bucket import TokenBucket

VECTORS = json.loads((Path(__file__).parent / "vectors" / "sampling.json").read_text(encoding="utf-8"))

rates = st.floats(0, 1)
per_second = st.floats(0, 1000)
trace_ids = st.integers(1, 2**128 - 1)
operations = st.sampled_from(["GET /", "pay", "", "caf\xe9", "rank"])


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def given_answer(decider: Any, trace_id: int, operation: str = "op") -> tuple[bool, dict[str, object]]:
    sampled, tags = decider.decide(trace_id, operation)
    return sampled, dict(tags)


def count(decider: Decider, number: int, seed: int = 7) -> int:
    """Return how many of so many random traces are sampled."""
    ids = random.Random(seed)  # noqa: S311  (no secret)
    return sum(decider.decide(ids.getrandbits(128) or 1, "op")[0] for _ in range(number))


# -- const and probabilistic -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("decision", [True, False])
def test_const_always_decides_alike(decision: bool) -> None:
    expected = (decision, {"sampler.type": "const", "sampler.param": decision})
    assert [given_answer(Const(decision), trace_id) for trace_id in (1, 2**128 - 1)] == [expected, expected]


@pytest.mark.parametrize("rate", VECTORS["sampled"])
def test_probabilistic_decides_as_the_vectors_say(rate: str) -> None:
    decider = Probabilistic(float(rate))
    found = [decider.decide(int(low, 16), "op")[0] for low in VECTORS["trace_id_low64"]]
    assert found == [digit == "1" for digit in VECTORS["sampled"][rate]]


def test_vectors_are_all_there() -> None:
    sizes = {rate: len(digits) for rate, digits in VECTORS["sampled"].items()}
    assert sizes == dict.fromkeys(["0.0", "0.001", "0.01", "0.1", "0.5", "0.99", "1.0"], 40)
    assert len(set(VECTORS["trace_id_low64"])) == 40


@settings(deadline=None)
@given(rates, trace_ids)
@example(rate=0.1, trace_id=math.ceil(0.1 * 2**64))
@example(rate=0.1, trace_id=math.ceil(0.1 * 2**64) - 1)
@example(rate=5e-324, trace_id=2**64)
@example(rate=1.0, trace_id=2**64 - 1)
def test_probabilistic_decides_as_jaeger_client(rate: float, trace_id: int) -> None:
    theirs = pytest.importorskip("jaeger_client").ProbabilisticSampler(rate)
    assert given_answer(Probabilistic(rate), trace_id) == theirs.is_sampled(trace_id, "op")


@settings(deadline=None)
@given(rates, trace_ids)
def test_high_half_of_the_trace_id_does_not_count(rate: float, trace_id: int) -> None:
    decider = Probabilistic(rate)
    assert decider.decide(trace_id, "op") == decider.decide(trace_id % 2**64, "op")


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1, 0.5, 0.9])
def test_probabilistic_keeps_its_part_of_random_traces(rate: float) -> None:
    number = 50_000
    # Six standard deviations: a right sampler fails once in 500 million seeds, and the seed is fixed.
    assert abs(count(Probabilistic(rate), number) - rate * number) <= 6 * math.sqrt(number * rate * (1 - rate))


# -- the bucket --------------------------------------------------------------------------------------------------------


@contextmanager
def jaeger_time(clock: Clock, fraction: float) -> Iterator[Any]:
    """Give jaeger-client the test's clock and its random number."""
    limiter = pytest.importorskip("jaeger_client.rate_limiter")
    chosen = SimpleNamespace(random=lambda: fraction)
    with (
        mock.patch.object(limiter.RateLimiter, "timestamp", staticmethod(clock)),
        mock.patch.object(limiter, "random", chosen),
    ):
        yield pytest.importorskip("jaeger_client.sampler")


fractions = st.floats(0, 1, exclude_max=True)
waits = st.floats(0, 10)


@settings(deadline=None)
@given(per_second, fractions, st.lists(waits | st.tuples(per_second), max_size=40))
def test_ratelimiting_decides_as_jaeger_client(rate: float, fraction: float, steps: list[float | tuple[float]]) -> None:
    clock = Clock()
    with jaeger_time(clock, fraction) as jaeger:
        ours, theirs = RateLimiting(rate, clock=clock, fraction=lambda: fraction), jaeger.RateLimitingSampler(rate)
        found, expected = [], []
        for step in steps:
            if isinstance(step, tuple):
                found.append(ours.update(*step))
                expected.append(theirs.update(*step))
            else:
                clock.now_s += step
                found.append(given_answer(ours, 1))  # type: ignore[arg-type]
                expected.append(theirs.is_sampled(1, "op"))
    assert found == expected


@settings(deadline=None)
@given(rate=st.floats(2, 100), fraction=fractions, number=st.integers(1, 500))
def test_ratelimiting_gives_the_rate_and_what_it_began_with(rate: float, fraction: float, number: int) -> None:
    clock = Clock()
    decider = RateLimiting(rate, clock=clock, fraction=lambda: fraction)
    sampled = 0
    for _ in range(number):  # twice as many as the rate, and what is left over never fills the bucket
        sampled += decider.decide(1, "op")[0]
        clock.now_s += 0.5 / rate
    credits_there = max(rate, 1) * fraction + 0.5 * (number - 1)
    assert abs(sampled - min(number, credits_there)) <= 1 + 1e-6


def test_burst_is_one_second_s_worth_and_at_least_one_trace() -> None:
    clock = Clock()
    bursts = {}
    for rate in (0.1, 1, 2.5, 10):
        decider = RateLimiting(rate, clock=clock, fraction=lambda: 0.0)
        clock.now_s += 1000
        bursts[rate] = sum(decider.decide(1, "op")[0] for _ in range(100))
    assert bursts == {0.1: 1, 1: 1, 2.5: 2, 10: 10}


def test_ratelimiting_of_zero_samples_nothing() -> None:
    clock = Clock()
    decider = RateLimiting(0, clock=clock)
    clock.now_s += 1e6
    assert given_answer(decider, 1) == (False, {"sampler.type": "ratelimiting", "sampler.param": 0})


def test_time_of_day_fills_no_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    decider = RateLimiting(0.001, fraction=lambda: 0.0)
    monkeypatch.setattr(time, "time", lambda: 1e12)
    assert not decider.decide(1, "op")[0]


def test_update_keeps_the_balance_in_proportion() -> None:
    bucket = TokenBucket(10, 10, clock=Clock(), fraction=lambda: 0.5)
    bucket.update(100, 100)
    assert [bucket.take(50), bucket.take(0.001)] == [True, False]


def test_start_is_a_random_part_of_the_bucket() -> None:
    started = [RateLimiting(100, clock=Clock()) for _ in range(50)]
    bursts = [sum(decider.decide(1, "op")[0] for _ in range(200)) for decider in started]
    # That 50 random numbers out of 100 are 10 different ones at most has a chance of 1 in 10**36.
    assert (len(set(bursts)) > 10, max(bursts) < 100) == (True, True)


def in_threads(work: Callable[[int], None], number: int) -> None:
    threads = [threading.Thread(target=work, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_credits_are_given_out_once_among_threads() -> None:
    decider = RateLimiting(1000, clock=Clock(), fraction=lambda: 1.0)
    taken = [0] * 8

    def work(index: int) -> None:
        taken[index] = sum(decider.decide(1, "op")[0] for _ in range(500))

    in_threads(work, 8)
    assert sum(taken) == 1000


# -- guaranteed, and per operation -------------------------------------------------------------------------------------


def test_rate_comes_first_and_is_charged_to_the_lower_bound_too() -> None:
    clock = Clock()
    decider = GuaranteedThroughput(0.5, 1, clock=clock, fraction=lambda: 0.0)
    below, above = 1, 2**64 - 1
    clock.now_s += 1
    found = [given_answer(decider, below), given_answer(decider, above)]
    clock.now_s += 1
    found += [given_answer(decider, above), given_answer(decider, above)]
    chosen = {"sampler.type": "probabilistic", "sampler.param": 0.5}
    bound = {"sampler.type": "lowerbound", "sampler.param": 0.5}
    assert found == [(True, chosen), (False, bound), (True, bound), (False, bound)]


steps = st.lists(
    st.tuples(waits, trace_ids, operations) | st.tuples(rates, per_second, st.dictionaries(operations, rates)),
    max_size=40,
)


def listed(default: float, bound: float, named: dict[str, float]) -> dict[str, Any]:
    """Return a strategy as jaeger-client takes it."""
    return {
        "defaultSamplingProbability": default,
        "defaultLowerBoundTracesPerSecond": bound,
        "perOperationStrategies": [
            {"operation": name, "probabilisticSampling": {"samplingRate": rate}} for name, rate in named.items()
        ],
    }


@settings(deadline=None)
@given(rates, per_second, fractions, steps)
def test_guaranteed_decides_as_jaeger_client(rate: float, bound: float, fraction: float, steps: list[Any]) -> None:
    clock = Clock()
    with jaeger_time(clock, fraction) as jaeger:
        ours = GuaranteedThroughput(rate, bound, clock=clock, fraction=lambda: fraction)
        theirs = jaeger.GuaranteedThroughputProbabilisticSampler("op", bound, rate)
        found, expected = [], []
        for first, second, third in steps:
            if isinstance(third, dict):
                ours.update(first, second)
                theirs.update(second, first)
            else:
                clock.now_s += first
                found.append(given_answer(ours, second))
                expected.append(theirs.is_sampled(second, "op"))
    assert found == expected


@settings(deadline=None)
@given(rates, per_second, st.dictionaries(operations, rates), fractions, st.sampled_from([3, 2000]), steps)
def test_per_operation_decides_as_jaeger_client(
    default: float, bound: float, named: dict[str, float], fraction: float, most: int, steps: list[Any]
) -> None:
    clock = Clock()
    with jaeger_time(clock, fraction) as jaeger:
        ours = PerOperation(default, bound, named, max_operations=most, clock=clock, fraction=lambda: fraction)
        theirs = jaeger.AdaptiveSampler(listed(default, bound, named), most)
        found, expected = [], []
        for first, second, third in steps:
            if not isinstance(third, dict):
                clock.now_s += first
                found.append(given_answer(ours, second, third))
                expected.append(theirs.is_sampled(second, third))
            elif most == 2000:  # beyond the cap ours forgets some
                ours.update(first, second, third)
                theirs.update(listed(first, second, third))
    assert found == expected


def test_unknown_operations_beyond_the_cap_share_the_default_rate_without_a_lower_bound() -> None:
    clock = Clock()
    decider = PerOperation(0.0, 1, {"named": 1.0}, max_operations=2, clock=clock, fraction=lambda: 1.0)
    kinds = [decider.decide(2**64 - 1, name)[1]["sampler.type"] for name in ("named", "met", "beyond", "met", "beyond")]
    assert kinds == ["probabilistic", "lowerbound", "probabilistic", "lowerbound", "probabilistic"]
    assert decider.decide(2**64 - 1, "beyond") == (False, {"sampler.type": "probabilistic", "sampler.param": 0.0})


def test_operations_that_an_update_does_not_name_keep_what_they_have() -> None:
    decider = PerOperation(0.0, 0, {"kept": 1.0, "changed": 1.0})
    decider.update(0.25, 0, {"changed": 0.5})
    found = {name: decider.decide(1, name)[1]["sampler.param"] for name in ("kept", "changed", "new")}
    assert found == {"kept": 1.0, "changed": 0.5, "new": 0.25}


def test_update_beyond_the_cap_forgets_the_oldest_that_it_does_not_name() -> None:
    decider = PerOperation(0.5, 0, {"first": 0.5, "second": 0.5, "third": 0.5}, max_operations=3)
    decider.update(0.5, 0, {"second": 0.25, "fourth": 0.25})
    assert decider == PerOperation(0.5, 0, {"second": 0.25, "third": 0.5, "fourth": 0.25}, max_operations=3)


def test_memory_for_operations_is_bounded_among_threads() -> None:
    decider = PerOperation(0.5, 1)

    def work(index: int) -> None:
        for number in range(1000):
            decider.decide(1, f"{index}-{number}")

    in_threads(work, 4)
    assert repr(decider) == "PerOperation(default_rate=0.5, lower_bound=1, max_operations=2000, 2000 known)"


# -- every one ---------------------------------------------------------------------------------------------------------

EVERY = [
    (lambda: Const(True), Const(False), "Const(decision=True)"),
    (lambda: Probabilistic(0.5), Probabilistic(0.25), "Probabilistic(rate=0.5)"),
    (lambda: RateLimiting(2.5), RateLimiting(2), "RateLimiting(max_traces_per_second=2.5)"),
    (
        lambda: GuaranteedThroughput(0.5, 2),
        GuaranteedThroughput(0.5, 3),
        "GuaranteedThroughput(rate=0.5, lower_bound=2)",
    ),
    (
        lambda: PerOperation(0.5, 2, {"op": 1}),
        PerOperation(0.5, 2, {"op": 0}),
        "PerOperation(default_rate=0.5, lower_bound=2, max_operations=2000, 1 known)",
    ),
]


@pytest.mark.parametrize(("make", "other", "shown"), EVERY, ids=[shown.split("(")[0] for _, _, shown in EVERY])
def test_decider_is_readable_and_equal_to_its_like(make: Callable[[], Decider], other: Decider, shown: str) -> None:
    used = make()
    used.decide(1, "op")
    used.close()
    assert (repr(used), used == make(), used == other, used == shown) == (shown, True, False, False)


def test_tags_cannot_be_changed_by_who_gets_them() -> None:
    tags: Any = Probabilistic(1).decide(1, "op")[1]
    with pytest.raises(TypeError):
        tags["sampler.type"] = "mine"


BAD: list[tuple[Callable[[Any], Any], str, list[Any]]] = [
    (Probabilistic, "rate", [-0.1, 1.1, math.nan, True, "0.5", None, 10**400]),
    (RateLimiting, "max_traces_per_second", [-1, math.inf, math.nan, True, "2", None, 10**400]),
    (lambda value: GuaranteedThroughput(value, 1), "rate", [2, math.nan]),
    (lambda value: GuaranteedThroughput(0.5, value), "max_traces_per_second", [-1, math.inf]),
    (lambda value: PerOperation(value, 1), "rate", [2]),
    (lambda value: PerOperation(0.5, value), "lower_bound", [-1]),
    (lambda value: PerOperation(0.5, 1, {"op": value}), "rate", [2]),
    (lambda value: PerOperation(0.5, 1).update(0.5, 1, {"op": value}), "rate", [2]),
    (lambda value: PerOperation(0.5, 1).update(0.5, value, {}), "lower_bound", [-1]),
]


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        pytest.param(make, name, value, id=f"{n}-{name}-{str(value)[:5]}")
        for n, (make, name, values) in enumerate(BAD)
        for value in values
    ],
)
def test_value_out_of_range_is_refused_by_name(make: Callable[[Any], Any], name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"cannot use {name}: got .* \(argument\), expected "):
        make(value)


def test_refused_update_changes_nothing() -> None:
    decider = PerOperation(0.5, 1, {"op": 0.5})
    with pytest.raises(ConfigError):
        decider.update(0.25, 2, {"op": 0.25, "bad": 2})
    assert decider == PerOperation(0.5, 1, {"op": 0.5})
