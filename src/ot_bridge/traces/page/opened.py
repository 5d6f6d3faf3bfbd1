"""Traces that are being read: built and analysed once, kept while they do not change."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

from ot_bridge.traces.analyse import Analysis, analyse
from ot_bridge.traces.page.kept import Kept
from ot_bridge.traces.tree import Trace

__all__ = ["Opened", "Shelf"]

_KEPT = 8
"""How many traces are kept; of 10,000 spans each they take some 200 MB."""


class Opened(NamedTuple):
    """A trace and what was found in it."""

    trace: Trace
    analysis: Analysis


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
                self._opened.move_to_end(trace_id)
                return held[1]
        trace = self._store.trace(trace_id)
        if trace is None or not len(trace):
            return None
        if held is not None and len(held[1].trace) == len(trace) and held[1].trace.end_ns == trace.end_ns:
            opened = held[1] if len(held[1].trace.logs) == len(trace.logs) else Opened(trace, analyse(trace))
        else:
            opened = Opened(trace, analyse(trace))
        with self._lock:
            self._opened[trace_id] = (version, opened)
            while len(self._opened) > _KEPT:
                self._opened.popitem(last=False)
        return opened
