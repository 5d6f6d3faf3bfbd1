"""The policies as questions about spans: plain functions, no state.

The order in which they are asked, and what wins: :data:`ot_bridge.tail_specs.POLICY_ROWS`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from ot_bridge.codecs.tracecontext import is_debug
from ot_bridge.tail_specs import Match

__all__ = [
    "Question",
    "baseline_threshold",
    "first_match",
    "forced_by",
    "is_kept_by_hash",
    "is_refused",
    "questions",
    "randomness",
]

LOW_56: Final = 2**56 - 1

Question = Callable[[str, Mapping[str, Any]], bool]
"""From a span's name and attributes to yes or no."""

_LONGEST_VALUE: Final = 4096
_OPERATORS: Final = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
_RV: Final = re.compile(r"(?:^|;)rv:([0-9a-f]{14})(?:;|$)")


def baseline_threshold(part: float) -> int:
    """Return T: the traces whose randomness is at least T are this part of all."""
    return round((1 - part) * 2**56)


def randomness(trace_id: int, trace_state: Mapping[str, str]) -> int:
    """Return R: the ``rv`` of the member ``ot``, else the low 56 bits of the trace id. It is never made up here."""
    if trace_state:
        found = _RV.search(trace_state.get("ot", ""))
        if found is not None:
            return int(found[1], 16)
    return trace_id & LOW_56


def is_kept_by_hash(trace_id: int, trace_state: Mapping[str, str], threshold: int) -> bool:
    """Tell whether the baseline keeps a trace. Every process with the same part says the same."""
    return randomness(trace_id, trace_state) >= threshold


def questions(matches: Sequence[Match], name: str) -> tuple[tuple[str, Question], ...]:
    """Return the questions, each with its policy's name: ``attribute-1``, ``attribute-2``."""
    return tuple((f"{name}-{number}", _question(match)) for number, match in enumerate(matches, start=1))


def first_match(asked: Sequence[tuple[str, Question]], name: str, attributes: Mapping[str, Any]) -> str | None:
    """Return the name of the first question that a span answers with yes."""
    for policy, question in asked:
        if question(name, attributes):
            return policy
    return None


def forced_by(trace_state: Mapping[str, str], attributes: Mapping[str, Any]) -> str | None:
    """Return "forced" for a span with ``sampling.priority``, "debug" for any other one of a debug trace, else None."""
    priority = attributes.get("sampling.priority")
    if isinstance(priority, int | float) and priority > 0:
        return "forced"
    return "debug" if is_debug(trace_state) else None


def is_refused(attributes: Mapping[str, Any]) -> bool:
    """Tell whether a native span says ``sampling.priority`` 0; one of the bridge has no such attribute left."""
    priority = attributes.get("sampling.priority")
    return isinstance(priority, int | float) and not isinstance(priority, bool) and priority == 0


def _question(match: Match) -> Question:
    if match.pattern is not None:
        return partial(_ask, match.key, partial(_searches, re.compile(match.pattern).search))
    if match.bounds:
        tests = [(_OPERATORS[sign], bound) for sign, bound in match.bounds]
        return partial(_ask, match.key, partial(_lies, tests))
    return partial(_ask, match.key, partial(_is_one_of, frozenset(match.values)))


def _ask(key: str, test: Callable[[Any], bool], name: str, attributes: Mapping[str, Any]) -> bool:
    value = name if key == "name" else attributes.get(key)
    if value is None:
        return False
    return any(map(test, value)) if isinstance(value, list | tuple) else test(value)


def _text(value: Any) -> str:
    return ("false", "true")[value] if isinstance(value, bool) else str(value)


def _is_one_of(values: frozenset[str], value: Any) -> bool:
    return _text(value) in values


def _searches(search: Callable[[str], object], value: Any) -> bool:
    return search(_text(value)[:_LONGEST_VALUE]) is not None


def _lies(tests: Sequence[tuple[Callable[[Any, Any], bool], float]], value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and all(compare(value, bound) for compare, bound in tests)
    )
