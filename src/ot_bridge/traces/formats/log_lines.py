"""Log files of JSON lines whose records carry the ids of a span, under the names that log libraries use. Pure.

The names are those of OpenTelemetry's log data model and of the logging instrumentation of its Python SDK, of the
Elastic Common Schema, Google Cloud Logging, Datadog, python-json-logger, structlog, loguru, pino and zap.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from ot_bridge.traces.model import LogRecord, Value
from ot_bridge.traces.words import plural, text

__all__ = ["NAMES", "LogLines", "read_log_lines", "time_ns"]

NAMES: Mapping[str, Sequence[str]] = {
    "trace id": ("trace_id", "traceId", "otelTraceID", "trace.id", "dd.trace_id", "logging.googleapis.com/trace"),
    "span id": ("span_id", "spanId", "otelSpanID", "span.id", "dd.span_id", "logging.googleapis.com/spanId"),
    "both ids": ("traceparent", "uber-trace-id"),
    "time": ("timestamp", "@timestamp", "time", "ts", "asctime", "datetime", "timeUnixNano", "created", "date", "t"),
    "severity": ("severity_text", "severity", "levelname", "level.name", "log.level", "level", "loglevel", "lvl"),
    "message": ("message", "msg", "body", "event", "@message", "log", "text"),
    "service": ("service.name", "otelServiceName", "dd.service", "service"),
}
"""What a field is called, the better name first. Case, `_`, `-`, `.` and what it is nested in do not matter."""

_LONGEST_LINE = 1 << 20
_DEPTH = 4
_SKIP = re.compile(r"[^a-z0-9@/]")
_HEX = re.compile(r"(?:0x)?[0-9a-f]{1,32}")
_ISO = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)[T ](\d\d):?(\d\d):?(\d\d)(?:[.,](\d{1,12}))?\s*(Z|UTC|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)
_NUMBER = re.compile(r"\d{1,20}(?:\.\d{1,12})?", re.ASCII)
# The numbers of pino and bunyan; Python's own come with their name.
_LEVELS = {10: "TRACE", 20: "DEBUG", 30: "INFO", 40: "WARN", 50: "ERROR", 60: "FATAL"}
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_SECOND = 1_000_000_000


class LogLines(NamedTuple):
    """What a file of log lines holds.

    Attributes:
        records: those that name a trace, in the order of the file.
        notes: sentences on lines that were left out, and on what had to be assumed.
    """

    records: Sequence[LogRecord]
    notes: Sequence[str]


def read_log_lines(data: bytes) -> LogLines:
    """Read a file of JSON lines. Nothing in it makes this raise."""
    counts: Counter[str] = Counter()
    records = [record for record in (_record(line, counts) for line in _lines(data)) if record is not None]
    notes = []
    if number := counts["not JSON"]:
        notes.append(f"{plural(number, 'line')} of {number + counts['JSON']} left out: no JSON object")
    if number := counts["no id"]:
        notes.append(f"{plural(number, 'record')} left out: without a trace id")
    if number := counts["no time"]:
        notes.append(f"{plural(number, 'record')} without a time that can be read")
    if number := counts["no zone"]:
        notes.append(f"{plural(number, 'time')} without a zone, read as UTC")
    return LogLines(records, notes)


def _lines(data: bytes) -> Iterator[bytes]:
    return (line for line in data.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip())


def _record(line: bytes, counts: Counter[str]) -> LogRecord | None:
    found: Any = None
    if len(line) <= _LONGEST_LINE and line.lstrip()[:1] == b"{":
        with suppress(ValueError, RecursionError):
            found = json.loads(line)
    if not isinstance(found, dict):
        counts["not JSON"] += 1
        return None
    counts["JSON"] += 1
    fields = dict(_flat(found, ()))
    named = _roles(fields)
    trace_id, span_id = _ids(named, fields)
    if not trace_id:
        counts["no id"] += 1
        return None
    when, zoned = time_ns(fields.get(named.get("time", ())))
    counts["no time"] += not when
    counts["no zone"] += not zoned
    roles = set(named.values())
    return LogRecord(
        trace_id=trace_id,
        span_id=span_id,
        time_ns=when,
        severity=_severity(fields.get(named.get("severity", ()))),
        body=fields.get(named.get("message", ()), ""),
        attributes={".".join(path): value for path, value in fields.items() if path not in roles},
        service=text(fields.get(named.get("service", ()), "")),
    )


_Path = tuple[str, ...]


def _flat(value: Mapping[str, Any], above: _Path) -> Iterator[tuple[_Path, Value]]:
    """Yield what is in nested objects by its path; lists stay whole."""
    for key, inner in value.items():
        path = (*above, key)
        if isinstance(inner, dict) and inner and len(path) < _DEPTH:
            yield from _flat(inner, path)
        else:
            yield path, inner


def _roles(fields: Iterable[_Path]) -> dict[str, _Path]:
    """Find the field for each role: the best name, and of equal ones the least nested."""
    best: dict[str, tuple[tuple[int, int], _Path]] = {}
    for path in fields:
        for length in range(1, len(path) + 1):
            for role, rank in _RANKS.get(_plain("".join(path[-length:])), ()):
                place = (rank, len(path) - length)
                if role not in best or place < best[role][0]:
                    best[role] = (place, path)
    return {role: path for role, (_, path) in best.items()}


def _plain(name: str) -> str:
    return _SKIP.sub("", name.lower())


def _ranks() -> dict[str, list[tuple[str, int]]]:
    found: dict[str, list[tuple[str, int]]] = {}
    for role, names in NAMES.items():
        for rank, name in enumerate(names):
            rows = found.setdefault(_plain(name), [])
            if all(known != role for known, _ in rows):
                rows.append((role, rank))
    return found


_RANKS = _ranks()


def _ids(named: Mapping[str, _Path], fields: Mapping[_Path, Value]) -> tuple[int, int]:
    """Read both ids, each 0 where there is none."""
    if (path := named.get("trace id")) and (trace_id := _id(path, fields[path])):
        span_path = named.get("span id")
        return trace_id, _id(span_path, fields[span_path]) % (1 << 64) if span_path else 0
    if path := named.get("both ids"):
        header = str(fields[path])
        parts = header.split("-")[1:3] if "-" in header else header.replace("%3A", ":").split(":")[:2]
        if len(parts) == 2:
            return _id(path, parts[0]), _id(path, parts[1]) % (1 << 64)
    return 0, 0


def _id(path: _Path, value: Value) -> int:
    """Read an id; 64-bit ids get zeros above. Datadog's are decimal unless they have 128 bits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if 0 < value < 1 << 128 else 0
    if not isinstance(value, str):
        return 0
    digits = value.strip().lower().rpartition("/")[2]
    if "dd" in path and digits.isdecimal() and digits.isascii() and len(digits) <= 20:
        return int(digits)
    if len(digits) == 36:
        digits = digits.replace("-", "")
    return int(digits, 16) if _HEX.fullmatch(digits) else 0


def _severity(value: Value) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return _LEVELS.get(value, str(value))
    return text(value).upper() if value is not None else ""


def time_ns(value: Value) -> tuple[int, bool]:
    """Read a time: ISO 8601, or seconds, milliseconds, microseconds or nanoseconds since 1970, told by their size.

    Returns:
        nanoseconds since 1970, 0 when it cannot be read; False when it has no zone, and UTC was assumed.
    """
    if isinstance(value, str):
        value = value.strip()
        if found := _ISO.fullmatch(value):
            return _iso_ns(found)
        if not _NUMBER.fullmatch(value):
            return 0, True
        whole, _, fraction = value.partition(".")
    elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        whole, fraction = str(value) if value < 1 << 64 else "0", ""
    elif isinstance(value, float) and 0 <= value < 1e20:
        whole, _, fraction = f"{value:.9f}".partition(".")
    else:
        return 0, True
    number = int(whole)
    unit = next((unit for bound, unit in ((10**11, 9), (10**14, 6), (10**17, 3)) if number < bound), 0)
    found_ns = int(whole + fraction.ljust(unit, "0")[:unit])
    return found_ns if found_ns < 1 << 64 else 0, True


def _iso_ns(found: re.Match[str]) -> tuple[int, bool]:
    year, month, day, hour, minute, second = (int(part) for part in found.group(1, 2, 3, 4, 5, 6))
    fraction, zone = found.group(7) or "", (found.group(8) or "").upper()
    offset = timedelta()
    if zone[:1] in ("+", "-"):
        digits = zone[1:].replace(":", "").ljust(4, "0")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:])) * (1 if zone[0] == "+" else -1)
    try:
        # A leap second is the next one.
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=timezone.utc) - offset
    except (ValueError, OverflowError):
        return 0, True
    seconds = (moment - _EPOCH) // timedelta(seconds=1) + max(0, second - 59)
    nanoseconds = seconds * _SECOND + int(fraction.ljust(9, "0")[:9])
    return (nanoseconds, bool(zone)) if 0 < nanoseconds < 1 << 64 else (0, True)
