"""Runs a case as real processes that export to a real receiver, and reads what arrived."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from collectors import Arrival, http_collector
from worlds.table import NO_PARENT, OLD, REMOTE, UNKNOWN, Case, Tree, shown
from zero_code import BRIDGE, SOURCE, environment

__all__ = ["LAUNCHERS", "Outcome", "run", "tree"]

PROGRAMS = Path(__file__).parent / "programs"
LIMIT_S = 90.0
QUIET = (
    "::DeprecationWarning",  # OpenTracing's libraries say that they are no longer kept up
    ":You're running the worker with superuser privileges",  # as in a container
)
PARENT_ID = "b7ad6b7169203331"
INSTRUMENT = (sys.executable, str(Path(sys.executable).with_name("opentelemetry-instrument")))

LAUNCHERS: Mapping[str, Sequence[str]] = {
    "opentelemetry-instrument": INSTRUMENT,
    "ot-bridge run": BRIDGE,
    "install()": (),
}
"""How a program is started: the last one has the two lines in the program itself."""


class Found(NamedTuple):
    """A span that arrived."""

    who: str
    span: Span

    @property
    def line(self) -> str:
        """What the table says of it."""
        kind = Span.SpanKind.Name(self.span.kind).removeprefix("SPAN_KIND_")
        return f"{kind} {self.span.name} by {self.who}"

    @property
    def attributes(self) -> dict[str, Any]:
        """Its attributes that are texts."""
        return {one.key: one.value.string_value for one in self.span.attributes}


class Outcome(NamedTuple):
    """What came of a run."""

    printed: str
    errors: str
    spans: list[Found]


def run(case: Case, launcher: str, folder: Path, server: str) -> Outcome:
    """Run a case to its end.

    Args:
        case: what to run.
        launcher: a key of LAUNCHERS.
        folder: to run in.
        server: the URL of the server that it needs, "" for none.
    """
    program, *words = case.layer.words
    words = [server if word == case.layer.server else word for word in words]
    with http_collector() as (endpoint, arrivals):
        variables = environment(endpoint, **_variables(case, launcher, server, folder.name))
        with _worker(case, launcher, folder, variables) as worker:
            done = subprocess.run(
                [*LAUNCHERS[launcher], sys.executable, str(PROGRAMS / program), *words],
                cwd=folder,
                env={**variables, **_sides(case, launcher, worker=False)},
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=False,
            )
        errors = done.stderr + "".join(path.read_text("utf-8") for path in worker)
        assert done.returncode == 0, errors
        return Outcome(done.stdout, errors, _spans(arrivals))


def tree(spans: Sequence[Found]) -> list[str]:
    """Return the spans as the table has them."""
    known = {found.span.span_id for found in spans}
    lines = []
    for parent in dict.fromkeys(found.span.parent_span_id for found in spans):
        if parent not in known:
            lines.append({"": NO_PARENT, PARENT_ID: REMOTE}.get(parent.hex(), UNKNOWN))
            lines += shown(_below(parent, spans), 1)
    return lines


def _below(parent: bytes, spans: Sequence[Found]) -> list[Tree]:
    return [(one.line, _below(one.span.span_id, spans)) for one in spans if one.span.parent_span_id == parent]


def _variables(case: Case, launcher: str, server: str, queue: str) -> dict[str, str]:
    return {
        "PYTHONPATH": f"{SOURCE}{os.pathsep}{PROGRAMS}",
        "PYTHONDONTWRITEBYTECODE": "",  # a new environment has no bytecode yet: it would be made for each process
        "PYTHONWARNINGS": ",".join(f"ignore{rest}" for rest in QUIET),
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_SERVICE_NAME": "shop",
        "OT_BRIDGE_CLOSE_TIMEOUT_S": "60",  # on a busy machine the end may take longer than it says by itself
        "GRPC_VERBOSITY": "ERROR",  # else it tells on stderr that a connection was closed
        "BROKER": server,
        "QUEUE": queue,
        "DJANGO_SETTINGS_MODULE": "shop_settings",
        **({"INSTALL": "1"} if launcher == "install()" else {}),
        **case.layer.variables,
    }


def _sides(case: Case, launcher: str, *, worker: bool) -> dict[str, str]:
    """Return what tells a process which of its parts are instrumented, and by whom."""
    native = case.switches(worker=worker)
    old = " ".join(case.parts("old", "both", worker=worker))
    if launcher != "opentelemetry-instrument":
        return {"OLD": old, "NATIVE": " ".join(native)}
    there = {entry.name for entry in metadata.entry_points(group="opentelemetry_instrumentor")}
    off = ",".join(sorted(there - {*native, "opentracing"}))
    return {"OLD": old, "NATIVE": "", "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": off}


@contextlib.contextmanager
def _worker(case: Case, launcher: str, folder: Path, variables: Mapping[str, str]) -> Iterator[list[Path]]:
    """Run a Celery worker where the case needs one; give the file that has what it said."""
    if not case.layer.worker:
        yield []
        return
    errors = folder / "worker.log"
    celery = str(Path(sys.executable).with_name("celery"))
    words = "-q -A tasks worker --pool=solo --concurrency=1 --without-gossip --without-mingle --without-heartbeat"
    with errors.open("wb") as output:
        process = subprocess.Popen(
            [*LAUNCHERS[launcher], sys.executable, celery, *words.split(), "--loglevel=WARNING"],
            cwd=folder,
            env={**variables, **_sides(case, launcher, worker=True)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
        )
        try:
            yield [errors]
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise


def _spans(arrivals: Sequence[Arrival]) -> list[Found]:
    found = []
    for arrival in arrivals:
        for resource_spans in arrival.request.resource_spans:
            for scope_spans in resource_spans.scope_spans:
                name = scope_spans.scope.name
                who = OLD if name == "opentracing-shim" else name.rpartition(".")[2]
                found.extend(Found(who, span) for span in scope_spans.spans)
    return sorted(found, key=lambda one: one.span.start_time_unix_nano)
