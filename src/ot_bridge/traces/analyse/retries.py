"""Rule `timeouts-and-retries`: attempts of one call, and calls that a timeout ended (seeing.md 1.6). Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from ot_bridge.traces.analyse.finding import Certainty, Finding, at_most
from ot_bridge.traces.analyse.reading import Reading
from ot_bridge.traces.analyse.timeouts import Timeout, timeout
from ot_bridge.traces.analyse.where_time_went import share
from ot_bridge.traces.model import CALLERS
from ot_bridge.traces.words import and_, duration, line, number, plural

__all__ = ["Chain", "attempts", "timeouts_and_retries"]

KEY = "timeouts-and-retries"
WEIGHTY = 0.1
"""Attempts that take so much of the critical path are a warning even when the last one succeeded."""
GROWING = 1.5
"""Pauses grow when each is so many times the one before, as with exponential backoff."""
EARLY = 1.02
"""A server that worked so many times as long as its client waited was left by it."""
MAX_NAMED = 5
_RESENT = ("http.request.resend_count", "http.resend_count", "http.retry_count")


class Chain(NamedTuple):
    """Attempts of one call, each begun after the one before it had failed.

    Attributes:
        spans: their indices, by start.
        recovered: whether the last one succeeded.
    """

    spans: tuple[int, ...]
    recovered: bool


def attempts(reading: Reading) -> list[Chain]:
    """Find calls of one parent for the same, of which each but the last failed before the next began."""
    trace, chains = reading.trace, list[Chain]()
    groups = defaultdict[tuple[object, ...], list[int]](list)
    for index, parent in enumerate(trace.parents):
        span, asked = trace.spans[index], reading.targets[index]
        # The same statement with other values is another call.
        what = (asked.text, asked.where, asked.exact) if asked else ()
        if parent >= 0:
            groups[parent, span.service, span.kind, span.name, what].append(index)
    for members in groups.values():
        chain = list[int]()
        for index in members if len(members) > 1 else ():
            last = chain[-1] if chain else -1
            if last >= 0 and (last not in reading.errors or trace.spans[last].end_ns > trace.spans[index].start_ns):
                chains += _chain(reading, chain)
                chain = []
            chain.append(index)
        chains += _chain(reading, chain)
    return sorted(chains)


def _chain(reading: Reading, spans: Sequence[int]) -> Iterator[Chain]:
    if len(spans) > 1:
        yield Chain(tuple(spans), spans[-1] not in reading.errors)


def timeouts_and_retries(reading: Reading) -> Sequence[Finding]:
    """Find attempts, attempts within attempts, and the calls beside them that a timeout ended."""
    if not reading.errors:
        return []
    spans = reading.trace.spans
    ended = {index: sign for index, mark in reading.errors.items() if (sign := timeout(spans[index], mark))}
    chains = attempts(reading)
    found = [*_storms(reading, chains), *(_retried(reading, chain, ended) for chain in chains)]
    tried = {index for chain in chains for index in chain.spans}
    found += _timeouts(reading, ended, tried)
    found.sort(key=lambda one: -float(one.numbers["total_ns"]))
    return at_most(found)


def _retried(reading: Reading, chain: Chain, ended: Mapping[int, Timeout]) -> Finding:
    spans = [reading.trace.spans[index] for index in chain.spans]
    first, last = spans[0], spans[-1]
    total = max(0, last.end_ns - first.start_ns)
    on_path = sum(reading.path.below_ns(index) for index in chain.spans)
    failed = chain.spans[:-1] if chain.recovered else chain.spans
    by_timeout = [index for index in failed if index in ended]
    pauses = [later.start_ns - earlier.end_ns for earlier, later in pairwise(spans)]
    grows = len(pauses) > 1 and all(later >= GROWING * earlier > 0 for earlier, later in pairwise(pauses))
    named = [*map(duration, pauses[:MAX_NAMED]), *(["more"] if len(pauses) > MAX_NAMED else [])]
    outcome = "and the last one succeeded" if chain.recovered else "and all failed"
    how = f"{number(len(by_timeout))} by a timeout ({ended[by_timeout[0]].sign})" if by_timeout else ""
    asked = reading.targets[chain.spans[0]]
    resent = any(key in span.attributes for span in spans for key in _RESENT)
    certainty: Certainty = "sure" if resent else "likely" if asked or first.kind in CALLERS else "guess"
    waits = f"{'growing ' if grows else ''}{'pauses' if len(pauses) > 1 else 'a pause'} of {and_(named)}"
    return Finding(
        rule=KEY,
        text=(
            f"{line(first.service)} tried {line(first.name)!r} {plural(len(spans), 'time')} in {duration(total)}, with"
            f" {waits}, {outcome}{f'; {how}' if how else ''}."
        ),
        certainty=certainty,
        severity="note" if chain.recovered and on_path < WEIGHTY * reading.root_ns else "warning",
        spans=chain.spans,
        verdict="recovered" if chain.recovered else "gave-up",
        service=first.service,
        numbers={
            "count": len(spans),
            "total_ns": total,
            "path_ns": on_path,
            "pause_ns": sum(pauses),
            "timeout_count": len(by_timeout),
        },
    )


def _storms(reading: Reading, chains: Sequence[Chain]) -> Iterator[Finding]:
    """Find attempts below attempts: their numbers multiply."""
    trace = reading.trace
    owners = {index: place for place, chain in enumerate(chains) for index in chain.spans}
    near = [-1] * len(trace)
    for index, parent in enumerate(trace.parents):
        if parent >= 0:
            near[index] = owners.get(parent, near[parent])
    inner = defaultdict[int, list[Chain]](list)
    for chain in chains:
        if (outer := near[chain.spans[0]]) >= 0:
            inner[outer].append(chain)
    for place, below in inner.items():
        outer_chain = chains[place]
        spans = [trace.spans[index] for index in outer_chain.spans]
        count = sum(len(chain.spans) for chain in below)
        deep = trace.spans[below[0].spans[0]]
        yield Finding(
            rule=KEY,
            text=(
                f"Retries multiply: {line(spans[0].service)} tried {line(spans[0].name)!r}"
                f" {plural(len(spans), 'time')}, and below that {line(deep.service)} tried"
                f" {line(deep.name)!r} {plural(count, 'time')}."
            ),
            certainty="likely",
            severity="warning",
            spans=(*outer_chain.spans, *(index for chain in below for index in chain.spans)),
            verdict="storm",
            service=spans[0].service,
            numbers={
                "count": len(spans),
                "inner_count": count,
                "total_ns": max(0, spans[-1].end_ns - spans[0].start_ns),
            },
            advice="Let one level retry, the one nearest to the failure.",
        )


def _timeouts(reading: Reading, ended: Mapping[int, Timeout], tried: set[int]) -> Iterator[Finding]:
    """Find the spans in which a timeout began: what is above them only reports it on."""
    trace = reading.trace
    left = {index for index in reading.errors if _left_behind(reading, index) is not None}
    so_far = [0, *accumulate(index in ended for index in range(len(trace)))]
    groups = defaultdict[tuple[str, str], list[int]](list)
    for index in sorted({*ended, *left} - tried):
        below = so_far[index + trace.sizes[index]] - so_far[index + 1]
        if index in left or not below:
            groups[trace.spans[index].service, trace.spans[index].name].append(index)
    for members in groups.values():
        index = max(members, key=lambda one: (trace.spans[one].duration_ns, -one))
        span, why = trace.spans[index], ended.get(index)
        server = _left_behind(reading, index)
        how = f" ({why.sign})" if why else ""
        waiting = f", waiting for {why.phase}" if why and why.phase else ""
        text = f"{line(span.title)} was ended by a timeout after {duration(span.duration_ns)}{how}{waiting}"
        if server is not None:
            other = trace.spans[server]
            text = (
                f"{line(span.title)} gave up after {duration(span.duration_ns)}{how}, while {line(other.title)} worked"
                f" for {duration(other.duration_ns)}"
            )
        more = f"; {plural(len(members) - 1, 'more span')} like it" if len(members) > 1 else ""
        yield Finding(
            rule=KEY,
            text=f"{text}, {share(reading.path.below_ns(index), reading.root_ns)} of the critical path{more}.",
            certainty=why.certainty if why else "likely",
            severity="warning",
            spans=(index, *([server] if server is not None else []), *(one for one in members if one != index)),
            verdict="gave-up-early" if server is not None else "timeout",
            service=trace.spans[server].service if server is not None else span.service,
            numbers={"count": len(members), "total_ns": span.duration_ns},
            advice="The caller's limit is shorter than what the server takes." if server is not None else "",
        )


def _left_behind(reading: Reading, index: int) -> int | None:
    """Return the server's side of a failed call when it worked longer than the call waited; durations know no skew."""
    trace = reading.trace
    if trace.spans[index].kind != "client":
        return None
    limit = EARLY * trace.spans[index].duration_ns
    servers = [one for one in trace.children[index] if trace.spans[one].kind == "server"]
    return next((one for one in servers if trace.spans[one].duration_ns > limit), None)
