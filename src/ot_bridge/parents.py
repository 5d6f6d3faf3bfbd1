"""child_of, references and the active span -> one parent, links and baggage. Anything may be passed; nothing raises.

Rules: semantic differences between OpenTracing's documents, jaeger-client and the OpenTelemetry document are decided in
RATIONALE.md ("Which reference is the parent?").
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import opentracing
from opentelemetry import trace as trace_api
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext

from ot_bridge.baggage import baggage_of, texts
from ot_bridge.context import BAGGAGE_KEY, SPAN_KEY, BridgeSpanContext, foreign_context, get_current
from ot_bridge.doubles import LAYERED, SERVERS
from ot_bridge.propagator import debug_id_of, refused_of
from ot_bridge.scope import BridgeScopeManager, ScopeContext, native_on_top
from ot_bridge.span import OWN_CLASSES, BridgeSpan
from ot_bridge.telemetry import count

__all__ = ["REFERENCE_RULES", "InnerParent", "Parent", "active_parent", "context_of", "find_parent", "innermost_parent"]

_NONE: Final[dict[str, str]] = {}
_CHILD_OF: Final = opentracing.ReferenceType.CHILD_OF
_FOLLOWS_FROM: Final = opentracing.ReferenceType.FOLLOWS_FROM
_LOW_64: Final = 2**64 - 1
_new_tuple: Final[Any] = tuple.__new__  # without the frame of a NamedTuple's constructor

REFERENCE_RULES: Final = (
    ("child_of", "the parent, whatever else is given; no link"),
    ("references, no child_of", "the first CHILD_OF is the parent, else the first; the active span is not asked"),
    ("references, no child_of, with references='jaeger'", "the active span is the parent; else the first reference"),
    ("neither", "the active span is the parent, unless ignore_active_span"),
    ("a reference that is not the parent", "link with opentracing.ref_type"),
    ("FOLLOWS_FROM the parent", "link with opentracing.ref_type"),
    ("CHILD_OF the parent", "no link: the parent edge says it"),
    ("a reference of unknown type", "link with opentracing.ref_type=follows_from; never the parent"),
    ("a context without ids", "gives its baggage and debug id; never a link"),
    (
        "a context that trust_incoming refused",
        "link with opentracing.ref_type=follows_from and ot_bridge.refused=true; never the parent",
    ),
    ("None, a no-op or unreadable context", "ignored"),
    ("baggage of several references", "union; the parent's items win"),
    (
        "the caller's context, inside an OpenTelemetry server span that continues the same caller",
        "the server span is the parent (double_servers)",
    ),
)
"""What was passed, and what becomes of it: printed in compat_matrix.md."""


class Parent(NamedTuple):
    """What a new span starts from.

    Attributes:
        context: OpenTelemetry's Context, for the sampler and the processors.
        span_context: the parent's ids; None for a root.
        baggage: inherited items; not to be changed.
        links: links to the other references.
        debug_id: forces the sampling of a root, when not None.
    """

    context: Context
    span_context: SpanContext | None
    baggage: dict[str, str]
    links: tuple[Link, ...] = ()
    debug_id: str | None = None


class InnerParent(Parent):
    """What a span starts from that is inside a native span of the same request: see :mod:`ot_bridge.doubles`.

    No field of every parent: to unpack one more is the hundredth part of a span that is not sampled.

    Attributes:
        outer: the native span, a server's or a client's.
    """

    outer: SdkSpan


def _inside(outer: SdkSpan | None, parent: Parent) -> Parent:
    if outer is None:
        return parent
    inner = InnerParent(*parent)
    inner.outer = outer
    return inner


def _linked(parent: Parent, links: tuple[Link, ...]) -> Parent:
    return _inside(parent.outer if isinstance(parent, InnerParent) else None, Parent(*parent)._replace(links=links))


_NOTHING: Final = Parent(Context(), None, _NONE)


def find_parent(
    manager: BridgeScopeManager,
    child_of: Any,
    references: Any,
    ignore_active_span: bool,
    jaeger_rule: bool,
    nests: bool = False,
) -> Parent:
    """Return what a new span starts from.

    Args:
        manager: knows the active span.
        child_of: a span, context or scope of any make, or None.
        references: a reference, several, or None.
        ignore_active_span: do not fall back on the active span.
        jaeger_rule: the active span comes before references, and the first reference is the parent.
        nests: a native server span that continues the same request is the parent in place of the caller's context.
    """
    chosen = None if child_of is None else _referred(child_of)
    if references is None:
        if chosen is None:
            return _active(manager, ignore_active_span)
        return _explicit(chosen, (), nests and not ignore_active_span)
    # child_of counts as a reference too: it may be one that was refused.
    referred = [*(() if chosen is None else ((_CHILD_OF, *chosen),)), *_read_references(references, jaeger_rule)]
    if chosen is None and jaeger_rule and not ignore_active_span:
        active = _active(manager, False)
        if active.span_context is not None:
            return _linked(active, _links(referred, active.span_context))
    if chosen is None:
        chosen = _choose(referred, jaeger_rule)
        if chosen is None:
            active = _active(manager, ignore_active_span)
            return _linked(active, active.links + _links(referred, None))
    others = () if jaeger_rule else tuple(context for _, context, _ in referred)
    parent = _explicit(chosen, others, nests and not ignore_active_span)
    return _linked(parent, _links(referred, parent.span_context and chosen[0]))


def active_parent(manager: BridgeScopeManager) -> Parent:
    """Return what a new span starts from when nothing is said: the active span."""
    context, span = manager.current()
    if type(span) in OWN_CLASSES:
        bridge_span: Any = span
        own: Any = bridge_span._context
        if own[5]:  # is_valid
            baggage = own[6] if type(context) is ScopeContext else baggage_of(bridge_span, context)
            return Parent(context, own, baggage)
    if span is None and not context:
        return Parent(context, None, _NONE)
    if isinstance(span, BridgeSpan):
        baggage = baggage_of(span, context)
        above: SpanContext | None = span._context
        outer = None
    else:
        found = context.get(BAGGAGE_KEY)
        baggage = texts(found) if isinstance(found, dict) and found else _NONE
        above = None if span is None else span.get_span_context()
        outer = _layered(span)
    if above is None or not above.is_valid:
        debug_id = getattr(above, "debug_id", None) or debug_id_of(context)
        refused = refused_of(context)
        return Parent(context, None, baggage, () if refused is None else (_refused_link(refused),), debug_id)
    return _inside(outer, Parent(context, above, baggage))


def innermost_parent(manager: BridgeScopeManager) -> Parent:
    """As :func:`active_parent`, for a manager of the bridge's own: the short way to its innermost scope, or to none."""
    context = get_current()
    if type(context) is ScopeContext:
        scope = context.scope
        span: Any = scope._otel_span
        if scope._manager is manager and not scope._closed and type(span) in OWN_CLASSES:
            own: Any = span._context
            if own[5]:  # is_valid
                inner: Parent = _new_tuple(Parent, (context, own, own[6], (), None))
                return inner
    elif not context:
        return _NOTHING
    return active_parent(manager)


def context_of(value: Any) -> BridgeSpanContext | None:
    """Return the context of a span, context or scope of any make; None when there is nothing in it."""
    referred = _referred(value)
    return None if referred is None else referred[0]


_Referred = tuple[BridgeSpanContext, "trace_api.Span | None"]


def _referred(value: Any) -> _Referred | None:
    """Return a context, and the live OpenTelemetry span where there is one."""
    try:
        if isinstance(value, opentracing.Scope):
            value = value.span
        if isinstance(value, BridgeSpan):
            found: _Referred | None = (value.context, value.unwrap())
        elif isinstance(value, BridgeSpanContext):
            found = (value, None)
        elif isinstance(value, trace_api.Span):
            current = get_current()
            held = current.get(BAGGAGE_KEY) if current.get(SPAN_KEY) is value else None
            baggage = texts(held) if isinstance(held, dict) else None
            found = (BridgeSpanContext.of(value.get_span_context(), baggage), value)
        elif isinstance(value, SpanContext):
            found = (BridgeSpanContext.of(value), None)
        else:
            foreign = foreign_context(getattr(value, "context", None)) or foreign_context(value)
            found = None if foreign is None else (foreign, None)
    except Exception:
        found = None
    if found is None or not (found[0].is_valid or found[0].baggage or found[0].debug_id or found[0].refused):
        if value is not None:
            count("parent.ignored")
        return None
    return found


def _active(manager: BridgeScopeManager, ignore: bool) -> Parent:
    return Parent(Context(), None, _NONE) if ignore else active_parent(manager)


def _explicit(chosen: _Referred, others: Iterable[BridgeSpanContext], nests: bool) -> Parent:
    context, span = chosen
    outer = _layered(span)
    baggage: dict[str, str] = context.items
    debug_id = context.debug_id
    for other in others:
        if other.baggage:
            baggage = {**other.baggage, **baggage}
        debug_id = debug_id or other.debug_id
    current = get_current()
    values = current.copy()
    above: SpanContext = context
    if span is None and not debug_id:
        outer = _same_request(current, context)
        if outer is not None and nests:
            span, above = outer, outer.get_span_context()
            held = current.get(BAGGAGE_KEY)
            baggage = {**baggage, **texts(held)} if isinstance(held, dict) else baggage
    if baggage:
        values[BAGGAGE_KEY] = baggage
    else:  # what another request has in the current Context is not for this span's sampler and processors
        values.pop(BAGGAGE_KEY, None)
    links = () if context.is_valid else _links([(_CHILD_OF, *chosen)], None)
    if not above.is_valid:
        values.pop(SPAN_KEY, None)
        return Parent(Context(values), None, baggage, links, debug_id)
    values[SPAN_KEY] = span if span is not None else NonRecordingSpan(context)
    return _inside(outer, Parent(Context(values), above, baggage, links))


def _layered(span: Any) -> SdkSpan | None:
    """Return a native span that stands for a request or a call: a second one of its kind would be one too many."""
    is_native = isinstance(span, SdkSpan) and not isinstance(span, BridgeSpan)
    return span if is_native and span.kind in LAYERED else None


def _same_request(current: Context, remote: BridgeSpanContext) -> SdkSpan | None:
    """Return the current native server span, where it continues the same caller's span, or has no caller either."""
    outer = _layered(native_on_top(current))
    if outer is None or outer.kind not in SERVERS:
        return None
    if outer.parent is None or not remote.is_valid:
        return outer if outer.parent is None and not remote.is_valid else None
    # An old hop may have cut the trace id in one of the headers.
    same_trace = (outer.parent.trace_id ^ remote.trace_id) & _LOW_64 == 0
    return outer if same_trace and outer.parent.span_id == remote.span_id and remote.is_remote else None


_Reference = tuple[Any, BridgeSpanContext, "trace_api.Span | None"]


def _read_references(references: Any, jaeger_rule: bool) -> Iterable[_Reference]:
    if isinstance(references, opentracing.Reference) or not isinstance(references, Iterable):
        references = (references,)
    for reference in references:
        if reference is None:
            continue
        kind = getattr(reference, "type", _CHILD_OF)
        if jaeger_rule and kind != _FOLLOWS_FROM:  # whatever it is, jaeger-client reports it as CHILD_OF
            kind = _CHILD_OF
        target = getattr(reference, "referenced_context", None)
        if target is None and not hasattr(reference, "referenced_context"):
            target = reference  # a span or a context where a reference was expected: taken for a parent
        referred = None if target is None else _referred(target)
        if referred is not None:
            yield (kind, *referred)


def _choose(referred: list[_Reference], jaeger_rule: bool) -> _Referred | None:
    known = [entry for entry in referred if jaeger_rule or entry[0] in (_CHILD_OF, _FOLLOWS_FROM)]
    valid = [entry for entry in known if entry[1].is_valid]
    order = known if jaeger_rule else [entry for entry in valid if entry[0] == _CHILD_OF] + valid + known
    return order[0][1:] if order else None


def _links(referred: list[_Reference], parent: SpanContext | None) -> tuple[Link, ...]:
    links = []
    for kind, context, _ in referred:
        if not context.is_valid:
            if context.refused is not None:
                links.append(_refused_link(context.refused))
            continue
        edge = kind == _CHILD_OF and parent is not None
        if edge and context.trace_id == parent.trace_id and context.span_id == parent.span_id:  # type: ignore[union-attr]
            continue
        known = kind if kind in (_CHILD_OF, _FOLLOWS_FROM) else _FOLLOWS_FROM
        links.append(Link(context, {"opentracing.ref_type": known}))
    return tuple(links)


def _refused_link(refused: SpanContext) -> Link:
    return Link(refused, {"opentracing.ref_type": _FOLLOWS_FROM, "ot_bridge.refused": True})
