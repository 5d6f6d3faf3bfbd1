"""How a recorded span starts: what the SDK's tracer does in ``start_span``, for the span of :mod:`ot_bridge.recording`.

Sampler, id generator, limits, resource and processors are those of the user's provider, asked in the SDK's order. This
is the hot path. Its shape is bent for it in three places: enum members are read once per process, the span is filled
field by field instead of called, and tuples are made without a constructor's frame.
"""

from __future__ import annotations

from collections.abc import Callable
from random import getrandbits
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace as trace_api
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import DEFAULT_TRACE_STATE, SpanContext, SpanKind, TraceState

from ot_bridge.config import Settings
from ot_bridge.context import FLAGS, BridgeSpanContext, debug_state, get_current
from ot_bridge.conventions import KINDS
from ot_bridge.head import SHED, Head
from ot_bridge.known import PLAIN
from ot_bridge.metering import timed, timed_class
from ot_bridge.parents import InnerParent, Parent
from ot_bridge.recording import RecordingSpan, SpanRules, summarize
from ot_bridge.span import BridgeSpan, UnsampledSpan
from ot_bridge.tags import NO_TAGS, Tags, read_tags
from ot_bridge.telemetry import warn_once
from ot_bridge.values import clean_key, clean_value
from ot_bridge.version import __version__

if TYPE_CHECKING:
    from ot_bridge.meter import Meter
    from ot_bridge.tracer import BridgeTracer
    from ot_bridge.watch import Group

__all__ = ["SpanRecorder"]

_LOW_64: Final = 2**64 - 1
_SHAPE: Final = ("sampler", "resource", "span_processor", "id_generator", "_span_limits")
_FORCING: Final = ("sampling.priority", "jaeger-debug-id")
_INTERNAL: Final = SpanKind.INTERNAL
_DROP, _RECORD, _SAMPLE = Decision.DROP, Decision.RECORD_ONLY, Decision.RECORD_AND_SAMPLE
_new_span: Final[Any] = object.__new__
_new_tuple: Final[Any] = tuple.__new__


class SpanRecorder:
    """Starts the spans of one SDK tracer.

    Args:
        tracer: the SDK's tracer.
        settings: the bridge's settings.
    """

    def __init__(self, tracer: Any, settings: Settings) -> None:
        self._sdk = tracer
        scope = InstrumentationScope(settings.scope_name, __version__)
        self._rules = SpanRules(tracer._span_limits, tracer.span_processor, scope, settings)
        self.processor = tracer.span_processor
        # A tail sampler may still want what the head sampler does not choose.
        self._late_sampling = settings.late_sampling or getattr(tracer.sampler, "records_all", False)
        self._id_bits = settings.trace_id_bits
        self._head = Head(None)
        self._is_enabled: Callable[[], bool] | None = getattr(tracer, "_is_enabled", None)  # since SDK 1.40
        # Where it stands: to ask for it is a frame for each span.
        self._has_config = hasattr(getattr(tracer, "_tracer_config", None), "is_enabled")
        self._is_random = getattr(tracer.id_generator, "is_trace_id_random", bool)  # since SDK 1.42
        # The SDK's own generator does nothing but this, and draws again for a zero.
        self._plain_ids = tracer.id_generator if type(tracer.id_generator) is RandomIdGenerator else None
        self._root_flags = 2 if self._is_random() else 0
        self._sampled_with: Any = None  # what a sampler tells of itself, and was seen before
        self._sheds = False
        metrics = getattr(tracer, "_tracer_metrics", None)  # the SDK's own metrics, since SDK 1.40
        self._metrics = None if type(metrics).__name__ == "NoOpTracerMetrics" else metrics
        self._settles_all = self._rules.translates or self._metrics is not None
        self._meter: Meter | None = None

    @classmethod
    def of(cls, tracer: trace_api.Tracer, settings: Settings) -> SpanRecorder | None:
        """Return a recorder for exactly the SDK's tracer; None for any other, whose spans are wrapped then."""
        exact = type(tracer) is SdkTracer and all(hasattr(tracer, name) for name in _SHAPE)
        return cls(tracer, settings) if exact else None

    def start(  # noqa: C901, PLR0912, PLR0915  (in one piece: each call would be one for every span)
        self, tracer: BridgeTracer, name: str, parent: Parent, tags: Any, start_ns: int | None
    ) -> BridgeSpan:
        """Start a span.

        Args:
            tracer: the tracer that hands it out.
            name: its name.
            parent: what it starts from.
            tags: its initial tags, as passed by the application.
            start_ns: when it started, None for now.
        """
        meter = self._meter
        began_ns = -1 if meter is None or next(meter.ticks) < meter.due else meter.begin()
        sdk = self._sdk
        above: Any  # a tuple: to read its fields by name would be a frame for each
        otel_context, above, baggage, links, debug_id = parent
        if not (sdk._tracer_config.is_enabled if self._has_config else self._is_enabled is None or self._is_enabled()):
            if meter is not None:
                next(meter.disabled)
            nowhere = above or SpanContext(0, 0, is_remote=False)
            return tracer._unsampled_class(tracer, name, BridgeSpanContext.of(nowhere, baggage), above)

        # What most samplers answer is known by now: to ask them, and to read tags for it, is a quarter of a span.
        trace_id = 0
        answer: int | None = None
        found: Any = None
        if (
            debug_id is None
            and (above is None or not _is_debug(above))
            and (tags is None or (type(tags) is dict and "sampling.priority" not in tags))
        ):
            head = self._head
            if head.sampler is not sdk.sampler:
                head = self._head = Head(sdk.sampler, is_known=not self._sheds)
            if above is not None and head.follows:
                answer = above[3] & 1
            else:
                answer = head.root
                if answer is None and head.decide_root is not None:
                    trace_id = self._root_trace_id()
                    answer, found = head.decide_root(trace_id, name)
            if answer is not None and not answer and not self._late_sampling:
                if self._metrics is not None:
                    self._metrics.start_span(above, _DROP)
                unsampled: UnsampledSpan = _new_span(tracer._unsampled_class)
                unsampled._tracer = tracer
                unsampled._name = name
                unsampled._parent = above
                if trace_id:
                    unsampled._trace_id = trace_id
                if baggage:
                    unsampled._items = baggage
                if meter is None:
                    return unsampled
                next(meter.unsampled)
                return unsampled if began_ns < 0 else timed(unsampled, meter, began_ns, recorded=False)

        rules = self._rules
        is_seen = name in rules.names
        if not is_seen:
            rules.known.learn_name(name)
        attributes: dict[str, Any] = {}
        read = NO_TAGS
        span_kind = _INTERNAL
        new: Any = ()  # keys of texts that were not seen before
        if tags is not None:
            is_known = type(tags) is dict
            if is_known:
                new = []
                texts_under, bits = rules.texts_under, rules.bits
                for key, value in tags.items():
                    texts, kind = texts_under(key), type(value)
                    if texts is not None and (
                        value in texts if kind is str else value.bit_length() < bits if kind is int else kind in PLAIN
                    ):
                        attributes[key] = value
                    elif key == "span.kind" and kind is str and value in KINDS:
                        span_kind = KINDS[value]
                    elif texts is not None and kind is str and value.isascii():  # a new text, such as an URL
                        attributes[key] = value
                        new.append(key)
                    else:
                        is_known = False
                        break
            if not is_known:
                is_seen = False
                new = ()
                attributes = {}
                read = read_tags(tags, attributes, rules.clean_tag)
                span_kind = read[0]
                for key, value in attributes.items():
                    rules.known.learn(key, value)
        if debug_id is not None:
            attributes["jaeger-debug-id"] = clean_value(debug_id, rules.tag_limit)
            is_seen = False
        ids = sdk.id_generator
        is_plain = ids is self._plain_ids
        if above is not None:
            trace_id, flags, state = above[0], above[3] & 2, above[4]
        else:
            trace_id = trace_id or (is_plain and getrandbits(self._id_bits)) or self._root_trace_id()
            flags, state = self._root_flags, DEFAULT_TRACE_STATE
        decision, debug = _SAMPLE, False
        if answer is None:
            plain = attributes
            inherited = above is not None and _is_debug(above)
            asked = (span_kind, *read[1:])
            decision, found, debug, attributes = self._decide(parent, trace_id, name, asked, attributes, inherited)
            is_seen = is_seen and attributes is plain
            state = found or DEFAULT_TRACE_STATE
            if debug or inherited:
                state = debug_state(state, debug=debug)
        elif not answer:
            decision = _RECORD
        elif found:
            attributes |= found
            if found is not self._sampled_with:
                # Most samplers answer with one object, and it tells of them alone: not to be looked at for each span.
                if rules.known.has_all(found):
                    self._sampled_with = found
                else:
                    is_seen = False
        context: BridgeSpanContext = _new_tuple(
            BridgeSpanContext,
            (
                trace_id,
                (is_plain and getrandbits(64)) or ids.generate_span_id(),
                False,
                FLAGS[flags | (decision is _SAMPLE)],
                state,
                True,
                baggage,
                debug,
                None,
                None,
            ),
        )
        end_metrics = None if self._metrics is None else self._metrics.start_span(above, decision)
        if decision is not _SAMPLE:
            if meter is not None:
                # One by one, as this is all that most spans are under a head sampler.
                if decision is not _DROP:
                    next(meter.recorded_only)
                elif attributes is SHED:
                    next(meter.shed)
                else:
                    next(meter.unsampled if read[1] is not False else meter.refused)
            if decision is _DROP:
                unsampled = tracer._unsampled_class(tracer, name, context, above)
                return unsampled if began_ns < 0 else timed(unsampled, meter, began_ns, recorded=False)

        # The SDK's Span refuses to be called; filling the fields in one place is also what makes a span cheap. All that
        # is read of nearly every span is set here: a default of the class takes four times as long to read.
        kind_of_span = tracer._recording_class
        span: RecordingSpan = _new_span(kind_of_span if began_ns < 0 else timed_class(kind_of_span, meter))
        span._tracer = tracer
        span._rules = rules
        span._name = name
        span._context = context
        span._kind = span_kind
        span._parent = above
        span._resource = rules.exported_resource if sdk.resource is rules.resource else rules.take(sdk.resource)
        span._attributes = attributes
        span._records = None
        span._end_time = None
        span._record_end_metrics = end_metrics
        span._is_judged = self._settles_all
        span._is_seen = is_seen
        span._unended = True
        span._start_time = time_ns() if start_ns is None else start_ns
        if type(parent) is InnerParent:
            span._outer, span._is_judged = parent.outer, True
        if debug and (above is None or above.is_remote):
            attributes["jaeger.debug"] = True
        if read is not NO_TAGS or links or len(attributes) > rules.max_attributes:
            span.begin(links, read[2], status_tags=read[3])
        if rules.redact_start is not None:
            if not span._is_seen:
                rules.redact_start(span)
                span._is_seen = True
            elif new:
                held = span._attributes  # where there were too many, not all of them
                for key in held.keys() & new:
                    held[key] = rules.redact_value(key, held[key])
        elif new:
            span._is_seen = False
        if rules.watches:
            _watch(rules, span)
        listeners = rules.listeners
        if listeners.source._span_processors is not listeners.seen:
            listeners.look()
        try:
            for processor in listeners.starting:
                processor.on_start(span, parent_context=otel_context)
        except Exception:
            warn_once("span.failed.start", "a span processor failed when a span started", exc_info=True)
        return span if began_ns < 0 else timed(span, meter, began_ns, recorded=True)

    def unsampled_context(self, span: UnsampledSpan) -> BridgeSpanContext:
        """Make the context of a span that was dropped without one.

        Args:
            span: has a parent, or a trace id or none, and baggage.
        """
        above: Any = span._parent
        if above is None:
            trace_id, flags, state = span._trace_id or self._root_trace_id(), self._root_flags, DEFAULT_TRACE_STATE
        else:
            trace_id, flags, state = above[0], above[3] & 2, above[4]
        span_id = self._sdk.id_generator.generate_span_id()
        made: BridgeSpanContext = _new_tuple(
            BridgeSpanContext,
            (
                trace_id,
                span_id,
                False,
                FLAGS[flags],
                state,
                True,
                dict(span._items),
                False,
                None,
                None,
            ),
        )
        return made

    def measure(self, meter: Meter) -> None:
        """Have the spans counted and timed from now on."""
        self._rules.ended = meter.finished
        self._meter = meter

    def promote(self, span: RecordingSpan, start_ns: int) -> None:
        """Begin to record a span that exists and was not recorded so far.

        Args:
            span: has a tracer, a name, a context and perhaps a parent.
            start_ns: when it had started.
        """
        rules = self._rules
        span._rules = rules
        span._resource = rules.take(self._sdk.resource)
        span._start_time = start_ns
        span._attributes = {}
        span._unended = True
        if self._meter is not None:
            next(self._meter.promoted)
        if rules.redact_start is not None:
            rules.redact_start(span)
        if rules.watches:
            _watch(rules, span)
        self._tell_started(span, get_current())

    def summarize(self, group: Group) -> None:
        """Export one span for the spans of a group that were collapsed.

        Args:
            group: has some.
        """
        rules, like = self._rules, group.like
        ids: BridgeSpanContext = like._context
        span: RecordingSpan = _new_span(like._tracer._recording_class)
        span._is_summary = True
        if self._meter is not None:
            next(self._meter.promoted)
        span._tracer = like._tracer
        span._rules = rules
        span._name = f"{like._name} (collapsed)"
        flags, state, span_id = FLAGS[ids.trace_flags | 1], ids.trace_state, self._sdk.id_generator.generate_span_id()
        span._context = BridgeSpanContext(ids.trace_id, span_id, False, flags, state)
        span._kind, span._parent, span._resource = like._kind, like._parent, like._resource
        span._start_time = group.start_ns
        span._attributes = group.attributes()
        span._unended = True
        self._tell_started(span, Context())
        span.end(group.end_ns)

    def _tell_started(self, span: RecordingSpan, context: Context) -> None:
        listeners = self._rules.listeners
        if listeners.source._span_processors is not listeners.seen:
            listeners.look()
        try:
            for processor in listeners.starting:
                processor.on_start(span, parent_context=context)
        except Exception:
            warn_once("span.failed.start", "a span processor failed when a span started", exc_info=True)

    def put_before_sampler(self, decide: Callable[..., Any] | None) -> None:
        """Let something else decide first, and ask :meth:`_decide` where it wants to: None for nothing else."""
        self._sheds = decide is not None
        self._head = Head(None)
        if decide is not None:
            self.__dict__["_decide"] = decide  # on the object, in front of the method: nothing asks whether it is there
        else:
            self.__dict__.pop("_decide", None)

    def settle_watches(self) -> None:
        """Report spans that were not finished, and export the summaries that wait for their parents to end."""
        rules = self._rules
        if rules.unfinished is not None:
            rules.unfinished.sweep()
        if rules.flood is not None:
            summarize(rules.flood.flush())

    def _decide(
        self, parent: Parent, trace_id: int, name: str, tags: Tags, attributes: dict[str, Any], inherited: bool
    ) -> tuple[Decision, TraceState | None, bool, dict[str, Any]]:
        """Return the decision, the trace state, whether it is a debug trace, and the attributes to begin with."""
        kind, priority = tags[0], tags[1]
        above = parent.span_context
        state = None if above is None else above.trace_state
        if priority is False:
            return _DROP, state, False, attributes
        debug = inherited or priority is True or (above is None and parent.debug_id is not None)
        if debug and not inherited and not self._rules.may_force(name):
            debug = False
            for key in _FORCING:
                attributes.pop(key, None)
        sampler = self._sdk.sampler
        head = Head(sampler) if self._sheds or self._head.sampler is not sampler else self._head
        if (head.follows and above is not None) or head.root is not None or head.decide_root is not None:
            # As in jaeger-client, what is forced is not the sampler's choice, and not counted as one.
            if debug:
                return _SAMPLE, state, debug, attributes
            found: Any = {}
            if head.follows and above is not None:
                sampled = bool(above.trace_flags & 1)
            elif head.decide_root is not None:
                sampled, found = head.decide_root(trace_id, name)
            else:
                sampled = bool(head.root)
            if sampled:
                return _SAMPLE, state, False, attributes | found
            return (_RECORD if self._late_sampling else _DROP), state, False, attributes
        result = sampler.should_sample(parent.context, trace_id, name, kind, attributes, parent.links)
        decision = result.decision
        forced = debug
        if debug:
            decision = _SAMPLE
        elif decision is _DROP:
            if not self._late_sampling:
                return _DROP, result.trace_state, False, attributes
            decision, forced = _RECORD, True
        return decision, result.trace_state, debug, _decided(result.attributes, attributes, self._rules, keep=forced)

    def _root_trace_id(self) -> int:
        ids = self._sdk.id_generator
        trace_id: int = ids.generate_trace_id()
        return trace_id if self._id_bits == 128 else trace_id & _LOW_64 or ids.generate_span_id()


def _watch(rules: SpanRules, span: RecordingSpan) -> None:
    try:
        if rules.unfinished is not None:
            rules.unfinished.started(span)
        if rules.flood is not None and span._parent is not None:
            rules.flood.refer(span._parent.span_id)
    except Exception:
        warn_once("flood.failed", "a span could not be counted", exc_info=True)


def _decided(found: Any, own: dict[str, Any], rules: SpanRules, *, keep: bool) -> dict[str, Any]:
    """Return the attributes that the sampler decided on; its values may be as odd as anybody's.

    Args:
        found: what the sampler returned, None for nothing.
        own: what it was given.
        rules: how values are cleaned.
        keep: keep its own attributes: the sampler may have dropped the span, which is recorded nevertheless.
    """
    if found == own:  # as the SDK's samplers do
        return own
    decided = dict(own) if keep else {}
    for key, value in (found or {}).items():
        name = clean_key(key)
        if name and value is not None:
            decided[name] = value if own.get(name) is value else rules.clean_tag(value)
    return decided


def _is_debug(context: SpanContext) -> Any:
    if type(context) is BridgeSpanContext:
        fields: tuple[Any, ...] = context
        return fields[7] and fields[3] & 1
    known = context if isinstance(context, BridgeSpanContext) else BridgeSpanContext.of(context)
    return known.debug and known.sampled
