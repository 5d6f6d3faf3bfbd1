"""Operations that flood a trace: more spans of one name under one parent than anybody can look at.

A loop that asks a database for each of ten thousand rows makes ten thousand spans. They are counted when they end; when
asked, those beyond the limit are not exported, and one summary tells of them. Never collapsed: errors, and spans that
something else refers to (a child, a request that was sent with their ids), whose trace would fall apart.
"""

from __future__ import annotations

import logging
import os
import weakref
from collections import OrderedDict
from typing import Any, Final

from opentelemetry.trace.status import StatusCode

from ot_bridge.locks import fork_safe_lock
from ot_bridge.telemetry import count

__all__ = ["Flood", "Group"]

_logger = logging.getLogger("ot_bridge")

_ERROR: Final = StatusCode.ERROR
_MAX_PARENTS: Final = 10_000
_MAX_NAMES: Final = 1000  # of one parent
_MAX_REFERRED: Final = 50_000
_MAX_WARNED: Final = 1000

_Key = tuple[int, int]


class Group:
    """The spans of one name under one parent, those that were collapsed above all."""

    __slots__ = ("collapsed", "end_ns", "errors", "like", "longest_ns", "seen", "start_ns", "total_ns")

    def __init__(self) -> None:
        self.seen = 0
        self.errors = 0
        self.collapsed = 0
        self.total_ns = 0
        self.longest_ns = 0
        self.start_ns = 0
        self.end_ns = 0
        self.like: Any = None  # the first that was collapsed: kind, context and tracer of the summary

    def add(self, span: Any) -> None:
        """Collapse a span that has ended."""
        duration = max(0, span._end_time - span._start_time)
        self.start_ns = min(self.start_ns, span._start_time) if self.collapsed else span._start_time
        self.end_ns = max(self.end_ns, span._end_time)
        self.collapsed += 1
        self.total_ns += duration
        self.longest_ns = max(self.longest_ns, duration)
        if self.like is None:
            self.like = span

    def attributes(self) -> dict[str, Any]:
        """Return what the summary says: seconds, and numbers of spans."""
        return {
            "ot_bridge.collapsed.operation": self.like._name,
            "ot_bridge.collapsed.count": self.collapsed,
            "ot_bridge.collapsed.duration.sum_s": self.total_ns / 1e9,
            "ot_bridge.collapsed.duration.max_s": self.longest_ns / 1e9,
            "ot_bridge.collapsed.errors": self.errors,
        }


class Flood:
    """Counts the spans of one tracer.

    Args:
        limit: spans of one name under one parent.
        collapse: collapse those beyond it.
    """

    def __init__(self, limit: int, *, collapse: bool) -> None:
        self._limit = limit
        self._collapse = collapse
        self._lock = fork_safe_lock()
        self._parents: OrderedDict[_Key, dict[str, Group]] = OrderedDict()
        self._referred: OrderedDict[int, None] = OrderedDict()
        self._warned: set[str] = set()
        _all.add(self)

    def refer(self, span_id: int) -> None:
        """Take note that something refers to a span: it is not collapsed."""
        if self._collapse:
            with self._lock:
                self._referred[span_id] = None
                if len(self._referred) > _MAX_REFERRED:
                    self._referred.popitem(last=False)

    def ended(self, span: Any) -> tuple[bool, list[Group]]:
        """Take a span that has ended.

        Returns:
            Whether it is collapsed, and the groups whose summary is due: its children's, and what had to give way.
        """
        context, parent = span._context, span._parent
        warn = collapsed = False
        due: list[Group] = []
        with self._lock:
            below = self._parents.pop((context.trace_id, context.span_id), None)
            if below is not None:
                due += below.values()
            if parent is not None:
                # The parent's own entry says that it has children, too: it is made by the first that ends.
                group = self._group(parent, span._name, due)
                group.seen += 1
                failed = span._final_status is not None and span._final_status.status_code is _ERROR
                group.errors += failed
                if group.seen > self._limit:
                    warn = span._name not in self._warned and len(self._warned) < _MAX_WARNED
                    if warn:
                        self._warned.add(span._name)
                    referred = below is not None or context.span_id in self._referred
                    kept = failed or referred or span._links or context.debug or not context.sampled
                    collapsed = self._collapse and not kept
                    if collapsed:
                        group.add(span)
            self._referred.pop(context.span_id, None)
        if parent is not None and group.seen > self._limit:
            count("flood.spans")
        if collapsed:
            count("flood.collapsed")
        if warn:
            _logger.warning(
                "more than %d spans %r under one parent: the operation floods its trace", self._limit, span._name
            )
        return collapsed, [one for one in due if one.collapsed]

    def flush(self) -> list[Group]:
        """Return all groups whose summary is due, for good."""
        with self._lock:
            groups = [group for groups in self._parents.values() for group in groups.values() if group.collapsed]
            self._parents.clear()
        return groups

    def _forget(self) -> None:
        self._parents.clear()
        self._referred.clear()

    def _group(self, parent: Any, name: str, due: list[Group]) -> Group:
        key = (parent.trace_id, parent.span_id)
        groups = self._parents.get(key)
        if groups is None:
            groups = self._parents[key] = {}
            if len(self._parents) > _MAX_PARENTS:  # parents that end elsewhere, or never
                due += self._parents.popitem(last=False)[1].values()
        group = groups.get(name)
        if group is None:
            group = Group()
            if len(groups) < _MAX_NAMES:
                groups[name] = group
        return group


_all: Final[weakref.WeakSet[Flood]] = weakref.WeakSet()


def _after_fork() -> None:
    for one in list(_all):  # the parent sums up what is the parent's
        one._forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
