"""Where the spans of a jaeger-client configuration go, from the dict to a real collector; and queue and resource."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import SpanProcessor

from collectors import Arrival, grpc_collector, http_collector
from ot_bridge import export
from ot_bridge.jaeger_config import translate
from ot_bridge.provider import build_provider

BESIDE = "this is OTLP's port on its host"
AGENT = {"local_agent": {"reporting_host": "agent"}}


@pytest.mark.parametrize(
    ("config", "environ", "endpoint", "origin"),
    [
        pytest.param(
            AGENT,
            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://t/x", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://e"},
            None,
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is set",
            id="traces-variable",
        ),
        pytest.param(
            AGENT,
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://e"},
            None,
            "OTEL_EXPORTER_OTLP_ENDPOINT is set",
            id="variable",
        ),
        pytest.param(
            AGENT,
            {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
            "http://agent:4318",
            f"jaeger-client's agent agent:6831 (local_agent.reporting_host) takes no OTLP; {BESIDE}",
            id="dict",
        ),
        pytest.param(
            {"local_agent": {"reporting_port": 5775}},
            {"JAEGER_AGENT_HOST": "::1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "http://[::1]:4317",
            f"jaeger-client's agent [::1]:5775 (JAEGER_AGENT_HOST) takes no OTLP; {BESIDE}",
            id="agent-variable-ipv6-grpc",
        ),
        pytest.param(
            AGENT,
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf"},
            "http://agent:4318",
            f"jaeger-client's agent agent:6831 (local_agent.reporting_host) takes no OTLP; {BESIDE}",
            id="traces-protocol",
        ),
        pytest.param(
            {},
            {},
            "http://localhost:4318",
            "no endpoint and no agent is named; jaeger-client's default agent localhost:6831 takes no OTLP",
            id="default",
        ),
    ],
)
def test_endpoint_is_the_variables_else_the_agents_host_else_the_default(
    config: dict[str, Any], environ: dict[str, str], endpoint: str | None, origin: str
) -> None:
    found = translate(config, environ=environ)
    assert (found.endpoint, found.endpoint_origin) == (endpoint, origin)
    assert found.variables.get("OTEL_EXPORTER_OTLP_ENDPOINT") == endpoint


def test_collector_of_the_variable_names_no_password() -> None:
    found = translate({}, environ={"JAEGER_ENDPOINT": "https://u:hunter2@c:14268/api/traces"}, jaeger_env="all")
    assert found.endpoint == "https://c:4318"
    assert (
        found.endpoint_origin == "the Collector of JAEGER_ENDPOINT takes no OTLP there; this is OTLP's port on its host"
    )


# -- processors --------------------------------------------------------------------------------------------------------


def described(processors: tuple[SpanProcessor, ...]) -> list[tuple[str, int, int, float]]:
    """Return endpoint, queue, batch and delay of each processor, and shut it down."""
    found = []
    for processor in processors:
        batch: Any = getattr(processor, "_batch_processor")  # noqa: B009
        delay = getattr(batch, "_schedule_delay_millis", None)
        found.append((processor.span_exporter._endpoint, batch._max_queue_size, batch._max_export_batch_size, delay))
        processor.shutdown()
    return found


BSP = {"OTEL_BSP_MAX_QUEUE_SIZE": "100", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "20", "OTEL_BSP_SCHEDULE_DELAY": "500"}


@pytest.mark.parametrize(
    ("protocol", "given", "used"),
    [
        ("http/protobuf", "http://agent:4318", "http://agent:4318/v1/traces"),
        ("http/protobuf", "http://[::1]:4318", "http://[::1]:4318/v1/traces"),
        ("grpc", "http://agent:4317", "agent:4317"),
    ],
)
def test_endpoint_that_nobody_asked_for_is_used_and_said_in_one_warning(
    protocol: str, given: str, used: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    processors = export.build_processors(given, endpoint_origin="why it is", defaults=BSP)
    assert described(processors) == [(used, 100, 20, 500)]
    shown = used if protocol == "http/protobuf" else given
    assert [(record.levelno, record.getMessage()) for record in caplog.records if record.name == "ot_bridge"] == [
        (logging.WARNING, f"spans go to {shown}: why it is; set OTEL_EXPORTER_OTLP_ENDPOINT to choose")
    ]


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_variables_win_over_what_was_translated_and_nothing_is_said(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(name, "http://chosen:4318/v1/traces" if "TRACES" in name else "http://chosen:4318")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "70")
    processors = export.build_processors("http://agent:4318", endpoint_origin="why", defaults=BSP)
    assert described(processors) == [("http://chosen:4318/v1/traces", 70, 20, 500)]
    assert caplog.messages == []


def test_nothing_is_said_where_no_span_goes_out_over_otlp(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    (processor,) = export.build_processors("http://agent:4318", endpoint_origin="why")
    processor.shutdown()
    assert caplog.messages == []


PROGRAM = """
from opentelemetry import trace
from ot_bridge import export
from ot_bridge.jaeger_config import addresses, translate
from ot_bridge.provider import build_provider

addresses._HTTP_PORT = addresses._GRPC_PORT = NUMBER
found = translate({"local_agent": {"reporting_host": "127.0.0.1"}, "tags": {"team": "t"}}, service_name="shop")
provider = build_provider(
    found.service_name,
    lambda: export.build_processors(found.endpoint, endpoint_origin=found.endpoint_origin, defaults=found.otel),
    resource=found.resource,
)
provider.get_tracer("t").start_span("sent").end()
print(export.flush_provider(provider, 10))
"""


@pytest.mark.parametrize(
    ("collector", "protocol"), [(http_collector, "http/protobuf"), (grpc_collector, "grpc")], ids=["http", "grpc"]
)
def test_spans_arrive_at_the_agents_host_and_the_line_is_visible_by_default(
    collector: Callable[[], AbstractContextManager[tuple[str, list[Arrival]]]], protocol: str, tmp_path: Path
) -> None:
    with collector() as (url, arrivals):
        port = url.rpartition(":")[2]
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM.replace("NUMBER", port)],
            env={**os.environ, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert run.stdout == "True\n"
    assert [arrival.span_names for arrival in arrivals] == [["sent"]]
    (line,) = run.stderr.splitlines()
    assert line.startswith(f"spans go to http://127.0.0.1:{port}")
    assert "jaeger-client's agent 127.0.0.1:6831" in line
    assert line.endswith("set OTEL_EXPORTER_OTLP_ENDPOINT to choose")


# -- resource ----------------------------------------------------------------------------------------------------------


def test_process_tags_are_the_providers_resource_and_the_variable_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=otel")
    provider = build_provider("shop", list, resource={"team": "dict", "zone": "z", "host.name": "tagged"})
    found = provider.resource.attributes
    names = ("service.name", "team", "zone", "host.name")
    assert [found[name] for name in names] == ["shop", "otel", "z", "tagged"]
