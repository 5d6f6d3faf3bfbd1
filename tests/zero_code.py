"""Programs under `ot-bridge run`, as processes, and what they sent."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import ot_bridge
from collectors import Arrival

__all__ = ["BRIDGE", "SOURCE", "ask", "by_name", "environment", "free_port", "run", "spans_of", "started", "wait_for"]

SOURCE = str(Path(ot_bridge.__file__).parent.parent)
BRIDGE = (sys.executable, "-m", "ot_bridge.cli", "run")
LIMIT_S = 60.0
FOREIGN = ("OTEL_", "OT_BRIDGE_", "JAEGER_", "PYTHON")


def environment(endpoint: str | None = None, **more: str) -> dict[str, str]:
    """Return variables that a program starts with: the bridge can be imported, spans go to the endpoint or nowhere."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    target = {"OTEL_TRACES_EXPORTER": "none"} if endpoint is None else {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    python = {"PYTHONPATH": SOURCE, "PYTHONDONTWRITEBYTECODE": "1"}
    own = Path(sys.executable).parent
    return {**outer, **python, **target, "PATH": f"{own}{os.pathsep}{outer.get('PATH', os.defpath)}", **more}


def run(
    *words: str,
    cwd: Path,
    endpoint: str | None = None,
    given: str = "",
    launcher: Sequence[str] = BRIDGE,
    variables: Mapping[str, str] = {},
) -> subprocess.CompletedProcess[str]:
    """Run `ot-bridge run` with these words to its end."""
    return subprocess.run(
        [*launcher, *words],
        cwd=cwd,
        env=environment(endpoint, **variables),
        input=given,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@contextlib.contextmanager
def started(
    *words: str, cwd: Path, endpoint: str, variables: Mapping[str, str] = {}, launcher: Sequence[str] = BRIDGE
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server below `ot-bridge run`; end it, and all that it has started, at the end of the block."""
    log = cwd / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*launcher, *words],
            cwd=cwd,
            env=environment(endpoint, **variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        except BaseException:
            print(log.read_text(errors="replace"))
            raise
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


def ask(port: int, path: str = "/", headers: Mapping[str, str] = {}) -> str:
    """Send a request to a server that may still be starting; return its answer."""
    end_s = time.monotonic() + LIMIT_S
    while True:
        connection = HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)
        try:
            connection.request("GET", path, headers=dict(headers))
            return connection.getresponse().read().decode()
        except ConnectionError:
            if time.monotonic() > end_s:
                raise
            time.sleep(0.05)
        finally:
            connection.close()


def spans_of(arrivals: Sequence[Arrival]) -> list[tuple[str, str]]:
    """Return the service and the name of each span that arrived, sorted."""
    found = []
    for arrival in arrivals:
        for resource_spans in arrival.request.resource_spans:
            attributes = {one.key: one.value.string_value for one in resource_spans.resource.attributes}
            for scope_spans in resource_spans.scope_spans:
                found.extend((attributes["service.name"], span.name) for span in scope_spans.spans)
    return sorted(found)


def wait_for(arrivals: Sequence[Arrival], count: int) -> list[tuple[str, str]]:
    """Wait until so many spans have arrived, and return what `spans_of` gives."""
    end_s = time.monotonic() + LIMIT_S
    while len(spans_of(arrivals)) < count and time.monotonic() < end_s:
        time.sleep(0.05)
    return spans_of(arrivals)


def by_name(arrivals: Sequence[Arrival]) -> dict[str, Any]:
    """Return the spans that arrived, as OTLP has them, by their names."""
    return {
        span.name: span
        for arrival in arrivals
        for resource_spans in arrival.request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    }
