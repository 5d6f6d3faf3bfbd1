"""What is known of a sampler's answers without asking it, and without reading a span's tags for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased

__all__ = ["SHED", "Head"]

SHED: Final[dict[str, Any]] = {}
"""Stands for the attributes of a root that the budget shed, see :mod:`ot_bridge.shedding`."""

_CONSTANT: Final = ((ALWAYS_ON, True), (ALWAYS_OFF, False))
_FOLLOWING: Final = (
    ("_remote_parent_sampled", ALWAYS_ON),
    ("_local_parent_sampled", ALWAYS_ON),
    ("_remote_parent_not_sampled", ALWAYS_OFF),
    ("_local_parent_not_sampled", ALWAYS_OFF),
)


class Head:
    """The head sampler of a provider.

    Args:
        sampler: any.
        is_known: False where something stands before it, so that nothing is known.

    Attributes:
        sampler: the same.
        follows: a span with a parent is sampled where the parent is: an ordinary ``ParentBased``.
        root: the answer to all else, None where it depends.
        decide_root: what else to ask about a root, with its trace id and name; None for ``should_sample``.
    """

    __slots__ = ("decide_root", "follows", "root", "sampler")

    def __init__(self, sampler: Any, *, is_known: bool = True) -> None:
        self.sampler = sampler
        sampler = sampler if is_known else None
        self.follows = getattr(type(sampler), "should_sample", None) is ParentBased.should_sample and all(
            getattr(sampler, name, None) is wanted for name, wanted in _FOLLOWING
        )
        constant = getattr(sampler, "_root", None) if self.follows else sampler
        self.root = next((answer for known, answer in _CONSTANT if known is constant), None)
        # A sampler of ot_bridge's own: without the three objects that carry an answer, a fifth of a span.
        self.decide_root: Callable[[int, str], tuple[bool, Any]] | None = getattr(sampler, "decide_root", None)
