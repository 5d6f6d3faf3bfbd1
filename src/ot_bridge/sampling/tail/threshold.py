"""What an honest tail sampler writes about probability: the ``th`` of the tracestate member ``ot``.

Source: OpenTelemetry specification 1377f53b, trace/tracestate-probability-sampling.md and tracestate-handling.md
(Development): T is 56 bits, a trace is kept if its randomness is at least T, ``th`` may only rise on its way, and a
stage that does not know the probability erases it. ``rv`` is never changed.
"""

from __future__ import annotations

import re
from typing import Final

from opentelemetry.trace import TraceState

__all__ = ["ERASE", "LEAVE", "read_threshold", "threshold_after", "with_threshold"]

LEAVE: Final = "leave"
ERASE: Final = "erase"

_CONTENT: Final = ("error", "slow", "slow_span", "debug", "forced", "remote")
_TH: Final = re.compile(r"[0-9a-f]{1,14}")
_MEMBER: Final = "ot"


def threshold_after(
    policy: str, received: int | None, *, own: int, randomness: int, sampled: bool, started_here: bool, takes_all: bool
) -> int | str:
    """Return the threshold to write, LEAVE, or ERASE.

    Args:
        policy: what kept the trace.
        received: the threshold in its trace state, None without one.
        own: the baseline's threshold.
        randomness: of the trace.
        sampled: the flag that it came with, or got from the head sampler.
        started_here: whether its root is in this process.
        takes_all: whether the head sampler takes every trace.
    """
    contradicted = received is not None and sampled != (randomness >= received)
    if contradicted or not sampled or policy == "rate":
        return ERASE
    certain = received is not None or (started_here and takes_all)
    if policy == "baseline":
        return max(received or 0, own) if certain else ERASE
    if policy in _CONTENT or policy.startswith("attribute-"):
        return 0 if received is None and certain else LEAVE
    return ERASE  # an application's own vote: nobody knows its probability


def read_threshold(state: TraceState) -> int | None:
    """Return the received threshold as 56 bits, None without a valid one."""
    for part in state.get(_MEMBER, "").split(";"):
        key, _, value = part.partition(":")
        if key == "th" and _TH.fullmatch(value):
            return int(value.ljust(14, "0"), 16)
    return None


def with_threshold(state: TraceState, wanted: int | str) -> TraceState:
    """Return the trace state with this threshold, or without one; all else in it stays."""
    if wanted == LEAVE:
        return state
    parts = [part for part in state.get(_MEMBER, "").split(";") if part and not part.startswith("th:")]
    if isinstance(wanted, int):
        parts.insert(0, "th:" + (f"{wanted:014x}".rstrip("0") or "0"))
    member = ";".join(parts)
    if member == state.get(_MEMBER, ""):
        return state
    if not member:
        return state.delete(_MEMBER)
    return state.update(_MEMBER, member) if _MEMBER in state else state.add(_MEMBER, member)
