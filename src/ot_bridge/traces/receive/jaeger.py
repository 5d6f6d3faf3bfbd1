"""Jaeger's HTTP ports: where clients without UDP send batches (14268), and where clients ask how to sample (5778).

Source: `cmd/collector/app/handler/http_thrift_handler.go` and `internal/sampling/http` of Jaeger. Every client that
asks is told to sample everything, which needs no change in its code.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ot_bridge.traces.formats import jaeger_thrift
from ot_bridge.traces.formats.decoded import Decoded
from ot_bridge.traces.receive.body import Limits
from ot_bridge.traces.receive.inbox import Counts, Inbox
from ot_bridge.traces.receive.losses import Losses
from ot_bridge.traces.receive.taking import refusal, take

__all__ = ["CONTENT_TYPES", "PROTOCOL", "SAMPLE_ALL", "routes", "sampling_routes"]

PROTOCOL: Final = "jaeger/http"
CONTENT_TYPES: Final = ("application/x-thrift", "application/vnd.apache.thrift.binary")
SAMPLE_ALL: Final = {"strategyType": "PROBABILISTIC", "probabilisticSampling": {"samplingRate": 1.0}}


def routes(inbox: Inbox, counts: Counts, limits: Limits) -> list[Route]:
    """Return what the port for batches serves: `POST /api/traces`."""
    losses = Losses(counts, PROTOCOL)

    def note(decoded: Decoded) -> None:
        losses.note(decoded.batches)

    async def batch(request: Request) -> Response:
        given = request.headers.get("content-type", "")
        if given.partition(";")[0].strip().lower() not in CONTENT_TYPES:
            counts.add(PROTOCOL, "other content types", example=given)
            return refusal(400, f"cannot read a body of type {given[:100]!r}: expected {' or '.join(CONTENT_TYPES)}")
        return await take(
            request,
            jaeger_thrift.decode_batch,
            protocol=PROTOCOL,
            inbox=inbox,
            counts=counts,
            limits=limits,
            unreadable=500,
            note=note,
        )

    return [Route("/api/traces", batch, methods=["POST"])]


def sampling_routes() -> list[Route]:
    """Return what the port for strategies serves, as Jaeger's agent did."""
    answers = {"/": SAMPLE_ALL, "/sampling": SAMPLE_ALL, "/baggageRestrictions": []}

    async def answer(request: Request) -> Response:
        return JSONResponse(answers[request.url.path])

    return [Route(path, answer) for path in answers]
