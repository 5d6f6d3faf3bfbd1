"""Traces that are being read: built and analysed once, kept while they do not change."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from ot_bridge.traces.analyse import Analysis, analyse
from ot_bridge.traces.analyse.reading import read
from ot_bridge.traces.analyse.skew import aligned, clock_offsets
from ot_bridge.traces.model import LogRecord, Span
from ot_bridge.traces.page.kept import Kept
from ot_bridge.traces.picture.picture import Picture
from ot_bridge.traces.tree import Trace

__all__ = ["Opened", "Shelf"]

_KEPT = 8
"""How many traces are kept open; one of 10,000 spans takes some 30 MB."""


class Opened:
    """A trace, what was found in it, and its picture.

    Attributes:
        offsets: a sentence on each clock that is off.
        moved: by how much each span is moved when times are aligned, nanoseconds by key.
        received_ns: when it was last seen to grow; 0 when it did not while it was open.
    """

    def __init__(self, trace: Trace, received_ns: int = 0) -> None:
        self.trace = trace
        self.analysis: Analysis = analyse(trace)
        self.received_ns = received_ns
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

    def open(self, trace_id: int, *, as_it_was: bool = False) -> Opened | None:
        """Return a trace with its analysis, None when the store has none of this id.

        Args:
            trace_id: the whole id.
            as_it_was: the trace as it is open will do: a part of a page goes with the rest of it.
        """
        version = self._store.version()
        with self._lock:
            held = self._opened.get(trace_id)
        if held is not None and (as_it_was or held[0] == version):
            opened = held[1]
        else:
            trace = self._store.trace(trace_id)
            if trace is None or not len(trace):
                return None
            if held is not None and _same(held[1].trace, trace):
                opened = held[1]
            else:
                opened = Opened(trace, time.time_ns() if held else 0)
        with self._lock:
            self._opened[trace_id] = (held[0] if as_it_was and held else version, opened)
            self._opened.move_to_end(trace_id)
            while len(self._opened) > _KEPT:
                self._opened.popitem(last=False)
        return opened


def _moved(span: Span, shift: int) -> Span:
    if not shift:
        return span
    events = tuple(event._replace(time_ns=event.time_ns + shift) for event in span.events)
    return replace(span, start_ns=span.start_ns + shift, end_ns=span.end_ns + shift, events=events)


def _same(one: Trace, other: Trace) -> bool:
    return (len(one), len(one.logs), one.end_ns) == (len(other), len(other.logs), other.end_ns)
