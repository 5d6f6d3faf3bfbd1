"""The tail sampler as an OpenTelemetry SpanProcessor in front of those that export."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, cast

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, SynchronousMultiSpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.trace import DEFAULT_TRACE_STATE, TraceState

from ot_bridge import telemetry
from ot_bridge.environment import wrong
from ot_bridge.sampler_specs import SpecError
from ot_bridge.sampling.tail.buffer import LocalTraces, Release
from ot_bridge.sampling.tail.decisions import TailDecision
from ot_bridge.sampling.tail.exported import PARTIAL, POLICY, ExportedSpan
from ot_bridge.sampling.tail.policies import randomness
from ot_bridge.sampling.tail.threshold import ERASE, read_threshold, threshold_after, with_threshold
from ot_bridge.shutdown import shutdown_processors
from ot_bridge.tail_specs import TailRules, read_tail

__all__ = ["TailSamplingProcessor", "Vote", "in_front_of", "rules_of"]

Vote = Callable[[Sequence[ReadableSpan]], object]
"""An application's own policy: from the ended spans of a local trace to a name, or True, to keep it; else no vote."""

_SWEEP_S: Final = 1.0
_LEAST_SWEEP_S: Final = 0.05
_SHUTDOWN_S: Final = 30.0
_ARGUMENT: Final = "argument of TailSamplingProcessor"
# Methods that do nothing: to call them costs a tenth of a span.
_EMPTY: Final = (SpanProcessor.on_start, BatchSpanProcessor.on_start, SimpleSpanProcessor.on_start)


def rules_of(rules: object, origin: str) -> TailRules:
    """Return the rules that a text says, or the rules themselves.

    Raises:
        ConfigError: they are neither.
    """
    if isinstance(rules, TailRules):
        return rules
    try:
        return read_tail(rules)
    except SpecError as error:
        raise wrong("rules", error.found, origin, error.wanted, error.known) from None


def in_front_of(
    processors: Iterable[SpanProcessor], rules: str | TailRules, *, head_takes_all: bool = False
) -> tuple[SpanProcessor, ...]:
    """Put one tail sampler in front of all processors; nothing in front of none.

    Raises:
        ConfigError: the rules cannot be used; the processors are shut down then.
    """
    behind = tuple(processors)
    if not behind:
        return ()
    if len(behind) == 1:
        return (TailSamplingProcessor(behind[0], rules, head_takes_all=head_takes_all),)
    several = SynchronousMultiSpanProcessor()  # type: ignore[no-untyped-call]
    for one in behind:
        several.add_span_processor(one)
    return (TailSamplingProcessor(several, rules, head_takes_all=head_takes_all),)


class TailSamplingProcessor(SpanProcessor):
    """Holds what has ended of a local trace until the rules can decide, and hands on what they keep.

        provider.add_span_processor(TailSamplingProcessor(BatchSpanProcessor(exporter), "errors,slow:1s,rest:1%"))

    The head sampler has to record: what it drops never comes here. The processor behind is told of every start at once.

    Args:
        next_processor: what exports.
        rules: what is kept: as in ``Settings.tail``, or :class:`ot_bridge.tail_specs.TailRules`.
        votes: policies of your own, asked about a trace that nothing has kept and that is complete, old, or left when
            this is shut down. One that raises has no vote, with one warning.
        on_decision: told of each decision, in the thread that brought it about; what it raises is logged once.
        head_takes_all: the head sampler takes every trace; only ``write_th`` asks.
        clock_ns: nanoseconds that only grow.
        wall_ns: nanoseconds since 1970.

    Raises:
        ConfigError: an argument cannot be used.
    """

    def __init__(
        self,
        next_processor: SpanProcessor,
        rules: str | TailRules,
        *,
        votes: Sequence[Vote] = (),
        on_decision: Callable[[TailDecision], object] | None = None,
        head_takes_all: bool = False,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        if not callable(getattr(next_processor, "on_end", None)):
            raise wrong("next_processor", next_processor, _ARGUMENT, "a SpanProcessor")
        if not all(map(callable, votes)):
            raise wrong("votes", votes, _ARGUMENT, "functions that take the spans of a trace")
        if on_decision is not None and not callable(on_decision):
            raise wrong("on_decision", on_decision, _ARGUMENT, "a function that takes a TailDecision, or None")
        self.rules = rules_of(rules, _ARGUMENT)
        self.next_processor = next_processor
        self._votes, self._on_decision = tuple(votes), on_decision
        self._traces = LocalTraces(
            self.rules, clock_ns=clock_ns, wall_ns=wall_ns, votes=bool(votes), head_takes_all=head_takes_all
        )
        self._tell_start = None if type(next_processor).on_start in _EMPTY else next_processor.on_start
        self._start, self._end = self._traces.start, self._traces.end
        self._before_start: Callable[..., None] | None = self._first_start
        self._tell_ending = getattr(next_processor, "_on_ending", None)  # since SDK 1.40
        self._ended = False
        self._stop = threading.Event()
        telemetry.watch("tail.buffered", self._buffered)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=partial(_renew, weakref.ref(self)))

    # --- SpanProcessor

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        if self._before_start is not None:
            self._before_start(span, parent_context)
        released = self._start(span)
        if released:
            self._hand_on(released)

    def _on_ending(self, span: Span) -> None:
        if self._tell_ending is not None:
            self._tell_ending(span)

    def on_end(self, span: ReadableSpan) -> None:
        released = self._end(span)
        if released:
            self._hand_on(released)

    def shutdown(self) -> None:
        """Decide on every trace with what is there, export what is kept, and stop."""
        self.shutdown_within(_SHUTDOWN_S)

    def shutdown_within(self, timeout_s: float) -> bool:
        """Do so, with a bound on how long the processors behind may take; tell whether they ended in time."""
        if self._ended:
            return True
        self._ended = True
        self._stop.set()
        self._hand_on(self._traces.close())
        inner = getattr(self.next_processor, "_span_processors", None)
        behind = inner if isinstance(inner, tuple) else (self.next_processor,)
        return shutdown_processors(behind, timeout_s)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Export what is kept so far. Traces that are not decided stay so."""
        return self.next_processor.force_flush(timeout_millis)

    # --- for tests and for operators

    def sizes(self) -> dict[str, int]:
        """Return how much is held: undecided traces, their ended spans, decided traces with open spans, decisions."""
        return self._traces.sizes()

    def sweep(self) -> None:
        """Decide on what has grown old, slow or forgotten. A thread of its own does it every second."""
        self._hand_on(self._traces.sweep())

    # --- inside

    def _buffered(self) -> int:
        return self._traces.buffered

    def _hand_on(self, released: Sequence[Release]) -> None:
        """Do what has to be done without the lock."""
        for release in released:
            if release.ask is not None and release.local is not None:
                policy = self._voted(release.spans)
                self._hand_on(self._traces.voted(release.local, policy, release.ask))
                continue
            if release.verdict is None or release.verdict.kept:
                for span in release.spans:
                    self._export(span, release)
            if release.decided and self._on_decision is not None:
                self._tell(release)

    def _export(self, span: ReadableSpan, release: Release) -> None:
        try:
            self.next_processor.on_end(span if release.verdict is None else self._dressed(span, release))
        except Exception:
            telemetry.warn_once("tail.failed.export", "a span processor failed to take a span", exc_info=True)

    def _dressed(self, span: ReadableSpan, release: Release) -> ReadableSpan:
        """Return the span with what the decision says about it; the span itself where that is nothing."""
        local, context = release.local, cast("Any", span.get_span_context())
        parent = span.parent
        is_root = parent is None or parent.is_remote if local is None else local.is_root(span)
        unsampled = not (context.trace_flags & 1 if local is None else local.head_sampled)
        more: dict[str, Any] = {}
        if release.verdict is not None and (is_root or release.alone):
            more[POLICY] = release.verdict.policy
            if unsampled or release.alone:
                more[PARTIAL] = True
                telemetry.count("tail.partial")
        state = self._state(context.trace_state, release, sampled=not unsampled) if self.rules.write_th else None
        if not more and not unsampled and (state is None or state is context.trace_state):
            return span
        return ExportedSpan(span, more, state)

    def _state(self, state: TraceState, release: Release, *, sampled: bool) -> TraceState:
        local, verdict = release.local, release.verdict
        state = DEFAULT_TRACE_STATE if state is None else state
        if local is None or verdict is None or release.alone or local.by_chance:
            return with_threshold(state, ERASE)
        wanted = threshold_after(
            verdict.policy,
            read_threshold(state),
            own=self._traces.threshold,
            randomness=randomness(local.trace_id, local.state),
            sampled=sampled,
            started_here=local.started_here,
            takes_all=bool(local.head_takes_all),
        )
        return with_threshold(state, wanted)

    def _voted(self, spans: Sequence[ReadableSpan]) -> str | None:
        return next(filter(None, (self._ask(vote, spans) for vote in self._votes)), None)

    @staticmethod
    def _ask(vote: Vote, spans: Sequence[ReadableSpan]) -> str | None:
        try:
            found = vote(spans)
            return "vote" if found is True else str(found) if isinstance(found, str) and found else None
        except Exception:
            telemetry.warn_once("tail.failed.vote", "a policy of the application failed: no vote", exc_info=True)
            return None

    def _tell(self, release: Release) -> None:
        local, verdict = release.local, release.verdict
        if local is None or verdict is None or self._on_decision is None:
            return
        decision = TailDecision(local.trace_id, verdict.kept, verdict.policy, len(release.spans), local.head_sampled)
        try:
            self._on_decision(decision)
        except Exception:
            telemetry.warn_once("tail.failed.on_decision", "on_decision of a tail sampler failed", exc_info=True)

    def _first_start(self, span: Span, parent_context: Context | None) -> None:
        """Start the thread with the first span: the child of a fork needs one of its own."""
        self._before_start = self._tell_start
        interval_s = min(_SWEEP_S, max(self.rules.linger_s, _LEAST_SWEEP_S)) if self.rules.linger_s else _SWEEP_S
        arguments = (weakref.ref(self), self._stop, interval_s)
        thread = threading.Thread(target=_sweep_on, args=arguments, name="ot_bridge-tail", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads, or the interpreter is about to end
            telemetry.warn_once("tail.failed.thread", "no thread looks after traces that never end: %s", error)
        if self._tell_start is not None:
            self._tell_start(span, parent_context)

    def _after_fork(self) -> None:
        self._traces.reset()
        self._stop = threading.Event()
        self._before_start = self._first_start


def _renew(reference: weakref.ref[TailSamplingProcessor]) -> None:
    processor = reference()
    if processor is not None:
        processor._after_fork()


def _sweep_on(reference: weakref.ref[TailSamplingProcessor], stop: threading.Event, interval_s: float) -> None:
    while not stop.wait(interval_s):
        processor = reference()
        if processor is None:
            return
        processor.sweep()
        del processor
