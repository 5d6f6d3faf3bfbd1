"""W3C Baggage: ``baggage: key=value;property, ...`` (w3c/baggage 9af80f4d).

https://www.w3.org/TR/baggage/. Sent with ``%20`` and ``%2B``, which every decoder reads alike; opentelemetry-python
sends a space as ``+``, so a fleet of its senders may want ``baggage_plus_is_space``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from ot_bridge.codecs.carrier import Item, Lines, percent_decoded
from ot_bridge.codecs.codec import Codec, ListSource, Options, Rank
from ot_bridge.codecs.wire import Malformed, WireContext

__all__ = ["BaggageCodec"]

_HEADER: Final = "baggage"
_OWS: Final = " \t"
_KEY: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_VALUE: Final = r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+"
# The spaces on both sides of no value would be two repeats that take the same, and need quadratic time.
_MEMBER: Final = re.compile(rf"({_KEY})[ \t]*=[ \t]*(?:({_VALUE})[ \t]*)?")
_MAX_MEMBERS: Final = 180
_MAX_MEMBER: Final = 4096  # bytes
_MAX_TOTAL: Final = 8192  # bytes


class BaggageCodec(Codec):
    """Reads and writes baggage only, no ids. Properties are metadata of an item and are not kept."""

    name = "baggage"
    headers = MappingProxyType({_HEADER: Lines.LIST})
    fields = (_HEADER,)
    writes_ids = False
    writes_baggage = True

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._plus = " " if options.baggage_plus_is_space else "+"
        self.sources = (ListSource(Rank.W3C_BAGGAGE, _HEADER, self._decode_list),)

    def decode(self, headers: Mapping[str, str], notes: list[str]) -> WireContext | Malformed | None:
        """There are no ids in this format: None always."""
        return None

    def _decode_list(self, text: str, http: bool, notes: list[str]) -> Mapping[str, str]:
        """Return the items of the first whole members within the limits; of a repeated key the last value."""
        baggage: dict[str, str] = {}
        end = -1
        for member in text[: _MAX_TOTAL + 1].split(","):
            end += len(member) + 1
            if end > _MAX_TOTAL:
                notes.append("baggage.dropped.limit")
                break
            member = member.strip(_OWS)
            if not member:
                continue
            item, properties, _ = member.partition(";")
            found = _MEMBER.fullmatch(item)
            if found is None:
                notes.append("baggage.dropped.member")
                continue
            key, value = found[1], found[2] or ""
            if len(member) > _MAX_MEMBER or (len(baggage) >= _MAX_MEMBERS and key not in baggage):
                notes.append("baggage.dropped.limit")
                continue
            if properties:
                notes.append("baggage.properties")
            baggage[key] = percent_decoded(value.replace("+", self._plus))
        return baggage

    def encode_baggage(self, items: Sequence[Item], *, http: bool, notes: list[str]) -> Sequence[tuple[str, str]]:
        """Write the first whole members within the limits; percent-encoded in TEXT_MAP too, as the format says."""
        members: list[str] = []
        end = -1
        for key, _, _, quoted in items:
            member = f"{key}={quoted}"
            if len(member) > _MAX_MEMBER:
                notes.append("baggage.dropped.limit")
                continue
            if end + len(member) + 1 > _MAX_TOTAL or len(members) == _MAX_MEMBERS:
                notes.append("baggage.dropped.limit")
                break
            end += len(member) + 1
            members.append(member)
        return ((_HEADER, ",".join(members)),) if members else ()
