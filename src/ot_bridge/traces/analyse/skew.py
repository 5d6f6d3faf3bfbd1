"""Clocks that differ: by how much, how surely, and times drawn as if they did not (seeing.md 1.1). Pure.

Only a call gives evidence: a server cannot start before its client nor end after it, so that the offset to add to the
server's clock lies in `[client.start - server.start, client.end - server.end]`. The intervals of all calls between two
clocks are intersected. A whole clock is shifted by one number, never a span.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, TypeAlias

from ot_bridge.traces.analyse.clock import Clock, clock_of
from ot_bridge.traces.analyse.errors import error_mark
from ot_bridge.traces.analyse.finding import Finding
from ot_bridge.traces.analyse.reading import Reading
from ot_bridge.traces.model import Resource, Span
from ot_bridge.traces.tree import Trace
from ot_bridge.traces.words import and_, duration, line, plural

__all__ = ["KEY", "Offset", "aligned", "clock_offsets", "clock_skew"]

KEY = "clock-skew"

# Some tracers round to a millisecond, and a server may close its span a little after its answer was read.
_ROUNDING_NS = 1_000_000
_MOST = 20
_SKEWED = "Trust durations; for the order of spans across these clocks draw aligned times, and set the clock right."
_DRIFTING = "Times are drawn as they were sent: trust durations, not the order of spans across these clocks."


class Offset(NamedTuple):
    """A clock that is known to differ from another one.

    Attributes:
        clock: which.
        reference: the clock that it is compared with.
        offset_ns: what to add to its times; 0 when it is not to be corrected.
        low_ns: the offset is not less; None when nothing bounds it.
        high_ns: the offset is not more; None when nothing bounds it.
        calls: how many of them bound it.
        verdict: `skewed`; `drifting` when no one offset fits all calls, so that nothing is corrected.
        services: that run by this clock.
        reference_services: that run by the other one.
    """

    clock: Clock
    reference: Clock
    offset_ns: int
    low_ns: int | None
    high_ns: int | None
    calls: int
    verdict: Literal["skewed", "drifting"]
    services: tuple[str, ...] = ()
    reference_services: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """One sentence: which clock is behind which, by how much, from how much evidence."""
        name, other = _name(self.clock, self.services), _name(self.reference, self.reference_services)
        calls = plural(self.calls, "call")
        if self.verdict == "drifting":
            return f"the clocks of {name} and {other} differ by no one number ({calls}): they drift, or a call is async"
        way = "behind" if self.offset_ns > 0 else "ahead of"
        size = duration(abs(self.offset_ns))
        if self.low_ns is None or self.high_ns is None:
            return f"{name} is at least {size} {way} {other}, from {calls}"
        half = duration((self.high_ns - self.low_ns + 1) // 2)
        if size.split()[1:] == half.split()[1:]:
            size = size.split()[0]
        return f"{name} is {size} +/- {half} {way} {other}, from {calls}"


_Pair: TypeAlias = tuple[Clock, Clock]


class _Bounds:
    """What the calls between two clocks say of the offset from the first to the second."""

    __slots__ = ("calls", "high", "low")

    def __init__(self) -> None:
        self.low: int | None = None
        self.high: int | None = None
        self.calls = 0

    def add(self, low: int | None, high: int | None) -> None:
        self.calls += 1
        if low is not None:
            self.low = low if self.low is None else max(self.low, low)
        if high is not None:
            self.high = high if self.high is None else min(self.high, high)

    @property
    def width(self) -> int | None:
        return None if self.low is None or self.high is None else self.high - self.low

    @property
    def is_empty(self) -> bool:
        return self.width is not None and self.width < -_ROUNDING_NS

    @property
    def offset(self) -> int:
        """The middle; 0 where the clocks may agree."""
        low, high = self.low, self.high
        if low is not None and low > _ROUNDING_NS:
            return low if high is None else (low + high) // 2
        if high is not None and high < -_ROUNDING_NS:
            return high if low is None else (low + high) // 2
        return 0

    def reversed(self) -> _Bounds:
        other = _Bounds()
        other.low = None if self.high is None else -self.high
        other.high = None if self.low is None else -self.low
        other.calls = self.calls
        return other


class _Place(NamedTuple):
    """What is known of a clock against the reference."""

    reference: Clock
    offset: int = 0
    low: int | None = 0
    high: int | None = 0
    calls: int = 0


def clock_skew(reading: Reading) -> list[Finding]:
    """Say which clocks of a trace differ from that of its root."""
    offsets = sorted(clock_offsets([reading.trace]), key=lambda one: -abs(one.offset_ns))
    evidence = _evidence(reading.trace) if offsets else {}
    found = [_finding(offset, evidence.get(offset.clock, ())) for offset in offsets[:_MOST]]
    if (rest := len(offsets) - _MOST) > 0:
        said = f"{plural(rest, 'other clock')} differ by {duration(abs(offsets[_MOST].offset_ns))} or less"
        found.append(Finding(KEY, said, "likely", "note", (), "more", numbers={"clocks_count": rest}))
    return found


def _finding(offset: Offset, evidence: tuple[int, ...]) -> Finding:
    skewed = offset.verdict == "skewed"
    numbers: dict[str, float | str] = {"offset_ns": offset.offset_ns, "calls_count": offset.calls}
    if offset.low_ns is not None:
        numbers["low_ns"] = offset.low_ns
    if offset.high_ns is not None:
        numbers["high_ns"] = offset.high_ns
    return Finding(
        KEY,
        offset.text,
        # That a server starts before its client is impossible; that it ends after it is not.
        "sure" if (offset.low_ns or 0) > 0 or offset.calls > 1 else "likely",
        "warning" if skewed else "note",
        evidence,
        offset.verdict,
        offset.services[0] if offset.services else "",
        numbers,
        _SKEWED if skewed else _DRIFTING,
    )


def clock_offsets(traces: Iterable[Trace]) -> list[Offset]:
    """Compare the clocks of traces with those of their roots.

    Clocks that may agree are left out: what this returns is empty where all is well. Clocks that no call connects
    with the first root's are compared among themselves.
    """
    bounds = defaultdict[_Pair, _Bounds](_Bounds)
    services = defaultdict[Clock, set[str]](set)
    order = dict[Clock, None]()
    clocks = dict[int, Clock | None]()
    kept: list[Trace] = []
    for trace in traces:
        # Holds the resources, by whose identity their clocks are kept.
        kept.append(trace)
        if trace.root >= 0 and (clock := _clock(trace.spans[trace.root].resource, clocks)) is not None:
            order.setdefault(clock)
        for span in trace.spans:
            if (clock := _clock(span.resource, clocks)) is not None:
                services[clock].add(span.service)
        for client, server, pair in _calls(trace, clocks):
            low, high = _interval(trace.spans[client], trace.spans[server])
            bounds[pair].add(low, high)
    both = _both_ways(bounds)
    order.update(dict.fromkeys(sorted(services)))
    places = _places(both, order)
    names = {clock: tuple(sorted(named)) for clock, named in services.items()}
    found = []
    for clock, place in places.items():
        if place.offset:
            found.append(
                Offset(
                    clock,
                    place.reference,
                    place.offset,
                    place.low,
                    place.high,
                    place.calls,
                    "skewed",
                    names.get(clock, ()),
                    names.get(place.reference, ()),
                )
            )
    rank = {clock: number for number, clock in enumerate(order)}
    for (one, other), bound in both.items():
        if bound.is_empty and rank[one] < rank[other]:
            found.append(
                Offset(
                    other,
                    one,
                    0,
                    bound.low,
                    bound.high,
                    bound.calls,
                    "drifting",
                    names.get(other, ()),
                    names.get(one, ()),
                )
            )
    return found


def aligned(trace: Trace, offsets: Iterable[Offset]) -> list[int]:
    """Return for each span what to add to its times, so that the clocks agree with that of the trace's root."""
    shifts = {offset.clock: offset.offset_ns for offset in offsets if offset.verdict == "skewed"}
    if not shifts or trace.root < 0:
        return [0] * len(trace)
    clocks = dict[int, Clock | None]()
    root = _clock(trace.spans[trace.root].resource, clocks)
    base = shifts.get(root, 0) if root is not None else 0
    found = []
    for span in trace.spans:
        clock = _clock(span.resource, clocks)
        # An unknown clock is unknown, not different.
        found.append(shifts.get(clock, 0) - base if clock is not None else 0)
    return found


def _clock(resource: Resource, known: dict[int, Clock | None]) -> Clock | None:
    key = id(resource)
    if key not in known:
        known[key] = clock_of(resource)
    return known[key]


def _calls(trace: Trace, clocks: dict[int, Clock | None]) -> Iterable[tuple[int, int, _Pair]]:
    for index, parent in enumerate(trace.parents):
        if parent < 0:
            continue
        client, server = trace.spans[parent], trace.spans[index]
        if client.kind != "client" or server.kind != "server":
            continue
        one, other = _clock(client.resource, clocks), _clock(server.resource, clocks)
        if one is None or other is None or one == other:
            continue
        if all(span.start_ns > 0 and span.end_ns >= span.start_ns for span in (client, server)):
            yield parent, index, (one, other)


def _interval(client: Span, server: Span) -> tuple[int, int | None]:
    """Return the bounds that one call sets; a client that did not wait for its server sets the lower one alone."""
    low = client.start_ns - server.start_ns
    if server.duration_ns > client.duration_ns or error_mark(client) is not None:
        return low, None
    return low, client.end_ns - server.end_ns


def _both_ways(bounds: Mapping[_Pair, _Bounds]) -> dict[_Pair, _Bounds]:
    """Join the calls of both directions; each pair of clocks is there twice."""
    both = dict[_Pair, _Bounds]()
    for (one, other), bound in bounds.items():
        if (one, other) in both:
            continue
        joined = _Bounds()
        joined.add(bound.low, bound.high)
        joined.calls = bound.calls
        if (back := bounds.get((other, one))) is not None:
            turned = back.reversed()
            joined.add(turned.low, turned.high)
            joined.calls = bound.calls + back.calls
        both[one, other], both[other, one] = joined, joined.reversed()
    return both


def _places(both: Mapping[_Pair, _Bounds], order: Iterable[Clock]) -> dict[Clock, _Place]:
    """Reach each clock from its reference by the chain of calls that leaves the least room."""
    near = defaultdict[Clock, list[tuple[Clock, _Bounds]]](list)
    for (one, other), bound in both.items():
        if not bound.is_empty:
            near[one].append((other, bound))
    places = dict[Clock, _Place]()
    for reference in order:
        if reference in places:
            continue
        waiting: list[tuple[int, int, int, Clock, _Place]] = [(0, 0, 0, reference, _Place(reference))]
        number = 0
        while waiting:
            unbounded, width, _, clock, place = heapq.heappop(waiting)
            if clock in places:
                continue
            places[clock] = place
            for other, bound in near[clock]:
                if other in places:
                    continue
                number += 1
                wide = bound.width
                step = (unbounded + (wide is None), width + max(0, wide or 0), number)
                heapq.heappush(waiting, (*step, other, _next(place, bound)))
    return places


def _next(place: _Place, bound: _Bounds) -> _Place:
    calls = bound.calls if not place.calls else min(place.calls, bound.calls)
    low = None if place.low is None or bound.low is None else place.low + bound.low
    high = None if place.high is None or bound.high is None else place.high + bound.high
    if low is not None and high is not None and low > high:
        low, high = high, low
    return _Place(place.reference, place.offset + bound.offset, low, high, calls)


def _evidence(trace: Trace) -> dict[Clock, tuple[int, ...]]:
    """Return for each clock the calls between it and others, its own spans, those most out of place first."""
    clocks = dict[int, Clock | None]()
    found = defaultdict[Clock, list[tuple[bool, int, int]]](list)
    for client, server, (one, other) in _calls(trace, clocks):
        out = max(trace.spans[client].start_ns - trace.spans[server].start_ns, 0)
        out = max(out, trace.spans[server].end_ns - trace.spans[client].end_ns)
        found[other].append((False, -out, server))
        found[one].append((True, -out, client))
    return {clock: tuple(index for *_, index in sorted(calls)[:_MOST]) for clock, calls in found.items()}


def _name(clock: Clock, services: tuple[str, ...]) -> str:
    named = line(str(clock))
    if not services or services == (clock.value,):
        return named
    return f"{named} ({and_([line(name) for name in services[:3]])})"
