"""Keep every trace that failed or was slow, and one of a hundred others: tail sampling in one process.

Run it: ``python examples/keep_errors.py``. In a service the variable ``OT_BRIDGE_TAIL`` alone does it.
"""

from __future__ import annotations

import time
from collections import Counter

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import ot_bridge
from ot_bridge.sampling import TailSamplingProcessor


def main() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(TailSamplingProcessor(SimpleSpanProcessor(kept), "errors,slow:1s,rest:1%"))
    tracer = ot_bridge.BridgeTracer(provider)

    began = time.time() - 10
    for number in range(10_000):
        root = tracer.start_span("request", start_time=began, tags={"number": number})
        query = tracer.start_span("query", child_of=root, start_time=began)
        if number % 1000 == 7:
            query.set_tag("error", True)
        took_s = 1.5 if number % 1000 == 8 else 0.02
        query.finish(began + took_s)
        root.finish(began + took_s)

    why = Counter(
        str(span.attributes["ot_bridge.tail.policy"]) for span in kept.get_finished_spans() if not span.parent
    )
    print("of 10,000 requests, 10 failed and 10 were slow")
    print(f"kept for an error: {why['error']}, for being slow: {why['slow']}")
    print(f"one percent of the others, about: {50 < why['baseline'] < 160}")


if __name__ == "__main__":
    main()
