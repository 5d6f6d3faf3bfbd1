"""Rule `span-flood`: many short spans of one name that tell nothing each (seeing.md 3). Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import median

from ot_bridge.traces.analyse.finding import Finding
from ot_bridge.traces.analyse.reading import Reading
from ot_bridge.traces.analyse.where_time_went import share
from ot_bridge.traces.model import Span
from ot_bridge.traces.words import duration, line, number, plural, text

__all__ = ["span_flood"]

KEY = "span-flood"
UNDER_ONE = 100
"""So many of one name under one parent fill more than a screen, and no reader tells them apart."""
IN_TRACE = 500
"""So many in all, wherever they are, cost more to keep and to read than they tell."""
MIN_SHARE = 0.2
"""Of the trace's spans; less does not hide the rest."""
SHORT_NS = 1_000_000
"""Half of them are shorter than this: making and sending a span is not free beside such work."""
SILENT = 0.9
"""So many of them have no children, no events and no error."""
MAX_EVIDENCE = 20

_SWITCHES: Mapping[str, str] = {
    "asgi": "Leave out the spans for each message sent and received: its instrumentation has a setting for that.",
    "fs": "Switch the instrumentation of the file system off.",
    "express": "Leave out the layers that are middleware.",
    "koa": "Leave out the layers that are middleware.",
    "django": "Leave out the spans for each middleware.",
    "dns": "Switch the instrumentation of name look-ups off.",
    "net": "Switch the instrumentation of sockets off.",
    "jinja2": "Switch the instrumentation of templates off.",
    "redis": "Send the commands in one pipeline, or leave the fast ones out.",
    "graphql": "Leave out the resolvers that are trivial, or limit their depth.",
}


def span_flood(reading: Reading) -> Sequence[Finding]:
    """Find spans of one service, library and name that are many, short and without anything to tell."""
    trace = reading.trace
    groups = defaultdict[tuple[str, str, str], list[int]](list)
    for index, span in enumerate(trace.spans):
        groups[span.service, _library(span), span.name].append(index)
    floods = sorted((members for members in groups.values() if _is_flood(reading, members)), key=len, reverse=True)
    return [_finding(reading, members) for members in floods]


def _is_flood(reading: Reading, members: Sequence[int]) -> bool:
    trace = reading.trace
    if len(members) < UNDER_ONE or len(members) < MIN_SHARE * len(trace):
        return False
    _, most = Counter(trace.parents[index] for index in members).most_common(1)[0]
    if most < UNDER_ONE and len(members) < IN_TRACE:
        return False
    silent = sum(
        not trace.children[index] and not trace.spans[index].events and index not in reading.errors for index in members
    )
    return silent >= SILENT * len(members) and _typical(reading, members) < SHORT_NS


def _typical(reading: Reading, members: Sequence[int]) -> float:
    return median(reading.trace.spans[index].duration_ns for index in members)


def _library(span: Span) -> str:
    """Name the library that makes a span: its scope, or OpenTracing's `component`."""
    return span.scope.name or text(span.attributes.get("component") or "")


def _finding(reading: Reading, members: Sequence[int]) -> Finding:
    trace = reading.trace
    span = trace.spans[members[0]]
    library = _library(span)
    by = f" by {line(library)}" if library else ""
    parents = Counter(trace.parents[index] for index in members)
    top, most = parents.most_common(1)[0]
    under = f", {number(most)} of them under {line(trace.spans[top].title)}" if top >= 0 else ""
    typical = _typical(reading, members)
    known = [advice for name, advice in _SWITCHES.items() if name in library.lower().replace("/", ".").split(".")[-1]]
    return Finding(
        rule=KEY,
        text=(
            f"{plural(len(members), 'span')} {line(span.name)!r} of {line(span.service)}{by} are"
            f" {share(len(members), len(trace))} of the trace{under}; half of them took less than"
            f" {duration(typical + 1)} and they have nothing more to tell."
        ),
        certainty="likely",
        severity="note",
        spans=tuple(members[:MAX_EVIDENCE]),
        service=span.service,
        numbers={"count": len(members), "typical_ns": typical, "parents_count": len(parents)},
        advice=known[0]
        if known
        else "Make one span for the whole, with the number as an attribute, or switch off what makes them.",
    )
