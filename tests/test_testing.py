"""The tracer for the tests of applications: its spans are what would be sent, and it leaves nothing behind."""

from __future__ import annotations

import re
import subprocess
import sys
import threading

import opentracing
import pytest
from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import ot_bridge
from ot_bridge import BridgeTracer, Settings, bootstrap
from ot_bridge.testing import InMemoryTracer, LeakedScopeWarning, MockTracer, as_dict

LATE_BOUND = opentracing.tracer
NATIVE = trace.get_tracer("a module of the application")


def test_finished_span_is_the_span_that_was_started() -> None:
    tracer = MockTracer()
    span = tracer.start_span("a")
    assert (span.finished, span.finish_time, tracer.finished_spans()) == (False, -1, [])
    span.finish()
    assert tracer.finished_spans() == [span]
    assert (span.finished, isinstance(span, opentracing.Span)) == (True, True)


def test_running_span_has_the_same_words() -> None:
    span = MockTracer().start_span("a", tags={"span.kind": "client"}, start_time=1_700_000_000.125)
    span.set_tag("error", True).log_kv({"event": "x"}, 1_700_000_001)
    assert (span.tags, span.logs) == ({"span.kind": "client", "error": True}, [({"event": "x"}, 1_700_000_001)])
    assert (span.start_time, span.parent_id) == (1_700_000_000.125, None)


def test_otel_face_is_what_an_exporter_gets() -> None:
    exporter, tracer = InMemorySpanExporter(), InMemoryTracer(service_name="shop")
    tracer.tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer.start_span("a", start_time=1_700_000_000.125).finish(1_700_000_001.5)
    (span,), (exported,) = tracer.finished_spans(), exporter.get_finished_spans()
    assert exported is span.otel
    assert isinstance(span.otel, ReadableSpan)
    assert (exported.start_time, exported.end_time) == (1_700_000_000_125_000_000, 1_700_000_001_500_000_000)
    assert as_dict(exported)["resource"] == {"service.name": "shop"}


def test_native_spans_are_in_it_with_the_same_words() -> None:
    tracer = MockTracer()
    native = tracer.tracer_provider.get_tracer("native")
    kind = trace.SpanKind.PRODUCER
    with (
        tracer.start_active_span("ours") as scope,
        pytest.raises(KeyError),
        native.start_as_current_span("theirs", kind=kind, attributes={"k": 1}),
    ):
        tracer.active_span.set_tag("by", "view")
        raise KeyError("x")
    theirs, ours = tracer.finished_spans()
    assert ours is scope.span
    assert theirs.operation_name == "theirs"
    assert theirs.tags == {"k": 1, "by": "view", "span.kind": "producer", "error": True}
    assert (theirs.parent_id, theirs.context.trace_id) == (ours.context.span_id, ours.context.trace_id)
    fields = theirs.logs[0].key_values
    assert (fields["event"], fields["error.kind"], fields["message"]) == ("error", "KeyError", "'x'")
    assert theirs.finished
    assert ours.start_time <= theirs.start_time <= theirs.finish_time <= ours.finish_time


def test_native_span_that_is_not_recorded_has_no_tags() -> None:
    tracer = MockTracer()
    remote = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(1)))
    with trace.use_span(remote):
        seen = tracer.active_span
        tracer.start_span("below").finish()
    assert (seen.tags, seen.logs, seen.start_time, seen.finish_time, seen.finished) == ({}, [], -1, -1, False)
    assert seen.as_dict() == {}
    assert tracer.finished_spans()[0].parent_id == seen.context.span_id == 2


def test_status_that_native_code_sets_is_an_error_tag() -> None:
    tracer = MockTracer()
    with tracer.start_active_span("ours"):
        trace.get_current_span().set_status(trace.StatusCode.ERROR)
        trace.get_current_span().add_event("native", {"k": 1})
    (span,) = tracer.finished_spans()
    assert (span.tags, span.logs[0].key_values) == ({"error": True}, {"event": "native", "k": 1})


def test_status_that_follows_from_a_response_is_no_tag() -> None:
    tracer = MockTracer()
    tracer.start_span("a", tags={"http.status_code": 500, "span.kind": "server"}).finish()
    (span,) = tracer.finished_spans()
    assert span.tags == {"http.status_code": 500, "span.kind": "server"}
    assert span.as_dict()["status"]["code"] == "ERROR"


def test_secrets_are_seen_as_they_are_sent() -> None:
    tracer = MockTracer()
    with tracer.start_span("a", tags={"password": "hunter2", "n": "x"}) as span:
        span.log_kv({"event": "asked", "password": "hunter2", "found": KeyError("x")})
    with pytest.raises(ValueError, match="4111"), tracer.start_span("b"):
        raise ValueError("no credit: 4111 1111 1111 1111")
    assert span.tags["n"] == "x"
    fields = span.logs[0].key_values
    assert isinstance(fields["found"], KeyError)
    failed = tracer.finished_spans()[1]
    assert failed.logs[0].key_values.keys() == {"event", "message", "error.object", "error.kind", "stack"}
    assert failed.logs[0].key_values["event"] == "error"
    assert not {"hunter2", "4111"} & set(re.findall("hunter2|4111", f"{span.tags} {span.logs} {failed.logs}"))


def test_secrets_are_seen_where_redaction_is_off() -> None:
    tracer = MockTracer(settings=Settings(redact="off"))
    tracer.start_span("a", tags={"password": "hunter2"}).finish()
    assert tracer.finished_spans()[0].tags == {"password": "hunter2"}


def test_what_is_cut_or_dropped_is_seen_so() -> None:
    tracer = MockTracer(settings=Settings(max_tag_value_length=3))
    with tracer.start_span("a", tags={"text": "abcdef", "short": "ab"}) as span:
        for number in range(130):
            span.log_kv({"event": "e", "text": "abcdef", "n": number})
    assert span.tags == {"text": "abc", "short": "ab"}
    assert len(span.logs) == 128
    assert span.logs[0].key_values == {"event": "e", "text": "abc", "n": 2}


def test_span_that_is_not_sampled_is_not_sent() -> None:
    tracer = MockTracer()
    span = tracer.start_span("a", tags={"sampling.priority": 0})
    span.set_tag("k", 1).finish()
    assert (tracer.finished_spans(), span.tags, span.logs, span.finished) == ([], {}, [], False)
    assert (span.start_time, span.finish_time, span.as_dict()) == (-1, -1, {})


def test_forced_span_shows_its_priority_alone() -> None:
    tracer = MockTracer()
    tracer.start_span("a", tags={"sampling.priority": 1}).finish()
    assert tracer.finished_spans()[0].tags == {"sampling.priority": 1}


def test_disabled_sdk_does_not_empty_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    tracer = MockTracer()
    tracer.start_span("a").finish()
    assert len(tracer.finished_spans()) == 1


def test_closed_tracer_can_be_used_again() -> None:
    tracer = MockTracer()
    assert tracer.close()
    tracer.start_span("a").finish()
    assert [span.operation_name for span in tracer.finished_spans()] == ["a"]


def test_threads_lose_no_span_and_no_log() -> None:
    tracer, shared = MockTracer(), 8
    span = tracer.start_span("shared")

    def work(number: int) -> None:
        for each in range(50):
            tracer.start_span(f"{number}").finish()
            if each < 10:
                span.log_kv({"event": "e", "from": number, "each": each})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(shared)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tracer.finished_spans()) == shared * 50
    assert sorted((log.key_values["from"], log.key_values["each"]) for log in span.logs) == [
        (number, each) for number in range(shared) for each in range(10)
    ]


def test_headers_are_those_of_production() -> None:
    tracer, headers = MockTracer(), {}
    with tracer.start_active_span("a") as scope:
        tracer.inject(scope.span.context, opentracing.Format.HTTP_HEADERS, headers)
    assert {"uber-trace-id", "traceparent"} <= headers.keys()


# -- as the tracer of the process --------------------------------------------------------------------------------------


def globals_now() -> tuple[object, ...]:
    return (
        opentracing.tracer,
        opentracing.is_tracer_registered,
        type(LATE_BOUND),
        trace._TRACER_PROVIDER,
        trace._TRACER_PROVIDER_SET_ONCE._done,
        propagate.get_global_textmap(),
        bootstrap._installation,
    )


def leak(*names: str) -> None:
    with MockTracer().installed() as tracer:
        for name in names:
            tracer.start_active_span(name)


def test_installed_tracer_is_reached_from_everywhere() -> None:
    before = globals_now()
    for _ in range(2):  # a module's tracer is not bound to the first one
        with MockTracer().installed() as tracer:
            assert opentracing.global_tracer() is tracer
            assert ot_bridge.install("checkout") is tracer
            LATE_BOUND.start_span("late-bound").finish()
            with NATIVE.start_as_current_span("native"):
                opentracing.tracer.start_span("below").finish()
            headers: dict[str, str] = {}
            with opentracing.tracer.start_active_span("sent"):
                propagate.inject(headers)
        names = [span.operation_name for span in tracer.finished_spans()]
        assert names == ["late-bound", "below", "native", "sent"]
        assert "uber-trace-id" in headers
        assert globals_now() == before


def test_what_was_installed_before_is_there_again(tracer: BridgeTracer, provider: TracerProvider) -> None:
    installed = ot_bridge.install(tracer_provider=provider)
    before = globals_now()
    with MockTracer().installed() as inner:
        LATE_BOUND.start_span("a").finish()
        trace.get_tracer("x").start_span("b").end()
        opentracing.set_global_tracer(tracer)
    assert [span.operation_name for span in inner.finished_spans()] == ["a", "b"]
    assert globals_now() == before
    assert ot_bridge.install() is installed


def test_tracer_that_takes_over_inside_is_forgotten(tracer: BridgeTracer) -> None:
    before = globals_now()
    with MockTracer().installed():
        bootstrap.make_global(tracer)
        assert opentracing.global_tracer() is tracer
    assert globals_now() == before


def test_installations_can_be_nested() -> None:
    with MockTracer().installed() as outer:
        with MockTracer().installed() as inner:
            opentracing.tracer.start_span("inner").finish()
        opentracing.tracer.start_span("outer").finish()
        NATIVE.start_span("native").end()
    assert [span.operation_name for span in inner.finished_spans()] == ["inner"]
    assert [span.operation_name for span in outer.finished_spans()] == ["outer", "native"]


def test_span_that_is_left_active_is_named_and_left() -> None:
    with pytest.warns(LeakedScopeWarning, match="left active: 'inner', 'outer', the innermost first"):
        leak("outer", "inner")
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_globals_are_restored_where_a_leak_is_an_error() -> None:
    before = globals_now()
    with pytest.raises(LeakedScopeWarning):  # warnings are errors here
        leak("a")
    assert globals_now() == before


def test_module_needs_no_test_package() -> None:
    program = "import sys, ot_bridge.testing; print({'pytest', 'mock', 'grpc', 'requests'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
