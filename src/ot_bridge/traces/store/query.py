"""What can be asked of the store, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

__all__ = ["Found", "Order", "Point", "Query", "Stats", "Summary"]

Order: TypeAlias = Literal["newest", "longest", "most spans", "most errors"]


@dataclass(frozen=True)
class Query:
    """A search for traces. What is not given does not matter; what is given must hold.

    Attributes:
        service: some span is of this service.
        operation: some span of that service, when there is one, has this name.
        tags: some span has this attribute with this text as its value, for each pair; the resource's count too.
        text: some span's name or service contains it, whatever the case.
        min_ns: shortest duration of the trace.
        max_ns: longest.
        errors: True: some span failed; False: none did.
        from_ns: the trace began at this time or later.
        to_ns: it began before this time.
        order: how the traces are sorted.
        limit: how many are returned.
        offset: how many are left out before.
    """

    service: str = ""
    operation: str = ""
    tags: Sequence[tuple[str, str]] = ()
    text: str = ""
    min_ns: int | None = None
    max_ns: int | None = None
    errors: bool | None = None
    from_ns: int | None = None
    to_ns: int | None = None
    order: Order = "newest"
    limit: int = 20
    offset: int = 0


class Summary(NamedTuple):
    """A trace as a row of a list.

    Attributes:
        root_service: of the root that has no parent; `""` while it has not arrived.
        services: the number of spans of each service, of the first 1,000.
        start_ns: of the first span that came, in whatever version of it; so `duration_ns`.
        duration_ns: from the first start to the last end.
        errors: how many spans failed.
        received_ns: when its last span arrived.
    """

    trace_id: int
    root_service: str
    root_name: str
    start_ns: int
    duration_ns: int
    spans: int
    errors: int
    services: Mapping[str, int]
    received_ns: int


class Found(NamedTuple):
    """The answer to a query.

    Attributes:
        traces: the rows that were asked for.
        total: how many traces match.
        exact: False when counting stopped at a limit of number or time: there are at least `total`. Without any traces
            the search itself took too long.
    """

    traces: Sequence[Summary]
    total: int
    exact: bool = True


class Point(NamedTuple):
    """A trace as a point of a scatter of durations."""

    trace_id: int
    start_ns: int
    duration_ns: int
    errors: int


class Stats(NamedTuple):
    """What the store holds.

    Attributes:
        bytes: of the database and its log.
        oldest_ns: when the first trace that is kept began, None without one.
        deleted_spans: how many spans retention has deleted.
    """

    spans: int
    traces: int
    logs: int
    bytes: int
    oldest_ns: int | None
    newest_ns: int | None
    deleted_spans: int
