from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ot_bridge.traces.analyse import RULES, Finding, analyse
from ot_bridge.traces.analyse.error_origin import error_origin
from ot_bridge.traces.analyse.errors import error_mark
from ot_bridge.traces.analyse.reading import read
from ot_bridge.traces.model import Event, Link, Resource, Span
from ot_bridge.traces.tree import Trace
from traces_made import MS, NOON, TRACE_ID, made, trace
from traces_recorded import demo_trace


def event(name: str, at: float = 5, **fields: Any) -> Event:
    return Event(NOON + round(at * MS), name, {key.replace("__", "."): value for key, value in fields.items()})


def exception(kind: str, message: str = "", at: float = 5, stack: str = "") -> Event:
    tags = {"exception.type": kind, "exception.message": message}
    return Event(NOON + round(at * MS), "exception", {**tags, **({"exception.stacktrace": stack} if stack else {})})


def origins(*spans: Span) -> list[Finding]:
    return list(error_origin(read(trace(*spans))))


def told(*spans: Span) -> list[tuple[str, str, str, str, list[str]]]:
    """Give verdict, severity, certainty, service and the names of the spans of each finding."""
    found = trace(*spans)
    return [
        (one.verdict, one.severity, one.certainty, one.service, [found.spans[index].name for index in one.spans])
        for one in error_origin(read(found))
    ]


SIGNS: dict[str, tuple[dict[str, Any], tuple[str, str] | None]] = {
    "status": ({"status": "error", "message": "no"}, ("status", "no")),
    "status before tag": ({"status": "error", "tags": {"error": True, "error.message": "lost"}}, ("status", "lost")),
    "status as a tag": ({"tags": {"otel.status_code": "ERROR", "otel.status_description": "x"}}, ("status", "x")),
    "tag true": ({"tags": {"error": True}}, ("tag", "")),
    "tag 'true'": ({"tags": {"error": "true"}}, ("tag", "")),
    "tag 'True'": ({"tags": {"error": "True"}}, ("tag", "")),
    "tag 1": ({"tags": {"error": 1}}, ("tag", "")),
    "tag '1'": ({"tags": {"error": "1"}}, ("tag", "")),
    "tag with a text": ({"tags": {"error": "timed out"}}, ("tag", "timed out")),
    "tag false": ({"tags": {"error": False}}, None),
    "tag 'false'": ({"tags": {"error": "false"}}, None),
    "tag 0": ({"tags": {"error": 0}}, None),
    "tag ''": ({"tags": {"error": ""}}, None),
    "zipkin's tag ''": ({"tags": {"error": ""}, "via": "zipkin"}, ("tag", "")),
    "log error": ({"events": [event("error", message="down")]}, ("event", "down")),
    "log event=error": ({"events": [event("log", event="error", message="down")]}, ("event", "down")),
    "log error.kind": (
        {"events": [event("x", error__kind="<class 'KeyError'>", message="'a'")]},
        ("event", "KeyError: 'a'"),
    ),
    "log error.object": ({"events": [event("x", error__object="boom")]}, ("event", "boom")),
    "log level=error": ({"events": [event("payment.failed", level="ERROR")]}, ("event", "payment.failed")),
    "log level=warn": ({"events": [event("payment.slow", level="warn")]}, None),
    "exception": ({"events": [exception("a.B", "c")]}, ("event", "a.B: c")),
    "exception that escaped": ({"events": [event("exception", exception__escaped=True)]}, ("event", "")),
    "exception that was caught": ({"events": [event("exception", exception__escaped=False)]}, None),
    "exception that was caught, as text": ({"events": [event("exception", exception__escaped="False")]}, None),
    "grpc": ({"tags": {"rpc.grpc.status_code": 14}}, ("grpc", "UNAVAILABLE")),
    "grpc of old": ({"tags": {"grpc.status_code": "StatusCode.INTERNAL"}}, ("grpc", "INTERNAL")),
    "grpc of today": ({"tags": {"rpc.response.status_code": "UNKNOWN"}}, ("grpc", "UNKNOWN")),
    "grpc ok": ({"tags": {"rpc.grpc.status_code": 0}}, None),
    "grpc ok as text": ({"tags": {"rpc.response.status_code": "OK"}}, None),
    "grpc not found at a client": ({"kind": "client", "tags": {"rpc.grpc.status_code": 5}}, ("grpc", "NOT_FOUND")),
    "grpc not found at a server": ({"kind": "server", "tags": {"rpc.grpc.status_code": 5}}, None),
    "http 500": ({"kind": "server", "tags": {"http.status_code": 500}}, ("http", "HTTP 500")),
    "http '503'": ({"kind": "server", "tags": {"http.status_code": "503"}}, ("http", "HTTP 503")),
    "http 502 of today": ({"tags": {"http.response.status_code": 502}}, ("http", "HTTP 502")),
    "http 404 at a server": ({"kind": "server", "tags": {"http.status_code": 404}}, None),
    "http 404 at a client": ({"kind": "client", "tags": {"http.status_code": 404}}, ("http", "HTTP 404")),
    "http 399 at a client": ({"kind": "client", "tags": {"http.status_code": 399}}, None),
    "http code that is none": ({"tags": {"http.status_code": "5xx"}}, None),
    "http true": ({"tags": {"http.status_code": True}}, None),
    "nothing": ({}, None),
    "ok above all": ({"status": "ok", "tags": {"error": True, "http.status_code": 500}}, None),
}


@pytest.mark.parametrize(("fields", "wanted"), SIGNS.values(), ids=SIGNS)
def test_a_failed_span_is_known_by_its_first_sign(fields: dict[str, Any], wanted: tuple[str, str] | None) -> None:
    mark = error_mark(made("a", 1, **fields))
    assert (mark and (mark.sign, mark.message)) == wanted


def test_the_message_is_the_status_then_the_exception_then_the_log() -> None:
    log, raised = event("error", message="a log"), exception("b.C", "d")
    marks = [
        error_mark(made("a", 1, status="error", message="a text", events=[log, raised])),
        error_mark(made("a", 1, status="error", events=[log, raised])),
        error_mark(made("a", 1, status="error", events=[log])),
    ]
    assert [mark and mark.message for mark in marks] == ["a text", "b.C: d", "a log"]


def test_a_failure_is_dated_by_its_first_exception_and_named_by_its_last() -> None:
    mark = error_mark(made("a", 1, status="error", events=[exception("First", at=2), exception("Last", at=7)]))
    assert mark is not None
    assert (mark.time_ns - NOON, mark.exception) == (2 * MS, ("Last", ""))


def test_an_exception_that_pythons_sdk_says_was_caught_still_names_a_failed_span() -> None:
    caught = Event(NOON, "exception", {"exception.type": "A", "exception.message": "b", "exception.escaped": "False"})
    mark = error_mark(made("a", 1, status="error", events=[caught]))
    assert mark is not None
    assert mark.exception == ("A", "b")


def test_the_demos_failure_began_in_the_gateway_that_answered_too_late() -> None:
    recorded = demo_trace()
    found = [one for one in analyse(recorded).findings if one.rule == "error-origin"]
    assert [(one.verdict, one.service, one.severity, one.certainty) for one in found] == [
        ("gave-up", "payment-gateway", "error", "sure")
    ]
    assert found[0].text == (
        "payment-gateway did not answer in time: payment-service 'POST /charges' gave up after 408 ms (ReadTimeout), "
        "while payment-gateway 'POST /charges' took 704 ms, 700 ms of it in 'ask the bank'; so order-service "
        "'checkout' answered 503"
    )
    assert [recorded.spans[index].name for index in found[0].spans] == [
        "POST /charges",
        "POST /charges",
        "ask the bank",
        "POST /payments",
        "POST /payments",
        "checkout",
    ]
    assert recorded.spans[found[0].spans[0]].kind == "client"


def test_nothing_else_is_found_wrong_with_the_demos_trace() -> None:
    assert {one.rule for one in analyse(demo_trace()).findings} & {"cut-trace", "clock-skew"} == set()


def call(span_id: int, parent: int, name: str = "POST /pay", **fields: Any) -> Span:
    return made(name, span_id, parent, **{"kind": "client", "status": "error", **fields})


def test_the_deepest_of_a_chain_caused_the_failure() -> None:
    assert told(
        made("buy", 1, took=100, kind="server", status="error"),
        call(2, 1, took=90, at=5),
        made("pay", 3, 2, took=80, at=10, service="bank", kind="server", status="error"),
        made("charge", 4, 3, took=10, at=20, service="bank", status="error", events=[exception("KeyError", "'a'", 25)]),
    ) == [("caused-failure", "error", "sure", "bank", ["charge", "pay", "POST /pay", "buy"])]


def test_the_sentence_says_what_failed_of_it() -> None:
    root = made("buy", 1, took=100, kind="server", status="error", tags={"http.status_code": 500})
    (found,) = origins(root, made("charge", 2, 1, status="error", events=[exception("x.KeyError", "'a'")]))
    assert found.text == "shop 'charge' failed after 10 ms with KeyError: 'a'; so shop 'buy' answered 500"


def test_an_exception_that_crossed_a_silent_span_is_one_chain() -> None:
    raised = exception("ValueError", "bad card")
    assert told(
        made("buy", 1, took=100, status="error", events=[raised]),
        made("charge", 2, 1, service="bank", took=50, kind="server"),
        made("check", 3, 2, service="bank", took=20, status="error", events=[raised]),
    ) == [("caused-failure", "error", "sure", "bank", ["check", "buy"])]


def test_a_plain_span_that_says_nothing_lets_an_error_through_inside_one_service() -> None:
    spans = [made("buy", 1, took=100, status="error"), made("step", 2, 1, took=50), made("run", 3, 2, status="error")]
    assert told(*spans) == [("caused-failure", "error", "likely", "shop", ["run", "buy"])]


def test_stacks_that_end_in_one_frame_are_one_exception() -> None:
    frames = 'Traceback\n  File "a.py", line 3, in run\n    boom()\n'
    above = 'Traceback\n  File "z.py", line 1, in main\n  File "a.py", line 3, in run\n    boom()\n'
    assert told(
        made("buy", 1, took=100, status="error", events=[exception("E", "", 30, above)]),
        made("step", 2, 1, took=50, status="ok"),
        made("run", 3, 2, status="error", events=[exception("E", "", 20, frames)]),
    ) == [("caused-failure", "error", "sure", "shop", ["run", "buy"])]


def test_an_error_below_a_span_that_is_well_was_handled() -> None:
    assert told(made("buy", 1, took=100), call(2, 1, tags={"http.status_code": 500})) == [
        ("handled", "note", "likely", "shop", ["POST /pay", "buy"])
    ]


def test_a_parent_that_went_on_and_then_failed_of_its_own_is_its_own_origin() -> None:
    one = 'Traceback\n  File "a.py", line 3, in run\n'
    other = 'Traceback\n  File "b.py", line 9, in buy\n'
    assert told(
        made("buy", 1, took=100, status="error", events=[exception("KeyError", "'a'", 90, other)]),
        made("offer", 2, 1, at=5, status="error", events=[exception("Timeout", "t", 9, one)]),
        made("reserve", 3, 1, at=20),
    ) == [
        ("caused-failure", "error", "sure", "shop", ["buy"]),
        ("handled", "note", "sure", "shop", ["offer", "buy"]),
    ]


RESPONSES = {
    "status_code": {"http.status_code": 500, "http.url": "http://bank/pay"},
    "none": {"http.url": "http://bank/pay"},
}


@pytest.mark.parametrize("tags", RESPONSES.values(), ids=RESPONSES)
def test_a_call_that_went_well_the_second_time_was_retried(tags: dict[str, Any]) -> None:
    spans = [
        made("buy", 1, took=100),
        call(2, 1, at=5, tags=tags),
        call(3, 1, at=20, tags=tags),
        made("POST /pay", 4, 1, at=40, kind="client", tags={**tags, "http.status_code": 200}),
    ]
    assert [(verdict, severity) for verdict, severity, *_ in told(*spans)] == [("retried", "note")]
    assert "in 2 tries" in origins(*spans)[0].text


def test_the_next_item_of_a_loop_is_no_second_try_of_the_one_that_failed() -> None:
    assert told(
        made("buy", 1, took=100, status="error"),
        made("item", 2, 1, at=5, status="error"),
        made("item", 3, 1, at=20),
    ) == [("caused-failure", "error", "sure", "shop", ["item", "buy"])]


def test_tries_that_all_failed_are_one_cause() -> None:
    (found,) = origins(made("buy", 1, took=100, status="error"), *(call(2 + i, 1, at=5 + 20 * i) for i in range(3)))
    assert (found.severity, found.numbers["spans_count"], ", 3 times" in found.text) == ("error", 3, True)


def timed_out(server: Span, **fields: Any) -> list[Span]:
    raised = exception("requests.exceptions.ReadTimeout", "too slow", 55)
    root = made("buy", 1, took=100, kind="server", status="error")
    return [root, call(2, 1, at=5, took=50, events=[raised], **fields), server]


def test_a_client_that_gave_up_names_where_its_servers_time_went() -> None:
    server = made("pay", 3, 2, at=10, took=200, service="gate", kind="server")
    ask = made("ask", 4, 3, at=12, took=190, service="gate", kind="client")
    bank = made("score", 5, 4, at=13, took=188, service="bank", kind="server")
    (found,) = origins(*timed_out(server), ask, bank)
    assert (found.verdict, found.service, found.certainty) == ("gave-up", "bank", "sure")
    assert found.text == (
        "gate did not answer in time: shop 'POST /pay' gave up after 50 ms (ReadTimeout), while gate 'pay' took "
        "200 ms, 188 ms of it in bank 'score'; so shop 'buy' failed"
    )


def test_a_server_that_failed_after_its_client_had_given_up_is_a_consequence() -> None:
    late = [exception("BrokenPipeError", "", 205)]
    server = made("pay", 3, 2, at=10, took=200, service="bank", kind="server", status="error", events=late)
    assert told(*timed_out(server)) == [
        ("gave-up", "error", "sure", "bank", ["POST /pay", "pay", "buy"]),
        ("consequence", "note", "likely", "shop", ["pay", "POST /pay"]),
    ]


def test_a_server_that_failed_before_its_client_gave_up_is_the_cause() -> None:
    early = [exception("KeyError", "'a'", 30)]
    server = made("pay", 3, 2, at=10, took=200, service="bank", kind="server", status="error", events=early)
    assert told(*timed_out(server))[0] == ("caused-failure", "error", "sure", "bank", ["pay", "POST /pay", "buy"])


def test_a_late_server_is_known_by_durations_when_its_clock_is_behind() -> None:
    server = made("pay", 3, 2, at=-900, took=200, service="bank", kind="server", resource={"host.name": "b"})
    assert told(*timed_out(server, resource={"host.name": "a"}))[0][0] == "gave-up"


def test_a_failing_server_whose_clock_is_far_ahead_is_still_the_cause() -> None:
    fields: dict[str, Any] = {"service": "bank", "kind": "server", "status": "error"}
    server = made("pay", 3, 2, at=5000, took=20, **fields, resource={"host.name": "b"})
    root = made("buy", 1, took=100, kind="server", status="error", resource={"host.name": "a"})
    client = call(2, 1, at=5, took=50, resource={"host.name": "a"}, tags={"http.status_code": 500})
    assert told(root, client, server)[0][:4] == ("caused-failure", "error", "sure", "bank")


def test_an_answer_that_ended_well_in_time_points_between_the_two() -> None:
    server = made("pay", 3, 2, at=10, took=20, service="bank", kind="server")
    (found,) = origins(*timed_out(server))
    assert (found.verdict, found.service, found.certainty) == ("gave-up", "shop", "likely")
    assert "although bank 'pay' ended well within 20 ms" in found.text


def test_a_server_that_answered_an_error_and_says_nothing_is_the_cause() -> None:
    root = made("buy", 1, took=100, status="error")
    server = made("pay", 3, 2, at=6, took=8, service="bank", kind="server")
    (found,) = origins(root, call(2, 1, at=5, tags={"http.status_code": 503}), server)
    assert (found.verdict, found.service, found.certainty) == ("caused-failure", "bank", "likely")
    assert found.text == (
        "bank 'pay' answered shop HTTP 503 after 10 ms, and its own span says nothing of it; so shop 'buy' failed"
    )


def test_an_error_inside_a_server_that_says_nothing_goes_through_to_the_client_that_was_told() -> None:
    root = made("buy", 1, took=100, status="error")
    server = made("pay", 3, 2, at=6, took=8, service="bank", kind="server")
    inside = made("charge", 4, 3, at=7, took=3, service="bank", status="error")
    assert told(root, call(2, 1, at=5, tags={"http.status_code": 503}), server, inside) == [
        ("caused-failure", "error", "likely", "bank", ["charge", "POST /pay", "buy"])
    ]


def test_a_client_without_a_server_has_a_silent_peer() -> None:
    (found,) = origins(made("buy", 1, took=100, status="error"), call(2, 1, tags={"peer.service": "bank"}))
    assert (found.verdict, found.service, found.certainty, found.severity) == (
        "silent-peer",
        "bank",
        "likely",
        "error",
    )
    assert found.text == "shop 'POST /pay' failed after 10 ms; bank did not report; so shop 'buy' failed"


def test_a_database_is_not_blamed_for_sending_no_spans() -> None:
    tags = {"db.system": "postgresql", "server.address": "db1"}
    (found,) = origins(made("buy", 1, took=100, status="error"), call(2, 1, "SELECT", tags=tags))
    assert (found.service, "did not report" in found.text, "a call of db1" in found.text) == ("shop", False, True)


def test_an_error_below_a_missing_parent_is_cut() -> None:
    assert told(made("buy", 1, took=100), made("pay", 3, 99, service="bank", kind="server", status="error")) == [
        ("cut", "error", "guess", "bank", ["pay"])
    ]


def test_siblings_that_were_cancelled_after_the_failure_are_consequences() -> None:
    cancelled = [exception("asyncio.exceptions.CancelledError", "", 12)]
    assert told(
        made("buy", 1, took=100, status="error"),
        made("one", 2, 1, at=1, took=12, status="error", events=cancelled),
        made("two", 3, 1, at=2, took=9, status="error", events=[exception("KeyError", "'a'", 11)]),
        made("three", 4, 1, at=3, took=10, status="error", events=cancelled),
    ) == [
        ("caused-failure", "error", "sure", "shop", ["two", "buy"]),
        ("consequence", "note", "likely", "shop", ["one", "two", "three"]),
    ]


def test_a_request_that_was_cancelled_and_did_not_fail_otherwise_says_so() -> None:
    cancelled = [exception("asyncio.CancelledError", "")]
    assert told(made("buy", 1, status="error", events=cancelled))[0][:2] == ("caused-failure", "error")


def test_an_expected_404_is_no_finding() -> None:
    assert told(made("buy", 1, took=100), call(2, 1, status="unset", tags={"http.status_code": 404})) == []


def test_a_404_is_not_blamed_where_another_call_failed_later() -> None:
    assert told(
        made("buy", 1, took=100, status="error"),
        call(2, 1, "GET /user", at=5, status="unset", tags={"http.status_code": 404}),
        call(3, 1, at=50, tags={"http.status_code": 500, "peer.service": "bank"}),
    ) == [("silent-peer", "error", "likely", "bank", ["POST /pay", "buy"])]


def test_a_404_that_alone_explains_the_failure_is_likely_its_cause() -> None:
    found = told(made("buy", 1, took=100, status="error"), call(2, 1, tags={"http.status_code": 404}))
    assert [(verdict, certainty) for verdict, _, certainty, *_ in found] == [("silent-peer", "likely")]


def test_an_error_that_nobody_awaited_failed_nothing_else() -> None:
    follows = [Link(TRACE_ID, 1, {"opentracing.ref_type": "follows_from"})]
    spans = [
        made("buy", 1, took=100, status="error"),
        made("mail", 2, 1, status="error", links=follows),
        made("send", 3, 1, kind="producer", at=30),
        made("work", 4, 3, kind="consumer", at=31, service="mail", status="error"),
    ]
    assert [(verdict, severity, names) for verdict, severity, _, _, names in told(*spans)] == [
        ("caused-failure", "error", ["buy"]),
        ("not-awaited", "warning", ["mail", "buy"]),
        ("not-awaited", "warning", ["work", "send"]),
    ]


def test_an_error_of_a_task_that_outlived_its_parent_did_not_fail_it() -> None:
    spans = [made("buy", 1, took=100, status="error"), made("task", 2, 1, at=50, took=300, status="error")]
    assert [(verdict, names) for verdict, *_, names in told(*spans)] == [
        ("caused-failure", ["buy"]),
        ("not-awaited", ["task", "buy"]),
    ]


def test_of_two_failures_the_earlier_one_comes_first_and_the_other_is_a_guess() -> None:
    assert told(
        made("buy", 1, took=100, status="error"),
        made("late", 2, 1, at=1, took=60, status="error"),
        made("early", 3, 1, at=2, took=20, status="error"),
    ) == [
        ("caused-failure", "error", "sure", "shop", ["early", "buy"]),
        ("caused-failure", "warning", "guess", "shop", ["late", "buy"]),
    ]


def test_a_flood_of_ways_to_fail_is_bounded() -> None:
    spans = [made(f"step {i}", 2 + i, 1, at=i, status="error") for i in range(100)]
    found = origins(made("buy", 1, took=200, status="error"), *spans)
    assert (len(found), found[-1].text) == (21, "80 more spans failed in 80 other ways")


def test_long_and_many_lined_texts_are_short_and_one_line_in_a_sentence() -> None:
    (found,) = origins(made("n\n" * 5000, 1, status="error", message="m\n" * 5000, service="s" * 5000))
    assert (len(found.text) < 500, "\n" in found.text) == (True, False)


def test_an_error_free_trace_has_no_findings() -> None:
    assert told(made("buy", 1, took=100), made("pay", 2, 1)) == []


def test_a_chain_of_5000_failures_has_one_origin() -> None:
    raised = [exception("E", "m", 1)]
    spans = [made(f"s{i}", i + 1, i, at=0, took=100, status="error", events=raised) for i in range(5000)]
    (found,) = origins(*spans)
    assert (found.spans[0], found.severity) == (4999, "error")


KINDS = st.sampled_from(["internal", "server", "client", "producer", "consumer"])
TIMES = st.one_of(st.sampled_from([0, 1, 2**63, 2**64 - 1]), st.integers(NOON, NOON + 10**9))
HOSTILE = st.builds(
    Span,
    trace_id=st.sampled_from([TRACE_ID, TRACE_ID & (2**64 - 1), 7]),
    span_id=st.integers(0, 12),
    parent_id=st.integers(0, 14),
    name=st.sampled_from(["a", "b", "", "\x1b[31m\n"]),
    message=st.sampled_from(["", "\x1b]0;title\x07\u202e"]),
    start_ns=TIMES,
    end_ns=TIMES,
    kind=KINDS,
    status=st.sampled_from(["unset", "ok", "error"]),
    attributes=st.dictionaries(
        st.sampled_from(["error", "http.status_code", "grpc.status_code", "peer.service", "http.url", "db.system"]),
        st.one_of(st.text(max_size=5), st.integers(), st.floats(), st.booleans(), st.none(), st.binary(max_size=3)),
        max_size=3,
    ),
    events=st.lists(
        st.sampled_from([exception("E", "m"), exception("CancelledError"), event("error"), event("x", level=None)]),
        max_size=2,
    ).map(tuple),
    links=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12)).map(lambda ids: Link(*ids)), max_size=2).map(tuple),
    flags=st.sampled_from([0, 0x100, 0x300]),
    resource=st.sampled_from([Resource(), *(Resource({"service.name": name}) for name in ("s", "\x1b[0m", "<b>"))]),
    dropped=st.tuples(*[st.integers(0, 2)] * 3),
)


@given(st.lists(HOSTILE, max_size=25), st.sampled_from([None, NOON, 2**63]))
def test_no_spans_break_a_rule(spans: list[Span], now_ns: int | None) -> None:
    found = Trace(spans)
    for one in analyse(found, now_ns).findings:
        assert one.rule in {rule.key for rule in RULES}
        assert all(0 <= index < len(found) for index in one.spans)
        assert one.text.isprintable()


@given(st.lists(HOSTILE, max_size=25))
def test_every_failed_span_that_no_other_explains_is_in_one_finding_and_a_failed_root_has_one_error(
    spans: list[Span],
) -> None:
    found = Trace(spans)
    reading = read(found)
    findings = error_origin(reading)
    errors = [one for one in findings if one.severity == "error"]
    assert bool(findings) <= bool(reading.errors)
    if found.root in reading.errors:
        assert errors


def test_an_error_does_not_go_through_a_server_whose_client_was_told_of_none() -> None:
    client = made("call", 2, 1, at=5, took=50, kind="client", tags={"http.status_code": 200})
    server = made("pay", 3, 2, at=6, took=40, service="bank", kind="server")
    inside = made("charge", 4, 3, at=7, took=3, service="bank", status="error")
    found = told(made("buy", 1, took=100, status="error"), client, server, inside)
    assert [(verdict, names) for verdict, *_, names in found] == [
        ("caused-failure", ["buy"]),
        ("handled", ["charge", "pay"]),
    ]


def test_the_frames_of_java_are_read_from_the_top() -> None:
    def raised(frame: str, at: float) -> Event:
        return exception("E", "", at, f"E: x\n\tat {frame}\n\tat main(A.java:1)\n")

    def names(first: str, second: str) -> list[list[str]]:
        spans = [
            made("buy", 1, took=100, status="error", events=[raised(first, 30)]),
            made("step", 2, 1, took=50, status="ok"),
            made("run", 3, 2, status="error", events=[raised(second, 20)]),
        ]
        return [names for *_, names in told(*spans)]

    assert names("pay(A.java:7)", "pay(A.java:7)") == [["run", "buy"]]
    assert names("pay(A.java:7)", "buy(B.java:9)") == [["buy"], ["run", "step"]]


def test_without_stack_traces_the_earlier_error_of_two_is_blamed() -> None:
    assert told(
        made("buy", 1, took=100, status="error", events=[exception("KeyError", "'a'", 90)]),
        made("offer", 2, 1, at=5, status="error", events=[exception("Timeout", "t", 9)]),
        made("reserve", 3, 1, at=20),
    ) == [("caused-failure", "error", "sure", "shop", ["offer", "buy"])]


def test_a_server_that_closes_its_span_a_little_late_was_not_late() -> None:
    late = {"service": "bank", "kind": "server", "status": "error"}
    spans = [made("buy", 1, took=100, status="error"), call(2, 1, at=5, took=50)]
    assert told(*spans, made("pay", 3, 2, at=8, took=49, **late))[0][0] == "caused-failure"
    assert told(*spans, made("pay", 3, 2, at=8, took=60, **late))[0][0] == "gave-up"


@pytest.mark.parametrize("took", [0, -5, 10])
def test_a_chain_of_5000_calls_is_read_by_every_rule(took: float) -> None:
    kinds: list[Any] = ["client", "server"]
    spans = [
        made(f"s{i}", i + 1, i, took=took, kind=kinds[i % 2], service=f"s{i}", status="error", flags=i)
        for i in range(5000)
    ]
    found = analyse(Trace(spans)).findings
    assert next(one.severity for one in found if one.rule == "error-origin") == "error"


@given(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["shop", "bank", "mail"]), st.booleans()), max_size=25),
    st.integers(0, 25),
)
def test_a_failure_that_is_planted_in_any_tree_is_found_where_it_began(
    rows: list[tuple[int, str, bool]], place: int
) -> None:
    parents, spans = [-1], [made("s0", 1, took=1000)]
    for number, (above, service, called) in enumerate(rows, 1):
        parents.append(min(above, number - 1))
        start, took = (spans[parents[-1]].start_ns - NOON) / MS, spans[parents[-1]].duration_ns / MS
        kind: Any = "server" if called else "internal"
        fields: dict[str, Any] = {"at": start + took / 10, "took": took / 2, "service": service, "kind": kind}
        spans.append(made(f"s{number}", number + 1, parents[-1] + 1, **fields))
    origin = index = place % len(spans)
    while index >= 0:
        spans[index] = replace(spans[index], status="error")
        index = parents[index]
    (found,) = origins(*spans)
    first = trace(*spans).spans[found.spans[0]]
    assert (first.name, found.verdict, found.severity, found.service) == (
        f"s{origin}",
        "caused-failure",
        "error",
        spans[origin].service,
    )
