"""Jaeger's own headers: ``uber-trace-id``, ``uberctx-{key}``, ``jaeger-baggage`` and ``jaeger-debug-id``.

https://www.jaegertracing.io/docs/1.76/sdk-migration/#propagation-format describes the first two. What is accepted and
what is sent here is what all of jaeger-client for Python, Go, Java and Node read alike: ids in lower case, the parent
always ``0``, flags 0, 1 or 3 only, because Go reads flags as a decimal number and Java refuses upper case.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from ot_bridge.codecs.carrier import Item, Lines, by_lower_key, is_ambiguous, percent_decoded
from ot_bridge.codecs.codec import Codec, Ids, ListSource, Options, PrefixSource, Rank
from ot_bridge.codecs.wire import EMPTY, Malformed, WireContext

__all__ = ["JaegerCodec"]

# int(text, 16) is too kind: it also reads "-1", "0x1f", "1_0", " 1 " and Arabic digits. The parent may be anything.
_match: Final = re.compile(
    r"[ \t]*([0-9a-fA-F]{1,32}):([0-9a-fA-F]{1,16}):[^:\n]*:[0-9a-fA-F]?([0-9a-fA-F])[ \t]*"
).fullmatch
_WANTED: Final = "{trace}:{span}:{parent}:{flags}, hex, non-zero ids"
# The two flags that count, 1 sampled and 2 debug, are bits of the last digit.
_FLAGS: Final = {digit: (int(digit, 16) & 1, int(digit, 16) & 3 == 3) for digit in "0123456789abcdefABCDEF"}
_LOW_64: Final = (1 << 64) - 1
_UNSAFE: Final = re.compile(r"[\r\n\0]")


class JaegerCodec(Codec):
    """Reads and writes what jaeger-client sends; the names of its headers can be configured, as there."""

    name = "jaeger"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._trace_id = _header_name(options.trace_id_header)
        self._prefix = _header_name(options.baggage_header_prefix)
        self.debug_id_header = _header_name(options.debug_id_header)
        baggage = _header_name(options.baggage_header)
        self.headers = {self._trace_id: Lines.EQUAL, self.debug_id_header: Lines.EQUAL, baggage: Lines.LIST}
        self.sources = (
            PrefixSource(Rank.UBERCTX, self._prefix, _decode_item),
            ListSource(Rank.JAEGER_BAGGAGE, baggage, _decode_list),
        )
        # Baggage keys whose header would be one of these: a prefix may be the beginning of them all.
        self._taken = {name[len(self._prefix) :] for name in self.headers if name.startswith(self._prefix)}
        self.fields = (self._trace_id,)
        self.writes_baggage = True

    def decode(self, headers: Mapping[str, str], notes: list[str]) -> WireContext | Malformed | None:
        """Read ``uber-trace-id``. Firehose and unknown flags are dropped, and debug without sampled."""
        text = headers.get(self._trace_id)
        if text is None:
            return None
        ids = self.parse(text)
        if ids is None:
            return Malformed(self.name, self._trace_id, text, _WANTED)
        trace_id, span_id, flags, debug = ids
        # WireContext(...) takes 0.27 us, this 0.15 us, for every request.
        return tuple.__new__(WireContext, (trace_id, span_id, flags == 1, debug, False, "", EMPTY, None, "jaeger"))

    @staticmethod
    def parse(text: str) -> Ids | None:
        """Read the value of ``uber-trace-id``; see :meth:`decode`."""
        fields = _match(text)
        if fields is None:
            if "%" not in text:
                return None
            # No client encodes the value, proxies do; a valid value has no "%", so this is safe in TEXT_MAP too.
            fields = _match(percent_decoded(text))
            if fields is None:
                return None
        trace, span, digit = fields.groups()
        trace_id, span_id = int(trace, 16), int(span, 16)
        if not trace_id or not span_id:
            return None
        flags, debug = _FLAGS[digit]
        return trace_id, span_id, flags, debug

    def debug_id(self, headers: Mapping[str, str], notes: list[str], *, http: bool) -> str | None:
        """Read ``jaeger-debug-id``; None when it is absent, empty, or there are several different ones."""
        text = headers.get(self.debug_id_header)
        if not text:
            return None
        if is_ambiguous(text):
            notes.append("extract.debug_id_dropped")
            return None
        return (percent_decoded(text) if http else text).strip(" \t") or None

    def encode(self, wire: WireContext, trace_hex: str, span_hex: str, notes: list[str]) -> Sequence[tuple[str, str]]:
        """Write ``uber-trace-id``: 16 digits when the high half of the trace id is zero, else 32."""
        flags = 0 if not wire.sampled else 3 if wire.debug else 1
        trace = trace_hex if wire.trace_id > _LOW_64 else trace_hex[16:]
        return ((self._trace_id, f"{trace}:{span_hex}:0:{flags}"),)

    def encode_baggage(self, items: Sequence[Item], *, http: bool, notes: list[str]) -> Sequence[tuple[str, str]]:
        """Write one header an item, keys in lower case; values percent-encoded in HTTP, raw in TEXT_MAP."""
        lowered = by_lower_key(items, notes)
        for key in self._taken.intersection(lowered):
            notes.append("baggage.dropped.key")
            del lowered[key]
        if http:
            return [(self._prefix + key, item[3]) for key, item in lowered.items()]
        sendable = []
        for key, (_, _, text, _) in lowered.items():
            # A TEXT_MAP carrier often is HTTP after all.
            if _UNSAFE.search(text):
                notes.append("baggage.dropped.value")
            else:
                sendable.append((self._prefix + key, text))
        return sendable


def _header_name(name: str) -> str:
    return name.lower().replace("_", "-")


def _decode_item(text: str, http: bool) -> str:
    # Go and Java send a space as "+", and every client sends "+" as %2B: a bare "+" can only be a space.
    return percent_decoded(text.replace("+", " ")) if http else text


def _decode_list(text: str, http: bool, notes: list[str]) -> Mapping[str, str]:
    """Read ``k1=v1, k2=v2``, written by hand: a token with other than one ``=`` is dropped, as by all clients."""
    baggage: dict[str, str] = {}
    for token in (percent_decoded(text) if http else text).split(","):
        key, equals, value = token.partition("=")
        key, value = key.strip(), value.strip()
        if equals and key and "=" not in value:
            baggage[key] = value
        elif token.strip():
            notes.append("baggage.dropped.member")
    return baggage
