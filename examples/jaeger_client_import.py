"""Code that knows jaeger_client, with one import changed: the rest is as it was, and the spans are OpenTelemetry's.

Run it: ``python examples/jaeger_client_import.py``. ``ot-bridge run`` does the same for a program that nobody wants to
touch.
"""

from __future__ import annotations

import opentracing

from ot_bridge.jaeger_client import Config, Span  # was: from jaeger_client import Config, Span
from ot_bridge.jaeger_client.reporter import InMemoryReporter


def main() -> None:
    config = Config({"sampler": {"type": "const", "param": 1}, "tags": {"zone": "eu"}}, service_name="shop")
    reporter = InMemoryReporter()  # new_tracer() makes the one that sends over OTLP
    tracer = config.create_tracer(reporter, config.sampler)

    with tracer.start_active_span("charge", tags={"order": 7}) as scope:
        headers: dict[str, str] = {}
        tracer.inject(scope.span, opentracing.Format.HTTP_HEADERS, headers)
        scope.span.log_kv({"event": "charged"})
        print(f"request id {scope.span.trace_id:x}")

    (span,) = reporter.get_spans()
    print(f"{span.operation_name}: {isinstance(span, Span)=}, flags {span.context.flags}, parent {span.parent_id}")
    print("tags", {tag.key: tag.vLong or tag.vBool or tag.vStr for tag in span.tags})
    print("sent on", *sorted(headers))
    tracer.close()


if __name__ == "__main__":
    main()
