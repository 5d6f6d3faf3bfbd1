"""What every test gets: no variables from outside, no counts of the test before, no active span left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import hypothesis
import opentracing
import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ot_bridge import BridgeTracer, bootstrap, meter, telemetry

pytest_plugins = ("compat.recording", "compat.servers")

# A build that is to be repeated draws the same examples each time; on a developer's machine each run draws new ones.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Let reports pass between the processes of pytest-xdist: what a test prints or logs need not be UTF-8."""
    report = yield
    report.sections = [(name, text.encode(errors="backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(autouse=True)
def _no_outer_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("OTEL_", "OT_BRIDGE_", "JAEGER_")) or name.lower() in (
            "http_proxy",
            "https_proxy",
            "all_proxy",
        ):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _nothing_left_behind(_no_outer_variables: None) -> Iterator[None]:
    """Fail the test that leaves a span or baggage active, or a tracer installed by somebody else's hand."""
    telemetry.reset()
    meter._forget()
    assert not otel_context.get_current(), "a test before this one left a context active"
    global_tracer = opentracing.tracer, opentracing.is_tracer_registered
    yield
    left = otel_context.get_current()
    otel_context.attach(otel_context.Context())
    bootstrap._uninstall()
    # Some tests set it by OpenTracing's own function, which knows no way back.
    opentracing.tracer, opentracing.is_tracer_registered = global_tracer
    assert not left, f"the test left a context active: {left}"
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider), "the test left a global provider"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Keeps the finished spans."""
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    """An SDK provider that exports to ``exporter`` at once."""
    provider = TracerProvider(resource=Resource({"service.name": "test"}), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


@pytest.fixture
def tracer(provider: TracerProvider) -> BridgeTracer:
    """A bridge tracer over ``provider``; no global is set."""
    return BridgeTracer(provider)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Programs that are started in the background, as tests may be, ignore Ctrl-C, and so would theirs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
