"""The table of rules: one row, one file, one section of docs/analyse.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from ot_bridge.traces.analyse.consecutive import could_be_parallel
from ot_bridge.traces.analyse.cut import cut_trace
from ot_bridge.traces.analyse.error_origin import error_origin
from ot_bridge.traces.analyse.finding import Finding
from ot_bridge.traces.analyse.floods import span_flood
from ot_bridge.traces.analyse.reading import Reading
from ot_bridge.traces.analyse.repeated import repeated_calls
from ot_bridge.traces.analyse.retries import timeouts_and_retries
from ot_bridge.traces.analyse.skew import clock_skew
from ot_bridge.traces.analyse.unexplained import unexplained_time
from ot_bridge.traces.analyse.where_time_went import where_time_went

__all__ = ["RULES", "Find", "Rule"]

Find: TypeAlias = Callable[[Reading], Sequence[Finding]]


class Rule(NamedTuple):
    """One rule.

    Attributes:
        key: its name in findings, in `--json`, and its anchor in docs/analyse.md.
        title: for headings.
        find: the function.
    """

    key: str
    title: str
    find: Find


RULES: Sequence[Rule] = (
    Rule("error-origin", "Where an error began", error_origin),
    Rule("cut-trace", "Why a trace is cut", cut_trace),
    Rule("clock-skew", "Clocks that differ", clock_skew),
    Rule("critical-path", "Where the time went", where_time_went),
    Rule("repeated-calls", "The same call again and again", repeated_calls),
    Rule("could-be-parallel", "Calls that could run side by side", could_be_parallel),
    Rule("unexplained-time", "Time that no span explains", unexplained_time),
    Rule("timeouts-and-retries", "Timeouts and retries", timeouts_and_retries),
    Rule("span-flood", "Span floods", span_flood),
)
