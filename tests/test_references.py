"""References: which one becomes the parent, which ones become links, and whose baggage is inherited."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import opentracing
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing import Format, Reference, child_of, follows_from
from opentracing.mocktracer import MockTracer

from ot_bridge import BridgeSpanContext, BridgeTracer, Settings
from spans import as_dict

TRACE = 0x0AF7651916CD43DD8448EB211C80319C
OTHER_TRACE = 0xF1F2F3F4F5F6F7F8F9FAFBFCFDFEFF80
A, B, C = 0xB7AD6B7169203331, 0x00F067AA0BA902B7, 0xAFAEADACABAAA9A8

FOLLOWS = {"opentracing.ref_type": "follows_from"}
CHILD = {"opentracing.ref_type": "child_of"}

Edge = tuple[int, int]
Shape = tuple[Edge | None, list[tuple[int, int, dict[str, Any]]]]


def remote(tracer: BridgeTracer, span_id: int, trace_id: int = TRACE, **baggage: str) -> BridgeSpanContext:
    """Return the context of a span in another process, as its headers tell it."""
    headers = {"uber-trace-id": f"{trace_id:x}:{span_id:x}:0:1"}
    headers.update({f"uberctx-{key}": value for key, value in baggage.items()})
    context = tracer.extract(Format.HTTP_HEADERS, headers)
    assert isinstance(context, BridgeSpanContext)
    return context


def container(tracer: BridgeTracer, **baggage: str) -> BridgeSpanContext:
    """Return a context that has baggage and no ids."""
    context = tracer.extract(Format.HTTP_HEADERS, {f"uberctx-{key}": value for key, value in baggage.items()})
    assert isinstance(context, BridgeSpanContext)
    return context


def shape(exporter: InMemorySpanExporter, name: str = "op") -> Shape:
    """Return parent and links of the exported span of that name."""
    (span,) = (span for span in exporter.get_finished_spans() if span.name == name)
    parent = None if span.parent is None else (span.parent.trace_id, span.parent.span_id)
    if span.parent is not None:
        assert span.context.trace_id == span.parent.trace_id
    return parent, [(link.context.trace_id, link.context.span_id, dict(link.attributes or {})) for link in span.links]


# --- one parent out of several references


def test_first_child_of_is_the_parent(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    given = [follows_from(remote(tracer, A)), child_of(remote(tracer, B)), child_of(remote(tracer, C))]
    tracer.start_span("op", references=given).finish()
    assert shape(exporter) == ((TRACE, B), [(TRACE, A, FOLLOWS), (TRACE, C, CHILD)])


def test_first_reference_is_the_parent_where_no_child_of_is_given(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    tracer.start_span("op", references=[follows_from(remote(tracer, A)), follows_from(remote(tracer, B))]).finish()
    assert shape(exporter) == ((TRACE, A), [(TRACE, A, FOLLOWS), (TRACE, B, FOLLOWS)])


def test_follows_from_alone_continues_the_trace(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    tracer.start_span("op", references=[follows_from(remote(tracer, A))]).finish()
    assert shape(exporter) == ((TRACE, A), [(TRACE, A, FOLLOWS)])


def test_child_of_the_parent_makes_no_link(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    tracer.start_span("op", references=[child_of(remote(tracer, A))]).finish()
    assert shape(exporter) == ((TRACE, A), [])


def test_child_of_the_same_span_id_in_another_trace_keeps_its_link(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    given = [child_of(remote(tracer, A)), child_of(remote(tracer, A, OTHER_TRACE))]
    tracer.start_span("op", references=given).finish()
    assert shape(exporter) == ((TRACE, A), [(OTHER_TRACE, A, CHILD)])


def test_reference_to_another_trace_is_a_link(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    given = [child_of(remote(tracer, A)), follows_from(remote(tracer, B, OTHER_TRACE))]
    tracer.start_span("op", references=given).finish()
    assert shape(exporter) == ((TRACE, A), [(OTHER_TRACE, B, FOLLOWS)])


def test_child_of_argument_beats_the_references(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    given = [child_of(remote(tracer, B)), follows_from(remote(tracer, C))]
    tracer.start_span("op", child_of=remote(tracer, A), references=given).finish()
    assert shape(exporter) == ((TRACE, A), [(TRACE, B, CHILD), (TRACE, C, FOLLOWS)])


@pytest.mark.parametrize("active_call", [False, True], ids=["start_span", "start_active_span"])
def test_references_beat_the_active_span(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, active_call: bool
) -> None:
    with tracer.start_active_span("active"):
        given = [follows_from(remote(tracer, A))]
        if active_call:
            tracer.start_active_span("op", references=given).close()
        else:
            tracer.start_span("op", references=given).finish()
    assert shape(exporter) == ((TRACE, A), [(TRACE, A, FOLLOWS)])


def test_child_of_argument_beats_the_active_span(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_active_span("active"):
        tracer.start_span("op", child_of=remote(tracer, A)).finish()
    assert shape(exporter) == ((TRACE, A), [])


def test_references_stand_with_ignore_active_span(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_active_span("active"):
        tracer.start_span("op", references=[child_of(remote(tracer, A))], ignore_active_span=True).finish()
    assert shape(exporter) == ((TRACE, A), [])


# --- the old rule


def test_references_jaeger_keeps_the_active_span_as_parent(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracer = BridgeTracer(provider, settings=Settings(references="jaeger"))
    with tracer.start_active_span("active") as scope:
        tracer.start_span("op", references=[follows_from(remote(tracer, A)), child_of(remote(tracer, B))]).finish()
        expected = (scope.span.context.trace_id, scope.span.context.span_id)
    assert shape(exporter) == (expected, [(TRACE, A, FOLLOWS), (TRACE, B, CHILD)])


@pytest.mark.parametrize("ignore_active_span", [False, True])
def test_references_jaeger_uses_the_reference_where_no_span_is_active(
    provider: TracerProvider, exporter: InMemorySpanExporter, ignore_active_span: bool
) -> None:
    tracer = BridgeTracer(provider, settings=Settings(references="jaeger"))
    given = [follows_from(remote(tracer, A))]
    tracer.start_span("op", references=given, ignore_active_span=ignore_active_span).finish()
    assert shape(exporter) == ((TRACE, A), [(TRACE, A, FOLLOWS)])


def test_references_jaeger_prefers_the_child_of_argument(
    provider: TracerProvider, exporter: InMemorySpanExporter
) -> None:
    tracer = BridgeTracer(provider, settings=Settings(references="jaeger"))
    with tracer.start_active_span("active"):
        tracer.start_span("op", child_of=remote(tracer, A), references=[follows_from(remote(tracer, B))]).finish()
    assert shape(exporter) == ((TRACE, A), [(TRACE, B, FOLLOWS)])


# --- what counts as a reference


def test_one_reference_needs_no_list(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    tracer.start_span("op", references=child_of(remote(tracer, A))).finish()  # type: ignore[arg-type]
    assert shape(exporter) == ((TRACE, A), [])


@pytest.mark.parametrize("wrap", [list, tuple, iter], ids=["list", "tuple", "iterator"])
def test_any_iterable_of_references_will_do(tracer: BridgeTracer, exporter: InMemorySpanExporter, wrap: Any) -> None:
    given: Iterable[Reference] = wrap([follows_from(remote(tracer, A)), child_of(remote(tracer, B))])
    tracer.start_span("op", references=given).finish()  # type: ignore[arg-type]
    assert shape(exporter) == ((TRACE, B), [(TRACE, A, FOLLOWS)])


def test_span_will_do_as_the_context_of_a_reference(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_span("parent") as parent:
        tracer.start_span("op", references=[child_of(parent)]).finish()  # type: ignore[arg-type]
    assert shape(exporter) == ((parent.context.trace_id, parent.context.span_id), [])


@pytest.mark.parametrize(
    "references", [None, [], (), [None], [child_of(None)], [follows_from(None), None], [child_of()]], ids=ascii
)
def test_nothing_as_reference_is_skipped(tracer: BridgeTracer, exporter: InMemorySpanExporter, references: Any) -> None:
    tracer.start_span("op", references=references).finish()
    assert shape(exporter) == (None, [])


def test_nothing_as_reference_leaves_the_active_span_as_parent(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    with tracer.start_active_span("active") as scope:
        tracer.start_span("op", references=[child_of(None), None], child_of=None).finish()  # type: ignore[list-item]
    assert shape(exporter) == ((scope.span.context.trace_id, scope.span.context.span_id), [])


def test_nothing_beside_a_reference_is_skipped(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    given: Any = [None, child_of(None), follows_from(remote(tracer, A)), follows_from(None)]
    tracer.start_span("op", references=given).finish()
    assert shape(exporter) == ((TRACE, A), [(TRACE, A, FOLLOWS)])


def test_unknown_type_is_a_follows_from_link_and_never_the_parent(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    tracer.start_span("op", references=[Reference("relates_to", remote(tracer, A))]).finish()  # type: ignore[arg-type]
    assert shape(exporter) == (None, [(TRACE, A, FOLLOWS)])


def test_unknown_type_gives_way_to_a_later_reference(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    given: Any = [Reference(None, remote(tracer, A)), follows_from(remote(tracer, B))]
    tracer.start_span("op", references=given).finish()
    assert shape(exporter) == ((TRACE, B), [(TRACE, A, FOLLOWS), (TRACE, B, FOLLOWS)])


# --- a container: a context without ids


def test_container_gives_baggage_and_starts_a_root(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_span("op", child_of=container(tracer, tenant="acme")) as span:
        assert dict(span.context.baggage) == {"tenant": "acme"}
    assert shape(exporter) == (None, [])


@pytest.mark.parametrize("make", [child_of, follows_from])
def test_container_as_reference_is_never_a_link(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, make: Any
) -> None:
    with tracer.start_span("op", references=[make(container(tracer, tenant="acme"))]) as span:
        assert dict(span.context.baggage) == {"tenant": "acme"}
    assert shape(exporter) == (None, [])


def test_container_beside_a_reference_gives_its_baggage_only(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    given = [child_of(container(tracer, tenant="acme")), follows_from(remote(tracer, A, user="u"))]
    with tracer.start_span("op", references=given) as span:
        assert dict(span.context.baggage) == {"tenant": "acme", "user": "u"}
    assert shape(exporter) == ((TRACE, A), [(TRACE, A, FOLLOWS)])


# --- baggage


def test_baggage_is_the_union_and_the_parent_wins(tracer: BridgeTracer) -> None:
    given = [
        follows_from(remote(tracer, A, only="a", shared="a")),
        child_of(remote(tracer, B, shared="b", parent="b")),
    ]
    with tracer.start_span("op", references=given) as span:
        assert dict(span.context.baggage) == {"only": "a", "shared": "b", "parent": "b"}


def test_baggage_of_references_joins_that_of_the_child_of_argument(tracer: BridgeTracer) -> None:
    given = [follows_from(remote(tracer, A, only="a", shared="a"))]
    with tracer.start_span("op", child_of=remote(tracer, B, shared="b"), references=given) as span:
        assert dict(span.context.baggage) == {"only": "a", "shared": "b"}


def test_explicit_parent_keeps_the_active_baggage_out(tracer: BridgeTracer) -> None:
    with tracer.start_active_span("active") as scope:
        scope.span.set_baggage_item("user", "another request's")
        with tracer.start_span("op", child_of=remote(tracer, A, tenant="acme")) as span:
            assert dict(span.context.baggage) == {"tenant": "acme"}


# --- foreign and no-op objects

_NOOP = opentracing.Tracer()

FOREIGN: list[tuple[str, Any]] = [
    ("base-context", opentracing.SpanContext()),
    ("base-span", opentracing.Span(_NOOP, opentracing.SpanContext())),
    ("noop-span", _NOOP.start_span("x")),
    ("mock-span", MockTracer().start_span("x")),
    ("mock-context", MockTracer().start_span("x").context),
    ("span-without-context", opentracing.Span(_NOOP, None)),  # type: ignore[arg-type]
    ("native-invalid-span", trace.INVALID_SPAN),
    ("native-invalid-context", trace.INVALID_SPAN_CONTEXT),
    ("text", "a:b:0:1"),
    ("int", 5),
    ("object", object()),
]
FOREIGN_ROWS = pytest.mark.parametrize("foreign", [row[1] for row in FOREIGN], ids=[row[0] for row in FOREIGN])


@FOREIGN_ROWS
def test_foreign_child_of_is_ignored(tracer: BridgeTracer, exporter: InMemorySpanExporter, foreign: Any) -> None:
    tracer.start_span("op", child_of=foreign).finish()
    assert shape(exporter) == (None, [])


@FOREIGN_ROWS
def test_foreign_child_of_leaves_the_active_span_as_parent(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, foreign: Any
) -> None:
    with tracer.start_active_span("active") as scope:
        tracer.start_span("op", child_of=foreign).finish()
    assert shape(exporter) == ((scope.span.context.trace_id, scope.span.context.span_id), [])


@FOREIGN_ROWS
def test_foreign_reference_is_ignored(tracer: BridgeTracer, exporter: InMemorySpanExporter, foreign: Any) -> None:
    given: Any = [child_of(foreign), foreign, follows_from(remote(tracer, A))]
    tracer.start_span("op", references=given).finish()
    assert shape(exporter) == ((TRACE, A), [(TRACE, A, FOLLOWS)])


@FOREIGN_ROWS
def test_foreign_references_argument_never_raises(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, foreign: Any
) -> None:
    tracer.start_span("op", references=foreign).finish()
    assert shape(exporter) == (None, [])


def test_scope_as_child_of_never_raises(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    with tracer.start_active_span("active") as scope:
        tracer.start_span("op", child_of=scope).finish()  # type: ignore[arg-type]
    assert {span.name for span in exporter.get_finished_spans()} == {"active", "op"}


# --- local parents


def test_finished_span_is_still_a_parent(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    parent = tracer.start_span("parent")
    parent.finish()
    tracer.start_span("op", child_of=parent).finish()
    assert shape(exporter) == ((parent.context.trace_id, parent.context.span_id), [])


@pytest.mark.parametrize("as_context", [False, True], ids=["span", "context"])
def test_local_parent_and_remote_parent_differ_in_is_remote(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, as_context: bool
) -> None:
    with tracer.start_span("parent", child_of=remote(tracer, A)) as parent:
        tracer.start_span("op", child_of=parent.context if as_context else parent).finish()
    child, outer = exporter.get_finished_spans()
    assert child.parent is not None
    assert outer.parent is not None
    assert (child.parent.is_remote, outer.parent.is_remote) == (False, True)


def test_links_are_exported_in_the_order_of_the_references(
    tracer: BridgeTracer, exporter: InMemorySpanExporter
) -> None:
    given = [follows_from(remote(tracer, number)) for number in (5, 3, 9, 1)]
    tracer.start_span("op", child_of=remote(tracer, A), references=given).finish()
    links = as_dict(exporter.get_finished_spans()[0])["links"]
    assert [link["span_id"] for link in links] == [f"{number:016x}" for number in (5, 3, 9, 1)]
