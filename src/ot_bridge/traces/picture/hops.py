"""How a request went from service to service: by whom it was sent, by whom it was read, in which header. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ot_bridge.traces.instrumentation import HEADER_ATTRIBUTE, TRACE_HEADERS, Hop, hop, producer
from ot_bridge.traces.model import ENTRIES, Span

if TYPE_CHECKING:
    from ot_bridge.traces.tree import Trace

__all__ = ["HopKind", "hop_kinds", "hop_of"]

_RECORDED = tuple(HEADER_ATTRIBUTE + name for name in TRACE_HEADERS)


class HopKind(NamedTuple):
    """All hops of one kind.

    Attributes:
        caller: the service that called; `""` when it is not in the trace.
        caller_library: what made its span.
        callee: the service that was called.
        callee_library: what made its span.
        hop: the header, and how surely it is known.
        calls: how many there are.
        first: the index of the first span that was reached so.
    """

    caller: str
    caller_library: str
    callee: str
    callee_library: str
    hop: Hop
    calls: int
    first: int


def hop_of(trace: Trace, index: int) -> Hop | None:
    """Say how a request came to a span; None when it did not come from another span's process."""
    span, parent = trace.spans[index], trace.parents[index]
    if parent < 0:
        return hop(span) if span.kind in ENTRIES else None
    above = trace.spans[parent]
    return hop(span, above) if span.service != above.service else None


def hop_kinds(trace: Trace) -> Sequence[HopKind]:
    """Return the hops between the services of a trace, equal ones once, in the order of the request."""
    memo, found = dict[tuple[object, ...], Hop](), dict[tuple[object, ...], list[int]]()
    for index, (span, parent) in enumerate(zip(trace.spans, trace.parents, strict=True)):
        above = trace.spans[parent] if parent >= 0 else None
        if above is None or span.service == above.service:
            continue
        made = (_made(above), _made(span))
        if any(name in span.attributes for name in _RECORDED):
            came = hop(span, above)
        elif (known := memo.get(made)) is not None:
            came = known
        else:
            came = memo[made] = hop(span, above)
        found.setdefault((*made, came), []).append(index)
    return [_kind(trace, came, indices) for (_, _, came), indices in found.items() if isinstance(came, Hop)]


def _made(span: Span) -> tuple[object, ...]:
    """Return what tells by whom a span was made."""
    return id(span.resource), span.scope, span.via


def _kind(trace: Trace, came: Hop, indices: Sequence[int]) -> HopKind:
    callee = trace.spans[indices[0]]
    caller = trace.spans[trace.parents[indices[0]]]
    return HopKind(
        caller.service, str(producer(caller)), callee.service, str(producer(callee)), came, len(indices), indices[0]
    )
