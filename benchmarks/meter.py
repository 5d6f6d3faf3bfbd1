"""What the meter costs, and how right it is.

    python benchmarks/meter.py

Instructions by valgrind, where it is installed: they do not depend on what else the machine does, and know nothing of
the kernel, so of the clock's own work. Processor time by pairs of processes, one with the meter and one without, whose
order changes from pair to pair: two kinds of spans in one process would disturb each other's specialised code.
"""

from __future__ import annotations

import gc
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from rich.table import Table
from tables import console, show_machine

from ot_bridge import BridgeTracer, Settings, meter

CASES = ("bare", "with a scope, tags and a log", "not sampled")
PAIRS = 12
FEW, MANY = 2_000, 22_000
ROUNDS, SPANS = 40, 1000


class Taken(SpanExporter):
    """Takes every batch and does nothing with it."""

    def export(self, spans: object) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def tracer_for(case: str, *, metered: bool) -> BridgeTracer:
    provider = TracerProvider(sampler=ALWAYS_OFF if case == CASES[2] else ALWAYS_ON, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(Taken(), max_queue_size=100_000, schedule_delay_millis=10_000_000))
    return BridgeTracer(provider, settings=Settings(meter=metered))


def work(tracer: BridgeTracer, case: str, spans: int) -> None:
    if case == CASES[1]:
        for _ in range(spans):
            with tracer.start_active_span("s", tags={"a": 1, "b": "c"}) as scope:
                scope.span.set_tag("k", "v")
                scope.span.log_kv({"event": "e"})
    else:
        for _ in range(spans):
            tracer.start_span("s").finish()


def timed(case: str, *, metered: bool) -> None:
    """Print the microseconds per span, and what the meter takes it for."""
    tracer = tracer_for(case, metered=metered)
    work(tracer, case, 5000)
    gc.collect()
    gc.freeze()
    rounds = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        work(tracer, case, SPANS)
        rounds.append((time.thread_time() - began) / SPANS * 1e6)
        tracer.flush()
    estimated = 0.0
    if metered:
        one = meter.of_process()
        one._ends_ns = 0
        found = one.measured()
        estimated = (found.us_per_dropped if case == CASES[2] else found.us_per_span) or 0.0
    print(statistics.median(rounds), estimated)


def in_a_process(*arguments: str, under: tuple[str, ...] = ()) -> str:
    command = [*under, sys.executable, __file__, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def instructions(case: str, *, metered: bool) -> float | None:
    if shutil.which("valgrind") is None:
        return None
    counts = []
    for spans in (FEW, MANY):
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            tool = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
            in_a_process("work", case, str(metered), str(spans), under=(*tool, f"--log-file={log}"))
            found = re.search(r"I\s+refs:\s+([\d,]+)", log.read_text(encoding="utf-8"))
            assert found is not None
            counts.append(int(found[1].replace(",", "")))
    return (counts[1] - counts[0]) / (MANY - FEW)


def main() -> None:
    show_machine()
    table = Table(title="one span", title_justify="left")
    for head in ("", "us off", "us on", "meter", "instructions off", "on", "meter", "the meter's estimate, us"):
        table.add_column(head, justify="right" if head else "left")
    for case in CASES:
        off, on, estimated = [], [], []
        for pair in range(PAIRS):
            for metered in (False, True) if pair % 2 else (True, False):
                us, guess = map(float, in_a_process("timed", case, str(metered)).split())
                (on if metered else off).append(us)
                if metered:
                    estimated.append(guess)
        ratios = statistics.quantiles([mine / theirs - 1 for mine, theirs in zip(on, off, strict=True)], n=4)
        row = [case, f"{statistics.median(off):.2f}", f"{statistics.median(on):.2f}"]
        row.append(f"{ratios[1]:+.1%} ({ratios[0]:+.1%} to {ratios[2]:+.1%})")
        counts = [instructions(case, metered=metered) for metered in (False, True)]
        if counts[0] is not None and counts[1] is not None:
            row += [f"{counts[0]:.0f}", f"{counts[1]:.0f}", f"{counts[1] / counts[0] - 1:+.1%}"]
        else:
            row += ["", "", ""]
        table.add_row(*row, f"{statistics.median(estimated):.2f}")
    console.print(table)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["timed", case, metered]:
            timed(case, metered=metered == "True")
        case ["work", case, metered, spans]:
            gc.disable()
            work(tracer_for(case, metered=metered == "True"), case, int(spans))
        case _:
            main()
