"""The headers of OpenTracing's basictracer and Lightstep: ``ot-tracer-*`` and ``ot-baggage-{key}``.

Never specified; what is read and written here is what OpenTelemetry's ``ottrace`` propagators agree on, see
https://github.com/open-telemetry/opentelemetry-specification/blob/1377f53b/specification/context/api-propagators.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from ot_bridge.codecs.carrier import Item, Lines, by_lower_key
from ot_bridge.codecs.codec import Codec, PrefixSource, Rank
from ot_bridge.codecs.id_headers import IdHeaders, is_true
from ot_bridge.codecs.wire import EMPTY, Malformed, WireContext

__all__ = ["OTTraceCodec"]

_VISIBLE: Final = re.compile(r"[\x20-\x7e]*")

_TRACE_ID: Final = "ot-tracer-traceid"
_SPAN_ID: Final = "ot-tracer-spanid"
_SAMPLED: Final = "ot-tracer-sampled"
_PREFIX: Final = "ot-baggage-"
_HEADERS: Final = IdHeaders("ottrace", _TRACE_ID, _SPAN_ID, _SAMPLED)
_ZERO: Final = "0" * 16


class OTTraceCodec(Codec):
    """Three headers of ids; the trace id is cut to its low 64 bits when written, as the format has no more."""

    name = "ottrace"
    headers = MappingProxyType({_TRACE_ID: Lines.EQUAL, _SPAN_ID: Lines.EQUAL, _SAMPLED: Lines.EQUAL})
    sources = (PrefixSource(Rank.OT_BAGGAGE, _PREFIX, lambda text, _: text),)
    fields = (_TRACE_ID, _SPAN_ID, _SAMPLED)
    writes_baggage = True

    def decode(self, headers: Mapping[str, str], notes: list[str]) -> WireContext | Malformed | None:
        """Read the ids; the decision is ``true`` or ``1`` in any case, anything else is not sampled."""
        ids = _HEADERS.read(headers)
        if ids is None or isinstance(ids, Malformed):
            return ids
        trace_id, span_id, decision = ids
        return WireContext(trace_id, span_id, is_true(decision), False, False, "", EMPTY, None, self.name)

    def encode(self, wire: WireContext, trace_hex: str, span_hex: str, notes: list[str]) -> Sequence[tuple[str, str]]:
        """Write the three headers; nothing when the half of the trace id that fits is zero, which no reader takes."""
        low = trace_hex[16:]
        if low == _ZERO:
            notes.append("inject.ottrace.zero_id")
            return ()
        return ((_TRACE_ID, low), (_SPAN_ID, span_hex), (_SAMPLED, "true" if wire.sampled else "false"))

    def encode_baggage(self, items: Sequence[Item], *, http: bool, notes: list[str]) -> Sequence[tuple[str, str]]:
        """Write raw values, as the format has no encoding: only visible ASCII can be sent, the rest is dropped."""
        sendable = []
        for key, (_, _, text, _) in by_lower_key(items, notes).items():
            if _VISIBLE.fullmatch(text):
                sendable.append((_PREFIX + key, text))
            else:
                notes.append("baggage.dropped.value")
        return sendable
