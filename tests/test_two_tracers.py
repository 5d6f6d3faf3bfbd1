"""Two tracers in one process: each sees its own scopes, as OpenTracing promises, and native spans."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing import Format

from ot_bridge import BridgeTracer, Settings


@pytest.fixture
def second(provider: TracerProvider) -> BridgeTracer:
    """Another tracer over the same provider."""
    return BridgeTracer(provider)


def parents(exporter: InMemorySpanExporter) -> dict[str, str | None]:
    """Return each exported span's name with the name of its parent."""
    spans = exporter.get_finished_spans()
    by_id = {span.context.span_id: span.name for span in spans}
    return {span.name: by_id[span.parent.span_id] if span.parent else None for span in spans}


def test_second_does_not_see_the_scope_of_the_first(tracer: BridgeTracer, second: BridgeTracer) -> None:
    with tracer.start_active_span("op") as scope:
        assert (second.active_span, second.scope_manager.active) == (None, None)
        assert tracer.active_span is scope.span


def test_second_starts_its_own_root_under_the_scope_of_the_first(
    tracer: BridgeTracer, second: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_active_span("first"):
        second.start_span("second").finish()
        second.start_active_span("second active").close()
    assert parents(exporter) == {"second": None, "second active": None, "first": None}


def test_first_still_sees_its_scope_under_one_of_the_second(
    tracer: BridgeTracer, second: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_active_span("first") as outer, second.start_active_span("second") as inner:
        assert (tracer.active_span, second.active_span) == (outer.span, inner.span)
        assert tracer.scope_manager.active is outer
        tracer.start_span("child of first").finish()
        second.start_span("child of second").finish()
    assert parents(exporter) == {
        "child of first": "first",
        "child of second": "second",
        "second": None,
        "first": None,
    }


def test_scopes_of_both_close_in_any_order(
    tracer: BridgeTracer, second: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    outer = tracer.start_active_span("first")
    inner = second.start_active_span("second")
    outer.close()
    assert tracer.active_span is None
    assert second.active_span is inner.span
    inner.close()
    assert (tracer.active_span, second.active_span) == (None, None)
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert sorted(span.name for span in exporter.get_finished_spans()) == ["first", "second"]


def test_opentelemetry_sees_the_innermost_of_both(tracer: BridgeTracer, second: BridgeTracer) -> None:
    with tracer.start_active_span("first") as outer:
        with second.start_active_span("second") as inner:
            assert trace.get_current_span() is inner.span.unwrap()
        assert trace.get_current_span() is outer.span.unwrap()


def test_both_see_a_native_span(tracer: BridgeTracer, second: BridgeTracer, provider: TracerProvider) -> None:
    with provider.get_tracer("native").start_as_current_span("native") as native:
        for each in (tracer, second):
            active: Any = each.active_span
            assert active is not None
            assert active.unwrap() is native


def test_native_span_inside_the_scope_of_the_first_is_seen_by_both(
    tracer: BridgeTracer, second: BridgeTracer, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_active_span("first"), provider.get_tracer("native").start_as_current_span("native"):
        tracer.start_span("child of first").finish()
        second.start_span("child of second").finish()
    assert parents(exporter) == {
        "child of first": "native",
        "child of second": "native",
        "native": "first",
        "first": None,
    }


def test_span_of_the_first_is_a_parent_for_the_second(
    tracer: BridgeTracer, second: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_span("first") as span:
        span.set_baggage_item("k", "v")
        with second.start_span("second", child_of=span) as child:
            assert child.get_baggage_item("k") == "v"
    assert parents(exporter) == {"second": "first", "first": None}


def test_span_of_the_first_can_be_active_in_the_second(tracer: BridgeTracer, second: BridgeTracer) -> None:
    span = tracer.start_span("first")
    with second.scope_manager.activate(span, True):
        assert second.active_span is span


def test_baggage_of_the_first_stays_out_of_a_root_of_the_second(tracer: BridgeTracer, second: BridgeTracer) -> None:
    with tracer.start_active_span("first") as scope:
        scope.span.set_baggage_item("user", "a")
        assert second.start_span("second", ignore_active_span=True).context.baggage == {}


def test_span_tells_its_own_tracer(tracer: BridgeTracer, second: BridgeTracer) -> None:
    assert tracer.start_span("op").tracer is tracer
    assert second.start_span("op").tracer is second


def test_each_has_its_own_provider_and_settings(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    other_exporter = InMemorySpanExporter()
    other_provider = TracerProvider(shutdown_on_exit=False)
    other_provider.add_span_processor(SimpleSpanProcessor(other_exporter))
    other = BridgeTracer(other_provider, settings=Settings(inject=("tracecontext",), scope_name="other"))
    with tracer.start_active_span("first"), other.start_active_span("second") as scope:
        headers: dict[str, str] = {}
        other.inject(scope.span.context, Format.HTTP_HEADERS, headers)
    assert set(headers) == {"traceparent"}
    assert [span.name for span in exporter.get_finished_spans()] == ["first"]
    (span,) = other_exporter.get_finished_spans()
    assert (span.name, span.instrumentation_scope.name) == ("second", "other")  # type: ignore[union-attr]
