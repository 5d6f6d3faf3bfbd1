from __future__ import annotations

from typing import Any

import pytest

from ot_bridge.traces.analyse.finding import Finding
from ot_bridge.traces.analyse.reading import read
from ot_bridge.traces.analyse.repeated import repeated_calls, sibling_runs
from ot_bridge.traces.model import Span
from traces_made import MS, made, trace

BY_ID = "SELECT a FROM t WHERE id = {}"


def query(span_id: int, parent: int, at: float, statement: str, *, took: float = 10, **more: Any) -> Span:
    tags = {"db.system": "postgresql", "db.statement": statement}
    return made("query", span_id, parent, at=at, took=took, kind="client", tags=tags, **more)


def said(*spans: Span) -> list[tuple[str, str, str, float | str]]:
    found = trace(*spans)
    return [
        (one.verdict, one.certainty, found.spans[one.spans[0]].name, one.numbers["count"])
        for one in repeated_calls(read(found))
    ]


def loop(n: int, first_id: int = 10, parent: int = 1, at: float = 20, statement: str = BY_ID) -> list[Span]:
    return [query(first_id + i, parent, at + 10 * i, statement.format(i)) for i in range(n)]


ROOT = made("root", 1, took=1000, kind="server")


def one(*spans: Span) -> Finding:
    (finding,) = repeated_calls(read(trace(*spans)))
    return finding


def test_one_query_then_50_is_found_with_its_source_and_what_it_costs() -> None:
    finding = one(ROOT, query(2, 1, 5, "SELECT id FROM cart WHERE user = 1"), *loop(50))
    assert finding.text == (
        "shop asked 50 times for 'SELECT a FROM t WHERE id = ?' under shop 'root' in sequence after 1 call for"
        " 'SELECT id FROM cart WHERE user = ?': 500 ms in all, 50% of the critical path."
    )
    assert finding.advice == ("Ask for all of them in one call: that saves up to 49 round trips, 490 ms of the whole.")
    assert (finding.verdict, finding.severity, finding.spans) == ("n-plus-one", "warning", (0, *range(2, 52)))
    assert finding.numbers == {
        "count": 50,
        "total_ns": 500 * MS,
        "path_ns": 500 * MS,
        "saving_ns": 490 * MS,
        "at_once": 1,
        "places_count": 1,
    }


@pytest.mark.parametrize(
    ("count", "found"),
    [(4, []), (5, [("n-plus-one", "likely", "root", 5)]), (20, [("n-plus-one", "likely", "root", 20)])],
)
def test_five_are_repeated_and_four_are_not(count: int, found: list[Any]) -> None:
    assert said(ROOT, *loop(count)) == found


def test_few_short_ones_are_left_alone_and_many_are_not() -> None:
    root = made("root", 1, took=100_000)
    assert said(root, *loop(19)) == []
    assert said(root, *loop(20)) == [("n-plus-one", "likely", "root", 20)]


def test_wrappers_and_pool_spans_between_do_not_hide_a_loop() -> None:
    wrapped = [made("load", 100 + i, 1, at=20 + 20 * i, took=18) for i in range(6)]
    pool = [made("pool.connect", 200 + i, 100 + i, at=20 + 20 * i, took=2, kind="client") for i in range(6)]
    calls = [query(300 + i, 100 + i, 24 + 20 * i, BY_ID.format(i)) for i in range(6)]
    assert said(made("root", 1, took=200), *wrapped, *pool, *calls) == [("n-plus-one", "likely", "root", 6)]


def test_one_loop_is_told_once_at_the_lowest_span_that_holds_it() -> None:
    above = [made("root", 1, took=1000), made("view", 2, 1, took=1000), made("list", 3, 2, took=900)]
    assert said(*above, *loop(8, parent=3)) == [("n-plus-one", "likely", "list", 8)]


def test_equal_loops_in_several_places_are_one_finding() -> None:
    places = [made("part", 2 + i, 1, at=200 * i, took=200) for i in range(4)]
    loops = [span for i in range(4) for span in loop(6, 100 * (i + 1), 2 + i, 200 * i + 5)]
    finding = one(ROOT, *places, *loops)
    assert (finding.numbers["count"], finding.numbers["places_count"]) == (6, 4)
    assert "and so under 3 more spans" in finding.text


def test_a_call_and_its_driver_are_one_call() -> None:
    outer = loop(6)
    inner = [query(100 + i, 10 + i, 21 + 10 * i, BY_ID.format(i), took=8) for i in range(6)]
    assert said(ROOT, *outer, *inner) == [("n-plus-one", "likely", "root", 6)]


def test_what_is_repeated_below_repeated_calls_is_their_consequence() -> None:
    calls = [
        made(
            "GET",
            10 + i,
            1,
            at=20 * i,
            took=18,
            kind="client",
            tags={"http.method": "GET", "http.url": f"http://b/{i}"},
        )
        for i in range(8)
    ]
    servers = [made("get", 30 + i, 10 + i, at=20 * i + 1, took=16, kind="server", service="b") for i in range(8)]
    below = [query(50 + i, 30 + i, 20 * i + 2, BY_ID.format(i), service="b") for i in range(8)]
    (finding,) = repeated_calls(read(trace(made("root", 1, took=200), *calls, *servers, *below)))
    assert (finding.service, finding.numbers["count"]) == ("shop", 8)


def test_the_same_question_with_the_same_values_is_another_verdict() -> None:
    finding = one(ROOT, *loop(6, statement="SELECT a FROM settings WHERE k = 'x'"))
    assert (finding.verdict, "Ask once and keep the answer" in finding.advice) == ("identical", True)


def test_values_that_are_not_in_the_span_are_not_called_the_same() -> None:
    assert said(ROOT, *loop(6, statement="SELECT a FROM t WHERE id = %s")) == [("n-plus-one", "likely", "root", 6)]


def test_calls_that_ran_together_are_said_to() -> None:
    finding = one(
        made("root", 1, took=100),
        *(query(10 + i, 1, 5 + i, BY_ID.format(i), took=50) for i in range(8)),
    )
    assert "up to 8 at once" in finding.text
    assert finding.numbers["saving_ns"] == 7 * MS


def test_the_function_that_calls_is_named() -> None:
    caller = made("view", 2, 1, took=900, tags={"code.namespace": "shop.cart", "code.function": "total"})
    assert one(ROOT, caller, *loop(6, parent=2)).advice.endswith("; called from shop.cart.total.")


def test_attempts_that_fail_are_not_repeated_calls() -> None:
    failing = [query(10 + i, 1, 20 + 30 * i, "SELECT a FROM t", took=20, status="error") for i in range(8)]
    assert said(ROOT, *failing) == []


def test_one_query_for_each_of_many_databases_is_not_repeated() -> None:
    shards = [
        made(
            "q",
            10 + i,
            1,
            at=10 * i,
            kind="client",
            tags={"db.system": "mysql", "db.statement": "SELECT a FROM t", "db.name": f"s{i}"},
        )
        for i in range(8)
    ]
    assert said(ROOT, *shards) == []


def test_equal_siblings_are_a_run_and_others_may_stand_between_them() -> None:
    between = [made("work", 100 + i, 1, at=26 + 10 * i, took=1) for i in range(4)]
    found = trace(ROOT, *loop(6), *between)
    assert [str(run) for run in sibling_runs(found)] == ["SELECT a FROM t WHERE id = ? x 6, 60 ms, in sequence"]


def test_a_failed_sibling_stands_apart_from_a_run() -> None:
    found = trace(ROOT, *loop(6), query(90, 1, 200, "SELECT a FROM t WHERE id = 9", status="error"))
    assert [len(run.spans) for run in sibling_runs(found)] == [6]


def test_more_than_20_kinds_of_repeated_calls_are_counted() -> None:
    statement = "SELECT c{} FROM t WHERE id = {}"
    calls = [query(100 + i, 1, i, statement.format(i % 25, i), took=0.5) for i in range(25 * 20)]
    found = repeated_calls(read(trace(ROOT, *calls)))
    assert (len(found), found[-1].verdict, found[-1].text) == (
        21,
        "more",
        "5 more findings of this rule, each of less weight, are left out.",
    )
