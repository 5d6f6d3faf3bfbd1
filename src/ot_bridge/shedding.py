"""What the CPU budget can pull, in this order: the rest of a tail sampler, detail, and the head.

Each is chosen so that it costs nothing while it is not pulled: the head's decision stands in front of the recorder's
only then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import DEFAULT_TRACE_STATE, TraceState

from ot_bridge import telemetry
from ot_bridge.head import SHED
from ot_bridge.recording import SpanRules, cleaner
from ot_bridge.sampling.tail.policies import baseline_threshold
from ot_bridge.sampling.tail.processor import TailSamplingProcessor
from ot_bridge.sampling.tail.threshold import ERASE, with_threshold

if TYPE_CHECKING:
    from ot_bridge.parents import Parent
    from ot_bridge.recorder import SpanRecorder
    from ot_bridge.tags import Tags

__all__ = ["HEAD_SHED", "DetailLever", "HeadLever", "RestLever", "levers_of"]

HEAD_SHED: Final = "ot_bridge.head_shed"
"""On local roots that were kept while others were shed: which part was kept."""

_LOW_56: Final = 2**56 - 1
_LONGEST_VALUE: Final = 256
_KEPT: Final = "tail.decided.kept."
_BY_NUMBER: Final = ("rate", "baseline")


def levers_of(recorder: SpanRecorder, processors: Iterable[SpanProcessor]) -> list[RestLever | DetailLever | HeadLever]:
    """Return what can be pulled of one tracer: rest and detail only where a tail sampler decides."""
    tails = [one for one in processors if isinstance(one, TailSamplingProcessor)]
    rest = [RestLever(tail) for tail in tails]
    detail = [DetailLever(recorder._rules)] if tails else []
    return [*rest, *detail, HeadLever(recorder)]


class RestLever:
    """Lowers what a tail sampler keeps of traces that nothing else keeps: its baseline and its rate.

    Args:
        tail: the tail sampler.
    """

    name = "rest"
    gradual = True

    def __init__(self, tail: TailSamplingProcessor) -> None:
        self._tail = tail
        self._before: dict[str, int] = {}

    def gain_s(self, costs: Mapping[str, float]) -> float:
        """Return the part of the export that those traces are."""
        now = {name: number for name, number in telemetry.snapshot().items() if name.startswith(_KEPT)}
        kept = {name.removeprefix(_KEPT): number - self._before.get(name, 0) for name, number in now.items()}
        self._before = now
        every = sum(kept.values())
        return costs["export"] * sum(kept.get(name, 0) for name in _BY_NUMBER) / every if every > 0 else 0.0

    def pull(self, part: float) -> None:
        """Keep this part of what the rules say."""
        traces = self._tail._traces
        traces.threshold = baseline_threshold(traces.rules.rest * part)
        rate = traces.rules.rate
        if rate is not None and traces._rate is not None:
            traces._rate.update(rate * part, max(rate * part, 1.0))


class DetailLever:
    """Leaves out the logs that tell of no error, and cuts long tags, where a tail sampler drops most of them anyway.

    Args:
        rules: what the spans of the tracer share.
    """

    name = "detail"
    gradual = False

    def __init__(self, rules: SpanRules) -> None:
        self._rules = rules
        self._limit = rules.tag_limit
        self._last_s = 0.0

    def gain_s(self, costs: Mapping[str, float]) -> float:
        """Return what logs cost; while there are none, what they did cost."""
        if not self._rules.terse:
            self._last_s = costs["log"]
        return self._last_s

    def pull(self, part: float) -> None:
        """Leave all, or nothing of it."""
        rules = self._rules
        limit = self._limit if part else min(self._limit or _LONGEST_VALUE, _LONGEST_VALUE)
        rules.leave_out_logs(terse=not part)
        rules.clean_tag = cleaner(limit, rules.settings)
        rules.tag_limit = limit


class HeadLever:
    """Drops a part of the traces that start here, whole, by their ids; none that another process samples.

    Args:
        recorder: starts the spans.
    """

    name = "head"
    gradual = True

    def __init__(self, recorder: SpanRecorder) -> None:
        self._recorder = recorder

    def gain_s(self, costs: Mapping[str, float]) -> float:
        """Not asked: what is dropped costs what a dropped span costs."""
        return sum(costs.values())

    def pull(self, part: float) -> None:
        """Let this part of new traces through."""
        threshold = round((1 - part) * 2**56)
        self._recorder.put_before_sampler(partial(_decide, self._recorder, part, threshold) if part < 1 else None)


def _decide(
    recorder: SpanRecorder,
    part: float,
    threshold: int,
    parent: Parent,
    trace_id: int,
    name: str,
    tags: Tags,
    attributes: dict[str, Any],
    inherited: bool,
) -> tuple[Decision, TraceState | None, bool, dict[str, Any]]:
    above = parent.span_context
    shed = trace_id & _LOW_56 < threshold
    if above is not None:
        # Below a root that was shed, also where the sampler does not ask for parents.
        follows = shed and not above.is_remote and not above.trace_flags & 1 and tags[1] is not True
        if follows:
            return Decision.DROP, above.trace_state, False, SHED
        return type(recorder)._decide(recorder, parent, trace_id, name, tags, attributes, inherited)
    if shed and tags[1] is None and parent.debug_id is None:
        return Decision.DROP, None, False, SHED
    found = type(recorder)._decide(recorder, parent, trace_id, name, tags, attributes, inherited)
    decision, state, debug, own = found
    if decision is Decision.DROP or debug:
        return found
    own[HEAD_SHED] = part
    # The probability that somebody else has written there is not that of this trace any more.
    return decision, with_threshold(state, ERASE) if state else state or DEFAULT_TRACE_STATE, debug, own
