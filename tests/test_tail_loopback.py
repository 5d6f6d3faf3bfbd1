"""A hundred thousand requests over several threads: every error and every slow one arrives, of the rest a little."""

from __future__ import annotations

import gc
import threading
from collections import Counter
from typing import Any

import pytest

import ot_bridge
from collectors import http_collector
from ot_bridge import Settings
from ot_bridge.recording import RecordingSpan
from ot_bridge.sampling import TailSamplingProcessor
from tail_stage import POLICY, counted

THREADS = 4
PHASES = 2
REQUESTS = 100_000
EVERY = 200  # one request in so many fails, and another one is slow
REST = 0.01
BEGAN_S = 1_600_000_000.0


def expected_kind(number: int) -> str:
    return {7: "error", 107: "slow"}.get(number % EVERY, "rest")


def serve(tracer: Any, numbers: range, sizes: list[int], tail: TailSamplingProcessor) -> None:
    """Serve requests of two spans; the times are given, so that nobody has to wait for the slow ones."""
    for number in numbers:
        kind = expected_kind(number)
        root = tracer.start_span("request", tags={"number": number}, start_time=BEGAN_S, ignore_active_span=True)
        child = tracer.start_span("query", child_of=root, start_time=BEGAN_S)
        if kind == "error":
            child.set_tag("error", True)
        child.finish(BEGAN_S + 0.01)
        root.finish(BEGAN_S + (1.5 if kind == "slow" else 0.02))
        if number % 500 == 0:
            sizes.append(tail.sizes()["spans"])


def take(arrivals: list[Any]) -> list[tuple[int, str]]:
    """Return the number and the policy of every root that has arrived, and forget the arrivals."""
    found: list[tuple[int, str]] = []
    spans = 0
    while arrivals:
        for resource_spans in arrivals.pop().request.resource_spans:
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    spans += 1
                    attributes = {one.key: one.value for one in span.attributes}
                    if "number" in attributes:
                        found.append((attributes["number"].int_value, attributes[POLICY].string_value))
    assert spans == 2 * len(found), "a kept trace has both its spans"
    return found


def living_spans() -> int:
    return sum(type(one) is RecordingSpan for one in gc.get_objects())


def test_every_error_and_every_slow_request_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    # The queue of the SDK's processor drops what does not fit: that is not what is tried here.
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "20000")
    arrived: list[tuple[int, str]] = []
    held: list[int] = []
    alive: list[int] = []
    objects: list[int] = []
    gc.collect()
    before = living_spans()  # of other tests
    with http_collector() as (url, arrivals):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        tracer = ot_bridge.install("shop", settings=Settings(tail=f"errors,slow:1s,rest:{REST},decisions=5000"))
        provider: Any = tracer._provider
        processors = provider._active_span_processor._span_processors
        (tail,) = (one for one in processors if isinstance(one, TailSamplingProcessor))
        share = REQUESTS // PHASES // THREADS
        for phase in range(PHASES):
            starts = [(phase * THREADS + worker) * share for worker in range(THREADS)]
            threads = [
                threading.Thread(target=serve, args=(tracer, range(first, first + share), held, tail))
                for first in starts
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert tracer.flush(20)
            arrived += take(arrivals)
            gc.collect()
            alive.append(living_spans())
            objects.append(len(gc.get_objects()))
        sizes = tail.sizes()
        tracer.close()
    assert len(arrived) == len({number for number, _ in arrived}), "exported twice"

    by_policy = Counter(policy for _, policy in arrived)
    wanted = {kind: {n for n in range(REQUESTS) if expected_kind(n) == kind} for kind in ("error", "slow")}
    assert {n for n, policy in arrived if policy == "error"} == wanted["error"]
    assert {n for n, policy in arrived if policy == "slow"} == wanted["slow"]
    others = REQUESTS - len(wanted["error"]) - len(wanted["slow"])
    bound = 5 * (others * REST * (1 - REST)) ** 0.5
    assert abs(by_policy["baseline"] - others * REST) <= bound
    decided = counted("tail.decided.")
    assert decided == {
        "kept.error": 500,
        "kept.slow": 500,
        "kept.baseline": by_policy["baseline"],
        "dropped.baseline": others - by_policy["baseline"],
    }

    # Flat: what is held while it runs is the spans of the requests in flight, and afterwards nothing.
    assert max(held) <= 2 * THREADS
    assert sizes == {"undecided": 0, "spans": 0, "following": 0, "decisions": 5000}
    assert max(alive) - before <= 2
    assert objects[-1] - objects[0] < 2_000
