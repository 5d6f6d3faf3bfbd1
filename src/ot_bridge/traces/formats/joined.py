"""Spans and log records put together by their trace ids, whatever file they came from. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from ot_bridge.traces.model import LogRecord, Span
from ot_bridge.traces.tree import Trace

__all__ = ["join", "matching"]

_LOW = (1 << 64) - 1
_DIGITS = frozenset("0123456789abcdef")


def join(spans: Iterable[Span], logs: Iterable[LogRecord] = ()) -> tuple[list[Trace], int]:
    """Make the traces of some spans, by their start, and count the log records that belong to none of them.

    An old service cuts a trace id to 64 bits: its spans and records belong to the trace with these low 64 bits, when
    there is one alone, and the spans ran while it did.
    """
    by_id: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        by_id[span.trace_id].append(span)
    whole: dict[int, list[int]] = defaultdict(list)
    for trace_id in by_id:
        if trace_id > _LOW:
            whole[trace_id & _LOW].append(trace_id)
    for trace_id in [one for one in by_id if one <= _LOW]:
        candidates = whole.get(trace_id, ())
        if len(candidates) == 1 and _overlap(by_id[trace_id], by_id[candidates[0]]):
            by_id[candidates[0]] += by_id.pop(trace_id)
    records: dict[int, list[LogRecord]] = defaultdict(list)
    lost = 0
    for record in logs:
        candidates = whole.get(record.trace_id & _LOW, ())
        if record.trace_id in by_id:
            records[record.trace_id].append(record)
        elif record.trace_id <= _LOW and len(candidates) == 1:
            records[candidates[0]].append(record)
        else:
            lost += 1
    found = [Trace(group, records.get(trace_id, ())) for trace_id, group in by_id.items()]
    return sorted(found, key=lambda trace: (trace.start_ns, trace.trace_id)), lost


def _overlap(one: Sequence[Span], other: Sequence[Span]) -> bool:
    return _start(one) <= _end(other) and _start(other) <= _end(one)


def _start(spans: Sequence[Span]) -> int:
    return min(span.start_ns for span in spans)


def _end(spans: Sequence[Span]) -> int:
    return max(max(span.start_ns, span.end_ns) for span in spans)


def matching(wanted: str, trace_ids: Iterable[int]) -> list[int]:
    """Find the trace ids that a person can mean: the id, in 64 or 128 bits, or how it begins, with zeros or without.

    Args:
        wanted: hex digits; nothing matches other text.
        trace_ids: those that there are.
    """
    digits = wanted.strip().lower().removeprefix("0x")
    if not digits or not _DIGITS.issuperset(digits) or len(digits) > 32:
        return []
    number = int(digits, 16)
    known = list(trace_ids)
    exact = [one for one in known if one == number]
    if exact or len(digits) == 32:
        return exact or [one for one in known if number and number & _LOW == one & _LOW and min(number, one) <= _LOW]
    same_low = [one for one in known if len(digits) >= 15 and one & _LOW == number]
    return same_low or [one for one in known if f"{one:032x}".startswith(digits) or f"{one:x}".startswith(digits)]
