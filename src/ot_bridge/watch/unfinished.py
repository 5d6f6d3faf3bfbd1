"""Spans that were started and never finished: who started them, and where.

A span that is never finished is never exported, and nobody is told. Here each one that starts is noted, by a weak
reference, with the line that started it; what is old, and what was thrown away unfinished, is reported, once for each
line. There is no thread: the notes are gone through when spans start, when the tracer flushes or closes, and when
:func:`report` is called.
"""

from __future__ import annotations

import logging
import os
import sys
import weakref
from collections import deque
from time import monotonic
from typing import Any, Final, NamedTuple

from ot_bridge.locks import fork_safe_lock
from ot_bridge.telemetry import count

__all__ = ["Site", "Unfinished", "report"]

_logger = logging.getLogger("ot_bridge")

_NOT_THE_CALLER: Final = frozenset({"ot_bridge", "opentracing", "opentelemetry"})
_MAX_SITES: Final = 1000
_MAX_PAUSE_S: Final = 10.0


class Site(NamedTuple):
    """A line that starts spans which are not finished."""

    place: str
    """File and line: ``shop/orders.py:12``."""
    operation: str
    """The name of the first one."""
    old: int
    """How many were not finished in time; some of them may be later."""
    lost: int
    """How many were thrown away unfinished."""


class _Note(NamedTuple):
    span: weakref.ref[Any]
    place: str
    operation: str
    started_s: float


class Unfinished:
    """Notes the spans of one tracer.

    Args:
        age_s: seconds after which a span that was not finished is reported.
    """

    def __init__(self, age_s: float) -> None:
        self._age_s = age_s
        self._pause_s = min(age_s, _MAX_PAUSE_S)
        self._next_s = monotonic() + self._pause_s
        # In the order of their start. No lock: what is done with it is one step each, and the callback of a weak
        # reference may come in the middle of anything.
        self._open: dict[int, _Note] = {}
        self._lost: deque[_Note] = deque()
        _all.add(self)

    def started(self, span: Any) -> None:
        """Note a span."""
        now = monotonic()
        key = id(span)
        notes, lost = self._open, self._lost

        def throw_away(_: object) -> None:
            note = notes.pop(key, None)
            if note is not None:
                lost.append(note)

        notes[key] = _Note(weakref.ref(span, throw_away), _place(), span.operation_name, now)
        if now >= self._next_s:
            self.sweep()

    def ended(self, span: Any) -> None:
        """Forget a span."""
        self._open.pop(id(span), None)

    def sweep(self) -> None:
        """Report what is old and what is lost."""
        if not _sweeping.acquire(blocking=False):  # somebody else is at it
            return
        try:
            now = monotonic()
            self._next_s = now + self._pause_s
            while self._lost:
                _found(self._lost.popleft(), self._age_s, lost=True)
            for key, note in list(self._open.items()):
                if now - note.started_s < self._age_s:
                    break
                if self._open.pop(key, None) is not None:
                    _found(note, self._age_s, lost=False)
        finally:
            _sweeping.release()

    def _forget(self) -> None:
        self._open.clear()
        self._lost.clear()


def report() -> list[Site]:
    """Return the lines that started spans which were not finished, in the order in which they were found."""
    for one in list(_all):
        one.sweep()
    return list(_sites.values())


_all: Final[weakref.WeakSet[Unfinished]] = weakref.WeakSet()
_sites: Final[dict[str, Site]] = {}
_sweeping: Final = fork_safe_lock()


def _after_fork() -> None:
    for one in list(_all):  # the parent's spans are the parent's
        one._forget()
    _sites.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _found(note: _Note, age_s: float, *, lost: bool) -> None:
    count("unfinished.lost" if lost else "unfinished.old")
    known = _sites.get(note.place)
    if known is None:
        if len(_sites) >= _MAX_SITES:
            return
        what = "was thrown away unfinished" if lost else f"was not finished within {age_s:g} s"
        _logger.warning("a span %r, started at %s, %s; it is not exported", note.operation, note.place, what)
        known = Site(note.place, note.operation, 0, 0)
    _sites[note.place] = known._replace(old=known.old + (not lost), lost=known.lost + lost)


def _place() -> str:
    """Return file and line of the first caller that is no tracing library."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _NOT_THE_CALLER:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
