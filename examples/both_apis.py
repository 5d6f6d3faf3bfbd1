"""Native OpenTelemetry and OpenTracing in one function: one active span, one trace, one baggage.

Run it: ``python examples/both_apis.py``. It prints what each API sees of the other, and the spans.
"""

from __future__ import annotations

import opentracing
from opentelemetry import baggage, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import ot_bridge


def checkout() -> None:
    old, new = opentracing.global_tracer(), trace.get_tracer("shop")
    with old.start_active_span("checkout") as scope:  # OpenTracing outside
        scope.span.set_baggage_item("tenant", "acme")
        print("OpenTelemetry's current span is the scope's:", trace.get_current_span() is scope.span)
        print("OpenTelemetry reads the baggage:", baggage.get_baggage("tenant"))

        with new.start_as_current_span("reserve") as native:  # OpenTelemetry inside
            old.active_span.set_tag("items", 2)  # type: ignore[union-attr]
            old.active_span.log_kv({"event": "reserved", "item": "teapot"})  # type: ignore[union-attr]
            native.set_attribute("warehouse", "north")

            with old.start_active_span("notify"):  # and OpenTracing inside that
                new.start_span("send").end()


if __name__ == "__main__":
    finished = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(finished))
    ot_bridge.install(tracer_provider=provider)

    checkout()

    spans = finished.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans}
    for span in reversed(spans):
        parent = names[span.parent.span_id] if span.parent else "nobody"
        print(f"{span.name}: child of {parent}, {dict(span.attributes)}, {[event.name for event in span.events]}")
    print("traces:", len({span.context.trace_id for span in spans}))
