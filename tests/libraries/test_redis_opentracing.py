"""redis-opentracing with a real redis-server: commands, pipelines, subscriptions, and threads that do not mix."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing.mocktracer import MockTracer

from compat.cells import cell, limited
from compat.servers import Server
from compat.shapes import raised, shape, shapes
from ot_bridge import BridgeTracer, install

redis = pytest.importorskip("redis", reason="needs redis: make compat")
redis_opentracing = pytest.importorskip("redis_opentracing", reason="needs redis-opentracing: make compat")

pytestmark = cell(
    "libraries", "redis-opentracing", packages=("redis-opentracing", "redis", "opentracing"), counterpart="redis-server"
)


@pytest.fixture(autouse=True)
def _unpatched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # init_tracing patches the class, and once more with each call.
    for name in ("execute_command", "pipeline", "pubsub"):
        monkeypatch.setattr(redis.Redis, name, getattr(redis.Redis, name))
    yield
    redis_opentracing.tracing._reset_tracing()


@pytest.fixture
def untraced(redis_server: Server) -> Iterator[Any]:
    """A client of an empty database, made before anything is traced."""
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        client.flushdb()
        yield client


@pytest.fixture
def client(untraced: Any, tracer: BridgeTracer) -> Any:
    """The same, when all that redis-py does is traced."""
    redis_opentracing.init_tracing(tracer)
    return untraced


def command(name: str, statement: str, **more: Any) -> dict[str, Any]:
    """Return the whole span of a command."""
    attributes = {"component": "redis-py", "db.type": "redis", "db.statement": statement}
    return shape(name, attributes=attributes, **more)


def test_command_is_a_client_span_below_the_active_span(
    client: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_active_span("request"):
        client.set("key", "value")
        assert client.get("key") == "value"
    assert shapes(exporter.get_finished_spans()) == [
        command("SET", "SET key value", parent="request"),
        command("GET", "GET key", parent="request"),
        shape("request", kind="INTERNAL"),
    ]


def test_command_without_an_active_span_is_a_root(client: Any, exporter: InMemorySpanExporter) -> None:
    client.ping()
    assert shapes(exporter.get_finished_spans()) == [command("PING", "PING")]


def test_refused_command_is_an_error_with_its_exception(client: Any, exporter: InMemorySpanExporter) -> None:
    client.set("text", "x")
    with pytest.raises(redis.ResponseError):
        client.incr("text")
    assert shapes(exporter.get_finished_spans())[-1] == command(
        "INCRBY",
        "INCRBY text 1",
        **raised("redis.exceptions.ResponseError", "value is not an integer or out of range"),
    )


def test_transaction_is_one_span_with_its_commands(
    client: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_active_span("request"), client.pipeline() as pipe:
        assert pipe.set("a", 1).incr("a").get("a").execute() == [True, 2, "2"]
    assert shapes(exporter.get_finished_spans()) == [
        command("MULTI", "SET a 1;INCRBY a 1;GET a", parent="request"),
        shape("request", kind="INTERNAL"),
    ]


def test_failed_transaction_is_an_error(client: Any, exporter: InMemorySpanExporter) -> None:
    client.set("text", "x")
    with client.pipeline(transaction=True) as pipe, pytest.raises(redis.ResponseError):
        pipe.incr("text").execute()
    found = shapes(exporter.get_finished_spans())[-1]
    assert (found["name"], found["status"]["code"]) == ("MULTI", "ERROR")
    assert [event["exception.type"] for event in found["events"]] == ["redis.exceptions.ResponseError"]


def test_subscription_and_message_are_spans(client: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_active_span("request"), client.pubsub() as pubsub:
        pubsub.subscribe("news")
        assert pubsub.get_message(timeout=5)["type"] == "subscribe"
        client.publish("news", "hello")
        assert pubsub.get_message(timeout=5)["data"] == "hello"
    found = shapes(exporter.get_finished_spans())
    assert [(span["name"], span["parent"]) for span in found] == [
        ("SUBSCRIBE", "request"),
        ("SUB", "request"),
        ("PUBLISH", "request"),
        ("SUB", "request"),
        ("request", None),
    ]
    assert found[1] == command("SUB", "", parent="request")


def test_only_a_client_that_was_named_is_traced(
    untraced: Any, redis_server: Server, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    redis_opentracing.init_tracing(tracer, trace_all_classes=False)
    with redis.Redis.from_url(redis_server.url) as named:
        redis_opentracing.trace_client(named)
        untraced.ping()
        named.ping()
        named.pipeline().set("a", 1).execute()
    assert shapes(exporter.get_finished_spans()) == [command("PING", "PING"), command("MULTI", "SET a 1")]


def test_callback_may_add_tags(untraced: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    redis_opentracing.init_tracing(tracer, start_span_cb=lambda span: span.set_tag("shard", 3))
    untraced.ping()
    (found,) = exporter.get_finished_spans()
    assert found.attributes["shard"] == 3


def test_without_a_tracer_the_installed_one_is_taken(
    untraced: Any, provider: Any, exporter: InMemorySpanExporter
) -> None:
    install(tracer_provider=provider)
    redis_opentracing.init_tracing()
    untraced.ping()
    assert [span.name for span in exporter.get_finished_spans()] == ["PING"]


def test_threads_that_share_a_client_do_not_mix(
    client: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    def request(number: int) -> str | None:
        with tracer.start_active_span(f"request {number}"):
            client.set(f"key {number}", number)
            with client.pipeline() as pipe:
                pipe.incr(f"key {number}").execute()
            return client.get(f"key {number}")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(request, range(40))) == [str(number + 1) for number in range(40)]
    found = shapes(exporter.get_finished_spans())
    assert len(found) == 160
    for span in found:
        if span["parent"] is not None:
            assert f"key {span['parent'].split()[-1]}" in span["attributes"]["db.statement"]
    assert sum(span["parent"] is None for span in found) == 40


@limited(
    "a command that a pipeline sends at once, after watch(), gives None and hides its exception, with any tracer: read "
    "what you watch with a client of its own"
)
@pytest.mark.parametrize("with_bridge", [True, False], ids=["bridge", "mocktracer"])
def test_watched_pipeline_gives_no_answers(untraced: Any, tracer: BridgeTracer, with_bridge: bool) -> None:
    redis_opentracing.init_tracing(tracer if with_bridge else MockTracer())
    untraced.set("a", "1")
    with untraced.pipeline() as pipe:
        pipe.watch("a")
        assert pipe.get("a") is None
        assert pipe.incr("a", "no number") is None
