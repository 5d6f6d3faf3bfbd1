"""SQLAlchemy-OpenTracing with SQLAlchemy 1.3, which has no cache of statements: a span for a single statement."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from compat.cells import cell, limited
from compat.servers import Server
from compat.shapes import shapes
from libraries.requirements import excludes_installed, needs
from ot_bridge import BridgeTracer

needs("SQLAlchemy<1.4", "SQLAlchemy-OpenTracing", "psycopg2-binary")
sqlalchemy = pytest.importorskip("sqlalchemy")
sqlalchemy_opentracing = pytest.importorskip("sqlalchemy_opentracing")

pytestmark = cell(
    "libraries",
    "SQLAlchemy-OpenTracing",
    "SQLAlchemy 1.3",
    packages=("SQLAlchemy-OpenTracing", "SQLAlchemy", "psycopg2-binary", "opentracing"),
    counterpart="PostgreSQL by psycopg2",
)


@pytest.fixture
def engine(postgres_server: Server, tracer: BridgeTracer) -> Iterator[Any]:
    """An engine that traces what is named."""
    engine = sqlalchemy.create_engine(postgres_server.url)
    sqlalchemy_opentracing.init_tracing(tracer, trace_all_engines=False, trace_all_queries=False)
    sqlalchemy_opentracing.register_engine(engine)
    yield engine
    sqlalchemy_opentracing.unregister_engine(engine)
    sqlalchemy_opentracing._clear_tracer()
    engine.dispose()


def test_span_of_a_statement_is_its_parent(engine: Any, tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with engine.connect() as connection:
        for name in ("first", "second"):
            statement = sqlalchemy.select([sqlalchemy.literal(1)])
            with contextlib.closing(connection.execute(sqlalchemy.select([sqlalchemy.literal(2)]))):
                pass
            with tracer.start_span(name) as span:
                sqlalchemy_opentracing.set_parent_span(statement, span)
                assert connection.execute(statement).scalar() == 1
    assert [(span["name"], span["parent"]) for span in shapes(exporter.get_finished_spans())] == [
        ("select", "first"),
        ("first", None),
        ("select", "second"),
        ("second", None),
    ]


@limited(
    "its requirements exclude every opentracing 2: install it with pip's --no-deps, or an override in uv; it works "
    "with 2.4"
)
def test_requirements_exclude_the_installed_opentracing() -> None:
    assert excludes_installed("SQLAlchemy-OpenTracing", "opentracing")
