"""The drop-in's samplers, throttler and rate limiter: decisions, words and equality as in jaeger-client."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased

from agents import agent, answering, eventually, json_of
from jaeger_pairs import BOTH, NEW, OLD, module, needs_the_real_one, tags_of, tracer_of
from ot_bridge import telemetry
from ot_bridge.errors import ConfigError
from ot_bridge.jaeger_client import ConstSampler, ProbabilisticSampler, RateLimitingSampler, RemoteControlledSampler
from ot_bridge.jaeger_client.local_agent_net import LocalAgentHTTP, LocalAgentSender
from ot_bridge.jaeger_client.metrics import MetricsFactory
from ot_bridge.jaeger_client.rate_limiter import RateLimiter
from ot_bridge.jaeger_client.sampler import (
    AdaptiveSampler,
    GuaranteedThroughputProbabilisticSampler,
    OtelSampler,
    Sampler,
    get_rate_limit,
    get_sampling_probability,
)
from ot_bridge.jaeger_client.throttler import RemoteThrottler, Throttler
from ot_bridge.jaeger_client.utils import ErrorReporter, get_boolean, get_local_ip_by_socket, local_ip

VECTORS = json.loads((Path(__file__).parent / "vectors" / "sampling.json").read_text(encoding="utf-8"))

RATES = st.floats(0, 1)
TRACE_IDS = st.integers(1, 2**128 - 1)
OPERATIONS = st.sampled_from(["GET /", "pay", ""])
STRATEGIES = st.fixed_dictionaries(
    {},
    optional={
        "defaultSamplingProbability": RATES,
        "defaultLowerBoundTracesPerSecond": st.floats(0, 100),
        "perOperationStrategies": st.lists(
            st.fixed_dictionaries(
                {"operation": OPERATIONS},
                optional={"probabilisticSampling": st.fixed_dictionaries({}, optional={"samplingRate": RATES})},
            ),
            max_size=3,
        ),
    },
)


class Counted(MetricsFactory):
    """Keeps every number by name and tags."""

    def __init__(self) -> None:
        self.numbers: dict[str, float] = {}

    def _key(self, name: str, tags: Any) -> str:
        return ".".join([name, *(f"{key}={(tags or {})[key]}" for key in sorted(tags or {}))])

    def create_counter(self, name: str, tags: Any = None) -> Any:
        key = self._key(name, tags)

        def add(value: float) -> None:
            self.numbers[key] = self.numbers.get(key, 0) + value

        return add

    def create_gauge(self, name: str, tags: Any = None) -> Any:
        key = self._key(name, tags)
        return lambda value: self.numbers.__setitem__(key, value)


def answer(sampler: Any, trace_id: int, operation: str = "") -> tuple[bool, dict[str, Any]]:
    sampled, tags = sampler.is_sampled(trace_id, operation)
    return sampled, dict(tags)


def made(base: str, name: str, *arguments: Any) -> Any:
    return getattr(module(base, "sampler"), name)(*arguments)


# -- decisions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", VECTORS["sampled"])
def test_every_vector_is_decided_as_by_jaeger_client(rate: str) -> None:
    sampler = ProbabilisticSampler(float(rate))
    ids = [int(text, 16) for text in VECTORS["trace_id_low64"]]
    decided = [sampler.is_sampled(trace_id)[0] for trace_id in ids]
    assert decided == [bool(int(one)) for one in VECTORS["sampled"][rate]]


@needs_the_real_one
@given(rate=RATES, trace_id=TRACE_IDS)
def test_probabilistic_decides_tags_and_shows_itself_as_in_jaeger_client(rate: float, trace_id: int) -> None:
    theirs, ours = (made(base, "ProbabilisticSampler", rate) for base in BOTH)
    assert (answer(ours, trace_id), str(ours)) == (answer(theirs, trace_id), str(theirs))
    assert (ours.rate, ours.boundary, ours.max_number) == (theirs.rate, theirs.boundary, theirs.max_number)


@needs_the_real_one
@given(decision=st.booleans(), trace_id=TRACE_IDS)
def test_const_decides_tags_and_shows_itself_as_in_jaeger_client(decision: bool, trace_id: int) -> None:
    theirs, ours = (made(base, "ConstSampler", decision) for base in BOTH)
    assert (answer(ours, trace_id), str(ours), ours.decision) == (answer(theirs, trace_id), str(theirs), decision)


@needs_the_real_one
@given(rate=st.floats(0, 1000))
def test_ratelimiting_tags_and_shows_itself_as_in_jaeger_client(rate: float) -> None:
    theirs, ours = (made(base, "RateLimitingSampler", rate) for base in BOTH)
    assert (answer(ours, 1)[1], str(ours), ours.traces_per_second) == (answer(theirs, 1)[1], str(theirs), rate)
    assert (ours.update(rate), theirs.update(rate)) == (False, False)
    assert (ours.update(rate + 1), str(ours)) == (theirs.update(rate + 1), str(theirs))


def test_ratelimiting_lets_no_more_through_than_its_rate() -> None:
    sampler = RateLimitingSampler(2)
    assert sum(sampler.is_sampled(1)[0] for _ in range(1000)) <= 3


@needs_the_real_one
@given(rate=RATES, trace_id=TRACE_IDS, bound=st.sampled_from([0, 0.5, 100]))
def test_guaranteed_throughput_is_as_in_jaeger_client(rate: float, trace_id: int, bound: float) -> None:
    theirs, ours = (made(base, "GuaranteedThroughputProbabilisticSampler", "op", bound, rate) for base in BOTH)
    expected, found = answer(theirs, trace_id, "op"), answer(ours, trace_id, "op")
    if expected[1]["sampler.type"] == "probabilistic" or bound == 0:
        assert found == expected
    else:  # the lower bound begins at random
        assert found[1] == expected[1]
    assert str(ours) == str(theirs)
    for one in (theirs, ours):
        one.update(1, 0.25)
    assert (str(ours), ours.rate, ours.lower_bound) == (str(theirs), theirs.rate, theirs.lower_bound)


@needs_the_real_one
@given(strategies=STRATEGIES, more=STRATEGIES, trace_id=TRACE_IDS, operation=OPERATIONS, most=st.integers(0, 3))
def test_adaptive_is_as_in_jaeger_client(
    strategies: dict[str, Any], more: dict[str, Any], trace_id: int, operation: str, most: int
) -> None:
    theirs, ours = (made(base, "AdaptiveSampler", strategies, most) for base in BOTH)
    for step in (strategies, more):
        if step is more:
            theirs.update(more)
            ours.update(more)
            if len(theirs.samplers) > most:
                return  # here the oldest are forgotten, there they are kept
        expected, found = answer(theirs, trace_id, operation), answer(ours, trace_id, operation)
        assert found[1] == expected[1]
        if expected[1]["sampler.type"] == "probabilistic":
            assert found[0] == expected[0]
        assert str(ours) == str(theirs)
        assert ours.default_sampling_probability == theirs.default_sampling_probability
        assert ours.lower_bound == theirs.lower_bound


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan"), "x"])
def test_rate_out_of_range_is_refused(rate: Any) -> None:
    # jaeger-client has an assert there.
    with pytest.raises(ConfigError, match="cannot use rate: got"):
        ProbabilisticSampler(rate)


def test_negative_rate_limit_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot use max_traces_per_second: got -1"):
        RateLimitingSampler(-1)


PAIRS = {
    "const": ("ConstSampler", (True,), (False,)),
    "probabilistic": ("ProbabilisticSampler", (0.5,), (0.25,)),
    "ratelimiting": ("RateLimitingSampler", (1,), (2,)),
}


@needs_the_real_one
@pytest.mark.parametrize("kind", PAIRS)
def test_samplers_are_equal_as_in_jaeger_client(kind: str) -> None:
    name, same, other = PAIRS[kind]
    for base in BOTH:
        one = made(base, name, *same)
        assert (one == made(base, name, *same), one == made(base, name, *other), one == 5) == (True, False, False)
        assert (one != made(base, name, *same)) is False


@needs_the_real_one
@pytest.mark.parametrize(
    "strategy",
    [
        None,
        {},
        {"probabilisticSampling": {"samplingRate": 0.5}, "rateLimitingSampling": {"maxTracesPerSecond": 7}},
        {"probabilisticSampling": {}, "rateLimitingSampling": None},
    ],
    ids=str,
)
def test_numbers_of_a_strategy_are_read_as_in_jaeger_client(strategy: Any) -> None:
    theirs = module(OLD, "sampler")
    assert get_sampling_probability(strategy) == theirs.get_sampling_probability(strategy)
    assert get_rate_limit(strategy) == theirs.get_rate_limit(strategy)


# -- samplers of an application's own ----------------------------------------------------------------------------------


class Own(Sampler):
    def __init__(self, decision: Any, tags: Any) -> None:
        super().__init__(tags)
        self.decision = decision
        self.asked: list[tuple[int, str]] = []
        self.closed = 0

    def is_sampled(self, trace_id: int, operation: str = "") -> tuple[bool, Any]:
        self.asked.append((trace_id, operation))
        return self.decision, self._tags

    def close(self) -> None:
        self.closed += 1


def test_own_sampler_is_asked_about_roots_alone_and_closed() -> None:
    sampler = Own(True, {"mine": 1, 2: object})
    of = tracer_of(NEW, sampler)
    root = of.start_span("root")
    of.start_span("child", child_of=root)
    assert sampler.asked == [(root.trace_id, "root")]
    assert dict(root.attributes) == {"mine": 1, "2": "object"}
    of.close()
    assert sampler.closed == 1


def test_own_sampler_that_derives_from_a_built_in_one_may_tag_as_it_likes() -> None:
    class Odd(ConstSampler):
        def is_sampled(self, trace_id: int, operation: str = "") -> tuple[bool, Any]:
            return True, {3: ValueError("v")}

    assert dict(tracer_of(NEW, Odd(True)).start_span("op").attributes) == {"3": "v"}


def test_sampler_can_be_swapped_at_run_time() -> None:
    of = tracer_of(NEW, True)
    of.sampler = ConstSampler(False)
    assert of.start_span("op").is_sampled() is False
    of.sampler = ConstSampler(True)
    assert of.start_span("op").is_sampled() is True


@pytest.mark.parametrize("broken", [RuntimeError("no"), None, (1,)], ids=["raises", "returns None", "returns one"])
def test_own_sampler_that_fails_samples_nothing_and_says_so_once(broken: Any, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Sampler):
        def is_sampled(self, trace_id: int, operation: str = "") -> Any:
            if isinstance(broken, Exception):
                raise broken
            return broken

    of = tracer_of(NEW, Broken())
    assert [of.start_span("op").is_sampled() for _ in range(2)] == [False, False]
    assert [record.getMessage() for record in caplog.records] == ["the sampler failed; the trace is not sampled"]
    of.close()
    assert telemetry.snapshot() == {"dropin.close_failed": 1, "dropin.sampler": 2}


def test_abstract_sampler_and_throttler_say_what_is_missing() -> None:
    for call in (lambda: Sampler().is_sampled(1), Sampler().close, lambda: Throttler().is_allowed("op")):
        with pytest.raises(NotImplementedError):
            call()


# -- the agent ---------------------------------------------------------------------------------------------------------


def channel_of(url: str) -> LocalAgentSender:
    port = int(url.rpartition(":")[2])
    return LocalAgentSender("127.0.0.1", port, 6831, throttling_port=port)


def test_remote_sampler_asks_the_agent_and_its_metrics_arrive() -> None:
    numbers = Counted()
    with agent(json_of(strategyType="PROBABILISTIC", probabilisticSampling={"samplingRate": 1})) as there:
        sampler = RemoteControlledSampler(
            channel_of(there.url), "svc", metrics_factory=numbers, sampling_refresh_interval=60, max_operations=5
        )
        assert eventually(lambda: sampler.is_sampled(1)[1]["sampler.param"] == 1)
        assert eventually(lambda: numbers.numbers)
        assert (sampler.is_sampled(2**64 - 1), there.asked[0].path, there.asked[0].query) == (
            (True, {"sampler.type": "probabilistic", "sampler.param": 1}),
            "/sampling",
            [("service", "svc")],
        )
        assert eventually(lambda: len(numbers.numbers) == 2)
        sampler.close()
    assert numbers.numbers == {"jaeger:sampler_queries.result=ok": 1, "jaeger:sampler_updates.result=ok": 1}
    assert (str(sampler), sampler.max_operations) == ("RemoteControlledSampler(Probabilistic(rate=1))", 5)


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (answering(500), {"jaeger:sampler_queries.result=err": 1}),
        (answering(200, "no json"), {"jaeger:sampler_queries.result=err": 1}),
        (json_of(a=1), {"jaeger:sampler_queries.result=ok": 1, "jaeger:sampler_updates.result=err": 1}),
    ],
    ids=["status", "no json", "no strategy"],
)
def test_remote_sampler_that_gets_no_answer_goes_on_and_its_metrics_arrive(behaviour: Any, expected: Any) -> None:
    numbers = Counted()
    initial = Own(True, {"mine": 1})
    with agent(behaviour) as there:
        sampler = RemoteControlledSampler(channel_of(there.url), "svc", metrics_factory=numbers, init_sampler=initial)
        assert eventually(lambda: len(numbers.numbers) == len(expected))
        assert (sampler.is_sampled(1), sampler.sampler) == ((True, {"mine": 1}), initial)
        sampler.close()
    assert (numbers.numbers, initial.closed) == (expected, 1)


def test_remote_sampler_begins_with_one_in_a_thousand() -> None:
    with agent(answering(500)) as there:
        sampler = RemoteControlledSampler(channel_of(there.url), "svc")
        assert sampler.is_sampled(1) == (True, {"sampler.type": "probabilistic", "sampler.param": 0.001})
        assert sampler.is_sampled(2**63)[0] is False
        sampler.close()


def test_throttler_asks_the_agent_and_its_metrics_arrive() -> None:
    numbers = Counted()
    with agent(json_of(balances=[{"operation": "op", "balance": 1}])) as there:
        throttler = RemoteThrottler(channel_of(there.url), "svc", metrics_factory=numbers, refresh_interval=1)
        throttler.set_client_id(5)
        throttler.set_client_id(6)
        assert throttler.is_allowed("op") is False
        assert eventually(lambda: "jaeger:throttler_update.result=ok" in numbers.numbers)
        assert throttler.is_allowed("op") is True
        assert (there.asked[0].path, sorted(there.asked[0].query)) == (
            "/credits",
            [("operations", "op"), ("service", "svc"), ("uuid", "5")],
        )
        throttler.close()
    assert numbers.numbers["jaeger:throttled_debug_spans"] == 1
    assert throttler.client_id == 5


def test_throttler_without_an_agent_allows_nothing_and_its_metrics_arrive() -> None:
    numbers = Counted()
    with agent(answering(500)) as there:
        throttler = RemoteThrottler(channel_of(there.url), "svc", metrics_factory=numbers)
        assert throttler.is_allowed("op") is False
        assert eventually(lambda: len(numbers.numbers) == 2)
        throttler.close()
    assert numbers.numbers == {"jaeger:throttled_debug_spans": 1, "jaeger:throttler_update.result=err": 1}


def test_throttler_that_fails_forces_nothing_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Throttler):
        def is_allowed(self, operation: str) -> bool:
            raise RuntimeError("no")

    of = tracer_of(NEW, throttler=Broken())
    span = of.start_span("op", tags={"sampling.priority": 1})
    span.set_tag("sampling.priority", 1)
    assert (span.flags, of.is_debug_allowed("op")) == (1, False)
    assert [record.getMessage() for record in caplog.records] == ["the throttler failed; the trace is not forced"]
    assert telemetry.snapshot() == {"dropin.throttler": 3}


@needs_the_real_one
def test_throttler_is_told_who_the_client_is_as_in_jaeger_client() -> None:
    class Asked(Throttler):
        def __init__(self) -> None:
            self.ids: list[int] = []

        def set_client_id(self, client_id: int) -> None:
            self.ids.append(client_id)

        def is_allowed(self, operation: str) -> bool:
            return operation == "yes"

    for base in BOTH:
        throttler = Asked()
        of = tracer_of(base, throttler=throttler)
        assert (len(throttler.ids), of.tags["client-uuid"]) == (1, throttler.ids[0])
        debug = module(base, "span_context").SpanContext.with_debug_id("why")
        assert [of.start_span(name, child_of=debug).is_debug() for name in ("yes", "no")] == [True, False]


def test_agent_can_be_asked_by_hand() -> None:
    with agent(answering(200, "{}")) as there:
        channel = channel_of(there.url)
        strategy = channel.request_sampling_strategy("a b")
        credits_left = channel.request_throttling_credits("svc", 5, ["x", "y"])
        assert (strategy.result(30).body, credits_left.result(30).body) == (b"{}", b"{}")
        there.answers(404)
        refused = LocalAgentHTTP("127.0.0.1", channel.sampling_port).request_sampling_strategy("svc", timeout=5)
        assert "status 404" in str(refused.exception(30))
    assert min((one.path, one.query) for one in there.asked) == (
        "/credits",
        [("service", "svc"), ("uuid", "5"), ("operations", "x"), ("operations", "y")],
    )
    assert not hasattr(LocalAgentSender("h", 1, 2), "throttling_http")


# -- small things ------------------------------------------------------------------------------------------------------


def test_rate_limiter_pays_and_fills_with_time() -> None:
    class Timed(RateLimiter):
        now_s = 0.0

        def timestamp(self) -> float:  # type: ignore[override]
            return self.now_s

    limiter = Timed(2, 4)
    limiter.now_s += 10
    assert [limiter.check_credit(1.5) for _ in range(3)] == [True, True, False]
    assert (limiter.balance, limiter.last_tick) == (1.0, 10.0)
    limiter.update(1, 8)
    assert (limiter.balance, limiter.credits_per_second, limiter.max_balance) == (2.0, 1, 8)
    limiter.now_s += 3
    assert [limiter.check_credit(5), limiter.check_credit(0.5)] == [True, False]


def test_rate_limiter_has_a_clock_that_only_grows() -> None:
    first = RateLimiter.timestamp()
    assert RateLimiter.timestamp() >= first


@needs_the_real_one
@given(value=st.sampled_from(["true", "TRUE", "1", 1, "false", "0", None, "none", "x", "", 2, True, False, 0.0]))
@pytest.mark.parametrize("default", [True, False])
def test_boolean_is_read_as_in_jaeger_client(value: Any, default: bool) -> None:
    assert get_boolean(value, default) == module(OLD, "utils").get_boolean(value, default)


def test_local_ip_is_an_address_or_nothing() -> None:
    found = local_ip()
    assert found is None or len(found.split(".")) == 4
    assert get_local_ip_by_socket() == found


def test_error_reporter_is_silent_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("jaeger_tracing")
    reporter = ErrorReporter(None, logger, log_interval_minutes=1)
    for number in range(3):
        reporter.error("failed: %s", number)
    ErrorReporter(None).error("nowhere")
    eager = ErrorReporter(None, logger, log_interval_minutes=0)
    eager.error("a")
    eager.error("b")
    assert [record.getMessage() for record in caplog.records] == ["failed: 0", "a", "b"]


def test_sampler_tags_are_on_roots_that_it_chose() -> None:
    of = tracer_of(NEW, GuaranteedThroughputProbabilisticSampler("op", 0, 1.0))
    root = of.start_span("op")
    assert [tag[::2] for tag in tags_of(root)] == [("sampler.type", "probabilistic"), ("sampler.param", 1.0)]
    assert tags_of(of.start_span("op", child_of=root)) == []


def test_adaptive_sampler_has_room_for_two_thousand_operations() -> None:
    assert (AdaptiveSampler({}).max_operations, ProbabilisticSampler(1).rate) == (2000, 1)


def test_sampler_of_opentelemetry_is_asked_by_jaegers_name_and_closed() -> None:
    class Native(ParentBased):
        closed = 0

        def close(self) -> None:
            Native.closed += 1

    native = OtelSampler(Native(ALWAYS_ON))
    of = tracer_of(NEW, native)
    assert (of.start_span("op").is_sampled(), str(native)) == (True, Native(ALWAYS_ON).get_description())
    assert of._provider.sampler.get_description() == f"jaeger_client({native})"
    of.close()
    OtelSampler(ALWAYS_ON).close()
    assert Native.closed == 1
