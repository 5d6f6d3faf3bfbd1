"""payment-gateway: asks the bank, which takes its time. The new service: OpenTelemetry alone, with its own defaults.

Its tracing knows nothing of OpenTracing, Jaeger or ot_bridge: it reads and writes `traceparent` and `baggage`, and
sends OTLP.
"""

from __future__ import annotations

import time

import requests
from flask import Flask, request
from flask.typing import ResponseReturnValue
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind

from ot_bridge.demo.services.serving import address_of, header_tags, serve

provider = TracerProvider(resource=Resource.create({"service.name": "payment-gateway"}))
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("payment-gateway")
app = Flask(__name__)


def confirm(order: str) -> None:
    url = f"{address_of('payment-service')}/confirmations/{order}"
    with tracer.start_as_current_span("GET /confirmation", kind=SpanKind.CLIENT) as span:
        span.set_attribute("url.full", url)
        headers: dict[str, str] = {}
        propagate.inject(headers)
        response = requests.get(url, headers=headers, timeout=5)
        span.set_attribute("http.response.status_code", response.status_code)


@app.post("/charges")
def charge() -> ResponseReturnValue:
    token = context.attach(propagate.extract(request.headers))
    try:
        with tracer.start_as_current_span(
            "POST /charges", kind=SpanKind.SERVER, attributes=header_tags(request.headers)
        ) as span:
            span.set_attribute("baggage.customer-tier", str(baggage.get_baggage("customer-tier") or "unknown"))
            confirm(request.json["order"])
            with tracer.start_as_current_span("ask the bank") as bank:
                time.sleep(request.json["bank_s"])
                bank.add_event("bank.answered", {"charged": True})
            return {"charged": True}
    finally:
        context.detach(token)


if __name__ == "__main__":
    serve(app)
    provider.shutdown()
