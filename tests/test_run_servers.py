"""Servers under `ot-bridge run`, as they are started in production: gunicorn, uvicorn, flask and celery."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from collectors import http_collector
from zero_code import ask, by_name, free_port, spans_of, started, wait_for

pytestmark = pytest.mark.skipif(os.name == "nt", reason="these servers fork")

HEADERS = {"Uber-Trace-Id": "0af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:1"}
SHOP = """
import opentracing

def traced(name, headers):
    tracer = opentracing.global_tracer()
    parent = tracer.extract(opentracing.Format.HTTP_HEADERS, headers)
    with tracer.start_active_span(name, child_of=parent):
        return "done"
"""
WSGI = f"""{SHOP}
def app(environ, start_response):
    start_response("200 OK", [("content-type", "text/plain")])
    headers = {{key[5:].replace("_", "-"): value for key, value in environ.items() if key.startswith("HTTP_")}}
    return [traced("wsgi", headers).encode()]
"""
ASGI = f"""{SHOP}
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({{"type": "lifespan.startup.complete"}})
        await send({{"type": "lifespan.shutdown.complete"}})
        return
    headers = {{key.decode(): value.decode() for key, value in scope["headers"]}}
    body = traced("asgi", headers).encode()
    await send({{"type": "http.response.start", "status": 200, "headers": []}})
    await send({{"type": "http.response.body", "body": body}})
"""
FLASK = f"""{SHOP}
import flask
app = flask.Flask(__name__)

@app.get("/")
def index():
    return traced("flask", flask.request.headers)
"""


@pytest.mark.parametrize(
    ("text", "words", "name"),
    [
        (WSGI, ("gunicorn", "--bind=127.0.0.1:PORT", "--workers=2", "app:app"), "wsgi"),
        (WSGI, ("gunicorn", "--bind=127.0.0.1:PORT", "--workers=2", "--preload", "app:app"), "wsgi"),
        (WSGI, ("gunicorn", "--bind=127.0.0.1:PORT", "--worker-class=gevent", "app:app"), "wsgi"),
        (WSGI, ("python", "-m", "gunicorn", "--bind=127.0.0.1:PORT", "app:app"), "wsgi"),
        (ASGI, ("uvicorn", "--port=PORT", "app:app"), "asgi"),
        (ASGI, ("uvicorn", "--port=PORT", "--workers=2", "app:app"), "asgi"),
        (FLASK, ("flask", "run", "--port=PORT"), "flask"),
        (FLASK, ("flask", "run", "--port=PORT", "--debug"), "flask"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_request_to_a_server_is_traced(text: str, words: tuple[str, ...], name: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(text, encoding="utf-8")
    port = free_port()
    command = [word.replace("PORT", str(port)) for word in words]
    with http_collector() as (endpoint, arrivals):
        # What the end of a server sends is in tests/processes.
        variables = {"OTEL_SERVICE_NAME": "shop", "OTEL_BSP_SCHEDULE_DELAY": "100"}
        with started(*command, cwd=tmp_path, endpoint=endpoint, variables=variables):
            assert ask(port, headers=HEADERS) == "done"
            found = wait_for(arrivals, 1)
        span = by_name(arrivals)[name]
    assert found == [("shop", name)]
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == tuple(HEADERS["Uber-Trace-Id"].split(":")[:2])


def test_last_spans_of_a_gunicorn_worker_are_sent_when_it_ends(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(WSGI, encoding="utf-8")
    port = free_port()
    with http_collector() as (endpoint, arrivals):
        variables = {"OTEL_SERVICE_NAME": "shop", "OTEL_BSP_SCHEDULE_DELAY": "60000"}
        with started(
            "gunicorn", f"--bind=127.0.0.1:{port}", "app:app", cwd=tmp_path, endpoint=endpoint, variables=variables
        ):
            assert ask(port) == "done"
        assert spans_of(arrivals) == [("shop", "wsgi")]


@pytest.mark.parametrize("pool", ["solo", "prefork"])
def test_task_of_celery_is_traced(pool: str, tmp_path: Path) -> None:
    text = (
        "import celery, opentracing\n"
        "app = celery.Celery('app', broker='filesystem://')\n"
        "names = 'data_folder_in', 'data_folder_out', 'control_folder'\n"
        f"folders = dict.fromkeys(names, {str(tmp_path / 'queue')!r})\n"
        "app.conf.broker_transport_options = folders\n"
        "@app.task(name='charge')\n"
        "def charge():\n"
        "    with opentracing.global_tracer().start_active_span('task'): pass\n"
    )
    (tmp_path / "app.py").write_text(text, encoding="utf-8")
    (tmp_path / "queue").mkdir()
    words = (
        "celery",
        "-A",
        "app",
        "worker",
        f"--pool={pool}",
        "--concurrency=1",
        "--without-gossip",
        "--without-mingle",
    )
    with http_collector() as (endpoint, arrivals):
        variables = {"OTEL_SERVICE_NAME": "worker", "OTEL_BSP_SCHEDULE_DELAY": "100"}
        with started(*words, cwd=tmp_path, endpoint=endpoint, variables=variables):
            with started("python", "-c", "import app; app.charge.delay()", cwd=tmp_path, endpoint=endpoint) as sender:
                assert sender.wait(30) == 0
            found = wait_for(arrivals, 1)
    assert found == [("worker", "task")]
