"""A head sampler's answers that are known without asking it are those that it gives."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    ParentBased,
    Sampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import TraceFlags, TraceState

from ot_bridge import BridgeSpanContext, BridgeTracer, Settings, recorder, sampling
from ot_bridge.head import Head

SAMPLERS: dict[str, Sampler] = {
    "on": ALWAYS_ON,
    "off": ALWAYS_OFF,
    "parent, else on": DEFAULT_ON,
    "parent, else off": DEFAULT_OFF,
    "all by ratio": TraceIdRatioBased(1),
    "none by ratio": TraceIdRatioBased(0),
    "parent, else all by ratio": ParentBased(TraceIdRatioBased(1)),
    "parent, else none by ratio": ParentBased(TraceIdRatioBased(0)),
    "on, below what is not sampled too": ParentBased(ALWAYS_OFF, remote_parent_not_sampled=ALWAYS_ON),
    "off, below what is sampled too": ParentBased(ALWAYS_ON, local_parent_sampled=ALWAYS_OFF),
    "Jaeger's const 1": sampling.build("const:1", service_name="s"),
    "Jaeger's const 0": sampling.build("const:0", service_name="s"),
}
STATE = TraceState([("vendor", "x")])
PARENTS: dict[str, Any] = {
    "none": None,
    "remote, sampled": BridgeSpanContext(1, 2, True, TraceFlags(3), STATE),
    "remote, not sampled": BridgeSpanContext(1, 2, True, TraceFlags(2), STATE, {"k": "v"}),
    "local, sampled": BridgeSpanContext(1, 2, False, TraceFlags(1)),
    "local, not sampled": BridgeSpanContext(1, 2, False, TraceFlags(0)),
    "debug": BridgeSpanContext(1, 2, True, TraceFlags(1), STATE, debug=True),
}
TAGS = [None, {}, {"a": 1}, {"sampling.priority": 0}, {"sampling.priority": 1}, [("sampling.priority", 0)]]


def seen(tracer: BridgeTracer) -> list[Any]:
    """Return what became of spans of all parents and tags."""
    found = []
    for (name, parent), tags in itertools.product(PARENTS.items(), TAGS):
        span: Any = tracer.start_span("op", child_of=parent, tags=tags)
        context = span.context
        recorded = {key: value for key, value in getattr(span, "_attributes", {}).items() if "sampler" not in key}
        ids = None if parent is None else (context.trace_id, span.parent_id)
        state = dict(context.trace_state)
        found.append((name, tags, ids, int(context.trace_flags), state, dict(context.baggage), context.debug, recorded))
    return found


@pytest.mark.parametrize("late", [False, True], ids=["", "late sampling"])
@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=list(SAMPLERS))
def test_what_is_known_is_what_the_sampler_answers(
    sampler: Sampler, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(late_sampling=late)
    short = seen(BridgeTracer(TracerProvider(sampler=sampler, shutdown_on_exit=False), settings=settings))
    monkeypatch.setattr(recorder, "Head", lambda sampler, **_: Head(sampler, is_known=False))
    asked = seen(BridgeTracer(TracerProvider(sampler=sampler, shutdown_on_exit=False), settings=settings))
    assert short == asked


def test_sampler_that_is_exchanged_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    tracer = BridgeTracer(provider)
    before = tracer.start_span("op").is_sampled()
    tracer.unwrap().sampler = ALWAYS_ON  # type: ignore[attr-defined]
    assert (before, tracer.start_span("op").is_sampled()) == (False, True)


def test_context_of_a_dropped_span_is_made_once() -> None:
    span: Any = BridgeTracer(TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)).start_span("op")
    first = span.context
    assert first.is_valid
    assert (span.context, span.get_span_context(), span.trace_id, span.span_id) == (
        first,
        first,
        first.trace_id,
        first.span_id,
    )
