"""Which services call which, as both sides saw it (seeing.md 1.10). Pure.

Edges follow Zipkin's linker: a SERVER span belongs to the nearest caller above it, a CLIENT span that nobody answered
stands for the peer that it names. Both halves are counted. Where calls go to a service that is instrumented and none of
them arrives in the same trace, the trace breaks on this way: that is the to-do list of a migration.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ot_bridge.traces.analyse.entry import is_entry, weight_of
from ot_bridge.traces.analyse.errors import error_mark
from ot_bridge.traces.fleet.linker import Call, linked
from ot_bridge.traces.fleet.peers import PeerKind
from ot_bridge.traces.fleet.statistics import quantile
from ot_bridge.traces.instrumentation import World, producer
from ot_bridge.traces.model import Resource
from ot_bridge.traces.tree import Trace
from ot_bridge.traces.words import line, plural

__all__ = ["Edge", "Node", "ServiceMap", "service_map"]

_EXAMPLES = 5


class Node(NamedTuple):
    """A service, or a peer that sends no spans itself.

    Attributes:
        instrumented: whether it has spans of its own.
        worlds: of how many of its spans each kind of instrumentation is the maker.
        libraries: the tracers, sorted.
        requests: its entries that were seen.
        self_calls: how many of them it sent to itself.
        p50_ns: of its requests, 0.0 without any.
    """

    name: str
    kind: PeerKind
    instrumented: bool
    spans: int
    worlds: Mapping[World, int]
    libraries: Sequence[str]
    requests: int
    estimated: float
    errors: int
    self_calls: int
    p50_ns: float
    p95_ns: float

    @property
    def world(self) -> World | None:
        """The instrumentation of most of its spans, None without spans."""
        return max(sorted(self.worlds), key=lambda world: self.worlds[world], default=None)


class Edge(NamedTuple):
    """The calls from one node to another.

    Attributes:
        clients: calls that the caller recorded.
        servers: calls that the other side recorded, in the same trace.
        matched: of the callers' calls those that the other side recorded too.
        calls: all of them, whoever recorded them.
        errors: how many of them failed, by either side.
        p50_ns: as the caller saw it, else as the other side did.
        broken: whether none of them was answered with our trace id, though the other side is instrumented.
        likely: whether the other side is known by its address alone, not by a name in the span.
        examples: trace ids, failed ones first.
        sentence: what is to be said of it, `""` when nothing.
    """

    caller: str
    callee: str
    clients: int
    servers: int
    matched: int
    calls: int
    estimated: float
    errors: int
    p50_ns: float
    p95_ns: float
    broken: bool
    likely: bool
    examples: Sequence[int]
    sentence: str

    @property
    def error_share(self) -> float:
        """Of its calls the share that failed, 0 to 1."""
        return self.errors / self.calls


class ServiceMap(NamedTuple):
    """All nodes by name, all edges by their nodes' names.

    Attributes:
        seconds: the length of the period, 0.0 when it is not known: then there are no rates.
    """

    nodes: Sequence[Node]
    edges: Sequence[Edge]
    traces: int
    seconds: float

    @property
    def broken(self) -> Sequence[Edge]:
        """The edges on which the trace breaks, the busiest first."""
        return sorted((edge for edge in self.edges if edge.broken), key=lambda edge: -edge.calls)


@dataclass
class _Seen:
    """What is known of a service from its own spans."""

    spans: int = 0
    worlds: Counter[World] = field(default_factory=Counter)
    libraries: set[str] = field(default_factory=set)
    durations: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    errors: int = 0


def service_map(traces: Iterable[Trace], seconds: float = 0.0) -> ServiceMap:
    """Find which services call which.

    Args:
        traces: of one period.
        seconds: its length.
    """
    kept = [trace for trace in traces if len(trace)]
    seen = _services(kept)
    calls, kinds = linked(kept, seen)
    groups: dict[tuple[str, str], list[Call]] = defaultdict(list)
    for call in calls:
        groups[call.caller, call.callee].append(call)
    edges = [_edge(caller, callee, groups[caller, callee], seen) for caller, callee in sorted(groups)]
    own = {caller: len(groups[caller, callee]) for caller, callee in groups if caller == callee}
    names = sorted(seen.keys() | kinds.keys())
    nodes = [_node(name, seen.get(name), kinds.get(name, "service"), own.get(name, 0)) for name in names]
    return ServiceMap(nodes, edges, len(kept), seconds)


def _services(traces: Sequence[Trace]) -> Mapping[str, _Seen]:
    found: dict[str, _Seen] = defaultdict(_Seen)
    makers: dict[tuple[Resource, object, str], tuple[World, str]] = {}
    for trace in traces:
        root = trace.spans[trace.root]
        for index, span in enumerate(trace.spans):
            key = (span.resource, span.scope, span.via)
            if key not in makers:
                maker = producer(span)
                makers[key] = maker.world, str(maker)
            world, library = makers[key]
            one = found[span.service]
            one.spans += 1
            one.worlds[world] += 1
            one.libraries.add(library)
            parent = trace.parents[index]
            if is_entry(span, trace.spans[parent] if parent >= 0 else None):
                one.durations.append(span.duration_ns)
                one.weights.append(weight_of(span, root))
                one.errors += error_mark(span) is not None
    return dict(found)


def _edge(caller: str, callee: str, calls: Sequence[Call], seen: Mapping[str, _Seen]) -> Edge:
    # A call that was answered more than once is one call of the caller's.
    clients = len({id(call.client) for call in calls if call.client is not None})
    servers = sum(call.server is not None for call in calls)
    both = len({id(call.client) for call in calls if call.client is not None and call.server is not None})
    failed = [call for call in calls if call.failed]
    durations = sorted(call.duration_ns for call in calls)
    likely = all(call.likely for call in calls)
    broken = clients > 0 and not servers and callee in seen and callee != caller
    ids = dict.fromkeys(
        [
            *sorted(call.trace_id for call in failed),
            *sorted(call.trace_id for call in calls),
        ]
    )
    return Edge(
        caller=caller,
        callee=callee,
        clients=clients,
        servers=servers,
        matched=both,
        calls=len(calls),
        estimated=float(sum(sorted(call.weight for call in calls))),
        errors=len(failed),
        p50_ns=quantile(durations, 0.5),
        p95_ns=quantile(durations, 0.95),
        broken=broken,
        likely=likely,
        examples=list(ids)[:_EXAMPLES],
        sentence=_sentence(caller, callee, clients, servers, both, broken=broken, known=callee in seen),
    )


def _sentence(caller: str, callee: str, clients: int, servers: int, both: int, *, broken: bool, known: bool) -> str:
    caller, callee = line(caller), line(callee)
    if broken:
        return f"{callee} never answers {caller} with our trace id: {plural(clients, 'call')}, none in its traces"
    if known and clients > both and servers:
        return f"{clients - both} of {plural(clients, 'call')} from {caller} did not arrive at {callee} in our trace"
    return ""


def _node(name: str, seen: _Seen | None, kind: PeerKind, self_calls: int) -> Node:
    one = seen or _Seen()
    durations = sorted(one.durations)
    return Node(
        name=name,
        kind=kind if seen is None else "service",
        instrumented=seen is not None,
        spans=one.spans,
        worlds=dict(sorted(one.worlds.items())),
        libraries=sorted(one.libraries),
        requests=len(durations),
        estimated=float(sum(sorted(one.weights))),
        errors=one.errors,
        self_calls=self_calls,
        p50_ns=quantile(durations, 0.5),
        p95_ns=quantile(durations, 0.95),
    )
