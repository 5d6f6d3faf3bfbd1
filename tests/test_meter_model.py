"""The control rule of the CPU budget: under it, and still, whatever the load does."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ot_bridge.meter.model import ALLOWANCE_S, LEAST, Budget, Gain, Window, smoothed
from ot_bridge.meter.tally import PATHS, Moment, Tally

RECORDED_S, DROPPED_S = 14e-6, 3e-6
SHARE = 0.01
STEP = [200] * 20 + [2000] * 100
SQUARE = ([2000] * 5 + [200] * 5) * 12
INFEASIBLE = [4000] * 120


class Run(NamedTuple):
    over: int
    """Windows over the budget."""
    far_over: int
    """Windows over one and a half times the budget."""
    mean: float
    """Mean share."""
    parts: list[float]


def simulate(rates: Iterable[float], seed: int, rule: str = "inversion") -> Run:
    """Run a process with one core's CPU under a rule; what is measured of the costs is wrong by 15%."""
    draw = random.Random(seed)  # noqa: S311
    budget, part, used, parts = Budget(SHARE), 1.0, [], []
    for rate in rates:
        share = rate * (part * RECORDED_S + (1 - part) * DROPPED_S)
        used.append(share)
        if rule == "inversion":
            wrong = [max(0.1, draw.gauss(1, 0.15)) for _ in range(2)]
            dropped_s = None if part == 1 else DROPPED_S * wrong[1]
            part = budget.step(Window(5, 5, round(rate * 5), RECORDED_S * wrong[0], dropped_s, 5 * share)).parts[-1]
        else:
            part = min(1.0, max(LEAST, part * (SHARE / (share * max(0.1, draw.gauss(1, 0.15)))) ** 0.5))
        parts.append(part)
    return Run(sum(s > SHARE for s in used), sum(s > 1.5 * SHARE for s in used), sum(used) / len(used), parts)


@pytest.mark.parametrize("seed", range(20))
def test_step_of_the_load_is_over_the_budget_for_one_window(seed: int) -> None:
    run = simulate(STEP, seed)
    assert run.far_over == 1
    assert run.over <= 20
    assert 0.006 < run.mean < SHARE


@pytest.mark.parametrize("seed", range(20))
def test_square_wave_is_met_at_its_edges_only(seed: int) -> None:
    run, groping = simulate(SQUARE, seed), simulate(SQUARE, seed, "multiplicative")
    assert run.over <= 20
    assert run.far_over <= 12  # there are twelve edges
    assert groping.over >= 2 * run.over
    assert groping.far_over >= 2 * run.far_over


@pytest.mark.parametrize("seed", range(20))
def test_load_that_no_sampling_meets_is_pinned_at_the_least(seed: int) -> None:
    run = simulate(INFEASIBLE, seed)
    assert (run.over, run.far_over) == (120, 1)
    assert max(run.parts[1:]) <= 2 * LEAST
    assert run.parts.count(LEAST) > 100


@pytest.mark.parametrize("rate", [900, 1500, 2500])
def test_constant_load_comes_to_rest(rate: int) -> None:
    budget, parts = Budget(SHARE), []
    for _ in range(60):
        part = budget.parts[-1]
        used = rate * (part * RECORDED_S + (1 - part) * DROPPED_S)
        parts.append(budget.step(Window(5, 5, rate * 5, RECORDED_S, DROPPED_S, 5 * used)).parts[-1])
    assert len(set(parts[5:])) == 1
    assert rate * (parts[-1] * RECORDED_S + (1 - parts[-1]) * DROPPED_S) < SHARE


def test_part_goes_down_at_once_and_up_by_a_quarter() -> None:
    budget = Budget(SHARE)
    parts = [
        budget.step(Window(5, 5, started, RECORDED_S, DROPPED_S, 0)).parts[-1] for started in [10_000, *[500] * 20]
    ]
    assert parts[0] == pytest.approx((0.009 / 2000 - DROPPED_S) / (RECORDED_S - DROPPED_S))
    rises = [later / earlier for earlier, later in itertools.pairwise(parts)]
    assert max(rises) == pytest.approx(1.25)
    assert min(rises) >= 1
    assert parts[-1] == 1


def test_idle_process_is_never_throttled() -> None:
    budget = Budget(SHARE)
    # All that it does is trace: a hundred per cent of nothing.
    window = Window(5, 0.004, 250, RECORDED_S, None, 250 * RECORDED_S)
    assert budget.step(window) == ((1.0,), False, None)
    assert window.share == pytest.approx(0.875)


def test_allowance_is_for_a_window_of_five_seconds() -> None:
    used = ALLOWANCE_S * 1.5
    outcomes = [Budget(SHARE).step(Window(s, 0.1, 500, RECORDED_S, None, used)).over for s in (5.0, 10.0)]
    assert outcomes == [True, False]


def test_floor_is_told_when_dropping_alone_is_over_the_budget() -> None:
    budget = Budget(SHARE)
    assert budget.step(Window(5, 5, 20_000, RECORDED_S, None, 0.28)).floor is None  # nobody has timed a dropped one
    assert budget.step(Window(5, 5, 20_000, RECORDED_S, DROPPED_S, 0.06)).floor == pytest.approx(0.012)


def test_budget_that_is_not_adaptive_tells_and_leaves_all_as_it_is() -> None:
    outcome = Budget(SHARE, adaptive=False).step(Window(5, 5, 10_000, RECORDED_S, None, 0.14))
    assert outcome == ((1.0,), True, None)


def test_levers_are_pulled_in_their_order() -> None:
    names = ("rest", "detail", "head")
    gains = [Gain(2e-6), Gain(3e-6, gradual=False)]

    def first_parts(rate: int) -> tuple[float, ...]:
        budget = Budget(SHARE, names)
        return budget.step(Window(5, 5, rate * 5, RECORDED_S, DROPPED_S, 0), gains).parts

    assert first_parts(600) == (1, 1, 1)
    assert first_parts(690) == pytest.approx((1 - (RECORDED_S - 0.009 / 690) / 2e-6, 1, 1))
    assert first_parts(800) == (LEAST, 0, 1)
    cheaper = RECORDED_S - 2e-6 * (1 - LEAST) - 3e-6
    head = (0.009 / 1500 - DROPPED_S) / (cheaper - DROPPED_S)
    assert first_parts(1500) == pytest.approx((LEAST, 0, head))


def test_levers_are_let_go_from_the_last_one_on() -> None:
    budget = Budget(SHARE, ("rest", "detail", "head"))
    full, rest, detail = RECORDED_S, 2e-6, 3e-6
    history = []
    for rate in [2000, *[100] * 60]:
        part = budget.parts
        cost = full - rest * (1 - part[0]) - detail * (1 - part[1])
        gains = [Gain(rest * part[0]), Gain(detail, gradual=False)]
        history.append(budget.step(Window(5, 5, rate * 5, cost, DROPPED_S, 0), gains).parts)
    assert history[-1] == (1, 1, 1)
    for parts, later in itertools.pairwise(history):
        if later[1] > parts[1]:
            assert later[2] == 1
        if later[0] > parts[0]:
            assert later[1:] == (1, 1)


windows = st.builds(
    Window,
    st.floats(0, 100),
    st.floats(0, 200),
    st.integers(0, 10**7),
    st.none() | st.floats(0, 1),
    st.none() | st.floats(0, 1),
    st.floats(0, 200),
)


@given(st.lists(windows, max_size=20), st.floats(1e-6, 0.99), st.floats(0, 1), st.floats(0, 1))
def test_parts_stay_within_their_bounds_whatever_is_measured(
    measured: list[Window], share: float, rest: float, detail: float
) -> None:
    budget = Budget(share, ("rest", "detail", "head"))
    for window in measured:
        before = budget.parts
        outcome = budget.step(window, [Gain(rest), Gain(detail, gradual=False)])
        assert LEAST <= outcome.parts[0] <= min(1, before[0] * 1.2500001)
        assert outcome.parts[1] in (0, 1)
        assert LEAST <= outcome.parts[2] <= min(1, before[2] * 1.2500001)


def test_smoothed_counts_what_is_new_for_a_fifth() -> None:
    assert [smoothed(None, None), smoothed(None, 3.0), smoothed(3.0, None)] == [None, 3.0, 3.0]
    assert smoothed(10.0, 20.0) == pytest.approx(12.0)


def test_tally_estimates_all_spans_from_those_that_were_timed() -> None:
    tally = Tally(Moment(0, 0, 100, 10, 0, 0))
    for _ in range(2):
        tally.add_start(3000, recorded=True)
        tally.add("end", 1000)
    tally.add_start(500, recorded=False)
    tally.add("export", 900_000)
    window = tally.close(Moment(5 * 10**9, 10**9, 400, 60, 10, 40))
    # 300 started, 50 of them dropped, 10 recorded late: 260 recorded; they and 40 native ones were exported.
    assert window == pytest.approx((5.0, 1.0, 300, 4e-6 + 3e-6, 0.5e-6, 260 * 4e-6 + 50 * 0.5e-6 + 0.0009))
    assert window.share == pytest.approx(0.001965)
    expected = {**dict.fromkeys(PATHS, 0.0), "start": 260 * 3e-6 + 50 * 0.5e-6, "end": 260e-6, "export": 0.0009}
    assert tally.cpu_s == pytest.approx(expected)


def test_window_without_a_timed_span_is_estimated_from_those_before() -> None:
    tally = Tally(Moment(0, 0, 0, 0, 0, 0))
    tally.add_start(3000, recorded=True)
    tally.close(Moment(5 * 10**9, 10**9, 10, 0, 0, 0))
    window = tally.close(Moment(10 * 10**9, 2 * 10**9, 30, 0, 0, 0))
    assert window == pytest.approx((5.0, 1.0, 20, None, None, 20 * 3e-6))
    assert tally.cpu_s["start"] == pytest.approx(30 * 3e-6)
