"""Why a trace is cut, and which service to look at (seeing.md 1.7), as far as the trace alone tells. Pure.

The hop that lost its context is in another trace: see `lost_context`. The counters of Jaeger's clients are read where
`formats/` put them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from ot_bridge.traces.analyse.finding import Certainty, Finding, Severity
from ot_bridge.traces.analyse.reading import Reading
from ot_bridge.traces.instrumentation import HEADER_ATTRIBUTE, hop, producer
from ot_bridge.traces.model import ENTRIES, Resource, Span
from ot_bridge.traces.tree import NoteKind, Trace
from ot_bridge.traces.words import and_, duration, line, plural, text

__all__ = ["DROPPED_SPANS", "KEY", "SEQ_NO", "cut_trace", "is_arriving", "low_bits"]

KEY = "cut-trace"

SEQ_NO = "ot_bridge.jaeger.seq_no"
"""Resource attribute: the number of the batch, as its sender counts them."""
DROPPED_SPANS = "ot_bridge.jaeger.dropped_spans"
"""Resource attribute: how many spans the sender says that it has dropped since it started."""

_ARRIVES_NS = 5_000_000_000
# Beyond it the clock that ended a span is wrong, and says nothing of when it arrived.
_AHEAD_NS = 60_000_000_000
_LOW = (1 << 64) - 1
_KNOWS_REMOTE, _IS_REMOTE = 0x100, 0x200
_MOST = 20
_LONGEST = 400
_LIMITS = (
    ("attribute", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"),
    ("event", "OTEL_SPAN_EVENT_COUNT_LIMIT"),
    ("link", "OTEL_SPAN_LINK_COUNT_LIMIT"),
)


def cut_trace(reading: Reading) -> list[Finding]:
    """Say what is missing of a trace, what is odd about its spans, and why."""
    trace = reading.trace
    if not trace.spans:
        return []
    found = []
    if is_arriving(trace, reading.now_ns):
        ago = max(0, (reading.now_ns or 0) - trace.end_ns)
        said = f"not finished: the last span ended {duration(ago)} ago, and others may follow"
        found.append(Finding(KEY, said, "sure", "note", (), "not-finished", numbers={"ago_ns": ago}))
    else:
        found += _missing(trace)
        found += _several_roots(trace)
    found += [*_changed_ids(trace), *_client_drops(trace), *_odd(trace), *_limits(trace), *_links(trace)]
    return [replace(one, text=line(one.text, _LONGEST), advice=line(one.advice, _LONGEST)) for one in found]


def is_arriving(trace: Trace, now_ns: int | None) -> bool:
    """Tell whether spans may still come: the last one ended less than 5 s ago. None is after everything."""
    return now_ns is not None and -_AHEAD_NS < now_ns - trace.end_ns < _ARRIVES_NS


def low_bits(trace_id: int) -> int:
    """Return the half of a trace id that an old service keeps of it."""
    return trace_id & _LOW


class _Lost(NamedTuple):
    """Who should have sent a parent that is missing, and how that is known."""

    service: str
    why: str
    certainty: Certainty


def _missing(trace: Trace) -> Iterator[Finding]:
    orphans = defaultdict[int, list[int]](list)
    for note in trace.notes:
        if note.kind == "missing parent":
            orphans[trace.spans[note.span].parent_id].append(note.span)
    if not orphans:
        return
    groups = defaultdict[tuple[_Lost, str], list[int]](list)
    counts = Counter[tuple[_Lost, str]]()
    unanswered = _unanswered(trace)
    for indices in orphans.values():
        spans = [trace.spans[index] for index in indices]
        key = (_sender(spans, unanswered), spans[0].service)
        groups[key] += indices
        counts[key] += 1
    gaps = _gaps(trace)
    ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    for (lost, below), indices in ranked[:_MOST]:
        said, advice = _told_missing(trace, lost, below, counts[lost, below], indices)
        numbers: dict[str, float | str] = {"missing_count": counts[lost, below], "orphans_count": len(indices)}
        first = trace.spans[indices[0]]
        numbers["missing_span_id"] = f"{first.parent_id:016x}"
        verdict, certainty = "missing-parent", lost.certainty
        if batches := gaps.get(lost.service, 0):
            verdict, certainty = "lost-packets", "guess"
            numbers["batches_count"] = batches
            said += f"; between its batches that came {plural(batches, 'batch', 'batches')} did not come for this trace"
            advice = (
                f"Unless they held other traces, UDP lost them: let {lost.service} send over HTTP, or smaller batches."
            )
        yield Finding(KEY, said, certainty, "warning", tuple(indices), verdict, lost.service, numbers, advice)
    if rest := ranked[_MOST:]:
        spans_left = tuple(index for _, indices in rest for index in indices)
        said = f"the parents of {plural(len(spans_left), 'more span')} are missing"
        yield Finding(KEY, said, "sure", "warning", spans_left, "missing-parent", "")


def _sender(orphans: Sequence[Span], unanswered: Mapping[str, Sequence[Span]]) -> _Lost:
    """Tell which service the missing parent of these spans is of."""
    for span in orphans:
        if span.flags & _KNOWS_REMOTE and not span.flags & _IS_REMOTE:
            return _Lost(span.service, "local", "sure")
    local = [span for span in orphans if span.kind not in ENTRIES and not span.flags & _IS_REMOTE]
    if local:
        return _Lost(local[0].service, "local", "likely")
    for span in orphans:
        if peer := span.attributes.get("peer.service"):
            return _Lost(text(peer), "caller", "likely")
    # A caller that waited for an answer, and got none from a span of this trace, is on the other side of the gap.
    first = orphans[0]
    waiting = unanswered.get(first.service, [])
    until = bisect_right(waiting, first.start_ns, key=_start)
    for client in waiting[max(0, until - _MOST) : until]:
        if first.end_ns <= client.end_ns:
            return _Lost(client.service, "between", "guess")
    return _Lost("", "unknown", "guess")


def _unanswered(trace: Trace) -> dict[str, list[Span]]:
    """Return the calls of each service that no span of this trace answers, by their start."""
    found = defaultdict[str, list[Span]](list)
    for index, span in enumerate(trace.spans):
        peer = span.attributes.get("peer.service")
        if span.kind != "client" or not peer:
            continue
        if not any(trace.spans[child].kind in ENTRIES for child in trace.children[index]):
            found[text(peer)].append(span)
    for spans in found.values():
        spans.sort(key=_start)
    return found


def _start(span: Span) -> int:
    return span.start_ns


def _told_missing(trace: Trace, lost: _Lost, below: str, count: int, indices: Sequence[int]) -> tuple[str, str]:
    """Say what is missing and what to do about it."""
    first = trace.spans[indices[0]]
    spans, under = plural(count, "span"), plural(len(indices), "span")
    if lost.why == "local":
        said = f"{spans} of {lost.service} did not arrive, and {under} below {'it' if count == 1 else 'them'} did"
        if dropped := _most_dropped(trace, lost.service):
            return said, f"{lost.service} says that it has dropped {plural(dropped, 'span')}: its queue was full."
        way = "A UDP packet was lost, or " if first.via == "jaeger" else ""
        return (
            said,
            f"{way}{lost.service} crashed or was stopped before the span ended, or did not flush it.",
        )
    if lost.why == "caller":
        seen = lost.service in trace.services
        said = f"{spans} of {lost.service}, which called {below}, did not arrive"
        if seen:
            return said, f"{lost.service} sent others of this trace: a batch was lost, or the span did not end."
        return said, f"{lost.service} sent none of this trace: it does not export, did not flush, or sampled it out."
    if lost.why == "between":
        said = f"between {lost.service} and {below} {spans} did not arrive"
        return (
            said,
            f"A proxy or a service between them passes the trace on and sends no spans, or {below} lost its own.",
        )
    reached = hop(first).followed
    came = f" It was called with {reached}, so by a service that writes it." if reached else ""
    said = f"{spans} above {below} did not arrive, and no span tells whose"
    return (
        said,
        f"Look for what calls {below}: it does not export, did not flush, crashed, or sampled the trace out.{came}",
    )


def _several_roots(trace: Trace) -> Iterator[Finding]:
    odd = {note.span for note in trace.notes if note.kind in {"missing parent", "cycle"}}
    roots = [index for index in trace.roots if index not in odd]
    others = [index for index in roots if index != trace.root]
    if not others or len(roots) < 2:
        return
    services = list(dict.fromkeys(trace.spans[index].service for index in others))
    said = f"{len(roots):,} roots in one trace: beside {trace.spans[trace.root].service} "
    said += f"{and_(services[:3])} began without a parent"
    advice = (
        f"{services[0]} knew the trace's id and not its caller: its span was started without the parent that it had "
        "(another thread or task), or the header lost the span's id."
    )
    numbers: dict[str, float | str] = {"roots_count": len(roots)}
    yield Finding(KEY, said, "likely", "warning", tuple(others), "several-roots", services[0], numbers, advice)


def _changed_ids(trace: Trace) -> Iterator[Finding]:
    """Name the hops at which a trace whose parts were joined got another id."""
    if len(trace.trace_ids) < 2:
        return
    hops = defaultdict[tuple[str, str, bool], list[int]](list)
    for index, parent in enumerate(trace.parents):
        if parent >= 0 and trace.spans[parent].trace_id != trace.spans[index].trace_id:
            caller, callee = trace.spans[parent], trace.spans[index]
            cut = low_bits(caller.trace_id) == low_bits(callee.trace_id)
            hops[caller.service, callee.service, cut].append(index)
    ids = " and ".join(_hex(one) for one in trace.trace_ids[:2])
    if not hops:
        said = f"one request in two traces, {ids}: where the id was cut is not known, the span before it did not arrive"
        yield Finding(KEY, said, "likely", "warning", tuple(trace.roots[1:]), "id-cut", "")
    for (caller_name, callee_name, cut), indices in list(hops.items())[:_MOST]:
        callee = trace.spans[indices[0]]
        caller = trace.spans[trace.parents[indices[0]]]
        who, certainty = _cutter(caller, callee)
        both = f"{caller_name} ({producer(caller)}) called {callee_name} ({producer(callee)})"
        if cut:
            said = f"the trace id was cut to 64 bits where {both}: {ids} are one request"
            advice = (
                f"{who} keeps 64 bits of ids: replace its tracer, or let traces begin with OT_BRIDGE_TRACE_ID_BITS=64."
            )
        else:
            said, who = f"the trace got another id where {both}: {ids} are one request", callee_name
            advice = f"{who} began a trace of its own: it did not read the header that {caller_name} wrote."
        numbers: dict[str, float | str] = {"spans_count": len(indices)}
        verdict = "id-cut" if cut else "id-changed"
        yield Finding(KEY, said, certainty, "warning", tuple(indices), verdict, who, numbers, advice)


def _cutter(caller: Span, callee: Span) -> tuple[str, Certainty]:
    """Tell which side cut the id: by the header that came, else by whose tracer is the old one."""
    value = callee.attributes.get(HEADER_ATTRIBUTE + "uber-trace-id")
    value = value[0] if isinstance(value, list) and value else value
    if isinstance(value, str):
        came = value.replace("%3A", ":").split(":")[0].lstrip("0").lower()
        if came == f"{callee.trace_id:x}":
            return caller.service, "sure"
        if came == f"{caller.trace_id:x}":
            return callee.service, "sure"
    if producer(callee).world == "opentracing" or producer(caller).world != "opentracing":
        return callee.service, "likely"
    return caller.service, "likely"


def _client_drops(trace: Trace) -> Iterator[Finding]:
    """Say what Jaeger's clients count of what they dropped."""
    counts = defaultdict[str, list[int]](list)
    for resource in _resources(trace):
        if (count := _count(resource, DROPPED_SPANS)) is not None:
            counts[resource.service].append(count)
    for service, dropped in sorted(counts.items()):
        if not (most := max(dropped)):
            continue
        rose = most - min(dropped)
        spans = [index for index, span in enumerate(trace.spans) if span.service == service][:_MOST]
        said = f"{service} says that its client has dropped {plural(most, 'span')} since it started"
        said += f", {rose:,} of them during this trace" if rose else ""
        advice = "Its queue was full, or a batch was too large for a packet: make the queue larger, or send over HTTP."
        numbers: dict[str, float | str] = {"dropped_count": most, "rose_count": rose}
        certainty: Certainty = "likely" if rose else "guess"
        severity: Severity = "warning" if rose else "note"
        yield Finding(KEY, said, certainty, severity, tuple(spans), "client-dropped", service, numbers, advice)


def _most_dropped(trace: Trace, service: str) -> int:
    counts = (_count(one, DROPPED_SPANS) or 0 for one in _resources(trace) if one.service == service)
    return max(counts, default=0)


def _gaps(trace: Trace) -> dict[str, int]:
    """Count for each service the batches that lie between others of the same process and are not in this trace."""
    numbers = defaultdict[tuple[str, frozenset[tuple[str, str]]], set[int]](set)
    for resource in _resources(trace):
        if (number := _count(resource, SEQ_NO)) is not None:
            rest = (
                (key, text(value)) for key, value in resource.attributes.items() if key not in {SEQ_NO, DROPPED_SPANS}
            )
            numbers[resource.service, frozenset(rest)].add(number)
    gaps = Counter[str]()
    for (service, _), seen in numbers.items():
        gaps[service] += max(seen) - min(seen) + 1 - len(seen)
    return gaps


def _resources(trace: Trace) -> Sequence[Resource]:
    return list({id(span.resource): span.resource for span in trace.spans}.values())


def _count(resource: Resource, name: str) -> int | None:
    value = resource.attributes.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


_ODD: Sequence[tuple[NoteKind, str, str, Severity]] = (
    ("cycle", "cycle", "the parents of {spans} lead back to {it}: a tracer sets ids wrongly", "warning"),
    (
        "same id",
        "same-id",
        "{spans} have an id that another span has: ids are not random, or copied by a fork",
        "warning",
    ),
    ("shared id", "shared-id", "{spans} share the id of their client, as Zipkin does: drawn as its child", "note"),
    ("resent", "resent", "{spans} came twice and count once: the answer to the first sending was lost", "note"),
)


def _odd(trace: Trace) -> Iterator[Finding]:
    for kind, verdict, said, severity in _ODD:
        if spans := tuple(note.span for note in trace.notes if note.kind == kind):
            counted = said.format(spans=plural(len(spans), "span"), it="it" if len(spans) == 1 else "them")
            service = trace.spans[spans[0]].service
            numbers: dict[str, float | str] = {"spans_count": len(spans)}
            who = service if severity == "warning" else ""
            yield Finding(KEY, counted, "sure", severity, spans, verdict, who, numbers)


def _limits(trace: Trace) -> Iterator[Finding]:
    """Say what the limits of the SDKs dropped of spans that came."""
    spans = defaultdict[str, list[int]](list)
    sums = defaultdict[str, list[int]](lambda: [0, 0, 0])
    for index, span in enumerate(trace.spans):
        attributes, events, links = span.dropped
        attributes += sum(event.dropped for event in span.events)
        if attributes or events or links:
            spans[span.service].append(index)
            for place, count in enumerate((attributes, events, links)):
                sums[span.service][place] += count
    for service, indices in spans.items():
        dropped = [
            (plural(count, one), limit) for count, (one, limit) in zip(sums[service], _LIMITS, strict=True) if count
        ]
        said = f"limits of {service} dropped {and_([one for one, _ in dropped])} of {plural(len(indices), 'span')}"
        advice = f"Raise {and_([limit for _, limit in dropped])} of {service} if they are needed."
        numbers: dict[str, float | str] = {
            f"{one}s_count": count for count, (one, _) in zip(sums[service], _LIMITS, strict=True) if count
        }
        yield Finding(KEY, said, "sure", "note", tuple(indices), "dropped", service, numbers, advice)


def _links(trace: Trace) -> Iterator[Finding]:
    """Offer the traces that this one goes on in."""
    known = set(trace.trace_ids)
    linked = defaultdict[int, list[int]](list)
    for index, span in enumerate(trace.spans):
        for link in span.links:
            if link.trace_id and link.trace_id not in known and linked[link.trace_id][-1:] != [index]:
                linked[link.trace_id].append(index)
    for trace_id, indices in list(linked.items())[:_MOST]:
        span = trace.spans[indices[0]]
        said = f"{span.service} {span.name[:80]!r} links to another trace, {_hex(trace_id)}: read on there"
        numbers: dict[str, float | str] = {"trace_id": _hex(trace_id), "spans_count": len(indices)}
        yield Finding(KEY, said, "sure", "note", tuple(indices), "linked-trace", span.service, numbers)


def _hex(trace_id: int) -> str:
    return f"{trace_id:032x}" if trace_id > _LOW else f"{trace_id:016x}"
