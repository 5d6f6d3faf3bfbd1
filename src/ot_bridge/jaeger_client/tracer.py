"""The tracer with Jaeger's constructor: a bridge tracer whose provider, sampler and reporter are what it is given."""

from __future__ import annotations

import atexit
import logging
import os
import random
import weakref
from collections.abc import Mapping
from time import time_ns
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import TracerProvider as TracerProviderApi
from opentracing.ext import tags as ext_tags
from opentracing.propagation import Format, UnsupportedFormatException
from opentracing.scope_manager import ScopeManager
from opentracing.scope_managers import ThreadLocalScopeManager
from opentracing.tracer import Reference

from ot_bridge.config import ENV_PREFIX, Settings
from ot_bridge.context import BridgeSpanContext
from ot_bridge.errors import CorruptedContextError
from ot_bridge.jaeger_client import constants
from ot_bridge.jaeger_client.codecs import (
    B3Codec,
    BinaryCodec,
    Codec,
    TextCodec,
    ZipkinCodec,
    ZipkinSpanFormat,
    header_name,
)
from ot_bridge.jaeger_client.ioloop_util import future_of_all, future_result
from ot_bridge.jaeger_client.metrics import LegacyMetricsFactory, Metrics, MetricsFactory
from ot_bridge.jaeger_client.reporter import BaseReporter
from ot_bridge.jaeger_client.sampler import OWN_SAMPLERS, SAMPLER_PARAM_TAG_KEY, SAMPLER_TYPE_TAG_KEY, Sampler
from ot_bridge.jaeger_client.span import (
    DEBUG_FLAG,
    SAMPLED_FLAG,
    RecordedSpan,
    Span,
    SpanView,
    UnrecordedSpan,
    otel_face,
    read_priority,
    see_initial,
)
from ot_bridge.jaeger_client.span_context import SpanContext
from ot_bridge.jaeger_client.throttler import Throttler
from ot_bridge.jaeger_client.utils import local_ip
from ot_bridge.listeners import Listeners
from ot_bridge.parents import context_of
from ot_bridge.provider import build_provider, host_attributes
from ot_bridge.redacting import protect
from ot_bridge.sampling import Decider, JaegerSampler
from ot_bridge.telemetry import count, warn_once
from ot_bridge.tracer import BridgeTracer
from ot_bridge.values import clean_key, clean_value

__all__ = [
    "DEBUG_FLAG",
    "SAMPLED_FLAG",
    "BaseReporter",
    "BinaryCodec",
    "Codec",
    "Format",
    "LegacyMetricsFactory",
    "Metrics",
    "MetricsFactory",
    "Reference",
    "Sampler",
    "ScopeManager",
    "Span",
    "SpanContext",
    "TextCodec",
    "ThreadLocalScopeManager",
    "Throttler",
    "Tracer",
    "TracerMetrics",
    "UnsupportedFormatException",
    "ZipkinCodec",
    "ZipkinSpanFormat",
    "local_ip",
]

logger: Final = logging.getLogger("jaeger_tracing")

_B3: Final = (("b3", "jaeger", "tracecontext", "baggage"), ("b3multi", "jaeger", "tracecontext", "baggage"))
_OWN_FORMATS: Final = (Format.TEXT_MAP, Format.HTTP_HEADERS, Format.BINARY)
_PRIORITY: Final = ext_tags.SAMPLING_PRIORITY
# Jaeger's process tags -> resource attributes, as the Collector's translator names them.
_RESOURCE: Final = {constants.JAEGER_HOSTNAME_TAG_KEY: "host.name", constants.JAEGER_VERSION_TAG_KEY: ""}


class Tracer(BridgeTracer):
    """An OpenTracing tracer that samples, propagates and reports as jaeger-client's did, and exports over OTLP.

    Args:
        service_name: the service's name.
        reporter: is given every finished span that is sampled.
        sampler: decides on the traces that start here.
        metrics: deprecated, see ``metrics_factory``.
        metrics_factory: is given the tracer's own numbers.
        trace_id_header: name of the header with the ids.
        generate_128bit_trace_id: new traces get ids of 128 bits, else of 64.
        baggage_header_prefix: prefix of the headers with the baggage.
        debug_id_header: name of the header that forces a trace.
        one_span_per_rpc: not supported.
        extra_codecs: codecs for formats of one's own, or a B3Codec for HTTP_HEADERS.
        tags: process tags; they become resource attributes.
        max_tag_value_length: characters kept of a tag or log value; None for no limit.
        max_traceback_length: characters kept of a stack trace; None for no limit.
        throttler: is asked before a trace is forced.
        scope_manager: any OpenTracing scope manager; None for the bridge's own.

    Raises:
        ConfigError: an ``OTEL_*`` or ``OT_BRIDGE_*`` variable, or a header's name, cannot be used. A variable
            ``OT_BRIDGE_*`` wins over what is passed here.
    """

    _recording_class = RecordedSpan
    _unsampled_class = UnrecordedSpan
    _wrapped_class = SpanView
    _owns_provider = True

    def __init__(
        self,
        service_name: str,
        reporter: Any,
        sampler: Any,
        metrics: Metrics | None = None,
        metrics_factory: MetricsFactory | None = None,
        trace_id_header: str = constants.TRACE_ID_HEADER,
        generate_128bit_trace_id: bool = False,
        baggage_header_prefix: str = constants.BAGGAGE_HEADER_PREFIX,
        debug_id_header: str = constants.DEBUG_ID_HEADER_KEY,
        one_span_per_rpc: bool = False,
        extra_codecs: Mapping[str, Any] | None = None,
        tags: Mapping[str, Any] | None = None,
        max_tag_value_length: int | None = None,
        max_traceback_length: int | None = None,
        throttler: Any = None,
        scope_manager: ScopeManager | None = None,
    ) -> None:
        self.service_name = service_name
        self.reporter = reporter
        self._first_reporter: Any = reporter
        self.sampler = sampler
        self.throttler = throttler
        self.metrics_factory = metrics_factory or LegacyMetricsFactory(metrics or Metrics())
        self.metrics = TracerMetrics(self.metrics_factory)
        self._counts = metrics_factory is not None or metrics is not None
        self.random = random.Random()  # noqa: S311  (ids are not secrets)
        self.debug_id_header = debug_id_header
        self.one_span_per_rpc = one_span_per_rpc
        if one_span_per_rpc:
            warn_once(
                "dropin.one_span_per_rpc",
                "one_span_per_rpc is not supported: client and server have a span each, as OpenTelemetry wants it",
            )
        self.max_tag_value_length = max_tag_value_length or constants.MAX_TAG_VALUE_LENGTH
        self.max_traceback_length = max_traceback_length or constants.MAX_TRACEBACK_LENGTH
        self.max_trace_id_bits = 128 if generate_128bit_trace_id else constants.MAX_ID_BITS
        headers = {
            "trace_id_header": header_name(trace_id_header),
            "baggage_header_prefix": header_name(baggage_header_prefix),
            "debug_id_header": header_name(debug_id_header),
        }
        self.codecs: dict[str, Any] = {
            Format.TEXT_MAP: TextCodec(False, **headers),
            Format.HTTP_HEADERS: TextCodec(True, **headers),
            Format.BINARY: BinaryCodec(),
            ZipkinSpanFormat: ZipkinCodec(),
            **(extra_codecs or {}),
        }
        self.tags: dict[str, Any] = {
            constants.JAEGER_VERSION_TAG_KEY: constants.JAEGER_CLIENT_VERSION,
            **_host_tags(),
            **(tags or {}),
        }
        # What the bridge's propagator reads and writes by itself.
        self._own_codecs = {
            name: codec
            for name, codec in self.codecs.items()
            if name in _OWN_FORMATS and isinstance(codec, TextCodec | BinaryCodec | B3Codec)
        }
        self._b3 = isinstance(self.codecs[Format.HTTP_HEADERS], B3Codec)
        if self._b3:  # it is for HTTP_HEADERS alone
            del self._own_codecs[Format.TEXT_MAP]
        if throttler is not None:
            self.tags[constants.CLIENT_UUID_TAG_KEY] = client_id = self.random.getrandbits(63)
            throttler.set_client_id(client_id)
        settings: dict[str, Any] = {
            "references": "jaeger",
            "strict_extract": True,
            "trace_id_bits": self.max_trace_id_bits,
            "max_tag_value_length": max_tag_value_length,
            "max_traceback_length": max_traceback_length,
            **headers,
        }
        if self._b3:
            settings["extract"], settings["inject"] = _B3
        set_by_hand = [name for name in settings if os.environ.get(ENV_PREFIX + name.upper())]
        provider = build_provider(
            service_name,
            lambda: (_ToReporter(self),),
            sampler=_PresentSampler(self),
            resource=_resource_of(self.tags, max_tag_value_length),
        )
        super().__init__(
            provider,
            settings=Settings.from_env(**{name: settings[name] for name in settings if name not in set_by_hand}),
            scope_manager=scope_manager,
        )
        protect(provider, self.settings)
        self._seen_redactor = None if self._redactor is None else self._redactor.silently()
        if self.throttler is None:
            self.throttler = self._throttler  # that of OT_BRIDGE_DEBUG_THROTTLE
        self._debug_allowed = self.is_debug_allowed
        if self._recorder is not None:
            self._recorder._rules.debug_allowed = self._debug_allowed
        self.reporter.set_process(service_name=service_name, tags=self.tags, max_length=self.max_tag_value_length)
        if getattr(reporter, "processors", ()):
            atexit.register(_close_at_exit, weakref.ref(self))

    def start_span(
        self,
        operation_name: Any = None,
        child_of: Any = None,
        references: Any = None,
        tags: Any = None,
        start_time: Any = None,
        ignore_active_span: bool = False,
    ) -> Span:
        """Start a span, by Jaeger's rules: see :meth:`ot_bridge.BridgeTracer.start_span` for the arguments."""
        read = tags if tags is None or (type(tags) is dict and _PRIORITY not in tags) else _with_priority(tags)
        if references is not None:
            listed = references if isinstance(references, list) else [references]
            listed = [one for one in listed if getattr(one, "referenced_context", None) is not None]
            if listed and isinstance(child_of, BridgeSpanContext) and not child_of.is_valid:
                child_of, ignore_active_span = None, True  # the first reference is the parent then
        span: Any = super().start_span(operation_name, child_of, references, read, start_time, ignore_active_span)
        if type(span) in RecordedSpan._alike:
            span._seen_tags, span._seen_logs = [], []
            if tags is not None:
                see_initial(span, tags)
            if span._parent is None:
                attributes = span._attributes  # read now: a span with many tags drops the oldest
                kind = attributes.get(SAMPLER_TYPE_TAG_KEY)
                if kind is not None:
                    param = attributes.get(SAMPLER_PARAM_TAG_KEY)
                    span._added_tags = ((SAMPLER_TYPE_TAG_KEY, kind), (SAMPLER_PARAM_TAG_KEY, param))
                elif constants.DEBUG_ID_HEADER_KEY in attributes:
                    span._added_tags = ((self.debug_id_header, attributes[constants.DEBUG_ID_HEADER_KEY]),)
        elif type(span) is UnrecordedSpan:
            span._start_time = time_ns()
            if start_time is not None:
                span.start_time = start_time
        if references is not None:
            span.references = listed or None
        if self._counts:
            self._emit_span_metrics(span, tags)
        return span  # type: ignore[no-any-return]

    def inject(self, span_context: Any, format: Any, carrier: Any) -> None:
        """Write the headers that a context is sent with; see :meth:`ot_bridge.BridgeTracer.inject`."""
        codec = self._own_codec(format)
        if codec is None:
            if type(span_context) is SpanContext:
                span_context = span_context.as_core()  # the class that the short ways know
            super().inject(span_context, format, carrier)
            if self._b3 and format == Format.HTTP_HEADERS:
                B3Codec.spell(carrier)
            return
        context = context_of(span_context)
        if context is not None:
            if self._propagator.sent is not None:
                self._propagator.sent(context.span_id)
            codec.inject(SpanContext.seen(context, getattr(span_context, "parent_id", None)), carrier)

    def extract(self, format: Any, carrier: Any) -> SpanContext | None:  # type: ignore[override]
        """Read the context that a request came with; None without one.

        Raises:
            SpanContextCorruptedException: a trace header is there, cannot be read, and no other one can.
            UnsupportedFormatException: the format is unknown.
            InvalidCarrierException: the carrier is not what the format needs.
        """
        codec = self._own_codec(format)
        if codec is not None:
            return codec.extract(carrier)  # type: ignore[no-any-return]
        try:
            context = super().extract(format, carrier)
        except CorruptedContextError:
            if not (self._b3 and B3Codec.is_incomplete(carrier)):
                raise
            return None
        return None if context is None else SpanContext.seen(context)

    def close(self, timeout_s: float | None = None) -> Any:
        """Export what has finished and stop.

        Returns:
            A future that is done: its result says whether all was handed over in time.
        """
        for part in (self.sampler, self.throttler):
            _close_part(part)
        # First by the provider: it knows the time that there is, and processors that the application has added.
        futures = [future_result(super().close(timeout_s))]
        # Swapped while it ran, what an exporting one was given is still sent; others are only closed where they are.
        first = self._first_reporter
        if first is not self.reporter and getattr(first, "processors", None):
            futures.append(_close_part(first))
        return future_of_all([*futures, _close_part(self.reporter)])

    def report_span(self, span: Span) -> None:
        """Hand a finished span to the reporter."""
        self.reporter.report_span(span)
        if self._counts:
            self.metrics.spans_finished(1)

    def random_id(self) -> int:
        """Return a random number of 64 bits."""
        return self.random.getrandbits(constants.MAX_ID_BITS)

    def _random_id(self, bitsize: int) -> int:
        return self.random.getrandbits(bitsize)

    def is_debug_allowed(self, *args: Any, **kwargs: Any) -> bool:
        """Tell whether a trace may be forced for an operation; a throttler that fails does not allow it."""
        try:
            return self.throttler is None or bool(self.throttler.is_allowed(*args, **kwargs))
        except Exception:
            warn_once("dropin.throttler", "the throttler failed; the trace is not forced", exc_info=True)
            return False

    # --- inside

    def _bind(self, provider: TracerProviderApi) -> None:
        super()._bind(provider)
        if self._recorder is not None:
            faced = _FacedProcessor(self, self._recorder.processor)
            self._recorder._rules.listeners = Listeners(faced)

    def _own_codec(self, format: Any) -> Codec | None:
        codec = self.codecs.get(format)
        return None if codec is self._own_codecs.get(format) else codec

    def _emit_span_metrics(self, span: Span, tags: Any) -> None:
        metrics, sampled = self.metrics, span.is_sampled()
        try:
            (metrics.spans_started_sampled if sampled else metrics.spans_started_not_sampled)(1)
            if span.parent_id:
                return
            if tags and tags.get(ext_tags.SPAN_KIND) == ext_tags.SPAN_KIND_RPC_SERVER:
                (metrics.traces_joined_sampled if sampled else metrics.traces_joined_not_sampled)(1)
            else:
                (metrics.traces_started_sampled if sampled else metrics.traces_started_not_sampled)(1)
        except Exception:
            warn_once("dropin.metrics", "the application's metrics failed", exc_info=True)


class TracerMetrics:
    """What a tracer counts."""

    def __init__(self, metrics_factory: MetricsFactory) -> None:
        def counter(name: str, **tags: str) -> Any:
            return metrics_factory.create_counter(name=name, tags=tags or None)

        self.traces_started_sampled = counter("jaeger:traces", state="started", sampled="y")
        self.traces_started_not_sampled = counter("jaeger:traces", state="started", sampled="n")
        self.traces_joined_sampled = counter("jaeger:traces", state="joined", sampled="y")
        self.traces_joined_not_sampled = counter("jaeger:traces", state="joined", sampled="n")
        self.spans_started_sampled = counter("jaeger:started_spans", sampled="y")
        self.spans_started_not_sampled = counter("jaeger:started_spans", sampled="n")
        self.spans_finished = counter("jaeger:finished_spans")


class _PresentSampler(JaegerSampler):
    """Asks the sampler that the tracer has at the moment: it can be swapped while the tracer runs."""

    def __init__(self, tracer: Tracer) -> None:
        decision = _PresentDecision(tracer)
        super().__init__(decision)
        self.decide_root = decision.decide  # it fails by itself
        self._tracer = tracer

    def get_description(self) -> str:
        return f"jaeger_client({self._tracer.sampler})"


class _PresentDecision(Decider):
    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def decide(self, trace_id: int, operation: str) -> tuple[bool, Any]:
        try:
            sampler = self._tracer.sampler
            sampled, tags = sampler.is_sampled(trace_id, operation)
            if not sampled or type(sampler) in OWN_SAMPLERS:
                return sampled, tags
            return True, {clean_key(key): clean_value(value) for key, value in tags.items()}
        except Exception:
            warn_once("dropin.sampler", "the sampler failed; the trace is not sampled", exc_info=True)
            return False, {}

    def _parts(self) -> dict[str, object]:
        return {"sampler": str(self._tracer.sampler)}


class _FacedProcessor(SpanProcessor):
    """Shows the tracer's spans to OpenTelemetry's processors as those know them.

    With the reporter for the only processor, which is the rule, nobody has to be shown anything: that way, and the two
    objects that it saves, is a quarter of a span.
    """

    def __init__(self, tracer: Tracer, processor: Any) -> None:
        self._tracer = tracer
        self._processor = processor
        self._reporter_only = getattr(processor, "_span_processors", None)

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        is_plain = getattr(self._processor, "_span_processors", self) is self._reporter_only
        if not is_plain or getattr(self._tracer.reporter, "sees_start", False):
            face = otel_face(span)
            if face is not span:
                face._face = face  # the same one at the end: some processors hold a weak reference
            self._processor.on_start(face, parent_context)

    def _on_ending(self, span: SdkSpan) -> None:
        is_plain = getattr(self._processor, "_span_processors", self) is self._reporter_only
        if not is_plain and hasattr(self._processor, "_on_ending"):  # since SDK 1.40
            self._processor._on_ending(otel_face(span))

    def on_end(self, span: Any) -> None:
        if type(span) not in RecordedSpan._alike:
            self._processor.on_end(span)
            return
        if getattr(self._processor, "_span_processors", self) is self._reporter_only:
            self._report(span)
            return
        span._ending = span  # for _ToReporter, which sees only the face; a cycle, so not for longer
        try:
            self._processor.on_end(otel_face(span))
        finally:
            del span._ending
            span._face = None

    def _report(self, span: RecordedSpan) -> None:
        face = span._face
        if span._context[3] & 1:
            self._tracer.report_span(span)
        elif face is not None:  # who was told of its start is waiting for its end
            for processor in self._tracer.reporter.processors:
                processor.on_end(face)
        if face is not None:
            span._face = None


class _ToReporter(SpanProcessor):
    """Hands the tracer's spans to its present reporter, and native ones to what exports there."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    @property
    def _span_processors(self) -> tuple[SpanProcessor, ...]:
        return tuple(getattr(self._tracer.reporter, "processors", ()))

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        for processor in self._span_processors:
            processor.on_start(span, parent_context)

    def on_end(self, span: ReadableSpan) -> None:
        own = span.__dict__.get("_ending")
        if own is None:
            for processor in self._span_processors:
                processor.on_end(span)
        elif own._context.sampled:
            self._tracer.report_span(own)

    def shutdown(self) -> None:
        for processor in self._span_processors:
            processor.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        results = [processor.force_flush(timeout_millis) for processor in self._span_processors]
        return all(results)


def _host_tags() -> dict[str, str]:
    found = host_attributes()
    return {
        constants.JAEGER_HOSTNAME_TAG_KEY: found["host.name"],
        **{key: found[key] for key in ("ip",) if key in found},
    }


def _resource_of(tags: Mapping[str, Any], limit: int | None) -> dict[str, Any]:
    named = ((_RESOURCE.get(key, clean_key(key)), value) for key, value in tags.items())
    return {name: clean_value(value, limit) for name, value in named if name and value is not None}


def _with_priority(tags: Any) -> Any:
    """Return the tags with ``sampling.priority`` by Jaeger's rule; what is no mapping as it is."""
    try:
        if _PRIORITY not in tags:
            return tags
        wanted = read_priority(tags[_PRIORITY])
        others = {key: value for key, value in tags.items() if key != _PRIORITY}
    except Exception:
        return tags
    return others if wanted is None else {**others, _PRIORITY: wanted}


def _close_part(part: Any) -> Any:
    try:
        return None if part is None else part.close()
    except Exception:  # an application's own sampler; the base class of Jaeger's raises here
        count("dropin.close_failed")
        return False


def _close_at_exit(tracer: weakref.ref[Tracer]) -> None:
    alive = tracer()
    if alive is not None:
        alive.close()
