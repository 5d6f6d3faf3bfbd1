"""Factories of counters, timers and gauges; this one's numbers go nowhere, an application's go where it likes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["LegacyMetricsFactory", "Metrics", "MetricsFactory"]

_Record = Callable[[Any], Any]


class MetricsFactory:
    """Makes metrics that drop every number; derive from it to keep them."""

    def create_counter(self, name: str, tags: Mapping[str, str] | None = None) -> _Record:
        """Return a function that adds a number to the counter."""
        return _drop

    def create_timer(self, name: str, tags: Mapping[str, str] | None = None) -> _Record:
        """Return a function that takes a duration in microseconds."""
        return _drop

    def create_gauge(self, name: str, tags: Mapping[str, str] | None = None) -> _Record:
        """Return a function that takes the present value."""
        return _drop


class Metrics:
    """Three functions of ``(name, number)``; timings are in milliseconds."""

    def __init__(self, count: Any = None, gauge: Any = None, timing: Any = None) -> None:
        self._count = count if callable(count) else None
        self._gauge = gauge if callable(gauge) else None
        self._timing = timing if callable(timing) else None

    def count(self, key: str, value: float) -> None:
        """Add to a counter."""
        if self._count:
            self._count(key, value)

    def timing(self, key: str, value: float) -> None:
        """Record a duration in milliseconds."""
        if self._timing:
            self._timing(key, value)

    def gauge(self, key: str, value: float) -> None:
        """Set a gauge."""
        if self._gauge:
            self._gauge(key, value)


class LegacyMetricsFactory(MetricsFactory):
    """Makes metrics of a :class:`Metrics`: the tags become part of the name."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def create_counter(self, name: str, tags: Mapping[str, str] | None = None) -> _Record:
        key = _key(name, tags)
        return lambda value: self._metrics.count(key, value)

    def create_timer(self, name: str, tags: Mapping[str, str] | None = None) -> _Record:
        key = _key(name, tags)
        return lambda value: self._metrics.timing(key, value / 1000.0)

    def create_gauge(self, name: str, tags: Mapping[str, str] | None = None) -> _Record:
        key = _key(name, tags)
        return lambda value: self._metrics.gauge(key, value)


def _drop(*_: Any) -> None:
    pass


def _key(name: str, tags: Mapping[str, str] | None) -> str:
    return "".join([name, *(f".{key}_{(tags or {})[key]}" for key in sorted(tags or {}))])
