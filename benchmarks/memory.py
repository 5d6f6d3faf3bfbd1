"""What spans hold: bytes and objects for the garbage collector, while they are open and while they wait for export.

    python benchmarks/memory.py

Bytes as tracemalloc counts them. The spans have W's tags and its log. Live ones are not finished; buffered ones are,
and wait in the queue of a batch processor, or in the list of jaeger-client's in-memory reporter.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import jaeger_client
from jaeger_client.reporter import InMemoryReporter
from names import BRIDGE, BRIDGE_BARE, DROP_IN, JAEGER, NATIVE, SHIM
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from side_by_side import Effort
from tables import Cell, Column, Table
from topic import run
from workload import TRACERS, Setup, statement

from ot_bridge import jaeger_client as drop_in
from ot_bridge.jaeger_client.reporter import InMemoryReporter as DropInMemory

CASES = (NATIVE, SHIM, JAEGER, BRIDGE, BRIDGE_BARE, DROP_IN)
SPANS = 5000
WARM_UP = 200
END = {NATIVE: "end"}
NEVER_MS = 10**9


class Unasked(SpanExporter):
    """Is not called: the queue in front of it never fills."""

    def export(self, spans: object) -> SpanExportResult:
        return SpanExportResult.SUCCESS


def queue() -> SpanProcessor:
    size = 10 * SPANS
    return BatchSpanProcessor(Unasked(), size, schedule_delay_millis=NEVER_MS, max_export_batch_size=size)


def buffering(name: str) -> Any:
    """Return a case's tracer that keeps what has ended."""
    if name == JAEGER:
        return jaeger_client.Tracer("benchmark", InMemoryReporter(), jaeger_client.ConstSampler(True))
    if name == DROP_IN:
        return drop_in.Tracer("benchmark", DropInMemory(), drop_in.ConstSampler(True))
    return TRACERS[name](Setup(processor=queue))


def live(name: str) -> Callable[[int], None]:
    held: list[Any] = []
    work = statement("held", name, TRACERS[name](Setup()), held=held)

    def make(spans: int) -> None:
        work.timeit(spans)

    return make


def buffered(name: str) -> Callable[[int], None]:
    held: list[Any] = []
    work = statement("held", name, buffering(name), held=held)

    def make(spans: int) -> None:
        work.timeit(spans)
        for span in held:
            getattr(span, END.get(name, "finish"))()
        held.clear()

    return make


def per_span(make: Callable[[int], None], spans: int) -> tuple[float, float]:
    """Return the bytes that a span keeps, and the objects that the collector knows of it."""
    make(WARM_UP)
    gc.collect()
    objects = len(gc.get_objects())
    tracemalloc.start()
    make(spans)
    gc.collect()
    size = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return size / spans, (len(gc.get_objects()) - objects) / spans


def tables(effort: Effort) -> Iterator[Table]:
    spans = max(100, int(SPANS * effort.share))
    for key, what in (("live", live), ("buffered", buffered)):
        found = {name: per_span(what(name), spans) for name in CASES}
        columns = (Column("bytes", 0), Column("objects", 1), Column(f"x {NATIVE}"), Column(f"x {JAEGER}"))
        table = Table(f"memory, {key}", f"memory of a {key} span", columns)
        for name, (size, objects) in found.items():
            ratios = (Cell(size / found[other][0]) for other in (NATIVE, JAEGER))
            table.rows[name] = [Cell(size), Cell(objects), *ratios]
        yield table


if __name__ == "__main__":
    run(tables, __doc__)
