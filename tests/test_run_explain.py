"""`ot-bridge run --explain`: what would be set, and from where. Nothing is run."""

from __future__ import annotations

import json
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ot_bridge.autostart.launch import DIRECTORY
from ot_bridge.cli.group import cli

OWN = "the one that ot-bridge runs on"
DEFAULTS = {
    "service name": ("unknown_service", "default; jaeger_client.Config(service_name=...) gives its own"),
    "exporter": ("otlp", "default"),
    "protocol": ("http/protobuf", "default"),
    "endpoint": ("http://localhost:4318/v1/traces", "default"),
    "sampler": ("parentbased_always_on", "default"),
    "headers read": ("jaeger, tracecontext, baggage", "default"),
    "headers written": ("jaeger, tracecontext, baggage", "default"),
}


@pytest.fixture(autouse=True)
def _no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("COLUMNS", "80")


def explain(*words: str) -> Result:
    return CliRunner().invoke(cli, ["run", "--explain", *words])


def explained(*words: str) -> dict[str, Any]:
    """Return what --json prints, with the rows by their names."""
    result = explain("--json", *words)
    found: dict[str, Any] = json.loads(result.stdout)
    assert (found.pop("version"), result.exit_code) == (1, 2 if found["problems"] else 0)
    found["rows"] = {row["what"]: (row["value"], row["from"]) for row in found["rows"]}
    found["variables"] = {row["name"]: (row["value"], row["effect"]) for row in found["variables"]}
    return found


def test_everything_is_shown_where_nothing_is_set() -> None:
    version = metadata.version("jaeger-client")
    assert explained("-m", "shop", "--port=1") == {
        "command": [sys.executable, "-m", "shop", "--port=1"],
        "sets": {"PYTHONPATH": DIRECTORY},
        "rows": {
            "command": (f"{sys.executable} -m shop --port=1", "command line"),
            "python": (sys.executable, OWN),
            "PYTHONPATH": (DIRECTORY, "ot_bridge; none is set"),
            "jaeger_client": ("ot_bridge.jaeger_client", f"in place of jaeger-client {version}, which is installed"),
            **DEFAULTS,
        },
        "variables": {},
        "problems": [],
    }


def test_variables_are_named_where_they_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PYTHONPATH": "/lib",
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://me:secret@collector:4318/",
        "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.25",
        "OTEL_PROPAGATORS": "b3",
        "OT_BRIDGE_INJECT": "jaeger",
    }.items():
        monkeypatch.setenv(name, value)
    rows = explained("-m", "shop")["rows"]
    assert {what: rows[what] for what in ("PYTHONPATH", *DEFAULTS)} == {
        "PYTHONPATH": (f"{DIRECTORY}{os.pathsep}/lib", "ot_bridge; and the PYTHONPATH that is set"),
        "service name": ("shop", "OTEL_SERVICE_NAME"),
        "exporter": ("otlp", "default"),
        "protocol": ("http/protobuf", "default"),
        "endpoint": ("http://...@collector:4318/v1/traces", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        "sampler": ("parentbased_traceidratio 0.25", "OTEL_TRACES_SAMPLER"),
        "headers read": ("b3", "OTEL_PROPAGATORS"),
        "headers written": ("jaeger", "OT_BRIDGE_INJECT"),
    }


@pytest.mark.parametrize(
    ("variables", "rows"),
    [
        (
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:1/x", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://d:4318"},
            {"endpoint": ("http://c:1/x", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")},
        ),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            {"protocol": ("grpc", "OTEL_EXPORTER_OTLP_PROTOCOL"), "endpoint": ("http://localhost:4317", "default")},
        ),
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317"},
            {"endpoint": ("http://c:4317", "OTEL_EXPORTER_OTLP_ENDPOINT")},
        ),
        (
            {"JAEGER_AGENT_HOST": "agent"},
            {"endpoint of jaeger_client.Config": ("http://agent:4318/v1/traces", "JAEGER_AGENT_HOST")},
        ),
        (
            {"JAEGER_AGENT_HOST": "agent", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"},
            {"endpoint of jaeger_client.Config": None},
        ),
        (
            {"OTEL_TRACES_EXPORTER": "console"},
            {"exporter": ("console", "OTEL_TRACES_EXPORTER"), "protocol": None, "endpoint": None},
        ),
        (
            {"OTEL_SDK_DISABLED": "true"},
            {"exporter": ("none: no spans at all", "OTEL_SDK_DISABLED"), "protocol": None, "endpoint": None},
        ),
        (
            {"OTEL_RESOURCE_ATTRIBUTES": "a=b, service.name=shop"},
            {"service name": ("shop", "OTEL_RESOURCE_ATTRIBUTES")},
        ),
        (
            {"OTEL_TRACES_SAMPLER": "always_off", "OTEL_TRACES_SAMPLER_ARG": "1"},
            {"sampler": ("always_off", "OTEL_TRACES_SAMPLER")},
        ),
        ({"OT_BRIDGE_EXTRACT": "none"}, {"headers read": ("none", "OT_BRIDGE_EXTRACT")}),
    ],
    ids=str,
)
def test_destination_and_sampler_follow_the_variables(
    variables: dict[str, str], rows: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = explained("-m", "shop")
    assert ({what: found["rows"].get(what) for what in rows}, found["problems"]) == (rows, [])


def test_each_variable_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {
        "OTEL_BSP_SCHEDULE_DELAY": ("100", "has effect"),
        "OTEL_CONFIG_FILE": ("otel.yaml", "none: for opentelemetry-instrument"),
        "OTEL_EXPORTER_OTLP_HEADERS": ("(not shown)", "has effect"),
        "OTEL_EXPORTER_OTLP_TIMEOUT": ("1", "none: OTEL_EXPORTER_OTLP_TRACES_TIMEOUT counts"),
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": ("2", "has effect"),
        "OTEL_LOGS_EXPORTER": ("none", "none: for logs"),
        "OTEL_METRICS_EXPORTER": ("none", "none: for metrics"),
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": ("flask", "none: for opentelemetry-instrument"),
        "OTEL_SERVICE_NAM": ("x", "none: unknown; did you mean OTEL_SERVICE_NAME?"),
        "OTEL_TRACES_SAMPLER_ARG": ("1", "none: the sampler takes no argument"),
        "OT_BRIDGE_EXTRACT": ("b3", "has effect"),
        "OT_BRIDGE_INJECT": ("", "none: it is empty"),
        "OT_BRIDGE_SEMCOV": ("dup", "none: unknown; did you mean OT_BRIDGE_SEMCONV?"),
        "OT_BRIDGE_QQQQQQQQQQQQQQQQQQQQQQQQ": ("1", "none: unknown"),
    }
    for name, (value, _) in expected.items():
        monkeypatch.setenv(name, "a=b" if name.endswith("HEADERS") else value)
    found = explained("-m", "shop")
    assert (found["variables"], found["problems"]) == (expected, [])


def test_all_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OT_BRIDGE_REFERENCES", "jager")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "many")
    found = explained("python", "-I", "app.py")
    assert (found["command"], found["sets"], found["problems"]) == (
        [],
        {},
        [
            (
                "the command starts Python with -I, and -I ignores PYTHONPATH, by which ot_bridge comes in; start it "
                "without -I, or call ot_bridge.install() in the program"
            ),
            (
                "cannot use references: got 'jager' (environment variable OT_BRIDGE_REFERENCES), expected 'explicit' "
                "or 'jaeger'; did you mean 'jaeger'?"
            ),
            "cannot use OTEL_BSP_MAX_QUEUE_SIZE: got 'many' (environment variable), expected an integer of at least 1",
        ],
    )


def test_python_of_another_environment_is_noticed(tmp_path: Path) -> None:
    other = tmp_path / "python3"
    other.symlink_to(sys.executable)
    tool = tmp_path / "tool"
    tool.write_text(f"#!/usr/bin/env {other}\n", encoding="utf-8")
    tool.chmod(0o755)
    said = f"not the one that ot-bridge runs on, {sys.executable}: ot_bridge has to be installed there too"
    found = [explained(*words)["rows"]["python"] for words in ((str(other), "app.py"), (str(tool),))]
    assert found == [(str(other), said)] * 2


def test_jaeger_client_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert explained()["rows"]["jaeger_client"] == ("ot_bridge.jaeger_client", "the real one is not installed here")


def test_page_has_eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "a [bold]b\x1b[31m")
    monkeypatch.setenv("OT_BRIDGE_SEMCONV", "nu")
    result = explain("-m", "shop", "x" * 300)
    lines = result.stdout.splitlines()
    assert (result.exit_code, max(map(len, lines))) == (2, 80)
    assert [line.split() for line in lines if line.startswith(("what", "service", "OTEL_SERVICE"))] == [
        ["what", "value", "from"],
        ["service", "name", "a", "[bold]b\\x1b[31m", "OTEL_SERVICE_NAME"],
        ["OTEL_SERVICE_NAME", "a", "[bold]b\\x1b[31m", "has", "effect"],
    ]
    assert "wrong: cannot use semconv: got 'nu'" in result.stdout


def test_json_alone_is_refused() -> None:
    result = CliRunner().invoke(cli, ["run", "--json", "python", "app.py"])
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (2, "Error: --json goes with --explain")
