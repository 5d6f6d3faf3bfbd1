"""The life of a span, from its start to the exporter: times, names, ends, and all that the SDK promises on the way."""

from __future__ import annotations

import copy
import datetime
import io
import json
import logging
import math
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import opentracing
import pytest
from opentelemetry import baggage as otel_baggage
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
)
from opentelemetry.trace import Link, SpanKind, StatusCode
from opentelemetry.trace.span import TraceState
from opentracing import Format, follows_from

from ot_bridge import BridgeSpan, BridgeSpanContext, BridgeTracer, Settings, telemetry
from ot_bridge.recording import READ_ONLY
from spans import as_dict

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
SPAN_ID = 0xB7AD6B7169203331
UBER = f"{TRACE_ID:032x}:{SPAN_ID:016x}:0:1"


class NoText:
    def __str__(self) -> str:
        raise RuntimeError("no text for you")

    __repr__ = __str__


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    encode_spans([span])
    return span


def provider_of(*processors: SpanProcessor, **arguments: Any) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False, **arguments)
    for processor in processors:
        provider.add_span_processor(processor)
    return provider


# --- types


def test_span_is_of_both_apis(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op")
    assert isinstance(span, BridgeSpan)
    assert isinstance(span, opentracing.Span)
    assert isinstance(span.unwrap(), trace.Span)


def test_context_is_of_both_apis(tracer: BridgeTracer) -> None:
    context = tracer.start_span("op").context
    assert isinstance(context, BridgeSpanContext)
    assert isinstance(context, opentracing.SpanContext)
    assert isinstance(context.unwrap(), trace.SpanContext)


def test_context_tells_all_that_the_contract_names(tracer: BridgeTracer) -> None:
    context = tracer.start_span("op").context
    assert (context.sampled, context.debug, context.debug_id) == (True, False, None)
    assert (context.is_remote, context.is_valid, dict(context.baggage)) == (False, True, {})
    assert (context.trace_flags.sampled, len(context.trace_state)) == (True, 0)


def test_tracer_is_opentracings_own(tracer: BridgeTracer) -> None:
    assert isinstance(tracer, opentracing.Tracer)
    assert tracer.start_span("op").tracer is tracer


# --- the whole span


def test_whole_exported_span(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    tracer = BridgeTracer(provider)
    parent: Any = tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": UBER})
    other: Any = tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": "1:2:0:1"})
    span = tracer.start_span(
        "op",
        child_of=parent,
        references=[follows_from(other)],
        tags={"span.kind": "server", "component": "flask"},
        start_time=1600000000.5,
    )
    span.set_tag("http.status_code", "503").log_kv({"event": "retry", "attempt": 1}, timestamp=1600000001.25)
    span.finish(finish_time=1600000002.75)
    found = as_dict(only(exporter))
    version = found["scope"].pop("version")
    assert version
    assert found == {
        "name": "op",
        "kind": "SERVER",
        "trace_id": f"{TRACE_ID:032x}",
        "span_id": f"{span.context.span_id:016x}",
        "trace_flags": 1,
        "trace_state": {},
        "parent_id": f"{SPAN_ID:016x}",
        "parent_is_remote": True,
        "start_time": 1600000000_500000000,
        "end_time": 1600000002_750000000,
        "status": {"code": "ERROR", "description": ""},
        "attributes": {"component": "flask", "http.status_code": 503},
        "events": [{"name": "retry", "timestamp": 1600000001_250000000, "attributes": {"attempt": 1}}],
        "links": [
            {"trace_id": f"{1:032x}", "span_id": f"{2:016x}", "attributes": {"opentracing.ref_type": "follows_from"}}
        ],
        "dropped": {"attributes": 0, "events": 0, "links": 0},
        "scope": {"name": "opentracing-shim"},
        "resource": {"service.name": "test"},
    }


# --- times

USABLE: list[tuple[Any, int]] = [
    (1600000000, 1600000000_000000000),
    (1600000000.5, 1600000000_500000000),
    (1600000000.123456, int(1600000000.123456 * 1e6) * 1000),
    (1600000000.1234567, int(1600000000.1234567 * 1e6) * 1000),
    (1.5, 1_500000000),
]
UNUSABLE: list[tuple[str, Any]] = [
    ("none", None),
    ("zero", 0),
    ("zero-float", 0.0),
    ("negative", -1.0),
    ("slightly-negative", -1e-9),
    ("nan", math.nan),
    ("infinite", math.inf),
    ("minus-infinite", -math.inf),
    ("milliseconds", 1600000000000.0),
    ("nanoseconds", 1600000000_000000000),
    ("huge-float", 1e300),
    ("huge-int", 10**400),
    ("text", "yesterday"),
    ("bytes", b"1600000000"),
    ("list", [1600000000]),
    ("object", object()),
    ("no-text", NoText()),
    ("complex", 1j),
]
UNUSABLE_ROWS = pytest.mark.parametrize("given", [row[1] for row in UNUSABLE], ids=[row[0] for row in UNUSABLE])


@pytest.mark.parametrize(("seconds", "nanoseconds"), USABLE)
def test_start_and_finish_time_are_whole_microseconds(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, seconds: Any, nanoseconds: int
) -> None:
    tracer.start_span("op", start_time=seconds).finish(finish_time=seconds)
    span = only(exporter)
    assert (span.start_time, span.end_time) == (nanoseconds, nanoseconds)


@UNUSABLE_ROWS
def test_unusable_start_time_is_now(tracer: BridgeTracer, exporter: InMemorySpanExporter, given: Any) -> None:
    before = time.time_ns() - 1_000
    tracer.start_span("op", start_time=given).finish()
    start = only(exporter).start_time
    assert start is not None
    assert before <= start <= time.time_ns()


@UNUSABLE_ROWS
def test_unusable_start_time_of_an_active_span_is_now(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, given: Any
) -> None:
    before = time.time_ns() - 1_000
    tracer.start_active_span("op", start_time=given).close()
    start = only(exporter).start_time
    assert start is not None
    assert before <= start <= time.time_ns()


@UNUSABLE_ROWS
def test_unusable_finish_time_is_now(tracer: BridgeTracer, exporter: InMemorySpanExporter, given: Any) -> None:
    before = time.time_ns() - 1_000
    tracer.start_span("op").finish(finish_time=given)
    end = only(exporter).end_time
    assert end is not None
    assert before <= end <= time.time_ns()


@pytest.mark.parametrize("zone", [datetime.timezone.utc, None], ids=["aware", "naive"])
def test_datetime_as_time_never_raises(tracer: BridgeTracer, exporter: InMemorySpanExporter, zone: Any) -> None:
    before = time.time_ns() - 1_000
    now: Any = datetime.datetime.now(zone)
    tracer.start_span("op", start_time=now).finish(finish_time=now)
    span = only(exporter)
    assert before <= span.start_time <= time.time_ns()  # type: ignore[operator]
    assert before <= span.end_time <= time.time_ns()  # type: ignore[operator]


@pytest.mark.parametrize("given", [-1.0, math.nan, 1600000000000.0, "yesterday"])
def test_unusable_time_is_counted(tracer: BridgeTracer, given: Any) -> None:
    telemetry.reset()
    tracer.start_span("op", start_time=given)
    at_start = sum(telemetry.snapshot().values())
    tracer.start_span("op").finish(finish_time=given)
    assert (at_start, sum(telemetry.snapshot().values())) == (1, 2)


def test_default_times_are_integers_in_order(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    before = time.time_ns() - 1_000
    tracer.start_span("op").finish()
    span = only(exporter)
    assert (type(span.start_time), type(span.end_time)) == (int, int)
    assert before <= span.start_time <= span.end_time <= time.time_ns()  # type: ignore[operator]


# --- names


@pytest.mark.parametrize(
    ("given", "expected"),
    [("op", "op"), ("", ""), (None, "unnamed"), (42, "42"), (1.5, "1.5"), (b"bytes", "bytes"), ("a\ud800", "a?")],
    ids=ascii,
)
def test_operation_name_becomes_text(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, given: Any, expected: str
) -> None:
    tracer.start_span(given).finish()
    assert only(exporter).name in ((expected,) if expected else ("", "unnamed"))


@pytest.mark.parametrize("given", [NoText(), object(), ["a"], {}, "\udfff" * 3], ids=range(5))
def test_odd_operation_name_never_raises(tracer: BridgeTracer, exporter: InMemorySpanExporter, given: Any) -> None:
    tracer.start_span(given).finish()
    assert isinstance(only(exporter).name, str)


def test_set_operation_name_renames_until_finish(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    span = tracer.start_span("old").set_operation_name("new")
    span.finish()
    assert span.set_operation_name("too late") is span
    assert only(exporter).name == "new"


@pytest.mark.parametrize("given", [None, 42, b"bytes", NoText(), "\ud800"], ids=range(5))
def test_set_operation_name_to_something_odd_never_raises(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, given: Any
) -> None:
    span = tracer.start_span("old")
    assert span.set_operation_name(given) is span
    span.finish()
    assert isinstance(only(exporter).name, str)


# --- the end


def test_second_finish_changes_nothing(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    span = tracer.start_span("op")
    span.finish(finish_time=1600000000)
    span.finish(finish_time=1700000000)
    span.finish()
    assert only(exporter).end_time == 1600000000_000000000


def test_calls_after_finish_change_nothing_and_never_raise(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    span = tracer.start_span("op", tags={"a": 1})
    span.finish()
    before = as_dict(only(exporter))
    for change in (
        lambda: span.set_tag("b", 2),
        lambda: span.set_tag("error", True),
        lambda: span.set_tag("span.kind", "server"),
        lambda: span.set_tag("sampling.priority", 1),
        lambda: span.log_kv({"event": "error", "error.object": ValueError("late")}),
        lambda: span.log_event("late"),
        lambda: span.set_operation_name("late"),
        lambda: span.set_baggage_item("k", "v"),
    ):
        assert change() is span
    assert as_dict(only(exporter)) == before


def test_context_is_readable_after_finish(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op")
    before = span.context
    span.finish()
    assert (span.context.trace_id, span.context.span_id) == (before.trace_id, before.span_id)


def test_span_that_is_never_finished_is_not_exported(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    tracer.start_span("op")
    assert exporter.get_finished_spans() == ()


def test_finish_of_an_exported_span_reads_the_same_from_the_span_itself(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    span = tracer.start_span("op", tags={"error": True, "a": [1]})
    span.log_kv({"event": "e"})
    span.finish()
    assert as_dict(span.unwrap()) == as_dict(only(exporter))


# --- free attributes, replaced methods


def test_span_takes_free_attributes(tracer: BridgeTracer) -> None:
    span: Any = tracer.start_span("op")
    span.extra_headers = {"a": "b"}
    span.meta = 1
    assert (span.extra_headers, span.meta) == ({"a": "b"}, 1)


@pytest.mark.filterwarnings("ignore:You should use instrumentation_scope")
@pytest.mark.parametrize("name", READ_ONLY)
def test_what_exporters_read_cannot_be_set_and_does_not_raise(
    name: str, tracer: BridgeTracer, exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    span: Any = tracer.start_span("work")
    before = getattr(span, name)
    setattr(span, name, "theirs")
    assert getattr(span, name) == before
    assert [record.getMessage() for record in caplog.records] == [
        f"span.{name} is what exporters read, and stays as it is: the program sets it to a str; use another name"
    ]
    span.finish()
    assert as_dict(exporter.get_finished_spans()[0])["name"] == "work"


def test_unsampled_span_takes_free_attributes() -> None:
    span: Any = BridgeTracer(provider_of(sampler=ALWAYS_OFF)).start_span("op")
    span.extra_headers = {"a": "b"}
    assert span.extra_headers == {"a": "b"}


def test_replaced_finish_is_called_and_can_call_the_true_one(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    order: list[str] = []

    def wrap(span: Any) -> None:
        true = span.finish

        def finish(*args: Any, **kwargs: Any) -> None:
            order.append(span.operation_name)
            true(*args, **kwargs)

        span.finish = finish

    with tracer.start_span("with span") as span:
        wrap(span)
    with tracer.start_active_span("with scope") as scope:
        wrap(scope.span)
    activated = tracer.start_span("activated")
    wrap(activated)
    tracer.scope_manager.activate(activated, True).close()
    assert order == ["with span", "with scope", "activated"]
    assert [found.name for found in exporter.get_finished_spans()] == order


def test_replaced_set_tag_and_log_kv_are_called(tracer: BridgeTracer) -> None:
    calls: list[Any] = []
    span: Any = tracer.start_span("op")
    span.log_kv = lambda *args, **kwargs: calls.append(args) or span
    span.log_event("e")
    span.log(event="f")
    assert [args[0] for args in calls] == [{"event": "e"}, {"event": "f"}]


# --- pickling and copying of contexts


def _pickled(context: BridgeSpanContext) -> BridgeSpanContext:
    found: BridgeSpanContext = pickle.loads(pickle.dumps(context))
    return found


@pytest.mark.parametrize("duplicate", [_pickled, copy.copy, copy.deepcopy], ids=["pickle", "copy", "deepcopy"])
@pytest.mark.parametrize("headers", [{"uber-trace-id": UBER.replace(":1", ":3")}, {"jaeger-debug-id": "corr"}, {}])
def test_context_survives(
    tracer: BridgeTracer, duplicate: Callable[[BridgeSpanContext], BridgeSpanContext], headers: dict[str, str]
) -> None:
    received: Any = tracer.extract(Format.HTTP_HEADERS, {**headers, "uberctx-k": "v"})
    found = duplicate(received)
    assert type(found) is type(received)
    for name in ("trace_id", "span_id", "sampled", "debug", "debug_id", "trace_flags", "is_remote", "is_valid"):
        assert getattr(found, name) == getattr(received, name), name
    assert (dict(found.baggage), dict(found.trace_state)) == ({"k": "v"}, dict(received.trace_state))


def test_pickled_context_is_a_parent(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    parent = tracer.start_span("parent").set_baggage_item("k", "v")
    child = tracer.start_span("child", child_of=_pickled(parent.context))
    child.finish()
    found = only(exporter)
    assert found.parent is not None
    assert (found.parent.span_id, child.get_baggage_item("k")) == (parent.context.span_id, "v")


def test_context_is_hashable_and_equal_to_itself(tracer: BridgeTracer) -> None:
    context = tracer.start_span("op").set_baggage_item("k", "v").context
    assert {context: 1}[context] == 1
    assert context == _pickled(context)


# --- processors


class Recorder(SpanProcessor):
    """Keeps every call with what it could read of the span at that moment."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.at_start: dict[str, Any] = {}
        self.parent_context: Context | None = None
        self.at_end: ReadableSpan | None = None

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self.calls.append("on_start")
        self.at_start = as_dict(span)
        self.parent_context = parent_context
        assert span.is_recording()
        span.set_attribute("by.processor", "on_start")

    def _on_ending(self, span: Span) -> None:
        self.calls.append("_on_ending")

    def on_end(self, span: ReadableSpan) -> None:
        self.calls.append("on_end")
        self.at_end = span

    def parent_id(self) -> int:
        """Return the span id that this context gives as parent."""
        return trace.get_current_span(self.parent_context).get_span_context().span_id


HAS_ON_ENDING = hasattr(SpanProcessor, "_on_ending")


def test_processor_is_called_in_order_with_the_span(exporter: InMemorySpanExporter) -> None:
    recorder = Recorder()
    tracer = BridgeTracer(provider_of(recorder, SimpleSpanProcessor(exporter)))
    with tracer.start_span("parent") as parent:
        span = tracer.start_span("op", child_of=parent, tags={"span.kind": "client", "a": 1}, start_time=1600000000)
        span.finish()
        assert recorder.calls[-3 if HAS_ON_ENDING else -2 :] == [
            "on_start",
            *(["_on_ending"] if HAS_ON_ENDING else []),
            "on_end",
        ]
        assert (recorder.at_start["name"], recorder.at_start["kind"]) == ("op", "CLIENT")
        assert recorder.at_start["attributes"] == {"a": 1}
        assert (recorder.at_start["start_time"], recorder.at_start["end_time"]) == (1600000000_000000000, None)
        assert recorder.at_start["parent_id"] == f"{parent.context.span_id:016x}"
        assert recorder.parent_id() == parent.context.span_id
    assert exporter.get_finished_spans()[0].attributes == {"a": 1, "by.processor": "on_start"}


def test_processor_gets_a_readable_and_ended_span(tracer: BridgeTracer, provider: TracerProvider) -> None:
    recorder = Recorder()
    provider.add_span_processor(recorder)
    tracer.start_span("op", tags={"error": True}).set_tag("span.kind", "server").finish()
    assert isinstance(recorder.at_end, ReadableSpan)
    assert (recorder.at_end.status.status_code, recorder.at_end.kind) == (StatusCode.ERROR, SpanKind.SERVER)
    assert recorder.at_end.end_time is not None


def test_processor_added_after_the_tracer_is_called(tracer: BridgeTracer, provider: TracerProvider) -> None:
    tracer.start_span("before").finish()
    late = Recorder()
    provider.add_span_processor(late)
    tracer.start_span("after").finish()
    assert late.calls.count("on_start") == late.calls.count("on_end") == 1


def test_processor_sees_the_baggage_of_the_parent(tracer: BridgeTracer, provider: TracerProvider) -> None:
    recorder = Recorder()
    provider.add_span_processor(recorder)
    parent: Any = tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": UBER, "uberctx-k": "v"})
    tracer.start_span("op", child_of=parent).finish()
    assert dict(otel_baggage.get_all(recorder.parent_context)) == {"k": "v"}
    assert recorder.parent_id() == SPAN_ID


@pytest.mark.parametrize("active", [False, True])
def test_processor_sees_no_parent_of_a_root_that_ignores_the_active_span(
    tracer: BridgeTracer, provider: TracerProvider, active: bool
) -> None:
    recorder = Recorder()
    provider.add_span_processor(recorder)
    seen: list[int] = []
    true = recorder.on_start

    def on_start(span: Span, parent_context: Context | None = None) -> None:
        true(span, parent_context)
        seen.append(recorder.parent_id())

    recorder.on_start = on_start  # type: ignore[method-assign]
    with tracer.start_active_span("outer"):
        if active:
            tracer.start_active_span("root", ignore_active_span=True).close()
        else:
            tracer.start_span("root", ignore_active_span=True).finish()
    assert seen == [0, 0]


@pytest.mark.parametrize("method", ["on_start", "_on_ending", "on_end"])
def test_processor_that_raises_takes_no_span_from_the_others(exporter: InMemorySpanExporter, method: str) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError(method)

    raises = SpanProcessor()
    setattr(raises, method, fail)
    tracer = BridgeTracer(provider_of(SimpleSpanProcessor(exporter), raises))
    with tracer.start_active_span("op") as scope:
        scope.span.set_tag("a", 1)
        with tracer.start_span("child"):
            pass
    assert tracer.active_span is None
    assert [(span.name, dict(span.attributes or {})) for span in exporter.get_finished_spans()] == [
        ("child", {}),
        ("op", {"a": 1}),
    ]


def test_batch_processor_gets_every_span(exporter: InMemorySpanExporter) -> None:
    provider = provider_of(BatchSpanProcessor(exporter))
    tracer = BridgeTracer(provider)
    for number in range(100):
        tracer.start_span(str(number)).finish()
    tracer.flush(5.0)
    assert [span.name for span in exporter.get_finished_spans()] == [str(number) for number in range(100)]
    provider.shutdown()


# --- samplers


class Asked(Sampler):
    """Keeps what it was asked and gives the result that it was made with."""

    def __init__(self, decision: Decision, attributes: dict[str, Any] | None = None, state: str = "") -> None:
        self.decision, self.attributes = decision, attributes or {}
        self.state = TraceState.from_header([state]) if state else None
        self.asked: list[dict[str, Any]] = []

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Any = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        parent = trace.get_current_span(parent_context).get_span_context()
        self.asked.append(
            {
                "parent": (parent.trace_id, parent.span_id, parent.is_remote),
                "trace_id": trace_id,
                "name": name,
                "kind": kind,
                "attributes": dict(attributes or {}),
                "links": [(link.context.span_id, dict(link.attributes or {})) for link in links or ()],
            }
        )
        return SamplingResult(self.decision, {**(attributes or {}), **self.attributes}, self.state)

    def get_description(self) -> str:
        return "asked"


def test_sampler_is_asked_with_all_that_is_known() -> None:
    sampler = Asked(Decision.RECORD_AND_SAMPLE)
    tracer = BridgeTracer(provider_of(sampler=sampler))
    parent: Any = tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": UBER})
    other: Any = tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": "1:2:0:1"})
    tracer.start_span(
        "op", child_of=parent, references=[follows_from(other)], tags={"span.kind": "consumer", "a": 1}
    ).finish()
    assert sampler.asked == [
        {
            "parent": (TRACE_ID, SPAN_ID, True),
            "trace_id": TRACE_ID,
            "name": "op",
            "kind": SpanKind.CONSUMER,
            "attributes": {"a": 1},
            "links": [(2, {"opentracing.ref_type": "follows_from"})],
        }
    ]


def test_sampler_is_asked_for_a_root_with_its_trace_id() -> None:
    sampler = Asked(Decision.RECORD_AND_SAMPLE)
    span = BridgeTracer(provider_of(sampler=sampler)).start_span("op")
    (asked,) = sampler.asked
    assert (asked["parent"], asked["trace_id"], asked["kind"]) == (
        (0, 0, False),
        span.context.trace_id,
        SpanKind.INTERNAL,
    )


def test_sampler_adds_attributes_and_trace_state(exporter: InMemorySpanExporter) -> None:
    sampler = Asked(Decision.RECORD_AND_SAMPLE, {"sampler.type": "own"}, "vendor=1")
    tracer = BridgeTracer(provider_of(SimpleSpanProcessor(exporter), sampler=sampler))
    span = tracer.start_span("op", tags={"a": 1})
    span.finish()
    found = as_dict(only(exporter))
    assert (found["attributes"], found["trace_state"]) == ({"a": 1, "sampler.type": "own"}, {"vendor": "1"})
    assert dict(span.context.trace_state) == {"vendor": "1"}


def test_sampler_that_raises_never_reaches_the_application() -> None:
    class Raises(Sampler):
        def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
            raise RuntimeError("no decision for you")

        def get_description(self) -> str:
            return "raises"

    tracer = BridgeTracer(provider_of(sampler=Raises()))
    with tracer.start_active_span("op", tags={"a": 1}) as scope:
        scope.span.set_tag("b", 2).set_baggage_item("k", "v").log_kv({"event": "e"})
        assert tracer.active_span is scope.span
        assert tracer.start_span("child").get_baggage_item("k") == "v"
    assert tracer.active_span is None


def test_record_only_span_reaches_processors_and_no_exporter(exporter: InMemorySpanExporter) -> None:
    recorder = Recorder()
    sampler = ParentBased(Asked(Decision.RECORD_ONLY))
    tracer = BridgeTracer(provider_of(recorder, SimpleSpanProcessor(exporter), sampler=sampler))
    with tracer.start_active_span("op") as scope:
        assert scope.span.unwrap().is_recording()
        assert scope.span.context.sampled is False
        scope.span.set_tag("a", 1)
        assert tracer.start_span("child").context.sampled is False
    assert recorder.at_end is not None
    assert recorder.at_end.attributes == {"a": 1, "by.processor": "on_start"}
    assert exporter.get_finished_spans() == ()


def test_dropped_span_reaches_no_processor_and_keeps_ids_and_baggage() -> None:
    recorder = Recorder()
    tracer = BridgeTracer(provider_of(recorder, sampler=DEFAULT_OFF))
    with tracer.start_active_span("op", tags={"a": 1}) as scope:
        span = scope.span
        span.set_tag("error", True).log_kv({"event": "e"}).set_operation_name("n").set_baggage_item("k", "v")
        child = tracer.start_span("child")
        headers: dict[str, str] = {}
        tracer.inject(child.context, Format.HTTP_HEADERS, headers)
    assert recorder.calls == []
    assert (span.context.is_valid, child.context.trace_id) == (True, span.context.trace_id)
    assert headers["uber-trace-id"] == f"{child.context.trace_id:032x}:{child.context.span_id:016x}:0:0"
    assert headers["uberctx-k"] == "v"


def test_dropped_span_ignores_odd_values_too() -> None:
    tracer = BridgeTracer(provider_of(sampler=ALWAYS_OFF))
    span: Any = tracer.start_span(NoText(), tags={NoText(): NoText()}, start_time=NoText())  # type: ignore[arg-type,dict-item]
    span.set_tag(NoText(), NoText()).log_kv({NoText(): NoText()}, NoText()).set_operation_name(NoText())
    span.set_baggage_item(NoText(), NoText()).finish(NoText())
    with pytest.raises(ValueError, match="boom"), span:
        raise ValueError("boom")


# --- limits


def test_limits_evict_the_oldest_and_count(exporter: InMemorySpanExporter) -> None:
    limits = SpanLimits(max_span_attributes=2, max_events=2, max_links=2, max_event_attributes=1, max_link_attributes=1)
    tracer = BridgeTracer(provider_of(SimpleSpanProcessor(exporter), span_limits=limits))
    remote: list[Any] = [
        tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": f"1:{number}:0:1"}) for number in range(1, 5)
    ]
    span = tracer.start_span("op", child_of=remote[0], references=[follows_from(each) for each in remote[1:]])
    for number in range(5):
        span.set_tag(f"k{number}", number)
        span.log_kv({"event": f"e{number}", "a": 1, "b": 2})
    span.finish()
    found = as_dict(only(exporter))
    assert found["attributes"] == {"k3": 3, "k4": 4}
    assert [(event["name"], event["attributes"]) for event in found["events"]] == [("e3", {"b": 2}), ("e4", {"b": 2})]
    assert found["dropped"] == {"attributes": 3, "events": 3, "links": 1}


def test_limits_hold_for_initial_tags(exporter: InMemorySpanExporter) -> None:
    limits = SpanLimits(max_span_attributes=2)
    tracer = BridgeTracer(provider_of(SimpleSpanProcessor(exporter), span_limits=limits))
    tracer.start_span("op", tags={f"k{number}": number for number in range(5)}).finish()
    found = as_dict(only(exporter))
    assert (found["attributes"], found["dropped"]["attributes"]) == ({"k3": 3, "k4": 4}, 3)


@pytest.mark.parametrize("limit", [0, 1])
def test_smallest_limits_never_raise(exporter: InMemorySpanExporter, limit: int) -> None:
    limits = SpanLimits(max_attributes=limit, max_events=limit, max_links=limit, max_attribute_length=limit)
    tracer = BridgeTracer(provider_of(SimpleSpanProcessor(exporter), span_limits=limits))
    with pytest.raises(ValueError, match="boom"), tracer.start_span("op", tags={"a": "xx", "b": "yy"}) as span:
        span.set_tag("c", "zz").log_kv({"event": "e", "k": "vv"})
        raise ValueError("boom")
    found = as_dict(only(exporter))
    assert (len(found["attributes"]), len(found["events"])) == (limit, limit)
    assert (found["dropped"]["attributes"], found["dropped"]["events"]) == (3 - limit, 2 - limit)


def test_events_count_the_attributes_that_they_dropped(exporter: InMemorySpanExporter) -> None:
    limits = SpanLimits(max_event_attributes=1)
    tracer = BridgeTracer(provider_of(SimpleSpanProcessor(exporter), span_limits=limits))
    with tracer.start_span("op") as span:
        span.log_kv({"event": "e", "a": 1, "b": 2, "c": 3})
    (event,) = only(exporter).events
    assert event.dropped_attributes == 2


def test_limits_hold_when_threads_write_together(exporter: InMemorySpanExporter) -> None:
    limits = SpanLimits(max_span_attributes=8, max_events=8)
    tracer = BridgeTracer(provider_of(SimpleSpanProcessor(exporter), span_limits=limits))
    span = tracer.start_span("op")
    errors: list[BaseException] = []
    barrier = threading.Barrier(4)

    def work(worker: int) -> None:
        barrier.wait()
        try:
            for number in range(300):
                span.set_tag(f"{worker}-{number}", number)
                span.log_kv({"event": f"{worker}-{number}"})
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    span.finish()
    found = as_dict(only(exporter))
    assert errors == []
    assert (len(found["attributes"]), len(found["events"])) == (8, 8)
    assert found["dropped"] == {"attributes": 1192, "events": 1192, "links": 0}


# --- what comes from the provider


class Counting(IdGenerator):
    """Gives 1, 2, 3 ..."""

    def __init__(self) -> None:
        self.last = 0

    def generate_trace_id(self) -> int:
        return self.generate_span_id() << 64 | 0xF

    def generate_span_id(self) -> int:
        self.last += 1
        return self.last


def test_id_generator_of_the_provider_is_used() -> None:
    tracer = BridgeTracer(provider_of(id_generator=Counting()))
    root = tracer.start_span("root")
    child = tracer.start_span("child", child_of=root)
    assert (root.context.trace_id, root.context.span_id) == (1 << 64 | 0xF, 2)
    assert (child.context.trace_id, child.context.span_id) == (1 << 64 | 0xF, 3)


def test_trace_id_bits_64_makes_short_roots_and_keeps_long_traces(provider: TracerProvider) -> None:
    tracer = BridgeTracer(provider, settings=Settings(trace_id_bits=64))
    received: Any = tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": UBER})
    for _ in range(20):
        assert 0 < tracer.start_span("root").context.trace_id < 2**64
    assert tracer.start_span("child", child_of=received).context.trace_id == TRACE_ID


@pytest.mark.parametrize("generator", [RandomIdGenerator, Counting])
@pytest.mark.parametrize("sampler", [ALWAYS_ON, ALWAYS_OFF], ids=["sampled", "unsampled"])
def test_flags_of_a_root_are_those_of_a_native_root(generator: Callable[[], IdGenerator], sampler: Sampler) -> None:
    provider = provider_of(id_generator=generator(), sampler=sampler)
    native = provider.get_tracer("native").start_span("op").get_span_context().trace_flags
    bridged = BridgeTracer(provider).start_span("op").context.trace_flags
    assert (int(bridged), type(bridged)) == (int(native), type(native))


def test_resource_of_the_provider_is_on_the_span(exporter: InMemorySpanExporter) -> None:
    resource = Resource({"service.name": "shop", "deployment.environment": "test"})
    provider = provider_of(SimpleSpanProcessor(exporter), resource=resource)
    BridgeTracer(provider).start_span("op").finish()
    assert only(exporter).resource is provider.resource


def test_instrumentation_scope_is_named_as_the_specification_says(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    BridgeTracer(provider).start_span("op").finish()
    BridgeTracer(provider, settings=Settings(scope_name="mine")).start_span("op").finish()
    scopes = [as_dict(span)["scope"]["name"] for span in exporter.get_finished_spans()]
    assert scopes == ["opentracing-shim", "mine"]


@pytest.mark.skipif(
    not hasattr(TracerProvider, "_set_tracer_configurator"), reason="this SDK has no tracer configurator"
)
def test_tracer_that_is_switched_off_and_on_again(exporter: InMemorySpanExporter) -> None:
    from opentelemetry.sdk import trace as sdk

    provider = provider_of(SimpleSpanProcessor(exporter))
    tracer = BridgeTracer(provider)
    provider._set_tracer_configurator(tracer_configurator=sdk._disable_tracer_configurator)
    with tracer.start_active_span("off") as scope:
        assert tracer.active_span is scope.span
        assert scope.span.unwrap().is_recording() is False
    provider._set_tracer_configurator(tracer_configurator=sdk._default_tracer_configurator)
    tracer.start_span("on").finish()
    assert [span.name for span in exporter.get_finished_spans()] == ["on"]


def _self_metrics(reader: InMemoryMetricReader) -> set[tuple[str, tuple[tuple[str, Any], ...], Any]]:
    data = reader.get_metrics_data()
    return {
        (metric.name, tuple(sorted((point.attributes or {}).items())), getattr(point, "value", None))
        for resource_metrics in (data.resource_metrics if data else ())
        for scope_metrics in resource_metrics.scope_metrics
        for metric in scope_metrics.metrics
        if metric.name.startswith("otel.sdk.span.")
        for point in metric.data.data_points
    }


def test_self_metrics_of_the_sdk_count_bridged_spans_like_native_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")

    def measured(work: Callable[[TracerProvider], object]) -> set[Any]:
        reader = InMemoryMetricReader()
        meters = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
        try:
            provider = TracerProvider(shutdown_on_exit=False, meter_provider=meters)
        except TypeError:
            pytest.skip("this SDK has no self-metrics")
        kept = work(provider)
        found = _self_metrics(reader)
        del kept
        return found

    def natively(provider: TracerProvider) -> object:
        tracer = provider.get_tracer("native")
        root = tracer.start_span("root")
        remote = trace.NonRecordingSpan(trace.SpanContext(TRACE_ID, SPAN_ID, True, trace.TraceFlags(1)))
        unsampled = trace.NonRecordingSpan(trace.SpanContext(TRACE_ID, SPAN_ID, True, trace.TraceFlags(0)))
        tracer.start_span("child", trace.set_span_in_context(root)).end()
        tracer.start_span("from afar", trace.set_span_in_context(remote)).end()
        tracer.start_span("dropped", trace.set_span_in_context(unsampled)).end()
        return root

    def bridged(provider: TracerProvider) -> object:
        tracer = BridgeTracer(provider)
        root = tracer.start_span("root")
        remote: Any = tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": UBER})
        unsampled: Any = tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": UBER[:-1] + "0"})
        tracer.start_span("child", child_of=root).finish()
        tracer.start_span("from afar", child_of=remote).finish()
        tracer.start_span("dropped", child_of=unsampled).finish()
        return root

    expected = measured(natively)
    if not expected:
        pytest.skip("this SDK has no self-metrics")
    assert measured(bridged) == expected


FORK_PROGRAM = textwrap.dedent(
    """
    import os, sys
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from ot_bridge import BridgeTracer

    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = BridgeTracer(provider)
    tracer.start_span("before").finish()
    child = os.fork()
    if child == 0:
        with tracer.start_active_span("after"):
            pass
        before, after = exporter.get_finished_spans()
        same = after.resource is provider.resource and before.context.trace_id != after.context.trace_id
        os._exit(0 if same else 3)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    """
)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_forked_child_records_with_the_resource_of_its_own_process() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK_PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


# --- exporters


def test_console_exporter_prints_the_span() -> None:
    out = io.StringIO()
    tracer = BridgeTracer(provider_of(SimpleSpanProcessor(ConsoleSpanExporter(out=out))))
    parent: Any = tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": UBER})
    span = tracer.start_span("op", child_of=parent, tags={"span.kind": "server", "error": True, "a": [1, 2]})
    span.log_kv({"event": "e", "k": "v"})
    span.finish()
    printed = json.loads(out.getvalue())
    assert (printed["name"], printed["kind"], printed["attributes"]) == ("op", "SpanKind.SERVER", {"a": [1, 2]})
    assert (printed["parent_id"], printed["status"]) == (f"0x{SPAN_ID:016x}", {"status_code": "ERROR"})
    assert [event["name"] for event in printed["events"]] == ["e"]


def test_live_span_prints_as_json(tracer: BridgeTracer) -> None:
    span: Any = tracer.start_span("op", tags={"a": 1}).unwrap()
    printed = json.loads(span.to_json())
    assert (printed["name"], printed["end_time"], printed["attributes"]) == ("op", None, {"a": 1})


def test_exported_otlp_flags_tell_a_remote_parent(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    remote: Any = tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": UBER})
    with tracer.start_span("remote parent", child_of=remote) as span:
        tracer.start_span("local parent", child_of=span).finish()
    tracer.start_span("root").finish()
    encoded = encode_spans(exporter.get_finished_spans()).resource_spans[0].scope_spans[0].spans
    assert {span.name: span.flags & 0x300 for span in encoded} == {
        "local parent": 0x100,
        "remote parent": 0x300,
        "root": 0x100,
    }


def test_exported_trace_state_is_the_received_one(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    headers = {"traceparent": f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-01", "tracestate": "a=1,b=2"}
    received: Any = tracer.extract(Format.HTTP_HEADERS, headers)
    tracer.start_span("op", child_of=received).finish()
    encoded = encode_spans(exporter.get_finished_spans()).resource_spans[0].scope_spans[0].spans[0]
    assert encoded.trace_state == "a=1,b=2"


# --- close and flush


def test_span_finished_after_close_never_raises(tracer: BridgeTracer, caplog: pytest.LogCaptureFixture) -> None:
    span = tracer.start_span("op")
    tracer.close()
    span.set_tag("a", 1).finish()
    tracer.start_span("late").finish()
    tracer.flush(0.1)
    tracer.close()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_debug_root_of_a_debug_id_is_marked() -> None:
    exporter = InMemorySpanExporter()
    tracer = BridgeTracer(provider_of(SimpleSpanProcessor(exporter), sampler=ALWAYS_OFF))
    received: Any = tracer.extract(Format.HTTP_HEADERS, {"jaeger-debug-id": "corr-1", "uberctx-k": "v"})
    span = tracer.start_span("op", child_of=received)
    span.finish()
    found = as_dict(only(exporter))
    assert (found["parent_id"], found["links"]) == (None, [])
    assert found["attributes"] == {"jaeger-debug-id": "corr-1", "jaeger.debug": True}
    assert (span.context.sampled, span.context.debug, dict(span.context.baggage)) == (True, True, {"k": "v"})
