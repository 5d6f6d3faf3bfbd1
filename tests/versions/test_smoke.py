"""A process with this interpreter and this SDK sends what it traced to a collector, over HTTP and over gRPC."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from collectors import Arrival, grpc_collector, http_collector
from compat.cells import cell
from compat.versions import row
from peers.prepare import ENVIRONMENTS, Missing, prepare
from zero_code import LIMIT_S, environment, free_port, wait_for

PROTOCOLS = {"HTTP": "http/protobuf", "gRPC": "grpc"}
COLLECTORS = {"HTTP": http_collector, "gRPC": grpc_collector}

THREADS = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}{THREADS}"
SDK = ".".join(metadata.version("opentelemetry-sdk").split(".")[:2])

PROGRAM = """
import asyncio, threading
import opentracing
from opentracing import Format, tags
from ot_bridge import install

tracer = install("shop")

def serve(headers):
    parent = tracer.extract(Format.HTTP_HEADERS, headers)
    with tracer.start_active_span("serve", child_of=parent, tags={tags.SPAN_KIND: tags.SPAN_KIND_RPC_SERVER}) as scope:
        scope.span.set_tag("tenant", scope.span.get_baggage_item("tenant"))
        scope.span.set_tag(tags.ERROR, True).log_kv({"event": "late", "by_s": 1.5})

async def call():
    with tracer.start_active_span("call", tags={tags.SPAN_KIND: tags.SPAN_KIND_RPC_CLIENT}) as scope:
        await asyncio.sleep(0)
        scope.span.set_baggage_item("tenant", "acme").set_tag("rows", 3)
        headers = {}
        tracer.inject(opentracing.tracer.active_span.context, Format.HTTP_HEADERS, headers)
        thread = threading.Thread(target=serve, args=(headers,))
        thread.start()
        thread.join()

asyncio.run(call())
"""


def speaks_for(column: str) -> Any:
    """Return a parameter that fills the cell of this interpreter and this SDK."""
    mark = cell(
        "versions", row(PYTHON, SDK), column, packages=("grpcio",), counterpart=ENVIRONMENTS["rotel"].packages[0]
    )
    return pytest.param(column, marks=mark)


def run(tmp_path: Path, endpoint: str, protocol: str) -> None:
    """Run the program to its end, which sends its spans."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    variables = environment(endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=PROTOCOLS[protocol])
    words = [sys.executable, "-W", "error", str(program)]
    done = subprocess.run(words, env=variables, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def assert_whole(arrivals: list[Arrival]) -> None:
    """Assert that two spans have arrived, with all that the program said of them."""
    assert wait_for(arrivals, 2) == [("shop", "call"), ("shop", "serve")]
    spans = [
        span
        for arrival in arrivals
        for of_resource in arrival.request.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]
    call, serve = sorted(spans, key=lambda span: span.name)
    assert (serve.trace_id, serve.parent_span_id, call.parent_span_id) == (call.trace_id, call.span_id, b"")
    assert 0 < call.start_time_unix_nano <= serve.start_time_unix_nano < serve.end_time_unix_nano
    assert told(call) == {"kind": 3, "status": 0, "attributes": {"rows": 3}, "events": {}}
    assert told(serve) == {
        "kind": 2,
        "status": 2,
        "attributes": {"tenant": "acme"},
        "events": {"late": {"by_s": 1.5}},
    }


def told(span: Any) -> Mapping[str, Any]:
    """Return what was set on a span of OTLP."""
    return {
        "kind": span.kind,
        "status": span.status.code,
        "attributes": attributes(span),
        "events": {event.name: attributes(event) for event in span.events},
    }


def attributes(of: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in of.attributes}


@pytest.mark.parametrize("protocol", [speaks_for(protocol) for protocol in PROTOCOLS])
def test_spans_of_a_process_arrive_whole(protocol: str, tmp_path: Path) -> None:
    with COLLECTORS[protocol]() as (url, arrivals):
        run(tmp_path, url, protocol)
        assert_whole(arrivals)


@pytest.fixture(scope="module")
def agent() -> Path:
    """The program of rotel."""
    found = prepare(names=("rotel",))["rotel"]
    if isinstance(found, Missing):
        pytest.skip(found.reason)
    return found.packages / "rotel" / "rotel-agent"


@contextlib.contextmanager
def rotel(agent: Path, folder: Path, target: str) -> Iterator[Mapping[str, str]]:
    """Run a real collector that sends on, over HTTP, what it gets; give its endpoint for each protocol."""
    ports = {protocol: free_port() for protocol in PROTOCOLS}
    words = [
        str(agent),
        "start",
        f"--otlp-http-endpoint=127.0.0.1:{ports['HTTP']}",
        f"--otlp-grpc-endpoint=127.0.0.1:{ports['gRPC']}",
        "--exporter=otlp",
        "--otlp-exporter-protocol=http",
        f"--otlp-exporter-endpoint={target}",
        f"--pid-file={folder / 'rotel.pid'}",
        f"--log-file={folder / 'rotel.log'}",
    ]
    log = folder / "rotel.out"
    with log.open("wb") as output:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        for port in ports.values():
            wait_until_open(port, process)
        yield {protocol: f"http://127.0.0.1:{port}" for protocol, port in ports.items()}
    except BaseException:
        print(log.read_text(errors="replace"))
        raise
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    end_s = time.monotonic() + LIMIT_S
    while not listens(port):
        assert process.poll() is None, "rotel has ended"
        assert time.monotonic() < end_s, "rotel does not listen"
        time.sleep(0.02)


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.skipif(os.name == "nt", reason="rotel is not made for Windows")
@pytest.mark.parametrize("protocol", [speaks_for(protocol) for protocol in PROTOCOLS])
def test_spans_of_a_process_pass_a_real_collector(agent: Path, protocol: str, tmp_path: Path) -> None:
    with http_collector() as (url, arrivals), rotel(agent, tmp_path, url) as endpoints:
        run(tmp_path, endpoints[protocol], protocol)
        assert_whole(arrivals)
