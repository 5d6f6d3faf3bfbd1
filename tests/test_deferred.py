"""Exporters that are built when they first have something to send."""

from __future__ import annotations

import os
import threading

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ot_bridge import deferred, export, telemetry
from ot_bridge.deferred import DeferredExporter
from ot_bridge.errors import ConfigError


def test_exporter_is_built_once_and_at_the_first_export(
    exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    built: list[SpanExporter] = []

    def build() -> SpanExporter:
        built.append(InMemorySpanExporter())
        return built[-1]

    provider.get_tracer("t").start_span("one").end()
    spans = exporter.get_finished_spans()
    late = DeferredExporter(build)
    assert (late.force_flush(), built) == (True, [])
    assert [late.export(spans), late.export(spans), late.force_flush()] == [SpanExportResult.SUCCESS] * 2 + [True]
    (inner,) = built
    assert isinstance(inner, InMemorySpanExporter)
    assert inner.get_finished_spans() == spans * 2
    late.shutdown()
    assert late.export(spans) is SpanExportResult.FAILURE


def test_exporter_that_is_never_needed_is_never_built() -> None:
    late = DeferredExporter(lambda: pytest.fail("built"))
    late.shutdown()
    assert late.export(()) is SpanExportResult.FAILURE


def test_exporter_that_cannot_be_built_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    def build() -> SpanExporter:
        raise OSError("no certificate")

    late = DeferredExporter(build)
    assert [late.export(()), late.export(())] == [SpanExportResult.FAILURE] * 2
    assert [record.getMessage() for record in caplog.records] == [
        "spans are lost: building the exporter failed: OSError: no certificate"
    ]
    assert telemetry.snapshot() == {"export.failed": 1}


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_variables_are_checked_at_once(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "zip")
    with pytest.raises(ConfigError, match="cannot use OTEL_EXPORTER_OTLP_COMPRESSION: got 'zip'"):
        export.build_processors(deferred=True)


@pytest.mark.parametrize(("protocol", "home"), [("http/protobuf", "http"), ("grpc", "grpc")])
def test_exporter_is_the_one_of_the_protocol(protocol: str, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    (processor,) = export.build_processors(deferred=True)
    assert isinstance(processor, BatchSpanProcessor)
    late = processor.span_exporter
    assert isinstance(late, DeferredExporter)
    made = late._ready()
    assert type(made).__module__ == f"ot_bridge.otlp.{home}"
    processor.shutdown()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_fork_waits_for_an_import_that_another_thread_is_in() -> None:
    inside, go_on = threading.Event(), threading.Event()

    def build() -> SpanExporter:
        inside.set()
        go_on.wait(1)
        return InMemorySpanExporter()

    late = DeferredExporter(build)
    thread = threading.Thread(target=late.export, args=((),))
    thread.start()
    inside.wait(10)
    threading.Timer(0.1, go_on.set).start()
    if (pid := os.fork()) == 0:
        os._exit(0 if late._exporter is not None and deferred._importing.acquire(timeout=5) else 1)
    _, status = os.waitpid(pid, 0)
    thread.join()
    assert (os.waitstatus_to_exitcode(status), deferred._importing.acquire(timeout=5)) == (0, True)
    deferred._importing.release()
