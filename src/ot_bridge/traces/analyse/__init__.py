"""What one trace tells: each rule a pure function of a trace (seeing.md 1), all of them in `RULES`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ot_bridge.traces.analyse.finding import CERTAINTIES, SEVERITIES, Certainty, Finding, Severity
from ot_bridge.traces.analyse.reading import Reading, read
from ot_bridge.traces.analyse.rules import RULES, Rule
from ot_bridge.traces.tree import Trace

__all__ = ["RULES", "Analysis", "Certainty", "Finding", "Reading", "Rule", "Severity", "analyse"]


class Analysis(NamedTuple):
    """All that was found in one trace.

    Attributes:
        findings: the worst and surest first.
    """

    reading: Reading
    findings: Sequence[Finding]


def analyse(trace: Trace, now_ns: int | None = None) -> Analysis:
    """Apply every rule to a trace.

    Args:
        trace: any.
        now_ns: when it is read, if it may still be arriving; None when it is finished.
    """
    reading = read(trace, now_ns)
    found = [finding for rule in RULES for finding in rule.find(reading)]
    found.sort(key=lambda one: (SEVERITIES.index(one.severity), CERTAINTIES.index(one.certainty)))
    return Analysis(reading, found)
