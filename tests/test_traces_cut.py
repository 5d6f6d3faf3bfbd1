from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ot_bridge.traces.analyse import Finding
from ot_bridge.traces.analyse.cut import DROPPED_SPANS, SEQ_NO, cut_trace
from ot_bridge.traces.analyse.lost_context import LostHop, lost_hops, same_low_bits
from ot_bridge.traces.analyse.reading import read
from ot_bridge.traces.model import Event, Link, Scope, Span
from ot_bridge.traces.tree import Trace
from traces_made import MS, NOON, TRACE_ID, made, trace
from traces_recorded import demo_trace

OLD = {"opencensus.exporterversion": "Jaeger-Python-4.8.0"}
NATIVE = {"telemetry.sdk.name": "opentelemetry", "telemetry.sdk.language": "python", "telemetry.sdk.version": "1.45.2"}
GO = {**NATIVE, "telemetry.sdk.language": "go"}
BRIDGE = Scope("opentracing-shim", "0.1.0")
SHORT = TRACE_ID & (2**64 - 1)


def cuts(*spans: Span, now_ns: int | None = None) -> list[Finding]:
    return cut_trace(read(trace(*spans), now_ns))


def told(*spans: Span, now_ns: int | None = None) -> list[tuple[str, str, str, str]]:
    return [(one.verdict, one.severity, one.certainty, one.service) for one in cuts(*spans, now_ns=now_ns)]


def test_a_whole_trace_is_not_cut() -> None:
    assert told(made("buy", 1, took=100), made("pay", 2, 1)) == []
    assert cut_trace(read(demo_trace())) == []
    assert told() == []


def test_the_parent_of_an_inner_span_is_of_its_own_service() -> None:
    (found,) = cuts(made("buy", 1, took=100), made("charge", 3, 9, service="bank"), made("log", 4, 9, service="bank"))
    assert (found.verdict, found.certainty, found.service, found.numbers) == (
        "missing-parent",
        "likely",
        "bank",
        {"missing_count": 1, "orphans_count": 2, "missing_span_id": f"{9:016x}"},
    )
    assert found.text == "1 span of bank did not arrive, and 2 spans below it did"


def test_a_parent_that_its_child_says_was_local_is_surely_of_its_own_service() -> None:
    assert told(made("buy", 1), made("charge", 3, 9, service="bank", kind="server", flags=0x101)) == [
        ("missing-parent", "warning", "sure", "bank")
    ]


def test_a_sibling_that_is_inside_the_missing_process_names_it() -> None:
    assert told(
        made("buy", 1, took=100),
        made("pay", 3, 9, service="bank", kind="server"),
        made("wait", 4, 9, service="shop2"),
    ) == [("missing-parent", "warning", "likely", "shop2")]


def test_a_caller_that_its_callee_knows_by_name_did_not_export() -> None:
    (found,) = cuts(made("buy", 1), made("pay", 3, 9, service="bank", kind="server", tags={"peer.service": "till"}))
    assert (found.service, found.certainty) == ("till", "likely")
    assert found.advice == "till sent none of this trace: it does not export, did not flush, or sampled it out."


def test_something_between_two_services_sends_no_spans() -> None:
    client = made("POST /pay", 2, 1, took=50, kind="client", tags={"peer.service": "bank"})
    (found,) = cuts(made("buy", 1, took=100), client, made("pay", 3, 9, at=5, service="bank", kind="server"))
    assert (found.service, found.certainty, found.text) == (
        "shop",
        "guess",
        "between shop and bank 1 span did not arrive",
    )


def test_a_call_that_has_ended_does_not_surround_what_came_later() -> None:
    tags = {"peer.service": "bank"}
    calls = [made("POST /pay", 10 + i, 1, at=i, took=5, kind="client", tags=tags) for i in range(30)]
    found = cuts(made("buy", 1, took=100), *calls, made("pay", 3, 9, at=60, service="bank", kind="server"))
    assert [one.service for one in found] == [""]


def test_a_caller_that_nothing_names_is_told_by_the_header_that_it_wrote() -> None:
    tags = {"http.request.header.uber-trace-id": f"{TRACE_ID:x}:9:0:1"}
    (found,) = cuts(made("buy", 1), made("pay", 3, 9, service="bank", kind="server", tags=tags, resource=OLD))
    assert (found.service, found.certainty) == ("", "guess")
    assert found.advice.endswith("It was called with uber-trace-id, so by a service that writes it.")


def test_a_trace_that_still_arrives_is_not_finished_and_never_cut() -> None:
    spans = [made("buy", 1, took=100), made("charge", 3, 9), made("other", 4)]
    end = NOON + 100 * MS
    assert told(*spans, now_ns=end + 4_999_999_999) == [("not-finished", "note", "sure", "")]
    later = [verdict for verdict, *_ in told(*spans, now_ns=end + 5_000_000_000)]
    assert later == ["missing-parent", "several-roots"]


def test_a_trace_from_the_future_is_read_as_finished() -> None:
    assert told(made("charge", 3, 9, at=100_000), now_ns=NOON)[0][0] == "missing-parent"


def test_several_roots_name_the_service_that_began_anew() -> None:
    (found,) = cuts(made("buy", 1, took=100), made("a", 2, 1), made("pay", 3, service="bank", kind="server"))
    assert (found.verdict, found.service, found.spans) == ("several-roots", "bank", (2,))
    assert found.text == "2 roots in one trace: beside shop bank began without a parent"


def id_cut(header: str, callee: dict[str, Any], caller: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    tags = {"http.request.header.uber-trace-id": header} if header else {}
    return told(
        made("buy", 1, took=100, resource=caller.get("resource"), scope=caller.get("scope")),
        made("pay", 2, 1, service="bank", kind="server", trace_id=SHORT, tags=tags, **callee),
        made("charge", 3, 2, service="bank", trace_id=SHORT, **callee),
    )


def test_an_id_that_came_whole_was_cut_by_the_one_who_read_it() -> None:
    found = id_cut(f"{TRACE_ID:x}:1:0:1", {"resource": OLD}, {"resource": OLD})
    assert found == [("id-cut", "warning", "sure", "bank")]


def test_an_id_that_came_cut_was_cut_by_the_one_who_wrote_it() -> None:
    assert id_cut(f"{SHORT:016x}:1:0:1", {"resource": OLD}, {"scope": BRIDGE}) == [
        ("id-cut", "warning", "sure", "shop")
    ]


def test_without_a_header_the_old_tracer_is_likely_to_have_cut_the_id() -> None:
    assert id_cut("", {"resource": OLD}, {"resource": NATIVE}) == [("id-cut", "warning", "likely", "bank")]
    assert id_cut("", {"resource": NATIVE}, {"resource": OLD}) == [("id-cut", "warning", "likely", "shop")]


def test_a_cut_id_names_both_services_their_tracers_and_both_ids() -> None:
    (found,) = cuts(
        made("buy", 1, took=100, scope=BRIDGE),
        made("pay", 2, 1, service="bank", kind="server", trace_id=SHORT, resource=OLD),
    )
    assert found.text == (
        "the trace id was cut to 64 bits where shop (ot_bridge 0.1.0) called bank (jaeger-client Python-4.8.0): "
        f"{SHORT:016x} and {TRACE_ID:032x} are one request"
    )


def test_a_hop_that_changed_the_id_wholly_is_named_too() -> None:
    assert told(made("buy", 1, took=100), made("pay", 2, 1, service="bank", kind="server", trace_id=7)) == [
        ("id-changed", "warning", "likely", "bank")
    ]


def test_an_id_that_was_cut_before_a_missing_span_names_no_hop() -> None:
    found = told(made("buy", 1, took=100), made("pay", 2, 9, service="bank", kind="server", trace_id=SHORT))
    assert ("id-cut", "warning", "likely", "") in found


def test_what_limits_dropped_is_counted_per_service() -> None:
    event = Event(NOON, "x", {}, 4)
    (found,) = cuts(made("buy", 1, dropped=(2, 0, 1), events=[event]), made("a", 2, 1, dropped=(0, 3, 0)))
    assert (found.verdict, found.severity, found.service) == ("dropped", "note", "shop")
    assert found.text == "limits of shop dropped 6 attributes, 3 events and 1 link of 2 spans"
    assert found.numbers == {"attributes_count": 6, "events_count": 3, "links_count": 1}


def test_a_link_to_another_trace_offers_its_id() -> None:
    (found,) = cuts(made("buy", 1, links=[Link(0xABC, 5), Link(TRACE_ID, 7), Link(0, 0), Link(0xABC, 6)]))
    assert (found.verdict, found.severity, found.numbers) == (
        "linked-trace",
        "note",
        {"trace_id": f"{0xABC:016x}", "spans_count": 1},
    )


def test_cycles_shared_same_and_resent_spans_are_told() -> None:
    spans = [
        made("buy", 1, took=100),
        made("loop", 2, 2, service="loop"),
        made("call", 3, 1, kind="client"),
        made("call", 3, 1, kind="server", service="bank"),
        made("twin", 4, 1),
        made("other", 4, 1),
        made("again", 5, 1),
        made("again", 5, 1),
    ]
    assert told(*spans) == [
        ("cycle", "warning", "sure", "loop"),
        ("same-id", "warning", "sure", "shop"),
        ("shared-id", "note", "sure", ""),
        ("resent", "note", "sure", ""),
    ]


def jaeger(name: str, span_id: int, parent: int = 0, *, seq_no: int = 1, dropped: int = 0) -> Span:
    resource = {**OLD, SEQ_NO: seq_no, DROPPED_SPANS: dropped}
    return made(name, span_id, parent, service="bank", via="jaeger", resource=resource)


def test_spans_that_a_jaeger_client_says_it_dropped_are_told() -> None:
    assert told(jaeger("a", 1, dropped=3), jaeger("b", 2, 1, dropped=3)) == [
        ("client-dropped", "note", "guess", "bank")
    ]
    (found,) = cuts(jaeger("a", 1, dropped=3), jaeger("b", 2, 1, dropped=10))
    assert (found.severity, found.certainty) == ("warning", "likely")
    assert found.text == "bank says that its client has dropped 10 spans since it started, 7 of them during this trace"
    assert told(jaeger("a", 1), jaeger("b", 2, 1)) == []


def test_a_gap_in_the_batches_of_a_service_whose_span_is_missing_may_be_a_lost_packet() -> None:
    root, other = jaeger("a", 1, seq_no=5), jaeger("b", 2, 9, seq_no=8)
    (found,) = cuts(root, other)
    assert (found.verdict, found.certainty, found.numbers["batches_count"]) == ("lost-packets", "guess", 2)
    assert told(root, replace(other, parent_id=1)) == []


def test_a_drop_counter_explains_a_missing_span() -> None:
    found = cuts(jaeger("a", 1, dropped=2), jaeger("b", 2, 9, dropped=2))[0]
    assert found.advice == "bank says that it has dropped 2 spans: its queue was full."


def test_thousands_of_missing_parents_are_few_findings() -> None:
    spans = [made("x", i + 2, 90_000 + i, service=f"s{i}") for i in range(3000)]
    assert len(cuts(made("buy", 1), *spans)) == 21


# Several traces: the hop that lost its context.


def lost(client: dict[str, Any] | None = None, server: dict[str, Any] | None = None) -> tuple[Trace, Trace]:
    """Make two traces that should be one: a call of 50 ms at 10 ms, and what it reached at 15 ms."""
    fields: dict[str, Any] = {"kind": "client", "tags": {"peer.service": "bank"}, **(client or {})}
    one = trace(made("buy", 1, took=100), made("POST /pay", 2, 1, at=10, took=50, **fields))
    entry: dict[str, Any] = {"kind": "server", "service": "bank", "trace_id": 0xB0, **(server or {})}
    return one, trace(made("pay", 3, **{"at": 15, "took": 30, **entry}))


def hops(*traces: Trace) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [(one.caller.service, one.callee.service, one.certainty, one.matched) for one in lost_hops(traces)]


def one_hop(*traces: Trace) -> LostHop:
    (found,) = lost_hops(traces)
    return found


def test_an_old_caller_and_a_native_callee_share_no_header() -> None:
    found = one_hop(*lost({"resource": OLD}, {"resource": NATIVE}))
    assert (found.caller.trace_id, found.callee.trace_id) == (TRACE_ID, 0xB0)
    assert (found.writes, found.reads, found.certainty) == (("uber-trace-id",), ("traceparent",), "likely")
    assert found.cause == "shop writes uber-trace-id, bank reads traceparent"
    assert found.advice == "Let bank read uber-trace-id: install ot_bridge there and set OTEL_PROPAGATORS=ot_bridge."
    assert found.text == (
        "shop (jaeger-client Python-4.8.0) called bank (opentelemetry-python 1.45.2), which began another trace: "
        f"{TRACE_ID:032x} goes on in {0xB0:032x}; shop writes uber-trace-id, bank reads traceparent"
    )


def test_a_native_caller_must_write_what_an_old_callee_reads() -> None:
    found = one_hop(*lost({"resource": NATIVE}, {"resource": OLD}))
    assert found.advice == (
        "Let shop write uber-trace-id too: install ot_bridge there and set OTEL_PROPAGATORS=ot_bridge."
    )


def test_a_native_service_of_another_language_is_told_its_own_setting() -> None:
    found = one_hop(*lost({"resource": OLD}, {"resource": GO}))
    assert found.advice == "Let bank read uber-trace-id: set OTEL_PROPAGATORS=tracecontext,baggage,jaeger."


def test_a_header_that_came_and_was_not_read_is_sure() -> None:
    tags = {"http.request.header.uber-trace-id": f"{TRACE_ID:x}:2:0:1"}
    found = one_hop(*lost({"resource": OLD}, {"resource": NATIVE, "tags": tags}))
    assert (found.certainty, found.cause) == ("sure", "uber-trace-id came, and bank reads traceparent")
    assert found.matched == ("header",)


def test_a_header_names_the_caller_whatever_the_times_say() -> None:
    tags = {"http.request.header.uber-trace-id": f"{TRACE_ID:x}:1:0:1"}
    one, two = lost({"tags": {}}, {"resource": NATIVE, "tags": tags, "at": -5000})
    found = one_hop(one, two)
    assert (found.caller.name, found.certainty, found.matched) == ("buy", "sure", ("header",))


def test_a_trace_that_was_begun_on_purpose_and_links_to_its_caller_is_not_lost() -> None:
    tags = {"http.request.header.traceparent": f"00-{TRACE_ID:032x}-{2:016x}-01"}
    assert hops(*lost({}, {"tags": tags, "links": [Link(TRACE_ID, 2)]})) == []


def test_a_header_that_an_old_service_cannot_read_is_for_its_caller_to_change() -> None:
    tags = {"http.request.header.traceparent": f"00-{TRACE_ID:032x}-{2:016x}-01"}
    found = one_hop(*lost({"scope": BRIDGE}, {"resource": OLD, "tags": tags}))
    assert found.advice == "Let shop write uber-trace-id too: OT_BRIDGE_INJECT."


def test_a_request_may_outlive_a_call_that_gave_up_and_no_other() -> None:
    assert hops(*lost({"status": "error"}, {"took": 500})) == [("shop", "bank", "likely", ("peer",))]
    assert hops(*lost({}, {"took": 500})) == []


def test_a_header_that_came_and_that_the_callee_could_read_was_not_used() -> None:
    tags = {"http.request.header.traceparent": f"00-{TRACE_ID:032x}-{2:016x}-01"}
    found = one_hop(*lost({"resource": NATIVE}, {"resource": NATIVE, "tags": tags}))
    assert found.cause == "traceparent came, and bank did not use it"


def test_two_sides_that_share_a_header_lost_it_on_the_way() -> None:
    found = one_hop(*lost({"scope": BRIDGE}, {"resource": NATIVE}))
    assert found.cause.startswith("the header was not sent, or lost on the way")


def test_tracers_that_are_not_known_leave_the_cause_open() -> None:
    assert one_hop(*lost()).cause.startswith("the header was not sent or not read")


MATCHES: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "peer service": ({"peer.service": "bank"}, {}, ["peer"]),
    "host and port": ({"http.url": "http://127.0.0.1:81/a"}, {"http.url": "http://127.0.0.1:81/b"}, ["peer"]),
    "host of a cluster": ({"url.full": "http://bank.svc.local/a"}, {}, ["peer"]),
    "address and port": (
        {"server.address": "10.0.0.1", "server.port": 80},
        {"net.host.name": "10.0.0.1", "net.host.port": 80},
        ["peer"],
    ),
    "path": ({"http.url": "http://x/pay?a=1"}, {"http.target": "/pay"}, ["route"]),
    "path of another host": ({"http.url": "http://x/pay"}, {"http.url": "http://y/pay"}, []),
    "template": ({"url.template": "/pay/{id}"}, {"http.route": "/pay/{id}"}, ["route"]),
    "peer and path": ({"peer.service": "bank", "url.path": "/pay"}, {"url.path": "/pay"}, ["peer", "route"]),
    "another peer at the same path": ({"peer.service": "till", "url.path": "/pay"}, {"url.path": "/pay"}, []),
    "another path of nobody": ({"url.path": "/pay"}, {"url.path": "/stock"}, []),
    "nothing": ({}, {}, []),
    "another method": (
        {"peer.service": "bank", "http.method": "GET"},
        {"http.request.method": "post"},
        [],
    ),
    "a method that one side tells": ({"peer.service": "bank", "http.method": "GET"}, {}, ["peer"]),
    "another code": (
        {"peer.service": "bank", "http.status_code": 200},
        {"http.status_code": 500},
        [],
    ),
    "a database": ({"peer.service": "bank", "db.system": "redis"}, {}, []),
    "bad url": ({"http.url": "http://[/pay"}, {"http.url": "http://[/pay"}, []),
}


@pytest.mark.parametrize(("client", "server", "matched"), MATCHES.values(), ids=MATCHES)
def test_a_call_is_known_by_its_peer_or_its_route(
    client: dict[str, Any], server: dict[str, Any], matched: list[str]
) -> None:
    found = hops(*lost({"tags": client}, {"tags": server}))
    assert [list(names) for *_, names in found] == ([matched] if matched else [])


def test_names_that_are_only_a_method_match_nothing() -> None:
    client = made("GET", 2, 1, at=10, took=50, kind="client")
    server = made("GET", 3, at=15, took=30, kind="server", service="bank", trace_id=0xB0)
    assert hops(trace(made("buy", 1, took=100), client), trace(server)) == []


def test_a_call_that_was_answered_lost_nothing() -> None:
    one, two = lost()
    answered = made("pay", 5, 2, at=15, took=30, kind="server", service="bank")
    assert hops(Trace([*one.spans, answered]), two) == []


def test_a_request_outside_the_calls_time_is_another_one() -> None:
    one, _ = lost()
    for at, took in ((9, 10), (40, 21), (70, 5)):
        other = trace(made("pay", 3, at=at, took=took, kind="server", service="bank", trace_id=0xB0))
        assert hops(one, other) == []


def test_a_host_that_answered_as_another_service_is_not_the_callee() -> None:
    tags = {"http.url": "http://till:80/pay"}
    answered = [
        made("POST /pay", 6, 1, at=70, took=20, kind="client", tags=tags),
        made("pay", 7, 6, at=72, took=10, kind="server", service="till"),
    ]
    one, two = lost({"tags": tags}, {"tags": {"url.path": "/pay"}})
    assert hops(one, two) == [("shop", "bank", "guess", ("route",))]
    assert hops(Trace([*one.spans, *answered]), two) == []


def test_where_two_calls_fit_one_request_the_certainty_is_a_guess() -> None:
    one, two = lost()
    rival = trace(made("POST /pay", 9, at=0, took=80, kind="client", trace_id=0xC0, tags={"peer.service": "bank"}))
    assert hops(one, two, rival) == [("shop", "bank", "guess", ("peer",))]


def test_a_long_call_is_found_behind_many_short_ones_that_have_ended() -> None:
    tags = {"peer.service": "bank"}
    short = [
        trace(made("x", 2, at=1 + i / 100, took=1, kind="client", trace_id=i + 1000, tags=tags)) for i in range(500)
    ]
    assert [one[:3] for one in hops(*lost(), *short)] == [("shop", "bank", "likely")]


def test_each_request_and_each_call_is_used_once() -> None:
    one, two = lost()
    again = trace(made("pay", 8, at=20, took=10, kind="server", service="bank", trace_id=0xD0))
    assert len(hops(one, two, again)) == 1


ROUTES = ("/a", "/b", "/c")
CLEAN = st.lists(
    st.tuples(
        st.integers(0, 300),
        st.integers(10, 80),
        st.sampled_from(["shop", "bank", "mail"]),
        st.sampled_from(ROUTES),
        st.sampled_from(["bank", "mail", "outside.example", "db"]),
    ),
    max_size=20,
)


def clean(rows: list[tuple[int, int, str, str, str]], *, named: bool) -> list[Trace]:
    """Make whole traces of a request that makes one call each, to a peer that sends spans or to one that does not."""
    traces = []
    for number, (at, took, entry, route, peer) in enumerate(rows):
        known: dict[str, Any] = {"trace_id": number + 1}
        tags = {"http.url": f"http://{peer}:80{route}", **({"peer.service": peer} if named else {})}
        spans = [
            made(f"GET {route}", 1, at=at, took=took, service=entry, kind="server", tags={"url.path": route}, **known),
            made("GET", 2, 1, at=at + 1, took=took - 2, service=entry, kind="client", tags=tags, **known),
        ]
        if peer in {"bank", "mail"}:
            spans.append(made("GET", 3, 2, at=at + 2, took=took - 4, service=peer, kind="server", **known))
        traces.append(trace(*spans))
    return traces


@given(CLEAN)
def test_whole_traces_side_by_side_accuse_nobody(rows: list[tuple[int, int, str, str, str]]) -> None:
    assert lost_hops(clean(rows, named=True)) == []


@given(CLEAN)
def test_where_only_the_route_fits_an_accusation_is_a_guess(rows: list[tuple[int, int, str, str, str]]) -> None:
    assert {(one.certainty, one.matched) for one in lost_hops(clean(rows, named=False))} <= {("guess", ("route",))}


@given(st.integers(1, 12), st.integers(0, 100))
def test_every_header_that_is_killed_is_found_among_requests_that_do_not_overlap(count: int, apart: int) -> None:
    traces = []
    for number in range(count):
        at = number * (100 + apart)
        tags = {"peer.service": "bank", "url.path": "/pay"}
        traces += [
            trace(made("POST", 2, at=at, took=90, kind="client", trace_id=2 * number + 1, tags=tags)),
            trace(made("pay", 3, at=at + 9, took=50, kind="server", service="bank", trace_id=2 * number + 2)),
        ]
    found = lost_hops(traces)
    assert [(one.caller.trace_id + 1, one.certainty) for one in found] == [
        (one.callee.trace_id, "likely") for one in found
    ]
    assert len(found) == count


def test_two_traces_that_share_their_low_bits_and_overlap_are_one() -> None:
    whole = trace(made("buy", 1, took=100, scope=BRIDGE))
    cut = trace(made("pay", 2, 1, at=10, service="bank", kind="server", trace_id=SHORT, resource=OLD))
    later = trace(made("pay", 2, 1, at=500, service="bank", kind="server", trace_id=SHORT))
    other = trace(made("pay", 2, 1, at=10, trace_id=SHORT + 1))
    (found,) = same_low_bits([cut, other, whole])
    assert (found.whole, found.cut) == (whole, cut)
    assert [one.verdict for one in cut_trace(read(found.joined()))] == ["id-cut"]
    assert same_low_bits([whole, later]) == []


def test_many_traces_at_once_are_looked_through_in_bounded_time() -> None:
    tags = {"peer.service": "bank"}
    traces = [trace(made("x", 2, took=900, kind="client", trace_id=i + 1, tags=tags)) for i in range(2000)]
    traces += [
        trace(made("pay", 3, at=1, took=5, kind="server", service="bank", trace_id=i + 5001)) for i in range(2000)
    ]
    assert len(lost_hops(traces)) == 32
