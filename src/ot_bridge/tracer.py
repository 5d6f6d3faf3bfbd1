"""The tracer: OpenTracing's interface over an OpenTelemetry TracerProvider.

With the SDK's own provider it makes :class:`ot_bridge.span.RecordingSpan` objects itself, asking the provider's sampler,
id generator, limits and processors as the SDK does. With any other (no-op, not set yet, a vendor's) it wraps the spans
which that provider makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import time_ns
from typing import Any, Final

import opentracing
from opentelemetry import trace as trace_api
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, ProxyTracerProvider, SpanContext, SpanKind, TraceState

from ot_bridge import export
from ot_bridge.codecs import binary
from ot_bridge.codecs.wire import WireContext
from ot_bridge.config import Settings
from ot_bridge.context import FLAGS, BridgeSpanContext, debug_state
from ot_bridge.conventions import ROLES, Role, accepted_priority, read_error, read_int, read_kind
from ot_bridge.delegation import DelegatingScopeManager
from ot_bridge.errors import CarrierError, ConfigError, CorruptedContextError, FormatError
from ot_bridge.parents import Parent, active_parent, context_of, find_parent
from ot_bridge.propagator import MixedFleetPropagator
from ot_bridge.scope import BridgeScope, BridgeScopeManager
from ot_bridge.span import BridgeSpan, RecordingSpan, SpanRules, UnsampledSpan, operation_name_of
from ot_bridge.telemetry import count, warn_once
from ot_bridge.values import clean_key, clean_value, to_ns
from ot_bridge.version import __version__
from ot_bridge.wrapped import WrappedSpan

__all__ = ["BridgeTracer"]

_LOW_64: Final = 2**64 - 1
_SDK_SHAPE: Final = ("sampler", "resource", "span_processor", "id_generator", "_span_limits")
_new_span: Final[Any] = object.__new__
_new_tuple: Final[Any] = tuple.__new__

# On CPython 3.11 reading a member from its enum costs a twentieth of a span.
_DROP, _RECORD, _SAMPLE = Decision.DROP, Decision.RECORD_ONLY, Decision.RECORD_AND_SAMPLE
_KIND, _ERROR, _PRIORITY, _INTEGER, _HTTP = Role.KIND, Role.ERROR, Role.PRIORITY, Role.INTEGER, Role.HTTP_STATUS
_INTERNAL: Final = SpanKind.INTERNAL


class BridgeTracer(opentracing.Tracer):
    """An OpenTracing tracer whose spans are OpenTelemetry's.

    Args:
        tracer_provider: any OpenTelemetry TracerProvider; None for the global one, also when that is set later.
        settings: None for the defaults and the environment.
        scope_manager: any OpenTracing scope manager, which then decides what is active; None for the bridge's own.

    Raises:
        ConfigError: an argument is of the wrong kind.
    """

    _owns_provider = False  # install() builds a provider, and close() then shuts it down

    def __init__(
        self,
        tracer_provider: trace_api.TracerProvider | None = None,
        *,
        settings: Settings | None = None,
        scope_manager: opentracing.ScopeManager | None = None,
    ) -> None:
        if tracer_provider is not None and not hasattr(tracer_provider, "get_tracer"):
            raise ConfigError(f"tracer_provider: got {tracer_provider!r}, expected an OpenTelemetry TracerProvider")
        if settings is not None and not isinstance(settings, Settings):
            raise ConfigError(f"settings: got {settings!r}, expected ot_bridge.Settings(...) or None")
        if scope_manager is not None and not hasattr(scope_manager, "activate"):
            raise ConfigError(f"scope_manager: got {scope_manager!r}, expected an opentracing.ScopeManager")
        self.settings = Settings.from_env() if settings is None else settings
        self._propagator = MixedFleetPropagator(settings=self.settings)
        manager = BridgeScopeManager(self) if scope_manager is None else DelegatingScopeManager(self, scope_manager)
        super().__init__(manager)
        self._manager = manager
        self._bind(trace_api.get_tracer_provider() if tracer_provider is None else tracer_provider)

    @property
    def scope_manager(self) -> BridgeScopeManager:
        """The scope manager; one that the user gave is seen through it."""
        return self._manager

    @property
    def active_span(self) -> Any:
        """The active span, None without one."""
        scope = self._manager.active
        return None if scope is None else scope.span

    def start_active_span(
        self,
        operation_name: Any = None,
        child_of: Any = None,
        references: Any = None,
        tags: Any = None,
        start_time: Any = None,
        ignore_active_span: bool = False,
        finish_on_close: bool = True,
    ) -> BridgeScope:
        """Start a span and make it active. See :meth:`start_span`."""
        span = self.start_span(operation_name, child_of, references, tags, start_time, ignore_active_span)
        return self._manager.activate(span, finish_on_close)

    def start_span(
        self,
        operation_name: Any = None,
        child_of: Any = None,
        references: Any = None,
        tags: Any = None,
        start_time: Any = None,
        ignore_active_span: bool = False,
    ) -> BridgeSpan:
        """Start a span.

        Args:
            operation_name: its name.
            child_of: the parent: a span, context or scope of any make, a native one among them; None for the active.
            references: an ``opentracing.Reference``, or several.
            tags: a mapping; samplers and processors see them. It is not changed.
            start_time: Unix time in seconds, or a datetime; what is no time counts as now.
            ignore_active_span: start a root when there is no explicit parent.
        """
        name = operation_name_of(operation_name)
        try:
            if child_of is None and references is None and not ignore_active_span:
                parent = active_parent(self._manager)
            else:
                jaeger_rule = self.settings.references == "jaeger"
                parent = find_parent(self._manager, child_of, references, ignore_active_span, jaeger_rule)
        except Exception:
            warn_once("start.failed.parent", "the parent of a span could not be read", exc_info=True)
            parent = Parent(Context(), None, {})
        try:
            start_ns = _start_ns(start_time) if start_time else None
            if self._rules is None:
                return self._start_wrapped(name, parent, tags, start_ns)
            return self._start(name, parent, tags, start_ns)
        except Exception:
            warn_once("start.failed", "a span could not be started; it is not recorded", exc_info=True)
            ids = parent.span_context or SpanContext(0, 0, False)
            return UnsampledSpan(self, name, BridgeSpanContext.of(ids, parent.baggage))

    def inject(self, span_context: Any, format: Any, carrier: Any) -> None:
        """Write the headers that a context is sent with.

        Args:
            span_context: a context, span or scope of any make.
            format: ``HTTP_HEADERS``, ``TEXT_MAP`` or ``BINARY``.
            carrier: a mutable mapping; for BINARY a bytearray, which is extended.

        Raises:
            FormatError: the format is none of these.
            CarrierError: the carrier is not what the format needs.
        """
        _check(format, carrier, writing=True)
        context = context_of(span_context)
        if context is None:
            count("inject.nothing")
            return
        wire = WireContext(
            trace_id=context.trace_id,
            span_id=context.span_id,
            sampled=context.sampled,
            debug=context.debug,
            random=bool(context.trace_flags & 2),
            tracestate=context.trace_state.to_header() if context.trace_state else "",
            baggage=context[6],  # type: ignore[misc]
        )
        if format == opentracing.Format.BINARY:
            carrier.extend(binary.encode(wire))
            return
        try:
            for name, value in self._propagator.write(wire, http=format == opentracing.Format.HTTP_HEADERS):
                carrier[name] = value
        except Exception:  # a carrier that refuses text, or is read-only after all
            warn_once("inject.failed", "a carrier of type %s took no headers", type(carrier).__name__, exc_info=True)

    def extract(self, format: Any, carrier: Any) -> BridgeSpanContext | None:
        """Read the context that a request came with.

        Args:
            format: ``HTTP_HEADERS``, ``TEXT_MAP`` or ``BINARY``.
            carrier: anything with ``items()``; header names in any case, values text, bytes or lists of them.

        Returns:
            None when there is nothing; a context without ids when there is only baggage or a debug id.

        Raises:
            FormatError: the format is none of these.
            CarrierError: the carrier is not what the format needs.
            CorruptedContextError: with ``strict_extract``, a trace header cannot be read and no other one can.
        """
        _check(format, carrier, writing=False)
        if format == opentracing.Format.BINARY:
            wire = binary.decode(bytes(carrier))
            malformed = ("cannot read the BINARY carrier: expected Jaeger's layout",) if carrier and not wire else ()
        else:
            http = format == opentracing.Format.HTTP_HEADERS
            try:
                items = carrier.items()
            except Exception as error:
                raise CarrierError(f"carrier for {format}: items() of {type(carrier).__name__} failed") from error
            wire, malformed = self._propagator.read(items, http=http)[:2]
        if malformed and self.settings.strict_extract and (wire is None or not wire.trace_id):
            raise CorruptedContextError("; ".join(malformed))
        if wire is None:
            return None
        flags = FLAGS[wire.sampled | (2 * wire.random)]
        state = TraceState.from_header([wire.tracestate]) if wire.tracestate else None
        remote = bool(wire.trace_id)
        ids = (wire.trace_id, wire.span_id, remote, flags, state)
        return BridgeSpanContext(*ids, wire.baggage, wire.debug, wire.debug_id)

    def flush(self, timeout_s: float | None = None) -> bool:
        """Export what has finished; wait for it at most ``timeout_s`` seconds, default ``close_timeout_s``.

        Returns:
            Whether that was done in time.
        """
        return export.flush_provider(self._provider, self._timeout(timeout_s))

    def close(self, timeout_s: float | None = None) -> bool:
        """Export what has finished and stop; can be called again. A provider that was passed in is only flushed.

        Args:
            timeout_s: how long to wait, in seconds, default ``close_timeout_s``.
        """
        if not self._owns_provider:
            return self.flush(timeout_s)
        return export.shutdown_provider(self._provider, self._timeout(timeout_s))

    def unwrap(self) -> trace_api.Tracer:
        """Return the OpenTelemetry tracer."""
        return self._otel_tracer

    # --- inside

    def _timeout(self, timeout_s: float | None) -> float:
        return self.settings.close_timeout_s if timeout_s is None else max(0.0, timeout_s)

    def _bind(self, provider: trace_api.TracerProvider) -> None:
        """Take the tracer of a provider, and the one-object path when it is exactly the SDK's."""
        scope_name = self.settings.scope_name
        tracer = provider.get_tracer(scope_name, __version__)
        self._provider, self._otel_tracer = provider, tracer
        self._rules: SpanRules | None = None
        if type(tracer) is SdkTracer and all(hasattr(tracer, name) for name in _SDK_SHAPE):
            scope = InstrumentationScope(scope_name, __version__)
            self._rules = SpanRules(tracer._span_limits, tracer.span_processor, scope, self.settings)
            self._sdk: Any = tracer
            self._is_enabled = getattr(tracer, "_is_enabled", None)  # the tracer configurator, since SDK 1.40
            self._short_ids = self.settings.trace_id_bits == 64
            self._metrics = getattr(tracer, "_tracer_metrics", None)  # the SDK's own metrics, since SDK 1.40
            if type(self._metrics).__name__ == "NoOpTracerMetrics":
                self._metrics = None
            self._is_random = getattr(tracer.id_generator, "is_trace_id_random", None)  # since SDK 1.42
        elif not isinstance(provider, ProxyTracerProvider | trace_api.NoOpTracerProvider):
            count("tracer.wrapped")

    def _rebind(self) -> None:
        """Leave the stand-in for the global provider as soon as there is one."""
        if isinstance(self._provider, ProxyTracerProvider):
            provider = trace_api.get_tracer_provider()
            if provider is not self._provider:
                self._bind(provider)

    def _start(self, name: str, parent: Parent, tags: Any, start_ns: int | None) -> BridgeSpan:
        rules, sdk = self._rules, self._sdk
        assert rules is not None
        otel_context, above, baggage, links, debug_id = parent
        if self._is_enabled is not None and not self._is_enabled():
            return UnsampledSpan(self, name, BridgeSpanContext.of(above or SpanContext(0, 0, False), baggage))
        attributes, kind, priority, error, status_tags = _read_tags(tags, rules) if tags else _no_tags()
        ids = sdk.id_generator
        if above is None:
            trace_id, random, inherited = ids.generate_trace_id(), self._is_random is not None and self._is_random(), False
            if self._short_ids:
                trace_id = trace_id & _LOW_64 or ids.generate_span_id()
        else:
            trace_id, random, inherited = above.trace_id, above[3] & 2, _is_debug(above)
        debug = inherited or priority is True
        if above is None and debug_id:
            debug, attributes["jaeger-debug-id"] = True, clean_value(debug_id, rules.tag_limit)

        if priority is False:
            decision, debug, state = _DROP, False, None if above is None else above.trace_state
        else:
            result = sdk.sampler.should_sample(otel_context, trace_id, name, kind, attributes, links)
            decision, state = result.decision, result.trace_state
            if decision is not _DROP or result.attributes:
                attributes = _decided(result.attributes, attributes, rules, keep=debug)
            if debug:
                decision = _SAMPLE
            elif decision is _DROP and self.settings.late_sampling:
                decision = _RECORD
        if debug or inherited:
            state = debug_state(state or _NO_STATE, debug=debug)
        flags = FLAGS[(2 if random else 0) | (decision is _SAMPLE)]
        context: BridgeSpanContext = _new_tuple(
            BridgeSpanContext,
            (trace_id, ids.generate_span_id(), False, flags, state or _NO_STATE, True, baggage, debug, None),
        )
        end_metrics = None if self._metrics is None else self._metrics.start_span(above, decision)
        if decision is _DROP:
            return UnsampledSpan(self, name, context)

        # The SDK's Span refuses to be called; filling the fields in one place is also what makes a span cheap.
        span: RecordingSpan = _new_span(RecordingSpan)
        span._tracer = self
        span._rules = rules
        span._name = name
        span._context = context
        span._kind = kind
        span._parent = above
        span._resource = sdk.resource
        span._start_time = time_ns() if start_ns is None else start_ns
        span._attributes = attributes
        if end_metrics is not None:
            span._record_end_metrics = end_metrics
        if debug and (above is None or above.is_remote):
            attributes["jaeger.debug"] = True
        if len(attributes) > rules.max_attributes:
            span._dropped_attributes = len(attributes) - rules.max_attributes
            span._attributes = dict(list(attributes.items())[span._dropped_attributes :])
        if links:
            span.begin_links(links)
        if error is not None:
            span._apply_error(error)
        if status_tags:
            span._status_tags = True
        try:
            rules.processor.on_start(span, parent_context=otel_context)
        except Exception:
            warn_once("span.failed.start", "a span processor failed when a span started", exc_info=True)
        return span

    def _start_wrapped(self, name: str, parent: Parent, tags: Any, start_ns: int | None) -> BridgeSpan:
        self._rebind()
        if self._rules is not None:
            return self._start(name, parent, tags, start_ns)
        kind, attributes, special = _split_tags(tags, self.settings)
        otel_span = self._otel_tracer.start_span(
            name, context=parent.context, kind=kind, attributes=attributes, links=parent.links, start_time=start_ns
        )
        if not otel_span.is_recording():  # providers hand out one object for many such spans
            otel_span = NonRecordingSpan(otel_span.get_span_context())
        span = WrappedSpan(self, otel_span, parent.baggage, name)
        span._kind = kind
        for key, value in special:
            span.set_tag(key, value)
        return span


_NO_STATE: Final = TraceState()


_Tags = tuple[dict[str, Any], SpanKind, "bool | None", Any, bool]


def _no_tags() -> _Tags:
    return {}, _INTERNAL, None, None, False


def _read_tags(tags: Any, rules: SpanRules) -> _Tags:
    """Return, read once: attributes for the sampler, kind, wish for sampling, error, whether a tag tells the status."""
    attributes: dict[str, Any] = {}
    kind, priority, error, status_tags = _INTERNAL, None, None, False
    clean = rules.clean_tag
    for key, value in tags.items() if type(tags) is dict else _items(tags):
        if value is None:
            continue
        if type(key) is not str or not key.isascii():
            key = clean_key(key)
        role = ROLES.get(key)
        if role is not None:
            if role is _KIND:
                known = read_kind(value)
                if known is not None:
                    kind = known
                    continue
            elif role is _ERROR:
                if read_error(value) is not None:
                    error = value
                    continue
            elif role is _PRIORITY:
                priority = accepted_priority(value)
            else:
                status_tags = status_tags or role is not _INTEGER
                if role is _INTEGER or role is _HTTP:
                    value = read_int(value)
        if key:
            attributes[key] = clean(value)
    return attributes, kind, priority, error, status_tags


def _split_tags(tags: Any, settings: Settings) -> tuple[SpanKind, dict[str, Any], list[tuple[str, Any]]]:
    """Return the kind, the plain attributes and, to be set after the start, the tags that have a role."""
    kind, attributes, special = SpanKind.INTERNAL, {}, []
    for key, value in _items(tags):
        name = clean_key(key)
        known = read_kind(value) if name == "span.kind" else None
        if known is not None:
            kind = known
        elif name in ROLES:
            special.append((name, value))
        elif name and value is not None:
            attributes[name] = clean_value(value, settings.max_tag_value_length, settings.stringify_sequences)
    return kind, attributes, special


def _items(tags: Any) -> Any:
    if not tags:
        return ()
    try:
        return tags.items() if isinstance(tags, Mapping) else dict(tags).items()
    except Exception:
        count("start.tags.unreadable")
        return ()


def _decided(found: Any, own: dict[str, Any], rules: SpanRules, *, keep: bool) -> dict[str, Any]:
    """Return the attributes that the sampler decided on; its values may be as odd as anybody's.

    Args:
        found: what the sampler returned, None for nothing.
        own: what it was given.
        rules: how values are cleaned.
        keep: keep its own attributes where the sampler would have dropped the span, but that is forced.
    """
    if found == own:  # as the SDK's samplers do
        return own
    decided = dict(own) if keep else {}
    for key, value in (found or {}).items():
        name = clean_key(key)
        if name and value is not None:
            decided[name] = value if own.get(name) is value else rules.clean_tag(value)
    return decided


def _is_debug(context: SpanContext) -> bool:
    if type(context) is BridgeSpanContext:
        return context[7] and bool(context[3] & 1)  # type: ignore[misc,no-any-return]
    return BridgeSpanContext.of(context).debug


def _start_ns(start_time: Any) -> int | None:
    ns = to_ns(start_time)
    if ns is None:
        count("span.time.unreadable.start")
    return ns


def _check(format: Any, carrier: Any, *, writing: bool) -> None:
    if format == opentracing.Format.BINARY:
        if not isinstance(carrier, bytearray) and (writing or not isinstance(carrier, bytes | memoryview)):
            raise CarrierError(f"carrier for BINARY: got {type(carrier).__name__}, expected bytearray")
    elif format in (opentracing.Format.HTTP_HEADERS, opentracing.Format.TEXT_MAP):
        needed = "__setitem__" if writing else "items"
        if not hasattr(carrier, needed) or isinstance(carrier, list | bytearray):
            raise CarrierError(f"carrier for {format}: got {type(carrier).__name__}, expected a mapping with {needed}")
    else:
        raise FormatError(f"format: got {format!r}, expected Format.HTTP_HEADERS, TEXT_MAP or BINARY")
