"""Spans that are forgotten, and operations that flood their trace."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import opentracing
import pytest
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext

import ot_bridge
from ot_bridge import BridgeTracer, ConfigError, Settings, telemetry, watch
from ot_bridge.watch import Site, flood, unfinished
from spans import as_dict

FILE = str(Path(__file__))


class Clock:
    """Stands in for the monotonic clock."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(unfinished, "monotonic", clock)
    unfinished._sites.clear()
    yield clock
    unfinished._sites.clear()
    gc.collect()


def line() -> int:
    """Return the number of the caller's line."""
    return sys._getframe(1).f_lineno


# -- forgotten ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def finding(provider: TracerProvider, clock: Clock) -> BridgeTracer:
    return BridgeTracer(provider, settings=Settings(find_unfinished=60))


def test_span_that_is_old_is_reported_with_its_line(
    finding: BridgeTracer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    here = line() + 1
    held = [finding.start_span("op") for _ in range(2)]
    clock.now += 60
    place = f"{FILE}:{here}"
    assert watch.report() == [Site(place, "op", old=2, lost=0)]
    assert telemetry.snapshot() == {"unfinished.old": 2}
    message = f"a span 'op', started at {place}, was not finished within 60 s; it is not exported"
    assert [record.getMessage() for record in caplog.records] == [message]
    held.clear()
    gc.collect()
    assert watch.report() == [Site(place, "op", old=2, lost=0)]  # they are not found a second time


def test_span_that_was_thrown_away_is_reported_at_once(
    finding: BridgeTracer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    here = line() + 1
    finding.start_span("op")
    gc.collect()
    assert watch.report() == [Site(f"{FILE}:{here}", "op", old=0, lost=1)]
    assert telemetry.snapshot() == {"unfinished.lost": 1}
    assert [record.getMessage().rpartition(", ")[2] for record in caplog.records] == [
        "was thrown away unfinished; it is not exported"
    ]


def test_long_span_is_not_reported_before_its_age(finding: BridgeTracer, clock: Clock) -> None:
    long = finding.start_span("long")
    clock.now += 59.9
    finding.start_span("short").finish()
    assert watch.report() == []
    long.finish()
    clock.now += 1000
    assert watch.report() == []


def test_spans_that_start_find_those_that_are_old(finding: BridgeTracer, clock: Clock) -> None:
    held = finding.start_span("old")
    clock.now += 61
    finding.start_span("new").finish()
    assert telemetry.snapshot() == {"unfinished.old": 1}
    held.finish()


def test_close_and_flush_find_those_that_are_old(finding: BridgeTracer, clock: Clock) -> None:
    held = [finding.start_span("a")]
    clock.now += 61
    finding.flush()
    held.append(finding.start_span("b"))
    clock.now += 61
    finding.close()
    assert telemetry.snapshot() == {"unfinished.old": 2}


def test_line_is_that_of_the_caller_of_the_tracing_libraries(finding: BridgeTracer, clock: Clock) -> None:
    here = line() + 1
    parent = finding.start_active_span("parent", finish_on_close=False)
    child = opentracing.start_child_span(parent.span, "child")
    parent.close()
    clock.now += 61
    assert [(site.place, site.operation) for site in watch.report()] == [
        (f"{FILE}:{here}", "parent"),
        (f"{FILE}:{here + 1}", "child"),
    ]
    child.finish()


def test_spans_are_held_weakly_and_nothing_is_kept_of_them(finding: BridgeTracer, clock: Clock) -> None:
    assert finding._recorder is not None
    noted: Any = finding._recorder._rules.unfinished
    for _ in range(100):
        finding.start_span("finished").finish()
        finding.start_span("thrown away")
    gc.collect()
    assert (len(noted._open), len(noted._lost)) == (0, 100)
    watch.report()
    assert (len(noted._open), len(noted._lost)) == (0, 0)


def test_number_of_lines_is_limited(finding: BridgeTracer, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "_MAX_SITES", 1)
    finding.start_span("a")
    finding.start_span("b")
    gc.collect()
    assert [site.operation for site in watch.report()] == ["a"]
    assert telemetry.snapshot() == {"unfinished.lost": 2}


def test_spans_of_many_threads_are_each_found_once(finding: BridgeTracer, clock: Clock) -> None:
    def work() -> None:
        for number in range(200):
            span = finding.start_span("op")
            if number % 10:
                span.finish()
            if number % 50 == 0:
                watch.report()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    (site,) = watch.report()
    assert (site.old, site.lost) == (0, 8 * 20)


FORKING = """
import os
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from ot_bridge import BridgeTracer, Settings, telemetry, watch

exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(SimpleSpanProcessor(exporter))
tracer = BridgeTracer(provider, settings=Settings(find_unfinished=3600, flood_limit=1, flood_collapse=True))
root = tracer.start_span("root")
for _ in range(3):
    tracer.start_span("op", child_of=root).finish()

def tell(who):
    exporter.clear()
    tracer.flush()
    names = [span.name for span in exporter.get_finished_spans()]
    print(who, names, [site.operation for site in watch.report()], flush=True)

if os.fork() == 0:
    del root
    tracer.start_span("child's")
    tell("child")
    os._exit(0)
os.wait()
tell("parent")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_child_of_a_fork_does_not_answer_for_its_parent() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING], capture_output=True, text=True, timeout=30, check=False
    )
    lines = "child [] [\"child's\"]\nparent ['op (collapsed)'] []\n"
    assert (done.stdout, done.returncode) == (lines, 0), done.stderr


# -- floods ------------------------------------------------------------------------------------------------------------

SUMMARY = "ot_bridge.collapsed."


def flooding(provider: TracerProvider, limit: int = 2, *, collapse: bool = True) -> BridgeTracer:
    return BridgeTracer(provider, settings=Settings(flood_limit=limit, flood_collapse=collapse))


def names(exporter: InMemorySpanExporter) -> list[str]:
    return [span.name for span in exporter.get_finished_spans()]


def test_flood_is_counted_and_told_once(
    provider: TracerProvider, exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    tracer = flooding(provider, collapse=False)
    for _ in range(2):
        with tracer.start_active_span("root"):
            for _ in range(5):
                tracer.start_span("op").finish()
            tracer.start_span("other").finish()
    assert names(exporter) == (["op"] * 5 + ["other", "root"]) * 2
    assert telemetry.snapshot() == {"flood.spans": 6}
    message = "more than 2 spans 'op' under one parent: the operation floods its trace"
    assert [record.getMessage() for record in caplog.records] == [message]


def test_flood_is_collapsed_into_one_summary(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    tracer = flooding(provider)
    root = tracer.start_span("root", start_time=100.0)
    for number in range(5):
        span = tracer.start_span("op", child_of=root, start_time=101.0 + number, tags={"span.kind": "client"})
        span.finish(101.5 + number + number / 8)
    root.finish(200.0)
    assert names(exporter) == ["op", "op", "op (collapsed)", "root"]
    summary = as_dict(exporter.get_finished_spans()[2])
    assert {
        key: summary[key] for key in ("kind", "trace_id", "parent_id", "start_time", "end_time", "trace_flags")
    } == {
        "kind": "CLIENT",
        "trace_id": f"{root.trace_id:032x}",
        "parent_id": f"{root.span_id:016x}",
        "start_time": 103 * 10**9,
        "end_time": 106 * 10**9,
        "trace_flags": root.context.trace_flags,
    }
    assert summary["attributes"] == {
        f"{SUMMARY}operation": "op",
        f"{SUMMARY}count": 3,
        f"{SUMMARY}duration.sum_s": 0.75 + 0.875 + 1.0,
        f"{SUMMARY}duration.max_s": 1.0,
        f"{SUMMARY}errors": 0,
    }
    assert telemetry.snapshot() == {"flood.collapsed": 3, "flood.spans": 3}


def test_errors_are_never_collapsed(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    tracer = flooding(provider, 1)
    with tracer.start_active_span("root"):
        for number in range(6):
            tracer.start_span("op", tags={"n": number, "error": number % 2 == 1}).finish()
    found = {span.name: [] for span in exporter.get_finished_spans()}  # type: dict[str, list[Any]]
    for span in exporter.get_finished_spans():
        found[span.name].append(dict(span.attributes or {}))
    assert found["op"] == [{"n": number} for number in (0, 1, 3, 5)]
    (summary,) = found["op (collapsed)"]
    assert (summary[f"{SUMMARY}count"], summary[f"{SUMMARY}errors"]) == (2, 3)


def test_span_with_something_below_it_is_not_collapsed(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracer = ot_bridge.install(tracer_provider=provider, settings=Settings(flood_limit=1, flood_collapse=True))
    with tracer.start_active_span("root"):
        tracer.start_span("op").finish()
        with tracer.start_active_span("op"):
            tracer.start_span("child").finish()
        with tracer.start_active_span("op"):
            trace.get_tracer("native").start_span("native child").end()
        with tracer.start_active_span("op") as scope:
            tracer.inject(scope.span.context, opentracing.Format.HTTP_HEADERS, {})
        with tracer.start_active_span("op"):
            propagate.inject({})
        late = tracer.start_span("op")
        child = tracer.start_span("late child", child_of=late)
        late.finish()
        child.finish()
        linked = tracer.start_span("op")
        linked.add_link(SpanContext(1, 2, True))  # type: ignore[attr-defined]
        linked.finish()
        tracer.start_span("op").finish()
    assert names(exporter).count("op") == 7
    assert names(exporter)[-2:] == ["op (collapsed)", "root"]


def test_debug_trace_is_never_collapsed(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    tracer = flooding(provider, 1)
    with tracer.start_active_span("root", tags={"sampling.priority": 1}):
        for _ in range(3):
            tracer.start_span("op").finish()
    assert names(exporter) == ["op", "op", "op", "root"]


def test_processors_are_told_of_the_end_of_what_is_collapsed(provider: TracerProvider) -> None:
    balance: dict[str, int] = {}

    class Balance(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            balance[span.name] = balance.get(span.name, 0) + 1

        def on_end(self, span: Any) -> None:
            balance[span.name] -= 1

    provider.add_span_processor(Balance())
    tracer = flooding(provider, 1)
    with tracer.start_active_span("root"):
        for _ in range(3):
            tracer.start_span("op").finish()
    assert balance == {"root": 0, "op": 0, "op (collapsed)": 0}


def test_flush_exports_the_summaries_of_parents_that_go_on(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracer = flooding(provider, 1)
    root = tracer.start_span("root")
    for _ in range(3):
        tracer.start_span("op", child_of=root).finish()
    tracer.flush()
    assert names(exporter) == ["op", "op (collapsed)"]
    root.finish()
    assert names(exporter) == ["op", "op (collapsed)", "root"]


def test_oldest_parent_gives_way_with_its_summary(
    provider: TracerProvider, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flood, "_MAX_PARENTS", 2)
    tracer = flooding(provider, 1)
    remote = [SpanContext(1, number, True, trace.TraceFlags(1)) for number in (1, 2, 3)]
    for parent in remote:
        for _ in range(2):
            tracer.start_span("op", child_of=parent).finish()
    assert names(exporter) == ["op", "op", "op (collapsed)", "op"]
    assert tracer._recorder is not None
    counted: Any = tracer._recorder._rules.flood
    assert (len(counted._parents), len(counted._referred)) == (2, 3)


def test_names_of_one_parent_are_limited(provider: TracerProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flood, "_MAX_NAMES", 2)
    monkeypatch.setattr(flood, "_MAX_REFERRED", 1)
    tracer = flooding(provider, 1)
    roots = [tracer.start_span("root") for _ in range(2)]
    for root in roots:
        for number in range(5):
            tracer.start_span(f"op {number}", child_of=root).finish()
    assert tracer._recorder is not None
    counted: Any = tracer._recorder._rules.flood
    assert [len(groups) for groups in counted._parents.values()] == [2, 2]
    assert len(counted._referred) == 1


def test_every_span_of_many_threads_is_exported_or_summed_up(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracer = flooding(provider, 10)
    root = tracer.start_span("root")

    def work() -> None:
        for _ in range(200):
            tracer.start_span("op", child_of=root).finish()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    root.finish()
    (summary,) = (span for span in exporter.get_finished_spans() if span.name == "op (collapsed)")
    assert (names(exporter).count("op"), dict(summary.attributes or {})[f"{SUMMARY}count"]) == (10, 1590)


def test_drop_in_collapses_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OT_BRIDGE_FLOOD_LIMIT", "1")
    monkeypatch.setenv("OT_BRIDGE_FLOOD_COLLAPSE", "1")
    from ot_bridge import jaeger_client
    from ot_bridge.jaeger_client.reporter import InMemoryReporter

    reporter = InMemoryReporter()
    tracer = jaeger_client.Tracer(service_name="s", reporter=reporter, sampler=jaeger_client.ConstSampler(True))
    with tracer.start_active_span("root"):
        for _ in range(4):
            tracer.start_span("op").finish()
    tracer.close()
    assert [span.operation_name for span in reporter.get_spans()] == ["op", "op (collapsed)", "root"]


def test_failing_count_loses_no_span(
    provider: TracerProvider, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Any:
        raise ValueError

    monkeypatch.setattr(flood.Flood, "refer", fail)
    monkeypatch.setattr(flood.Flood, "ended", fail)
    with flooding(provider).start_active_span("root") as scope:
        scope.span.tracer.start_span("op").finish()
    assert names(exporter) == ["op", "root"]
    assert telemetry.snapshot() == {"flood.failed": 3}


# -- settings ----------------------------------------------------------------------------------------------------------


def test_nothing_is_watched_by_default(provider: TracerProvider) -> None:
    tracer = BridgeTracer(provider)
    assert tracer._recorder is not None
    rules = tracer._recorder._rules
    assert (rules.unfinished, rules.flood, rules.watches, tracer._propagator.sent) == (None, None, False, None)


def test_variables_ask_for_it() -> None:
    found = Settings.from_env(
        {"OT_BRIDGE_FIND_UNFINISHED": "90", "OT_BRIDGE_FLOOD_LIMIT": "100", "OT_BRIDGE_FLOOD_COLLAPSE": "on"}
    )
    assert found == Settings(find_unfinished=90, flood_limit=100, flood_collapse=True)
    assert Settings.from_env({"OT_BRIDGE_FIND_UNFINISHED": "none"}) == Settings()


@pytest.mark.parametrize(
    ("field", "value"),
    [("find_unfinished", 0), ("find_unfinished", -1), ("find_unfinished", "soon"), ("find_unfinished", float("inf")),
     ("flood_limit", 0), ("flood_limit", "many"), ("flood_collapse", True), ("flood_collapse", "perhaps")],
)  # fmt: skip
def test_bad_value_is_refused_with_the_name_of_its_field(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"cannot use {field}: got {value!r}")):
        Settings(**{field: value})
