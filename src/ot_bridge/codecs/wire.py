"""What one request carried on the wire, in no library's words: the value every codec reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["EMPTY", "Malformed", "WireContext"]

EMPTY: Mapping[str, str] = MappingProxyType({})


class WireContext(NamedTuple):
    """The context of one request, as its headers told it or as they will tell it.

    A context without ids (``trace_id`` 0) is a *container*: it carries baggage or a debug id only.

    Attributes:
        trace_id: 128-bit integer, 0 when there is none.
        span_id: 64-bit integer, 0 when there is none.
        sampled: the sender's sampling decision.
        debug: Jaeger's debug flag; never true when ``sampled`` is false.
        random: W3C level 2, bit 0x02: the trace id is random. Not Jaeger's debug bit, which has the same value.
        tracestate: the validated members as one header value, ``""`` when there is none.
        baggage: decoded items; never None.
        debug_id: the value of ``jaeger-debug-id``, None when absent or empty.
        format: the codec whose ids won, None for a container.
    """

    trace_id: int = 0
    span_id: int = 0
    sampled: bool = False
    debug: bool = False
    random: bool = False
    tracestate: str = ""
    baggage: Mapping[str, str] = EMPTY
    debug_id: str | None = None
    format: str | None = None


class Malformed(NamedTuple):
    """A trace header that was there and cannot be read."""

    format: str
    header: str
    found: str
    wanted: str

    def sentence(self) -> str:
        """Say where, what was found and what was wanted; a long value is cut."""
        found = self.found if len(self.found) <= _SHOWN else self.found[:_SHOWN] + "..."
        return f"cannot read header {self.header!r}: got {found!r}, expected {self.wanted}"


_SHOWN = 100  # characters
