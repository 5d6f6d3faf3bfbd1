"""How two groups of traces differ in shape: paths that appeared, vanished, moved, or changed (seeing.md 1.9). Pure.

A path of one group is compared with the same path of the other. What only one group has is paired, from the root down,
with what only the other has: the same service and name elsewhere has *moved*; the same name below the same parent
*changed its service*; the only other call of the same service and kind there was perhaps *renamed*.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from ot_bridge.traces.analyse.finding import Certainty
from ot_bridge.traces.fleet.call_paths import CallPaths, Chain, Measured
from ot_bridge.traces.fleet.statistics import adjusted, fisher, mann_whitney
from ot_bridge.traces.words import plural

__all__ = ["FEWEST", "Change", "Shape", "Verdict", "align"]

FEWEST = 20
"""With fewer traces a side nothing is tested: the points themselves are shown."""

Change: TypeAlias = Literal[
    "started to fail", "stopped failing", "vanished", "appeared", "moved", "service", "renamed", "kind", "calls"
]
_ORDER: Sequence[str] = Change.__args__  # type: ignore[attr-defined]
_FAILURES = ("started to fail", "stopped failing")
_LIKELY = 0.05
_HALF = 0.5


class Verdict(NamedTuple):
    """One difference in shape.

    Attributes:
        text: a sentence, in which A is the first group and B the second.
        chain: the path in the first group, in the second where the first has none.
        other_chain: in the second group, None where it has none or the same.
        certainty: `sure` when all traces or a test say so, `likely` with few traces, `guess` for a new name.
    """

    change: Change
    text: str
    certainty: Certainty
    chain: Chain
    other_chain: Chain | None = None


@dataclass
class Shape:
    """The difference in shape.

    Attributes:
        pairs: the paths of the second group by those of the first that they stand for under another number.
    """

    verdicts: list[Verdict] = field(default_factory=list)
    pairs: dict[int, int] = field(default_factory=dict)


def align(table: CallPaths, first: Sequence[Measured], second: Sequence[Measured]) -> Shape:
    """Find what differs in shape between two groups of traces that were put on the paths of one table."""
    if not first or not second:
        return Shape()
    work = _Work(table, first, second)
    gone, new = work.only(0), work.only(1)
    work.pair(gone, new)
    work.report(gone, new)
    work.changes()
    work.sort()
    return work.shape


class _Work:
    """The pairing of two groups, step by step."""

    def __init__(self, table: CallPaths, first: Sequence[Measured], second: Sequence[Measured]) -> None:
        self.table, self.groups, self.shape = table, (first, second), Shape()
        self.counts = tuple(Counter(path for one in group for path in one.of) for group in self.groups)
        self.enough = min(len(first), len(second)) >= FEWEST
        self.ranks = table.ranks()
        self.placed: list[tuple[int, Verdict]] = []
        self.taken: set[int] = set()
        # What only one group has and has no pair yet, by its parent and service.
        self.alone: Sequence[dict[tuple[int, str], set[int]]] = (defaultdict(set), defaultdict(set))
        self.below: dict[int, list[int]] = defaultdict(list)
        for path in sorted(self.counts[0].keys() | self.counts[1].keys(), key=self.ranks.__getitem__):
            self.below[table.parents[path]].append(path)
            for side in (0, 1):
                if self.counts[side][path] and not self.counts[1 - side][path]:
                    self.alone[side][self._place(path)].add(path)

    def only(self, side: int) -> dict[int, Certainty]:
        """Return the paths that one group has and the other has not, from the root down.

        What few traces of a large group have may be absent from the other by chance: a test says whether it is.
        """
        here, there = self.counts[side], self.counts[1 - side]
        n, m = len(self.groups[side]), len(self.groups[1 - side])
        paths = sorted(
            (path for path in here if not there[path]),
            key=lambda path: (self.table.depths[path], self.ranks[path]),
        )
        if self.enough:
            levels = adjusted([fisher(here[path], n - here[path], 0, m) for path in paths])
            return {path: "sure" for path, level in zip(paths, levels, strict=True) if level <= _LIKELY}
        found: dict[int, Certainty] = {path: "likely" for path in paths if here[path] > _HALF * n}
        return dict.fromkeys(found, "sure") if n == m == 1 else found

    def sort(self) -> None:
        """Put the verdicts in the shape, the gravest first."""
        # A failure goes up through the callers: where it began is named first.
        self.placed.sort(key=lambda one: (_ORDER.index(one[1].change), *self._place_of(*one)))
        self.shape.verdicts += [verdict for _, verdict in self.placed]

    def _place_of(self, path: int, verdict: Verdict) -> tuple[int, int]:
        return (-self.table.depths[path] if verdict.change in _FAILURES else 0), self.ranks[path]

    def pair(self, gone: dict[int, Certainty], new: dict[int, Certainty]) -> None:
        """Pair what vanished with what appeared, and what is below each with what is below the other."""
        table = self.table
        tops = [path for path in gone if table.parents[path] not in gone]
        ways: Sequence[tuple[Change, Callable[[int, int], Hashable], Certainty]] = (
            ("moved", lambda path, _: table.step(path), "likely"),
            ("service", lambda path, parent: (parent, table.step(path).name), "likely"),
            ("renamed", lambda path, parent: (parent, table.step(path).service), "guess"),
        )
        for change, key_of, certainty in ways:
            places: dict[Hashable, list[int]] = defaultdict(list)
            for other in reversed(new):
                places[key_of(other, table.parents[other])].append(other)
            for path in tops:
                if path in self.shape.pairs:
                    continue
                above = table.parents[path]
                others = places.get(key_of(path, self.shape.pairs.get(above, above)), [])
                while others and others[-1] in self.taken:
                    others.pop()
                if others and (change != "renamed" or self._renamed(path, others[-1])):
                    self.placed.append((path, self._pair_verdict(change, path, others[-1], certainty)))
                    self._join(path, others[-1])

    def _renamed(self, path: int, other: int) -> bool:
        """Tell whether each is the only one of its service and kind that is left below one parent."""
        left = [self.alone[side][self._place(one)] for side, one in ((0, path), (1, other))]
        return left == [{path}, {other}] and self._kinds(0, path) == self._kinds(1, other)

    def _place(self, path: int) -> tuple[int, str]:
        return self.table.parents[path], self.table.step(path).service

    def _join(self, path: int, other: int) -> None:
        stack = [(path, other)]
        while stack:
            one, two = stack.pop()
            self.shape.pairs[one] = two
            self.taken.add(two)
            for side, number in ((0, one), (1, two)):
                self.alone[side][self._place(number)].discard(number)
            steps = {self.table.step(child): child for child in self.below[two] if child not in self.taken}
            for child in self.below[one]:
                twin = steps.get(self.table.step(child))
                # Only what each group has alone: what both have under one number is one row already.
                if twin is not None and twin != child and not self.counts[1][child] and not self.counts[0][twin]:
                    stack.append((child, twin))

    def _pair_verdict(self, change: Change, path: int, other: int, certainty: Certainty) -> Verdict:
        step, twin = self.table.step(path), self.table.step(other)
        under = self.table.parents[other]
        place = f"under {self.table.step(under)}" if under >= 0 else "to the root"
        text = {
            "moved": f"{step} moved {place}",
            "service": f"{step.name!r} is done by {twin.service} instead of {step.service}",
            "renamed": f"{step} is perhaps called {twin.name!r} now",
        }[change]
        return Verdict(change, text, certainty, self.table.chain(path), self.table.chain(other))

    def report(self, gone: Mapping[int, Certainty], new: Mapping[int, Certainty]) -> None:
        """Name what vanished and what appeared and has no pair; of a subtree its top."""
        pairs = self.shape.pairs
        sides: Sequence[tuple[Change, Mapping[int, Certainty], int, set[int]]] = (
            ("vanished", gone, 0, set(pairs)),
            ("appeared", new, 1, set(pairs.values())),
        )
        for change, paths, side, paired in sides:
            left = [path for path in paths if path not in paired]
            tops, below = dict[int, int](), Counter[int]()
            # From the root down: what is above a path has its top already.
            for path in left:
                tops[path] = tops.get(self.table.parents[path], path)
                below[tops[path]] += 1
            for path, size in below.items():
                more = f", with {plural(size - 1, 'call path')} below it" if size > 1 else ""
                share = f"{self.counts[side][path]} of {plural(len(self.groups[side]), 'trace')}"
                text = f"{self.table.step(path)} {change}: in {share} of {'AB'[side]}{more}"
                self.placed.append((path, Verdict(change, text, paths[path], self.table.chain(path))))

    def changes(self) -> None:
        """Compare kinds, errors and the number of calls of what both groups have."""
        same = [
            (path, self.shape.pairs.get(path, path))
            for path in sorted(self.counts[0], key=self.ranks.__getitem__)
            if self.counts[1][self.shape.pairs.get(path, path)]
        ]
        failed = [tuple(self._failed(side, pair[side]) for side in (0, 1)) for pair in same]
        calls = [tuple(self._calls(side, pair[side]) for side in (0, 1)) for pair in same]
        error_levels = adjusted(
            [
                fisher(a, self.counts[0][pair[0]] - a, b, self.counts[1][pair[1]] - b)
                for pair, (a, b) in zip(same, failed, strict=True)
            ]
        )
        call_levels = adjusted([mann_whitney(a, b).p if a and b else 1.0 for a, b in calls])
        for index, (path, other) in enumerate(same):
            self._kind_change(path, other)
            self._error_change(path, other, failed[index], error_levels[index])
            self._call_change(path, other, calls[index], call_levels[index])

    def _kind_change(self, path: int, other: int) -> None:
        kinds, others = self._kinds(0, path), self._kinds(1, other)
        if not kinds & others:
            text = f"{self.table.step(path)} is of kind {'/'.join(sorted(others))} instead of {'/'.join(sorted(kinds))}"
            self._add("kind", text, path, other)

    def _error_change(self, path: int, other: int, failed: Sequence[int], level: float) -> None:
        counts = self.counts[0][path], self.counts[1][other]
        shares = failed[0] / counts[0], failed[1] / counts[1]
        differs = level <= _LIKELY if self.enough else (shares[0] > _HALF) != (shares[1] > _HALF)
        if differs:
            more = shares[1] > shares[0]
            change: Change = "started to fail" if more else "stopped failing"
            words = ("fails less", "fails more")[more] if all(shares) else change
            now, before = (f"{part} of {whole}" for part, whole in zip(failed[::-1], counts[::-1], strict=True))
            text = f"{self.table.step(path)} {words}: in {now} traces of B, in {before} of A"
            self._add(change, text, path, other)

    def _call_change(self, path: int, other: int, calls: Sequence[Sequence[int]], level: float) -> None:
        first, second = calls
        apart = max(first) < min(second) or max(second) < min(first)
        if level <= _LIKELY if self.enough else apart:
            before, after = (sum(group) / len(group) for group in calls)
            if before != after:
                word = "more" if after > before else "less"
                text = (
                    f"{self.table.step(path)} is called {word} often a trace: {after:.3g} times in B, {before:.3g} in A"
                )
                self._add("calls", text, path, other)

    def _add(self, change: Change, text: str, path: int, other: int) -> None:
        sure = self.enough or len(self.groups[0]) == len(self.groups[1]) == 1
        other_chain = self.table.chain(other) if other != path else None
        self.placed.append(
            (path, Verdict(change, text, "sure" if sure else "likely", self.table.chain(path), other_chain))
        )

    def _kinds(self, side: int, path: int) -> set[str]:
        return {kind for one in self.groups[side] if path in one.of for kind in one.of[path].kinds}

    def _failed(self, side: int, path: int) -> int:
        return sum(one.of[path].errors > 0 for one in self.groups[side] if path in one.of)

    def _calls(self, side: int, path: int) -> list[int]:
        return [one.of[path].calls for one in self.groups[side] if path in one.of]
