"""What is loaded, and how long that takes: ``import ot_bridge`` and ``install()`` beside the SDK alone.

    python benchmarks/footprint.py

Processor time of processes of their own, from the start until everything is set up, in interleaved rounds. A program
with OpenTracing code imports opentracing in any case; the SDK's figures do not have it.
"""

from __future__ import annotations

import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from side_by_side import Effort, in_turns, middle
from tables import Cell, Column, Table
from topic import ROOT, run

ALONE = "Python alone"
SDK, SDK_READY = "the SDK imported", "the SDK set up by hand, with OTLP/HTTP"
IMPORTED, LOADED, INSTALLED = "import ot_bridge", "from ot_bridge import install", "ot_bridge.install()"

_SDK = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
"""
PROGRAMS = {
    ALONE: "",
    SDK: _SDK,
    IMPORTED: "import ot_bridge",
    LOADED: "from ot_bridge import BridgeTracer, Settings, install",
    # Spans that are sent on their way, too, as install() does: without the propagators a trace ends with the process.
    SDK_READY: f"""{_SDK}
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract, inject
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
""",
    INSTALLED: "import ot_bridge\not_bridge.install('checkout')",
}
BESIDE = {IMPORTED: SDK, LOADED: SDK, INSTALLED: SDK_READY}
# The end of the process is not measured: it would send what there is, which is nothing.
_END = """
import os, sys
print(len(sys.modules), sum(name.partition(".")[0] == "ot_bridge" for name in sys.modules), flush=True)
os._exit(0)
"""
_IMPORT = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s*(\S+)")
DEAREST = 10
_WHEEL = """
import sys
from hatchling.builders.wheel import WheelBuilder
print(*WheelBuilder(".").build(directory=sys.argv[1]))
"""


def start(program: str, environment: Mapping[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, *options, "-c", program + _END)
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True)


def cpu_ms() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (used.ru_utime + used.ru_stime) * 1e3


def started(environment: Mapping[str, str], rounds: int) -> Table:
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    modules: dict[str, tuple[float, ...]] = {}
    for number in in_turns(rounds + 1, "starting"):
        for name, program in PROGRAMS.items():
            before = cpu_ms()
            done = start(program, environment)
            if number:  # the first round writes the bytecode
                times[name].append(cpu_ms() - before)
            modules[name] = tuple(map(float, done.stdout.split()))
    columns = (
        Column("ms", 0),
        Column("ms more than the SDK", 1),
        Column("modules", 0),
        Column("of them ot_bridge's", 0),
    )
    table = Table("footprint", "start of a process, processor time", columns)
    for name, own in times.items():
        other = times.get(BESIDE.get(name, ""), [])
        more = middle([mine - theirs for mine, theirs in zip(own, other, strict=True)]) if other else None
        table.rows[name] = [Cell(statistics.median(own)), more, *map(Cell, modules[name])]
    return table


def imports(program: str, environment: Mapping[str, str]) -> dict[str, float]:
    """Return the milliseconds that each module takes for itself."""
    lines = start(program, environment, "-X", "importtime").stderr
    return {name: int(us) / 1e3 for us, name in _IMPORT.findall(lines)}


def dearest(environment: Mapping[str, str], rounds: int) -> Table:
    """Return the modules that take longest of those that the SDK alone does not load."""
    known = imports(PROGRAMS[SDK_READY], environment)
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, ms in imports(PROGRAMS[INSTALLED], environment).items():
            if name not in known:
                found.setdefault(name, []).append(ms)
    medians = {name: statistics.median(times) for name, times in found.items()}
    table = Table(
        "imports",
        "imports that the SDK alone does not make, the dearest first, without what they import",
        (Column("ms"),),
    )
    table.rows = {
        name: [Cell(medians[name])] for name in sorted(medians, key=medians.__getitem__, reverse=True)[:DEAREST]
    }
    table.rows[f"all {len(medians)}"] = [Cell(sum(medians.values()))]
    return table


def wheel() -> Table:
    with tempfile.TemporaryDirectory() as folder:
        command = (sys.executable, "-c", _WHEEL, folder)
        built = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        size = Path(built.strip()).stat().st_size
    return Table("wheel", "size of what is installed", (Column("kB", 0),), {"wheel": [Cell(size / 1e3)]})


def tables(effort: Effort) -> Iterator[Table]:
    rounds = max(2, effort.rounds // 2)
    with tempfile.TemporaryDirectory() as folder:
        outer = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment = {**outer, "PYTHONPYCACHEPREFIX": str(Path(folder) / "pycache")}
        yield started(environment, rounds)
        yield dearest(environment, max(1, rounds // 3))
    yield wheel()


if __name__ == "__main__":
    run(tables, __doc__)
