"""The tail sampler against a simple model: whatever comes in whatever order, it keeps what the model keeps."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, precondition, rule

from tail_stage import PARTIAL, POLICY, Stage

MAX_AGE_S = 30
MAX_PER_TRACE = 6
MAX_SPANS = 12
DECISIONS = 1000


class ModelTrace:
    """A local trace as the specification sees it."""

    def __init__(self, born_ms: int, *, baseline: bool) -> None:
        self.born_ms = born_ms
        self.baseline = baseline
        self.open: dict[int, tuple[bool, int]] = {}
        self.ended: list[int] = []
        self.root_ended = False
        self.kept: bool | None = None


class TailMachine(RuleBasedStateMachine):
    """Spans start and end, time passes, the sweeper comes; the model says which of them are exported."""

    traces: Bundle[int] = Bundle("traces")

    def __init__(self) -> None:
        super().__init__()
        rules = (
            f"errors,slow:1s,rest:50%,max_age={MAX_AGE_S}s,max_spans_per_trace={MAX_PER_TRACE},"
            f"max_spans={MAX_SPANS},decisions={DECISIONS}"
        )
        self.stage = Stage(rules)
        self.model: dict[int, ModelTrace] = {}
        self.spans: dict[int, Any] = {}
        self.first: dict[int, Any] = {}
        self.expected: list[int] = []
        self.alone: set[int] = set()
        self.now_ms = 0

    # -- what can happen

    @rule(target=traces, baseline=st.booleans())
    def start_trace(self, baseline: bool) -> Any:
        self.stage.ids.kept = baseline
        span = self.stage.start("root")
        context = span.get_span_context()
        one = ModelTrace(self.now_ms, baseline=baseline)
        one.open[context.span_id] = (True, self.now_ms)
        self.model[context.trace_id] = one
        self.spans[context.span_id] = self.first[context.trace_id] = span
        for oldest in self.undecided()[: max(0, len(self.undecided()) - MAX_SPANS)]:
            self.by_baseline(oldest)
        return context.trace_id

    @rule(trace_id=traces)
    def start_child(self, trace_id: int) -> None:
        one = self.model[trace_id]
        span = self.stage.start("child", self.first[trace_id])
        span_id = span.get_span_context().span_id
        self.spans[span_id] = span
        one.open[span_id] = (False, self.now_ms)
        if one.kept is None and self.is_slow(one):
            self.keep(one)

    @rule(data=st.data(), error=st.booleans())
    @precondition(lambda self: self.spans)
    def end_span(self, data: Any, error: bool) -> None:
        span_id = data.draw(st.sampled_from(sorted(self.spans)))
        span = self.spans.pop(span_id)
        one = self.model[span.get_span_context().trace_id]
        is_root, began_ms = one.open.pop(span_id)
        slow = self.now_ms - began_ms > 1000 if is_root else self.is_slow(one)
        self.stage.end(span, error=error)
        if one.kept is not None:
            if one.kept:
                self.expected.append(span_id)
            elif error:
                self.expected.append(span_id)
                self.alone.add(span_id)
            return
        one.ended.append(span_id)
        one.root_ended = one.root_ended or is_root
        if error or slow:
            self.keep(one)
        elif (one.root_ended and not one.open) or len(one.ended) >= MAX_PER_TRACE:
            self.by_baseline(one)
        self.evict()

    @rule(data=st.data())
    @precondition(lambda self: any(span.parent is not None for span in self.spans.values()))
    def forget_span(self, data: Any) -> None:
        """The application loses a child before it ends."""
        children = sorted(span_id for span_id, span in self.spans.items() if span.parent is not None)
        span_id = data.draw(st.sampled_from(children))
        trace_id = self.spans.pop(span_id).get_span_context().trace_id
        one = self.model[trace_id]
        self.stage.clock.tick(1.5)
        self.now_ms += 1500
        self.sweep_model(lost=(one, span_id))
        self.stage.tail.sweep()

    @rule(ms=st.sampled_from([200, 600, 1100, 12_000]))
    def time_passes(self, ms: int) -> None:
        self.stage.clock.tick(ms / 1000)
        self.now_ms += ms

    @rule()
    def sweep(self) -> None:
        self.sweep_model()
        self.stage.tail.sweep()

    # -- the model

    def is_slow(self, one: ModelTrace) -> bool:
        return any(is_root and self.now_ms - began_ms > 1000 for is_root, began_ms in one.open.values())

    def keep(self, one: ModelTrace) -> None:
        one.kept = True
        self.expected.extend(one.ended)
        one.ended = []

    def by_baseline(self, one: ModelTrace) -> None:
        if one.baseline or self.is_slow(one):
            self.keep(one)
        else:
            one.kept, one.ended = False, []

    def undecided(self) -> list[ModelTrace]:
        return [one for one in self.model.values() if one.kept is None]

    def evict(self) -> None:
        for one in self.undecided():
            if sum(len(other.ended) for other in self.undecided()) <= MAX_SPANS:
                return
            if one.ended:
                self.by_baseline(one)

    def sweep_model(self, lost: tuple[ModelTrace, int] | None = None) -> None:
        if lost is not None:
            lost[0].open.pop(lost[1])
        for one in self.undecided():
            if self.now_ms - one.born_ms >= 1000 * MAX_AGE_S or (one.root_ended and not one.open):
                self.by_baseline(one)
            elif self.is_slow(one):
                self.keep(one)

    # -- what holds at any time

    @invariant()
    def exported_is_what_the_model_keeps(self) -> None:
        found = [span.context.span_id for span in self.stage.exporter.get_finished_spans() if span.context]
        assert len(found) == len(set(found)), "exported twice"
        assert sorted(found) == sorted(self.expected)

    @invariant()
    def stamps_are_where_they_belong(self) -> None:
        for span in self.stage.exporter.get_finished_spans():
            attributes, context = span.attributes or {}, span.context
            assert context is not None
            assert (POLICY in attributes) == (span.parent is None or context.span_id in self.alone)
            assert (PARTIAL in attributes) == (context.span_id in self.alone)

    @invariant()
    def held_is_what_is_undecided(self) -> None:
        undecided = self.undecided()
        sizes = self.stage.tail.sizes()
        assert sizes["undecided"] == len(undecided) <= MAX_SPANS
        assert sizes["spans"] == sum(len(one.ended) for one in undecided) <= MAX_SPANS
        assert sizes["decisions"] <= DECISIONS

    def teardown(self) -> None:
        for one in self.undecided():
            self.by_baseline(one)
        self.stage.tail.shutdown()
        found = [span.context.span_id for span in self.stage.exporter.get_finished_spans() if span.context]
        assert sorted(found) == sorted(self.expected)
        assert self.stage.held["undecided"] == 0


TestTail = TailMachine.TestCase
TestTail.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
