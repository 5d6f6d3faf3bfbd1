"""Traces that were recorded from real processes."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import json_format
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from ot_bridge.traces import otlp
from ot_bridge.traces.tree import Trace

__all__ = ["demo_trace"]

_VECTORS = Path(__file__).parent / "vectors"


def demo_trace() -> Trace:
    """Return what `ot-bridge demo --no-node` sent once; it is protobuf's JSON of `TracesData`, with ids in base64."""
    data = json_format.Parse((_VECTORS / "demo_trace.json").read_text(encoding="ascii"), TracesData())
    return Trace(otlp.spans(data.resource_spans))
