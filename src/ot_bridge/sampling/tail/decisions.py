"""What was decided about a local trace, how it is told, and for how long it is remembered."""

from __future__ import annotations

from collections import deque
from types import MappingProxyType
from typing import Final, NamedTuple

__all__ = ["DOWNSTREAM", "Decisions", "TailDecision", "Verdict", "downstream"]

DOWNSTREAM: Final = MappingProxyType(
    {
        (True, True): "services called from here were sent sampled=1: they have recorded their part, and exported it "
        "unless a tail rule of their own dropped it",
        (True, False): "services called from here were sent sampled=1 and were not called back: they have recorded "
        "their part, and exported what their own rules keep; it has no parent in the backend",
        (False, True): "services called from here were sent sampled=0: they have recorded nothing, so that only the "
        "part of this process is in the backend",
        (False, False): "services called from here were sent sampled=0: they have recorded nothing",
    }
)
"""(head decision, tail decision) -> what other processes have done, which no tail decision can change any more."""


def downstream(*, head_sampled: bool, kept: bool) -> str:
    """Say what a service that this process called will have done with its part of the trace.

    Args:
        head_sampled: the decision of the head sampler: it went out with every request, from the start.
        kept: the decision of the tail sampler.
    """
    return DOWNSTREAM[head_sampled, kept]


class Verdict(NamedTuple):
    """Kept or not, and by which policy."""

    kept: bool
    policy: str


class TailDecision(NamedTuple):
    """What ``on_decision`` is told about one local trace."""

    trace_id: int
    kept: bool
    reason: str
    """The policy, as in ``ot_bridge.tail.policy``; of a dropped trace the one that it failed."""
    spans: int
    """Ended spans that it had so far."""
    head_sampled: bool
    """The head sampler's decision, which other processes were told."""

    @property
    def downstream(self) -> str:
        """What services that this process called have done with their part."""
        return downstream(head_sampled=self.head_sampled, kept=self.kept)

    def __str__(self) -> str:
        word = "kept" if self.kept else "dropped"
        return f"trace {self.trace_id:032x}: {word} by {self.reason}, {self.spans} spans; {self.downstream}"


class Decisions:
    """The newest decisions, by trace id; the oldest gives way. Not safe with threads.

    Args:
        size: how many.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._verdicts: dict[int, Verdict] = {}
        # To find the first key of a dict that has lost many takes a walk over the gaps.
        self._order: deque[int] = deque()
        self.get = self._verdicts.get
        """The verdict of a trace id, None when it is not remembered."""

    def remember(self, trace_id: int, verdict: Verdict) -> None:
        """Note a decision; a newer one about the same trace takes the place of the older."""
        if trace_id not in self._verdicts:
            self._order.append(trace_id)
            if len(self._order) > self._size:
                del self._verdicts[self._order.popleft()]
        self._verdicts[trace_id] = verdict

    def __len__(self) -> int:
        return len(self._verdicts)
