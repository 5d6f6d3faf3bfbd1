"""The application: threads and an asyncio loop under ``ot_bridge.install``, which obey the lines of standard input.

Each line is a command and is answered by one line of JSON: ``rate N`` (sampled and unsampled spans per second),
``phase NAME``, ``sample``, ``stop``, ``close``, ``report``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import opentracing
from opentelemetry import trace

import ot_bridge
from ot_bridge import telemetry
from soak.latency import HEARTBEAT, Stopwatch, merged
from soak.load import SPANS_PER_REQUEST, Requests
from soak.phases import CALIBRATING

THREADS: Final = 4
_MOST_BEHIND_S: Final = 0.25
_MOST_TASKS: Final = 64
_IDLE_S: Final = 0.01
_BEAT_S: Final = 0.01
_FLUSH_S: Final = 30.0


class Application:
    """Everything that runs, and what it has done.

    Args:
        tracer: OpenTracing's.
        otel_tracer: OpenTelemetry's.
    """

    def __init__(self, tracer: opentracing.Tracer, otel_tracer: trace.Tracer) -> None:
        self.phase, self.rate, self.running = CALIBRATING, 0.0, True
        self._tracer, self._otel_tracer = tracer, otel_tracer
        self._producers = [Producer(self, tracer, otel_tracer, number) for number in range(THREADS + 1)]
        self._heart = Stopwatch(lambda: self.phase)
        runs = [*(one.run for one in self._producers[:THREADS]), self._producers[THREADS].run_loop, self._beat]
        self._threads = [threading.Thread(target=run) for run in runs]
        for thread in self._threads:
            thread.start()

    def sample(self) -> dict[str, Any]:
        """Return how it stands."""
        counters = {name: number for name, number in telemetry.snapshot().items() if name.startswith("spans.")}
        return {
            "finished": sum(one.finished for one in self._producers),
            "requests": sum(one.requests for one in self._producers),
            "skipped": sum(one.skipped for one in self._producers),
            "cpu_s": time.process_time(),
            "blocks": sys.getallocatedblocks(),
            "counters": counters,
        }

    def stop(self) -> None:
        """Let the threads end."""
        self.running = False
        for thread in self._threads:
            thread.join()

    def report(self) -> list[dict[str, Any]]:
        """Return how long the calls took."""
        watches = [self._heart, *(one.watch for one in self._producers)]
        for watch in watches:
            watch.fold()
        sums = merged(watch.histograms for watch in watches)
        return [{"phase": phase, "call": name, **found.figures()} for (phase, name), found in sums.items()]

    def _beat(self) -> None:
        while self.running:
            due = time.perf_counter_ns() + int(_BEAT_S * 1e9)
            time.sleep(_BEAT_S)
            self._heart.took(HEARTBEAT, max(0, time.perf_counter_ns() - due))
            self._heart.turn()


class Producer:
    """One thread, or the loop, with its part of the requests."""

    def __init__(self, application: Application, tracer: Any, otel_tracer: Any, number: int) -> None:
        self._application = application
        self.watch = Stopwatch(lambda: application.phase)
        self._requests = Requests(tracer, otel_tracer, self.watch)
        self._number = number
        self.finished = self.requests = self.skipped = 0

    def run(self) -> None:
        """Handle requests in this thread."""
        for number, wait_s in self._due():
            if number is None:
                time.sleep(wait_s)
            else:
                self._done(self._requests.handle(number))

    def run_loop(self) -> None:
        """Handle requests in tasks of a loop of its own."""
        asyncio.run(self._spawn())

    async def _spawn(self) -> None:
        tasks: set[asyncio.Task[int]] = set()

        def ended(task: asyncio.Task[int]) -> None:
            tasks.discard(task)
            self._done(task.result())

        for number, wait_s in self._due():
            if number is None or len(tasks) >= _MOST_TASKS:
                await asyncio.sleep(wait_s)
            if number is not None:
                task = asyncio.create_task(self._requests.handle_in_task(number))
                tasks.add(task)
                task.add_done_callback(ended)
        await asyncio.gather(*tasks)

    def _done(self, finished: int) -> None:
        self.finished += finished
        self.requests += 1
        self.watch.turn()

    def _due(self) -> Iterator[tuple[int | None, float]]:
        """Yield the number of each request when it is due; None, and how long to wait, when none is.

        Requests come whether or not the ones before were quick. One that is far too late is skipped, and counted.
        """
        application, number, rate, next_s = self._application, self._number, 0.0, 0.0
        while application.running:
            now = time.perf_counter()
            if application.rate != rate:
                rate, next_s = application.rate, now
            if rate and next_s <= now:
                every_s = SPANS_PER_REQUEST * (THREADS + 1) / rate
                behind = int((now - next_s - _MOST_BEHIND_S) / every_s)
                if behind > 0:
                    self.skipped += behind
                    next_s += behind * every_s
                next_s += every_s
                number += THREADS + 1
                yield number, 0.0
            else:
                yield None, min(_IDLE_S, next_s - now) if rate else _IDLE_S


def _spin(application: Application) -> None:
    number = 0
    while application.running:
        number += 1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--no-op", action="store_true", help="OpenTracing's and OpenTelemetry's no-op tracers")
    parser.add_argument("--busy", action="store_true", help="beside a thread of plain Python that never rests")
    options = parser.parse_args()
    if options.no_op:
        tracer, otel_tracer = opentracing.Tracer(), trace.NoOpTracer()
    else:
        tracer = ot_bridge.install("soak")
        otel_tracer = trace.get_tracer("soak")
    gc.collect()
    application = Application(tracer, otel_tracer)
    if options.busy:
        threading.Thread(target=_spin, args=(application,)).start()
    with contextlib.suppress(KeyboardInterrupt):
        for line in sys.stdin:
            command, _, argument = line.strip().partition(" ")
            answer: Any = None
            match command:
                case "rate":
                    application.rate = float(argument)
                case "phase":
                    application.phase = argument
                case "sample":
                    answer = application.sample()
                case "report":
                    answer = application.report()
                case "stop":
                    application.stop()
                case "close" if not options.no_op:
                    answer = {"flushed": tracer.flush(_FLUSH_S)}
                    tracer.close()
            print(json.dumps(answer), flush=True)
    application.stop()


if __name__ == "__main__":
    main()
