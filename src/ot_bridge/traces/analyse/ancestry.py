"""The lowest common ancestor of two spans, in a logarithm of the tree's size. Pure.

By heavy paths: a path leads from a span down to the child with the largest subtree. From any span at most a logarithm
of paths leads to the root, however deep the tree is.
"""

from __future__ import annotations

from collections.abc import Sequence

from ot_bridge.traces.tree import Trace

__all__ = ["Ancestry"]


class Ancestry:
    """The lowest common ancestors of one trace."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        heads = list(range(len(trace)))
        for index, children in enumerate(trace.children):
            if children:
                heads[max(children, key=trace.sizes.__getitem__)] = index
        # A parent stands before its children, so its own head is final when theirs is looked up.
        for index, head in enumerate(heads):
            heads[index] = heads[head] if head != index else index
        self._heads: Sequence[int] = heads

    def common(self, one: int, other: int) -> int:
        """Return the lowest span that is, or is above, both; -1 when they have different roots."""
        heads, depths, parents = self._heads, self._trace.depths, self._trace.parents
        while heads[one] != heads[other]:
            if depths[heads[one]] < depths[heads[other]]:
                one, other = other, one
            one = parents[heads[one]]
            if one < 0:
                return -1
        return one if depths[one] <= depths[other] else other
