from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ot_bridge.traces.fleet.statistics import (
    adjusted,
    dominance,
    fisher,
    mann_whitney,
    quantile,
    risk_difference,
    shift,
    student_as_normal,
    wilson,
)

# Recorded with scipy 1.17.1 and statsmodels 0.15.0: fisher_exact, mannwhitneyu(second, first, method="asymptotic"),
# numpy's median of all differences; confint_proportions_2indep(method="newcomb"), proportion_confint(method="wilson"),
# multipletests(method="fdr_bh"); norm.isf(t.sf(t, freedom)).
RECORDED: dict[str, list[Any]] = json.loads((Path(__file__).parent / "vectors" / "statistics.json").read_text("utf-8"))
SAMPLES = st.lists(st.integers(-50, 50), min_size=1, max_size=25)


@pytest.mark.parametrize(("table", "wanted"), RECORDED["fisher"])
def test_fishers_p_is_scipys(table: list[int], wanted: float) -> None:
    assert fisher(*table) == pytest.approx(wanted, rel=1e-6)


@given(st.tuples(*[st.integers(0, 60)] * 4))
@example((0, 0, 0, 0))
def test_fisher_does_not_care_which_group_or_value_is_named_first(table: tuple[int, int, int, int]) -> None:
    a, b, c, d = table
    p = fisher(a, b, c, d)
    assert 0 < p <= 1
    assert [fisher(c, d, a, b), fisher(b, a, d, c)] == pytest.approx([p, p])


@pytest.mark.parametrize(("table", "wanted"), RECORDED["newcombe"])
def test_the_interval_of_a_difference_is_newcombes(table: list[int], wanted: list[float]) -> None:
    found = risk_difference(*table)
    assert [found.low, found.high] == pytest.approx(wanted, abs=1e-9)


def test_the_interval_of_a_difference_is_as_printed_in_newcombes_paper() -> None:
    found = risk_difference(56, 70, 48, 80)
    assert tuple(round(number, 4) for number in found) == (0.2, 0.0524, 0.3339)


@pytest.mark.parametrize(("share", "wanted"), RECORDED["wilson"])
def test_the_interval_of_a_share_is_wilsons(share: list[int], wanted: list[float]) -> None:
    assert list(wilson(*share)) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(("values", "wanted"), RECORDED["benjamini_hochberg"])
def test_adjusted_values_are_those_of_benjamini_and_hochberg(values: list[float], wanted: list[float]) -> None:
    assert adjusted(values) == pytest.approx(wanted)


@pytest.mark.parametrize(("samples", "wanted"), RECORDED["mann_whitney"])
def test_mann_whitney_is_scipys_with_ties(samples: list[list[int]], wanted: list[float]) -> None:
    assert list(mann_whitney(*samples)) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(("samples", "wanted"), RECORDED["hodges_lehmann"])
def test_the_shift_is_the_median_of_all_differences(samples: list[list[int]], wanted: float) -> None:
    assert shift(*samples).value == wanted


@given(SAMPLES, SAMPLES)
def test_the_shift_counts_every_pair_and_turns_with_the_samples(first: list[int], second: list[int]) -> None:
    found, turned = shift(first, second), shift(second, first)
    assert found.value == float(np.median(np.subtract.outer(second, first)))
    assert (found.value, found.low, found.high) == (-turned.value, -turned.high, -turned.low)
    assert found.low <= found.value <= found.high


def test_the_interval_of_a_shift_holds_it_19_times_of_20() -> None:
    numbers = random.Random(5)  # noqa: S311
    held = 0
    for _ in range(400):
        first = [round(numbers.lognormvariate(10, 0.5)) for _ in range(25)]
        second = [round(numbers.lognormvariate(10, 0.5)) + 4000 for _ in range(30)]
        held += (found := shift(first, second)).low <= 4000 <= found.high
    assert 370 <= held <= 394


@pytest.mark.parametrize(("value", "wanted"), RECORDED["student"])
def test_a_t_is_as_rare_as_its_normal_value(value: list[float], wanted: float) -> None:
    assert student_as_normal(*value) == pytest.approx(wanted, abs=0.02)


@given(st.lists(st.integers(0, 2**63), min_size=1, max_size=30), st.floats(0, 1))
def test_a_quantile_is_numpys(values: list[int], share: float) -> None:
    values.sort()
    assert quantile(values, share) == pytest.approx(float(np.quantile(np.array(values, float), share)), rel=1e-9)


def test_a_quantile_of_nothing_is_0() -> None:
    assert quantile([], 0.5) == 0


@given(st.integers(0, 20), st.integers(0, 20))
def test_the_dominance_of_a_value_that_is_there_or_not_is_the_difference_of_its_shares(a: int, b: int) -> None:
    first, second = [1] * a + [0] * (20 - a), [1] * b + [0] * (20 - b)
    found = dominance(mann_whitney(first, second).u, 20, 20)
    assert found.value == pytest.approx((b - a) / 20)
    assert -1 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1


def test_the_dominance_of_five_over_five_is_not_certain() -> None:
    found = dominance(25, 5, 5)
    assert (found.value, found.high) == (1, 1)
    assert 0.1 < found.low < 0.7
