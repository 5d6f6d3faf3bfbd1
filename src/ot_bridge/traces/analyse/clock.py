"""Whose clock a span's times are of (seeing.md 1.1): only times of one clock tell what came first. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ot_bridge.traces.model import Span
from ot_bridge.traces.words import text

__all__ = ["clock", "same_clock"]

_KEYS: Sequence[str] = ("host.id", "host.name", "container.id", "hostname", "ip", "service.instance.id")


def clock(span: Span) -> str:
    """Name the clock of a span: its host's or container's; its service where nothing tells which host it ran on."""
    attributes = span.resource.attributes
    return next((f"{key}={text(attributes[key])}" for key in _KEYS if attributes.get(key)), f"service={span.service}")


def same_clock(first: Span, second: Span) -> bool:
    """Tell whether the times of two spans can be compared without doubt."""
    return first.resource is second.resource or clock(first) == clock(second)
