"""A request that asks a database or a cache: `store.py sqlalchemy`, `store.py psycopg URL`, `store.py redis URL`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import opentracing
from opentracing.ext import tags
from sides import OLD, begin, called, entry, work

begin()


def sqlalchemy_() -> str:
    from sqlalchemy import create_engine, event, text

    engine = create_engine("sqlite://")
    if "sqlalchemy" in OLD:

        @event.listens_for(engine, "before_cursor_execute")
        def before(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
            own = {tags.SPAN_KIND: tags.SPAN_KIND_RPC_CLIENT, tags.COMPONENT: "SQLAlchemy", tags.DATABASE_TYPE: "sql"}
            context.scope = opentracing.global_tracer().start_active_span("query", tags=own)

        @event.listens_for(engine, "after_cursor_execute")
        def after(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
            context.scope.close()

    with engine.connect() as connection:
        return str(connection.execute(text("SELECT 3")).scalar())


def psycopg_() -> str:
    import psycopg

    with psycopg.connect(sys.argv[2]) as connection, connection.cursor() as cursor:
        if "psycopg" in OLD:
            with called("query", "psycopg"):
                cursor.execute("SELECT 3")
        else:
            cursor.execute("SELECT 3")
        return str(cursor.fetchone()[0])


def redis_() -> str:
    import redis

    if "redis" in OLD:
        import redis_opentracing

        redis_opentracing.init_tracing(opentracing.global_tracer())
    with redis.Redis.from_url(sys.argv[2]) as client:
        return str(client.echo("3").decode())


STORES: dict[str, Callable[[], str]] = {"sqlalchemy": sqlalchemy_, "psycopg": psycopg_, "redis": redis_}

if __name__ == "__main__":
    with entry("front"), work("work"):
        print(STORES[sys.argv[1]]())
