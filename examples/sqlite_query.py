"""A database call traced: one span around each query, tagged as OpenTracing says, a failing one marked.

Run it: ``python examples/sqlite_query.py``. It runs two queries on an SQLite database in memory and prints the spans.
"""

from __future__ import annotations

import sqlite3
from typing import Any

import opentracing
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing.ext import tags

import ot_bridge


def query(connection: sqlite3.Connection, statement: str, *values: object) -> list[Any]:
    """Run a statement inside a client span. The values stay out of the span: they may be anybody's data."""
    start_tags = {
        tags.SPAN_KIND: tags.SPAN_KIND_RPC_CLIENT,
        tags.COMPONENT: "sqlite3",
        tags.DATABASE_TYPE: "sqlite",
        tags.DATABASE_INSTANCE: ":memory:",
        tags.DATABASE_STATEMENT: statement,
    }
    operation = statement.split(maxsplit=1)[0]
    with opentracing.global_tracer().start_active_span(operation, tags=start_tags) as scope:
        rows = connection.execute(statement, values).fetchall()
        scope.span.set_tag("db.rows", len(rows))
        return rows


if __name__ == "__main__":
    finished = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(finished))
    tracer = ot_bridge.install(tracer_provider=provider)

    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE goods (item TEXT, count INTEGER)")
    database.execute("INSERT INTO goods VALUES ('teapot', 3), ('cup', 12)")
    with tracer.start_active_span("GET /goods"):
        query(database, "SELECT item FROM goods WHERE count > ?", 5)
        try:
            query(database, "SELECT price FROM goods")
        except sqlite3.OperationalError:
            print("no such column: the exception went on to its caller, and the span has it too")

    for span in finished.get_finished_spans():
        print(f"{span.name} {span.kind.name} {span.status.status_code.name} {dict(span.attributes)}")
        for event in span.events:
            print(f"  {event.name}: {event.attributes['exception.type']}: {event.attributes['exception.message']}")
