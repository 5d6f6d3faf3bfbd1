"""Rule `unexplained-time`: time of the critical path that no span tells about (seeing.md 1.6). Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

from ot_bridge.traces.analyse.blocking import blocking_children
from ot_bridge.traces.analyse.clock import same_clock
from ot_bridge.traces.analyse.critical_path import Section
from ot_bridge.traces.analyse.finding import Certainty, Finding, at_most
from ot_bridge.traces.analyse.reading import Reading
from ot_bridge.traces.analyse.self_time import Interval, length, union
from ot_bridge.traces.analyse.where_time_went import share
from ot_bridge.traces.model import ENTRIES
from ot_bridge.traces.words import and_, duration, line, plural

__all__ = ["unexplained_time"]

KEY = "unexplained-time"
MIN_SHARE = 0.1
"""Of the root's duration; less is not worth a look."""
MIN_NS = 50_000_000
"""Below this even a large share is what frameworks and the network take."""
MAX_NAMED = 3
BUSY_SHARE = 0.5
"""Where other spans of the process cover so much of a gap, they may be what it waited for."""

Where: TypeAlias = Literal["before", "between", "after", "whole"]
_WHERE: Mapping[Where, str] = {
    "before": "before its first child",
    "between": "between its children",
    "after": "after its last child",
    "whole": "and it has no children",
}


def unexplained_time(reading: Reading) -> Sequence[Finding]:
    """Find the spans whose own time on the path is long, and say where in them it is; then what waited for a consumer.

    A call or a piece of work without children is explained by its name. A span that a process is entered by is not.
    """
    limit = max(MIN_SHARE * reading.root_ns, MIN_NS)
    sections = defaultdict[int, list[Section]](list)
    for section in reading.path.sections:
        sections[section.span].append(section)
    found = [*_queues(reading, limit)]
    for index in sorted(reading.path.windows):
        if reading.trace.spans[index].kind == "client" and (between := _call(reading, index, limit)) is not None:
            found += between
        elif reading.path.own_ns.get(index, 0) >= limit:
            found += _own(reading, index, sections[index], limit)
    return at_most(sorted(found, key=lambda one: -float(one.numbers["unexplained_ns"])))


def _call(reading: Reading, index: int, limit: float) -> list[Finding] | None:
    """Compare a call with the server's side of it: durations only, so that two clocks do no harm. None without one."""
    spans = reading.trace.spans
    client = spans[index]
    servers = [spans[one] for one in reading.trace.children[index] if spans[one].kind == "server"]
    if not servers:
        return None
    inside = length(union((one.start_ns, one.end_ns) for one in servers))
    outside = client.duration_ns - inside
    if outside < limit:
        return []
    side = ""
    if same_clock(client, servers[0]):
        before = servers[0].start_ns - client.start_ns
        side = f", {duration(before)} of it before the server began" if 0 < before <= outside else ""
    whole = (
        f"{line(client.title)} waited {duration(client.duration_ns)} for {line(servers[0].service)}, which worked for"
    )
    text = (
        f"{whole} {duration(inside)}: {duration(outside)} are between the two{side} (a guess: network, TLS or a queue"
        " before the server)."
    )
    return [_found(reading, "between-services", text, "sure", (index,), outside, servers[0].service)]


def _own(reading: Reading, index: int, sections: Sequence[Section], limit: float) -> list[Finding]:
    spans, trace = reading.trace.spans, reading.trace
    span = spans[index]
    children = [one for one in blocking_children(trace, index) if spans[one].duration_ns]
    if not children and (span.kind not in ENTRIES or len(trace) == 1):
        return []
    parts = defaultdict[Where, list[Section]](list)
    first = min((spans[one].start_ns for one in children), default=0)
    last = max((spans[one].end_ns for one in children), default=0)
    for section in sections:
        where: Where = "before" if section.end_ns <= first else "after" if section.start_ns >= last else "between"
        parts[where if children else "whole"].append(section)
    found = []
    for where, pieces in parts.items():
        total = sum(one.end_ns - one.start_ns for one in pieces)
        if total < limit:
            continue
        said = [f"a guess: {_guess(reading, where, pieces, children)}", *_inside(reading, index, pieces)]
        gaps = f" in {plural(len(pieces), 'gap')}" if len(pieces) > 1 else ""
        text = (
            f"Nothing tells what {line(span.title)} did for {duration(total)}{gaps} {_WHERE[where]},"
            f" {share(total, reading.root_ns)} of the whole ({'; '.join(said)})."
        )
        certain = all(same_clock(span, spans[child]) for child in children)
        found.append(_found(reading, where, text, "sure" if certain else "likely", (index,), total, span.service))
    return found


def _guess(reading: Reading, where: Where, pieces: Sequence[Section], children: Sequence[int]) -> str:
    """Name what the neighbours suggest."""
    spans, targets = reading.trace.spans, reading.targets
    index = pieces[0].span
    span = spans[index]
    last = max(children, key=lambda one: spans[one].end_ns, default=-1)
    if where == "between" and _after_failures(reading, pieces, children):
        return "pauses between attempts"
    if busy := _others(reading, index, pieces):
        return f"it waited while {plural(busy, 'other span')} of its process ran, as for a lock or a blocked event loop"
    if where == "before" and span.kind in ENTRIES:
        return "a queue in front of the handler, as for a thread or a connection"
    asked = targets[last] if where == "after" and last >= 0 else None
    if asked is not None and asked.kind in ("sql", "key-value", "database"):
        return "it worked on what the database returned, as by serialising it"
    return "work of its own, or a call that nobody traces"


def _after_failures(reading: Reading, pieces: Sequence[Section], children: Sequence[int]) -> bool:
    """Tell whether each gap follows a child that failed."""
    failed = {reading.trace.spans[one].end_ns for one in children if one in reading.errors}
    return bool(failed) and all(piece.start_ns in failed for piece in pieces)


def _others(reading: Reading, index: int, pieces: Sequence[Section]) -> int:
    """Count the spans of the same process, beside this one, when they cover most of its gaps."""
    trace, span = reading.trace, reading.trace.spans[index]
    related = set(trace.ancestors(index))
    below = range(index, index + trace.sizes[index])
    beside = [
        one
        for place, one in enumerate(trace.spans)
        if one.resource is span.resource and place not in below and place not in related
    ]
    gaps = [(piece.start_ns, piece.end_ns) for piece in pieces]
    overlapping = [(one.start_ns, one.end_ns) for one in beside if _meets(gaps, one.start_ns, one.end_ns)]
    covered = length(gaps) + length(union(overlapping)) - length(union([*gaps, *overlapping]))
    return len(overlapping) if covered >= BUSY_SHARE * length(gaps) else 0


def _meets(gaps: Sequence[Interval], start_ns: int, end_ns: int) -> bool:
    """Tell whether a time lies in gaps that are sorted and disjoint, at least in part."""
    place = bisect_right(gaps, (start_ns, _NEVER)) - 1
    if place >= 0 and gaps[place][1] > start_ns:
        return True
    return place + 1 < len(gaps) and gaps[place + 1][0] < end_ns


_NEVER = 2**64


def _inside(reading: Reading, index: int, pieces: Sequence[Section]) -> Iterator[str]:
    """Name what the span and its logs say of that time."""
    span = reading.trace.spans[index]
    times = [(piece.start_ns, piece.end_ns) for piece in pieces]
    events = [event.name for event in span.events if _meets(times, event.time_ns, event.time_ns)]
    if events:
        names = list(dict.fromkeys(repr(line(name)) for name in events))
        more = [plural(len(names) - MAX_NAMED, "more name")] if len(names) > MAX_NAMED else []
        yield f"{plural(len(events), 'event')} then: {and_([*names[:MAX_NAMED], *more])}"
    logs = [
        log for log in reading.trace.logs if log.span_id == span.span_id and _meets(times, log.time_ns, log.time_ns)
    ]
    if logs:
        yield f"{plural(len(logs), 'log record')} then"


def _queues(reading: Reading, limit: float) -> Iterator[Finding]:
    """Find consumers that began long after what they consume was produced; of equal ones the latest."""
    trace = reading.trace
    late = defaultdict[tuple[str, str], list[tuple[int, int]]](list)
    for index, parent in enumerate(trace.parents):
        if parent >= 0 and trace.spans[index].kind == "consumer":
            waited = trace.spans[index].start_ns - max(trace.spans[parent].start_ns, trace.spans[parent].end_ns)
            if waited >= limit:
                late[trace.spans[index].service, trace.spans[index].name].append((waited, index))
    for times in late.values():
        waited, index = max(times)
        span, sent = trace.spans[index], trace.spans[trace.parents[index]]
        more = f", and {plural(len(times) - 1, 'more')} like it" if len(times) > 1 else ""
        text = (
            f"{line(span.title)} began {duration(waited)} after {line(sent.title)} had ended{more} (a guess: it lay in"
            " the queue, or no worker was free)."
        )
        certainty: Certainty = "likely" if same_clock(sent, span) else "guess"
        yield _found(reading, "queue", text, certainty, (index, trace.parents[index]), waited, span.service)


def _found(
    reading: Reading,
    verdict: str,
    text: str,
    certainty: Certainty,
    spans: tuple[int, ...],
    total: int,
    service: str,
) -> Finding:
    return Finding(
        rule=KEY,
        text=text,
        certainty=certainty,
        severity="note",
        spans=spans,
        verdict=verdict,
        service=service,
        numbers={"unexplained_ns": total, "root_ns": reading.root_ns},
        advice="Put a span around what is missing." if verdict in _WHERE else "",
    )
