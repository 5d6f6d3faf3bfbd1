"""The wire formats: a registry of codecs. To add a format, write one file and one row here.

The names are those of ``Settings.extract`` and ``Settings.inject``, of the compatibility matrix and of the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from ot_bridge.codecs.b3 import B3MultiCodec, B3SingleCodec
from ot_bridge.codecs.baggage import BaggageCodec
from ot_bridge.codecs.codec import Codec, Options
from ot_bridge.codecs.jaeger import JaegerCodec
from ot_bridge.codecs.ottrace import OTTraceCodec
from ot_bridge.codecs.tracecontext import TraceContextCodec

__all__ = ["CODECS", "KNOWN_EXTRACT", "KNOWN_INJECT", "CodecRow", "readers", "writers"]


class CodecRow(NamedTuple):
    """One wire format."""

    name: str
    make: type[JaegerCodec | TraceContextCodec | BaggageCodec | B3SingleCodec | B3MultiCodec | OTTraceCodec]
    reads: tuple[str, ...]
    """The codecs that its name in ``Settings.extract`` stands for, in order of precedence."""
    meaning: str


_ROWS: Final = (
    CodecRow("jaeger", JaegerCodec, ("jaeger",), "uber-trace-id, uberctx-*, jaeger-baggage, jaeger-debug-id"),
    # Who reads traceparent belongs to a W3C fleet, and losing the baggage of its requests would be a silent loss.
    CodecRow("tracecontext", TraceContextCodec, ("tracecontext", "baggage"), "traceparent, tracestate"),
    CodecRow("baggage", BaggageCodec, ("baggage",), "W3C baggage"),
    CodecRow("b3", B3SingleCodec, ("b3", "b3multi"), "b3; on extract X-B3-* and baggage-* too"),
    CodecRow("b3multi", B3MultiCodec, ("b3", "b3multi"), "X-B3-*; on extract b3 and baggage-* too"),
    CodecRow("ottrace", OTTraceCodec, ("ottrace",), "ot-tracer-*, ot-baggage-*"),
)

CODECS: Final[Mapping[str, CodecRow]] = MappingProxyType({row.name: row for row in _ROWS})
KNOWN_EXTRACT: Final = tuple(CODECS)
KNOWN_INJECT: Final = tuple(CODECS)


def readers(names: Iterable[str], options: Options = Options()) -> list[Codec]:  # noqa: B008  (immutable)
    """Return the codecs that read the named formats, each once, strongest first."""
    wanted = dict.fromkeys(name for format_name in names for name in CODECS[format_name].reads)
    return [CODECS[name].make(options) for name in wanted]


def writers(names: Iterable[str], options: Options = Options()) -> list[Codec]:  # noqa: B008  (immutable)
    """Return the codecs that write the named formats, in their order."""
    return [CODECS[name].make(options) for name in dict.fromkeys(names)]
