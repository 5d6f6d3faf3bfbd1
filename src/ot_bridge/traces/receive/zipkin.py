"""Zipkin's HTTP port (9411): `POST /api/v2/spans`. Source: zipkin-api's `zipkin2-api.yaml`."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ot_bridge.traces.formats import zipkin
from ot_bridge.traces.receive.body import Limits
from ot_bridge.traces.receive.inbox import Counts, Inbox
from ot_bridge.traces.receive.taking import refusal, take

__all__ = ["PROTOCOL", "routes"]

PROTOCOL: Final = "zipkin"
_PROTOBUF: Final = "application/x-protobuf"


def routes(inbox: Inbox, counts: Counts, limits: Limits) -> list[Route]:
    """Return what the port serves. A body is JSON whatever its content type says, unless that says protobuf."""

    async def spans(request: Request) -> Response:
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == _PROTOBUF:
            counts.add(PROTOCOL, "other content types", example=_PROTOBUF)
            return refusal(415, "cannot read Zipkin's protobuf: expected JSON, which every reporter can send")
        return await take(request, zipkin.decode_json, protocol=PROTOCOL, inbox=inbox, counts=counts, limits=limits)

    return [Route("/api/v2/spans", spans, methods=["POST"])]
