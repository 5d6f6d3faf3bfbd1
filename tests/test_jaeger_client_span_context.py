"""The drop-in's SpanContext: built by hand, read, passed on, and not to be changed."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import opentracing
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentracing import Format

from hostile import Hostile
from jaeger_pairs import BOTH, NEW, OLD, module, needs_the_real_one, tracer_of
from ot_bridge import telemetry
from ot_bridge.jaeger_client import SpanContext
from ot_bridge.jaeger_client.constants import DEBUG_FLAG, SAMPLED_FLAG

TRACE_ID, SPAN_ID = 0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331

FORMS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "ids": ((TRACE_ID, SPAN_ID, 7, SAMPLED_FLAG), {}),
    "names": ((), {"trace_id": 1, "span_id": 2, "parent_id": 3, "flags": 0}),
    "root": ((1, 2, None, SAMPLED_FLAG), {}),
    "parent 0": ((1, 2, 0, SAMPLED_FLAG), {}),
    "debug": ((1, 2, None, SAMPLED_FLAG | DEBUG_FLAG), {"debug_id": "d"}),
    "baggage": ((1, 2, None, 1, {"k": "v"}), {}),
    "no ids": ((None, None, None, None), {}),
    "baggage alone": ((None, None, None, None), {"baggage": {"k": "v"}}),
    "debug id alone": ((None, None, None, None), {"debug_id": "d"}),
}


def read(context: Any) -> dict[str, Any]:
    return {
        "ids": (context.trace_id, context.span_id, context.parent_id, context.flags),
        "baggage": dict(context.baggage),
        "debug_id": context.debug_id,
        "has_trace": context.has_trace,
        "container": context.is_debug_id_container_only,
    }


@needs_the_real_one
@pytest.mark.parametrize("form", FORMS)
def test_built_context_is_read_as_in_jaeger_client(form: str) -> None:
    positional, named = FORMS[form]
    theirs, ours = (module(base, "span_context").SpanContext(*positional, **named) for base in BOTH)
    assert read(ours) == read(theirs)
    assert read(ours.with_baggage_item("a", "b")) == {
        **read(theirs.with_baggage_item("a", "b")),
        "debug_id": ours.debug_id,  # jaeger-client forgets it there
        "container": ours.is_debug_id_container_only,
    }
    assert read(ours.with_baggage_item("k", None))["baggage"] == read(theirs.with_baggage_item("k", None))["baggage"]


@needs_the_real_one
def test_context_with_a_debug_id_is_as_in_jaeger_client() -> None:
    theirs, ours = (module(base, "span_context").SpanContext.with_debug_id("d") for base in BOTH)
    assert read(ours) == read(theirs)


@given(
    trace_id=st.integers(1, 2**128 - 1),
    span_id=st.integers(1, 2**64 - 1),
    parent_id=st.none() | st.integers(0, 2**64 - 1),
    flags=st.sampled_from([0, 1, 3]),
    baggage=st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=3),
)
def test_every_context_survives_a_copy_and_a_pickle(
    trace_id: int, span_id: int, parent_id: int | None, flags: int, baggage: dict[str, str]
) -> None:
    context = SpanContext(trace_id, span_id, parent_id, flags, baggage, "d")
    for other in (copy.copy(context), copy.deepcopy(context), pickle.loads(pickle.dumps(context))):
        assert type(other) is SpanContext
        assert (read(other), other == context) == (read(context), True)


@pytest.mark.parametrize("name", ["trace_id", "span_id", "parent_id", "flags"])
def test_assigning_an_id_changes_nothing_and_says_so_once(name: str, caplog: pytest.LogCaptureFixture) -> None:
    context = SpanContext(1, 2, 3, 1)
    for value in (8, 9):
        setattr(context, name, value)
    assert read(context) == read(SpanContext(1, 2, 3, 1))
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == (
        f"SpanContext.{name} cannot be changed to 8, it stays {getattr(context, name)}: build a SpanContext "
        "with the ids that are wanted, and start the span with child_of=that"
    )
    assert telemetry.snapshot()[f"dropin.context.{name}"] == 2


def test_baggage_that_is_read_is_a_dict_of_the_callers_own() -> None:
    given_items = {"k": "v"}
    context = SpanContext(1, 2, None, 1, given_items)
    given_items["other"] = "x"
    context.baggage["more"] = "y"
    assert context.baggage == {"k": "v"}


WRONG = {
    "trace id 0": (0, 2, None, 1),
    "trace id negative": (-1, 2, None, 1),
    "trace id too large": (2**128, 2, None, 1),
    "trace id text": ("abc", 2, None, 1),
    "trace id float": (1.0, 2, None, 1),
    "span id 0": (1, 0, None, 1),
    "span id negative": (1, -2, None, 1),
    "span id too large": (1, 2**64, None, 1),
    "span id None": (1, None, None, 1),
    "span id bytes": (1, b"2", None, 1),
    "flags None": (1, 2, None, None),
    "flags text": (1, 2, None, "1"),
    "hostile ids": (Hostile(), Hostile(), Hostile(), Hostile()),
}


@pytest.mark.parametrize("kind", WRONG)
def test_context_with_wrong_ids_is_one_without_ids(kind: str) -> None:
    arguments: Any = WRONG[kind]
    context = SpanContext(*arguments, {"k": "v"})
    assert read(context) == {
        "ids": (None, None, None, None),
        "baggage": {"k": "v"},
        "debug_id": None,
        "has_trace": False,
        "container": False,
    }
    span = tracer_of(NEW).start_span("op", child_of=context)
    assert (span.parent_id, span.context.baggage, span.flags) == (None, {"k": "v"}, 1)


@pytest.mark.parametrize("parent_id", [-1, 2**64, "7", 1.5, Hostile()], ids=lambda one: type(one).__name__)
def test_wrong_parent_id_is_no_parent(parent_id: Any) -> None:
    assert read(SpanContext(1, 2, parent_id, 1))["ids"] == (1, 2, None, 1)


def test_unusable_ids_are_counted() -> None:
    SpanContext("abc", 2, None, 1)  # type: ignore[arg-type]
    SpanContext(None, None, None, None)
    assert telemetry.snapshot() == {"dropin.id_unusable": 1}


# -- where it is taken -------------------------------------------------------------------------------------------------


def starts(base: str) -> dict[str, Any]:
    """Return a span for each way to start from a context."""
    of = tracer_of(base)
    context = module(base, "span_context").SpanContext(TRACE_ID, SPAN_ID, 7, 1, {"k": "v"})
    return {
        "child_of": of.start_span("op", child_of=context),
        "reference": of.start_span("op", references=opentracing.follows_from(context)),
        "references": of.start_span("op", references=[opentracing.child_of(context)]),
        "active": of.start_active_span("op", child_of=context).span,
    }


@needs_the_real_one
def test_span_starts_from_a_built_context_as_in_jaeger_client() -> None:
    def told(span: Any) -> tuple[Any, ...]:
        return span.trace_id, span.parent_id, span.flags, dict(span.context.baggage)

    theirs, ours = ({way: told(span) for way, span in starts(base).items()} for base in BOTH)
    from opentelemetry import context as otel_context

    otel_context.attach(otel_context.Context())
    assert ours == theirs
    assert ours["child_of"] == (TRACE_ID, SPAN_ID, 1, {"k": "v"})


@pytest.mark.parametrize("carrier_format", [Format.HTTP_HEADERS, Format.TEXT_MAP, Format.BINARY])
def test_built_context_is_injected_and_read_back(carrier_format: str) -> None:
    of = tracer_of(NEW)
    carrier: Any = bytearray() if carrier_format == Format.BINARY else {}
    of.inject(SpanContext(TRACE_ID, SPAN_ID, 7, 3, {"k": "v"}), carrier_format, carrier)
    back = of.extract(carrier_format, carrier)
    assert type(back) is SpanContext
    assert read(back) == {**read(SpanContext(TRACE_ID, SPAN_ID, None, 3, {"k": "v"}))}


@needs_the_real_one
@pytest.mark.parametrize("flags", [0, 1, 3])
def test_header_of_a_built_context_is_read_by_jaeger_client(flags: int) -> None:
    headers: dict[str, str] = {}
    tracer_of(NEW).inject(SpanContext(TRACE_ID, SPAN_ID, 7, flags, {"k": "a b"}), Format.HTTP_HEADERS, headers)
    back = tracer_of(OLD).extract(Format.HTTP_HEADERS, headers)
    assert (back.trace_id, back.span_id, back.flags, back.baggage) == (TRACE_ID, SPAN_ID, flags, {"k": "a b"})


@needs_the_real_one
def test_context_of_jaeger_client_itself_is_a_parent() -> None:
    theirs = module(OLD, "span_context").SpanContext(TRACE_ID, SPAN_ID, None, 1, {"k": "v"})
    span = tracer_of(NEW).start_span("op", child_of=theirs)
    assert (span.trace_id, span.parent_id, span.flags, span.context.baggage) == (TRACE_ID, SPAN_ID, 1, {"k": "v"})
