"""logging-opentracing: the standard library's log records in the active span."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing import Format

import ot_bridge
from compat.cells import cell
from libraries.web import at_once, incoming, shape, spans, wait_for, wsgi
from ot_bridge import BridgeTracer
from spans import as_dict

logging_opentracing = pytest.importorskip("logging_opentracing", reason="needs logging-opentracing: make compat")

pytestmark = cell(
    "libraries", "logging-opentracing", packages=("logging-opentracing",), counterpart="the standard library's logging"
)


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("shop")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield logger
    logger.handlers.clear()


def test_record_is_an_event_of_the_active_span(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, logger: logging.Logger
) -> None:
    logger.addHandler(logging_opentracing.OpenTracingHandler(tracer))
    with tracer.start_active_span("outer"), tracer.start_active_span("work"):
        logger.warning("%d items left", 3)
        logger.info("sold", extra={"kv": {"items": 2, "price": 1.5}})
        logger.debug("below the level")
    found = spans(exporter, 2)
    assert shape(found["outer"])["events"] == []
    assert shape(found["work"])["events"] == [
        {"name": "warning", "attributes": {"message": "3 items left"}},
        {"name": "info", "attributes": {"message": "sold", "items": 2, "price": 1.5}},
    ]
    assert shape(found["work"])["status"]["code"] == "UNSET"


def test_exception_is_an_event_with_its_traceback_and_the_span_an_error(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, logger: logging.Logger
) -> None:
    logger.addHandler(logging_opentracing.OpenTracingHandler(tracer))
    with tracer.start_active_span("work"):
        try:
            raise ValueError("no such order")
        except ValueError:
            logger.exception("cannot sell")
    done = shape(spans(exporter, 1)["work"])
    assert done["status"]["code"] == "ERROR"
    (event,) = done["events"]
    assert event["attributes"]["exception.type"] == "ValueError"
    assert "raise ValueError" in event["attributes"]["exception.stacktrace"]


def test_span_of_the_record_wins_and_no_span_is_no_event(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, logger: logging.Logger
) -> None:
    logger.addHandler(logging_opentracing.OpenTracingHandler(tracer))
    logger.warning("nobody listens")
    other = tracer.start_span("other")
    with tracer.start_active_span("work"):
        logger.warning("for the other", extra={"span": other})
    other.finish()
    found = spans(exporter, 2)
    assert [len(found[name].events) for name in ("work", "other")] == [0, 1]


def test_own_format(tracer: BridgeTracer, exporter: InMemorySpanExporter, logger: logging.Logger) -> None:
    form = logging_opentracing.OpenTracingFormatter({"event": "log", "text": "%(message)s", "from": "%(name)s"})
    logger.addHandler(logging_opentracing.OpenTracingHandler(tracer, form))
    with tracer.start_active_span("work"):
        logger.info("sold")
    assert shape(spans(exporter, 1)["work"])["events"] == [
        {"name": "log", "attributes": {"text": "sold", "from": "shop"}}
    ]


def test_record_under_a_native_span_is_its_event(
    provider: TracerProvider, exporter: InMemorySpanExporter, logger: logging.Logger
) -> None:
    tracer = ot_bridge.install(tracer_provider=provider)
    logger.addHandler(logging_opentracing.OpenTracingHandler(tracer))
    with trace.get_tracer("native").start_as_current_span("native"):
        logger.warning("seen")
    assert [event.name for event in spans(exporter, 1)["native"].events] == ["warning"]


def test_threads_do_not_mix(tracer: BridgeTracer, exporter: InMemorySpanExporter, logger: logging.Logger) -> None:
    logger.addHandler(logging_opentracing.OpenTracingHandler(tracer))

    def work(number: int) -> None:
        with tracer.start_active_span(f"{number}"):
            logger.info("%d", number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(64)))
    for name, span in spans(exporter, 64).items():
        assert shape(span)["events"] == [{"name": "info", "attributes": {"message": name}}]


def test_requests_at_the_same_time_log_into_their_own_spans(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, logger: logging.Logger
) -> None:
    logger.addHandler(logging_opentracing.OpenTracingHandler(tracer))

    def app(environ: dict[str, str], start_response: Callable[..., object]) -> list[bytes]:
        headers = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
        parent = tracer.extract(Format.HTTP_HEADERS, headers)
        with tracer.start_active_span(environ["PATH_INFO"], child_of=parent):
            logger.info("asked for %s", environ["PATH_INFO"])
        start_response("200 OK", [])
        return [b""]

    with wsgi(app) as url:
        traces = at_once(url, 8)
        requests.get(f"{url}/again", headers=incoming(), timeout=20)
    wait_for(lambda: len(exporter.get_finished_spans()) == 9)
    found = {span["name"]: span for span in map(as_dict, exporter.get_finished_spans())}
    assert [found[f"/{number}"]["trace_id"] for number in range(8)] == traces
    for name, span in found.items():
        assert [event["attributes"] for event in span["events"]] == [{"message": f"asked for {name}"}]
