"""A request that OpenTracing code and an OpenTelemetry instrumentation both record: one server span, and a warning."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from opentelemetry import baggage, context, propagate, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from opentracing import Format, follows_from

import ot_bridge
from ot_bridge import BridgeTracer, Settings, telemetry

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
HEADERS = {"uber-trace-id": f"{TRACE_ID}:{CALLER}:0:1", "uberctx-tenant": "acme"}
FLASK = "opentelemetry.instrumentation.flask"
REQUESTS = "opentelemetry.instrumentation.requests"

Shown = dict[str, tuple[str, str | None]]


def shown(exporter: InMemorySpanExporter) -> Shown:
    """Return each span's kind and the name of its parent, the id of one that is not here."""
    spans = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans}

    def parent_of(span: Any) -> str | None:
        return span.parent and names.get(span.parent.span_id, f"{span.parent.span_id:016x}")

    return {span.name: (span.kind.name, parent_of(span)) for span in spans}


@contextlib.contextmanager
def native_server(
    headers: Mapping[str, str] = {}, kind: SpanKind = SpanKind.SERVER, name: str = FLASK
) -> Iterator[trace.Span]:
    """Serve a request as OpenTelemetry's instrumentations do: extract, make that current, start a span from it."""
    extracted = propagate.extract(headers)
    token = context.attach(extracted)
    try:
        with trace.get_tracer(name).start_as_current_span("native", kind=kind) as span:
            yield span
    finally:
        context.detach(token)


def old_server(tracer: BridgeTracer, headers: Mapping[str, str] = {}, kind: str = "server", **more: Any) -> Any:
    """Serve a request as Flask-OpenTracing does: the kind comes late."""
    scope = tracer.start_active_span("old", child_of=tracer.extract(Format.HTTP_HEADERS, headers), **more)
    scope.span.set_tag("span.kind", kind)
    return scope


@pytest.fixture
def installed(provider: TracerProvider) -> BridgeTracer:
    return ot_bridge.install(tracer_provider=provider)


@pytest.mark.parametrize("headers", [{}, HEADERS], ids=["a new trace", "the caller's trace"])
@pytest.mark.parametrize("kind", ["server", "consumer"])
def test_second_server_span_is_an_internal_child_of_the_first(
    installed: BridgeTracer, exporter: InMemorySpanExporter, headers: Mapping[str, str], kind: str
) -> None:
    with native_server(headers, SpanKind[kind.upper()]), old_server(installed, headers, kind):
        installed.start_span("below").finish()
    caller = CALLER if headers else None
    assert shown(exporter) == {
        "native": (kind.upper(), caller),
        "old": ("INTERNAL", "native"),
        "below": ("INTERNAL", "old"),
    }
    assert telemetry.snapshot()[f"double.{kind}"] == 1


def test_kind_among_the_initial_tags_counts_as_well(installed: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with native_server(), installed.start_active_span("old", tags={"span.kind": "server"}):
        pass
    assert shown(exporter) == {"native": ("SERVER", None), "old": ("INTERNAL", "native")}


def test_native_span_as_explicit_parent_is_no_other(installed: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with native_server():
        installed.start_span("old", child_of=installed.active_span, tags={"span.kind": "server"}).finish()
    assert shown(exporter) == {"native": ("SERVER", None), "old": ("INTERNAL", "native")}


def test_trace_id_that_an_old_hop_has_cut_is_the_same_request(
    installed: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    cut = {"uber-trace-id": f"{TRACE_ID[16:]}:{CALLER}:0:1"}
    with native_server(HEADERS), old_server(installed, cut):
        pass
    assert shown(exporter)["old"] == ("INTERNAL", "native")


def test_message_keeps_its_reference(installed: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    sent = installed.extract(Format.TEXT_MAP, HEADERS)
    with native_server(HEADERS, SpanKind.CONSUMER):
        installed.start_span("old", references=follows_from(sent), tags={"span.kind": "consumer"}).finish()
    old, _ = exporter.get_finished_spans()
    assert shown(exporter)["old"] == ("INTERNAL", "native")
    assert [(link.context.span_id, dict(link.attributes or {})) for link in old.links] == [
        (int(CALLER, 16), {"opentracing.ref_type": "follows_from"})
    ]


def test_child_of_reference_to_the_caller_is_no_link(installed: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    from opentracing import child_of

    sent = installed.extract(Format.TEXT_MAP, HEADERS)
    with native_server(HEADERS):
        installed.start_span("old", references=[child_of(sent)], tags={"span.kind": "server"}).finish()
    old, _ = exporter.get_finished_spans()
    assert (shown(exporter)["old"], old.links) == (("INTERNAL", "native"), ())


@pytest.mark.parametrize("references", ["explicit", "jaeger"])
def test_request_that_brings_baggage_alone_is_the_same_request(
    exporter: InMemorySpanExporter, provider: TracerProvider, references: str
) -> None:
    tracer = ot_bridge.install(tracer_provider=provider, settings=Settings(references=references))
    baggage_alone = tracer.extract(Format.TEXT_MAP, {"uberctx-tenant": "acme"})
    with native_server():
        tracer.start_span("old", references=follows_from(baggage_alone), tags={"span.kind": "server"}).finish()
    assert shown(exporter) == {"native": ("SERVER", None), "old": ("INTERNAL", "native")}


def test_baggage_of_the_request_is_what_both_apis_have_by_now(installed: BridgeTracer) -> None:
    with native_server(HEADERS):
        token = context.attach(baggage.set_baggage("tenant", "changed", baggage.set_baggage("user", "7")))
        with old_server(installed, {**HEADERS, "uberctx-lost": "found"}) as scope:
            assert dict(scope.span.context.baggage) == {"tenant": "changed", "user": "7", "lost": "found"}
            assert baggage.get_all() == scope.span.context.baggage
        context.detach(token)


def test_failed_request_is_judged_as_a_server_does(installed: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with native_server(), old_server(installed) as scope:
        scope.span.set_tag("http.status_code", 404)
    assert [(span.name, span.status.status_code.name) for span in exporter.get_finished_spans()] == [
        ("old", "UNSET"),
        ("native", "UNSET"),
    ]


def test_span_keeps_its_tags_and_its_name(installed: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with native_server(), old_server(installed, tags={"component": "Flask"}):
        pass
    old, _ = exporter.get_finished_spans()
    assert (old.name, dict(old.attributes or {})) == ("old", {"component": "Flask"})


# -- what is no second span of one request -----------------------------------------------------------------------------


def test_server_spans_of_opentracing_alone_stay_what_they_are(
    installed: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with old_server(installed, HEADERS), installed.start_active_span("inner", tags={"span.kind": "server"}):
        pass
    assert shown(exporter) == {"old": ("SERVER", CALLER), "inner": ("SERVER", "old")}
    assert not [name for name in telemetry.snapshot() if name.startswith("double.")]


def test_request_to_a_service_in_the_same_process_is_another_request(
    installed: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with native_server(HEADERS), installed.start_active_span("call", tags={"span.kind": "client"}) as call:
        carrier: dict[str, str] = {}
        installed.inject(call.span.context, Format.HTTP_HEADERS, carrier)
        old_server(installed, carrier).close()
    assert shown(exporter)["old"] == ("SERVER", "call")


def test_caller_that_the_native_server_does_not_know_stays_the_parent(
    installed: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with native_server(), old_server(installed, HEADERS):
        pass
    assert shown(exporter) == {"native": ("SERVER", None), "old": ("SERVER", CALLER)}


def test_parent_that_is_asked_to_be_ignored_is_ignored(installed: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with native_server(HEADERS), old_server(installed, HEADERS, ignore_active_span=True):
        pass
    assert shown(exporter)["old"][1] == CALLER


@pytest.mark.parametrize("kind", ["internal", "client", "other"])
def test_spans_of_other_kinds_in_a_native_server_are_as_always(
    installed: BridgeTracer, exporter: InMemorySpanExporter, kind: str
) -> None:
    with native_server(), installed.start_active_span("old", tags={"span.kind": kind}):
        pass
    assert shown(exporter)["old"] == ("CLIENT" if kind == "client" else "INTERNAL", "native")
    assert "double.client" not in telemetry.snapshot()


# -- the other way round -----------------------------------------------------------------------------------------------


def test_native_server_span_inside_an_old_one_is_its_child(
    installed: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with old_server(installed, HEADERS):  # as OpenTelemetry's instrumentation of celery starts it
        tracer = trace.get_tracer("opentelemetry.instrumentation.celery")
        tracer.start_span("native", propagate.extract(HEADERS), kind=SpanKind.SERVER).end()
    assert shown(exporter) == {"native": ("INTERNAL", "old"), "old": ("SERVER", CALLER)}
    assert telemetry.snapshot()["double.server"] == 1


def test_native_client_span_inside_an_old_one_stays(installed: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with installed.start_active_span("old", tags={"span.kind": "client"}):
        trace.get_tracer(REQUESTS).start_span("native", kind=SpanKind.CLIENT).end()
    assert shown(exporter) == {"old": ("CLIENT", None), "native": ("CLIENT", "old")}
    assert telemetry.snapshot()["double.client"] == 1


def test_old_client_span_inside_a_native_one_stays(installed: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with trace.get_tracer(REQUESTS).start_as_current_span("native", kind=SpanKind.CLIENT):
        installed.start_span("old", tags={"span.kind": "client"}).finish()
    assert shown(exporter) == {"native": ("CLIENT", None), "old": ("CLIENT", "native")}
    assert telemetry.snapshot()["double.client"] == 1


def test_native_request_that_an_old_server_makes_of_another_trace_is_left_alone(
    installed: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    other = {"uber-trace-id": "1:2:0:1"}
    with old_server(installed, HEADERS), native_server(other):
        pass
    assert shown(exporter)["native"] == ("SERVER", "0000000000000002")


def test_spans_of_a_provider_are_left_alone_after_the_end(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    ot_bridge.install(tracer_provider=provider)
    ot_bridge.bootstrap._uninstall()
    tracer = BridgeTracer(provider)
    with tracer.start_active_span("old", tags={"span.kind": "server"}):
        provider.get_tracer(FLASK).start_span("native", kind=SpanKind.SERVER).end()
    assert shown(exporter)["native"] == ("SERVER", "old")


# -- what is said ------------------------------------------------------------------------------------------------------


def test_both_are_named_once(installed: BridgeTracer, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        with native_server(HEADERS), old_server(installed, HEADERS):
            pass
    (line,) = caplog.messages
    assert line == (
        f"{FLASK} and tests both make a server span for the same request; the inner one is sent as INTERNAL. "
        "To have one, set OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=flask, or leave out tests: see "
        "docs/auto-instrumentation.md"
    )
    assert telemetry.snapshot()["double.server"] == 3


def test_package_that_has_opentracing_in_its_name_is_the_one(
    installed: BridgeTracer, caplog: pytest.LogCaptureFixture
) -> None:
    scope = {"__name__": "flask_opentracing.tracing", "serve": old_server, "tracer": installed}
    with native_server():
        exec("def served():\n    serve(tracer).close()", scope)  # noqa: S102  (a module of that name)
        scope["served"]()
    (line,) = caplog.messages
    assert f"{FLASK} and flask_opentracing both make a server span" in line


def test_native_span_inside_names_the_span_that_it_is_inside_of(
    installed: BridgeTracer, caplog: pytest.LogCaptureFixture
) -> None:
    with installed.start_active_span("GET", tags={"span.kind": "client"}):
        trace.get_tracer(REQUESTS).start_span("native", kind=SpanKind.CLIENT).end()
    (line,) = caplog.messages
    assert line.startswith(f"{REQUESTS} and the OpenTracing span 'GET' both make a client span for the same request. ")


def test_kept_double_servers_are_said_all_the_same(exporter: InMemorySpanExporter, provider: TracerProvider) -> None:
    tracer = ot_bridge.install(tracer_provider=provider, settings=Settings(double_servers="keep"))
    with native_server(HEADERS), old_server(tracer, HEADERS):
        pass
    assert shown(exporter) == {"native": ("SERVER", CALLER), "old": ("SERVER", CALLER)}
    assert telemetry.snapshot()["double.server"] == 1


def test_wrapped_span_is_internal_as_well(exporter: InMemorySpanExporter) -> None:
    class Vendors(TracerProvider):
        def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
            inner = super().get_tracer(*args, **kwargs)

            class Tracer(trace.Tracer):
                start_span = staticmethod(inner.start_span)
                start_as_current_span = staticmethod(inner.start_as_current_span)

            return Tracer()

    provider = Vendors(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = ot_bridge.install(tracer_provider=provider)
    with native_server(), tracer.start_active_span("old", tags={"span.kind": "server"}):
        pass
    assert shown(exporter) == {"native": ("SERVER", None), "old": ("INTERNAL", "native")}
