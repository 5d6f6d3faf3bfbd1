"""Zipkin's HTTP port (9411): `POST /api/v2/spans`. Source: zipkin-api's `zipkin2-api.yaml`."""

from __future__ import annotations

from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ot_bridge.traces.formats import zipkin
from ot_bridge.traces.receive.body import BodyError, Limits, read_body
from ot_bridge.traces.receive.inbox import Counts, Inbox

__all__ = ["PROTOCOL", "routes"]

PROTOCOL: Final = "zipkin"
_PROTOBUF: Final = "application/x-protobuf"


def routes(inbox: Inbox, counts: Counts, limits: Limits) -> list[Route]:
    """Return what the port serves. A body without a content type counts as JSON, as with Zipkin."""

    async def spans(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == _PROTOBUF:
            counts.add(PROTOCOL, "other content types", example=_PROTOBUF)
            return _refusal(415, "cannot read Zipkin's protobuf: expected JSON, which every reporter can send")
        try:
            body = await read_body(request, limits)
        except (BodyError, ClientDisconnect) as error:
            counts.add(PROTOCOL, "bodies not read", example=str(error) or "the client closed the connection")
            return _refusal(error.status if isinstance(error, BodyError) else 400, str(error))
        try:
            decoded = await run_in_threadpool(zipkin.decode_json, body)
        except zipkin.ZipkinError as error:
            counts.add(PROTOCOL, "bad bodies", example=str(error))
            return _refusal(400, str(error))
        if decoded.rejected:
            counts.add(PROTOCOL, "bad spans", decoded.rejected, example=decoded.problem)
        taken = sum(len(scope.spans) for one in decoded.batches for scope in one.scope_spans)
        if decoded.rejected and not taken:
            return _refusal(400, decoded.problem)
        if taken and not inbox.put(decoded.batches):
            counts.add(PROTOCOL, "refused: the store could not keep up", taken)
            return _refusal(503, "cannot take more spans now: the store cannot keep up")
        counts.add(PROTOCOL, "spans", taken)
        return Response(status_code=202)

    return [Route("/api/v2/spans", spans, methods=["POST"])]


def _refusal(status: int, text: str) -> Response:
    return PlainTextResponse(text + "\n", status_code=status)
