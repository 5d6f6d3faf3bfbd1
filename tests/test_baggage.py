"""Baggage: inherited, copied on write, in step with OpenTelemetry's, and never another request's."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage as otel_baggage
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentracing import Format

from ot_bridge import BridgeSpanContext, BridgeTracer
from ot_bridge.baggage import live
from shown import shown


@contextmanager
def native_baggage(**items: str) -> Iterator[None]:
    """Put items into OpenTelemetry's current baggage, as native code does."""
    context = otel_context.get_current()
    for key, value in items.items():
        context = otel_baggage.set_baggage(key, value, context)
    token = otel_context.attach(context)
    try:
        yield
    finally:
        otel_context.detach(token)


def sent(tracer: BridgeTracer, span: Any) -> dict[str, str]:
    """Return the baggage that an injection of the span would put on the wire."""
    headers: dict[str, str] = {}
    tracer.inject(span.context, Format.HTTP_HEADERS, headers)
    return {key.removeprefix("uberctx-"): value for key, value in headers.items() if key.startswith("uberctx-")}


# --- one span


def test_new_span_has_none(tracer: BridgeTracer) -> None:
    with tracer.start_span("op") as span:
        assert span.context.baggage == {}
        assert span.get_baggage_item("k") is None


def test_item_whose_text_sets_another_item_is_set_too(tracer: BridgeTracer) -> None:
    class Telling:
        def __str__(self) -> str:
            span.set_baggage_item("inner", "1")
            return "2"

    with tracer.start_span("op") as span:
        span.set_baggage_item("outer", Telling())
        assert span.context.baggage == {"inner": "1", "outer": "2"}


def test_items_that_two_threads_set_at_once_are_both_kept(
    tracer: BridgeTracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, others = BridgeSpanContext.with_baggage_item, ["other"]

    def overtaken(context: BridgeSpanContext, key: str, value: str) -> BridgeSpanContext:
        changed = plain(context, key, value)
        if others:
            other = threading.Thread(target=span.set_baggage_item, args=(others.pop(), "1"))
            other.start()
            other.join()
        return changed

    monkeypatch.setattr(BridgeSpanContext, "with_baggage_item", overtaken)
    with tracer.start_span("op") as span:
        span.set_baggage_item("own", "2")
        assert span.context.baggage == {"other": "1", "own": "2"}


def test_set_item_chains_and_can_be_read(tracer: BridgeTracer) -> None:
    with tracer.start_span("op") as span:
        assert span.set_baggage_item("a", "1").set_baggage_item("b", "2") is span
        assert (span.get_baggage_item("a"), span.get_baggage_item("b")) == ("1", "2")
        assert span.context.baggage == {"a": "1", "b": "2"}


def test_set_item_overwrites(tracer: BridgeTracer) -> None:
    with tracer.start_span("op") as span:
        span.set_baggage_item("a", "1").set_baggage_item("a", "2")
        assert span.context.baggage == {"a": "2"}


def test_none_deletes(tracer: BridgeTracer) -> None:
    with tracer.start_span("op") as span:
        span.set_baggage_item("a", "1").set_baggage_item("b", "2").set_baggage_item("a", None)
        span.set_baggage_item("never there", None)
        assert span.context.baggage == {"b": "2"}
        assert span.get_baggage_item("a") is None


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [("k", 5, {"k": "5"}), (5, "v", {"5": "v"}), ("k", True, {"k": "True"}), ("k", ["a"], {"k": "['a']"})],
    ids=["int-value", "int-key", "bool-value", "list-value"],
)
def test_keys_and_values_become_text(tracer: BridgeTracer, key: Any, value: Any, expected: dict[str, str]) -> None:
    with tracer.start_span("op") as span:
        span.set_baggage_item(key, value)
        assert span.context.baggage == expected


def test_item_whose_text_cannot_be_had_never_raises(tracer: BridgeTracer) -> None:
    class NoText:
        def __str__(self) -> str:
            raise RuntimeError("no text for you")

        __repr__ = __str__

    with tracer.start_span("op") as span:
        assert span.set_baggage_item("k", NoText()) is span  # type: ignore[arg-type]
        assert span.set_baggage_item(NoText(), "v") is span  # type: ignore[arg-type]
        assert all(isinstance(text, str) for item in span.context.baggage.items() for text in item)


def test_get_item_falls_back_to_any_case(tracer: BridgeTracer) -> None:
    with tracer.start_span("op") as span:
        span.set_baggage_item("Tenant-Id", "acme")
        assert span.get_baggage_item("tenant-id") == "acme"
        span.set_baggage_item("tenant-id", "exact")
        assert (span.get_baggage_item("tenant-id"), span.get_baggage_item("Tenant-Id")) == ("exact", "acme")


@pytest.mark.parametrize("key", [None, 5, b"k", object()], ids=shown)
def test_get_item_of_an_odd_key_never_raises(tracer: BridgeTracer, key: Any) -> None:
    with tracer.start_span("op") as span:
        assert span.get_baggage_item(key) is None


def test_context_taken_earlier_never_changes(tracer: BridgeTracer) -> None:
    with tracer.start_span("op") as span:
        first = span.context
        span.set_baggage_item("a", "1")
        second = span.context
        span.set_baggage_item("a", "2")
        assert (dict(first.baggage), dict(second.baggage), dict(span.context.baggage)) == ({}, {"a": "1"}, {"a": "2"})


def test_baggage_of_a_context_is_read_only(tracer: BridgeTracer) -> None:
    with tracer.start_span("op") as span:
        span.set_baggage_item("a", "1")
        with pytest.raises(TypeError):
            span.context.baggage["b"] = "2"  # type: ignore[index]
        assert span.context.baggage == {"a": "1"}


def test_ids_stay_when_baggage_changes(tracer: BridgeTracer) -> None:
    with tracer.start_span("op") as span:
        before = (span.context.trace_id, span.context.span_id, span.context.trace_flags)
        span.set_baggage_item("a", "1")
        assert (span.context.trace_id, span.context.span_id, span.context.trace_flags) == before


def test_set_item_adds_no_event_and_no_attribute(tracer: BridgeTracer, exporter: Any) -> None:
    with tracer.start_span("op") as span:
        span.set_baggage_item("a", "1")
    (exported,) = exporter.get_finished_spans()
    assert (dict(exported.attributes), exported.events) == ({}, ())


def test_set_item_after_finish_never_raises(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op")
    span.finish()
    assert span.set_baggage_item("a", "1") is span


# --- parents and children


@pytest.mark.parametrize("as_context", [False, True], ids=["child-of-span", "child-of-context"])
def test_child_inherits(tracer: BridgeTracer, as_context: bool) -> None:
    parent = tracer.start_span("parent").set_baggage_item("a", "1")
    child = tracer.start_span("child", child_of=parent.context if as_context else parent)
    assert child.context.baggage == {"a": "1"}
    assert tracer.start_span("grandchild", child_of=child).get_baggage_item("a") == "1"


def test_child_of_the_active_span_inherits(tracer: BridgeTracer) -> None:
    with tracer.start_active_span("parent") as outer:
        outer.span.set_baggage_item("a", "1")
        assert tracer.start_span("child").context.baggage == {"a": "1"}
        with tracer.start_active_span("child") as inner:
            assert inner.span.context.baggage == {"a": "1"}


def test_child_does_not_change_its_parent_or_its_sibling(tracer: BridgeTracer) -> None:
    parent = tracer.start_span("parent").set_baggage_item("a", "1")
    sibling = tracer.start_span("sibling", child_of=parent)
    tracer.start_span("child", child_of=parent).set_baggage_item("a", "2").set_baggage_item("b", "3")
    assert (dict(parent.context.baggage), dict(sibling.context.baggage)) == ({"a": "1"}, {"a": "1"})


def test_item_set_later_reaches_later_children_only(tracer: BridgeTracer) -> None:
    parent = tracer.start_span("parent")
    early = tracer.start_span("early", child_of=parent)
    parent.set_baggage_item("a", "1")
    late = tracer.start_span("late", child_of=parent)
    assert (dict(early.context.baggage), dict(late.context.baggage)) == ({}, {"a": "1"})


def test_root_that_ignores_the_active_span_inherits_nothing(tracer: BridgeTracer) -> None:
    with tracer.start_active_span("active") as scope:
        scope.span.set_baggage_item("user", "a")
        assert tracer.start_span("root", ignore_active_span=True).context.baggage == {}
        with tracer.start_active_span("root", ignore_active_span=True) as inner:
            assert inner.span.context.baggage == {}


def test_unsampled_spans_carry_it_too() -> None:
    tracer = BridgeTracer(TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False))
    with tracer.start_active_span("op") as scope:
        scope.span.set_baggage_item("a", "1")
        child = tracer.start_span("child")
        assert child.get_baggage_item("a") == "1"
        assert sent(tracer, child) == {"a": "1"}


def test_activation_keeps_it(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op").set_baggage_item("a", "1")
    with tracer.scope_manager.activate(span, True):
        assert tracer.active_span is span
        assert tracer.active_span.get_baggage_item("a") == "1"


# --- in step with OpenTelemetry's


def test_item_set_before_activation_is_read_natively(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op").set_baggage_item("a", "1")
    assert otel_baggage.get_baggage("a") is None
    with tracer.scope_manager.activate(span, True):
        assert otel_baggage.get_baggage("a") == "1"
    assert otel_baggage.get_baggage("a") is None


def test_item_set_on_the_active_span_is_read_and_sent_natively(tracer: BridgeTracer) -> None:
    with tracer.start_active_span("op") as scope:
        scope.span.set_baggage_item("a", "1")
        assert otel_baggage.get_baggage("a") == "1"
        headers: dict[str, str] = {}
        W3CBaggagePropagator().inject(headers)
        assert headers == {"baggage": "a=1"}
    assert otel_baggage.get_all() == {}


def test_item_deleted_on_the_active_span_is_gone_natively(tracer: BridgeTracer) -> None:
    with tracer.start_active_span("op") as scope:
        scope.span.set_baggage_item("a", "1").set_baggage_item("b", "2").set_baggage_item("a", None)
        assert dict(otel_baggage.get_all()) == {"b": "2"}


def test_item_set_on_a_span_that_is_not_active_stays_off_the_current_context(tracer: BridgeTracer) -> None:
    other = tracer.start_span("other")
    with tracer.start_active_span("op"):
        other.set_baggage_item("a", "1")
        assert otel_baggage.get_all() == {}


def test_many_items_set_on_the_active_span_leave_the_context_as_it_was(tracer: BridgeTracer) -> None:
    before = otel_context.get_current()
    with tracer.start_active_span("outer") as outer:
        outer.span.set_baggage_item("a", "1")
        with tracer.start_active_span("inner") as inner:
            for number in range(5):
                inner.span.set_baggage_item(f"k{number}", "v")
        assert dict(otel_baggage.get_all()) == {"a": "1"}
        assert tracer.active_span is outer.span
    assert otel_context.get_current() == before


def test_native_baggage_is_inherited_by_a_root(tracer: BridgeTracer) -> None:
    with native_baggage(user="u"):
        span = tracer.start_span("op")
    assert span.context.baggage == {"user": "u"}
    assert sent(tracer, span) == {"user": "u"}


def test_native_baggage_beside_the_active_span_is_read_and_sent(tracer: BridgeTracer) -> None:
    with tracer.start_active_span("op"), native_baggage(user="u"):
        active = tracer.active_span
        assert active is not None
        assert active.get_baggage_item("user") == "u"
        assert sent(tracer, active) == {"user": "u"}


def test_native_baggage_beside_the_active_span_is_inherited(tracer: BridgeTracer) -> None:
    with tracer.start_active_span("op") as scope:
        scope.span.set_baggage_item("a", "1")
        with native_baggage(user="u"), tracer.start_active_span("child") as inner:
            assert inner.span.context.baggage == {"a": "1", "user": "u"}
            assert dict(otel_baggage.get_all()) == {"a": "1", "user": "u"}


def test_native_value_beside_the_active_span_is_the_later_word(tracer: BridgeTracer) -> None:
    with tracer.start_active_span("op") as scope:
        scope.span.set_baggage_item("a", "1")
        with native_baggage(a="2"):
            assert tracer.active_span.get_baggage_item("a") == "2"
            assert sent(tracer, tracer.active_span) == {"a": "2"}
        assert tracer.active_span.get_baggage_item("a") == "1"


def test_item_set_beside_native_baggage_can_be_read_back_in_both_apis(tracer: BridgeTracer) -> None:
    with tracer.start_active_span("op") as scope, native_baggage(user="u"):
        scope.span.set_baggage_item("user", "changed").set_baggage_item("a", "1")
        assert (scope.span.get_baggage_item("user"), scope.span.get_baggage_item("a")) == ("changed", "1")
        assert dict(otel_baggage.get_all()) == {"user": "changed", "a": "1"}
        assert tracer.start_span("child").context.baggage == {"user": "changed", "a": "1"}


@pytest.mark.parametrize("remove", [lambda: otel_baggage.remove_baggage("a"), otel_baggage.clear], ids=["one", "all"])
def test_item_removed_natively_is_neither_read_nor_sent_nor_inherited(tracer: BridgeTracer, remove: Any) -> None:
    with tracer.start_active_span("op") as scope:
        scope.span.set_baggage_item("a", "1")
        token = otel_context.attach(remove())
        active = tracer.active_span
        assert active.get_baggage_item("a") is None
        assert (sent(tracer, active), dict(tracer.start_span("child").context.baggage)) == ({}, {})
        otel_context.detach(token)
        assert tracer.active_span.get_baggage_item("a") == "1"


def test_native_baggage_beside_a_native_span_is_read_and_sent(tracer: BridgeTracer, provider: TracerProvider) -> None:
    with provider.get_tracer("native").start_as_current_span("native"), native_baggage(user="u"):
        active = tracer.active_span
        assert active is not None
        assert active.get_baggage_item("user") == "u"
        assert sent(tracer, active) == {"user": "u"}
        assert tracer.start_span("child").context.baggage == {"user": "u"}


def test_native_span_inside_sees_the_items_of_the_span_outside_beside_what_was_added_natively(
    tracer: BridgeTracer, provider: TracerProvider
) -> None:
    native = provider.get_tracer("native")
    with tracer.start_active_span("op") as scope:
        scope.span.set_baggage_item("a", "1").set_baggage_item("b", "2")
        with native_baggage(user="u", b="3"), native.start_as_current_span("inner native"):
            active = tracer.active_span
            assert active is not None
            assert active.context.baggage == dict(otel_baggage.get_all()) == {"a": "1", "b": "3", "user": "u"}
            assert sent(tracer, active) == {"a": "1", "b": "3", "user": "u"}
            active.set_baggage_item("c", "4")
            assert active.context.baggage == dict(otel_baggage.get_all()) == {"a": "1", "b": "3", "user": "u", "c": "4"}


def test_item_set_on_a_native_active_span_is_read_natively_and_inherited(
    tracer: BridgeTracer, provider: TracerProvider
) -> None:
    native = provider.get_tracer("native")
    with native.start_as_current_span("native"):
        active = tracer.active_span
        assert active is not None
        active.set_baggage_item("a", "1")
        assert active.get_baggage_item("a") == "1"
        assert otel_baggage.get_baggage("a") == "1"
        with native.start_as_current_span("inner native"):
            assert tracer.start_span("child").context.baggage == {"a": "1"}


def test_native_value_that_is_not_text_becomes_text(tracer: BridgeTracer) -> None:
    token = otel_context.attach(otel_baggage.set_baggage("n", 5))
    try:
        assert tracer.start_span("op").context.baggage == {"n": "5"}
    finally:
        otel_context.detach(token)


# --- another request's baggage


def test_injecting_another_span_sends_nothing_of_the_current_request(tracer: BridgeTracer) -> None:
    other = tracer.start_span("other", ignore_active_span=True)
    with native_baggage(user="a"), tracer.start_active_span("current") as scope:
        scope.span.set_baggage_item("tenant", "acme")
        assert sent(tracer, other) == {}
        headers: dict[str, str] = {}
        tracer.inject(other, Format.HTTP_HEADERS, headers)  # type: ignore[arg-type]
        assert "baggage" not in headers


def test_child_of_another_span_inherits_nothing_of_the_current_request(tracer: BridgeTracer) -> None:
    other = tracer.start_span("other", ignore_active_span=True)
    with native_baggage(user="a"), tracer.start_active_span("current"):
        assert tracer.start_span("child", child_of=other).context.baggage == {}


def test_activating_another_span_hides_the_baggage_of_the_current_request(tracer: BridgeTracer) -> None:
    other = tracer.start_span("other", ignore_active_span=True)
    with tracer.start_active_span("current") as scope:
        scope.span.set_baggage_item("user", "a")
        with tracer.scope_manager.activate(other, True):
            assert otel_baggage.get_all() == {}
            assert sent(tracer, other) == {}
        assert otel_baggage.get_baggage("user") == "a"


def test_native_baggage_of_one_task_stays_out_of_another_under_the_same_span(tracer: BridgeTracer) -> None:
    async def request(user: str) -> tuple[dict[str, str], dict[str, str]]:
        with native_baggage(user=user):
            await asyncio.sleep(0)
            found = (sent(tracer, tracer.active_span), dict(tracer.start_span("child").context.baggage))
            await asyncio.sleep(0)
            return found

    async def main() -> list[tuple[dict[str, str], dict[str, str]]]:
        with tracer.start_active_span("server"):
            return await asyncio.gather(request("a"), request("b"))

    assert asyncio.run(main()) == [({"user": "a"}, {"user": "a"}), ({"user": "b"}, {"user": "b"})]


def test_requests_in_tasks_and_threads_never_see_each_other(tracer: BridgeTracer) -> None:
    def request(user: str) -> list[str | None]:
        seen = []
        with tracer.start_active_span("request", ignore_active_span=True) as scope:
            scope.span.set_baggage_item("user", user)
            for _ in range(20):
                with tracer.start_active_span("step") as step:
                    seen.append(step.span.get_baggage_item("user"))
                    seen.append(str(otel_baggage.get_baggage("user")))
                    seen.append(sent(tracer, step.span).get("user"))
        return seen

    async def main() -> list[list[str | None]]:
        return await asyncio.gather(*(asyncio.to_thread(request, str(number)) for number in range(6)))

    assert [set(seen) for seen in asyncio.run(main())] == [{str(number)} for number in range(6)]


def test_reused_worker_starts_clean(tracer: BridgeTracer) -> None:
    def request(user: str | None) -> dict[str, object]:
        with tracer.start_active_span("request") as scope:
            found = {**scope.span.context.baggage, **otel_baggage.get_all()}
            if user:
                scope.span.set_baggage_item("user", user)
        return found

    worker = contextvars.copy_context()
    assert worker.run(request, "a") == {}
    assert worker.run(request, None) == {}


# --- threads


def test_no_item_is_lost_when_threads_set_them_together(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op")
    barrier = threading.Barrier(8)

    def work(worker: int) -> None:
        barrier.wait()
        for number in range(100):
            span.set_baggage_item(f"{worker}-{number}", "v")

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(span.context.baggage) == 800


def test_native_span_current_without_a_bridge_has_none(tracer: BridgeTracer, provider: TracerProvider) -> None:
    with provider.get_tracer("native").start_as_current_span("native"):
        active = tracer.active_span
        assert active is not None
        assert active.context.baggage == {}
    assert trace.get_current_span() is trace.INVALID_SPAN


@given(st.dictionaries(st.text(min_size=1), st.text()), st.dictionaries(st.text(min_size=1), st.text()))
def test_live_baggage_is_a_dict_of_what_the_span_carries_now(items: dict[str, str], other: dict[str, str]) -> None:
    span = BridgeTracer(TracerProvider(shutdown_on_exit=False)).start_span("op")
    held: Any = live(span)
    for key, value in items.items():
        span.set_baggage_item(key, value)
    own = dict(span.context.baggage)
    assert (held, dict(held), {**held}, len(held), list(held)) == (own, own, own, len(own), list(own))
    assert (list(held.keys()), list(held.values()), list(held.items())) == ([*own], [*own.values()], [*own.items()])
    assert (held | other, other | held, repr(held), bool(held)) == (own | other, other | own, repr(own), bool(own))
    assert (held != own) is False
    assert all(key in held and held[key] == held.get(key) == value for key, value in own.items())
    assert held.get("no such key" * 9, 5) == 5
    changed = held.copy()
    changed["changed"] = "here"
    assert "changed" not in held
    assert changed.copy() == changed
