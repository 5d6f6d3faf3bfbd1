"""What `ot-bridge run` adds to the time of a program, beside the SDK set up by hand and opentelemetry-instrument.

    make bench-startup

Whole processes, from start to end, in interleaved rounds: medians, and what is more than `python app.py`. The one of
OpenTelemetry runs in an environment of its own (see tests/peers/prepare.py), where that can be installed.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from rich.progress import track
from rich.table import Table
from tables import console, show_machine

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from collectors import http_collector  # noqa: E402  (the tests' own)
from peers.prepare import Missing, prepared  # noqa: E402

ROUNDS = 15
PROGRAMS = {
    "a program that imports no tracing": "import json",
    "a program that imports OpenTracing": "import opentracing; opentracing.global_tracer()",
    "a program that sends one span before it ends": "import opentracing\n"
    "with opentracing.global_tracer().start_active_span('one'): pass",
}
BY_HAND = """
import opentracing
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
"""


class Case(NamedTuple):
    """One way of starting the program."""

    command: tuple[str, ...]
    variables: Mapping[str, str] = {}


def cases(folder: Path, program: str) -> dict[str, Case]:
    app, by_hand = folder / "app.py", folder / "by_hand.py"
    app.write_text(program, encoding="utf-8")
    by_hand.write_text(f"{program}\n{BY_HAND}", encoding="utf-8")
    bridge = str(Path(sys.executable).parent / "ot-bridge")
    found = {
        "python app.py": Case((sys.executable, str(app))),
        "... with the SDK set up by hand": Case((sys.executable, str(by_hand))),
        "ot-bridge run python app.py": Case((bridge, "run", sys.executable, str(app))),
    }
    otel = prepared()["otel"]
    if isinstance(otel, Missing):
        console.print(f"without opentelemetry-instrument: {otel.reason}")
    else:
        instrument = str(otel.packages / "bin" / "opentelemetry-instrument")
        variables = {"PYTHONPATH": str(otel.packages), "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
        command = (otel.command, instrument, otel.command, str(app))
        found["opentelemetry-instrument python app.py"] = Case(command, variables)
    return found


def measure(chosen: Mapping[str, Case], outer: Mapping[str, str]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in chosen}
    # The first round writes the bytecode, and does not count.
    for number in track(range(ROUNDS + 1), description="measuring", console=console, transient=True):
        for name, case in chosen.items():
            start = time.perf_counter()
            subprocess.run(case.command, env={**outer, **case.variables}, check=True, stdout=subprocess.DEVNULL)
            if number:
                times[name].append(time.perf_counter() - start)
    return times


def show(title: str, times: Mapping[str, list[float]]) -> None:
    base = times["python app.py"]
    table = Table(title=title, title_justify="left")
    table.add_column("")
    table.add_column("ms", justify="right")
    table.add_column("ms more", justify="right")
    for name, own in times.items():
        more = statistics.median(mine - plain for mine, plain in zip(own, base, strict=True))
        table.add_row(name, f"{statistics.median(own) * 1e3:.0f}", f"{more * 1e3:.0f}")
    console.print(table)


def main() -> None:
    """Measure and print."""
    show_machine()
    foreign = ("OTEL_", "OT_BRIDGE_", "PYTHON")
    outer = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    with tempfile.TemporaryDirectory() as folder, http_collector() as (endpoint, _):
        variables = {
            **outer,
            "PYTHONPYCACHEPREFIX": str(Path(folder) / "pycache"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
        }
        for title, program in PROGRAMS.items():
            show(title, measure(cases(Path(folder), program), variables))


if __name__ == "__main__":
    main()
