"""The codecs as code imports them, over the formats of :mod:`ot_bridge.codecs`.

A tracer reads and writes with its propagator; these are for code that calls a codec, or ``span_context_to_string``, by
hand, and ``Codec`` is for formats of one's own, see ``extra_codecs`` of the tracer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from opentracing import InvalidCarrierException, SpanContextCorruptedException

from ot_bridge.codecs import binary
from ot_bridge.codecs.wire import WireContext
from ot_bridge.config import Settings
from ot_bridge.context import BridgeSpanContext
from ot_bridge.errors import CarrierError, CorruptedContextError
from ot_bridge.jaeger_client.constants import (
    BAGGAGE_HEADER_KEY,
    BAGGAGE_HEADER_PREFIX,
    DEBUG_FLAG,
    DEBUG_ID_HEADER_KEY,
    SAMPLED_FLAG,
    TRACE_ID_HEADER,
)
from ot_bridge.jaeger_client.span_context import SpanContext
from ot_bridge.propagator import MixedFleetPropagator

__all__ = [
    "B3Codec",
    "BinaryCodec",
    "Codec",
    "TextCodec",
    "ZipkinCodec",
    "ZipkinSpanFormat",
    "header_to_hex",
    "span_context_from_string",
    "span_context_to_string",
]

ZipkinSpanFormat: Final = "zipkin-span-format"

_HEX: Final = re.compile(r"[0-9A-Fa-f]{1,32}")  # int(text, 16) is too kind: it also reads "-1", "0x1f", "1_0"


class Codec:
    """Writes a context into a carrier and reads it back; for formats of one's own."""

    def inject(self, span_context: Any, carrier: Any) -> None:
        """Write the context."""
        raise NotImplementedError

    def extract(self, carrier: Any) -> Any:
        """Return the context, None when there is none."""
        raise NotImplementedError


class _HeaderCodec(Codec):
    """One header format of the bridge, by hand.

    Args:
        settings: which one, and its header names.
        http: whether values are percent-encoded.
    """

    def __init__(self, settings: Settings, *, http: bool) -> None:
        self._propagator = MixedFleetPropagator(settings=settings)
        self._http = http

    def inject(self, span_context: Any, carrier: Any) -> None:
        """Write the headers of a context into a dict."""
        if not isinstance(carrier, MutableMapping):
            raise CarrierError(f"cannot write headers into {type(carrier).__name__}, expected a dict")
        carrier.update(self._propagator.write(_wire_of(span_context), http=self._http))

    def extract(self, carrier: Any) -> SpanContext | None:
        """Return the context that the headers carry; None without one.

        Raises:
            SpanContextCorruptedException: a trace header is there and cannot be read.
            InvalidCarrierException: the carrier has no ``items()``.
        """
        if not isinstance(carrier, Mapping) and not hasattr(carrier, "items"):
            raise CarrierError(f"cannot read headers from {type(carrier).__name__}, expected a mapping")
        reading = self._propagator.read(carrier.items(), http=self._http)
        if reading.malformed:
            raise CorruptedContextError("; ".join(reading.malformed))
        return None if reading.context is None else _context_of(reading.context)


class TextCodec(_HeaderCodec):
    """``uber-trace-id`` and its companions.

    Args:
        url_encoding: True as in HTTP_HEADERS, False as in TEXT_MAP.
        trace_id_header: name of the header with the ids.
        baggage_header_prefix: prefix of the headers with the baggage.
        debug_id_header: name of the header that forces a trace.
        baggage_header: name of the header with baggage by hand.
    """

    def __init__(
        self,
        url_encoding: bool = False,
        trace_id_header: str = TRACE_ID_HEADER,
        baggage_header_prefix: str = BAGGAGE_HEADER_PREFIX,
        debug_id_header: str = DEBUG_ID_HEADER_KEY,
        baggage_header: str = BAGGAGE_HEADER_KEY,
    ) -> None:
        self.url_encoding = url_encoding
        self.trace_id_header = header_name(trace_id_header)
        self.baggage_prefix = header_name(baggage_header_prefix)
        self.debug_id_header = header_name(debug_id_header)
        self.baggage_header = baggage_header
        self.prefix_length = len(baggage_header_prefix)
        settings = Settings(
            extract=("jaeger",),
            inject=("jaeger",),
            trace_id_header=self.trace_id_header,
            baggage_header_prefix=self.baggage_prefix,
            debug_id_header=self.debug_id_header,
            baggage_header=baggage_header,
        )
        super().__init__(settings, http=url_encoding)


class B3Codec(_HeaderCodec):
    """The ``X-B3-*`` headers; a ``b3`` header is read, too.

    Args:
        generate_128bit_trace_id: taken for the tracer's setting; ids are always sent in full.
    """

    trace_header = "X-B3-TraceId"
    span_header = "X-B3-SpanId"
    parent_span_header = "X-B3-ParentSpanId"
    sampled_header = "X-B3-Sampled"
    flags_header = "X-B3-Flags"

    def __init__(self, generate_128bit_trace_id: bool = False) -> None:
        self.generate_128bit_trace_id = generate_128bit_trace_id
        super().__init__(Settings(extract=("b3",), inject=("b3multi",)), http=True)

    def inject(self, span_context: Any, carrier: Any) -> None:
        """Write the headers of a context into a dict, in their old spelling."""
        super().inject(span_context, carrier)
        self.spell(carrier)

    def extract(self, carrier: Any) -> SpanContext | None:
        """Return the context that the headers carry; None without one, and with one id alone."""
        try:
            return super().extract(carrier)
        except CorruptedContextError:
            if not self.is_incomplete(carrier):
                raise
            return None

    @classmethod
    def is_incomplete(cls, carrier: Any) -> bool:
        """Tell whether all that is wrong is that one of the ids is missing."""
        ids = {cls.trace_header.lower(), cls.span_header.lower()}
        found = {str(name).lower(): value for name, value in carrier.items() if value is not None}
        try:
            return len([header_to_hex(found[name]) for name in ids & found.keys()]) < len(ids)
        except SpanContextCorruptedException:
            return False

    @classmethod
    def spell(cls, carrier: Any) -> None:
        """Spell the headers as jaeger-client did: who takes them from a dict asks for exactly that."""
        for name in (cls.trace_header, cls.span_header, cls.sampled_header, cls.flags_header):
            if name.lower() in carrier:
                carrier[name] = carrier.pop(name.lower())


class BinaryCodec(Codec):
    """Jaeger's binary layout, in a bytearray."""

    def inject(self, span_context: Any, carrier: Any) -> None:
        """Append the context to the carrier."""
        if not isinstance(carrier, bytearray):
            raise CarrierError(f"cannot write into {type(carrier).__name__}, expected a bytearray")
        carrier.extend(binary.encode(_wire_of(span_context)))

    def extract(self, carrier: Any) -> SpanContext | None:
        """Return the context; None when the carrier is empty or damaged."""
        if not isinstance(carrier, bytearray):
            raise CarrierError(f"cannot read {type(carrier).__name__}, expected a bytearray")
        wire = binary.decode(bytes(carrier))
        return None if wire is None else _context_of(wire)


class ZipkinCodec(Codec):
    """Ids as integers in a dict, or in the attributes of an object: TChannel's format."""

    _FIELDS: Final = ("trace_id", "span_id", "parent_id", "traceflags")

    def inject(self, span_context: Any, carrier: Any) -> None:
        """Write the four numbers into a dict."""
        if not isinstance(carrier, dict):
            raise CarrierError(f"cannot write into {type(carrier).__name__}, expected a dict")
        numbers = (span_context.trace_id, span_context.span_id, span_context.parent_id, span_context.flags)
        carrier.update(zip(self._FIELDS, numbers, strict=True))

    def extract(self, carrier: Any) -> SpanContext | None:
        """Return the context; None without a trace id."""
        if isinstance(carrier, dict):
            numbers = [carrier.get(name) for name in self._FIELDS]
        else:
            missing = next((name for name in self._FIELDS if not hasattr(carrier, name)), None)
            if missing is not None:
                raise InvalidCarrierException(f"cannot read {type(carrier).__name__}: it has no {missing}")
            numbers = [getattr(carrier, name) for name in self._FIELDS]
        return SpanContext(*numbers) if numbers[0] else None


def span_context_to_string(trace_id: int, span_id: int, parent_id: int | None, flags: int) -> str:
    """Return ``{trace}:{span}:{parent}:{flags}`` in hexadecimal without leading zeros; no parent is ``0``."""
    return f"{trace_id:x}:{span_id:x}:{parent_id or 0:x}:{flags:x}"


def span_context_from_string(value: Any) -> tuple[int, int, int | None, int]:
    """Return trace id, span id, parent id (None for a root) and flags of a text, or of a list with one text.

    Raises:
        SpanContextCorruptedException: it is none.
    """
    text = value[0] if isinstance(value, list) and len(value) == 1 else value
    fields = text.strip().split(":") if isinstance(text, str) else []
    if len(fields) == 4 and all(map(_HEX.fullmatch, fields)):
        trace_id, span_id, parent_id, flags = (int(field, 16) for field in fields)
        if trace_id and span_id:
            return trace_id, span_id, parent_id or None, flags
    wanted = "{trace}:{span}:{parent}:{flags}, hex, trace and span not zero"
    raise SpanContextCorruptedException(f"cannot read a span context: got {value!r:.100}, expected {wanted}")


def header_to_hex(header: Any) -> int:
    """Return the number that a header's hexadecimal digits give.

    Raises:
        SpanContextCorruptedException: it is none.
    """
    if isinstance(header, str) and _HEX.fullmatch(header.strip()):
        return int(header, 16)
    raise SpanContextCorruptedException(f"cannot read an id: got {header!r:.100}, expected hex digits")


def header_name(name: str) -> str:
    """Return a header name as Jaeger normalised it: lower case, hyphens for underscores."""
    return name.lower().replace("_", "-")


def _wire_of(context: BridgeSpanContext) -> WireContext:
    state = context.trace_state.to_header() if context.trace_state else ""
    random = context.trace_flags & 2 == 2
    ids = (context.trace_id or 0, context.span_id or 0)
    return WireContext(*ids, context.sampled, context.debug, random, state, context.items)


def _context_of(wire: WireContext) -> SpanContext:
    if not wire.trace_id:
        return SpanContext(None, None, None, None, wire.baggage, wire.debug_id)
    flags = (SAMPLED_FLAG if wire.sampled else 0) | (DEBUG_FLAG if wire.debug else 0)
    return SpanContext(wire.trace_id, wire.span_id, None, flags, wire.baggage, wire.debug_id)
