"""The bridge's own counters: what was dropped, ignored, truncated or in conflict, by name. Nothing is silent."""

from __future__ import annotations

import itertools
import logging
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from ot_bridge.locks import fork_safe_lock

__all__ = [
    "COUNTERS",
    "GAUGES",
    "count",
    "count_all",
    "gauges",
    "reset",
    "snapshot",
    "steps_of",
    "warn_first",
    "warn_once",
    "watch",
]

COUNTERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "extract.<format>": "requests continued with the ids of this format",
        "extract.ignored.<format>": "valid contexts in this format beside one of a format that comes first",
        "extract.container": "requests that brought baggage or a debug id, and no ids",
        "extract.malformed.<format>": "trace headers that were there and could not be read",
        "extract.conflict": "requests whose headers named different traces; the first format in order won",
        "extract.truncated": "requests whose trace id an old hop had cut; the other headers made it whole",
        "extract.refused": "requests whose context was not trusted (trust_incoming)",
        "extract.trust_failed": "requests about which the function trust_incoming failed; not trusted (warns once)",
        "extract.tracestate_dropped": "malformed or oversized tracestate headers beside a good traceparent",
        "extract.debug_id_dropped": "requests with several different debug ids",
        "extract.unreadable": "carrier items that are not a name and a value, and getters that raised",
        "extract.gave_up": "extractions given up for an unexpected error of the carrier or the bridge",
        "inject.<format>": "contexts written in this format; of baggage, those that had items",
        "inject.masked": "traceparents sent without the random bit (mask_random_bit)",
        "inject.nothing": "contexts to inject without ids and without baggage",
        "inject.failed": "carriers that took no headers (warns once)",
        "inject.invalid_ids": "contexts whose ids are out of range; only their baggage was written",
        "inject.tracestate_dropped": "malformed tracestates that were not sent on",
        "inject.ottrace.zero_id": "trace ids with nothing in the half that ot-tracer-traceid can carry",
        "inject.setter_failed": "headers that the carrier's setter refused (warns once)",
        "inject.gave_up": "injections given up, whole or in part, for an unexpected error of the context or the bridge",
        "baggage.dropped.ambiguous": "received items with several different values",
        "baggage.dropped.member": "received members of a baggage list that are not key=value",
        "baggage.dropped.limit": "items over baggage_max_items or baggage_max_bytes; members of a baggage header over "
        "180, 4096 bytes each or 8192 bytes in all",
        "baggage.dropped.deny": "items that baggage_deny names, or that baggage_allow does not",
        "baggage.dropped.key": "items not sent: the key cannot be part of a header name (RFC 7230 token)",
        "baggage.dropped.value": "items not sent: no text, or one that the format cannot carry safely",
        "baggage.dropped.collision": "items not sent by a format without case: another key differs only in case",
        "baggage.properties": "received W3C baggage members whose properties were not kept",
        "start.failed": "spans that could not be started and are not recorded (warns once)",
        "start.failed.parent": "parents that could not be read; the span became a root (warns once)",
        "start.tags.unreadable": "tags= arguments that are no mapping",
        "double.<kind>": "requests for which OpenTracing code and an OpenTelemetry instrumentation both made a span of "
        "this kind (warns once for each instrumentation)",
        "parent.ignored": "parents and references that name no span: a no-op tracer's, another tracer's",
        "span.field.<name>": "assignments to what exporters read from a span, such as span.resource (warns once)",
        "span.after_finish": "calls on a span that was finished already",
        "span.finished_twice": "second calls of finish or end",
        "span.key.empty": "tags with an empty key",
        "span.time.unreadable.<where>": "start, finish and log times that are no time; now was taken",
        "span.failed.<call>": "calls on a span that failed inside and changed nothing",
        "span.failed.start": "span processors that failed when a span started (warns once)",
        "span.failed.ending": "span processors that failed when a span was about to end (warns once)",
        "span.failed.end": "span processors that failed when a span ended (warns once)",
        "tag.error.unreadable": "error tags that say neither true nor false (warns once)",
        "sampling.priority.late": "sampling.priority on spans that are not recorded (warns once)",
        "sampler.remote.ok": "answers of a remote sampler's endpoint that were taken",
        "sampler.remote.failed.<why>": "questions to a remote sampler's endpoint without a usable answer "
        "(warns once for each reason)",
        "sampler.failed": "samplers that failed to decide; the trace is not sampled (warns once)",
        "throttler.refused": "debug spans that a throttler refused",
        "throttler.remote.ok": "answers of a throttler's endpoint that were taken",
        "throttler.remote.failed.<why>": "questions to a throttler's endpoint without a usable answer "
        "(warns once for each reason)",
        "tail.decided.kept.<policy>": "local traces that a policy of the tail sampler kept",
        "tail.decided.dropped.<policy>": "local traces that it dropped; baseline: no policy kept them",
        "tail.late.<outcome>": "spans that ended after their trace was complete and decided, or after it was dropped; "
        "partial: errors, exported alone",
        "tail.partial": "local roots and single spans exported though other parts of their trace were not",
        "tail.evicted_early": "local traces decided by the baseline alone, for want of room (max_spans)",
        "tail.oversized": "local traces decided when they had max_spans_per_trace ended spans",
        "tail.aged": "local traces decided after max_age, with what was there",
        "tail.unfinished": "spans forgotten before they ended, or open when age or the end decided on their trace",
        "tail.ceiling": "local traces and late errors dropped for max_kept (warns once)",
        "tail.failed.<where>": "policies, callbacks and processors of the application that failed (warns once each)",
        "redaction.<rule>": "values redacted by this rule; two in one text count twice",
        "redaction.dry_run.<rule>": "values that this rule would have redacted (redact_dry_run)",
        "redaction.failed.<rule>": "values that were redacted because this rule failed on them (warns once)",
        "unfinished.old": "spans that were not finished after find_unfinished seconds",
        "unfinished.lost": "spans that were thrown away unfinished (find_unfinished)",
        "flood.spans": "spans beyond flood_limit of one name under one parent",
        "flood.collapsed": "spans that were not exported, but summed up (flood_collapse)",
        "flood.failed": "spans that could not be counted for a flood (warns once)",
        "spans.started": "spans that the bridge started (meter)",
        "spans.finished": "recorded spans that were finished (meter)",
        "spans.promoted": "spans recorded that were not started so: by sampling.priority, for a flood (meter)",
        "spans.recorded_only": "spans recorded and not sampled: for late_sampling or a tail sampler (meter)",
        "spans.exported": "spans that exporters took, native ones among them: in batches those that the bridge builds, "
        "with a meter all",
        "spans.dropped.<reason>": "spans not recorded or not sent: sampler, priority, disabled, head_shed (by the CPU "
        "budget), queue_full, already_shutdown, export_failed; the tail sampler counts its own (meter; the last three "
        "without one too, of the exporters that the bridge builds; the first of a full queue warns)",
        "spans.native.started": "spans that others started on the same provider, since SDK 1.40 (meter)",
        "spans.native.finished": "recorded ones of these that were ended (meter)",
        "meter.over_budget": "windows in which the bridge took more CPU than cpu_budget (warns once)",
        "meter.floor": "windows in which spans would cost more than cpu_budget if none were recorded (warns once)",
        "meter.lever.<name>": "changes of what the CPU budget leaves: rest, detail, head (the first one warns)",
        "meter.failed.<where>": "measurements that failed and were given up (warns once for each)",
        "scope.closed_elsewhere": "scopes closed in another thread or task than they were opened in",
        "scope.closed_out_of_order": "scopes closed while one inside them was open",
        "scope.failed.delegate": "scopes that a scope manager of the application did not close where it was asked to",
        "scope.failed.finish": "spans that could not be finished with their scope (warns once)",
        "scope.view.not_kept": "native spans that take no attribute: their view is made anew each time",
        "carry.failed": "functions called without all of the context that in_context gave them (warns once)",
        "tracer.wrapped.<class>": "tracers that are not the SDK's own: their spans are wrapped (warns once)",
        "flush.incomplete": "flushes that did not end in time",
        "close.incomplete": "closes that did not end in time: spans may be lost (warns once)",
        "close.error": "exporters that failed to shut down or to flush (warns once)",
        "close.unprepared.<module>": "multiprocessing, billiard or uvicorn that is not as expected (warns once)",
        "install.no_address": "processes whose host has no route: the resource has no ip",
        "install.again": "second calls of install with other arguments (warns once)",
        "install.service_name": "service names given to install beside a provider that has its own (warns once)",
        "install.two_providers": "providers given to install beside another global one (warns once)",
        "install.sampler": "samplers in the settings given to install beside a provider that has its own (warns once)",
        "export.failed": "exporters that could not be built at their first export: spans are lost (warns once)",
        "install.tail": "rules for tail sampling given to install beside a provider that is there (warns once)",
        "export.queue": "batch processors of the SDK that are not as expected: used as they are (warns once)",
        "otlp.fallback.value": "spans with a value that is left to the official encoder",
        "otlp.fallback.batch": "batches encoded by the official encoder, as the bridge's failed (warns once)",
        "otlp.fallback.shape": "official exporters that are not as expected, and encode all spans (warns once)",
        "otlp.dropped.unencodable": "spans that no encoder takes; the rest of the batch is sent (warns once)",
        "export.port": "OTLP over HTTP sent to port 4317, which is usually gRPC's (warns once)",
        "config.unknown.<variable>": "OT_BRIDGE_* variables that nothing reads (warns once)",
        "config.jaeger.<key>": "keys of a jaeger-client configuration that nothing reads (warns once)",
        "config.propagator.<name>": "names in OTEL_PROPAGATORS that the bridge has no format for (warns once)",
        "dropin.context.<field>": "assignments to a field of a SpanContext, which cannot be changed (warns once)",
        "dropin.reporter.<name>": "thrift methods of an application's own reporter, which are not called (warns once)",
        "dropin.promote_local": "tail sampling rules with promote_local beside jaeger_client's sampler (warns once)",
        "dropin.one_span_per_rpc": "tracers that asked for one_span_per_rpc, which is not supported (warns once)",
        "dropin.throttler": "throttlers of the application that failed; the trace is not forced (warns once)",
        "dropin.metrics": "metrics of the application that failed when a span started (warns once)",
        "dropin.span.<field>": "assignments to a field of a Span that can only be read (warns once)",
        "dropin.sampler": "samplers of the application that failed; the trace is not sampled (warns once)",
        "dropin.id_unusable": "ids given to a SpanContext that are no integers of their width",
        "dropin.tags_not_seen": "tags that could not be kept for who reads span.tags",
        "dropin.log_not_seen": "logs that could not be kept for who reads span.logs",
        "dropin.close_failed": "samplers, throttlers and reporters that failed to close",
        "metrics.failed": "meter providers that did not take the counters (warns once)",
    }
)
"""Every counter and what it counts; ``<...>`` stands for what is filled in at run time.

The single source: compat_matrix.md prints it, :mod:`ot_bridge.metrics` exposes it.
"""

GAUGES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "spans.queued": "ended spans that wait in the queues of batch processors (meter)",
        "spans.queue_capacity": "how many these queues hold (meter)",
        "spans.unfinished": "recorded spans of the bridge that are open, or were forgotten (meter)",
        "tail.buffered": "ended spans that a tail sampler holds until their trace is decided",
    }
)
"""Every number that goes up and down, and what it is. Read where it is, when somebody asks: see :func:`watch`."""

_logger = logging.getLogger("ot_bridge")
_lock = fork_safe_lock()
_counters: defaultdict[str, int] = defaultdict(int)
_steps: dict[tuple[str, ...], itertools.count[int]] = {}  # next() of them is atomic: no lock on the hot path
_bases: dict[tuple[str, ...], int] = {}  # where they stood when the counts were reset
_warned: set[str] = set()
_watched: list[tuple[str, weakref.WeakMethod[Callable[[], int]]]] = []


def count(name: str, amount: int = 1) -> None:
    """Add to one counter. Names are dotted, from wide to narrow: ``extract.malformed.jaeger``."""
    if amount == 1:
        next(_steps.get((name,)) or steps_of((name,)))
    else:
        with _lock:
            _counters[name] += amount


def count_all(names: Iterable[str]) -> None:
    """Add one to each counter named, as often as it is named."""
    for name in names:
        # No lock: a thread that loses the GIL, at the end of a turn, while it holds one stops all others that count.
        next(_steps.get((name,)) or steps_of((name,)))


def warn_once(key: str, message: str, *args: object, exc_info: bool = False) -> None:
    """Log a warning the first time that ``key`` is seen in this process; count it every time."""
    count(key)
    if key not in _warned and _is_first(key):
        _logger.warning(message, *args, exc_info=exc_info)


def warn_first(key: str, about: str, message: Callable[[], str]) -> None:
    """As :func:`warn_once`, with a warning for each thing that it is about; the message is made only then."""
    count(key)
    cause = f"{key} {about}"
    if cause not in _warned and _is_first(cause):
        _logger.warning("%s", message())


def _is_first(cause: str) -> bool:
    with _lock:
        if cause in _warned:
            return False
        _warned.add(cause)
        return True


def steps_of(names: tuple[str, ...]) -> Iterator[int]:
    """Return what adds one to each of the counters with each ``next()``: X of the cost of :func:`count_all`.

    All who ask for the same names share one.
    """
    with _lock:
        return _steps.setdefault(names, itertools.count())


def read_steps(name: str) -> int:
    """Return where a counter of :func:`steps_of` stands, whatever was forgotten meanwhile."""
    return int(repr(steps_of((name,)))[6:-1])


def forget(prefix: str) -> None:
    """Let the counters that begin so start anew, as in the child of a fork."""
    with _lock:
        for name in [name for name in _counters if name.startswith(prefix)]:
            del _counters[name]
        for names, steps in _steps.items():
            if all(name.startswith(prefix) for name in names):
                _bases[names] = int(repr(steps)[6:-1])


def snapshot() -> Mapping[str, int]:
    """Return a copy of all counters, sorted by name."""
    with _lock:
        total = dict(_counters)
        for names, steps in _steps.items():
            # The repr, "count(7)", is the one way to read such a counter without moving it.
            number = int(repr(steps)[6:-1]) - _bases.get(names, 0)
            if number:
                for name in names:
                    total[name] = total.get(name, 0) + number
        return dict(sorted(total.items()))


def watch(name: str, read: Callable[[], int]) -> None:
    """Have a gauge read by a method of an object, for as long as the object lives; several objects are added up."""
    with _lock:
        _watched.append((name, weakref.WeakMethod(read)))


def gauges() -> Mapping[str, int]:
    """Return what every gauge shows now, sorted by name; one that nobody has is left out."""
    found: dict[str, int] = {}
    with _lock:
        _watched[:] = [(name, method) for name, method in _watched if method() is not None]
        alive = [(name, method()) for name, method in _watched]
    for name, read in alive:
        if read is not None:
            found[name] = found.get(name, 0) + read()
    return dict(sorted(found.items()))


def reset() -> None:
    """Forget all counts, warnings and gauges. For tests."""
    with _lock:
        _counters.clear()
        _warned.clear()
        _watched.clear()
        _bases.update((names, int(repr(steps)[6:-1])) for names, steps in _steps.items())
