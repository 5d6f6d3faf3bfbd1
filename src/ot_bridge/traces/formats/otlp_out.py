"""OTLP as JSON, as its specification has it: ids in hex, enums as integers, 64-bit numbers as text. Pure.

Source: opentelemetry.io/docs/specs/otlp, JSON Protobuf Encoding.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, TracesData

from ot_bridge.traces.otlp import VIA

__all__ = ["traces_data"]

_IDS = ("traceId", "spanId", "parentSpanId")


def traces_data(batches: Iterable[ResourceSpans]) -> dict[str, Any]:
    """Return spans as the `TracesData` of a JSON file, which any reader of OTLP's JSON takes."""
    found: dict[str, Any] = MessageToDict(TracesData(resource_spans=batches), use_integers_for_enums=True)
    for batch in found.get("resourceSpans", ()):
        resource = batch.get("resource", {})
        if pairs := resource.get("attributes"):
            resource["attributes"] = [pair for pair in pairs if pair.get("key") != VIA]
        for scope in batch.get("scopeSpans", ()):
            for span in scope.get("spans", ()):
                for holder in (span, *span.get("links", ())):
                    for name in _IDS:
                        if name in holder:
                            holder[name] = base64.b64decode(holder[name]).hex()
    return found
