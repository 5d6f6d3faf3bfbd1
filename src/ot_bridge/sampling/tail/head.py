"""The head sampler in front of a tail sampler that may still want what it does not choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, DEFAULT_ON, Decision, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from ot_bridge.sampling.adapter import JaegerSampler
from ot_bridge.sampling.decisions import Answer, Const

__all__ = ["RecordingSampler", "takes_all"]

_DROP: Final = Decision.DROP
_RECORD: Final = Decision.RECORD_ONLY


class RecordingSampler(Sampler):
    """Records every span. What is sampled, and what other services are told, stays another sampler's decision.

    Args:
        sampler: that one.
    """

    records_all = True
    """What :mod:`ot_bridge.recorder` asks."""

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        self.decide_root: Callable[[int, str], Answer] | None = getattr(sampler, "decide_root", None)

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        result = self.sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)
        if result.decision is not _DROP:
            return result
        return SamplingResult(_RECORD, attributes, result.trace_state)

    def get_description(self) -> str:
        return f"RecordingSampler{{{self.sampler.get_description()}}}"

    def close(self) -> None:
        """Stop what the sampler does in the background."""
        close = getattr(self.sampler, "close", None)
        if callable(close):
            close()


def takes_all(sampler: Sampler) -> bool:
    """Tell whether a sampler takes every trace that begins here, as far as can be known."""
    if sampler is ALWAYS_ON or sampler is DEFAULT_ON:
        return True
    return isinstance(sampler, JaegerSampler) and sampler.decider == Const(True)
