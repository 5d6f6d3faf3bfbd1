"""A Celery worker with opentracing_instrumentation's hook, for its test: ``instrumented_worker.py BROKER FILE``.

Its spans go to the file, a JSON object a line.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

import ot_bridge
from libraries.tornado_versions import prepared

prepared("opentracing_instrumentation")

import celery  # noqa: E402
from opentracing_instrumentation import get_current_span  # noqa: E402
from opentracing_instrumentation.client_hooks import celery as hook  # noqa: E402

QUEUE = "opentracing_instrumentation"


def make_app(url: str) -> Any:
    """Return the application of both sides."""
    app = celery.Celery("shop", broker=url, backend=url)
    app.conf.task_default_queue = QUEUE

    @app.task(name="price")
    def price(number: int) -> str:
        if number < 0:
            raise ValueError("no such order")
        return str(get_current_span().get_baggage_item("tenant"))

    return app


def one_line(span: Any) -> str:
    """Return what the test asks for."""
    return (
        json.dumps(
            {
                "name": span.name,
                "kind": span.kind.name,
                "trace_id": f"{span.context.trace_id:032x}",
                "parent_id": f"{span.parent.span_id:016x}" if span.parent else None,
                "status": span.status.status_code.name,
                "task": span.attributes.get("celery.task_name"),
            }
        )
        + "\n"
    )


if __name__ == "__main__":
    # A line is written as soon as it is whole, and the file is open until the end.
    written = Path(sys.argv[2]).open("w", buffering=1, encoding="utf-8")  # noqa: SIM115
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=written, formatter=one_line)))
    ot_bridge.install(tracer_provider=provider)
    hook.install_patches()
    app = make_app(sys.argv[1])
    words = ["worker", "--pool=solo", "--loglevel=ERROR", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    app.worker_main(words)
