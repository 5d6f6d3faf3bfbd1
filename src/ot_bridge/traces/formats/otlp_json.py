"""OTLP's JSON as OTLP's messages. Pure. STOPGAP of branch h8g: the reader of branch h8a replaces this file."""

from __future__ import annotations

import base64
import json
from typing import Any

from google.protobuf.json_format import ParseDict, ParseError
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from ot_bridge.traces.formats.decoded import Decoded

__all__ = ["read_json"]


def read_json(data: bytes) -> Decoded:
    """Read one object or a list of them, with `resourceSpans`."""
    found = json.loads(data)
    batches, rejected, problem = list[ResourceSpans](), 0, ""
    for one in found if isinstance(found, list) else [found]:
        for batch in one.get("resourceSpans", ()):
            try:
                batches.append(ParseDict(_with_base64(batch), ResourceSpans(), ignore_unknown_fields=True))
            except (ParseError, ValueError) as error:
                rejected, problem = rejected + 1, str(error)
    logs = [
        ParseDict(_with_base64(batch), ResourceLogs(), ignore_unknown_fields=True)
        for one in (found if isinstance(found, list) else [found])
        for batch in one.get("resourceLogs", ())
    ]
    return Decoded(batches, rejected, problem, logs)


def _with_base64(found: Any) -> Any:
    if isinstance(found, dict):
        return {
            key: base64.b64encode(bytes.fromhex(value)).decode()
            if key in ("traceId", "spanId", "parentSpanId") and len(value) in (16, 32)
            else _with_base64(value)
            for key, value in found.items()
        }
    return [_with_base64(one) for one in found] if isinstance(found, list) else found
