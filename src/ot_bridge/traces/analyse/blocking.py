"""Which children a span waits for (seeing.md 1.2), as far as times and kinds can tell. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

from ot_bridge.traces.analyse.clock import same_clock
from ot_bridge.traces.model import Span
from ot_bridge.traces.tree import Trace

__all__ = ["Reason", "asynchronous", "blocking_children", "follows_from", "is_blocking", "why_not_waited_for"]

Reason: TypeAlias = Literal["consumer", "follows", "later", "clocks"]
"""Why a parent did not wait for a child: it consumes what the parent produced; it says that it follows from the parent;
it began after the parent's end; so it did by another host's clock, which may be off."""

_REFERENCE = "opentracing.ref_type"
_FOLLOWS = "follows_from"


def is_blocking(parent: Span, child: Span) -> bool:
    """Tell whether the parent can have waited for the child.

    It did not wait for a consumer of what it produced, for what follows from it, and for what began after its end.
    """
    return why_not_waited_for(parent, child) is None


def why_not_waited_for(parent: Span, child: Span) -> Reason | None:
    """Tell why the parent cannot have waited for the child; None when it can have."""
    if parent.kind == "producer" and child.kind == "consumer":
        return "consumer"
    if child.links and follows_from(parent, child):
        return "follows"
    if child.start_ns >= parent.end_ns and child.start_ns > parent.start_ns:
        return "later" if same_clock(parent, child) else "clocks"
    return None


def follows_from(parent: Span, child: Span) -> bool:
    """Tell whether the child says that its parent does not depend on it."""
    return any(
        link.span_id == parent.span_id
        and link.trace_id == parent.trace_id
        and link.attributes.get(_REFERENCE) == _FOLLOWS
        for link in child.links
    )


def blocking_children(trace: Trace, index: int) -> list[int]:
    """Return the indices of the children that a span may have waited for, by their start."""
    parent = trace.spans[index]
    return [child for child in trace.children[index] if is_blocking(parent, trace.spans[child])]


def asynchronous(trace: Trace) -> Mapping[int, Reason]:
    """Return the spans that their parent did not wait for, by index, each with the reason."""
    pairs = ((index, parent) for index, parent in enumerate(trace.parents) if parent >= 0)
    reasons = ((index, why_not_waited_for(trace.spans[parent], trace.spans[index])) for index, parent in pairs)
    return {index: reason for index, reason in reasons if reason is not None}
