"""What the rules read: the trace, and what several of them need, computed once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ot_bridge.traces.analyse.critical_path import CriticalPath, critical_path
from ot_bridge.traces.analyse.errors import ErrorMark, error_marks
from ot_bridge.traces.analyse.saving import Savings
from ot_bridge.traces.analyse.self_time import self_times
from ot_bridge.traces.analyse.statements import Target, targets
from ot_bridge.traces.tree import Trace

__all__ = ["Reading", "read"]


@dataclass(frozen=True)
class Reading:
    """A trace and what is computed of it once.

    Attributes:
        path: the critical path of `trace.root`.
        self_ns: of each span its self time.
        errors: the spans that failed, by index, each with the reason why it counts as failed.
        now_ns: when the trace is read, None when it is known to be finished, as one from a file.
    """

    trace: Trace
    path: CriticalPath
    self_ns: Sequence[int]
    errors: Mapping[int, ErrorMark]
    now_ns: int | None = None

    @property
    def root_ns(self) -> int:
        """The duration that the critical path explains."""
        return self.path.below_ns(self.path.root)

    @cached_property
    def targets(self) -> Sequence[Target | None]:
        """Of each span what it asked another process for, None for what is no call."""
        return targets(self.trace)

    @cached_property
    def savings(self) -> Savings:
        """What the root would gain without some spans."""
        return Savings(self.trace, self.path)


def read(trace: Trace, now_ns: int | None = None) -> Reading:
    """Compute what the rules share."""
    return Reading(trace, critical_path(trace), self_times(trace), error_marks(trace), now_ns)
