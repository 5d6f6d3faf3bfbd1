"""Tail sampling by one line of the settings, by native code, and in a process that forks."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, DEFAULT_ON, ParentBased, TraceIdRatioBased

import ot_bridge
from collectors import BAD_COLLECTORS, http_collector
from ot_bridge import ConfigError, Settings, sampling, telemetry
from ot_bridge.metrics import expose
from ot_bridge.sampling.tail import RecordingSampler, takes_all
from tail_stage import PARTIAL, POLICY, Stage


def run(program: str, **environ: str) -> list[str]:
    """Run a program; return the lines that it prints."""
    import os

    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environ},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")[:-1]


def arrived(arrivals: list[Any]) -> list[tuple[str, list[str]]]:
    """Return the names of what has arrived, with the stamps."""
    return [
        (span.name, [one.key for one in span.attributes if one.key in (POLICY, PARTIAL)])
        for arrival in arrivals
        for resource_spans in arrival.request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


def test_one_variable_keeps_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    with http_collector() as (url, arrivals):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OT_BRIDGE_TAIL", "errors,slow:1s")
        tracer = ot_bridge.install("shop")
        tracer.start_span("fine").finish()
        with tracer.start_active_span("failed") as scope:
            scope.span.set_tag("error", True)
            scope.span.tracer.start_span("query").finish()
        tracer.close()
    assert arrived(arrivals) == [("query", []), ("failed", [POLICY])]


def test_promote_local_in_the_settings_records_what_the_sampler_does_not_choose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    headers: dict[str, str] = {}
    with http_collector() as (url, arrivals):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        tracer = ot_bridge.install("shop", settings=Settings(sampler="const:0", tail="errors,rest:100%,promote_local"))
        tracer.start_span("fine").finish()
        with tracer.start_active_span("failed") as scope:
            scope.span.set_tag("error", True)
            native = tracer._provider.get_tracer("native").start_span("native")
            native.end()
            tracer.inject(scope.span.context, "http_headers", headers)
        tracer.close()
    assert arrived(arrivals) == [("native", []), ("failed", [POLICY, PARTIAL])]
    assert headers["uber-trace-id"].endswith(":0")


def test_several_exporters_share_one_tail_sampler(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    with http_collector() as (url, arrivals):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp,console")
        tracer = ot_bridge.install("shop", settings=Settings(tail="errors"))
        tracer.start_span("fine").finish()
        tracer.start_span("failed", tags={"error": True}).finish()
        tracer.close()
    assert (arrived(arrivals), telemetry.snapshot()["tail.decided.kept.error"]) == ([("failed", [POLICY])], 1)
    assert ('"failed"' in capsys.readouterr().out, '"fine"') == (True, '"fine"')


def test_no_exporter_needs_no_tail_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    tracer = ot_bridge.install("shop", settings=Settings(tail="errors"))
    provider: Any = tracer._provider
    processors = provider._active_span_processor._span_processors
    assert [one for one in processors if isinstance(one, sampling.TailSamplingProcessor)] == []


def test_rules_have_no_effect_on_a_provider_that_is_there(
    provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    ot_bridge.install(tracer_provider=provider, settings=Settings(tail="errors"))
    assert telemetry.snapshot() == {"install.tail": 1}
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "tail='errors' has no effect on a provider that is there: see docs/sampling.md"
    ]


def test_mistake_in_the_variable_is_refused_and_sets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OT_BRIDGE_TAIL", "eror,slow:1s")
    before = threading.active_count()
    with pytest.raises(
        ConfigError, match=r"cannot use tail: got 'eror' \(environment variable OT_BRIDGE_TAIL\).*errors'"
    ):
        ot_bridge.install("shop")
    assert threading.active_count() == before


def test_close_ends_in_time_with_a_tail_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    with BAD_COLLECTORS["never-answers"]() as port:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        tracer = ot_bridge.install("shop", settings=Settings(tail="rest:100%", close_timeout_s=0.3))
        tracer.start_span("op").finish()
        assert tracer.close() is False
    assert telemetry.snapshot()["close.incomplete"] >= 1


def test_pending_traces_are_decided_when_the_interpreter_ends() -> None:
    program = """
import ot_bridge
tracer = ot_bridge.install("shop", settings=ot_bridge.Settings(tail="rest:100%"))
root = tracer.start_span("root")
tracer.start_span("child", child_of=root).finish()
"""
    printed = run(program, OTEL_TRACES_EXPORTER="console")
    assert [line.strip() for line in printed if '"name"' in line] == ['"name": "child",']


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        (ALWAYS_ON, True),
        (DEFAULT_ON, True),
        (ParentBased(TraceIdRatioBased(0.5)), False),
        (sampling.build("const:1", service_name="s"), True),
        (sampling.build("probabilistic:0.5", service_name="s"), False),
    ],
    ids=["always-on", "default", "ratio", "const", "probabilistic"],
)
def test_sampler_that_takes_all_is_known(sampler: Any, expected: bool) -> None:
    assert takes_all(sampler) is expected


def test_recording_sampler_closes_what_is_in_it() -> None:
    closed: list[bool] = []
    inner: Any = sampling.build("const:0", service_name="s")
    inner.close = lambda: closed.append(True)
    sampler = RecordingSampler(inner)
    sampler.close()
    RecordingSampler(ALWAYS_ON).close()
    assert (closed, sampler.get_description()) == ([True], f"RecordingSampler{{{inner.get_description()}}}")


def test_metrics_show_what_was_decided_and_what_is_held() -> None:
    reader = InMemoryMetricReader()
    expose(MeterProvider([reader], shutdown_on_exit=False))
    stage = Stage("errors")
    stage.trace(error=True)
    stage.trace()
    root = stage.start("root")
    stage.end(stage.start("child", root))
    data: Any = reader.get_metrics_data()
    found = {
        (metric.name, tuple(point.attributes.values())): (point.value, metric.data.is_monotonic)
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.data.data_points
    }
    assert found == {
        ("ot_bridge.tail.decided", ("kept", "error")): (1, True),
        ("ot_bridge.tail.decided", ("dropped", "baseline")): (1, True),
        ("ot_bridge.tail.buffered", ()): (1, False),
    }
    assert root.is_recording()


FORK = """
import os, sys, threading, time
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from ot_bridge.sampling import TailSamplingProcessor

exporter = InMemorySpanExporter()
tail = TailSamplingProcessor(SimpleSpanProcessor(exporter), "errors,slow:50ms")
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(tail)
tracer = provider.get_tracer("test")
root = tracer.start_span("parent root")
with trace.use_span(root):
    tracer.start_span("parent child").end()
taken, release = threading.Event(), threading.Event()

def hold():
    with tail._traces._lock:
        taken.set()
        release.wait(20)

holder = threading.Thread(target=hold)
holder.start()
taken.wait(20)
pid = os.fork()
if pid == 0:
    tail_sizes = tail.sizes()
    failed = tracer.start_span("failed", context=trace.Context())
    failed.set_status(trace.StatusCode.ERROR)
    failed.end()
    open_one = tracer.start_span("slow", context=trace.Context())
    time.sleep(0.06)  # its own thread has to find it
    deadline = time.monotonic() + 15
    while len(tail._traces._following) < 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    print(tail_sizes["undecided"], [span.name for span in exporter.get_finished_spans()], len(tail._traces._following))
    sys.stdout.flush()
    os._exit(0)
os.waitpid(pid, 0)
release.set()
holder.join()
root.set_status(trace.StatusCode.ERROR)
root.end()
print([span.name for span in exporter.get_finished_spans()])
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork here")
def test_child_of_a_fork_starts_empty_with_a_lock_and_a_thread_of_its_own() -> None:
    assert run("import warnings; warnings.simplefilter('ignore')\n" + FORK) == [
        "0 ['failed'] 1",
        "['parent child', 'parent root']",
    ]
