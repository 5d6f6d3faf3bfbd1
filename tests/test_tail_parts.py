"""The plain parts of the tail sampler: percentiles, decisions that are remembered, thresholds in the trace state."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import TraceState

from ot_bridge import sampling
from ot_bridge.sampling.tail import RecordingSampler
from ot_bridge.sampling.tail.decisions import Decisions, Verdict
from ot_bridge.sampling.tail.percentile import (
    MAX_OPERATIONS,
    MIN_SAMPLES,
    REFRESH_NS,
    WINDOW_NS,
    OperationLimits,
    RunningPercentile,
)
from ot_bridge.sampling.tail.policies import LOW_56, baseline_threshold, randomness
from ot_bridge.sampling.tail.threshold import ERASE, LEAVE, read_threshold, threshold_after, with_threshold
from tail_stage import POLICY, Stage, remote_parent

MS = 10**6
TRACE_ID = 0x0AF7651916CD43DD00EB211C80319C00


# -- percentiles -------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 10**12), min_size=MIN_SAMPLES, max_size=400), st.sampled_from([0.5, 0.9, 0.99, 0.999]))
def test_percentile_is_right_within_five_percent(durations: list[int], part: float) -> None:
    one = RunningPercentile(0)
    for duration in durations:
        one.add(duration, 0)
    exact = sorted(durations)[math.ceil(part * len(durations)) - 1]
    found = one.quantile(part, 0)
    assert found is not None
    assert abs(found - exact) <= 0.05 * exact


def test_percentile_of_few_samples_is_unknown() -> None:
    one = RunningPercentile(0)
    for _ in range(MIN_SAMPLES - 1):
        one.add(5 * MS, 0)
    assert one.quantile(0.99, 0) is None
    one.add(0, 0)
    assert one.quantile(0.99, 0) == pytest.approx(5 * MS, rel=0.05)


def test_percentile_forgets_after_two_windows() -> None:
    one = RunningPercentile(0)
    for _ in range(MIN_SAMPLES):
        one.add(MS, 0)
    for _ in range(MIN_SAMPLES):
        one.add(100 * MS, WINDOW_NS)
    assert one.quantile(0.25, WINDOW_NS) == pytest.approx(MS, rel=0.05)
    assert one.quantile(0.25, 2 * WINDOW_NS) == pytest.approx(100 * MS, rel=0.05)
    assert one.quantile(0.25, 4 * WINDOW_NS) is None


@pytest.mark.parametrize(
    ("usual_ms", "limit_ms"), [(200, 300), (1, 100), (5_000, 1_000)], ids=["between", "floor", "ceiling"]
)
def test_limit_is_held_between_floor_and_ceiling(usual_ms: int, limit_ms: float) -> None:
    limits = OperationLimits(0.99, 100 * MS, 1_000 * MS)
    for _ in range(MIN_SAMPLES):
        limits.add("op", usual_ms * MS, 0)
    assert limits.limit_ns("op", 0) == pytest.approx(limit_ms * MS, rel=0.05)


def test_limit_is_computed_anew_every_ten_seconds() -> None:
    limits = OperationLimits(0.99, 0, 1_000 * MS)
    assert limits.limit_ns("op", 0) == 1_000 * MS
    for _ in range(MIN_SAMPLES):
        limits.add("op", 10 * MS, 0)
    assert limits.limit_ns("op", REFRESH_NS - 1) == 1_000 * MS
    assert limits.limit_ns("op", REFRESH_NS) == pytest.approx(15 * MS, rel=0.05)


def test_operations_beyond_the_limit_share_one_until_others_fall_silent() -> None:
    limits = OperationLimits(0.99, 0, 1_000 * MS)
    for number in range(MAX_OPERATIONS + 500):
        limits.add(f"op{number}", MS, 0)
    assert len(limits) == MAX_OPERATIONS + 1
    later = 2 * WINDOW_NS + 1
    limits.add("op0", MS, later)
    limits.add("new", MS, later)
    assert len(limits) == 3  # op0, new and the shared one


def test_slow_by_percentile_keeps_what_is_unusual_for_its_operation() -> None:
    stage = Stage("slow:p99:10ms..1s")
    for _ in range(MIN_SAMPLES):
        stage.trace("quick", seconds=0.02)
        stage.trace("slow by nature", seconds=0.4)
    stage.clock.tick(10)
    stage.trace("quick", seconds=0.2)
    stage.trace("slow by nature", seconds=0.45)
    stage.trace("never seen", seconds=0.9)
    stage.trace("never seen", seconds=1.1)
    assert stage.exported == [("quick", {POLICY: "slow"}), ("never seen", {POLICY: "slow"})]


def test_percentile_counts_every_local_root_but_those_that_failed() -> None:
    stage = Stage("errors,slow:p50:1ms..1s,rest:0")
    for number in range(MIN_SAMPLES):
        stage.trace("op", seconds=0.1)
        stage.trace("op", seconds=0.001, error=True)
        stage.trace("op", seconds=0.001, parent=remote_parent(TRACE_ID + (number << 64)), error=True)
    stage.clock.tick(10)
    stage.trace("op", seconds=0.14)
    assert stage.verdicts[-1] == (False, "baseline")
    for number in range(3 * MIN_SAMPLES):
        stage.trace("op", seconds=0.01, parent=remote_parent(TRACE_ID + (number << 70)))
    stage.clock.tick(10)
    stage.trace("op", seconds=0.14)
    assert stage.verdicts[-1] == (True, "slow")


# -- decisions ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 9), max_size=60))
def test_newest_decisions_are_remembered(ids: list[int]) -> None:
    decisions, order = Decisions(4), dict[int, Verdict]()
    for number, trace_id in enumerate(ids):
        verdict = Verdict(kept=True, policy=str(number))
        decisions.remember(trace_id, verdict)
        order[trace_id] = verdict
        if len(order) > 4:
            del order[next(iter(order))]
        assert {one: decisions.get(one) for one in range(10) if decisions.get(one)} == order
        assert len(decisions) == len(order)


# -- probability -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("part", "threshold"), [(1, 0), (0, 2**56), (0.5, 2**55), (0.01, round(0.99 * 2**56))])
def test_threshold_of_the_baseline(part: float, threshold: int) -> None:
    assert baseline_threshold(part) == threshold


@given(st.integers(1, 2**128 - 1))
def test_randomness_is_the_low_56_bits_or_rv(trace_id: int) -> None:
    assert randomness(trace_id, {}) == trace_id & LOW_56
    assert randomness(trace_id, {"ot": "th:8;rv:00000000000abc"}) == 0xABC
    assert randomness(trace_id, {"ot": "rv:abc", "rv": "00000000000abc"}) == trace_id & LOW_56


ROWS = [
    # policy, received, own, randomness, sampled, started here, takes all -> written
    ("error", None, 900, 50, True, True, True, 0),
    ("error", None, 900, 50, True, True, False, LEAVE),
    ("error", None, 900, 50, True, False, True, LEAVE),
    ("slow", 40, 900, 50, True, False, False, LEAVE),
    ("attribute-1", 40, 900, 50, True, False, False, LEAVE),
    ("baseline", None, 900, 950, True, True, True, 900),
    ("baseline", None, 900, 950, True, True, False, ERASE),
    ("baseline", 40, 900, 950, True, False, False, 900),
    ("baseline", 940, 900, 950, True, False, False, 940),
    ("rate", 40, 900, 50, True, False, False, ERASE),
    ("busy", 40, 900, 50, True, False, False, ERASE),
    ("error", None, 900, 50, False, True, True, ERASE),
    ("error", 60, 900, 50, True, False, False, ERASE),
    ("error", 40, 900, 50, False, False, False, ERASE),
]


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_threshold_that_is_written(row: tuple[Any, ...]) -> None:
    policy, received, own, r, sampled, started_here, takes_all, expected = row
    found = threshold_after(
        policy, received, own=own, randomness=r, sampled=sampled, started_here=started_here, takes_all=takes_all
    )
    assert found == expected


@pytest.mark.parametrize(
    ("before", "wanted", "after"),
    [
        ("ot=th:8;rv:0123456789abcd,v=1", ERASE, {"ot": "rv:0123456789abcd", "v": "1"}),
        ("ot=th:8,v=1", ERASE, {"v": "1"}),
        ("v=1", ERASE, {"v": "1"}),
        ("ot=th:8", LEAVE, {"ot": "th:8"}),
        ("v=1", 0, {"ot": "th:0", "v": "1"}),
        ("ot=rv:0123456789abcd", 2**55, {"ot": "th:8;rv:0123456789abcd"}),
        ("ot=th:4", 2**55, {"ot": "th:8"}),
    ],
)
def test_trace_state_gets_the_threshold_and_keeps_the_rest(before: str, wanted: Any, after: dict[str, str]) -> None:
    assert dict(with_threshold(TraceState.from_header([before]), wanted)) == after


@pytest.mark.parametrize(
    ("state", "threshold"), [("th:8", 2**55), ("rv:1;th:fd70a4", 0xFD70A400000000), ("th:G", None), ("", None)]
)
def test_received_threshold_is_read(state: str, threshold: int | None) -> None:
    assert read_threshold(TraceState([("ot", state)]) if state else TraceState()) == threshold


def states(stage: Stage) -> list[dict[str, str]]:
    return [dict(span.context.trace_state) for span in stage.exporter.get_finished_spans() if span.context is not None]


def test_write_th_writes_on_every_exported_span() -> None:
    stage = Stage("errors,rest:50%,write_th", head_takes_all=True)
    root = stage.start("root")
    stage.end(stage.start("child", root))
    stage.end(root, error=True)
    stage.ids.kept = True
    stage.trace()
    assert states(stage) == [{"ot": "th:0"}, {"ot": "th:0"}, {"ot": "th:8"}]


def test_nothing_is_written_unless_asked_for() -> None:
    stage = Stage("rest:100%", head_takes_all=True)
    stage.trace()
    stage.trace(parent=remote_parent(TRACE_ID + LOW_56 - 255, state="ot=th:8"))
    assert states(stage) == [{}, {"ot": "th:8"}]


def test_threshold_after_an_eviction_is_erased() -> None:
    stage = Stage("rest:100%,write_th,max_spans=1,remote=decide", head_takes_all=True)
    root = stage.start("root", remote_parent(TRACE_ID, state="ot=th:0"))
    for _ in range(2):
        stage.end(stage.start("child", root))
    assert states(stage) == [{}, {}]


def test_jaeger_s_sampler_writes_no_threshold() -> None:
    sampler = sampling.build("probabilistic:0.9999999", service_name="s")
    stage = Stage("errors,rest:100%,write_th", head_takes_all=True, sampler=sampler)
    stage.trace(error=True)
    stage.trace()
    assert states(stage) == [{}, {}]


def test_promoted_span_has_no_threshold() -> None:
    sampler = RecordingSampler(ALWAYS_OFF)
    stage = Stage("errors,write_th,promote_local", head_takes_all=True, sampler=sampler)
    stage.trace(error=True, parent=remote_parent(TRACE_ID, sampled=False, state="ot=th:c"))
    assert states(stage) == [{}]
