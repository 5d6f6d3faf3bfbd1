"""Spans and traces made by hand, for tests of what is found in them. Times are in milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ot_bridge.traces.model import Event, Kind, Link, Resource, Scope, Span, Status
from ot_bridge.traces.tree import Trace

__all__ = ["MS", "NOON", "TRACE_ID", "made", "trace"]

MS = 1_000_000
NOON = 1_767_268_800_000_000_000
"""2026-01-01 12:00 UTC, in ns: what `at=0` means."""
TRACE_ID = 0x5B8EFFF798038103D269B633813FC60C


def made(
    name: str,
    span_id: int,
    parent: int = 0,
    *,
    at: float = 0,
    took: float = 10,
    service: str = "shop",
    kind: Kind = "internal",
    status: Status = "unset",
    message: str = "",
    tags: Mapping[str, Any] | None = None,
    resource: Mapping[str, Any] | None = None,
    events: Sequence[Event] = (),
    links: Sequence[Link] = (),
    scope: Scope | None = None,
    trace_id: int = TRACE_ID,
    **more: Any,
) -> Span:
    """Make a span; `resource` is what its process has beside `service.name`."""
    start = NOON + round(at * MS)
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent,
        name=name,
        start_ns=start,
        end_ns=start + round(took * MS),
        kind=kind,
        status=status,
        message=message,
        attributes=dict(tags or {}),
        events=tuple(events),
        links=tuple(links),
        resource=Resource({"service.name": service, **(resource or {})}),
        scope=scope or Scope(),
        **more,
    )


def trace(*spans: Span) -> Trace:
    """Make a trace."""
    return Trace(spans)
