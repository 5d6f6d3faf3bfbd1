"""Two groups of traces side by side: what differs in shape, and where the time went (seeing.md 1.9). Pure.

Spans are put together by call path. The difference of the groups' median durations is shared out over the paths, to the
nanosecond: what the traces near the median spent on each path's critical time is scaled to the median. This is how a
quantile of a sum is shared out over its parts (Euler's allocation: Tasche 1999), with the middle fifth of the traces as
what is near.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ot_bridge.traces.fleet.call_paths import CallPaths, Chain, Measured
from ot_bridge.traces.fleet.shape import FEWEST, Verdict, align
from ot_bridge.traces.fleet.statistics import Difference, adjusted, mann_whitney, quantile, shift
from ot_bridge.traces.tree import Trace

__all__ = ["FEWEST", "Comparison", "PathRow", "Side", "Tested", "compare", "contributions"]

_NEAR = (0.4, 0.6)
_LIKELY = 0.05


class Side(NamedTuple):
    """What one group has on a path.

    Attributes:
        traces: how many have it.
        share: of all traces of the group.
        calls: per trace that has it, on average.
        self_median_ns: of the self time, per trace that has it.
        critical_median_ns: of the time on the critical path, per trace that has it.
        error_share: of its calls.
        kinds: of its spans.
        points_ns: the critical time of each trace that has it, sorted, where the group is too small for a test.
    """

    traces: int
    share: float
    calls: float
    self_median_ns: float
    self_p95_ns: float
    critical_median_ns: float
    critical_p95_ns: float
    errors: int
    error_share: float
    kinds: tuple[str, ...]
    points_ns: Sequence[int]


class Tested(NamedTuple):
    """The test of a difference.

    Attributes:
        shift: by how much the second group's times are larger, with its 95% interval.
        p: of the rank test.
        sure: whether it holds for all rows together at a false discovery rate of 5%.
    """

    shift: Difference
    p: float
    sure: bool


class PathRow(NamedTuple):
    """A call path in both groups.

    Attributes:
        chain: in the first group; in the second where the first has none.
        other_chain: in the second group, where it differs: it moved there.
        contribution_ns: to the difference of the medians; the rows add up to it.
        test: of the time on the critical path per trace, 0 where a trace has none; None where there are too few traces.
    """

    chain: Chain
    other_chain: Chain | None
    first: Side
    second: Side
    contribution_ns: int
    test: Tested | None


class Comparison(NamedTuple):
    """What differs between two groups.

    Attributes:
        first_median_ns: of the root's duration.
        durations_ns: of the roots of both groups, sorted.
        test: of the root's duration, None where there are too few traces.
        verdicts: what differs in shape, the gravest first.
        rows: the largest contribution first.
    """

    first_traces: int
    second_traces: int
    first_median_ns: int
    second_median_ns: int
    durations_ns: tuple[Sequence[int], Sequence[int]]
    test: Tested | None
    verdicts: Sequence[Verdict]
    rows: Sequence[PathRow]

    @property
    def difference_ns(self) -> int:
        """By how much the second group's median is larger."""
        return self.second_median_ns - self.first_median_ns


def compare(
    first: Iterable[Trace], second: Iterable[Trace], rename: Mapping[str, str] | None = None, *, joined: bool = True
) -> Comparison:
    """Compare two groups of traces, the first being the one from before.

    Args:
        first: one trace or many.
        second: one trace or many.
        rename: new names of spans by old ones.
        joined: whether a path that moved is one row; else it is two.
    """
    table = CallPaths(rename)
    groups = tuple([table.measure(trace) for trace in group if len(trace)] for group in (first, second))
    shape = align(table, *groups)
    pairs = shape.pairs if joined else {}
    shares = [contributions(table, group) for group in groups]
    durations = tuple(sorted(one.duration_ns for one in group) for group in groups)
    enough = min(map(len, groups)) >= FEWEST
    matched = set(pairs.values())
    keys = [
        (path, pairs.get(path, path))
        for path in sorted({path for group in groups for one in group for path in one.of})
        if path not in matched
    ]
    # As many ranks are tested as there are paths, and all of them are judged together.
    samples = [tuple(_critical(group, path) for group, path in zip(groups, key, strict=True)) for key in keys]
    tests = [mann_whitney(*sample).p if enough else 1.0 for sample in samples]
    certain = adjusted(tests)
    ranks = table.ranks()
    found = [
        PathRow(
            chain=table.chain(a),
            other_chain=table.chain(b) if a != b else None,
            first=_side(groups[0], a, points=not enough),
            second=_side(groups[1], b, points=not enough),
            contribution_ns=shares[1].get(b, 0) - shares[0].get(a, 0),
            test=Tested(shift(*sample), p, level <= _LIKELY) if enough else None,
        )
        for (a, b), sample, p, level in zip(keys, samples, tests, certain, strict=True)
    ]
    order = sorted(range(len(keys)), key=lambda place: (-abs(found[place].contribution_ns), ranks[keys[place][0]]))
    whole = mann_whitney(*durations).p if enough else 1.0
    return Comparison(
        len(groups[0]),
        len(groups[1]),
        _median(durations[0]),
        _median(durations[1]),
        (durations[0], durations[1]),
        Tested(shift(*durations), whole, whole <= _LIKELY) if enough else None,
        shape.verdicts,
        [found[place] for place in order],
    )


def contributions(table: CallPaths, group: Sequence[Measured]) -> dict[int, int]:
    """Share out the median of the roots' durations over the paths: whole nanoseconds that add up to it."""
    ordered = sorted(one.duration_ns for one in group)
    if not ordered:
        return {}
    median = _median(ordered)
    low, high = (quantile(ordered, share) for share in _NEAR)
    # The traces that the median lies between are near it, however few there are.
    low = min(low, ordered[(len(ordered) - 1) // 2])
    high = max(high, ordered[len(ordered) // 2])
    spent: dict[int, int] = {}
    for one in group:
        if low <= one.duration_ns <= high:
            for path, measures in one.of.items():
                if measures.critical_ns:
                    spent[path] = spent.get(path, 0) + measures.critical_ns
    total = sum(spent.values())
    if not total:
        return {}
    found = {path: median * part // total for path, part in spent.items()}
    # What rounding down left over goes to those that lost most by it.
    left, ranks = median - sum(found.values()), table.ranks()
    for path in sorted(spent, key=lambda path: (-(median * spent[path] % total), ranks[path]))[:left]:
        found[path] += 1
    return found


def _median(ordered: Sequence[int]) -> int:
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) // 2 if ordered else 0


def _critical(group: Sequence[Measured], path: int) -> list[int]:
    return [one.of[path].critical_ns if path in one.of else 0 for one in group]


def _side(group: Sequence[Measured], path: int, *, points: bool) -> Side:
    having = [one.of[path] for one in group if path in one.of]
    own, critical = sorted(one.self_ns for one in having), sorted(one.critical_ns for one in having)
    calls, errors = sum(one.calls for one in having), sum(one.errors for one in having)
    return Side(
        traces=len(having),
        share=len(having) / len(group) if group else 0.0,
        calls=calls / len(having) if having else 0.0,
        self_median_ns=quantile(own, 0.5),
        self_p95_ns=quantile(own, 0.95),
        critical_median_ns=quantile(critical, 0.5),
        critical_p95_ns=quantile(critical, 0.95),
        errors=errors,
        error_share=errors / calls if calls else 0.0,
        kinds=tuple(sorted({kind for one in having for kind in one.kinds})),
        points_ns=tuple(critical) if points else (),
    )
