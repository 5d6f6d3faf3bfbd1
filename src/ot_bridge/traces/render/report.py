"""One trace and what was found in it as JSON for programs: stable names, documented in docs/trace.md. Pure.

Within one version new names may come; those that are here keep their meaning.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ot_bridge.traces.analyse import Analysis, Finding
from ot_bridge.traces.analyse.blocking import is_blocking
from ot_bridge.traces.instrumentation import hop, producer
from ot_bridge.traces.model import ENTRIES, LogRecord, Value
from ot_bridge.traces.tree import Trace

__all__ = ["VERSION", "report", "time_text"]

VERSION = 1
_SECOND = 1_000_000_000
_LATEST_S = 253_402_300_799


def report(trace: Trace, analysis: Analysis) -> dict[str, Any]:
    """Return a trace, its findings and its spans as plain data that JSON can hold."""
    by_span: dict[int | None, list[LogRecord]] = {}
    for record in trace.logs:
        by_span.setdefault(trace.index_of(record.span_id), []).append(record)
    start_ns = trace.start_ns
    return {
        "trace": _summary(trace, analysis),
        "findings": [_finding(trace, finding) for finding in analysis.findings],
        "spans": [_span(trace, analysis, index, by_span.get(index, ()), start_ns) for index in range(len(trace))],
        "logs": [_log(record, start_ns) for record in by_span.get(None, ())],
    }


def _summary(trace: Trace, analysis: Analysis) -> dict[str, Any]:
    return {
        "trace_id": f"{trace.trace_id:032x}",
        "trace_ids": [f"{one:032x}" for one in trace.trace_ids],
        "root": _named(trace, trace.root) if trace.root >= 0 else None,
        "start": time_text(trace.start_ns),
        "duration_ns": trace.duration_ns,
        "spans": len(trace),
        "errors": len(analysis.reading.errors),
        "services": dict(sorted(Counter(span.service for span in trace.spans).items())),
        "notes": [{"kind": note.kind, **_named(trace, note.span)} for note in trace.notes],
    }


def _finding(trace: Trace, finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "verdict": finding.verdict,
        "severity": finding.severity,
        "certainty": finding.certainty,
        "service": finding.service,
        "text": finding.text,
        "advice": finding.advice,
        "numbers": {name: _plain(value) for name, value in finding.numbers.items()},
        "spans": [_named(trace, index) for index in finding.spans],
    }


def _named(trace: Trace, index: int) -> dict[str, Any]:
    span = trace.spans[index]
    return {"index": index, "span_id": f"{span.span_id:016x}", "service": span.service, "name": span.name}


def _span(trace: Trace, analysis: Analysis, index: int, logs: Sequence[LogRecord], start_ns: int) -> dict[str, Any]:
    span, above, reading = trace.spans[index], trace.parents[index], analysis.reading
    parent = trace.spans[above] if above >= 0 else None
    made_by, error = producer(span), reading.errors.get(index)
    carried = hop(span, parent) if span.kind in ENTRIES and span.parent_id else None
    return {
        **_named(trace, index),
        "trace_id": f"{span.trace_id:032x}",
        "parent": above if above >= 0 else None,
        "parent_id": f"{span.parent_id:016x}" if span.parent_id else None,
        "depth": trace.depths[index],
        "kind": span.kind,
        "start": time_text(span.start_ns),
        "offset_ns": span.start_ns - start_ns,
        "duration_ns": span.duration_ns,
        "self_ns": reading.self_ns[index],
        "critical_ns": reading.path.own_ns.get(index, 0),
        "waited_for": parent is None or is_blocking(parent, span),
        "status": span.status,
        "message": span.message,
        "error": None if error is None else {"sign": error.sign, "message": error.message},
        "producer": {"library": made_by.library, "version": made_by.version, "world": made_by.world},
        "hop": None
        if carried is None
        else {"header": carried.followed, "arrived": list(carried.arrived), "certainty": carried.certainty},
        "scope": {"name": span.scope.name, "version": span.scope.version},
        "attributes": _mapping(span.attributes),
        "resource": _mapping(span.resource.attributes),
        "events": [
            {
                "offset_ns": event.time_ns - start_ns,
                "name": event.name,
                "attributes": _mapping(event.attributes),
            }
            for event in span.events
        ],
        "links": [
            {
                "trace_id": f"{link.trace_id:032x}",
                "span_id": f"{link.span_id:016x}",
                "attributes": _mapping(link.attributes),
            }
            for link in span.links
        ],
        "logs": [_log(record, start_ns) for record in logs],
        "dropped": dict(zip(("attributes", "events", "links"), span.dropped, strict=True)),
        "via": span.via,
    }


def _log(record: LogRecord, start_ns: int) -> dict[str, Any]:
    return {
        "span_id": f"{record.span_id:016x}" if record.span_id else None,
        "offset_ns": record.time_ns - start_ns if record.time_ns else None,
        "severity": record.severity,
        "body": _plain(record.body),
        "attributes": _mapping(record.attributes),
        "service": record.service,
    }


def _mapping(values: Mapping[str, Value]) -> dict[str, Any]:
    return {key: _plain(value) for key, value in values.items()}


def _plain(value: Value) -> Any:
    """Make a value that JSON can hold: bytes as hex, what is no number as text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return _mapping(value)
    return value


def time_text(time_ns: int) -> str:
    """Write a time as ISO 8601 in UTC, with nine digits of its second."""
    seconds, rest = divmod(time_ns, _SECOND)
    moment = datetime.fromtimestamp(min(seconds, _LATEST_S), timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
