"""The tail sampler, corner by corner: what is kept, when it is decided, what is held meanwhile."""

from __future__ import annotations

import gc
import itertools
import logging
import random
import threading
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from opentelemetry.trace import StatusCode

from ot_bridge import BridgeTracer, ConfigError, Settings, telemetry
from ot_bridge.sampling import TailSamplingProcessor
from ot_bridge.sampling.tail import RecordingSampler, downstream
from ot_bridge.sampling.tail.decisions import DOWNSTREAM
from ot_bridge.shutdown import shutdown_provider
from spans import as_dict
from tail_stage import NOTHING, PARTIAL, POLICY, Stage, counted, remote_parent

TRACE_ID = 0x0AF7651916CD43DD00EB211C80319C00


# -- policies, and which one wins --------------------------------------------------------------------------------------


def test_error_in_any_span_keeps_the_whole_trace() -> None:
    stage = Stage("errors")
    root = stage.start("root")
    stage.end(stage.start("first", root))
    stage.end(stage.start("failed", root), error=True)
    stage.end(stage.start("last", root))
    stage.end(root)
    assert stage.exported == [("first", {}), ("failed", {}), ("last", {}), ("root", {POLICY: "error"})]
    assert (stage.verdicts, stage.held) == ([(True, "error")], NOTHING)


def test_recorded_exception_alone_is_no_error() -> None:
    stage = Stage("errors")
    root = stage.start("root")
    root.record_exception(ValueError("handled"))
    stage.end(root)
    assert (stage.names, stage.verdicts) == ([], [(False, "baseline")])


@pytest.mark.parametrize(("seconds", "kept"), [(1.0, False), (1.000001, True)], ids=["as-long", "longer"])
def test_root_is_slow_when_it_takes_longer_than_the_limit(seconds: float, kept: bool) -> None:
    stage = Stage("slow:1s")
    stage.trace(seconds=seconds)
    assert stage.exported == ([("root", {POLICY: "slow"})] if kept else [])


def test_slow_root_without_children_is_kept() -> None:
    stage = Stage("slow:250ms")
    stage.trace(seconds=0.3)
    assert stage.names == ["root"]


def test_child_that_outlives_its_root_does_not_make_it_slow() -> None:
    stage = Stage("slow:1s")
    root = stage.start("root")
    child = stage.start("async", root)
    stage.end(root)
    stage.clock.tick(5)
    stage.end(child)
    assert (stage.names, stage.verdicts) == ([], [(False, "baseline")])


def test_slowspan_keeps_a_trace_with_any_slow_span() -> None:
    stage = Stage("slowspan:1s")
    root = stage.start("root")
    child = stage.start("async", root)
    stage.end(root)
    stage.clock.tick(1.5)
    stage.end(child)
    assert stage.exported == [("root", {POLICY: "slow_span"}), ("async", {})]


@pytest.mark.parametrize(
    ("rule", "attributes", "kept"),
    [
        ("tenant=acme|globex", {"tenant": "globex"}, True),
        ("tenant=acme|globex", {"tenant": "initech"}, False),
        ("tenant=acme", {}, False),
        ("http.url~/pay/\\d+$", {"http.url": "http://shop/pay/42"}, True),
        ("http.url~/pay/\\d+$", {"http.url": "http://shop/pay/"}, False),
        ("http.status_code>=500", {"http.status_code": 503}, True),
        ("http.status_code>=500", {"http.status_code": 499}, False),
        ("http.status_code>=500", {"http.status_code": "503"}, False),
        ("n>1", {"n": True}, False),
        ("n<1", {"n": 0.5}, True),
        ("code=500..599", {"code": 599}, True),
        ("code=500..599", {"code": 600}, False),
        ("retry=true", {"retry": True}, True),
        ("n=42", {"n": 42}, True),
        ("tags=b", {"tags": ["a", "b"]}, True),
        ("name=root", {}, True),
    ],
    ids=str,
)
def test_attribute_of_any_span_keeps(rule: str, attributes: dict[str, Any], kept: bool) -> None:
    stage = Stage(f"attr:never=1,attr:{rule}")
    root = stage.start("root")
    stage.end(stage.start("child", root, attributes=attributes))
    stage.end(root)
    assert stage.verdicts == [(True, "attribute-2") if kept else (False, "baseline")]


def test_attribute_that_is_set_after_the_start_keeps() -> None:
    stage = Stage("attr:tenant=acme")
    root = stage.start("root")
    root.set_attribute("tenant", "acme")
    stage.end(root)
    assert stage.exported == [("root", {POLICY: "attribute-1"})]


def test_attribute_of_the_resource_is_not_asked() -> None:
    stage = Stage("attr:service.name=unknown_service")
    stage.trace()
    assert stage.names == []


def test_rate_keeps_traces_per_second_that_nothing_else_kept() -> None:
    stage = Stage("errors,rate:2/s")
    for _ in range(3):
        stage.trace(error=True)
    for _ in range(3):
        stage.trace()
    stage.clock.tick(0.5)
    stage.trace()
    stage.trace()
    kept, dropped = (True, "rate"), (False, "baseline")
    assert stage.verdicts == [(True, "error")] * 3 + [kept, kept, dropped, kept, dropped]


@pytest.mark.parametrize("rest", ["0", "50%", "100%"])
def test_baseline_goes_by_the_low_56_bits(rest: str) -> None:
    stage = Stage(f"rest:{rest}")
    stage.trace("low")
    stage.ids.kept = True
    stage.trace("high")
    assert stage.names == {"0": [], "50%": ["high"], "100%": ["low", "high"]}[rest]


def test_baseline_goes_by_rv_where_the_trace_state_has_one() -> None:
    stage = Stage("rest:50%,remote=decide")
    stage.trace("high", parent=remote_parent(TRACE_ID, state="ot=rv:80000000000000"))
    stage.trace("low", parent=remote_parent(TRACE_ID + 2**64, state="ot=th:0;rv:7fffffffffffff"))
    assert stage.names == ["high"]


@pytest.mark.parametrize("part", [0.001, 0.01, 0.2])
def test_baseline_keeps_its_part(part: float) -> None:
    stage = Stage(f"rest:{part}")
    number, seeded = 5_000, random.Random(5)  # noqa: S311  (no secret)
    stage.ids.generate_trace_id = lambda: seeded.getrandbits(128) | 1
    for _ in range(number):
        stage.trace()
    kept = sum(kept for kept, _ in stage.verdicts)
    # Five standard deviations, with Poisson's tail for the small one.
    bound = 5 * (number * part * (1 - part)) ** 0.5 + 5
    assert abs(kept - number * part) <= bound


def test_two_services_keep_the_same_traces_by_the_baseline() -> None:
    first, second = Stage("rest:10%,remote=decide"), Stage("rest:10%,remote=decide")
    seeded = random.Random(6)  # noqa: S311
    parents = [remote_parent(seeded.getrandbits(128) | 1) for _ in range(500)]
    for parent in parents:
        first.trace(parent=parent)
        second.trace(parent=parent)
    assert first.verdicts == second.verdicts
    assert {kept for kept, _ in first.verdicts} == {True, False}


def test_order_of_policies_tells_which_name_is_recorded() -> None:
    stage = Stage("rest:100%,rate:9/s,attr:tenant=acme,slow:1s,errors")
    reasons: list[str] = []
    for error, seconds, attributes in itertools.product((True, False), (2, 0), ({"tenant": "acme"}, {})):
        root = stage.start("root")
        stage.clock.tick(seconds)
        root.set_attributes(attributes)
        stage.end(root, error=error)
        reasons.append(stage.verdicts[-1][1])
    assert reasons == ["error"] * 4 + ["slow"] * 2 + ["attribute-1", "rate"]


@pytest.mark.parametrize("rules", ["drop:name=health,errors,slow:1s,rest:100%", "drop:name=health,attr:name=health"])
def test_drop_rule_wins_over_everything_but_an_error(rules: str) -> None:
    stage = Stage(rules)
    stage.ids.kept = True
    stage.trace("health", seconds=5)
    assert (stage.names, stage.verdicts) == ([], [(False, "drop-1")])


@pytest.mark.parametrize(
    ("rules", "verdict"),
    [
        ("drop:name=health,errors,slow:1s", (True, "error")),
        ("drop:name=health,errors,slow:1s,drop_errors", (False, "drop-1")),
        ("drop:name=health,slow:1s", (False, "drop-1")),
    ],
)
def test_drop_rule_loses_against_an_error_unless_told(rules: str, verdict: tuple[bool, str]) -> None:
    stage = Stage(rules)
    root = stage.start("health")
    stage.clock.tick(2)
    stage.end(stage.start("child", root), error=True)
    stage.end(root)
    assert stage.verdicts == [verdict]


def test_drop_rule_asks_local_roots_only_and_waits_for_their_end() -> None:
    stage = Stage("drop:http.route=/health,slow:1s")
    root = stage.start("GET")
    stage.end(stage.start("call", root, attributes={"http.route": "/health"}))
    stage.clock.tick(2)
    stage.end(stage.start("call", root))
    assert stage.verdicts == []  # slow, but the route may still be set
    stage.end(root)
    assert stage.verdicts == [(True, "slow")]


def test_priority_zero_at_the_start_is_not_recorded() -> None:
    stage = Stage("errors,rest:100%,promote_local", sampler=RecordingSampler(ParentBased(ALWAYS_ON)))
    tracer = BridgeTracer(stage.provider, settings=Settings())
    with tracer.start_active_span("refused", tags={"sampling.priority": 0}):
        tracer.start_span("child", tags={"error": True}).finish()
    assert (stage.names, stage.held, stage.verdicts) == ([], NOTHING, [])


@pytest.mark.parametrize("sampler", [ALWAYS_ON, RecordingSampler(ALWAYS_OFF)], ids=["sampled", "promoted"])
def test_priority_zero_on_the_root_after_the_start_is_a_no(sampler: Any) -> None:
    stage = Stage("errors,rest:100%,promote_local", sampler=sampler)
    tracer = BridgeTracer(stage.provider, settings=Settings())
    root = tracer.start_span("root")
    child = tracer.start_span("child", child_of=root)
    child.finish()
    root.set_tag("sampling.priority", 0)
    root.set_tag("error", True)
    root.finish()
    assert (stage.names, stage.verdicts, stage.held) == ([], [(False, "priority")], NOTHING)


def test_priority_zero_on_a_child_leaves_it_out() -> None:
    stage = Stage("rest:100%")
    tracer = BridgeTracer(stage.provider, settings=Settings())
    root = tracer.start_span("root")
    child = tracer.start_span("child", child_of=root)
    child.set_tag("sampling.priority", 0)
    child.finish()
    root.finish()
    assert stage.exported == [("root", {POLICY: "baseline"})]


def test_priority_zero_as_attribute_of_a_native_root_is_a_no() -> None:
    stage = Stage("errors,rest:100%")
    stage.trace(attributes={"sampling.priority": 0})
    assert (stage.names, stage.verdicts) == ([], [(False, "priority")])


@pytest.mark.parametrize("when", ["start", "later"])
def test_forced_trace_is_kept(when: str) -> None:
    stage = Stage("rest:0")
    tracer = BridgeTracer(stage.provider, settings=Settings())
    root = tracer.start_span("root", tags={"sampling.priority": 1} if when == "start" else {})
    tracer.start_span("child", child_of=root).finish()
    root.set_tag("sampling.priority", 1)
    root.finish()
    assert stage.exported == [("child", {}), ("root", {POLICY: "forced"})]


def test_debug_trace_of_another_process_is_kept() -> None:
    stage = Stage("rest:0,remote=decide")
    tracer = BridgeTracer(stage.provider, settings=Settings())
    parent: Any = tracer.extract("http_headers", {"uber-trace-id": f"{TRACE_ID:x}:1:0:3"})
    tracer.start_span("root", child_of=parent).finish()
    assert stage.exported == [("root", {POLICY: "debug"})]


# -- when it is decided ------------------------------------------------------------------------------------------------


def test_keep_is_final_at_once_and_the_rest_is_streamed() -> None:
    stage = Stage("errors")
    root = stage.start("root")
    stage.end(stage.start("before", root))
    stage.end(stage.start("failed", root), error=True)
    assert stage.names == ["before", "failed"]
    stage.end(stage.start("after", root))
    assert stage.names == ["before", "failed", "after"]
    stage.end(root)
    assert stage.exported[-1] == ("root", {POLICY: "error"})
    assert (counted(), stage.held) == ({"decided.kept.error": 1}, NOTHING)


@pytest.mark.parametrize("at", ["start", "end"])
def test_elapsed_time_keeps_before_the_root_ends(at: str) -> None:
    stage = Stage("slow:1s")
    root = stage.start("root")
    child = stage.start("early", root)
    stage.clock.tick(1.5)
    if at == "start":
        stage.start("late", root)
    else:
        stage.end(child)
    assert stage.verdicts == [(True, "slow")]


def test_elapsed_time_keeps_when_the_sweeper_comes() -> None:
    stage = Stage("slow:1s")
    root = stage.start("root")
    stage.clock.tick(1.5)
    stage.tail.sweep()
    assert (stage.verdicts, root.is_recording()) == ([(True, "slow")], True)


def test_drop_waits_until_nothing_is_open() -> None:
    stage = Stage("errors")
    root = stage.start("root")
    child = stage.start("child", root)
    stage.end(root)
    assert (stage.verdicts, stage.held) == ([], {"undecided": 1, "spans": 1, "following": 0})
    stage.end(child, error=True)
    assert stage.exported == [("root", {POLICY: "error"}), ("child", {})]


def test_drop_waits_for_a_local_root() -> None:
    stage = Stage("errors")
    root = stage.start("root")
    stage.end(stage.start("child", root))
    assert (stage.verdicts, stage.held) == ([], {"undecided": 1, "spans": 1, "following": 0})
    stage.end(root)
    assert stage.held == NOTHING


def test_linger_waits_after_the_last_span() -> None:
    stage = Stage("errors,linger=2s")
    root = stage.trace("root")
    stage.clock.tick(1.5)
    stage.end(stage.start("second", root))
    stage.clock.tick(1.5)
    stage.tail.sweep()
    assert stage.verdicts == []
    stage.clock.tick(0.5)
    stage.tail.sweep()
    assert (stage.verdicts, stage.decisions[0].spans) == ([(False, "baseline")], 2)


def test_error_in_the_linger_time_keeps_the_whole_trace() -> None:
    stage = Stage("errors,linger=2s")
    root = stage.trace("root")
    stage.end(stage.start("late", root), error=True)
    assert stage.exported == [("root", {POLICY: "error"}), ("late", {})]


def test_several_local_roots_are_one_trace() -> None:
    stage = Stage("slow:1s,remote=decide")
    first = stage.start("first", remote_parent(TRACE_ID))
    second = stage.start("second", remote_parent(TRACE_ID))
    stage.end(first)
    stage.clock.tick(2)
    assert stage.verdicts == []
    stage.end(second)
    policy = {POLICY: "slow"}
    assert (stage.exported, stage.verdicts) == ([("first", policy), ("second", policy)], [(True, "slow")])


def test_service_that_calls_itself_is_not_its_own_upstream() -> None:
    stage = Stage("errors")  # remote=keep
    root = stage.start("root")
    inner = stage.start("served", remote_parent(root.get_span_context().trace_id))
    stage.end(inner)
    stage.end(root)
    assert (stage.names, stage.verdicts) == ([], [(False, "baseline")])


# -- late spans --------------------------------------------------------------------------------------------------------


def test_late_span_after_a_keep_is_exported_at_once() -> None:
    stage = Stage("errors")
    root = stage.trace(error=True)
    stage.end(stage.start("late", root))
    assert (stage.names, counted("tail.late.")) == (["root", "late"], {"kept": 1})


def test_late_span_after_a_drop_is_dropped_and_counted() -> None:
    stage = Stage("errors,slow:1s")
    root = stage.trace()
    late = stage.start("late", root)
    stage.clock.tick(9)
    stage.end(late)
    assert (stage.names, counted("tail.late.")) == ([], {"dropped": 1})


def test_late_error_after_a_drop_is_exported_alone_and_says_so() -> None:
    stage = Stage("errors")
    root = stage.trace()
    stage.end(stage.start("late", root), error=True)
    assert stage.exported == [("late", {POLICY: "error", PARTIAL: True})]
    assert counted() == {"decided.dropped.baseline": 1, "late.partial": 1, "partial": 1}


@pytest.mark.parametrize(
    "rules", ["slow:1s", "drop:name=root,errors,drop_errors"], ids=["no-errors-rule", "dropped-with-errors"]
)
def test_late_error_that_is_not_promised_is_dropped(rules: str) -> None:
    stage = Stage(rules)
    root = stage.trace()
    stage.end(stage.start("late", root), error=True)
    assert (stage.names, counted("tail.late.")) == ([], {"dropped": 1})


def test_late_error_after_priority_zero_is_dropped() -> None:
    stage = Stage("errors")
    root = stage.trace(attributes={"sampling.priority": 0})
    stage.end(stage.start("late", root), error=True)
    assert stage.names == []


def test_late_local_root_of_a_kept_trace_is_stamped() -> None:
    stage = Stage("errors,remote=decide")
    stage.trace("first", error=True, parent=remote_parent(TRACE_ID))
    stage.trace("second", parent=remote_parent(TRACE_ID))
    assert stage.exported == [("first", {POLICY: "error"}), ("second", {POLICY: "error"})]


def test_decision_is_remembered_for_as_many_traces_as_were_asked_for() -> None:
    stage = Stage("errors,decisions=3")
    roots = [stage.trace(error=True) for _ in range(5)]
    assert stage.tail.sizes()["decisions"] == 3
    for number, root in reversed(list(enumerate(roots))):
        stage.end(stage.start(f"late{number}", root))
    # Of the first two nothing is known any more: they count as new, and were not seen to fail.
    assert stage.names == ["root"] * 5 + ["late4", "late3", "late2"]


# -- bounds ------------------------------------------------------------------------------------------------------------


def test_long_trace_is_decided_by_age_with_what_is_there() -> None:
    stage = Stage("errors,max_age=30s")
    root = stage.start("root")
    stage.end(stage.start("child", root))
    stage.clock.tick(29.9)
    stage.tail.sweep()
    assert stage.verdicts == []
    stage.clock.tick(0.1)
    stage.tail.sweep()
    assert (stage.verdicts, stage.held) == ([(False, "baseline")], {"undecided": 0, "spans": 0, "following": 1})
    stage.end(stage.start("later", root))
    stage.end(root, error=True)
    assert stage.exported == [("root", {POLICY: "error", PARTIAL: True})]
    assert counted() == {
        "aged": 1, "decided.dropped.baseline": 1, "late.dropped": 1, "late.partial": 1, "partial": 1, "unfinished": 1
    }  # fmt: skip
    assert stage.held == NOTHING


def test_long_trace_that_is_kept_by_age_stays_whole() -> None:
    stage = Stage("rest:100%,max_age=1s")
    root = stage.start("root")
    stage.clock.tick(1)
    stage.tail.sweep()
    for _ in range(25):
        stage.trace("other")
    stage.end(root)
    assert stage.exported[-1] == ("root", {POLICY: "baseline"})


@pytest.mark.parametrize("kept", [True, False])
def test_giant_trace_is_decided_early_by_the_baseline(kept: bool) -> None:
    stage = Stage("rest:50%,rate:9/s,max_spans_per_trace=3")
    stage.ids.kept = kept
    root = stage.start("root")
    for number in range(5):
        stage.end(stage.start(f"child{number}", root))
    assert (stage.verdicts, counted()["oversized"]) == ([(kept, "baseline")], 1)
    stage.end(root)
    assert stage.names == (["child0", "child1", "child2", "child3", "child4", "root"] if kept else [])


def test_giant_trace_that_a_policy_wants_is_kept() -> None:
    stage = Stage("attr:tenant=acme,drop:name=never,max_spans_per_trace=2")
    root = stage.start("root", attributes={"tenant": "acme"})
    stage.end(stage.start("a", root))
    assert stage.verdicts == []
    stage.end(stage.start("b", root))
    assert stage.verdicts == [(True, "attribute-1")]


def test_under_pressure_the_oldest_undecided_trace_goes_by_the_baseline() -> None:
    stage = Stage("rest:50%,errors,max_spans=4")
    roots = []
    for number in range(3):
        stage.ids.kept = number == 0
        root = stage.start(f"root{number}")
        stage.end(stage.start(f"child{number}", root))
        roots.append(root)
    for _ in range(2):
        stage.end(stage.start("more", roots[2]))
    assert (stage.verdicts, stage.names) == ([(True, "baseline")], ["child0"])
    stage.end(stage.start("more", roots[2]))
    assert stage.verdicts == [(True, "baseline"), (False, "baseline")]
    assert (stage.held["spans"], counted()["evicted_early"]) == (4, 2)


def test_room_that_is_free_again_is_known_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage("errors,max_spans=4")
    looked: list[object] = []
    monkeypatch.setattr(stage.tail._traces, "_evict", looked.append)
    for number in range(20):
        root = stage.start("root")
        stage.end(stage.start("child", root), error=number % 2 == 0)
        stage.end(root)
    assert (looked, stage.held) == ([], NOTHING)


def test_kept_trace_is_never_evicted() -> None:
    stage = Stage("errors,max_spans=2")
    kept = stage.start("kept")
    stage.end(stage.start("failed", kept), error=True)
    others = [stage.start("other") for _ in range(4)]
    for other in others:
        stage.end(stage.start("child", other))
    stage.end(kept)
    assert stage.names == ["failed", "kept"]


def test_traces_without_an_ended_span_are_bounded_too() -> None:
    stage = Stage("rest:0,max_spans=8,decisions=8")
    roots = [stage.start("root") for _ in range(50)]
    assert stage.held["undecided"] <= 8
    assert stage.held["following"] <= 8
    assert roots


def test_forgotten_span_holds_nothing() -> None:
    stage = Stage("rest:0")
    root = stage.start("root")
    stage.end(stage.start("child", root))
    forgotten = stage.start("forgotten", root)
    stage.end(root)
    assert stage.held["undecided"] == 1
    del forgotten
    gc.collect()
    stage.clock.tick(1.5)
    stage.tail.sweep()
    assert (stage.held, stage.verdicts, counted()["unfinished"]) == (NOTHING, [(False, "baseline")], 1)


def test_forgotten_root_holds_nothing() -> None:
    stage = Stage("rest:0")
    root = stage.start("root")
    stage.end(stage.start("child", root))
    del root
    gc.collect()
    stage.clock.tick(1.5)
    stage.tail.sweep()
    assert (stage.held, stage.decisions[0].spans) == (NOTHING, 1)


def test_forgotten_span_of_a_decided_trace_holds_nothing() -> None:
    stage = Stage("errors")
    root = stage.start("root")
    stage.end(stage.start("failed", root), error=True)
    assert stage.held["following"] == 1
    del root
    gc.collect()
    stage.tail.sweep()
    assert (stage.held, counted()["unfinished"]) == (NOTHING, 1)


def test_ceiling_bounds_what_is_kept_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage("errors,max_kept=2/s")
    for _ in range(5):
        last = stage.trace(error=True)
    stage.end(stage.start("late", last), error=True)
    assert (len(stage.names), counted()["ceiling"], len(caplog.records)) == (2, 4, 1)
    assert counted("tail.decided.") == {"kept.error": 2, "dropped.ceiling": 3}


def test_ceiling_lets_debug_and_remote_choices_through() -> None:
    stage = Stage("max_kept=1/s,rest:100%")
    stage.trace()
    stage.trace(parent=remote_parent(TRACE_ID))
    tracer = BridgeTracer(stage.provider, settings=Settings())
    tracer.start_span("forced", tags={"sampling.priority": 1}, ignore_active_span=True).finish()
    assert stage.verdicts == [(True, "baseline"), (True, "remote"), (True, "forced")]


# -- what came from another process ------------------------------------------------------------------------------------


def test_sampled_remote_parent_is_kept_whole_by_default() -> None:
    stage = Stage("errors,drop:name=root")
    root = stage.start("root", remote_parent(TRACE_ID))
    stage.end(stage.start("child", root))
    assert stage.names == ["child"]
    stage.end(root)
    assert stage.exported == [("child", {}), ("root", {POLICY: "remote"})]


def test_sampled_remote_parent_is_decided_on_when_asked_for() -> None:
    stage = Stage("errors,remote=decide")
    stage.trace("fine", parent=remote_parent(TRACE_ID))
    stage.trace("failed", parent=remote_parent(TRACE_ID + 2**64), error=True)
    assert stage.exported == [("failed", {POLICY: "error"})]


def test_unsampled_remote_parent_is_not_recorded() -> None:
    stage = Stage("errors")
    stage.trace(parent=remote_parent(TRACE_ID, sampled=False), error=True)
    assert (stage.names, stage.verdicts, counted()) == ([], [], {})


@pytest.mark.parametrize("parent", [remote_parent(TRACE_ID, sampled=False), None], ids=["remote", "root"])
def test_promote_local_exports_what_the_head_sampler_did_not_choose(parent: Any) -> None:
    stage = Stage("errors,promote_local", sampler=RecordingSampler(ParentBased(ALWAYS_OFF)))
    root = stage.start("root", parent, attributes={"a": 1})
    child = stage.start("child", root)
    stage.end(child, error=True)
    stage.end(root)
    assert stage.exported == [("child", {}), ("root", {POLICY: "error", PARTIAL: True})]
    assert [int(span.context.trace_flags) & 1 for span in stage.exporter.get_finished_spans() if span.context] == [1, 1]
    # What is propagated is the head decision, also now.
    assert (root.get_span_context().trace_flags.sampled, stage.decisions[0].head_sampled) == (False, False)


def test_promoted_span_is_the_same_but_for_flag_and_stamps() -> None:
    stage = Stage("errors,promote_local", sampler=RecordingSampler(ALWAYS_OFF))
    seen = InMemorySpanExporter()
    ended: list[Any] = []
    stage.provider.add_span_processor(type("All", (SpanProcessor,), {"on_end": lambda _, span: ended.append(span)})())
    root = stage.start("root", attributes={"a": 1})
    root.add_event("happened", {"b": 2})
    stage.end(root, error=True)
    (before,), (after,) = ended, stage.exporter.get_finished_spans()
    expected = as_dict(before)
    expected["attributes"] |= {POLICY: "error", PARTIAL: True}
    expected["trace_flags"] |= 1
    assert (as_dict(after), as_dict(before)["attributes"], seen.get_finished_spans()) == (expected, {"a": 1}, ())


def test_promote_local_keeps_nothing_by_number() -> None:
    stage = Stage("rate:9/s,rest:100%,promote_local", sampler=RecordingSampler(ALWAYS_OFF))
    stage.trace()
    assert (stage.names, stage.verdicts) == ([], [(False, "head")])


def test_span_that_late_sampling_promotes_is_forced() -> None:
    stage = Stage("rest:0", sampler=ALWAYS_OFF)
    tracer = BridgeTracer(stage.provider, settings=Settings(late_sampling=True))
    tracer.start_span("not asked for").finish()
    with tracer.start_span("asked for") as span:
        span.set_tag("sampling.priority", 1)
    assert stage.exported == [("asked for", {POLICY: "forced"})]


@pytest.mark.parametrize("head_sampled", [True, False])
@pytest.mark.parametrize("kept", [True, False])
def test_decision_says_what_other_processes_have_done(head_sampled: bool, kept: bool) -> None:
    sampler = ALWAYS_ON if head_sampled else RecordingSampler(ALWAYS_OFF)
    stage = Stage("errors,promote_local", sampler=sampler)
    stage.trace(error=kept)
    (decision,) = stage.decisions
    assert (decision.head_sampled, decision.kept) == (head_sampled, kept)
    assert decision.downstream == downstream(head_sampled=head_sampled, kept=kept) == DOWNSTREAM[head_sampled, kept]
    assert f"sampled={int(head_sampled)}" in str(decision)


# -- clocks ------------------------------------------------------------------------------------------------------------


def test_clock_that_is_set_back_or_forward_changes_no_duration() -> None:
    stage = Stage("slow:1s")
    for step in (3600, -3600):
        root = stage.start("root")
        stage.clock.wall_ns += step * 10**9
        stage.clock.tick(0.5)
        root.end(
            stage.clock.wall_ns - 400_000
        )  # the time of a real span is read a little before its processors are told
    assert stage.verdicts == [(False, "baseline")] * 2


@pytest.mark.parametrize(("took_s", "kept"), [(2, True), (0.5, False), (-5, False)])
def test_times_that_the_application_gives_are_its_own(took_s: float, kept: bool) -> None:
    stage = Stage("slow:1s")
    began = 1_600_000_000 * 10**9
    span = stage.start("root", start_time=began)
    span.end(began + int(took_s * 10**9))
    assert stage.verdicts == [(kept, "slow" if kept else "baseline")]


def test_start_that_the_application_gives_counts_from_there() -> None:
    stage = Stage("slow:1s")
    span = stage.start("root", start_time=stage.clock.wall_ns - 2 * 10**9)
    stage.end(stage.start("child", span))
    assert stage.verdicts == []  # the end may be given too
    stage.end(span)
    assert stage.verdicts == [(True, "slow")]


def test_span_whose_start_was_not_seen_is_measured_by_its_own_times() -> None:
    stage = Stage("slow:1s")
    early = TracerProvider(shutdown_on_exit=False)
    span: Any = early.get_tracer("test").start_span("early", start_time=10**9)
    span.end(5 * 10**9)
    stage.tail.on_end(span._readable_span())
    assert stage.exported == [("early", {POLICY: "slow"})]


# -- processors --------------------------------------------------------------------------------------------------------


class Seen(SpanProcessor):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.raising = False

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.calls.append(("start", span.name))
        span.set_attribute("seen", True)

    def _on_ending(self, span: Any) -> None:
        self.calls.append(("ending", span.name))

    def on_end(self, span: Any) -> None:
        self.calls.append(("end", span.name))
        if self.raising:
            raise RuntimeError("no")

    def shutdown(self) -> None:
        self.calls.append(("shutdown", ""))

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        self.calls.append(("flush", str(timeout_millis)))
        return False


def test_processor_behind_is_told_of_the_start_at_once_and_of_the_end_later() -> None:
    behind = Seen()
    stage = Stage("errors", behind=behind)
    root = stage.start("root")
    stage.end(stage.start("child", root))
    assert dict(root.attributes) == {"seen": True}
    stage.end(root, error=True)
    ending = [("ending", "child"), ("ending", "root")] * hasattr(SpanProcessor, "_on_ending")  # since SDK 1.40
    assert behind.calls == [("start", "root"), ("start", "child"), *ending, ("end", "child"), ("end", "root")]


def test_processor_behind_that_fails_loses_no_other_span(caplog: pytest.LogCaptureFixture) -> None:
    behind = Seen()
    behind.raising = True
    stage = Stage("errors", behind=behind)
    root = stage.start("root")
    stage.end(stage.start("child", root))
    stage.end(root, error=True)
    assert [call for call in behind.calls if call[0] == "end"] == [("end", "child"), ("end", "root")]
    assert (counted()["failed.export"], len(caplog.records)) == (2, 1)


def test_force_flush_flushes_and_decides_nothing() -> None:
    behind = Seen()
    stage = Stage("errors", behind=behind)
    root = stage.start("root")
    assert stage.tail.force_flush(500) is False
    assert (behind.calls[-1], stage.verdicts, root.is_recording()) == (("flush", "500"), [], True)


def test_shutdown_decides_with_what_is_there_and_ends_what_is_behind() -> None:
    behind = Seen()
    stage = Stage("rest:50%", behind=behind)
    stage.ids.kept = True
    root = stage.start("root")
    stage.end(stage.start("child", root))
    stage.provider.shutdown()
    stage.provider.shutdown()
    assert behind.calls[-2:] == [("end", "child"), ("shutdown", "")]
    stage.end(root)
    stage.trace()
    assert (stage.verdicts, stage.held["undecided"], counted()["unfinished"]) == ([(True, "baseline")], 0, 1)
    assert behind.calls[-1] != ("end", "root")


def test_shutdown_within_a_time_does_not_wait_for_a_stuck_exporter() -> None:
    stuck = threading.Event()

    class Stuck(InMemorySpanExporter):
        def export(self, spans: Any) -> Any:
            stuck.wait(30)
            return super().export(spans)

    tail = TailSamplingProcessor(BatchSpanProcessor(Stuck()), "rest:100%")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(tail)
    provider.get_tracer("test").start_span("op").end()
    try:
        assert tail.shutdown_within(0.2) is False
    finally:
        stuck.set()


def test_shutdown_of_the_provider_hands_its_time_on() -> None:
    given: list[float] = []

    class Watched(TailSamplingProcessor):
        def shutdown_within(self, timeout_s: float) -> bool:
            given.append(timeout_s)
            return super().shutdown_within(timeout_s)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Watched(SpanProcessor(), "errors"))
    assert shutdown_provider(provider, 0.5)
    assert len(given) == 1
    assert 0 < given[0] <= 0.5


# -- the application's own policies ------------------------------------------------------------------------------------


def test_vote_keeps_a_trace_that_nothing_else_kept() -> None:
    stage = Stage(
        "errors", votes=[lambda spans: "busy" if len(spans) > 1 else None, lambda spans: spans[0].name == "x"]
    )
    root = stage.start("root")
    stage.end(stage.start("child", root))
    stage.end(root)
    stage.trace("x")
    stage.trace("y")
    assert stage.verdicts == [(True, "busy"), (True, "vote"), (False, "baseline")]
    assert counted("tail.decided.") == {"kept.vote": 2, "dropped.baseline": 1}


def test_vote_that_raises_is_no_vote(caplog: pytest.LogCaptureFixture) -> None:
    def broken(spans: Any) -> Any:
        raise RuntimeError("no")

    stage = Stage("rest:0", votes=[broken, lambda spans: True])
    stage.trace()
    stage.trace()
    assert (stage.verdicts, counted()["failed.vote"], len(caplog.records)) == ([(True, "vote")] * 2, 2, 1)


def test_vote_may_trace() -> None:
    stage = Stage("rest:0", votes=[lambda spans: spans[0].name == "root" and bool(stage.trace("inner"))])
    stage.trace("root")
    assert stage.verdicts == [(False, "baseline"), (True, "vote")]


@pytest.mark.parametrize("occasion", ["aged", "shutdown"])
def test_vote_is_asked_at_the_end_of_the_time(occasion: str) -> None:
    stage = Stage("rest:0,max_age=5s", votes=[lambda spans: [span.name for span in spans] == ["child"]])
    root = stage.start("root")
    stage.end(stage.start("child", root))
    stage.clock.tick(5)
    if occasion == "aged":
        stage.tail.sweep()
    else:
        stage.tail.shutdown()
    assert (stage.verdicts, root.is_recording()) == ([(True, "vote")], True)


def test_callback_that_raises_never_reaches_the_request(caplog: pytest.LogCaptureFixture) -> None:
    exporter = InMemorySpanExporter()
    tail = TailSamplingProcessor(SimpleSpanProcessor(exporter), "rest:100%", on_decision=lambda _: int("x"))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(tail)
    for _ in range(2):
        provider.get_tracer("test").start_span("op").end()
    assert (len(exporter.get_finished_spans()), counted()["failed.on_decision"], len(caplog.records)) == (2, 2, 1)


# -- one object, several threads, two libraries ------------------------------------------------------------------------


@pytest.mark.parametrize("same_trace", [False, True], ids=["another-trace", "the-same-trace"])
def test_span_that_ends_in_the_middle_of_a_decision_does_not_lock_up(same_trace: bool) -> None:
    stage = Stage("errors")
    root = stage.start("root")
    other = stage.start("other", root if same_trace else None)
    # As the garbage collector does when it finishes a generator.
    original = stage.tail._traces._verdict_of

    def verdict_of(*arguments: Any, **more: Any) -> Any:
        if other.is_recording():
            stage.end(other, error=True)
        return original(*arguments, **more)

    stage.tail._traces._verdict_of = verdict_of  # type: ignore[method-assign]
    if same_trace:
        stage.end(stage.start("failed", root), error=True)
    stage.end(root)
    assert stage.verdicts == [(True, "error")] + ([] if same_trace else [(False, "baseline")])
    assert stage.names == (["failed", "other", "root"] if same_trace else ["other"])
    assert stage.held == NOTHING


def test_threads_that_share_traces_lose_nothing_and_export_nothing_twice() -> None:
    exporter = InMemorySpanExporter()
    tail = TailSamplingProcessor(SimpleSpanProcessor(exporter), "errors,rest:50%")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(tail)
    tracer = provider.get_tracer("test")
    kept = set()
    ids = iter(range(10**6))

    def run() -> None:
        for _ in range(150):
            root = tracer.start_span(f"root{next(ids)}", context=trace.Context())
            above = trace.set_span_in_context(root)
            threads = [threading.Thread(target=children, args=(above,)) for _ in range(2)]
            for thread in threads:
                thread.start()
            root.end()
            for thread in threads:
                thread.join()

    def children(above: Any) -> None:
        for number in range(3):
            span = tracer.start_span(f"child{next(ids)}", context=above)
            if number == 1 and span.get_span_context().trace_id % 2:
                span.set_status(StatusCode.ERROR)
                kept.add(span.get_span_context().span_id)
            span.end()

    workers = [threading.Thread(target=run) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    exported = [span.context.span_id for span in exporter.get_finished_spans() if span.context is not None]
    assert len(exported) == len(set(exported))
    assert kept - set(exported) == set()
    tail.sweep()
    held = tail.sizes()
    assert (held["undecided"], held["spans"], held["following"]) == (0, 0, 0)


def test_native_and_bridge_spans_are_one_trace() -> None:
    stage = Stage("errors")
    tracer = BridgeTracer(stage.provider, settings=Settings())
    with tracer.start_active_span("bridge"):
        native = stage.tracer.start_span("native")
        native.set_status(StatusCode.ERROR)
        native.end()
    assert stage.exported == [("native", {}), ("bridge", {POLICY: "error"})]


def test_gauge_shows_what_is_held() -> None:
    stage = Stage("errors")
    root = stage.start("root")
    stage.end(stage.start("child", root))
    assert telemetry.gauges() == {"tail.buffered": 1}
    stage.end(root)
    assert telemetry.gauges() == {"tail.buffered": 0}


def test_processor_that_nobody_has_any_more_is_gone() -> None:
    stage = Stage("errors")
    assert "tail.buffered" in telemetry.gauges()
    del stage
    gc.collect()
    assert telemetry.gauges() == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((object(), "errors"), "cannot use next_processor: got <object"),
        ((SpanProcessor(), "erors"), "cannot use rules: got 'erors' .*did you mean 'errors'"),
        ((SpanProcessor(), 7), "cannot use rules: got 7"),
    ],
)
def test_bad_argument_is_refused_by_name(arguments: tuple[Any, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TailSamplingProcessor(*arguments)


@pytest.mark.parametrize("name", ["votes", "on_decision"])
def test_bad_callback_is_refused_by_name(name: str) -> None:
    wrong: Any = {name: [7]}
    with pytest.raises(ConfigError, match=f"cannot use {name}: got "):
        TailSamplingProcessor(SpanProcessor(), "errors", **wrong)


def test_thread_that_cannot_start_is_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def start(_: Any) -> None:
        raise RuntimeError("can't start new thread")

    behind = Seen()
    tail = TailSamplingProcessor(behind, "errors")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(tail)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        provider.get_tracer("test").start_span("op")
    assert (behind.calls, [record.levelno for record in caplog.records]) == ([("start", "op")], [logging.WARNING])
