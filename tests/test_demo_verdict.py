from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.demo_records import TRACE_ID, changed, whole_trace

from ot_bridge.demo.verdict import Story, cause, hops, judge, judge_shape
from ot_bridge.traces.model import Resource, Span

STORY = Story(
    services=("shop", "store", "bank"),
    skipped=("courier",),
    baggage={"tier": "gold member"},
    baggage_seen_by=("store", "bank"),
    fails_in="bank",
    logs=("exception", "parcel.skipped"),
)


def without(*span_ids: int) -> list[Span]:
    return [span for span in whole_trace() if span.span_id not in span_ids]


def failures(spans: list[Span]) -> list[str]:
    return [finding.text for finding in judge(spans, STORY) if not finding.good]


def test_whole_trace_has_no_failure() -> None:
    assert [finding.text for finding in judge(whole_trace(), STORY)] == [
        "one trace: 5 spans from 3 processes",
        "every span but the root has its parent in the trace",
        "2 hops: ot_bridge to jaeger-client by uber-trace-id, ot_bridge to opentelemetry-python by traceparent",
        "spans of shop, store and bank; none of courier",
        "baggage tier='gold member' was read by store and bank",
        "logs of every tracer: exception, parcel.skipped",
        "the failure is where it began: bank",
    ]
    assert failures(whole_trace()) == []


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(list, None, id="nothing-spoiled"),
        pytest.param(lambda spans: [], "no span has arrived", id="nothing-arrived"),
        pytest.param(
            lambda spans: changed(spans, 5, trace_id=7, parent_id=0),
            "2 traces instead of one: bank 'POST /charge' began another one "
            "(opentelemetry-python; the request brought uber-trace-id and traceparent)",
            id="two-traces",
        ),
        pytest.param(
            lambda spans: changed(spans, 3, trace_id=7, parent_id=0, attributes={"baggage.tier": "gold member"}),
            "2 traces instead of one: store 'GET /stock' began another one "
            "(jaeger-client; the request brought no trace header)",
            id="no-header",
        ),
        pytest.param(
            lambda spans: [span for span in spans if span.span_id != 2],
            "not every parent is in the trace: store 'GET /stock' names the parent 0000000000000002",
            id="missing-parent",
        ),
        pytest.param(
            lambda spans: changed(spans, 2, parent_id=0),
            "2 roots in one trace: shop 'buy' and shop 'GET /stock'",
            id="two-roots",
        ),
        pytest.param(
            lambda spans: changed(spans, 3, attributes={"baggage.tier": "gold member"}),
            "no header that arrived names the parent of store 'GET /stock' "
            "(jaeger-client; the request brought no trace header)",
            id="parent-from-nowhere",
        ),
        pytest.param(
            lambda spans: [span for span in spans if span.service != "store"], "no span of store", id="missing-service"
        ),
        pytest.param(
            lambda spans: changed(spans, 2, resource=Resource({"service.name": "courier"})),
            "courier has spans, expected none",
            id="not-skipped",
        ),
        pytest.param(
            lambda spans: changed(spans, 3, attributes={**spans[2].attributes, "baggage.tier": "gold%20member"}),
            "baggage tier='gold member' was lost: store 'GET /stock' read 'gold%20member'",
            id="baggage-mangled",
        ),
        pytest.param(
            lambda spans: changed(
                spans, 5, attributes={"http.request.header.traceparent": f"00-{TRACE_ID:032x}-{4:016x}-01"}
            ),
            "baggage tier='gold member' was lost: nothing in bank read it",
            id="baggage-unread",
        ),
        pytest.param(lambda spans: changed(spans, 1, events=()), "no span has the log parcel.skipped", id="log-lost"),
        pytest.param(
            lambda spans: [span for span in changed(spans, 1, status="unset") if span.span_id not in (4, 5)],
            "nothing says why the request failed, expected bank",
            id="no-error",
        ),
        pytest.param(
            lambda spans: [span for span in spans if span.span_id not in (4, 5)],
            "the failure began in shop, expected bank",
            id="error-elsewhere",
        ),
    ],
)
def test_verdict_gives_the_reason(spoil: Callable[[list[Span]], list[Span]], reason: str | None) -> None:
    found = failures(spoil(whole_trace()))
    assert (reason in found) if reason else (found == [])


def test_failure_began_in_the_service_that_answered_too_late() -> None:
    found = cause(whole_trace())
    assert found is not None
    assert (found.verdict, found.service) == ("gave-up", "bank")


def test_trace_without_errors_has_no_cause() -> None:
    assert cause(without(1, 4)) is None


def test_native_service_follows_traceparent_though_uber_trace_id_arrived_too() -> None:
    assert [(callee.service, how.arrived, how.followed) for _, callee, how in hops(whole_trace())] == [
        ("store", ("uber-trace-id",), "uber-trace-id"),
        ("bank", ("uber-trace-id", "traceparent"), "traceparent"),
    ]


@pytest.mark.parametrize("header", [f"{TRACE_ID:x}%3A2%3A0%3A1", f"{TRACE_ID:x}:2:0:1"], ids=["encoded", "plain"])
def test_url_encoded_header_is_read(header: str) -> None:
    spans = changed(whole_trace(), 3, attributes={"http.request.header.uber-trace-id": header})
    assert hops(spans)[0][2].followed == "uber-trace-id"


@pytest.mark.parametrize("header", ["", "zz:2:0:1", f"{TRACE_ID:x}", f"{TRACE_ID:x}:3:0:1"])
def test_header_that_does_not_name_the_parent_is_not_followed(header: str) -> None:
    spans = changed(whole_trace(), 3, attributes={"http.request.header.uber-trace-id": header})
    assert hops(spans)[0][2].followed is None


def test_request_with_a_parent_from_outside_is_whole_only_where_that_is_allowed() -> None:
    spans = changed(whole_trace(), 1, parent_id=99)
    assert all(finding.good for finding in judge_shape(spans, entry="shop"))
    assert not all(finding.good for finding in judge_shape(spans, entry="store"))
    assert not all(finding.good for finding in judge_shape(spans))
