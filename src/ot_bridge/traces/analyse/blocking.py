"""Which children a span waits for (seeing.md 1.2), as far as times and kinds can tell. Pure."""

from __future__ import annotations

from ot_bridge.traces.model import Span
from ot_bridge.traces.tree import Trace

__all__ = ["blocking_children", "follows_from", "is_blocking"]

_REFERENCE = "opentracing.ref_type"
_FOLLOWS = "follows_from"


def is_blocking(parent: Span, child: Span) -> bool:
    """Tell whether the parent can have waited for the child.

    It did not wait for a consumer of what it produced, for what follows from it, and for what began after its end.
    """
    if parent.kind == "producer" and child.kind == "consumer":
        return False
    if child.start_ns >= parent.end_ns and child.start_ns > parent.start_ns:
        return False
    return not follows_from(parent, child)


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
