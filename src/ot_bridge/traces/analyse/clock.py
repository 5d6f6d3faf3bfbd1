"""Whose clock a span's times were taken from (seeing.md 1.1). Pure."""

from __future__ import annotations

from typing import NamedTuple

from ot_bridge.traces.model import Resource, Span
from ot_bridge.traces.words import text

__all__ = ["Clock", "clock_of", "same_clock"]

# The first that a resource has. `hostname` and `ip` are what old Jaeger clients write.
_NAMES = ("host.id", "host.name", "container.id", "hostname", "ip", "service.instance.id", "service.name")
# These are true of every machine and tell none from another.
_EVERYWHERE = frozenset({"", "localhost", "localhost.localdomain", "127.0.0.1", "::1", "unknown", "unknown_service"})
_SHORT = 12


class Clock(NamedTuple):
    """One clock: the attribute that it is known by, and its value."""

    attribute: str
    value: str

    def __str__(self) -> str:
        if self.attribute == "service.instance.id":
            return f"instance {self.value[:_SHORT]}"
        return self.value


def clock_of(resource: Resource) -> Clock | None:
    """Return the clock of a process, None when it is not known whose it is."""
    for name in _NAMES:
        value = resource.attributes.get(name)
        if value is not None and (said := text(value)).lower() not in _EVERYWHERE:
            return Clock(name, said)
    return None


def same_clock(one: Span, other: Span) -> bool:
    """Tell whether the times of two spans are known to be of one clock."""
    if one.resource is other.resource:
        return True
    clock = clock_of(one.resource)
    return clock is not None and clock == clock_of(other.resource)
