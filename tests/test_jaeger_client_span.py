"""The drop-in's Span: what old code reads of it and does to it, held against jaeger-client's own."""

from __future__ import annotations

import enum
import os
import sys
import threading
from typing import Any

import numpy as np
import opentracing
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import TracerProvider as SdkProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jaeger_pairs import BOTH, NEW, OLD, logs_of, needs_the_real_one, tags_of, tracer_of
from ot_bridge import telemetry
from ot_bridge.jaeger_client import ConstSampler, Span, SpanContext, Tracer
from ot_bridge.jaeger_client.reporter import InMemoryReporter
from ot_bridge.jaeger_client.thrift_gen.jaeger.ttypes import Log, Tag, TagType
from ot_bridge.jaeger_client.throttler import Throttler
from ot_bridge.redaction.keys import matching_rule
from ot_bridge.redaction.rules import DEFAULT_RULES

START_S, END_S = 1_700_000_000.25, 1_700_000_001.5
START_NS, END_NS = 1_700_000_000_250_000_000, 1_700_000_001_500_000_000


def tracer(sampled: bool = True, **arguments: Any) -> Tracer:
    return tracer_of(NEW, sampled, **arguments)  # type: ignore[no-any-return]


class Refusing(Throttler):
    def is_allowed(self, operation: str) -> bool:
        return False


def reported(of: Any) -> list[str]:
    return [span.operation_name for span in of.reporter.get_spans()]


# -- what is read ------------------------------------------------------------------------------------------------------


def seen(span: Any) -> dict[str, Any]:
    return {
        "ids": (span.trace_id, span.span_id, span.parent_id)
        == (
            span.context.trace_id,
            span.context.span_id,
            span.context.parent_id,
        ),
        "types": [type(one).__name__ for one in (span.trace_id, span.span_id, span.parent_id, span.flags)],
        "small": span.trace_id < 2**64 and span.span_id < 2**64,
        "flags": span.flags,
        "sampled": span.is_sampled(),
        "debug": span.is_debug(),
        "name": span.operation_name,
        "times": (span.start_time, span.end_time),
        "finished": span.finished,
        "rpc": (span.is_rpc(), span.is_rpc_client()),
        "references": span.references,
        "tags": tags_of(span),
        "logs": logs_of(span),
        "baggage": dict(span.context.baggage),
        "service": span.tracer.service_name,
        "shown": str(span).partition(" ")[2],
        "lock": span.update_lock.acquire(blocking=False) and span.update_lock.release() is None,
    }


def life(base: str, sampled: bool) -> list[dict[str, Any]]:
    """Return what is seen of a root and its child while they live."""
    found = []
    of = tracer_of(base, sampled)
    root = of.start_span("root", tags={"span.kind": "server", "n": 1}, start_time=START_S)
    found.append(seen(root))
    child = of.start_span("child", child_of=root, tags={"span.kind": "client"}, start_time=START_S)
    assert (child.trace_id, child.parent_id) == (root.trace_id, root.span_id)
    child.set_tag("error", True).log_kv({"event": "e", "n": 1}, timestamp=START_S).set_operation_name("renamed")
    child.operation_name += "!"
    found.append(seen(child))
    child.finish(END_S)
    found.append(seen(child))
    root.finish(END_S)
    found.append(seen(root))
    return found


@needs_the_real_one
@pytest.mark.parametrize("sampled", [True, False], ids=["sampled", "unsampled"])
def test_everything_that_is_read_of_a_span_is_as_in_jaeger_client(sampled: bool) -> None:
    assert life(NEW, sampled) == life(OLD, sampled)


def test_ids_of_a_trace_are_written_into_a_header_as_ever() -> None:
    span = tracer().start_span("op", child_of=SpanContext(0xABC, 0xDEF, None, 1))
    assert f"{span.trace_id:x}" == "abc"
    assert str(span) == f"abc:{span.span_id:x}:def:1 svc.op"


@needs_the_real_one
@pytest.mark.parametrize("payload", [None, "p"], ids=["no payload", "payload"])
@pytest.mark.parametrize("call", ["info", "error"])
def test_info_and_error_tag_and_log_as_in_jaeger_client(call: str, payload: Any) -> None:
    found = []
    for base in BOTH:
        span = tracer_of(base).start_span("op")
        assert getattr(span, call)("message", payload) is span
        found.append((tags_of(span), [fields for _, fields in logs_of(span)]))
    assert found[0] == found[1]


@needs_the_real_one
def test_baggage_is_set_replaced_deleted_and_logged_as_in_jaeger_client() -> None:
    found = []
    for base in BOTH:
        span = tracer_of(base).start_span("op")
        baggage = []
        for value in ("acme", "other", None):
            assert span.set_baggage_item("tenant", value) is span
            baggage.append((span.get_baggage_item("tenant"), dict(span.context.baggage)))
        found.append((baggage, [fields for _, fields in logs_of(span)]))
    assert found[0] == found[1]


@pytest.mark.parametrize("sampled", [True, False], ids=["sampled", "unsampled"])
def test_tags_and_logs_are_lists_of_the_callers_own(sampled: bool) -> None:
    span = tracer(sampled).start_span("op", tags={"a": 1})
    span.tags.append(Tag(key="b"))
    span.logs.append(Log(1, []))
    assert ([tag.key for tag in span.tags if "." not in str(tag.key)], span.logs) == (["a"] * sampled, [])


@pytest.mark.parametrize(("name", "instead"), [("tags", "set_tag()"), ("logs", "log_kv()"), ("finished", "finish()")])
def test_assigning_what_can_only_be_read_changes_nothing_and_says_so_once(
    name: str, instead: str, caplog: pytest.LogCaptureFixture
) -> None:
    span = tracer().start_span("op")
    before = getattr(span, name)
    for _ in range(2):
        setattr(span, name, 5)
    assert getattr(span, name) == before
    assert [record.getMessage() for record in caplog.records if f"Span.{name}" in record.getMessage()] == [
        f"Span.{name} cannot be set to int: call {instead}"
    ]
    assert telemetry.snapshot()[f"dropin.span.{name}"] == 2


def test_free_attributes_stay() -> None:
    span: Any = tracer().start_span("op")
    span.extra_headers = {"a": "b"}
    span.resource_name = "r"
    assert (span.extra_headers, span.resource_name) == ({"a": "b"}, "r")


def test_replaced_methods_are_called() -> None:
    of = tracer()
    span: Any = of.start_span("op")
    span._real_finish, calls = span.finish, []

    def finish(finish_time: Any = None) -> None:
        calls.append(finish_time)
        span._real_finish(END_S)

    span.finish = finish
    with span:
        pass
    assert (calls, reported(of), span.end_time) == ([None], ["op"], END_S)


# -- times -------------------------------------------------------------------------------------------------------------


class Recorder(SpanProcessor):
    """Keeps the times of every span, as numbers, at each call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, Any, bool]] = []

    def _take(self, call: str, span: Any) -> None:
        self.calls.append((call, span.start_time, span.end_time, isinstance(span, ReadableSpan)))

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self._take("start", span)

    def _on_ending(self, span: Any) -> None:
        self._take("ending", span)

    def on_end(self, span: Any) -> None:
        self._take("end", span)


def test_processors_that_are_added_see_nanoseconds_and_the_application_seconds() -> None:
    of = tracer()
    processors = [Recorder(), Recorder()]
    provider: Any = of._provider
    provider.add_span_processor(processors[0])
    of.start_span("first", start_time=START_S).finish(END_S)
    provider.add_span_processor(processors[1])
    span = of.start_span("second", start_time=START_S)
    assert (span.start_time, span.end_time) == (START_S, None)
    span.finish(END_S)
    assert (span.start_time, span.end_time) == (START_S, END_S)
    ending = [("ending", START_NS, END_NS, True)] * hasattr(SpanProcessor, "_on_ending")
    once = [("start", START_NS, None, True), *ending, ("end", START_NS, END_NS, True)]
    assert (processors[0].calls, processors[1].calls) == (once * 2, once)
    assert reported(of) == ["first", "second"]


def test_exporter_that_is_added_gets_nanoseconds() -> None:
    of, exporter = tracer(), InMemorySpanExporter()
    provider: Any = of._provider
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    of.start_span("op", tags={"a": 1}, start_time=START_S).finish(END_S)
    (found,) = exporter.get_finished_spans()
    assert (found.start_time, found.end_time) == (START_NS, END_NS)
    assert dict(found.attributes or {}) == {"a": 1, "sampler.type": "const", "sampler.param": True}


def test_attributes_that_a_processor_sets_at_the_start_are_exported() -> None:
    class Stamp(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            span.set_attribute("stamped", True)

    of, exporter = tracer(), InMemorySpanExporter()
    provider: Any = of._provider
    provider.add_span_processor(Stamp())
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    of.start_span("op").finish()
    assert (exporter.get_finished_spans()[0].attributes or {})["stamped"] is True


def test_start_time_can_be_set_and_the_end_time_of_a_finished_span() -> None:
    span = tracer().start_span("op")
    span.start_time = START_S
    span.end_time = END_S
    assert (span.start_time, span.end_time) == (START_S, None)
    span.finish()
    span.end_time = END_S
    assert (span.start_time, span.end_time, span.finished) == (START_S, END_S, True)


@needs_the_real_one
def test_start_time_of_a_span_that_is_not_sampled_is_the_given_one() -> None:
    assert [tracer_of(base, False).start_span("op", start_time=START_S).start_time for base in BOTH] == [START_S] * 2


def test_second_finish_reports_nothing_and_is_counted() -> None:
    of = tracer()
    span = of.start_span("op")
    span.finish(END_S)
    span.finish(END_S + 1)
    assert (reported(of), span.end_time, telemetry.snapshot()["span.finished_twice"]) == (["op"], END_S, 1)


def test_finished_span_does_not_change() -> None:
    span = tracer().start_span("op", tags={"a": 1})
    span.finish()
    before = (tags_of(span), logs_of(span), span.flags)
    span.set_tag("late", 1).set_tag("sampling.priority", 0).log_kv({"event": "late"})
    assert (tags_of(span), logs_of(span), span.flags) == before


# -- sampling.priority -------------------------------------------------------------------------------------------------

PRIORITIES = [1, "1", True, -1, 2.7, 0.5, 0, "0", "x", "", float("nan")]


def tried(base: str, sampled: bool, value: Any, throttler: Any = None) -> list[Any]:
    """Return what is seen of a span whose priority is set after the start, and of its later child."""
    of = tracer_of(base, sampled, throttler=throttler)
    span = of.start_span("op", tags={"before": 1})
    steps = []
    for key, number in (("sampling.priority", value), ("after", 1), ("sampling.priority", 1), ("again", 1)):
        span.set_tag(key, number).log_kv({"event": key}, timestamp=START_S)
        steps.append((tags_of(span), logs_of(span), span.flags, span.is_sampled(), span.is_debug()))
    child = of.start_span("child", child_of=span)
    steps.append((child.flags, child.is_sampled(), child.trace_id == span.trace_id))
    child.finish()
    span.finish()
    return [*steps, reported(of)]


@needs_the_real_one
@pytest.mark.parametrize("sampled", [True, False], ids=["sampled", "unsampled"])
@pytest.mark.parametrize("value", PRIORITIES, ids=repr)
def test_late_priority_is_as_in_jaeger_client(sampled: bool, value: Any) -> None:
    # The tag is dropped where it is refused, the flags follow it, and what comes after it is kept or not.
    assert tried(NEW, sampled, value) == tried(OLD, sampled, value)


@needs_the_real_one
@pytest.mark.parametrize("sampled", [True, False], ids=["sampled", "unsampled"])
def test_late_priority_that_the_throttler_refuses_is_as_in_jaeger_client(sampled: bool) -> None:
    assert tried(NEW, sampled, 1, Refusing()) == tried(OLD, sampled, 1, Refusing())


@needs_the_real_one
@pytest.mark.parametrize("sampled", [True, False], ids=["sampled", "unsampled"])
@pytest.mark.parametrize("value", PRIORITIES, ids=repr)
def test_priority_at_the_start_is_as_in_jaeger_client(sampled: bool, value: Any) -> None:
    found = []
    for base in BOTH:
        of = tracer_of(base, sampled)
        span = of.start_span("op", tags={"sampling.priority": value, "after": 1})
        # A trace that is forced is not the sampler's choice, so its tags are not there: see RATIONALE.md.
        tags = [tag for tag in tags_of(span) if not (span.is_debug() and tag[0].startswith("sampler."))]
        found.append((tags, span.flags, span.is_sampled(), span.is_debug()))
        span.finish()
        found[-1] += (reported(of),)
    assert found[0] == found[1]


@needs_the_real_one
def test_priority_at_the_start_that_the_throttler_refuses_is_as_in_jaeger_client() -> None:
    found = []
    for base in BOTH:
        span = tracer_of(base, throttler=Refusing()).start_span("op", tags={"a": 1, "sampling.priority": 1, "b": 2})
        found.append((tags_of(span), span.flags))
    assert found[0] == found[1]


@pytest.mark.parametrize("value", [None, [1], object()], ids=["None", "list", "object"])
@pytest.mark.parametrize("sampled", [True, False], ids=["sampled", "unsampled"])
def test_priority_over_which_jaeger_client_raises_is_ignored(value: Any, sampled: bool) -> None:
    span = tracer(sampled).start_span("op", tags={"sampling.priority": value})
    span.set_tag("sampling.priority", value)
    assert (span.flags, [tag for tag in tags_of(span) if tag[0] == "sampling.priority"]) == (int(sampled), [])


def test_tags_before_the_priority_are_kept() -> None:
    # jaeger-client loses those that precede it in the dict.
    span = tracer(sampled=False).start_span("op", tags={"before": 1, "sampling.priority": 1})
    assert tags_of(span) == [("before", TagType.LONG, 1), ("sampling.priority", TagType.LONG, 1)]


def test_promoted_span_is_exported_with_what_came_after() -> None:
    of, exporter = tracer(sampled=False), InMemorySpanExporter()
    provider: Any = of._provider
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    span = of.start_span("op", tags={"lost": 1}, start_time=START_S)
    with of.start_span("earlier child", child_of=span):
        span.set_tag("sampling.priority", 1).set_tag("kept", 1)
        with of.start_span("later child", child_of=span):
            pass
    span.finish(END_S)
    names = [one.name for one in exporter.get_finished_spans()]
    (found,) = [one for one in exporter.get_finished_spans() if one.name == "op"]
    assert names == ["later child", "op"]
    assert dict(found.attributes or {}) == {"sampling.priority": 1, "jaeger.debug": True, "kept": 1}
    assert (found.start_time, found.end_time) == (START_NS, END_NS)
    assert reported(of) == ["later child", "op"]


def test_span_that_is_set_to_zero_is_not_exported() -> None:
    of, exporter = tracer(), InMemorySpanExporter()
    provider: Any = of._provider
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with of.start_span("op") as span:
        span.set_tag("sampling.priority", 0)
        of.start_span("child", child_of=span).finish()
    assert (reported(of), [one.name for one in exporter.get_finished_spans()]) == ([], [])


# -- tags and logs as jaeger-client types them -------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"


class TextEnum(str, enum.Enum):
    A = "a"


class Number(enum.IntEnum):
    ONE = 1


PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.binary(max_size=8)
    | st.binary(max_size=8).map(bytearray)
    | st.decimals(allow_nan=False)
    | st.datetimes()
    | st.uuids()
    | st.sampled_from([Colour.RED, TextEnum.A, Number.ONE, np.bool_(True), np.int64(1), np.float64(0.5), np.str_("a")])
    | st.sampled_from([ValueError("v"), ValueError, os.PathLike, 1 + 2j, range(3)])
    | st.text("ab\u2603", min_size=1020, max_size=1030)
)


def is_secret(key: str) -> bool:
    """Tell whether the bridge hides what is under a key, which jaeger-client shows."""
    return matching_rule(key, frozenset(DEFAULT_RULES)) is not None


VALUES = PLAIN | st.lists(PLAIN, max_size=3) | st.dictionaries(st.text(max_size=3), PLAIN, max_size=3)
KEYS = (
    st.text(min_size=1, max_size=8).filter(lambda key: key != "sampling.priority" and not is_secret(key))
    | st.integers()
    | st.binary(max_size=3).filter(lambda key: not is_secret(key.decode("latin-1")))
)


@needs_the_real_one
@given(
    at_start=st.dictionaries(KEYS, VALUES, max_size=3),
    tags=st.lists(st.tuples(KEYS, VALUES), max_size=4),
    logs=st.lists(st.tuples(st.dictionaries(KEYS, VALUES, max_size=3), st.floats(1, 4e9)), max_size=3),
)
def test_tags_and_logs_are_typed_and_cut_as_in_jaeger_client(
    at_start: dict[Any, Any], tags: list[tuple[Any, Any]], logs: list[tuple[dict[Any, Any], float]]
) -> None:
    found = []
    for base in BOTH:
        span = tracer_of(base).start_span("op", tags=dict(at_start))
        for key, value in tags:
            span.set_tag(key, value)
        for fields, timestamp in logs:
            span.log_kv(fields, timestamp)
        found.append((tags_of(span), logs_of(span)))
    assert found[1] == found[0]


@needs_the_real_one
def test_traceback_is_cut_as_in_jaeger_client() -> None:
    found = []
    for base in BOTH:
        span = tracer_of(base, max_traceback_length=20).start_span("op")
        try:
            raise ValueError("boom")
        except ValueError:
            span.log_kv({"stack": sys.exc_info()[2]}, START_S).set_tag("stack", sys.exc_info()[2])
        found.append((tags_of(span), logs_of(span)))
    assert found[1] == found[0]


def test_value_without_text_is_a_placeholder() -> None:
    class Broken:
        def __str__(self) -> str:
            raise ValueError("no")

    span = tracer().start_span("op", tags={"a": Broken()})
    assert tags_of(span)[0] == ("a", TagType.STRING, f"<unprintable {Broken.__qualname__}>")


def test_span_holds_none_of_the_objects_that_it_was_given() -> None:
    import gc
    import weakref

    class Held:
        pass

    held = Held()
    gone = weakref.ref(held)
    span = tracer().start_span("op", tags={"a": held})
    span.set_tag("b", held).log_kv({"c": held})
    del held
    gc.collect()
    assert gone() is None


def test_unreadable_tags_at_the_start_do_not_raise() -> None:
    class Odd(dict[Any, Any]):
        def items(self) -> Any:
            raise RuntimeError

    assert tracer().start_span("op", tags=Odd(a=1)).operation_name == "op"
    assert telemetry.snapshot()["dropin.tags_not_seen"] == 1


# -- what it is --------------------------------------------------------------------------------------------------------


def spans_of_every_kind() -> dict[str, Any]:
    of = tracer()
    foreign = tracer(sampled=True)
    provider = SdkProvider(shutdown_on_exit=False)
    native = provider.get_tracer("native").start_span("native")
    foreign._bind(_Other())
    with of.scope_manager.activate(of.start_span("x"), False):
        from opentelemetry import trace

        with trace.use_span(native):
            seen_native = of.active_span
    return {
        "sampled": of.start_span("op"),
        "unsampled": tracer(sampled=False).start_span("op"),
        "native": seen_native,
        "of another provider": foreign.start_span("op"),
        "built": Span(SpanContext(1, 2, None, 1), of, "op"),
    }


class _Other:
    """A provider that is not the SDK's."""

    def get_tracer(self, *args: Any, **kwargs: Any) -> Any:
        class Mine:
            def start_span(self, name: str, **kwargs: Any) -> Any:
                return SdkProvider(shutdown_on_exit=False).get_tracer("t").start_span(name)

        return Mine()


@pytest.mark.parametrize("kind", ["sampled", "unsampled", "native", "of another provider", "built"])
def test_every_span_is_a_span_and_its_context_a_context(kind: str) -> None:
    span = spans_of_every_kind()[kind]
    assert isinstance(span, Span)
    assert isinstance(span, opentracing.Span)
    assert isinstance(span.context, SpanContext)
    assert isinstance(span.context, opentracing.SpanContext)
    assert isinstance(span.tracer, Tracer)
    assert type(span.start_time) is float
    assert (span.trace_id > 0, span.span_id > 0) == (True, True)


def test_span_can_be_built_by_hand() -> None:
    of = tracer()
    reference = opentracing.child_of(SpanContext(9, 9, None, 1))
    span = Span(
        context=SpanContext(1, 2, 3, 1, {"k": "v"}),
        tracer=of,
        operation_name="built",
        tags={"a": 1},
        start_time=START_S,
        references=[reference],
    )
    span.finish(END_S)
    assert seen(span) == {
        **seen(span),
        "ids": True,
        "flags": 1,
        "name": "built",
        "times": (START_S, END_S),
        "references": [reference],
        "tags": [("a", TagType.LONG, 1)],
        "baggage": {"k": "v"},
    }
    assert (span.trace_id, span.span_id, span.parent_id) == (1, 2, 3)
    assert of.reporter.get_spans() == [span]


def test_span_built_without_sampling_is_not_reported() -> None:
    of = tracer()
    span = Span(SpanContext(1, 2, None, 0), of, "built", {"a": 1})
    span.finish()
    assert (reported(of), span.is_sampled(), tags_of(span)) == ([], False, [])


def test_span_cannot_be_built_without_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    of = tracer()
    of._bind(_Other())
    with pytest.raises(TypeError, match="a Span can only be built for a tracer that records"):
        Span(SpanContext(1, 2, None, 1), of, "built")


def test_references_are_kept_as_given() -> None:
    of = tracer()
    known = [opentracing.child_of(SpanContext(1, 2, None, 1)), opentracing.follows_from(SpanContext(1, 3, None, 1))]
    assert of.start_span("op", references=known).references == known
    assert of.start_span("op", references=known[0]).references == known[:1]
    assert of.start_span("op", references=[opentracing.child_of(None), known[1]]).references == known[1:]
    assert of.start_span("op").references is None


def test_threads_that_set_tags_lose_none() -> None:
    span = tracer(max_tag_value_length=50).start_span("op")

    def work(number: int) -> None:
        for step in range(100):
            span.set_tag(f"{number}.{step}", step).log_kv({"n": step})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(span.tags), len(span.logs)) == (402, 400)


def test_in_memory_reporter_keeps_the_very_spans() -> None:
    reporter = InMemoryReporter()
    of = Tracer("svc", reporter, ConstSampler(True))
    with of.start_active_span("op") as scope:
        pass
    assert reporter.get_spans() == reporter.spans == [scope.span]
    assert reporter.get_spans()[0] is scope.span
