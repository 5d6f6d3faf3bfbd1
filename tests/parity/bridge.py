"""A program on the drop-in: what it sends to an OTLP collector."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from collectors import Arrival, http_collector
from parity.running import HERE, Run, Span, clean, execute

__all__ = ["WAYS", "run"]

# What says who sent the spans, and the name, which has a place of its own.
_OF_THE_SDK = ("telemetry.", "service.")


WAYS = {"import": [sys.executable, str(HERE / "redirect.py")]}
"""How a program comes to the drop-in: as if its import had been changed, and through `ot-bridge run`."""

if importlib.util.find_spec("ot_bridge.autostart") is not None:
    WAYS["run"] = [sys.executable, "-m", "ot_bridge.cli", "run", "--", sys.executable]


def run(program: str, way: str) -> tuple[Run, str]:
    """Run a program on the drop-in.

    Args:
        program: its name.
        way: one of `WAYS`.

    Returns:
        The run, and what it wrote to stderr.
    """
    with http_collector() as (url, arrivals):
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            # the agent's address is there as before, and nobody listens
            "JAEGER_AGENT_HOST": "127.0.0.1",
            "JAEGER_AGENT_PORT": "9",
        }
        output = execute(program, WAYS[way], variables)
    return Run.of(program, output, _received(arrivals)), output.stderr


def _received(arrivals: Iterable[Arrival]) -> list[Span]:
    return [
        _span(span, _attributes(resource_spans.resource.attributes), scope_spans.scope.name)
        for arrival in arrivals
        for resource_spans in arrival.request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


def _span(span: Any, resource: dict[str, Any], scope: str) -> Span:
    return {
        "service": resource["service.name"][1],
        "process": {key: value for key, value in resource.items() if not key.startswith(_OF_THE_SDK)},
        "scope": scope,
        "name": span.name,
        "trace_id": int.from_bytes(span.trace_id, "big"),
        "span_id": int.from_bytes(span.span_id, "big"),
        "parent_id": int.from_bytes(span.parent_span_id, "big"),
        "kind": OtlpSpan.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        "trace_state": span.trace_state,
        "start_ns": span.start_time_unix_nano,
        "end_ns": span.end_time_unix_nano,
        "status": [Status.StatusCode.Name(span.status.code).removeprefix("STATUS_CODE_"), span.status.message],
        "attributes": _attributes(span.attributes),
        "logs": [
            {"ns": event.time_unix_nano, "name": event.name, "attributes": _attributes(event.attributes)}
            for event in span.events
        ],
        "references": [
            {
                "trace_id": int.from_bytes(link.trace_id, "big"),
                "span_id": int.from_bytes(link.span_id, "big"),
                "attributes": _attributes(link.attributes),
            }
            for link in span.links
        ],
        "dropped": [span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count],
    }


def _attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> list[Any]:
    """Return a value beside its type, with the names of Jaeger's types."""
    match value.WhichOneof("value"):
        case "bool_value":
            return ["bool", value.bool_value]
        case "int_value":
            return ["long", value.int_value]
        case "double_value":
            return ["double", str(value.double_value)]
        case "string_value":
            return ["string", clean(value.string_value)]
        case "bytes_value":
            return ["binary", value.bytes_value.hex()]
        case "array_value":
            return ["array", [_value(item) for item in value.array_value.values]]
        case kind:
            return [str(kind), str(value)]
