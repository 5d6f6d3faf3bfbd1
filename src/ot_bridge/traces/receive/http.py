"""OTLP over HTTP: `POST /v1/traces`, `/v1/logs` and `/v1/metrics`, in protobuf and in JSON.

Source: opentelemetry-specification's `protocol/otlp.md` ("OTLP/HTTP"). Every answer is of the request's type, errors
too: these are `google.rpc.Status`. A batch of which something could be read is taken, and the rest is counted and said
(partial success); one of which nothing could be read is refused (400).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from google.protobuf.json_format import MessageToDict
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsPartialSuccess, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ot_bridge.traces.formats import otlp_json, otlp_proto
from ot_bridge.traces.formats.decoded import Decoded
from ot_bridge.traces.receive.body import BodyError, Limits, decode_apart, read_body
from ot_bridge.traces.receive.inbox import Counts, Inbox
from ot_bridge.traces.receive.taking import RETRY_AFTER_S, hand_on
from ot_bridge.traces.words import plural

__all__ = ["NO_METRICS", "PROTOCOL", "SIGNALS", "Answer", "Signal", "refusal", "routes", "take"]

PROTOCOL: Final = "otlp/http"
NO_METRICS: Final = "metrics are not kept here: set OTEL_METRICS_EXPORTER=none to send none"
_PROTOBUF: Final = "application/x-protobuf"
_JSON: Final = "application/json"
_LONGEST: Final = 500

_CODES: Final[Mapping[int, int]] = {400: 3, 401: 16, 403: 7, 408: 4, 413: 8, 415: 3, 421: 3, 500: 13, 503: 14}
"""HTTP status -> the code of `google.rpc.Status` that means the same."""


class Signal(NamedTuple):
    """One of OTLP's signals.

    Attributes:
        decoders: by content type; none for what is not kept.
        response: the message that answers.
        partial: the part of it that says what was rejected.
        rejected: its field with the number.
        noun: of what it carries.
    """

    decoders: Mapping[str, Callable[[bytes], Decoded]]
    response: Callable[..., Any]
    partial: Callable[..., Any]
    rejected: str
    noun: str


SIGNALS: Final[Mapping[str, Signal]] = {
    "traces": Signal(
        {_PROTOBUF: otlp_proto.decode_traces, _JSON: otlp_json.decode_traces},
        ExportTraceServiceResponse,
        ExportTracePartialSuccess,
        "rejected_spans",
        "spans",
    ),
    "logs": Signal(
        {_PROTOBUF: otlp_proto.decode_logs, _JSON: otlp_json.decode_logs},
        ExportLogsServiceResponse,
        ExportLogsPartialSuccess,
        "rejected_log_records",
        "log records",
    ),
    "metrics": Signal({}, ExportMetricsServiceResponse, ExportMetricsPartialSuccess, "rejected_data_points", "metrics"),
}


class Answer(NamedTuple):
    """What became of a request.

    Attributes:
        status: of HTTP: 200, 400 when nothing of it could be read, 503 when there is no room now.
        text: what was wrong; with 200 a warning.
        rejected: how many could not be read.
    """

    status: int
    text: str = ""
    rejected: int = 0

    def message(self, signal: Signal) -> Any:
        """Return the message that answers with 200; without a warning it is empty."""
        if not self.text:
            return signal.response()
        partial = signal.partial(error_message=self.text[:_LONGEST], **{signal.rejected: self.rejected})
        return signal.response(partial_success=partial)


def take(decoded: Decoded, signal: Signal, inbox: Inbox, counts: Counts, protocol: str) -> Answer:
    """Hand on what was decoded, count it, and say what became of it."""
    taken = hand_on(decoded, protocol, inbox, counts, signal.noun)
    if taken is None:
        return Answer(400 if decoded.rejected else 200, decoded.problem)
    if not taken:
        return Answer(503, f"cannot take more {signal.noun} now: the store cannot keep up")
    if decoded.rejected:
        rejected = plural(decoded.rejected, f"bad {signal.noun.removesuffix('s')}")
        return Answer(200, f"{rejected}, the last: {decoded.problem}", decoded.rejected)
    return Answer(200, decoded.problem)


def routes(inbox: Inbox, counts: Counts, limits: Limits) -> list[Route]:
    """Return what the port serves."""

    def route(name: str, signal: Signal) -> Route:
        async def export(request: Request) -> Response:
            return await _export(request, signal, inbox, counts, limits)

        return Route(f"/v1/{name}", export, methods=["POST"], name=name)

    return [route(name, signal) for name, signal in SIGNALS.items()]


async def _export(request: Request, signal: Signal, inbox: Inbox, counts: Counts, limits: Limits) -> Response:
    kind = _content_type(request)
    if kind not in (_PROTOBUF, _JSON):
        counts.add(PROTOCOL, "other content types", example=kind)
        text = f"cannot read a body of type {kind[:100]!r}: expected {_PROTOBUF} or {_JSON}"
        return refusal(request, 415, text, close=True)
    try:
        body = await read_body(request, limits)
        if not signal.decoders:
            counts.add(PROTOCOL, "requests with metrics, which are not kept")
            return _typed(kind, 200, Answer(200, NO_METRICS).message(signal))
        decoded = await decode_apart(request, signal.decoders[kind], body)
    except BodyError as error:
        counts.add(PROTOCOL, "bodies not read", example=str(error))
        return refusal(request, error.status, str(error), retry_after_s=error.retry_after_s, close=True)
    except ValueError as error:
        counts.add(PROTOCOL, "bad bodies", example=str(error))
        return refusal(request, 400, str(error))
    answer = take(decoded, signal, inbox, counts, PROTOCOL)
    if answer.status != 200:
        return refusal(
            request, answer.status, answer.text, retry_after_s=RETRY_AFTER_S if answer.status == 503 else None
        )
    return _typed(kind, 200, answer.message(signal))


def refusal(
    request: Request, status: int, text: str, *, retry_after_s: int | None = None, close: bool = False
) -> Response:
    """Answer with an error, in the request's type, or in JSON when that is none of OTLP's.

    Args:
        request: that is refused.
        status: of HTTP.
        text: for people.
        retry_after_s: when the client may try again, None for never.
        close: the request's body is not read, so that the connection is of no further use.
    """
    answer = _typed(_content_type(request), status, Status(code=_CODES.get(status, 2), message=text[:_LONGEST]))
    if retry_after_s is not None:
        answer.headers["retry-after"] = str(retry_after_s)
    if close:
        answer.headers["connection"] = "close"
    return answer


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _typed(kind: str, status: int, message: Any) -> Response:
    if kind == _PROTOBUF:
        return Response(message.SerializeToString(), status, media_type=_PROTOBUF)
    return Response(json.dumps(MessageToDict(message)), status, media_type=_JSON)
