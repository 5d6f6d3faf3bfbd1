"""How much the machine holds: the highest rate at which no span finds the queue full."""

from __future__ import annotations

import time
from typing import Final

from soak.load import SPANS_PER_REQUEST
from soak.phases import QUEUE_FULL
from soak.processes import Application

__all__ = ["highest", "proven"]

_FIRST: Final = 2000.0
_STEP, _BACK, _HEADROOM = 1.25, 0.95, 0.95
_PROBE_S, _PROOF_S, _CALM_S = 3.0, 20.0, 1.5
_REACHED: Final = 0.98


def highest(application: Application) -> float:
    """Return the highest rate that was held for some seconds: sought upwards in steps, then between the last two."""
    low, high = 0.0, _FIRST
    while _holds(application, high, _PROBE_S):
        low, high = high, high * _STEP
    for _ in range(3):
        middle = (low + high) / 2
        if _holds(application, middle, _PROBE_S):
            low = middle
        else:
            high = middle
    return low


def proven(application: Application, rate: float) -> float:
    """Return a rate a little under one that was held for longer: minutes bring what a probe does not."""
    while not _holds(application, rate, _PROOF_S):
        rate *= _BACK
    return rate * _HEADROOM


def _holds(application: Application, rate: float, seconds: float) -> bool:
    application.do("rate", rate)
    began, before = time.monotonic(), application.do("sample")
    time.sleep(seconds)
    after, took_s = application.do("sample"), time.monotonic() - began
    reached = (after["requests"] - before["requests"]) * SPANS_PER_REQUEST / took_s
    lost = after["counters"].get(QUEUE_FULL, 0) - before["counters"].get(QUEUE_FULL, 0)
    holds = not lost and reached >= _REACHED * rate
    if not holds:
        application.do("rate", 0)
        time.sleep(_CALM_S)
    return holds
