"""The local traces that are not decided yet: what is open, what has ended, and when there is enough to decide.

It does not export: what a call releases is returned, and handed on when the lock is free again. The lock can be taken
twice by one thread: the garbage collector may finish a span (a generator's ``finally``) in the middle of any of this.
For that reason everything that settles a trace begins by taking it out, and nothing iterates over a dict that lives.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from opentelemetry.trace import DEFAULT_TRACE_STATE, StatusCode

from ot_bridge import telemetry
from ot_bridge.locks import fork_safe_lock
from ot_bridge.sampling.tail.decisions import Decisions, Verdict
from ot_bridge.sampling.tail.percentile import OperationLimits
from ot_bridge.sampling.tail.policies import (
    baseline_threshold,
    first_match,
    forced_by,
    is_kept_by_hash,
    is_refused,
    questions,
)
from ot_bridge.sampling.token_bucket import TokenBucket
from ot_bridge.tail_specs import TailRules

__all__ = ["LocalTrace", "LocalTraces", "Release"]

_NEVER: Final = math.inf
_NOT_MEASURED: Final = (0, math.inf)
_weak: Final = weakref.ref
_ERROR: Final = StatusCode.ERROR
# A start or an end further from the present than this was given by the application.
_GIVEN_NS: Final = 1_000_000
_YOUNG_NS: Final = 1_000_000_000
# Over a limit, so much below it is aimed at: looking for the oldest costs a walk.
_SLACK: Final = 16
_NOT_LIMITED: Final = ("debug", "forced", "remote")
# What an application's own policy calls itself is not the name of a counter: it may put an id there.
_COUNTED: Final = (
    *("debug", "forced", "remote", "error", "slow", "slow_span", "rate", "baseline"),
    *("priority", "head", "ceiling"),
)
_UNDECIDED: Final = Verdict(kept=False, policy="")


class LocalTrace:
    """The part of a trace that lives in this process, since its first span started here."""

    __slots__ = (
        "born_ns",
        "by_chance",
        "drop",
        "errored",
        "head_sampled",
        "head_takes_all",
        "idle_ns",
        "keep",
        "open",
        "refused",
        "root_ended",
        "roots",
        "slow_at",
        "spans",
        "started_here",
        "state",
        "top",
        "trace_id",
        "verdict",
    )

    def __init__(self, trace_id: int, born_ns: int, span: Any, state: Any, *, head_sampled: bool) -> None:
        self.trace_id = trace_id
        self.born_ns = born_ns
        self.state = state
        self.head_sampled = head_sampled
        self.top = span.get_span_context().span_id
        self.started_here = span.parent is None
        self.open: dict[int, Callable[[], Any]] = {}
        """Ids of started spans, and weak references to them: a span that is forgotten must not live on here."""
        self.roots: dict[int, tuple[int, float]] = {}
        """Open local roots: when they began, and from when on they are slow."""
        self.spans: list[Any] = []
        self.slow_at: float = _NEVER
        self.keep: str | None = None
        self.drop: str | None = None
        self.errored = self.refused = self.root_ended = self.by_chance = False
        self.head_takes_all: bool | None = None
        self.idle_ns: int | None = None
        self.verdict = _UNDECIDED

    def is_root(self, span: Any) -> bool:
        """Tell whether it is a local root: no parent, one in another process, or one that was never seen here."""
        parent = span.parent
        return parent is None or parent.is_remote or span.get_span_context().span_id == self.top


class Release(NamedTuple):
    """What is to be done when the lock is free."""

    local: LocalTrace | None
    spans: Sequence[Any]
    verdict: Verdict | None
    """None: hand the spans on as they are."""
    decided: bool = False
    """Whether this is the decision itself, to be told, and not a span that follows it."""
    alone: bool = False
    """An error of a trace that was dropped."""
    ask: str | None = None
    """The application's own policies are to be asked before anything is decided: on what occasion."""


class LocalTraces:
    """All local traces. Safe with threads; what it returns is for the caller to hand on.

    Args:
        rules: what is kept.
        clock_ns: nanoseconds that only grow.
        wall_ns: nanoseconds since 1970, as the spans' times.
        votes: whether the application has policies of its own.
        head_takes_all: whether a sampler that leaves no ``sampler.type`` takes every trace.
    """

    def __init__(
        self,
        rules: TailRules,
        *,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
        votes: bool = False,
        head_takes_all: bool = False,
    ) -> None:
        self.rules = rules
        self.threshold = baseline_threshold(rules.rest)
        self._clock, self._wall, self._votes = clock_ns, wall_ns, votes
        self._head_takes_all = head_takes_all
        self._attributes = questions(rules.attributes, "attribute")
        self._drops = questions(rules.drops, "drop")
        self._errors, self._promote = rules.errors, rules.promote_local
        self._error_beats_drop = rules.errors and not rules.drop_errors
        self._slow_span_ns = None if rules.slow_span_s is None else rules.slow_span_s * 1e9
        self._asks = bool(self._attributes) or self._slow_span_ns is not None
        ceiling_ns = rules.slow_ceiling_s * 1e9
        slow = rules.slow_s is not None or rules.slow_quantile is not None
        self._limits = OperationLimits(rules.slow_quantile, rules.slow_floor_s * 1e9, ceiling_ns) if slow else None
        self._max_spans, self._max_per_trace = rules.max_spans, rules.max_spans_per_trace
        self._max_age_ns, self._linger_ns = int(rules.max_age_s * 1e9), int(rules.linger_s * 1e9)
        bucket_lock = fork_safe_lock()
        self._rate = self._bucket(rules.rate, bucket_lock)
        self._ceiling = self._bucket(rules.max_kept_per_s, bucket_lock)
        self._counts: dict[Verdict, Iterator[int]] = {}
        self.reset()

    def reset(self) -> None:
        """Forget every trace. In the child of a fork: they are the parent's, and so is the lock."""
        self._lock = threading.RLock()
        self._undecided: dict[int, LocalTrace] = {}
        self._following: dict[int, LocalTrace] = {}
        self._memory = Decisions(self.rules.decisions)
        self._ended = itertools.count(1).__next__  # atomic, where += would need the lock
        self._released = 0
        self._closed = False

    @property
    def buffered(self) -> int:
        """Ended spans that are held."""
        return sum([len(local.spans) for local in list(self._undecided.values())])

    def sizes(self) -> dict[str, int]:
        """Return how much is held: undecided traces, their ended spans, decided traces with open spans, decisions."""
        return {
            "undecided": len(self._undecided),
            "spans": self.buffered,
            "following": len(self._following),
            "decisions": len(self._memory),
        }

    # --- a span starts

    def start(self, span: Any) -> list[Release] | None:
        """Note a span that has started."""
        # A span context is a tuple: its properties cost twice as much, and this is the hot path.
        context = span.get_span_context()
        local = self._undecided.get(context[0])
        if local is None:
            return self._start_first(span, context)
        parent = span.parent
        if parent is None or parent[2]:
            with self._lock:
                self._begin_root(local, span, context)
        # Without the lock: should the trace be decided meanwhile, this one finds the decision when it ends.
        try:
            local.open[context[1]] = _weak(span)
        except TypeError:
            local.open[context[1]] = _alive
        if local.slow_at is not _NEVER and self._clock() > local.slow_at:
            return self._keep_early(local, "slow")
        if self._attributes:
            policy = first_match(self._attributes, span.name, _attributes(span))
            return None if policy is None else self._keep_early(local, policy)
        return None

    def _start_first(self, span: Any, context: Any) -> list[Release] | None:
        trace_id = context.trace_id
        with self._lock:
            if self._closed:
                return None
            local = self._undecided.get(trace_id) or self._following.get(trace_id)
            out: list[Release] = []
            if local is None:
                if self._memory.get(trace_id) is not None:
                    return None  # late: it finds the decision when it ends
                local = self._meet(span, context, out)
                if local is None:
                    return None
            elif local.is_root(span):
                self._begin_root(local, span, context)
            try:
                local.open[context.span_id] = _weak(span)
            except TypeError:
                local.open[context.span_id] = _alive
            return out

    def _meet(self, span: Any, context: Any, out: list[Release]) -> LocalTrace | None:
        """Begin a local trace with its first span; None for one that is nobody's business here."""
        parent = span.parent
        head_sampled = bool(context.trace_flags & 1)
        if not head_sampled and not (self._promote and (parent is None or parent.is_remote)):
            # With promote_local everything else is recorded: an unsampled parent in this process was refused.
            return None
        local = LocalTrace(context.trace_id, self._clock(), span, context.trace_state, head_sampled=head_sampled)
        self._undecided[local.trace_id] = local
        self._begin_root(local, span, context)
        if self.rules.write_th:
            local.head_takes_all = self._takes_all(_attributes(span))
        policy = None
        if context.trace_state is not DEFAULT_TRACE_STATE:
            policy = forced_by(context.trace_state, _attributes(span))
        if policy is None and parent is not None and parent.is_remote and head_sampled and self.rules.remote == "keep":
            self._settle(local, self._verdict(True, "remote"), out)
            return local
        if policy is None and self._attributes:
            policy = first_match(self._attributes, span.name, _attributes(span))
        if policy is not None:
            local.keep = policy
            self._settle_early(local, out)
        if len(self._undecided) > self.rules.max_spans:
            self._evict(out)
        return local

    def _begin_root(self, local: LocalTrace, span: Any, context: Any) -> None:
        if self._limits is None:
            local.roots[context[1]] = _NOT_MEASURED
            return
        now, given = self._clock(), span.start_time
        ago = 0 if given is None else self._wall() - given
        # From now on, not from a given start: the end may be given too, and both long ago.
        slow_at = now + self._limits.limit_ns(span.name, now)
        local.roots[context[1]] = (now if -_GIVEN_NS <= ago <= _GIVEN_NS else now - ago, slow_at)
        local.slow_at = min(local.slow_at, slow_at)

    def _takes_all(self, attributes: Mapping[str, Any]) -> bool:
        kind = attributes.get("sampler.type")
        return self._head_takes_all if kind is None else kind == "const" or attributes.get("sampler.param") == 1.0

    # --- a span ends

    def end(self, span: Any) -> list[Release] | None:
        """Take a span that has ended."""
        context = span.get_span_context()
        failed = span.status.status_code is _ERROR
        local = self._undecided.get(context[0])
        if (
            local is None
            or failed
            or self._asks
            or context[1] in local.roots
            or context[4] is not DEFAULT_TRACE_STATE
            or not context[3] & 1
        ):
            with self._lock:
                local = self._undecided.get(context[0])
                if local is None:
                    return self._end_elsewhere(span, context, failed)
                return self._end_here(local, span, context, failed)
        # An ordinary child. First it is there, and then it is not open any more: whoever sees nothing open sees it.
        local.spans.append(span)
        ended = self._ended()
        local.open.pop(context[1], None)
        if (
            ended - self._released > self._max_spans
            or (local.root_ended and not local.open)
            or len(local.spans) >= self._max_per_trace
            or local.verdict is not _UNDECIDED
            or (local.slow_at is not _NEVER and self._clock() > local.slow_at)
        ):
            return self._look(local, span, context, ended)
        return None

    def _look(self, local: LocalTrace, span: Any, context: Any, ended: int) -> list[Release] | None:
        """See what the end of an ordinary child has brought about."""
        with self._lock:
            if local.verdict is not _UNDECIDED:
                if span in local.spans:  # another thread has settled it, and did not see this one
                    local.spans.remove(span)
                    self._released += 1
                    return self._end_elsewhere(span, context, failed=False)
                return None
            if local.keep is None and local.slow_at is not _NEVER and self._clock() > local.slow_at:
                local.keep = "slow"
            return self._after_end(local, ended)

    def _end_here(self, local: LocalTrace, span: Any, context: Any, failed: bool) -> list[Release] | None:
        span_id = context.span_id
        local.open.pop(span_id, None)
        began = local.roots.pop(span_id, None)
        policy, ended = None, 0
        if context.trace_flags & 1 or not (local.head_sampled or getattr(span, "_refused", False)):
            local.spans.append(span)
            ended = self._ended()
            if context.trace_state is not DEFAULT_TRACE_STATE:
                policy = forced_by(context.trace_state, _attributes(span))
        elif began is not None:
            local.refused = True
        if failed:
            local.errored = True
            if policy is None and self._errors:
                policy = "error"
        if began is not None:
            slow = self._end_root(local, span, began[0], failed)
            policy = policy or slow
        elif policy is None and local.slow_at is not _NEVER and self._clock() > local.slow_at:
            policy = "slow"
        if policy is None and self._asks:
            policy = self._ask(span)
        if policy is not None and local.keep is None:
            local.keep = policy
        return self._after_end(local, ended)

    def _after_end(self, local: LocalTrace, ended: int) -> list[Release] | None:
        out: list[Release] = []
        if (local.keep is not None or (local.errored and self._error_beats_drop)) and self._settle_early(local, out):
            return out
        if local.root_ended and not local.open:
            if self._linger_ns:
                local.idle_ns = self._clock()
            else:
                self._decide(local, "complete", out)
        if len(local.spans) >= self._max_per_trace and self._undecided.get(local.trace_id) is local:
            telemetry.count("tail.oversized")
            self._settle(local, self._verdict_of(local, by_chance=True), out)
        if ended - self._released > self._max_spans:
            self._evict(out)
        return out or None

    def _end_root(self, local: LocalTrace, span: Any, began: int, failed: bool) -> str | None:
        """Note the end of a local root; return the policy that keeps it for its duration."""
        local.root_ended = True
        local.slow_at = min([slow_at for _, slow_at in local.roots.values()]) if local.roots else _NEVER
        attributes = _attributes(span)
        if self._drops and local.drop is None:
            local.drop = first_match(self._drops, span.name, attributes)
        if is_refused(attributes):
            local.refused = True
        return self._measure(span, began, failed)

    def _measure(self, span: Any, began: int, failed: bool) -> str | None:
        """Tell whether a local root was slow, and count its duration where it did not fail."""
        if self._limits is None:
            return None
        now = self._clock()
        duration = self._duration(span, began, now)
        slow = duration > self._limits.limit_ns(span.name, now)
        if not failed:
            self._limits.add(span.name, duration, now)
        return "slow" if slow else None

    def _duration(self, span: Any, began: int, now: int) -> int:
        """Return how long a local root took, by the clock that only grows, unless the application gave its end."""
        start: int | None = span.start_time
        end: int | None = span.end_time
        if start is not None and end is not None and abs(self._wall() - end) > _GIVEN_NS:
            return max(0, end - start)
        return max(0, now - began)

    def _ask(self, span: Any) -> str | None:
        """Return the policy that keeps a span for what it says itself."""
        start, end = span.start_time, span.end_time
        if (
            self._slow_span_ns is not None
            and start is not None
            and end is not None
            and end - start > self._slow_span_ns
        ):
            return "slow_span"
        return first_match(self._attributes, span.name, _attributes(span)) if self._attributes else None

    def _end_elsewhere(self, span: Any, context: Any, failed: bool) -> list[Release] | None:
        if self._closed:
            return None
        trace_id = context.trace_id
        local = self._following.get(trace_id)
        if local is None:
            verdict = self._memory.get(trace_id)
            if verdict is None:
                return self._end_unknown(span, context, failed)
        else:
            verdict = local.verdict
            local.open.pop(context.span_id, None)
            began = local.roots.pop(context.span_id, None)
            if began is not None:
                self._measure(span, began[0], failed)
            if not local.open and self._following.pop(trace_id, None) is not None:
                self._memory.remember(trace_id, verdict)
        refused = not context.trace_flags & 1 and (
            not self._promote or getattr(span, "_refused", False) or (local is not None and local.head_sampled)
        )
        if verdict.kept:
            if local is None:
                telemetry.count("tail.late.kept")
            return [Release(local, (span,), None if refused else verdict)]
        if failed and not refused and self._is_promised(verdict):
            telemetry.count("tail.late.partial")
            return [Release(local, (span,), self._verdict(True, "error"), alone=True)]
        telemetry.count("tail.late.dropped")
        return None

    def _is_promised(self, verdict: Verdict) -> bool:
        """Tell whether an error is exported though its trace was dropped."""
        if not self._errors or verdict.policy == "priority":
            return False
        if verdict.policy.startswith("drop-") and not self._error_beats_drop:
            return False
        return self._pays_ceiling()

    def _end_unknown(self, span: Any, context: Any, failed: bool) -> list[Release] | None:
        """Take a span whose start was not seen, or was forgotten."""
        out: list[Release] = []
        local = self._meet(span, context, out)
        if local is None:
            return [Release(None, (span,), None)]
        start, end = span.start_time, span.end_time
        if local.roots and start is not None and end is not None:
            local.roots[context.span_id] = (self._clock() - max(0, end - start), _NEVER)
        if self._undecided.get(context.trace_id) is local:
            return [*out, *(self._end_here(local, span, context, failed) or ())]
        return [*out, *(self._end_elsewhere(span, context, failed) or ())]

    # --- decisions

    def _keep_early(self, local: LocalTrace, policy: str) -> list[Release] | None:
        with self._lock:
            if local.keep is None:
                local.keep = policy
            out: list[Release] = []
            self._settle_early(local, out)
            return out or None

    def _settle_early(self, local: LocalTrace, out: list[Release]) -> bool:
        """Keep a trace as soon as nothing can take it back: while there are drop rules, only an error is final."""
        if self._drops and not (local.errored and self._error_beats_drop):
            return False
        return self._settle(local, self._verdict_of(local), out)

    def _decide(self, local: LocalTrace, occasion: str, out: list[Release]) -> None:
        if self._votes and local.keep is None and local.drop is None and not local.refused:
            out.append(Release(local, tuple(local.spans), None, ask=occasion))
        else:
            self._settle(local, self._verdict_of(local), out)

    def voted(self, local: LocalTrace, policy: str | None, occasion: str) -> list[Release]:
        """Go on with a decision that waited for the application's own policies."""
        out: list[Release] = []
        with self._lock:
            if policy is not None and local.keep is None:
                local.keep = policy
            if occasion != "complete" or not local.open:
                self._settle(local, self._verdict_of(local), out)
        return out

    def _verdict_of(self, local: LocalTrace, *, by_chance: bool = False) -> Verdict:
        """Decide with what is there.

        Args:
            local: the trace.
            by_chance: for want of room: no policy that costs a token is asked.
        """
        local.by_chance = by_chance
        if local.refused:
            return self._verdict(False, "priority")
        saved = local.errored and self._error_beats_drop
        if local.drop is not None and not saved:
            return self._verdict(False, local.drop)
        # Where there are drop rules the error is what counts: nothing else could have kept it from them.
        policy = "error" if saved and (self._drops or local.keep is None) else local.keep
        if policy is None and local.slow_at is not _NEVER and self._clock() > local.slow_at:
            policy = "slow"
        if policy is None:
            policy = self._by_number(local, by_chance=by_chance)
            if policy is None:
                return self._verdict(False, "baseline" if local.head_sampled else "head")
        if policy not in _NOT_LIMITED and not self._pays_ceiling():
            return self._verdict(False, "ceiling")
        return self._verdict(True, policy)

    def _by_number(self, local: LocalTrace, *, by_chance: bool) -> str | None:
        if not local.head_sampled:
            return None  # a part of a trace is kept for what is in it, not to be counted
        if self._rate is not None and not by_chance and self._rate.take():
            return "rate"
        return "baseline" if is_kept_by_hash(local.trace_id, local.state, self.threshold) else None

    def _pays_ceiling(self) -> bool:
        if self._ceiling is None or self._ceiling.take():
            return True
        telemetry.warn_once(
            "tail.ceiling",
            "more traces are kept than max_kept_per_s=%g; the others are dropped",
            self.rules.max_kept_per_s,
        )
        return False

    def _settle(self, local: LocalTrace, verdict: Verdict, out: list[Release]) -> bool:
        """Make a verdict final; False when the trace was settled already."""
        if self._undecided.pop(local.trace_id, None) is None:
            return False
        local.verdict = verdict
        number = len(local.spans)
        spans = local.spans[:number]
        # What a thread appends without the lock in between stays: that thread looks at the verdict afterwards.
        del local.spans[:number]
        self._released += number
        next(self._counts[verdict])
        if local.open or not local.root_ended:
            self._following[local.trace_id] = local
            if len(self._following) > self.rules.decisions:
                for old in list(self._following.values())[: 1 + self.rules.decisions // _SLACK]:
                    del self._following[old.trace_id]
                    self._memory.remember(old.trace_id, old.verdict)
        else:
            self._memory.remember(local.trace_id, verdict)
        out.append(Release(local, spans, verdict, decided=True))
        return True

    def _evict(self, out: list[Release]) -> None:
        """Decide on the oldest traces by the baseline alone, until there is room."""
        most = self.rules.max_spans
        spans = self.buffered - (most - most // _SLACK) if self.buffered > most else 0
        traces = len(self._undecided) - (most - most // _SLACK) if len(self._undecided) > most else 0
        for local in list(self._undecided.values()):
            if spans <= 0 and traces <= 0:
                return
            if local.spans or traces > 0:
                spans -= len(local.spans)
                traces -= 1
                telemetry.count("tail.evicted_early")
                self._settle(local, self._verdict_of(local, by_chance=True), out)

    # --- time

    def sweep(self) -> list[Release]:
        """Decide on what has become old, slow or forgotten; called about every second."""
        now, out = self._clock(), list[Release]()
        for local in list(self._undecided.values()):
            age = now - local.born_ns
            lost = _lost(local) if age > _YOUNG_NS else ()
            if age >= self._max_age_ns or lost or now > local.slow_at or local.idle_ns is not None:
                with self._lock:
                    if self._undecided.get(local.trace_id) is local:
                        self._sweep(local, lost, age, now, out)
        for local in list(self._following.values()):
            lost = _lost(local)
            if lost or not local.open:
                with self._lock:
                    self._forget(local, lost)
                    if not local.open and self._following.pop(local.trace_id, None) is not None:
                        self._memory.remember(local.trace_id, local.verdict)
        return out

    def _sweep(self, local: LocalTrace, lost: Sequence[int], age: int, now: int, out: list[Release]) -> None:
        self._forget(local, lost)
        if local.open:
            local.idle_ns = None
        if age >= self._max_age_ns:
            telemetry.count("tail.aged")
            if local.open:
                telemetry.count("tail.unfinished", len(local.open))
            self._decide(local, "aged", out)
        elif local.root_ended and not local.open:
            if local.idle_ns is None:
                local.idle_ns = now
            if now - local.idle_ns >= self._linger_ns:
                self._decide(local, "complete", out)
        elif now > local.slow_at:
            local.keep = local.keep or "slow"
            self._settle_early(local, out)

    def _forget(self, local: LocalTrace, lost: Sequence[int]) -> None:
        """Give up spans that nobody can finish any more."""
        for span_id in lost:
            if local.open.pop(span_id, None) is not None:
                if local.roots.pop(span_id, None) is not None:
                    local.root_ended = True
                telemetry.count("tail.unfinished")

    def close(self) -> list[Release]:
        """Decide on everything with what is there, and take nothing more."""
        out: list[Release] = []
        with self._lock:
            self._closed = True
            for local in list(self._undecided.values()):
                if local.open:
                    telemetry.count("tail.unfinished", len(local.open))
                self._decide(local, "closed", out)
        return out

    # --- inside

    def _verdict(self, kept: bool, policy: str) -> Verdict:
        verdict = Verdict(kept, policy)
        if verdict not in self._counts:
            shown = policy if policy in _COUNTED or policy.startswith(("attribute-", "drop-")) else "vote"
            self._counts[verdict] = telemetry.steps_of(
                (f"tail.decided.kept.{shown}" if kept else f"tail.decided.dropped.{shown}",)
            )
        return verdict

    def _bucket(self, per_second: float | None, lock: threading.Lock) -> TokenBucket | None:
        if per_second is None:
            return None
        capacity = max(per_second, 1.0)
        return TokenBucket(per_second, capacity, clock=lambda: self._clock() / 1e9, fraction=lambda: 1.0, lock=lock)


def _alive() -> bool:
    """Stand in for the weak reference to a span that takes none."""
    return True


def _lost(local: LocalTrace) -> list[int]:
    return [span_id for span_id, alive in list(local.open.items()) if alive() is None]


def _attributes(span: Any) -> Mapping[str, Any]:
    # The SDK's public property copies; nobody changes what is only read.
    found = getattr(span, "_attributes", None)
    return {} if found is None else found
