"""Flask-OpenTracing under Flask, asked over HTTP."""

from __future__ import annotations

import threading
from typing import Any

import opentracing
import pytest
import requests
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing.mocktracer import MockTracer

import ot_bridge
from compat.cells import cell, limited
from libraries.web import PARENT_ID, TRACE_ID, at_once, downstream, incoming, shape, spans, wait_for, wsgi
from ot_bridge import BridgeTracer
from spans import as_dict

flask = pytest.importorskip("flask", reason="needs Flask: make compat")
flask_opentracing = pytest.importorskip("flask_opentracing", reason="needs Flask-OpenTracing: make compat")

pytestmark = cell(
    "libraries",
    "Flask-OpenTracing",
    packages=("Flask-OpenTracing", "flask", "werkzeug"),
    counterpart="HTTP server and client",
)


def make_app() -> Any:
    app = flask.Flask(__name__)
    app.logger.disabled = True
    return app


def test_request_is_one_server_span(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    app = make_app()
    tracing = flask_opentracing.FlaskTracing(tracer, True, app, ["path", "query_string"])

    @app.get("/orders/<number>")
    def orders(number: str) -> str:
        span = tracing.get_span()
        assert span is tracer.active_span
        span.log_kv({"event": "read", "number": number})
        return str(span.get_baggage_item("tenant"))

    with wsgi(app) as url:
        answer = requests.get(f"{url}/orders/7?full=1", headers=incoming(), timeout=20)
        served = spans(exporter, 1)["orders"]
    assert answer.text == "blue"
    assert shape(served) == {
        "name": "orders",
        "kind": "SERVER",
        "trace_id": TRACE_ID,
        "parent_id": PARENT_ID,
        "status": {"code": "UNSET", "description": ""},
        "attributes": {
            "component": "Flask",
            "http.method": "GET",
            "http.url": f"{url}/orders/7",
            "http.status_code": 200,
            "path": "/orders/7",
            "query_string": "b'full=1'",
        },
        "events": [{"name": "read", "attributes": {"number": "7"}}],
        "links": [],
    }


def test_request_without_headers_starts_a_trace(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    app = make_app()
    flask_opentracing.FlaskTracing(tracer, True, app)
    app.get("/", endpoint="index")(lambda: "ok")
    with wsgi(app) as url:
        requests.get(url, timeout=20)
        served = spans(exporter, 1)["index"]
    assert served.parent is None


def test_error_in_the_handler_is_an_error_with_its_exception(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    app = make_app()
    flask_opentracing.FlaskTracing(tracer, True, app)

    @app.get("/")
    def breaks() -> str:
        raise ValueError("no such order")

    app.config["PROPAGATE_EXCEPTIONS"] = False
    with wsgi(app) as url:
        answer = requests.get(url, headers=incoming(), timeout=20)
        served = shape(spans(exporter, 1)["breaks"])
    assert answer.status_code == 500
    assert served["status"] == {"code": "ERROR", "description": ""}
    assert served["attributes"]["http.status_code"] == 500


def test_spans_in_the_handler_are_children_and_its_call_carries_on(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    app = make_app()
    flask_opentracing.FlaskTracing(tracer, True, app)

    with downstream() as following:

        @app.get("/")
        def index() -> str:
            with tracer.start_active_span("work"), tracer.start_active_span("call") as scope:
                headers: dict[str, str] = {}
                tracer.inject(scope.span.context, opentracing.Format.HTTP_HEADERS, headers)
                return requests.get(following.url, headers=headers, timeout=20).text

        with wsgi(app) as url:
            answer = requests.get(url, headers=incoming(), timeout=20)
            found = spans(exporter, 3)
        following.continues(found["call"])
    assert answer.text == "blue"
    assert (found["call"].parent, found["work"].parent) == (found["work"].context, found["index"].context)


def test_decorator_traces_the_views_that_have_it_and_logs_the_exception(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    ot_bridge.install(tracer_provider=provider)
    app = make_app()
    tracing = flask_opentracing.FlaskTracing()  # the global tracer

    @app.get("/traced")
    @tracing.trace("method")
    def traced() -> str:
        raise KeyError("gone")

    app.get("/plain", endpoint="plain")(lambda: "ok")
    with wsgi(app) as url:
        assert requests.get(f"{url}/plain", timeout=20).text == "ok"
        assert requests.get(f"{url}/traced", headers=incoming(), timeout=20).status_code == 500
        served = shape(spans(exporter, 1)["traced"])
    assert (served["parent_id"], served["status"]["code"], served["attributes"]["method"]) == (
        PARENT_ID,
        "ERROR",
        "GET",
    )
    assert [event["attributes"]["exception.type"] for event in served["events"]] == ["KeyError"]


def test_requests_at_the_same_time_keep_their_traces(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    app = make_app()
    flask_opentracing.FlaskTracing(tracer, True, app)
    together = threading.Barrier(4)

    @app.get("/<number>")
    def index(number: str) -> str:
        together.wait(20)
        with tracer.start_active_span(f"work {number}") as scope:
            scope.span.set_tag("tenant", scope.span.get_baggage_item("tenant"))
        together.wait(20)
        return number

    with wsgi(app) as url:
        traces = at_once(url, 4)
        wait_for(lambda: sum(span.name.startswith("work") for span in exporter.get_finished_spans()) == 4)
    found = {span["name"]: span for span in map(as_dict, exporter.get_finished_spans())}
    for number, trace_id in enumerate(traces):
        work = found[f"work {number}"]
        assert (work["trace_id"], work["attributes"]["tenant"]) == (trace_id, f"tenant-{number}")


@pytest.mark.parametrize("with_mock", [False, True], ids=["bridge", "MockTracer"])
@limited(
    "server spans of requests that are served at the same time overwrite each other in a dict whose keys are Flask's "
    "request proxy, and are lost, with every tracer: serve one request at a time in a process, or let OpenTelemetry's "
    "Flask instrumentation make the server spans"
)
def test_requests_at_the_same_time_lose_server_spans(
    with_mock: bool, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    mock = MockTracer()
    app = make_app()
    flask_opentracing.FlaskTracing(mock if with_mock else tracer, True, app)
    together = threading.Barrier(16)

    @app.get("/<number>")
    def index(number: str) -> str:
        together.wait(20)
        return number

    def served() -> int:
        return len(mock.finished_spans() if with_mock else exporter.get_finished_spans())

    asked = 0
    with wsgi(app) as url:
        # Which entries meet depends on where the request objects lie in memory.
        for _ in range(30):
            asked += len(at_once(url, 16))
            if served() < asked:
                break
    # Leaving wsgi has waited for the threads of all requests.
    assert served() < asked
