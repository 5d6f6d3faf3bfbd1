"""The batch processor: the SDK's, but for the way into its queue and for what it says of losses."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, TraceFlags

from ot_bridge import BridgeTracer, telemetry
from ot_bridge.batching import CountingBatchProcessor
from otlp_spans import span_of

LIMIT_S = 30


class Gate(SpanExporter):
    """An exporter that waits until it is opened."""

    def __init__(self) -> None:
        self.inside, self.opened = threading.Event(), threading.Event()
        self.names: list[str] = []

    def export(self, spans: Any) -> SpanExportResult:
        self.inside.set()
        assert self.opened.wait(LIMIT_S)
        self.names += [span.name for span in spans]
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.opened.set()


@pytest.fixture
def build() -> Iterator[Callable[..., CountingBatchProcessor]]:
    """Build processors that are shut down at the end."""
    built: list[CountingBatchProcessor] = []

    def build(exporter: SpanExporter, **arguments: Any) -> CountingBatchProcessor:
        built.append(CountingBatchProcessor(exporter, **arguments))
        return built[-1]

    yield build
    for processor in built:
        processor.shutdown()


def in_threads(work: Callable[[Any], None], arguments: Iterable[Any]) -> None:
    """Do the work in a thread for each argument, and wait."""
    threads = [threading.Thread(target=work, args=(argument,)) for argument in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_spans_are_exported_in_order(build: Any) -> None:
    exporter = InMemorySpanExporter()
    processor = build(exporter, max_export_batch_size=2)
    for number in range(5):
        processor.on_end(span_of(name=f"{number}"))
    assert processor.force_flush()
    assert [span.name for span in exporter.get_finished_spans()] == ["0", "1", "2", "3", "4"]


def test_unsampled_span_is_not_exported(build: Any) -> None:
    exporter = InMemorySpanExporter()
    processor = build(exporter)
    for context in (None, SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(0))):
        processor.on_end(span_of(context=context))
    processor.force_flush()
    assert exporter.get_finished_spans() == ()


def test_worker_wakes_for_a_full_batch(build: Any) -> None:
    gate = Gate()
    processor = build(gate, max_export_batch_size=2, schedule_delay_millis=3_600_000)
    processor.on_end(span_of())
    assert not processor._batch_processor._worker_awaken.is_set()
    processor.on_end(span_of())
    assert gate.inside.wait(LIMIT_S)
    gate.opened.set()


def test_span_without_room_is_lost_and_said_so_once(build: Any, caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    processor = build(gate, max_queue_size=3, max_export_batch_size=1)
    processor.on_end(span_of(name="first"))
    assert gate.inside.wait(LIMIT_S)  # it is with the exporter, and no other leaves the queue
    for number in range(8):
        processor.on_end(span_of(name=f"{number}"))
    gate.opened.set()
    processor.force_flush()
    assert gate.names == ["first", "0", "1", "2"]
    assert dict(telemetry.snapshot()) == {"spans.dropped.queue_full": 5, "spans.exported": 4}
    assert [(record.name, record.levelno) for record in caplog.records] == [("ot_bridge", logging.WARNING)]


def test_threads_that_see_the_last_place_at_once_all_have_it(build: Any) -> None:
    parties = 4
    barrier = threading.Barrier(parties)

    class Meeting(deque[Any]):
        together = True

        def __len__(self) -> int:
            waiting = super().__len__()
            if self.together:
                barrier.wait(LIMIT_S)
            return waiting

    gate = Gate()
    processor = build(gate, max_queue_size=1, max_export_batch_size=1)
    processor.on_end(span_of(name="first"))
    assert gate.inside.wait(LIMIT_S)
    inside = processor._batch_processor
    inside._queue = Meeting(inside._queue, inside._queue.maxlen)
    names = [f"{number}" for number in range(parties)]
    in_threads(lambda name: processor.on_end(span_of(name=name)), names)
    inside._queue.together = False
    processor.on_end(span_of(name="late"))
    gate.opened.set()
    processor.force_flush()
    assert (gate.names[0], sorted(gate.names[1:])) == ("first", names)
    assert dict(telemetry.snapshot()) == {"spans.dropped.queue_full": 1, "spans.exported": 1 + parties}


def test_losses_of_many_threads_are_counted_to_the_span_and_the_worker_lives(build: Any) -> None:
    took: set[str] = set()
    taken = threading.Event()

    class Observed(deque[Any]):
        def pop(self) -> Any:  # type: ignore[override]
            took.add(threading.current_thread().name)
            taken.set()
            return super().pop()

    class Slow(InMemorySpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            threading.Event().wait(0.001)
            return super().export(spans)

    exporter = Slow()
    processor = build(exporter, max_queue_size=20, max_export_batch_size=20)
    inside = processor._batch_processor
    inside._queue = Observed(inside._queue, inside._queue.maxlen)
    spans = [span_of() for _ in range(500)]

    def end_all(_: int) -> None:
        for span in spans:
            processor.on_end(span)

    in_threads(end_all, range(8))
    assert inside._worker_thread.is_alive()
    assert taken.wait(LIMIT_S)  # the worker may not have had its turn yet
    assert took == {inside._worker_thread.name}
    processor.force_flush()
    exported = len(exporter.get_finished_spans())
    assert dict(telemetry.snapshot()) == {"spans.dropped.queue_full": 4000 - exported, "spans.exported": exported}


def test_loss_that_was_said_before_takes_no_lock(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Forbidden:
        def __enter__(self) -> None:
            raise AssertionError

        def __exit__(self, *_: object) -> None: ...

    gate = Gate()
    processor = build(gate, max_queue_size=1, max_export_batch_size=1)
    processor.on_end(span_of())
    assert gate.inside.wait(LIMIT_S)
    processor.on_end(span_of())
    processor.on_end(span_of())
    with monkeypatch.context() as patched:
        patched.setattr(telemetry, "_lock", Forbidden())
        processor.on_end(span_of())
    assert dict(telemetry.snapshot()) == {"spans.dropped.queue_full": 2}
    gate.opened.set()


@pytest.mark.parametrize(
    ("answer", "counter"),
    [
        (SpanExportResult.SUCCESS, "spans.exported"),
        (SpanExportResult.FAILURE, "spans.dropped.export_failed"),
        (ValueError("no"), "spans.dropped.export_failed"),
    ],
    ids=["taken", "refused", "raised"],
)
def test_spans_are_counted_by_what_the_exporter_says(build: Any, answer: Any, counter: str) -> None:
    class Answering(InMemorySpanExporter):
        def export(self, spans: Any) -> SpanExportResult:
            if isinstance(answer, Exception):
                raise answer
            return answer  # type: ignore[no-any-return]

    processor = build(Answering(), max_export_batch_size=2)
    for _ in range(3):
        processor.on_end(span_of())
    processor.force_flush()
    assert dict(telemetry.snapshot()) == {counter: 3}


def test_exporter_is_shown_as_it_was_given(build: Any) -> None:
    exporter = InMemorySpanExporter()
    assert build(exporter).span_exporter is exporter


def test_span_after_the_shutdown_is_counted(build: Any) -> None:
    processor = build(InMemorySpanExporter())
    processor.shutdown()
    processor.on_end(span_of())
    assert dict(telemetry.snapshot()) == {"spans.dropped.already_shutdown": 1}


def test_losses_are_told_to_the_metrics_of_the_sdk(build: Any) -> None:
    class Metrics:
        heard: list[int] = []  # noqa: RUF012

        def drop_items(self, number: int) -> None:  # so from 1.41 to 1.44; later a reason may follow
            self.heard.append(number)

        def __getattr__(self, name: str) -> Any:
            return lambda *_: None

    gate = Gate()
    processor = build(gate, max_queue_size=1, max_export_batch_size=1)
    processor.on_end(span_of())
    assert gate.inside.wait(LIMIT_S)
    before, processor._batch_processor._metrics = getattr(processor._batch_processor, "_metrics", None), Metrics()
    processor.on_end(span_of())
    processor.on_end(span_of())
    assert Metrics.heard == [1]
    gate.opened.set()
    processor._batch_processor._metrics = before
    if before is None:
        del processor._batch_processor._metrics


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_child_of_a_fork_exports_its_own_spans_alone(build: Any) -> None:
    exporter = InMemorySpanExporter()
    processor = build(exporter)
    processor.on_end(span_of(name="parent's"))
    read_end, write_end = os.pipe()
    child = os.fork()
    if not child:
        try:
            processor.on_end(span_of(name="child's"))
            processor.force_flush()
            os.write(write_end, ",".join(span.name for span in exporter.get_finished_spans()).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read_end, 100) == b"child's"
    os.close(read_end)
    os.close(write_end)
    processor.force_flush()
    assert [span.name for span in exporter.get_finished_spans()] == ["parent's"]


def test_processor_that_is_not_as_expected_is_the_sdks(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ot_bridge.batching._is_as_expected", lambda inside: False)
    exporter = InMemorySpanExporter()
    processor = build(exporter)
    assert processor.on_end.__func__ is BatchSpanProcessor.on_end
    processor.on_end(span_of(name="kept"))
    processor.force_flush()
    assert [span.name for span in exporter.get_finished_spans()] == ["kept"]
    assert dict(telemetry.snapshot()) == {"export.queue": 1, "spans.exported": 1}


PARTS = ("_queue", "_shutdown", "_max_queue_size", "_max_export_batch_size", "_worker_awaken", "emit")


@pytest.mark.parametrize("missing", PARTS)
def test_inside_without_a_part_is_not_as_expected(missing: str, build: Any) -> None:
    from ot_bridge.batching import _is_as_expected

    inside = build(InMemorySpanExporter())._batch_processor
    parts = {name: getattr(inside, name) for name in PARTS}
    assert _is_as_expected(type("Inside", (), parts)())
    del parts[missing]
    assert not _is_as_expected(type("Inside", (), parts)())


def test_span_of_the_bridge_goes_through_as_it_is(build: Any) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    processor = build(exporter)
    provider.add_span_processor(processor)
    span = BridgeTracer(provider).start_span("s")
    span.finish()
    processor.force_flush()
    assert [one is span for one in exporter.get_finished_spans()] == [True]
