"""The in-memory tracer: a bridge tracer over an SDK provider of its own, whose exporter keeps what would be sent."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import opentracing
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import TraceFlags

from ot_bridge import bootstrap
from ot_bridge.config import Settings
from ot_bridge.context import BridgeSpanContext, attach, get_current
from ot_bridge.listeners import Listeners
from ot_bridge.redacting import protect
from ot_bridge.scope import native_on_top, scopes_in
from ot_bridge.span import BridgeSpan
from ot_bridge.testing.span import KeptSpan, MockShaped, SeenSpan, UnkeptSpan, otel_face
from ot_bridge.tracer import BridgeTracer
from ot_bridge.yielding import YieldingTracer

__all__ = ["InMemoryTracer", "LeakedScopeWarning", "MockTracer"]

_SAMPLED: Final = TraceFlags(1)


class LeakedScopeWarning(UserWarning):
    """A test left a span active; nothing of it is active any more."""


class InMemoryTracer(BridgeTracer):
    """Keeps its spans in memory, as ``opentracing.mocktracer.MockTracer`` does.

    No global is set: see :meth:`installed`. Everything is sampled, and redacted as in production. ``close`` flushes:
    the tracer can be used again.

    Args:
        scope_manager: any OpenTracing scope manager; None for the bridge's own.
        settings: None for the defaults and the environment; ``sampler`` and ``tail`` have no effect.
        service_name: what the spans' resource says.
    """

    _recording_class = KeptSpan
    _unsampled_class = UnkeptSpan
    _wrapped_class = SeenSpan

    def __init__(
        self,
        scope_manager: opentracing.ScopeManager | None = None,
        *,
        settings: Settings | None = None,
        service_name: str = "test",
    ) -> None:
        self._kept = _Kept(self)
        self._propagators: dict[Any, Any] = {}
        self.tracer_provider: TracerProvider = TracerProvider(
            sampler=ALWAYS_ON, resource=Resource({SERVICE_NAME: service_name}), shutdown_on_exit=False
        )
        """The SDK's provider, for OpenTelemetry's own tracers and instrumentations: their spans are kept, too."""
        # OTEL_SDK_DISABLED is for what a test starts, and would leave the test without a span.
        self.tracer_provider._disabled = False
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._kept))
        super().__init__(self.tracer_provider, settings=settings, scope_manager=scope_manager)
        protect(self.tracer_provider, self.settings)

    def finished_spans(self) -> list[MockShaped]:
        """Return the spans that have finished since the last :meth:`reset`, in that order, native ones too."""
        return self._kept.spans()

    def reset(self) -> None:
        """Forget the finished spans. Those that still run will be kept when they finish."""
        self._kept.clear()

    def register_propagator(self, format: Any, propagator: Any) -> None:
        """Use a propagator for a format of its own, or instead of the bridge's.

        Args:
            format: a name.
            propagator: has ``inject(span_context, carrier)`` and ``extract(carrier)``.
        """
        self._propagators[format] = propagator

    def inject(self, span_context: Any, format: Any, carrier: Any) -> None:
        if self._propagators and format in self._propagators:
            self._propagators[format].inject(span_context, carrier)
        else:
            super().inject(span_context, format, carrier)

    def extract(self, format: Any, carrier: Any) -> BridgeSpanContext | None:  # type: ignore[override]
        if self._propagators and format in self._propagators:
            return _bridged(self._propagators[format].extract(carrier))  # type: ignore[no-any-return]
        return super().extract(format, carrier)

    def start_span(
        self,
        operation_name: Any = None,
        child_of: Any = None,
        references: Any = None,
        tags: Any = None,
        start_time: Any = None,
        ignore_active_span: bool = False,
    ) -> BridgeSpan:
        """Start a span; arguments as in :meth:`ot_bridge.BridgeTracer.start_span`."""
        child_of = _bridged(child_of)
        span = super().start_span(operation_name, child_of, references, tags, start_time, ignore_active_span)
        if isinstance(span, KeptSpan):
            with contextlib.suppress(Exception):  # what is no mapping was not read either
                span._given_tags = {**dict(tags or {}), **span.__dict__.get("_given_tags", {})}
            span._given_times = (start_time, None)
        return span

    @contextlib.contextmanager
    def installed(self) -> Iterator[InMemoryTracer]:
        """Make this the tracer of the process, for OpenTracing and for OpenTelemetry, while the block runs.

        ``ot_bridge.install()`` returns it meanwhile. Afterwards everything is as it was. Spans that are still active
        then are not active any more, and warned of with :class:`LeakedScopeWarning`.
        """
        before = get_current()
        with bootstrap.instead(self), _speaking_for(self.tracer_provider):
            try:
                yield self
            finally:
                left = get_current()
                if left is not before and left.copy() != before.copy():
                    attach(before)
                    warnings.warn(LeakedScopeWarning(_leak(left, before)), stacklevel=2)

    # --- inside

    def _bind(self, provider: trace.TracerProvider) -> None:
        super()._bind(provider)
        if self._recorder is not None:
            self._recorder._rules.listeners = Listeners(_Faces(self._recorder.processor))


MockTracer = InMemoryTracer
"""The name under which old tests know it."""


class _Kept(SpanExporter):
    """Keeps what is exported, each span as the tests read it."""

    def __init__(self, tracer: InMemoryTracer) -> None:
        self._tracer = tracer
        self._spans: list[MockShaped] = []
        self._lock = threading.Lock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            shown: Any = getattr(span, "_shown", None)
            if shown is None:
                seen: Any = span  # of the API, as far as it is read
                shown = SeenSpan(self._tracer, seen)
            with self._lock:
                self._spans.append(shown)
        return SpanExportResult.SUCCESS

    def spans(self) -> list[MockShaped]:
        with self._lock:
            return self._spans.copy()

    def clear(self) -> None:
        with self._lock:
            self._spans.clear()


class _Faces(SpanProcessor):
    """Shows the tracer's spans to OpenTelemetry's processors as those know them."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        self._processor.on_start(otel_face(span), parent_context)

    def _on_ending(self, span: SdkSpan) -> None:
        if hasattr(self._processor, "_on_ending"):  # since SDK 1.40
            self._processor._on_ending(otel_face(span))

    def on_end(self, span: ReadableSpan) -> None:
        self._processor.on_end(otel_face(span))


def _bridged(context: Any) -> Any:
    """Return a context with ids of its own, as MockTracer's is, as one of the bridge; all else as it is."""
    if isinstance(context, BridgeSpanContext) or not isinstance(context, opentracing.SpanContext):
        return context
    trace_id, span_id = getattr(context, "trace_id", None), getattr(context, "span_id", None)
    if hasattr(context, "flags") or not (type(trace_id) is type(span_id) is int):
        return context
    return BridgeSpanContext(trace_id, span_id, True, _SAMPLED, baggage=context.baggage)


# -- OpenTelemetry's own tracers ---------------------------------------------------------------------------------------


def _of_the_global(*args: Any, **kwargs: Any) -> trace.Tracer:
    return trace.get_tracer_provider().get_tracer(*args, **kwargs)


_source: Final[list[Callable[..., trace.Tracer]]] = [_of_the_global]


@contextlib.contextmanager
def _speaking_for(provider: TracerProvider) -> Iterator[None]:
    """Have all tracers that OpenTelemetry gives out meanwhile speak for the provider of the test that runs.

    A module that keeps ``tracer = trace.get_tracer(__name__)`` would otherwise stay with the provider of the first.
    """
    before, plain_get = _source[0], provider.get_tracer

    def get_tracer(*args: Any, **kwargs: Any) -> trace.Tracer:
        return YieldingTracer(_source, lambda maker: maker(*args, **kwargs))

    _source[0] = plain_get
    vars(provider)["get_tracer"] = get_tracer
    try:
        yield
    finally:
        _source[0] = before
        vars(provider).pop("get_tracer", None)


def _leak(left: Context, before: Context) -> str:
    outer = list(scopes_in(before))
    inner = [scope for scope in scopes_in(left) if not (scope._closed or scope.span is None or scope in outer)]
    names = [repr(scope.span.operation_name) for scope in inner]
    native = native_on_top(left)
    if native is not None:
        names.insert(0, repr(getattr(native, "name", "unnamed")))
    what = f"active: {', '.join(names)}, the innermost first" if names else "a Context attached"
    return f"the test left {what}; close every scope, or use it in a with statement"
