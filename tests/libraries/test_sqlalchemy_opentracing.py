"""SQLAlchemy-OpenTracing with a real PostgreSQL and with SQLite: queries, the ORM, transactions, errors, threads."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing.mocktracer import MockTracer

from compat.cells import cell, limited
from compat.shapes import shape, shapes
from libraries.requirements import excludes_installed, needs
from ot_bridge import BridgeTracer

needs("SQLAlchemy>=2", "SQLAlchemy-OpenTracing", "psycopg2-binary")
sqlalchemy = pytest.importorskip("sqlalchemy")
orm = pytest.importorskip("sqlalchemy.orm")
sqlalchemy_opentracing = pytest.importorskip("sqlalchemy_opentracing")

PACKAGES = ("SQLAlchemy-OpenTracing", "SQLAlchemy", "psycopg2-binary", "opentracing")
pytestmark = cell(
    "libraries",
    "SQLAlchemy-OpenTracing",
    "SQLAlchemy 2",
    packages=PACKAGES,
    counterpart="PostgreSQL by psycopg2, and SQLite",
)

METADATA = sqlalchemy.MetaData()
USERS = sqlalchemy.Table(
    "users",
    METADATA,
    sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True),
    sqlalchemy.Column("name", sqlalchemy.String(40), nullable=False),
)


class User:
    """A row of the table."""

    def __init__(self, name: str) -> None:
        self.name = name


orm.registry().map_imperatively(User, USERS)


@pytest.fixture(params=["postgresql", "sqlite"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """An engine whose database has an empty table; nothing is traced yet."""
    url = f"sqlite:///{tmp_path / 'test.db'}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server").url.replace("postgresql:", "postgresql+psycopg2:")
    engine = sqlalchemy.create_engine(url)
    METADATA.drop_all(engine)
    METADATA.create_all(engine)
    yield engine
    METADATA.drop_all(engine)
    engine.dispose()


@pytest.fixture
def traced(engine: Any, tracer: BridgeTracer) -> Iterator[Any]:
    """The same, when all engines are traced."""
    sqlalchemy_opentracing.init_tracing(tracer)
    yield engine
    sqlalchemy_opentracing.unregister_engine(sqlalchemy.engine.Engine)
    sqlalchemy_opentracing._clear_tracer()


@pytest.fixture
def named(engine: Any, tracer: BridgeTracer) -> Iterator[Any]:
    """The same, when only what is named is traced, and this engine is."""
    sqlalchemy_opentracing.init_tracing(tracer, trace_all_engines=False, trace_all_queries=False)
    sqlalchemy_opentracing.register_engine(engine)
    yield engine
    sqlalchemy_opentracing.unregister_engine(engine)
    sqlalchemy_opentracing._clear_tracer()


def query(name: str, statement: str, engine: Any, **more: Any) -> dict[str, Any]:
    """Return the whole span of a query."""
    attributes = {
        "component": "sqlalchemy",
        "db.type": "sql",
        "db.statement": statement,
        "sqlalchemy.dialect": engine.dialect.name,
    }
    return shape(name, kind="INTERNAL", **{**more, "attributes": {**attributes, **more.get("attributes", {})}})


def test_query_is_a_span_below_the_active_span(
    traced: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_active_span("request"), traced.begin() as connection:
        connection.execute(sqlalchemy.text("INSERT INTO users (id, name) VALUES (1, 'ann')"))
        assert connection.execute(sqlalchemy.text("SELECT name FROM users")).scalar() == "ann"
    assert shapes(exporter.get_finished_spans()) == [
        query("textclause", "INSERT INTO users (id, name) VALUES (1, 'ann')", traced, parent="request"),
        query("textclause", "SELECT name FROM users", traced, parent="request"),
        shape("request", kind="INTERNAL"),
    ]


def test_orm_makes_a_span_of_each_statement(traced: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_active_span("request"), orm.Session(traced) as session:
        ann = User("ann")
        session.add(ann)
        session.commit()
        ann.name = "anna"
        session.commit()
        assert session.query(User).filter_by(name="anna").count() == 1
        session.delete(ann)
        session.commit()
    found = shapes(exporter.get_finished_spans())
    assert [span["name"] for span in found if span["parent"] == "request"] == [
        "insert",
        "select",
        "update",
        "select",
        "select",
        "delete",
    ]
    assert {span["kind"] for span in found} == {"INTERNAL"}


def test_failed_query_is_an_error(traced: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_active_span("request"), traced.connect() as connection:
        with pytest.raises(sqlalchemy.exc.DBAPIError) as caught:
            connection.execute(sqlalchemy.text("SELECT x FROM nowhere"))
        connection.rollback()
    assert shapes(exporter.get_finished_spans())[0] == query(
        "textclause",
        "SELECT x FROM nowhere",
        traced,
        parent="request",
        status={"code": "ERROR", "description": ""},
        attributes={"sqlalchemy.exception": str(caught.value.orig)},
    )


def test_span_of_a_session_is_the_parent_of_its_queries(
    named: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    parent = tracer.start_span("job")
    with orm.Session(named) as session:
        sqlalchemy_opentracing.set_parent_span(session, parent)
        session.add(User("ann"))
        session.commit()
        # The transaction is over, and so is its tracing.
        session.execute(sqlalchemy.text("SELECT 1"))
    parent.finish()
    found = shapes(exporter.get_finished_spans())
    assert [(span["name"], span["parent"]) for span in found] == [("insert", "job"), ("job", None)]


def test_span_of_a_connection_is_the_parent_of_its_queries(
    named: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    parent = tracer.start_span("job")
    with named.connect() as connection:
        sqlalchemy_opentracing.set_parent_span(connection, parent)
        connection.execute(sqlalchemy.text("SELECT 1"))
        connection.rollback()
        connection.execute(sqlalchemy.text("SELECT 2"))
    assert shapes(exporter.get_finished_spans()) == [query("textclause", "SELECT 1", named, parent=parent_id(parent))]
    parent.finish()


def parent_id(span: Any) -> str:
    """Return what stands for a parent that is not finished."""
    return f"{span.context.span_id:016x}"


def test_threads_do_not_mix(traced: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    def request(number: int) -> None:
        with tracer.start_active_span(f"request {number}"), traced.connect() as connection:
            connection.execute(sqlalchemy.text(f"SELECT {number}"))
            connection.execute(sqlalchemy.text(f"SELECT {number} + 1"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(request, range(20)))
    found = [span for span in shapes(exporter.get_finished_spans()) if span["parent"] is not None]
    assert len(found) == 40
    assert all(span["attributes"]["db.statement"].split()[1] == span["parent"].split()[1] for span in found)


@limited(
    "a span set for a single statement, set_parent_span(statement, ...), is not seen once SQLAlchemy 1.4 or newer has "
    "an equal statement in its cache, with any tracer: activate it, set it for the session or the connection, or take "
    "SQLAlchemy 1.3"
)
@pytest.mark.parametrize("with_bridge", [True, False], ids=["bridge", "mocktracer"])
def test_span_of_a_cached_statement_is_not_its_parent(engine: Any, tracer: BridgeTracer, with_bridge: bool) -> None:
    chosen: Any = tracer if with_bridge else MockTracer()
    sqlalchemy_opentracing.init_tracing(chosen, trace_all_engines=False, trace_all_queries=False)
    sqlalchemy_opentracing.register_engine(engine)
    started = []
    try:
        with engine.connect() as connection:
            for _ in range(2):
                statement = sqlalchemy.select(USERS)
                sqlalchemy_opentracing.set_parent_span(statement, chosen.start_span("job"))
                result = connection.execute(statement)
                started.append(getattr(result.context, "_span", None))
    finally:
        sqlalchemy_opentracing.unregister_engine(engine)
        sqlalchemy_opentracing._clear_tracer()
    assert [span is None for span in started] == [False, True]


@limited(
    "its requirements exclude every opentracing 2: install it with pip's --no-deps, or an override in uv; it works "
    "with 2.4"
)
def test_requirements_exclude_the_installed_opentracing() -> None:
    assert excludes_installed("SQLAlchemy-OpenTracing", "opentracing")
