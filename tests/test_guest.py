"""A guest in somebody's process: what fails inside the bridge, or in what it was given, is counted and never raised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import opentracing
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, StatusCode, TraceFlags

from ot_bridge import BridgeTracer, CarrierError, ConfigError, Settings, recording, span, telemetry
from ot_bridge.scope import BridgeScopeManager
from ot_bridge.wrapped import WrappedSpan

HTTP = opentracing.Format.HTTP_HEADERS


def fail(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError("broken")


class Broken:
    """Every attribute raises, and it is no mapping."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class BrokenMapping(dict[str, Any]):
    """A mapping that takes and gives nothing."""

    def __setitem__(self, key: str, value: Any) -> None:
        raise RuntimeError(key)

    def items(self) -> Any:
        raise RuntimeError("items")


@pytest.mark.parametrize(
    ("name", "call", "counter"),
    [
        ("clean_key", lambda s: s.set_tag("\u00e9", 1), "span.failed.set_tag"),
        ("log_to_event", lambda s: s.log_kv({"event": "error"}), "span.failed.log_kv"),
        ("get_current", lambda s: s.set_baggage_item("k", "v"), "span.failed.set_baggage_item"),
        ("BoundedAttributes", lambda s: s.set_attribute("k", "v"), "span.failed.set_attribute"),
        ("BoundedAttributes", lambda s: s.add_event("e", {"k": "v"}), "span.failed.add_event"),
        ("BoundedAttributes", lambda s: s.add_link(SpanContext(1, 2, False)), "span.failed.add_link"),
    ],
    ids=["set_tag", "log_kv", "set_baggage_item", "set_attribute", "add_event", "add_link"],
)
def test_failure_inside_a_span_is_counted(
    tracer: BridgeTracer,
    exporter: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    call: Callable[[Any], Any],
    counter: str,
) -> None:
    started = tracer.start_span("op")
    with monkeypatch.context() as patch:
        patch.setattr(span if name == "get_current" else recording, name, fail)
        call(started)
    started.finish()
    assert telemetry.snapshot()[counter] == 1
    assert [finished.name for finished in exporter.get_finished_spans()] == ["op"]


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.set_attribute("a", 1),
        lambda s: s.set_attributes({"a": 1}),
        lambda s: s.add_event("e"),
        lambda s: s.add_link(SpanContext(1, 2, False)),
        lambda s: s.set_status(StatusCode.ERROR),
        lambda s: s.update_name("n"),
    ],
    ids=["set_attribute", "set_attributes", "add_event", "add_link", "set_status", "update_name"],
)
def test_opentelemetry_call_after_the_end_is_counted(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, call: Callable[[Any], Any]
) -> None:
    finished = tracer.start_span("op")
    finished.finish()
    before = exporter.get_finished_spans()[0].to_json()
    call(finished)
    assert telemetry.snapshot() == {"span.after_finish": 1}
    assert exporter.get_finished_spans()[0].to_json() == before


def test_status_that_is_none_is_ignored(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    started: Any = tracer.start_span("op")
    started.set_status("ERROR")
    started.finish()
    assert exporter.get_finished_spans()[0].status.status_code is StatusCode.UNSET
    assert telemetry.snapshot() == {"span.failed.set_status": 1}


def test_recording_what_is_no_exception_keeps_its_text(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    started: Any = tracer.start_span("op")
    started.record_exception("no exception")
    started.finish()
    [event] = exporter.get_finished_spans()[0].events
    assert (event.name, dict(event.attributes or {})["exception.message"]) == ("exception", "no exception")


def test_exception_whose_text_raises_is_recorded(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("mute")

    started: Any = tracer.start_span("op")
    started.record_exception(MuteError())
    started.finish()
    [event] = exporter.get_finished_spans()[0].events
    assert str(dict(event.attributes or {})["exception.type"]).endswith("MuteError")


@pytest.mark.parametrize("name", ["get_current", "find_parent"])
def test_span_whose_parent_cannot_be_found_is_a_root(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    from ot_bridge import parents
    from ot_bridge import tracer as module

    parent = tracer.start_span("parent") if name == "find_parent" else None
    monkeypatch.setattr(parents if parent is None else module, name, fail)
    tracer.start_span("op", child_of=parent).finish()
    assert exporter.get_finished_spans()[0].parent is None
    assert telemetry.snapshot()["start.failed.parent"] >= 1


def test_span_that_cannot_be_started_keeps_the_trace_going(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tracer.start_active_span("parent") as parent:
        parent.span.set_baggage_item("k", "v")
        with monkeypatch.context() as patch:
            patch.setattr(tracer._recorder, "start", fail)
            lost = tracer.start_span("lost")
        assert lost.context.trace_id == parent.span.context.trace_id
        assert lost.get_baggage_item("k") == "v"
        lost.set_tag("a", 1).log_kv({"event": "e"}).set_operation_name("n").finish()
    assert [finished.name for finished in exporter.get_finished_spans()] == ["parent"]


def test_carrier_that_takes_no_headers_is_warned_of_once(
    tracer: BridgeTracer, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        tracer.inject(tracer.start_span("op"), HTTP, BrokenMapping())
    assert len(caplog.records) == 1
    assert telemetry.snapshot()["inject.failed"] == 2


def test_carrier_whose_items_fail_is_invalid(tracer: BridgeTracer) -> None:
    with pytest.raises(CarrierError, match="BrokenMapping"):
        tracer.extract(HTTP, BrokenMapping())


def test_object_without_any_attribute_is_no_parent(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    tracer.start_span("op", child_of=Broken(), references=[Broken()]).finish()
    tracer.inject(Broken(), HTTP, {})
    assert exporter.get_finished_spans()[0].parent is None


@pytest.mark.parametrize(
    ("argument", "value", "wanted"),
    [
        ("tracer_provider", object(), "TracerProvider"),
        ("tracer_provider", trace.get_tracer("x"), "give the provider it came from"),
        ("settings", {"semconv": "new"}, r"write Settings\(\*\*values\)"),
        ("scope_manager", 5, "ScopeManager"),
    ],
    ids=["provider", "tracer", "settings", "scope-manager"],
)
def test_wrong_argument_of_the_tracer_is_named(argument: str, value: Any, wanted: str) -> None:
    with pytest.raises(ConfigError, match=rf"cannot use {argument}: .*{wanted}"):
        BridgeTracer(**{argument: value})


class BrokenSpan(trace.NonRecordingSpan):
    """A vendor's span that fails in every call but ``end``."""

    ended = 0

    def is_recording(self) -> bool:
        return True

    set_attribute = add_event = update_name = set_status = fail

    def end(self, end_time: int | None = None) -> None:
        self.ended += 1


def test_broken_span_of_a_vendor_is_ended(tracer: BridgeTracer) -> None:
    broken = BrokenSpan(SpanContext(1, 2, False, TraceFlags(1)))
    view = WrappedSpan(tracer, broken)
    view.set_tag("a", 1).log_kv({"event": "e"}).set_operation_name("n").set_tag("error", True).finish()
    assert broken.ended == 1
    assert telemetry.snapshot()["span.failed.finish"] == 1


def test_span_of_a_vendor_that_cannot_end_raises_nothing(tracer: BridgeTracer) -> None:
    broken = BrokenSpan(SpanContext(1, 2, False, TraceFlags(1)))
    broken.end = fail  # type: ignore[method-assign]
    WrappedSpan(tracer, broken).finish()
    assert telemetry.snapshot() == {"span.failed.finish": 1}


def test_replaced_finish_that_fails_while_its_scope_waits_is_counted(tracer: BridgeTracer) -> None:
    parent, child = tracer.start_active_span("parent"), tracer.start_active_span("child")
    parent.span.finish = fail
    parent.close()
    child.close()
    assert (tracer.active_span, telemetry.snapshot()["scope.failed.finish"]) == (None, 1)


def test_scope_manager_without_a_tracer_shows_no_native_span(provider: TracerProvider) -> None:
    manager = BridgeScopeManager()
    with provider.get_tracer("native").start_as_current_span("op"):
        assert manager.active is None


def test_short_root_ids_are_never_zero(monkeypatch: pytest.MonkeyPatch, provider: TracerProvider) -> None:
    monkeypatch.setattr(provider.id_generator, "generate_trace_id", lambda: 1 << 64)
    short = BridgeTracer(provider, settings=Settings(trace_id_bits=64)).start_span("op")
    assert 0 < short.context.trace_id < 1 << 64


class Undecided:
    """Neither true nor false, as NotImplemented and numpy's arrays are."""

    def __bool__(self) -> bool:
        raise TypeError("undecided")


@pytest.mark.parametrize("argument", ["operation_name", "tags", "start_time", "references", "child_of"])
def test_argument_without_a_truth_loses_no_span(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, argument: str
) -> None:
    with tracer.start_active_span("parent"):
        tracer.start_span(**{"operation_name": "op", argument: Undecided()}).finish(Undecided())
    child, parent = exporter.get_finished_spans()
    assert child.parent is not None
    assert parent.context is not None
    assert child.parent.span_id == parent.context.span_id
