"""What the bridge looks at when native spans start: what they refer to, and whether they are second of their kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import SpanKind, TracerProvider

from ot_bridge.context import get_current
from ot_bridge.doubles import LAYERED, SERVERS, tell
from ot_bridge.scope import scope_of
from ot_bridge.span import OWN_CLASSES

__all__ = ["watch_native"]


class _NativeWatch(SpanProcessor):
    """Looks at native spans when they start.

    Args:
        refer: told of the parent of each, which is then not collapsed; None for nobody.
        nest: whether a second server span becomes INTERNAL.
    """

    bridge_spans = False  # of no interest: see ot_bridge.listeners

    def __init__(self, refer: Callable[[int], None] | None, *, nest: bool) -> None:
        self._refer = refer
        self._nest = nest
        self.is_on = True

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        if not self.is_on or type(span) in OWN_CLASSES:
            return
        if self._refer is not None and span.parent is not None:
            self._refer(span.parent.span_id)
        if span.kind in LAYERED:
            self._compare(span, span.kind)

    def _compare(self, span: Any, kind: SpanKind) -> None:
        # Not the Context that it starts in: a server's has the caller's ids, and nothing of this process.
        scope = scope_of(get_current())
        outer: Any = None if scope is None or scope._closed else scope.span
        if type(outer) not in OWN_CLASSES or getattr(outer, "_kind", None) is not kind:
            return
        own = span.parent is not None and span.parent.span_id == outer.context.span_id
        if not own and (kind not in SERVERS or span.parent != outer._parent):
            return  # it has another cause
        nested = self._nest and kind in SERVERS and hasattr(span, "_kind") and hasattr(span, "_parent")
        if nested:
            span._kind, span._parent = SpanKind.INTERNAL, outer.context
        tell(kind, span, nested=nested, other=f"the OpenTracing span {outer.operation_name!r}")


def watch_native(provider: TracerProvider, refer: Callable[[int], None] | None, *, nest: bool) -> Callable[[], None]:
    """Look at the native spans of a provider.

    Args:
        provider: any; nothing happens with one that takes no processors.
        refer: as for ``tell_sent`` of the propagator; None for nobody.
        nest: whether a second server span becomes INTERNAL.

    Returns:
        What stops it.
    """
    add = getattr(provider, "add_span_processor", None)
    if add is None:
        return lambda: None
    watch = _NativeWatch(refer, nest=nest)
    add(watch)

    def stop() -> None:
        watch.is_on = False

    return stop
