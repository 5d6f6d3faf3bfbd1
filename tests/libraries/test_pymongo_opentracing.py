"""pymongo-opentracing with a server that speaks MongoDB's wire protocol: commands, cursors, errors, threads, tasks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from compat.cells import cell, limited
from compat.servers import Server
from compat.shapes import shape, shapes
from ot_bridge import BridgeTracer, install

pymongo = pytest.importorskip("pymongo", reason="needs pymongo: make compat")
pymongo_opentracing = pytest.importorskip("pymongo_opentracing", reason="needs pymongo-opentracing: make compat")

pytestmark = cell(
    "libraries",
    "pymongo-opentracing",
    packages=("pymongo-opentracing", "pymongo", "secantusdb", "opentracing"),
    counterpart="SecantusDB, which speaks MongoDB's wire protocol (mongod is in no registry)",
)


@pytest.fixture
def client(mongodb_server: Server, tracer: BridgeTracer) -> Iterator[Any]:
    """A traced client of a server without the collection of these tests."""
    listener = pymongo_opentracing.CommandTracing(tracer, span_tags={"tier": "db"})
    with pymongo.MongoClient(mongodb_server.url, event_listeners=[listener]) as client:
        with pymongo.MongoClient(mongodb_server.url) as untraced:
            untraced.drop_database("shop")
        yield client


def simplified(span: dict[str, Any]) -> dict[str, Any]:
    """Return the span without what is the session's or a duration."""
    attributes = dict(span["attributes"])
    assert attributes.pop("reported_duration") > 0
    command = json.loads(attributes["command"])
    assert command.pop("lsid")
    return {**span, "attributes": {**attributes, "command": command}}


def test_command_is_a_span_below_the_active_span(
    client: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_active_span("request"):
        client.shop.users.insert_one({"_id": 1, "name": "ann"})
        assert client.shop.users.find_one({"_id": 1})["name"] == "ann"
    inserted, found, request = shapes(exporter.get_finished_spans())
    assert simplified(inserted) == shape(
        "insert",
        kind="INTERNAL",
        parent="request",
        attributes={
            "db.type": "mongodb",
            "component": "PyMongo",
            "db.instance": "shop",
            "tier": "db",
            "command.name": "insert",
            "namespace": "shop.users",
            "command": {"insert": "users", "ordered": True, "$db": "shop", "documents": [{"_id": 1, "name": "ann"}]},
            "event.reply": '{"n": 1, "ok": 1.0}',
        },
    )
    assert (found["name"], found["parent"]) == ("find", "request")
    assert request == shape("request", kind="INTERNAL")


def test_cursor_is_a_span_for_each_batch(client: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    client.shop.users.insert_many([{"_id": number} for number in range(5)])
    exporter.clear()
    with tracer.start_active_span("request"):
        assert len(list(client.shop.users.find(batch_size=2))) == 5
    assert [(span["name"], span["parent"]) for span in shapes(exporter.get_finished_spans())] == [
        ("find", "request"),
        ("getMore", "request"),
        ("getMore", "request"),
        ("request", None),
    ]


def test_refused_command_is_an_error(client: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_active_span("request"), pytest.raises(pymongo.errors.OperationFailure):
        client.shop.command("no such command")
    found = shapes(exporter.get_finished_spans())[0]
    assert (found["name"], found["parent"], found["status"]["code"]) == ("no such command", "request", "ERROR")
    assert json.loads(found["attributes"]["event.failure"])["codeName"] == "CommandNotFound"


def test_installed_tracer_is_taken(mongodb_server: Server, provider: Any, exporter: InMemorySpanExporter) -> None:
    install(tracer_provider=provider)
    listener = pymongo_opentracing.CommandTracing()
    with pymongo.MongoClient(mongodb_server.url, event_listeners=[listener]) as client:
        client.admin.command("ping")
        exported = exporter.get_finished_spans()
    assert [span.name for span in exported] == ["ping"]


def test_threads_that_share_a_client_do_not_mix(
    client: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    def request(number: int) -> None:
        with tracer.start_active_span(f"request {number}"):
            client.shop.users.insert_one({"_id": f"request {number}"})
            client.shop.users.find_one({"_id": f"request {number}"})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(request, range(20)))
    found = [span for span in shapes(exporter.get_finished_spans()) if span["parent"] is not None]
    assert len(found) == 40
    assert all(f'"{span["parent"]}"' in span["attributes"]["command"] for span in found)


def test_tasks_of_the_asynchronous_client_do_not_mix(
    mongodb_server: Server, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    async def request(client: Any, number: int) -> None:
        with tracer.start_active_span(f"request {number}"):
            await client.shop.async_users.find_one({"_id": f"request {number}"})

    async def scenario() -> None:
        listener = pymongo_opentracing.CommandTracing(tracer)
        async with pymongo.AsyncMongoClient(mongodb_server.url, event_listeners=[listener]) as client:
            await asyncio.gather(*(request(client, number) for number in range(20)))

    asyncio.run(scenario())
    found = [span for span in shapes(exporter.get_finished_spans()) if span["name"] == "find"]
    assert len(found) == 20
    assert all(f'"{span["parent"]}"' in span["attributes"]["command"] for span in found)


@limited(
    "a write that MongoDB refuses, such as a duplicate key, is no error of its span, for the command itself succeeded; "
    "look for writeErrors in the tag event.reply"
)
def test_refused_write_is_told_in_the_reply_alone(client: Any, exporter: InMemorySpanExporter) -> None:
    client.shop.users.insert_one({"_id": 1})
    with pytest.raises(pymongo.errors.DuplicateKeyError):
        client.shop.users.insert_one({"_id": 1})
    found = shapes(exporter.get_finished_spans())[-1]
    assert found["status"]["code"] == "UNSET"
    assert '"code": 11000' in found["attributes"]["event.reply"]
