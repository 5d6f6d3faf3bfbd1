"""Which exporter OTLP leaves by, and ``OTEL_TRACES_EXPORTER=ot_bridge_otlp`` for services that are native alone.

Endpoint, headers, TLS, compression, retry and time-outs are the official exporters' own reading of their variables.
Each is imported when it is chosen: a process that exports over HTTP never loads grpc.

Source: OpenTelemetry specification 1377f53b, protocol/exporter.md.
"""

from __future__ import annotations

from typing import Any, Final

from opentelemetry.sdk.trace.export import SpanExporter

from ot_bridge.environment import read, read_choice

__all__ = ["GRPC", "HTTP", "BridgeSpanExporter", "first_set", "new_exporter", "protocol"]

HTTP: Final = "http/protobuf"
GRPC: Final = "grpc"


def first_set(suffix: str) -> str:
    """Name the variable that counts: the one for traces, else the one for all signals."""
    for_traces = f"OTEL_EXPORTER_OTLP_TRACES_{suffix}"
    return for_traces if read(for_traces) else f"OTEL_EXPORTER_OTLP_{suffix}"


def protocol() -> str:
    """Return the protocol that the variables choose.

    Raises:
        ConfigError: there is no such protocol.
    """
    return read_choice(first_set("PROTOCOL"), (HTTP, GRPC), HTTP)


def new_exporter(chosen: str, *args: Any, **kwargs: Any) -> SpanExporter:
    """Build the exporter of a protocol, with the official one's arguments."""
    if chosen == HTTP:
        from ot_bridge.otlp.http import HttpSpanExporter

        return HttpSpanExporter(*args, **kwargs)
    from grpc import Compression

    from ot_bridge.otlp.grpc import GrpcSpanExporter

    if (read(first_set("COMPRESSION")) or "none").lower() == "none":
        # The official one knows the word gzip only: "none", which the specification has, would be an exception.
        kwargs.setdefault("compression", Compression.NoCompression)
    return GrpcSpanExporter(*args, **kwargs)


class BridgeSpanExporter(SpanExporter):
    """Stands for the exporter that the variables choose: an instance of that is what a call makes."""

    def __new__(cls, *args: Any, **kwargs: Any) -> SpanExporter:  # type: ignore[misc]  # the SDK asks for a class
        return new_exporter(protocol(), *args, **kwargs)
