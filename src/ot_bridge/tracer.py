"""The tracer: OpenTracing's interface over an OpenTelemetry TracerProvider.

With the SDK's own provider :mod:`ot_bridge.recorder` makes the spans. With any other (no-op, not set yet, a vendor's)
the spans which that provider makes are wrapped, see :mod:`ot_bridge.wrapped`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

import opentracing
from opentelemetry import trace as trace_api
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME
from opentelemetry.trace import DEFAULT_TRACE_STATE, NonRecordingSpan, ProxyTracerProvider, SpanContext, TraceState

from ot_bridge import export
from ot_bridge.codecs.wire import WireContext
from ot_bridge.config import Settings
from ot_bridge.context import FLAGS, BridgeSpanContext
from ot_bridge.delegation import DelegatingScopeManager
from ot_bridge.doubles import kind_inside
from ot_bridge.environment import wrong
from ot_bridge.errors import CarrierError, CorruptedContextError, FormatError
from ot_bridge.metering import MeteredScopeManager, is_wanted
from ot_bridge.parents import InnerParent, Parent, active_parent, context_of, find_parent, innermost_parent
from ot_bridge.propagator import MixedFleetPropagator, refused_ids
from ot_bridge.recorder import SpanRecorder
from ot_bridge.recording import RecordingSpan
from ot_bridge.redacting import redactor_of
from ot_bridge.scope import BridgeScope, BridgeScopeManager
from ot_bridge.shortcuts import LONG_WAY
from ot_bridge.span import BridgeSpan, UnsampledSpan, operation_name_of
from ot_bridge.tags import split_tags
from ot_bridge.telemetry import count, warn_once
from ot_bridge.values import to_ns
from ot_bridge.version import __version__
from ot_bridge.wrapped import WrappedSpan
from ot_bridge.yielding import YieldingTracer

if TYPE_CHECKING:
    from ot_bridge.meter import Meter

__all__ = ["BridgeTracer", "check_provider", "check_settings"]


_ARGUMENT: Final = "argument of BridgeTracer"
_HTTP_HEADERS: Final = opentracing.Format.HTTP_HEADERS
_TEXT_MAP: Final = opentracing.Format.TEXT_MAP
_BINARY: Final = opentracing.Format.BINARY
_DEFAULT_BUDGET: Final = 0.01
_MAX_NAMES: Final = 512
_MAX_NAME: Final = 256
_new_tuple: Final[Any] = tuple.__new__


def check_provider(provider: object, origin: str) -> None:
    """Refuse what is neither None nor a TracerProvider.

    Args:
        provider: what was passed.
        origin: where, for the error.

    Raises:
        ConfigError: it has no ``get_tracer``.
    """
    if provider is not None and not callable(getattr(provider, "get_tracer", None)):
        hint = ": this is a tracer, give the provider it came from" if hasattr(provider, "start_span") else ""
        raise wrong("tracer_provider", provider, origin, f"an OpenTelemetry TracerProvider or None{hint}")


def check_settings(settings: object, origin: str) -> None:
    """Refuse what is neither None nor a Settings object; arguments as in :func:`check_provider`.

    Raises:
        ConfigError: it is something else.
    """
    if settings is not None and not isinstance(settings, Settings):
        hint = ": write Settings(**values)" if isinstance(settings, dict) else ""
        raise wrong("settings", settings, origin, f"ot_bridge.Settings or None{hint}")


class BridgeTracer(opentracing.Tracer):
    """An OpenTracing tracer whose spans are OpenTelemetry's.

    Args:
        tracer_provider: any OpenTelemetry TracerProvider; None for the global one, also when that is set later.
        settings: None for the defaults and the environment.
        scope_manager: any OpenTracing scope manager, which then decides what is active; None for the bridge's own.

    Raises:
        ConfigError: an argument is of the wrong kind.
    """

    # The classes of the spans: jaeger_client's tracer has its own.
    _recording_class: type[RecordingSpan] = RecordingSpan
    _unsampled_class: type[UnsampledSpan] = UnsampledSpan
    _wrapped_class: type[WrappedSpan] = WrappedSpan

    _throttler: Any = None  # a RemoteThrottler, whose module asks for an HTTP client
    _debug_allowed: Callable[[str], bool] | None = None  # asked with the operation name before a trace is forced here
    _owns_provider = False  # install() builds a provider, and close() then shuts it down

    def __init__(
        self,
        tracer_provider: trace_api.TracerProvider | None = None,
        *,
        settings: Settings | None = None,
        scope_manager: opentracing.ScopeManager | None = None,
    ) -> None:
        check_provider(tracer_provider, _ARGUMENT)
        check_settings(settings, _ARGUMENT)
        if scope_manager is not None and not callable(getattr(scope_manager, "activate", None)):
            raise wrong("scope_manager", scope_manager, _ARGUMENT, "an opentracing.ScopeManager or None")
        self.settings = Settings.from_env() if settings is None else settings
        self._names: set[Any] = set()  # operation names that are span names as they are
        self._propagator = MixedFleetPropagator(settings=self.settings)
        self._write_plain, self._read_plain = self._propagator.write_plain, self._propagator.read_plain
        self._redactor = redactor_of(self.settings)  # for spans that the bridge does not record
        _import_parts(self.settings)
        self._meter = _meter_of_process() if is_wanted(self.settings) else None
        own_manager = BridgeScopeManager if self._meter is None else MeteredScopeManager
        manager = own_manager(self) if scope_manager is None else DelegatingScopeManager(self, scope_manager)
        super().__init__(manager)
        self._manager = manager
        self._active_parent = innermost_parent if scope_manager is None else active_parent
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
        # By keywords: applications replace start_span by functions that know no positions. Each one costs.
        if child_of is None and references is None and start_time is None and not ignore_active_span:
            span = self.start_span(operation_name=operation_name, tags=tags)
        else:
            span = self.start_span(
                operation_name=operation_name,
                child_of=child_of,
                references=references,
                tags=tags,
                start_time=start_time,
                ignore_active_span=ignore_active_span,
            )
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
        name = operation_name
        try:
            if name not in self._names:
                name = self._name_of(name)
        except Exception:  # what has no hash, or none that works
            name = operation_name_of(operation_name)
        try:
            if child_of is None and references is None and not ignore_active_span:
                parent = self._active_parent(self._manager)
            else:
                jaeger_rule, nests = self.settings.references == "jaeger", self.settings.double_servers == "nest"
                parent = find_parent(self._manager, child_of, references, ignore_active_span, jaeger_rule, nests)
        except Exception:
            warn_once("start.failed.parent", "the parent of a span could not be read", exc_info=True)
            parent = Parent(Context(), None, {})
        try:
            start_ns = None if start_time is None else _start_ns(start_time)
            recorder = self._recorder
            if recorder is None:
                return self._start_wrapped(name, parent, tags, start_ns)
            return recorder.start(self, name, parent, tags, start_ns)
        except Exception:
            warn_once("start.failed", "a span could not be started; it is not recorded", exc_info=True)
            ids = parent.span_context or SpanContext(0, 0, False)
            return self._unsampled_class(self, name, BridgeSpanContext.of(ids, parent.baggage), parent.span_context)

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
        if (
            type(span_context) is BridgeSpanContext
            and type(carrier) is dict
            and (format is _HTTP_HEADERS or format is _TEXT_MAP)
            and self._write_plain(span_context, carrier)
        ):
            return
        http = format == _HTTP_HEADERS
        if type(carrier) is not dict or not (http or format == _TEXT_MAP):
            _check(format, carrier, writing=True)
        context = span_context if type(span_context) is BridgeSpanContext else context_of(span_context)
        if context is None or not (context.is_valid or context.items):  # a debug id or refused ids are not sent on
            count("inject.nothing")
            return
        fields: tuple[Any, ...] = context
        trace_id, span_id, _, flags, state, _, items, debug = fields[:8]
        if self._propagator.sent is not None:
            self._propagator.sent(span_id)
        header = state.to_header() if state is not DEFAULT_TRACE_STATE and state else ""
        # WireContext(...) is a frame more, on the hot path.
        wire: WireContext = _new_tuple(
            WireContext,
            (trace_id, span_id, flags & 1 == 1, debug, flags & 2 == 2, header, items, None, None),
        )
        if format == _BINARY:
            carrier.extend(self._propagator.write_binary(wire))
            return
        try:
            for name, value in self._propagator.write(wire, http=http):
                carrier[name] = value
        except Exception:  # a carrier that refuses text, or is read-only after all
            warn_once("inject.failed", "a carrier of type %s took no headers", type(carrier).__name__, exc_info=True)

    def extract(self, format: Any, carrier: Any) -> BridgeSpanContext | None:  # type: ignore[override]
        """Read the context that a request came with.

        Args:
            format: ``HTTP_HEADERS``, ``TEXT_MAP`` or ``BINARY``.
            carrier: anything with ``items()``; header names in any case, values text, bytes or lists of them.

        Returns:
            None when there is nothing; a context without ids when there is only baggage or a debug id, and when
            ``trust_incoming`` refused the ids: a span that starts from it is a root with a link to them.

        Raises:
            FormatError: the format is none of these.
            CarrierError: the carrier is not what the format needs.
            CorruptedContextError: with ``strict_extract``, a trace header cannot be read and no other one can.
        """
        http = format == _HTTP_HEADERS
        if type(carrier) is not dict or not (http or format == _TEXT_MAP):
            _check(format, carrier, writing=False)
        if format == _BINARY:
            reading = self._propagator.read_binary(bytes(carrier))
        else:
            if type(carrier) is dict:
                plain = self._read_plain(carrier)
                if plain is not LONG_WAY:
                    return plain
            try:
                items = carrier.items()
            except Exception as error:
                raise CarrierError(f"carrier for {format}: items() of {type(carrier).__name__} failed") from error
            reading = self._propagator.read(items, http=http)
        wire = reading.context
        if reading.malformed and self.settings.strict_extract:
            found = wire or reading.refused
            if found is None or not found.trace_id:
                raise CorruptedContextError("; ".join(reading.malformed))
        if wire is None:
            refused = refused_ids(reading)
            return None if refused is None else BridgeSpanContext(refused=refused)
        trace_id, span_id, sampled, debug, random, header, baggage, debug_id, _ = wire
        flags = FLAGS[sampled | random << 1]
        state = TraceState.from_header([header]) if header else DEFAULT_TRACE_STATE
        if baggage and format == _BINARY:
            return BridgeSpanContext(trace_id, span_id, bool(trace_id), flags, state, baggage, debug, debug_id)
        remote, items = trace_id != 0, baggage or {}
        return cast(
            "BridgeSpanContext",
            _new_tuple(
                BridgeSpanContext, (trace_id, span_id, remote, flags, state, remote, items, debug, debug_id, None)
            ),
        )

    def flush(self, timeout_s: float | None = None) -> bool:
        """Export what has finished; wait for it at most ``timeout_s`` seconds, default ``close_timeout_s``.

        Returns:
            Whether that was done in time.
        """
        self._settle_watches()
        return export.flush_provider(self._provider, self._timeout(timeout_s))

    def close(self, timeout_s: float | None = None) -> bool:
        """Export what has finished and stop; can be called again. A provider that was passed in is only flushed.

        Args:
            timeout_s: how long to wait, in seconds, default ``close_timeout_s``.
        """
        if self._throttler is not None:
            self._throttler.close()
        if not self._owns_provider:
            return self.flush(timeout_s)
        self._settle_watches()
        return export.shutdown_provider(self._provider, self._timeout(timeout_s))

    def unwrap(self) -> trace_api.Tracer:
        """Return the OpenTelemetry tracer."""
        return self._otel_tracer

    # --- inside

    def _name_of(self, operation_name: Any) -> str:
        """Return the span name for an operation name; keep in mind that it is one already."""
        name = operation_name_of(operation_name)
        if name is operation_name and len(name) <= _MAX_NAME and len(self._names) < _MAX_NAMES:
            self._names.add(name)
        return name

    def _settle_watches(self) -> None:
        if self._recorder is not None and self._recorder._rules.watches:
            self._recorder.settle_watches()

    def _timeout(self, timeout_s: float | None) -> float:
        return self.settings.close_timeout_s if timeout_s is None else max(0.0, timeout_s)

    def _bind(self, provider: trace_api.TracerProvider) -> None:
        """Take the tracer of a provider; record spans here when it is exactly the SDK's."""
        self._provider = provider
        otel_tracer = provider.get_tracer(self.settings.scope_name, __version__)
        self._otel_tracer = otel_tracer.now() if isinstance(otel_tracer, YieldingTracer) else otel_tracer
        self._recorder = SpanRecorder.of(self._otel_tracer, self.settings)
        if self.settings.debug_throttle is not None and self._throttler is None:
            from ot_bridge.sampling import build_throttler

            attributes = getattr(getattr(provider, "resource", None), "attributes", None) or {}
            name = str(attributes.get(SERVICE_NAME, ""))
            self._throttler = build_throttler(self.settings.debug_throttle, service_name=name)
            self._debug_allowed = self._throttler.is_allowed
        if self._recorder is not None:
            self._recorder._rules.debug_allowed = self._debug_allowed
        if self._recorder is not None and self.settings.flood_collapse and self._recorder._rules.flood is not None:
            self._propagator.tell_sent(self._recorder._rules.flood.refer)
            self._write_plain = self._propagator.write_plain
        if self._meter is not None and self._recorder is not None:
            self._measure(self._meter, self._recorder)
        if self._recorder is None and not isinstance(self._otel_tracer, trace_api.NoOpTracer | trace_api.ProxyTracer):
            kind = type(self._otel_tracer).__qualname__
            warn_once(f"tracer.wrapped.{kind}", "the spans of %s are wrapped: it is not the SDK's own tracer", kind)

    def _measure(self, measuring: Meter, recorder: SpanRecorder) -> None:
        from ot_bridge.shedding import levers_of
        from ot_bridge.watching import Watch

        recorder.measure(measuring)
        self._watch = Watch(self._provider, measuring, self._otel_tracer)
        self._levers = levers_of(recorder, self._watch.processors())  # the meter itself keeps nobody alive
        for lever in self._levers:
            measuring.add_lever(lever)
        adaptive, budget = self.settings.adaptive_budget, self.settings.cpu_budget
        if budget is not None or adaptive:
            measuring.keep_under(_DEFAULT_BUDGET if budget is None else budget, adaptive=adaptive)

    def _may_force(self, name: str) -> bool:
        return self._debug_allowed is None or self._debug_allowed(name)

    def _rebind(self) -> None:
        """Leave the stand-in for the global provider as soon as there is one."""
        if isinstance(self._provider, ProxyTracerProvider):
            provider = trace_api.get_tracer_provider()
            if provider is not self._provider:
                self._bind(provider)

    def _start_wrapped(self, name: str, parent: Parent, tags: Any, start_ns: int | None) -> BridgeSpan:
        self._rebind()
        if self._recorder is not None:
            return self._recorder.start(self, name, parent, tags, start_ns)
        kind, attributes, special = split_tags(tags, self.settings)
        if isinstance(parent, InnerParent):
            kind = kind_inside(parent.outer, kind, nest=self.settings.double_servers == "nest")
        shown = name
        if self._redactor is not None:
            attributes, shown = dict(self._redactor.attributes(attributes)), self._redactor.text(name)
        otel_span = self._otel_tracer.start_span(
            shown, context=parent.context, kind=kind, attributes=attributes, links=parent.links, start_time=start_ns
        )
        if not otel_span.is_recording():  # providers hand out one object for many such spans
            ids = otel_span.get_span_context()
            # A no-op tracer has to pass its parent on, and that of the lowest supported API does not.
            otel_span = NonRecordingSpan(ids if ids.is_valid or parent.span_context is None else parent.span_context)
        span = self._wrapped_class(self, otel_span, parent.baggage, name)
        span._parent = span._parent or parent.span_context
        span._kind = kind
        for key, value in special:
            span.set_tag(key, value)
        return span


def _import_parts(settings: Settings) -> None:
    """Import what only these settings need. A provider may come later, with a span, and no span waits for an import."""
    if is_wanted(settings):
        from ot_bridge import shedding, watching  # noqa: F401
    if settings.debug_throttle is not None:
        from ot_bridge.sampling import throttling  # noqa: F401
    if settings.find_unfinished is not None or settings.flood_limit is not None:
        from ot_bridge import watch  # noqa: F401


def _meter_of_process() -> Meter:
    from ot_bridge import meter

    return meter.of_process()


def _start_ns(start_time: Any) -> int | None:
    ns = to_ns(start_time)
    if ns is None:
        count("span.time.unreadable.start")
    return ns


def _check(format: Any, carrier: Any, *, writing: bool) -> None:
    if format == _BINARY:
        if not isinstance(carrier, bytearray) and (writing or not isinstance(carrier, bytes | memoryview)):
            raise CarrierError(f"carrier for BINARY: got {type(carrier).__name__}, expected bytearray")
    elif format in (_HTTP_HEADERS, _TEXT_MAP):
        needed = "__setitem__" if writing else "items"
        if not hasattr(carrier, needed) or isinstance(carrier, list | bytearray):
            raise CarrierError(f"carrier for {format}: got {type(carrier).__name__}, expected a mapping with {needed}")
    else:
        raise FormatError(f"format: got {format!r}, expected Format.HTTP_HEADERS, TEXT_MAP or BINARY")
