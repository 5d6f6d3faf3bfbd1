"""Servers as they run in production: every request is one span, also when workers are recycled and at the end."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest

from collectors import http_collector
from compat.cells import cell
from processes.ways import DROP_IN, INSTALL, LATE, RUN, Way, parents, wait_until
from zero_code import LIMIT_S, free_port, started

pytestmark = pytest.mark.skipif(os.name == "nt", reason="these servers fork")

PARENT_ID = "b7ad6b7169203331"
SHOP = """
import opentracing

def traced(headers):
    tracer = opentracing.global_tracer()
    parent = tracer.extract(opentracing.Format.HTTP_HEADERS, headers)
    with tracer.start_active_span("request", child_of=parent):
        return b"done"
"""
APPS = {
    "wsgi": """
def app(environ, start_response):
    headers = {key[5:].replace("_", "-"): value for key, value in environ.items() if key.startswith("HTTP_")}
    body = traced(headers)
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", str(len(body)))])
    return [body]
""",
    "asgi": """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = traced({key.decode(): value.decode() for key, value in scope["headers"]})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": body})
""",
    "flask": """
import flask
app = flask.Flask(__name__)

@app.get("/")
def index():
    return traced(flask.request.headers)
""",
}
UVICORN_WORKER = (
    "uvicorn_worker.UvicornWorker" if importlib.util.find_spec("uvicorn_worker") else "uvicorn.workers.UvicornWorker"
)


class Server(NamedTuple):
    """A server that is to be tested.

    Attributes:
        words: the command; PORT stands for the port.
        app: which of APPS it serves.
        packages: distributions whose versions matter.
        recycles: after how many requests the command recycles a worker; None where it does not.
    """

    words: tuple[str, ...]
    app: str
    packages: tuple[str, ...]
    recycles: int | None = None


def _gunicorn(*words: str, app: str = "wsgi", packages: tuple[str, ...] = ()) -> Server:
    common = ("gunicorn", "--bind=127.0.0.1:PORT", "--workers=1", "--max-requests=4")
    return Server((*common, *words, "app:app"), app, ("gunicorn", *packages), 4)


def _uwsgi(*words: str) -> Server:
    # uwsgi brings an interpreter of its own, which has to be told of the environment.
    common = ("uwsgi", "--http-socket=127.0.0.1:PORT", "--master", "--processes=1", "--need-app")
    # By itself it does not wait for requests, and a worker that ends in one runs no atexit.
    graceful = "--hook-master-start=unix_signal:15 gracefully_kill_them_all"
    more = ("--max-requests=4", "--min-worker-lifetime=0", f"--home={sys.prefix}", "--module=app:app")
    return Server((*common, graceful, *more, *words), "wsgi", ("pyuwsgi",), 4)


_CLASSES = {
    "sync": _gunicorn(),
    "gthread": _gunicorn("--worker-class=gthread", "--threads=4"),
    "gevent": _gunicorn("--worker-class=gevent", packages=("gevent",)),
    "uvicorn worker": _gunicorn(f"--worker-class={UVICORN_WORKER}", app="asgi", packages=("uvicorn", "uvicorn-worker")),
}
SERVERS = {
    **{f"gunicorn {name}": server for name, server in _CLASSES.items()},
    **{
        f"gunicorn {name}, preload": server._replace(words=(*server.words, "--preload"))
        for name, server in _CLASSES.items()
    },
    "uvicorn": Server(("uvicorn", "--port=PORT", "app:app"), "asgi", ("uvicorn",)),
    "uvicorn, workers": Server(("uvicorn", "--port=PORT", "--workers=2", "app:app"), "asgi", ("uvicorn",)),
    "flask run": Server(("flask", "run", "--port=PORT"), "flask", ("flask",)),
    "uwsgi": _uwsgi(),
    "uwsgi, lazy-apps": _uwsgi("--lazy-apps"),
}


def _cases(rows: dict[str, Server], *ways: Way) -> list[object]:
    return [
        pytest.param(
            server, way, marks=cell("processes", row, way.column, packages=server.packages), id=f"{row}-{way.column}"
        )
        for row, server in rows.items()
        for way in ways
    ]


def command(server: Server, port: int) -> list[str]:
    program = server.words[0]
    if shutil.which(program, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}") is None:
        pytest.skip(f"needs {program}: make compat")
    return [word.replace("PORT", str(port)) for word in server.words]


def ask(port: int, trace_id: str) -> bytes:
    """Send one request. Only where nobody listens, as at the start, it is sent again."""
    end_s = time.monotonic() + LIMIT_S
    while True:
        connection = HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
        try:
            connection.connect()
        except ConnectionError:
            if time.monotonic() > end_s:
                raise
            time.sleep(0.05)
            continue
        connection.request("GET", "/", headers={"Uber-Trace-Id": f"{trace_id}:{PARENT_ID}:0:1", "Connection": "close"})
        body = connection.getresponse().read()
        connection.close()
        return body


@pytest.mark.parametrize(
    ("server", "way"),
    [*_cases(SERVERS, INSTALL, RUN), *_cases({"gunicorn sync, preload": SERVERS["gunicorn sync, preload"]}, DROP_IN)],
)
def test_every_request_is_one_span_though_workers_are_recycled_and_stopped(
    server: Server, way: Way, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(way.code + SHOP + APPS[server.app], encoding="utf-8")
    port, count = free_port(), 10
    trace_ids = [uuid4().hex for _ in range(count)]
    with http_collector(idle_s=30) as (endpoint, arrivals):
        with started(
            *command(server, port), cwd=tmp_path, endpoint=endpoint, variables=LATE, launcher=way.launcher
        ) as process:
            with ThreadPoolExecutor(2) as threads:
                assert set(threads.map(lambda trace_id: ask(port, trace_id), trace_ids)) == {b"done"}
            if server.recycles is not None:
                # Of the workers that were recycled, before anybody stops the rest.
                wait_until(lambda: len(parents(arrivals)) >= server.recycles, process)
            process.send_signal(signal.SIGTERM)
            process.wait(LIMIT_S)
        found = parents(arrivals)
    assert found == sorted(("request", trace_id, PARENT_ID) for trace_id in trace_ids)
