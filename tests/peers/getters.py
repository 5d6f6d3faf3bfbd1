"""Reads one request with OpenTelemetry's own getters and ot_bridge's propagator, and prints what each one found."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from opentelemetry import baggage, propagate, trace
from opentelemetry.instrumentation.asgi import ASGIGetter
from opentelemetry.instrumentation.wsgi import WSGIGetter
from opentelemetry.propagators.textmap import DefaultGetter, Getter


def found(carrier: Any, getter: Getter[Any]) -> Mapping[str, Any]:
    """Return the remote span and the baggage."""
    context = propagate.extract(carrier, getter=getter)
    span = trace.get_current_span(context).get_span_context()
    return {
        "trace_id": f"{span.trace_id:032x}",
        "span_id": f"{span.span_id:016x}",
        "sampled": span.trace_flags.sampled,
        "baggage": dict(baggage.get_all(context)),
    }


headers: dict[str, str] = json.load(sys.stdin)
scope = {"type": "http", "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()]}
environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
print(
    json.dumps(
        {
            "asgi": found(scope, ASGIGetter()),
            "wsgi": found(environ, WSGIGetter()),
            "default": found(headers, DefaultGetter()),
            "lists": found({name: [value] for name, value in headers.items()}, DefaultGetter()),
        }
    )
)
