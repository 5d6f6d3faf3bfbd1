"""Providers that are not exactly the SDK's: OpenTracing's promises hold there too, over whatever spans they give."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import opentracing
import pytest
from opentelemetry import baggage as otel_baggage
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Tracer, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentracing import Format, child_of, follows_from
from opentracing.harness.api_check import APICompatibilityCheckMixin
from opentracing.harness.scope_check import ScopeCompatibilityCheckMixin

from ot_bridge import BridgeTracer, telemetry
from spans import as_dict

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
SPAN_ID = 0xB7AD6B7169203331
UBER = f"{TRACE_ID:032x}:{SPAN_ID:016x}:0:1"


class VendorTracer(Tracer):
    """A vendor's tracer: the SDK's with a mark on every span."""

    def start_span(self, name: str, *args: Any, **kwargs: Any) -> trace.Span:
        span = super().start_span(name, *args, **kwargs)
        span.set_attribute("vendor", True)
        return span


class VendorProvider(TracerProvider):
    """Gives vendor tracers."""

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        tracer = super().get_tracer(*args, **kwargs)
        tracer.__class__ = VendorTracer
        return tracer


class OwnSpan(trace.Span):
    """A span of a library that is not the SDK at all: it has the public methods and nothing else."""

    def __init__(
        self, name: str, kind: SpanKind, attributes: Mapping[str, Any] | None, parent: trace.SpanContext
    ) -> None:
        self.name, self.kind, self.attributes = name, kind, dict(attributes or {})
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.status: StatusCode = StatusCode.UNSET
        self.ended = 0
        self.own = trace.SpanContext(parent.trace_id or TRACE_ID, id(self) & 0xFFFFFFFFFFFF, False, trace.TraceFlags(1))

    def end(self, end_time: int | None = None) -> None:
        self.ended += 1

    def get_span_context(self) -> trace.SpanContext:
        return self.own

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        self.attributes.update(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        self.events.append((name, dict(attributes or {})))

    def update_name(self, name: str) -> None:
        self.name = name

    def is_recording(self) -> bool:
        return not self.ended

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        self.status = status.status_code if isinstance(status, Status) else status

    def record_exception(
        self, exception: BaseException, attributes: Any = None, timestamp: int | None = None, escaped: bool = False
    ) -> None:
        self.events.append(("exception", dict(attributes or {})))


class OwnTracer(trace.Tracer):
    """Starts them, and only by the public API."""

    def __init__(self) -> None:
        self.spans: list[OwnSpan] = []

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Any = None,
        links: Any = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace.Span:
        span = OwnSpan(name, kind, attributes, trace.get_current_span(context).get_span_context())
        self.spans.append(span)
        return span

    def start_as_current_span(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


class OwnProvider(trace.TracerProvider):
    """Gives always the same tracer."""

    def __init__(self) -> None:
        self.tracer = OwnTracer()

    def get_tracer(self, *args: Any, **kwargs: Any) -> trace.Tracer:
        return self.tracer


@pytest.fixture
def vendor(exporter: InMemorySpanExporter) -> BridgeTracer:
    """A bridge over a vendor's provider that exports to ``exporter``."""
    provider = VendorProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return BridgeTracer(provider)


@pytest.fixture
def noop() -> BridgeTracer:
    """A bridge over OpenTelemetry's no-op provider."""
    return BridgeTracer(trace.NoOpTracerProvider())


def only(exporter: InMemorySpanExporter) -> dict[str, Any]:
    (span,) = exporter.get_finished_spans()
    return as_dict(span)


# --- a vendor's tracer


class TestVendorApi(APICompatibilityCheckMixin):
    """OpenTracing's own checks over the vendor's spans."""

    @pytest.fixture(autouse=True)
    def _tracer_under_check(self, vendor: BridgeTracer) -> Iterator[None]:
        self._tracer = vendor
        yield
        while self._tracer.scope_manager.active is not None:
            self._tracer.scope_manager.active.close()

    def tracer(self) -> BridgeTracer:
        return self._tracer

    def is_parent(self, parent: opentracing.Span | None, span: opentracing.Span) -> bool:
        found = span.unwrap().parent  # type: ignore[attr-defined]
        if parent is None:
            return found is None
        return found is not None and found.span_id == parent.context.span_id  # type: ignore[attr-defined]


class TestVendorScopes(ScopeCompatibilityCheckMixin):
    """OpenTracing's own checks of its scope manager."""

    @pytest.fixture(autouse=True)
    def _manager_under_check(self, vendor: BridgeTracer) -> Iterator[None]:
        self._manager = vendor.scope_manager
        yield
        while self._manager.active is not None:
            self._manager.active.close()

    def scope_manager(self) -> opentracing.ScopeManager:
        return self._manager


def test_vendor_span_is_inside(vendor: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with vendor.start_active_span("op") as scope:
        assert trace.get_current_span() is scope.span.unwrap()
        assert vendor.active_span is scope.span
    assert only(exporter)["attributes"] == {"vendor": True}


def test_whole_vendor_span(vendor: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    parent: Any = vendor.extract(Format.HTTP_HEADERS, {"uber-trace-id": UBER, "uberctx-k": "v"})
    other: Any = vendor.extract(Format.HTTP_HEADERS, {"uber-trace-id": "1:2:0:1"})
    span = vendor.start_span(
        "op",
        references=[follows_from(other), child_of(parent)],
        tags={"span.kind": "client", "peer.port": "80", "n": 2**70, "none": None},
        start_time=1600000000.5,
    )
    span.set_tag("error", "true").set_tag("d", {"a": 1}).set_operation_name("renamed")
    span.log_kv({"event": 42, "k": None}, timestamp=1600000001)
    span.finish(finish_time=1600000002)
    found = only(exporter)
    assert (found["name"], found["kind"], found["parent_id"]) == ("renamed", "CLIENT", f"{SPAN_ID:016x}")
    assert (found["start_time"], found["end_time"]) == (1600000000_500000000, 1600000002_000000000)
    assert found["status"] == {"code": "ERROR", "description": ""}
    assert found["attributes"] == {"vendor": True, "peer.port": 80, "n": str(2**70), "d": '{"a": 1}'}
    assert found["events"] == [{"name": "42", "timestamp": 1600000001_000000000, "attributes": {"k": "None"}}]
    assert [(link["span_id"], link["attributes"]) for link in found["links"]] == [
        (f"{2:016x}", {"opentracing.ref_type": "follows_from"})
    ]
    assert span.context.baggage == {"k": "v"}


@pytest.mark.parametrize("active", [False, True])
def test_exception_is_recorded_once_on_a_vendor_span(
    vendor: BridgeTracer, exporter: InMemorySpanExporter, active: bool
) -> None:
    entering: Any = vendor.start_active_span("op") if active else vendor.start_span("op")
    span = entering.span if active else entering
    with pytest.raises(ValueError, match="boom"), entering:
        error = ValueError("boom")
        span.log_kv({"event": "error", "error.object": error})
        raise error
    found = only(exporter)
    assert [event["name"] for event in found["events"]] == ["exception"]
    assert found["status"] == {"code": "ERROR", "description": "boom"}


def test_late_kind_of_a_vendor_span_is_not_lost(vendor: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    vendor.start_span("op").set_tag("span.kind", "server").finish()
    found = only(exporter)
    assert "SERVER" in (found["kind"], str(found["attributes"].get("span.kind")).upper())


@pytest.mark.parametrize(("code", "status"), [(503, "ERROR"), (404, "ERROR"), (200, "UNSET")])
def test_status_of_a_vendor_span_comes_from_http(
    vendor: BridgeTracer, exporter: InMemorySpanExporter, code: int, status: str
) -> None:
    vendor.start_span("op", tags={"span.kind": "client"}).set_tag("http.status_code", code).finish()
    assert only(exporter)["status"]["code"] == status


def test_vendor_spans_nest_and_carry_baggage(vendor: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with vendor.start_active_span("outer") as outer:
        outer.span.set_baggage_item("k", "v")
        assert otel_baggage.get_baggage("k") == "v"
        with vendor.start_active_span("inner") as inner:
            assert inner.span.get_baggage_item("k") == "v"
    inner_span, outer_span = exporter.get_finished_spans()
    assert inner_span.parent is not None
    assert inner_span.parent.span_id == outer_span.context.span_id


def test_vendor_scopes_closed_out_of_order_leak_nothing(vendor: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    outer, inner = vendor.start_active_span("outer"), vendor.start_active_span("inner")
    outer.close()
    inner.close()
    outer.close()
    assert (vendor.active_span, trace.get_current_span()) == (None, trace.INVALID_SPAN)
    assert sorted(span.name for span in exporter.get_finished_spans()) == ["inner", "outer"]


def test_sampling_priority_zero_drops_a_vendor_span(vendor: BridgeTracer) -> None:
    headers: dict[str, str] = {}
    span = vendor.start_span("op", tags={"sampling.priority": 0})
    vendor.inject(span.context, Format.HTTP_HEADERS, headers)
    assert headers["uber-trace-id"].endswith(":0")


def test_vendor_spans_take_odd_calls_without_a_raise(
    vendor: BridgeTracer, exporter: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    class NoText:
        def __str__(self) -> str:
            raise RuntimeError("no text for you")

        __repr__ = __str__

    odd: Any = NoText()
    span = vendor.start_span(odd, tags={odd: odd}, start_time=odd, child_of=odd, references=odd)
    span.set_tag(odd, odd).log_kv({odd: odd}, odd).log_kv(odd).set_operation_name(odd).set_baggage_item(odd, odd)
    span.finish(odd)
    span.finish()
    span.set_tag("late", 1).log_kv({"late": 1})
    assert len(exporter.get_finished_spans()) == 1
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_fallback_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    telemetry.reset()
    provider = VendorProvider(shutdown_on_exit=False)
    with caplog.at_level(logging.DEBUG, logger="ot_bridge"):
        for _ in range(2):
            tracer = BridgeTracer(provider)
            tracer.start_span("op").finish()
            tracer.start_span("op").finish()
    said = [record for record in caplog.records if record.levelno >= logging.INFO]
    assert len(said) == 1
    assert "VendorTracer" in said[0].getMessage()


def test_sdk_provider_says_nothing(tracer: BridgeTracer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        tracer.start_span("op").finish()
    assert caplog.records == []


# --- a library that is not the SDK


def test_spans_of_another_library_are_driven_by_the_public_api_alone() -> None:
    provider = OwnProvider()
    tracer = BridgeTracer(provider)
    scope = tracer.start_active_span("op", tags={"span.kind": "server", "a": 1})
    with pytest.raises(ValueError, match="boom"), scope:
        scope.span.set_tag("b", 2).set_tag("error", False).log_kv({"k": "v"}).set_operation_name("renamed")
        tracer.start_span("child").finish()
        raise ValueError("boom")
    op, child = provider.tracer.spans
    assert (op.name, op.kind, op.attributes) == ("renamed", SpanKind.SERVER, {"a": 1, "b": 2})
    assert ([name for name, _ in op.events], op.status) == (["log", "exception"], StatusCode.ERROR)
    assert (op.ended, child.ended, child.own.trace_id) == (1, 1, op.own.trace_id)


# --- no-op


def test_noop_spans_take_every_call(noop: BridgeTracer) -> None:
    with noop.start_active_span("op", tags={"a": 1, "span.kind": "server"}, start_time=1600000000) as scope:
        assert noop.active_span is scope.span
        assert scope.span.set_tag("b", 2).log_kv({"k": 1}).log_event("e").set_operation_name("n") is scope.span
        assert isinstance(scope.span.context, opentracing.SpanContext)
    assert noop.active_span is None


def test_noop_spans_carry_baggage(noop: BridgeTracer) -> None:
    with noop.start_active_span("op") as scope:
        scope.span.set_baggage_item("k", "v")
        with noop.start_active_span("child") as child:
            assert child.span.get_baggage_item("k") == "v"
            headers: dict[str, str] = {}
            noop.inject(child.span.context, Format.HTTP_HEADERS, headers)
    assert headers == {"uberctx-k": "v", "baggage": "k=v"}


def test_noop_spans_pass_a_remote_context_on(noop: BridgeTracer) -> None:
    received: Any = noop.extract(Format.HTTP_HEADERS, {"uber-trace-id": UBER, "uberctx-k": "v"})
    headers: dict[str, str] = {}
    with noop.start_active_span("op", child_of=received) as scope:
        noop.inject(scope.span.context, Format.HTTP_HEADERS, headers)
    assert (headers["uber-trace-id"], headers["uberctx-k"]) == (UBER, "v")


@pytest.mark.parametrize("active", [False, True])
def test_exception_passes_through_a_noop_span(noop: BridgeTracer, active: bool) -> None:
    with pytest.raises(ValueError, match="boom"), noop.start_active_span("op") if active else noop.start_span("op"):
        raise ValueError("boom")


def test_disabled_sdk_records_nothing_and_never_raises(
    monkeypatch: pytest.MonkeyPatch, exporter: InMemorySpanExporter
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = BridgeTracer(provider)
    with tracer.start_active_span("op") as scope:
        scope.span.set_tag("a", 1)
        assert tracer.active_span is scope.span
    assert exporter.get_finished_spans() == ()


# --- a proxy that gets its provider later

PROXY_PROGRAM = textwrap.dedent(
    """
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from ot_bridge import BridgeTracer

    tracer = BridgeTracer({provider})
    with tracer.start_active_span("before") as scope:
        scope.span.set_tag("a", 1).set_baggage_item("k", "v")
        assert tracer.active_span is scope.span
        before = scope.span

    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

    with tracer.start_active_span("outer", tags={{"span.kind": "server"}}) as scope:
        with trace.get_tracer("native").start_as_current_span("native"):
            tracer.start_span("inner").set_tag("error", True).finish()
    before.set_tag("late", 1).finish()
    tracer.start_span("child of before", child_of=before).finish()
    found = {{span.name: span for span in exporter.get_finished_spans()}}
    assert sorted(found) == ["child of before", "inner", "native", "outer"], sorted(found)
    assert found["outer"].kind.name == "SERVER"
    assert found["inner"].status.status_code.name == "ERROR"
    assert found["inner"].parent.span_id == found["native"].context.span_id
    assert found["native"].parent.span_id == found["outer"].context.span_id
    assert type(tracer.start_span("x")) is type(BridgeTracer(provider).start_span("x"))
    print("whole")
    """
)


@pytest.mark.parametrize("provider", ["", "trace.ProxyTracerProvider()", "trace.get_tracer_provider()"])
def test_tracer_made_before_the_provider_records_from_then_on(provider: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROXY_PROGRAM.format(provider=provider)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("whole\n", 0), done.stderr
