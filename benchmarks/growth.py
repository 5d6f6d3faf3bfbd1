"""How the cost grows with what a program puts into a trace: linear is twice the time for twice as much.

    python benchmarks/growth.py

Limits of the SDK that would cut a series short are lifted.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import threading
from collections.abc import Callable, Iterator
from timeit import Timer
from typing import Any, NamedTuple

from names import BRIDGE, NATIVE
from opentelemetry import baggage, propagate
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.trace import set_span_in_context
from opentracing import Format
from side_by_side import Effort, measure, ratio, repeated
from tables import Cell, Column, Table
from topic import run

from ot_bridge import BridgeTracer, Settings

SIZES = (1, 10, 100, 500, 1000)
CONCURRENT = (1, 2, 4, 8, 16)
SENT = (1, 10, 40, 80, 160)  # W3C's baggage header holds 180
TWICE = "x for twice as many"
PER_THREAD = 100

Names = dict[str, Any]


class Series(NamedTuple):
    """What grows.

    Attributes:
        native: the statement in OpenTelemetry's words.
        bridge: in OpenTracing's.
        names: what both use, beside the tracer, for so many.
        sizes: how many; the last is twice the one before.
    """

    native: str
    bridge: str
    names: Callable[[int, Any], Names] = lambda size, _: {"some": range(size)}
    sizes: tuple[int, ...] = SIZES


def keys(size: int, _: Any) -> Names:
    return {"some": [f"key-{number}" for number in range(size)]}


def items_of(size: int) -> dict[str, str]:
    return {f"key-{number}": f"value {number}" for number in range(size)}


def carrying(size: int, tracer: Any) -> Names:
    """Return a span, or a context, with so much baggage."""
    span = tracer.start_span("op")
    if isinstance(tracer, BridgeTracer):
        for key, value in items_of(size).items():
            span.set_baggage_item(key, value)
        return {"span": span, "inject": tracer.inject, "HTTP": Format.HTTP_HEADERS}
    context = set_span_in_context(span, Context())
    for key, value in items_of(size).items():
        context = baggage.set_baggage(key, value, context)
    return {"context": context, "inject": propagate.inject, "set_baggage": baggage.set_baggage}


def one_span(tracer: Any) -> None:
    if isinstance(tracer, BridgeTracer):
        with tracer.start_active_span("op") as scope:
            scope.span.set_tag("order", 7)
    else:
        with tracer.start_as_current_span("op") as span:
            span.set_attribute("order", 7)


def in_threads(size: int, tracer: Any) -> Names:
    def work() -> None:
        for _ in range(PER_THREAD):
            one_span(tracer)

    def together() -> None:
        threads = [threading.Thread(target=work) for _ in range(size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return {"together": together}


def in_tasks(size: int, tracer: Any) -> Names:
    """Return what has so many tasks in the middle of a span at once."""
    starting = "start_active_span" if isinstance(tracer, BridgeTracer) else "start_as_current_span"
    start = getattr(tracer, starting)

    async def task() -> None:
        with start("request"):
            await asyncio.sleep(0)
            one_span(tracer)
            await asyncio.sleep(0)

    async def together() -> None:
        await asyncio.gather(*(task() for _ in range(size)))

    return {"together": lambda: asyncio.run(together())}


SERIES = {
    "tags on one span": Series(
        "span = begin('op')\nput = span.set_attribute\nfor key in some: put(key, 1)\nspan.end()",
        "span = begin('op')\nput = span.set_tag\nfor key in some: put(key, 1)\nspan.finish()",
        keys,
    ),
    "logs on one span": Series(
        "span = begin('op')\nlog = span.add_event\nfor _ in some: log('paid', {'attempt': 1})\nspan.end()",
        "span = begin('op')\nlog = span.log_kv\nfor _ in some: log({'event': 'paid', 'attempt': 1})\nspan.finish()",
    ),
    "spans inside each other": Series(
        "with ExitStack() as stack:\n    for _ in some: stack.enter_context(start('op'))",
        "with ExitStack() as stack:\n    for _ in some: stack.enter_context(start('op'))",
    ),
    "baggage items sent": Series("inject({}, context)", "inject(span.context, HTTP, {})", carrying, SENT),
    "baggage items that a child inherits": Series(
        "begin('op', context).end()", "begin('op', child_of=span).finish()", carrying
    ),
    "baggage items beside one more": Series(
        "set_baggage('one', 'more', context)", "span.set_baggage_item('key-0', 'other')", carrying
    ),
    "threads at once": Series("together()", "together()", in_threads, CONCURRENT),
    "asyncio tasks at once": Series("together()", "together()", in_tasks, SIZES),
}


def tracer_for(name: str) -> Any:
    unset = SpanLimits.UNSET
    limits = SpanLimits(unset, unset, unset, unset, unset, unset, unset)
    provider = TracerProvider(span_limits=limits, shutdown_on_exit=False)
    provider.add_span_processor(SpanProcessor())
    return BridgeTracer(provider, settings=Settings()) if name == BRIDGE else provider.get_tracer("benchmark")


def cases(series: Series, name: str) -> Iterator[tuple[int, Timer]]:
    tracer = tracer_for(name)
    start = tracer.start_active_span if name == BRIDGE else tracer.start_as_current_span
    for size in series.sizes:
        names = {"begin": tracer.start_span, "start": start, "ExitStack": contextlib.ExitStack}
        text = series.bridge if name == BRIDGE else series.native
        yield size, repeated(text, {**names, **series.names(size, tracer)})


def tables(effort: Effort) -> Iterator[Table]:
    for what, series in SERIES.items():
        timers = {f"{name} {size}": timer for name in (NATIVE, BRIDGE) for size, timer in cases(series, name)}
        times = measure(timers, effort._replace(rounds=max(2, effort.rounds * 2 // 3)), what=what)
        columns = (*(Column(f"us, {size}", 1) for size in series.sizes), Column(TWICE))
        table = Table(f"growth, {what}", f"{what}: microseconds for so many", columns)
        for name in (NATIVE, BRIDGE):
            each = [times[f"{name} {size}"] for size in series.sizes]
            table.rows[name] = [*(Cell(statistics.median(one) * 1e6) for one in each), ratio(each[-1], each[-2])]
        yield table


if __name__ == "__main__":
    run(tables, __doc__)
