from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ot_bridge.traces.fleet.tags import FAILURE_TAGS, OPERATION, Tags, over_represented
from ot_bridge.traces.tree import Trace
from traces_made import made


def tagged(number: int, tags: Mapping[str, Any], below: Mapping[str, Any] | None = None, **more: Any) -> Trace:
    spans = [made("GET /", 1, kind="server", tags=tags, trace_id=number, **more)]
    if below is not None:
        spans.append(made("query", 2, 1, tags=below, trace_id=number))
    return Trace(spans)


def groups(yes: int, of: int, also: int, of_others: int, **tags: Any) -> tuple[list[Trace], list[Trace]]:
    return (
        [tagged(n + 1, tags if n < yes else {}) for n in range(of)],
        [tagged(n + 1001, tags if n < also else {}) for n in range(of_others)],
    )


def rows(found: Tags) -> list[tuple[str, str | None, str]]:
    return [(row.key, row.value, row.place) for row in found.rows]


def test_a_planted_tag_is_found_and_said_in_a_sentence() -> None:
    found = over_represented(*groups(38, 40, 3, 200, tenant="acme"), word="slow")
    assert [row.sentence for row in found.rows] == ["38 of 40 slow traces have tenant=acme, 3 of 200 others"]
    row = found.rows[0]
    assert (row.selected, row.others, row.numeric) == (38, 3, False)
    assert row.difference.value == pytest.approx(0.935)
    assert 0.7 < row.difference.low < 0.9
    assert row.p < 1e-20


def test_a_missing_tag_is_a_value() -> None:
    slow, rest = groups(2, 40, 197, 200, tenant="acme")
    assert [row.sentence for row in over_represented(slow, rest, word="slow").rows] == [
        "38 of 40 slow traces have no tenant, 3 of 200 others"
    ]


def test_fewer_than_five_are_too_few_to_say() -> None:
    found = over_represented(*groups(4, 4, 0, 200, tenant="acme"), word="slow")
    assert (found.rows, found.note) == ([], "too few to say: only 4 slow traces, 5 are the least")
    assert rows(over_represented(*groups(5, 5, 0, 200, tenant="acme"))) == [("tenant", "acme", "root")]
    assert over_represented(*groups(5, 5, 0, 0, tenant="acme")).note.startswith("too few to say: no other traces")


def test_what_splits_the_traces_alike_is_one_row() -> None:
    slow, rest = groups(30, 30, 1, 100, **{"host.ip": "10.0.0.1", "host": "a", "pod.name": "p-1"})
    [row] = over_represented(slow, rest).rows
    assert (row.key, row.value) == ("host", "a")
    assert [one[:2] for one in row.also if one[2] == "root"] == [("host.ip", "10.0.0.1"), ("pod.name", "p-1")]


def test_one_trace_of_many_spans_decides_nothing() -> None:
    loud = Trace(made("query", n, 1 if n > 1 else 0, tags={"db": "x"}, trace_id=1) for n in range(1, 501))
    slow = [loud, *(tagged(n, {}) for n in range(2, 12))]
    rest = [tagged(n, {}, {"db": "x"} if n == 100 else {}) for n in range(100, 200)]
    assert over_represented(slow, rest).rows == []


def test_ids_are_left_out_and_counted() -> None:
    slow = [
        tagged(n, {"request.id": f"r-{n}", "tenant": "acme", "seldom": "x" if n == 1 else "y"}) for n in range(1, 11)
    ]
    rest = [tagged(n, {"request.id": f"r-{n}", "tenant": "other", "seldom": "y"}) for n in range(100, 200)]
    found = over_represented(slow, rest, exclude=["plan"])
    assert (rows(found), found.unique, found.once) == ([("tenant", "acme", "root")], ["request.id"], 1)
    assert found.note == (
        "3 differences tested between 10 selected and 100 other traces; left out: 1 value of one trace only and 1 key "
        "with a different value nearly each time"
    )


def test_what_the_traces_were_chosen_by_is_left_out() -> None:
    slow, rest = groups(40, 40, 0, 200, tenant="acme", error="true")
    mirrors = over_represented(slow, rest, exclude=[("tenant", "acme"), *FAILURE_TAGS])
    assert (rows(mirrors), mirrors.excluded) == ([], 2)
    assert rows(over_represented(slow, rest, exclude=["tenant"])) == [("error", "true", "root")]


def test_a_tag_of_any_span_counts_and_says_so() -> None:
    slow = [tagged(n, {}, {"cache": "miss"}) for n in range(1, 31)]
    rest = [tagged(n, {}, {"cache": "hit"}) for n in range(100, 200)]
    [row] = over_represented(slow, rest, word="slow").rows
    assert row.sentence == "30 of 30 slow traces have cache=miss on some span, 0 of 100 others"


def test_numbers_of_many_values_are_compared_by_rank() -> None:
    numbers = random.Random(1)  # noqa: S311
    slow = [tagged(n, {"size": numbers.randrange(5000, 90000)}) for n in range(1, 41)]
    rest = [tagged(n, {"size": numbers.randrange(100, 9000)}) for n in range(100, 300)]
    [row] = over_represented(slow, rest, word="slow").rows
    assert (row.key, row.value, row.numeric, row.selected, row.others) == ("size", "larger", True, 40, 200)
    assert row.sentence.startswith("size is larger in slow traces: median ")
    [turned] = over_represented(rest, slow).rows
    assert (turned.value, turned.difference) == ("smaller", pytest.approx(row.difference))


def test_the_operation_and_the_process_are_looked_at_too() -> None:
    slow = [Trace([made("POST /pay", 1, trace_id=n, resource={"version": "2"})]) for n in range(1, 21)]
    rest = [Trace([made("GET /", 1, trace_id=n, resource={"version": "1"})]) for n in range(100, 200)]
    [row] = over_represented(slow, rest).rows
    assert {(row.key, row.value), *(one[:2] for one in row.also)} == {
        (OPERATION, "shop 'POST /pay'"),
        ("version", "2"),
    }


def clean(numbers: random.Random, count: int) -> list[Trace]:
    return [
        tagged(
            n + 1,
            {
                "tenant": numbers.choice("aaaaabbbc"),
                "plan": numbers.choice("xyz"),
                "id": str(numbers.random()),
                "size": numbers.randrange(10**6),
                **({"flag": True} if numbers.random() < 0.2 else {}),
            },
            {"shard": numbers.randrange(8), "table": numbers.choice(["users", "orders"])},
            resource={"host.name": f"h{(host := numbers.randrange(6))}", "host.ip": f"10.0.0.{host}"},
        )
        for n in range(count)
    ]


def test_clean_traces_raise_few_false_alarms() -> None:
    numbers = random.Random(2)  # noqa: S311
    alarms = 0
    for _ in range(60):
        traces = clean(numbers, 120)
        alarms += bool(over_represented(traces[:30], traces[30:]).rows)
    # At a false discovery rate of 5%, 3 of 60 are expected; 9 or more would come by chance in 3 of 1,000 runs.
    assert alarms <= 8


def test_planted_tags_are_found_among_the_clean() -> None:
    numbers = random.Random(3)  # noqa: S311
    missed = 0
    for _ in range(20):
        slow, rest = clean(numbers, 30), clean(numbers, 90)
        for index, trace in enumerate(slow):
            if index < 20:
                trace.spans[0].attributes["release"] = "r7"  # type: ignore[index]
        found = over_represented(slow, rest)
        missed += not found.rows or found.rows[0].key != "release"
    assert missed == 0


HOSTILE = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "operation", ""]),
        st.sampled_from(["", "x", 0, 1, True, 2**63, -1.5, math.nan, math.inf, None, b"\xff", ["x"], {"x": 1}]),
    ),
    max_size=3,
).map(dict)


@settings(max_examples=60)
@given(st.lists(HOSTILE, max_size=12), st.lists(HOSTILE, max_size=12))
def test_no_values_break_it_and_no_order_matters(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> None:
    slow = [tagged(n + 1, tags, tags) for n, tags in enumerate(first)]
    rest = [tagged(n + 100, tags) for n, tags in enumerate(second)]
    found = over_represented(slow, rest)
    assert over_represented(slow[::-1], rest[::-1]) == found
    assert all(row.p <= 0.05 for row in found.rows)
