"""celery-opentracing with redis and RabbitMQ, and a worker process that exports its spans over OTLP."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing.mocktracer import MockTracer

from agents import eventually
from collectors import Arrival, http_collector
from compat.cells import cell, limited
from compat.shapes import shapes
from ot_bridge import BridgeTracer
from zero_code import SOURCE, environment

celery = pytest.importorskip("celery", reason="needs celery: make compat")
pytest.importorskip("celery_opentracing", reason="needs celery-opentracing: make compat")
shop = pytest.importorskip("libraries.celery_shop", reason="needs celery-opentracing: make compat")

pytestmark = cell(
    "libraries",
    "celery-opentracing",
    packages=("Celery-OpenTracing", "celery", "kombu", "opentracing"),
    counterpart="redis-server and RabbitMQ, a prefork worker",
)
LIMIT_S = 60.0


class Worker(NamedTuple):
    """A running worker: where it listens, and the spans that it sent."""

    broker: str
    backend: str
    arrivals: list[Arrival]

    def spans(self) -> list[OtlpSpan]:
        """Return what has arrived, in the order of their start."""
        found = [
            span
            for arrival in list(self.arrivals)
            for resource_spans in arrival.request.resource_spans
            for scope_spans in resource_spans.scope_spans
            for span in scope_spans.spans
        ]
        return sorted(found, key=lambda span: span.start_time_unix_nano)


class Trace(NamedTuple):
    """One trace, of the client and of the worker."""

    client: InMemorySpanExporter
    worker: Worker
    trace_id: int

    def of_worker(self) -> list[OtlpSpan]:
        """Return the worker's spans of this trace."""
        return [span for span in self.worker.spans() if int.from_bytes(span.trace_id, "big") == self.trace_id]

    def tree(self, count: int) -> list[tuple[str, str | None]]:
        """Wait for so many spans of the worker; return each span's name with the name of its parent."""
        assert eventually(lambda: len(self.of_worker()) >= count)
        own = [span for span in self.client.get_finished_spans() if span.context.trace_id == self.trace_id]
        listed = [
            (span.start_time, span.context.span_id, span.name, span.parent.span_id if span.parent else 0)
            for span in own
        ]
        for span in self.of_worker():
            span_id, parent = (int.from_bytes(part, "big") for part in (span.span_id, span.parent_span_id))
            listed.append((span.start_time_unix_nano, span_id, span.name, parent))
        names = {span_id: name for _, span_id, name, _ in listed}
        return [(name, names.get(parent)) for _, _, name, parent in sorted(listed)]


@pytest.fixture(scope="module", params=["redis", "rabbitmq"])
def worker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A worker of two processes for all tests with one broker."""
    broker = request.getfixturevalue(f"{request.param}_server").url
    backend = broker if request.param == "redis" else "rpc://"
    here = tmp_path_factory.mktemp("worker")
    words = ("-A", "libraries.celery_worker", "worker", "--concurrency=2", "--without-mingle", "--without-gossip")
    with http_collector() as (url, arrivals), (here / "output").open("wb") as output:
        variables = environment(
            url,
            SHOP_BROKER=broker,
            SHOP_BACKEND=backend,
            # What a pool process has not sent when the worker stops is not what these tests are about.
            OTEL_BSP_SCHEDULE_DELAY="50",
            PYTHONPATH=f"{SOURCE}:{Path(__file__).parent.parent}",
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "celery", *words], cwd=here, env=variables, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield Worker(broker, backend, arrivals)
        finally:
            process.terminate()
            assert process.wait(LIMIT_S) == 0, (here / "output").read_text()


@contextlib.contextmanager
def client_of(broker: str, backend: str, tracer: Any) -> Iterator[Any]:
    """Make the application on the side of the client."""
    app = shop.made(broker, backend, tracer=tracer)
    try:
        yield app
    finally:
        app.disconnect_traced_handlers()
        app.close()


@pytest.fixture
def app(worker: Worker, tracer: BridgeTracer) -> Iterator[Any]:
    """The application on the side of the client."""
    with client_of(worker.broker, worker.backend, tracer) as app:
        yield app


def values(span: OtlpSpan) -> dict[str, Any]:
    """Return the attributes of a span that came over OTLP."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def test_task_continues_the_trace_of_its_caller(
    app: Any, worker: Worker, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_active_span("request") as scope:
        result = app.tasks["shop.add"].delay(1, 2)
        assert result.get(timeout=LIMIT_S)["sum"] == 3
    trace = Trace(exporter, worker, scope.span.context.trace_id)
    assert trace.tree(2) == [
        ("request", None),
        ("publish shop.add", "request"),
        ("shop.add", "publish shop.add"),
        ("sum", "shop.add"),
    ]
    published = shapes(exporter.get_finished_spans())[0]
    assert (published["kind"], published["status"]["code"]) == ("PRODUCER", "UNSET")
    assert (
        published["attributes"].items()
        >= {
            "component": "celery",
            "celery.task.id": result.id,
            "celery.delivery.routing_key": "celery",
            "message_bus.destination": "celery",
        }.items()
    )
    task = trace.of_worker()[0]
    assert (task.name, task.kind) == ("shop.add", OtlpSpan.SPAN_KIND_CONSUMER)
    assert values(task).items() >= {"component": "celery", "celery.task.id": result.id, "celery.retries": 0}.items()


def test_baggage_reaches_the_task(app: Any, tracer: BridgeTracer) -> None:
    with tracer.start_active_span("request") as scope:
        scope.span.set_baggage_item("tenant", "acme")
        assert app.tasks["shop.add"].delay(1, 2).get(timeout=LIMIT_S)["tenant"] == "acme"


def test_task_that_a_task_sends_is_in_the_same_trace(
    app: Any, worker: Worker, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_active_span("request") as scope:
        app.tasks["shop.order"].delay(7).get(timeout=LIMIT_S)
    assert Trace(exporter, worker, scope.span.context.trace_id).tree(4) == [
        ("request", None),
        ("publish shop.order", "request"),
        ("shop.order", "publish shop.order"),
        ("publish shop.add", "shop.order"),
        ("shop.add", "publish shop.add"),
        ("sum", "shop.add"),
    ]


def test_failed_task_is_an_error_with_its_exception(
    app: Any, worker: Worker, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_active_span("request") as scope:
        result = app.tasks["shop.fail"].delay("out of stock")
        with pytest.raises(ValueError, match="out of stock"):
            result.get(timeout=LIMIT_S)
    trace = Trace(exporter, worker, scope.span.context.trace_id)
    assert trace.tree(1)[-1] == ("shop.fail", "publish shop.fail")
    (task,) = trace.of_worker()
    assert task.status.code == task.status.STATUS_CODE_ERROR
    (event,) = task.events
    found = values(event)
    assert (event.name, found["exception.type"], found["exception.message"]) == (
        "exception",
        "ValueError",
        "out of stock",
    )
    assert "celery_shop.py" in found["exception.stacktrace"]


def test_retried_task_is_two_spans_of_one_trace(
    app: Any, worker: Worker, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_active_span("request") as scope:
        assert app.tasks["shop.later"].delay().get(timeout=LIMIT_S) == 1
    trace = Trace(exporter, worker, scope.span.context.trace_id)
    assert trace.tree(3) == [
        ("request", None),
        ("publish shop.later", "request"),
        ("shop.later", "publish shop.later"),
        ("publish shop.later", "shop.later"),
        ("shop.later", "publish shop.later"),
    ]
    first, _, second = trace.of_worker()
    assert values(first).items() >= {"celery.retry": True, "celery.retries": 0}.items()
    assert "celery.retry" not in values(second)
    assert values(second)["celery.retries"] == 1


def test_task_without_an_active_span_is_a_trace_of_its_own(
    app: Any, worker: Worker, exporter: InMemorySpanExporter
) -> None:
    app.tasks["shop.add"].delay(1, 2).get(timeout=LIMIT_S)
    (published,) = exporter.get_finished_spans()
    assert Trace(exporter, worker, published.context.trace_id).tree(2) == [
        ("publish shop.add", None),
        ("shop.add", "publish shop.add"),
        ("sum", "shop.add"),
    ]


def test_requests_at_the_same_time_do_not_mix(
    app: Any, worker: Worker, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    def request(number: int) -> tuple[int, Any]:
        with tracer.start_active_span(f"request {number}") as scope:
            scope.span.set_baggage_item("tenant", f"{number}")
            return scope.span.context.trace_id, app.tasks["shop.add"].delay(number, number)

    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(request, range(20)))
    for number, (trace_id, result) in enumerate(sent):
        assert result.get(timeout=LIMIT_S) == {"sum": 2 * number, "tenant": f"{number}"}
        assert Trace(exporter, worker, trace_id).tree(2) == [
            (f"request {number}", None),
            ("publish shop.add", f"request {number}"),
            ("shop.add", "publish shop.add"),
            ("sum", "shop.add"),
        ]


@limited(
    "a task that cannot be sent, because the broker is gone, leaves its span active and unfinished, with any tracer: "
    "send in a thread or task whose context ends with the request"
)
@pytest.mark.parametrize("with_bridge", [True, False], ids=["bridge", "mocktracer"])
def test_span_of_a_task_that_cannot_be_sent_stays_active(tracer: BridgeTracer, with_bridge: bool) -> None:
    chosen: Any = tracer if with_bridge else MockTracer()

    def send(app: Any) -> str | None:
        with pytest.raises(celery.exceptions.OperationalError):
            app.tasks["shop.add"].apply_async((1, 2), retry=False)
        return getattr(chosen.active_span, "operation_name", None)

    with (
        client_of("amqp://guest:guest@127.0.0.1:1//", "cache+memory://", chosen) as app,
        ThreadPoolExecutor(1) as thread,
    ):
        app.conf.broker_transport_options = {
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0,
            "interval_max": 0,
        }
        assert thread.submit(send, app).result() == "publish shop.add"
