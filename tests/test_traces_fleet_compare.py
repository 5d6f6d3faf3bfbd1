from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ot_bridge.traces.fleet.call_paths import CallPaths, Chain
from ot_bridge.traces.fleet.compare import Comparison, compare, contributions
from ot_bridge.traces.fleet.paths import paths, savings
from ot_bridge.traces.model import Span
from ot_bridge.traces.tree import Trace
from traces_made import MS, made, trace


def names(chain: Chain | None) -> str:
    return "/".join(step.name for step in chain or ())


def verdicts(found: Comparison) -> list[tuple[str, str, str]]:
    return [(one.change, names(one.chain), one.certainty) for one in found.verdicts]


def shop(*below: Span, took: float = 100, name: str = "GET /") -> Trace:
    return trace(made(name, 1, kind="server", took=took), *below)


def query(span_id: int = 2, parent: int = 1, *, at: float = 10, took: float = 20, name: str = "SELECT") -> Span:
    return made(name, span_id, parent, at=at, took=took, kind="client")


def random_traces(numbers: random.Random, count: int, slower: float = 1.0) -> list[Trace]:
    found = []
    for number in range(count):
        spent = [numbers.lognormvariate(3, 0.4) for _ in range(4)]
        spent[2] *= slower
        spans = [made("GET /", 1, kind="server", took=sum(spent) + 5, trace_id=number + 1)]
        at = 1.0
        for index, took in enumerate(spent):
            spans.append(made(f"step {index}", index + 2, 1, at=at, took=took, trace_id=number + 1))
            at += took
        found.append(Trace(spans))
    return found


def test_two_traces_are_told_apart_by_path() -> None:
    found = compare([shop(query())], [shop(query(took=50), took=130)])
    assert (found.first_median_ns, found.second_median_ns, found.difference_ns) == (100 * MS, 130 * MS, 30 * MS)
    assert [(names(row.chain), row.contribution_ns, row.test) for row in found.rows] == [
        ("GET //SELECT", 30 * MS, None),
        ("GET /", 0, None),
    ]
    assert found.rows[0].first.points_ns == (20 * MS,)
    assert (found.verdicts, found.test) == ([], None)


def test_what_appeared_and_vanished_is_said_once_for_all_below_it() -> None:
    cached = made("cache", 2, 1, at=10, took=20)
    found = compare([shop(query())], [shop(cached, query(3, 2, name="get", at=11, took=2))])
    assert [one.text for one in found.verdicts] == [
        "shop 'SELECT' vanished: in 1 of 1 trace of A",
        "shop 'cache' appeared: in 1 of 1 trace of B, with 1 call path below it",
    ]


def test_a_call_that_moved_under_another_parent_is_one_row() -> None:
    before = shop(made("a", 2, 1, at=0, took=40), made("b", 3, 1, at=50, took=40), query(4, 2), query(5, 4, name="net"))
    after = shop(
        made("a", 2, 1, at=0, took=40),
        made("b", 3, 1, at=50, took=40),
        query(4, 3, at=55),
        query(5, 4, name="net", at=56),
    )
    found = compare([before], [after])
    assert verdicts(found) == [("moved", "GET //a/SELECT", "likely")]
    assert found.verdicts[0].text == "shop 'SELECT' moved under shop 'b'"
    moved = {names(row.chain): names(row.other_chain) for row in found.rows if row.other_chain}
    assert moved == {"GET //a/SELECT": "GET //b/SELECT", "GET //a/SELECT/net": "GET //b/SELECT/net"}


def test_a_new_span_between_moves_what_is_below_it() -> None:
    before = shop(query())
    after = shop(made("middleware", 9, 1, at=5, took=60), query(parent=9))
    assert verdicts(compare([before], [after])) == [
        ("appeared", "GET //middleware", "sure"),
        ("moved", "GET //SELECT", "likely"),
    ]


def test_another_service_kind_status_and_number_of_calls_are_named() -> None:
    before = shop(
        made("pay", 2, 1, service="bank"), made("log", 3, 1), made("mail", 4, 1), query(5), query(6), made("x", 7, 1)
    )
    after = shop(
        made("pay", 2, 1, service="purse"),
        made("log", 3, 1, kind="producer"),
        made("mail", 4, 1, status="error"),
        query(5),
        made("x", 7, 1),
        made("x", 8, 1),
        made("x", 9, 1),
    )
    assert [one.text for one in compare([before], [after]).verdicts] == [
        "shop 'mail' started to fail: in 1 of 1 traces of B, in 0 of 1 of A",
        "'pay' is done by purse instead of bank",
        "shop 'log' is of kind producer instead of internal",
        "shop 'SELECT' is called less often a trace: 1 times in B, 2 in A",
        "shop 'x' is called more often a trace: 3 times in B, 1 in A",
    ]


def test_the_only_other_call_is_perhaps_a_new_name_and_a_table_makes_it_sure() -> None:
    before, after = shop(query(), name="GET"), shop(query(), name="GET /users/{id}")
    found = compare([before], [after])
    assert verdicts(found) == [("renamed", "GET", "guess")]
    assert [names(row.other_chain) for row in found.rows] == ["GET /users/{id}", "GET /users/{id}/SELECT"]
    renamed = compare([before], [after], {"GET": "GET /users/{id}"})
    assert (renamed.verdicts, [row.other_chain for row in renamed.rows]) == ([], [None, None])


def test_a_slower_step_is_found_in_groups_and_the_others_are_not() -> None:
    numbers = random.Random(3)  # noqa: S311
    found = compare(random_traces(numbers, 150), random_traces(numbers, 150, slower=2))
    assert names(found.rows[0].chain) == "GET //step 2"
    assert [row.test and row.test.sure for row in found.rows] == [True, False, False, False, False]
    assert found.test is not None
    assert found.test.sure
    assert found.test.shift.low < found.difference_ns < found.test.shift.high
    assert found.verdicts == []


def test_groups_of_one_kind_raise_few_false_alarms() -> None:
    numbers = random.Random(4)  # noqa: S311
    alarms = 0
    for _ in range(40):
        found = compare(random_traces(numbers, 30), random_traces(numbers, 30))
        alarms += any(row.test and row.test.sure for row in found.rows) or bool(found.verdicts)
    assert alarms <= 5


def test_a_path_that_few_have_by_chance_neither_appeared_nor_vanished() -> None:
    before = [shop(query()) for _ in range(30)]
    after = [shop(query()) for _ in range(28)] + [shop(query(), query(3, name="rare"))] * 2
    assert compare(before, after).verdicts == []
    many = [shop(query(), query(3, name="rare")) for _ in range(30)]
    assert verdicts(compare(before, many)) == [("appeared", "GET //rare", "sure")]


GROUPS = st.lists(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 60), st.integers(0, 60), st.sampled_from("abc")),
        min_size=1,
        max_size=7,
    ),
    max_size=24,
)


def built(group: Sequence[Sequence[tuple[int, int, int, str]]]) -> list[Trace]:
    return [
        Trace(
            made(name, index + 1, parent if parent <= index else 0, at=at, took=took, trace_id=number + 1)
            for index, (parent, at, took, name) in enumerate(rows)
        )
        for number, rows in enumerate(group)
    ]


@given(GROUPS, GROUPS)
def test_the_rows_add_up_to_the_difference_of_the_medians(
    first: Sequence[Sequence[tuple[int, int, int, str]]], second: Sequence[Sequence[tuple[int, int, int, str]]]
) -> None:
    a, b = built(first), built(second)
    found = compare(a, b)
    assert sum(row.contribution_ns for row in found.rows) == found.difference_ns
    turned = compare(b, a, joined=False)
    apart = compare(a, b, joined=False)
    assert {row.chain: -row.contribution_ns for row in turned.rows} == {
        row.chain: row.contribution_ns for row in apart.rows
    }
    assert compare(a[::-1], b[::-1]) == found


@given(GROUPS)
def test_a_group_does_not_differ_from_itself(group: Sequence[Sequence[tuple[int, int, int, str]]]) -> None:
    traces = built(group)
    found = compare(traces, traces)
    assert (found.verdicts, {row.contribution_ns for row in found.rows} - {0}) == ([], set())


def test_contributions_are_whole_and_add_up_to_the_median() -> None:
    table = CallPaths()
    group = [table.measure(shop(query(took=took / 7), took=took)) for took in (90, 100, 101.7, 130)]
    assert sum(contributions(table, group).values()) == round(100.85 * MS)


def test_the_critical_path_of_many_traces_adds_up_in_every_band() -> None:
    numbers = random.Random(5)  # noqa: S311
    traces = random_traces(numbers, 200)
    bands = paths(traces)
    assert [(band.low, band.high, band.traces) for band in bands] == [
        (0, 0.5, 100), (0.5, 0.9, 80), (0.9, 0.99, 18), (0.99, 1, 2),
    ]  # fmt: skip
    for band in bands:
        assert sum(row.on_path_ns for row in band.rows) == band.total_ns
        assert sum(row.share for row in band.rows) == pytest.approx(1)
    numbers.shuffle(traces)
    assert paths(traces) == bands


@pytest.mark.parametrize(
    ("spans", "wanted"),
    [
        pytest.param([("a", 0, 100), ("b", 0, 80)], {"a": 20}, id="a sibling beside it bounds it"),
        pytest.param([("a", 0, 50), ("b", 50, 50)], {"a": 50, "b": 50}, id="one after the other"),
        pytest.param([("a", 0, 60), ("b", 40, 60)], {"a": 40, "b": 40}, id="overlapping"),
        pytest.param([("a", 0, 100), ("a", 0, 100)], {"a": 100}, id="siblings of one path do not bound each other"),
    ],
)
def test_what_is_saved_is_bounded_by_what_runs_beside(
    spans: list[tuple[str, int, int]], wanted: dict[str, int]
) -> None:
    found = shop(*(made(name, index + 2, 1, at=at, took=took) for index, (name, at, took) in enumerate(spans)))
    [band] = paths([found])
    assert {
        names(row.chain[1:]): row.saving_ns / MS for row in band.rows if len(row.chain) > 1 and row.saving_ns
    } == wanted


def test_a_sibling_of_the_caller_bounds_what_its_calls_save() -> None:
    found = shop(made("a", 2, 1, took=100), query(3, 2, at=0, took=100), made("b", 4, 1, took=70))
    [band] = paths([found])
    assert {names(row.chain): row.saving_ns / MS for row in band.rows} == {
        "GET /": 100, "GET //a": 30, "GET //a/SELECT": 30,
    }  # fmt: skip


@given(GROUPS)
def test_nothing_saves_more_than_the_whole_and_a_call_no_more_than_its_caller(
    group: Sequence[Sequence[tuple[int, int, int, str]]],
) -> None:
    for found in built(group):
        number = list(range(len(found)))
        saved = savings(found, number)
        root = found.root
        assert saved.get(root, 0) == found.spans[root].duration_ns
        assert all(gained <= saved[found.parents[index]] for index, gained in saved.items() if index != root)
