"""The hop at which a request went on in another trace (seeing.md 1.7): what only several traces together show. Pure.

Where the callee's span has the header that came, that names its caller. Else a call that no server answered with its
trace's id, and a request that began a trace of its own within that call's time
at the same peer or route, are taken for one. Where another call fits as well, that is said by the certainty.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from ot_bridge.traces.analyse.cut import low_bits
from ot_bridge.traces.analyse.errors import error_mark, http_code
from ot_bridge.traces.analyse.finding import Certainty
from ot_bridge.traces.instrumentation import headers, hop, named_parents, producer
from ot_bridge.traces.model import ENTRIES, Span
from ot_bridge.traces.tree import Trace
from ot_bridge.traces.words import and_, line, text

__all__ = ["LostHop", "SameLowBits", "lost_hops", "same_low_bits"]


class LostHop(NamedTuple):
    """A call that lost its context: two traces that should be one.

    Attributes:
        caller: the client span, in one trace.
        callee: the root of the other trace.
        writes: the trace headers that the caller's tracer writes, as far as is known.
        reads: the trace headers that the callee's tracer reads, as far as is known.
        matched: by what the two were taken for one: `header`, `peer`, `route`.
        cause: what is likely to have happened.
        advice: what to do about it.
        certainty: `sure` when the callee's span has the header that names the caller, `likely` when the peer is the
            same and nothing else fits, else `guess`.
    """

    caller: Span
    callee: Span
    writes: tuple[str, ...]
    reads: tuple[str, ...]
    matched: tuple[str, ...]
    cause: str
    advice: str
    certainty: Certainty

    @property
    def text(self) -> str:
        """One sentence with both services, their tracers and both traces."""
        caller, callee = self.caller, self.callee
        return line(
            f"{caller.service} ({producer(caller)}) called {callee.service} ({producer(callee)}), which began another "
            f"trace: {caller.trace_id:032x} goes on in {callee.trace_id:032x}; {self.cause}",
            _LONGEST,
        )


class SameLowBits(NamedTuple):
    """Two traces that are one: an old hop has cut the id to 64 bits."""

    whole: Trace
    cut: Trace

    def joined(self) -> Trace:
        """Return both as one trace, in which the rule on cut traces names the hop."""
        return Trace([*self.whole.spans, *self.cut.spans], [*self.whole.logs, *self.cut.logs])


# How many calls that were open at that time are looked at for one request: of so many none is known to be its own.
_MOST_OPEN = 32
_LONGEST = 600
_GENERIC = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "http", "request"})
_URLS = ("url.full", "http.url")
_PATHS = ("http.route", "url.template", "url.path", "http.target")
_METHODS = ("http.request.method", "http.method")
_HOSTS = ("server.address", "net.peer.name", "net.host.name", "peer.hostname", "http.host")
_PORTS = ("server.port", "net.peer.port", "net.host.port", "peer.port")
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0", "host.docker.internal"})  # noqa: S104
_OTHER_CALLS = ("db.system", "db.system.name", "db.type", "messaging.system")


class _Call(NamedTuple):
    """A client or a server span, and what it can be known by."""

    span: Span
    keys: frozenset[tuple[str, str]]
    method: str
    code: int | None
    failed: bool
    """A client that may have given up, and whose server may have gone on."""


def lost_hops(traces: Sequence[Trace]) -> list[LostHop]:
    """Find the calls whose server began a trace of its own, each server once, by its start."""
    named, skipped = _named(traces)
    fits = [fit for fit in _fitting(traces) if id(fit.callee) not in skipped]
    # The pair that is known by most, and leaves the least time between the two.
    fits.sort(key=lambda fit: (-len(fit.matched), fit.caller.duration_ns - fit.callee.duration_ns, _ids(fit)))
    callers, callees = Counter(id(fit.caller) for fit in fits), Counter(id(fit.callee) for fit in fits)
    hops = [_hop(fit.caller, fit.callee, fit.matched, alone=True) for fit in named]
    used = {id(fit.caller) for fit in named}
    for fit in fits:
        both = {id(fit.caller), id(fit.callee)}
        if used & both:
            continue
        used |= both
        alone = callers[id(fit.caller)] == 1 and callees[id(fit.callee)] == 1
        hops.append(_hop(fit.caller, fit.callee, fit.matched, alone=alone))
    return sorted(hops, key=lambda one: (one.callee.start_ns, one.callee.span_id))


class _Fit(NamedTuple):
    """A call and a request that may be one."""

    caller: Span
    callee: Span
    matched: set[str]


def _named(traces: Sequence[Trace]) -> tuple[list[_Fit], set[int]]:
    """Find the callers that recorded headers name; and the requests that this answers, found or not."""
    spans = {(span.trace_id, span.span_id): span for trace in traces for span in trace.spans}
    found, skipped = list[_Fit](), set[int]()
    for entry in _entries(traces):
        callee = entry.span
        for ids in named_parents(callee).values():
            caller = spans.get(ids)
            if caller is None or caller.trace_id == callee.trace_id:
                continue
            skipped.add(id(callee))
            # With a link the new trace was begun on purpose, and nothing is lost.
            if all(link.trace_id != caller.trace_id for link in callee.links):
                found.append(_Fit(caller, callee, {"header"}))
            break
    return found, skipped


def _ids(fit: _Fit) -> tuple[int, ...]:
    return (fit.callee.trace_id, fit.callee.span_id, fit.caller.trace_id, fit.caller.span_id)


def _fitting(traces: Sequence[Trace]) -> list[_Fit]:
    """Pair each request that began a trace with the calls that it may be of."""
    by_key = defaultdict[tuple[str, str], tuple[list[_Call], list[_Call]]](lambda: ([], []))
    for span in sorted((span for trace in traces for span in _unanswered(trace)), key=_start):
        call = _call(span, [*_peers(span), *_routes(span)])
        for key in call.keys:
            by_key[key][0].append(call)
    for entry in _entries(traces):
        for key in entry.keys & by_key.keys():
            by_key[key][1].append(entry)
    found = dict[tuple[int, int], tuple[_Call, _Call, set[str]]]()
    for key, (calls, entries) in by_key.items():
        for call, entry in _around(calls, entries):
            if _fits(call, entry):
                found.setdefault((id(call.span), id(entry.span)), (call, entry, set()))[2].add(key[0])
    behind = _answering(traces)
    fits = [(call, entry, _matched(call, entry, keys, behind)) for call, entry, keys in found.values()]
    return [_Fit(call.span, entry.span, matched) for call, entry, matched in fits if matched]


def _around(calls: Sequence[_Call], entries: Sequence[_Call]) -> Iterator[tuple[_Call, _Call]]:
    """Give each request with the calls that were open when it began and that ended next to its end; both by start."""
    active = list[tuple[int, int, _Call]]()
    number = 0
    for entry in entries:
        while number < len(calls) and calls[number].span.start_ns <= entry.span.start_ns:
            insort(active, (calls[number].span.end_ns, number, calls[number]))
            number += 1
        del active[: bisect_left(active, (entry.span.start_ns,))]
        first = bisect_left(active, (entry.span.end_ns,))
        for *_, call in active[max(0, first - _MOST_OPEN) : first + _MOST_OPEN]:
            yield call, entry


def same_low_bits(traces: Sequence[Trace]) -> list[SameLowBits]:
    """Find traces whose ids share the low 64 bits and that overlap in time."""
    short = {trace.trace_id: trace for trace in traces if trace.trace_id and trace.trace_id == low_bits(trace.trace_id)}
    found = []
    for whole in traces:
        cut = short.get(low_bits(whole.trace_id))
        if cut is None or cut.trace_id == whole.trace_id:
            continue
        if cut.start_ns <= whole.end_ns and whole.start_ns <= cut.end_ns:
            found.append(SameLowBits(whole, cut))
    return found


def _start(span: Span) -> int:
    return span.start_ns


def _unanswered(trace: Trace) -> Iterator[Span]:
    for index, span in enumerate(trace.spans):
        if span.kind != "client" or any(name in span.attributes for name in _OTHER_CALLS):
            continue
        # A client below it is the same call, seen by a lower layer.
        if not any(trace.spans[child].kind in (*ENTRIES, "client") for child in trace.children[index]):
            yield span


def _answering(traces: Sequence[Trace]) -> dict[tuple[str, str], set[str]]:
    """Learn from the calls that were answered which services are behind a host and port."""
    known = defaultdict[tuple[str, str], set[str]](set)
    for trace in traces:
        for index, parent in enumerate(trace.parents):
            if parent >= 0 and trace.spans[index].kind == "server" and trace.spans[parent].kind == "client":
                for key in _hosts(trace.spans[parent]):
                    known[key].add(trace.spans[index].service)
    return known


def _entries(traces: Sequence[Trace]) -> list[_Call]:
    """Return the requests that began a trace, by their start."""
    roots = [trace.spans[index] for trace in traces for index in trace.roots]
    spans = sorted((span for span in roots if span.kind == "server" and not span.parent_id), key=_start)
    hosts = defaultdict[tuple[str, str], set[str]](set)
    for span in spans:
        for key in _hosts(span):
            hosts[key].add(span.service)
    # A host with several services behind it is a gateway, and tells none of them.
    return [
        _call(span, [("peer", span.service), *(key for key in _hosts(span) if len(hosts[key]) == 1), *_routes(span)])
        for span in spans
    ]


def _call(span: Span, keys: Sequence[tuple[str, str]]) -> _Call:
    method = next((text(span.attributes[name]).upper() for name in _METHODS if name in span.attributes), "")
    return _Call(span, frozenset(keys), method, http_code(span), span.kind == "client" and error_mark(span) is not None)


def _peers(span: Span) -> Iterator[tuple[str, str]]:
    if name := span.attributes.get("peer.service"):
        yield "peer", text(name)
    for _, host in _hosts(span):
        yield "peer", host
        # In a cluster the host of a service starts with its name.
        yield "peer", host.split(":")[0].split(".")[0]


def _hosts(span: Span) -> Iterator[tuple[str, str]]:
    """Give the host and port that are called, where they are known to be one service's alone."""
    for name in _URLS:
        if url := span.attributes.get(name):
            try:
                parts = urlsplit(text(url))
                host, port = parts.hostname or "", parts.port
            except ValueError:
                continue
            if port or (host and host not in _LOCAL_HOSTS):
                yield "peer", f"{host}:{port or ''}"
    for name in _HOSTS:
        if host := text(span.attributes.get(name) or ""):
            port_text = next((text(span.attributes[key]) for key in _PORTS if key in span.attributes), "")
            whole = host if ":" in host else f"{host}:{port_text}"
            if not whole.endswith(":") or host not in _LOCAL_HOSTS:
                yield "peer", whole


def _routes(span: Span) -> Iterator[tuple[str, str]]:
    """Give what a request is for; names that are only a method are everybody's."""
    for name in _PATHS:
        if path := text(span.attributes.get(name) or "").split("?")[0]:
            yield "route", path
    for name in _URLS:
        if url := span.attributes.get(name):
            try:
                path = urlsplit(text(url)).path
            except ValueError:
                continue
            if path and path != "/":
                yield "route", path
    if "/" in span.name and not all(word in _GENERIC for word in span.name.lower().split()):
        yield "route", span.name


def _fits(call: _Call, entry: _Call) -> bool:
    client, server = call.span, entry.span
    if low_bits(client.trace_id) == low_bits(server.trace_id):
        return False
    if server.end_ns > client.end_ns and not call.failed:
        return False
    if server.start_ns < client.start_ns or client.resource is server.resource:
        return False
    if call.method and entry.method and call.method != entry.method:
        return False
    return call.code is None or entry.code is None or call.code == entry.code


def _matched(call: _Call, entry: _Call, found: set[str], behind: Mapping[tuple[str, str], set[str]]) -> set[str]:
    """Return by what the two are one call; nothing where the caller is known to have called another service."""
    callees = {service for key in call.keys for service in behind.get(key, ())}
    if callees:
        return found | {"peer"} if entry.span.service in callees else set()
    if "peer" in found:
        return found
    # By its route alone only where nothing says that another peer was called.
    theirs, ours = set(_hosts(call.span)), set(_hosts(entry.span))
    return set() if "peer.service" in call.span.attributes or (theirs and ours) else found


def _hop(caller: Span, callee: Span, matched: set[str], *, alone: bool) -> LostHop:
    writes, reads = tuple(headers(caller)), tuple(headers(callee))
    arrived = hop(callee).arrived
    certainty: Certainty = "sure" if "header" in matched else "likely" if alone and "peer" in matched else "guess"
    names = f"{caller.service} writes {_list(writes)}, {callee.service} reads {_list(reads)}"
    if arrived and not set(arrived) & set(reads):
        cause = f"{_list(arrived)} came, and {callee.service} reads {_list(reads)}"
        old = producer(callee).world not in {"native", "bridge"}
        advice = _write_more(caller, reads) if old and reads else _read_more(callee, arrived)
    elif arrived:
        cause = f"{_list(arrived)} came, and {callee.service} did not use it"
        advice = f"Let {callee.service} extract the context from the request before it starts its span."
    elif not writes or not reads:
        cause = f"the header was not sent or not read ({names})"
        advice = f"Check what {caller.service} sends and what {callee.service} reads."
    elif set(writes) & set(reads):
        cause = f"the header was not sent, or lost on the way ({names})"
        advice = f"Let {caller.service} inject its context into this call; a proxy between them may drop the header."
    else:
        cause = names
        advice = _read_more(callee, writes) if producer(callee).world == "native" else _write_more(caller, reads)
    return LostHop(caller, callee, writes, reads, tuple(sorted(matched)), cause, advice, certainty)


def _read_more(callee: Span, wanted: Sequence[str]) -> str:
    made = producer(callee)
    if made.world == "native":
        return f"Let {callee.service} read {_list(wanted)}: {_propagators(callee)}."
    if made.world == "bridge":
        return f"Let {callee.service} read {_list(wanted)}: OT_BRIDGE_EXTRACT."
    return (
        f"Let {callee.service} read {_list(wanted)}: move it onto the bridge, or let its callers write what it reads."
    )


def _write_more(caller: Span, wanted: Sequence[str]) -> str:
    made = producer(caller)
    if made.world == "native":
        return f"Let {caller.service} write {_list(wanted)} too: {_propagators(caller)}."
    if made.world == "bridge":
        return f"Let {caller.service} write {_list(wanted)} too: OT_BRIDGE_INJECT."
    return f"Let {caller.service} write {_list(wanted)} too: move it onto the bridge."


def _propagators(span: Span) -> str:
    """Name the setting that lets a native service speak both headers."""
    if producer(span).library == "opentelemetry-python":
        return "install ot_bridge there and set OTEL_PROPAGATORS=ot_bridge"
    return "set OTEL_PROPAGATORS=tracecontext,baggage,jaeger"


def _list(names: Sequence[str]) -> str:
    return and_(names) if names else "headers that are not known"
