"""Rate, errors and duration per operation (seeing.md 1.10). Pure.

What was *seen* and what is *estimated* from the samplers' marks are two figures and are never added together. The
percentiles are of the durations that were seen, each one exact.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from ot_bridge.traces.analyse.entry import Entry, is_entry, operation_of, weight_of
from ot_bridge.traces.analyse.errors import error_mark
from ot_bridge.traces.fleet.statistics import quantile
from ot_bridge.traces.tree import Trace

__all__ = ["FEWEST_FOR_P99", "Operation", "Rate", "entries_of", "in_period", "rates", "span_of", "weight_of"]

FEWEST_FOR_P99 = 100
"""Below this many samples a 99th percentile is the largest value or nearly, and is not given."""

Operation: TypeAlias = tuple[str, str]
"""A service, and the name of what it does."""


class Rate(NamedTuple):
    """One operation in a period.

    Attributes:
        seen: requests that are there.
        estimated: requests that these stand for, by the marks of their samplers; as many as seen when there are none.
        weighted: how many of those seen have such a mark.
        errors: of those seen, how many failed.
        estimated_errors: of those estimated.
        seconds: the length of the period, 0.0 when it has none: then there is no rate.
        p99_ns: None below 100 requests.
        slowest: the trace of the longest one.
        failed: the trace of the longest one that failed, None when none did.
    """

    service: str
    operation: str
    kinds: Sequence[str]
    seen: int
    estimated: float
    weighted: int
    errors: int
    estimated_errors: float
    seconds: float
    p50_ns: float
    p90_ns: float
    p95_ns: float
    p99_ns: float | None
    slowest: int
    failed: int | None

    @property
    def per_second(self) -> float | None:
        """Requests seen per second, None without a period."""
        return self.seen / self.seconds if self.seconds else None

    @property
    def estimated_per_second(self) -> float | None:
        """Requests estimated per second, None without a period."""
        return self.estimated / self.seconds if self.seconds else None

    @property
    def error_share(self) -> float:
        """Of those seen the share that failed, 0 to 1."""
        return self.errors / self.seen


def entries_of(traces: Iterable[Trace]) -> list[Entry]:
    """Take the requests to services out of traces, as the store does for those that it keeps."""
    found = list[Entry]()
    for trace in traces:
        root = trace.spans[trace.root] if len(trace) else None
        for index, span in enumerate(trace.spans):
            parent = trace.parents[index]
            if is_entry(span, trace.spans[parent] if parent >= 0 else None):
                found.append(
                    Entry(
                        span.trace_id,
                        span.service,
                        operation_of(span),
                        span.kind,
                        span.start_ns,
                        span.duration_ns,
                        error_mark(span) is not None,
                        weight_of(span, root),
                    )
                )
    return found


def in_period(entries: Iterable[Entry], from_ns: int, to_ns: int) -> list[Entry]:
    """Keep the requests that began at `from_ns` or later and before `to_ns`."""
    return [entry for entry in entries if from_ns <= entry.start_ns < to_ns]


def span_of(entries: Sequence[Entry]) -> tuple[int, int]:
    """Return the period of some requests: from the first start to just after the last one; 0, 0 of none."""
    if not entries:
        return 0, 0
    return min(entry.start_ns for entry in entries), max(entry.start_ns for entry in entries) + 1


def rates(entries: Iterable[Entry], seconds: float = 0.0) -> list[Rate]:
    """Count the requests of each operation.

    Args:
        entries: requests of one period.
        seconds: its length, 0.0 when it is not known.

    Returns:
        One row for each service and operation, the service's most asked one first.
    """
    groups: dict[Operation, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[entry.service, entry.operation].append(entry)
    found = [_rate(service, operation, group, seconds) for (service, operation), group in groups.items()]
    found.sort(key=lambda rate: (rate.service, -rate.estimated, rate.operation))
    return found


def _rate(service: str, operation: str, group: Sequence[Entry], seconds: float) -> Rate:
    ordered = sorted(entry.duration_ns for entry in group)
    failed = [entry for entry in group if entry.error]
    return Rate(
        service=service,
        operation=operation,
        kinds=sorted({entry.kind for entry in group}),
        seen=len(group),
        estimated=_sum(group),
        weighted=sum(entry.weight != 1 for entry in group),
        errors=len(failed),
        estimated_errors=_sum(failed),
        seconds=seconds,
        p50_ns=quantile(ordered, 0.5),
        p90_ns=quantile(ordered, 0.9),
        p95_ns=quantile(ordered, 0.95),
        p99_ns=quantile(ordered, 0.99) if len(ordered) >= FEWEST_FOR_P99 else None,
        slowest=_longest(group),
        failed=_longest(failed) if failed else None,
    )


def _sum(group: Iterable[Entry]) -> float:
    # Sorted, so that the sum does not depend on the order in which requests arrived.
    return float(sum(sorted(entry.weight for entry in group)))


def _longest(group: Iterable[Entry]) -> int:
    return max(group, key=lambda entry: (entry.duration_ns, -entry.trace_id)).trace_id
