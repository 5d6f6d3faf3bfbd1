"""opentracing_instrumentation on tornado 5 and tornado 6: its server side, its client hooks, its local spans."""

from __future__ import annotations

import importlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import opentracing
import pytest
import requests
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing.mocktracer import MockTracer

import ot_bridge
from compat.cells import cell, limited
from compat.servers import Server
from libraries.tornado_versions import prepared, serve
from libraries.web import (
    PARENT_ID,
    TRACE_ID,
    Downstream,
    at_once,
    downstream,
    incoming,
    shape,
    spans,
    wait_for,
    wsgi,
)
from ot_bridge import BridgeTracer
from spans import as_dict

TORNADO = prepared("opentracing_instrumentation")
importlib.import_module("opentracing_instrumentation")
sqlalchemy = pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy: make compat")
celery = pytest.importorskip("celery", reason="needs Celery: make compat")
boto3 = pytest.importorskip("boto3", reason="needs boto3: make compat")
psycopg2 = pytest.importorskip("psycopg2", reason="needs psycopg2: make compat")
redis = pytest.importorskip("redis", reason="needs redis: make compat")

import tornado.gen  # noqa: E402
import tornado.httpclient  # noqa: E402
import tornado.web  # noqa: E402
from opentracing.scope_managers.tornado import TornadoScopeManager  # noqa: E402
from opentracing_instrumentation import (  # noqa: E402
    client_hooks,
    get_current_span,
    http_server,
    request_context,
    span_in_context,
)
from opentracing_instrumentation.client_hooks import _dbapi2, strict_redis, tornado_http, urllib2  # noqa: E402
from opentracing_instrumentation.client_hooks import boto3 as boto3_hook  # noqa: E402
from opentracing_instrumentation.client_hooks import celery as celery_hook  # noqa: E402
from opentracing_instrumentation.client_hooks import psycopg2 as psycopg2_hook  # noqa: E402
from opentracing_instrumentation.client_hooks import requests as requests_hook  # noqa: E402
from opentracing_instrumentation.client_hooks import sqlalchemy as sqlalchemy_hook  # noqa: E402
from opentracing_instrumentation.client_hooks import urllib as urllib_hook  # noqa: E402
from opentracing_instrumentation.local_span import func_span, traced_function  # noqa: E402

pytestmark = cell(
    "libraries",
    "opentracing_instrumentation",
    f"tornado {TORNADO}",
    packages=(
        "opentracing-instrumentation",
        "tornado",
        "requests",
        "redis",
        "celery",
        "psycopg2-binary",
        "sqlalchemy",
        "boto3",
    ),
    counterpart="HTTP servers and client, redis-server, PostgreSQL, SQLite",
)


@pytest.fixture(autouse=True)
def installed(provider: TracerProvider) -> BridgeTracer:
    """Install the bridge: it uses the global tracer alone."""
    return ot_bridge.install(tracer_provider=provider)


@pytest.fixture
def following() -> Iterator[Downstream]:
    with downstream() as service:
        yield service


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install every client hook; take them back after the test."""
    monkeypatch.setattr(urllib.request, "_opener", None)
    for name in ("connect", "extensions"):
        monkeypatch.setattr(psycopg2, name, getattr(psycopg2, name))
    for name in ("register_type", "quote_ident"):
        monkeypatch.setattr(psycopg2.extensions, name, getattr(psycopg2.extensions, name))
    client_hooks.install_all_patches()
    yield
    for hook in (boto3_hook, celery_hook, requests_hook, sqlalchemy_hook, strict_redis):
        hook.reset_patches()
    tornado_http.reset_patchers()
    for once in (tornado_http, urllib2, urllib_hook, psycopg2_hook):
        once.install_patches.reset()


def parent_of(found: dict[str, Any], name: str) -> str | None:
    """Return the name of the span's parent."""
    names = {as_dict(span)["span_id"]: one for one, span in found.items()}
    return names.get(as_dict(found[name])["parent_id"] or "")


# -- servers -----------------------------------------------------------------------------------------------------------


def traced(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Return the WSGI application in the middleware of the library's documentation."""

    def middleware(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = http_server.WSGIRequestWrapper.from_wsgi_environ(environ)
        span = http_server.before_request(request=request)

        def start_and_finish(status: str, headers: Any, exc_info: Any = None) -> Any:
            if exc_info is not None:
                span.log(event="exception", payload=exc_info)
            span.finish()
            return start_response(status, headers)

        with span_in_context(span):
            return app(environ, start_and_finish)

    return middleware


def test_wsgi_request_is_one_server_span(exporter: InMemorySpanExporter) -> None:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        span = get_current_span()
        assert span is opentracing.tracer.active_span
        span.log_kv({"event": "read", "number": 7})
        tenant = span.get_baggage_item("tenant").encode()
        start_response("200 OK", [])
        return [tenant]

    with wsgi(traced(app)) as url:
        answer = requests.get(f"{url}/orders?full=1", headers=incoming(), timeout=20)
        served = spans(exporter, 1)["GET"]
    assert answer.text == "blue"
    assert shape(served) == {
        "name": "GET",
        "kind": "SERVER",
        "trace_id": TRACE_ID,
        "parent_id": PARENT_ID,
        "status": {"code": "UNSET", "description": ""},
        "attributes": {"http.method": "GET", "http.url": f"{url}/orders?full=1", "peer.ipv4": "127.0.0.1"},
        "events": [{"name": "read", "attributes": {"number": 7}}],
        "links": [],
    }


def test_requests_at_the_same_time_do_not_mix(exporter: InMemorySpanExporter) -> None:
    together = threading.Barrier(8)

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        together.wait(20)
        with func_span(f"work {environ['PATH_INFO']}") as span:
            span.set_tag("tenant", span.get_baggage_item("tenant"))
        together.wait(20)
        start_response("200 OK", [])
        return [b""]

    with wsgi(traced(app)) as url:
        traces = at_once(url, 8)
        wait_for(lambda: len(exporter.get_finished_spans()) == 16)
    found = [as_dict(span) for span in exporter.get_finished_spans()]
    served = {span["attributes"]["http.url"]: span for span in found if span["name"] == "GET"}
    work = {span["name"]: span for span in found if span["name"] != "GET"}
    for number, trace_id in enumerate(traces):
        one = work[f"work /{number}"]
        assert (one["trace_id"], one["parent_id"]) == (trace_id, served[f"{url}/{number}"]["span_id"])
        assert one["attributes"]["tenant"] == f"tenant-{number}"


def test_tornado_request_is_one_server_span(exporter: InMemorySpanExporter) -> None:
    class Orders(tornado.web.RequestHandler):
        async def get(self) -> None:
            span = http_server.before_request(http_server.TornadoRequestWrapper(self.request))
            with span_in_context(span), span:
                await tornado.gen.sleep(0.001)
                with func_span("work") as work:
                    self.write(work.get_baggage_item("tenant"))

    with serve(lambda: tornado.web.Application([("/", Orders)])) as url:
        assert requests.get(url, headers=incoming(), timeout=20).text == "blue"
        found = spans(exporter, 2)
    assert (shape(found["GET"])["parent_id"], shape(found["GET"])["kind"]) == (PARENT_ID, "SERVER")
    assert parent_of(found, "work") == "GET"


def test_request_context_manager_sets_the_current_span_of_hooks_alone(exporter: InMemorySpanExporter) -> None:
    span = opentracing.tracer.start_span("work")
    with request_context.RequestContextManager(span=span):
        assert get_current_span() is span
        with func_span("inner"):
            pass
    assert get_current_span() is None
    span.finish()
    assert parent_of(spans(exporter, 2), "inner") == "work"


# -- HTTP clients ------------------------------------------------------------------------------------------------------


def by_requests(url: str) -> str:
    return requests.get(url, timeout=20).text


def by_urllib(url: str) -> str:
    with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310  (on loopback)
        text: str = answer.read().decode()
        return text


@pytest.mark.parametrize("call", [by_requests, by_urllib], ids=["requests", "urllib.request"])
@pytest.mark.usefixtures("hooks")
def test_call_is_one_client_span_and_carries_on(
    call: Callable[[str], str], exporter: InMemorySpanExporter, following: Downstream
) -> None:
    with opentracing.tracer.start_active_span("work") as scope:
        scope.span.set_baggage_item("tenant", "blue")
        assert call(f"{following.url}/orders") == "blue"
    found = spans(exporter, 2)
    work = as_dict(found["work"])
    assert shape(found["GET"]) == {
        "name": "GET",
        "kind": "CLIENT",
        "trace_id": work["trace_id"],
        "parent_id": work["span_id"],
        "status": {"code": "UNSET", "description": ""},
        "attributes": {
            "http.status_code": 200,
            "http.url": f"{following.url}/orders",
            "peer.ipv4": "127.0.0.1",
            "peer.port": int(following.url.rpartition(":")[2]),
        },
        "events": [],
        "links": [],
    }
    following.continues(found["GET"])


@pytest.mark.usefixtures("hooks")
def test_call_that_fails_is_an_error(exporter: InMemorySpanExporter) -> None:
    with pytest.raises(requests.ConnectionError):
        requests.get("http://127.0.0.1:1/", timeout=20)
    called = shape(spans(exporter, 1)["GET"])
    assert called["status"]["code"] == "ERROR"
    assert called["events"][0]["attributes"]["exception.type"].endswith("ConnectionError")


@pytest.mark.usefixtures("hooks")
def test_call_under_a_native_span_is_its_child(exporter: InMemorySpanExporter, following: Downstream) -> None:
    with trace.get_tracer("native").start_as_current_span("native"):
        by_requests(following.url)
    assert parent_of(spans(exporter, 2), "GET") == "native"


@pytest.mark.usefixtures("hooks")
def test_call_of_tornado_is_one_client_span_and_carries_on(
    exporter: InMemorySpanExporter, following: Downstream
) -> None:
    class Orders(tornado.web.RequestHandler):
        async def get(self) -> None:
            with opentracing.tracer.start_active_span("work") as scope:
                scope.span.set_baggage_item("tenant", "blue")
                answer = await tornado.httpclient.AsyncHTTPClient().fetch(following.url)
            self.write(answer.body)

    with serve(lambda: tornado.web.Application([("/", Orders)])) as url:
        with urllib.request.build_opener().open(url, timeout=20) as answer:  # one without the hook
            assert answer.read() == b"blue"
        found = spans(exporter, 2)
    assert (shape(found["GET"])["kind"], parent_of(found, "GET")) == ("CLIENT", "work")
    following.continues(found["GET"])


# -- databases ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("hooks")
def test_redis_commands_are_client_spans(exporter: InMemorySpanExporter, redis_server: Server) -> None:
    client = redis.StrictRedis(host="127.0.0.1", port=redis_server.port)
    with opentracing.tracer.start_active_span("work"):
        client.set("order:7", "x", ex=60)
        assert client.get("order:7") == b"x"
    client.close()
    found = spans(exporter, 3)
    work = as_dict(found["work"])
    assert shape(found["redis:GET"]) == {
        "name": "redis:GET",
        "kind": "CLIENT",
        "trace_id": work["trace_id"],
        "parent_id": work["span_id"],
        "status": {"code": "UNSET", "description": ""},
        "attributes": {
            "peer.ipv4": "127.0.0.1",
            "peer.port": redis_server.port,
            "peer.service": "redis",
            "redis.key": "order:7",
        },
        "events": [],
        "links": [],
    }
    assert parent_of(found, "redis:SET") == "work"


@pytest.mark.usefixtures("hooks")
def test_psycopg2_statements_are_client_spans(exporter: InMemorySpanExporter, postgres_server: Server) -> None:
    with opentracing.tracer.start_active_span("work"):
        connection = psycopg2.connect(postgres_server.url)
        cursor = connection.cursor()
        cursor.execute("SELECT %s + 1", (41,))
        assert cursor.fetchone() == (42,)
        with pytest.raises(psycopg2.Error):
            cursor.execute("DROP TABLE absent")
        connection.rollback()
        connection.close()
    found = spans(exporter, 5)
    work = as_dict(found["work"])
    selected = shape(found["psycopg2:SELECT"])
    assert json.loads(selected["attributes"].pop("sql.conn")) == [[postgres_server.url], {}]
    assert selected == {
        "name": "psycopg2:SELECT",
        "kind": "CLIENT",
        "trace_id": work["trace_id"],
        "parent_id": work["span_id"],
        "status": {"code": "UNSET", "description": ""},
        "attributes": {"sql": "SELECT %s + 1", "sql.params": (41,)},
        "events": [],
        "links": [],
    }
    assert shape(found["psycopg2:DROP"])["status"]["code"] == "ERROR"
    assert {parent_of(found, name) for name in found} == {None, "work"}


def test_any_db_api_module_can_be_wrapped(exporter: InMemorySpanExporter) -> None:
    connect = _dbapi2.ConnectionFactory(sqlite3.connect, "sqlite3")
    with opentracing.tracer.start_active_span("work"):
        connection = connect(":memory:")
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE orders (number INTEGER)")
        cursor.executemany("INSERT INTO orders VALUES (?)", [(1,), (2,)])
        connection.commit()
        cursor.close()
        connection.close()
    found = spans(exporter, 5)
    assert {name: parent_of(found, name) for name in found} == {
        "sqlite3:connect": "work",
        "sqlite3:CREATE": "work",
        "sqlite3:INSERT": "work",
        "sqlite3:commit": "work",
        "work": None,
    }


@pytest.mark.usefixtures("hooks")
def test_sqlalchemy_query_is_a_client_span(exporter: InMemorySpanExporter) -> None:
    engine = sqlalchemy.create_engine("sqlite://")
    with opentracing.tracer.start_active_span("work"), engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT 1 + 1")).scalar() == 2
    engine.dispose()
    found = spans(exporter, 2)
    called = shape(found["SQL SELECT"])
    assert (called["kind"], parent_of(found, "SQL SELECT")) == ("CLIENT", "work")
    assert called["attributes"] == {
        "component": "sqlalchemy",
        "db.instance": "sqlite://",
        "db.statement": "SELECT 1 + 1",
        "db.type": "sqlite",
    }


# -- Celery, boto3 -----------------------------------------------------------------------------------------------------


@pytest.fixture
def worker(redis_server: Server, tmp_path: Path) -> Iterator[Path]:
    """A Celery worker in a process of its own; yield the file with its spans, a JSON object a line."""
    written = tmp_path / "spans"
    tests = str(Path(__file__).parent.parent)
    program = str(Path(__file__).with_name("instrumented_worker.py"))
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", program, redis_server.url, f"{written}"],
        env={**os.environ, "PYTHONPATH": tests},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield written
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.usefixtures("hooks")
def test_celery_task_is_a_child_of_its_call(exporter: InMemorySpanExporter, redis_server: Server, worker: Path) -> None:
    from libraries.instrumented_worker import make_app

    price = make_app(redis_server.url).tasks["price"]
    with opentracing.tracer.start_active_span("work") as scope:
        scope.span.set_baggage_item("tenant", "blue")
        assert price.delay(7).get(timeout=40) == "blue"
        with pytest.raises(ValueError, match="no such order"):
            price.delay(-1).get(timeout=40)

    def ran() -> list[dict[str, Any]]:
        return [json.loads(line) for line in worker.read_text().splitlines()]

    wait_for(lambda: len(ran()) == 2)
    found = [as_dict(span) for span in exporter.get_finished_spans()]
    work = next(span for span in found if span["name"] == "work")
    called = [span for span in found if span["name"] == "Celery:apply_async:price"]
    assert [(span["kind"], span["parent_id"]) for span in called] == [("CLIENT", work["span_id"])] * 2
    run = {"name": "Celery:run:price", "kind": "SERVER", "trace_id": work["trace_id"], "task": "price"}
    assert ran() == [{**run, "parent_id": span["span_id"], "status": "UNSET"} for span in called]


@pytest.fixture
def dynamodb() -> Iterator[Any]:
    """A client of boto3 whose endpoint answers on loopback."""

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        body = json.dumps({"TableNames": ["orders"]}).encode()
        start_response("200 OK", [("x-amzn-RequestId", "R1"), ("Content-Type", "application/x-amz-json-1.0")])
        return [body]

    with wsgi(app) as url:
        client = boto3.client(
            "dynamodb", "eu-west-1", endpoint_url=url, aws_access_key_id="x", aws_secret_access_key="x"
        )
        yield client
        client.close()


@pytest.mark.usefixtures("hooks")
def test_boto3_call_is_a_client_span_with_tornado_scope_manager(
    provider: TracerProvider, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch, dynamodb: Any
) -> None:
    tracer = BridgeTracer(provider, scope_manager=TornadoScopeManager())
    monkeypatch.setattr(opentracing, "tracer", tracer)
    with tracer.start_active_span("work"):
        assert dynamodb.list_tables()["TableNames"] == ["orders"]
    found = spans(exporter, 2)
    called = shape(found["boto3:client:dynamodb:list_tables"])
    assert (called["kind"], parent_of(found, called["name"])) == ("CLIENT", "work")
    assert called["attributes"] == {
        "aws.request_id": "R1",
        "boto3.service_name": "dynamodb",
        "component": "boto3",
    }


@pytest.mark.parametrize("with_mock", [False, True], ids=["bridge", "MockTracer"])
@pytest.mark.usefixtures("hooks")
@limited(
    "its boto3 hook raises RuntimeError without a TornadoScopeManager, with every tracer: leave it out by naming "
    "the others in install_patches([...]), or give BridgeTracer a TornadoScopeManager"
)
def test_boto3_hook_raises_without_tornado_scope_manager(
    with_mock: bool, monkeypatch: pytest.MonkeyPatch, dynamodb: Any
) -> None:
    if with_mock:
        monkeypatch.setattr(opentracing, "tracer", MockTracer())
    with pytest.raises(RuntimeError, match="is not TornadoScopeManager"):
        dynamodb.list_tables()


# -- local spans -------------------------------------------------------------------------------------------------------


def test_traced_functions_nest(exporter: InMemorySpanExporter) -> None:
    @traced_function
    def inner() -> None: ...

    @traced_function(name="outer", on_start=lambda span, number: span.set_tag("number", number))
    def run(number: int) -> None:
        inner()

    @traced_function(require_active_trace=True)
    def nothing() -> None: ...

    nothing()
    run(7)
    found = spans(exporter, 2)
    assert (parent_of(found, "inner"), shape(found["outer"])["attributes"]) == ("outer", {"number": 7})


def test_traced_function_that_raises_is_an_error(exporter: InMemorySpanExporter) -> None:
    @traced_function
    def breaks() -> None:
        raise ValueError("no such order")

    with pytest.raises(ValueError, match="no such order"):
        breaks()
    done = shape(spans(exporter, 1)["breaks"])
    assert done["status"]["code"] == "ERROR"
    assert [event["name"] for event in done["events"]] == ["exception"]


def test_traced_tornado_coroutine_lasts_until_its_end(exporter: InMemorySpanExporter) -> None:
    from tornado.ioloop import IOLoop

    @traced_function
    @tornado.gen.coroutine
    def inner() -> Iterator[Any]:
        assert not exporter.get_finished_spans()
        yield tornado.gen.sleep(0.001)

    @traced_function
    @tornado.gen.coroutine
    def outer() -> Iterator[Any]:
        yield inner()
        yield tornado.gen.sleep(0.001)

    IOLoop(make_current=False).run_sync(outer)
    found = spans(exporter, 2)
    assert (parent_of(found, "inner"), list(found)) == ("outer", ["inner", "outer"])


def test_threads_do_not_mix(exporter: InMemorySpanExporter) -> None:
    @traced_function(on_start=lambda span, number: span.set_tag("number", number))
    def inner(number: int) -> None: ...

    @traced_function(on_start=lambda span, number: span.set_tag("number", number))
    def outer(number: int) -> None:
        inner(number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(outer, range(64)))
    found = [as_dict(span) for span in exporter.get_finished_spans()]
    outers = {span["attributes"]["number"]: span["span_id"] for span in found if span["name"] == "outer"}
    inners = {span["attributes"]["number"]: span["parent_id"] for span in found if span["name"] == "inner"}
    assert len(outers) == 64
    assert inners == outers


# -- what it needs -----------------------------------------------------------------------------------------------------

if TORNADO == 5:

    @limited(
        "tornado 5, which it pins, imports on Python 3.10 and 3.11 only after collections.MutableMapping = "
        "collections.abc.MutableMapping, and not on 3.12: take tornado 6, see there"
    )
    def test_tornado_5_needs_a_line_before_its_import() -> None:
        done = subprocess.run(
            [sys.executable, "-c", "import tornado.httputil"], capture_output=True, text=True, check=False
        )
        assert "no attribute 'MutableMapping'" in done.stderr

else:

    @limited(
        "it imports tornado.stack_context, which tornado 6 has not, and it wants tornado<6: install it with --no-deps "
        "beside contextlib2, future, six, tornado and wrapt, and call ot_bridge.stack_context.provide() before it"
    )
    def test_import_on_tornado_6_needs_stack_context() -> None:
        done = subprocess.run(
            [sys.executable, "-c", "import opentracing_instrumentation"], capture_output=True, text=True, check=False
        )
        assert done.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'tornado.stack_context'"
