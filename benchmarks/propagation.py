"""Headers in and out, beside jaeger-client and OpenTelemetry's own propagators: ``make bench``."""

from __future__ import annotations

from collections.abc import Callable

import opentracing
from jaeger_client import SpanContext as JaegerContext
from jaeger_client.codecs import TextCodec
from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from side_by_side import measure, show, show_machine

from ot_bridge import BridgeSpanContext, BridgeTracer, MixedFleetPropagator, Settings

HTTP = opentracing.Format.HTTP_HEADERS
TRACE_ID, SPAN_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331
OTHERS = {
    "Host": "shop.example", "User-Agent": "curl/8.1", "Accept": "*/*", "Accept-Encoding": "gzip", "Via": "1.1 proxy",
    "Content-Type": "application/json", "Content-Length": "512", "X-Request-Id": "7b2a", "X-Forwarded-For": "10.0.0.1",
    "X-Forwarded-Proto": "https", "Cache-Control": "no-cache", "Cookie": "session=abc",
}  # fmt: skip
FORMATS = {"uber": ("jaeger",), "W3C": ("tracecontext", "baggage"), "both": ("jaeger", "tracecontext", "baggage")}


def tracer_for(formats: tuple[str, ...]) -> BridgeTracer:
    settings = Settings(extract=formats, inject=formats)
    return BridgeTracer(TracerProvider(shutdown_on_exit=False), settings=settings)


def inject_cases(items: dict[str, str]) -> dict[str, Callable[[], object]]:
    jaeger_context = JaegerContext(TRACE_ID, SPAN_ID, 0, 1, items)
    codec = TextCodec(url_encoding=True)
    ids = SpanContext(TRACE_ID, SPAN_ID, False, TraceFlags(1))
    context = set_span_in_context(NonRecordingSpan(ids), Context())
    for key, value in items.items():
        context = baggage.set_baggage(key, value, context)
    w3c = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
    bridge_context = BridgeSpanContext(TRACE_ID, SPAN_ID, False, TraceFlags(1), None, items)
    cases: dict[str, Callable[[], object]] = {
        "jaeger-client": lambda: codec.inject(jaeger_context, {}),
        "native": lambda: w3c.inject({}, context),
    }
    for name, formats in FORMATS.items():
        inject = tracer_for(formats).inject
        cases[f"ot_bridge {name}"] = lambda inject=inject: inject(bridge_context, HTTP, {})
    otel = MixedFleetPropagator(("tracecontext", "baggage"), ("tracecontext", "baggage"))
    cases["ot_bridge W3C, as propagator"] = lambda: otel.inject({}, context)
    return cases


def extract_cases(items: dict[str, str]) -> dict[str, Callable[[], object]]:
    context = BridgeSpanContext(TRACE_ID, SPAN_ID, False, TraceFlags(1), None, items)
    headers = {}
    for name, formats in FORMATS.items():
        headers[name] = dict(OTHERS)
        tracer_for(formats).inject(context, HTTP, headers[name])
    codec = TextCodec(url_encoding=True)
    w3c = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
    cases: dict[str, Callable[[], object]] = {
        "jaeger-client": lambda: codec.extract(headers["uber"]),
        "native": lambda: w3c.extract(headers["W3C"]),
    }
    for name, formats in FORMATS.items():
        extract = tracer_for(formats).extract
        cases[f"ot_bridge {name}"] = lambda extract=extract, name=name: extract(HTTP, headers[name])
    otel = MixedFleetPropagator(("tracecontext", "baggage"), ("tracecontext", "baggage"))
    cases["ot_bridge W3C, as propagator"] = lambda: otel.extract(headers["W3C"])
    return cases


def main() -> None:
    """Measure and print."""
    show_machine()
    for count in (0, 3, 32):
        items = {f"key-{number}": f"value {number}" for number in range(count)}
        references = ("native", "jaeger-client")
        show(f"inject, {count} baggage items", measure(inject_cases(items)), references)
        show(f"extract beside 12 other headers, {count} baggage items", measure(extract_cases(items)), references)


if __name__ == "__main__":
    main()
