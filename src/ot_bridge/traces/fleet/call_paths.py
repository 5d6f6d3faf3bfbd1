"""Call paths: the chain of services and names from a root down, by which spans of many traces are put together. Pure.

A path is an integer in a table that all traces share, so that chains of any depth cost one entry for each step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from ot_bridge.traces.analyse.critical_path import CriticalPath, critical_path
from ot_bridge.traces.analyse.errors import error_mark
from ot_bridge.traces.analyse.self_time import self_times
from ot_bridge.traces.tree import Trace
from ot_bridge.traces.words import line

__all__ = ["LONGEST", "CallPaths", "Chain", "Measured", "Measures", "Step"]

LONGEST = 100
"""Of a path with more steps a chain has the last ones: all chains of a deep trace would be as large as its square."""


class Step(NamedTuple):
    """One step of a path."""

    service: str
    name: str

    def __str__(self) -> str:
        return f"{line(self.service)} {line(self.name, 120)!r}"


Chain: TypeAlias = tuple[Step, ...]


class Measures(NamedTuple):
    """What one trace has on one path.

    Attributes:
        critical_ns: time on the critical path of the trace's root.
        kinds: the kinds of the spans, sorted.
    """

    calls: int
    self_ns: int
    critical_ns: int
    errors: int
    kinds: tuple[str, ...]


class Measured(NamedTuple):
    """A trace by its paths.

    Attributes:
        duration_ns: of the root that the trace is named after; the critical times add up to it.
        of: what it has on each path, by the path's number.
        path_of: the path's number of each span.
        critical: the critical path that the times are from.
    """

    trace_id: int
    duration_ns: int
    of: Mapping[int, Measures]
    path_of: Sequence[int]
    critical: CriticalPath


class CallPaths:
    """The table of paths.

    Args:
        rename: new names by old ones, for spans that are called differently before and after a migration.
    """

    def __init__(self, rename: Mapping[str, str] | None = None) -> None:
        self._rename = dict(rename or {})
        self._numbers: dict[tuple[int, str, str], int] = {}
        self._steps: list[Step] = []
        self.parents: list[int] = []
        """Of each path the number of the path above it, -1 for a root's."""
        self.depths: list[int] = []
        """Of each path its number of steps."""

    def __len__(self) -> int:
        return len(self._steps)

    def step(self, path: int) -> Step:
        """Return the last step of a path."""
        return self._steps[path]

    def chain(self, path: int) -> Chain:
        """Return a path from the root down, its last `LONGEST` steps."""
        steps = list[Step]()
        while path >= 0 and len(steps) < LONGEST:
            steps.append(self._steps[path])
            path = self.parents[path]
        return tuple(reversed(steps))

    def ranks(self) -> Sequence[int]:
        """Return the place of each path when all are sorted, each one before what is below it."""
        below: dict[int, list[int]] = defaultdict(list)
        for path in sorted(range(len(self)), key=lambda path: self._steps[path], reverse=True):
            below[self.parents[path]].append(path)
        found, place, stack = [0] * len(self), 0, below[-1]
        while stack:
            path = stack.pop()
            found[path], place = place, place + 1
            stack += below.get(path, ())
        return found

    def number(self, parent: int, service: str, name: str) -> int:
        """Return the number of the path one step below another, -1 for a root."""
        name = self._rename.get(name, name)
        key = (parent, service, name)
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self._steps)
            self._steps.append(Step(service, name))
            self.parents.append(parent)
            self.depths.append(1 if parent < 0 else self.depths[parent] + 1)
        return found

    def measure(self, trace: Trace) -> Measured:
        """Put the spans of a trace on their paths."""
        own, critical = self_times(trace), critical_path(trace)
        path_of, groups = list[int](), dict[int, list[int]]()
        for index, span in enumerate(trace.spans):
            above = trace.parents[index]
            path = self.number(path_of[above] if above >= 0 else -1, span.service, span.name)
            path_of.append(path)
            groups.setdefault(path, []).append(index)
        of = {
            path: Measures(
                calls=len(indices),
                self_ns=sum(own[index] for index in indices),
                critical_ns=sum(critical.own_ns.get(index, 0) for index in indices),
                errors=sum(error_mark(trace.spans[index]) is not None for index in indices),
                kinds=tuple(sorted({trace.spans[index].kind for index in indices})),
            )
            for path, indices in groups.items()
        }
        duration = trace.spans[trace.root].duration_ns if len(trace) else 0
        return Measured(trace.trace_id, duration, of, path_of, critical)
