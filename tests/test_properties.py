"""Whatever is thrown at the bridge: nothing raises, the official encoder takes every span, no context leaks."""

from __future__ import annotations

import contextvars
import datetime
import decimal
import logging
import queue
import string
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import opentracing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentracing import Format, Reference, child_of, follows_from

from ot_bridge import BridgeSpanContext, BridgeTracer, Settings

SETTINGS = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


class _Errors(logging.Handler):
    """Keeps what any library logs at ERROR or above."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextmanager
def no_errors_logged() -> Iterator[None]:
    """Fail when anything is logged at ERROR or above."""
    handler = _Errors()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
    assert handler.texts == []


def bridge(**arguments: Any) -> tuple[BridgeTracer, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return BridgeTracer(provider, settings=Settings(**arguments)), exporter


def arrived(exporter: InMemorySpanExporter) -> list[Any]:
    """Return the finished spans as the official encoder sends them, read back from their bytes."""
    spans = exporter.get_finished_spans()
    request = type(encode_spans(spans)).FromString(encode_spans(spans).SerializeToString())
    return [span for each in request.resource_spans for scope in each.scope_spans for span in scope.spans]


# --- values


class NoText:
    """An object that nothing can be learned from."""

    def __str__(self) -> str:
        raise RuntimeError("no text for you")

    __repr__ = __str__


# Surrogates included: applications get them from file names and broken decoders.
any_text = st.text(st.characters(), max_size=20)
scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    any_text,
    st.binary(max_size=20),
    st.binary(max_size=20).map(bytearray),
    st.binary(max_size=20).map(memoryview),
    st.decimals(),
    st.datetimes(),
    st.timedeltas(),
    st.uuids(),
    st.complex_numbers(),
    st.sampled_from([ValueError, decimal.Decimal, len, ..., NotImplemented, uuid, datetime.timezone.utc]),
    st.builds(ValueError, any_text),
    st.builds(KeyError, st.builds(NoText)),
    st.builds(NoText),
    st.builds(object),
)
hashables = st.one_of(
    st.none(), st.booleans(), st.integers(), any_text, st.binary(max_size=5), st.builds(NoText), st.floats()
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(hashables, inner, max_size=4),
        st.frozensets(hashables, max_size=4),
    ),
    max_leaves=8,
)
SPECIAL = [
    "error",
    "span.kind",
    "sampling.priority",
    "http.status_code",
    "http.status_message",
    "otel.status_code",
    "otel.status_description",
    "peer.port",
    "http.url",
    "http.method",
    "peer.address",
    "peer.ipv4",
    "db.type",
    "event",
    "error.object",
    "error.kind",
    "stack",
    "message",
    "payload",
]
keys = st.one_of(st.sampled_from(SPECIAL), hashables)
# Not to be sampled is a wish that is granted, and here every span must arrive.
tag_maps = st.dictionaries(keys.filter(lambda key: key != "sampling.priority"), values, max_size=6)
log_maps = st.one_of(
    st.dictionaries(keys, values, max_size=6),
    st.dictionaries(keys, values, max_size=4).map(lambda fields: {**fields, "event": "error"}),
    values,
)


@SETTINGS
@given(
    name=values,
    initial=st.one_of(tag_maps, values),
    tags=tag_maps,
    logs=st.lists(st.tuples(log_maps, values), max_size=4),
    times=st.tuples(values, values),
    semconv=st.sampled_from(["legacy", "dup", "new"]),
    error=st.booleans(),
)
def test_any_tag_and_log_values_arrive(
    name: Any,
    initial: Any,
    tags: dict[Any, Any],
    logs: list[tuple[Any, Any]],
    times: tuple[Any, Any],
    semconv: str,
    error: bool,
) -> None:
    tracer, exporter = bridge(semconv=semconv)
    if isinstance(initial, dict):
        initial = {key: value for key, value in initial.items() if key != "sampling.priority"}
    with no_errors_logged():
        tracer.start_span("neighbour").finish()
        span: Any = tracer.start_span(name, tags=initial, start_time=times[0])
        for key, value in tags.items():
            assert span.set_tag(key, value) is span
        for fields, timestamp in logs:
            assert span.log_kv(fields, timestamp) is span
        span.set_operation_name(name)
        if error:
            try:
                with span:
                    raise ValueError(NoText())
            except ValueError:
                pass
        span.finish(times[1])
        found = arrived(exporter)
    assert len(found) == 2
    assert all(attribute.key for each in found for attribute in each.attributes)
    assert all(event.name for event in found[1].events)
    assert len(found[1].events) == len(logs) + error


@SETTINGS
@given(tags=tag_maps, logs=st.lists(log_maps, max_size=3))
def test_any_tag_and_log_values_reach_a_native_span(tags: dict[Any, Any], logs: list[Any]) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = BridgeTracer(provider)
    with no_errors_logged():
        with provider.get_tracer("native").start_as_current_span("native"):
            span: Any = tracer.active_span
            for key, value in tags.items():
                assert span.set_tag(key, value) is span
            for fields in logs:
                assert span.log_kv(fields) is span
        (found,) = arrived(exporter)
    assert len(found.events) == len(logs)


@SETTINGS
@given(tags=tag_maps)
def test_initial_tags_and_later_tags_come_to_the_same(tags: dict[Any, Any]) -> None:
    tracer, exporter = bridge()
    tracer.start_span("op", tags=tags, start_time=1.0).finish(2.0)
    later = tracer.start_span("op", start_time=1.0)
    for key, value in tags.items():
        later.set_tag(key, value)
    later.finish(2.0)
    first, second = arrived(exporter)
    for each in (first, second):
        each.trace_id = each.span_id = b""
        each.attributes.sort(key=lambda attribute: attribute.key)
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)


@SETTINGS
@given(
    parent=values,
    references=st.one_of(
        values,
        st.lists(st.one_of(values, st.builds(Reference, values, values), st.builds(child_of, values)), max_size=3),
    ),
    ignore=st.booleans(),
    active=st.booleans(),
)
def test_any_parent_and_references_give_a_span(parent: Any, references: Any, ignore: bool, active: bool) -> None:
    tracer, exporter = bridge()
    with no_errors_logged():
        if active:
            tracer.start_active_span("op", parent, references, ignore_active_span=ignore).close()
        else:
            tracer.start_span("op", parent, references, ignore_active_span=ignore).finish()
        (found,) = arrived(exporter)
    assert found.parent_span_id == b""
    assert tracer.active_span is None


# --- headers

hexes = st.text("0123456789abcdefABCDEFg-:", max_size=40)
trace_headers = st.one_of(
    any_text,
    st.builds("{}:{}:{}:{}".format, hexes, hexes, hexes, hexes),
    st.builds("{:x}:{:x}:0:{:x}".format, st.integers(0, 2**130), st.integers(0, 2**66), st.integers(0, 300)),
    st.builds("{:02x}-{:032x}-{:016x}-{:02x}".format, *[st.integers(0, 2**8 - 1), st.integers(0, 2**128 - 1),
                                                       st.integers(0, 2**64 - 1), st.integers(0, 2**8 - 1)]),
)  # fmt: skip
header_values = st.one_of(trace_headers, values, st.lists(trace_headers, max_size=3), st.binary(max_size=40))
NAMES = [
    "uber-trace-id",
    "Uber-Trace-Id",
    "traceparent",
    "tracestate",
    "baggage",
    "jaeger-baggage",
    "jaeger-debug-id",
    "uberctx-k",
    "Uberctx-K",
    "uberctx-",
]
header_maps = st.dictionaries(
    st.one_of(st.sampled_from(NAMES), any_text.map("uberctx-{}".format), hashables), header_values, max_size=6
)
TEXT_FORMATS = st.sampled_from([Format.HTTP_HEADERS, Format.TEXT_MAP])
TOKEN = set(string.ascii_lowercase + string.digits + "!#$%&'*+-.^_`|~")


def is_safe(name: str, value: str) -> bool:
    """Tell whether a header could be sent as it is, and is the only one that is sent."""
    return bool(name) and set(name) <= TOKEN and value.isascii() and (value.isprintable() or value == "")


@SETTINGS
@given(headers=header_maps, format=TEXT_FORMATS)
def test_any_headers_are_extracted_and_sent_on_without_a_raise(headers: dict[Any, Any], format: str) -> None:
    tracer, exporter = bridge()
    with no_errors_logged():
        received = tracer.extract(format, headers)  # type: ignore[arg-type]
        assert received is None or isinstance(received, BridgeSpanContext)
        span = tracer.start_span("op", child_of=received, references=[follows_from(received)])
        sent: dict[str, str] = {}
        tracer.inject(span.context, Format.HTTP_HEADERS, sent)
        tracer.inject(span.context, Format.TEXT_MAP, {})
        tracer.inject(span.context, Format.BINARY, bytearray())
        span.finish()
        found = arrived(exporter)
    assert [item for item in sent.items() if not is_safe(*item)] == []
    assert len(found) == span.context.sampled
    assert received is None or not received.is_valid or span.context.trace_id == received.trace_id


@SETTINGS
@given(
    trace_id=st.integers(1, 2**128 - 1),
    span_id=st.integers(1, 2**64 - 1),
    flags=st.sampled_from([0, 1, 3]),
    items=st.dictionaries(
        st.text(sorted(TOKEN - {"%"}), min_size=1, max_size=10).map(str.lower),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        max_size=5,
    ),
    format=st.sampled_from([Format.HTTP_HEADERS, Format.BINARY]),
)
def test_context_comes_back_as_it_went(
    trace_id: int, span_id: int, flags: int, items: dict[str, str], format: str
) -> None:
    tracer, _ = bridge()
    received: Any = tracer.extract(Format.HTTP_HEADERS, {"uber-trace-id": f"{trace_id:x}:{span_id:x}:0:{flags}"})
    span = tracer.start_span("op", child_of=received)
    for key, value in items.items():
        span.set_baggage_item(key, value)
    carrier: Any = bytearray() if format == Format.BINARY else {}
    tracer.inject(span.context, format, carrier)
    found: Any = tracer.extract(format, carrier)
    for name in ("trace_id", "span_id", "sampled", "debug"):
        assert getattr(found, name) == getattr(span.context, name), name
    assert (found.trace_id, dict(found.baggage)) == (trace_id, items)


@SETTINGS
@given(data=st.one_of(st.binary(max_size=80), st.binary(max_size=60).map(lambda tail: b"\x01" * 33 + tail)))
def test_any_binary_carrier_is_extracted_without_a_raise(data: bytes) -> None:
    tracer, _ = bridge()
    received = tracer.extract(Format.BINARY, bytearray(data))
    assert received is None or isinstance(received, BridgeSpanContext)


@SETTINGS
@given(items=st.lists(st.tuples(values, values), max_size=6))
def test_any_baggage_is_kept_and_sent_without_a_raise(items: list[tuple[Any, Any]]) -> None:
    tracer, _ = bridge()
    span: Any = tracer.start_span("op")
    with no_errors_logged():
        for key, value in items:
            assert span.set_baggage_item(key, value) is span
            span.get_baggage_item(key)
        sent: dict[str, str] = {}
        tracer.inject(span.context, Format.HTTP_HEADERS, sent)
    assert all(isinstance(part, str) for item in span.context.baggage.items() for part in item)
    assert [item for item in sent.items() if not is_safe(*item)] == []


# --- scopes in any order


class _Thread:
    """A thread that does what it is told, one thing after the other."""

    def __init__(self) -> None:
        self.tasks: queue.SimpleQueue[Callable[[], Any] | None] = queue.SimpleQueue()
        self.results: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        while (task := self.tasks.get()) is not None:
            self.results.put(self._outcome(task))

    @staticmethod
    def _outcome(task: Callable[[], Any]) -> tuple[Any, BaseException | None]:
        try:
            return task(), None
        except BaseException as error:
            return None, error

    def run(self, task: Callable[[], Any]) -> Any:
        self.tasks.put(task)
        result, error = self.results.get()
        if error is not None:
            raise error
        return result

    def fork(self) -> _Task:
        """Return a task that inherits what is active here."""
        return _Task(self, self.run(contextvars.copy_context))

    def stop(self) -> None:
        self.tasks.put(None)
        self.thread.join()


class _Task:
    """A piece of work with a context of its own, as an asyncio task is; it runs on the thread that it came from."""

    def __init__(self, thread: _Thread, context: contextvars.Context) -> None:
        self.thread, self.context = thread, context

    def run(self, task: Callable[[], Any]) -> Any:
        return self.thread.run(lambda: self.context.run(task))

    def fork(self) -> _Task:
        return _Task(self.thread, self.run(contextvars.copy_context))


INDEX = st.integers(0, 10)


class ScopesInAnyOrder(RuleBasedStateMachine):
    """Starts, activates, finishes and closes: two tracers, several threads and tasks, in any order, ever again."""

    def __init__(self) -> None:
        super().__init__()
        self.handler = _Errors()
        logging.getLogger().addHandler(self.handler)
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracers = [BridgeTracer(provider), BridgeTracer(provider)]
        self.threads = [_Thread(), _Thread()]
        self.places: list[_Thread | _Task] = list(self.threads)
        self.spans: list[Any] = []
        self.scopes: list[opentracing.Scope] = []
        self.finishing: set[int] = set()

    @initialize()
    def first(self) -> None:
        self.start(0, 0)

    def place(self, where: int) -> _Thread | _Task:
        return self.places[where % len(self.places)]

    @rule(where=INDEX, tracer=st.integers(0, 1))
    def start(self, where: int, tracer: int) -> None:
        self.spans.append(self.place(where).run(lambda: self.tracers[tracer].start_span("op")))

    @rule(where=INDEX, tracer=st.integers(0, 1), finish_on_close=st.booleans(), ignore=st.booleans())
    def start_active(self, where: int, tracer: int, finish_on_close: bool, ignore: bool) -> None:
        scope = self.place(where).run(
            lambda: self.tracers[tracer].start_active_span(
                "op", ignore_active_span=ignore, finish_on_close=finish_on_close
            )
        )
        self.opened(scope, finish_on_close)
        self.spans.append(scope.span)

    @rule(where=INDEX, tracer=st.integers(0, 1), which=INDEX, finish_on_close=st.booleans())
    def activate(self, where: int, tracer: int, which: int, finish_on_close: bool) -> None:
        span = self.spans[which % len(self.spans)]
        manager = self.tracers[tracer].scope_manager
        self.opened(self.place(where).run(lambda: manager.activate(span, finish_on_close)), finish_on_close)

    @rule(where=INDEX, tracer=st.integers(0, 1))
    def activate_none(self, where: int, tracer: int) -> None:
        manager = self.tracers[tracer].scope_manager
        self.opened(self.place(where).run(lambda: manager.activate(None, True)), False)

    def opened(self, scope: opentracing.Scope, finish_on_close: bool) -> None:
        self.scopes.append(scope)
        if finish_on_close:
            self.finishing.add(id(scope.span))

    @precondition(lambda self: self.scopes)
    @rule(where=INDEX, which=INDEX)
    def close(self, where: int, which: int) -> None:
        self.place(where).run(self.scopes[-1 - which % len(self.scopes)].close)

    @rule(where=INDEX, which=INDEX)
    def finish(self, where: int, which: int) -> None:
        span = self.spans[which % len(self.spans)]
        self.finishing.add(id(span))
        self.place(where).run(span.finish)

    @rule(where=INDEX, which=INDEX)
    def set_baggage(self, where: int, which: int) -> None:
        self.place(where).run(lambda: self.spans[which % len(self.spans)].set_baggage_item("k", "v"))

    @rule(where=INDEX, tracer=st.integers(0, 1))
    def look(self, where: int, tracer: int) -> None:
        active = self.place(where).run(lambda: self.tracers[tracer].active_span)
        assert active is None or active in self.spans

    @rule(where=INDEX)
    def use_a_native_span(self, where: int) -> None:
        def work() -> None:
            with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1, 2, True))) as native:
                for tracer in self.tracers:
                    active: Any = tracer.active_span
                    assert active.unwrap() is native
                assert trace.get_current_span() is native

        self.place(where).run(work)

    @precondition(lambda self: len(self.places) < 5)
    @rule(where=INDEX)
    def fork(self, where: int) -> None:
        self.places.append(self.place(where).fork())

    def teardown(self) -> None:
        try:
            for number, scope in enumerate(self.scopes):
                self.place(number).run(scope.close)
            # What was inherited by a task outlives the scope that was open elsewhere; what was opened here does not.
            for thread in self.threads:
                for tracer in self.tracers:
                    assert thread.run(lambda: tracer.active_span) is None  # noqa: B023
                    assert thread.run(lambda: tracer.scope_manager.active) is None  # noqa: B023
                assert thread.run(trace.get_current_span) is trace.INVALID_SPAN
                assert thread.run(otel_context.get_current) == {}
            finished = [span.context.span_id for span in self.exporter.get_finished_spans()]
            expected = {span.context.span_id for span in self.spans if id(span) in self.finishing}
            assert (len(finished), set(finished)) == (len(expected), expected)
            assert len(arrived(self.exporter)) == len(expected)
            assert self.handler.texts == []
        finally:
            logging.getLogger().removeHandler(self.handler)
            for thread in self.threads:
                thread.stop()


TestScopesInAnyOrder = ScopesInAnyOrder.TestCase
TestScopesInAnyOrder.settings = settings(
    deadline=None, max_examples=60, stateful_step_count=25, suppress_health_check=[HealthCheck.too_slow]
)


def _next(waiting: queue.SimpleQueue[opentracing.Scope]) -> opentracing.Scope | None:
    with suppress(queue.Empty):
        return waiting.get_nowait()
    return None


class _Worker(threading.Thread):
    """Carries out a plan: opens scopes, closes its own in a wrong order, and those that others gave away."""

    def __init__(
        self,
        plan: list[int],
        tracer: BridgeTracer,
        shared: opentracing.Span,
        given_away: queue.SimpleQueue[opentracing.Scope],
        barrier: threading.Barrier,
    ) -> None:
        super().__init__(daemon=True)
        self.plan, self.tracer, self.shared = plan, tracer, shared
        self.given_away, self.barrier = given_away, barrier
        self.own: list[opentracing.Scope] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.barrier.wait()
            for step in self.plan:
                self.do(step)
                self.shared.set_tag(str(step), step).set_baggage_item("k", "v")
            self.barrier.wait()
            for scope in self.own:
                scope.close()
            while (foreign := _next(self.given_away)) is not None:
                foreign.close()
            self.barrier.wait()
            assert self.tracer.active_span is None
            assert trace.get_current_span() is trace.INVALID_SPAN
        except BaseException as error:
            self.error = error
            self.barrier.abort()

    def do(self, step: int) -> None:
        if step <= 1:
            self.own.append(self.tracer.start_active_span("op"))
        elif step == 2:
            self.own.append(self.tracer.scope_manager.activate(self.shared, False))
        elif step == 3 and self.own:
            self.own.pop(len(self.own) // 2).close()
        elif step == 4:
            self.given_away.put(self.tracer.start_active_span("given away"))
        elif step == 5 and (foreign := _next(self.given_away)) is not None:
            foreign.close()


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(plans=st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=30), min_size=2, max_size=4))
def test_scope_operations_of_threads_at_the_same_time(plans: list[list[int]]) -> None:
    tracer, exporter = bridge()
    shared = tracer.start_span("shared")
    given_away: queue.SimpleQueue[opentracing.Scope] = queue.SimpleQueue()
    barrier = threading.Barrier(len(plans))
    with no_errors_logged():
        workers = [_Worker(plan, tracer, shared, given_away, barrier) for plan in plans]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        shared.finish()
    assert [worker.error for worker in workers if worker.error] == []
    started = 1 + sum(plan.count(0) + plan.count(1) + plan.count(4) for plan in plans)
    assert len(arrived(exporter)) == started
