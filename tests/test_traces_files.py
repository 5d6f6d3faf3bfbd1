from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from ot_bridge.traces import otlp
from ot_bridge.traces.formats.detect import Contents, UnreadableError, read
from ot_bridge.traces.formats.jaeger_json import read_jaeger
from ot_bridge.traces.formats.joined import join, matching
from ot_bridge.traces.model import LogRecord, Span
from ot_bridge.traces.tree import Trace
from traces_made import TRACE_ID, made
from traces_written import base64_ids, checkout, jaeger_json, otlp_json, zipkin_json


def as_bytes(found: Any) -> bytes:
    return json.dumps(found).encode()


def spans_of(contents: Contents) -> list[Span]:
    return otlp.spans(contents.batches)


def shape(spans: Sequence[Span]) -> list[tuple[object, ...]]:
    """What every format can carry."""
    return [
        (
            span.trace_id, span.span_id, span.parent_id, span.service, span.name,
            span.start_ns, span.end_ns, span.status,
            {key: value for key, value in span.attributes.items() if key != "error"},
        )
        for span in Trace(spans).spans
    ]  # fmt: skip


def protobuf(spans: Sequence[Span]) -> bytes:
    return ParseDict(base64_ids(otlp_json(spans)), TracesData()).SerializeToString()


def lines(spans: Sequence[Span]) -> bytes:
    return b"\n".join(as_bytes(otlp_json([span])) for span in spans) + b"\n"


def prefixed(spans: Sequence[Span]) -> bytes:
    parts = [protobuf([span]) for span in spans]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


WAYS: dict[str, tuple[str, Callable[[Sequence[Span]], bytes]]] = {
    "object": ("OTLP JSON", lambda spans: as_bytes(otlp_json(spans))),
    "list": ("OTLP JSON", lambda spans: as_bytes([otlp_json([span]) for span in spans])),
    "lines": ("OTLP JSON", lines),
    "pretty": ("OTLP JSON", lambda spans: json.dumps(otlp_json(spans), indent=2).encode()),
    "jaeger_v3": ("OTLP JSON", lambda spans: as_bytes({"result": otlp_json(spans)})),
    "jaeger_v3_stream": (
        "OTLP JSON",
        lambda spans: b"\n".join(as_bytes({"result": otlp_json([one])}) for one in spans),
    ),
    "tempo_v2": ("OTLP JSON", lambda spans: as_bytes({"trace": otlp_json(spans), "metrics": {}})),
    "tempo_v1": ("OTLP JSON", lambda spans: as_bytes({"batches": base64_ids(otlp_json(spans)["resourceSpans"])})),
    "protobuf": ("OTLP protobuf", protobuf),
    "protobuf_with_lengths": ("OTLP protobuf", prefixed),
    "jaeger": ("Jaeger JSON", lambda spans: as_bytes(jaeger_json(spans))),
    "jaeger_bare": ("Jaeger JSON", lambda spans: as_bytes(jaeger_json(spans)["data"][0])),
    "zipkin": ("Zipkin JSON", lambda spans: as_bytes(zipkin_json(spans))),
    "zipkin_traces": ("Zipkin JSON", lambda spans: as_bytes([zipkin_json(spans[:2]), zipkin_json(spans[2:])])),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("way", WAYS)
def test_one_trace_is_the_same_by_every_way(way: str, packed: bool) -> None:
    kind, write = WAYS[way]
    data = write(checkout())
    contents = read(gzip.compress(data) if packed else data)
    notes = ["ids in base64: 14"] if way == "tempo_v1" else []
    assert (contents.format, contents.rejected, contents.problem, list(contents.notes)) == (kind, 0, "", notes)
    assert shape(spans_of(contents)) == shape(checkout())


def test_windows_marks_and_utf_16_are_no_obstacle() -> None:
    data = json.dumps(otlp_json(checkout()))
    for encoded in (data.encode("utf-8-sig"), data.encode("utf-16"), b"\n  " + data.encode()):
        assert len(spans_of(read(encoded))) == 5


def test_members_of_gzip_follow_each_other_and_the_last_one_may_be_cut() -> None:
    parts = [gzip.compress(as_bytes(otlp_json([span])) + b"\n") for span in checkout()]
    assert len(spans_of(read(b"".join(parts)))) == 5
    cut = read(b"".join(parts)[:-40])
    assert (len(spans_of(cut)), list(cut.notes)) == (4, ["the last line is not whole; the file may still be written"])


def test_half_a_line_at_the_end_is_said_and_others_are_counted() -> None:
    contents = read(b"{nonsense\n" + lines(checkout()) + b'{"resourceSpans": [{"reso')
    assert len(spans_of(contents)) == 5
    assert list(contents.notes) == [
        "1 line of 7 left out: no trace data",
        "the last line is not whole; the file may still be written",
    ]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"hello", "5 bytes that begin with b'hello' are neither JSON nor OTLP protobuf"),
        (b"\x00" * 50, "protobuf; read are OTLP JSON, OTLP protobuf, Jaeger JSON, Zipkin JSON, each also in gzip"),
        (b"{", "it begins like JSON and is not: Expecting property name"),
        (b"[" * 100_000, "it begins like JSON and is not"),
        (b'{"log": {"entries": []}}', "JSON with the keys 'log'; expected OTLP ('resourceSpans')"),
        (b"{}", "JSON without any key"),
        (b"[1, 2]", "JSON that is a list of 2 elements, the first one that is 1"),
        (b"[]", "JSON []"),
        (b'{"a": 1}\n{"a": 2}', "no line of it is trace data"),
        (b"\x1f\x8bnonsense", "it begins like gzip and is not"),
    ],
    ids=lambda one: one[:12].decode("latin-1") if isinstance(one, bytes) else "",
)  # fmt: skip
def test_what_cannot_be_read_says_what_was_found_and_wanted(data: bytes, said: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        read(data, "x.json")
    assert str(caught.value).startswith("cannot read x.json: ")
    assert said in str(caught.value)


def test_sizes_are_bounded_also_after_inflating() -> None:
    bomb = gzip.compress(b" " * 5_000_000)
    with pytest.raises(UnreadableError, match="more than 1,000,000 bytes when inflated"):
        read(bomb, largest=1_000_000)
    with pytest.raises(UnreadableError, match="expected at most 10"):
        read(b"x" * 11, largest=10)


@given(st.binary(max_size=200), st.sampled_from([b"", b"{", b"[", b"\x0a", b"\x1f\x8b", b"\x00\x00\x00"]))
def test_any_bytes_are_read_or_refused(data: bytes, start: bytes) -> None:
    with suppress(UnreadableError):
        spans_of(read(start + data))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
def test_a_span_of_jaeger_with_anything_in_it_is_read_or_counted(data: st.DataObject) -> None:
    span: Any = dict(jaeger_json(checkout())["data"][0]["spans"][3])
    for key in data.draw(st.lists(st.sampled_from(sorted(span)), max_size=3)):
        span[key] = data.draw(JSON)
    process = data.draw(JSON)
    decoded = read_jaeger({"data": [{"spans": [span, span], "processes": {"p1": process}}]})
    assert len(otlp.spans(decoded.batches)) + decoded.rejected == 2
    assert bool(decoded.problem) == bool(decoded.rejected)


# -- Jaeger's JSON -----------------------------------------------------------------------------------------------------


def jaeger_span(**changes: Any) -> dict[str, Any]:
    span = {
        "traceID": "1f",
        "spanID": "a",
        "operationName": "charge",
        "startTime": 1_000_000,
        "duration": 5,
        "processID": "p1",
        **changes,
    }
    processes = {"p1": {"serviceName": "shop", "tags": [{"key": "hostname", "type": "string", "value": "box"}]}}
    return {"data": [{"traceID": "1f", "spans": [span], "processes": processes}]}


def only(found: dict[str, Any]) -> Span:
    decoded = read_jaeger(found)
    assert decoded.problem == ""
    (span,) = otlp.spans(decoded.batches)
    return span


def test_ids_of_jaeger_get_their_zeros_back() -> None:
    span = only(jaeger_span(references=[{"refType": "CHILD_OF", "traceID": "1f", "spanID": "b"}]))
    assert (span.trace_id, span.span_id, span.parent_id, span.start_ns, span.end_ns) == (
        31,
        10,
        11,
        10**9,
        10**9 + 5000,
    )
    assert (span.service, span.via, span.resource.attributes["host.name"]) == ("shop", "jaeger", "box")


def test_ids_of_jaeger_may_be_base64() -> None:
    trace_id, span_id = (base64.b64encode(bytes(range(size))).decode() for size in (16, 8))
    span = only(jaeger_span(traceID=trace_id, spanID=span_id))
    assert (span.trace_id, span.span_id) == (int.from_bytes(bytes(range(16)), "big"), 0x0001020304050607)


def test_tags_of_jaeger_have_the_values_of_their_types() -> None:
    tags = [
        ("text", "string", "a"), ("yes", "bool", True), ("yes_text", "bool", "true"), ("count", "int64", 7),
        ("large", "int64", "9007199254740993"), ("beyond", "int64", "99999999999999999999"), ("odd", "int64", "x"),
        ("half", "float64", 0.5), ("whole", "float64", 1), ("as_text", "float64", "1.5"),
        ("raw", "binary", base64.b64encode(b"\x00\xff").decode()), ("not_raw", "binary", "*"), ("none", "string", None),
    ]  # fmt: skip
    span = only(jaeger_span(tags=[{"key": key, "type": kind, "value": value} for key, kind, value in tags]))
    assert span.attributes == {
        "text": "a", "yes": True, "yes_text": True, "count": 7, "large": 9007199254740993, "odd": "x",
        "beyond": "99999999999999999999", "half": 0.5, "whole": 1.0, "as_text": 1.5, "raw": b"\x00\xff",
        "not_raw": "*", "none": "null",
    }  # fmt: skip


def test_references_beside_the_parent_become_links() -> None:
    references = [
        {"refType": "FOLLOWS_FROM", "traceID": "1f", "spanID": "c"},
        {"refType": "CHILD_OF", "traceID": "1f", "spanID": "b"},
        {"refType": "CHILD_OF", "traceID": "2f", "spanID": "d"},
    ]
    span = only(jaeger_span(references=references))
    assert span.parent_id == 0xB
    assert [(link.trace_id, link.span_id, link.attributes) for link in span.links] == [
        (0x1F, 0xC, {"opentracing.ref_type": "follows_from"}),
        (0x2F, 0xD, {"opentracing.ref_type": "child_of"}),
    ]


def test_warnings_of_jaeger_are_kept() -> None:
    found = jaeger_span(warnings=["clock skew", "no parent"])
    found["data"][0]["warnings"] = ["too old"]
    assert only(found).attributes == {"jaeger.warning": "clock skew; no parent", "jaeger.warning.trace": "too old"}


def test_a_process_may_stand_in_the_span() -> None:
    assert only(jaeger_span(process={"serviceName": "inline", "tags": []})).service == "inline"
    assert only(jaeger_span(processID="p9")).service == "unknown"


def test_a_bad_span_of_jaeger_costs_itself_alone() -> None:
    found = jaeger_span()
    found["data"][0]["spans"] += [{**found["data"][0]["spans"][0], "spanID": "xyz"}, 7]
    decoded = read_jaeger(found)
    assert (len(otlp.spans(decoded.batches)), decoded.rejected) == (1, 2)
    assert decoded.problem == "a span: got int, expected an object"
    found["data"][0]["spans"].pop()
    assert read_jaeger(found).problem == "span xyz: spanID: got 'xyz', expected up to 16 hex digits"


# -- log records of OTLP -----------------------------------------------------------------------------------------------

LOGS = {
    "resourceLogs": [
        {
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
            "scopeLogs": [
                {
                    "logRecords": [
                        {
                            "traceId": f"{TRACE_ID:032x}",
                            "spanId": f"{1:016x}",
                            "timeUnixNano": "5",
                            "severityText": "WARN",
                            "body": {"stringValue": "no parcel"},
                        }
                    ]
                }
            ],
        }
    ]
}
RECORD = LogRecord(TRACE_ID, 1, 5, "WARN", "no parcel", {}, "shop")


def test_log_records_in_a_file_of_spans_are_read_beside_them() -> None:
    contents = read(lines(checkout()) + as_bytes(LOGS))
    assert (len(spans_of(contents)), otlp.logs(contents.logs)) == (5, [RECORD])


def test_log_records_alone_are_read_as_protobuf_too() -> None:
    data = ParseDict(base64_ids(LOGS), LogsData()).SerializeToString()
    contents = read(data)
    assert (contents.format, list(contents.batches), otlp.logs(contents.logs)) == ("OTLP protobuf", [], [RECORD])


# -- put together ------------------------------------------------------------------------------------------------------

LOW = TRACE_ID & ((1 << 64) - 1)


def test_spans_with_a_cut_id_join_the_trace_that_they_belong_to() -> None:
    whole, cut, later = made("a", 1), made("b", 2, 1, trace_id=LOW), made("c", 3, trace_id=7)
    traces, lost = join([cut, whole, later])
    assert (lost, [[span.name for span in trace.spans] for trace in traces]) == (0, [["c"], ["a", "b"]])
    assert traces[1].trace_ids == (LOW, TRACE_ID)


@pytest.mark.parametrize(
    "other", [made("b", 2, 1, trace_id=LOW, at=5000), made("b", 2, 1, trace_id=LOW | 1 << 100)], ids=["later", "whole"]
)
def test_spans_of_another_time_or_of_another_whole_id_stay_apart(other: Span) -> None:
    assert len(join([made("a", 1), other])[0]) == 2


def test_log_records_find_their_trace_by_either_form_of_its_id() -> None:
    records = [LogRecord(one, 1, 1, "", "") for one in (TRACE_ID, LOW, 5)]
    (trace,), lost = join([made("a", 1)], records)
    assert (len(trace.logs), lost) == (2, 1)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (f"{TRACE_ID:032x}", [TRACE_ID]),
        (f"{TRACE_ID:032X}", [TRACE_ID]),
        (f"{LOW:016x}", [TRACE_ID]),
        (f"{TRACE_ID:032x}"[:6], [TRACE_ID]),
        ("1f", [0x1F]),
        (f"{0x1F:032x}", [0x1F]),
        ("0000", [0x1F, 0x1F0]),
        ("1", [0x1F, 0x1F0]),
        ("", []),
        ("xyz", []),
        ("0" * 32, []),
        ("1" * 40, []),
    ],
)
def test_a_trace_is_found_by_what_a_person_has_of_its_id(wanted: str, found: list[int]) -> None:
    assert matching(wanted, [0x1F, 0x1F0, TRACE_ID]) == found
