"""Programs that are run on OpenTracing's MockTracer and on ot_bridge.testing's; what their tests would see is compared.

The shapes are those of real code. A program is given a tracer and a function that makes another one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import opentracing
from opentracing import Format, child_of, follows_from
from opentracing.ext import tags

__all__ = ["DIFFERENCES", "PROGRAMS", "Difference"]

Make = Callable[[], Any]
_START, _LATER = 1_700_000_000.25, 1_700_000_001.5


class Difference(NamedTuple):
    """One row of the table in docs/testing.md, and what shows it."""

    what: str
    mock: str
    here: str
    why: str


def scope_in_a_with_statement(tracer: Any, make: Make) -> None:
    with tracer.start_active_span("request", tags={tags.SPAN_KIND: tags.SPAN_KIND_RPC_SERVER}) as scope:
        scope.span.set_tag(tags.COMPONENT, "shop").set_tag(tags.HTTP_STATUS_CODE, 200)
        with tracer.start_active_span("query", tags={tags.SPAN_KIND: tags.SPAN_KIND_RPC_CLIENT}):
            tracer.active_span.set_tag(tags.DATABASE_TYPE, "sql")


def explicit_parents(tracer: Any, make: Make) -> None:
    first = tracer.start_span("first")
    by_span = tracer.start_span("by span", child_of=first)
    by_context = tracer.start_span("by context", child_of=by_span.context)
    by_reference = tracer.start_span("by reference", references=[child_of(first.context)])
    following = tracer.start_span("following", references=[follows_from(first.context)])
    for span in (following, by_reference, by_context, by_span, first):
        span.finish()


def logs_of_every_kind(tracer: Any, make: Make) -> None:
    with tracer.start_span("logs") as span:
        span.log_kv({"event": "cache miss", "key": 7})
        span.log_kv({"message": "no event"}, _START)
        span.log_kv({"event": "parts", "list": [1, "a", None], "nested": {"a": {"b": 1}}, "none": None})
        span.log_event("old", {"payload": True})
        span.log_kv({"event": "error", "message": "only a text", "error.kind": "Timeout"})


def exception_leaves_a_scope(tracer: Any, make: Make) -> None:
    try:
        with tracer.start_active_span("outer"), tracer.start_active_span("inner"):
            raise ValueError("no stock")
    except ValueError:
        pass


def error_by_hand(tracer: Any, make: Make) -> None:
    with tracer.start_active_span("by hand") as scope:
        try:
            raise KeyError("lamp")
        except KeyError as error:
            scope.span.set_tag(tags.ERROR, True)
            scope.span.log_kv({"event": "error", "error.object": error, "error.kind": type(error).__name__})
    for number, value in enumerate((True, False, "true", "false", 1, "it broke")):
        tracer.start_span(f"error {number}", tags={tags.ERROR: value}).finish()


def baggage(tracer: Any, make: Make) -> None:
    with tracer.start_active_span("outer") as scope:
        scope.span.set_baggage_item("tenant", "acme")
        with tracer.start_active_span("inner") as inner:
            inner.span.set_tag("seen", inner.span.get_baggage_item("tenant"))


def headers_between_two_tracers(tracer: Any, make: Make) -> None:
    other = make()
    with tracer.start_active_span("client") as scope:
        scope.span.set_baggage_item("tenant", "acme")
        for carrier_format in (Format.TEXT_MAP, Format.HTTP_HEADERS, Format.BINARY):
            carrier: Any = bytearray() if carrier_format == Format.BINARY else {}
            tracer.inject(scope.span.context, carrier_format, carrier)
            context = other.extract(carrier_format, carrier)
            with other.start_active_span("server", child_of=context) as served:
                same = served.span.context.trace_id == scope.span.context.trace_id
                parent = served.span.parent_id == scope.span.context.span_id
                scope.span.set_tag(str(carrier_format), f"{same} {parent} {served.span.get_baggage_item('tenant')}")


def scope_that_does_not_finish(tracer: Any, make: Make) -> None:
    scope = tracer.start_active_span("kept open", finish_on_close=False)
    scope.close()
    with tracer.scope_manager.activate(scope.span, finish_on_close=False):
        tracer.start_span("below").finish()
    scope.span.set_tag("late", tracer.active_span is None)
    scope.span.finish()
    tracer.start_span("never finished")


def ignored_active_span(tracer: Any, make: Make) -> None:
    with tracer.start_active_span("active"):
        tracer.start_span("root", ignore_active_span=True).finish()


def threads(tracer: Any, make: Make) -> None:
    def work(parent: Any) -> None:
        with tracer.scope_manager.activate(parent, finish_on_close=False), tracer.start_active_span("worker"):
            tracer.active_span.set_tag("in", "thread")

    with tracer.start_active_span("main") as scope:
        thread = threading.Thread(target=work, args=(scope.span,))
        thread.start()
        thread.join()


def renamed(tracer: Any, make: Make) -> None:
    span = tracer.start_span("before")
    span.set_operation_name("after")
    span.finish()


def explicit_times(tracer: Any, make: Make) -> None:
    span = tracer.start_span("timed", start_time=_START)
    span.log_kv({"event": "between"}, _START + 0.125)
    span.finish(_LATER)


def values_of_every_kind(tracer: Any, make: Make) -> None:
    odd = {"text": "x", "number": 1.5, "big": 2**70, "list": ["a", "b"], "dict": {"a": 1}, "bytes": b"abc"}
    odd |= {"class": ValueError, "error object": ValueError("x"), "status": "200", tags.PEER_PORT: "80"}
    with tracer.start_span("values", tags=dict(odd)) as span:
        for key, value in odd.items():
            span.set_tag(f"{key} again", value)


def overwritten_tags(tracer: Any, make: Make) -> None:
    with tracer.start_span("tags", tags={"a": 1, tags.SPAN_KIND: "client"}) as span:
        span.set_tag("a", 2).set_tag(tags.SPAN_KIND, "producer").set_tag(tags.ERROR, True).set_tag(tags.ERROR, False)


def reset_between(tracer: Any, make: Make) -> None:
    open_span = tracer.start_span("open")
    tracer.start_span("forgotten").finish()
    tracer.reset()
    open_span.finish()


def own_format(tracer: Any, make: Make) -> None:
    class Pairs:
        def inject(self, context: Any, carrier: list[int]) -> None:
            carrier.extend((context.trace_id, context.span_id))

        def extract(self, carrier: list[int]) -> Any:
            from opentracing.mocktracer.context import SpanContext

            return SpanContext(trace_id=carrier[0], span_id=carrier[1], baggage={"by": "hand"})

    tracer.register_propagator("pairs", Pairs())
    with tracer.start_active_span("client") as scope:
        carrier: list[int] = []
        tracer.inject(scope.span.context, "pairs", carrier)
    with tracer.start_active_span("server", child_of=tracer.extract("pairs", carrier)) as scope:
        scope.span.set_tag("by", scope.span.get_baggage_item("by"))


def unknown_format(tracer: Any, make: Make) -> None:
    with tracer.start_span("span") as span:
        try:
            tracer.inject(span.context, "odd", {})
        except opentracing.UnsupportedFormatException:
            span.log_kv({"event": "not sent"})
        try:
            tracer.extract("odd", {})
        except opentracing.UnsupportedFormatException:
            span.log_kv({"event": "not read"})


# -- where the two differ ----------------------------------------------------------------------------------------------


def finished_twice(tracer: Any, make: Make) -> None:
    span = tracer.start_span("twice")
    span.finish(_LATER)
    span.finish(_LATER + 1)


def changed_after_the_end(tracer: Any, make: Make) -> None:
    span = tracer.start_span("over")
    span.finish()
    span.set_tag("late", 1)


def nothing_to_extract(tracer: Any, make: Make) -> None:
    with tracer.start_span("span") as span:
        try:
            span.set_tag("found", tracer.extract(Format.HTTP_HEADERS, {"host": "shop"}) is not None)
        except opentracing.SpanContextCorruptedException:
            span.set_tag("found", "raised")


def tag_without_a_value(tracer: Any, make: Make) -> None:
    tracer.start_span("span", tags={"nothing": None}).finish()


def secrets(tracer: Any, make: Make) -> None:
    with tracer.start_span("login", tags={"password": "hunter2"}) as span:
        span.log_kv({"event": "asked", "api_key": "0123456789abcdef"})


def refused_by_priority(tracer: Any, make: Make) -> None:
    tracer.start_span("unwanted", tags={tags.SAMPLING_PRIORITY: 0}).finish()


def follows_before_child(tracer: Any, make: Make) -> None:
    first, second = tracer.start_span("first"), tracer.start_span("second")
    tracer.start_span("third", references=[follows_from(first.context), child_of(second.context)]).finish()
    first.finish()
    second.finish()


def baggage_below(tracer: Any, make: Make) -> None:
    with tracer.start_active_span("span") as scope:
        scope.span.set_baggage_item("k", 7)
        scope.span.set_tag("type", type(scope.span.get_baggage_item("k")).__name__)


def names_that_are_none(tracer: Any, make: Make) -> None:
    tracer.start_span().finish()


def outer_scope_first(tracer: Any, make: Make) -> None:
    outer, inner = tracer.start_active_span("outer"), tracer.start_active_span("inner")
    outer.close()
    inner.close()


def time_that_is_none(tracer: Any, make: Make) -> None:
    span = tracer.start_span("times", start_time=_START)
    span.finish(-1)


def tags_by_hand(tracer: Any, make: Make) -> None:
    with tracer.start_span("span") as span:
        span.tags["direct"] = 1


PROGRAMS: Final = (
    scope_in_a_with_statement, explicit_parents, logs_of_every_kind, exception_leaves_a_scope, error_by_hand, baggage,
    headers_between_two_tracers, scope_that_does_not_finish, ignored_active_span, threads, renamed, explicit_times,
    values_of_every_kind, overwritten_tags, reset_between, own_format, unknown_format,
)  # fmt: skip

DIFFERENCES: Final[dict[Callable[[Any, Make], None], Difference]] = {
    finished_twice: Difference(
        "`finish()` called twice", "the span is there twice", "once, with its first end", "it is exported once"
    ),
    changed_after_the_end: Difference(
        "`set_tag` or `log_kv` after `finish()`", "changes the span", "is ignored and counted", "the span was sent"
    ),
    nothing_to_extract: Difference(
        "`extract` from headers that hold nothing",
        "raises SpanContextCorruptedException",
        "None; with `strict_extract` a malformed header raises",
        "a request without headers is no error in production",
    ),
    tag_without_a_value: Difference("a tag whose value is None", "is a tag", "is none", "OTLP has no such value"),
    secrets: Difference(
        "values that look like secrets",
        "are shown",
        'are redacted; `InMemoryTracer(settings=Settings(redact="off"))` shows them',
        "they are not sent",
    ),
    refused_by_priority: Difference(
        "a span with `sampling.priority` 0", "is in `finished_spans()`", "is not", "it is not sent"
    ),
    follows_before_child: Difference(
        "several references",
        "the first is the parent",
        'the first child_of is, the others are links; `references="jaeger"` takes the first',
        "the parent of the production tracer",
    ),
    baggage_below: Difference(
        "a baggage value that is no text", "is kept as it is", "is text", "it travels in a header"
    ),
    names_that_are_none: Difference(
        "a span without a name", "its name is None", "it is `unnamed`", "a backend needs a name"
    ),
    outer_scope_first: Difference(
        "an outer scope that is closed before an inner one",
        "its span is finished, and it stays active",
        "its span is finished together with the inner one",
        "the active span is always right",
    ),
    time_that_is_none: Difference(
        "a time that is no Unix time, such as -1", "is kept", "is now", "OTLP cannot carry it"
    ),
    tags_by_hand: Difference(
        '`span.tags["k"] = v`, `span.logs.append(...)`',
        "changes the span",
        "changes a copy: call `set_tag`, `log_kv`",
        "what is shown is read from the export",
    ),
}
