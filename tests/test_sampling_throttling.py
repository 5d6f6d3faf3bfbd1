"""Debug spans on credit, against an agent on loopback: what is asked, what is granted, and what fails."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import textwrap
import threading
from typing import Any
from urllib.parse import unquote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from agents import Agent, agent, answering, eventually, json_of, resets, sends, stays_silent
from ot_bridge import BridgeTracer, ConfigError, Settings, telemetry
from ot_bridge.sampling import polling
from ot_bridge.sampling.throttling import RemoteThrottler

LIMIT_S = 60


def throttler_of(running: Agent, **options: Any) -> RemoteThrottler:
    """Return a throttler that asks when it is told to."""
    throttler = RemoteThrottler(f"{running.url}/credits", "my shop", background=False, **options)
    throttler.set_client_id(7)
    return throttler


def granting(**balances: float) -> Any:
    return json_of(balances=[{"operation": name, "balance": balance} for name, balance in balances.items()])


def counted(prefix: str = "throttler.") -> dict[str, int]:
    return {name.removeprefix(prefix): number for name, number in telemetry.snapshot().items()}


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ot_bridge-poll"]


def test_new_operation_is_refused_and_asked_for_and_then_granted() -> None:
    with agent(granting(pay=2)) as running:
        throttler = throttler_of(running)
        before = throttler.is_allowed("pay")
        throttler.poll()
        after = [throttler.is_allowed("pay") for _ in range(3)]
    assert (before, after, throttler.refused) == (False, [True, True, False], 2)
    assert counted() == {"refused": 2, "remote.ok": 1}
    assert [(asked.path, asked.query) for asked in running.asked] == [
        ("/credits", [("service", "my shop"), ("uuid", "7"), ("operations", "pay")])
    ]


def test_all_operations_are_asked_for_whatever_their_names() -> None:
    names = ["GET /a?b&c", "caf\xe9", "", "\r\n"]
    with agent(granting()) as running:
        throttler = throttler_of(running)
        for name in names:
            throttler.is_allowed(name)
        throttler.poll()
    assert running.asked[0].query[2:] == [("operations", name) for name in names]


def test_nothing_is_asked_while_there_is_no_operation() -> None:
    with agent(granting(pay=2)) as running:
        throttler_of(running).poll()
    assert (running.asked, counted()) == ([], {})


def test_balances_are_added_up() -> None:
    with agent(granting(pay=0.5, other=1)) as running:
        throttler = throttler_of(running)
        found = []
        throttler.is_allowed("pay")
        for _ in range(4):
            throttler.poll()
            found.append(throttler.is_allowed("pay"))
    # Of the operation that was not asked for the credit is kept too, as in jaeger-client.
    assert (found, [throttler.is_allowed("other") for _ in range(5)]) == (
        [False, True, False, True],
        [True, True, True, True, False],
    )


def test_first_client_id_stays() -> None:
    with agent(granting()) as running:
        throttler = throttler_of(running)
        throttler.set_client_id(8)
        throttler.is_allowed("pay")
        throttler.poll()
    assert ("uuid", "7") in running.asked[0].query


def test_client_without_an_id_gets_a_random_one_that_stays() -> None:
    with agent(granting()) as running:
        asked = []
        for _ in range(2):
            throttler = RemoteThrottler(running.url, "shop", background=False)
            throttler.is_allowed("pay")
            throttler.poll()
            throttler.poll()
        asked = [dict(one.query)["uuid"] for one in running.asked]
    assert (asked[0] == asked[1], asked[2] == asked[3], asked[0] == asked[2]) == (True, True, False)
    assert all(0 <= int(uuid) < 2**64 for uuid in asked)


def test_long_lists_are_asked_for_in_turns_that_a_server_takes() -> None:
    names = [f"{number:04}-{'x' * 100}" for number in range(150)]
    with agent(granting()) as running:
        throttler = throttler_of(running)
        for name in names:
            throttler.is_allowed(name)
        for _ in range(3):
            throttler.poll()
    turns = [[name for key, name in asked.query if key == "operations"] for asked in running.asked]
    assert max(len(asked.target) for asked in running.asked) < 8000
    assert [name for turn in turns for name in turn][:150] == names
    assert turns[2][-1] == names[len(turns[0]) * 3 % 150 - 1]


def test_operation_beyond_all_lengths_is_asked_for_alone() -> None:
    with agent(granting()) as running:
        throttler = throttler_of(running)
        for name in ("x" * 20_000, "pay"):
            throttler.is_allowed(name)
        for _ in range(2):
            throttler.poll()
    assert [
        [unquote_plus(name)[:5] for key, name in asked.query if key == "operations"] for asked in running.asked
    ] == [
        ["xxxxx"],
        ["pay"],
    ]


def test_operations_beyond_the_bound_are_refused_and_forgotten() -> None:
    with agent(granting(first=1, second=1, third=1)) as running:
        throttler = throttler_of(running, max_operations=2)
        for name in ("first", "second", "third"):
            throttler.is_allowed(name)
        throttler.poll()
        found = [throttler.is_allowed(name) for name in ("first", "second", "third")]
    assert (found, [name for key, name in running.asked[0].query if key == "operations"]) == (
        [True, True, False],
        ["first", "second"],
    )


BAD_ANSWERS = {
    "500": (answering(500, "{}"), "status"),
    "redirect": (answering(302, location="/elsewhere"), "status"),
    "closes-at-once": (sends(b""), "broken"),
    "resets": (resets, "broken"),
    "silent": (stays_silent, "timeout"),
    "huge": (answering(200, " " * (polling.BODY_LIMIT + 1)), "size"),
    "not-json": (answering(200, "balances"), "json"),
    "list": (answering(200, "[]"), "shape"),
    "nothing-in-it": (json_of(), "shape"),
    "balances-is-a-dict": (json_of(balances={"pay": 1}), "shape"),
    "balance-is-a-number": (json_of(balances=[1]), "shape"),
    "operation-is-a-number": (json_of(balances=[{"operation": 1, "balance": 1}]), "shape"),
    **{
        f"balance-{value!r}": (
            json_of(balances=[{"operation": "pay", "balance": 5}, {"operation": "pay", "balance": value}]),
            "values",
        )
        for value in (-1, math.nan, math.inf, True, "1", None, 10**400)
    },
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_bad_answer_changes_no_credit(name: str, caplog: pytest.LogCaptureFixture) -> None:
    behaviour, why = BAD_ANSWERS[name]
    with agent(granting(pay=1)) as running:
        throttler = throttler_of(running, timeout_s=LIMIT_S)
        throttler.is_allowed("pay")
        throttler.poll()
        running.behaviour = behaviour
        throttler._poller._timeout_s = 0.3 if why == "timeout" else LIMIT_S
        for _ in range(2):
            throttler.poll()
    assert [throttler.is_allowed("pay") for _ in range(2)] == [True, False]
    assert counted() == {"refused": 2, "remote.ok": 1, f"remote.failed.{why}": 2}
    (warning,) = caplog.messages
    assert warning.startswith(f"cannot use {running.url}/credits: ")
    assert warning.endswith("; debug spans get no new credits")


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["pay", "rank"]) | st.tuples(st.sampled_from(["pay", "rank"]), st.floats(0, 3)), max_size=30
    )
)
def test_credits_are_jaeger_client_s(steps: list[Any]) -> None:
    module = pytest.importorskip("jaeger_client.throttler")
    ours = RemoteThrottler("127.0.0.1:1", "shop", background=False)
    theirs = module.RemoteThrottler(type("Channel", (), {"io_loop": None})(), "shop")
    found, expected = [], []
    for step in steps:
        if isinstance(step, str):
            found.append(ours.is_allowed(step))
            expected.append(theirs.is_allowed(step))
        else:
            answer = {"balances": [{"operation": step[0], "balance": step[1]}]}
            ours._take(json.dumps(answer).encode())
            theirs._update_credits(answer)
    assert found == expected


def test_credits_are_given_out_once_among_threads() -> None:
    throttler = RemoteThrottler("127.0.0.1:1", "shop", background=False)
    throttler._take(b'{"balances": [{"operation": "pay", "balance": 1000}]}')
    allowed = [0] * 8

    def work(index: int) -> None:
        allowed[index] = sum(throttler.is_allowed("pay") for _ in range(500))

    workers = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (sum(allowed), throttler.refused) == (1000, 3000)


def test_background_begins_with_the_first_debug_span_and_ends_with_close() -> None:
    with agent(granting(pay=1)) as running:
        throttler = RemoteThrottler(running.url, "shop")
        assert threads() == []
        throttler.is_allowed("pay")
        assert eventually(lambda: throttler._credits["pay"] == 1)
        throttler.close()
        assert eventually(lambda: not threads())
        assert [throttler.is_allowed("pay") for _ in range(2)] == [True, False]
        assert (threads(), len(running.asked)) == ([], 1)


FORKING = """
    import os, sys, time
    from ot_bridge.sampling.throttling import RemoteThrottler

    throttler = RemoteThrottler(sys.argv[1], "shop")
    throttler.set_client_id(7)
    while not throttler.is_allowed("parent"):
        time.sleep(0.01)
    child = os.fork()
    if child == 0:
        while not throttler.is_allowed("child"):
            time.sleep(0.01)
        os._exit(5)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_child_of_a_fork_asks_for_itself() -> None:
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(FORKING)]
    with agent(granting(parent=1, child=1)) as running:
        # Only what is asked for is granted, so the child has to ask for its own operation.
        running.behaviour = lambda connection: granting(
            **{name: 1 for key, name in running.asked[-1].query if key == "operations"}
        )(connection)
        done = subprocess.run([*command, running.url], capture_output=True, text=True, timeout=LIMIT_S, check=False)
        asked = [[name for key, name in one.query if key == "operations"] for one in running.asked]
    assert (done.stdout, done.stderr) == ("5\n", "")
    assert (asked[0], "child" in asked[-1]) == (["parent"], True)


@pytest.mark.parametrize("endpoint", ["ftp://a", "http://", "http://a:x", "http://u:p@a", ""])
def test_endpoint_that_is_no_url_is_refused(endpoint: str) -> None:
    with pytest.raises(
        ConfigError, match=r"cannot use endpoint: got .* \(argument of RemoteThrottler\), expected a URL"
    ):
        RemoteThrottler(endpoint, "shop")


def test_throttler_is_readable() -> None:
    shown = "RemoteThrottler(endpoint='http://localhost:5778/credits', service_name='shop')"
    assert repr(RemoteThrottler("localhost:5778", "shop")) == shown


# --- as a setting: who may force


def forcing_tracer(running: Agent, exporter: InMemorySpanExporter) -> BridgeTracer:
    """Return a tracer that samples nothing unless it is forced, and asks when it is told to."""
    resource = Resource({"service.name": "my shop"})
    provider = TracerProvider(sampler=ALWAYS_OFF, resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = BridgeTracer(provider, settings=Settings(debug_throttle=f"{running.url}/credits"))
    assert tracer._throttler is not None
    tracer._throttler._background = False
    return tracer


@pytest.mark.parametrize(
    "force",
    [
        lambda tracer: tracer.start_span("pay", tags={"sampling.priority": 1}),
        lambda tracer: tracer.start_span("pay").set_tag("sampling.priority", 1),
        lambda tracer: tracer.start_span("pay", child_of=tracer.extract("http_headers", {"jaeger-debug-id": "x"})),
    ],
    ids=["at-start", "after-start", "debug-id"],
)
def test_forced_trace_is_paid_for(force: Any) -> None:
    with agent(granting(pay=1)) as running:
        tracer = forcing_tracer(running, InMemorySpanExporter())
        refused = force(tracer)
        tracer._throttler.poll()  # type: ignore[union-attr]
        allowed, again = force(tracer), force(tracer)
        tracer.close()
    assert [(span.is_sampled(), span.is_debug()) for span in (refused, allowed, again)] == [
        (False, False),
        (True, True),
        (False, False),
    ]
    assert counted()["refused"] == 2
    assert running.asked[0].query == [
        ("service", "my shop"),
        ("uuid", running.asked[0].query[1][1]),
        ("operations", "pay"),
    ]


def test_refused_priority_is_no_attribute_and_changes_nothing() -> None:
    exporter = InMemorySpanExporter()
    with agent(granting()) as running:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        tracer = BridgeTracer(provider, settings=Settings(debug_throttle=f"{running.url}/credits"))
        tracer.start_span("pay", tags={"sampling.priority": 1, "a": 1}).finish()
        tracer.start_span("pay").set_tag("sampling.priority", 1).set_tag("a", 1).finish()
        tracer.close()
    assert [dict(span.attributes or {}) for span in exporter.get_finished_spans()] == [{"a": 1}, {"a": 1}]


def test_debug_trace_that_comes_in_is_not_paid_for_again() -> None:
    with agent(granting()) as running:
        tracer = forcing_tracer(running, InMemorySpanExporter())
        parent = tracer.extract("http_headers", {"uber-trace-id": "1:2:0:3"})
        span = tracer.start_span("pay", child_of=parent)
        tracer.close()
    assert (span.is_debug(), counted()) == (True, {"extract.jaeger": 1})
