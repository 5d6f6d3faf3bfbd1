"""A trace with all that its picture needs beside the analysis, computed once and never changed."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property

from ot_bridge.traces import words
from ot_bridge.traces.analyse import Finding, Reading
from ot_bridge.traces.analyse.critical_path import HandOver, Section
from ot_bridge.traces.analyse.runs import Run, sibling_runs
from ot_bridge.traces.analyse.self_time import ServiceTime, services_time
from ot_bridge.traces.instrumentation import Hop, producer
from ot_bridge.traces.model import LogRecord, Span
from ot_bridge.traces.picture.colours import Colour, colours
from ot_bridge.traces.picture.hops import HopKind, hop_kinds, hop_of
from ot_bridge.traces.tree import Trace

__all__ = ["Picture"]


class Picture:
    """What is drawn of a trace.

    Attributes:
        reading: the trace and what the rules read.
        keys: of each span the name that it has in addresses: its id, and `~2` and so on where others have it too.
        places: the index of each key.
        colours: of each service.
        failed: the indices of the spans that failed, sorted.
        logs: the log records of each span that has some.
    """

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.trace: Trace = reading.trace
        seen = defaultdict[int, int](int)
        keys = []
        for span in self.trace.spans:
            seen[span.span_id] += 1
            number = seen[span.span_id]
            keys.append(f"{span.span_id:016x}" if number == 1 else f"{span.span_id:016x}~{number}")
        self.keys: Sequence[str] = keys
        self.places: Mapping[str, int] = {key: index for index, key in enumerate(keys)}
        self.colours: Mapping[str, Colour] = colours(span.service for span in self.trace.spans)
        self.failed: Sequence[int] = sorted(reading.errors)
        logs = defaultdict[int, list[LogRecord]](list)
        for log in self.trace.logs:
            if log.span_id and (index := self.trace.index_of(log.span_id)) is not None:
                logs[index].append(log)
        self.logs: Mapping[int, Sequence[LogRecord]] = logs
        self.start_ns = self.trace.start_ns
        self.duration_ns = max(1, self.trace.duration_ns)

    @property
    def root(self) -> Span:
        """The span that the trace is named after."""
        return self.trace.spans[self.trace.root]

    @cached_property
    def runs(self) -> Mapping[int, Run]:
        """Of each span that is one of many equal siblings all of them."""
        return {index: run for run in sibling_runs(self.trace, self.reading.targets) for index in run.spans}

    @cached_property
    def sections(self) -> Mapping[int, Sequence[Section]]:
        """The pieces of the critical path that each span has."""
        found = defaultdict[int, list[Section]](list)
        for section in self.reading.path.sections:
            found[section.span].append(section)
        return found

    @cached_property
    def hand_overs(self) -> Mapping[int, HandOver]:
        """Of each span on the critical path that waited for a sibling the hand-over."""
        return {one.after: one for one in self.reading.path.hand_overs}

    @cached_property
    def services(self) -> Sequence[ServiceTime]:
        """The time of each service."""
        return services_time(self.reading)

    @cached_property
    def libraries(self) -> Mapping[str, Sequence[str]]:
        """Of each service what made its spans, the commonest first."""
        counts = defaultdict[str, dict[str, int]](dict)
        for span in self.trace.spans:
            name = str(producer(span))
            counts[span.service][name] = counts[span.service].get(name, 0) + 1
        return {service: sorted(found, key=lambda name: -found[name]) for service, found in counts.items()}

    @cached_property
    def texts(self) -> Sequence[str]:
        """Of each span all that a search may find, in lower case."""
        return [_text(span, self.logs.get(index, ())) for index, span in enumerate(self.trace.spans)]

    def matches(self, q: str) -> Sequence[int]:
        """Return the spans in which all words of a search stand."""
        wanted = q.lower().split()
        if not wanted:
            return ()
        return [index for index, text in enumerate(self.texts) if all(word in text for word in wanted)]

    def failed_below(self, index: int) -> tuple[int, int]:
        """Count the failed spans below one, itself not included, and name the deepest of the first chain."""
        first = bisect_left(self.failed, index + 1)
        last = bisect_left(self.failed, index + self.trace.sizes[index])
        if first == last:
            return 0, -1
        source = self.failed[first]
        while first + 1 < last and self.trace.parents[self.failed[first + 1]] == source:
            first += 1
            source = self.failed[first]
        return last - bisect_left(self.failed, index + 1), source

    def failed_in(self, indices: Sequence[int]) -> int:
        """Count the failed spans in the subtrees of some spans."""
        return sum(
            bisect_left(self.failed, one + self.trace.sizes[one]) - bisect_left(self.failed, one) for one in indices
        )

    def hop(self, index: int) -> Hop | None:
        """Say how a request came to a span; None when it did not come from another span's process."""
        return hop_of(self.trace, index)

    @cached_property
    def hops(self) -> Sequence[HopKind]:
        """The hops between services, equal ones once."""
        return hop_kinds(self.trace)

    def evidence(self, finding: Finding, most: int = 3) -> Sequence[tuple[str, str]]:
        """Return the keys of a finding's first spans, and words that tell these from one another."""
        spans = self.trace.spans
        shown = finding.spans[:most]
        texts = [spans[index].name or "(no name)" for index in shown]
        services = [spans[index].service for index in shown]
        times = [f"at {words.duration(spans[index].start_ns - self.start_ns)}" for index in shown]
        texts = [
            text if texts.count(text) == 1 else f"{more} {text}" for text, more in zip(texts, services, strict=True)
        ]
        texts = [text if texts.count(text) == 1 else f"{text} {more}" for text, more in zip(texts, times, strict=True)]
        return [(self.keys[index], text) for index, text in zip(shown, texts, strict=True)]


def _text(span: Span, logs: Sequence[LogRecord]) -> str:
    parts = [span.name, span.service, span.message, f"{span.span_id:016x}", span.kind]
    parts += [f"{key}={words.text(value)}" for key, value in span.attributes.items()]
    for event in span.events:
        parts.append(event.name)
        parts += [f"{key}={words.text(value)}" for key, value in event.attributes.items()]
    parts += [words.text(log.body) for log in logs]
    return "\n".join(parts).lower()
