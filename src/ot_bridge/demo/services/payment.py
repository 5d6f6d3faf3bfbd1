"""payment-service: charges the card at a gateway that may be slow. OpenTracing written by hand, on ot_bridge.

The timeout is where this checkout fails. The code says nothing special about it: the exception leaves the span's
`with` block, and that is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from flask import Flask, request
from flask.typing import ResponseReturnValue
from opentracing import Format, Span
from opentracing.ext import tags

import ot_bridge
from ot_bridge.demo.services.serving import address_of, header_tags, serve

tracer = ot_bridge.install("payment-service")
app = Flask(__name__)

PATIENCE_S = 0.4


def charge(order: str, bank_s: float) -> None:
    url = address_of("payment-gateway") + "/charges"
    client_tags = {tags.SPAN_KIND: tags.SPAN_KIND_RPC_CLIENT, tags.PEER_SERVICE: "payment-gateway", tags.HTTP_URL: url}
    with tracer.start_active_span("POST /charges", tags=client_tags) as scope:
        headers: dict[str, str] = {}
        tracer.inject(scope.span.context, Format.HTTP_HEADERS, headers)
        body = {"order": order, "bank_s": bank_s}
        response = requests.post(url, json=body, headers=headers, timeout=PATIENCE_S)
        scope.span.set_tag(tags.HTTP_STATUS_CODE, response.status_code)


@contextmanager
def server_span(operation: str) -> Iterator[Span]:
    caller = tracer.extract(Format.HTTP_HEADERS, dict(request.headers))
    server_tags = {tags.SPAN_KIND: tags.SPAN_KIND_RPC_SERVER, **header_tags(request.headers)}
    with tracer.start_active_span(operation, child_of=caller, tags=server_tags) as scope:
        scope.span.set_tag("baggage.customer-tier", scope.span.get_baggage_item("customer-tier") or "unknown")
        yield scope.span


@app.get("/credit/<order>")
def credit(order: str) -> ResponseReturnValue:
    with server_span("GET /credit"):
        return {"order": order, "credit": True}


@app.post("/payments")
def pay() -> ResponseReturnValue:
    with server_span("POST /payments") as span:
        try:
            charge(request.json["order"], request.json["bank_s"])
        except requests.Timeout:
            reason = f"the payment gateway did not answer within {PATIENCE_S} s"
            span.set_tag(tags.ERROR, True)
            span.log_kv({"event": "payment.failed", "reason": reason})
            return {"reason": reason}, 504
        return {"paid": True}


@app.get("/confirmations/<order>")
def confirm(order: str) -> ResponseReturnValue:
    with server_span("GET /confirmation"):
        return {"order": order, "confirmed": True}


if __name__ == "__main__":
    serve(app)
    tracer.close()
