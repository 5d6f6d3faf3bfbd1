"""Remote sampling against an agent on loopback: what it answers, how it fails, and that nobody waits for it."""

from __future__ import annotations

import gc
import json
import logging
import math
import os
import subprocess
import sys
import textwrap
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import context as otel_context

from agents import Agent, agent, answering, drips, eventually, json_of, resets, sends, stays_silent
from collectors import BAD_COLLECTORS
from ot_bridge import telemetry
from ot_bridge.sampling import Const, Decider, PerOperation, Probabilistic, RateLimiting, polling, strategy
from ot_bridge.sampling.polling import AnswerError, Poller, fetch
from ot_bridge.sampling.remote import Remote
from ot_bridge.sampling.strategy import read_strategy
from ot_bridge.version import __version__

GOOD = {"strategyType": "PROBABILISTIC", "probabilisticSampling": {"samplingRate": 0.42}}
PER_OPERATION = {
    "defaultSamplingProbability": 0.42,
    "defaultLowerBoundTracesPerSecond": 2,
    "perOperationStrategies": [{"operation": "foo", "probabilisticSampling": {"samplingRate": 0.25}}],
    "defaultUpperBoundTracesPerSecond": 11.2,
}
LIMIT_S = 60


def asking(running: Agent, service_name: str = "shop", **options: Any) -> Remote:
    """Return a sampler that asks when it is told to."""
    return Remote(f"{running.url}/sampling", service_name, background=False, **options)


def outcomes() -> dict[str, int]:
    return {name.removeprefix("sampler.remote."): number for name, number in telemetry.snapshot().items()}


# -- the question ------------------------------------------------------------------------------------------------------


def test_question_is_what_agents_expect() -> None:
    with agent(json_of(**GOOD)) as running:
        asking(running).poll()
        (asked,) = running.asked
    assert (asked.target, asked.headers) == (
        "/sampling?service=shop",
        {
            "host": running.url.removeprefix("http://"),
            "accept": "application/json",
            "accept-encoding": "identity",
            "connection": "close",
            "user-agent": f"ot_bridge/{__version__}",
        },
    )


@pytest.mark.parametrize(
    ("name", "arrives"),
    [
        ("a b&service=c", "a b&service=c"),
        ("caf\xe9/#?%+", "caf\xe9/#?%+"),
        ("\r\nx: y", "\r\nx: y"),
        ("lone \ud800", "lone ?"),
        ("", ""),
    ],
    ids=["query", "marks", "line-feed", "surrogate", "empty"],
)
def test_any_service_name_arrives_as_one_parameter(name: str, arrives: str) -> None:
    with agent(json_of(**GOOD)) as running:
        asking(running, name).poll()
    assert [asked.query for asked in running.asked] == [[("service", arrives)]]


def test_query_of_the_endpoint_is_kept() -> None:
    with agent(json_of(**GOOD)) as running:
        Remote(f"{running.url}/x?tenant=a", "shop", background=False).poll()
    assert [asked.target for asked in running.asked] == ["/x?tenant=a&service=shop"]


def test_asking_makes_no_spans_of_instrumentations(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    request = polling.HTTPConnection.request

    def watched(connection: Any, *arguments: Any, **options: Any) -> None:
        keys = ("suppress_instrumentation", otel_context._SUPPRESS_INSTRUMENTATION_KEY)
        seen.append([otel_context.get_value(key) for key in keys])
        request(connection, *arguments, **options)

    monkeypatch.setattr(polling.HTTPConnection, "request", watched)
    with agent(json_of(**GOOD)) as running:
        asking(running).poll()
    assert (seen, otel_context.get_current()) == ([[True, True]], {})


# -- good answers ------------------------------------------------------------------------------------------------------

ANSWERS: list[tuple[str, dict[str, Any], Decider]] = [
    ("probabilistic", GOOD, Probabilistic(0.42)),
    ("type-as-number", {**GOOD, "strategyType": 0}, Probabilistic(0.42)),
    ("type-absent", {"probabilisticSampling": {"samplingRate": 0.42}}, Probabilistic(0.42)),
    ("type-contradicts", {**GOOD, "strategyType": "RATE_LIMITING"}, Probabilistic(0.42)),
    ("type-unreadable", {**GOOD, "strategyType": [None]}, Probabilistic(0.42)),
    ("rate-0", {"probabilisticSampling": {"samplingRate": 0}}, Probabilistic(0)),
    ("rate-1", {"probabilisticSampling": {"samplingRate": 1}}, Probabilistic(1)),
    ("proto3-zero", {"probabilisticSampling": {}}, Probabilistic(0)),
    ("rate-limiting", {"strategyType": 1, "rateLimitingSampling": {"maxTracesPerSecond": 42}}, RateLimiting(42)),
    ("rate-limiting-float", {"rateLimitingSampling": {"maxTracesPerSecond": 2.5}}, RateLimiting(2.5)),
    ("rate-limiting-0", {"rateLimitingSampling": {"maxTracesPerSecond": 0}}, RateLimiting(0)),
    ("below-500", {"rateLimitingSampling": {"maxTracesPerSecond": 499.99999}}, RateLimiting(499.99999)),
    ("nulls", {**GOOD, "rateLimitingSampling": None, "operationSampling": None}, Probabilistic(0.42)),
    ("empty-operations", {**GOOD, "operationSampling": {}}, Probabilistic(0.42)),
    ("per-operation", {"operationSampling": PER_OPERATION}, PerOperation(0.42, 2, {"foo": 0.25})),
    ("operations-first", {**GOOD, "operationSampling": PER_OPERATION}, PerOperation(0.42, 2, {"foo": 0.25})),
    ("no-operations", {"operationSampling": {"defaultSamplingProbability": 0.5}}, PerOperation(0.5, 0)),
    (
        "operations-null",
        {"operationSampling": {"defaultLowerBoundTracesPerSecond": 1, "perOperationStrategies": None}},
        PerOperation(0, 1),
    ),
    (
        "operation-without-name",
        {"operationSampling": {"perOperationStrategies": [{"probabilisticSampling": {"samplingRate": 1}}]}},
        PerOperation(0, 0, {"": 1}),
    ),
]


@pytest.mark.parametrize(("answer", "expected"), [case[1:] for case in ANSWERS], ids=[case[0] for case in ANSWERS])
def test_answer_is_taken(answer: dict[str, Any], expected: Decider) -> None:
    with agent(json_of(**answer)) as running:
        remote = asking(running)
        remote.poll()
    assert (remote.current, outcomes()) == (expected, {"ok": 1})


def test_before_the_first_answer_1_in_1000_is_sampled() -> None:
    remote = Remote("http://127.0.0.1:1/sampling", "shop", background=False)
    tags = {"sampler.type": "probabilistic", "sampler.param": 0.001}
    edge = math.ceil(0.001 * 2**64)
    assert [remote.decide(trace_id, "op") for trace_id in (edge - 1, edge)] == [(True, tags), (False, tags)]


def test_lower_bound_of_the_answer_holds() -> None:
    with agent(json_of(operationSampling={**PER_OPERATION, "defaultSamplingProbability": 0})) as running:
        remote = asking(running)
        remote.poll()
    highest = 2**64 - 1
    found = {remote.decide(highest, "bar")[1]["sampler.type"] for _ in range(3)}
    assert (found, remote.decide(1, "foo")) == (
        {"lowerbound"},
        (True, {"sampler.type": "probabilistic", "sampler.param": 0.25}),
    )


def test_max_operations_bounds_what_an_answer_starts() -> None:
    with agent(json_of(operationSampling={**PER_OPERATION, "perOperationStrategies": []})) as running:
        remote = asking(running, max_operations=1)
        remote.poll()
    for name in ("first", "second"):
        remote.decide(1, name)
    assert repr(remote.current) == "PerOperation(default_rate=0.42, lower_bound=2, max_operations=1, 1 known)"


def test_same_kind_of_strategy_goes_on_with_what_it_counted() -> None:
    with agent(json_of(rateLimitingSampling={"maxTracesPerSecond": 2})) as running:
        remote = asking(running)
        kept = []
        for answer in (
            {"rateLimitingSampling": {"maxTracesPerSecond": 2}},
            {"rateLimitingSampling": {"maxTracesPerSecond": 3}},
            {"operationSampling": PER_OPERATION},
            {"operationSampling": {"defaultSamplingProbability": 0.5}},
        ):
            running.behaviour = json_of(**answer)
            remote.poll()
            kept.append(remote.current)
    assert (kept[0] is kept[1], kept[1] is kept[2], kept[2] is kept[3]) == (True, False, True)
    updated = PerOperation(0.42, 2, {"foo": 0.25})
    updated.update(0.5, 0, {})
    assert kept[1:4:2] == [RateLimiting(3), updated]


# -- bad answers -------------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
BODY = json.dumps(GOOD)


def of(value: Any, kind: str = "probabilisticSampling", name: str = "samplingRate") -> Any:
    return answering(200, json.dumps({kind: {name: value}}))


def limiting(value: Any) -> Any:
    return of(value, "rateLimitingSampling", "maxTracesPerSecond")


def operations(**changed: Any) -> Any:
    return json_of(operationSampling={**PER_OPERATION, **changed})


BAD_ANSWERS = {
    "500": (answering(500, BODY), "status"),
    "404": (answering(404, BODY), "status"),
    "204": (answering(204), "status"),
    "redirect": (answering(302, BODY, location="/elsewhere"), "status"),
    "gzip": (answering(200, BODY, content_encoding="gzip"), "encoding"),
    "not-http": (sends(b"SSH-2.0-OpenSSH\r\n"), "broken"),
    "closes-at-once": (sends(b""), "broken"),
    "resets": (resets, "broken"),
    "half-of-the-headers": (sends(HEAD), "json"),  # the standard library takes it for a whole answer without a body
    "half-of-the-body": (sends(HEAD + b"content-length: 100\r\n\r\n" + BODY.encode()), "broken"),
    "half-of-a-chunk": (sends(HEAD + b"transfer-encoding: chunked\r\n\r\nff\r\n{"), "broken"),
    "endless-header": (sends(HEAD + b"x: " + b"y" * 200_000), "broken"),
    "no-headers": (stays_silent, "timeout"),
    "slow-headers": (drips(HEAD, b"x: y\r\n"), "timeout"),
    "slow-header": (drips(HEAD + b"x: ", b"y"), "timeout"),
    "slow-body": (drips(HEAD + b"content-length: 100000\r\n\r\n", b" "), "timeout"),
    "slow-chunks": (drips(HEAD + b"transfer-encoding: chunked\r\n\r\n", b"1\r\n \r\n"), "timeout"),
    "huge-body": (answering(200, " " * (polling.BODY_LIMIT + 1)), "size"),
    "huge-without-length": (sends(HEAD + b"\r\n" + b" " * (polling.BODY_LIMIT + 70_000)), "size"),
    "says-it-is-huge": (sends(HEAD + b"content-length: 99999999999\r\n\r\n"), "size"),
    "truncated": (answering(200, BODY[:-1]), "json"),
    "empty": (answering(200, ""), "json"),
    "html": (answering(200, "<html>"), "json"),
    "not-utf-8": (answering(200, b'{"\xff\xff": 1}'), "json"),
    "deep": (answering(200, "[" * 100_000), "json"),
    "list": (answering(200, "[]"), "shape"),
    "null": (answering(200, "null"), "shape"),
    "nothing-in-it": (json_of(), "shape"),
    "type-only": (json_of(strategyType="PROBABILISTIC"), "shape"),
    "object-is-a-list": (json_of(probabilisticSampling=[1]), "shape"),
    "misspelt-rate": (json_of(probabilisticSampling={"sampling_rate": 1}), "shape"),
    "misspelt-limit": (json_of(rateLimitingSampling={"max": 1}), "shape"),
    "misspelt-operations": (json_of(operationSampling={"default": 1}), "shape"),
    "operations-is-a-number": (json_of(operationSampling=1), "shape"),
    "operations-is-a-dict": (operations(perOperationStrategies={}), "shape"),
    "operation-is-a-text": (operations(perOperationStrategies=["foo"]), "shape"),
    "operation-name-is-a-number": (operations(perOperationStrategies=[{"operation": 1}]), "shape"),
    "operation-without-rate": (operations(perOperationStrategies=[{"operation": "foo"}]), "shape"),
    "rate-nan": (of(math.nan), "values"),
    "rate-infinite": (of(math.inf), "values"),
    "rate-1e400": (answering(200, '{"probabilisticSampling": {"samplingRate": 1e400}}'), "values"),
    "rate-negative": (of(-0.001), "values"),
    "rate-above-1": (of(1.001), "values"),
    "rate-text": (of("0.5"), "values"),
    "rate-bool": (of(True), "values"),
    "rate-null": (of(None), "values"),
    "rate-list": (of([0.5]), "values"),
    "limit-500": (limiting(500), "values"),
    "limit-negative": (limiting(-1), "values"),
    "limit-nan": (limiting(math.nan), "values"),
    "limit-bool": (limiting(True), "values"),
    "limit-googol": (limiting(10**100), "values"),
    "default-above-1": (operations(defaultSamplingProbability=2), "values"),
    "bound-negative": (operations(defaultLowerBoundTracesPerSecond=-1), "values"),
    "bound-infinite": (operations(defaultLowerBoundTracesPerSecond=math.inf), "values"),
    "operation-rate-above-1": (
        operations(
            perOperationStrategies=[
                *PER_OPERATION["perOperationStrategies"],  # type: ignore[misc]
                {"operation": "bar", "probabilisticSampling": {"samplingRate": 2}},
            ]
        ),
        "values",
    ),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_bad_answer_leaves_the_last_good_one(name: str, caplog: pytest.LogCaptureFixture) -> None:
    behaviour, why = BAD_ANSWERS[name]
    with agent(json_of(**GOOD)) as running:
        remote = asking(running, timeout_s=LIMIT_S)
        remote.poll()
        running.behaviour = behaviour
        if why == "timeout":
            remote._poller._timeout_s = 0.3
        for _ in range(2):
            remote.poll()
        remote._poller._timeout_s = LIMIT_S
        running.behaviour = json_of(rateLimitingSampling={"maxTracesPerSecond": 1})
        before = remote.current
        remote.poll()
    assert (before, outcomes()) == (Probabilistic(0.42), {"ok": 2, f"failed.{why}": 2})
    assert remote.current == RateLimiting(1)
    (warning,) = caplog.messages
    assert warning.startswith(f"cannot use {running.url}/sampling: ")
    assert warning.endswith("; sampling goes on as before")


def test_redirect_is_not_followed() -> None:
    with agent(json_of(**GOOD)) as other, agent() as running:
        running.answers(307, location=f"{other.url}/sampling?service=shop")
        asking(running).poll()
    assert (len(running.asked), other.asked) == (1, [])


@pytest.mark.parametrize(("kind", "why"), [("refuses", "connect"), ("unreachable", "timeout")])
def test_agent_that_is_not_there_changes_nothing(kind: str, why: str) -> None:
    with BAD_COLLECTORS[kind]() as port:
        remote = Remote(f"http://127.0.0.1:{port}/sampling", "shop", background=False, timeout_s=0.3)
        remote.poll()
    assert (remote.current, outcomes()) == (Probabilistic(0.001), {f"failed.{why}": 1})


def test_host_without_address_is_a_failed_connection() -> None:
    Remote("http://agent.invalid/sampling", "shop", background=False).poll()
    assert outcomes() == {"failed.connect": 1}


def test_warning_says_what_was_found_and_what_was_wanted(caplog: pytest.LogCaptureFixture) -> None:
    with agent(of("0.5")) as running:
        asking(running).poll()
    (warning,) = caplog.messages
    found = "samplingRate: got '0.5', expected a number from 0 to 1"
    assert warning == f"cannot use {running.url}/sampling: {found}; sampling goes on as before"


@pytest.mark.parametrize(
    "behaviour",
    [sends(b"\x1b[31mSSH\x00" + b"x" * 10_000 + b"\r\n"), json_of(**{"\x1b\n" + "k" * 10_000: 1})],
    ids=["status-line", "keys"],
)
def test_warning_is_one_short_line_whatever_was_sent(behaviour: Any, caplog: pytest.LogCaptureFixture) -> None:
    with agent(behaviour) as running:
        asking(running).poll()
    (warning,) = caplog.messages
    assert (len(warning) < 400, warning.isprintable()) == (True, True)


def test_each_reason_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    with agent() as running:
        remote = asking(running)
        for behaviour in (answering(500), answering(503), sends(b""), answering(500)):
            running.behaviour = behaviour
            remote.poll()
    assert (len(caplog.messages), outcomes()) == (2, {"failed.status": 3, "failed.broken": 1})


def test_whatever_else_goes_wrong_is_counted_and_does_not_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: object) -> None:
        raise KeyError("not foreseen")

    remote = Remote("http://127.0.0.1:1/sampling", "shop", background=False)
    monkeypatch.setattr(polling, "fetch", failing)
    remote.poll()
    assert outcomes() == {"failed.unexpected": 1}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *PER_OPERATION,
                    *GOOD,
                    "operationSampling",
                    "rateLimitingSampling",
                    "samplingRate",
                    "maxTracesPerSecond",
                    "operation",
                ]
            ),
            children,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@settings(deadline=None)
@given(json_values.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=30))
def test_no_answer_raises_anything_else_than_what_is_counted(body: bytes) -> None:
    remote = Remote("http://127.0.0.1:1/sampling", "shop", background=False)
    why = None
    try:
        remote.update(read_strategy(body))
    except AnswerError as error:
        why = error.why
    assert why in (None, "json", "shape", "values")
    assert remote.decide(1, "op")[0] in (True, False)


@settings(deadline=None)
@given(st.floats(0, 1), st.floats(0, 1e6), st.dictionaries(st.text(max_size=5), st.floats(0, 1), max_size=5))
def test_every_strategy_in_range_is_taken(default: float, bound: float, rates: dict[str, float]) -> None:
    named = [{"operation": name, "probabilisticSampling": {"samplingRate": rate}} for name, rate in rates.items()]
    answer = {
        "defaultSamplingProbability": default,
        "defaultLowerBoundTracesPerSecond": bound,
        "perOperationStrategies": named,
    }
    body = json.dumps({"operationSampling": {**answer, "defaultUpperBoundTracesPerSecond": "ignored"}}).encode()
    assert read_strategy(body) == strategy.PerOperationStrategy(default, bound, rates)


# -- in the background -------------------------------------------------------------------------------------------------


def polling_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ot_bridge-poll"]


def test_first_question_is_asked_at_once_and_others_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "LEAST_INTERVAL_S", 0.01)
    with agent(json_of(**GOOD)) as running:
        remote = Remote(f"{running.url}/sampling", "shop", interval_s=0.01)
        assert eventually(lambda: remote.current == Probabilistic(0.42))
        running.behaviour = answering(500)
        assert eventually(lambda: outcomes().get("failed.status"))
        running.behaviour = json_of(rateLimitingSampling={"maxTracesPerSecond": 1})
        assert eventually(lambda: remote.current == RateLimiting(1))
        remote.close()
        assert eventually(lambda: not polling_threads())
    assert remote.current == RateLimiting(1)


class Silent:
    """Asks nothing; counts how often it was asked what to ask."""

    questions = 0

    def _question(self) -> str | None:
        self.questions += 1
        return None

    def _take(self, body: bytes) -> None:
        raise AssertionError("nothing was asked")

    def _failed(self, why: str, message: str) -> None:
        raise AssertionError(message)


class Stop(threading.Event):
    """Does not wait, and says after a thousand rounds that it is over."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def is_set(self) -> bool:
        return len(self.waits) >= 1000

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout or 0.0)
        return self.is_set()


@pytest.mark.parametrize(("interval_s", "taken_s"), [(60, 60), (0.001, 1), (0, 1)], ids=["60", "too-short", "zero"])
def test_interval_has_a_floor_and_jitter(interval_s: float, taken_s: float) -> None:
    owner, stop = Silent(), Stop()
    Poller(owner, interval_s)._run(stop)
    assert owner.questions == 1000
    assert 0.9 * taken_s <= min(stop.waits) < 0.92 * taken_s
    assert 1.08 * taken_s < max(stop.waits) <= 1.1 * taken_s


def test_start_does_not_wait_for_the_agent() -> None:
    with agent(stays_silent) as running:
        remote = Remote(f"{running.url}/sampling", "shop", timeout_s=3600)
        # Were anything to wait for the answer, this would not end.
        assert remote.decide(1, "op")[0]
        assert eventually(lambda: running.asked)
        remote.close()
        assert eventually(lambda: not polling_threads())
    assert outcomes() == {}


def test_closed_sampler_asks_no_more_and_goes_on_deciding() -> None:
    with agent(json_of(**GOOD)) as running:
        remote = Remote(f"{running.url}/sampling", "shop")
        assert eventually(lambda: remote.current == Probabilistic(0.42))
        for _ in range(2):
            remote.close()
        assert eventually(lambda: not polling_threads())
        assert remote.decide(1, "op") == (True, {"sampler.type": "probabilistic", "sampler.param": 0.42})
        assert (polling_threads(), len(running.asked)) == ([], 1)


def test_close_before_the_connection_is_there_is_no_failure() -> None:
    with agent(json_of(**GOOD)) as running:
        remote = asking(running)
        remote.close()
        remote.poll()
    assert (remote.current, outcomes()) == (Probabilistic(0.001), {})


def test_forgotten_sampler_stops_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "LEAST_INTERVAL_S", 0.01)
    with agent(json_of(**GOOD)) as running:
        remote = Remote(f"{running.url}/sampling", "shop", interval_s=0.01)
        assert eventually(lambda: len(running.asked) > 2)
        del remote
        gc.collect()
        assert eventually(lambda: not polling_threads())


def test_process_without_threads_to_spare_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    remote = Remote("http://127.0.0.1:1/sampling", "shop")
    assert (remote.decide(1, "op")[0], outcomes()) == (True, {"failed.thread": 1})
    assert caplog.messages == ["cannot ask in the background: can't start new thread; sampling goes on as before"]


def test_initial_decider_is_used_until_the_first_answer() -> None:
    remote = Remote("http://127.0.0.1:1/sampling", "shop", initial=Const(False), background=False)
    assert remote.decide(1, "op")[0] is False
    assert repr(remote) == (
        "Remote(endpoint='http://127.0.0.1:1/sampling', service_name='shop', interval_s=60.0, "
        "current=Const(decision=False))"
    )


def test_body_of_any_allowed_size_is_read() -> None:
    with agent(answering(200, "x" * polling.BODY_LIMIT)) as running:
        whole = fetch(running.url)
    with agent(sends(HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")) as running:
        chunked = fetch(running.url)
    with agent(sends(HEAD + b"\r\nuntil the end")) as running:
        without_length = fetch(running.url)
    assert (len(whole), chunked, without_length) == (polling.BODY_LIMIT, b"abcde", b"until the end")


# -- processes ---------------------------------------------------------------------------------------------------------


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


FORKING = """
    import os, sys, time, threading
    from ot_bridge.sampling import Probabilistic
    from ot_bridge.sampling.remote import Remote

    def polling():
        return [thread for thread in threading.enumerate() if thread.name == "ot_bridge-poll"]

    remote = Remote(sys.argv[1], "shop")
    closed = Remote(sys.argv[1], "closed", background=False)
    closed.close()
    while remote.current != Probabilistic(0.42):
        time.sleep(0.01)
    child = os.fork()
    if child == 0:
        before = polling()
        remote._service_name = "child"
        remote.decide(1, "op")
        closed.decide(1, "op")
        while remote.current != Probabilistic(0.5):
            time.sleep(0.01)
        alive = len(polling())
        remote.close()
        os._exit(10 * len(before) + alive)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(status, len(polling()), remote.current)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_child_of_a_fork_asks_for_itself_when_it_first_decides() -> None:
    with agent() as running:

        def behave(connection: Any) -> None:
            rate = 0.5 if running.asked[-1].query == [("service", "child")] else 0.42
            json_of(probabilisticSampling={"samplingRate": rate})(connection)

        running.behaviour = behave
        done = run(FORKING, f"{running.url}/sampling")
        asked = [asked.query for asked in running.asked]
    assert (done.stdout, done.stderr) == ("1 1 Probabilistic(rate=0.42)\n", "")
    assert asked == [[("service", "shop")], [("service", "child")]]


LEAVING = """
    import sys, time
    import ot_bridge
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from ot_bridge import Settings
    from ot_bridge.sampling import JaegerSampler
    from ot_bridge.sampling.remote import Remote

    # Far beyond the time that the test gives to the process.
    Remote.__init__.__kwdefaults__["timeout_s"] = 3600
    if sys.argv[2] == "native":
        provider = TracerProvider(sampler=JaegerSampler(Remote(sys.argv[1], "shop")))
        provider.get_tracer("t").start_span("op").end()
    else:
        ot_bridge.install("shop", settings=Settings(sampler="remote:endpoint=" + sys.argv[1]))
        provider = trace.get_tracer_provider()
    while provider.sampler.decider._poller._socket is None:
        time.sleep(0.01)
    print("ends")
"""


@pytest.mark.parametrize("kind", ["native", "bridged"])
def test_process_ends_while_the_agent_keeps_it_waiting(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "none")
    with agent(stays_silent) as running:
        done = run(LEAVING, f"{running.url}/sampling", kind)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ends\n", "")


def test_process_that_asks_nobody_loads_no_http_client() -> None:
    done = run("import sys, ot_bridge.bootstrap, ot_bridge.sampling; print('http.client' in sys.modules)")
    # OpenTelemetry's own export over HTTP loads it later.
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_failures_are_logged_under_the_bridge_s_name(caplog: pytest.LogCaptureFixture) -> None:
    with agent() as running:
        asking(running).poll()
    assert [(record.name, record.levelno) for record in caplog.records] == [("ot_bridge", logging.WARNING)]
