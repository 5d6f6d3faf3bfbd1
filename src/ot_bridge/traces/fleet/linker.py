"""Which spans are the two halves of one call, by the rule of Zipkin's linker (seeing.md 1.10). Pure.

A SERVER span answers the nearest CLIENT span above it that no other request lies between. A CLIENT span that nothing
answers stands for the peer that it names; a message goes to its broker, and from there to who takes it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ot_bridge.traces.analyse.entry import weight_of
from ot_bridge.traces.analyse.errors import error_mark
from ot_bridge.traces.fleet.peers import Peer, PeerKind, address_of, own_address_of, peer_of
from ot_bridge.traces.model import CALLERS, ENTRIES, Span
from ot_bridge.traces.tree import Trace

__all__ = ["Call", "linked"]

_ANSWER = "answer"
_UNNAMED = ("unspecified", "internal")


@dataclass
class Call:
    """One call: the half of each side, as far as it is there."""

    caller: str
    callee: str
    client: Span | None
    server: Span | None
    trace_id: int
    weight: float
    likely: bool = False

    @property
    def failed(self) -> bool:
        return any(span is not None and error_mark(span) is not None for span in (self.client, self.server))

    @property
    def duration_ns(self) -> int:
        span = self.client or self.server
        return span.duration_ns if span else 0


def linked(traces: Sequence[Trace], services: Container[str]) -> tuple[Sequence[Call], Mapping[str, PeerKind]]:
    """Find the calls in some traces.

    Args:
        traces: all that are looked at together: what one says of an address helps to read the others.
        services: those that have spans of their own.

    Returns:
        The calls, and what the nodes are that have no spans of their own.
    """
    calls, named, kinds = list[Call](), list[tuple[Call, Peer]](), dict[str, PeerKind]()
    for trace in traces:
        for call, peer in _calls(trace):
            if peer is None:
                calls.append(call)
            else:
                named.append((call, peer))
    known = _known(traces, calls)
    for call, peer in named:
        _resolve(call, peer, services, known)
        kinds.update((name, peer.kind) for name in (call.caller, call.callee) if name not in services)
        calls.append(call)
    return calls, kinds


def _calls(trace: Trace) -> Iterator[tuple[Call, Peer | None]]:
    """Yield the calls of a trace, each with the peer that its one half names, None where both services are known."""
    below, clients = _below(trace), _clients(trace)
    root = trace.spans[trace.root]
    for index, span in enumerate(trace.spans):
        above = trace.parents[index]
        parent = trace.spans[above] if above >= 0 else None
        weight = weight_of(span, root)
        if span.kind in ENTRIES or (parent is not None and parent.service != span.service):
            yield from _arrived(span, parent, clients[index], weight)
        peer = peer_of(span) if span.kind not in ENTRIES else None
        if peer is None or (span.kind in _UNNAMED and not (peer.named or peer.kind == "database")):
            continue
        to_broker = span.kind == "producer" and peer.kind == "messaging"
        if to_broker or not below[index] & {_ANSWER, peer.kind}:
            yield Call(span.service, peer.name, span, None, span.trace_id, weight), peer


def _below(trace: Trace) -> Sequence[set[str]]:
    """Tell what each span is followed by: an answer of the other side, or calls that it was made of, by their kind."""
    found: list[set[str]] = [set() for _ in trace.spans]
    for index in range(len(trace) - 1, 0, -1):
        span, above = trace.spans[index], trace.parents[index]
        if above < 0:
            continue
        if span.kind in ENTRIES or span.service != trace.spans[above].service:
            # Below an entry other calls are made; they say nothing about the one that led to it.
            found[above].add(_ANSWER)
        else:
            found[above] |= found[index]
            if span.kind in CALLERS:
                peer = peer_of(span)
                found[above].add(peer.kind if peer else _ANSWER)
    return found


def _arrived(span: Span, parent: Span | None, client: Span | None, weight: float) -> Iterator[tuple[Call, Peer | None]]:
    peer = peer_of(span) if span.kind in ENTRIES else None
    if span.kind == "consumer":
        brokers = (peer, peer_of(parent) if parent is not None and parent.kind == "producer" else None)
        broker = next((one for one in brokers if one is not None and one.kind == "messaging"), None)
        if broker is not None:
            # Between the two stands the broker; what the producer sent to it is a call of its own.
            yield Call(broker.name, span.service, None, span, span.trace_id, weight), broker
            return
    if parent is None:
        # A name is its caller's; an address would be the one of this service itself.
        if peer is not None and peer.named and not span.parent_id:
            yield Call(peer.name, span.service, None, span, span.trace_id, weight), peer
        return
    if client is not None or parent.service != span.service:
        caller = parent.service if client is None else client.service
        yield Call(caller, span.service, client, span, span.trace_id, weight), None


def _clients(trace: Trace) -> Sequence[Span | None]:
    """Return the caller's half above each span: the nearest call above that no other request lies between."""
    found = list[Span | None]()
    for above in trace.parents:
        parent = trace.spans[above] if above >= 0 else None
        if parent is None or parent.kind in CALLERS:
            found.append(parent)
        elif parent.kind in ENTRIES:
            found.append(None)
        else:
            over = trace.parents[above]
            other = over >= 0 and trace.spans[over].service != parent.service
            found.append(None if other else found[above])
    return found


def _known(traces: Sequence[Trace], calls: Sequence[Call]) -> Mapping[str, str]:
    """Learn which service has which address or other name: from calls that both sides recorded, and from servers."""
    found: dict[str, set[str]] = defaultdict(set)
    for call in calls:
        if call.client is not None and call.server is not None:
            peer = peer_of(call.client)
            for name in (address_of(call.client), peer.name if peer is not None and peer.named else ""):
                found[name].add(call.callee)
    for trace in traces:
        for span in trace.spans:
            if span.kind == "server":
                found[own_address_of(span)].add(span.service)
    return {name: next(iter(services)) for name, services in found.items() if name and len(services) == 1}


def _resolve(call: Call, peer: Peer, services: Container[str], known: Mapping[str, str]) -> None:
    """Find the instrumented service behind what a call names."""
    if peer.kind != "service" or call.client is None or call.callee in services:
        return
    address = address_of(call.client)
    host = address.rpartition(":")[0] or address
    guesses = () if peer.named else (host, host.split(".")[0])
    name = known.get(peer.name) or known.get(address) or next((one for one in guesses if one in services), None)
    if name is not None:
        call.callee, call.likely = name, True
