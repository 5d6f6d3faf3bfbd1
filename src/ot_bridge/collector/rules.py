"""The rules of ``Settings.tail`` as policies of the Collector's ``tail_sampling``, and what differs.

The Collector asks every policy and keeps a trace that any of them keeps; a ``drop`` wins over all. Where it has no
policy that says the same, ``ottl_condition`` says it: an ``ottl_condition`` is asked about one span at a time, compares
integers with floats, and turns what is no text into text for ``IsMatch``. ``numeric_attribute`` does not: it takes a
text or a float for 0. Source: opentelemetry-collector-contrib, processor/tailsamplingprocessor, README.md and
internal/sampling.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ot_bridge.collector.re2 import NotRE2Error, to_re2
from ot_bridge.collector.sizing import Fleet
from ot_bridge.collector.versions import is_at_least
from ot_bridge.environment import wrong
from ot_bridge.tail_specs import Match, TailRules

__all__ = ["KEPT_IN_PROCESS", "NOT_CHOSEN", "STAMP", "Policy", "differences", "policies"]

STAMP: Final = "ot_bridge.tail.policy"
"""The attribute by which the tail sampler in a process says why it kept a trace."""
NOT_CHOSEN: Final = "remote"
"""Its value where the process kept what another one had sampled, without a rule of its own."""
KEPT_IN_PROCESS: Final = "kept-in-process"

_MOST_INT32: Final = 2**31 - 1
_MOST_INT64: Final = 2**63 - 1
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,17}")
_DECIMAL: Final = re.compile(r"-?[0-9]{1,15}\.[0-9]{1,9}")


class Policy(NamedTuple):
    """One policy: its name, its type, and what stands under the type."""

    name: str
    type: str
    body: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return it as the configuration has it."""
        return {"name": self.name, "type": self.type, self.type: dict(self.body)}


def policies(
    rules: TailRules,
    fleet: Fleet,
    *,
    drop_routes: Sequence[str] = (),
    version: int | None = None,
    origin: str = "argument",
) -> tuple[Policy, ...]:
    """Return the policies, each with a name of its own.

    Args:
        rules: what the processes would keep.
        fleet: for what is counted in spans here and in traces there.
        drop_routes: values of ``http.route`` to drop whatever else is said.
        version: the Collector's minor version, None for any.
        origin: where the rules come from, for the error.

    Raises:
        ConfigError: the Collector cannot be told one of them.
    """
    return tuple(_policies(rules, fleet, drop_routes, version, origin))


def _policies(
    rules: TailRules, fleet: Fleet, drop_routes: Sequence[str], version: int | None, origin: str
) -> Iterator[Policy]:
    # What a process has chosen is not chosen among again: 1% of 1% would be left. Where another process began the
    # trace, "remote" says that nothing was chosen at all: with it every trace that passes two processes would stay.
    stamp = f"attributes[{_quoted(STAMP)}]"
    yield _condition(KEPT_IN_PROCESS, [f"{stamp} != nil and {stamp} != {_quoted(NOT_CHOSEN)}"])
    yield Policy("debug", "boolean_attribute", {"key": "jaeger.debug", "value": True})
    forced = {"key": "sampling.priority", "min_value": 1, "max_value": _MOST_INT32}
    yield Policy("forced", "numeric_attribute", forced)
    if drop_routes:
        routes = [_text("drop route", route, origin) for route in drop_routes]
        sub_policy = Policy("route", "string_attribute", {"key": "http.route", "values": routes})
        yield Policy("drop-routes", "drop", {"drop_sub_policy": [sub_policy.as_dict()]})
    if rules.errors:
        yield Policy("errors", "status_code", {"status_codes": ["ERROR"]})
    limit_s = rules.slow_ceiling_s if rules.slow_quantile is not None else rules.slow_s
    if limit_s is not None:
        yield Policy("slow", "latency", {"threshold_ms": _milliseconds(limit_s)})
    if rules.slow_span_s is not None:
        longer = f"(end_time_unix_nano - start_time_unix_nano) > {min(round(rules.slow_span_s * 1e9), _MOST_INT64)}"
        yield _condition("slow-span", [longer])
    for number, match in enumerate(rules.attributes, start=1):
        yield _attribute(f"attribute-{number}", match, origin)
    if rules.rate is not None:
        yield Policy("rate", "rate_limiting", _rate(rules.rate, fleet, version))
    if rules.rest > 0:
        # Nine digits are more than the hash of the policy can tell apart.
        yield Policy("baseline", "probabilistic", {"sampling_percentage": float(f"{rules.rest * 100:.9g}")})


def _milliseconds(seconds: float) -> int:
    return min(max(1, round(seconds * 1000)), _MOST_INT64)


def _rate(traces_per_second: float, fleet: Fleet, version: int | None) -> dict[str, int]:
    spans = math.ceil(traces_per_second / fleet.samplers * fleet.spans_per_trace)
    # A trace of more spans than there are in a second never passes.
    one_trace = math.ceil(fleet.spans_per_trace)
    limits = {"spans_per_second": max(spans, one_trace)}
    if is_at_least(version, 153):
        limits = {"spans_per_second": max(spans, 1), "burst_capacity": max(spans, one_trace)}
    return limits


def _condition(name: str, conditions: list[str]) -> Policy:
    return Policy(name, "ottl_condition", {"error_mode": "ignore", "span": conditions})


def _attribute(name: str, match: Match, origin: str) -> Policy:
    key = _text(name, match.key, origin)
    for text in (*match.values, match.pattern or ""):
        _text(name, text, origin)
    if match.key != "name" and match.values and not any(map(_is_typed, match.values)):
        return Policy(name, "string_attribute", {"key": key, "values": list(match.values)})
    target = "name" if match.key == "name" else f"attributes[{_quoted(key)}]"
    return _condition(name, list(_conditions(name, target, match, origin)))


def _is_typed(value: str) -> bool:
    """Tell whether the value of an attribute that is written so may be no text."""
    if _DECIMAL.fullmatch(value):
        return str(float(value)) == value  # a process compares text, and writes 1.5 for 1.50
    return value in ("true", "false") or bool(_INTEGER.fullmatch(value))


def _conditions(name: str, target: str, match: Match, origin: str) -> Iterator[str]:
    """Yield conditions of which one has to hold."""
    for value in match.values:
        yield f"{target} == {_quoted(value)}"
        if _is_typed(value) and target != "name":
            yield f"{target} == {value}"
    if match.pattern is not None:
        try:
            pattern = to_re2(match.pattern)
        except NotRE2Error as error:
            wanted = f"a regular expression that the Collector can read (RE2), without {error}"
            raise wrong(name, match.pattern, origin, wanted) from None
        yield f"IsMatch({target}, {_quoted(pattern)})"
    if match.bounds:
        yield " and ".join(f"{target} {sign} {_number(name, bound, origin)}" for sign, bound in match.bounds)


def _number(name: str, bound: float, origin: str) -> str:
    if not math.isfinite(bound) or abs(bound) > 2**53:
        raise wrong(name, bound, origin, "a bound from -2**53 to 2**53")
    return f"{bound:.9f}".rstrip("0").removesuffix(".")


def _quoted(text: str) -> str:
    """Return a text as OTTL takes it, by the rules of Go."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _text(name: str, text: str, origin: str) -> str:
    """Return a text that YAML can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise wrong(name, text, origin, "text in UTF-8") from None
    return text


def differences(rules: TailRules, *, drop_routes: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what the policies do otherwise than the rules in a process, a sentence or two each."""
    warned = (_DROPS_ERRORS,) if drop_routes else ()
    return (*warned, *(one.text for one in _DIFFERENCES if one.concerns(rules)))


def _is_slow(rules: TailRules) -> bool:
    return rules.slow_s is not None or rules.slow_quantile is not None


def _compares_text(rules: TailRules) -> bool:
    return any(match.values and match.key != "name" for match in rules.attributes)


class _Difference(NamedTuple):
    concerns: Callable[[TailRules], bool]
    text: str


_DROPS_ERRORS: Final = (
    "WARNING drop-routes wins over every other policy: a failing request to such a route is dropped too, and so is a "
    "whole trace in which any span has the route, not the first alone."
)
_DIFFERENCES: Final = (
    _Difference(
        lambda rules: bool(rules.drops),
        "drop: not here, as the Collector would drop errors with the rest; --drop-route ROUTE asks for that. What a "
        "process drops does not arrive.",
    ),
    _Difference(
        _is_slow,
        "slow: the time from the earliest start to the latest end of the whole trace, so that work after the answer "
        "counts too; from 0.157 on longer than the limit, before that also as long.",
    ),
    _Difference(
        lambda rules: rules.slow_quantile is not None,
        "slow: the Collector has no running percentile; the upper limit of the rule stands here. What a process found "
        "slow by its percentile is kept by the first policy.",
    ),
    _Difference(
        lambda rules: _is_slow(rules) and _milliseconds(rules.slow_ceiling_s) != rules.slow_ceiling_s * 1000,
        "slow: in whole milliseconds, at least one.",
    ),
    _Difference(
        _compares_text,
        "attribute: policies of the type string_attribute look at the attributes of resources too; none looks into "
        "lists.",
    ),
    _Difference(
        lambda rules: rules.rate is not None,
        "rate: of the fleet, shared out among the samplers and counted in spans; what other policies keep counts too. "
        "In a process it is traces of that process.",
    ),
    _Difference(
        lambda rules: rules.rest > 0,
        "baseline: other traces than those of the processes, as the hash is another. It applies to what no process has "
        "chosen: the first policy keeps those, so that the parts do not multiply.",
    ),
    _Difference(
        lambda rules: rules.max_kept_per_s is not None,
        "max_kept has no counterpart: when everything fails everything is kept; size the backend's queue for it.",
    ),
)
