"""What our encoder has no row for: the official one has its say, span by span, and what it cannot encode is counted."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, Status, StatusCode

from ot_bridge import telemetry
from ot_bridge.jaeger_client.span import RecordedSpan
from ot_bridge.otlp import official, reading
from ot_bridge.otlp.encoder import encode
from ot_bridge.otlp.http import HttpSpanExporter, _with_our_encoder
from ot_bridge.otlp.official import encode_batch
from ot_bridge.otlp.wire import KeyTable, Table, varint
from ot_bridge.recording import RecordingSpan
from otlp_spans import span_of


def names(encoded: bytes) -> list[str]:
    """Return the names of the spans in a request."""
    request = ExportTraceServiceRequest.FromString(encoded)
    return [one.name for of in request.resource_spans for group in of.scope_spans for one in group.spans]


class Truth:
    """No value for an attribute."""

    def __bool__(self) -> bool:
        return False


LEFT = {
    "none": {"attributes": {"v": None}},
    "none-in-a-row": {"attributes": {"v": [1, None]}},
    "too-big": {"attributes": {"v": 2**63}},
    "too-small": {"attributes": {"v": -(2**63) - 1}},
    "surrogate": {"attributes": {"v": "\ud800"}},
    "surrogate-in-key": {"attributes": {"\ud800": 1}},
    "no-value": {"attributes": {"v": object()}},
    "key-of-a-dict": {"attributes": {"v": {1: 2}}},
    "key": {"attributes": {5: 1}},
    "range": {"attributes": {"v": range(3)}},
    "event": {"events": [Event("e", {"v": {1}}, 1)]},
    "name-in-bytes": {"name": b"bytes"},
    "description-in-bytes": {"status": Status(StatusCode.ERROR), "later": b"why"},
    "falsy-attributes": {"attributes": Truth()},
}


@pytest.mark.parametrize("fields", LEFT.values(), ids=LEFT)
def test_rare_value_is_left_to_the_official_encoder(fields: dict[str, Any]) -> None:
    fields = dict(fields)
    description = fields.pop("later", None)
    odd = span_of(**fields)
    if description is not None:
        odd.status._description = description
    spans = [span_of(name="before"), odd, span_of(name="after")]
    encoded = encode_batch(spans)
    assert ExportTraceServiceRequest.FromString(encoded) == encode_spans(spans)
    used = telemetry.snapshot().get("otlp.fallback.value", 0)
    assert used == (0 if isinstance(fields.get("attributes"), Truth) else 1)


LOST = {
    "name": {"name": 5},
    "surrogate-in-name": {"name": "\ud800"},
    "trace-id": {"context": SpanContext(2**128, 1, is_remote=False)},
    "no-context": {"context": None},
    "kind": {"kind": 3},
    "time": {"start_time": -1},
    "time-too-big": {"end_time": 2**64},
    "event-time": {"events": [Event("e", {}, 2**64)]},
    "attributes": {"attributes": 7},
}


@pytest.mark.parametrize("fields", LOST.values(), ids=LOST)
def test_span_that_nobody_can_encode_is_lost_alone(fields: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    spans = [span_of(name="before"), span_of(**fields), span_of(**fields), span_of(name="after")]
    with pytest.raises(Exception):  # noqa: B017, PT011  (whatever the installed version raises)
        encode_spans(spans)
    assert names(encode_batch(spans)) == ["before", "after"]
    assert dict(telemetry.snapshot()) == {"otlp.dropped.unencodable": 2}
    assert [record.getMessage().partition(":")[0] for record in caplog.records if record.name == "ot_bridge"] == [
        "a span is lost, as nobody can encode it"
    ]


def test_batch_of_such_spans_alone_is_the_official_error() -> None:
    with pytest.raises(TypeError) as expected:
        encode_spans([span_of(name=5)])
    with pytest.raises(TypeError) as caught:
        encode_batch([span_of(name=5)])
    assert str(caught.value) == str(expected.value)


def test_encoder_alone_raises() -> None:
    with pytest.raises(TypeError, match="no row for a value of <class 'set'>"):
        encode([span_of(attributes={"v": {1}})])


def test_rare_resource_and_scope_are_left_to_the_official_encoder() -> None:
    resource, scope = Resource({"n": 2**63}, "url"), InstrumentationScope("lib", attributes={"n": 2**64})
    spans = [span_of(), span_of(resource=resource, instrumentation_scope=scope), span_of(resource=resource)]
    assert ExportTraceServiceRequest.FromString(encode_batch(spans)) == encode_spans(spans)
    assert dict(telemetry.snapshot()) == {"otlp.fallback.value": 3}


def test_spans_of_a_resource_or_scope_that_nobody_can_encode_are_lost_alone() -> None:
    no_resource, no_scope = Resource({}, "u"), InstrumentationScope("lib")
    no_resource._schema_url, no_scope._name = 5, 5
    spans = [
        span_of(name="kept"),
        *(span_of(name="lost", resource=no_resource) for _ in range(3)),
        span_of(name="lost", instrumentation_scope=no_scope),
        span_of(name="kept too", instrumentation_scope=InstrumentationScope("other")),
    ]
    assert names(encode_batch(spans)) == ["kept", "kept too"]
    assert dict(telemetry.snapshot()) == {"otlp.dropped.unencodable": 4}


def test_resource_without_a_hash_is_a_group_of_its_own() -> None:
    class Unhashable(Resource):
        __hash__ = None  # type: ignore[assignment]

    resource = Unhashable({"n": 1})
    spans = [span_of(name="a", resource=resource), span_of(name="b"), span_of(name="c", resource=resource)]
    assert names(encode_batch(spans)) == ["a", "c", "b"]


def test_batch_that_our_encoder_fails_on_is_encoded_officially(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> bytes:
        raise LookupError("a defect")

    monkeypatch.setattr(official, "encode", fail)
    assert names(encode_batch([span_of(name="kept")])) == ["kept"]
    assert dict(telemetry.snapshot()) == {"otlp.fallback.batch": 1}


def test_dict_that_changes_under_the_encoder_is_read_as_a_copy(tracer: Any, exporter: Any) -> None:
    class Growing(dict[str, Any]):
        """What another thread does to a dict, done at the worst moment."""

        def items(self) -> Any:
            for item in super().items():
                self[f"late-{len(self)}"] = True
                yield item

    tracer.start_span("s", tags={"a": 1, "b": 2}).finish()
    (span,) = exporter.get_finished_spans()
    span._attributes = Growing(span._attributes)
    (encoded,) = ExportTraceServiceRequest.FromString(encode([span])).resource_spans[0].scope_spans[0].spans
    assert [attribute.key for attribute in encoded.attributes] == ["a", "b", "late-2"]


# --- tables


def test_varint_is_as_protobuf_writes_it() -> None:
    assert [varint(number).hex() for number in (0, 1, 127, 128, 300, 2**64 - 1)] == [
        "00",
        "01",
        "7f",
        "8001",
        "ac02",
        "ffffffffffffffffff01",
    ]


def test_table_keeps_small_numbers_alone() -> None:
    table = Table(varint)
    assert [table[number] for number in (3, 2047, 2048, 10**9)] == [varint(n) for n in (3, 2047, 2048, 10**9)]
    assert sorted(table) == [3, 2047]


def test_keys_made_of_data_do_not_fill_the_memory() -> None:
    keys = KeyTable()
    for number in range(10_000):
        assert keys[f"order.{number}"] == b"\x0a" + varint(len(f"order.{number}")) + f"order.{number}\x12".encode()
    assert keys["k" * 1000][-3:] == b"kk\x12"
    assert len(keys) <= 2000
    assert "k" * 1000 not in keys


def test_key_that_only_looks_like_another_does_not_take_its_place() -> None:
    class Posing(str):
        __slots__ = ()

        def __hash__(self) -> int:
            return hash("pose")

        def __eq__(self, other: object) -> bool:
            return other == "pose"

    spans = [span_of(attributes={Posing("real"): 1}), span_of(attributes={"pose": 2})]
    assert ExportTraceServiceRequest.FromString(encode(spans)) == encode_spans(spans)


# --- exporters that are not as expected


def _decorated(self: Any, spans: Any) -> Any:
    return self, spans


def test_export_that_does_not_encode_where_it_did_is_left_alone() -> None:
    captured = 1
    assert _with_our_encoder(_decorated) is None
    assert _with_our_encoder(len) is None
    assert _with_our_encoder(lambda self, spans: encode_spans(spans).SerializeToString(captured)) is None
    assert _with_our_encoder(lambda self, spans: encode_spans(spans)) is None
    assert _with_our_encoder(lambda self, spans: encode_spans(spans).SerializeToString()) is not None


def test_method_with_our_encoder_is_otherwise_the_same() -> None:
    def export(self: Any, spans: Any, first: int = 1, *, second: int = 2) -> Any:
        """Export."""
        return encode_spans(spans).SerializeToString(), first, second

    ours = _with_our_encoder(export)
    assert ours is not None
    assert ours(None, [span_of()]) == (encode([span_of()]), 1, 2)
    assert ours.__name__ == "export"


PATCHED = """
import logging
from opentelemetry.exporter.otlp.proto.{protocol} import trace_exporter
official = trace_exporter.OTLPSpanExporter
{change}
from ot_bridge import telemetry
from ot_bridge.otlp.{protocol} import {name}
exporter = {name}(endpoint="http://127.0.0.1:1")
print({shown}, dict(telemetry.snapshot()))
exporter.shutdown()
"""
WRAP = "wrapped = official.export\nofficial.export = lambda self, spans: wrapped(self, spans)"
"""What an instrumentation, or a version to come, may have done to the official class."""


def shown_by(program: str) -> list[str]:
    """Run a program; return what it printed and what it logged."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]


def test_official_http_exporter_with_another_export_encodes_itself() -> None:
    shown = "type(exporter).export is official.export"
    program = PATCHED.format(protocol="http", change=WRAP, name="HttpSpanExporter", shown=shown)
    assert shown_by(program) == [
        "True {'otlp.fallback.shape': 1}",
        "the official OTLP/HTTP exporter is not as expected: it encodes the spans",
    ]


def test_official_grpc_exporter_that_makes_its_stub_otherwise_encodes_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    from ot_bridge.otlp import grpc

    monkeypatch.setattr(grpc._BytesChannel, "used", False)
    monkeypatch.setattr(grpc._BytesChannel, "unary_unary", lambda self, *a, **k: self._channel.unary_unary(*a, **k))
    exporter = grpc.GrpcSpanExporter(endpoint="http://127.0.0.1:1")
    spans = [span_of()]
    assert exporter._translate_data(spans) == encode_spans(spans)
    assert dict(telemetry.snapshot()) == {"otlp.fallback.shape": 1}
    exporter.shutdown()


def test_exporter_as_expected_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "ot_bridge"):
        HttpSpanExporter().shutdown()
    assert (dict(telemetry.snapshot()), caplog.messages) == ({}, [])


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        (ReadableSpan, reading._read_sdk),
        (RecordingSpan, reading._read_recorded),
        (RecordedSpan, reading._read_recorded),
        (type("Derived", (ReadableSpan,), {}), reading.read_properties),
        (type("DerivedToo", (RecordingSpan,), {}), reading.read_properties),
    ],
    ids=["sdk", "bridge", "drop-in", "derived-from-the-sdk", "derived-from-the-bridge"],
)
def test_known_spans_are_read_in_their_fields(kind: type, read: Any) -> None:
    assert reading.reader_of(kind) is read


def test_stranger_among_the_spans_is_read_by_its_properties() -> None:
    class Bad(ReadableSpan):
        @property
        def resource(self) -> Any:
            raise LookupError("no resource")

    spans = [span_of(name="kept"), Bad(name="lost", context=SpanContext(1, 1, is_remote=False))]
    assert names(encode_batch(spans)) == ["kept"]
    assert dict(telemetry.snapshot()) == {"otlp.dropped.unencodable": 1}
