"""The end within a stated time, in this process and at the exit of another one."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from collectors import BAD_COLLECTORS, http_collector
from ot_bridge import telemetry
from ot_bridge.shutdown import flush_provider, shutdown_provider


class Stuck(SpanExporter):
    """An exporter whose collector accepts and never answers, until the test lets it go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def export(self, spans: Any) -> SpanExportResult:
        self.let_go.wait()
        return SpanExportResult.FAILURE


class Closing(SpanProcessor):
    """A processor that is no batch processor."""

    def __init__(self, shutdown: Callable[[], None]) -> None:
        self.shutdown = shutdown  # type: ignore[method-assign]


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    exporter = Stuck()
    yield exporter
    exporter.let_go.set()


def provider_of(*exporters: SpanExporter) -> TracerProvider:
    """Return a provider with one ended span in the queue of a batch processor for each exporter."""
    provider = TracerProvider(shutdown_on_exit=False)
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    provider.get_tracer("t").start_span("waiting").end()
    return provider


def names(exporter: InMemorySpanExporter) -> list[str]:
    return [span.name for span in exporter.get_finished_spans()]


def test_shutdown_sends_what_waits(exporter: InMemorySpanExporter) -> None:
    provider = provider_of(exporter)
    assert shutdown_provider(provider, 30)
    assert shutdown_provider(provider, 30)
    assert names(exporter) == ["waiting"]


def test_shutdown_does_not_wait_for_a_stuck_exporter(stuck: Stuck) -> None:
    assert not shutdown_provider(provider_of(stuck), 0.2)
    assert telemetry.snapshot() == {"close.incomplete": 1}


def test_stuck_exporter_leaves_time_for_the_next_one(stuck: Stuck, exporter: InMemorySpanExporter) -> None:
    assert not shutdown_provider(provider_of(stuck, exporter), 0.6)
    assert names(exporter) == ["waiting"]


def test_processor_of_another_kind_is_shut_down_in_time_too(stuck: Stuck, exporter: InMemorySpanExporter) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Closing(stuck.let_go.wait))  # type: ignore[arg-type]
    provider.add_span_processor(BatchSpanProcessor(exporter))
    provider.get_tracer("t").start_span("waiting").end()
    assert not shutdown_provider(provider, 0.6)
    assert names(exporter) == ["waiting"]


def test_batch_processor_with_a_shutdown_of_its_own_keeps_it() -> None:
    calls: list[str] = []

    class Own(BatchSpanProcessor):
        def shutdown(self) -> None:
            calls.append("own")
            super().shutdown()

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Own(InMemorySpanExporter()))
    assert shutdown_provider(provider, 30)
    assert calls == ["own"]


def test_shutdown_that_raises_is_warned_of_and_stops_nothing(
    exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise OSError("gone")

    provider = provider_of()
    provider.add_span_processor(Closing(fail))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    provider.get_tracer("t").start_span("waiting").end()
    assert not shutdown_provider(provider, 30)
    assert names(exporter) == ["waiting"]
    assert caplog.messages[0] == "shutting down or flushing failed: OSError: gone"


def test_provider_of_another_make_is_shut_down_in_time(stuck: Stuck) -> None:
    class Vendor(trace.NoOpTracerProvider):
        def shutdown(self) -> None:
            stuck.let_go.wait()

    assert not shutdown_provider(Vendor(), 0.2)


@pytest.mark.parametrize("end", [shutdown_provider, flush_provider])
def test_provider_that_cannot_be_ended_is_ended(end: Callable[[object, float], bool]) -> None:
    assert end(trace.NoOpTracerProvider(), 1)


def test_flush_sends_what_waits(exporter: InMemorySpanExporter) -> None:
    provider = provider_of(exporter)
    assert flush_provider(provider, 30)
    assert names(exporter) == ["waiting"]
    assert shutdown_provider(provider, 30)


def test_flush_does_not_wait_for_a_stuck_exporter(stuck: Stuck) -> None:
    provider = provider_of(stuck)
    assert not flush_provider(provider, 0.2)
    assert telemetry.snapshot() == {"flush.incomplete": 1}
    assert not shutdown_provider(provider, 0.2)


@pytest.mark.parametrize("timeout_s", [0, -1, math.nan])
def test_no_time_is_no_wait(timeout_s: float, stuck: Stuck) -> None:
    provider = provider_of(stuck)
    assert (flush_provider(provider, timeout_s), shutdown_provider(provider, timeout_s)) == (False, False)


def test_endless_time_is_taken(exporter: InMemorySpanExporter) -> None:
    provider = provider_of(exporter)
    assert (flush_provider(provider, math.inf), shutdown_provider(provider, math.inf)) == (True, True)


def _no_thread(_: threading.Thread) -> None:
    raise RuntimeError("can't create new thread at interpreter shutdown")


def test_where_no_thread_starts_shutdown_still_sends(
    exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = provider_of(exporter)
    monkeypatch.setattr(threading.Thread, "start", _no_thread)
    assert not flush_provider(provider, 30)
    assert shutdown_provider(provider, 30)
    assert names(exporter) == ["waiting"]


# -- at exit -----------------------------------------------------------------------------------------------------------

PROGRAM = """
import logging
import opentracing, ot_bridge
logging.disable()
ot_bridge.install("checkout")
opentracing.tracer.start_span("last").finish()
"""

CLOSE_TIMEOUT_S = 1
# What starting an interpreter and importing everything may take on a busy machine. Without the bound it would be the
# exporter's 10 s and the processor's 30 s.
START_S = 8


def run(program: str, directory: Path, **variables: str) -> float:
    """Run a program to its end; return how many seconds that took."""
    environ = {"PATH": os.defpath, "OT_BRIDGE_CLOSE_TIMEOUT_S": str(CLOSE_TIMEOUT_S), **variables}
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environ,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")
    return time.monotonic() - start


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("collector", BAD_COLLECTORS.values(), ids=BAD_COLLECTORS)
def test_process_ends_in_time_whatever_the_collector_does(
    collector: Callable[[], AbstractContextManager[int]], protocol: str, tmp_path: Path
) -> None:
    with collector() as port:
        url = f"http://127.0.0.1:{port}"
        took_s = run(PROGRAM, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url, OTEL_EXPORTER_OTLP_PROTOCOL=protocol)
    assert took_s < CLOSE_TIMEOUT_S + START_S


def test_last_span_arrives_at_exit(tmp_path: Path) -> None:
    with http_collector() as (url, arrivals):
        run(PROGRAM, tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=url)
    assert [arrival.span_names for arrival in arrivals] == [["last"]]
