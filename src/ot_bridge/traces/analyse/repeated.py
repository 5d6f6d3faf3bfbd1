"""Rule `repeated-calls`: the same call made again and again, as one query for each row (seeing.md 1.5). Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from ot_bridge.traces.analyse.ancestry import Ancestry
from ot_bridge.traces.analyse.finding import MOST, Finding, at_most
from ot_bridge.traces.analyse.reading import Reading
from ot_bridge.traces.analyse.runs import MIN_RUN, Run, most_at_once, sibling_runs
from ot_bridge.traces.analyse.where_time_went import share
from ot_bridge.traces.tree import Trace
from ot_bridge.traces.words import duration, line, number, plural, text

__all__ = ["Run", "repeated_calls", "sibling_runs"]

KEY = "repeated-calls"
MIN_CALLS = MIN_RUN
"""Fewer are not called repeated."""
MIN_SHARE = 0.05
"""So much of the critical path makes few calls worth a look."""
MANY_CALLS = 20
"""So many are worth a look however short they are: their number grows with the data."""
FAILED_SHARE = 0.5
"""When so many of them failed they are attempts, see `timeouts-and-retries`."""


class _Group(NamedTuple):
    """The same call, made again and again below one span, which is the lowest that all are below."""

    top: int
    members: list[int]
    path_ns: int


def repeated_calls(reading: Reading) -> Sequence[Finding]:
    """Find calls of one service for the same thing, among all descendants of a span."""
    found = defaultdict[tuple[object, ...], list[_Group]](list)
    for group in _without_consequences(reading.trace, list(_groups(reading))):
        found[_key(reading, group.members[0])].append(group)
    ranked = sorted(found.values(), key=lambda groups: (-sum(one.path_ns for one in groups), groups[0].members))
    return at_most([_finding(reading, groups) for groups in ranked[: MOST + 1]], len(ranked))


def _key(reading: Reading, index: int) -> tuple[object, ...]:
    asked = reading.targets[index]
    return (reading.trace.spans[index].service, *(asked[:3] if asked else ()))


def _groups(reading: Reading) -> Iterator[_Group]:
    trace = reading.trace
    calls = defaultdict[tuple[object, ...], list[int]](list)
    keys: list[tuple[object, ...] | None] = []  # of the span if it is a call, else of the nearest call above it
    for index, parent in enumerate(trace.parents):
        above = keys[parent] if parent >= 0 else None
        keys.append(_key(reading, index) if reading.targets[index] else above)
        # A library and the driver below it both report the one call.
        if reading.targets[index] and (key := keys[index]) is not None and key != above:
            calls[key].append(index)
    ancestry = None
    for members in calls.values():
        path_ns = sum(reading.path.below_ns(index) for index in members)
        if _is_worth_a_look(reading, len(members), path_ns) and not _are_attempts(reading, members):
            ancestry = ancestry or Ancestry(trace)
            yield from _lowest(reading, ancestry, members)


def _is_worth_a_look(reading: Reading, count: int, path_ns: int) -> bool:
    return count >= MANY_CALLS or (count >= MIN_CALLS and 0 < MIN_SHARE * reading.root_ns <= path_ns)


def _are_attempts(reading: Reading, members: Sequence[int]) -> bool:
    return sum(index in reading.errors for index in members) >= FAILED_SHARE * len(members)


def _lowest(reading: Reading, ancestry: Ancestry, members: Sequence[int]) -> Iterator[_Group]:
    """Part calls into groups: each below the lowest span that has enough of them, which no higher one reports again.

    Only a call, or a span where the ways from two calls to the root meet, can be such a span. From below, each passes
    on what it did not report.
    """
    sizes = reading.trace.sizes
    meeting = (ancestry.common(one, other) for one, other in pairwise(members))
    places = sorted({*members, *(place for place in meeting if place >= 0)})
    over, way = dict[int, int](), list[int]()
    for place in places:
        while way and place >= way[-1] + sizes[way[-1]]:
            way.pop()
        over[place] = way[-1] if way else -1
        way.append(place)
    calls = set(members)
    loose = defaultdict[int, list[int]](list)
    loose_ns = defaultdict[int, int](int)
    for place in reversed(places):
        below, path_ns = loose.pop(place, []), loose_ns[place]
        if _is_worth_a_look(reading, len(below), path_ns):
            yield _Group(place, sorted(below), path_ns)
            below, path_ns = [], 0
        if place in calls:
            below.append(place)
            path_ns += reading.path.below_ns(place)
        loose[over[place]] += below
        loose_ns[over[place]] += path_ns


def _without_consequences(trace: Trace, groups: Sequence[_Group]) -> list[_Group]:
    """Leave out what is only repeated because it is below calls that are: those come first."""
    owners = {index: place for place, group in enumerate(groups) for index in group.members}
    near = [-1] * len(trace)
    for index, parent in enumerate(trace.parents):
        if parent >= 0:
            near[index] = owners.get(parent, near[parent])
    kept = []
    for group in groups:
        reasons = {near[index] for index in group.members}
        reason = groups[reasons.pop()] if len(reasons) == 1 and -1 not in reasons else None
        if reason is None or len(group.members) >= MIN_CALLS * len(reason.members):
            kept.append(group)
    return kept


def _finding(reading: Reading, groups: Sequence[_Group]) -> Finding:
    trace, targets = reading.trace, reading.targets
    worst = max(groups, key=lambda group: (group.path_ns, len(group.members)))
    members = worst.members
    spans = [trace.spans[index] for index in members]
    first, asked = spans[0], targets[members[0]]
    label = line(asked.text if asked else first.name)
    total = sum(span.duration_ns for span in spans)
    at_once = most_at_once(spans)
    exact = {asked.exact if (asked := targets[index]) else None for index in members}
    identical = len(exact) == 1 and None not in exact and asked is not None and not asked.writes
    source = _source(reading, worst)
    caller = _caller(trace, worst)
    longest = max(members, key=lambda index: (trace.spans[index].duration_ns, -index))
    saving = reading.savings.of_all(index for index in members if index != longest)
    words = [
        f"{line(first.service)} asked {number(len(members))} times for {label!r}",
        f"with the same values{' each time' if len(members) > 1 else ''}" if identical else "",
        f"under {line(trace.spans[worst.top].title)}" if worst.top >= 0 else "",
        "in sequence" if at_once == 1 else f"up to {number(at_once)} at once",
        f"after {plural(1, 'call')} for {line(source)!r}" if source and not identical else "",
    ]
    others = len(groups) - 1
    found = " ".join(filter(None, words))
    text_ = f"{found}: {duration(total)} in all, {share(worst.path_ns, reading.root_ns)} of the critical path"
    text_ += f"; and so under {plural(others, 'more span')}." if others else "."
    advice = "Ask once and keep the answer" if identical else "Ask for all of them in one call"
    advice += f": that saves up to {plural(len(members) - 1, 'round trip')}, {duration(saving)} of the whole"
    advice += f"; called from {line(caller)}." if caller else "."
    return Finding(
        rule=KEY,
        text=text_,
        certainty="likely",
        severity="warning" if worst.path_ns >= MIN_SHARE * reading.root_ns > 0 else "note",
        spans=(worst.top, *members),
        verdict="identical" if identical else "n-plus-one",
        service=first.service,
        numbers={
            "count": len(members),
            "total_ns": total,
            "path_ns": worst.path_ns,
            "saving_ns": saving,
            "at_once": at_once,
            "places_count": len(groups),
        },
        advice=advice,
    )


def _source(reading: Reading, group: _Group) -> str:
    """Return what the same service asked for last before the first of the calls, `""` when it asked for nothing."""
    trace, calls = reading.trace, set(group.members)
    first = trace.spans[group.members[0]]
    key = _key(reading, group.members[0])
    before = [
        (trace.spans[index].end_ns, asked.text)
        for index in range(group.top, group.top + trace.sizes[group.top])
        if (asked := reading.targets[index]) is not None
        and index not in calls
        and trace.spans[index].end_ns <= first.start_ns
        and trace.spans[index].service == first.service
        and _key(reading, index) != key
    ]
    return max(before, default=(0, ""))[1]


_FUNCTIONS = ("code.function.name", "code.function")


def _caller(trace: Trace, group: _Group) -> str:
    """Return the function that called, as the call or a span between it and the top says; `""` when none says."""
    index = group.members[0]
    while index >= group.top:
        tags = trace.spans[index].attributes
        for key in _FUNCTIONS:
            if name := tags.get(key):
                return ".".join(filter(None, (text(tags.get("code.namespace") or ""), text(name))))
        index = trace.parents[index]
    return ""
