"""Zipkin's B3, in one header (``b3``) and in several (``X-B3-*``).

https://github.com/openzipkin/b3-propagation (3e54cda1). Read more kindly than that text says, because jaeger-clients
send ids without leading zeros and in upper case; written as it says, but for the debug flag.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from ot_bridge.codecs.carrier import Lines
from ot_bridge.codecs.codec import Codec, PrefixSource, Rank
from ot_bridge.codecs.id_headers import IdHeaders, is_true
from ot_bridge.codecs.wire import EMPTY, Malformed, WireContext

__all__ = ["B3MultiCodec", "B3SingleCodec"]

_SINGLE: Final = re.compile(
    # The parent may be anything, outer spaces included: two repeats that both take them would need quadratic time.
    r"[ \t]*([0-9a-fA-F]{1,32})-([0-9a-fA-F]{1,16})(?:-([^-\s]*)(?:-[^-\n]*|[ \t]*)|[ \t]*)"
)
_DECISION_ALONE: Final = re.compile(r"[ \t]*[01d][ \t]*")

_TRACE_ID: Final = "x-b3-traceid"
_SPAN_ID: Final = "x-b3-spanid"
_SAMPLED: Final = "x-b3-sampled"
_FLAGS: Final = "x-b3-flags"
_HEADERS: Final = IdHeaders("b3multi", _TRACE_ID, _SPAN_ID, _SAMPLED)


class B3SingleCodec(Codec):
    """``b3: {trace}-{span}-{0, 1 or d}-{parent}``, the last two optional. No decision is read as not sampled."""

    name = "b3"
    headers = MappingProxyType({"b3": Lines.EQUAL})
    fields = ("b3",)

    def decode(self, headers: Mapping[str, str], notes: list[str]) -> WireContext | Malformed | None:
        """Read ``b3``; a decision without ids is valid and says nothing about a trace."""
        text = headers.get("b3")
        if text is None or _DECISION_ALONE.fullmatch(text):
            return None
        fields = _SINGLE.fullmatch(text)
        if fields is not None:
            trace_id, span_id, decision = int(fields[1], 16), int(fields[2], 16), fields[3]
            if trace_id and span_id:
                debug = decision == "d"
                return WireContext(trace_id, span_id, debug or is_true(decision), debug, False, "", EMPTY, None, "b3")
        return Malformed(self.name, "b3", text, "{trace}-{span}-{0|1|d}-{parent}, hex, non-zero ids")

    def encode(self, wire: WireContext, trace_hex: str, span_hex: str, notes: list[str]) -> Sequence[tuple[str, str]]:
        """Write ``b3`` with 32 digits and a decision, without a parent."""
        decision = "0" if not wire.sampled else "d" if wire.debug else "1"
        return (("b3", f"{trace_hex}-{span_hex}-{decision}"),)


class B3MultiCodec(Codec):
    """``X-B3-TraceId``, ``X-B3-SpanId``, ``X-B3-Sampled`` and ``X-B3-Flags``; the parent is not read.

    Baggage in ``baggage-{key}`` is an addition of jaeger-client for Go and Java; it is read, and not written.
    """

    name = "b3multi"
    headers = MappingProxyType(
        {_TRACE_ID: Lines.EQUAL, _SPAN_ID: Lines.EQUAL, _SAMPLED: Lines.EQUAL, _FLAGS: Lines.EQUAL}
    )
    sources = (PrefixSource(Rank.B3_BAGGAGE, "baggage-", lambda text, _: text),)
    fields = (_TRACE_ID, _SPAN_ID, _SAMPLED, _FLAGS)

    def decode(self, headers: Mapping[str, str], notes: list[str]) -> WireContext | Malformed | None:
        """Read the four headers. ``X-B3-Flags: 1`` is debug and sampled, whatever ``X-B3-Sampled`` says."""
        ids = _HEADERS.read(headers)
        if ids is None or isinstance(ids, Malformed):
            return ids
        trace_id, span_id, decision = ids
        debug = headers.get(_FLAGS, "").strip(" \t") == "1"
        return WireContext(trace_id, span_id, debug or is_true(decision), debug, False, "", EMPTY, None, self.name)

    def encode(self, wire: WireContext, trace_hex: str, span_hex: str, notes: list[str]) -> Sequence[tuple[str, str]]:
        """Write ids of 32 and 16 digits and the decision.

        Debug goes out as ``X-B3-Flags: 1`` with ``X-B3-Sampled: 1``, although B3 advises against both: jaeger-client
        for Python, Go and Java read the flag alone as not sampled.
        """
        ids = ((_TRACE_ID, trace_hex), (_SPAN_ID, span_hex), (_SAMPLED, "1" if wire.sampled else "0"))
        return (*ids, (_FLAGS, "1")) if wire.sampled and wire.debug else ids
