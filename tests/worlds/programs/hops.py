"""A request that goes on in two tasks, or in two threads, at the same time: `hops.py asyncio`, `hops.py threading`."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

import opentracing
from sides import OLD, begin, entry, inner, native_baggage, work

begin()


async def asyncio_() -> None:
    async def check(both: asyncio.Barrier) -> None:
        if "asyncio" in OLD:
            with opentracing.global_tracer().start_active_span("check"):
                await step(both)
        else:
            await step(both)

    async def step(both: asyncio.Barrier) -> None:
        await both.wait()
        with inner("count"):
            await both.wait()

    both = asyncio.Barrier(2)
    await asyncio.gather(*(asyncio.create_task(check(both)) for _ in range(2)))


def threading_() -> None:
    both = threading.Barrier(2)

    def check(parent: Any = None) -> None:
        both.wait(20)
        if parent is None:
            step()
        else:
            # What OpenTracing code does, whose scopes end at a thread's border.
            with opentracing.global_tracer().scope_manager.activate(parent, finish_on_close=False):
                step()

    def step() -> None:
        with inner("count"):
            both.wait(20)

    given = (opentracing.global_tracer().active_span,) if "threading" in OLD else ()
    threads = [threading.Thread(target=check, args=given) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


HOPS: dict[str, Callable[[], Any]] = {"asyncio": lambda: asyncio.run(asyncio_()), "threading": threading_}

if __name__ == "__main__":
    with entry("front"), work("work") as span, native_baggage("by", "native"):
        span.set_baggage_item("order", "42")
        HOPS[sys.argv[1]]()
    print("3")
