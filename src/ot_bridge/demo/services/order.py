"""order-service: takes the checkout and calls the others. Flask, OpenTracing and Flask-OpenTracing, on ot_bridge.

Before the swap the line that makes the tracer read `jaeger_client.Config(...).initialize_tracer()`. Nothing else
has changed, and Flask-OpenTracing is the package as it was released.
"""

from __future__ import annotations

import itertools

import opentracing
import requests
from flask import Flask, Request, request
from flask.typing import ResponseReturnValue
from flask_opentracing import FlaskTracing
from opentracing import Format
from opentracing.ext import tags

import ot_bridge
from ot_bridge.demo.services.serving import address_of, header_tags, serve

tracer = ot_bridge.install("order-service")
app = Flask(__name__)

LINES = [{"item": "teapot", "count": 1}, {"item": "cup", "count": 4}]
order_numbers = itertools.count(1001)


def tag_headers(span: opentracing.Span, request: Request) -> None:
    for key, value in header_tags(request.headers).items():
        span.set_tag(key, value)


FlaskTracing(tracer, True, app, start_span_cb=tag_headers)


def post(service: str, path: str, body: dict[str, object]) -> requests.Response:
    url = address_of(service) + path
    client_tags = {tags.SPAN_KIND: tags.SPAN_KIND_RPC_CLIENT, tags.PEER_SERVICE: service, tags.HTTP_URL: url}
    with tracer.start_active_span(f"POST {path}", tags=client_tags) as scope:
        headers: dict[str, str] = {}
        tracer.inject(scope.span.context, Format.HTTP_HEADERS, headers)
        response = requests.post(url, json=body, headers=headers, timeout=5)
        scope.span.set_tag(tags.HTTP_STATUS_CODE, response.status_code)
        return response


@app.post("/checkout")
def checkout() -> ResponseReturnValue:
    wish = request.get_json(silent=True) or {}
    order = f"order-{next(order_numbers)}"
    span = tracer.active_span
    span.set_tag("order", order)
    span.set_baggage_item("customer-tier", wish.get("customer_tier", "gold member"))

    post("inventory-service", "/reservations", {"order": order, "lines": LINES})
    payment = post("payment-service", "/payments", {"order": order, "bank_s": wish.get("bank_s", 0.7)})
    if payment.ok:
        post("shipping-service", "/parcels", {"order": order})
    else:
        span.log_kv({"event": "shipping.skipped", "reason": "the payment failed"})
    post("notification-service", "/messages", {"order": order, "paid": payment.ok})
    return {"order": order, "paid": payment.ok, "shipped": payment.ok}, 200 if payment.ok else 503


if __name__ == "__main__":
    # Flask-OpenTracing 2.0.0 keeps its scopes in a dict whose key is Flask's request proxy, one object for all
    # requests: two requests at a time can take each other's place there, and a span is never finished.
    serve(app, threaded=False)
    tracer.close()
