"""From OTEL_* variables to processors, and from there over real sockets to a collector."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from collectors import Arrival, grpc_collector, http_collector
from entry_points import EntryPoints
from ot_bridge import ConfigError, export
from ot_bridge.batching import CountingBatchProcessor

Build = Callable[[], tuple[SpanProcessor, ...]]


@pytest.fixture
def build() -> Iterator[Build]:
    """build_processors, with what it builds shut down at the end."""
    built: list[SpanProcessor] = []

    def build() -> tuple[SpanProcessor, ...]:
        processors = export.build_processors()
        built.extend(processors)
        return processors

    yield build
    for processor in built:
        processor.shutdown()


def described(processors: tuple[SpanProcessor, ...]) -> list[tuple[type, str]]:
    """Return the class of each processor, and where its exporter comes from."""
    return [(type(p), f"{type(p.span_exporter).__module__}".removeprefix("opentelemetry.")) for p in processors]


HTTP = (CountingBatchProcessor, "ot_bridge.otlp.http")
GRPC = (CountingBatchProcessor, "ot_bridge.otlp.grpc")
OFFICIAL_HTTP = (CountingBatchProcessor, "exporter.otlp.proto.http.trace_exporter")
OFFICIAL_GRPC = (CountingBatchProcessor, "exporter.otlp.proto.grpc.trace_exporter")
CONSOLE = (SimpleSpanProcessor, "sdk.trace.export")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        pytest.param({}, [HTTP], id="default"),
        pytest.param({"OTEL_TRACES_EXPORTER": " "}, [HTTP], id="empty"),
        pytest.param({"OTEL_TRACES_EXPORTER": "none"}, [], id="none"),
        pytest.param({"OTEL_TRACES_EXPORTER": "console"}, [CONSOLE], id="console"),
        pytest.param({"OTEL_TRACES_EXPORTER": "otlp, console,otlp,"}, [HTTP, CONSOLE], id="list"),
        pytest.param({"OTEL_TRACES_EXPORTER": "ot_bridge_otlp"}, [HTTP], id="own-name"),
        pytest.param({"OTEL_TRACES_EXPORTER": "otlp_proto_http"}, [OFFICIAL_HTTP], id="way-back-http"),
        pytest.param({"OTEL_TRACES_EXPORTER": "otlp_proto_grpc"}, [OFFICIAL_GRPC], id="way-back-grpc"),
        pytest.param({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, [GRPC], id="grpc"),
        pytest.param({"OTEL_EXPORTER_OTLP_PROTOCOL": "HTTP/protobuf"}, [HTTP], id="http"),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "wrong", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
            [GRPC],
            id="traces-before-all-signals",
        ),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_COMPRESSION": "none"},
            [GRPC],
            id="grpc-no-compression",
        ),
        pytest.param(
            {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317",
                "OTEL_EXPORTER_OTLP_INSECURE": "true",
            },
            [GRPC],
            id="grpc-target-with-insecure",
        ),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": "dns:///collector:4317"},
            [GRPC],
            id="grpc-name",
        ),
    ],
)
def test_variables_choose_the_processors(
    variables: dict[str, str], expected: list[Any], build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert described(build()) == expected


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_empty_endpoint_is_the_default_one(protocol: str, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    (processor,) = build()
    expected = {"http/protobuf": "http://localhost:4318/v1/traces", "grpc": "localhost:4317"}
    assert processor.span_exporter._endpoint == expected[protocol]


def test_batch_variables_reach_the_processor(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "100")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", " 250 ")
    (processor,) = build()
    batch = processor._batch_processor
    # The batch is at most the queue, though nobody asked for a smaller one than 512.
    assert (batch._max_queue_size, batch._max_export_batch_size, batch._schedule_delay_millis) == (100, 100, 250)


# -- mistakes ----------------------------------------------------------------------------------------------------------

MISTAKES = [
    ({"OTEL_TRACES_EXPORTER": "oltp"}, "cannot use OTEL_TRACES_EXPORTER: got 'oltp' (environment variable)", "'otlp'?"),
    ({"OTEL_TRACES_EXPORTER": "jaeger"}, "got 'jaeger' (environment variable), expected one of otlp, console", ""),
    ({"OTEL_TRACES_EXPORTER": "none,otlp"}, "expected 'none' alone or names without it", ""),
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http"}, "OTEL_EXPORTER_OTLP_PROTOCOL: got 'http'", "'http/protobuf' or 'grpc'"),
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuff"}, "got 'http/protobuff'", "did you mean 'http/protobuf'?"),
    ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "gprc"}, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: got 'gprc'", "'grpc'?"),
    (
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"},
        "cannot use OTEL_EXPORTER_OTLP_ENDPOINT: got 'collector:4318' (environment variable)",
        "such as 'http://collector:4318'",
    ),
    ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "htp://c:4318"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "'http://c:4318'"),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://"}, "expected a URL with a host", ""),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:68x31"}, "expected a URL: ", ""),
    ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:99999"}, "expected a URL: ", ""),
    (
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"},
        "got 'collector:4317'",
        "such as 'http://collector:4317'",
    ),
    (
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_INSECURE": "1"},
        "OTEL_EXPORTER_OTLP_INSECURE",
        "'false'",
    ),
    ({"OTEL_EXPORTER_OTLP_COMPRESSION": "gzp"}, "OTEL_EXPORTER_OTLP_COMPRESSION: got 'gzp'", "'gzip'?"),
    (
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_COMPRESSION": "deflate"},
        "expected 'none' or 'gzip'",
        "",
    ),
    ({"OTEL_EXPORTER_OTLP_TIMEOUT": "ten"}, "OTEL_EXPORTER_OTLP_TIMEOUT: got 'ten'", "expected a number above 0"),
    ({"OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "0"}, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: got '0'", "a number above 0"),
    ({"OTEL_EXPORTER_OTLP_TIMEOUT": "nan"}, "OTEL_EXPORTER_OTLP_TIMEOUT: got 'nan'", ""),
    ({"OTEL_EXPORTER_OTLP_CERTIFICATE": "/no/such.pem"}, "got '/no/such.pem'", "expected the path of a file"),
    ({"OTEL_BSP_MAX_QUEUE_SIZE": "0"}, "OTEL_BSP_MAX_QUEUE_SIZE: got '0'", "expected an integer of at least 1"),
    ({"OTEL_BSP_SCHEDULE_DELAY": "5s"}, "OTEL_BSP_SCHEDULE_DELAY: got '5s'", "expected an integer of at least 1"),
    ({"OTEL_BSP_EXPORT_TIMEOUT": "-1"}, "OTEL_BSP_EXPORT_TIMEOUT: got '-1'", "expected an integer of at least 0"),
    ({"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1_0"}, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE: got '1_0'", "of at least 1"),
    ({"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "9" * 5000}, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE: got '999", "of at least 1"),
    (
        {"OTEL_BSP_MAX_QUEUE_SIZE": "8", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "9"},
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE: got 9",
        "expected at most OTEL_BSP_MAX_QUEUE_SIZE, 8",
    ),
]


@pytest.mark.parametrize(
    ("variables", "reason", "wanted"),
    MISTAKES,
    ids=[" ".join(f"{k}={v[:20]}" for k, v in c[0].items()) for c in MISTAKES],
)
def test_mistake_is_refused_by_name(
    variables: dict[str, str], reason: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        export.build_processors()
    assert reason in str(caught.value)
    assert wanted in str(caught.value)


def test_header_without_equals_is_refused_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=acme,,secret")
    with pytest.raises(ConfigError, match=r"^cannot use OTEL_EXPORTER_OTLP_HEADERS: item 3 ") as caught:
        export.build_processors()
    assert "secret" not in str(caught.value)


def test_port_of_grpc_under_http_is_warned_of(
    build: Build, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")
    build()
    assert [r.getMessage().partition(":")[0] for r in caplog.records if r.levelno == logging.WARNING] == [
        "OTEL_EXPORTER_OTLP_ENDPOINT"
    ]


def _raise() -> None:
    raise LookupError("no such region")


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        (_raise, "building 'vendor' (environment variable) failed with LookupError: no such region"),
        (object, "got 'vendor' (environment variable), expected a SpanExporter, but its entry point gives object"),
    ],
    ids=["raises", "gives-no-exporter"],
)
def test_entry_point_that_fails_is_refused_by_name(
    factory: Callable[[], Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ot_bridge.environment.entry_points", lambda group: EntryPoints(vendor=factory))
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "vendor")
    with pytest.raises(ConfigError) as caught:
        export.build_processors()
    assert str(caught.value) == f"cannot use OTEL_TRACES_EXPORTER: {reason}"


def test_exporter_built_before_a_failing_one_is_shut_down(monkeypatch: pytest.MonkeyPatch) -> None:
    first = InMemorySpanExporter()
    made = EntryPoints(first=lambda: first, second=_raise)
    monkeypatch.setattr("ot_bridge.environment.entry_points", lambda group: made)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "first,second")
    with pytest.raises(ConfigError, match="second"):
        export.build_processors()
    assert first._stopped


def test_otlp_exporter_that_cannot_be_built_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_build_otlp", lambda *_, **__: _raise())
    with pytest.raises(ConfigError) as caught:
        export.build_processors()
    assert str(caught.value) == (
        "cannot use OTEL_TRACES_EXPORTER=otlp: building the exporters failed with LookupError: no such region"
    )


def test_console_exporter_writes_where_stdout_is_now(
    build: Build, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    provider = TracerProvider(shutdown_on_exit=False)
    (processor,) = build()
    assert isinstance(processor.span_exporter, ConsoleSpanExporter)
    provider.add_span_processor(processor)
    provider.get_tracer("t").start_span("shown").end()
    assert '"name": "shown"' in capsys.readouterr().out


# -- over the wire -----------------------------------------------------------------------------------------------------


def export_one_span(build: Build) -> None:
    """Send one span through what the variables choose."""
    provider = TracerProvider(shutdown_on_exit=False)
    for processor in build():
        provider.add_span_processor(processor)
    provider.get_tracer("t").start_span("sent").end()
    assert export.flush_provider(provider, 10)


@pytest.mark.parametrize(
    ("collector", "protocol", "path", "compression"),
    [
        pytest.param(http_collector, "http/protobuf", "/v1/traces", "gzip", id="http"),
        pytest.param(grpc_collector, "grpc", "grpc", None, id="grpc"),
    ],
)
def test_span_arrives_with_headers(
    collector: Callable[[], AbstractContextManager[tuple[str, list[Arrival]]]],
    protocol: str,
    path: str,
    compression: str | None,
    build: Build,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with collector() as (url, arrivals):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=acme,authorization=Bearer%20t0ken")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        export_one_span(build)
    (arrival,) = arrivals
    assert (arrival.path, arrival.span_names) == (path, ["sent"])
    headers = (arrival.headers["x-tenant"], arrival.headers["authorization"], arrival.headers.get("content-encoding"))
    assert headers == ("acme", "Bearer t0ken", compression)


LOADED = """
import sys
import opentracing, ot_bridge
tracer = ot_bridge.install("checkout")
opentracing.tracer.start_span("sent").finish()
tracer.close()
print(sorted({name.partition(".")[0] for name in sys.modules} & {"grpc", "requests"}))
"""


@pytest.mark.parametrize(
    ("collector", "protocol", "loaded"),
    [(http_collector, "http/protobuf", "['requests']"), (grpc_collector, "grpc", "['grpc']")],
    ids=["http", "grpc"],
)
def test_only_the_chosen_protocol_is_imported(
    collector: Callable[[], AbstractContextManager[tuple[str, list[Arrival]]]],
    protocol: str,
    loaded: str,
    tmp_path: Path,
) -> None:
    with collector() as (url, arrivals):
        environ = {"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_EXPORTER_OTLP_ENDPOINT": url}
        run = subprocess.run(
            [sys.executable, "-c", LOADED],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert (run.stdout.strip(), run.stderr) == (loaded, "")
    assert [arrival.span_names for arrival in arrivals] == [["sent"]]
