"""What a rule says: its sentence, its evidence, its certainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ot_bridge.traces.words import plural

__all__ = ["CERTAINTIES", "MOST", "SEVERITIES", "Certainty", "Finding", "Severity", "at_most"]

Certainty: TypeAlias = Literal["sure", "likely", "guess"]
Severity: TypeAlias = Literal["error", "warning", "note"]

CERTAINTIES: Sequence[Certainty] = ("sure", "likely", "guess")
SEVERITIES: Sequence[Severity] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """What one rule found in one trace.

    Attributes:
        rule: its key in `RULES`, and its section in docs/analyse.md.
        verdict: which of the rule's outcomes this is, such as `gave-up`; `""` where the rule has one.
        text: one sentence for people, with the numbers that matter.
        certainty: how sure the rule can be.
        severity: `error` when it is why the request failed, `warning` when somebody should look, else `note`.
        spans: the evidence: indices in `Trace.spans`, the one to look at first.
        service: the service to look at; `""` when it is none.
        numbers: what the text says in numbers, for programs; names end in their unit (`_ns`), counts in `count`.
        advice: what to do next; `""` when the text says it.
    """

    rule: str
    text: str
    certainty: Certainty
    severity: Severity
    spans: tuple[int, ...] = ()
    verdict: str = ""
    service: str = ""
    numbers: Mapping[str, float | str] = field(default_factory=dict)
    advice: str = ""


MOST = 20
"""A rule that finds more of one kind says how many more there are."""


def at_most(found: Sequence[Finding], count: int | None = None) -> Sequence[Finding]:
    """Keep the first `MOST` findings of a rule, and say how many were left out.

    Args:
        found: the weightiest first.
        count: how many there are in all, where only `MOST` and one more were worked out.
    """
    if len(found) <= MOST:
        return found
    left = (count or len(found)) - MOST
    text = f"{plural(left, 'more finding')} of this rule, each of less weight, {'is' if left == 1 else 'are'} left out."
    rest = Finding(found[0].rule, text, "sure", "note", found[MOST].spans, "more", numbers={"count": left})
    return [*found[:MOST], rest]
