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
from worlds.table import OLD, REMOTE, Case
from zero_code import BRIDGE, SOURCE, environment

__all__ = ["LAUNCHERS", "Outcome", "run", "tree"]

PROGRAMS = Path(__file__).parent / "programs"
LIMIT_S = 90.0
TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
INSTRUMENT = (sys.executable, str(Path(sys.executable).with_name("opentelemetry-instrument")))

LAUNCHERS: Mapping[str, Sequence[str]] = {"opentelemetry-instrument": INSTRUMENT, "ot-bridge run": BRIDGE, "install()": ()}
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
        variables = environment(endpoint, **_variables(case, launcher, server))
        with _worker(case, launcher, folder, variables) as worker:
            done = subprocess.run(
                [*LAUNCHERS[launcher], sys.executable, str(PROGRAMS / program), *words],
                cwd=folder,
                env=variables,
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=False,
            )
        errors = done.stderr + "".join(path.read_text("utf-8") for path in worker)
        assert done.returncode == 0, errors
        return Outcome(done.stdout, errors, _spans(arrivals))


def tree(spans: Sequence[Found]) -> list[str]:
    """Return the spans as the table has them; siblings in the order of their start."""
    known = {found.span.span_id for found in spans}
    lines = []

    def grow(parent: bytes, depth: int) -> None:
        for found in spans:
            if found.span.parent_span_id == parent:
                lines.append(f"{'  ' * depth}{found.line}")
                grow(found.span.span_id, depth + 1)

    for parent in dict.fromkeys(found.span.parent_span_id for found in spans):
        if parent not in known:
            lines.append({"": "no parent", PARENT_ID: REMOTE}.get(parent.hex(), f"unknown parent {parent.hex()}"))
            grow(parent, 1)
    return lines


def _variables(case: Case, launcher: str, server: str) -> dict[str, str]:
    native = case.switches
    variables = {
        "PYTHONPATH": f"{SOURCE}{os.pathsep}{PROGRAMS}",
        "PYTHONWARNINGS": "ignore::DeprecationWarning",  # opentracing's libraries say that they are no longer kept up
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_SERVICE_NAME": "shop",
        "OLD": " ".join(case.parts("old", "both")),
        "NATIVE": " ".join(native),
        "BROKER": server,
        "DJANGO_SETTINGS_MODULE": "shop_settings",
        **case.layer.variables,
    }
    if launcher == "opentelemetry-instrument":
        all_there = {entry.name for entry in metadata.entry_points(group="opentelemetry_instrumentor")}
        variables["OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"] = ",".join(sorted(all_there - {*native, "opentracing"}))
        variables["NATIVE"] = ""
    elif launcher == "install()":
        variables["INSTALL"] = "1"
    return variables


@contextlib.contextmanager
def _worker(case: Case, launcher: str, folder: Path, variables: Mapping[str, str]) -> Iterator[list[Path]]:
    """Run a Celery worker where the case needs one; give the file that has what it said."""
    if not case.layer.worker:
        yield []
        return
    errors = folder / "worker.log"
    celery = str(Path(sys.executable).with_name("celery"))
    words = "-A tasks worker --pool=solo --concurrency=1 --without-gossip --without-mingle --without-heartbeat"
    with errors.open("wb") as output:
        process = subprocess.Popen(
            [*LAUNCHERS[launcher], sys.executable, celery, *words.split(), "--quiet", "--loglevel=WARNING"],
            cwd=folder,
            env=variables,
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
