"""inventory-service: keeps the goods for an order. The old service: OpenTracing on jaeger-client, never touched.

Its tracing knows nothing of ot_bridge or OpenTelemetry: it reads and writes `uber-trace-id`, and sends UDP to a
Jaeger agent.
"""

from __future__ import annotations

import requests
from flask import Flask, request
from flask.typing import ResponseReturnValue
from jaeger_client.config import Config
from opentracing import Format
from opentracing.ext import tags

from ot_bridge.demo.services.serving import address_of, header_tags, serve

config = {"sampler": {"type": "const", "param": 1}, "reporter_flush_interval": 0.1}
tracer = Config(config, service_name="inventory-service", validate=True).new_tracer()
app = Flask(__name__)


def has_credit(order: str) -> bool:
    url = f"{address_of('payment-service')}/credit/{order}"
    client_tags = {tags.SPAN_KIND: tags.SPAN_KIND_RPC_CLIENT, tags.PEER_SERVICE: "payment-service", tags.HTTP_URL: url}
    with tracer.start_active_span("GET /credit", tags=client_tags) as scope:
        headers: dict[str, str] = {}
        tracer.inject(scope.span.context, Format.HTTP_HEADERS, headers)
        response = requests.get(url, headers=headers, timeout=5)
        scope.span.set_tag(tags.HTTP_STATUS_CODE, response.status_code)
        return bool(response.json()["credit"])


@app.post("/reservations")
def reserve() -> ResponseReturnValue:
    caller = tracer.extract(Format.HTTP_HEADERS, dict(request.headers))
    server_tags = {tags.SPAN_KIND: tags.SPAN_KIND_RPC_SERVER, **header_tags(request.headers)}
    with tracer.start_active_span("POST /reservations", child_of=caller, tags=server_tags) as scope:
        scope.span.set_tag("baggage.customer-tier", scope.span.get_baggage_item("customer-tier") or "unknown")
        if not has_credit(request.json["order"]):
            return {"reserved": False}, 409
        for line in request.json["lines"]:
            scope.span.log_kv({"event": "reserved", **line})
        return {"reserved": True}


if __name__ == "__main__":
    serve(app)
    tracer.close()
