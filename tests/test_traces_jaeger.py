from __future__ import annotations

import contextlib
import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaeger_client.thrift_gen.jaeger.ttypes import Log, Process, Span, SpanRef, SpanRefType, Tag, TagType
from jaeger_client.thrift_gen.zipkincore import ttypes as v1
from thrift.Thrift import TType

from jaeger_made import BINARY, COMPACT, SPAN, Protocol, batch, body, packet, span, tag, tagged, zipkin_packet
from ot_bridge.traces import otlp
from ot_bridge.traces.formats import thrift
from ot_bridge.traces.formats.decoded import Decoded
from ot_bridge.traces.formats.jaeger_thrift import DROPPED, SEQ_NO, decode_batch, decode_packet
from ot_bridge.traces.formats.thrift import ThriftError, read_message, read_struct
from ot_bridge.traces.model import Event, Link
from ot_bridge.traces.model import Span as ModelSpan

PROTOCOLS = pytest.mark.parametrize("protocol", [COMPACT, BINARY], ids=["compact", "binary"])
TRACE_ID = (0x5B8EFFF798038103 << 64) | (-0x2D964D9C7EC039F4 % (1 << 64))
VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "vectors" / "translator.json").read_text(encoding="utf-8")
)["cases"]
I64 = st.integers(-(1 << 63), (1 << 63) - 1)


def spans(decoded: Decoded) -> list[ModelSpan]:
    return otlp.spans(decoded.batches)


def only(**changes: Any) -> ModelSpan:
    (found,) = spans(decode_packet(packet(batch(span(**changes)), COMPACT)))
    return found


# -- the two protocols, against thrift's own ---------------------------------------------------------------------------

TAGS = st.lists(
    st.builds(tag, st.text(max_size=20), st.one_of(st.text(), st.booleans(), I64, st.floats(), st.binary())), max_size=4
)
REFERENCES = st.lists(st.builds(SpanRef, st.sampled_from([0, 1]), I64, I64, I64), max_size=3)
SPANS = st.builds(
    Span,
    *(I64, I64, I64, I64),
    st.text(),
    st.none() | REFERENCES,
    st.integers(0, 3),
    *(I64, I64),
    st.none() | TAGS,
    st.none() | st.lists(st.builds(Log, I64, TAGS), max_size=2),
)
BATCHES = st.builds(lambda process, made: batch(*made, process=process), st.builds(Process, st.text(), TAGS),
                    st.lists(SPANS, max_size=3))  # fmt: skip


def as_fields(value: Any) -> Any:
    """Thrift's own objects in the shape that the decoder gives: fields by their numbers, text as bytes."""
    match value:
        case str():
            return value.encode()
        case list() | tuple():
            return [as_fields(one) for one in value]
        case _ if hasattr(value, "thrift_spec"):
            named = {one[0]: getattr(value, one[2]) for one in value.thrift_spec if one}
            return {number: as_fields(one) for number, one in named.items() if one is not None}
        case _:
            return value


@settings(deadline=None)
@given(BATCHES, st.sampled_from([COMPACT, BINARY]))
def test_any_batch_is_read_as_thrifts_own_library_writes_it(sent: Any, protocol: Protocol) -> None:
    found = read_message(packet(sent, protocol))
    # repr, because NaN is not equal to itself
    assert repr(tuple(found)) == repr((b"emitBatch", 4, {1: as_fields(sent)}))


@given(BATCHES)
def test_any_batch_becomes_spans_one_for_each_that_has_ids(sent: Any) -> None:
    decoded = decode_batch(body(sent))
    whole = [one for one in sent.spans if one.spanId and (one.traceIdLow or one.traceIdHigh)]
    assert decoded.rejected == len(sent.spans) - len(whole)
    assert [(one.span_id, one.trace_id) for one in spans(decoded)] == [
        (one.spanId % (1 << 64), (one.traceIdHigh % (1 << 64)) << 64 | one.traceIdLow % (1 << 64)) for one in whole
    ]


EVERYTHING = batch(
    span(
        tags=[*tagged(span_kind="client", peer="bank", ok=True, rate=0.5, tries=300), tag("raw", b"\x00\xff")],
        logs=[Log(SPAN["startTime"], tagged(event="retry", tries=2))],
        references=[SpanRef(SpanRefType.FOLLOWS_FROM, 1, 2, 3)],
    )
)


def read_anything(data: bytes) -> None:
    problems = []
    for read in (decode_packet, decode_batch):
        with contextlib.suppress(ThriftError):
            problems.append(read(data).problem)
            otlp.spans(read(data).batches)
    assert all(len(problem) < 200 for problem in problems), problems


@PROTOCOLS
def test_a_packet_cut_anywhere_is_a_thrift_error(protocol: Protocol) -> None:
    whole = packet(EVERYTHING, protocol)
    for size in range(len(whole)):
        with pytest.raises(ThriftError, match="expected"):
            decode_packet(whole[:size])
    assert len(spans(decode_packet(whole))) == 1


def test_a_body_cut_anywhere_is_a_thrift_error() -> None:
    whole = body(EVERYTHING)
    for size in range(len(whole)):
        with pytest.raises(ThriftError, match="expected"):
            decode_batch(whole[:size])


@given(st.binary(), st.sampled_from([b"", b"\x82\x21\x01\x09emitBatch", b"\x80\x01\x00\x01\x00\x00\x00\x09emitBatch"]))
def test_no_bytes_raise_anything_but_a_thrift_error(data: bytes, head: bytes) -> None:
    read_anything(head + data)


HOST = v1.Endpoint(ipv4=0x0A000001, port=8080, service_name="shop")
PEER = v1.Endpoint(ipv4=0x0A000002, port=-1, service_name="bank", ipv6=bytes(15) + b"\x01")


def annotated(*values: str, host: v1.Endpoint | None = HOST) -> list[v1.Annotation]:
    return [v1.Annotation(1_000 * place, value, host) for place, value in enumerate(values, 1)]


def zipkin_span(**changes: Any) -> v1.Span:
    return v1.Span(**{"trace_id": 1, "id": 2, "parent_id": 3, "name": "get", "annotations": [], **changes})


V1 = zipkin_span(
    annotations=annotated("cs", "wait", "cr"),
    binary_annotations=[
        v1.BinaryAnnotation("sa", b"\x01", v1.AnnotationType.BOOL, PEER),
        v1.BinaryAnnotation("http.path", b"/pay", v1.AnnotationType.STRING, HOST),
        v1.BinaryAnnotation("tries", b"\x00\x02", v1.AnnotationType.I16, HOST),
    ],
    trace_id_high=5,
    timestamp=900,
    duration=2_500,
)
WHOLE = [packet(EVERYTHING, COMPACT), packet(EVERYTHING, BINARY), body(EVERYTHING), zipkin_packet([V1], COMPACT)]
CHANGES = st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 9), st.binary(max_size=6)), min_size=1, max_size=4)


@settings(deadline=None)
@given(st.sampled_from(WHOLE), st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 9), st.binary(max_size=6)),
                                        min_size=1, max_size=4))  # fmt: skip
def test_no_mutated_packet_raises_anything_but_a_thrift_error(
    data: bytes, changes: list[tuple[int, int, bytes]]
) -> None:
    for at, length, inserted in changes:
        at %= len(data) + 1
        data = data[:at] + inserted + data[at + length :]
    read_anything(data)


def compact(arguments: bytes) -> bytes:
    return b"\x82\x81\x01\x09emitBatch" + arguments


def binary(arguments: bytes) -> bytes:
    return b"\x80\x01\x00\x04\x00\x00\x00\x09emitBatch\x00\x00\x00\x01" + arguments


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "cannot read a packet of 0 bytes: got nothing, expected 0x80 or 0x82"),
        (b"hello", "cannot read a packet of 5 bytes: got first byte 0x68, expected 0x80 or 0x82"),
        (b"\x82\x82\x01\x00", "at byte 1 of 4: got version 2, expected version 1 of the compact protocol"),
        (b"\x80\x02\x00\x01", "at byte 0 of 4: got version 0x80020000, expected version 0x80010000"),
        (b"\x82\x81\x01\xff\xff\x03ab", "at byte 6 of 8: got a length of 65535, expected at most 2"),
        (b"\x80\x01\x00\x01\xff\xff\xff\xffab", "at byte 8 of 10: got a length of -1, expected at most 2"),
        (b"\x82\x81" + b"\xff" * 20, "got a number without an end, expected one of at most 10 bytes"),
        (compact(b"\x19\xfc\xff\xff\xff\x7f\x00"), "got 268435455 elements, expected at most 1"),
        (binary(b"\x0f\x00\x01\x0c\xff\xff\xff\xff\x00"), "got -1 elements, expected at most 1"),
        (binary(b"\x0d\x00\x01\x0b\x0b\x7f\xff\xff\xff\x00"), "got 4294967294 elements, expected at most 1"),
        (compact(b"\x1c" * 40), "got a depth of 17, expected at most 16"),
        (binary(b"\x0c\x00\x01" * 40), "got a depth of 17, expected at most 16"),
        (compact(b"\x19\x19" * 2 + b"\x19" * 40), "got a depth of 17, expected at most 16"),
        (compact(b"\x1f\x00"), "got type 15, expected one of 1 to 13"),
        (binary(b"\x63\x00\x01\x00"), "got type 99, expected one of 2 to 16"),
        (packet(batch(), COMPACT, "emitSpans"), "got the call 'emitSpans', expected 'emitBatch' or 'emitZipkinBatch'"),
        (packet(None, BINARY), "got no list of spans, expected one"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else value[:40],
)
def test_what_is_wrong_is_said_with_its_place(data: bytes, reason: str) -> None:
    with pytest.raises(ThriftError) as caught:
        decode_packet(data)
    assert reason in str(caught.value)


def test_a_list_of_too_many_small_elements_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thrift, "MOST_ELEMENTS", 10)
    assert len(spans(decode_packet(packet(batch(span(), span()), COMPACT)))) == 2
    with pytest.raises(ThriftError, match="expected at most 10 in all"):
        decode_packet(packet(batch(*[span()] * 9), COMPACT))


def write_unknown(writer: Any, first: int) -> None:
    """Write fields of every type, with numbers that Jaeger does not know."""
    values: list[tuple[int, Callable[..., None], Any]] = [
        (TType.BOOL, writer.writeBool, True),
        (TType.BYTE, writer.writeByte, -1),
        (TType.DOUBLE, writer.writeDouble, 0.5),
        (TType.I16, writer.writeI16, -300),
        (TType.I64, writer.writeI64, 1 << 40),
        (TType.STRING, writer.writeString, "x" * 200),
    ]
    for number, (kind, write, value) in enumerate(values, first):
        writer.writeFieldBegin("", kind, number)
        write(value)
        writer.writeFieldEnd()
    writer.writeFieldBegin("", TType.MAP, first + 20)
    writer.writeMapBegin(TType.STRING, TType.I32, 1)
    writer.writeString("k")
    writer.writeI32(1)
    writer.writeMapEnd()
    writer.writeFieldEnd()
    writer.writeFieldBegin("", TType.MAP, first + 21)
    writer.writeMapBegin(TType.STRING, TType.I32, 0)
    writer.writeMapEnd()
    writer.writeFieldEnd()
    writer.writeFieldBegin("", TType.SET, first + 22)
    writer.writeSetBegin(TType.BOOL, 2)
    writer.writeBool(True)
    writer.writeBool(False)
    writer.writeSetEnd()
    writer.writeFieldEnd()


class FromTheFuture(Span):
    def write(self, writer: Any) -> None:
        writer.writeStructBegin("Span")
        write_unknown(writer, 200)
        write_unknown(writer, 12)
        for number, value in ((1, self.traceIdLow), (3, self.spanId)):
            writer.writeFieldBegin("", TType.I64, number)
            writer.writeI64(value)
            writer.writeFieldEnd()
        writer.writeFieldBegin("", TType.STRING, 5)
        writer.writeString(self.operationName)
        writer.writeFieldEnd()
        writer.writeFieldStop()
        writer.writeStructEnd()


@PROTOCOLS
def test_fields_that_jaeger_does_not_know_are_skipped(protocol: Protocol) -> None:
    sent = batch(FromTheFuture(traceIdLow=7, spanId=8, operationName="op"), span())
    found = spans(decode_packet(packet(sent, protocol)))
    assert [(one.trace_id, one.span_id, one.name) for one in found] == [
        (7, 8, "op"),
        (TRACE_ID, (1 << 64) - 2, "GET /stock"),
    ]


RECORDED = json.loads((Path(__file__).parent / "vectors" / "thrift.json").read_text(encoding="utf-8"))["cases"]


def test_the_recorded_bytes_are_what_thrifts_own_library_writes() -> None:
    assert {case["id"]: bytes.fromhex(case["hex"]) for case in RECORDED} == {
        "T01_compact": packet(EVERYTHING, COMPACT),
        "T02_binary": packet(EVERYTHING, BINARY),
        "T03_body": body(EVERYTHING),
        "T04_counting_body": counting_body(7, 1, 2, 3),
        "T05_zipkin_v1": zipkin_packet([V1], COMPACT),
    }


def test_a_call_that_wants_an_answer_is_taken_like_one_that_does_not() -> None:
    for kind in (1, 4):
        data = packet(EVERYTHING, COMPACT, kind=kind)
        assert (read_message(data).kind, len(spans(decode_packet(data)))) == (kind, 1)


def test_a_field_of_another_type_counts_as_empty() -> None:
    # operationName as a number, startTime as text
    data = b"\x0a\x00\x01" + struct.pack(">q", 7) + b"\x0a\x00\x03" + struct.pack(">q", 8)
    data += b"\x0a\x00\x05" + struct.pack(">q", 9) + b"\x0b\x00\x08\x00\x00\x00\x01x\x00"
    (found,) = spans(decode_batch(b"\x0f\x00\x02\x0c\x00\x00\x00\x01" + data + b"\x00"))
    assert (found.trace_id, found.span_id, found.name, found.start_ns) == (7, 8, "", 0)


def test_an_uuid_is_skipped() -> None:
    assert read_struct(b"\x10\x00\x01" + bytes(16) + b"\x00") == {1: bytes(16)}


# -- what a batch becomes ----------------------------------------------------------------------------------------------


@PROTOCOLS
def test_a_packet_becomes_a_whole_span(protocol: Protocol) -> None:
    (found,) = spans(decode_packet(packet(EVERYTHING, protocol)))
    start = SPAN["startTime"] * 1000
    assert (found.trace_id, found.span_id, found.parent_id) == (TRACE_ID, (1 << 64) - 2, SPAN["parentSpanId"])
    assert (found.name, found.kind, found.status, found.flags, found.via) == (
        "GET /stock",
        "client",
        "unset",
        1,
        "jaeger",
    )
    assert (found.start_ns, found.end_ns) == (start, start + 1_500_000)
    assert found.attributes == {"peer": "bank", "ok": True, "rate": 0.5, "tries": 300, "raw": b"\x00\xff"}
    assert found.events == (Event(start, "retry", {"tries": 2}),)
    assert found.links == (Link(2 << 64 | 1, 3, {"opentracing.ref_type": "follows_from"}),)
    assert found.resource.attributes == {
        "service.name": "store",
        "opencensus.exporterversion": "Jaeger-Python-4.8.0",
        "host.name": "h1",
    }


def vector_span(source: dict[str, Any]) -> Span:
    """The span that the translator was given, as a client sends it."""
    high, low = divmod(int(source["trace_id"], 16), 1 << 64)

    def signed(number: int) -> int:
        return number - (1 << 64) if number >> 63 else number

    def tags(rows: list[dict[str, Any]]) -> list[Tag]:
        return [tag(row["key"], float(row["value"]) if row["type"] == "float64" else row["value"]) for row in rows]

    references = [
        SpanRef(
            getattr(SpanRefType, row["type"]),
            signed(int(row["trace_id"][16:], 16)),
            signed(int(row["trace_id"][:16], 16)),
            signed(int(row["span_id"], 16)),
        )
        for row in source["references"]
    ]
    return span(
        traceIdLow=signed(low),
        traceIdHigh=signed(high),
        spanId=signed(int(source["span_id"], 16)),
        parentSpanId=signed(int(source["parent_span_id"], 16)),
        flags=source["flags"],
        tags=tags(source["tags"]),
        logs=[Log(0, tags(row["fields"])) for row in source["logs"]],
        references=references,
    )


# Where more is kept than the Collector keeps.
DIFFERS: dict[str, dict[str, Any]] = {
    "J38_kind_uppercase": {"kind": "CLIENT"},
    "J46_log_event_int": {"events": [{"name": "", "attributes": {"event": 5, "a": 1}}]},
    "J56_other_trace_child_of_same_spanid": {
        "links": [
            {
                "trace_id": "0af7651916cd43dd8448eb211c80319c",
                "span_id": "afaeadacabaaa9a8",
                "attributes": {"opentracing.ref_type": "child_of"},
            }
        ]
    },
}


@pytest.mark.parametrize("case", VECTORS, ids=[case["id"] for case in VECTORS])
def test_a_span_becomes_what_the_collectors_translator_makes_of_it(case: dict[str, Any]) -> None:
    (found,) = spans(decode_packet(packet(batch(vector_span(case["input"])), COMPACT)))
    assert {
        "parent_span_id": f"{found.parent_id:016x}" if found.parent_id else None,
        "kind": found.kind.upper(),
        "status": {"code": found.status.upper(), "message": found.message},
        "attributes": found.attributes,
        "events": [{"name": event.name, "attributes": event.attributes} for event in found.events],
        "links": [
            {"trace_id": f"{link.trace_id:032x}", "span_id": f"{link.span_id:016x}", "attributes": link.attributes}
            for link in found.links
        ],
        "tracestate": found.trace_state,
        "sampled_flag": bool(found.flags & 1),
    } == {**case["expect"], **DIFFERS.get(case["id"], {})}


@pytest.mark.parametrize(
    ("start", "duration", "expected"),
    [
        (0, 0, (0, 0)),
        (5, -3, (5_000, 5_000)),
        (-5, 7, (0, 2_000)),
        ((1 << 63) - 1, (1 << 63) - 1, ((1 << 63) - 1, (1 << 63) - 1)),
        (-(1 << 63), -(1 << 63), (0, 0)),
        (None, None, (0, 0)),
    ],
)
def test_odd_times_become_the_nearest_that_can_be_kept(start: Any, duration: Any, expected: tuple[int, int]) -> None:
    found = only(startTime=start, duration=duration)
    assert (found.start_ns, found.end_ns) == expected


def test_what_is_missing_counts_as_empty() -> None:
    sent = batch(Span(traceIdLow=1, spanId=2), process=Process())
    sent.process = None
    (found,) = spans(decode_batch(body(sent)))
    assert (found.service, found.name, found.attributes, found.parent_id) == ("unknown", "", {}, 0)


def test_a_span_without_ids_is_counted_and_costs_no_other() -> None:
    decoded = decode_packet(packet(batch(span(spanId=0), span(traceIdLow=0, traceIdHigh=0), Span(), span()), COMPACT))
    assert (len(spans(decoded)), decoded.rejected) == (1, 3)
    assert decoded.problem == "got a span without its own or its trace's id, expected both"


def test_text_that_is_no_utf_8_is_read_with_marks() -> None:
    data = packet(batch(span(operationName="caf\xe9 au lait")), COMPACT).replace("caf\xe9".encode(), b"caf\xff\xff")
    (found,) = spans(decode_packet(data))
    assert found.name == "caf\ufffd\ufffd au lait"


def test_a_tag_of_an_unknown_type_says_so() -> None:
    assert only(tags=[Tag(key="k", vType=9, vStr="v")]).attributes == {"k": "<Jaeger's tag of type 9>"}


def test_a_tag_without_its_value_has_the_zero_of_its_type() -> None:
    tags = [Tag(key=name, vType=getattr(TagType, name)) for name in ("STRING", "DOUBLE", "BOOL", "LONG", "BINARY")]
    assert only(tags=tags).attributes == {"STRING": "", "DOUBLE": 0.0, "BOOL": False, "LONG": 0, "BINARY": b""}


def test_a_status_code_of_ten_thousand_digits_is_only_a_tag() -> None:
    assert only(tags=[tag("http.status_code", "9" * 10_000)]).status == "unset"


def counting_body(seq_no: int, *dropped: int, service: str = "store") -> bytes:
    """A batch of a client that counts; the thrift classes of jaeger-client do not know these fields."""
    stats = b"".join(b"\x0a" + struct.pack(">hq", number, value) for number, value in enumerate(dropped, 1))
    more = b"\x0a\x00\x03" + struct.pack(">q", seq_no) + (b"\x0c\x00\x04" + stats + b"\x00" if dropped else b"")
    return body(batch(span(), process=Process(service)))[:-1] + more + b"\x00"


def test_what_a_client_counts_is_kept_in_the_resource() -> None:
    (found,) = spans(decode_batch(counting_body(7, 1, 2, 3)))
    assert found.resource.attributes == {"service.name": "store", SEQ_NO: 7, DROPPED: 6}
    assert SEQ_NO not in spans(decode_batch(body(batch(span()))))[0].resource.attributes
    (without,) = spans(decode_batch(counting_body(7)))
    assert DROPPED not in without.resource.attributes


def test_a_process_cannot_say_that_it_came_by_another_way() -> None:
    process = Process("store", [tag("ot_bridge.via", "zipkin")])
    (found,) = spans(decode_batch(body(batch(span(), process=process))))
    assert found.via == "jaeger"


# -- Zipkin's v1 spans -------------------------------------------------------------------------------------------------


@PROTOCOLS
def test_a_v1_span_of_zipkin_becomes_a_span(protocol: Protocol) -> None:
    (found,) = spans(decode_packet(zipkin_packet([V1], protocol)))
    assert (found.trace_id, found.span_id, found.parent_id) == (5 << 64 | 1, 2, 3)
    assert (found.name, found.service, found.kind, found.via) == ("get", "shop", "client", "zipkin")
    assert (found.start_ns, found.end_ns) == (900_000, 3_400_000)
    assert found.events == (Event(2_000_000, "wait"),)
    assert found.attributes == {
        "http.path": "/pay",
        "tries": "2",
        "net.host.ip": "10.0.0.1",
        "net.host.port": 8080,
        "peer.service": "bank",
        "net.peer.ip": "10.0.0.2",
        "net.peer.port": 65535,
    }


@pytest.mark.parametrize(
    ("values", "kinds", "times"),
    [
        (["cs", "cr"], ["client"], [(1, 2)]),
        (["sr", "ss"], ["server"], [(1, 2)]),
        (["ms"], ["producer"], [(1, 1)]),
        (["mr"], ["consumer"], [(1, 1)]),
        (["cs", "sr", "ss", "cr"], ["client", "server"], [(1, 4), (2, 3)]),
        (["working"], ["unspecified"], [(1, 1)]),
    ],
    ids=str,
)
def test_the_kind_and_times_of_a_v1_span_are_in_its_annotations(
    values: list[str], kinds: list[str], times: list[tuple[int, int]]
) -> None:
    found = spans(decode_packet(zipkin_packet([zipkin_span(annotations=annotated(*values))], BINARY)))
    assert [one.kind for one in found] == kinds
    assert [(one.start_ns // 1_000_000, one.end_ns // 1_000_000) for one in found] == times


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("BOOL", b"\x01", "true"),
        ("BOOL", b"\x00", "false"),
        ("BYTES", b"\x00\xff", "AP8="),
        ("I32", b"\xff\xff\xff\xff", "-1"),
        ("I64", bytes(7) + b"\x07", "7"),
        ("DOUBLE", struct.pack(">d", 0.5), "0.5"),
        ("I64", b"xy", "xy"),
    ],
    ids=str,
)
def test_the_values_of_v1_become_text(kind: str, raw: bytes, value: str) -> None:
    written = [v1.BinaryAnnotation("k", raw, getattr(v1.AnnotationType, kind), HOST)]
    (found,) = spans(decode_packet(zipkin_packet([zipkin_span(binary_annotations=written)], BINARY)))
    assert found.attributes["k"] == value


def test_a_v1_span_without_ids_is_counted() -> None:
    decoded = decode_packet(zipkin_packet([zipkin_span(), v1.Span()], COMPACT))
    assert (len(spans(decoded)), decoded.rejected) == (1, 1)


def test_no_thrift_of_others_is_imported() -> None:
    sources = Path(thrift.__file__).parent.parent.rglob("*.py")
    assert not [path for path in sources if re.search(r"(from|import) (jaeger_client|thrift)", path.read_text("utf-8"))]
