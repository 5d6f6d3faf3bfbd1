"""grpcio-opentracing with a stub that grpcio-tools 1.62 generated, and the newest grpcio."""

from __future__ import annotations

from concurrent import futures

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agents import eventually
from compat.cells import cell
from libraries.requirements import needs
from ot_bridge import BridgeTracer

needs("grpcio-health-checking<1.63", "grpcio-opentracing")
grpc = pytest.importorskip("grpc")
grpc_opentracing = pytest.importorskip("grpc_opentracing")
grpcext = pytest.importorskip("grpc_opentracing.grpcext")
health = pytest.importorskip("grpc_health.v1.health")
messages = pytest.importorskip("grpc_health.v1.health_pb2")
generated = pytest.importorskip("grpc_health.v1.health_pb2_grpc")

pytestmark = cell(
    "libraries",
    "grpcio-opentracing",
    "stubs of grpcio-tools 1.62",
    packages=("grpcio-opentracing", "grpcio", "grpcio-health-checking", "opentracing"),
    counterpart="gRPC's own health service",
)


def test_generated_client_and_server_are_traced(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    server = grpcext.intercept_server(
        grpc.server(futures.ThreadPoolExecutor(2)), grpc_opentracing.open_tracing_server_interceptor(tracer)
    )
    generated.add_HealthServicer_to_server(health.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as plain:
        channel = grpcext.intercept_channel(plain, grpc_opentracing.open_tracing_client_interceptor(tracer))
        answer = generated.HealthStub(channel).Check(messages.HealthCheckRequest(), timeout=30)
    server.stop(None).wait()
    assert answer.status == messages.HealthCheckResponse.SERVING
    assert eventually(lambda: len(exporter.get_finished_spans()) == 2)
    by_kind = {span.kind.name: span for span in exporter.get_finished_spans()}
    assert by_kind["SERVER"].parent.span_id == by_kind["CLIENT"].context.span_id
