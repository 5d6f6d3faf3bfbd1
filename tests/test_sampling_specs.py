"""The text of a sampler: one table for the settings, the variables, the entry points and the pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ot_bridge import ConfigError, Settings, sampling
from ot_bridge.sampler_specs import SAMPLER_ROWS, SamplerSpec, SpecError, read_endpoint, read_spec
from ot_bridge.sampling import BUILDERS, Const, PerOperation, Probabilistic, RateLimiting, native

ROOT = Path(__file__).parent.parent
REMOTE: dict[str, object] = {
    "endpoint": "http://localhost:5778/sampling",
    "polling_interval_ms": 60_000,
    "initial_rate": 0.001,
    "max_operations": 2000,
}

TEXTS: list[tuple[str, str, dict[str, object]]] = [
    ("const:1", "const", {"decision": True}),
    ("const:0", "const", {"decision": False}),
    ("const:true", "const", {"decision": True}),
    (" CONST : False ", "const", {"decision": False}),
    ("probabilistic:0.1", "probabilistic", {"rate": 0.1}),
    ("probabilistic:1e-3", "probabilistic", {"rate": 0.001}),
    ("probabilistic:0", "probabilistic", {"rate": 0.0}),
    ("ratelimiting:2.5", "ratelimiting", {"max_traces_per_second": 2.5}),
    ("ratelimiting:1000", "ratelimiting", {"max_traces_per_second": 1000.0}),
    ("guaranteed:0.01,0.5", "guaranteed", {"rate": 0.01, "lower_bound": 0.5}),
    ("guaranteed: 1 , 0 ", "guaranteed", {"rate": 1.0, "lower_bound": 0.0}),
    ("remote", "remote", REMOTE),
    ("remote:", "remote", REMOTE),
    (
        "remote:endpoint=https://a:1/s?x=1,pollingIntervalMs=5000,initialSamplingRate=0.25,maxOperations=10,",
        "remote",
        {
            "endpoint": "https://a:1/s?x=1",
            "polling_interval_ms": 5000,
            "initial_rate": 0.25,
            "max_operations": 10,
        },
    ),
    ("remote: endpoint = agent:5778 ", "remote", {**REMOTE, "endpoint": "http://agent:5778/sampling"}),
    ("remote:endpoint=http://[::1]:5778/", "remote", {**REMOTE, "endpoint": "http://[::1]:5778/sampling"}),
]


@pytest.mark.parametrize(("text", "name", "arguments"), TEXTS, ids=[case[0] for case in TEXTS])
def test_text_is_read(text: str, name: str, arguments: dict[str, object]) -> None:
    assert read_spec(text) == SamplerSpec(name, arguments)
    assert Settings(sampler=text).sampler == text


FORM = "expected one of 'const:1', 'probabilistic:0.1', 'ratelimiting:2.5', 'guaranteed:0.01,0.5', 'remote:endpoint="
RATE = "expected 'probabilistic:' and the rate, a number from 0 to 1, such as 'probabilistic:0.1'"
LIMIT = "expected 'ratelimiting:' and traces per second, a number of at least 0, such as 'ratelimiting:2.5'"
KEYS = "expected one of endpoint, pollingIntervalMs, initialSamplingRate, maxOperations; did you mean "
URL = "expected 'remote:' and endpoint=URL of http or https, without user and fragment, such as "

MISTAKES: list[tuple[Any, str]] = [
    (7, f"got 7 (argument), {FORM}"),
    ("", f"got '' (argument), {FORM}"),
    ("probablistic:0.1", f"got 'probablistic' (argument), {FORM}"),
    ("probablistic:0.1", "did you mean 'probabilistic'?"),
    ("parentbased_always_on", f"got 'parentbased_always_on' (argument), {FORM}"),
    ("const", "got 'const' (argument), expected 'const:' and 1 or 0, such as 'const:1'"),
    ("const:2", "got 'const:2' (argument), expected 'const:' and 1 or 0, such as 'const:1'"),
    *[
        (f"probabilistic:{bad}", f"got 'probabilistic:{bad}' (argument), {RATE}")
        for bad in ("", "ten", "1.1", "-0.1", "nan", "inf", "0_1", "1e400", "\u0661", "0.1,0.2")
    ],
    ("probabilistic", f"got 'probabilistic' (argument), {RATE}"),
    *[(f"ratelimiting:{bad}", f"got 'ratelimiting:{bad}' (argument), {LIMIT}") for bad in ("-1", "inf", "nan", "x")],
    (
        "guaranteed:0.1",
        "got 'guaranteed:0.1' (argument), expected 'guaranteed:' and the rate, a number from 0 to 1, a ",
    ),
    (
        "guaranteed:2,1",
        "got 'guaranteed:2,1' (argument), expected 'guaranteed:' and the rate, a number from 0 to 1, a ",
    ),
    ("guaranteed:0.1,-1", "got 'guaranteed:0.1,-1' (argument), expected 'guaranteed:' and the rate, a number from 0 "),
    ("remote:endpont=http://a", f"got 'endpont' (argument), {KEYS}'endpoint'?"),
    ("remote:http://a:1", f"got 'http://a:1' (argument), {KEYS[:-15]}"),
    ("remote:pollingIntervalMS=5", f"got 'pollingIntervalMS' (argument), {KEYS}'pollingIntervalMs'?"),
    ("remote:pollingIntervalMs=0", "expected 'remote:' and pollingIntervalMs=MILLISECONDS, an integer above 0"),
    ("remote:pollingIntervalMs=1.5", "expected 'remote:' and pollingIntervalMs=MILLISECONDS, an integer above 0"),
    ("remote:maxOperations=-1", "expected 'remote:' and maxOperations=NUMBER, an integer above 0"),
    ("remote:initialSamplingRate=2", "expected 'remote:' and initialSamplingRate=RATE, a number from 0 to 1"),
    ("remote:maxOperations", "expected 'remote:' and maxOperations=NUMBER, an integer above 0, once"),
    ("remote:maxOperations=1,maxOperations=2", "maxOperations=NUMBER, an integer above 0, once"),
    *[
        (f"remote:endpoint={bad}", URL)
        for bad in (
            "",
            "ftp://a",
            "grpc://a:5779",
            "http://",
            "http://a:0",
            "http://a:99999",
            "http://a:x",
            "http://u:p@a",
            "http://a/#f",
            "http://a?service=b",
            "http://a/ b",
            "http://\u00e4",
            "http://[::1",
        )
    ],
]


@pytest.mark.parametrize(("text", "reason"), MISTAKES, ids=[f"{case[0]}-{n}" for n, case in enumerate(MISTAKES)])
def test_mistake_is_refused_by_name_at_set_up(text: Any, reason: str) -> None:
    with pytest.raises(ConfigError) as of_settings:
        Settings(sampler=text)
    with pytest.raises(ConfigError) as of_build:
        sampling.build(text, service_name="shop")
    assert str(of_settings.value).startswith("cannot use sampler: got ")
    assert reason in str(of_settings.value)
    assert str(of_build.value).startswith("cannot use sampler: got ")
    assert reason in str(of_build.value).replace("(argument of build)", "(argument)")


@settings(deadline=None)
@given(
    st.text(max_size=30)
    | st.sampled_from(list(SAMPLER_ROWS)).flatmap(lambda n: st.text(max_size=20).map(f"{n}:".__add__))
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found: object = read_spec(text).name
    except SpecError as error:
        found = error.wanted
    assert found


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1e9))
def test_any_number_in_range_is_read_as_it_was_written(rate: float, limit: float) -> None:
    read = [read_spec(text).arguments for text in (f"probabilistic:{rate!r}", f"guaranteed:{rate!r},{limit!r}")]
    assert read == [{"rate": rate}, {"rate": rate, "lower_bound": limit}]


def test_variable_sets_the_sampler() -> None:
    read = [Settings.from_env({"OT_BRIDGE_SAMPLER": text}).sampler for text in ("const:1", "None", "")]
    assert read == ["const:1", None, None]


def test_mistake_in_the_variable_is_refused_by_its_name() -> None:
    with pytest.raises(
        ConfigError, match=r"got 'const:2' \(environment variable OT_BRIDGE_SAMPLER\), expected 'const:'"
    ):
        Settings.from_env({"OT_BRIDGE_SAMPLER": "const:2"})


def test_endpoint_keeps_its_path_and_query() -> None:
    given = ("http://a", "a:1", "https://a:1/x", "http://a?q=1", "http://a/x?q=1")
    expected = ["http://a/p", "http://a:1/p", "https://a:1/x", "http://a/p?q=1", "http://a/x?q=1"]
    assert [read_endpoint(text, "/p", "a URL") for text in given] == expected


# -- one table ---------------------------------------------------------------------------------------------------------


def test_every_row_has_a_builder_and_an_entry_point() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    group = project.partition("[project.entry-points.opentelemetry_traces_sampler]\n")[2].partition("\n\n")[0]
    found = dict(re.findall(r'^(\w+) = "([\w.:]+)"$', group, flags=re.MULTILINE))
    assert list(BUILDERS) == list(SAMPLER_ROWS)
    assert found == {row.entry_point: f"{native.__name__}:{name}" for name, row in SAMPLER_ROWS.items()}
    assert sorted(native.__all__) == sorted(SAMPLER_ROWS)


@pytest.mark.parametrize("name", SAMPLER_ROWS)
def test_example_of_every_row_is_one(name: str) -> None:
    row = SAMPLER_ROWS[name]
    sampler = sampling.build(row.text, service_name="shop")
    sampler.close()
    assert (read_spec(row.text).name, sampler.decider.decide(1, "op")[0] in (True, False)) == (name, True)


@pytest.mark.parametrize(
    ("text", "decider"),
    [
        ("const:0", Const(False)),
        ("probabilistic:0.1", Probabilistic(0.1)),
        ("ratelimiting:2.5", RateLimiting(2.5)),
        ("guaranteed:0.01,0.5", PerOperation(0.01, 0.5)),
    ],
)
def test_text_builds_what_decides(text: str, decider: object) -> None:
    assert sampling.build(text, service_name="shop").decider == decider


def test_remote_is_built_with_all_that_the_text_says() -> None:
    text = "remote:endpoint=http://127.0.0.1:1,pollingIntervalMs=5000,initialSamplingRate=0.25,maxOperations=10"
    sampler = sampling.build(text, service_name="shop")
    sampler.close()
    remote: Any = sampler.decider
    assert repr(remote) == (
        "Remote(endpoint='http://127.0.0.1:1/sampling', service_name='shop', interval_s=5.0, "
        "current=Probabilistic(rate=0.25))"
    )
    assert remote._max_operations == 10


def test_page_lists_every_sampler_and_every_key_with_its_default() -> None:
    page = (ROOT / "docs" / "sampling.md").read_text(encoding="utf-8")
    texts = re.findall(r"^\| `(\w+[^`]*)` \| \D", page.partition("## Three ways")[0], flags=re.MULTILINE)
    remote = page.partition("## Remote sampling")[2].partition("\n## ")[0]
    keys = re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", remote, flags=re.MULTILINE)
    assert {read_spec(text).name for text in texts} == set(SAMPLER_ROWS)
    assert ", ".join(name for name, _ in keys) in KEYS
    assert len(keys) == len(REMOTE)
    assert read_spec("remote:" + ",".join(map("=".join, keys))) == read_spec("remote")
    assert [row.entry_point for row in SAMPLER_ROWS.values() if f"`{row.entry_point}`" not in page] == []
