"""A translation as text: what reads each text finds the same values, whatever is in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ot_bridge import Settings
from ot_bridge.jaeger_config import CONFIG_KEYS, Translation, translate
from ot_bridge.jaeger_config.printed import FORMATS
from ot_bridge.provider import build_provider

HOSTILE = {
    "service_name": 'it\'s "a" $(shop) ${X} `y` \\ é 茶 \U0001f375',
    "tags": {"k": "a,b=c $(X) ${Y} %41 'q' \n\t\x07é", "on": True, "empty": ""},
    "local_agent": {"reporting_host": "::1"},
}


def printed(name: str, config: dict[str, Any] | None = None) -> tuple[Translation, str]:
    found = translate(HOSTILE if config is None else config, environ={})
    return found, FORMATS[name](found)


def test_shell_reads_what_was_meant() -> None:
    found, text = printed("env")
    command = f"{text}exec {sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    done = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, timeout=60, check=True, env=dict(os.environ)
    )
    seen = json.loads(done.stdout)
    assert {name: seen.get(name) for name in found.variables} == dict(found.variables)


def test_dotenv_quotes_only_what_has_to_be() -> None:
    _, text = printed("dotenv", {"service_name": "it's a \\ shop", "sampler": {"type": "const", "param": 1}})
    assert text.splitlines() == [
        "OTEL_SERVICE_NAME='it\\'s a \\\\ shop'",
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318",
        "OT_BRIDGE_SAMPLER=const:1",
        "OT_BRIDGE_TRACE_ID_BITS=64",
        "OT_BRIDGE_REFERENCES=jaeger",
    ]


def test_kubernetes_reads_strings_and_fills_nothing_in() -> None:
    found, text = printed("k8s")
    listed = yaml.safe_load(text)
    assert all(isinstance(each["value"], str) for each in listed)
    # Kubernetes makes one $ of two, and fills in what stands after a single one.
    assert {each["name"]: each["value"].replace("$$", "$") for each in listed} == dict(found.variables)
    assert all("$(" not in each["value"].replace("$$", "") for each in listed)


def test_kubernetes_has_words_that_yaml_would_take_for_something_else_in_quotes() -> None:
    _, text = printed("k8s", {"enabled": False, "service_name": "yes", "sampler": {"type": "const"}})
    assert text == (
        '- name: OTEL_SERVICE_NAME\n  value: "yes"\n'
        '- name: OTEL_EXPORTER_OTLP_ENDPOINT\n  value: "http://localhost:4318"\n'
        '- name: OTEL_SDK_DISABLED\n  value: "true"\n'
        '- name: OT_BRIDGE_SAMPLER\n  value: "const:0"\n'
        '- name: OT_BRIDGE_TRACE_ID_BITS\n  value: "64"\n'
        '- name: OT_BRIDGE_REFERENCES\n  value: "jaeger"\n'
    )


def test_json_has_every_row() -> None:
    found, text = printed("json", {"logging": True, "tags": {"api_token": "hunter2"}})
    read = json.loads(text)
    assert read["environment"] == dict(found.variables)
    assert [row["key"] for row in read["rows"]] == [row.key for row in found.rows]
    assert read["rows"][1] == {
        "key": "tags.api_token",
        "value": "(not shown)",
        "origin": "configuration",
        "outcome": "carried",
        "places": {"OTEL_RESOURCE_ATTRIBUTES": "(not shown)"},
        "note": None,
        "reason": None,
        "closest": None,
    }


# -- the declarative file ----------------------------------------------------------------------------------------------

FILES: list[tuple[dict[str, Any], dict[str, str], Any, dict[str, Any]]] = [
    ({"sampler": {"type": "const", "param": 1}}, {}, {"always_on": {}}, {}),
    ({"sampler": {"type": "const", "param": 0}}, {}, {"always_off": {}}, {}),
    ({"sampler": {"type": "probabilistic", "param": 0.25}}, {}, {"trace_id_ratio_based": {"ratio": 0.25}}, {}),
    ({"sampler": {"type": "ratelimiting", "param": 2}}, {}, {"always_on": {}}, {}),
    ({}, {}, {"trace_id_ratio_based": {"ratio": 0.001}}, {}),
    ({}, {"OTEL_TRACES_SAMPLER": "always_off"}, {"always_on": {}}, {}),
    (
        {"reporter_queue_size": 100, "reporter_batch_size": 10, "reporter_flush_interval": 1},
        {},
        {"trace_id_ratio_based": {"ratio": 0.001}},
        {"schedule_delay": 1000, "max_queue_size": 100, "max_export_batch_size": 10},
    ),
]


@pytest.mark.parametrize(("config", "environ", "root", "batch"), FILES, ids=[repr(c[0])[:50] for c in FILES])
def test_declarative_file_says_what_can_be_said(
    config: dict[str, Any], environ: dict[str, str], root: Any, batch: dict[str, Any]
) -> None:
    text = FORMATS["otel-config"](translate({**config, "tags": {"team": "t"}}, service_name="shop", environ=environ))
    assert yaml.safe_load(text) == {
        "file_format": "1.0",
        "resource": {
            "attributes": [{"name": "service.name", "value": "shop"}, {"name": "team", "value": "t"}],
            "detection/development": {"attributes": {"included": ["host.name"]}, "detectors": [{"host": {}}]},
        },
        "propagator": {"composite": [{"ot_bridge": {}}]},
        "tracer_provider": {
            "processors": [
                {"batch": {**batch, "exporter": {"otlp_http": {"endpoint": "http://localhost:4318/v1/traces"}}}}
            ],
            "sampler": {"parent_based": {"root": root}},
        },
    }


def test_declarative_file_has_comments_for_what_it_cannot_say() -> None:
    config = {
        "sampler": {"type": "ratelimiting", "param": 2},
        "logging": True,
        "reporting_port": 1,
        "propagation": "b3",
    }
    _, text = printed("otel-config", config)
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# The propagator is that of ot_bridge, which has to be installed.",
        "# What this file cannot say; to be set beside OTEL_CONFIG_FILE, for ot_bridge:",
        "#   OT_BRIDGE_SAMPLER=ratelimiting:2.0",
        "#   OT_BRIDGE_EXTRACT=b3,jaeger,tracecontext",
        "#   OT_BRIDGE_INJECT=b3multi,jaeger,tracecontext",
        "#   OT_BRIDGE_TRACE_ID_BITS=64",
        "#   OT_BRIDGE_REFERENCES=jaeger",
        "# No sampler of such a file does what ratelimiting:2.0 does. The one here takes every trace.",
        f"# logging: dropped because {CONFIG_KEYS['logging'].dropped}",
        "# reporting_port: dropped because jaeger-client knows no such key",
    ]


@pytest.mark.parametrize(
    ("environ", "exporter"),
    [
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, {"otlp_grpc": {"endpoint": "http://localhost:4317"}}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c"}, {"otlp_http": {}}),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, {"otlp_grpc": {}}),
    ],
    ids=repr,
)
def test_declarative_file_names_the_exporter_of_the_protocol(environ: dict[str, str], exporter: Any) -> None:
    read = yaml.safe_load(FORMATS["otel-config"](translate({"enabled": False}, environ=environ)))
    assert read["tracer_provider"]["processors"] == [{"batch": {"exporter": exporter}}]
    assert read["disabled"] is True


LOADED = """
import json
from opentelemetry import propagate, trace

provider = trace.get_tracer_provider()
(processor,) = provider._active_span_processor._span_processors
print(json.dumps([
    provider.sampler.get_description(),
    {key: provider.resource.attributes.get(key) for key in KEYS},
    processor.span_exporter._endpoint,
    processor._batch_processor._max_queue_size,
    type(propagate.get_global_textmap()._propagators[0]).__name__,
]))
"""


@pytest.mark.parametrize(
    ("sampler", "root"),
    [
        ({"type": "const", "param": 0}, "AlwaysOffSampler"),
        ({"type": "probabilistic", "param": 0.25}, "TraceIdRatioBased{0.25}"),
        ({}, "TraceIdRatioBased{0.001}"),
    ],
)
def test_opentelemetrys_own_loader_takes_the_file(sampler: dict[str, Any], root: str, tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.configuration", reason="opentelemetry-configuration is not installed")
    found, text = printed("otel-config", {**HOSTILE, "sampler": sampler, "reporter_queue_size": 50})
    (tmp_path / "otel.yaml").write_text(text, encoding="utf-8")
    program = "from opentelemetry.sdk._configuration import _OTelSDKConfigurator as C; C().configure()"
    expected = {"service.name": found.service_name, **found.resource}
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nKEYS = {list(expected)!r}\n{LOADED}"],
        env={**os.environ, "OTEL_CONFIG_FILE": str(tmp_path / "otel.yaml")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    description, attributes, endpoint, queue, propagator = json.loads(done.stdout)
    assert description.startswith(f"ParentBased{{root:{root},")
    assert (attributes, endpoint, queue, propagator) == (
        expected,
        "http://[::1]:4318/v1/traces",
        50,
        "MixedFleetPropagator",
    )


# -- there and back ----------------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
HEADERS = st.from_regex(r"x-[a-z_]{1,8}", fullmatch=True)
SIZES = st.integers(1, 10_000) | st.integers(1, 99).map(str)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "service_name": TEXTS.filter(lambda text: text == text.strip() != ""),
        "enabled": st.booleans() | st.sampled_from(["yes", "0"]),
        "sampler": st.sampled_from([{"type": "const", "param": 1}, {"type": "ratelimiting", "param": "0.1"}, {}])
        | st.floats(0, 1).map(lambda rate: {"type": "probabilistic", "param": rate}),
        "local_agent": st.fixed_dictionaries(
            {},
            optional={
                "reporting_host": st.sampled_from(["agent", "10.0.0.1", "::1"]),
                "sampling_port": st.integers(1, 65535),
            },
        ),
        "reporter_queue_size": SIZES,
        "reporter_batch_size": SIZES,
        "reporter_flush_interval": st.floats(0.001, 1000),
        "max_tag_value_length": SIZES,
        "max_traceback_length": SIZES,
        "propagation": st.just("b3"),
        "trace_id_header": HEADERS,
        "baggage_header_prefix": st.sampled_from(["ctx-", "B_"]),
        "generate_128bit_trace_id": st.booleans(),
        "sampling_refresh_interval": st.integers(1, 600),
        "max_operations": st.integers(1, 5000),
        "tags": st.dictionaries(
            st.sampled_from(["team", "hostname", "zone.id"]), TEXTS | st.integers() | st.booleans(), max_size=3
        ),
    },
)
ENVIRONS = st.fixed_dictionaries(
    {},
    optional={
        "JAEGER_TAGS": st.sampled_from(["team=env", "a=b c"]),
        "JAEGER_AGENT_HOST": st.just("other"),
        "JAEGER_TRACEID_128BIT": st.just("true"),
        "OT_BRIDGE_SAMPLER": st.just("const:0"),
        "OT_BRIDGE_REFERENCES": st.just("explicit"),
        "OTEL_PROPAGATORS": st.just("tracecontext,b3"),
        "OTEL_RESOURCE_ATTRIBUTES": st.just("team=otel,x=y%20z"),
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": st.just("300"),
        "OTEL_BSP_MAX_QUEUE_SIZE": st.just("400"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": st.just("http://chosen"),
    },
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(CONFIGS, ENVIRONS)
def test_printed_environment_gives_the_same_settings_provider_and_queue(
    config: dict[str, Any], environ: dict[str, str]
) -> None:
    found = translate(config, environ=environ)
    after = {**environ, **found.variables}
    assert Settings.from_env(after) == Settings.from_jaeger(config, environ=environ)
    assert Settings.from_env(after).sampler == environ.get("OT_BRIDGE_SAMPLER", found.settings.get("sampler"))
    with pytest.MonkeyPatch.context() as patch:
        direct = described(patch, environ, found)
        printed = described(patch, after, None)
    if not found.enabled:
        assert printed["disabled"]
        return
    assert printed == direct


def described(patch: pytest.MonkeyPatch, environ: dict[str, str], found: Translation | None) -> dict[str, Any]:
    """Build the provider from variables and a translation, and return what it was built of."""
    for name in [name for name in os.environ if name.startswith(("OTEL_", "OT_BRIDGE_", "JAEGER_"))]:
        patch.delenv(name)
    for name, value in environ.items():
        patch.setenv(name, value)
    from ot_bridge import export

    assumed = {} if found is None else {"endpoint": found.endpoint, "defaults": found.otel}
    kept: list[Any] = []
    provider = build_provider(
        None if found is None else found.service_name,
        lambda: kept,
        resource=None if found is None else found.resource,
    )
    (processor,) = export.build_processors(**assumed)
    batch = processor._batch_processor
    about = {
        "disabled": environ.get("OTEL_SDK_DISABLED") == "true",
        "sampler": provider.sampler.get_description(),
        "resource": dict(provider.resource.attributes),
        "endpoint": processor.span_exporter._endpoint,
        "batch": (batch._max_queue_size, batch._max_export_batch_size, batch._schedule_delay_millis),
    }
    processor.shutdown()
    return about
