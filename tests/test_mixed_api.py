"""Both APIs in one process: native inside bridged inside native, each sees and parents the other's spans."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

import opentracing
import pytest
from opentelemetry import baggage as otel_baggage
from opentelemetry import context as otel_context
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentracing import Format, child_of

from ot_bridge import BridgeSpanContext, BridgeTracer
from spans import as_dict

Run = Callable[[Callable[[], None]], None]


@pytest.fixture
def native(provider: TracerProvider) -> trace.Tracer:
    return provider.get_tracer("native")


def _here(work: Callable[[], None]) -> None:
    work()


def _in_thread(work: Callable[[], None]) -> None:
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def _in_task(work: Callable[[], None]) -> None:
    async def main() -> None:
        async def task() -> None:
            work()

        await asyncio.create_task(task())

    asyncio.run(main())


EVERYWHERE = pytest.mark.parametrize("run", [_here, _in_thread, _in_task], ids=["here", "thread", "task"])


def tree(exporter: InMemorySpanExporter) -> dict[str, str | None]:
    """Return each exported span's name with the name of its parent, all in one trace."""
    spans = exporter.get_finished_spans()
    by_id = {span.context.span_id: span.name for span in spans}
    assert len({span.context.trace_id for span in spans}) == 1
    return {span.name: by_id[span.parent.span_id] if span.parent else None for span in spans}


# --- parents


@EVERYWHERE
def test_native_inside_bridged_inside_native(
    tracer: BridgeTracer, native: trace.Tracer, exporter: InMemorySpanExporter, run: Run
) -> None:
    def work() -> None:
        with native.start_as_current_span("1 native"):
            with tracer.start_active_span("2 bridged"):
                with native.start_as_current_span("3 native"):
                    with tracer.start_active_span("4 bridged"):
                        native.start_span("5 native").end()
                    tracer.start_span("6 bridged").finish()
                native.start_span("7 native").end()
            tracer.start_span("8 bridged").finish()
            with tracer.start_span("9 bridged"):
                native.start_span("10 native").end()

    run(work)
    assert tree(exporter) == {
        "1 native": None,
        "2 bridged": "1 native",
        "3 native": "2 bridged",
        "4 bridged": "3 native",
        "5 native": "4 bridged",
        "6 bridged": "3 native",
        "7 native": "2 bridged",
        "8 bridged": "1 native",
        "9 bridged": "1 native",
        "10 native": "1 native",
    }


@EVERYWHERE
def test_what_is_active_at_each_level(tracer: BridgeTracer, native: trace.Tracer, run: Run) -> None:
    def work() -> None:
        with native.start_as_current_span("native") as outer:
            assert tracer.active_span is not None
            assert tracer.active_span.unwrap() is outer  # type: ignore[attr-defined]
            with tracer.start_active_span("bridged") as scope:
                assert tracer.active_span is scope.span
                assert trace.get_current_span() is scope.span.unwrap()
                with native.start_as_current_span("inner") as inner:
                    assert tracer.active_span.unwrap() is inner  # type: ignore[attr-defined]
                assert tracer.active_span is scope.span
            assert tracer.active_span.unwrap() is outer  # type: ignore[attr-defined]
        assert tracer.active_span is None

    run(work)


def test_tasks_of_both_apis_interleave(
    tracer: BridgeTracer, native: trace.Tracer, exporter: InMemorySpanExporter
) -> None:
    async def bridged(name: str) -> None:
        with tracer.start_active_span(name):
            await asyncio.sleep(0)
            native.start_span(f"{name}/native").end()
            await asyncio.sleep(0)

    async def natively(name: str) -> None:
        with native.start_as_current_span(name):
            await asyncio.sleep(0)
            tracer.start_span(f"{name}/bridged").finish()
            await asyncio.sleep(0)

    async def main() -> None:
        with native.start_as_current_span("server"):
            await asyncio.gather(bridged("a"), natively("b"), bridged("c"))

    asyncio.run(main())
    assert tree(exporter) == {
        "server": None,
        "a": "server",
        "b": "server",
        "c": "server",
        "a/native": "a",
        "b/bridged": "b",
        "c/native": "c",
    }


def test_thread_that_runs_in_a_copied_context_continues_both(
    tracer: BridgeTracer, native: trace.Tracer, exporter: InMemorySpanExporter
) -> None:
    def work() -> None:
        native.start_span("native child").end()
        tracer.start_span("bridged child").finish()

    with tracer.start_active_span("bridged"):
        thread = threading.Thread(target=contextvars.copy_context().run, args=(work,))
        thread.start()
        thread.join()
    assert tree(exporter) == {"bridged": None, "native child": "bridged", "bridged child": "bridged"}


def test_ignore_active_span_ignores_a_native_one_too(
    tracer: BridgeTracer, native: trace.Tracer, exporter: InMemorySpanExporter
) -> None:
    with native.start_as_current_span("native"):
        tracer.start_span("root", ignore_active_span=True).finish()
        tracer.start_active_span("active root", ignore_active_span=True).close()
    assert [span.parent for span in exporter.get_finished_spans()] == [None, None, None]


def test_extract_of_nothing_continues_the_native_server_span(
    tracer: BridgeTracer, native: trace.Tracer, exporter: InMemorySpanExporter
) -> None:
    with native.start_as_current_span("server"):
        tracer.start_span("view", child_of=tracer.extract(Format.HTTP_HEADERS, {"Accept": "*/*"})).finish()
    assert tree(exporter) == {"server": None, "view": "server"}


def test_remote_context_attached_natively_is_the_parent(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
    token = otel_context.attach(TraceContextTextMapPropagator().extract(headers))
    try:
        tracer.start_span("op").finish()
    finally:
        otel_context.detach(token)
    (span,) = exporter.get_finished_spans()
    assert span.parent is not None
    assert (span.parent.span_id, span.parent.is_remote) == (0xB7AD6B7169203331, True)


def test_invalid_native_span_is_not_active(tracer: BridgeTracer) -> None:
    with trace.use_span(trace.INVALID_SPAN):
        assert tracer.active_span is None
        assert tracer.scope_manager.active is None


# --- a native span as OpenTracing sees it


def test_native_span_is_an_opentracing_span(tracer: BridgeTracer, native: trace.Tracer) -> None:
    with native.start_as_current_span("native") as span:
        active: Any = tracer.active_span
        assert isinstance(active, opentracing.Span)
        assert isinstance(active.context, BridgeSpanContext)
        expected = span.get_span_context()
        assert (active.context.trace_id, active.context.span_id) == (expected.trace_id, expected.span_id)


def test_native_span_is_the_same_object_each_time(tracer: BridgeTracer, native: trace.Tracer) -> None:
    with native.start_as_current_span("native"):
        first = tracer.active_span
        scope = tracer.scope_manager.active
        assert scope is not None
        assert scope.span is first
        with native.start_as_current_span("inner"):
            assert tracer.active_span is not first
        assert tracer.active_span is first


def test_native_span_takes_tags_logs_and_names(
    tracer: BridgeTracer, native: trace.Tracer, exporter: InMemorySpanExporter
) -> None:
    with native.start_as_current_span("native"):
        active = tracer.active_span
        assert active is not None
        assert active.set_tag("peer.port", "80").log_kv({"event": "e", "k": {"a": 1}}).set_operation_name("n") is active
    found = as_dict(exporter.get_finished_spans()[0])
    assert (found["name"], found["attributes"]) == ("n", {"peer.port": 80})
    assert [event["name"] for event in found["events"]] == ["e"]


def test_native_span_takes_an_error(tracer: BridgeTracer, native: trace.Tracer, exporter: InMemorySpanExporter) -> None:
    with native.start_as_current_span("native"):
        assert tracer.active_span is not None
        tracer.active_span.set_tag("error", True)
        tracer.active_span.log_kv({"event": "error", "error.object": ValueError("boom")})
    found = as_dict(exporter.get_finished_spans()[0])
    assert (found["status"]["code"], found["attributes"]) == ("ERROR", {})
    assert [event["name"] for event in found["events"]] == ["exception"]


def test_native_span_takes_odd_values_without_a_raise(
    tracer: BridgeTracer, native: trace.Tracer, exporter: InMemorySpanExporter
) -> None:
    with native.start_as_current_span("native"):
        active: Any = tracer.active_span
        active.set_tag("n", 2**70).set_tag(5, None).log_kv({"event": 42, "o": object()}).log_kv(None)
    assert as_dict(exporter.get_finished_spans()[0])["attributes"] == {"n": str(2**70)}


@pytest.mark.parametrize("how", ["span", "context", "reference"])
def test_native_span_is_a_parent(
    tracer: BridgeTracer, native: trace.Tracer, exporter: InMemorySpanExporter, how: str
) -> None:
    with native.start_as_current_span("native"):
        active: Any = tracer.active_span
    if how == "reference":
        tracer.start_span("child", references=[child_of(active.context)]).finish()
    else:
        tracer.start_span("child", child_of=active if how == "span" else active.context).finish()
    assert tree(exporter) == {"native": None, "child": "native"}


def test_native_span_can_be_activated(
    tracer: BridgeTracer, native: trace.Tracer, exporter: InMemorySpanExporter
) -> None:
    with native.start_as_current_span("native", end_on_exit=False) as span:
        active = tracer.active_span
    assert active is not None
    with tracer.scope_manager.activate(active, True):
        assert tracer.active_span is active
        assert trace.get_current_span() is span
        native.start_span("child").end()
    assert tree(exporter) == {"child": "native", "native": None}


def test_native_span_can_be_injected(tracer: BridgeTracer, native: trace.Tracer) -> None:
    with native.start_as_current_span("native") as span:
        headers: dict[str, str] = {}
        tracer.inject(tracer.active_span, Format.HTTP_HEADERS, headers)  # type: ignore[arg-type]
    context = span.get_span_context()
    assert headers["uber-trace-id"] == f"{context.trace_id:032x}:{context.span_id:016x}:0:1"


# --- a bridged span as OpenTelemetry sees it


def test_bridged_span_takes_native_calls(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_active_span("op"):
        span = trace.get_current_span()
        span.set_attribute("a", 1)
        span.set_attributes({"b": 2, "c": [1, 2]})
        span.add_event("e", {"k": "v"}, timestamp=1600000000_000000001)
        span.add_link(trace.SpanContext(1, 2, True), {"l": 1})
        span.record_exception(ValueError("boom"))
        span.update_name("renamed")
        span.set_status(StatusCode.ERROR, "native")
        assert span.is_recording()
    found = as_dict(exporter.get_finished_spans()[0])
    assert (found["name"], found["attributes"]) == ("renamed", {"a": 1, "b": 2, "c": (1, 2)})
    assert ([event["name"] for event in found["events"]], len(found["links"])) == (["e", "exception"], 1)
    assert found["status"] == {"code": "ERROR", "description": "native"}


def test_native_event_keeps_its_nanosecond(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_active_span("op"):
        trace.get_current_span().add_event("e", timestamp=1600000000_000000001)
    assert exporter.get_finished_spans()[0].events[0].timestamp == 1600000000_000000001


def test_native_end_finishes_the_bridged_span(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    span = tracer.start_span("op")
    span.unwrap().end(end_time=1600000000_000000001)
    span.finish()
    assert [found.end_time for found in exporter.get_finished_spans()] == [1600000000_000000001]
    assert not span.unwrap().is_recording()


def test_bridged_span_made_current_natively_is_active(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    span = tracer.start_span("op")
    with trace.use_span(span.unwrap(), end_on_exit=True):
        assert tracer.active_span is span
        tracer.start_span("child").finish()
    assert tree(exporter) == {"op": None, "child": "op"}


def test_native_exception_under_use_span_is_recorded_once(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with (
        pytest.raises(ValueError, match="boom"),
        tracer.start_active_span("op") as scope,
        trace.use_span(scope.span.unwrap()),
    ):
        raise ValueError("boom")
    found = as_dict(exporter.get_finished_spans()[0])
    assert ([event["name"] for event in found["events"]], found["status"]["code"]) == (["exception"], "ERROR")


def test_native_link_to_a_bridged_context(
    tracer: BridgeTracer, native: trace.Tracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_span("op") as span:
        native.start_span("linked", links=[trace.Link(span.context.unwrap(), {"k": "v"})]).end()
    link = as_dict(exporter.get_finished_spans()[0])["links"][0]
    assert (link["span_id"], link["attributes"]) == (f"{span.context.span_id:016x}", {"k": "v"})


def test_global_propagator_sends_the_bridged_span(tracer: BridgeTracer) -> None:
    with tracer.start_active_span("op") as scope:
        scope.span.set_baggage_item("tenant", "acme")
        headers: dict[str, str] = {}
        propagate.inject(headers)
    context = scope.span.context
    assert headers["traceparent"].startswith(f"00-{context.trace_id:032x}-{context.span_id:016x}-")
    assert headers["baggage"] == "tenant=acme"


def test_context_unwraps_to_opentelemetrys(tracer: BridgeTracer) -> None:
    with tracer.start_span("op") as span:
        context = span.context.unwrap()
        assert isinstance(context, trace.SpanContext)
        assert (context.trace_id, context.span_id) == (span.context.trace_id, span.context.span_id)
        assert span.unwrap().get_span_context().span_id == context.span_id


# --- baggage through all levels


@EVERYWHERE
def test_baggage_goes_down_through_both_apis(tracer: BridgeTracer, native: trace.Tracer, run: Run) -> None:
    def work() -> None:
        with native.start_as_current_span("1 native"):
            token = otel_context.attach(otel_baggage.set_baggage("by-native", "n"))
            with tracer.start_active_span("2 bridged") as scope:
                scope.span.set_baggage_item("by-bridged", "b")
                with native.start_as_current_span("3 native"):
                    assert dict(otel_baggage.get_all()) == {"by-native": "n", "by-bridged": "b"}
                    with tracer.start_active_span("4 bridged") as inner:
                        assert inner.span.context.baggage == {"by-native": "n", "by-bridged": "b"}
                        headers: dict[str, str] = {}
                        tracer.inject(inner.span.context, Format.HTTP_HEADERS, headers)
                        assert (headers["uberctx-by-native"], headers["uberctx-by-bridged"]) == ("n", "b")
            assert dict(otel_baggage.get_all()) == {"by-native": "n"}
            otel_context.detach(token)
        assert dict(otel_baggage.get_all()) == {}

    run(work)


def test_kinds_and_errors_of_mixed_spans_stay_apart(
    tracer: BridgeTracer, native: trace.Tracer, exporter: InMemorySpanExporter
) -> None:
    with (
        native.start_as_current_span("server", kind=SpanKind.SERVER),
        tracer.start_active_span("client", tags={"span.kind": "client"}) as scope,
    ):
        scope.span.set_tag("error", True)
    found = {
        span["name"]: (span["kind"], span["status"]["code"]) for span in map(as_dict, exporter.get_finished_spans())
    }
    assert found == {"client": ("CLIENT", "ERROR"), "server": ("SERVER", "UNSET")}
