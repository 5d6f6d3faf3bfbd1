"""Traces that are being read: built and analysed once, kept while they do not change."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from ot_bridge.traces.analyse import Analysis, analyse
from ot_bridge.traces.analyse.cut import is_arriving
from ot_bridge.traces.analyse.reading import read
from ot_bridge.traces.analyse.skew import aligned, clock_offsets
from ot_bridge.traces.model import LogRecord, Span
from ot_bridge.traces.page.kept import Kept
from ot_bridge.traces.page.neighbours import Across, across
from ot_bridge.traces.picture.picture import Picture
from ot_bridge.traces.tree import Trace

__all__ = ["Opened", "Shelf"]

_NEIGHBOURS_ARRIVE_NS = 60_000_000_000
_KEPT = 8
"""How many traces are kept open; one of 10,000 spans takes some 30 MB."""


class Opened:
    """A trace, what was found in it, and its picture.

    Attributes:
        offsets: a sentence on each clock that is off.
        moved: by how much each span is moved when times are aligned, nanoseconds by key.
        arriving: whether it was still arriving when it was read.
        across: what it has to do with other traces.
    """

    def __init__(self, trace: Trace, now_ns: int) -> None:
        self.trace = trace
        self.analysis: Analysis = analyse(trace, now_ns)
        self.arriving = is_arriving(trace, now_ns)
        self.across: Sequence[Across] = ()
        self._raw = Picture(self.analysis.reading)
        offsets = [offset for offset in clock_offsets([trace]) if offset.verdict == "skewed"]
        self.offsets: Sequence[str] = [f"{offset.text}." for offset in offsets]
        self._shifts: Sequence[int] = aligned(trace, offsets)
        self.moved: Mapping[str, int] = {
            key: shift for key, shift in zip(self._raw.keys, self._shifts, strict=True) if shift
        }

    def picture(self, *, aligned: bool = False) -> Picture:
        """Return its picture; with `aligned`, of the times that are put right."""
        return self._aligned if aligned and self.moved else self._raw

    @cached_property
    def _aligned(self) -> Picture:
        pairs = zip(self.trace.spans, self._shifts, strict=True)
        logs = [self._moved_log(log) for log in self.trace.logs]
        return Picture(read(Trace([_moved(span, shift) for span, shift in pairs], logs)))

    def _moved_log(self, log: LogRecord) -> LogRecord:
        index = self.trace.index_of(log.span_id) if log.span_id else None
        return log if index is None else log._replace(time_ns=log.time_ns + self._shifts[index])


class Shelf:
    """The traces that were read last. Used by several threads."""

    def __init__(self, store: Kept) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._opened: OrderedDict[int, tuple[Hashable, Opened]] = OrderedDict()
        self._newest: OrderedDict[int, tuple[Hashable, Trace]] = OrderedDict()

    def open(self, trace_id: int, *, as_it_was: bool = False) -> Opened | None:
        """Return a trace with its analysis, None when the store has none of this id.

        Args:
            trace_id: the whole id.
            as_it_was: the trace as it is open will do: a part of a page goes with the rest of it.
        """
        version, now_ns = self._store.version(), time.time_ns()
        with self._lock:
            held = self._opened.get(trace_id)
        if held is not None and as_it_was:
            version, opened = held
        else:
            trace = held[1].trace if held is not None and held[0] == version else self._store.trace(trace_id)
            if trace is None or not len(trace):
                return None
            opened = self._opened_of(trace, None if held is None else held[1], now_ns)
            # Whom it called and who called it may arrive a little later.
            if held is None or (held[0] != version and now_ns - trace.end_ns < _NEIGHBOURS_ARRIVE_NS):
                opened.across = across(self._store, trace, opened.analysis.findings)
        with self._lock:
            self._opened[trace_id] = (version, opened)
            self._opened.move_to_end(trace_id)
            while len(self._opened) > _KEPT:
                self._opened.popitem(last=False)
        return opened

    def _opened_of(self, trace: Trace, held: Opened | None, now_ns: int) -> Opened:
        if held is not None and held.arriving == is_arriving(trace, now_ns) and _same(held.trace, trace):
            return held
        opened = Opened(trace, now_ns)
        if held is not None:
            opened.across = held.across
        return opened

    def newest(self, trace_id: int) -> Trace | None:
        """Return a trace as it is now, and leave what is open as it is; None when the store has none of this id."""
        version = self._store.version()
        with self._lock:
            opened, read = self._opened.get(trace_id), self._newest.get(trace_id)
        if opened is not None and opened[0] == version:
            return opened[1].trace
        if read is not None and read[0] == version:
            return read[1]
        trace = self._store.trace(trace_id)
        if trace is not None:
            with self._lock:
                self._newest[trace_id] = (version, trace)
                self._newest.move_to_end(trace_id)
                while len(self._newest) > _KEPT:
                    self._newest.popitem(last=False)
        return trace


def _moved(span: Span, shift: int) -> Span:
    if not shift:
        return span
    events = tuple(event._replace(time_ns=event.time_ns + shift) for event in span.events)
    return replace(span, start_ns=span.start_ns + shift, end_ns=span.end_ns + shift, events=events)


def _same(one: Trace, other: Trace) -> bool:
    if one is other:
        return True
    if (len(one), len(one.logs)) != (len(other), len(other.logs)):
        return False
    pairs = zip(one.spans, other.spans, strict=True)
    return all(
        (a.span_id, a.start_ns, a.end_ns, a.name, a.status) == (b.span_id, b.start_ns, b.end_ns, b.name, b.status)
        for a, b in pairs
    )
