"""The drop-in's reporters, and where their numbers go."""

from __future__ import annotations

import logging
from typing import Any

import prometheus_client
import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from collectors import BAD_COLLECTORS, http_collector
from jaeger_pairs import BOTH, NEW, module, needs_the_real_one, tracer_of
from ot_bridge import telemetry
from ot_bridge.jaeger_client import Config, ConstSampler, Tracer
from ot_bridge.jaeger_client.ioloop_util import future_result
from ot_bridge.jaeger_client.local_agent_net import LocalAgentSender
from ot_bridge.jaeger_client.metrics import MetricsFactory
from ot_bridge.jaeger_client.metrics.prometheus import PrometheusMetricsFactory
from ot_bridge.jaeger_client.reporter import (
    BaseReporter,
    CompositeReporter,
    InMemoryReporter,
    LoggingReporter,
    NullReporter,
    Reporter,
)

CONST = {"sampler": {"type": "const", "param": 1}}


class Numbers(MetricsFactory):
    """Keeps every number by the result that it is for."""

    def __init__(self) -> None:
        self.found: dict[str, float] = {}

    def create_counter(self, name: str, tags: Any = None) -> Any:
        key = (tags or {}).get("result", name)
        return lambda value: self.found.__setitem__(key, self.found.get(key, 0) + value)

    def create_gauge(self, name: str, tags: Any = None) -> Any:
        return lambda value: self.found.__setitem__(name, value)


@needs_the_real_one
def test_logging_reporter_says_what_jaeger_client_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for base in BOTH:
        reporter = module(base, "reporter").LoggingReporter()
        context = module(base, "span_context").SpanContext(0xABC, 0xDEF, None, 1)
        of = module(base, "tracer").Tracer(
            "svc", reporter, module(base, "sampler").ConstSampler(True), tags={"ip": "x"}
        )
        module(base, "span").Span(context, of, "op").finish()
    said = [(record.name, record.getMessage()) for record in caplog.records if record.name == "jaeger_tracing"]
    assert said == [("jaeger_tracing", "Reporting span abc:def:0:1 svc.op")] * 2


def test_logging_reporter_logs_where_it_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    of = Tracer("svc", LoggingReporter(logging.getLogger("mine")), ConstSampler(True))
    of.start_span("op").finish()
    assert [record.name for record in caplog.records] == ["mine"]


def test_composite_reporter_hands_to_all_and_closes_all() -> None:
    class Own(BaseReporter):
        closed = False

        def report_span(self, span: Any) -> None: ...

        def close(self) -> Any:
            Own.closed = True
            return future_result(False)

    first, second = InMemoryReporter(), InMemoryReporter()
    of = Tracer("svc", CompositeReporter(first, second, Own(), NullReporter()), ConstSampler(True))
    of.start_span("op").finish()
    assert [[span.operation_name for span in one.get_spans()] for one in (first, second)] == [["op"], ["op"]]
    assert (of.close().result(), Own.closed) == (False, True)


def test_base_reporter_says_what_is_missing() -> None:
    with pytest.raises(NotImplementedError):
        BaseReporter().report_span(tracer_of(NEW).start_span("op"))
    assert BaseReporter().close().result() is True


def test_null_reporter_takes_everything() -> None:
    of = Tracer("svc", NullReporter(), ConstSampler(True))
    of.start_span("op").finish()
    assert of.close().result() is True


@pytest.mark.parametrize("name", ["_send", "_submit", "_consume_queue", "getProtocol"])
def test_reporter_that_overrides_thrift_says_so_once(name: str, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        Mine = type("Mine", (Reporter,), {name: lambda self, *args: None})  # noqa: N806  (it is a class)
    assert Mine.__mro__[1] is Reporter
    said = (
        f"Mine.{name} is never called: spans leave over OTLP, not as thrift batches; override report_span, or add a "
        "SpanProcessor to the tracer's provider"
    )
    assert [record.getMessage() for record in caplog.records] == [said]
    assert telemetry.snapshot() == {f"dropin.reporter.Mine_{name}": 2}


def test_reporter_that_overrides_report_span_is_used_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Filtering(Reporter):
        def report_span(self, span: Any) -> None:
            if span.operation_name != "health":
                super().report_span(span)

    with http_collector() as (url, arrivals), pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        of = Tracer("svc", Filtering(LocalAgentSender("localhost", 5778, 6831)), ConstSampler(True))
        for name in ("op", "health"):
            of.start_span(name).finish()
        assert of.close().result(30) is True
    assert [name for arrival in arrivals for name in arrival.span_names] == ["op"]
    assert caplog.records == []


def test_spans_of_a_reporter_that_was_swapped_are_still_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with http_collector() as (url, arrivals):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        of = Config({**CONST, "service_name": "svc"}).new_tracer()
        of.start_span("before").finish()
        of.reporter = NullReporter()
        of.start_span("after").finish()
        assert of.close().result(30) is True
    assert [name for arrival in arrivals for name in arrival.span_names] == ["before"]


def test_reporter_in_a_composite_sends_and_the_others_see_the_same_span(monkeypatch: pytest.MonkeyPatch) -> None:
    with http_collector() as (url, arrivals):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        seen = InMemoryReporter()
        of = Tracer("svc", CompositeReporter(Reporter(), seen), ConstSampler(True))
        with of.start_span("op") as span:
            pass
        assert of.close().result(30) is True
    assert [name for arrival in arrivals for name in arrival.span_names] == ["op"]
    assert seen.get_spans() == [span]


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_numbers_of_what_was_sent_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = Numbers()
    with http_collector() as (url, _):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        reporter = Reporter(metrics_factory=numbers)
        of = Tracer("svc", reporter, ConstSampler(True))
        for _ in range(3):
            of.start_span("op").finish()
        assert reporter.queue_length() <= 3
        assert of.close().result(30) is True
    assert numbers.found == {"ok": 3, "jaeger:reporter_queue_length": 0}


def test_numbers_of_what_was_lost_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = Numbers()
    with BAD_COLLECTORS["refuses"]() as port:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
        of = Tracer("svc", Reporter(metrics_factory=numbers), ConstSampler(True))
        of.start_span("op").finish()
        of.close(10).result(30)
    assert numbers.found == {"err": 1, "jaeger:reporter_queue_length": 0}


def test_numbers_of_what_found_no_room_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = Numbers()
    reporter = Reporter(queue_capacity=5, batch_size=5, flush_interval=1000, metrics_factory=numbers)
    (processor,) = reporter.processors
    inner: Any = processor._batch_processor  # type: ignore[attr-defined]
    monkeypatch.setattr(inner, "_worker_awaken", type("Nobody", (), {"set": lambda self: None})())
    of = Tracer("svc", reporter, ConstSampler(True))
    for _ in range(8):
        of.start_span("op").finish()
    assert (numbers.found, reporter.queue_length()) == ({"dropped": 3}, 5)
    monkeypatch.undo()
    of.close(0)


def test_exporter_that_raises_is_counted_as_lost() -> None:
    from ot_bridge.jaeger_client.reporter import _CountedExporter

    class Broken(SpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            raise RuntimeError("no")

        def force_flush(self, timeout_millis: int = 30000) -> bool:
            return timeout_millis == 7

    numbers = Numbers()
    counted = _CountedExporter(Broken(), Reporter(metrics_factory=numbers))
    with pytest.raises(RuntimeError):
        counted.export([object(), object()])  # type: ignore[list-item]
    assert numbers.found == {"err": 2, "jaeger:reporter_queue_length": 0}
    counted.shutdown()
    assert (counted.force_flush(7), counted.force_flush()) == (True, False)


def test_prometheus_gets_every_number(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = prometheus_client.CollectorRegistry()
    for name in ("Counter", "Gauge"):
        kind = getattr(prometheus_client, name)
        monkeypatch.setattr(
            f"ot_bridge.jaeger_client.metrics.prometheus.{name}",
            lambda *args, kind=kind, **named: kind(*args, registry=registry, **named),
        )
    with http_collector() as (url, _):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        factory = PrometheusMetricsFactory(namespace="shop", service_name_label="svc")
        of = Config({**CONST, "service_name": "svc"}, metrics_factory=factory).new_tracer()
        with of.start_span("root") as root:
            of.start_span("child", child_of=root).finish()
        of.start_span("joined", tags={"span.kind": "server"}).finish()
        assert of.close().result(30) is True
    found = {
        (sample.name, *(value for key, value in sorted(sample.labels.items()) if key != "service")): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if not sample.name.endswith("_created") and sample.value and sample.labels["service"] == "svc"
    }
    assert found == {
        ("shop_jaeger:started_spans_total", "y"): 3,
        ("shop_jaeger:finished_spans_total",): 3,
        ("shop_jaeger:traces_total", "y", "started"): 1,
        ("shop_jaeger:traces_total", "y", "joined"): 1,
        ("shop_jaeger:reporter_spans_total", "ok"): 3,
    }
    assert registry.get_sample_value("shop_jaeger:reporter_queue_length", {"service": "svc"}) == 0


@needs_the_real_one
def test_prometheus_metrics_have_names_and_labels_as_from_jaeger_client() -> None:
    from jaeger_client.metrics import prometheus as theirs

    from ot_bridge.jaeger_client.metrics import prometheus as ours

    found = []
    for module_of in (theirs, ours):
        registry = prometheus_client.CollectorRegistry()
        with pytest.MonkeyPatch.context() as patch:
            for name in ("Counter", "Gauge"):
                kind = getattr(prometheus_client, name)
                patch.setattr(
                    module_of,
                    name,
                    lambda *args, into=registry, kind=kind, **named: kind(*args, registry=into, **named),
                )
            factory = module_of.PrometheusMetricsFactory(namespace="ns", service_name_label="svc")
            for _ in range(2):  # one metric for all who ask for it
                factory.create_counter("jaeger:traces", {"state": "started", "sampled": "y"})(1)
            factory.create_counter("jaeger:plain")(2)
            factory.create_gauge("jaeger:length", {})(3)
            factory.create_timer("jaeger:timer")(4)
        found.append(
            {
                (sample.name, *sorted(sample.labels.items())): sample.value
                for metric in registry.collect()
                for sample in metric.samples
                if not sample.name.endswith("_created")
            }
        )
    assert found[1] == found[0]


# --- with a tail sampler


def test_tail_sampler_decides_on_what_the_reporter_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OT_BRIDGE_TAIL", "errors,rest:0")
    with http_collector() as (url, arrivals):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        logged = InMemoryReporter()
        reporter = CompositeReporter(Reporter(LocalAgentSender("localhost", 1, 1)), logged)
        tracer = Config(CONST, service_name="shop").create_tracer(reporter, ConstSampler(True))
        for number in range(20):
            with tracer.start_active_span(f"root {number}"), tracer.start_active_span(f"child {number}") as scope:
                if number == 7:
                    scope.span.set_tag("error", True)
                if number == 8:
                    scope.span.set_tag("sampling.priority", 0)
        tracer.close()
    assert sorted(name for arrival in arrivals for name in arrival.span_names) == ["child 7", "root 7"]
    assert len(logged.get_spans()) == 39  # a reporter of another kind is given every sampled span, as ever
    counted = {name: number for name, number in telemetry.snapshot().items() if name.startswith("tail.")}
    assert counted == {"tail.decided.dropped.baseline": 19, "tail.decided.kept.error": 1}


def test_promote_local_beside_jaegers_sampler_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OT_BRIDGE_TAIL", "errors,rest:0,promote_local")
    Reporter(LocalAgentSender("localhost", 1, 1)).close()
    assert [record.getMessage() for record in caplog.records if "promote_local" in record.getMessage()] == [
        "promote_local has no effect here: what jaeger_client's sampler does not choose is not recorded"
    ]
