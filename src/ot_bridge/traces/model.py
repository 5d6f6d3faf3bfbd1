"""A span as plain immutable data, whatever tracer made it and by whatever protocol it came. Pure.

Times are integers: nanoseconds since 1970, durations in nanoseconds. Ids are integers, 0 is none; 64-bit trace ids have
zeros above.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias

__all__ = ["CALLERS", "ENTRIES", "Event", "Kind", "Link", "LogRecord", "Resource", "Scope", "Span", "Status", "Value"]

Value: TypeAlias = "str | bool | int | float | bytes | list[Value] | dict[str, Value] | None"
Kind: TypeAlias = Literal["unspecified", "internal", "server", "client", "producer", "consumer"]
Status: TypeAlias = Literal["unset", "ok", "error"]

CALLERS = ("client", "producer")
"""The kinds whose children may be in another process."""
ENTRIES = ("server", "consumer")
"""The kinds that a process is entered by."""


class Scope(NamedTuple):
    """The library that called the tracer."""

    name: str = ""
    version: str = ""


_NO_SCOPE = Scope()


class Event(NamedTuple):
    """OpenTelemetry's event, OpenTracing's log, Zipkin's annotation."""

    time_ns: int
    name: str
    attributes: Mapping[str, Value] = {}
    dropped: int = 0
    """Attributes that the sender's limits dropped."""


class Link(NamedTuple):
    """Another span that is named beside the parent."""

    trace_id: int
    span_id: int
    attributes: Mapping[str, Value] = {}
    trace_state: str = ""


@dataclass(frozen=True, eq=False)
class Resource:
    """The process, or what else, that spans come from. One object for all spans that arrived with it."""

    attributes: Mapping[str, Value] = field(default_factory=dict)

    @cached_property
    def service(self) -> str:
        """The service's name; `unknown` when there is none."""
        return str(self.attributes.get("service.name") or "unknown")


@dataclass(frozen=True, eq=False, slots=True)
class Span:
    """One finished span.

    Attributes:
        parent_id: 0 for a root.
        message: the text of the status; `""` when there is none.
        dropped: what the sender's limits dropped: attributes, events, links.
        flags: W3C's trace flags.
        via: the protocol that it came by: `otlp`, `jaeger` or `zipkin`.
    """

    trace_id: int
    span_id: int
    parent_id: int
    name: str
    start_ns: int
    end_ns: int
    kind: Kind = "unspecified"
    status: Status = "unset"
    message: str = ""
    attributes: Mapping[str, Value] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()
    resource: Resource = field(default_factory=Resource)
    scope: Scope = _NO_SCOPE
    trace_state: str = ""
    flags: int = 0
    dropped: tuple[int, int, int] = (0, 0, 0)
    via: str = "otlp"

    @property
    def service(self) -> str:
        """The service's name; `unknown` when there is none."""
        return self.resource.service

    @property
    def duration_ns(self) -> int:
        """Never below 0, whatever the two times say."""
        return max(0, self.end_ns - self.start_ns)

    @property
    def title(self) -> str:
        """Service and name, as a sentence names a span."""
        return f"{self.service} {self.name!r}"


class LogRecord(NamedTuple):
    """A log record that carries the ids of a span.

    Attributes:
        severity: its text, such as `WARN`; `""` when there is none.
    """

    trace_id: int
    span_id: int
    time_ns: int
    severity: str
    body: Value
    attributes: Mapping[str, Value] = {}
    service: str = ""
