from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ot_bridge.traces.fleet.layout import MOST, layout
from ot_bridge.traces.fleet.peers import peer_of
from ot_bridge.traces.fleet.service_map import Edge, Node, ServiceMap, service_map
from ot_bridge.traces.model import Scope, Span
from ot_bridge.traces.tree import Trace
from traces_made import MS, made, trace


def edges(found: ServiceMap) -> list[tuple[str, str, int, int, int, int]]:
    return [(one.caller, one.callee, one.calls, one.clients, one.servers, one.errors) for one in found.edges]


def node(found: ServiceMap, name: str) -> Node:
    return next(one for one in found.nodes if one.name == name)


def client(span_id: int = 2, parent: int = 1, tags: dict[str, Any] | None = None, **more: Any) -> Span:
    return made("POST", span_id, parent, kind="client", tags=tags, **more)


def shop(*below: Span, trace_id: int = 1) -> Trace:
    spans = [made("GET /", 1, kind="server", took=100), *below]
    return Trace([made_with(span, trace_id) for span in spans])


def made_with(span: Span, trace_id: int) -> Span:
    from dataclasses import replace

    return replace(span, trace_id=trace_id)


BANK = made("pay", 3, 2, kind="server", service="bank", took=4)


def test_both_halves_of_a_call_are_one_edge_with_the_callers_time() -> None:
    found = service_map([shop(client(took=7, status="error"), BANK)])
    assert edges(found) == [("shop", "bank", 1, 1, 1, 1)]
    [edge] = found.edges
    assert (edge.matched, edge.p50_ns, edge.broken, edge.sentence, edge.error_share) == (1, 7 * MS, False, "", 1)


def test_spans_between_caller_and_server_do_not_part_them() -> None:
    between = [client(), made("send", 8, 2), made("pay", 3, 8, kind="server", service="bank")]
    assert edges(service_map([shop(*between)])) == [("shop", "bank", 1, 1, 1, 0)]
    wrapped = [client(), client(8, 2), made("pay", 3, 8, kind="server", service="bank")]
    assert edges(service_map([shop(*wrapped)])) == [("shop", "bank", 1, 1, 1, 0)]


def test_a_server_below_a_span_that_is_no_call_has_one_half() -> None:
    found = service_map([shop(made("work", 2, 1), BANK)])
    assert edges(found) == [("shop", "bank", 1, 0, 1, 0)]


def test_services_without_kinds_are_linked_by_their_names() -> None:
    found = service_map([trace(made("a", 1), made("b", 2, 1, service="bank"), made("c", 3, 2, service="bank"))])
    assert edges(found) == [("shop", "bank", 1, 0, 1, 0)]


@pytest.mark.parametrize(
    ("tags", "name", "kind"),
    [
        ({"peer.service": "mail"}, "mail", "service"),
        ({"db.system": "postgresql", "db.name": "orders"}, "postgresql: orders", "database"),
        ({"db.system.name": "redis"}, "redis", "database"),
        ({"db.type": "sql", "db.instance": "old"}, "sql: old", "database"),
        ({"server.address": "mail.example", "server.port": 25}, "mail.example:25", "service"),
        ({"http.url": "http://user:secret@mail.example:8080/x?y"}, "mail.example:8080", "service"),
        ({"http.url": "http://[broken/"}, None, None),
        ({"messaging.system": "kafka", "messaging.destination.name": "paid"}, "kafka: paid", "messaging"),
        ({"message_bus.destination": "paid"}, "paid", "messaging"),
        ({}, None, None),
    ],
)
def test_a_call_that_nobody_answers_stands_for_the_peer_that_it_names(
    tags: dict[str, Any], name: str | None, kind: str | None
) -> None:
    found = service_map([shop(client(tags=tags))])
    assert [edge.callee for edge in found.edges] == ([name] if name else [])
    assert [(one.name, one.kind, one.world) for one in found.nodes if not one.instrumented] == (
        [(name, kind, None)] if name else []
    )
    assert (peer_of(client(tags=tags)) is None) == (name is None)


def test_a_span_without_kind_that_names_a_peer_is_a_call() -> None:
    found = service_map([trace(made("a", 1), made("b", 2, 1, tags={"peer.service": "mail"}))])
    assert edges(found) == [("shop", "mail", 1, 1, 0, 0)]


def test_a_call_to_an_instrumented_service_that_never_answers_is_the_to_do_list() -> None:
    lost = made("pay", 9, kind="server", service="bank", trace_id=77)
    found = service_map([shop(client(tags={"peer.service": "bank"})), Trace([lost])])
    assert edges(found) == [("shop", "bank", 1, 1, 0, 0)]
    assert [edge.sentence for edge in found.broken] == [
        "bank never answers shop with our trace id: 1 call, none in its traces"
    ]


def test_an_address_is_learned_from_calls_that_were_answered() -> None:
    at = {"server.address": "10.0.0.7", "server.port": 8080}
    found = service_map(
        [
            shop(client(tags=at), BANK, trace_id=1),
            trace(
                made("GET /", 1, kind="server", service="till"),
                made("POST", 2, 1, kind="client", service="till", tags=at),
            ),
        ]
    )
    assert edges(found) == [("shop", "bank", 1, 1, 1, 0), ("till", "bank", 1, 1, 0, 0)]
    assert [(edge.caller, edge.likely) for edge in found.broken] == [("till", True)]


def test_an_address_is_learned_from_what_a_server_says_of_itself() -> None:
    lost = made("pay", 9, kind="server", service="bank", trace_id=77, tags={"http.url": "http://127.0.0.1:81/pay"})
    found = service_map([shop(client(tags={"http.url": "http://127.0.0.1:81/pay"})), Trace([lost])])
    assert [(edge.caller, edge.callee) for edge in found.broken] == [("shop", "bank")]


def test_some_lost_calls_are_said_too() -> None:
    found = service_map([shop(client(), BANK), shop(client(tags={"peer.service": "bank"}), trace_id=2)])
    [edge] = found.edges
    assert (edge.clients, edge.servers, edge.broken) == (2, 1, False)
    assert edge.sentence == "1 of 2 calls from shop did not arrive at bank in our trace"


def test_a_message_goes_to_its_broker_and_on_from_there() -> None:
    tags = {"messaging.system": "kafka", "messaging.destination.name": "paid"}
    found = service_map(
        [
            shop(
                made("send", 2, 1, kind="producer", tags=tags),
                made("take", 3, 2, kind="consumer", service="mail", tags=tags),
                made("take", 4, 2, kind="consumer", service="books"),
            ),
        ]
    )
    assert edges(found) == [
        ("kafka: paid", "books", 1, 0, 1, 0),
        ("kafka: paid", "mail", 1, 0, 1, 0),
        ("shop", "kafka: paid", 1, 1, 0, 0),
    ]
    assert found.broken == []


def test_a_message_without_a_broker_goes_to_who_takes_it() -> None:
    found = service_map([shop(made("send", 2, 1, kind="producer"), made("t", 3, 2, kind="consumer", service="mail"))])
    assert edges(found) == [("shop", "mail", 1, 1, 1, 0)]


def test_a_root_server_that_names_its_caller_is_linked_to_it() -> None:
    found = service_map([trace(made("GET /", 1, kind="server", tags={"peer.service": "app"}))])
    assert edges(found) == [("app", "shop", 1, 0, 1, 0)]


def test_a_service_that_calls_itself_says_how_often() -> None:
    found = service_map([shop(client(), made("inner", 3, 2, kind="server"))])
    assert (edges(found), node(found, "shop").self_calls) == ([("shop", "shop", 1, 1, 1, 0)], 1)
    nested = service_map([shop(made("again", 2, 1, kind="server"))])
    assert edges(nested) == []


def test_a_node_knows_who_made_its_spans() -> None:
    native = {
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": "1.45",
    }
    found = service_map(
        [
            trace(
                made(
                    "GET /",
                    1,
                    kind="server",
                    resource={"jaeger.version": "x", "opencensus.exporterversion": "Jaeger-Python-4.8"},
                ),
                made("pay", 2, 1, kind="server", service="bank", scope=Scope("opentracing-shim", "1")),
                made("book", 3, 2, kind="server", service="books", resource=native),
                made("more", 4, 3, service="books", resource=native),
            ),
        ]
    )
    assert {one.name: (one.world, one.spans, one.requests) for one in found.nodes} == {
        "shop": ("opentracing", 1, 1),
        "bank": ("bridge", 1, 1),
        "books": ("native", 2, 1),
    }


def test_an_edge_counts_what_its_calls_stand_for() -> None:
    root = made("GET /", 1, kind="server", tags={"sampler.type": "probabilistic", "sampler.param": 0.1})
    found = service_map([trace(root, client(), BANK)], seconds=2)
    assert [(edge.calls, edge.estimated) for edge in found.edges] == [(1, 10)]
    assert [one.estimated for one in found.nodes] == [10, 10]


SPANS = st.lists(
    st.tuples(
        st.integers(0, 8),
        st.sampled_from(["client", "server", "producer", "consumer", "internal", "unspecified"]),
        st.sampled_from("abc"),
        st.sampled_from(
            [{}, {"peer.service": "a"}, {"db.system": "x"}, {"messaging.system": "k"}, {"http.url": "//c:1"}]
        ),
    ),
    max_size=9,
)


@given(st.lists(SPANS, max_size=5))
def test_any_traces_make_a_map_in_any_order(groups: list[list[tuple[int, Any, str, dict[str, Any]]]]) -> None:
    traces = [
        Trace(
            made("x", index + 1, parent, kind=kind, service=service, tags=tags, at=index, trace_id=number + 1)
            for index, (parent, kind, service, tags) in enumerate(rows)
        )
        for number, rows in enumerate(groups)
    ]
    found = service_map(traces)
    names = {one.name for one in found.nodes}
    assert all({edge.caller, edge.callee} <= names for edge in found.edges)
    assert service_map(traces[::-1]) == found
    layout(found)


def mapped(pairs: list[tuple[str, str]], calls: int = 1) -> ServiceMap:
    nodes = [
        Node(name, "service", True, 1, {}, [], 1, 1.0, 0, 0, 0.0, 0.0) for name in sorted({n for p in pairs for n in p})
    ]
    rows = [
        Edge(a, b, calls, calls, calls, calls, 1.0, 0, 0.0, 0.0, False, False, [], "") for a, b in sorted(set(pairs))
    ]
    return ServiceMap(nodes, rows, 1, 0.0)


def test_a_caller_stands_left_of_what_it_calls() -> None:
    placed = layout(mapped([("a", "b"), ("b", "c"), ("a", "c"), ("a", "d"), ("d", "c")]))
    assert {box.name: box.layer for box in placed.boxes} == {"a": 0, "b": 1, "d": 1, "c": 2}


def test_a_circle_of_calls_is_drawn_backwards_once() -> None:
    placed = layout(mapped([("a", "b"), ("b", "c"), ("c", "a"), ("b", "b")]))
    assert [(line.caller, line.callee) for line in placed.lines if line.back] == [("c", "a")]
    assert [(line.caller, line.callee) for line in placed.lines if line.loop] == [("b", "b")]


@given(st.lists(st.tuples(st.sampled_from("abcdefghij"), st.sampled_from("abcdefghij")), min_size=1, max_size=30))
def test_no_two_boxes_overlap_and_all_are_inside(pairs: list[tuple[str, str]]) -> None:
    placed = layout(mapped(pairs))
    assert placed == layout(mapped(pairs[::-1]))
    for index, one in enumerate(placed.boxes):
        assert 0 <= one.x <= one.x + one.width <= placed.width
        assert 0 <= one.y <= one.y + one.height <= placed.height
        for other in placed.boxes[index + 1 :]:
            apart_x = one.x + one.width <= other.x or other.x + other.width <= one.x
            assert apart_x or one.y + one.height <= other.y or other.y + other.height <= one.y
    assert len(placed.lines) == len(set(pairs))


def test_of_too_many_nodes_the_busiest_are_drawn_and_the_rest_counted() -> None:
    pairs = [("hub", f"n{number:03}") for number in range(100)]
    placed = layout(mapped(pairs))
    assert (len(placed.boxes), placed.left_out) == (MOST, 101 - MOST)
    assert placed.boxes[0].name == "hub"
