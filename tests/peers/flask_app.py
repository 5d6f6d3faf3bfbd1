"""A Flask service without a line about tracing in its handler; opentelemetry-instrument does that, if it starts it.

It calls the URL in its first argument and answers with that answer, and with the spans that have ended meanwhile.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import requests
from flask import Flask
from opentelemetry import baggage, trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from werkzeug.serving import make_server

exporter = InMemorySpanExporter()
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))  # type: ignore[attr-defined]
app = Flask(__name__)


def ids(span: ReadableSpan) -> dict[str, str]:
    """Return the ids of a span in hex."""
    parent_id = "" if span.parent is None else f"{span.parent.span_id:016x}"
    return {
        "trace_id": f"{span.context.trace_id:032x}",
        "span_id": f"{span.context.span_id:016x}",
        "parent_id": parent_id,
    }


@app.post("/")
def index() -> dict[str, Any]:
    """Call the next service."""
    answer = requests.post(f"http://{sys.argv[1]}", json={"sampler": "off", "baggage": {}, "path": []}, timeout=20)
    server: Any = trace.get_current_span()
    return {
        "server": ids(server),
        "client": [ids(span) for span in exporter.get_finished_spans()],
        "baggage": dict(baggage.get_all()),
        "next": answer.json(),
    }


server = make_server("127.0.0.1", 0, app, threaded=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.port, flush=True)
sys.stdin.read()
