"""Tail sampling for the part of a trace that lives in one process: keep what failed, what was slow, and a little else.

    provider.add_span_processor(TailSamplingProcessor(BatchSpanProcessor(exporter), "errors,slow:1s,rest:1%"))

``policies``, ``percentile``, ``decisions`` and ``threshold`` are plain; ``buffer`` holds the traces; ``processor``
meets OpenTelemetry. The rules as data and as text: :mod:`ot_bridge.tail_specs`.
"""

from __future__ import annotations

from ot_bridge.sampling.tail.decisions import TailDecision, downstream
from ot_bridge.sampling.tail.head import RecordingSampler, takes_all
from ot_bridge.sampling.tail.processor import TailSamplingProcessor, Vote, in_front_of, rules_of

__all__ = [
    "RecordingSampler",
    "TailDecision",
    "TailSamplingProcessor",
    "Vote",
    "downstream",
    "in_front_of",
    "rules_of",
    "takes_all",
]
