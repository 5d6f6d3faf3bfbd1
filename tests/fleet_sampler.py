"""A Collector's tail_sampling in miniature: what its README and its source say about the policies, and no more.

It reads a configuration as it is printed, so that what a fleet would keep can be counted without a Collector.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

__all__ = ["Span", "keeps", "policies_of", "undoubled"]

_TERM = re.compile(
    r"""\s*(?:(?P<match>IsMatch)\((?P<target>name|attributes\["(?:\\.|[^"\\])*"\]),\s*(?P<pattern>"(?:\\.|[^"\\])*")\)
    |(?P<left>\(end_time_unix_nano\ -\ start_time_unix_nano\)|name|attributes\["(?:\\.|[^"\\])*"\])
     \s*(?P<sign>==|!=|>=|<=|>|<)\s*
     (?P<right>"(?:\\.|[^"\\])*"|nil|true|false|-?[0-9]+(?:\.[0-9]+)?))\s*""",
    re.VERBOSE,
)


class Span(NamedTuple):
    """What the policies look at."""

    name: str = "span"
    attributes: Mapping[str, Any] = {}
    seconds: float = 0.0
    error: bool = False


def undoubled(value: Any) -> Any:
    """Return a configuration as the Collector has it, with one dollar sign for two."""
    if isinstance(value, dict):
        return {key: undoubled(below) for key, below in value.items()}
    if isinstance(value, list):
        return [undoubled(below) for below in value]
    return value.replace("$$", "$") if isinstance(value, str) else value


def policies_of(configuration: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the policies of a configuration as it was read from YAML."""
    return list(undoubled(configuration["processors"]["tail_sampling"]["policies"]))


def keeps(policies: Sequence[Mapping[str, Any]], trace: Sequence[Span], chance: Random) -> bool:
    """Decide about a whole trace: a drop wins, else one policy that samples is enough."""
    votes = [(policy["type"], _votes(policy, trace, chance)) for policy in policies]
    if any(kind == "drop" and vote for kind, vote in votes):
        return False
    return any(vote for _, vote in votes)


def _votes(policy: Mapping[str, Any], trace: Sequence[Span], chance: Random) -> bool:
    kind = policy["type"]
    body = policy[kind]
    if kind == "drop":
        return all(_votes(below, trace, chance) for below in body["drop_sub_policy"])
    if kind == "status_code":
        return any(span.error for span in trace) and body["status_codes"] == ["ERROR"]
    if kind == "latency":
        return max(span.seconds for span in trace) * 1000 > body["threshold_ms"]
    if kind == "probabilistic":
        return chance.random() * 100 < body["sampling_percentage"]
    if kind == "ottl_condition":
        return any(_holds(condition, span) for span in trace for condition in body["span"])
    found = [span.attributes[body["key"]] for span in trace if body["key"] in span.attributes]
    if kind == "boolean_attribute":
        return any(isinstance(value, bool) and value is body["value"] for value in found)
    if kind == "numeric_attribute":
        # What is no integer counts as 0.
        integers = [value if isinstance(value, int) and not isinstance(value, bool) else 0 for value in found]
        return any(body["min_value"] <= value <= body["max_value"] for value in integers)
    assert kind == "string_attribute", kind
    return any(isinstance(value, str) and value in body["values"] for value in found)


def _holds(condition: str, span: Span) -> bool:
    """Evaluate the part of OTTL that is written: comparisons with "and" between them, and IsMatch."""
    at = 0
    results = []
    while True:
        found = _TERM.match(condition, at)
        assert found is not None, condition[at:]
        results.append(_term(found, span))
        at = found.end()
        if at == len(condition):
            return all(results)
        assert condition.startswith("and ", at), condition[at:]
        at += 4


def _term(found: re.Match[str], span: Span) -> bool:
    if found["match"]:
        value = _value(found["target"], span)
        if value is None:
            return False
        text = ("false", "true")[value] if isinstance(value, bool) else str(value)
        return re.search(_unquoted(found["pattern"]).replace("\\z", "\\Z"), text) is not None
    left, sign, right = _value(found["left"], span), found["sign"], _literal(found["right"])
    same = _is_number(left) == _is_number(right) and isinstance(left, bool) == isinstance(right, bool)
    if sign in ("==", "!="):
        return (same and left == right) == (sign == "==")
    if not (_is_number(left) and _is_number(right)):
        return False
    return {">=": left >= right, "<=": left <= right, ">": left > right, "<": left < right}[sign]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _value(path: str, span: Span) -> Any:
    if path == "name":
        return span.name
    if path.startswith("("):
        return round(span.seconds * 1e9)
    return span.attributes.get(_unquoted(path.removeprefix("attributes[").removesuffix("]")))


def _literal(text: str) -> Any:
    words = {"nil": None, "true": True, "false": False}
    if text in words:
        return words[text]
    if text.startswith('"'):
        return _unquoted(text)
    return float(text) if "." in text else int(text)


def _unquoted(text: str) -> str:
    escapes = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\"}

    def one(found: re.Match[str]) -> str:
        return chr(int(found[1], 16)) if found[1] else escapes[found[2]]

    return re.sub(r"\\(?:u([0-9a-f]{4})|(.))", one, text[1:-1])
