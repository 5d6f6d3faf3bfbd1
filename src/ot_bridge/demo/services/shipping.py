"""shipping-service: sends the parcel of an order that is paid. OpenTracing written by hand, on ot_bridge.

In the demo's checkout nothing is paid, so no request ever comes here. `ot-bridge demo --keep` shows one that does.
"""

from __future__ import annotations

from flask import Flask, request
from flask.typing import ResponseReturnValue
from opentracing import Format
from opentracing.ext import tags

import ot_bridge
from ot_bridge.demo.services.serving import header_tags, serve

tracer = ot_bridge.install("shipping-service")
app = Flask(__name__)


@app.post("/parcels")
def send_parcel() -> ResponseReturnValue:
    caller = tracer.extract(Format.HTTP_HEADERS, dict(request.headers))
    server_tags = {tags.SPAN_KIND: tags.SPAN_KIND_RPC_SERVER, **header_tags(request.headers)}
    with tracer.start_active_span("POST /parcels", child_of=caller, tags=server_tags) as scope:
        tier = scope.span.get_baggage_item("customer-tier") or "unknown"
        scope.span.set_tag("baggage.customer-tier", tier)
        scope.span.log_kv({"event": "parcel.sent", "by": "courier" if tier == "gold member" else "post"})
        return {"sent": True}


if __name__ == "__main__":
    serve(app)
    tracer.close()
