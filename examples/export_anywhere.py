"""Where the spans go: what to set for a Collector, Jaeger, Tempo or a vendor. The code is the same for all of them.

Run it: ``python examples/export_anywhere.py``. For each target it starts a program that traces, with the variables of
that target and a receiver on loopback in the place of the real host, and prints what arrived there.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PROGRAM = """
import opentracing, ot_bridge
ot_bridge.install("shop")
opentracing.tracer.start_span("charge").finish()
"""  # what has finished is sent at exit

TARGETS = {
    "OpenTelemetry Collector": {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
    },
    "Jaeger, which takes OTLP itself since 1.35": {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://jaeger:4318",
    },
    "Grafana Tempo with tenants": {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://tempo:4318",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-scope-orgid=team-a",
    },
    "a vendor, with a full URL, a key and compression": {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://otlp.vendor.example/ingest/v1/traces",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20secret,x-dataset=shop",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
    },
}
# Over gRPC, the Collector, Jaeger and Tempo alike: port 4317 and OTEL_EXPORTER_OTLP_PROTOCOL=grpc.

INTERESTING = ("authorization", "content-encoding", "content-type", "x-dataset", "x-scope-orgid")


class Receiver(BaseHTTPRequestHandler):
    """Takes OTLP over HTTP and prints what it got."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers["content-encoding"] == "gzip":
            body = gzip.decompress(body)
        for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
            attributes = {item.key: item.value.string_value for item in resource_spans.resource.attributes}
            names = [span.name for scope_spans in resource_spans.scope_spans for span in scope_spans.spans]
            print(f"  arrived at {self.path}: {names} from {attributes['service.name']}")
        for name in INTERESTING:
            if name in self.headers:
                print(f"    {name}: {self.headers[name]}")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing on stderr."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "OT_BRIDGE_"))}
    for target, variables in TARGETS.items():
        print(target)
        here = dict(variables)
        for name, value in variables.items():
            print(f"  {name}={value}")
            if name.endswith("_ENDPOINT"):
                path = value.partition("://")[2].partition("/")[2]
                here[name] = f"http://127.0.0.1:{server.server_port}/{path}"
        subprocess.run([sys.executable, "-c", PROGRAM], env={**clean, **here, "NO_PROXY": "127.0.0.1"}, check=True)
