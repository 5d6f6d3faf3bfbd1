"""Existing OpenTracing code under a new tracer: only the lines that make the tracer change.

Before::

    from jaeger_client import Config
    Config({"sampler": {"type": "const", "param": 1}}, service_name="shop", validate=True).initialize_tracer()

After::

    import ot_bridge
    ot_bridge.install("shop")

Run it: ``python examples/swap_global_tracer.py``. It prints the spans that would go to a collector, and the headers
that the next service would get.
"""

from __future__ import annotations

import os

import opentracing
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing.ext import tags

import ot_bridge

# --- the application, as it was; it takes the global tracer when it is imported, which is too early, as many do

tracer = opentracing.tracer


def charge(order: int) -> dict[str, str]:
    with tracer.start_active_span("charge", tags={"order": order}) as scope:
        scope.span.log_kv({"event": "card accepted", "amount": 12.5})
        with tracer.start_span("POST /receipts", tags={tags.SPAN_KIND: tags.SPAN_KIND_RPC_CLIENT}) as request:
            headers: dict[str, str] = {}
            tracer.inject(request.context, opentracing.Format.HTTP_HEADERS, headers)
        return headers


# --- the start of the program

if __name__ == "__main__":
    os.environ["OTEL_TRACES_EXPORTER"] = "none"  # no collector here; a program leaves this line out
    ot_bridge.install("shop")
    finished = InMemorySpanExporter()
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(finished))  # type: ignore[attr-defined]

    sent = charge(order=7)

    for span in reversed(finished.get_finished_spans()):
        service = span.resource.attributes["service.name"]
        print(
            f"{service}: {span.name!r} {span.kind.name} {dict(span.attributes)} {[event.name for event in span.events]}"
        )
    for name, value in sent.items():
        print(f"  {name}: {value}")
