"""What a wire format is: the base class of all codecs, their options, and where baggage comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import ClassVar, NamedTuple

from ot_bridge.codecs.carrier import Found, Item, Lines
from ot_bridge.codecs.wire import EMPTY, Malformed, WireContext

__all__ = ["BaggageSource", "Codec", "Ids", "ListSource", "Options", "PrefixSource", "Rank"]

Ids = tuple[int, int, int, bool]
"""Trace id and span id, neither zero; W3C flags, sampled 1 and random 2; Jaeger's debug flag."""


class Options(NamedTuple):
    """The settings that codecs know; names as in :class:`ot_bridge.Settings`."""

    trace_id_header: str = "uber-trace-id"
    baggage_header_prefix: str = "uberctx-"
    debug_id_header: str = "jaeger-debug-id"
    baggage_header: str = "jaeger-baggage"
    baggage_plus_is_space: bool = False


class Rank(IntEnum):
    """Baggage sources, weakest first: where two have the same key, the stronger one's value is kept."""

    OT_BAGGAGE = 1
    B3_BAGGAGE = 2
    JAEGER_BAGGAGE = 3
    W3C_BAGGAGE = 4
    UBERCTX = 5


class PrefixSource(NamedTuple):
    """Baggage with one header an item, its key behind a prefix. Header names have no case: keys are lower-cased."""

    rank: Rank
    prefix: str
    decode: Callable[[str, bool], str]
    """Decodes one value; the bool tells HTTP_HEADERS from TEXT_MAP."""

    def read(self, found: Found, *, http: bool, notes: list[str]) -> Mapping[str, str]:
        """Return the decoded items of this source."""
        pairs = found[1].get(self.prefix)
        return {key: self.decode(text, http) for key, text in pairs.items()} if pairs else EMPTY


class ListSource(NamedTuple):
    """Baggage with all items in one header."""

    rank: Rank
    header: str
    decode: Callable[[str, bool, list[str]], Mapping[str, str]]
    """Decodes the header; the bool tells HTTP_HEADERS from TEXT_MAP; the list takes notes."""

    def read(self, found: Found, *, http: bool, notes: list[str]) -> Mapping[str, str]:
        """Return the decoded items of this source; note the members that are dropped."""
        text = found[0].get(self.header)
        return self.decode(text, http, notes) if text else EMPTY


BaggageSource = PrefixSource | ListSource


class Codec(ABC):
    """One header syntax, pure: headers in, a :class:`WireContext` out, and the way back. Never raises.

    A *note* is the name of a counter: codecs note what they drop, the caller counts.
    """

    name: ClassVar[str]
    """As in ``Settings.extract`` and ``Settings.inject``."""
    headers: Mapping[str, Lines]
    """Names read, in lower case."""
    sources: tuple[BaggageSource, ...] = ()
    """Baggage read."""
    fields: tuple[str, ...]
    """Names that :meth:`encode` and :meth:`encode_baggage` may write, baggage with a prefix excepted."""
    writes_ids: bool = True
    writes_baggage: bool = False

    def __init__(self, options: Options) -> None:
        self._options = options

    parse: Callable[[str], Ids | None] | None = None
    """Reads the value of ``fields[0]``, None when it is malformed: all of :meth:`decode` where no other header came.
    None where a format needs more than one header. See :mod:`ot_bridge.shortcuts`."""

    @abstractmethod
    def decode(self, headers: Mapping[str, str], notes: list[str]) -> WireContext | Malformed | None:
        """Read the trace context: None when it is not there, without baggage in any case.

        Args:
            headers: name in lower case -> value; see :mod:`ot_bridge.codecs.carrier` for several lines.
            notes: takes the names of counters.
        """

    def encode(self, wire: WireContext, trace_hex: str, span_hex: str, notes: list[str]) -> Sequence[tuple[str, str]]:
        """Write the trace context of ``wire``, which has ids.

        Args:
            wire: what to write.
            trace_hex: its trace id, 32 lower-case digits.
            span_hex: its span id, 16 lower-case digits.
            notes: takes the names of counters.
        """
        return ()

    def encode_baggage(self, items: Sequence[Item], *, http: bool, notes: list[str]) -> Sequence[tuple[str, str]]:
        """Write the baggage.

        Args:
            items: what may be sent; see :func:`ot_bridge.codecs.carrier.outgoing`.
            http: HTTP_HEADERS, else TEXT_MAP.
            notes: takes the names of counters.
        """
        return ()
