"""The wire formats: a registry of codecs. To add a format, write one file and one row here.

The names are those of ``Settings.extract`` and ``Settings.inject``, of the compatibility matrix and of the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final, NamedTuple, cast

from ot_bridge.codecs.codec import Codec, Options

__all__ = ["CODECS", "KNOWN_EXTRACT", "KNOWN_INJECT", "CodecRow", "readers", "writers"]


class CodecRow(NamedTuple):
    """One wire format."""

    name: str
    module: str
    """In this package; imported when a service reads or writes the format."""
    codec: str
    """The name of its class there."""
    reads: tuple[str, ...]
    """The codecs that its name in ``Settings.extract`` stands for, in order of precedence."""
    meaning: str

    @property
    def make(self) -> type[Codec]:
        """The class."""
        return cast("type[Codec]", getattr(import_module(f"{__name__}.{self.module}"), self.codec))


_ROWS: Final = (
    CodecRow(
        "jaeger", "jaeger", "JaegerCodec", ("jaeger",), "uber-trace-id, uberctx-*, jaeger-baggage, jaeger-debug-id"
    ),
    # Who reads traceparent belongs to a W3C fleet, and losing the baggage of its requests would be a silent loss.
    CodecRow(
        "tracecontext", "tracecontext", "TraceContextCodec", ("tracecontext", "baggage"), "traceparent, tracestate"
    ),
    CodecRow("baggage", "baggage", "BaggageCodec", ("baggage",), "W3C baggage"),
    CodecRow("b3", "b3", "B3SingleCodec", ("b3", "b3multi"), "b3; on extract X-B3-* and baggage-* too"),
    CodecRow("b3multi", "b3", "B3MultiCodec", ("b3", "b3multi"), "X-B3-*; on extract b3 and baggage-* too"),
    CodecRow("ottrace", "ottrace", "OTTraceCodec", ("ottrace",), "ot-tracer-*, ot-baggage-*"),
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
