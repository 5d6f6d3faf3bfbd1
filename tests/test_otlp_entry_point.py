"""OTEL_TRACES_EXPORTER=ot_bridge_otlp: the encoder for services that know nothing of OpenTracing."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SpanExporter

from collectors import grpc_collector, http_collector
from ot_bridge import ConfigError
from ot_bridge.otlp.exporter import BridgeSpanExporter

# What opentelemetry-instrument does of it, and what a user of the SDK's configurator does.
NATIVE = """
import json, sys
from opentelemetry.sdk._configuration import _OTelSDKConfigurator
_OTelSDKConfigurator().configure()
from opentelemetry import trace
with trace.get_tracer("native").start_as_current_span("outer", attributes={"n": 1, "odd": [None]}) as span:
    span.add_event("e", {"k": "v"})
provider = trace.get_tracer_provider()
provider.shutdown()
exporter = provider._active_span_processor._span_processors[0].span_exporter
loaded = {"grpc", "requests", "ot_bridge.recording", "ot_bridge.tracer"} & {*sys.modules}
print(json.dumps([type(exporter).__module__, sorted(loaded)]))
"""


def run(program: str, variables: dict[str, str], folder: Path) -> Any:
    """Run a program with these variables; return what it printed."""
    kept = {
        name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "COVERAGE_PROCESS_START")
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**kept, **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_entry_point_is_the_class() -> None:
    (found,) = entry_points(group="opentelemetry_traces_exporter", name="ot_bridge_otlp")
    assert found.load() is BridgeSpanExporter
    assert issubclass(BridgeSpanExporter, SpanExporter)  # the SDK asks


@pytest.mark.parametrize(
    ("collector", "protocol", "expected"),
    [
        (http_collector, {}, ["ot_bridge.otlp.http", ["requests"]]),
        (http_collector, {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, ["ot_bridge.otlp.http", ["requests"]]),
        (grpc_collector, {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ["ot_bridge.otlp.grpc", ["grpc"]]),
        (
            grpc_collector,
            {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
            },
            ["ot_bridge.otlp.grpc", ["grpc"]],
        ),
    ],
    ids=["default", "http", "grpc", "grpc-for-traces"],
)
def test_native_service_exports_with_our_encoder(
    collector: Callable[[], Any], protocol: dict[str, str], expected: Any, tmp_path: Path
) -> None:
    with collector() as (url, arrivals):
        variables = {
            "OTEL_TRACES_EXPORTER": "ot_bridge_otlp",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_ENDPOINT": url,
            "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=acme",
            "OTEL_SERVICE_NAME": "shop",
            **protocol,
        }
        assert run(NATIVE, variables, tmp_path) == expected
    (arrival,) = arrivals
    assert (arrival.span_names, arrival.headers["x-tenant"]) == (["outer"], "acme")
    attributes = {one.key: one.value for one in arrival.request.resource_spans[0].resource.attributes}
    assert attributes["service.name"].string_value == "shop"


DECLARATIVE = """
import json
from opentelemetry.configuration import configure_sdk, load_config_file
configure_sdk(load_config_file("otel.yaml"))
from opentelemetry import trace
trace.get_tracer("native").start_span("declared").end()
provider = trace.get_tracer_provider()
provider.shutdown()
print(json.dumps(type(provider._active_span_processor._span_processors[0].span_exporter).__module__))
"""
FILE = """
file_format: "1.0"
tracer_provider:
  processors:
    - batch:
        exporter:
          ot_bridge_otlp:
            endpoint: {url}/v1/traces
            headers:
              x-tenant: acme
"""


@pytest.mark.skipif(
    importlib.util.find_spec("opentelemetry.configuration") is None,
    reason="opentelemetry-configuration is not installed",
)
def test_declarative_file_names_it_with_the_official_arguments(tmp_path: Path) -> None:
    with http_collector() as (url, arrivals):
        (tmp_path / "otel.yaml").write_text(FILE.format(url=url))
        assert run(DECLARATIVE, {}, tmp_path) == "ot_bridge.otlp.http"
    assert [(arrival.span_names, arrival.headers["x-tenant"]) for arrival in arrivals] == [(["declared"], "acme")]


def test_unknown_protocol_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
    with pytest.raises(ConfigError, match="cannot use OTEL_EXPORTER_OTLP_PROTOCOL: got 'http/json'"):
        BridgeSpanExporter()
