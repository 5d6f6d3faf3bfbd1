"""What must hold for a span or a log record of OTLP, in whatever encoding it came; what does not is left out. Pure.

Source: the field comments of opentelemetry-proto's `trace.proto` and `logs.proto`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from ot_bridge.traces.formats.decoded import Decoded
from ot_bridge.traces.formats.writing import LATEST_NS

__all__ = ["LONGEST_TEXT", "OtlpError", "Problems", "checked_logs", "checked_spans", "cut"]

LONGEST_TEXT: Final = 1 << 16
"""Characters, or bytes, of a text; longer ones are cut."""
_NO_TRACE: Final = bytes(16)
_NO_SPAN: Final = bytes(8)


class OtlpError(ValueError):
    """A body is no OTLP at all. The text says what was found and what was wanted."""


class Problems:
    """What was wrong with spans or log records: how many there were, and the last one's text."""

    def __init__(self) -> None:
        self.count = 0
        self.last = ""

    def add(self, text: str, count: int = 1) -> None:
        """Count spans or records that are left out."""
        if count:
            self.count += count
            self.last = text


def checked_spans(
    batches: Iterable[ResourceSpans], problems: Problems | None = None, noted: Counter[str] | None = None
) -> Decoded:
    """Take the bad spans out of some batches, in place, and set right what can be.

    Args:
        batches: as they were decoded; those that have no span left are not returned.
        problems: of the spans that could not be decoded.
        noted: what was noted while decoding.
    """
    noted = Counter() if noted is None else noted
    problems = problems or Problems()
    kept = []
    for batch in batches:
        found = 0
        for group in batch.scope_spans:
            bad = [at for at, span in enumerate(group.spans) if not _is_good(span, problems, noted)]
            for at in reversed(bad):
                del group.spans[at]
            found += len(group.spans)
        if found:
            _settle_group(batch, noted)
            kept.append(batch)
    return Decoded(kept, problems.count, problems.last, (), noted)


def _is_good(span: Any, problems: Problems, noted: Counter[str]) -> bool:
    trace_id, span_id, parent_id = span.trace_id, span.span_id, span.parent_span_id
    if len(trace_id) != 16 or trace_id == _NO_TRACE:
        problems.add(_wrong_id(span.name, "trace id", trace_id, 16))
    elif len(span_id) != 8 or span_id == _NO_SPAN:
        problems.add(_wrong_id(span.name, "span id", span_id, 8))
    elif parent_id and len(parent_id) != 8:
        problems.add(_wrong_id(span.name, "parent span id", parent_id, 8))
    else:
        _settle(span, noted)
        return True
    return False


def _wrong_id(name: str, what: str, found: bytes, size: int) -> str:
    got = f"{len(found)} bytes" if len(found) != size else "only zeros"
    return f"span {name[:60]!r}: got a {what} of {got}, expected {size} bytes that are not all zero"


def _settle(span: Any, noted: Counter[str]) -> None:
    if span.start_time_unix_nano > LATEST_NS or span.end_time_unix_nano > LATEST_NS:
        noted["times beyond the year 2262"] += 1
        span.start_time_unix_nano = min(span.start_time_unix_nano, LATEST_NS)
        span.end_time_unix_nano = min(span.end_time_unix_nano, LATEST_NS)
    if span.links:
        bad = [at for at, link in enumerate(span.links) if not _is_good_link(link)]
        for at in reversed(bad):
            del span.links[at]
        if bad:
            noted["links with a wrong id, left out"] += len(bad)
            span.dropped_links_count = min(span.dropped_links_count + len(bad), (1 << 32) - 1)
    for event in span.events:
        event.time_unix_nano = min(event.time_unix_nano, LATEST_NS)
    if span.ByteSize() > LONGEST_TEXT:
        _cut_texts(span, noted)


def _is_good_link(link: Any) -> bool:
    trace_id, span_id = link.trace_id, link.span_id
    return len(trace_id) == 16 and trace_id != _NO_TRACE and len(span_id) == 8 and span_id != _NO_SPAN


def _settle_group(batch: Any, noted: Counter[str]) -> None:
    if batch.resource.ByteSize() > LONGEST_TEXT:
        _cut_texts(batch.resource, noted)


# -- log records -------------------------------------------------------------------------------------------------------


def checked_logs(
    batches: Iterable[ResourceLogs], problems: Problems | None = None, noted: Counter[str] | None = None
) -> Decoded:
    """Take the bad log records out of some batches, in place, as with spans; ids may be absent."""
    noted = Counter() if noted is None else noted
    problems = problems or Problems()
    kept = []
    for batch in batches:
        found = 0
        for group in batch.scope_logs:
            bad = [at for at, record in enumerate(group.log_records) if not _is_good_record(record, problems)]
            for at in reversed(bad):
                del group.log_records[at]
            found += len(group.log_records)
            for record in group.log_records:
                record.time_unix_nano = min(record.time_unix_nano, LATEST_NS)
                record.observed_time_unix_nano = min(record.observed_time_unix_nano, LATEST_NS)
                if record.ByteSize() > LONGEST_TEXT:
                    _cut_texts(record, noted)
        if found:
            _settle_group(batch, noted)
            kept.append(batch)
    return Decoded([], problems.count, problems.last, kept, noted)


def _is_good_record(record: Any, problems: Problems) -> bool:
    for what, found, size in (("trace id", record.trace_id, 16), ("span id", record.span_id, 8)):
        if found and len(found) != size:
            problems.add(f"log record: got a {what} of {len(found)} bytes, expected {size} or none")
            return False
    return True


# -- texts -------------------------------------------------------------------------------------------------------------


def cut(value: str | bytes) -> str | bytes:
    """Return at most `LONGEST_TEXT` of a text or bytes; a text says how long it was."""
    if isinstance(value, bytes):
        return value[:LONGEST_TEXT]
    how_long = f"... ({len(value):,} characters)"
    return value[: LONGEST_TEXT - len(how_long)] + how_long


def _cut_texts(message: Any, noted: Counter[str]) -> None:
    """Cut the long texts of a message and of what is in it, whatever its type."""
    for field, value in message.ListFields():
        if isinstance(value, (str, bytes)):
            if len(value) > LONGEST_TEXT:
                setattr(message, field.name, cut(value))
                noted["texts cut"] += 1
        elif isinstance(value, (bool, int, float)):
            continue
        elif hasattr(value, "ListFields"):
            _cut_texts(value, noted)
        else:
            for one in value:
                if hasattr(one, "ListFields"):
                    _cut_texts(one, noted)
