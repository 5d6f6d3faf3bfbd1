"""What tail sampling costs: time per span, and memory with 10,000 local traces open at once.

    python benchmarks/tail.py

Time is processor time of the thread, the median of interleaved rounds: other processes on the machine disturb it less
than they disturb a clock on the wall. The spans are the bridge's own, a root and nine children; nothing is exported.
"""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from rich.table import Table
from tables import console, show_machine

from ot_bridge import BridgeTracer, Settings
from ot_bridge.sampling import TailSamplingProcessor

RULES = {
    "rest": "rest:1%",
    "errors, slow, rest": "errors,slow:1s,rest:1%",
    "errors, p99, rest": "errors,slow:p99,rest:1%",
    "errors, slow, an attribute, rest": "errors,slow:1s,attr:tenant=acme,rest:1%",
}
CHILDREN = 9
TRACES = 500
ROUNDS = 11
SIZES = (1, 10, 100)
OPEN_TRACES = 10_000


class Nothing(SpanProcessor):
    """Takes every span and does nothing with it."""


def tracer_with(processor: SpanProcessor) -> BridgeTracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return BridgeTracer(provider, settings=Settings())


def requests(tracer: BridgeTracer) -> None:
    for _ in range(TRACES):
        with tracer.start_active_span("request", ignore_active_span=True):
            for _ in range(CHILDREN):
                tracer.start_span("query").finish()


def events(tracer: BridgeTracer, spans: int) -> list[tuple[bool, Any]]:
    """Return the starts and ends of traces of so many spans, to be told to a processor afterwards."""
    found: list[tuple[bool, Any]] = []
    for _ in range(TRACES * (CHILDREN + 1) // spans):
        root = tracer.start_span("request", ignore_active_span=True)
        found.append((True, root))
        for _ in range(spans - 1):
            child = tracer.start_span("query", child_of=root)
            child.finish()
            found += [(True, child), (False, child)]
        root.finish()
        found.append((False, root))
    return found


def tell(processor: SpanProcessor, told: list[tuple[bool, Any]]) -> None:
    start, end = processor.on_start, processor.on_end
    for starts, span in told:
        (start if starts else end)(span)


def per_span_us(work: Callable[[], object]) -> float:
    gc.collect()
    gc.disable()
    try:
        begin = time.thread_time()
        work()
        return (time.thread_time() - begin) / (TRACES * (CHILDREN + 1)) * 1e6
    finally:
        gc.enable()


def show_time() -> None:
    plain = tracer_with(Nothing())
    tracers = {name: tracer_with(TailSamplingProcessor(Nothing(), text)) for name, text in RULES.items()}
    told = {spans: events(plain, spans) for spans in SIZES}
    more: dict[str, list[float]] = {name: [] for name in RULES}
    alone: dict[tuple[str, int], list[float]] = {(name, spans): [] for name in RULES for spans in SIZES}
    without: list[float] = []
    for _ in range(ROUNDS):
        without.append(per_span_us(lambda: requests(plain)))
        for name, text in RULES.items():
            more[name].append(per_span_us(partial(requests, tracers[name])) - without[-1])
            for spans, calls in told.items():
                base = per_span_us(partial(tell, Nothing(), calls))
                alone[name, spans].append(
                    per_span_us(partial(tell, TailSamplingProcessor(Nothing(), text), calls)) - base
                )
    median = statistics.median
    console.print(f"a span of ten, start and finish, without tail sampling: {median(without):.1f} us")
    table = Table(title="more per span with it, us", title_justify="left")
    table.add_column("")
    for column in (f"whole, {CHILDREN + 1} spans", *(f"bookkeeping, {spans} spans" for spans in SIZES)):
        table.add_column(column, justify="right")
    for name in RULES:
        table.add_row(name, f"{median(more[name]):.1f}", *(f"{median(alone[name, spans]):.1f}" for spans in SIZES))
    console.print(table)


def show_memory() -> None:
    tail = TailSamplingProcessor(Nothing(), f"errors,slow:60s,rest:1%,max_spans={2 * OPEN_TRACES}")
    tracer = tracer_with(tail)
    tracer.start_span("warm").finish()
    gc.collect()
    tracemalloc.start()
    roots = [tracer.start_span("request", ignore_active_span=True) for _ in range(OPEN_TRACES)]
    opened = tracemalloc.get_traced_memory()[0]
    for root in roots:
        tracer.start_span("query", child_of=root, tags={f"tag{number}": number for number in range(8)}).finish()
    full, sizes = tracemalloc.get_traced_memory()[0], tail.sizes()
    for root in roots:
        root.finish()
    roots.clear()
    gc.collect()
    empty, after = tracemalloc.get_traced_memory()[0], tail.sizes()
    tracemalloc.stop()
    table = Table(title=f"memory, {OPEN_TRACES} local traces open at once", title_justify="left")
    for column in ("", "MB", "held"):
        table.add_column(column, justify="right" if column == "MB" else "left")
    table.add_row("each with its root, open", f"{opened / 1e6:.1f}", "")
    table.add_row("and an ended child with 8 tags", f"{full / 1e6:.1f}", str(sizes))
    table.add_row("all of them ended and dropped", f"{empty / 1e6:.1f}", str(after))
    console.print(table)


if __name__ == "__main__":
    show_machine()
    show_time()
    show_memory()
