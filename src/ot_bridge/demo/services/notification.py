"""notification-service where there is no Node: tells the customer. OpenTracing on jaeger-client, as inventory-service.

It does what `notification.js` does, with the same spans.
"""

from __future__ import annotations

from flask import Flask, request
from flask.typing import ResponseReturnValue
from jaeger_client.config import Config
from opentracing import Format
from opentracing.ext import tags

from ot_bridge.demo.services.serving import header_tags, serve

config = {"sampler": {"type": "const", "param": 1}, "reporter_flush_interval": 0.1}
tracer = Config(config, service_name="notification-service", validate=True).new_tracer()
app = Flask(__name__)


@app.post("/messages")
def tell() -> ResponseReturnValue:
    caller = tracer.extract(Format.HTTP_HEADERS, dict(request.headers))
    server_tags = {tags.SPAN_KIND: tags.SPAN_KIND_RPC_SERVER, **header_tags(request.headers)}
    with tracer.start_active_span("POST /messages", child_of=caller, tags=server_tags) as scope:
        scope.span.set_tag("baggage.customer-tier", scope.span.get_baggage_item("customer-tier") or "unknown")
        scope.span.log_kv({"event": "message.sent", "text": "thank you" if request.json["paid"] else "payment failed"})
        return {"told": True}


if __name__ == "__main__":
    serve(app)
    tracer.close()
