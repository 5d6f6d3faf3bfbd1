"""Two instrumentations of one request: one for OpenTracing, one of OpenTelemetry's, in the same process.

OpenTelemetry's own instrumentations make no second server span inside a server span: the inner one is INTERNAL, and a
child of the outer one. The same here, see RATIONALE.md ("What becomes of two server spans for one request?"). Two
client spans of one call stay what they are. Both are counted, and said once for each instrumentation of
OpenTelemetry's.
"""

from __future__ import annotations

import sys
from typing import Any, Final

from opentelemetry.trace import SpanKind

from ot_bridge.telemetry import warn_first

__all__ = ["LAYERED", "SERVERS", "kind_inside", "tell"]

SERVERS: Final = frozenset({SpanKind.SERVER, SpanKind.CONSUMER})
LAYERED: Final = SERVERS | {SpanKind.CLIENT, SpanKind.PRODUCER}
"""The kinds of which one request has one span in a process."""

_OTEL_INSTRUMENTATION: Final = "opentelemetry.instrumentation."
# Who stands between an instrumentation and the span, and is not meant.
_BETWEEN: Final = frozenset(
    {
        "asyncio",
        "concurrent",
        "contextlib",
        "functools",
        "opentelemetry",
        "opentracing",
        "ot_bridge",
        "threading",
        "wrapt",
    }
)


def kind_inside(outer: Any, kind: SpanKind, *, nest: bool) -> SpanKind:
    """Return the kind of a span of OpenTracing's that was started inside a native one; say when it is a second one.

    Args:
        outer: the native span.
        kind: what the span's own tags say.
        nest: whether a second server span becomes INTERNAL.
    """
    if kind not in LAYERED or kind is not outer.kind:
        return kind
    nested = nest and kind in SERVERS
    tell(kind, outer, nested=nested)
    return SpanKind.INTERNAL if nested else kind


def tell(kind: SpanKind, native: Any, *, nested: bool, other: str | None = None) -> None:
    """Count a request that two instrumentations record, and say it the first time.

    Args:
        kind: of both spans.
        native: the span of OpenTelemetry's instrumentation.
        nested: whether the inner span became INTERNAL.
        other: names OpenTracing's, where no package shows that does it.
    """
    layer = kind.name.lower()
    otel = getattr(getattr(native, "instrumentation_scope", None), "name", None) or "OpenTelemetry code"

    def message() -> str:
        found = _code_at_work()
        ours = found if found and (other is None or "opentracing" in found) else other or "OpenTracing code"
        inner = "; the inner one is sent as INTERNAL" if nested else ""
        short = otel.removeprefix(_OTEL_INSTRUMENTATION)
        way = f"set OTEL_PYTHON_DISABLED_INSTRUMENTATIONS={short}, or " if short != otel else ""
        return (
            f"{otel} and {ours} both make a {layer} span for the same request{inner}. "
            f"To have one, {way}leave out {ours}: see docs/auto-instrumentation.md"
        )

    warn_first(f"double.{layer}", otel, message)


def _code_at_work() -> str | None:
    """Return the package that traces: the innermost with OpenTracing in its name, else the innermost of all others."""
    frame: Any = sys._getframe(1)
    first = None
    while frame is not None:
        package = str(frame.f_globals.get("__name__") or "").partition(".")[0]
        if package and package not in _BETWEEN:
            if "opentracing" in package:
                return package
            first = first or (f"{frame.f_code.co_filename}:{frame.f_lineno}" if package == "__main__" else package)
        frame = frame.f_back
    return first
