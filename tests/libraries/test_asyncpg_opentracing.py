"""asyncpg-opentracing with a real PostgreSQL: queries, transactions, errors, a pool, and tasks that do not mix."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from compat.cells import cell
from compat.servers import Server
from compat.shapes import raised, shape, shapes
from ot_bridge import BridgeTracer, install

asyncpg = pytest.importorskip("asyncpg", reason="needs asyncpg: make compat")
asyncpg_opentracing = pytest.importorskip("asyncpg_opentracing", reason="needs asyncpg-opentracing: make compat")

pytestmark = cell(
    "libraries",
    "asyncpg-opentracing",
    packages=("asyncpg-opentracing", "asyncpg", "opentracing"),
    counterpart="PostgreSQL",
)


@asyncpg_opentracing.tracing_connection
class TracedConnection(asyncpg.Connection):
    """As the library's readme has it."""


@pytest.fixture
def installed(provider: TracerProvider) -> Iterator[BridgeTracer]:
    """The library knows no tracer but the global one."""
    return install(tracer_provider=provider)


@contextlib.asynccontextmanager
async def connected(server: Server) -> AsyncIterator[Any]:
    """Open a traced connection."""
    connection = await asyncpg.connect(server.url, connection_class=TracedConnection)
    try:
        yield connection
    finally:
        await connection.close()


def query(name: str, statement: str, arguments: object = (), **more: Any) -> dict[str, Any]:
    """Return the whole span of a query."""
    attributes = {
        "db.type": "SQL",
        "db.statement": statement,
        "db.user": "postgres",
        "db.instance": "postgres",
        "db.params": arguments,
    }
    return shape(name, attributes=attributes, **more)


def test_queries_are_client_spans_below_the_active_span(
    postgres_server: Server, installed: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    async def scenario() -> None:
        async with connected(postgres_server) as connection:
            with installed.start_active_span("request"):
                await connection.execute("CREATE TEMPORARY TABLE t (x integer)")
                await connection.executemany("INSERT INTO t VALUES ($1)", [(1,), (2,)])
                assert await connection.fetchval("SELECT sum(x) FROM t WHERE x < $1", 9) == 3
                assert len(await connection.fetch("SELECT x FROM t")) == 2
                assert (await connection.fetchrow("SELECT max(x) AS top FROM t"))["top"] == 2

    asyncio.run(scenario())
    assert shapes(exporter.get_finished_spans()) == [
        query("asyncpg CREATE", "CREATE TEMPORARY TABLE t (x integer)", parent="request"),
        query("asyncpg INSERT", "INSERT INTO t VALUES ($1)", "[[1], [2]]", parent="request"),
        query("asyncpg SELECT", "SELECT sum(x) FROM t WHERE x < $1", (9,), parent="request"),
        query("asyncpg SELECT", "SELECT x FROM t", parent="request"),
        query("asyncpg SELECT", "SELECT max(x) AS top FROM t", parent="request"),
        shape("request", kind="INTERNAL"),
    ]


def test_failed_query_is_an_error_with_one_exception(
    postgres_server: Server, installed: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    async def scenario() -> None:
        async with connected(postgres_server) as connection:
            with pytest.raises(asyncpg.UndefinedTableError):
                await connection.execute("SELECT * FROM nowhere")

    asyncio.run(scenario())
    message = 'relation "nowhere" does not exist'
    failure = raised("asyncpg.exceptions.UndefinedTableError", message)
    failure["events"][0]["message"] = message
    assert shapes(exporter.get_finished_spans()) == [query("asyncpg SELECT", "SELECT * FROM nowhere", **failure)]


def test_transaction_is_spans_of_its_statements(
    postgres_server: Server, installed: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    async def scenario() -> None:
        async with connected(postgres_server) as connection:
            with installed.start_active_span("request"):
                async with connection.transaction():
                    await connection.execute("SELECT 1")

    asyncio.run(scenario())
    found = shapes(exporter.get_finished_spans())
    assert [(span["name"], span["parent"]) for span in found] == [
        ("asyncpg BEGIN", "request"),
        ("asyncpg SELECT", "request"),
        ("asyncpg COMMIT", "request"),
        ("request", None),
    ]


def test_tasks_that_share_a_pool_do_not_mix(
    postgres_server: Server, installed: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    async def request(pool: Any, number: int) -> None:
        with installed.start_active_span(f"request {number}"):
            async with pool.acquire() as connection:
                await connection.fetchval(f"SELECT {number}, pg_sleep(0.01)")
            await pool.fetchval(f"SELECT {number}")

    async def scenario() -> None:
        pool = asyncpg.create_pool(postgres_server.url, connection_class=TracedConnection, min_size=1, max_size=4)
        async with pool:
            await asyncio.gather(*(request(pool, number) for number in range(20)))

    asyncio.run(scenario())
    found = shapes(exporter.get_finished_spans())
    statements = [(span["parent"], span["attributes"].get("db.statement", "")) for span in found]
    for number in range(20):
        # The pool resets a connection that comes back, below the request that gives it back.
        own = [statement for parent, statement in statements if parent == f"request {number}"]
        assert [statement for statement in own if "pg_advisory" not in statement] == [
            f"SELECT {number}, pg_sleep(0.01)",
            f"SELECT {number}",
        ]


def test_cancelled_query_ends_its_span(
    postgres_server: Server, installed: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    async def scenario() -> None:
        async with connected(postgres_server) as connection:
            with installed.start_active_span("request"), pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(connection.execute("SELECT pg_sleep(30)"), 0.1)
            assert await connection.fetchval("SELECT 1") == 1

    asyncio.run(scenario())
    found = shapes(exporter.get_finished_spans())
    assert [(span["name"], span["parent"], span["status"]["code"]) for span in found] == [
        ("asyncpg SELECT", "request", "ERROR"),
        ("request", None, "UNSET"),
        ("asyncpg SELECT", None, "UNSET"),
    ]
    assert urlsplit(postgres_server.url).path == f"/{found[0]['attributes']['db.instance']}"
