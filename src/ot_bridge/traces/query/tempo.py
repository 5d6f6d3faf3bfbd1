"""A trace from Grafana Tempo: by its v2 API, else by the older one, as protobuf, which has no two ways to write an id.

Source: `pkg/tempopb/tempo.proto` and `pkg/api` of tempo; seeing.md 2.5. A response of v2 is
`TraceByIDResponse {1: Trace, 3: status, 4: message}`, a `Trace` has `ResourceSpans` as field 1, as OTLP's TracesData.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ot_bridge.traces.formats.detect import Contents, UnreadableError, read
from ot_bridge.traces.query.client import BackendError, Client, Reply

__all__ = ["fetch"]

_PROTOBUF = "application/protobuf"
_PARTIAL = 1


def fetch(client: Client, trace_id: int) -> tuple[Contents, str] | None:
    """Ask for a trace; return it and which API gave it, None when Tempo has no such trace.

    Raises:
        BackendError: no API answered as Tempo does.
    """
    refused, unknown = list[str](), False
    for version, path in (("v2", "/api/v2/traces/"), ("v1", "/api/traces/")):
        reply = client.get(f"{path}{trace_id:032x}", _PROTOBUF)
        if reply.status == 404:
            unknown = True
            continue
        if reply.status != 200 or reply.kind == "text/html":
            refused.append(f"{reply.url} answers {reply.status} {reply.kind}: {reply.beginning}"[:300])
            continue
        try:
            contents = _contents(reply, version)
        except UnreadableError as error:
            refused.append(str(error))
            continue
        if contents is not None and contents.batches:
            return contents, f"Tempo's {version} API"
        unknown = True
    if unknown and not refused:
        return None
    raise BackendError(f"{client.base} does not answer as Tempo's query API does: {'; '.join(refused)}")


def _contents(reply: Reply, version: str) -> Contents | None:
    body, partial = reply.body, ""
    if body.lstrip()[:1] in (b"{", b"["):
        partial = _partial_json(body)
    elif version == "v2":
        fields = dict(_fields(body))
        body = fields.get(1, b"")
        if fields.get(3) == _PARTIAL:
            partial = bytes(fields.get(4, b"")).decode("utf-8", "replace") or "without a reason"
    if not body:
        return None
    contents = read(body, reply.url)
    if partial:
        return contents._replace(notes=[*contents.notes, f"Tempo says that the trace is partial: {partial}"])
    return contents


def _partial_json(body: bytes) -> str:
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(found, dict) or str(found.get("status", "")).upper() not in ("PARTIAL", str(_PARTIAL)):
        return ""
    return str(found.get("message") or "without a reason")


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the numbers and values of a protobuf message's fields, bytes and integers; stop where it is broken."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire == 2:
            size, at = _varint(data, at)
            yield number, data[at : at + size]
            at += size
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            return


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    return 0, len(data)
