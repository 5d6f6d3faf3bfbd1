"""What receivers share: counting and handing on; the HTTP ports of Jaeger and of Zipkin share all the rest too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from ot_bridge.traces.formats.decoded import Decoded
from ot_bridge.traces.receive.body import BodyError, Limits, decode_apart, read_body
from ot_bridge.traces.receive.inbox import Counts, Inbox

__all__ = ["RETRY_AFTER_S", "hand_on", "refusal", "take"]

RETRY_AFTER_S: Final = 1
_FULL: Final = "cannot take more spans now: the store cannot keep up"


def hand_on(decoded: Decoded, protocol: str, inbox: Inbox, counts: Counts, noun: str = "spans") -> bool | None:
    """Count what was decoded and hand it on; False when there was no room for it, None when there was nothing."""
    if decoded.rejected:
        counts.add(protocol, f"bad {noun}", decoded.rejected, example=decoded.problem)
    for what, number in decoded.noted.items():
        counts.add(protocol, what, number)
    found = {
        "spans": sum(len(scope.spans) for batch in decoded.batches for scope in batch.scope_spans),
        "log records": sum(len(scope.log_records) for batch in decoded.logs for scope in batch.scope_logs),
    }
    if not any(found.values()):
        return None
    taken = inbox.put(decoded.batches, decoded.logs)
    for what, number in found.items():
        if number:
            counts.add(protocol, what if taken else f"{what} dropped: the store could not keep up", number)
    return taken


async def take(
    request: Request,
    decode: Callable[[bytes], Decoded],
    *,
    protocol: str,
    inbox: Inbox,
    counts: Counts,
    limits: Limits,
    unreadable: int = 400,
    note: Callable[[Decoded], None] | None = None,
) -> Response:
    """Read, decode and hand on one body. 202 when it was taken, 400 when nothing in it can be read, 503 without room.

    `decode` raises ValueError for a body that it cannot read. `unreadable` is the status for one that did not arrive
    whole. `note` looks at what was decoded.
    """
    try:
        body = await read_body(request, limits)
        decoded = await decode_apart(request, decode, body)
    except BodyError as error:
        counts.add(protocol, "bodies not read", example=str(error))
        status = unreadable if error.status == 400 else error.status
        answer = refusal(status, str(error), retry_after_s=error.retry_after_s)
        answer.headers["connection"] = "close"  # The rest of the body is not read.
        return answer
    except ValueError as error:
        counts.add(protocol, "bad bodies", example=str(error))
        return refusal(400, str(error))
    if note is not None:
        note(decoded)
    taken = hand_on(decoded, protocol, inbox, counts)
    if taken is False:
        return refusal(503, _FULL, retry_after_s=RETRY_AFTER_S)
    if taken is None and decoded.rejected:
        return refusal(400, decoded.problem)
    return Response(status_code=202)


def refusal(status: int, text: str, *, retry_after_s: int | None = None) -> Response:
    """Make an answer that says why."""
    headers = None if retry_after_s is None else {"retry-after": str(retry_after_s)}
    return PlainTextResponse(text + "\n", status_code=status, headers=headers)
