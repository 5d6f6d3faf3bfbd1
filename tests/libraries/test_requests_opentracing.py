"""Requests-OpenTracing, calling a bridged service."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import opentracing
import pytest
import requests
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing.mocktracer import MockTracer

import ot_bridge
from compat.cells import cell, limited
from libraries.web import Downstream, downstream, shape, spans
from ot_bridge import BridgeTracer
from spans import as_dict

requests_opentracing = pytest.importorskip("requests_opentracing", reason="needs Requests-OpenTracing: make compat")

pytestmark = cell(
    "libraries", "Requests-OpenTracing", packages=("Requests-OpenTracing", "requests"), counterpart="HTTP server"
)


@pytest.fixture
def following() -> Iterator[Downstream]:
    with downstream() as service:
        yield service


def test_request_is_one_client_span_and_carries_on(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, following: Downstream
) -> None:
    with (
        tracer.start_active_span("work") as scope,
        requests_opentracing.SessionTracing(tracer, span_tags={"team": "shop"}) as session,
    ):
        scope.span.set_baggage_item("tenant", "blue")
        answer = session.get(f"{following.url}/orders")
    found = spans(exporter, 2)
    called = shape(found["requests.get"])
    assert answer.text == "blue"
    assert called == {
        "name": "requests.get",
        "kind": "CLIENT",
        "trace_id": as_dict(found["work"])["trace_id"],
        "parent_id": as_dict(found["work"])["span_id"],
        "status": {"code": "UNSET", "description": ""},
        "attributes": {
            "component": "requests",
            "http.method": "get",
            "http.url": f"{following.url}/orders",
            "http.status_code": 200,
            "team": "shop",
        },
        "events": [],
        "links": [],
    }
    following.continues(found["requests.get"])


def test_own_headers_stay_and_propagation_can_be_off(tracer: BridgeTracer, following: Downstream) -> None:
    requests_opentracing.SessionTracing(tracer).get(following.url, headers={"X-Own": "1"})
    requests_opentracing.SessionTracing(tracer, propagate=False).get(following.url)
    first, second = following.headers
    assert (first["x-own"], "uber-trace-id" in first, "traceparent" in first) == ("1", True, True)
    assert not {"uber-trace-id", "traceparent"} & set(second)


def test_connection_that_fails_is_an_error_with_its_traceback(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(requests.ConnectionError):
            requests_opentracing.SessionTracing(tracer).get(url)
    called = shape(spans(exporter, 1)["requests.get"])
    assert called["status"]["code"] == "ERROR"
    assert "ConnectionError" in called["attributes"]["error.object"]


def test_patched_requests_use_the_global_tracer_under_a_native_span(
    provider: TracerProvider,
    exporter: InMemorySpanExporter,
    following: Downstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(requests, "Session", requests.Session)  # they are put back after the test
    monkeypatch.setattr(requests.sessions, "Session", requests.sessions.Session)
    requests_opentracing.monkeypatch_requests()
    ot_bridge.install(tracer_provider=provider)
    with trace.get_tracer("native").start_as_current_span("native"):
        requests.get(following.url, timeout=20)
    found = spans(exporter, 2)
    assert found["requests.get"].parent == found["native"].context
    following.continues(found["requests.get"])


def test_requests_at_the_same_time_do_not_mix(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, following: Downstream
) -> None:
    session = requests_opentracing.SessionTracing(tracer)

    def call(number: int) -> str:
        with tracer.start_active_span(f"work {number}") as scope:
            scope.span.set_baggage_item("tenant", f"tenant-{number}")
            return str(session.get(f"{following.url}/{number}").text)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(call, range(32)))
    assert answers == [f"tenant-{number}" for number in range(32)]
    found = [as_dict(span) for span in exporter.get_finished_spans()]
    work = {span["name"]: span["span_id"] for span in found if span["name"].startswith("work")}
    parents = {
        span["attributes"]["http.url"].rsplit("/")[-1]: span["parent_id"]
        for span in found
        if span["name"] == "requests.get"
    }
    assert parents == {name.split()[1]: span_id for name, span_id in work.items()}


@pytest.mark.parametrize("with_mock", [False, True], ids=["bridge", "MockTracer"])
@limited("headers=None, which requests takes, raises, with every tracer: leave the argument out")
def test_headers_none_raises(with_mock: bool, tracer: BridgeTracer, following: Downstream) -> None:
    session = requests_opentracing.SessionTracing(MockTracer() if with_mock else tracer)
    # MockTracer writes into what it is given; the bridge raises what OpenTracing promises.
    expected = TypeError if with_mock else opentracing.InvalidCarrierException
    with pytest.raises(expected):
        session.get(following.url, headers=None)
    assert not following.headers
