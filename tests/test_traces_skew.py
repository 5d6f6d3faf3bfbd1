from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ot_bridge.traces.analyse.clock import Clock, clock_of, same_clock
from ot_bridge.traces.analyse.reading import read
from ot_bridge.traces.analyse.skew import Offset, aligned, clock_offsets, clock_skew
from ot_bridge.traces.model import Link, Resource, Span
from ot_bridge.traces.tree import Trace
from traces_made import MS, TRACE_ID, made, trace
from traces_recorded import demo_trace

NAMES = [
    ({"host.id": "1", "host.name": "a", "service.name": "s"}, Clock("host.id", "1")),
    ({"host.name": "a", "container.id": "c", "service.name": "s"}, Clock("host.name", "a")),
    ({"container.id": "c", "hostname": "h", "service.name": "s"}, Clock("container.id", "c")),
    ({"hostname": "h", "ip": "10.0.0.1"}, Clock("hostname", "h")),
    ({"ip": "10.0.0.1", "service.instance.id": "i"}, Clock("ip", "10.0.0.1")),
    ({"service.instance.id": "i", "service.name": "s"}, Clock("service.instance.id", "i")),
    ({"service.name": "s"}, Clock("service.name", "s")),
    ({"host.name": "localhost", "ip": "127.0.0.1", "service.instance.id": "i"}, Clock("service.instance.id", "i")),
    ({}, None),
    ({"service.name": "unknown"}, None),
]


@pytest.mark.parametrize(("attributes", "clock"), NAMES)
def test_a_clock_is_known_by_the_host_then_by_the_process_then_by_the_service(
    attributes: dict[str, Any], clock: Clock | None
) -> None:
    assert clock_of(Resource(attributes)) == clock


def on(host: str, name: str, span_id: int, parent: int = 0, **fields: Any) -> Span:
    return made(name, span_id, parent, service=host, resource={"host.name": host}, **fields)


def call(
    at: float,
    took: float,
    server_at: float,
    server_took: float,
    first: int = 1,
    hosts: tuple[str, str] = ("api", "orders"),
) -> list[Span]:
    return [
        on(hosts[0], "call", first, at=at, took=took, kind="client"),
        on(hosts[1], "serve", first + 1, first, at=server_at, took=server_took, kind="server"),
    ]


def offsets(*spans: Span) -> list[tuple[str, str, float, float | None, float | None, int, str]]:
    return [plain(one) for one in clock_offsets([trace(*spans)])]


def plain(one: Offset) -> tuple[str, str, float, float | None, float | None, int, str]:
    low = None if one.low_ns is None else one.low_ns / MS
    high = None if one.high_ns is None else one.high_ns / MS
    return (one.clock.value, one.reference.value, one.offset_ns / MS, low, high, one.calls, one.verdict)


def test_a_server_that_starts_before_its_client_is_behind_by_the_middle_of_what_fits() -> None:
    assert offsets(*call(0, 100, -340, 80)) == [("orders", "api", 350, 340, 360, 1, "skewed")]


def test_a_server_that_ends_after_its_client_is_ahead() -> None:
    assert offsets(*call(0, 100, 340, 80)) == [("orders", "api", -330, -340, -320, 1, "skewed")]


def test_a_server_within_its_client_shows_no_skew() -> None:
    assert offsets(*call(0, 100, 10, 80)) == []


def test_less_than_a_millisecond_is_no_skew() -> None:
    assert offsets(*call(0, 100, -0.9, 80)) + offsets(*call(0, 100, 20.9, 80)) == []


def test_the_calls_of_many_traces_narrow_the_interval() -> None:
    first, second = trace(*call(0, 100, -340, 80)), trace(*call(1000, 50, 655, 44, first=5))
    assert [plain(one) for one in clock_offsets([first, second])] == [("orders", "api", 348, 345, 351, 2, "skewed")]


def test_calls_the_other_way_bound_the_same_offset() -> None:
    there, back = call(0, 100, -340, 80), call(-200, 30, 148, 20, first=5, hosts=("orders", "api"))
    found = [plain(one) for one in clock_offsets([trace(*there), trace(*back)])]
    assert found == [("orders", "api", 344, 340, 348, 2, "skewed")]


def test_intervals_that_do_not_meet_are_drift_and_correct_nothing() -> None:
    spans = [*call(0, 100, -340, 80), *call(1000, 100, 1340, 80, first=5)]
    found = trace(*spans)
    assert offsets(*spans) == [("orders", "api", 0, 340, -320, 2, "drifting")]
    assert aligned(found, clock_offsets([found])) == [0] * 4


def test_a_server_that_outlives_its_client_bounds_one_side() -> None:
    found = trace(*call(0, 100, -340, 500))
    (one,) = clock_offsets([found])
    assert plain(one) == ("orders", "api", 340, 340, None, 1, "skewed")
    assert one.text == "orders is at least 340 ms behind api, from 1 call"
    assert offsets(*call(0, 100, 10, 500)) == []


def test_a_client_that_failed_does_not_bound_the_end_of_its_server() -> None:
    client, server = call(0, 100, 50, 95)
    assert offsets(replace(client, status="error"), server) == []


def test_spans_of_one_clock_never_move_against_each_other() -> None:
    assert offsets(*call(0, 100, -340, 80, hosts=("api", "api"))) == []


def test_an_unknown_clock_is_unknown_and_not_different() -> None:
    client, server = call(0, 100, -340, 80)
    assert offsets(client, replace(server, resource=Resource())) == []


def test_only_a_client_and_its_server_are_evidence() -> None:
    api = on("api", "a", 1, took=100, kind="producer")
    follows = [Link(TRACE_ID, 1, {"opentracing.ref_type": "follows_from"})]
    below = [
        on("b", "b", 2, 1, at=-50, kind="consumer"),
        on("c", "c", 3, 1, at=-50, links=follows),
        on("d", "d", 4, 1, at=-50, kind="internal"),
        on("e", "e", 5, 1, at=-50, kind="server"),
    ]
    assert offsets(api, *below) == []


def test_offsets_along_a_chain_are_those_to_the_roots_clock() -> None:
    spans = [
        on("a", "root", 1, took=100, kind="client"),
        on("b", "b", 2, 1, at=-490, took=80, kind="server"),
        on("b", "b call", 3, 2, at=-480, took=60, kind="client"),
        on("c", "c", 4, 3, at=-470, took=40, kind="server"),
    ]
    found = trace(*spans)
    assert offsets(*spans) == [
        ("b", "a", 500, 490, 510, 1, "skewed"),
        ("c", "a", 500, 480, 520, 1, "skewed"),
    ]
    assert aligned(found, clock_offsets([found])) == [0, 500 * MS, 500 * MS, 500 * MS]


def test_a_clock_is_reached_by_the_chain_that_leaves_the_least_room() -> None:
    spans = [
        on("a", "root", 1, took=1000, kind="internal"),
        on("a", "wide", 2, 1, at=0, took=900, kind="client"),
        on("c", "c", 3, 2, at=100, took=10, kind="server"),
        on("a", "near", 4, 1, at=500, took=100, kind="client"),
        on("b", "b", 5, 4, at=501, took=98, kind="server"),
        on("b", "b near", 6, 5, at=510, took=20, kind="client"),
        on("c", "c near", 7, 6, at=311, took=18, kind="server"),
    ]
    assert offsets(*spans) == [("c", "a", 200, 198, 202, 1, "skewed")]


def test_a_trace_whose_root_is_by_the_skewed_clock_keeps_its_root_in_place() -> None:
    known = clock_offsets([trace(*call(0, 100, -340, 80))])
    other = trace(*call(0, 100, 345, 80, hosts=("orders", "api")))
    assert aligned(other, known) == [0, -350 * MS]


def test_the_finding_says_who_is_behind_whom_with_its_evidence() -> None:
    found = trace(*call(0, 100, -340, 80), *call(1000, 50, 655, 44, first=5))
    (one,) = clock_skew(read(found))
    assert one.text == "orders is 348 +/- 3.0 ms behind api, from 2 calls"
    assert (one.verdict, one.service, one.severity, one.certainty) == ("skewed", "orders", "warning", "sure")
    assert {found.spans[index].name for index in one.spans} == {"serve"}
    assert one.numbers == {"offset_ns": 348 * MS, "calls_count": 2, "low_ns": 345 * MS, "high_ns": 351 * MS}


def test_a_host_is_named_with_the_services_that_run_on_it() -> None:
    client, server = call(0, 100, -340, 80)
    server = replace(server, resource=Resource({"host.name": "h1", "service.name": "bank"}))
    (one,) = clock_offsets([trace(client, server)])
    assert one.text == "h1 (bank) is 350 +/- 10 ms behind api, from 1 call"


def test_the_demos_clocks_agree() -> None:
    assert clock_offsets([demo_trace()]) == []


# Of each call: its client's duration, and which parts of it pass before the server starts and after it ends.
CALLS = st.lists(st.tuples(st.integers(1, 10**9), st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12)


def fleet(calls: list[tuple[int, float, float]], skew_ns: int) -> list[Trace]:
    """Make traces of calls from one host to another, whose clock is behind by so much."""
    traces = []
    for number, (took, before, after) in enumerate(calls):
        client, server = call(number * 10, 0, number * 10, 0)
        start = client.start_ns + int(took * before * (1 - after))
        end = max(start, client.start_ns + took - int(took * after))
        client = replace(client, end_ns=client.start_ns + took)
        traces.append(trace(client, replace(server, start_ns=start - skew_ns, end_ns=end - skew_ns)))
    return traces


@given(CALLS, st.integers(-(10**12), 10**12))
def test_the_known_offset_lies_inside_the_interval_that_is_reported(
    calls: list[tuple[int, float, float]], skew_ns: int
) -> None:
    for one in clock_offsets(fleet(calls, skew_ns)):
        assert one.verdict == "skewed"
        assert one.low_ns is None or one.low_ns <= skew_ns
        assert one.high_ns is None or skew_ns <= one.high_ns


@given(CALLS)
def test_no_skew_is_found_where_there_is_none(calls: list[tuple[int, float, float]]) -> None:
    assert clock_offsets(fleet(calls, 0)) == []


@given(CALLS, st.integers(2 * 10**9, 10**12), st.sampled_from([1, -1]))
def test_an_offset_beyond_every_call_is_found_and_aligned_times_are_whole_again(
    calls: list[tuple[int, float, float]], size: int, sign: int
) -> None:
    traces = fleet(calls, size * sign)
    (one,) = known = clock_offsets(traces)
    assert one.calls == len(calls)
    for found in traces:
        shifts = aligned(found, known)
        client, server = found.spans
        assert shifts[0] == 0
        assert client.start_ns <= server.start_ns + shifts[1] + 1
        assert server.end_ns + shifts[1] <= client.end_ns + 1


TREES = st.lists(
    st.tuples(
        st.integers(0, 8),
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 10**7),
        st.sampled_from(["client", "server"]),
    ),
    max_size=8,
)


@given(TREES)
def test_no_skew_is_found_in_trees_whose_children_lie_inside_their_parents(
    rows: list[tuple[int, str, int, Any]],
) -> None:
    spans = [on("a", "root", 1, took=1000)]
    for number, (above, host, part, kind) in enumerate(rows):
        parent = spans[min(above, len(spans) - 1)]
        start = parent.start_ns + part % (parent.duration_ns // 2 + 1)
        span = on(host, "span", number + 2, parent.span_id, kind=kind)
        spans.append(replace(span, start_ns=start, end_ns=max(start, parent.end_ns - part % 977)))
    assert clock_offsets([Trace(spans)]) == []


def test_zero_negative_and_missing_times_are_no_evidence() -> None:
    client, server = call(0, 100, -340, 80)
    assert offsets(client, replace(server, start_ns=0)) == []
    assert offsets(client, replace(server, end_ns=server.start_ns - 1)) == []


def test_ten_thousand_clocks_are_compared_in_one_pass() -> None:
    spans = [on("root", "root", 1, took=100)]
    for number in range(5000):
        spans += [
            replace(span, parent_id=span.parent_id or 1)
            for span in call(0, 100, -340, 80, first=2 + 2 * number, hosts=(f"c{number}", f"s{number}"))
        ]
    found = Trace(spans)
    assert len(clock_offsets([found])) == 5000
    assert clock_skew(read(found))[-1].text == "4,980 other clocks differ by 350 ms or less"


def test_a_server_before_its_client_is_sure_and_one_that_ends_after_it_once_is_likely() -> None:
    def certainties(*spans: Span) -> list[tuple[str, str]]:
        return [(one.certainty, one.severity) for one in clock_skew(read(trace(*spans)))]

    assert certainties(*call(0, 100, -340, 80)) == [("sure", "warning")]
    assert certainties(*call(0, 100, 340, 80)) == [("likely", "warning")]
    assert certainties(*call(0, 100, -340, 80), *call(1000, 100, 1340, 80, first=5)) == [("sure", "note")]


def test_two_processes_share_a_clock_only_where_it_is_known() -> None:
    one, other = on("a", "x", 1), on("a", "y", 2)
    unknown = [replace(one, resource=Resource()), replace(other, resource=Resource())]
    assert [same_clock(one, other), same_clock(one, on("b", "z", 3)), same_clock(*unknown)] == [True, False, False]
    assert same_clock(unknown[0], unknown[0])
