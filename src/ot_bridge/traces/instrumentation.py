"""Which library made a span, and which header brought a request to it. Pure.

A header is known where the span has it in an attribute, as OpenTelemetry's HTTP instrumentations record headers
(`http.request.header.<name>`); elsewhere it is concluded from what the two libraries write and read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import unquote

from ot_bridge.traces.model import Span
from ot_bridge.traces.words import text

__all__ = [
    "HEADER_ATTRIBUTE",
    "TRACE_HEADERS",
    "Hop",
    "Producer",
    "World",
    "headers",
    "hop",
    "named_parents",
    "producer",
]

World: TypeAlias = Literal["opentracing", "bridge", "native", "unknown"]

TRACE_HEADERS = ("uber-trace-id", "traceparent")
HEADER_ATTRIBUTE = "http.request.header."

_BRIDGE_SCOPE = "opentracing-shim"
_JAEGER_VERSION = "opencensus.exporterversion"


class Producer(NamedTuple):
    """The library that made a span.

    Attributes:
        library: such as `jaeger-client`, `ot_bridge`, `opentelemetry-python`; `unknown` when nothing tells.
        version: `""` when nothing tells.
        world: which API its code uses: OpenTracing with its old tracer, the bridge, or OpenTelemetry.
    """

    library: str
    version: str
    world: World

    def __str__(self) -> str:
        return f"{self.library} {self.version}".rstrip()


class Hop(NamedTuple):
    """How a request reached a service.

    Attributes:
        arrived: the trace headers that the span says came with it.
        followed: the header that carried the trace into it, None when none is known to.
        certainty: `sure` when the header is in the span, `likely` when the two libraries share one alone, `guess`
            when they share more and the first of them is named.
    """

    arrived: tuple[str, ...]
    followed: str | None
    certainty: Literal["sure", "likely", "guess"] = "sure"


# What each tracer reads, in its order of preference, and writes. OpenTelemetry's SDKs with their default propagators.
_HEADERS: Mapping[str, Sequence[str]] = {
    "ot_bridge": ("uber-trace-id", "traceparent"),
    "jaeger-client": ("uber-trace-id",),
    "opentelemetry": ("traceparent",),
    "zipkin": ("b3",),
}


def producer(span: Span) -> Producer:
    """Tell which library made a span, by its resource and its scope."""
    resource = span.resource.attributes
    if _JAEGER_VERSION in resource:
        return Producer("jaeger-client", text(resource[_JAEGER_VERSION]).removeprefix("Jaeger-"), "opentracing")
    if span.scope.name == _BRIDGE_SCOPE:
        return Producer("ot_bridge", span.scope.version, "bridge")
    if name := resource.get("telemetry.sdk.name"):
        language = resource.get("telemetry.sdk.language", "?")
        return Producer(f"{text(name)}-{text(language)}", text(resource.get("telemetry.sdk.version", "")), "native")
    if span.via == "zipkin":
        return Producer("zipkin", "", "unknown")
    if span.via == "jaeger":
        return Producer("jaeger-client", "", "opentracing")
    return Producer("unknown", "", "unknown")


def hop(span: Span, parent: Span | None = None) -> Hop:
    """Find the header that carried the trace into a span.

    Args:
        span: of the service that was called.
        parent: of the service that called it, None when it is not known.
    """
    found = {name: value for name in TRACE_HEADERS if (value := _header(span, name)) is not None}
    reads = headers(span)
    for name in reads or TRACE_HEADERS:
        if name in found and _ids(name, found[name]) == (span.trace_id, span.parent_id):
            return Hop(tuple(found), name)
    if found or parent is None:
        return Hop(tuple(found), None)
    writes = headers(parent)
    shared = [name for name in reads if name in writes]
    return Hop((), shared[0] if shared else None, "likely" if len(shared) == 1 else "guess")


def named_parents(span: Span) -> Mapping[str, tuple[int, int]]:
    """Return what the trace headers that are in a span name as its parent: by header the trace's and the span's id."""
    values = ((name, _header(span, name)) for name in TRACE_HEADERS)
    ids = ((name, _ids(name, value)) for name, value in values if value is not None)
    return {name: both for name, both in ids if both is not None}


def headers(span: Span) -> Sequence[str]:
    """Return the trace headers that a span's tracer writes and reads unless told otherwise; none when not known."""
    library = producer(span).library
    return _HEADERS.get(library) or _HEADERS.get(library.split("-")[0], ())


def _header(span: Span, name: str) -> str | None:
    value = span.attributes.get(HEADER_ATTRIBUTE + name)
    if isinstance(value, list):
        value = value[0] if value else None
    return value if isinstance(value, str) else None


def _ids(name: str, value: str) -> tuple[int, int] | None:
    parts = unquote(value).split(":")[:2] if name == "uber-trace-id" else value.split("-")[1:3]
    try:
        trace_id, span_id = (int(part, 16) for part in parts)
    except ValueError:
        return None
    return trace_id, span_id
