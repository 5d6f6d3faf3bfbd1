"""The drop-in's Tracer: how it is made, what it starts, counts and ends, beside jaeger-client's own."""

from __future__ import annotations

import asyncio
from typing import Any

import opentracing
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider as SdkProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing import Format, child_of, follows_from
from opentracing.scope_managers import ThreadLocalScopeManager
from opentracing.scope_managers.asyncio import AsyncioScopeManager

from jaeger_pairs import BOTH, NEW, OLD, module, needs_the_real_one, tags_of, tracer_of
from ot_bridge import bootstrap, telemetry
from ot_bridge.jaeger_client import Config, ConstSampler, SpanContext, Tracer
from ot_bridge.jaeger_client.metrics import Metrics, MetricsFactory
from ot_bridge.jaeger_client.reporter import BaseReporter, CompositeReporter, InMemoryReporter, NullReporter, Reporter
from ot_bridge.jaeger_client.span import Span, otel_face

CONST = {"sampler": {"type": "const", "param": 1}}


# -- construction ------------------------------------------------------------------------------------------------------

FORMS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "positional": (("svc", NullReporter(), ConstSampler(True)), {}),
    "named": ((), {"service_name": "svc", "reporter": NullReporter(), "sampler": ConstSampler(True)}),
    "metrics": (("svc", NullReporter(), ConstSampler(True), Metrics()), {}),
    "all positional": (
        (
            *("svc", NullReporter(), ConstSampler(True), None, MetricsFactory(), "trace", True, "bag-", "debug", False),
            *({}, {"a": 1}, 5, 6, None, ThreadLocalScopeManager()),
        ),
        {},
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_tracer_is_made_in_every_form(form: str) -> None:
    positional, named = FORMS[form]
    of = Tracer(*positional, **named)
    with of.start_active_span("op") as scope:
        assert of.active_span is scope.span
    assert (of.service_name, type(of.reporter), str(of.sampler)) == ("svc", NullReporter, "ConstSampler(True)")


@needs_the_real_one
def test_attributes_of_a_tracer_are_as_in_jaeger_client() -> None:
    found = []
    for base in BOTH:
        of = tracer_of(
            base,
            tags={"ip": "192.0.2.1", "hostname": "h", "zone": 1},
            generate_128bit_trace_id=True,
            max_tag_value_length=5,
            max_traceback_length=6,
            debug_id_header="Debug_Id",
        )
        names = (
            *("service_name", "tags", "max_trace_id_bits", "max_tag_value_length", "max_traceback_length"),
            *("debug_id_header", "one_span_per_rpc", "throttler"),
        )
        values = {name: getattr(of, name) for name in names}
        found.append({**values, "codecs": sorted(of.codecs), "small": of.random_id() < 2**64})
    assert found[1] == found[0]


@needs_the_real_one
@pytest.mark.parametrize("wide", [False, True], ids=["64 bit", "128 bit"])
def test_ids_are_as_wide_as_in_jaeger_client(wide: bool) -> None:
    for base in BOTH:
        of = tracer_of(base, generate_128bit_trace_id=wide)
        ids = [of.start_span("op").trace_id for _ in range(50)]
        assert (max(ids) >= 2**64, max(of.start_span("op").span_id for _ in range(50)) < 2**64) == (wide, True)


def test_wide_trace_of_a_caller_is_kept_by_a_tracer_of_narrow_ids() -> None:
    trace_id = 2**100 + 5
    of = tracer_of(NEW)
    span = of.start_span("op", child_of=of.extract(Format.HTTP_HEADERS, {"uber-trace-id": f"{trace_id:x}:2:0:1"}))
    assert (span.trace_id, span.parent_id) == (trace_id, 2)


def test_one_span_per_rpc_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        of = tracer_of(NEW, one_span_per_rpc=True)
    span = of.start_span("op", child_of=SpanContext(1, 2, None, 1), tags={"span.kind": "server"})
    assert (of.one_span_per_rpc, span.parent_id) == (True, 2)
    assert [record.getMessage() for record in caplog.records] == [
        "one_span_per_rpc is not supported: client and server have a span each, as OpenTelemetry wants it"
    ]


def test_header_name_that_cannot_be_used_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot use trace_id_header"):
        tracer_of(NEW, trace_id_header="no good\n")


def test_disabled_sdk_gives_spans_that_record_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    of = tracer_of(NEW)
    with of.start_active_span("op", tags={"a": 1}) as scope:
        scope.span.set_tag("b", 1).log_kv({"event": "e"})
    assert (of.reporter.get_spans(), scope.span.is_sampled()) == ([], False)


def test_processors_of_a_composite_reporter_are_those_of_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    inner = Reporter()
    outer = CompositeReporter(NullReporter(), CompositeReporter(inner), object())  # type: ignore[arg-type]
    assert (outer.processors, outer.sees_start) == (inner.processors, False)


# -- parents -----------------------------------------------------------------------------------------------------------


def parents(base: str) -> dict[str, tuple[Any, ...]]:
    """Return trace id and parent id, told by name, for every way to say what a span starts from."""
    of = tracer_of(base)
    make = module(base, "span_context").SpanContext
    first, second, empty = (
        make(0xA, 1, None, 1, {"k": "a"}),
        make(0xB, 2, None, 1, {"k": "b"}),
        make(None, None, None, None),
    )
    ways: dict[str, dict[str, Any]] = {
        "nothing": {},
        "child_of": {"child_of": first},
        "child_of None": {"child_of": None},
        "child_of a span": {"child_of": of.start_span("p", child_of=first)},
        "child_of beats references": {"child_of": first, "references": [child_of(second)]},
        "first reference": {"references": [follows_from(first), child_of(second)]},
        "one reference": {"references": follows_from(second)},
        "references to nothing": {"references": [child_of(None)]},
        "empty reference first": {"references": [child_of(None), child_of(second)]},
        "child_of without ids and references": {"child_of": empty, "references": [child_of(second)]},
        "ignoring the active one": {"ignore_active_span": True},
    }
    found: dict[str, tuple[Any, ...]] = {}
    for active in (False, True):
        outer = of.start_active_span("outer", child_of=make(0xC, 3, None, 1)) if active else None
        for way, arguments in ways.items():
            span = of.start_span("op", **arguments)
            trace_id = span.trace_id if span.trace_id < 16 else "own"
            parent_id = "outer" if outer and span.parent_id == outer.span.span_id else span.parent_id
            parent_id = "p" if way == "child_of a span" else parent_id
            found[f"{way}, {active}"] = (trace_id, parent_id, dict(span.context.baggage), span.flags)
        if outer is not None:
            outer.close()
    return found


@needs_the_real_one
def test_parents_are_chosen_as_in_jaeger_client() -> None:
    assert parents(NEW) == parents(OLD)


@needs_the_real_one
def test_debug_id_forces_a_root_as_in_jaeger_client() -> None:
    found = []
    for base in BOTH:
        of = tracer_of(base, False)
        span = of.start_span("op", child_of=of.extract(Format.HTTP_HEADERS, {"jaeger-debug-id": "why"}))
        child = of.start_span("child", child_of=span)
        found.append((span.flags, tags_of(span), child.flags, tags_of(child), span.parent_id))
    assert found[1] == found[0]


def test_context_without_ids_asks_the_sampler() -> None:
    # jaeger-client never samples such a trace.
    of = tracer_of(NEW)
    span = of.start_span("op", child_of=of.extract(Format.HTTP_HEADERS, {"uberctx-k": "v"}))
    assert (span.flags, span.context.baggage) == (1, {"k": "v"})


# -- reporters at run time ---------------------------------------------------------------------------------------------


def test_reporter_can_be_swapped_at_run_time() -> None:
    of = tracer_of(NEW)
    first = of.reporter
    of.start_span("first").finish()
    of.reporter = NullReporter()
    of.start_span("nowhere").finish()
    of.reporter = second = InMemoryReporter()
    of.start_span("second").finish()
    assert [[span.operation_name for span in one.get_spans()] for one in (first, second)] == [["first"], ["second"]]


def test_own_reporter_is_told_of_everything_and_closed() -> None:
    class Own(BaseReporter):
        def __init__(self) -> None:
            self.calls: list[Any] = []

        def report_span(self, span: Any) -> None:
            self.calls.append(("report", span.operation_name, span.end_time is not None))

        def set_process(self, service_name: str, tags: Any, max_length: int) -> None:
            self.calls.append(("process", service_name, tags["zone"], max_length))

        def close(self) -> Any:
            self.calls.append(("close",))
            return super().close()

    reporter = Own()
    of = Tracer("svc", reporter, ConstSampler(True), tags={"zone": 1})
    of.start_span("op").finish()
    assert of.close().result() is True
    assert reporter.calls == [("process", "svc", 1, 1024), ("report", "op", True), ("close",)]


def test_own_reporter_that_fails_reaches_nobody_and_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(BaseReporter):
        def report_span(self, span: Any) -> None:
            raise RuntimeError("no")

        def close(self) -> Any:
            raise RuntimeError("no")

    of = Tracer("svc", Broken(), ConstSampler(True))
    for _ in range(2):
        of.start_span("op").finish()
    assert of.close().result() is False
    assert [record.getMessage() for record in caplog.records] == ["a span processor failed when a span ended"]
    assert telemetry.snapshot() == {"dropin.close_failed": 1, "span.failed.end": 2}


# -- metrics -----------------------------------------------------------------------------------------------------------


def counted(base: str, make: Any) -> dict[str, float]:
    numbers: dict[str, float] = {}

    class Kept(module(base, "metrics").MetricsFactory):  # type: ignore[misc]
        def create_counter(self, name: str, tags: Any = None) -> Any:
            key = ".".join([name, *(f"{tag}={tags[tag]}" for tag in sorted(tags or {}))])
            return lambda value: numbers.__setitem__(key, numbers.get(key, 0) + value)

    for sampled in (True, False):
        of = tracer_of(base, sampled, metrics_factory=Kept())
        root = of.start_span("root")
        of.start_span("child", child_of=root).finish()
        root.finish()
        root.finish()
        of.start_span("joined", tags={"span.kind": "server"}).finish()
        of.start_span("unfinished", child_of=make(base)).set_tag("sampling.priority", 1)
    return numbers


@needs_the_real_one
def test_own_metrics_get_the_same_numbers_as_from_jaeger_client() -> None:
    def remote(base: str) -> Any:
        return module(base, "span_context").SpanContext(1, 2, None, 1)

    assert counted(NEW, remote) == counted(OLD, remote)


def test_metrics_that_fail_reach_nobody_and_are_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MetricsFactory):
        def create_counter(self, name: str, tags: Any = None) -> Any:
            def fail(value: float) -> None:
                raise RuntimeError("no")

            return fail

    of = tracer_of(NEW, metrics_factory=Broken())
    assert [of.start_span("op").is_sampled() for _ in range(2)] == [True, True]
    of.start_span("op").finish()
    assert [record.getMessage() for record in caplog.records] == [
        "the application's metrics failed",
        "a span processor failed when a span ended",
    ]


@needs_the_real_one
def test_legacy_metrics_get_names_and_numbers_as_in_jaeger_client() -> None:
    found = []
    for base in BOTH:
        calls: list[tuple[str, str, float]] = []
        metrics = module(base, "metrics")
        legacy = metrics.LegacyMetricsFactory(
            metrics.Metrics(
                count=lambda key, value, calls=calls: calls.append(("count", key, value)),
                gauge=lambda key, value, calls=calls: calls.append(("gauge", key, value)),
                timing=lambda key, value, calls=calls: calls.append(("timing", key, value)),
            )
        )
        legacy.create_counter("c", {"b": "2", "a": "1"})(1)
        legacy.create_timer("t")(2500)
        legacy.create_gauge("g", {})(3)
        for kind in ("create_counter", "create_timer", "create_gauge"):
            getattr(metrics.MetricsFactory(), kind)("nowhere", {"a": "b"})(1)
        metrics.Metrics(count="not callable").count("k", 1)
        found.append(calls)
    assert found[1] == found[0] == [("count", "c.a_1.b_2", 1), ("timing", "t", 2.5), ("gauge", "g", 3)]


# -- close -------------------------------------------------------------------------------------------------------------


def test_close_can_be_asked_yielded_and_awaited() -> None:
    from tornado import gen, ioloop

    @gen.coroutine  # type: ignore[untyped-decorator]
    def old_style() -> Any:
        found.append((yield tracer_of(NEW).close()))

    async def new_style() -> None:
        found.append(await tracer_of(NEW).close())

    found: list[Any] = [tracer_of(NEW).close().result()]
    loop = ioloop.IOLoop(make_current=False)
    loop.run_sync(old_style)
    loop.close(all_fds=True)
    asyncio.run(new_style())
    assert found == [True, True, True]


def test_future_that_is_not_done_can_be_awaited_and_yielded() -> None:
    from tornado import gen, ioloop

    from ot_bridge.jaeger_client.ioloop_util import future_exception, future_of_all, future_result, submit

    loop = ioloop.IOLoop(make_current=False)

    @gen.coroutine  # type: ignore[untyped-decorator]
    def later(value: Any, more: Any = 0) -> Any:
        yield gen.sleep(0)
        return value + more

    def fails() -> None:
        raise KeyError("no")

    async def waits() -> Any:
        assert await submit(later, loop, 1, more=2) == 3
        assert await submit(lambda: "plain", loop) == "plain"
        with pytest.raises(KeyError):
            await submit(fails, loop)
        with pytest.raises(TypeError):
            await submit(later, loop, None)
        return await future_of_all([future_result(True), submit(later, loop, 5), None])

    assert loop.run_sync(waits) is True
    loop.close(all_fds=True)
    assert isinstance(future_exception(KeyError("k")).exception(), KeyError)
    assert future_of_all([]).result() is True
    assert future_of_all([future_result(True), future_result(False)]).result() is False
    assert future_of_all([future_exception(KeyError("k")), future_result(True)]).result() is False


def test_close_closes_every_part_of_a_composite_reporter_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(NullReporter):
        closed = 0

        def close(self) -> Any:
            Own.closed += 1
            return super().close()

    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "console")
    of = Tracer("svc", CompositeReporter(Reporter(), Own()), ConstSampler(True))
    assert of.close().result() is True
    assert Own.closed == 1


def test_close_can_be_called_again_and_flush_too() -> None:
    of = tracer_of(NEW)
    assert (of.flush(), of.close().result(), of.close().result(), of.flush()) == (True, True, True, True)


# -- scope managers ----------------------------------------------------------------------------------------------------


@needs_the_real_one
@pytest.mark.parametrize("manager", [ThreadLocalScopeManager, None], ids=["thread local", "none"])
def test_scopes_nest_as_in_jaeger_client(manager: Any) -> None:
    found = []
    for base in BOTH:
        of = tracer_of(base, scope_manager=manager and manager())
        steps: list[Any] = [of.active_span]
        with of.start_active_span("outer") as outer:
            with of.start_active_span("inner", finish_on_close=False) as inner:
                steps.append(of.active_span is inner.span is of.scope_manager.active.span)
                steps.append(inner.span.parent_id == outer.span.span_id)
            steps.append((of.active_span is outer.span, inner.span.finished))
        steps.append((of.active_span, outer.span.finished, len(of.reporter.get_spans())))
        found.append(steps)
    assert found[1] == found[0]


def test_asyncio_scope_manager_keeps_tasks_apart() -> None:
    of = tracer_of(NEW, scope_manager=AsyncioScopeManager())

    async def work(name: str) -> tuple[Any, Any]:
        with of.start_active_span(name) as scope:
            await asyncio.sleep(0)
            return of.active_span.operation_name, scope.span.parent_id

    async def both() -> Any:
        return await asyncio.gather(work("a"), work("b"))

    assert asyncio.run(both()) == [("a", None), ("b", None)]


# -- beside OpenTelemetry ----------------------------------------------------------------------------------------------


@pytest.fixture
def _new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "_initialized", False)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")


def by_name(exporter: InMemorySpanExporter) -> dict[str, Any]:
    return {span.name: span for span in exporter.get_finished_spans()}


@pytest.mark.usefixtures("_new")
def test_native_spans_are_in_the_same_trace_and_at_the_same_exporter(exporter: InMemorySpanExporter) -> None:
    class Exporting(BaseReporter):
        processors = (SimpleSpanProcessor(exporter),)

        def report_span(self, span: Any) -> None:
            self.processors[0].on_end(otel_face(span))

    class Mine(Config):
        def create_tracer(self, reporter: Any, sampler: Any, throttler: Any = None) -> Any:
            return super().create_tracer(Exporting(), sampler, throttler)

    of = Mine(CONST, service_name="svc").initialize_tracer()
    assert of is not None
    native = trace.get_tracer("native")
    with of.start_active_span("outer"), native.start_as_current_span("native") as inner:
        seen = of.active_span
        assert (seen.span_id, seen.operation_name, isinstance(seen, Span)) == (
            inner.get_span_context().span_id,
            "native",
            True,
        )
        with of.start_active_span("inner"):
            pass
    found = by_name(exporter)
    assert {name: span.resource.attributes["service.name"] for name, span in found.items()} == {
        "inner": "svc",
        "native": "svc",
        "outer": "svc",
    }
    assert len({span.context.trace_id for span in found.values()}) == 1
    assert found["native"].parent.span_id == found["outer"].context.span_id
    assert found["inner"].parent.span_id == found["native"].context.span_id


@pytest.mark.usefixtures("_new")
def test_native_root_asks_the_same_sampler(exporter: InMemorySpanExporter) -> None:
    of = Config({"sampler": {"type": "const", "param": 0}}, service_name="svc").initialize_tracer()
    assert of is not None
    with trace.get_tracer("native").start_as_current_span("native") as span:
        assert (span.is_recording(), of.start_span("op").is_sampled()) == (False, False)
    of.sampler = ConstSampler(True)
    with trace.get_tracer("native").start_as_current_span("native") as span:
        assert dict(span.attributes or {}) == {"sampler.type": "const", "sampler.param": True}  # type: ignore[attr-defined]


@pytest.mark.usefixtures("_new")
def test_provider_that_is_there_exports_and_is_not_shut_down(
    provider: SdkProvider, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    trace.set_tracer_provider(provider)
    try:
        of = Config({**CONST, "service_name": "svc"}).initialize_tracer()
        assert of is not None
        assert trace.get_tracer_provider() is provider
        with of.start_active_span("old"), trace.get_tracer("native").start_as_current_span("native"):
            pass
        assert of.close().result() is True
        with trace.get_tracer("native").start_as_current_span("after"):
            pass
        found = by_name(exporter)
        assert sorted(found) == ["after", "native", "old"]
        assert found["native"].parent.span_id == found["old"].context.span_id
        assert [found[name].resource.attributes["service.name"] for name in ("old", "native")] == ["svc", "test"]
        assert type(found["old"].start_time) is int
    finally:
        bootstrap._uninstall()
        bootstrap._forget_otel_provider(provider)


@pytest.mark.usefixtures("_new")
def test_start_of_a_span_is_seen_by_processors_of_the_provider_that_is_there(provider: SdkProvider) -> None:
    from opentelemetry.sdk.trace import SpanProcessor

    started: list[Any] = []

    class Starting(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            started.append((span.name, type(span.start_time)))
            span.set_attribute("stamped", 1)

    provider.add_span_processor(Starting())
    trace.set_tracer_provider(provider)
    try:
        of: Any = Config({**CONST, "service_name": "svc"}).new_tracer()
        span = of.start_span("op")
        assert (started, span.attributes["stamped"]) == ([("op", int)], 1)
    finally:
        bootstrap._forget_otel_provider(provider)


def test_global_tracer_of_old_modules_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "_initialized", False)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    early = opentracing.tracer
    of = Config({**CONST, "service_name": "svc"}).initialize_tracer()
    with early.start_active_span("op") as scope:
        assert (scope.span.tracer, isinstance(scope.span.context, SpanContext)) == (of, True)
