"""Rule `critical-path`: where the root's time went (seeing.md 1.2). Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ot_bridge.traces.analyse.finding import CERTAINTIES, Certainty, Finding
from ot_bridge.traces.analyse.reading import Reading
from ot_bridge.traces.words import and_, duration, line, plural

__all__ = ["KEY", "share", "where_time_went"]

KEY = "critical-path"
MAX_NAMED = 3
"""So many services and so many spans are named, more is the tree's to show."""
WEIGHTY = 0.1
"""A hand-over counts for the certainty where this share of the root hangs on it."""


def where_time_went(reading: Reading) -> Sequence[Finding]:
    """Say which services the end of the root waited for, and for how long. Nothing of a root that is alone."""
    path, spans, whole = reading.path, reading.trace.spans, reading.root_ns
    if len(path.own_ns) < 2 or not whole:  # its own line says it all
        return []
    by_service = defaultdict[str, list[int]](list)
    by_time = sorted(path.own_ns, key=lambda index: (-path.own_ns[index], index))
    for index in by_time:
        by_service[spans[index].service].append(index)
    times = {service: sum(path.own_ns[index] for index in members) for service, members in by_service.items()}
    order = sorted(times, key=lambda service: (-times[service], service))
    words = []
    for service in order[:MAX_NAMED]:
        most = by_service[service][0]
        named = f", mostly in {line(spans[most].name)!r}" if 2 * path.own_ns[most] > times[service] else ""
        words.append(f"{line(service)} took {share(times[service], whole)} ({duration(times[service])}{named})")
    if len(order) > MAX_NAMED:
        left = sum(times[service] for service in order[MAX_NAMED:])
        words.append(f"{plural(len(order) - MAX_NAMED, 'more service')} {share(left, whole)}")
    top = by_time[:MAX_NAMED]
    saving = reading.savings.of(top[0]) if top[0] != path.root else 0
    numbers: dict[str, float | str] = {
        "root_ns": whole,
        "service_ns": times[order[0]],
        "span_ns": path.own_ns[top[0]],
        "saving_ns": saving,
    }
    return [
        Finding(
            rule=KEY,
            text=f"Of the {duration(whole)} of {line(spans[path.root].title)}, {and_(words)}.",
            certainty=_certainty(reading),
            severity="note",
            spans=tuple(top),
            service=order[0],
            numbers=numbers,
            advice=_advice(reading, top[0], saving),
        )
    ]


def _advice(reading: Reading, top: int, saving: int) -> str:
    if top == reading.path.root:
        return "Most of it is the root's own time."
    return f"Without {line(reading.trace.spans[top].title)} it would take up to {duration(saving)} less."


def _certainty(reading: Reading) -> Certainty:
    """Take the least sure of the hand-overs that matter."""
    path, whole = reading.path, reading.root_ns
    certainties: list[Certainty] = [
        one.certainty for one in path.hand_overs if path.below_ns(one.before) >= WEIGHTY * whole
    ]
    return max(certainties, key=CERTAINTIES.index, default="sure")


def share(part: float, whole: float) -> str:
    """Write a share: `61%`, `<1%`."""
    percent = 100 * part / whole if whole else 0.0
    return "<1%" if 0 < percent < 1 else f"{percent:.0f}%"
