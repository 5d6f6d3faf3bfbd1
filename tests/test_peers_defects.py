"""The defects of other OpenTracing bridges, each as a test with its number: what this one must never do.

H loses or falsifies traces in silence, M breaks visibly, L annoys. All were found in the official Python shim 0.66b1
and in the propagators that it must be used with.
"""

from __future__ import annotations

import datetime
import logging
import threading
from typing import Any

import opentracing
import pytest
from opentelemetry import baggage as otel_baggage
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentracing import Format, child_of, follows_from

from ot_bridge import BridgeTracer, Settings
from spans import as_dict

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
UBER = f"{TRACE_ID}:{SPAN_ID}:0:1"


def exported(exporter: InMemorySpanExporter) -> dict[str, dict[str, Any]]:
    """Return every exported span by name, after the official encoder took the whole batch."""
    spans = exporter.get_finished_spans()
    encode_spans(spans)
    return {span.name: as_dict(span) for span in spans}


def headers_of(tracer: BridgeTracer, span: opentracing.Span) -> dict[str, str]:
    headers: dict[str, str] = {}
    tracer.inject(span.context, Format.HTTP_HEADERS, headers)
    return headers


def test_H1_baggage_crosses_spans_and_processes(tracer: BridgeTracer) -> None:
    with tracer.start_active_span("a") as scope:
        scope.span.set_baggage_item("tenant", "acme")
        with tracer.start_active_span("b") as inner:
            carrier = headers_of(tracer, inner.span)
    received = tracer.extract(Format.HTTP_HEADERS, carrier)
    assert tracer.start_span("c", child_of=received).get_baggage_item("tenant") == "acme"


def test_H2_baggage_of_another_request_does_not_leak_into_an_injection(tracer: BridgeTracer) -> None:
    other = tracer.start_span("x")
    token = otel_context.attach(otel_baggage.set_baggage("user", "A"))
    carrier = headers_of(tracer, other)
    otel_context.detach(token)
    assert set(carrier) == {"uber-trace-id", "traceparent"}


def test_H3_native_span_is_active(tracer: BridgeTracer, provider: TracerProvider) -> None:
    with provider.get_tracer("native").start_as_current_span("native") as native:
        active: Any = tracer.active_span
        assert active is not None
        assert active.unwrap() is native
        assert tracer.scope_manager.active is not None


def test_H3_native_span_inside_a_bridged_scope_is_the_active_one(
    tracer: BridgeTracer, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_active_span("outer"), provider.get_tracer("native").start_as_current_span("native"):
        assert tracer.active_span is not None
        tracer.active_span.set_tag("k", "v")
        tracer.start_span("child").finish()
        tracer.start_active_span("active child").close()
    found = exported(exporter)
    assert (found["native"]["attributes"], found["outer"]["attributes"]) == ({"k": "v"}, {})
    assert found["child"]["parent_id"] == found["active child"]["parent_id"] == found["native"]["span_id"]


def test_H4_extract_of_nothing_is_none_and_keeps_the_active_parent(
    tracer: BridgeTracer, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    for carrier in ({}, {"Accept": "*/*"}, {"uber-trace-id": "garbage"}):
        assert tracer.extract(Format.HTTP_HEADERS, carrier) is None
    with provider.get_tracer("native").start_as_current_span("server"):
        tracer.start_span("handler", child_of=tracer.extract(Format.HTTP_HEADERS, {})).finish()
    found = exported(exporter)
    assert found["handler"]["parent_id"] == found["server"]["span_id"]


def test_H5_start_active_span_ignores_the_active_span_when_told(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_active_span("outer"), tracer.start_active_span("root", ignore_active_span=True):
        pass
    found = exported(exporter)
    assert found["root"]["parent_id"] is None
    assert found["root"]["trace_id"] != found["outer"]["trace_id"]


def test_H6_references_beat_the_active_span_and_become_links(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    first, second = tracer.start_span("first"), tracer.start_span("second")
    with tracer.start_active_span("active"):
        tracer.start_span("op", references=[follows_from(first.context), child_of(second.context)]).finish()
    found = exported(exporter)["op"]
    assert found["parent_id"] == f"{second.context.span_id:016x}"
    assert [(link["span_id"], link["attributes"]) for link in found["links"]] == [
        (f"{first.context.span_id:016x}", {"opentracing.ref_type": "follows_from"})
    ]


def test_H7_error_tag_is_the_status(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    tracer.start_span("at start", tags={"error": True}).finish()
    tracer.start_span("later").set_tag("error", True).finish()
    with pytest.raises(ValueError, match="boom"), tracer.start_span("raises"):
        raise ValueError("boom")
    found = exported(exporter)
    assert [span["status"]["code"] for span in found.values()] == ["ERROR"] * 3
    (event,) = found["raises"]["events"]
    assert (event["name"], event["attributes"]["exception.type"]) == ("exception", "ValueError")


def test_H8_one_bad_call_loses_no_batch(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    tracer.start_span("good").finish()
    with tracer.start_span("bad event") as span:
        span.log_kv({"event": 42}).log_kv({"event": ValueError("boom")})
    tracer.start_span("start in ms", start_time=1600000000000.0).finish()
    tracer.start_span("negative start", start_time=-1).finish()
    tracer.start_span("negative end").finish(finish_time=-5)
    tracer.start_span("huge int", tags={"n": 2**80}).finish()
    encoded = encode_spans(exporter.get_finished_spans()).resource_spans[0].scope_spans[0].spans
    assert len(encoded) == 6


def test_H9_span_kind_is_the_kind(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    tracer.start_span("at start", tags={"span.kind": "server"}).finish()
    tracer.start_span("later").set_tag("span.kind", "client").finish()
    found = exported(exporter)
    assert [(span["kind"], span["attributes"]) for span in found.values()] == [("SERVER", {}), ("CLIENT", {})]


def test_H10_sampling_priority_zero_stops_the_export(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    tracer.start_span("at start", tags={"sampling.priority": 0}).finish()
    tracer.start_span("later").set_tag("sampling.priority", 0).finish()
    assert exporter.get_finished_spans() == ()


def test_H11_sampled_span_is_not_sent_as_debug(tracer: BridgeTracer) -> None:
    assert headers_of(tracer, tracer.start_span("op"))["uber-trace-id"].split(":")[3] == "1"


def test_H12_random_flag_of_an_unsampled_root_is_not_sent_as_debug() -> None:
    tracer = BridgeTracer(TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    assert headers_of(tracer, tracer.start_span("op"))["uber-trace-id"].split(":")[3] == "0"


def test_H13_random_flag_of_a_sampled_root_hides_no_sampling_decision(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op")
    assert span.context.sampled
    assert int(headers_of(tracer, span)["traceparent"][-2:], 16) & 1 == 1


@pytest.mark.parametrize("flags", ["00", "01"])
def test_H14_continued_trace_gets_no_random_flag_that_it_did_not_have(tracer: BridgeTracer, flags: str) -> None:
    received = tracer.extract(Format.HTTP_HEADERS, {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-{flags}"})
    child = tracer.start_span("op", child_of=received)
    assert headers_of(tracer, child)["traceparent"].endswith(f"-{flags}")


def test_M1_close_and_flush_are_there(tracer: BridgeTracer) -> None:
    tracer.start_span("op").finish()
    tracer.flush(1.0)
    tracer.close()
    tracer.close()


def test_M2_foreign_objects_never_raise(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    noop = opentracing.Tracer().start_span("noop")
    with tracer.scope_manager.activate(noop, True), tracer.start_span("under noop"):
        pass
    with tracer.scope_manager.activate(None, True):  # type: ignore[arg-type]
        pass
    tracer.inject(noop.context, Format.HTTP_HEADERS, {})
    tracer.inject(None, Format.TEXT_MAP, {})  # type: ignore[arg-type]
    tracer.start_span("child", child_of=noop, references=[child_of(noop.context)]).finish()
    with tracer.start_active_span("scope") as scope:
        tracer.start_span("child of scope", child_of=scope).finish()  # type: ignore[arg-type]
    assert set(exported(exporter)) == {"under noop", "child", "scope", "child of scope"}


def test_M3_each_tracer_sends_its_own_formats(provider: TracerProvider) -> None:
    old = BridgeTracer(provider, settings=Settings(inject=("jaeger",)))
    new = BridgeTracer(provider, settings=Settings(inject=("tracecontext",)))
    assert set(headers_of(old, old.start_span("op"))) == {"uber-trace-id"}
    assert set(headers_of(new, new.start_span("op"))) == {"traceparent"}


@pytest.mark.parametrize("spell", [str.upper, str.title, str.lower])
def test_M4_header_case_does_not_matter(tracer: BridgeTracer, spell: Any) -> None:
    for name, value in [("uber-trace-id", UBER), ("traceparent", f"00-{TRACE_ID}-{SPAN_ID}-01")]:
        received: Any = tracer.extract(Format.HTTP_HEADERS, {spell(name): value, spell("uberctx-k"): "v"})
        assert (received.trace_id, received.span_id) == (int(TRACE_ID, 16), int(SPAN_ID, 16))
        assert received.baggage == {"k": "v"}


def test_M5_jaeger_headers_are_read_in_full(tracer: BridgeTracer) -> None:
    encoded: Any = tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": UBER.replace(":", "%3A")})
    baggage: Any = tracer.extract(Format.HTTP_HEADERS, {"uberctx-uberctx-k": "v", "jaeger-baggage": "a=1, b=2"})
    debug: Any = tracer.extract(Format.HTTP_HEADERS, {"jaeger-debug-id": "corr-1"})
    assert encoded.trace_id == int(TRACE_ID, 16)
    assert baggage.baggage == {"uberctx-k": "v", "a": "1", "b": "2"}
    assert (debug.debug_id, debug.is_valid) == ("corr-1", False)


def test_M5_baggage_key_that_is_no_token_is_not_sent_as_a_header(tracer: BridgeTracer) -> None:
    with tracer.start_span("op") as span:
        span.set_baggage_item("K \N{LATIN CAPITAL LETTER E WITH ACUTE}", "v").set_baggage_item("a\r\nb", "v")
        assert set(headers_of(tracer, span)) == {"uber-trace-id", "traceparent"}


def test_M6_malformed_times_and_values_never_raise(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    class NoText:
        def __str__(self) -> str:
            raise RuntimeError("no text for you")

        __repr__ = __str__

    loop: list[Any] = []
    loop.append(loop)
    now: Any = datetime.datetime.now(datetime.timezone.utc)
    with tracer.start_span("op", start_time=now, tags={"a": NoText(), "b": loop}) as span:
        span.set_tag("c", NoText()).set_tag("d", loop).log_kv({"e": loop, "f": NoText()})
    assert set(exported(exporter)["op"]["attributes"]) == {"a", "b", "c", "d"}


def test_M7_context_is_immutable(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op")
    before = span.context
    span.set_baggage_item("a", "1")
    assert (dict(before.baggage), dict(span.context.baggage)) == ({}, {"a": "1"})


def test_M8_scope_close_calls_the_finish_of_the_span(tracer: BridgeTracer) -> None:
    called = []
    scope = tracer.start_active_span("op")
    scope.span.finish = lambda *_: called.append(True)  # type: ignore[method-assign,assignment,misc]
    scope.close()
    assert called == [True]


def test_M9_scope_closed_twice_elsewhere_or_out_of_order_logs_and_leaks_nothing(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = tracer.start_active_span("a"), tracer.start_active_span("b")
    a.close()
    b.close()
    a.close()
    b.close()
    elsewhere = tracer.start_active_span("c")
    thread = threading.Thread(target=elsewhere.close)
    thread.start()
    thread.join()
    assert (tracer.active_span, trace.get_current_span()) == (None, trace.INVALID_SPAN)
    assert sorted(exported(exporter)) == ["a", "b", "c"]
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_M10_instrumentation_scope_has_the_standard_name(
    tracer: BridgeTracer, provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    import ot_bridge

    tracer.start_span("default").finish()
    BridgeTracer(provider, settings=Settings(scope_name="mine")).start_span("own").finish()
    found = exported(exporter)
    assert found["default"]["scope"] == {"name": "opentracing-shim", "version": ot_bridge.__version__}
    assert found["own"]["scope"]["name"] == "mine"


def test_L1_chained_calls_return_the_span(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op")
    assert span.log(event="a").log_event("b").set_baggage_item("k", "v").set_tag("t", 1).log_kv({}) is span
    assert span.set_operation_name("n") is span


def test_L2_span_without_a_name_gets_one(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    tracer.start_span().finish()
    tracer.start_active_span(None).close()  # type: ignore[arg-type]
    assert [span.name for span in exporter.get_finished_spans()] == ["unnamed", "unnamed"]


def test_L3_single_reference_needs_no_list(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    parent = tracer.start_span("parent")
    tracer.start_span("op", references=child_of(parent.context)).finish()  # type: ignore[arg-type]
    assert exported(exporter)["op"]["parent_id"] == f"{parent.context.span_id:016x}"


def test_L4_binary_goes_there_and_back(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op").set_baggage_item("k", "v")
    carrier = bytearray()
    tracer.inject(span.context, Format.BINARY, carrier)
    received: Any = tracer.extract(Format.BINARY, carrier)
    assert (received.trace_id, received.span_id) == (span.context.trace_id, span.context.span_id)
    assert (received.sampled, received.baggage) == (True, {"k": "v"})


def test_L5_second_tracer_does_not_see_the_scope_of_the_first(tracer: BridgeTracer, provider: TracerProvider) -> None:
    second = BridgeTracer(provider)
    with tracer.start_active_span("op"):
        assert (second.active_span, second.scope_manager.active) == (None, None)


def test_L6_odd_attribute_logs_no_warning(tracer: BridgeTracer, caplog: pytest.LogCaptureFixture) -> None:
    with tracer.start_span("op", tags={"a": object(), "b": {1, 2}, "c": None, 4: "d", "": "e"}) as span:  # type: ignore[dict-item]
        span.set_tag("f", object()).set_tag("", 1).set_tag("g", [1, "a"]).log_kv({"h": object(), 5: 6})
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_L7_span_and_context_have_ids(tracer: BridgeTracer) -> None:
    span: Any = tracer.start_span("op")
    context = span.unwrap().get_span_context()
    assert (span.trace_id, span.span_id) == (context.trace_id, context.span_id)
    assert (span.context.trace_id, span.context.span_id) == (context.trace_id, context.span_id)
    assert f"{span.trace_id:x}" == f"{context.trace_id:x}"


def test_operation_name_of_a_span_can_be_read(tracer: BridgeTracer) -> None:
    span: Any = tracer.start_span("op")
    assert span.operation_name == "op"
    assert span.set_operation_name("new").operation_name == "new"


def test_batch_of_a_half_broken_service_arrives_whole() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = BridgeTracer(provider)
    for start in (None, 0, -1, 1e12, 1e300, float("nan"), "yesterday"):
        with tracer.start_span("op", start_time=start) as span:  # type: ignore[arg-type]
            span.log_kv({"event": start}, timestamp=start)  # type: ignore[arg-type]
    assert len(encode_spans(exporter.get_finished_spans()).resource_spans[0].scope_spans[0].spans) == 7
