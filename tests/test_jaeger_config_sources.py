"""Who wins: the dict, the argument, the variables of jaeger-client, and those of OpenTelemetry and of the bridge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ot_bridge import ConfigError
from ot_bridge.jaeger_config import CONFIG_KEYS, ENV_KEYS, Translation, translate
from ot_bridge.jaeger_config.result import DEFAULT


def rows(found: Translation) -> dict[str, tuple[str, str]]:
    """Return outcome and words of every key that was given."""
    return {row.key: (row.outcome, row.reason or row.note or "") for row in found.rows if row.origin != DEFAULT}


# -- the four variables that jaeger-client for Python reads ------------------------------------------------------------


def test_only_four_variables_are_read() -> None:
    assert [name for name, row in ENV_KEYS.items() if row.by_python] == [
        "JAEGER_AGENT_HOST",
        "JAEGER_AGENT_PORT",
        "JAEGER_TAGS",
        "JAEGER_TRACEID_128BIT",
    ]


@pytest.mark.parametrize(
    ("config", "environ", "host", "port", "bits"),
    [
        ({}, {}, "localhost", 6831, 64),
        ({}, {"JAEGER_AGENT_HOST": "e", "JAEGER_AGENT_PORT": "1", "JAEGER_TRACEID_128BIT": "true"}, "e", 1, 128),
        (
            {"local_agent": {"reporting_host": "d", "reporting_port": 2}, "generate_128bit_trace_id": False},
            {"JAEGER_AGENT_HOST": "e", "JAEGER_AGENT_PORT": "1", "JAEGER_TRACEID_128BIT": "true"},
            "d",
            2,
            64,
        ),
        ({"local_agent": {}}, {"JAEGER_AGENT_HOST": "e"}, "e", 6831, 64),
        ({"local_agent": {"reporting_host": None}}, {"JAEGER_AGENT_HOST": "e"}, "e", 6831, 64),
        ({}, {"JAEGER_AGENT_HOST": " ", "JAEGER_AGENT_PORT": "tcp://10.0.0.1:6831"}, "localhost", 6831, 64),
        ({}, {"JAEGER_TRACEID_128BIT": "True"}, "localhost", 6831, 64),
        ({}, {"JAEGER_TRACEID_128BIT": "1"}, "localhost", 6831, 64),
    ],
)
def test_dict_wins_over_the_variables(
    config: dict[str, Any], environ: dict[str, str], host: str, port: int, bits: int
) -> None:
    found = translate(config, environ=environ)
    assert (found.agent.host, found.agent.reporting_port, found.settings["trace_id_bits"]) == (host, port, bits)


def test_variable_that_loses_has_a_row() -> None:
    found = translate({"local_agent": {"reporting_host": "d"}}, environ={"JAEGER_AGENT_HOST": "e"})
    assert rows(found)["JAEGER_AGENT_HOST"] == (
        "unused",
        "the configuration has local_agent.reporting_host, which wins",
    )


def test_port_that_falls_back_is_said() -> None:
    found = rows(translate({}, environ={"JAEGER_AGENT_PORT": "tcp://10.0.0.1:6831"}))
    assert found["JAEGER_AGENT_PORT"][0] == "dropped"
    assert found["JAEGER_AGENT_PORT"][1].startswith("it is no port; 6831 counts, as jaeger-client falls back")


def test_port_of_the_dict_that_is_none_leaves_the_variable_its_turn() -> None:
    found = translate({"local_agent": {"reporting_port": "x"}}, environ={"JAEGER_AGENT_PORT": "5775"})
    assert found.agent.reporting_port == 5775
    assert rows(found)["local_agent.reporting_port"] == (
        "dropped",
        "it is no port; JAEGER_AGENT_PORT is asked, as jaeger-client falls back without a word",
    )


def test_tags_of_the_variable_win_over_the_dict() -> None:
    config = {"tags": {"team": "dict", "zone": "z"}}
    found = translate(config, environ={"JAEGER_TAGS": " team = env , k=v"})
    assert dict(found.resource) == {"zone": "z", "team": "env", "k": "v"}
    assert rows(found)["tags.team"] == ("unused", "JAEGER_TAGS has it too, and wins")
    assert config == {"tags": {"team": "dict", "zone": "z"}}


def test_what_jaeger_client_fails_over_in_jaeger_tags_is_read_and_said() -> None:
    found = translate({}, environ={"JAEGER_TAGS": "url=http://a/?b=c,hunter2,,ref=${HOME}"})
    assert dict(found.resource) == {"url": "http://a/?b=c", "ref": "${HOME}"}
    assert rows(found) == {
        "JAEGER_TAGS: url": ("carried", "jaeger-client fails over a second '='; here the first one separates"),
        "JAEGER_TAGS: item 2": ("dropped", "it is no key=value; jaeger-client fails over it"),
        "JAEGER_TAGS: item 3": ("dropped", "it is no key=value; jaeger-client fails over it"),
        "JAEGER_TAGS: ref": ("carried", "jaeger-client for Python does not fill in ${...}"),
    }


def test_other_variables_are_named_and_not_read() -> None:
    environ = {
        "JAEGER_SERVICE_NAME": "other",
        "JAEGER_SAMPLER_TYPE": "const",
        "JAEGER_ENDPOINT": "http://c:14268/api/traces",
        "JAEGER_DISABLED": "true",
        "JAEGER_PROPAGATION": "b3",
        "JAEGER_CONFIG_PATH": "/etc/jaeger.yml",
        "JAEGER_AGENT_HOTS": "x",
        "JAEGER_AGENT_SERVICE_HOST": "10.0.0.1",
        "JAEGER_AGENT_PORT_6831_UDP": "udp://10.0.0.1:6831",
        "JAEGERX": "x",
    }
    found = translate({}, environ=environ)
    assert dict(found.variables) == dict(translate({}, environ={}).variables)
    not_read = "jaeger-client for Python does not read it; jaeger_env='all' does"
    theirs = dict.fromkeys([name for name in environ if name in ENV_KEYS], ("unused", not_read))
    kubernetes = ("unused", "Kubernetes sets it for a Service of that name; no client reads it")
    assert rows(found) == {
        **theirs,
        "JAEGER_CONFIG_PATH": ("unused", "no Jaeger client reads it; the application may"),
        "JAEGER_AGENT_HOTS": ("unknown", "no Jaeger client reads it"),
        "JAEGER_AGENT_SERVICE_HOST": kubernetes,
        "JAEGER_AGENT_PORT_6831_UDP": kubernetes,
    }
    assert [row.closest for row in found.lost] == ["JAEGER_AGENT_HOST"]


# -- the service's name ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "argument", "environ", "expected"),
    [
        ({"service_name": "dict"}, "argument", {"JAEGER_SERVICE_NAME": "env"}, "dict"),
        ({}, "argument", {"JAEGER_SERVICE_NAME": "env"}, "argument"),
        ({"service_name": None}, "argument", {}, "argument"),
        ({}, None, {"JAEGER_SERVICE_NAME": "env"}, "env"),
        ({}, None, {}, None),
        ({"service_name": "dict"}, None, {"OTEL_SERVICE_NAME": "otel"}, "dict"),
    ],
)
def test_service_name_of_the_dict_wins(
    config: dict[str, Any], argument: str | None, environ: dict[str, str], expected: str | None
) -> None:
    assert translate(config, service_name=argument, environ=environ, jaeger_env="all").service_name == expected


# -- the variables of every client -------------------------------------------------------------------------------------

REMOTE = "remote:endpoint=http://localhost:5778/sampling"
ALL: list[tuple[dict[str, str], dict[str, str]]] = [
    ({"JAEGER_SERVICE_NAME": "shop"}, {"OTEL_SERVICE_NAME": "shop"}),
    ({"JAEGER_DISABLED": "true"}, {"OTEL_SDK_DISABLED": "true"}),
    ({"JAEGER_DISABLED": "false"}, {}),
    (
        {"JAEGER_ENDPOINT": "https://c.example:14268/api/traces"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c.example:4318"},
    ),
    ({"JAEGER_ENDPOINT": "http://u:pw@c/x"}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}),
    ({"JAEGER_ENDPOINT": "c:14268"}, {}),
    (
        {"JAEGER_PROPAGATION": "b3"},
        {"OT_BRIDGE_EXTRACT": "b3,jaeger,tracecontext", "OT_BRIDGE_INJECT": "b3multi,jaeger,tracecontext"},
    ),
    (
        {"JAEGER_PROPAGATION": "w3c, jaeger"},
        {"OT_BRIDGE_EXTRACT": "tracecontext,jaeger,baggage", "OT_BRIDGE_INJECT": "tracecontext,jaeger,baggage"},
    ),
    ({"JAEGER_SAMPLER_TYPE": "const", "JAEGER_SAMPLER_PARAM": "1"}, {"OT_BRIDGE_SAMPLER": "const:1"}),
    ({"JAEGER_SAMPLER_TYPE": "const", "JAEGER_SAMPLER_PARAM": "1.0"}, {"OT_BRIDGE_SAMPLER": "const:1"}),
    ({"JAEGER_SAMPLER_TYPE": "const", "JAEGER_SAMPLER_PARAM": "false"}, {"OT_BRIDGE_SAMPLER": "const:0"}),
    (
        {"JAEGER_SAMPLER_TYPE": "probabilistic", "JAEGER_SAMPLER_PARAM": "0.5"},
        {"OT_BRIDGE_SAMPLER": "probabilistic:0.5"},
    ),
    (
        {"JAEGER_SAMPLER_TYPE": "remote", "JAEGER_SAMPLER_PARAM": "0.5"},
        {"OT_BRIDGE_SAMPLER": REMOTE + ",initialSamplingRate=0.5"},
    ),
    ({"JAEGER_SAMPLER_MANAGER_HOST_PORT": "s:5778"}, {"OT_BRIDGE_SAMPLER": "remote:endpoint=http://s:5778/sampling"}),
    (
        {"JAEGER_SAMPLING_ENDPOINT": "http://s/x", "JAEGER_SAMPLER_MANAGER_HOST_PORT": "t:1"},
        {"OT_BRIDGE_SAMPLER": "remote:endpoint=http://s/x"},
    ),
    ({"JAEGER_SAMPLER_REFRESH_INTERVAL": "1m30s"}, {"OT_BRIDGE_SAMPLER": REMOTE + ",pollingIntervalMs=90000"}),
    ({"JAEGER_SAMPLER_MAX_OPERATIONS": "7"}, {"OT_BRIDGE_SAMPLER": REMOTE + ",maxOperations=7"}),
    (
        {"JAEGER_REPORTER_MAX_QUEUE_SIZE": "99"},
        {"OTEL_BSP_MAX_QUEUE_SIZE": "99", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "99"},
    ),
    ({"JAEGER_REPORTER_FLUSH_INTERVAL": "500ms"}, {"OTEL_BSP_SCHEDULE_DELAY": "500"}),
    ({"JAEGER_REPORTER_FLUSH_INTERVAL": "1.5s"}, {"OTEL_BSP_SCHEDULE_DELAY": "1500"}),
    ({"JAEGER_REPORTER_FLUSH_INTERVAL": "250"}, {"OTEL_BSP_SCHEDULE_DELAY": "250"}),
    ({"JAEGER_TAGS": "a=${A:x},b=${B:y},c=${C}", "B": "set"}, {"OTEL_RESOURCE_ATTRIBUTES": "a=x,b=set,c="}),
]


@pytest.mark.parametrize(("environ", "expected"), ALL, ids=[repr(c[0])[1:60] for c in ALL])
def test_variables_of_every_client_are_read_when_asked_for(environ: dict[str, str], expected: dict[str, str]) -> None:
    nothing = translate({}, environ={}).variables
    found = translate({}, environ=environ, jaeger_env="all").variables
    assert {name: text for name, text in found.items() if nothing.get(name) != text} == expected


DROPPED = [name for name, row in ENV_KEYS.items() if row.dropped and not row.by_python]


@pytest.mark.parametrize("name", DROPPED)
def test_variable_without_a_place_is_dropped_with_the_reason(name: str) -> None:
    found = translate({}, environ={name: "true"}, jaeger_env="all")
    assert rows(found) == {name: ("dropped", ENV_KEYS[name].dropped)}
    assert dict(found.variables) == dict(translate({}, environ={}).variables)


def test_every_variable_has_a_case() -> None:
    cases = {name for environ, _ in ALL for name in environ} | set(DROPPED)
    of_python = {name for name, row in ENV_KEYS.items() if row.by_python}
    assert sorted(set(ENV_KEYS) - of_python - cases) == []


def test_dict_wins_over_the_variables_of_every_client() -> None:
    config = {"sampler": {"type": "const", "param": 0}, "propagation": "jaeger", "reporter_flush_interval": 3}
    environ = {
        "JAEGER_SAMPLER_TYPE": "probabilistic",
        "JAEGER_SAMPLER_PARAM": "1",
        "JAEGER_PROPAGATION": "b3",
        "JAEGER_REPORTER_FLUSH_INTERVAL": "1s",
    }
    found = translate(config, environ=environ, jaeger_env="all")
    assert (found.settings["sampler"], "extract" in found.settings, dict(found.otel)) == (
        "const:0",
        False,
        {"OTEL_BSP_SCHEDULE_DELAY": "3000"},
    )


def test_agent_of_the_dict_wins_over_the_collector_and_the_collector_over_the_agent_of_the_variable() -> None:
    environ = {"JAEGER_ENDPOINT": "http://c:14268/api/traces", "JAEGER_AGENT_HOST": "agent"}
    config = {"local_agent": {"reporting_host": "dict"}}
    assert translate(config, environ=environ, jaeger_env="all").endpoint == "http://dict:4318"
    found = translate({}, environ=environ, jaeger_env="all")
    assert found.endpoint == "http://c:4318"
    # The sampler still asks the agent.
    assert found.settings["sampler"] == "remote:endpoint=http://agent:5778/sampling"


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"JAEGER_SAMPLER_TYPE": "cosnt"},
            "cannot use JAEGER_SAMPLER_TYPE: got 'cosnt' (environment variable), expected",
        ),
        ({"JAEGER_SAMPLER_TYPE": "probabilistic"}, "cannot use JAEGER_SAMPLER_PARAM: got None"),
        ({"JAEGER_PROPAGATION": "zipkin"}, "expected a list of jaeger, b3 and w3c"),
        ({"JAEGER_REPORTER_FLUSH_INTERVAL": "soon"}, "milliseconds, or a duration such as '500ms' or '1m30s'"),
        ({"JAEGER_SAMPLING_ENDPOINT": "s:5778"}, "expected a URL such as 'http://localhost:5778/sampling'"),
        ({"JAEGER_SAMPLING_ENDPOINT": "http://s/a,b"}, "cannot use JAEGER_SAMPLING_ENDPOINT"),
        ({"JAEGER_SAMPLER_MANAGER_HOST_PORT": "a b"}, "expected host:port, such as 'localhost:5778'"),
    ],
    ids=repr,
)
def test_variable_that_is_malformed_is_refused_by_name(environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        translate({}, environ=environ, jaeger_env="all")
    assert message in str(caught.value)


def test_unknown_choice_of_variables_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"cannot use jaeger_env: got 'phyton' .* did you mean 'python'\?"):
        translate({}, jaeger_env="phyton")


# -- what is set for OpenTelemetry and for the bridge wins -------------------------------------------------------------

CONFIG: dict[str, Any] = {
    "service_name": "shop",
    "enabled": False,
    "sampler": {"type": "const", "param": 1},
    "propagation": "b3",
    "tags": {"team": "t", "zone": "z"},
    "trace_id_header": "x-id",
    "reporter_queue_size": 100,
    "reporter_batch_size": 50,
    "reporter_flush_interval": 1,
    "local_agent": {"reporting_host": "agent"},
}


@pytest.mark.parametrize(
    ("variable", "value", "lost", "keys"),
    [
        ("OT_BRIDGE_SAMPLER", "const:0", ["OT_BRIDGE_SAMPLER"], ["sampler.type", "sampler.param"]),
        ("OTEL_TRACES_SAMPLER", "always_off", ["OT_BRIDGE_SAMPLER"], ["sampler.type", "sampler.param"]),
        ("OT_BRIDGE_TRACE_ID_HEADER", "x-other", ["OT_BRIDGE_TRACE_ID_HEADER"], ["trace_id_header"]),
        ("OTEL_PROPAGATORS", "jaeger", ["OT_BRIDGE_EXTRACT", "OT_BRIDGE_INJECT"], ["propagation"]),
        ("OTEL_BSP_SCHEDULE_DELAY", "7", ["OTEL_BSP_SCHEDULE_DELAY"], ["reporter_flush_interval"]),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "70", ["OTEL_BSP_MAX_QUEUE_SIZE"], ["reporter_queue_size"]),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c", ["OTEL_EXPORTER_OTLP_ENDPOINT"], ["local_agent.reporting_host"]),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://c/t",
            ["OTEL_EXPORTER_OTLP_ENDPOINT"],
            ["local_agent.reporting_host"],
        ),
        ("OTEL_SDK_DISABLED", "false", ["OTEL_SDK_DISABLED"], ["enabled"]),
    ],
)
def test_variable_that_is_set_wins_and_the_row_says_so(
    variable: str, value: str, lost: list[str], keys: list[str]
) -> None:
    before, found = translate(CONFIG, environ={}), translate(CONFIG, environ={variable: value})
    assert dict(found.variables) == {name: text for name, text in before.variables.items() if name not in lost}
    assert {key: rows(found)[key] for key in keys} == dict.fromkeys(
        keys, ("unused", f"{variable}={value} is set and wins")
    )


def test_attribute_that_is_set_wins_and_the_others_are_added() -> None:
    found = translate(CONFIG, environ={"OTEL_RESOURCE_ATTRIBUTES": "team=otel,x=a%20b"})
    assert dict(found.resource) == {"zone": "z"}
    assert found.variables["OTEL_RESOURCE_ATTRIBUTES"] == "zone=z,team=otel,x=a%20b"
    assert rows(found)["tags.team"] == ("unused", "OTEL_RESOURCE_ATTRIBUTES has team already, and wins")


def test_batch_that_is_set_raises_the_queue_that_is_too_short_for_it() -> None:
    found = translate({"reporter_queue_size": 100}, environ={"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "300"})
    assert dict(found.otel) == {"OTEL_BSP_MAX_QUEUE_SIZE": "300"}
    assert rows(found)["reporter_queue_size"][1].startswith("raised to 300: ")


def test_queue_that_is_set_cuts_the_batch() -> None:
    found = translate({"reporter_batch_size": 100}, environ={"OTEL_BSP_MAX_QUEUE_SIZE": "30"})
    assert dict(found.otel) == {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "30"}


def test_variables_are_those_of_the_process_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAEGER_AGENT_HOST", "agent")
    assert (translate({}).agent.host, translate({}, environ={}).agent.host) == ("agent", "localhost")


# -- any dict at all ---------------------------------------------------------------------------------------------------

PARTS = ["type", "param", "const", "reporting_host", "reporting_port", "b3"]
WORDS = st.sampled_from([*CONFIG_KEYS, *PARTS])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=4) | WORDS
SECTION = st.dictionaries(WORDS | st.integers() | st.none(), SCALARS | st.lists(SCALARS, max_size=2), max_size=4)
CONFIGS = st.dictionaries(
    WORDS | st.integers() | st.none(), SCALARS | SECTION | st.lists(SECTION, max_size=2), max_size=6
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CONFIGS, st.sampled_from(["python", "all"]))
def test_any_dict_is_translated_or_refused_and_never_changed(config: dict[Any, Any], jaeger_env: str) -> None:
    before = repr(config)
    try:
        found = translate(config, environ={"JAEGER_TAGS": "a=b"}, jaeger_env=jaeger_env)
    except ConfigError:
        pass
    else:
        with_a_row = {name for row in found.rows for name in (row.key, row.key.partition(".")[0])}
        assert {str(key) for key, value in config.items() if value != {}} <= with_a_row
    assert repr(config) == before


class Lazy(Mapping[str, Any]):
    """A mapping that is no dict."""

    def __getitem__(self, key: str) -> Any:
        return {"type": "const", "param": 1}[key] if key != "sampler" else Lazy()

    def __iter__(self) -> Iterator[str]:
        return iter(["type", "param"])

    def __len__(self) -> int:
        return 2


def test_any_mapping_will_do() -> None:
    assert translate({"sampler": Lazy()}, environ={}).settings["sampler"] == "const:1"


class Broken(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise OSError("gone")

    def __iter__(self) -> Iterator[str]:
        return iter(["sampler"])

    def __len__(self) -> int:
        return 1


def test_mapping_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"cannot read config \(argument\): OSError: gone"):
        translate(Broken(), environ={})


class Rude:
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_value_without_a_text_harms_nobody() -> None:
    config = {"enabled": Rude(), "tags": {"k": Rude()}, "service_name": "s", "logging": Rude()}
    found = translate(config, environ={})
    assert (found.enabled, found.logging, dict(found.resource)) == (True, False, {"k": "<Rude>"})
