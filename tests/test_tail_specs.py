"""The text of tail sampling: what it says, and how each mistake is refused."""

from __future__ import annotations

import dataclasses
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ot_bridge import ConfigError, Settings
from ot_bridge.sampler_specs import SpecError
from ot_bridge.tail_specs import LIMIT_ROWS, MAX_PATTERN, POLICY_ROWS, Match, TailRules, read_tail


def changed(rules: TailRules) -> dict[str, Any]:
    """Return the fields that are not at their default."""
    defaults = TailRules()
    return {
        field.name: getattr(rules, field.name)
        for field in dataclasses.fields(rules)
        if getattr(rules, field.name) != getattr(defaults, field.name)
    }


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("errors,slow:1s,rest:1%", {"errors": True, "slow_s": 1.0, "rest": 0.01}),
        (" ERRORS , slow : 250ms ,, rest: 0.01 ", {"errors": True, "slow_s": 0.25, "rest": 0.01}),
        ("slow:1.5m", {"slow_s": 90.0}),
        ("slow:50us", {"slow_s": 0.00005}),
        ("slow:p99", {"slow_quantile": 0.99, "slow_s": 1.0}),
        ("slow:p99.9:50ms..5s", {"slow_quantile": 0.999, "slow_floor_s": 0.05, "slow_s": 5.0}),
        ("slow:p50:0..1s", {"slow_quantile": 0.5, "slow_floor_s": 0.0, "slow_s": 1.0}),
        ("slowspan:5s", {"slow_span_s": 5.0}),
        ("attr:tenant=acme|globex", {"attributes": (Match("tenant", ("acme", "globex")),)}),
        (
            "attr:a=1,attr:b~x{1\\,3}=y",
            {"attributes": (Match("a", ("1",)), Match("b", pattern="x{1,3}=y"))},
        ),
        ("attr:http.status_code>=500", {"attributes": (Match("http.status_code", bounds=((">=", 500.0),)),)}),
        ("attr:n<-1.5", {"attributes": (Match("n", bounds=(("<", -1.5),)),)}),
        ("attr:n=500..599", {"attributes": (Match("n", bounds=((">=", 500.0), ("<=", 599.0))),)}),
        ("attr:url=http://x/?a=b", {"attributes": (Match("url", ("http://x/?a=b",)),)}),
        (
            "drop:http.route=/health,drop:name~^GET",
            {"drops": (Match("http.route", ("/health",)), Match("name", pattern="^GET"))},
        ),
        ("rate:10/s", {"rate": 10.0}),
        ("rest:100%", {"rest": 1.0}),
        ("rest:1", {"rest": 1.0}),
        (
            "errors,remote=decide,promote_local,drop_errors,write_th",
            {"errors": True, "remote": "decide", "promote_local": True, "drop_errors": True, "write_th": True},
        ),
        ("linger=500ms,max_age=1m,decisions=7", {"linger_s": 0.5, "max_age_s": 60.0, "decisions": 7}),
        (
            "max_spans=10,max_spans_per_trace=5,max_kept=100/s",
            {"max_spans": 10, "max_spans_per_trace": 5, "max_kept_per_s": 100.0},
        ),
        ("linger=0,rest:1%", {"rest": 0.01}),
    ],
)
def test_text_says(text: str, fields: dict[str, Any]) -> None:
    assert changed(read_tail(text)) == fields
    assert Settings(tail=text).tail == text


BAD = [
    ("", "got '' (argument), expected items with commas between them, such as 'errors,slow:1s,rest:1%'", ""),
    (7, "got 7 (argument), expected items with commas", ""),
    ("eror,rest:1%", "got 'eror'", "did you mean 'errors'?"),
    ("max_span=5", "got 'max_span'", "did you mean 'max_spans'?"),
    ("errors:yes", "got 'errors:yes' (argument), expected 'errors'", ""),
    ("slow", "got 'slow' (argument), expected a duration, or pNN, or pNN:least..most, such as 'slow:1s'", ""),
    ("slow:1", "got '1' (argument), expected a duration", "did you mean '1s'?"),
    ("slow:0s", "got 'slow:0s' (argument), expected a duration", ""),
    ("slow:-1s", "got 'slow:-1s'", ""),
    ("slow:p49", "got 'slow:p49'", ""),
    ("slow:p100", "got 'slow:p100'", ""),
    ("slow:p99:5s..1s", "got 'slow:p99:5s..1s'", ""),
    ("slow:1s,slow:p99", "got 'slow:p99' (argument), expected slow at most once", ""),
    ("errors,errors", "got 'errors' (argument), expected errors at most once", ""),
    ("slow=1s", "got 'slow=1s' (argument), expected a duration", ""),
    ("max_spans:5", "got 'max_spans:5' (argument), expected an integer above 0", ""),
    ("rest:5", "got '5' (argument), expected a part, in percent or from 0 to 1", "did you mean '5%'?"),
    ("rest:101%", "got 'rest:101%'", ""),
    ("rest:nan", "got 'rest:nan'", ""),
    ("rate:10", "got '10' (argument), expected traces per second", "did you mean '10/s'?"),
    ("rate:0/s", "got 'rate:0/s'", ""),
    ("attr:tenant", "got 'attr:tenant' (argument), expected key=value, key=one|another", ""),
    ("attr:a=x||y", "got 'attr:a=x||y'", ""),
    ("attr:n>x", "got 'attr:n>x'", ""),
    ("attr:n=9..1", "got 'attr:n=9..1' (argument), expected n=low..high with the lower number first", ""),
    ("attr:n~(", "got 'attr:n~(' (argument), expected a regular expression: ", ""),
    ("attr:n~" + "x" * (MAX_PATTERN + 1), f"expected a regular expression of at most {MAX_PATTERN} characters", ""),
    ("remote=kep", "got 'kep' (argument), expected keep or decide", "did you mean 'keep'?"),
    ("promote_local=no", "got 'promote_local=no' (argument), expected nothing after it, such as 'promote_local'", ""),
    ("max_spans=0", "got 'max_spans=0' (argument), expected an integer above 0, such as 'max_spans=20000'", ""),
    ("max_spans=1_0", "got 'max_spans=1_0'", ""),
    ("linger=soon", "got 'linger=soon' (argument), expected a duration, such as 'linger=500ms'", ""),
    ("max_kept=many", "got 'max_kept=many'", ""),
]


@pytest.mark.parametrize(("text", "reason", "hint"), BAD, ids=[repr(case[0])[:30] for case in BAD])
def test_mistake_is_refused_with_its_place_and_its_cure(text: Any, reason: str, hint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Settings(tail=text)
    assert str(refused.value).startswith("cannot use tail: ")
    assert reason in str(refused.value)
    assert str(refused.value).endswith(hint) if hint else "did you mean" not in str(refused.value)


def test_none_in_the_variable_is_no_tail_sampling() -> None:
    assert Settings.from_env({"OT_BRIDGE_TAIL": "none"}).tail is None
    assert Settings.from_env({"OT_BRIDGE_TAIL": "errors"}).tail == "errors"


@pytest.mark.parametrize("row", [*POLICY_ROWS.values(), *LIMIT_ROWS.values()], ids=lambda row: row.name)
def test_every_example_is_taken(row: Any) -> None:
    text = row.example if row.name in POLICY_ROWS else f"{row.name}={row.example}" if row.example else row.name
    read_tail(text)


@given(st.text("errorslwatp:,=~<>%/.|0123456789\\( ", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(SpecError):
        assert isinstance(read_tail(text), TailRules)


WRONG_FIELDS: list[dict[str, Any]] = [
    {"errors": 1},
    {"slow_s": 0},
    {"slow_s": float("inf")},
    {"slow_quantile": 0.4},
    {"slow_floor_s": -1},
    {"slow_span_s": True},
    {"rate": 0},
    {"rest": 1.1},
    {"rest": float("nan")},
    {"drop_errors": None},
    {"remote": "Keep"},
    {"promote_local": "no"},
    {"write_th": 0},
    {"linger_s": -0.1},
    {"max_age_s": 0},
    {"max_spans": 0},
    {"max_spans": 1.5},
    {"max_spans_per_trace": True},
    {"max_kept_per_s": -1},
    {"decisions": 10**9},
    {"attributes": [Match("a", ("b",))]},
    {"drops": (Match("a", pattern="("),)},
    {"slow_floor_s": 2, "slow_quantile": 0.99},
]


@pytest.mark.parametrize("fields", WRONG_FIELDS, ids=str)
def test_value_out_of_range_is_refused_by_name(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"cannot use {next(iter(fields))}: got .* \\(argument of TailRules\\)"):
        TailRules(**fields)


def test_every_policy_has_a_row_and_every_row_its_words() -> None:
    names = {name for row in POLICY_ROWS.values() for name in row.policies}
    assert names == {"drop-N", "error", "slow", "slow_span", "attribute-N", "rate", "baseline"}
    assert [row.name for row in POLICY_ROWS.values() if not re.search(r"\w", row.meaning)] == []
