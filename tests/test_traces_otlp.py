"""OTLP's protobuf and JSON: what is read, what is refused, and that nothing else happens."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import math
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.trace.v1.trace_pb2 import Span, TracesData

from ot_bridge.otlp.wire import field
from ot_bridge.traces.formats import otlp_json, otlp_proto
from ot_bridge.traces.formats.otlp_checks import LONGEST_TEXT, OtlpError
from ot_bridge.traces.formats.otlp_fields import DEEPEST, LOG_RECORD
from ot_bridge.traces.formats.otlp_fields import SPAN as SPAN_TABLE
from ot_bridge.traces.formats.writing import LATEST_NS
from ot_bridge.traces.otlp import logs, spans
from otlp_made import LOGS, SPAN, SPAN_ID, TRACE_ID, batch, body, found, proto_body, proto_span


def value(one: Any) -> Any:
    """Read an attribute's value from JSON, as the viewer has it."""
    decoded = otlp_json.decode_traces(body({**SPAN, "attributes": [{"key": "a", "value": one}]}))
    assert (decoded.rejected, decoded.problem) == (0, "")
    return spans(decoded.batches)[0].attributes["a"]


def refused(**changes: Any) -> str:
    """Decode a good span and a changed one, and return why the changed one is left out."""
    decoded = otlp_json.decode_traces(body(SPAN, {**SPAN, **changes}))
    assert (decoded.rejected, len(found(decoded.batches))) == (1, 1)
    return decoded.problem


# -- JSON --------------------------------------------------------------------------------------------------------------


def test_a_span_in_json_is_the_span_in_protobuf() -> None:
    whole = {
        **SPAN,
        "traceState": "a=b",
        "flags": 257,
        "attributes": [{"key": "a", "value": {"intValue": "-5"}}],
        "events": [{"timeUnixNano": "1544712660500000000", "name": "e", "attributes": [], "droppedAttributesCount": 1}],
        "links": [{"traceId": TRACE_ID.lower(), "spanId": SPAN_ID.lower(), "traceState": "c=d", "flags": 1}],
        "status": {"code": 2, "message": "no"},
        "droppedAttributesCount": 1,
        "droppedEventsCount": 2,
        "droppedLinksCount": 3,
        "aFieldOfTheFuture": {"x": [1]},
    }
    (span,) = found(otlp_json.decode_traces(body(whole)).batches)
    as_protobuf_reads_it = json.loads(json.dumps(whole))
    for holder, keys in (
        (as_protobuf_reads_it, ("traceId", "spanId", "parentSpanId")),
        (as_protobuf_reads_it["links"][0], ("traceId", "spanId")),
    ):
        for key in keys:
            holder[key] = base64.b64encode(bytes.fromhex(holder[key])).decode()
    assert span == ParseDict(as_protobuf_reads_it, Span(), ignore_unknown_fields=True)


@pytest.mark.parametrize(
    ("table", "message"),
    [(SPAN_TABLE, Span), (LOG_RECORD, LogsData().resource_logs.add().scope_logs.add().log_records.add())],
)
def test_every_field_of_a_message_is_read(table: Any, message: Any) -> None:
    assert set(table) == {one.json_name for one in message.DESCRIPTOR.fields}


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"stringValue": "x"}, "x"),
        ({"boolValue": True}, True),
        ({"intValue": "9223372036854775807"}, 2**63 - 1),
        ({"intValue": 5.0}, 5),
        ({"doubleValue": 1}, 1.0),
        ({"doubleValue": "Infinity"}, math.inf),
        ({"bytesValue": "AQI="}, b"\1\2"),
        ({"arrayValue": {}}, []),
        ({"arrayValue": {"values": [{"stringValue": "x"}, {}]}}, ["x", None]),
        ({"kvlistValue": {"values": [{"key": "k", "value": {"intValue": 1}}]}}, {"k": 1}),
        ({"stringValue": "a\ud800b"}, "a?b"),
        ({"stringValue": None}, None),
    ],
    ids=str,
)
def test_a_value_is_read(written: Any, read: Any) -> None:
    assert value(written) == read


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"traceId": "00" * 16}, "a trace id of only zeros"),
        ({"traceId": ""}, "a trace id of 0 bytes"),
        ({"traceId": TRACE_ID[:16]}, f"traceId: got '{TRACE_ID[:16]}', expected 32 hex digits"),
        ({"traceId": 5}, "traceId: got 5, expected 32 hex digits"),
        ({"spanId": "0" * 16}, "a span id of only zeros"),
        ({"spanId": "EEE19B7EC3C1B17G"}, "spanId: got 'EEE19B7EC3C1B17G', expected 16 hex digits"),
        ({"parentSpanId": "12"}, "parentSpanId: got '12', expected 16 hex digits"),
        ({"spanId": "%%%%%%%%%%%="}, "spanId: got '%%%%%%%%%%%=', expected base64"),
        ({"name": 5}, "name: got 5, expected text"),
        ({"kind": "SERVER"}, "kind: got 'SERVER', expected an integer, or one of SPAN_KIND_UNSPECIFIED"),
        ({"kind": 2**31}, "kind: got 2147483648, expected an integer from -2147483648 to 2147483647"),
        ({"kind": True}, "kind: got True, expected an integer"),
        ({"startTimeUnixNano": -1}, "startTimeUnixNano: got -1, expected an integer from 0 to 18446744073709551615"),
        ({"startTimeUnixNano": "1_0"}, "startTimeUnixNano: got '1_0', expected an integer"),
        ({"startTimeUnixNano": 0.5}, "startTimeUnixNano: got 0.5, expected an integer"),
        ({"attributes": {}}, "attributes: got {}, expected a list"),
        ({"attributes": [5]}, "attributes.0: got 5, expected an object"),
        ({"attributes": [{"key": "a", "value": {"boolValue": "yes"}}]}, "attributes.0.value.boolValue: got 'yes'"),
        ({"attributes": [{"key": "a", "value": {"intValue": 2**63}}]}, "attributes.0.value.intValue: got"),
        ({"attributes": [{"key": "a", "value": {"doubleValue": "x"}}]}, "expected a number"),
        ({"attributes": [{"key": "a", "value": {"doubleValue": 10**400}}]}, "expected a number of 64 bits"),
        ({"attributes": [{"key": "a", "value": {"bytesValue": "?"}}]}, "expected base64"),
        ({"events": [{"name": "e"}, {"timeUnixNano": "x"}]}, "events.1.timeUnixNano: got 'x'"),
        ({"status": 2}, "status: got 2, expected an object"),
    ],
    ids=str,
)
def test_a_bad_span_costs_itself_alone(changes: dict[str, Any], problem: str) -> None:
    assert problem in refused(**changes)


def test_what_is_not_a_span_is_a_bad_span() -> None:
    decoded = otlp_json.decode_traces(body(SPAN, 5, None, "x"))
    assert (decoded.rejected, len(found(decoded.batches))) == (3, 1)
    assert decoded.problem == "item 3: it: got 'x', expected an object"


def test_a_bad_resource_costs_its_spans() -> None:
    bad = {**batch(SPAN, SPAN), "resource": {"attributes": 5}}
    decoded = otlp_json.decode_traces(json.dumps({"resourceSpans": [bad, batch(SPAN), 5]}).encode())
    assert (decoded.rejected, len(found(decoded.batches))) == (3, 1)
    assert decoded.problem == "resource 2: got a number, expected a list 'scopeSpans'"


def test_an_id_in_base64_is_read_and_noted() -> None:
    changed = {key: base64.b64encode(bytes.fromhex(SPAN[key])).decode() for key in ("traceId", "spanId")}
    decoded = otlp_json.decode_traces(body({**SPAN, **changed}))
    (span,) = found(decoded.batches)
    assert (span.trace_id.hex(), span.span_id.hex()) == (TRACE_ID.lower(), SPAN_ID.lower())
    assert decoded.noted == {"ids in base64": 2}


def test_an_enum_by_name_is_read_and_noted() -> None:
    decoded = otlp_json.decode_traces(body({**SPAN, "kind": "SPAN_KIND_CLIENT", "status": {"code": "STATUS_CODE_OK"}}))
    (span,) = spans(decoded.batches)
    assert (span.kind, span.status, decoded.noted) == ("client", "ok", {"enums by name": 2})


def test_values_nest_up_to_a_depth_that_protobuf_reads_back() -> None:
    def nested(depth: int) -> Any:
        made: Any = {"stringValue": "x"}
        for _ in range(depth):
            made = {"kvlistValue": {"values": [{"key": "k", "value": made}]}}
        return [{"key": "a", "value": made}]

    decoded = otlp_json.decode_traces(body({**SPAN, "attributes": nested(DEEPEST)}))
    data = TracesData(resource_spans=decoded.batches).SerializeToString()
    assert otlp_proto.decode_traces(data).batches == decoded.batches
    assert f"expected values that nest at most {DEEPEST} deep" in refused(attributes=nested(DEEPEST + 1))
    assert f"expected values that nest at most {DEEPEST} deep" in refused(attributes=nested(200))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"null",
        b'{"resourceSpans": 5}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 5000,
    ],
    ids=lambda data: repr(data[:12]),
)
def test_what_is_no_request_is_refused(data: bytes) -> None:
    with pytest.raises(OtlpError):
        otlp_json.decode_traces(data)


def test_a_body_of_too_many_objects_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_json, "MOST_OBJECTS", 100)
    with pytest.raises(OtlpError, match="more than 100 objects"):
        otlp_json.decode_traces(b'{"resourceSpans": [' + b"[]," * 100)


@pytest.mark.parametrize("data", [b"{}", b'{"resourceSpans": []}', b'{"resourceSpans": null}'])
def test_an_empty_request_is_a_success(data: bytes) -> None:
    assert otlp_json.decode_traces(data)[:3] == ([], 0, "")


def test_a_request_with_other_keys_is_a_success_with_a_warning() -> None:
    decoded = otlp_json.decode_traces(b'{"resource_spans": []}')
    assert decoded[:3] == ([], 0, "OTLP JSON has the keys 'resource_spans', expected 'resourceSpans'")


def test_log_records_are_read() -> None:
    decoded = otlp_json.decode_logs(json.dumps(LOGS).encode())
    (record,) = logs(decoded.logs)
    assert (f"{record.trace_id:X}", record.severity, record.body, record.service) == (TRACE_ID, "INFO", "paid", "shop")
    again = otlp_proto.decode_logs(LogsData(resource_logs=decoded.logs).SerializeToString())
    assert again.logs == decoded.logs


def test_a_log_record_with_a_wrong_id_costs_itself_alone() -> None:
    made = LogsData()
    group = made.resource_logs.add().scope_logs.add()
    group.log_records.add(severity_text="no ids")
    group.log_records.add(trace_id=b"short")
    decoded = otlp_proto.decode_logs(made.SerializeToString())
    assert [one.severity_text for one in decoded.logs[0].scope_logs[0].log_records] == ["no ids"]
    assert decoded.problem == "log record: got a trace id of 5 bytes, expected 16 or none"


# -- both --------------------------------------------------------------------------------------------------------------


def test_long_texts_are_cut_and_noted_in_both_encodings() -> None:
    text = "x" * (LONGEST_TEXT + 5)
    pair = {"key": "a", "value": {"stringValue": text}}
    shown = "x" * (LONGEST_TEXT - 23) + "... (65,541 characters)"
    in_json = otlp_json.decode_traces(body({**SPAN, "name": text, "attributes": [pair]}))
    span = proto_span(name=text)
    span.attributes.add(key="a").value.string_value = text
    in_protobuf = otlp_proto.decode_traces(proto_body(span))
    for decoded in (in_json, in_protobuf):
        (read,) = spans(decoded.batches)
        assert (read.name, read.attributes["a"], decoded.noted["texts cut"]) == (shown, shown, 2)


def test_a_time_that_no_database_holds_is_the_latest_that_can_be_kept() -> None:
    decoded = otlp_proto.decode_traces(proto_body(proto_span(start_time_unix_nano=2**64 - 1)))
    (span,) = found(decoded.batches)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (LATEST_NS, 0)
    assert decoded.noted == {"times beyond the year 2262": 1}


def test_a_link_with_a_wrong_id_is_left_out_and_counted() -> None:
    span = proto_span()
    span.links.add(trace_id=b"x" * 20, span_id=b"y" * 8)
    span.links.add(trace_id=b"x" * 16, span_id=b"y" * 8)
    (read,) = found(otlp_proto.decode_traces(proto_body(span)).batches)
    assert (len(read.links), read.dropped_links_count) == (1, 1)


def test_a_resource_without_good_spans_is_not_kept() -> None:
    assert otlp_proto.decode_traces(proto_body(proto_span(span_id=b"")))[:2] == ([], 1)


# -- protobuf ----------------------------------------------------------------------------------------------------------


def bad_text() -> bytes:
    """Return a request with two spans, of which one has a name that is not UTF-8."""
    good = proto_span(name="ok").SerializeToString()
    bad = proto_span(name="\x01\x01\x01").SerializeToString().replace(b"\x01\x01\x01", b"\xff\xfe\xfd")
    scope = field(b"\x0a", field(b"\x0a", b"made"))
    group = field(b"\x12", good) + field(b"\x12", bad) + scope
    return field(b"\x0a", field(b"\x12", group) + b"\x28\x05" + field(b"\x0a", b""))


def test_a_span_that_protobuf_refuses_costs_itself_alone() -> None:
    decoded = otlp_proto.decode_traces(bad_text())
    assert [span.name for span in found(decoded.batches)] == ["ok"]
    assert decoded.batches[0].scope_spans[0].scope.name == "made"
    assert (decoded.rejected, decoded.problem[:9]) == (1, "a span of")


def test_a_value_that_nests_too_deep_for_protobuf_costs_its_span_alone() -> None:
    nested = b""
    for _ in range(200):
        nested = field(b"\x2a", field(b"\x0a", nested))
    deep = proto_span().SerializeToString() + field(b"\x4a", field(b"\x12", nested))
    group = field(b"\x12", deep) + field(b"\x12", proto_span().SerializeToString())
    decoded = otlp_proto.decode_traces(field(b"\x0a", field(b"\x12", group)))
    assert (len(found(decoded.batches)), decoded.rejected) == (1, 1)


@pytest.mark.parametrize(
    "data", [b"\xff", b"{}", b"\x0a\x05", b"\x0b\x0a\x00", b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"]
)
def test_what_is_no_protobuf_is_refused(data: bytes) -> None:
    for decode in (otlp_proto.decode_traces, otlp_proto.decode_logs):
        with pytest.raises(OtlpError):
            decode(data)


def test_a_request_that_is_cut_is_refused() -> None:
    data = proto_body(proto_span())
    for end in range(1, len(data)):
        with pytest.raises(OtlpError):
            otlp_proto.decode_traces(data[:end])


# -- files -------------------------------------------------------------------------------------------------------------

LINE = body(SPAN)


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (LINE, 1),
        (b"\xef\xbb\xbf" + LINE, 1),
        (LINE + b"\n" + LINE + b"\n", 2),
        (LINE + b"\r\n\r\n" + json.dumps(LOGS).encode(), 1),
        (b"[" + LINE + b"," + LINE + b"]", 2),
        (json.dumps({"resourceSpans": [batch(SPAN)]}, indent=2).encode(), 1),
        (json.dumps({"batches": [batch(SPAN)]}).encode(), 1),
        (gzip.compress(LINE), 1),
        (gzip.compress(LINE + b"\n") + gzip.compress(LINE), 2),
    ],
    ids=["object", "mark", "lines", "logs", "list", "indented", "tempo", "gzip", "two members"],
)
def test_a_file_is_read(data: bytes, count: int) -> None:
    decoded = otlp_json.read_json(data)
    assert (len(found(decoded.batches)), decoded.rejected) == (count, 0)


def test_a_half_last_line_is_noted() -> None:
    decoded = otlp_json.read_json(LINE + b"\n" + LINE[:50])
    assert len(found(decoded.batches)) == 1
    assert decoded.noted == {"last lines that are not whole; the file may still be written": 1}


def test_a_broken_line_is_left_out_and_noted() -> None:
    decoded = otlp_json.read_json(b"\n".join([LINE, LINE[:50], b"5", LINE]))
    assert len(found(decoded.batches)) == 2
    assert decoded.noted == {"lines that are no OTLP JSON": 2}


def test_gzip_that_is_cut_gives_what_is_there() -> None:
    lines = b"\n".join([LINE] * 200)
    decoded = otlp_json.read_json(gzip.compress(lines)[:-20])
    assert len(found(decoded.batches)) > 0


@pytest.mark.parametrize("data", [b"", b"x\ny", b'{"data": []}', b"\x1f\x8bxx"], ids=repr)
def test_what_is_no_file_of_otlp_is_refused(data: bytes) -> None:
    with pytest.raises(OtlpError):
        otlp_json.read_json(data)


def test_a_file_larger_than_allowed_when_inflated_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_json, "LARGEST_FILE", 1000)
    with pytest.raises(OtlpError, match="more than 1,000 bytes when inflated"):
        otlp_json.read_json(gzip.compress(bytes(100_000)))


def test_what_is_written_as_json_is_read_as_the_same() -> None:
    span = proto_span(kind=3, start_time_unix_nano=5, parent_span_id=b"12345678")
    span.links.add(trace_id=b"x" * 16, span_id=b"y" * 8)
    span.attributes.add(key="b").value.bytes_value = b"\0\1"
    batches = otlp_proto.decode_traces(proto_body(span)).batches
    written = otlp_json.to_json(batches)
    (shown,) = written["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (shown["traceId"], shown["kind"], shown["startTimeUnixNano"]) == (TRACE_ID.lower(), 3, "5")
    assert otlp_json.decode_traces(json.dumps(written).encode()).batches == batches


# -- any bytes ---------------------------------------------------------------------------------------------------------

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
keys = st.sampled_from([*SPAN_TABLE, "key", "value", "values", "arrayValue", "kvlistValue", "intValue", "code", "x"])
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4), max_leaves=12
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(list(SPAN_TABLE)), anything, max_size=4), anything, anything)
def test_any_json_is_read_or_counted(changes: dict[str, Any], scope: Any, resource: Any) -> None:
    made = {"resource": resource, "scopeSpans": [{"scope": scope, "spans": [SPAN, {**SPAN, **changes}]}]}
    decoded = otlp_json.decode_traces(json.dumps({"resourceSpans": [made]}).encode())
    assert len(found(decoded.batches)) + decoded.rejected == 2
    assert bool(decoded.rejected) == bool(decoded.problem)
    assert otlp_json.decode_traces(json.dumps(otlp_json.to_json(decoded.batches)).encode()).batches == decoded.batches


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_change_of_a_request_is_read_or_refused(data: st.DataObject) -> None:
    good = data.draw(st.sampled_from([proto_body(proto_span(), proto_span(name="b" * 20)), bad_text(), LINE]))
    at, cut = data.draw(st.integers(0, len(good))), data.draw(st.integers(0, 8))
    changed = good[:at] + data.draw(st.binary(max_size=8)) + good[at + cut :]
    for decode in (otlp_proto.decode_traces, otlp_proto.decode_logs, otlp_json.decode_traces, otlp_json.read_json):
        batches = []
        with contextlib.suppress(OtlpError):
            batches = decode(changed).batches
        spans(batches)
        assert all(len(span.trace_id) == 16 and len(span.span_id) == 8 for span in found(batches))
