"""How tail sampling is written in text: ``errors,slow:1s,rest:1%``, and what such a text says.

One row of :data:`POLICY_ROWS` per policy and one of :data:`LIMIT_ROWS` per limit: they drive the check of
``Settings.tail`` and the table of the page. :mod:`ot_bridge.sampling.tail` builds what is read here. The order of the
items says nothing: the policies have an order of their own, that of :data:`POLICY_ROWS`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from ot_bridge.environment import wrong
from ot_bridge.errors import ConfigError
from ot_bridge.sampler_specs import SpecError

__all__ = [
    "LIMIT_ROWS",
    "MAX_PATTERN",
    "POLICY_ROWS",
    "TAIL_FORM",
    "LimitRow",
    "Match",
    "PolicyRow",
    "TailRules",
    "read_tail",
]

MAX_PATTERN: Final = 200
"""Characters of a regular expression: those of a table, not of a program."""

_ARGUMENT: Final = "argument of TailRules"
_NUMBER: Final = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"
_UNITS: Final = {"us": (1, 10**6), "ms": (1, 1000), "s": (1, 1), "m": (60, 1)}
_COMPARISONS: Final = (">=", "<=", ">", "<")


class Match(NamedTuple):
    """A question about one attribute of a span: ``key=a|b``, ``key~regex``, ``key>=n`` or ``key=low..high``.

    The key ``name`` is the span's name. Values are compared as text, true and false in lower case; of a list, any
    element counts. A regular expression is searched for anywhere in the value. Numbers are compared with numbers only.
    """

    key: str
    values: tuple[str, ...] = ()
    pattern: str | None = None
    bounds: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class TailRules:
    """What is kept, and how much is held meanwhile. Immutable and checked.

    Args:
        errors: keep a local trace in which a span ends with the status ERROR.
        slow_s: keep one whose local root takes longer than so many seconds. With ``slow_quantile`` the most that the
            limit may become, 1 second when it is None.
        slow_quantile: keep one whose local root takes longer than 1.5 times this quantile of its operation, from 0.5
            up to 0.999.
        slow_floor_s: the least that this limit may become, in seconds.
        slow_span_s: keep one in which any span takes longer than so many seconds.
        attributes: keep one in which any span answers one of these questions.
        drops: drop one whose local root answers one of these, unless ``errors`` keeps it.
        rate: of the others, keep so many traces per second.
        rest: of the others, keep this part, from 0 to 1, by the trace id: the same part in every service.
        drop_errors: ``drops`` win over errors too.
        remote: "keep": what another process has sampled is kept whole. "decide": the rules decide here too.
        promote_local: record what the head sampler did not choose, and send the part of this process when an error,
            slowness or an attribute keeps it.
        write_th: write OpenTelemetry's probability threshold into the trace state of what is exported.
        linger_s: seconds to wait after the last span before a trace is dropped.
        max_age_s: seconds after which a trace is decided on with what is there.
        max_spans_per_trace: ended spans after which it is.
        max_spans: ended spans held in all; above it the oldest traces are decided on by ``rest`` alone.
        max_kept_per_s: traces kept per second, whatever the reason but a debug flag or another process's choice.
        decisions: traces of which the decision is remembered.

    Raises:
        ConfigError: a value is out of its range; the text names the field.
    """

    errors: bool = False
    slow_s: float | None = None
    slow_quantile: float | None = None
    slow_floor_s: float = 0.1
    slow_span_s: float | None = None
    attributes: tuple[Match, ...] = ()
    drops: tuple[Match, ...] = ()
    rate: float | None = None
    rest: float = 0.0
    drop_errors: bool = False
    remote: str = "keep"
    promote_local: bool = False
    write_th: bool = False
    linger_s: float = 0.0
    max_age_s: float = 30.0
    max_spans_per_trace: int = 1000
    max_spans: int = 20_000
    max_kept_per_s: float | None = None
    decisions: int = 20_000

    def __post_init__(self) -> None:
        for name, (check, wanted) in _CHECKS.items():
            value = getattr(self, name)
            optional = name in _OPTIONAL and value is None
            if not optional and not check(value):
                raise wrong(name, value, _ARGUMENT, wanted + (", or None" if name in _OPTIONAL else ""))
        for name in ("attributes", "drops"):
            found = getattr(self, name)
            if not isinstance(found, tuple) or not all(isinstance(one, Match) for one in found):
                raise wrong(name, found, _ARGUMENT, "a tuple of Match")
            for one in found:
                reason = _unusable(one.pattern)
                if reason is not None:
                    raise wrong(name, one.pattern, _ARGUMENT, reason)
        if self.slow_quantile is not None and self.slow_floor_s > self.slow_ceiling_s:
            raise wrong("slow_floor_s", self.slow_floor_s, _ARGUMENT, f"at most {self.slow_ceiling_s:g}, as slow_s is")

    @property
    def slow_ceiling_s(self) -> float:
        """What is slow in any case, in seconds."""
        return 1.0 if self.slow_s is None else self.slow_s


def _is_number(value: object, least: float, most: float = math.inf, *, above: bool = False) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return False
    return least < value <= most if above else least <= value <= most


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9


_Check = tuple[Callable[[Any], bool], str]
_FLAG: Final[_Check] = (lambda value: isinstance(value, bool), "True or False")
_SECONDS: Final[_Check] = (lambda value: _is_number(value, 0, above=True), "seconds, a finite number above 0")
_PER_SECOND: Final[_Check] = (lambda value: _is_number(value, 0, above=True), "traces per second, a number above 0")
_COUNT: Final[_Check] = (_is_count, "an integer above 0")
_NOT_NEGATIVE: Final[_Check] = (lambda value: _is_number(value, 0), "seconds, a finite number of at least 0")
_OPTIONAL: Final = ("slow_s", "slow_quantile", "slow_span_s", "rate", "max_kept_per_s")
_CHECKS: Final[Mapping[str, _Check]] = {
    "errors": _FLAG,
    "slow_s": _SECONDS,
    "slow_quantile": (lambda value: _is_number(value, 0.5, 0.999), "a number from 0.5 to 0.999"),
    "slow_floor_s": _NOT_NEGATIVE,
    "slow_span_s": _SECONDS,
    "rate": _PER_SECOND,
    "rest": (lambda value: _is_number(value, 0, 1), "a number from 0 to 1"),
    "drop_errors": _FLAG,
    "remote": (lambda value: value in ("keep", "decide"), "'keep' or 'decide'"),
    "promote_local": _FLAG,
    "write_th": _FLAG,
    "linger_s": _NOT_NEGATIVE,
    "max_age_s": _SECONDS,
    "max_spans_per_trace": _COUNT,
    "max_spans": _COUNT,
    "max_kept_per_s": _PER_SECOND,
    "decisions": _COUNT,
}


# --- the text

_Fields = dict[str, Any]


class PolicyRow(NamedTuple):
    """One policy as data, in the order in which they are asked."""

    name: str
    argument: str | None
    """What stands after the colon, in words; None for nothing."""
    example: str
    meaning: str
    policies: tuple[str, ...]
    """What it is called in ``ot_bridge.tail.policy`` and in the counters; ``N`` stands for its number."""
    read: Callable[[str, str], _Fields]
    """From the argument and what is wanted to fields of TailRules. Raises SpecError."""


class LimitRow(NamedTuple):
    """One limit or choice: ``name=value``."""

    name: str
    field: str
    argument: str
    example: str
    meaning: str
    read: Callable[[str, str], Any]


def read_tail(text: object) -> TailRules:
    """Read such a text.

    Raises:
        SpecError: it is none.
    """
    if not isinstance(text, str) or not text.strip():
        raise SpecError(text, TAIL_FORM)
    found: _Fields = {}
    for item in (part.strip().replace("\\,", ",") for part in re.split(r"(?<!\\),", text)):
        if item:
            _add(found, item)
    try:
        return TailRules(**found)
    except ConfigError as error:
        raise SpecError(text, f"values that go together: {error}") from None


def _add(found: _Fields, item: str) -> None:
    """Read one item into the fields; Raises SpecError."""
    word = re.match(r"[\w-]*", item)
    name = word[0].lower() if word else ""
    rest = item[len(name) :].lstrip()
    mark = rest[:1]
    policy, limit = POLICY_ROWS.get(name), LIMIT_ROWS.get(name)
    try:
        if policy is not None:
            wanted = _wanted(policy.example, policy.argument)
            if mark != ("" if policy.argument is None else ":"):
                raise SpecError(item, wanted)
            fields = policy.read(rest[1:].strip(), wanted)
        elif limit is not None:
            wanted = _wanted(f"{limit.name}={limit.example}" if limit.example else limit.name, limit.argument)
            if mark not in ("", "="):
                raise SpecError(item, wanted)
            fields = {limit.field: limit.read(rest[1:].strip(), wanted)}
        else:
            raise SpecError(name or item, TAIL_FORM, [*POLICY_ROWS, *LIMIT_ROWS])
    except SpecError as error:
        # The whole item is easier to find again than a part of it, unless the part has a likely cure.
        raise (error if error.known else SpecError(item, str(error))) from None
    for field, value in fields.items():
        if field in ("attributes", "drops"):
            found[field] = found.get(field, ()) + value
        elif field in found:
            raise SpecError(item, f"{name} at most once")
        else:
            found[field] = value


def _wanted(example: str, argument: str | None) -> str:
    return repr(example) if argument is None else f"{argument}, such as {example!r}"


def _duration(text: str, wanted: str) -> float:
    found = re.fullmatch(f"({_NUMBER})(us|ms|s|m)", text)
    seconds = 0.0
    if found is not None:
        times, parts = _UNITS[found[2]]
        seconds = float(found[1]) * times / parts
    if seconds <= 0:
        hint = [f"{text}s", f"{text}ms"] if re.fullmatch(_NUMBER, text) else ()
        raise SpecError(text, wanted, hint)
    return seconds


def _linger(text: str, wanted: str) -> float:
    return 0.0 if re.fullmatch("0(us|ms|s|m)?", text) else _duration(text, wanted)


def _read_errors(_: str, __: str) -> _Fields:
    return {"errors": True}


def _read_slow(text: str, wanted: str) -> _Fields:
    found = re.fullmatch(r"p([0-9]{2}(?:\.[0-9])?)(?::(.+?)\.\.(.+))?", text)
    if found is None:
        if text.startswith("p"):
            raise SpecError(text, wanted)
        return {"slow_s": _duration(text, wanted)}
    quantile = round(float(found[1]) / 100, 3)
    if not 0.5 <= quantile <= 0.999:
        raise SpecError(text, wanted)
    fields: _Fields = {"slow_quantile": quantile, "slow_s": 1.0}
    if found[2] is not None:
        fields |= {"slow_floor_s": _linger(found[2], wanted), "slow_s": _duration(found[3], wanted)}
        if fields["slow_floor_s"] > fields["slow_s"]:
            raise SpecError(text, wanted)
    return fields


def _read_slow_span(text: str, wanted: str) -> _Fields:
    return {"slow_span_s": _duration(text, wanted)}


def _read_rate(text: str, wanted: str) -> _Fields:
    return {"rate": _per_second(text, wanted)}


def _per_second(text: str, wanted: str) -> float:
    found = re.fullmatch(f"({_NUMBER})/s", text)
    if found is None or float(found[1]) == 0:
        raise SpecError(text, wanted, [f"{text}/s"] if re.fullmatch(_NUMBER, text) else ())
    return float(found[1])


def _read_rest(text: str, wanted: str) -> _Fields:
    found = re.fullmatch(f"({_NUMBER})(%?)", text)
    part = -1.0 if found is None else float(found[1]) / (100 if found[2] else 1)
    if not 0 <= part <= 1:
        raise SpecError(text, wanted, [f"{text}%"] if found and not found[2] and part <= 100 else ())
    return {"rest": part}


def _read_match(text: str, wanted: str) -> Match:
    # The operator nearest to the start: a value may have any of them.
    found = re.match(r"([^=~<>\s]+)\s*(>=|<=|=|~|>|<)\s*(.+)", text, re.DOTALL)
    if found is None:
        raise SpecError(text, wanted)
    key, operator, value = found[1], found[2], found[3].strip()
    if operator == "~":
        reason = _unusable(value)
        if reason is not None:
            raise SpecError(text, reason)
        return Match(key, pattern=value)
    if operator in _COMPARISONS:
        if not re.fullmatch(f"-?{_NUMBER}", value):
            raise SpecError(text, wanted)
        return Match(key, bounds=((operator, float(value)),))
    between = re.fullmatch(rf"(-?{_NUMBER})\.\.(-?{_NUMBER})", value)
    if between is not None:
        low, high = float(between[1]), float(between[2])
        if low > high:
            raise SpecError(text, f"{key}=low..high with the lower number first")
        return Match(key, bounds=((">=", low), ("<=", high)))
    values = tuple(one.strip() for one in value.split("|"))
    if not all(values):
        raise SpecError(text, wanted)
    return Match(key, values)


def _unusable(pattern: str | None) -> str | None:
    """Return what is wanted instead of a pattern that cannot be used; None for one that can."""
    if pattern is None:
        return None
    if len(pattern) > MAX_PATTERN:
        return f"a regular expression of at most {MAX_PATTERN} characters"
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as reason:
        return f"a regular expression: {reason}"
    return None


def _read_attribute(text: str, wanted: str) -> _Fields:
    return {"attributes": (_read_match(text, wanted),)}


def _read_drop(text: str, wanted: str) -> _Fields:
    return {"drops": (_read_match(text, wanted),)}


def _read_yes(text: str, wanted: str) -> bool:
    if text not in ("", "true", "1"):
        raise SpecError(text, wanted)
    return True


def _read_remote(text: str, wanted: str) -> str:
    if text not in ("keep", "decide"):
        raise SpecError(text, wanted, ("keep", "decide"))
    return text


def _read_count(text: str, wanted: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) == 0:
        raise SpecError(text, wanted)
    return int(text)


_MATCH: Final = "key=value, key=one|another, key~regex, key>=number or key=low..high"
_POLICIES: Final = (
    PolicyRow(
        "drop",
        _MATCH,
        "drop:http.route=/health",
        "drops a local trace whose local root answers this, unless errors keeps it",
        ("drop-N",),
        _read_drop,
    ),
    PolicyRow(
        "errors",
        None,
        "errors",
        "keeps a local trace in which any span ends with the status ERROR",
        ("error",),
        _read_errors,
    ),
    PolicyRow(
        "slow",
        "a duration, or pNN, or pNN:least..most",
        "slow:1s",
        "keeps one whose local root takes longer; p99: longer than 1.5 times this percentile of its operation, and "
        "never less than least (100ms) or more than most (1s)",
        ("slow",),
        _read_slow,
    ),
    PolicyRow(
        "slowspan",
        "a duration",
        "slowspan:5s",
        "keeps one in which any span takes longer",
        ("slow_span",),
        _read_slow_span,
    ),
    PolicyRow(
        "attr",
        _MATCH,
        "attr:tenant=acme|globex",
        "keeps one in which any span answers this",
        ("attribute-N",),
        _read_attribute,
    ),
    PolicyRow(
        "rate",
        "traces per second",
        "rate:10/s",
        "of the others keeps up to so many per second",
        ("rate",),
        _read_rate,
    ),
    PolicyRow(
        "rest",
        "a part, in percent or from 0 to 1",
        "rest:1%",
        "of the others keeps this part, by the trace id: the same traces in every service",
        ("baseline",),
        _read_rest,
    ),
)
_YES: Final = "nothing after it"
_LIMITS: Final = (
    LimitRow(
        "remote",
        "remote",
        "keep or decide",
        "decide",
        "keep (the default): what another process has sampled is kept whole; decide: the policies decide",
        _read_remote,
    ),
    LimitRow(
        "promote_local",
        "promote_local",
        _YES,
        "",
        "what the head sampler does not choose is recorded too, and the part of this process is sent when an error, "
        "slowness or an attribute keeps it",
        _read_yes,
    ),
    LimitRow("drop_errors", "drop_errors", _YES, "", "drop wins over errors too", _read_yes),
    LimitRow(
        "write_th",
        "write_th",
        _YES,
        "",
        "the probability goes into the tracestate of what is exported (ot=th)",
        _read_yes,
    ),
    LimitRow(
        "linger",
        "linger_s",
        "a duration",
        "500ms",
        "how long to wait after the last span before a trace is dropped; 0 by default",
        _linger,
    ),
    LimitRow(
        "max_age",
        "max_age_s",
        "a duration",
        "30s",
        "after this a trace is decided with what is there; 30s by default",
        _duration,
    ),
    LimitRow(
        "max_spans_per_trace",
        "max_spans_per_trace",
        "an integer above 0",
        "1000",
        "with so many ended spans too; 1000 by default",
        _read_count,
    ),
    LimitRow(
        "max_spans",
        "max_spans",
        "an integer above 0",
        "20000",
        "ended spans held in all; above it the oldest traces are decided by rest alone; 20000 by default",
        _read_count,
    ),
    LimitRow(
        "max_kept",
        "max_kept_per_s",
        "traces per second",
        "100/s",
        "at most so many traces are kept, whatever the policy, but for debug, forced and remote ones",
        _per_second,
    ),
    LimitRow(
        "decisions",
        "decisions",
        "an integer above 0",
        "20000",
        "how many decisions are remembered, for late spans; 20000 by default",
        _read_count,
    ),
)

POLICY_ROWS: Final[Mapping[str, PolicyRow]] = MappingProxyType({row.name: row for row in _POLICIES})
LIMIT_ROWS: Final[Mapping[str, LimitRow]] = MappingProxyType({row.name: row for row in _LIMITS})
TAIL_FORM: Final = (
    "items with commas between them, such as 'errors,slow:1s,rest:1%', out of "
    + ", ".join(row.name + ("" if row.argument is None else ":...") for row in _POLICIES)
    + ", "
    + ", ".join(row.name + (f"={row.example}" if row.example else "") for row in _LIMITS)
)
