"""Jaeger's decisions as OpenTelemetry Samplers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState, get_current_span
from opentelemetry.util.types import Attributes

from ot_bridge import telemetry
from ot_bridge.sampling.decisions import Answer, Decider

__all__ = ["JaegerSampler", "RootSampler"]

_DROP: Final = Decision.DROP
_SAMPLE: Final = Decision.RECORD_AND_SAMPLE


class RootSampler(Sampler):
    """Asks a decider about every span, for use as root of a ``ParentBased`` of your own.

    Roots that are sampled get the attributes ``sampler.type`` and ``sampler.param``: Jaeger's adaptive sampling counts
    by exactly these. The trace state of a parent is kept. Never raises.

    Args:
        decider: what decides.
    """

    def __init__(self, decider: Decider) -> None:
        self.decider = decider

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
        above = get_current_span(parent_context).get_span_context()
        state = above.trace_state if above.is_valid else None
        sampled, tags = self.decide(trace_id, name)
        if not sampled:
            return SamplingResult(_DROP, None, state)
        if not above.is_valid:
            attributes = {**(attributes or {}), **tags}  # type: ignore[dict-item]  # numbers, texts and bools
        return SamplingResult(_SAMPLE, attributes, state)

    def decide(self, trace_id: int, operation: str) -> Answer:
        """Return the decider's answer; no where it raises."""
        try:
            return self.decider.decide(trace_id, operation)
        except Exception:
            telemetry.warn_once("sampler.failed", "a sampler failed to decide; not sampled", exc_info=True)
            return False, {}

    def get_description(self) -> str:
        name, _, parts = repr(self.decider).partition("(")
        return f"Jaeger{name}{{{parts.removesuffix(')')}}}"

    def close(self) -> None:
        """Stop what the decider does in the background."""
        self.decider.close()


class JaegerSampler(ParentBased):
    """Follows the parent, local or remote; a decider decides where there is none.

    Args:
        decider: decides on roots.
    """

    def __init__(self, decider: Decider) -> None:
        root = RootSampler(decider)
        super().__init__(root)
        self.decider = decider
        self.decide_root = root.decide
        """What :mod:`ot_bridge.recorder` asks instead of :meth:`should_sample`."""

    def close(self) -> None:
        """Stop what the decider does in the background."""
        self.decider.close()

    def __repr__(self) -> str:
        return f"JaegerSampler({self.decider!r})"
