"""Spans in the shape of thrift structures, for code that builds a batch by hand: as jaeger-client builds it."""

from __future__ import annotations

import dataclasses
from typing import Any

import opentracing
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaeger_pairs import BOTH, NEW, OLD, module, needs_the_real_one, tracer_of

START_S, END_S = 1_700_000_000.25, 1_700_000_001.5


def plain(value: Any) -> Any:
    """Return a structure of either make as dicts and lists."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if dataclasses.is_dataclass(value) or hasattr(value, "thrift_spec"):
        return {key: plain(one) for key, one in vars(value).items()}
    return value


def batch(base: str, trace_id: int) -> Any:
    thrift, make = module(base, "thrift"), module(base, "span_context").SpanContext
    of = tracer_of(base)
    references = [opentracing.follows_from(make(2**127, 2**63, None, 1)), opentracing.child_of(make(5, 6, None, 1))]
    span = module(base, "span").Span(make(trace_id, 2**64 - 1, 7, 3), of, "op", {"a": 1, "b": "x"}, START_S, references)
    span.log_kv({"event": "e"}, START_S)
    span.finish(END_S)
    root = module(base, "span").Span(make(trace_id, 1, None, 1), of, "root", start_time=START_S)
    root.finish(END_S)
    return thrift.make_jaeger_batch([span, root], thrift.make_process("svc", {"zone": 1, "long": "x" * 9}, 5))


@needs_the_real_one
@pytest.mark.parametrize("trace_id", [1, 2**63, 2**128 - 1], ids=["narrow", "sign bit", "wide"])
def test_batch_is_built_as_by_jaeger_client(trace_id: int) -> None:
    assert plain(batch(NEW, trace_id)) == plain(batch(OLD, trace_id))


@needs_the_real_one
@given(number=st.none() | st.integers(0, 2**64 - 1))
def test_id_is_signed_as_by_jaeger_client(number: int | None) -> None:
    theirs, ours = (module(base, "thrift").id_to_int(number) for base in BOTH)
    assert ours == theirs


@needs_the_real_one
@pytest.mark.parametrize("kind", [opentracing.ReferenceType.FOLLOWS_FROM, opentracing.ReferenceType.CHILD_OF, "other"])
def test_reference_type_is_numbered_as_by_jaeger_client(kind: str) -> None:
    theirs, ours = (module(base, "thrift").make_ref_type(kind) for base in BOTH)
    assert ours == theirs


@needs_the_real_one
def test_reference_without_ids_has_none_as_by_jaeger_client() -> None:
    found = []
    for base in BOTH:
        empty = module(base, "span_context").SpanContext(None, None, None, None, {"k": "v"})
        references = [opentracing.child_of(empty)]
        found.append([plain(module(base, "thrift").make_references(one)) for one in (references, [], None)])
    assert found[0] == found[1]


@needs_the_real_one
def test_log_and_time_are_made_as_by_jaeger_client() -> None:
    theirs, ours = (
        (
            plain(module(base, "thrift").make_log(START_S, {"a": 1.5}, 5, 5)),
            module(base, "thrift").timestamp_micros(0.25),
        )
        for base in BOTH
    )
    assert ours == theirs
