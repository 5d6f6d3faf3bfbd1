"""Jaeger's HTTP ports: where clients without UDP send batches (14268), and where clients ask how to sample (5778).

Source: `cmd/collector/app/handler/http_thrift_handler.go` and `internal/sampling/http` of Jaeger. Every client that
asks is told to sample everything, which needs no change in its code.
"""

from __future__ import annotations

from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ot_bridge.traces.formats import jaeger_thrift
from ot_bridge.traces.formats.thrift import ThriftError
from ot_bridge.traces.receive.body import BodyError, Limits, read_body
from ot_bridge.traces.receive.inbox import Counts, Inbox
from ot_bridge.traces.receive.losses import Losses

__all__ = ["CONTENT_TYPES", "PROTOCOL", "SAMPLE_ALL", "routes", "sampling_routes"]

PROTOCOL: Final = "jaeger/http"
CONTENT_TYPES: Final = ("application/x-thrift", "application/vnd.apache.thrift.binary")
SAMPLE_ALL: Final = {"strategyType": "PROBABILISTIC", "probabilisticSampling": {"samplingRate": 1.0}}


def routes(inbox: Inbox, counts: Counts, limits: Limits) -> list[Route]:
    """Return what the port for batches serves: `POST /api/traces`."""
    losses = Losses(counts, PROTOCOL)

    async def batch(request: Request) -> Response:
        given = request.headers.get("content-type", "")
        if given.partition(";")[0].strip().lower() not in CONTENT_TYPES:
            counts.add(PROTOCOL, "other content types", example=given)
            return _refusal(400, f"cannot read a body of type {given[:100]!r}: expected {' or '.join(CONTENT_TYPES)}")
        try:
            body = await read_body(request, limits)
        except BodyError as error:
            counts.add(PROTOCOL, "bodies not read", example=str(error))
            return _refusal(error.status if error.status == 413 else 500, str(error))
        except ClientDisconnect:
            counts.add(PROTOCOL, "bodies not read", example="the client closed the connection")
            return _refusal(500, "cannot read the body: the connection was closed")
        try:
            # Not here, where all connections are served: a large body takes seconds.
            decoded = await run_in_threadpool(jaeger_thrift.decode_batch, body)
        except ThriftError as error:
            counts.add(PROTOCOL, "bad bodies", example=str(error))
            return _refusal(400, str(error))
        losses.note(decoded.batches)
        if decoded.rejected:
            counts.add(PROTOCOL, "bad spans", decoded.rejected, example=decoded.problem)
        spans = sum(len(scope.spans) for one in decoded.batches for scope in one.scope_spans)
        if decoded.rejected and not spans:
            return _refusal(400, decoded.problem)
        if spans and not inbox.put(decoded.batches):
            counts.add(PROTOCOL, "refused: the store could not keep up", spans)
            return _refusal(503, "cannot take more spans now: the store cannot keep up")
        counts.add(PROTOCOL, "spans", spans)
        return Response(status_code=202)

    return [Route("/api/traces", batch, methods=["POST"])]


def sampling_routes() -> list[Route]:
    """Return what the port for strategies serves, as Jaeger's agent did."""
    answers = {"/": SAMPLE_ALL, "/sampling": SAMPLE_ALL, "/baggageRestrictions": []}

    async def answer(request: Request) -> Response:
        return JSONResponse(answers[request.url.path])

    return [Route(path, answer) for path in answers]


def _refusal(status: int, text: str) -> Response:
    return PlainTextResponse(text + "\n", status_code=status)
