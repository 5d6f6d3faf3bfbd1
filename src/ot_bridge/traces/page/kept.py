"""What the page asks of the store. `ot_bridge.traces.store` answers it; a test may answer it with less."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Protocol

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from ot_bridge.traces.analyse.entry import Entry
from ot_bridge.traces.picture.scatter import Point
from ot_bridge.traces.store.query import Found, Query
from ot_bridge.traces.tree import Trace

__all__ = ["Kept"]


class Kept(Protocol):
    """The part of the store that is read here. Called from any thread."""

    def trace(self, trace_id: int) -> Trace | None:
        """Return a trace with its logs, None when there is none."""

    def ids(self, prefix: str) -> Sequence[int]:
        """Return the ids that begin so, and those whose 64-bit form does."""

    def raw(self, trace_id: int) -> Sequence[ResourceSpans]:
        """Return a trace's spans as they are kept."""

    def search(self, query: Query) -> Found:
        """Return the traces that match."""

    def traces(self, query: Query) -> Iterable[Trace]:
        """Return the traces that match, each whole."""

    def entries(
        self, *, service: str = "", from_ns: int | None = None, to_ns: int | None = None, limit: int = ...
    ) -> Sequence[Entry]:
        """Return the requests that services were entered by, the newest first."""

    def scatter(self, query: Query) -> Sequence[Point]:
        """Return start, duration and errors of those that match, a sample of at most 2,000."""

    def services(self) -> Sequence[str]:
        """Return the names of all services, sorted."""

    def operations(self, service: str) -> Sequence[str]:
        """Return the names of a service's spans, sorted."""

    def version(self) -> Hashable:
        """Return something that is another one whenever there is something new."""
