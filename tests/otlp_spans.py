"""Spans of every kind for the OTLP encoder: Hypothesis draws what is in them."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from ot_bridge import BridgeTracer, Settings

__all__ = [
    "ANY_ATTRIBUTES",
    "BRIDGE_RECIPES",
    "SDK_RECIPES",
    "bridge_spans",
    "context_of",
    "sdk_spans",
    "span_of",
    "written_spans",
]

TEXT = st.text(max_size=12) | st.text(min_size=120, max_size=140)
KEYS = st.text(min_size=1, max_size=8) | st.sampled_from(["http.method", "error", "span.kind", "k" * 130, "k" * 300])
INT64 = st.integers(-(2**63), 2**63 - 1)
UINT64 = st.integers(0, 2**64 - 1)
SINGLE = TEXT | st.booleans() | INT64 | st.integers(-5, 3000) | st.floats()
ROWS = st.lists(TEXT, max_size=4) | st.lists(INT64, max_size=4) | st.lists(st.booleans()) | st.lists(st.floats())
VALUES = SINGLE | ROWS | ROWS.map(tuple)
DEEP = st.recursive(
    SINGLE | st.binary(max_size=150),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
"""What an AnyValue can be; the SDK's own containers take it in its newer versions."""
ODD = st.sampled_from([None, [None, "a"], 2**63, -(2**70), object(), {1, 2}, {1: "int"}, b"\xff", "\ud800", ["\udfff"]])
"""What is left to the official encoder, whatever that does with it."""

PLAIN_ATTRIBUTES = st.dictionaries(KEYS, VALUES, max_size=6)
ANY_ATTRIBUTES = st.dictionaries(KEYS | st.just(""), VALUES | DEEP | ODD, max_size=6)
TIMES = st.integers(0, 2**63) | st.sampled_from([0, 2**64 - 1])

LIMITS = st.builds(
    SpanLimits,
    max_span_attributes=st.sampled_from([0, 1, 3, None]),
    max_events=st.sampled_from([0, 1, 2, None]),
    max_links=st.sampled_from([0, 1, None]),
    max_event_attributes=st.sampled_from([0, 1, None]),
    max_link_attributes=st.sampled_from([0, 1, None]),
    max_span_attribute_length=st.sampled_from([0, 3, None]),
)
STATES = st.sampled_from([[], [("a", "1")], [("tenant@vendor", "x y"), ("b", "2")]]).map(TraceState)
CONTEXTS = st.builds(
    SpanContext,
    trace_id=st.integers(1, 2**128 - 1),
    span_id=st.integers(1, 2**64 - 1),
    is_remote=st.booleans(),
    trace_flags=st.sampled_from([0, 1, 3]).map(TraceFlags),
    trace_state=STATES,
)
STATUSES = st.one_of(
    st.sampled_from([Status(), Status(StatusCode.OK)]),
    TEXT.map(lambda text: Status(StatusCode.ERROR, text)),
    st.just(Status(StatusCode.ERROR)),
)
RESOURCES = st.builds(
    lambda attributes, url: Resource(attributes, url), PLAIN_ATTRIBUTES, st.sampled_from(["", None, "https://schema/1"])
)
SCOPES = st.builds(
    InstrumentationScope,
    name=TEXT,
    version=st.sampled_from([None, "", "1.2"]),
    schema_url=st.sampled_from([None, "", "https://schema/2"]),
    attributes=st.none() | st.dictionaries(KEYS, SINGLE, max_size=2),
)


def context_of(span_id: int = 1) -> SpanContext:
    """Return the context of a sampled span."""
    return SpanContext(1, span_id, is_remote=False, trace_flags=TraceFlags(1))


def span_of(**fields: Any) -> ReadableSpan:
    """Return a span as the SDK hands it to exporters, of these fields."""
    return ReadableSpan(**{"name": "s", "context": context_of(), "resource": Resource({}), **fields})


def _bounded(attributes: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    made = st.builds(BoundedAttributes, st.sampled_from([0, 2, None]), PLAIN_ATTRIBUTES, st.booleans())
    return made | attributes | st.none()


def _listed(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(items, max_size=3)
    return some | some.map(tuple) | st.builds(BoundedList.from_seq, st.sampled_from([0, 1, None]), some)


def written_spans(attributes: st.SearchStrategy[Any] = PLAIN_ATTRIBUTES) -> st.SearchStrategy[ReadableSpan]:
    """Draw spans whose fields are written as they are: also what no tracer would write."""
    events = st.builds(Event, TEXT, _bounded(attributes), TIMES)
    return st.builds(
        ReadableSpan,
        name=TEXT,
        context=CONTEXTS,
        parent=st.none() | CONTEXTS,
        resource=RESOURCES,
        attributes=_bounded(attributes),
        events=_listed(events),
        links=_listed(st.builds(Link, CONTEXTS, _bounded(attributes))),
        kind=st.sampled_from(SpanKind),
        status=STATUSES,
        start_time=st.none() | TIMES,
        end_time=st.none() | TIMES,
        instrumentation_scope=st.none() | SCOPES,
    )


def _one_to_three(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(st.fixed_dictionaries(fields), min_size=1, max_size=3)


LOGS = st.lists(st.tuples(TEXT, PLAIN_ATTRIBUTES, st.none() | TIMES), max_size=3)
LINKS = st.lists(st.builds(Link, CONTEXTS, PLAIN_ATTRIBUTES), max_size=3)

SDK_RECIPES = st.fixed_dictionaries(
    {
        "resource": RESOURCES,
        "limits": LIMITS,
        "scope": st.tuples(TEXT, st.sampled_from([None, "1"]), st.sampled_from([None, "url"])),
        "spans": _one_to_three(
            name=TEXT,
            kind=st.sampled_from(SpanKind),
            attributes=PLAIN_ATTRIBUTES,
            later=PLAIN_ATTRIBUTES,
            links=LINKS,
            events=LOGS,
            exception=st.none() | TEXT,
            status=STATUSES,
        ),
    }
)
"""What :func:`sdk_spans` makes spans from: tracers draw ids of their own, which Hypothesis forbids while it draws."""

BRIDGE_RECIPES = st.fixed_dictionaries(
    {
        "resource": RESOURCES,
        "limits": LIMITS,
        "semconv": st.sampled_from(["legacy", "dup", "new"]),
        "remote": st.booleans(),
        "spans": _one_to_three(
            name=TEXT,
            tags=PLAIN_ATTRIBUTES,
            later=PLAIN_ATTRIBUTES,
            kind=st.sampled_from(["client", "server", "producer", "consumer", "other"]),
            error=st.sampled_from([True, False, None]),
            logs=st.lists(st.tuples(PLAIN_ATTRIBUTES, st.none() | st.integers(0, 2**33)), max_size=3),
            events=LOGS,
            links=LINKS,
            attributes=PLAIN_ATTRIBUTES,
            status=st.none() | STATUSES,
            finish=st.none() | st.integers(0, 2**33),
        ),
    }
)


def _exporting(recipe: dict[str, Any]) -> tuple[TracerProvider, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=recipe["resource"], span_limits=recipe["limits"], shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


def sdk_spans(recipe: dict[str, Any]) -> list[ReadableSpan]:
    """Make spans with the SDK's tracer, each the parent of the next."""
    provider, exporter = _exporting(recipe)
    tracer = provider.get_tracer(*recipe["scope"])
    with contextlib.ExitStack() as stack:
        for one in recipe["spans"]:
            span = stack.enter_context(
                tracer.start_as_current_span(
                    one["name"], kind=one["kind"], attributes=one["attributes"], links=one["links"]
                )
            )
            span.set_attributes(one["later"])
            for event in one["events"]:
                span.add_event(*event)
            if one["exception"] is not None:
                span.record_exception(ValueError(one["exception"]))
            span.set_status(one["status"])
    return list(exporter.get_finished_spans())


def bridge_spans(recipe: dict[str, Any]) -> list[ReadableSpan]:
    """Make spans with the bridge, by OpenTracing's calls and by OpenTelemetry's, each the parent of the next."""
    provider, exporter = _exporting(recipe)
    tracer = BridgeTracer(provider, settings=Settings(semconv=recipe["semconv"]))
    headers = {"traceparent": "00-000102030405060708090a0b0c0d0e0f-0001020304050607-01", "tracestate": "v=1,w=2"}
    parent: Any = tracer.extract("http_headers", headers) if recipe["remote"] else None
    for one in recipe["spans"]:
        span: Any = tracer.start_span(one["name"], child_of=parent, tags=one["tags"])
        for key, value in one["later"].items():
            span.set_tag(key, value)
        span.set_tag("span.kind", one["kind"])
        span.set_tag("error", one["error"])
        for fields, seconds in one["logs"]:
            span.log_kv(fields, seconds)
        for event in one["events"]:
            span.add_event(*event)
        for link in one["links"]:
            span.add_link(link.context, link.attributes)
        span.set_attributes(one["attributes"])
        if one["status"] is not None:
            span.set_status(one["status"])
        span.finish(one["finish"])
        parent = span
    return list(exporter.get_finished_spans())
