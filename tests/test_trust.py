"""Trust at the edge: whose context is continued, and what is left of one that is refused, in both APIs."""

from __future__ import annotations

import copy
import dataclasses
import functools
import logging
import pickle
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import opentracing
import pytest
from opentelemetry import baggage as otel_baggage
from opentelemetry.context import Context, attach, detach
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from opentelemetry.trace import SpanContext, TraceFlags, get_current_span
from opentracing import Format, SpanContextCorruptedException

from ot_bridge import BridgeSpanContext, BridgeTracer, ConfigError, MixedFleetPropagator, Settings, telemetry
from ot_bridge.codecs import binary
from ot_bridge.codecs.wire import WireContext
from ot_bridge.propagator import Reading, from_env, refused_of
from shown import shown
from spans import as_dict

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
SPAN_ID = 0xB7AD6B7169203331
UBER = f"{TRACE_ID:032x}:{SPAN_ID:016x}:0:1"
PARENT = f"00-{TRACE_ID:032x}-{SPAN_ID:016x}-01"
EVERYTHING = {
    "Uber-Trace-Id": UBER[:-1] + "3",
    "traceparent": PARENT,
    "tracestate": "jaeger=d:1,a=1",
    "uberctx-user": "eve",
    "baggage": "tenant=evil",
    "jaeger-debug-id": "now",
}
LINK = {
    "trace_id": f"{TRACE_ID:032x}",
    "span_id": f"{SPAN_ID:016x}",
    "attributes": {"opentracing.ref_type": "follows_from", "ot_bridge.refused": True},
}
REFUSED = SpanContext(TRACE_ID, SPAN_ID, is_remote=True, trace_flags=TraceFlags(1))

Predicate = Callable[[Mapping[str, str]], bool]


def is_internal(headers: Mapping[str, str]) -> bool:
    return headers.get("x-internal") == "yes"


def tracer_of(provider: TracerProvider, trust: str | Predicate, **more: Any) -> BridgeTracer:
    return BridgeTracer(provider, settings=Settings(trust_incoming=trust, **more))


def refused_by(provider: TracerProvider, trust: str | Predicate = "none") -> tuple[BridgeTracer, BridgeSpanContext]:
    tracer = tracer_of(provider, trust)
    context = tracer.extract(Format.HTTP_HEADERS, EVERYTHING)
    assert context is not None
    return tracer, context


# -- OpenTracing -------------------------------------------------------------------------------------------------------


def test_refused_context_carries_nothing_but_what_was_refused(provider: TracerProvider) -> None:
    context = refused_by(provider)[1]
    seen = (context.trace_id, context.span_id, context.is_valid, context.sampled, context.debug, context.debug_id)
    assert seen == (0, 0, False, False, False, None)
    assert (dict(context.baggage), dict(context.trace_state)) == ({}, {})
    assert context.refused == REFUSED


def test_refused_trace_starts_anew_with_a_link(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    tracer, context = refused_by(provider)
    span = tracer.start_span("op", child_of=context, start_time=1)
    span.finish(2)
    (exported,) = exporter.get_finished_spans()
    assert as_dict(exported) == {
        "name": "op",
        "kind": "INTERNAL",
        "trace_id": f"{span.context.trace_id:032x}",
        "span_id": f"{span.context.span_id:016x}",
        "trace_flags": int(span.context.trace_flags),
        "trace_state": {},
        "parent_id": None,
        "parent_is_remote": None,
        "start_time": 1_000_000_000,
        "end_time": 2_000_000_000,
        "status": {"code": "UNSET", "description": ""},
        "attributes": {},
        "events": [],
        "links": [LINK],
        "dropped": {"attributes": 0, "events": 0, "links": 0},
        "scope": as_dict(exported)["scope"],
        "resource": {"service.name": "test"},
    }
    assert span.context.trace_id != TRACE_ID
    assert telemetry.snapshot() == {"extract.refused": 1}


@pytest.mark.parametrize(("sampler", "flag"), [(ALWAYS_OFF, "1"), (ALWAYS_ON, "0"), (ParentBased(ALWAYS_ON), "0")])
def test_own_sampler_decides_whatever_the_refused_flag_said(sampler: Sampler, flag: str) -> None:
    tracer = tracer_of(TracerProvider(sampler=sampler, shutdown_on_exit=False), "none")
    context = tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": UBER[:-1] + flag})
    assert tracer.start_span("op", child_of=context).context.sampled is (flag == "0")


def test_child_of_the_new_root_has_no_link(provider: TracerProvider, exporter: InMemorySpanExporter) -> None:
    tracer, context = refused_by(provider)
    with tracer.start_active_span("root", child_of=context), tracer.start_active_span("child"):
        pass
    child, root = map(as_dict, exporter.get_finished_spans())
    assert (child["links"], child["parent_id"], root["links"]) == ([], root["span_id"], [LINK])


@pytest.mark.parametrize("kind", [opentracing.child_of, opentracing.follows_from])
@pytest.mark.parametrize("rule", ["explicit", "jaeger"])
def test_refused_reference_is_one_link_too(
    provider: TracerProvider, exporter: InMemorySpanExporter, kind: Callable[..., Any], rule: str
) -> None:
    tracer = tracer_of(provider, "none", references=rule)
    context = tracer.extract(Format.HTTP_HEADERS, EVERYTHING)
    tracer.start_span("op", references=[kind(context)]).finish()
    exported = as_dict(exporter.get_finished_spans()[0])
    assert (exported["links"], exported["parent_id"]) == ([LINK], None)


def test_refused_parent_beside_a_trusted_reference_stays_a_link(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracer, context = refused_by(provider)
    batch = BridgeSpanContext(1, 2)
    tracer.start_span("op", child_of=context, references=[opentracing.follows_from(batch)]).finish()
    exported = as_dict(exporter.get_finished_spans()[0])
    other = {"trace_id": f"{1:032x}", "span_id": f"{2:016x}", "attributes": {"opentracing.ref_type": "follows_from"}}
    assert (exported["links"], exported["parent_id"]) == ([LINK, other], None)


def test_trusted_reference_beside_a_refused_one_is_the_parent(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracer, context = refused_by(provider)
    references = [
        opentracing.child_of(context),
        opentracing.child_of(BridgeSpanContext(1, 2, trace_flags=TraceFlags(1))),
    ]
    tracer.start_span("op", references=references).finish()
    exported = as_dict(exporter.get_finished_spans()[0])
    assert (exported["links"], exported["trace_id"], exported["parent_id"]) == ([LINK], f"{1:032x}", f"{2:016x}")


def test_refused_context_starts_a_root_while_another_span_is_active(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracer, context = refused_by(provider)
    with tracer.start_active_span("other"):
        tracer.start_span("op", child_of=context).finish()
    assert as_dict(exporter.get_finished_spans()[0])["parent_id"] is None


def test_refused_context_links_a_wrapped_span_too(exporter: InMemorySpanExporter, provider: TracerProvider) -> None:
    tracer, context = refused_by(provider)
    tracer._recorder = None
    tracer.start_span("op", child_of=context).finish()
    assert as_dict(exporter.get_finished_spans()[0])["links"] == [LINK]


@pytest.mark.parametrize("headers", [{"uberctx-user": "eve"}, {"jaeger-debug-id": "x"}, {"baggage": "a=1"}], ids=str)
def test_refused_baggage_or_debug_id_alone_is_nothing(provider: TracerProvider, headers: dict[str, str]) -> None:
    tracer = tracer_of(provider, "none")
    assert tracer.extract(Format.HTTP_HEADERS, headers) is None
    assert telemetry.snapshot() == {"extract.refused": 1}


@pytest.mark.parametrize("headers", [{}, {"host": "shop"}, {"tracestate": "a=1"}], ids=str)
def test_request_without_a_context_is_not_counted_as_refused(provider: TracerProvider, headers: dict[str, str]) -> None:
    tracer = tracer_of(provider, "none")
    assert tracer.extract(Format.HTTP_HEADERS, headers) is None
    assert telemetry.snapshot() == {}


@pytest.mark.parametrize("format", [Format.HTTP_HEADERS, Format.TEXT_MAP])
def test_refused_context_sends_nothing_on(provider: TracerProvider, format: str) -> None:
    tracer, context = refused_by(provider)
    headers: dict[str, str] = {}
    tracer.inject(context, format, headers)
    data = bytearray()
    tracer.inject(context, Format.BINARY, data)
    assert (headers, data, telemetry.snapshot()["inject.nothing"]) == ({}, bytearray(), 2)


def test_binary_is_refused_alike(provider: TracerProvider) -> None:
    data = bytearray(binary.encode(WireContext(TRACE_ID, SPAN_ID, sampled=True, baggage={"user": "eve"})))
    context = tracer_of(provider, "none").extract(Format.BINARY, data)
    assert (context, context and context.refused) == (BridgeSpanContext(), REFUSED)
    assert telemetry.snapshot() == {"extract.refused": 1}


def test_strict_extract_does_not_raise_where_a_good_header_was_refused(provider: TracerProvider) -> None:
    tracer = tracer_of(provider, "none", strict_extract=True)
    context = tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": "bad", "traceparent": PARENT})
    assert context is not None
    assert context.refused == REFUSED
    with pytest.raises(SpanContextCorruptedException):
        tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": "bad"})


def test_what_was_refused_is_copied_and_pickled(provider: TracerProvider) -> None:
    context = refused_by(provider)[1]
    copies = [copy.copy(context), copy.deepcopy(context), pickle.loads(pickle.dumps(context))]
    assert [one.refused for one in copies] == [REFUSED] * 3
    assert context.with_baggage_item("k", "v").with_sampling(sampled=True, debug=False).refused == REFUSED
    assert "refused=SpanContext" in repr(context)


def test_trusted_contexts_and_local_spans_have_nothing_refused(tracer: BridgeTracer) -> None:
    context = tracer.extract(Format.HTTP_HEADERS, EVERYTHING)
    assert context is not None
    span = tracer.start_span("op", child_of=context)
    assert (context.refused, span.context.refused, span.context.with_baggage_item("a", "b").refused) == (None,) * 3


# -- the predicate -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "trusted"), [({"X-Internal": "yes"}, True), ({"x-internal": "no"}, False), ({}, False)]
)
def test_predicate_decides_by_the_headers(provider: TracerProvider, headers: dict[str, str], trusted: bool) -> None:
    context = tracer_of(provider, is_internal).extract(Format.HTTP_HEADERS, {**EVERYTHING, **headers})
    assert context is not None
    assert (context.is_valid, context.refused is None, bool(context.baggage)) == (trusted,) * 3


def seen_by_predicate(items: Any, *, getter: Getter[Any] | None = None) -> list[dict[str, str]]:
    seen: list[dict[str, str]] = []

    def predicate(headers: Mapping[str, str]) -> bool:
        seen.append(dict(headers))
        return True

    propagator = MixedFleetPropagator(settings=Settings(trust_incoming=predicate))
    if getter is None:
        propagator.read(items, http=True)
    else:
        propagator.extract(items, getter=getter)
    return seen


def test_predicate_gets_every_header_as_text_by_its_name_in_lower_case() -> None:
    items = [
        ("Traceparent", PARENT),
        (b"Host", b"shop"),
        ("X-Internal", "a"),
        ("x-internal", ["b", b"c"]),
        ("Content-Length", 7),
        ("broken", object()),
        (None, "x"),
    ]
    assert seen_by_predicate(items) == [
        {"traceparent": PARENT, "host": "shop", "x-internal": "a, b, c", "content-length": "7"}
    ]


def test_predicate_gets_headers_of_an_iterator_that_can_be_read_once() -> None:
    assert seen_by_predicate(iter([("traceparent", PARENT), ("x", "1")])) == [{"traceparent": PARENT, "x": "1"}]


class Stumbling:
    """Raises once between two items, as an iterator of a broken framework may."""

    def __init__(self) -> None:
        self._left: list[Any] = [("x", "1"), ("only one",), RuntimeError("stumbled"), ("traceparent", PARENT)]

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if not self._left:
            raise StopIteration
        item = self._left.pop(0)
        if isinstance(item, Exception):
            raise item
        return item


def test_predicate_gets_the_readable_headers_of_a_broken_carrier() -> None:
    assert seen_by_predicate(Stumbling()) == [{"x": "1", "traceparent": PARENT}]


def test_headers_cannot_be_changed_by_the_predicate() -> None:
    def predicate(headers: Any) -> bool:
        headers["x-internal"] = "yes"
        return True

    reading = MixedFleetPropagator(settings=Settings(trust_incoming=predicate)).read(EVERYTHING.items(), http=True)
    assert (reading.context, telemetry.snapshot()["extract.trust_failed"]) == (None, 1)


def test_predicate_is_asked_only_about_a_request_that_brings_a_context() -> None:
    assert seen_by_predicate([("host", "shop"), ("tracestate", "a=1"), ("traceparent", "bad")]) == []


def test_predicate_is_given_no_headers_for_binary(provider: TracerProvider) -> None:
    seen: list[Mapping[str, str]] = []
    tracer = tracer_of(provider, lambda headers: bool(seen.append(headers)))
    tracer.extract(Format.BINARY, bytearray(binary.encode(WireContext(TRACE_ID, SPAN_ID))))
    assert seen == [{}]


def raises(headers: Mapping[str, str]) -> bool:
    raise RuntimeError(headers)


def says_nothing(headers: Mapping[str, str]) -> Any:
    return None


def says_text(headers: Mapping[str, str]) -> Any:
    return "yes"


@pytest.mark.parametrize("predicate", [raises, says_nothing, says_text], ids=["raises", "none", "text"])
def test_predicate_without_an_answer_says_no_and_warns_once(
    predicate: Predicate, caplog: pytest.LogCaptureFixture
) -> None:
    propagator = MixedFleetPropagator(settings=Settings(trust_incoming=predicate))
    with caplog.at_level(logging.WARNING):
        readings = [propagator.read(EVERYTHING.items(), http=True) for _ in range(2)]
    assert [reading.context for reading in readings] == [None, None]
    assert telemetry.snapshot() == {"extract.refused": 2, "extract.trust_failed": 2}
    assert len(caplog.records) == 1


async def asynchronous(headers: Mapping[str, str]) -> bool:
    return True


class AsynchronousCall:
    async def __call__(self, headers: Mapping[str, str]) -> bool:
        return True


@pytest.mark.parametrize(
    "value",
    ["All", "some", None, True, 1, bool, asynchronous, functools.partial(asynchronous), AsynchronousCall()],
    ids=shown,
)
def test_setting_is_all_none_or_a_function(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"cannot use trust_incoming: .*expected 'all', 'none' or"):
        Settings(trust_incoming=value)


def test_predicate_is_set_in_code_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.from_env({"OT_BRIDGE_TRUST_INCOMING": "None"}).trust_incoming == "none"
    assert (
        Settings.from_env({"OT_BRIDGE_TRUST_INCOMING": "none"}, trust_incoming=is_internal).trust_incoming
        is is_internal
    )
    with pytest.raises(ConfigError, match="variable OT_BRIDGE_TRUST_INCOMING"):
        Settings.from_env({"OT_BRIDGE_TRUST_INCOMING": "is_internal"})


def test_settings_with_a_predicate_can_be_changed_and_copied() -> None:
    settings = Settings(trust_incoming=is_internal)
    assert dataclasses.replace(settings, semconv="new").trust_incoming is is_internal
    assert pickle.loads(pickle.dumps(settings)) == settings


# -- OpenTelemetry -----------------------------------------------------------------------------------------------------


def refuse(headers: Mapping[str, str] = EVERYTHING, context: Context | None = None) -> Context:
    return MixedFleetPropagator(settings=Settings(trust_incoming="none")).extract(headers, context)


def test_refused_context_puts_no_span_and_no_baggage_into_opentelemetrys() -> None:
    context = refuse()
    assert (get_current_span(context).get_span_context().is_valid, otel_baggage.get_all(context)) == (False, {})
    assert (refused_of(context), telemetry.snapshot()) == (REFUSED, {"extract.refused": 1})


def test_refused_context_leaves_what_was_there() -> None:
    before = otel_baggage.set_baggage("own", "1", Context())
    assert otel_baggage.get_all(refuse(context=before)) == {"own": "1"}
    assert refuse({"baggage": "a=1"}, before) is before


def test_next_root_of_the_bridge_has_the_link(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    token = attach(refuse())
    try:
        with tracer.start_active_span("root"):
            tracer.start_span("child").finish()
    finally:
        detach(token)
    tracer.start_span("later").finish()
    child, root, later = map(as_dict, exporter.get_finished_spans())
    assert (root["links"], root["parent_id"], root["trace_id"] == LINK["trace_id"]) == ([LINK], None, False)
    assert (child["links"], child["parent_id"], later["links"]) == ([], root["span_id"], [])


def test_link_stays_beside_references_that_name_nothing(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    token = attach(refuse())
    try:
        tracer.start_span("root", references=[None, opentracing.child_of(object())]).finish()
    finally:
        detach(token)
    assert as_dict(exporter.get_finished_spans()[0])["links"] == [LINK]


def test_native_root_has_no_link_and_no_refused_parent(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    provider.get_tracer("native").start_span("op", context=refuse()).end()
    exported = as_dict(exporter.get_finished_spans()[0])
    assert (exported["links"], exported["parent_id"]) == ([], None)


def test_nothing_refused_is_sent_on_by_opentelemetrys_side() -> None:
    headers: dict[str, str] = {}
    MixedFleetPropagator().inject(headers, refuse())
    assert headers == {}


class Cgi(Getter[dict[str, str]]):
    """A getter of WSGI's kind: it finds headers by name, and cannot list them."""

    def get(self, carrier: dict[str, str], key: str) -> list[str] | None:
        value = carrier.get("HTTP_" + key.upper().replace("-", "_"))
        return None if value is None else [value]

    def keys(self, carrier: dict[str, str]) -> list[str]:
        return []


class Listing(Cgi):
    def keys(self, carrier: dict[str, str]) -> list[str]:
        return [key.removeprefix("HTTP_").replace("_", "-").title() for key in carrier]


class Broken(Cgi):
    def get(self, carrier: dict[str, str], key: str) -> list[str] | None:
        if key == "x-internal":
            raise RuntimeError(key)
        return super().get(carrier, key)

    def keys(self, carrier: dict[str, str]) -> list[str]:
        raise RuntimeError


@pytest.mark.parametrize(
    ("getter", "internal", "trusted"),
    [(Cgi(), "yes", True), (Cgi(), "no", False), (Listing(), "yes", True), (Broken(), "yes", False)],
    ids=["get-only", "get-only-no", "listing", "broken"],
)
def test_predicate_is_asked_through_any_getter(getter: Getter[Any], internal: str, trusted: bool) -> None:
    propagator = MixedFleetPropagator(settings=Settings(trust_incoming=is_internal))
    context = propagator.extract({"HTTP_TRACEPARENT": PARENT, "HTTP_X_INTERNAL": internal}, getter=getter)
    assert get_current_span(context).get_span_context().is_valid is trusted
    assert (refused_of(context) is None) is trusted


def test_predicate_gets_the_headers_that_a_getter_lists() -> None:
    carrier = {"HTTP_TRACEPARENT": PARENT, "HTTP_X_INTERNAL": "yes"}
    assert seen_by_predicate(carrier, getter=Listing()) == [{"traceparent": PARENT, "x-internal": "yes"}]


def test_entry_point_obeys_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OT_BRIDGE_TRUST_INCOMING", "none")
    assert refused_of(from_env().extract(EVERYTHING)) == REFUSED


def test_refused_formats_count_neither_as_continued_nor_as_ignored() -> None:
    propagator = MixedFleetPropagator(["b3", "jaeger", "tracecontext"], settings=Settings(trust_incoming="none"))
    headers = {"b3": f"{TRACE_ID:032x}-{SPAN_ID:016x}-1", "x-b3-traceid": "bad", **EVERYTHING, "traceparent": "bad"}
    propagator.read(headers.items(), http=True)
    assert telemetry.snapshot() == {
        "extract.malformed.b3multi": 1,
        "extract.malformed.tracecontext": 1,
        "extract.refused": 1,
    }


def test_reading_tells_what_was_refused_and_what_was_malformed() -> None:
    items = [("uber-trace-id", "bad"), ("traceparent", PARENT), ("baggage", "a=1")]
    reading = MixedFleetPropagator(settings=Settings(trust_incoming="none")).read(items, http=True)
    assert reading == Reading(
        None,
        reading.malformed,
        (),
        ["extract.malformed.jaeger", "extract.refused"],
        WireContext(TRACE_ID, SPAN_ID, sampled=True, format="tracecontext"),
    )
    assert len(reading.malformed) == 1
