"""Traces that are being read: built and analysed once, kept while they do not change."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence

from ot_bridge.traces.analyse import Analysis, analyse
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
        self.offsets: Sequence[str] = ()
        self.moved: Mapping[str, int] = {}
        self._raw = Picture(self.analysis.reading)

    def picture(self, *, aligned: bool = False) -> Picture:
        """Return its picture; with `aligned`, of the times that are put right."""
        return self._raw


class Shelf:
    """The traces that were read last. Used by several threads."""

    def __init__(self, store: Kept) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._opened: OrderedDict[int, tuple[Hashable, Opened]] = OrderedDict()

    def open(self, trace_id: int) -> Opened | None:
        """Return a trace with its analysis, None when the store has none of this id."""
        version = self._store.version()
        with self._lock:
            held = self._opened.get(trace_id)
        if held is not None and held[0] == version:
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
            self._opened[trace_id] = (version, opened)
            self._opened.move_to_end(trace_id)
            while len(self._opened) > _KEPT:
                self._opened.popitem(last=False)
        return opened


def _same(one: Trace, other: Trace) -> bool:
    return (len(one), len(one.logs), one.end_ns) == (len(other), len(other.logs), other.end_ns)
