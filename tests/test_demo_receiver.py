from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from jaeger_client.thrift_gen.agent.Agent import emitBatch_args
from jaeger_client.thrift_gen.jaeger.ttypes import Batch, Log, Process, Span, SpanRef, SpanRefType, Tag, TagType
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from tests.collectors import http_collector
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.transport.TTransport import TMemoryBuffer

from ot_bridge.demo.errors import DemoError
from ot_bridge.demo.forward import forward, traces_url
from ot_bridge.demo.jaeger import decode_packet, to_otlp
from ot_bridge.demo.receiver import Receiver
from ot_bridge.demo.spans import Event, SpanRecord, records

TRACE_HIGH, TRACE_LOW, SPAN_ID, PARENT_ID = 0x5B8EFFF798038103, -0x2D964D9C7EC039F4, -2, 0x1F1E1D1C1B1A1918
TRACE_ID = (TRACE_HIGH << 64) | (TRACE_LOW % (1 << 64))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def arrived(receiver: Receiver) -> list[SpanRecord]:
    return receiver.wait(bool, quiet_s=0, patience_s=5, limit_s=5)


def tag(key: str, value: object) -> Tag:
    match value:
        case bool():
            return Tag(key=key, vType=TagType.BOOL, vBool=value)
        case int():
            return Tag(key=key, vType=TagType.LONG, vLong=value)
        case float():
            return Tag(key=key, vType=TagType.DOUBLE, vDouble=value)
        case bytes():
            return Tag(key=key, vType=TagType.BINARY, vBinary=value)
        case _:
            return Tag(key=key, vType=TagType.STRING, vStr=value)


def jaeger_batch(**changes: Any) -> Batch:
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
    return Batch(process, [Span(**{**span, **changes})])


def packet(batch: Batch | None, protocol: Callable[[TMemoryBuffer], Any], call: str = "emitBatch") -> bytes:
    buffer = TMemoryBuffer()
    writer = protocol(buffer)
    writer.writeMessageBegin(call, 4, 1)
    emitBatch_args(batch).write(writer)
    writer.writeMessageEnd()
    written: bytes = buffer.getvalue()
    return written


def otlp_span(**changes: Any) -> Any:
    return to_otlp(jaeger_batch(**changes)).scope_spans[0].spans[0]


@pytest.mark.parametrize("protocol", [TCompactProtocol, TBinaryProtocol], ids=["compact", "binary"])
def test_udp_packet_becomes_a_record(receiver: Receiver, protocol: Callable[[TMemoryBuffer], Any]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(packet(jaeger_batch(), protocol), ("127.0.0.1", receiver.udp_port))
    assert arrived(receiver) == [
        SpanRecord(
            trace_id=TRACE_ID,
            span_id=(1 << 64) - 2,
            parent_id=PARENT_ID,
            service="store",
            operation="GET /stock",
            start_ns=1_700_000_000_000_001_000,
            duration_ns=1_500_000,
            kind="server",
            error=True,
            producer="jaeger-client Python-4.8.0",
            tags={"count": 3},
            events=(Event("reserved", {"item": "cup"}),),
        )
    ]


@pytest.mark.parametrize("compression", [Compression.Gzip, Compression.NoCompression])
def test_span_of_the_official_exporter_becomes_a_record(receiver: Receiver, compression: Compression) -> None:
    exporter = OTLPSpanExporter(endpoint=f"{receiver.otlp_url}/v1/traces", compression=compression)
    resource = Resource(
        {"service.name": "bank", "telemetry.sdk.name": "opentelemetry", "telemetry.sdk.language": "python"}
    )
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    span = provider.get_tracer("bank").start_span("charge", kind=trace.SpanKind.CLIENT, start_time=1_000)
    span.set_attribute("tries", [1, 2])
    span.record_exception(TimeoutError("too slow"), timestamp=2_000)
    span.set_status(trace.Status(trace.StatusCode.ERROR, "gave up"))
    span.end(3_000)
    provider.shutdown()

    (record,) = arrived(receiver)
    stack = record.events[0].fields["exception.stacktrace"]
    assert record == SpanRecord(
        trace_id=span.get_span_context().trace_id,
        span_id=span.get_span_context().span_id,
        parent_id=0,
        service="bank",
        operation="charge",
        start_ns=1_000,
        duration_ns=2_000,
        kind="client",
        error=True,
        message="TimeoutError: too slow",
        producer="opentelemetry-python",
        tags={"tries": [1, 2]},
        events=(
            Event(
                "exception",
                {
                    "exception.type": "TimeoutError",
                    "exception.message": "too slow",
                    "exception.stacktrace": stack,
                    "exception.escaped": "False",
                },
            ),
        ),
    )


def test_scope_of_the_bridge_names_the_producer(receiver: Receiver) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{receiver.otlp_url}/v1/traces")))
    provider.get_tracer("opentracing-shim", "0.1.0").start_span("buy").end()
    provider.shutdown()
    assert [record.producer for record in arrived(receiver)] == ["ot_bridge 0.1.0"]


@pytest.mark.parametrize(
    ("garbage", "reason"),
    [
        (b"hello", "cannot read a packet of 5 bytes: got first byte 104, expected 0x80 or 0x82"),
        (b"", "cannot read a packet of 0 bytes: got first byte None, expected 0x80 or 0x82"),
        (packet(None, TBinaryProtocol, "emitZipkin"), "got the call 'emitZipkin', expected 'emitBatch'"),
        (packet(jaeger_batch(), TCompactProtocol)[:40], "cannot read a packet of 40 bytes as thrift: EOFError()"),
    ],
    ids=["text", "empty", "other-call", "cut-off"],
)
def test_unreadable_packet_is_kept_as_a_problem(receiver: Receiver, garbage: bytes, reason: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(garbage, ("127.0.0.1", receiver.udp_port))
        client.sendto(packet(jaeger_batch(), TBinaryProtocol), ("127.0.0.1", receiver.udp_port))
    assert len(arrived(receiver)) == 1
    (problem,) = receiver.problems()
    assert reason in problem


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/v1/traces", {"Content-Type": "application/x-protobuf"}, b"\xff\xff", 400),
        ("/v1/traces", {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}, b"not gzip", 400),
        ("/v1/traces", {"Content-Type": "application/json"}, b"{}", 404),
        ("/v1/metrics", {"Content-Type": "application/x-protobuf"}, b"", 404),
    ],
    ids=["no-protobuf", "no-gzip", "json", "metrics"],
)
def test_unreadable_request_is_refused(
    receiver: Receiver, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    response = requests.post(receiver.otlp_url + path, data=body, headers=headers, timeout=5)
    assert response.status_code == status
    assert len(receiver.problems()) == (status == 400)


def test_packet_without_a_header_byte_is_no_batch() -> None:
    with pytest.raises(ValueError, match="expected 0x80 or 0x82"):
        decode_packet(b"\x81\x00")


@pytest.mark.parametrize(
    ("tags", "status", "left"),
    [
        ({"error": True}, (2, ""), {}),
        ({"error": False}, (0, ""), {"error": False}),
        ({"error": "true"}, (0, ""), {"error": "true"}),
        ({"error": True, "http.status_message": "gone"}, (2, "gone"), {"http.status_message": "gone"}),
        ({"otel.status_code": "ok"}, (1, ""), {}),
        ({"error": False, "otel.status_code": "ERROR", "otel.status_description": "d"}, (2, "d"), {"error": False}),
        ({"http.status_code": 503}, (2, ""), {"http.status_code": 503}),
        ({"http.status_code": "404"}, (2, ""), {"http.status_code": "404"}),
        ({"http.status_code": "404", "span.kind": "server"}, (0, ""), {"http.status_code": "404"}),
        ({"http.status_code": 500.0}, (0, ""), {"http.status_code": 500.0}),
        ({"http.status_code": True}, (0, ""), {"http.status_code": True}),
        ({"body": b"\x00\xff"}, (0, ""), {"body": b"\x00\xff"}),
    ],
    ids=str,
)
def test_jaeger_tags_give_the_status_that_a_collector_gives(
    tags: dict[str, object], status: tuple[int, str], left: dict[str, object]
) -> None:
    batch = jaeger_batch(tags=[tag(key, value) for key, value in tags.items()], logs=[])
    span = to_otlp(batch).scope_spans[0].spans[0]
    assert (span.status.code, span.status.message) == status
    assert records([to_otlp(batch)])[0].tags == left


def test_repeated_jaeger_tag_counts_as_last_said() -> None:
    assert otlp_span(tags=[tag("error", False), tag("error", True)]).status.code == 2


@pytest.mark.parametrize(
    ("parent_id", "references", "parent", "links"),
    [
        (5, [("CHILD_OF", TRACE_HIGH, 5)], 5, []),
        (0, [("CHILD_OF", TRACE_HIGH, 5), ("CHILD_OF", TRACE_HIGH, 6)], 5, [("child_of", 6)]),
        (0, [("FOLLOWS_FROM", TRACE_HIGH, 5), ("CHILD_OF", TRACE_HIGH, 6)], 6, [("follows_from", 5)]),
        (0, [("FOLLOWS_FROM", TRACE_HIGH, 5)], 5, [("follows_from", 5)]),
        (0, [("FOLLOWS_FROM", 7, 5)], 0, [("follows_from", 5)]),
        (0, [], 0, []),
    ],
    ids=["parent", "two-parents", "follows-then-child", "follows", "other-trace", "root"],
)
def test_jaeger_references_give_the_parent_and_links_that_a_collector_gives(
    parent_id: int, references: list[tuple[str, int, int]], parent: int, links: list[tuple[str, int]]
) -> None:
    refs = [SpanRef(getattr(SpanRefType, kind), TRACE_LOW, high, span_id) for kind, high, span_id in references]
    span = otlp_span(parentSpanId=parent_id, references=refs)
    assert int.from_bytes(span.parent_span_id, "big") == parent
    found = [(link.attributes[0].value.string_value, int.from_bytes(link.span_id, "big")) for link in span.links]
    assert found == links


def test_jaeger_process_becomes_the_resource_that_a_collector_makes() -> None:
    pairs = {pair.key: pair.value.string_value for pair in to_otlp(jaeger_batch()).resource.attributes}
    assert pairs == {
        "service.name": "store",
        "opencensus.exporterversion": "Jaeger-Python-4.8.0",
        "host.name": "h1",
        "ip": "10.0.0.1",
    }


def test_64_bit_trace_id_is_padded() -> None:
    assert records([to_otlp(jaeger_batch(traceIdHigh=0))])[0].trace_id == TRACE_LOW % (1 << 64)


def test_jaeger_log_without_an_event_has_an_empty_name() -> None:
    logs = [Log(timestamp=1, fields=[tag("message", "hello")]), Log(timestamp=2, fields=[tag("event", 5)])]
    assert records([to_otlp(jaeger_batch(logs=logs))])[0].events == (Event("", {"message": "hello"}), Event("", {}))


def test_spans_of_every_kind_are_forwarded_with_the_vendors_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=shop, authorization=Bearer%20abc")
    with http_collector() as (url, arrivals):
        assert forward([to_otlp(jaeger_batch())], traces_url(url)) == 1
    (arrival,) = arrivals
    assert arrival.path == "/v1/traces"
    assert (arrival.headers["x-team"], arrival.headers["authorization"]) == ("shop", "Bearer abc")
    assert arrival.request == ExportTraceServiceRequest(resource_spans=[to_otlp(jaeger_batch())])


def test_refused_connection_is_said_with_the_address() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/v1/traces"
        with pytest.raises(DemoError, match=f"cannot send the spans to {url}: Connection refused"):
            forward([to_otlp(jaeger_batch())], url)


def test_refusing_backend_is_said_with_its_answer(receiver: Receiver) -> None:
    with pytest.raises(DemoError, match="/nowhere: got 404 NOT FOUND expected POST /v1/traces"):
        forward([to_otlp(jaeger_batch())], f"{receiver.otlp_url}/nowhere")


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
