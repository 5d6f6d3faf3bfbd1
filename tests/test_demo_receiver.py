from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jaeger_client.thrift_gen.agent.Agent import emitBatch_args
from jaeger_client.thrift_gen.jaeger.ttypes import Batch, Log, Process
from jaeger_client.thrift_gen.jaeger.ttypes import Span as JaegerSpan
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from tests.collectors import http_collector
from tests.jaeger_made import tag
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.transport.TTransport import TMemoryBuffer

from ot_bridge.demo.errors import DemoError
from ot_bridge.demo.forward import forward, traces_url
from ot_bridge.demo.receiver import Receiver
from ot_bridge.traces.instrumentation import producer
from ot_bridge.traces.model import Event, Span

TRACE_HIGH, TRACE_LOW, SPAN_ID, PARENT_ID = 0x5B8EFFF798038103, -0x2D964D9C7EC039F4, -2, 0x1F1E1D1C1B1A1918
TRACE_ID = (TRACE_HIGH << 64) | (TRACE_LOW % (1 << 64))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


BATCHES = [ResourceSpans(scope_spans=[ScopeSpans(spans=[OtlpSpan(name="buy", trace_id=b"t" * 16, span_id=b"s" * 8)])])]


def arrived(receiver: Receiver) -> list[Span]:
    return receiver.wait(bool, quiet_s=0, patience_s=5, limit_s=5)


def jaeger_batch() -> Batch:
    span = {
        "traceIdLow": TRACE_LOW,
        "traceIdHigh": TRACE_HIGH,
        "spanId": SPAN_ID,
        "parentSpanId": PARENT_ID,
        "operationName": "GET /stock",
        "references": [],
        "flags": 1,
        "startTime": 1_700_000_000_000_001,
        "duration": 1_500,
        "tags": [tag("span.kind", "server"), tag("error", True), tag("count", 3)],
        "logs": [Log(timestamp=1_700_000_000_000_002, fields=[tag("event", "reserved"), tag("item", "cup")])],
    }
    process = Process("store", [tag("jaeger.version", "Python-4.8.0"), tag("hostname", "h1"), tag("ip", "10.0.0.1")])
    return Batch(process, [JaegerSpan(**span)])


def packet(batch: Batch | None, protocol: Callable[[TMemoryBuffer], Any], call: str = "emitBatch") -> bytes:
    buffer = TMemoryBuffer()
    writer = protocol(buffer)
    writer.writeMessageBegin(call, 4, 1)
    emitBatch_args(batch).write(writer)
    writer.writeMessageEnd()
    written: bytes = buffer.getvalue()
    return written


@pytest.mark.parametrize("protocol", [TCompactProtocol, TBinaryProtocol], ids=["compact", "binary"])
def test_udp_packet_becomes_a_span(receiver: Receiver, protocol: Callable[[TMemoryBuffer], Any]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(packet(jaeger_batch(), protocol), ("127.0.0.1", receiver.udp_port))
    (span,) = arrived(receiver)
    assert (span.trace_id, span.span_id, span.parent_id) == (TRACE_ID, (1 << 64) - 2, PARENT_ID)
    assert (span.title, span.kind, span.status, span.attributes) == (
        "store 'GET /stock'",
        "server",
        "error",
        {"count": 3},
    )
    assert (span.start_ns, span.duration_ns) == (1_700_000_000_000_001_000, 1_500_000)
    assert span.events == (Event(1_700_000_000_000_002_000, "reserved", {"item": "cup"}),)
    assert str(producer(span)) == "jaeger-client Python-4.8.0"


@pytest.mark.parametrize("compression", [Compression.Gzip, Compression.NoCompression])
def test_span_of_the_official_exporter_arrives(receiver: Receiver, compression: Compression) -> None:
    provider = TracerProvider(resource=Resource({"service.name": "bank"}), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=f"{receiver.otlp_url}/v1/traces", compression=compression)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    provider.get_tracer("bank").start_span("charge", kind=trace.SpanKind.CLIENT, start_time=1_000).end(3_000)
    provider.shutdown()
    (span,) = arrived(receiver)
    assert (span.title, span.kind, span.start_ns, span.duration_ns) == ("bank 'charge'", "client", 1_000, 2_000)


def test_scope_of_the_bridge_names_the_producer(receiver: Receiver) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{receiver.otlp_url}/v1/traces")))
    provider.get_tracer("opentracing-shim", "0.1.0").start_span("buy").end()
    provider.shutdown()
    assert [str(producer(span)) for span in arrived(receiver)] == ["ot_bridge 0.1.0"]


def test_what_cannot_be_read_is_a_problem_with_an_example(receiver: Receiver) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"hello", ("127.0.0.1", receiver.udp_port))
        client.sendto(packet(jaeger_batch(), TBinaryProtocol), ("127.0.0.1", receiver.udp_port))
    assert len(arrived(receiver)) == 1
    (problem,) = receiver.problems()
    assert problem.startswith("1 bad packets by jaeger/udp: ")


def test_spans_of_every_kind_are_forwarded_with_the_vendors_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=shop, authorization=Bearer%20abc")
    with http_collector() as (url, arrivals):
        assert forward(BATCHES, traces_url(url)) == 1
    (arrival,) = arrivals
    assert arrival.path == "/v1/traces"
    assert (arrival.headers["x-team"], arrival.headers["authorization"]) == ("shop", "Bearer abc")
    assert arrival.request == ExportTraceServiceRequest(resource_spans=BATCHES)


def test_refused_connection_is_said_with_the_address() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/v1/traces"
        with pytest.raises(DemoError, match=f"cannot send the spans to {url}: Connection refused"):
            forward(BATCHES, url)


def test_refusing_backend_is_said_with_its_answer(receiver: Receiver) -> None:
    with pytest.raises(DemoError, match="/nowhere: got 404 Not Found"):
        forward(BATCHES, f"{receiver.otlp_url}/nowhere")


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://localhost:4318", "http://localhost:4318/v1/traces"),
        ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
        ("https://vendor.example/otlp", "https://vendor.example/otlp/v1/traces"),
        ("http://localhost:4318/v1/traces", "http://localhost:4318/v1/traces"),
    ],
)
def test_endpoint_is_completed_as_otlp_says(endpoint: str, url: str) -> None:
    assert traces_url(endpoint) == url


@pytest.mark.parametrize("endpoint", ["", "localhost:4318", "ftp://localhost", "http://", "http://localhost:99999"])
def test_unusable_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="expected an OTLP/HTTP address such as http://localhost:4318"):
        traces_url(endpoint)
