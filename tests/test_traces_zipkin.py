from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ot_bridge.traces import otlp
from ot_bridge.traces.formats.decoded import Decoded
from ot_bridge.traces.formats.zipkin import ABSENT_START, ENDPOINTS, KINDS, RESOURCE_TAGS, ZipkinError, decode_json
from ot_bridge.traces.model import Event, Link, Scope, Span
from ot_bridge.traces.tree import Note, Trace

TRACE_ID = 0x5B8EFFF798038103D269B633813FC60C
SPAN: dict[str, Any] = {
    "traceId": f"{TRACE_ID:032x}",
    "id": "00000000000000aa",
    "name": "get /stock",
    "timestamp": 1_767_268_800_000_001,
    "duration": 1_500,
    "localEndpoint": {"serviceName": "store"},
}


def decoded(*spans: object) -> Decoded:
    return decode_json(json.dumps(spans).encode())


def read(*spans: object) -> list[Span]:
    return otlp.spans(decoded(*spans).batches)


def only(**changes: Any) -> Span:
    (found,) = read({**SPAN, **changes})
    return found


def test_a_span_becomes_a_whole_span() -> None:
    found = only(
        parentId="00000000000000ab",
        kind="CLIENT",
        localEndpoint={"serviceName": "store", "ipv4": "10.0.0.1", "port": 80},
        remoteEndpoint={"serviceName": "bank", "ipv6": "::1", "port": 443},
        annotations=[{"timestamp": 1_767_268_800_000_002, "value": "wait"}],
        tags={"http.path": "/stock", "host.name": "h1", "otel.scope.name": "lib", "otel.scope.version": "2"},
    )
    assert (found.trace_id, found.span_id, found.parent_id) == (TRACE_ID, 0xAA, 0xAB)
    assert (found.name, found.service, found.kind, found.status, found.via) == (
        *("get /stock", "store", "client"),
        *("unset", "zipkin"),
    )
    assert (found.start_ns, found.end_ns) == (1_767_268_800_000_001_000, 1_767_268_800_001_501_000)
    assert found.events == (Event(1_767_268_800_000_002_000, "wait"),)
    assert found.resource.attributes == {"service.name": "store", "host.name": "h1"}
    assert found.scope == Scope("lib", "2")
    assert found.attributes == {
        "http.path": "/stock",
        "net.host.ip": "10.0.0.1",
        "net.host.port": 80,
        "peer.service": "bank",
        "net.peer.ip": "::1",
        "net.peer.port": 443,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_read(kind: str) -> None:
    assert only(kind=kind).kind == kind.lower()


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "unspecified"),
        ({"kind": None}, "unspecified"),
        ({"kind": "OTHER"}, "unspecified"),
        ({"tags": {"span.kind": "internal"}}, "internal"),
    ],
    ids=str,
)
def test_a_span_without_a_kind_is_local(changes: dict[str, Any], kind: str) -> None:
    found = only(**changes)
    assert (found.kind, found.attributes) == (kind, {})


@pytest.mark.parametrize(
    ("given_id", "trace_id"),
    [("A0" * 16, int("a0" * 16, 16)), ("00000000000000Af", 0xAF), ("af", 0xAF), ("f" * 32, (1 << 128) - 1)],
)
def test_an_id_is_hex_of_any_case_and_length(given_id: str, trace_id: int) -> None:
    assert only(traceId=given_id).trace_id == trace_id


@pytest.mark.parametrize("parent", [None, "", "0000000000000000", SPAN["id"]], ids=str)
def test_no_parent_zeros_and_the_span_itself_are_no_parent(parent: str | None) -> None:
    assert only(parentId=parent).parent_id == 0


@pytest.mark.parametrize(
    ("tags", "status", "left"),
    [
        ({"error": "true"}, ("error", ""), {}),
        ({"error": ""}, ("error", ""), {}),
        ({"error": "false"}, ("error", ""), {"error": "false"}),
        ({"error": "refused"}, ("error", "refused"), {"error": "refused"}),
        ({"otel.status_code": "ERROR", "error": "refused"}, ("error", "refused"), {}),
        ({"otel.status_code": "STATUS_CODE_ERROR", "otel.status_description": "d"}, ("error", "d"), {}),
        ({"otel.status_code": "Error", "otel.status_description": "d", "error": "true"}, ("error", "d"), {}),
        ({"otel.status_code": "OK"}, ("ok", ""), {}),
        ({"otel.status_code": "strange"}, ("unset", ""), {}),
        ({"http.status_code": "500"}, ("unset", ""), {"http.status_code": "500"}),
    ],
    ids=str,
)
def test_an_error_tag_is_an_error_whatever_it_says(
    tags: dict[str, str], status: tuple[str, str], left: dict[str, str]
) -> None:
    found = only(tags=tags)
    assert ((found.status, found.message), found.attributes) == (status, left)


def test_a_span_without_times_begins_when_its_trace_is_first_heard_of() -> None:
    nothing = {"timestamp": None, "duration": None}
    found = {
        span.name: (span.start_ns, span.end_ns, span.attributes)
        for span in read(
            {**SPAN, "name": "known"},
            {**SPAN, "id": "1", "name": "by its trace", **nothing},
            {
                **SPAN,
                "id": "2",
                "name": "by its annotation",
                **nothing,
                "annotations": [{"timestamp": 1_767_268_800_000_009, "value": "x"}],
            },
            {**SPAN, "traceId": "1", "name": "unknown", **nothing},
        )
    }
    start = 1_767_268_800_000_001_000
    assert found == {
        "known": (start, start + 1_500_000, {}),
        "by its trace": (start, start, {ABSENT_START: True}),
        "by its annotation": (start + 8_000, start + 8_000, {ABSENT_START: True}),
        "unknown": (0, 0, {ABSENT_START: True}),
    }


@pytest.mark.parametrize(
    ("changes", "times"),
    [
        ({"timestamp": "1000", "duration": 2.9}, (1_000_000, 1_002_000)),
        ({"timestamp": 1 << 80, "duration": 1 << 80}, ((1 << 63) - 1, (1 << 63) - 1)),
        ({"timestamp": 1000, "duration": -5}, (1_000_000, 1_000_000)),
    ],
    ids=str,
)
def test_odd_times_become_the_nearest_that_can_be_kept(changes: dict[str, Any], times: tuple[int, int]) -> None:
    found = only(**changes)
    assert (found.start_ns, found.end_ns) == times


@pytest.mark.parametrize(
    ("span", "problem"),
    [
        (7, "cannot read a span of Zipkin: got a number, expected an object"),
        (None, "cannot read a span of Zipkin: got null, expected an object"),
        (
            {**SPAN, "traceId": "xyz"},
            "the traceId of a span of Zipkin: got 'xyz', expected 32 hex digits",
        ),
        ({**SPAN, "traceId": "0" * 32}, "got '00000000000000000000000000000000', expected 32 hex digits"),
        ({**SPAN, "id": "1" * 17}, "the id of a span of Zipkin: got '11111111111111111', expected 16 hex digits"),
        ({**SPAN, "id": None}, "the id of a span of Zipkin: got None, expected 16 hex digits, not all zero"),
        ({**SPAN, "parentId": "-1"}, "the parentId of a span of Zipkin: got '-1', expected 16 hex digits"),
        ({**SPAN, "timestamp": "now"}, "the timestamp of a span of Zipkin: got 'now', expected microseconds"),
        ({**SPAN, "duration": True}, "the duration of a span of Zipkin: got True, expected microseconds"),
        ({**SPAN, "duration": float("nan")}, "the duration of a span of Zipkin: got nan, expected microseconds"),
    ],
    ids=lambda value: value[:50] if isinstance(value, str) else None,
)
def test_a_bad_span_is_counted_and_costs_no_other(span: object, problem: str) -> None:
    found = decoded(SPAN, span, {**SPAN, "id": "b"})
    assert ([one.span_id for one in otlp.spans(found.batches)], found.rejected) == ([0xAA, 0xB], 1)
    assert problem in found.problem


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "cannot read 0 bytes as Zipkin's JSON"),
        (b"{}", "cannot read Zipkin's JSON: got an object, expected a list of spans"),
        (b'"x"', "got text, expected a list of spans"),
        (b"[" * 100_000, "cannot read 100000 bytes as Zipkin's JSON"),
        (b"[" + b"9" * 10_000 + b"]", "cannot read 10002 bytes as Zipkin's JSON"),
        (b"[\xff]", "cannot read 3 bytes as Zipkin's JSON"),
    ],
    ids=lambda value: str(value[:12]),
)
def test_what_is_no_list_is_refused(body: bytes, problem: str) -> None:
    with pytest.raises(ZipkinError) as caught:
        decode_json(body)
    assert problem in str(caught.value)


def test_what_zipkin_answers_is_read_one_trace_or_many() -> None:
    other = {**SPAN, "traceId": "1"}
    assert [span.trace_id for span in read([SPAN], [other])] == [TRACE_ID, 1]
    assert [span.trace_id for span in read(SPAN, other)] == [TRACE_ID, 1]
    assert (read(), read([], [])) == ([], [])


def test_a_span_in_pieces_is_put_together() -> None:
    first = {**SPAN, "kind": "SERVER", "duration": None, "tags": {"a": "1"}, "parentId": "ab"}
    later = {
        "traceId": SPAN["traceId"].upper(),
        "id": "aa",
        "duration": 9,
        "tags": {"b": "2"},
        "annotations": [{"timestamp": 1_767_268_800_000_002, "value": "x"}],
    }
    for pieces in ([first, later], [later, first], [first, later, first, later]):
        (found,) = read(*pieces)
        assert (found.kind, found.parent_id, found.duration_ns) == ("server", 0xAB, 9_000)
        assert (found.attributes, [event.name for event in found.events]) == ({"a": "1", "b": "2"}, ["x"])


@pytest.mark.parametrize(
    ("pieces", "spans"),
    [
        ([("SERVER", "a"), ("", "a"), ("SERVER", ""), ("", "")], {("server", "a")}),
        ([("SERVER", "a"), ("", "b")], {("server", "a"), ("unspecified", "b")}),
        ([("SERVER", ""), ("", "b")], {("server", "b")}),
        ([("SERVER", "a"), ("CLIENT", "b"), ("CLIENT", "")], {("server", "a"), ("client", "b")}),
        ([("", ""), ("", "")], {("unspecified", "unknown")}),
    ],
    ids=["one", "two services", "one without a service", "two kinds", "none"],
)
def test_pieces_go_to_the_span_that_they_fit(pieces: list[tuple[str, str]], spans: set[tuple[str, str]]) -> None:
    for order in (pieces, pieces[::-1]):
        found = read(*({**SPAN, "kind": kind, "localEndpoint": {"serviceName": name}} for kind, name in order))
        assert sorted((span.kind, span.service) for span in found) == sorted(spans)


def test_a_piece_is_put_to_one_span_only() -> None:
    pieces = [("SERVER", ""), ("", "b"), ("", "c")]
    found = read(*({**SPAN, "kind": kind, "localEndpoint": {"serviceName": name}} for kind, name in pieces))
    assert [(span.kind, span.service) for span in found] == [("server", "b"), ("unspecified", "c")]


def test_halves_with_one_id_stay_two_and_the_tree_tells_them_apart() -> None:
    client = {**SPAN, "kind": "CLIENT", "localEndpoint": {"serviceName": "shop"}}
    server = {**SPAN, "kind": "SERVER", "shared": True, "timestamp": SPAN["timestamp"] + 5, "duration": 9}
    trace = Trace(read(server, client))
    assert [(span.kind, span.service) for span in trace.spans] == [("client", "shop"), ("server", "store")]
    assert (trace.parents, trace.notes) == ((-1, 0), (Note("shared id", 1),))


def test_two_services_with_one_id_stay_two() -> None:
    other = {**SPAN, "localEndpoint": {"serviceName": "other"}}
    assert {span.service for span in read(SPAN, other)} == {"store", "other"}


def test_events_and_links_that_an_exporter_packed_are_unpacked() -> None:
    found = only(
        annotations=[
            {"timestamp": 1, "value": 'retry|{"tries":2,"why":"a|b","list":[1]}|3'},
            {"timestamp": 2, "value": '{"exception": {"exception.type": "ValueError"}}'},
            {"timestamp": 3, "value": "a|b|c"},
            {"timestamp": 4, "value": "a|{bad}|1"},
            {"timestamp": 5, "value": '{"a": 1}'},
        ],
        tags={
            "otlp.link.0": f'{7:032x}|{8:016x}|k=v|{{"opentracing.ref_type":"follows_from"}}|0',
            "otlp.link.1": "nonsense",
            "w3c.tracestate": "a=b",
        },
    )
    assert found.events == (
        Event(1_000, "retry", {"tries": 2, "why": "a|b", "list": "[1]"}, 3),
        Event(2_000, "exception", {"exception.type": "ValueError"}),
        Event(3_000, "a|b|c"),
        Event(4_000, "a|{bad}|1"),
        Event(5_000, '{"a": 1}'),
    )
    assert found.links == (Link(7, 8, {"opentracing.ref_type": "follows_from"}, "k=v"),)
    assert (found.attributes, found.trace_state) == ({"otlp.link.1": "nonsense"}, "a=b")


def test_values_that_are_no_text_become_text() -> None:
    assert only(tags={"n": 1, "b": True, "o": {"a": None}, "none": None}).attributes == {
        "n": "1",
        "b": "true",
        "o": '{"a": null}',
        "none": "",
    }


def test_lone_surrogates_are_replaced_wherever_they_stand() -> None:
    bad = "x\ud800"
    found = only(
        name=bad,
        localEndpoint={"serviceName": bad},
        tags={bad: bad, "otel.scope.name": bad, "error": bad, "w3c.tracestate": bad},
        annotations=[{"timestamp": 1, "value": bad}],
    )
    assert (found.name, found.service, found.message, found.events[0].name) == ("x?",) * 4
    assert (found.scope.name, found.trace_state, found.attributes) == ("x?", "x?", {"x?": "x?", "error": "x?"})


def test_one_resource_is_made_for_spans_of_one_process() -> None:
    found = decoded(SPAN, {**SPAN, "id": "1"}, {**SPAN, "id": "2", "tags": {"host.name": "h2"}})
    assert [len(batch.scope_spans[0].spans) for batch in found.batches] == [2, 1]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("traceId", "id", "parentId", "kind", "name", "timestamp", "duration", "shared", "localEndpoint")
ODD = st.dictionaries(st.sampled_from([*FIELDS, "remoteEndpoint", "annotations", "tags"]), JSON, max_size=4)


@given(st.lists(ODD.map(lambda changes: {**SPAN, **changes}) | JSON, max_size=4))
def test_no_json_raises_and_every_span_is_read_or_counted(spans: list[Any]) -> None:
    found = decoded(*spans)
    assert len(otlp.spans(found.batches)) + found.rejected <= sum(
        len(one) if isinstance(one, list) else 1 for one in spans
    )
    assert bool(found.problem) == bool(found.rejected)


@given(st.binary())
def test_no_bytes_raise_anything_but_a_zipkin_error(data: bytes) -> None:
    try:
        decode_json(data)
    except ZipkinError as error:
        assert str(error).startswith("cannot read")  # noqa: PT017


def test_every_row_of_the_tables_is_of_use() -> None:
    assert {field for fields in ENDPOINTS.values() for field in fields} == {"serviceName", "ipv4", "ipv6", "port"}
    for prefix in RESOURCE_TAGS:
        assert only(tags={f"{prefix}x": "v"}).resource.attributes[f"{prefix}x"] == "v"
