"""Rule `could-be-parallel`: calls made one after the other that may not need each other (seeing.md 1.5). Pure.

A trace does not say which call needed the answer of which, so this is never more than a guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ot_bridge.traces.analyse.blocking import blocking_children
from ot_bridge.traces.analyse.clock import same_clock
from ot_bridge.traces.analyse.finding import Finding, at_most
from ot_bridge.traces.analyse.reading import Reading
from ot_bridge.traces.analyse.statements import Target
from ot_bridge.traces.words import and_, duration, line, plural

__all__ = ["could_be_parallel"]

KEY = "could-be-parallel"
LONG_GAP = 0.1
"""Of what two calls took together: with a longer gap something happened between them, perhaps with the answer."""
MIN_GAIN = 0.1
"""Of the root's duration; less is not worth a change."""
MIN_GAIN_NS = 50_000_000
"""Below this starting threads or tasks, and the code for it, may cost more than it saves."""
WRAPPED = 0.8
"""A span of which one child takes so much stands for that child's call."""
MAX_NAMED = 3


def could_be_parallel(reading: Reading) -> Sequence[Finding]:
    """Find calls for different things, of one parent, on the critical path, with hardly a gap between them."""
    found = list[Finding]()
    for parent in sorted(reading.path.windows):
        if len(reading.trace.children[parent]) > 1:
            found += [
                _finding(reading, parent, calls) for calls in _sequences(reading, parent) if _pays(reading, calls)
            ]
    return at_most(sorted(found, key=lambda one: -float(one.numbers["saving_ns"])))


def _sequences(reading: Reading, parent: int) -> Iterator[list[int]]:
    """Part the children on the path into sequences; with each call for what was asked before a new one begins."""
    calls, asked = list[int](), set[tuple[str, ...]]()
    for index in reading.trace.children[parent]:
        if index not in reading.path.windows:
            continue
        target = _asked(reading, index)
        what = target[:3] if target is not None else ()
        if calls and (target is None or what in asked or not _follows(reading, calls[-1], index)):
            yield calls
            calls, asked = [], set()
        # What a write is followed by may well need it.
        if target is not None and not target.writes:
            calls.append(index)
            asked.add(what)
        elif calls:
            yield calls
            calls, asked = [], set()
    yield calls


def _follows(reading: Reading, before: int, after: int) -> bool:
    earlier, later = reading.trace.spans[before], reading.trace.spans[after]
    gap = later.start_ns - earlier.end_ns
    return same_clock(earlier, later) and 0 <= gap < LONG_GAP * (earlier.duration_ns + later.duration_ns)


def _asked(reading: Reading, index: int) -> Target | None:
    """Return what a span asked for, or what the one child asked for that it is a wrapper of."""
    trace = reading.trace
    while (target := reading.targets[index]) is None:
        children = blocking_children(trace, index)
        longest = max(children, key=lambda one: trace.spans[one].duration_ns, default=-1)
        if longest < 0 or trace.spans[longest].duration_ns < WRAPPED * trace.spans[index].duration_ns:
            return None
        index = longest
    return target


def _pays(reading: Reading, calls: Sequence[int]) -> bool:
    return len(calls) > 1 and _gain(reading, calls) >= max(MIN_GAIN * reading.root_ns, MIN_GAIN_NS)


def _gain(reading: Reading, calls: Sequence[int]) -> int:
    """Return what is gained when only the longest of the calls counts."""
    times = [reading.path.below_ns(index) for index in calls]
    return sum(times) - max(times)


def _finding(reading: Reading, parent: int, calls: Sequence[int]) -> Finding:
    spans = reading.trace.spans
    names = [repr(line(target.text)) if (target := _asked(reading, index)) else spans[index].name for index in calls]
    named = names[:MAX_NAMED] + ([plural(len(names) - MAX_NAMED, "more")] if len(names) > MAX_NAMED else [])
    gain, total = _gain(reading, calls), sum(reading.path.below_ns(index) for index in calls)
    return Finding(
        rule=KEY,
        text=(
            f"{line(spans[parent].title)} made {plural(len(calls), 'call')} one after the other, {and_(named)}, for"
            f" {duration(total)}: side by side they would take up to {duration(gain)} less, if none needs the answer of"
            " another."
        ),
        certainty="guess",
        severity="note",
        spans=(parent, *calls),
        verdict="could be parallel if independent",
        service=spans[parent].service,
        numbers={"count": len(calls), "total_ns": total, "saving_ns": gain},
        advice="Look whether a later call uses what an earlier one returned: the trace cannot tell.",
    )
