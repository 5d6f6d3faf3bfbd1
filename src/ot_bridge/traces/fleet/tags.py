"""Tags that are over-represented among some traces: what the slow or the failed have in common (seeing.md 1.8). Pure.

What is counted is traces, never spans, so that one trace with many spans decides nothing. A value that is missing is a
value. Each is tested by Fisher's exact test, numbers of many values by ranks. All are judged together at a false
discovery rate of 5%, and ordered by the least difference that is left at 95% certainty: size and support both count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal, NamedTuple, TypeAlias

from ot_bridge.traces.fleet.statistics import Difference, adjusted, dominance, fisher, mann_whitney, risk_difference
from ot_bridge.traces.model import Resource, Value
from ot_bridge.traces.tree import Trace
from ot_bridge.traces.words import and_, plural, text

__all__ = ["FAILURE_TAGS", "FEWEST", "MISSING", "OPERATION", "Condition", "Place", "TagRow", "Tags", "over_represented"]

FEWEST = 5
"""With fewer selected traces there is nothing to say."""
MISSING = None
"""The value of a tag that is not there."""
OPERATION = "operation"
"""The key under which a trace's root, its service and name, is looked at like a tag."""
FAILURE_TAGS: Sequence[str] = (
    "error", "error.type", "error.kind", "error.object", "error.message", "otel.status_code", "otel.status_description",
    "status.code", "http.status_code", "http.response.status_code", "rpc.grpc.status_code", "grpc.code",
    "rpc.response.status_code", "exception.type", "exception.message",
)  # fmt: skip
"""What says that a span failed: left out when the failed are compared with the rest."""

Place: TypeAlias = Literal["root", "any"]
Condition: TypeAlias = "tuple[str, str | None]"
"""A key and its value as text, or all values of the key."""

_FALSE_DISCOVERIES = 0.05
_MOST_DISTINCT = 0.5
_MANY_NUMBERS = 10


class TagRow(NamedTuple):
    """A tag that the selected traces have oftener than the others, or whose numbers differ.

    Attributes:
        key: the tag; of a resource too.
        value: its value as text; None where it is missing; of a number of many values the word `larger` or `smaller`.
        place: `root`: the root has it; `any`: some span has it.
        numeric: whether it was tested as a number.
        selected: how many of the selected traces have it; of a number, how many have the key.
        others: of the others.
        difference: of the shares, with its 95% interval; of a number, how much oftener it is so than the other way.
        p: adjusted for all that were tested.
        also: what splits the traces in the same way: other keys and values of one fact.
        sentence: for people.
    """

    key: str
    value: str | None
    place: Place
    numeric: bool
    selected: int
    others: int
    difference: Difference
    p: float
    also: Sequence[tuple[str, str | None, Place]]
    sentence: str


class Tags(NamedTuple):
    """What was found, and what was left out.

    Attributes:
        rows: the largest certain difference first.
        tested: how many different splits of the traces were tested.
        once: how many values were left out, being in one trace only.
        unique: the keys that were left out, having too many different values: ids and times.
        excluded: how many keys or values the caller left out.
        note: one sentence on all this, or that there are too few traces.
    """

    rows: Sequence[TagRow]
    selected: int
    others: int
    tested: int
    once: int
    unique: Sequence[str]
    excluded: int
    note: str


_Feature: TypeAlias = "tuple[str, str | None, Place]"


@dataclass
class _Column:
    """One key at one place: of each value the traces that have it, as the bits of a number."""

    masks: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    numbers: dict[int, float] = field(default_factory=dict)
    texts: bool = False


def over_represented(
    selected: Iterable[Trace],
    others: Iterable[Trace],
    *,
    exclude: Iterable[Condition | str] = (),
    word: str = "selected",
) -> Tags:
    """Find what the selected traces have oftener than the others.

    Args:
        selected: the slow, the failed, or any others that were chosen.
        others: the rest.
        exclude: what they were chosen by: keys, or keys with a value.
        word: what the selected are called in sentences, such as `slow`.
    """
    chosen, rest = list(selected), list(others)
    n, m = len(chosen), len(rest)
    if n < FEWEST or not m:
        what = f"only {plural(n, f'{word} trace')}" if n < FEWEST else "no other traces to compare with"
        return Tags([], n, m, 0, 0, [], 0, f"too few to say: {what}, {FEWEST} are the least")
    columns = _columns([*chosen, *rest])
    whole = {one for one in exclude if isinstance(one, str)} | {one[0] for one in _pairs(exclude) if one[1] is None}
    single = {one for one in _pairs(exclude) if one[1] is not None}
    work = _Work(n, m, word)
    for (key, place), column in sorted(columns.items()):
        if key in whole:
            work.excluded.add(key)
        else:
            work.add(key, place, column, {value for one, value in single if one == key})
    return work.result()


def _pairs(exclude: Iterable[Condition | str]) -> list[tuple[str, str | None]]:
    return [one for one in exclude if not isinstance(one, str)]


def _columns(traces: Sequence[Trace]) -> Mapping[tuple[str, Place], _Column]:
    found: dict[tuple[str, Place], _Column] = defaultdict(_Column)
    for index, trace in enumerate(traces):
        bit = 1 << index
        everywhere, seen = set[tuple[str, str]](), set[Resource]()
        for number, span in enumerate(trace.spans):
            is_root = number == trace.root
            if is_root:
                found[OPERATION, "root"].masks[span.title] |= bit
            sources = [span.attributes]
            if is_root or span.resource not in seen:
                seen.add(span.resource)
                sources.append(span.resource.attributes)
            for source in sources:
                for key, value in source.items():
                    written = value if isinstance(value, str) else text(value)
                    everywhere.add((key, written))
                    if is_root:
                        _note(found[key, "root"], value, written, index, bit)
                    if not isinstance(value, str):
                        _number(found[key, "any"], value, index)
        for key, written in everywhere:
            column = found[key, "any"]
            column.masks[written] |= bit
    return found


def _note(column: _Column, value: Value, written: str, index: int, bit: int) -> None:
    column.masks[written] |= bit
    if not isinstance(value, str):
        _number(column, value, index)


def _number(column: _Column, value: Value, index: int) -> None:
    """Keep a number; of several in one trace the largest."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value == value:  # noqa: PLR0124  (not NaN)
        column.numbers[index] = max(value, column.numbers.get(index, value))


class _Work:
    """The tests of all columns, judged together at the end."""

    def __init__(self, n: int, m: int, word: str) -> None:
        self._n, self._m, self._word = n, m, word
        self._everyone = (1 << (n + m)) - 1
        self._chosen = (1 << n) - 1
        self._splits: dict[int, list[_Feature]] = {}
        self._numbers: dict[tuple[tuple[int, float], ...], list[_Feature]] = {}
        self._once: set[tuple[str, str | None]] = set()
        self._unique: set[str] = set()
        self.excluded: set[str | tuple[str, str | None]] = set()

    def add(self, key: str, place: Place, column: _Column, without: set[str | None]) -> None:
        having = 0
        for mask in column.masks.values():
            having |= mask
        size = having.bit_count()
        distinct = len(column.masks)
        is_number = len(column.numbers) == size and distinct > _MANY_NUMBERS
        if is_number:
            self._numbers.setdefault(tuple(sorted(column.numbers.items())), []).append((key, None, place))
        elif size > 1 and distinct > _MOST_DISTINCT * size and distinct > 2:
            self._unique.add(key)
        else:
            for value, mask in column.masks.items():
                if value in without:
                    self.excluded.add((key, value))
                else:
                    self._split(key, value, place, mask)
        self._split(key, MISSING, place, self._everyone ^ having)

    def _split(self, key: str, value: str | None, place: Place, mask: int) -> None:
        if mask in (0, self._everyone):
            return
        if mask.bit_count() == 1:
            self._once.add((key, value))
        else:
            self._splits.setdefault(mask, []).append((key, value, place))

    def result(self) -> Tags:
        splits, numbers = list(self._splits.items()), list(self._numbers.items())
        counts = [((mask & self._chosen).bit_count(), (mask & ~self._chosen).bit_count()) for mask, _ in splits]
        tests = [fisher(a, self._n - a, b, self._m - b) for a, b in counts]
        samples = [self._samples(values) for values, _ in numbers]
        ranks = [mann_whitney(rest, chosen) for chosen, rest in samples]
        levels = adjusted(tests + [rank.p for rank in ranks])
        rows = list[TagRow]()
        for (_, features), (a, b), level in zip(splits, counts, levels, strict=False):
            difference = risk_difference(a, self._n, b, self._m)
            if level <= _FALSE_DISCOVERIES and difference.low > 0:
                rows.append(self._row(features, a, b, difference, level))
        for (_, features), (chosen, rest), rank, level in zip(
            numbers, samples, ranks, levels[len(tests) :], strict=True
        ):
            if level <= _FALSE_DISCOVERIES:
                rows.append(self._numeric_row(features, chosen, rest, rank.u, level))
        rows.sort(key=lambda row: (-row.difference.low, row.key, row.value or "", row.place))
        return Tags(
            rows,
            self._n,
            self._m,
            len(levels),
            len(self._once),
            sorted(self._unique),
            len(self.excluded),
            self._note(len(levels)),
        )

    def _samples(self, values: Iterable[tuple[int, float]]) -> tuple[list[float], list[float]]:
        chosen, rest = list[float](), list[float]()
        for index, value in values:
            (chosen if index < self._n else rest).append(value)
        return chosen, rest

    def _row(self, features: list[_Feature], a: int, b: int, difference: Difference, level: float) -> TagRow:
        (key, value, place), *also = _facts(features)
        has = f"have no {key}" if value is None else f"have {key}={value}"
        where = "" if place == "root" else " on some span" if value is not None else " on any span"
        sentence = f"{a} of {self._n} {self._word} traces {has}{where}, {b} of {self._m} others"
        return TagRow(key, value, place, False, a, b, difference, level, tuple(also), sentence)

    def _numeric_row(
        self, features: list[_Feature], chosen: list[float], rest: list[float], u: float, level: float
    ) -> TagRow:
        (key, _, place), *also = _facts(features)
        difference = dominance(u, len(rest), len(chosen))
        word = "larger" if difference.value > 0 else "smaller"
        if difference.value < 0:
            difference = Difference(-difference.value, -difference.high, -difference.low)
        sentence = (
            f"{key} is {word} in {self._word} traces: median {median(chosen):,.6g}, {median(rest):,.6g} in others"
        )
        return TagRow(key, word, place, True, len(chosen), len(rest), difference, level, tuple(also), sentence)

    def _note(self, tested: int) -> str:
        left = [f"{plural(len(self._once), 'value')} of one trace only"] if self._once else []
        if self._unique:
            left.append(f"{plural(len(self._unique), 'key')} with a different value nearly each time")
        if self.excluded:
            left.append(f"{plural(len(self.excluded), 'condition')} by which the traces were chosen")
        note = f"{plural(tested, 'difference')} tested between {self._n} {self._word} and {self._m} other traces"
        return f"{note}; left out: {and_(left)}" if left else note


def _facts(features: Iterable[_Feature]) -> list[_Feature]:
    """Order the names of one fact, the plainest first; what the root has needs not be said of any span too."""
    found: dict[tuple[str, str | None], _Feature] = {}
    for feature in sorted(features, key=_plainest):
        found.setdefault(feature[:2], feature)
    return list(found.values())


def _plainest(feature: _Feature) -> tuple[bool, bool, int, str, str]:
    """Order the names of one fact: a value before a missing one, the root's before any span's, the shortest key."""
    key, value, place = feature
    return (value is None, place != "root", len(key), key, value or "")
