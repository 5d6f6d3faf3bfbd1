"""Every key of a jaeger-client configuration, and what becomes of its values."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ot_bridge import ConfigError, Settings
from ot_bridge.jaeger_config import CONFIG_KEYS, ENV_KEYS, Translation, translate
from ot_bridge.jaeger_config.keys import SECTIONS
from ot_bridge.jaeger_config.result import DEFAULT

LOCALHOST = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}
REMOTE = {"OT_BRIDGE_SAMPLER": "remote:endpoint=http://localhost:5778/sampling"}
PARITY = {"OT_BRIDGE_TRACE_ID_BITS": "64", "OT_BRIDGE_REFERENCES": "jaeger"}
NOTHING = {**LOCALHOST, **REMOTE, **PARITY}


def nested(key: str, value: Any) -> dict[str, Any]:
    section, dot, name = key.partition(".")
    return {section: {name: value}} if dot else {key: value}


def changes(found: Translation) -> dict[str, str]:
    """Return the variables that are not those of an empty configuration."""
    assert set(NOTHING) <= set(found.variables)
    return {name: text for name, text in found.variables.items() if NOTHING.get(name) != text}


def fate(found: Translation, key: str) -> tuple[str, str]:
    """Return the outcome of a key, and the words of its row."""
    (row,) = [row for row in found.rows if row.key == key and row.origin != DEFAULT]
    return row.outcome, row.reason or row.note or ""


# -- carried -----------------------------------------------------------------------------------------------------------

QUEUE, BATCH, DELAY = "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BSP_SCHEDULE_DELAY"

CARRIED: list[tuple[str, Any, dict[str, str]]] = [
    ("service_name", "shop", {"OTEL_SERVICE_NAME": "shop"}),
    ("service_name", 7, {"OTEL_SERVICE_NAME": "7"}),
    ("enabled", False, {"OTEL_SDK_DISABLED": "true"}),
    ("enabled", "FALSE", {"OTEL_SDK_DISABLED": "true"}),
    ("enabled", 0, {"OTEL_SDK_DISABLED": "true"}),
    ("enabled", None, {"OTEL_SDK_DISABLED": "true"}),
    ("reporter_queue_size", 100, {QUEUE: "100", BATCH: "100"}),
    ("reporter_queue_size", "4000", {QUEUE: "4000"}),
    ("reporter_queue_size", 512.9, {QUEUE: "512"}),
    ("reporter_batch_size", 10, {BATCH: "10"}),
    ("reporter_batch_size", " 20 ", {BATCH: "20"}),
    ("reporter_batch_size", 5000, {BATCH: "2048"}),
    ("reporter_flush_interval", 2, {DELAY: "2000"}),
    ("reporter_flush_interval", 0.25, {DELAY: "250"}),
    ("reporter_flush_interval", "1.5", {DELAY: "1500"}),
    ("reporter_flush_interval", 1e-9, {DELAY: "1"}),
    (
        "propagation",
        "b3",
        {"OT_BRIDGE_EXTRACT": "b3,jaeger,tracecontext", "OT_BRIDGE_INJECT": "b3multi,jaeger,tracecontext"},
    ),
    ("max_tag_value_length", 1024, {"OT_BRIDGE_MAX_TAG_VALUE_LENGTH": "1024"}),
    ("max_tag_value_length", "256", {"OT_BRIDGE_MAX_TAG_VALUE_LENGTH": "256"}),
    ("max_traceback_length", 4096, {"OT_BRIDGE_MAX_TRACEBACK_LENGTH": "4096"}),
    ("trace_id_header", "X_Trace_Id", {"OT_BRIDGE_TRACE_ID_HEADER": "x-trace-id"}),
    ("debug_id_header", "x-debug", {"OT_BRIDGE_DEBUG_ID_HEADER": "x-debug"}),
    ("baggage_header_prefix", "Ctx_", {"OT_BRIDGE_BAGGAGE_HEADER_PREFIX": "ctx-"}),
    ("generate_128bit_trace_id", True, {"OT_BRIDGE_TRACE_ID_BITS": "128"}),
    ("generate_128bit_trace_id", "True", {"OT_BRIDGE_TRACE_ID_BITS": "128"}),
    ("generate_128bit_trace_id", "1", {"OT_BRIDGE_TRACE_ID_BITS": "128"}),
    ("generate_128bit_trace_id", False, {}),
    (
        "tags",
        {"team": "a,b=c d", "n": 3, "on": True, 5: None},
        {"OTEL_RESOURCE_ATTRIBUTES": "team=a%2Cb%3Dc%20d,n=3,on=true,5=None"},
    ),
    ("tags", {"hostname": "h1", "ip": "10.0.0.1"}, {"OTEL_RESOURCE_ATTRIBUTES": "host.name=h1,ip=10.0.0.1"}),
    (
        "local_agent.reporting_host",
        "agent",
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://agent:4318",
            "OT_BRIDGE_SAMPLER": "remote:endpoint=http://agent:5778/sampling",
        },
    ),
    (
        "local_agent.reporting_host",
        "fe80::1",
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://[fe80::1]:4318",
            "OT_BRIDGE_SAMPLER": "remote:endpoint=http://[fe80::1]:5778/sampling",
        },
    ),
    ("local_agent.sampling_port", "5779", {"OT_BRIDGE_SAMPLER": "remote:endpoint=http://localhost:5779/sampling"}),
    ("sampling_refresh_interval", 5, {"OT_BRIDGE_SAMPLER": REMOTE["OT_BRIDGE_SAMPLER"] + ",pollingIntervalMs=5000"}),
    ("max_operations", 10, {"OT_BRIDGE_SAMPLER": REMOTE["OT_BRIDGE_SAMPLER"] + ",maxOperations=10"}),
]


@pytest.mark.parametrize(("key", "value", "expected"), CARRIED, ids=[f"{c[0]}={c[1]!r}" for c in CARRIED])
def test_value_is_carried(key: str, value: Any, expected: dict[str, str]) -> None:
    assert changes(translate(nested(key, value), environ={})) == expected


# -- samplers ----------------------------------------------------------------------------------------------------------

SAMPLERS: list[tuple[Any, str]] = [
    ({"type": "const", "param": 1}, "const:1"),
    ({"type": "const", "param": True}, "const:1"),
    ({"type": "const", "param": "TRUE"}, "const:1"),
    ({"type": "const", "param": 0}, "const:0"),
    ({"type": "const", "param": "none"}, "const:0"),
    ({"type": "const"}, "const:0"),
    ({"type": "const", "param": "yes"}, "const:0"),
    ({"type": "const", "param": 1.0}, "const:0"),
    ({"type": "probabilistic", "param": 0.1}, "probabilistic:0.1"),
    ({"type": "probabilistic", "param": "1e-3"}, "probabilistic:0.001"),
    ({"type": "probabilistic", "param": True}, "probabilistic:1.0"),
    ({"type": "ratelimiting", "param": 2.5}, "ratelimiting:2.5"),
    ({"type": "rate_limiting", "param": "10"}, "ratelimiting:10.0"),
    ({}, REMOTE["OT_BRIDGE_SAMPLER"]),
    ({"param": 1}, REMOTE["OT_BRIDGE_SAMPLER"]),
    ({"type": ""}, REMOTE["OT_BRIDGE_SAMPLER"]),
    ({"type": None, "param": None}, REMOTE["OT_BRIDGE_SAMPLER"]),
    (None, REMOTE["OT_BRIDGE_SAMPLER"]),
]


@pytest.mark.parametrize(("section", "expected"), SAMPLERS, ids=[repr(c[0]) for c in SAMPLERS])
def test_sampler_becomes_its_text(section: Any, expected: str) -> None:
    assert translate({"sampler": section}, environ={}).settings["sampler"] == expected


def test_sampler_objects_of_jaeger_client_become_their_text() -> None:
    sampler = pytest.importorskip("jaeger_client.sampler")
    made = [
        sampler.ConstSampler(True),
        sampler.ProbabilisticSampler(0.2),
        sampler.RateLimitingSampler(3),
        sampler.GuaranteedThroughputProbabilisticSampler("op", 0.5, 0.01),
    ]
    found = [translate({"sampler": each}, environ={}).settings["sampler"] for each in made]
    assert found == ["const:1", "probabilistic:0.2", "ratelimiting:3.0", "guaranteed:0.01,0.5"]


def test_sampler_object_of_somebody_else_is_dropped() -> None:
    found = translate({"sampler": SimpleNamespace(is_sampled=lambda *_: (True, {}))}, environ={})
    assert "sampler" not in found.settings
    assert fate(found, "sampler") == (
        "dropped",
        "no text says what a SimpleNamespace does: OTEL_TRACES_SAMPLER has to decide",
    )


def test_keys_of_the_remote_sampler_are_unused_beside_another() -> None:
    config = {
        "sampler": {"type": "const", "param": 1},
        "sampling_refresh_interval": 5,
        "max_operations": 10,
        "local_agent": {"sampling_port": 1234, "reporting_host": "agent"},
    }
    found = translate(config, environ={})
    assert found.settings["sampler"] == "const:1"
    unused = ["sampling_refresh_interval", "max_operations", "local_agent.sampling_port"]
    assert [fate(found, key)[0] for key in unused] == ["unused"] * 3


# -- what is not carried -----------------------------------------------------------------------------------------------

LEFT: list[tuple[str, Any, str, str]] = [
    ("enabled", True, "unused", "it is so without the key, too"),
    ("enabled", "yes", "unused", "knows only true, 1, false, 0 and none here, and takes its default, True"),
    ("logging", False, "unused", "it is so without the key"),
    ("logging", "on", "unused", "takes its default, False"),
    ("logging", True, "dropped", "OTEL_TRACES_EXPORTER=otlp,console prints them"),
    ("metrics", True, "unused", "it is so without the key"),
    ("metrics", False, "dropped", "the bridge's counters are metrics"),
    ("service_name", "", "dropped", "it is empty"),
    ("local_agent.enabled", False, "unused", "never acts on it"),
    ("local_agent.reporting_port", 6831, "dropped", "takes no OTLP"),
    ("local_agent.reporting_port", "68x31", "dropped", "it is no port; 6831 counts"),
    ("local_agent.sampling_port", "x", "dropped", "it is no port; 5778 counts"),
    ("local_agent.sampling_port", 99999, "dropped", "it is no port; 5778 counts"),
    ("local_agent.reporting_host", None, "unused", "it is empty"),
    ("local_agent.reporting_host", "agent:6831", "dropped", "it is no host name"),
    ("local_agent.reporting_host", 7, "dropped", "it is no host name"),
    ("local_agent.reporting_host", "a/b", "dropped", "localhost counts"),
    ("local_agent", "agent", "dropped", "it is no section"),
    ("local_agent", None, "unused", "it is empty"),
    ("sampler", None, "unused", "it is empty"),
    ("sampler.param", 1, "dropped", "there is no sampler.type: jaeger-client asks the agent"),
    ("throttler", {}, "dropped", "no variable throttles debug traces"),
    ("throttler", True, "dropped", "no variable throttles debug traces"),
    ("throttler", None, "unused", "it is empty"),
    ("throttler.port", 5778, "dropped", "no variable throttles debug traces"),
    ("throttler.port", "x", "dropped", "it is no port; 5778 counts"),
    ("throttler.refresh_interval", 5, "dropped", "no variable throttles debug traces"),
    ("throttler.refresh_interval", "x", "dropped", "it is no number of seconds; 5 counts"),
    ("reporter_flush_interval", 0, "dropped", "0 stands for no schedule"),
    ("reporter_flush_interval", None, "dropped", "it is empty"),
    ("reporter_batch_size", None, "dropped", "it is empty"),
    ("sampling_refresh_interval", 0, "unused", "0 stands for the default"),
    ("max_operations", None, "unused", "stands for the default"),
    ("propagation", "B3", "dropped", "jaeger-client knows only 'b3' here"),
    ("propagation", None, "dropped", "it is empty"),
    ("max_tag_value_length", None, "dropped", "it is empty"),
    ("trace_id_header", None, "dropped", "it is empty"),
    ("tags", None, "unused", "it is empty"),
    ("tags", ["a"], "dropped", "tags are a section of names and values"),
]


@pytest.mark.parametrize(("key", "value", "outcome", "words"), LEFT, ids=[f"{c[0]}={c[1]!r}" for c in LEFT])
def test_value_that_is_not_carried_has_a_row_that_says_why(key: str, value: Any, outcome: str, words: str) -> None:
    found = translate(nested(key, value), environ={})
    assert changes(found) == {}
    assert fate(found, key)[0] == outcome
    assert words in fate(found, key)[1]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("service.name", "the service's name comes from service_name"),
        ("jaeger.version", "telemetry.sdk.* says what sends the spans"),
        ("a=b", "its name cannot stand in OTEL_RESOURCE_ATTRIBUTES"),
        ("", "its name cannot stand in OTEL_RESOURCE_ATTRIBUTES"),
    ],
)
def test_process_tag_that_cannot_be_an_attribute_is_dropped(name: str, reason: str) -> None:
    found = translate({"tags": {name: "x", "team": "t"}}, environ={})
    assert (dict(found.resource), fate(found, f"tags.{name}")) == ({"team": "t"}, ("dropped", reason))


def test_throttler_is_dropped_key_by_key_and_still_told_to_the_drop_in() -> None:
    found = translate({"throttler": {"port": "9", "refresh_interval": "x"}}, environ={})
    assert [row.key for row in found.lost] == ["throttler.port", "throttler.refresh_interval"]
    assert found.agent[3:] == (9, 5)


def test_batch_is_cut_to_the_queue() -> None:
    found = translate({"reporter_queue_size": 50, "reporter_batch_size": 80}, environ={})
    assert dict(found.otel) == {QUEUE: "50", BATCH: "50"}
    assert fate(found, "reporter_batch_size")[1].startswith("cut to the size of the queue, 50")


# -- mistakes that jaeger-client fails over ----------------------------------------------------------------------------

TYPES = "'const', 'probabilistic', 'ratelimiting', 'rate_limiting'"
HINT = ", as jaeger-client has it; did you mean 'probabilistic'?"
MISTAKES: list[tuple[dict[str, Any], str]] = [
    (
        {"sampler": {"type": "probabilistc", "param": 1}},
        f"cannot use sampler.type: got 'probabilistc' (configuration), expected one of {TYPES}{HINT}",
    ),
    ({"sampler": {"type": "remote"}}, "as jaeger-client has it; without a sampler jaeger-client asks the agent"),
    ({"sampler": {"type": ["const"]}}, "cannot use sampler.type: got ['const']"),
    (
        {"sampler": {"type": "probabilistic"}},
        "cannot use sampler.param: got None (configuration), expected a number from 0 to 1, for probabilistic",
    ),
    ({"sampler": {"type": "probabilistic", "param": 1.5}}, "cannot use sampler.param: got 1.5"),
    ({"sampler": {"type": "probabilistic", "param": float("nan")}}, "cannot use sampler.param: got nan"),
    ({"sampler": {"type": "ratelimiting", "param": "many"}}, "expected a number of traces per second of at least 0"),
    ({"sampler": {"type": "ratelimiting", "param": -1}}, "cannot use sampler.param: got -1"),
    ({"sampler": "const"}, "cannot use sampler: got 'const' (configuration), expected a section with type and param"),
    (
        {"reporter_queue_size": "many"},
        "cannot use reporter_queue_size: got 'many' (configuration), expected an integer",
    ),
    ({"reporter_queue_size": 0}, "cannot use reporter_queue_size: got 0 (configuration), expected an integer above 0"),
    ({"reporter_batch_size": [1]}, "cannot use reporter_batch_size: got [1]"),
    ({"reporter_batch_size": float("inf")}, "cannot use reporter_batch_size: got inf"),
    ({"reporter_queue_size": 10**30}, "cannot use reporter_queue_size: got 1000"),
    ({"reporter_flush_interval": "soon"}, "expected a number of seconds of at least 0"),
    ({"reporter_flush_interval": -1}, "cannot use reporter_flush_interval: got -1"),
    ({"sampling_refresh_interval": {}}, "cannot use sampling_refresh_interval: got {}"),
    ({"max_tag_value_length": 0}, "expected a number of characters above 0"),
    ({"trace_id_header": "a b"}, "cannot use trace_id_header: got 'a b' (configuration), expected an HTTP header name"),
    ({"baggage_header_prefix": ""}, "cannot use baggage_header_prefix: got ''"),
    ({"debug_id_header": 7}, "cannot use debug_id_header: got 7"),
    ({"service_name": "a\0b"}, "cannot use service_name"),
]


@pytest.mark.parametrize(("config", "message"), MISTAKES, ids=[repr(c[0])[:60] for c in MISTAKES])
def test_value_that_jaeger_client_fails_over_is_refused_by_name(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        translate(config, environ={})
    assert message in str(caught.value)


@pytest.mark.parametrize("config", [None, 7, "sampler", ["sampler"], [("sampler", {})]], ids=repr)
def test_configuration_that_is_no_mapping_is_refused(config: Any) -> None:
    with pytest.raises(ConfigError, match=r"^cannot use config: got .* \(argument\), expected a mapping such as"):
        translate(config, environ={})


# -- unknown keys ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "key", "closest"),
    [
        ({"smapler": {"type": "const"}}, "smapler", "sampler"),
        ({"reporter-queue-size": 5}, "reporter-queue-size", "reporter_queue_size"),
        ({"reporting_host": "agent"}, "reporting_host", "local_agent.reporting_host"),
        ({"sampler_type": "const"}, "sampler_type", "sampler.type"),
        ({"sampler": {"parm": 1}}, "sampler.parm", "sampler.param"),
        ({"local_agent": {"reporting_prot": 1}}, "local_agent.reporting_prot", "local_agent.reporting_port"),
        ({"sampler.type": "const"}, "sampler.type", "sampler.type"),
        ({"zzz": 1}, "zzz", None),
        ({7: 1}, "7", None),
        ({None: 1}, "None", None),
    ],
    ids=repr,
)
def test_unknown_key_is_named_with_the_closest(config: dict[Any, Any], key: str, closest: str | None) -> None:
    found = translate(config, environ={})
    (row,) = [row for row in found.rows if row.outcome == "unknown"]
    assert (row.key, row.reason, row.closest) == (key, "jaeger-client knows no such key", closest)
    assert changes(found) == {}


# -- the table ---------------------------------------------------------------------------------------------------------


def test_every_key_has_a_case() -> None:
    cases = {key for key, *_ in (*CARRIED, *LEFT)} | {"sampler.type"}
    assert sorted(set(CONFIG_KEYS) - cases) == []


def test_places_are_those_of_the_table() -> None:
    for key, value, _ in CARRIED:
        for row in translate(nested(key, value), environ={}).rows:
            if row.origin == "configuration":
                assert set(row.places) <= set(
                    CONFIG_KEYS[row.key.partition(".")[0] if row.key.startswith("tags") else row.key].places
                )


def test_row_without_a_place_says_why_or_what_for() -> None:
    rows = [row for row in CONFIG_KEYS.values() if not row.places]
    assert [row.name for row in rows if not (row.dropped or row.name == "local_agent.enabled")] == []
    assert [row.name for row in ENV_KEYS.values() if not row.dropped and not row.meaning] == []
    assert {key.partition(".")[0] for key in CONFIG_KEYS if "." in key} == set(SECTIONS)


def test_variables_of_bridge_in_the_table_are_settings() -> None:
    known = {f"OT_BRIDGE_{name.upper()}" for name in Settings.__dataclass_fields__}
    named = {place for row in CONFIG_KEYS.values() for place in row.places if place.startswith("OT_BRIDGE_")}
    assert named <= known
