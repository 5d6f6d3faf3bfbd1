from __future__ import annotations

from typing import Any

import pytest

from ot_bridge.traces.analyse.entry import Entry, is_entry, operation_of, weight_of
from ot_bridge.traces.fleet.rates import entries_of, in_period, rates, span_of
from traces_made import MS, NOON, TRACE_ID, made, trace


def entry(took: float = 10, *, at: float = 0, weight: float = 1.0, error: bool = False, number: int = 1) -> Entry:
    return Entry(number, "shop", "GET /", "server", NOON + round(at * MS), round(took * MS), error, weight)


def test_what_a_service_is_entered_by_counts_and_nothing_inside() -> None:
    found = entries_of(
        [
            trace(
                made("GET /", 1, kind="server", took=50),
                made("work", 2, 1, at=1),
                made("GET", 3, 1, at=2, kind="client"),
                made("pay", 4, 3, at=3, kind="server", service="bank", status="error"),
                made("bare", 5, 1, at=4, service="old"),
                made("inside", 6, 5, at=4, service="old"),
                made("eat", 7, 1, at=5, kind="consumer"),
                made("orphan", 8, 99, at=6),
            ),
        ]
    )
    assert [(one.service, one.operation, one.kind, one.error) for one in found] == [
        ("shop", "GET /", "server", False),
        ("bank", "pay", "server", True),
        ("old", "bare", "internal", False),
        ("shop", "eat", "consumer", False),
    ]
    assert found[0] == Entry(TRACE_ID, "shop", "GET /", "server", NOON, 50 * MS, error=False, weight=1.0)


def test_a_span_without_parent_is_what_its_service_began() -> None:
    assert is_entry(made("cron", 1), None)
    assert not is_entry(made("query", 2, 9), None)


def test_the_route_stands_behind_a_name_that_is_a_method() -> None:
    assert operation_of(made("GET", 1, tags={"http.route": "/users/{id}"})) == "GET /users/{id}"
    assert operation_of(made("GET /users/{id}", 1, tags={"http.route": "/users/{id}"})) == "GET /users/{id}"
    assert operation_of(made("show user", 1, tags={"http.route": "/users/{id}"})) == "show user"


@pytest.mark.parametrize(
    ("tags", "state", "weight"),
    [
        ({"sampler.type": "probabilistic", "sampler.param": 0.1}, "", 10),
        ({"sampler.type": "probabilistic", "sampler.param": "0.25"}, "", 4),
        ({"sampler.type": "probabilistic", "sampler.param": 1}, "", 1),
        ({"sampler.type": "probabilistic", "sampler.param": 0.0}, "", 1),
        ({"sampler.type": "probabilistic", "sampler.param": "often"}, "", 1),
        ({"sampler.type": "probabilistic", "sampler.param": "nan"}, "", 1),
        ({"sampler.type": "probabilistic", "sampler.param": 10**400}, "", 1),
        ({"sampler.type": "probabilistic", "sampler.param": [0.1]}, "", 1),
        ({"sampler.type": "probabilistic"}, "", 1),
        ({"sampler.type": "ratelimiting", "sampler.param": 2.0}, "", 1),
        ({"sampler.type": "const", "sampler.param": True}, "", 1),
        ({}, "ot=th:8", 2),
        ({}, "ot=th:c", 4),
        ({}, "ot=rv:abcdef01234567;th:0", 1),
        ({}, "vendor=1,ot=th:8;rv:ffffffffffffff", 2),
        ({}, "ot=th:", 1),
        ({}, "ot=th:xyz", 1),
        ({}, "not=th:8", 1),
        ({"sampler.type": "probabilistic", "sampler.param": 0.1}, "ot=th:8", 2),
    ],
)
def test_a_span_counts_for_what_its_sampler_left_out(tags: dict[str, Any], state: str, weight: float) -> None:
    assert weight_of(made("a", 1, tags=tags, trace_state=state)) == pytest.approx(weight)


def test_the_sampler_of_the_root_speaks_for_all_spans() -> None:
    root = made("a", 1, kind="server", tags={"sampler.type": "probabilistic", "sampler.param": 0.5})
    found = entries_of([trace(root, made("b", 2, 1, kind="server", service="bank"))])
    assert [one.weight for one in found] == [2, 2]


def test_seen_and_estimated_are_two_figures() -> None:
    [rate] = rates([entry(weight=10, error=True), entry(weight=10), entry()], seconds=2)
    assert (rate.seen, rate.estimated, rate.weighted, rate.errors, rate.estimated_errors) == (3, 21, 2, 1, 10)
    assert (rate.per_second, rate.estimated_per_second) == (1.5, 10.5)
    assert rate.error_share == pytest.approx(1 / 3)


def test_there_is_no_p99_of_99_requests() -> None:
    durations = list(range(1, 101))
    [few] = rates([entry(one) for one in durations[:99]])
    [enough] = rates([entry(one) for one in durations])
    assert (few.p99_ns, few.p50_ns, few.per_second) == (None, 50 * MS, None)
    assert (enough.p50_ns, enough.p90_ns) == (50.5 * MS, pytest.approx(90.1 * MS))
    assert (enough.p95_ns, enough.p99_ns) == (pytest.approx(95.05 * MS), pytest.approx(99.01 * MS))


def test_the_longest_request_and_the_longest_failure_are_named() -> None:
    [rate] = rates([entry(5, number=1), entry(9, number=2), entry(7, number=3, error=True)])
    assert (rate.slowest, rate.failed) == (2, 3)


def test_a_period_has_its_start_and_not_its_end() -> None:
    entries = [entry(at=0), entry(at=1), entry(at=2)]
    assert in_period(entries, NOON, NOON + 2 * MS) == entries[:2]
    assert span_of(entries) == (NOON, NOON + 2 * MS + 1)
    assert (span_of([]), rates([])) == ((0, 0), [])
