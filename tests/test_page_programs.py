"""The programs of the how-to pages, served for real: a request with a header of Jaeger's becomes spans at a collector.

Each page has a program as it is today, one with the bridge's tracer, perhaps one of another kind, and the one with
OpenTelemetry's own instrumentation. Where a library is not installed its page is skipped: `make compat` runs it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from agents import eventually
from collectors import Arrival, http_collector
from page_code import missing, programs_of
from test_pages import READ

TRACE, PARENT = "5b8aa5a2d2c872e8", "ef0123456789abcd"
HEADERS = {"uber-trace-id": f"{TRACE}:{PARENT}:0:1", "uberctx-tenant": "acme"}
W3C_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
W3C_HEADERS = {"traceparent": f"00-{W3C_TRACE}-{PARENT}-01"}
GRPC_SERVER = "import sys, threading, app; server = app.serve(sys.argv[1]); threading.Event().wait()"
SERVER_KIND, CLIENT_KIND = 2, 3
UNCHANGED = ("-m", "ot_bridge.cli", "run", sys.executable)


class Case(NamedTuple):
    """How one program of a page is served."""

    page: str
    number: int
    name: str
    command: tuple[str, ...]
    server_span: str
    unchanged: bool = False  # by ot-bridge run


FLASK = ("-m", "flask", "--app", "app", "run", "--port", "{port}")
DJANGO = ("-m", "gunicorn", "--bind", "127.0.0.1:{port}", "app:application")
RUNSERVER = ("app.py", "runserver", "127.0.0.1:{port}")
FASTAPI = ("-m", "uvicorn", "--port", "{port}", "app:app")
GRPC = ("-c", GRPC_SERVER, "127.0.0.1:{port}")
CASES = (
    Case("docs/flask.md", 1, "before", FLASK, "stock", unchanged=True),
    Case("docs/flask.md", 1, "before, in the debugger", (*FLASK, "--debug"), "stock", unchanged=True),
    Case("docs/flask.md", 2, "after", FLASK, "stock"),
    Case("docs/flask.md", 2, "after, in the debugger", (*FLASK, "--debug"), "stock"),
    Case("docs/flask.md", 3, "later", FLASK, "GET /stock/<item>"),
    Case("docs/django.md", 1, "before", DJANGO, "stock", unchanged=True),
    Case("docs/django.md", 1, "before, with the reloader", RUNSERVER, "stock", unchanged=True),
    Case("docs/django.md", 2, "after", DJANGO, "stock"),
    Case("docs/django.md", 2, "after, with the reloader", RUNSERVER, "stock"),
    Case("docs/django.md", 3, "later", DJANGO, "GET stock/<item>"),
    Case("docs/fastapi.md", 1, "before", FASTAPI, "/stock/teapot", unchanged=True),
    Case("docs/fastapi.md", 2, "after", FASTAPI, "/stock/teapot"),
    Case("docs/fastapi.md", 2, "after, with workers", (*FASTAPI, "--workers", "2"), "/stock/teapot"),
    Case("docs/fastapi.md", 3, "own middleware", FASTAPI, "/stock/teapot"),
    Case("docs/fastapi.md", 4, "later", FASTAPI, "GET /stock/{item}"),
    Case("docs/fastapi.md", 5, "later, with an older one", FASTAPI, "GET /stock/{item}"),
    Case("docs/grpc.md", 1, "before", GRPC, "/shop.Stock/LookUp", unchanged=True),
    Case("docs/grpc.md", 2, "after", GRPC, "/shop.Stock/LookUp"),
    Case("docs/grpc.md", 3, "later", GRPC, "/shop.Stock/LookUp"),
)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def serving(case: Case, directory: Path, collector: str) -> Iterator[int]:
    """Serve a page's program from a process of its own; give the port."""
    (directory / "app.py").write_text(programs_of(READ[case.page])[case.number - 1], encoding="utf-8")
    port = free_port()
    words = [word.format(port=port) for word in case.command]
    environ = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "PYTHONPATH": str(directory),
    }
    command = [sys.executable, *(UNCHANGED if case.unchanged else ()), *words]
    output = directory / "output.txt"
    with output.open("w") as said:
        # A session of its own: reloaders and servers have children.
        process = subprocess.Popen(
            command, cwd=directory, env=environ, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            started = eventually(lambda: process.poll() is not None or is_open(port))
            assert started, output.read_text()
            assert process.poll() is None, output.read_text()
            yield port
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def ask_by_http(port: int, headers: dict[str, str]) -> str:
    response = requests.get(f"http://127.0.0.1:{port}/stock/teapot", headers=headers, timeout=20)
    return response.text


def ask_by_grpc(port: int, headers: dict[str, str]) -> str:
    import grpc
    from google.protobuf.wrappers_pb2 import StringValue

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/shop.Stock/LookUp", StringValue.SerializeToString, StringValue.FromString)
        answer: str = call(StringValue(value="teapot"), metadata=tuple(headers.items()), timeout=20).value
        return answer


def arrived(arrivals: list[Arrival]) -> list[Any]:
    """Return the spans that have arrived, each with its resource's attributes."""
    return [
        (span, {item.key: item.value.string_value for item in resource.resource.attributes})
        for arrival in list(arrivals)
        for resource in arrival.request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def spans_of(arrivals: list[Arrival], trace_id: str = TRACE.zfill(32)) -> dict[str, Any]:
    """Return those of one trace by their names."""
    return {span.name: (span, resource) for span, resource in arrived(arrivals) if span.trace_id.hex() == trace_id}


def outer_span(case: Case) -> str:
    """Return the name of the server span: FastAPI may make one of its own, see the page."""
    traces_itself = case.page == "docs/fastapi.md" and importlib.util.find_spec("fastapi.telemetry") is not None
    return "GET /stock/{item}" if traces_itself else case.server_span


def ancestors(arrivals: list[Arrival], span: Any) -> list[str]:
    """Return the names of the spans above one in its trace, the outermost last."""
    by_id = {(one.trace_id, one.span_id): one for one, _ in spans_of(arrivals).values()}
    names = []
    while (span := by_id.get((span.trace_id, span.parent_span_id))) is not None:
        names.append(span.name)
    return names


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.page}-{case.name}")
def test_request_is_seen_at_the_collector(case: Case, tmp_path: Path) -> None:
    lacking = missing(programs_of(READ[case.page])[case.number - 1], but=("jaeger_client",) if case.unchanged else ())
    if lacking:
        pytest.skip(f"needs {lacking}: make compat")
    ask: Callable[[int, dict[str, str]], str] = ask_by_grpc if case.command is GRPC else ask_by_http
    with http_collector() as (url, arrivals), serving(case, tmp_path, url) as port:
        answer = ask(port, HEADERS)
        outer = outer_span(case)
        assert eventually(lambda: {"look up", case.server_span, outer} <= spans_of(arrivals).keys()), (
            f"{answer} {list(spans_of(arrivals))} {(tmp_path / 'output.txt').read_text()}"
        )
        ask(port, W3C_HEADERS)
        assert eventually(lambda: {"look up", outer} <= spans_of(arrivals, W3C_TRACE).keys())
    by_traceparent, _ = spans_of(arrivals, W3C_TRACE)[outer]
    assert (by_traceparent.parent_span_id.hex(), by_traceparent.kind) == (PARENT, SERVER_KIND)
    served, resource = spans_of(arrivals)[outer]
    below, _ = spans_of(arrivals)["look up"]
    assert "teapot" in answer
    assert resource["service.name"] == "stock"
    assert (served.trace_id.hex(), served.parent_span_id.hex(), served.kind) == (TRACE.zfill(32), PARENT, SERVER_KIND)
    assert [(item.key, item.value.string_value) for item in below.attributes] == [("item", "teapot")]
    assert case.server_span in ancestors(arrivals, below)
    assert ancestors(arrivals, below)[-1] == outer
    spans = [span for span, _ in spans_of(arrivals).values()]
    assert [span.name for span in spans if span.kind == SERVER_KIND] == [outer]
    names = [span.name for span, _ in arrived(arrivals) if span.trace_id == served.trace_id]
    assert sorted(names) == sorted(set(names))  # each one once
    if case.page != "docs/fastapi.md":
        assert sorted(names) == sorted(["look up", outer])


@pytest.mark.parametrize("number", [1, 2, 3], ids=["before", "after", "later"])
def test_grpc_client_and_server_are_one_trace(number: int, tmp_path: Path) -> None:
    program = programs_of(READ["docs/grpc.md"])[number - 1]
    lacking = missing(program, but=("jaeger_client",) if number == 1 else ())
    if lacking:
        pytest.skip(f"needs {lacking}: make compat")
    case = Case("docs/grpc.md", number, "", GRPC, "", unchanged=number == 1)
    with http_collector() as (url, arrivals), serving(case, tmp_path, url) as port:
        asking = ("-c", "import sys, app; print(app.ask(sys.argv[1], 'teapot'))", f"127.0.0.1:{port}")
        environ = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": url, "PYTHONPATH": str(tmp_path)}
        command = [sys.executable, *(UNCHANGED if number == 1 else ()), *asking]
        done = subprocess.run(
            command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout == "teapot: 3 left\n", done.stderr
        names = ["/shop.Stock/LookUp", "/shop.Stock/LookUp", "ask", "look up"]
        assert eventually(lambda: sorted(name for arrival in list(arrivals) for name in arrival.span_names) == names)
    spans = [span for span, _ in arrived(arrivals)]
    by_kind = {span.kind if span.name.startswith("/") else span.name: span for span in spans}
    chain = [by_kind[key] for key in ("ask", CLIENT_KIND, SERVER_KIND, "look up")]
    assert [span.parent_span_id for span in chain] == [b"", *(span.span_id for span in chain[:-1])]
    assert len({span.trace_id for span in chain}) == 1
