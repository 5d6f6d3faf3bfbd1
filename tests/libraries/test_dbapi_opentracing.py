"""dbapi-opentracing with a real PostgreSQL, by psycopg2 and psycopg, and with SQLite."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from compat.cells import cell
from compat.servers import Server
from compat.shapes import shape, shapes
from ot_bridge import BridgeTracer, install

psycopg = pytest.importorskip("psycopg", reason="needs psycopg: make compat")
psycopg2 = pytest.importorskip("psycopg2", reason="needs psycopg2: make compat")
dbapi_opentracing = pytest.importorskip("dbapi_opentracing", reason="needs dbapi-opentracing: make compat")

pytestmark = cell(
    "libraries",
    "dbapi-opentracing",
    packages=("dbapi-opentracing", "psycopg2-binary", "psycopg", "wrapt", "opentracing"),
    counterpart="PostgreSQL by psycopg2 and psycopg, and SQLite",
)


@pytest.fixture(params=["psycopg2", "psycopg", "sqlite"])
def connection(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A connection to a database with an empty table; nothing is traced yet."""
    if request.param == "sqlite":
        opened: Any = sqlite3.connect(tmp_path / "test.db", check_same_thread=False)
    else:
        module = {"psycopg2": psycopg2, "psycopg": psycopg}[request.param]
        opened = module.connect(request.getfixturevalue("postgres_server").url)
    with contextlib.closing(opened):
        cursor = opened.cursor()
        cursor.execute("DROP TABLE IF EXISTS cities")
        cursor.execute("CREATE TABLE cities (id integer PRIMARY KEY, name varchar(40) NOT NULL)")
        opened.commit()
        yield opened


@pytest.fixture
def traced(connection: Any, tracer: BridgeTracer) -> Any:
    """The same, traced, with a tag that all its spans have."""
    return dbapi_opentracing.ConnectionTracing(connection, tracer, span_tags={"service": "cities"})


def name_of(traced: Any) -> str:
    """Return what the library calls it by: the driver's own name of the class."""
    return type(traced.__wrapped__).__name__


def query(name: str, statement: str, rows: int, **more: Any) -> dict[str, Any]:
    """Return the whole span of a query."""
    attributes = {"db.type": "sql", "db.statement": statement, "db.rows_produced": rows, "service": "cities"}
    return shape(name, attributes=attributes, **more)


def test_query_and_commit_are_client_spans_below_the_active_span(
    traced: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    insert = "INSERT INTO cities VALUES (1, 'Oslo')"
    with tracer.start_active_span("request"):
        traced.cursor().execute(insert)
        traced.commit()
    assert shapes(exporter.get_finished_spans()) == [
        query(f"{name_of(traced.cursor())}.execute(INSERT)", insert, 1, parent="request"),
        shape(f"{name_of(traced)}.commit()", parent="request", attributes={"db.type": "sql", "service": "cities"}),
        shape("request", kind="INTERNAL"),
    ]


def test_many_rows_are_one_span(traced: Any, exporter: InMemorySpanExporter) -> None:
    cursor = traced.cursor()
    mark = "?" if isinstance(traced.__wrapped__, sqlite3.Connection) else "%s"
    insert = "INSERT INTO cities VALUES (?, ?)".replace("?", mark)
    cursor.executemany(insert, [(1, "Oslo"), (2, "Bern"), (3, "Riga")])
    (found,) = shapes(exporter.get_finished_spans())
    assert (found["name"], found["attributes"]["db.statement"]) == (f"{name_of(cursor)}.executemany(INSERT)", insert)
    cursor.execute("SELECT name FROM cities ORDER BY id")
    assert [name for (name,) in cursor.fetchall()] == ["Oslo", "Bern", "Riga"]


def test_failed_query_is_an_error_and_so_is_its_rollback_a_span(
    traced: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_active_span("request"):
        with pytest.raises(Exception, match="nowhere"):
            traced.cursor().execute("SELECT * FROM nowhere")
        traced.rollback()
    failed, rollback, _request = shapes(exporter.get_finished_spans())
    assert failed["name"] == f"{name_of(traced.cursor())}.execute(SELECT)"
    assert (failed["parent"], failed["status"]["code"]) == ("request", "ERROR")
    assert "nowhere" in failed["events"][0]["exception.message"]
    assert (rollback["name"], rollback["status"]["code"]) == (f"{name_of(traced)}.rollback()", "UNSET")


def test_block_of_the_connection_commits_in_a_span(traced: Any, exporter: InMemorySpanExporter) -> None:
    with traced as cursor:
        cursor.execute("INSERT INTO cities VALUES (1, 'Oslo')")
    assert [span.name for span in exporter.get_finished_spans()] == [
        f"{name_of(cursor)}.execute(INSERT)",
        f"{name_of(traced)}.commit()",
    ]


def test_installed_tracer_is_taken(connection: Any, provider: Any, exporter: InMemorySpanExporter) -> None:
    install(tracer_provider=provider)
    cursor = dbapi_opentracing.ConnectionTracing(connection).cursor()
    cursor.execute("SELECT 1")
    assert [span.name for span in exporter.get_finished_spans()] == [f"{name_of(cursor)}.execute(SELECT)"]


def test_psycopg2_takes_the_traced_connection_as_its_own(
    postgres_server: Server, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    def traced_connection(dsn: str, **more: Any) -> Any:
        return dbapi_opentracing.PsycopgConnectionTracing(dsn, tracer=tracer, **more)

    opened = psycopg2.connect(postgres_server.url, connection_factory=traced_connection)
    with contextlib.closing(opened), tracer.start_active_span("request"):
        assert isinstance(opened, psycopg2.extensions.connection)
        with opened, opened.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE t (x integer)")
            cursor.callproc("version")
    found = shapes(exporter.get_finished_spans())
    assert [(span["name"], span["parent"]) for span in found] == [
        ("cursor.execute(CREATE)", "request"),
        ("cursor.callproc(version)", "request"),
        ("connection.commit()", "request"),
        ("request", None),
    ]


def test_threads_do_not_mix(postgres_server: Server, tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    def request(number: int) -> None:
        with contextlib.closing(psycopg.connect(postgres_server.url)) as opened:
            traced = dbapi_opentracing.ConnectionTracing(opened, tracer)
            with tracer.start_active_span(f"request {number}"):
                traced.cursor().execute(f"SELECT {number}")
                traced.commit()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(request, range(20)))
    found = shapes(exporter.get_finished_spans())
    queries = [span for span in found if "db.statement" in span["attributes"]]
    assert len(queries) == 20
    assert all(span["attributes"]["db.statement"].split()[1] == span["parent"].split()[1] for span in queries)
