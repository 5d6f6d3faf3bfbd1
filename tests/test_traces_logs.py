from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ot_bridge.traces.formats.log_lines import NAMES, read_log_lines, time_ns
from ot_bridge.traces.model import LogRecord
from traces_made import NOON, TRACE_ID

HEX, SPAN = f"{TRACE_ID:032x}", "00f067aa0ba902b7"
SPAN_ID = int(SPAN, 16)


def only(**fields: Any) -> LogRecord:
    (record,) = read_log_lines(json.dumps(fields).encode()).records
    return record


LINES: dict[str, tuple[dict[str, Any], LogRecord]] = {
    "otel_python": (
        {"asctime": "2026-01-01 12:00:00,123", "levelname": "WARNING", "message": "m", "otelTraceID": HEX,
         "otelSpanID": SPAN, "otelServiceName": "shop", "otelTraceSampled": True},
        LogRecord(TRACE_ID, SPAN_ID, NOON + 123_000_000, "WARNING", "m", {"otelTraceSampled": True}, "shop"),
    ),
    "otel_model": (
        {"timeUnixNano": str(NOON), "severity_text": "warn", "body": "m", "trace_id": "0x" + HEX,
         "span_id": "0x" + SPAN, "resource": {"service.name": "shop"}, "attributes": {"n": 1}},
        LogRecord(TRACE_ID, SPAN_ID, NOON, "WARN", "m", {"attributes.n": 1}, "shop"),
    ),
    "elastic": (
        {"@timestamp": "2026-01-01T12:00:00.5Z", "log.level": "info", "message": "m", "trace": {"id": HEX},
         "span": {"id": SPAN}, "service": {"name": "shop"}},
        LogRecord(TRACE_ID, SPAN_ID, NOON + 500_000_000, "INFO", "m", {}, "shop"),
    ),
    "google": (
        {"severity": "ERROR", "message": "m", "time": "2026-01-01T13:00:00+01:00",
         "logging.googleapis.com/trace": f"projects/p/traces/{HEX}", "logging.googleapis.com/spanId": SPAN},
        LogRecord(TRACE_ID, SPAN_ID, NOON, "ERROR", "m"),
    ),
    "datadog": (
        {"dd": {"trace_id": str(0xD269B633813FC60C), "span_id": str(SPAN_ID), "service": "shop"}, "message": "m"},
        LogRecord(0xD269B633813FC60C, SPAN_ID, 0, "", "m", {}, "shop"),
    ),
    "structlog": (
        {"event": "paid", "level": "info", "timestamp": "2026-01-01T12:00:00.000001Z", "trace_id": HEX, "amount": 1.5},
        LogRecord(TRACE_ID, 0, NOON + 1000, "INFO", "paid", {"amount": 1.5}),
    ),
    "loguru": (
        {"text": "12 | m", "record": {"extra": {"trace_id": HEX, "span_id": SPAN}, "message": "m",
         "level": {"name": "INFO", "no": 20}, "time": {"repr": "2026", "timestamp": NOON / 1e9}}},
        LogRecord(TRACE_ID, SPAN_ID, NOON, "INFO", "m",
                  {"text": "12 | m", "record.level.no": 20, "record.time.repr": "2026"}),
    ),
    "pino": (
        {"level": 50, "time": NOON // 1_000_000, "pid": 1, "traceId": HEX, "spanId": SPAN, "msg": "m"},
        LogRecord(TRACE_ID, SPAN_ID, NOON, "ERROR", "m", {"pid": 1}),
    ),
    "zap": (
        {"level": "debug", "ts": NOON / 1e9 + 0.25, "msg": "m", "TraceID": HEX.upper()},
        LogRecord(TRACE_ID, 0, NOON + 250_000_000, "DEBUG", "m"),
    ),
    "jaeger_short": (
        {"trace_id": "1f", "span_id": "a", "msg": "m", "ts": NOON // 1000},
        LogRecord(0x1F, 0xA, NOON, "", "m"),
    ),
    "uber_header": (
        {"uber-trace-id": "1f:a:0:1", "msg": "m"},
        LogRecord(0x1F, 0xA, 0, "", "m"),
    ),
    "traceparent": (
        {"traceparent": f"00-{HEX}-{SPAN}-01", "msg": "m"},
        LogRecord(TRACE_ID, SPAN_ID, 0, "", "m"),
    ),
    "uuid": (
        {"trace_id": f"{HEX[:8]}-{HEX[8:12]}-{HEX[12:16]}-{HEX[16:20]}-{HEX[20:]}", "msg": {"a": [1]}},
        LogRecord(TRACE_ID, 0, 0, "", "", {"msg.a": [1]}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_records_of_each_library_are_read(name: str) -> None:
    fields, expected = LINES[name]
    assert only(**fields) == expected


@pytest.mark.parametrize("role", ["trace id", "time", "severity", "message"])
def test_every_name_of_a_role_is_read(role: str) -> None:
    written = {"trace id": HEX, "time": NOON, "severity": "info", "message": "hello"}[role]
    wanted = {"trace id": TRACE_ID, "time": NOON, "severity": "INFO", "message": "hello"}[role]
    for name in NAMES[role]:
        record = only(**{"trace_id": HEX, name: written} if role != "trace id" else {name: written})
        found = (record.trace_id, record.time_ns, record.severity, record.body)
        assert (name, found[("trace id", "time", "severity", "message").index(role)]) == (name, wanted)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-01-01T12:00:00Z", NOON),
        ("2026-01-01 12:00:00.123456789Z", NOON + 123_456_789),
        ("2026-01-01T07:00:00-0500", NOON),
        ("2026-01-01T17:30:00+05:30", NOON),
        ("20260101T120000Z", NOON),
        ("2026-01-01T11:59:60Z", NOON),
        (NOON, NOON),
        (NOON // 1000, NOON),
        (NOON // 1_000_000, NOON),
        (NOON // 1_000_000_000, NOON),
        (NOON / 1e9, NOON),
        (f"{NOON // 10**9}.000000123", NOON + 123),
        (f"{NOON // 10**6}.5", NOON + 500_000),
        ("yesterday", 0),
        ("2026-13-01T12:00:00Z", 0),
        (True, 0),
        (None, 0),
        (-1, 0),
        (float("nan"), 0),
        (float("inf"), 0),
        (10**40, 0),
        ([], 0),
    ],
    ids=str,
)  # fmt: skip
def test_times_are_read_in_every_usual_form(written: Any, expected: int) -> None:
    assert time_ns(written) == (expected, True)


def test_a_time_without_a_zone_is_utc_and_said() -> None:
    assert time_ns("2026-01-01 12:00:00,5") == (NOON + 500_000_000, False)
    line = json.dumps({"trace_id": HEX, "time": "2026-01-01 12:00:00"}).encode()
    assert list(read_log_lines(line).notes) == ["1 time without a zone, read as UTC"]


def test_what_is_left_out_is_counted_and_said() -> None:
    data = b"\n".join(
        [
            b"Traceback (most recent call last):",
            b"[1, 2]",
            b'{"trace_id": ',
            json.dumps({"msg": "no id"}).encode(),
            json.dumps({"msg": "null id", "trace_id": "0" * 32}).encode(),
            json.dumps({"msg": "python without a span", "otelTraceID": "0", "otelSpanID": "0"}).encode(),
            json.dumps({"msg": "good", "trace_id": HEX, "time": "soon"}).encode(),
            b"",
        ]
    )
    found = read_log_lines(b"\xef\xbb\xbf" + data)
    assert [record.body for record in found.records] == ["good"]
    assert list(found.notes) == [
        "3 lines of 7 left out: no JSON object",
        "3 records left out: without a trace id",
        "1 record without a time that can be read",
    ]


def test_a_line_of_megabytes_and_one_nested_deeply_are_left_out() -> None:
    deep = b'{"trace_id": "' + HEX.encode() + b'", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    long = json.dumps({"trace_id": HEX, "msg": "x" * (1 << 20)}).encode()
    assert list(read_log_lines(deep + b"\n" + long).notes) == ["2 lines of 2 left out: no JSON object"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from([name for names in NAMES.values() for name in names]) | st.text(max_size=4)


@given(st.lists(st.dictionaries(FIELDS, JSON, max_size=6), max_size=4))
def test_any_objects_are_read_or_counted(objects: list[dict[str, Any]]) -> None:
    found = read_log_lines("\n".join(map(json.dumps, objects)).encode())
    assert len(found.records) <= len(objects)
    for record in found.records:
        assert 0 < record.trace_id < 1 << 128
        assert 0 <= record.span_id < 1 << 64
        assert 0 <= record.time_ns < 1 << 64


@given(st.binary(max_size=200))
def test_any_bytes_are_read(data: bytes) -> None:
    read_log_lines(b'{"trace_id": ' + data)
