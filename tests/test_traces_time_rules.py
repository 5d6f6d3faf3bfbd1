"""Rules about time: defects that were planted are found, traces without any are left alone, none breaks a rule."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ot_bridge.traces.analyse import analyse
from ot_bridge.traces.analyse.consecutive import could_be_parallel
from ot_bridge.traces.analyse.floods import span_flood
from ot_bridge.traces.analyse.reading import read
from ot_bridge.traces.analyse.repeated import repeated_calls
from ot_bridge.traces.analyse.retries import timeouts_and_retries
from ot_bridge.traces.analyse.rules import Find
from ot_bridge.traces.analyse.timeouts import round_limit
from ot_bridge.traces.analyse.unexplained import unexplained_time
from ot_bridge.traces.analyse.where_time_went import where_time_went
from ot_bridge.traces.model import Event, LogRecord, Resource, Scope, Span
from ot_bridge.traces.tree import Trace
from traces_made import MS, NOON, TRACE_ID, made, trace

# Nobody is asked to be quick: the machine may have other work.
CALM = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

RULES: Sequence[Find] = (
    where_time_went,
    repeated_calls,
    could_be_parallel,
    unexplained_time,
    timeouts_and_retries,
    span_flood,
)


def get(span_id: int, parent: int, path: str, *, at: float, took: float, **more: Any) -> Span:
    tags = {"http.method": "GET", "http.url": f"http://bank{path}"}
    return made("GET", span_id, parent, at=at, took=took, kind="client", tags=tags, **more)


def said(rule: Find, *spans: Span) -> list[str]:
    return [one.text for one in rule(read(trace(*spans)))]


def verdicts(rule: Find, *spans: Span) -> list[tuple[str, str]]:
    return [(one.verdict, one.certainty) for one in rule(read(trace(*spans)))]


ROOT = made("root", 1, took=1000, kind="server")


# --- could-be-parallel


def test_calls_for_different_things_in_a_row_could_be_parallel_but_that_is_a_guess() -> None:
    found = could_be_parallel(
        read(
            trace(
                ROOT,
                get(2, 1, "/a", at=100, took=300),
                get(3, 1, "/b", at=405, took=200),
                get(4, 1, "/c", at=606, took=100),
            )
        )
    )
    assert [(one.certainty, one.verdict, one.spans, one.text) for one in found] == [
        (
            "guess",
            "could be parallel if independent",
            (0, 1, 2, 3),
            (
                "shop 'root' made 3 calls one after the other, 'GET bank/a', 'GET bank/b' and 'GET bank/c', for 600 ms:"
                " side by side they would take up to 300 ms less, if none needs the answer of another."
            ),
        )
    ]


def test_a_call_inside_a_wrapper_counts_as_the_wrapper() -> None:
    spans = [
        made("load", 10, 1, at=100, took=202),
        get(11, 10, "/a", at=101, took=200),
        get(12, 1, "/b", at=303, took=200),
    ]
    assert verdicts(could_be_parallel, ROOT, *spans) == [("could be parallel if independent", "guess")]


@pytest.mark.parametrize(
    "spans",
    [
        pytest.param([get(2, 1, "/a", at=0, took=300), get(3, 1, "/b", at=200, took=300)], id="they overlap"),
        pytest.param([get(2, 1, "/a", at=0, took=300), get(3, 1, "/b", at=400, took=300)], id="a long gap"),
        pytest.param([get(2, 1, "/a/1", at=0, took=300), get(3, 1, "/a/2", at=301, took=300)], id="the same target"),
        pytest.param([get(2, 1, "/a", at=0, took=900), get(3, 1, "/b", at=901, took=50)], id="little to gain"),
        pytest.param(
            [get(2, 1, "/a", at=0, took=300), get(3, 1, "/b", at=301, took=300), made("all", 4, 1, took=999)],
            id="off the critical path",
        ),
        pytest.param(
            [get(2, 1, "/a", at=0, took=300, service="x"), get(3, 1, "/b", at=301, took=300, service="y")],
            id="two clocks",
        ),
        pytest.param([made("a", 2, 1, took=300), made("b", 3, 1, at=301, took=300)], id="no calls"),
        pytest.param(
            [
                made("POST", 2, 1, took=300, kind="client", tags={"http.method": "POST", "http.url": "http://bank/a"}),
                get(3, 1, "/b", at=301, took=300),
            ],
            id="a write first",
        ),
    ],
)
def test_what_cannot_run_side_by_side_is_left_alone(spans: list[Span]) -> None:
    assert verdicts(could_be_parallel, ROOT, *spans) == []


# --- unexplained-time


def test_time_before_between_and_after_children_is_told_apart() -> None:
    spans = [get(2, 1, "/a", at=200, took=100), get(3, 1, "/b", at=450, took=100)]
    assert verdicts(unexplained_time, ROOT, *spans) == [("after", "sure"), ("before", "sure"), ("between", "sure")]
    assert said(unexplained_time, ROOT, *spans)[0] == (
        "Nothing tells what shop 'root' did for 450 ms after its last child, 45% of the whole (a guess: work of its"
        " own, or a call that nobody traces)."
    )


def test_many_small_gaps_count_together() -> None:
    calls = [get(2 + i, 1, f"/{'abcdefghij'[i]}", at=100 * i, took=80) for i in range(10)]
    assert said(unexplained_time, ROOT, *calls) == [
        (
            "Nothing tells what shop 'root' did for 180 ms in 9 gaps between its children, 18% of the whole (a guess:"
            " work of its own, or a call that nobody traces)."
        )
    ]


@pytest.mark.parametrize(("took", "found"), [(200, []), (2000, [])])
def test_a_gap_under_50_ms_or_a_tenth_is_left_alone(took: float, found: list[str]) -> None:
    root = made("root", 1, took=took, kind="server")
    assert said(unexplained_time, root, get(2, 1, "/a", at=45, took=took - 45)) == found


def test_time_between_client_and_server_is_their_difference_whatever_their_clocks_say() -> None:
    spans = [get(2, 1, "/a", at=0, took=1000), made("a", 3, 2, at=77_000, took=300, service="bank", kind="server")]
    (finding,) = unexplained_time(read(trace(ROOT, *spans)))
    assert (finding.verdict, finding.certainty, finding.service, finding.numbers["unexplained_ns"]) == (
        "between-services",
        "sure",
        "bank",
        700 * MS,
    )


def test_a_call_without_its_server_and_a_piece_of_work_explain_themselves() -> None:
    assert said(unexplained_time, ROOT, get(2, 1, "/a", at=0, took=500), made("sum", 3, 1, at=500, took=500)) == []


def test_a_consumer_that_begins_late_was_queued() -> None:
    sent = made("send", 2, 1, at=0, took=1000, kind="producer")
    late = made("mail", 3, 2, at=1400, took=50, kind="consumer", service="mailer")
    assert ("queue", "guess") in verdicts(unexplained_time, ROOT, sent, late)


def test_events_and_logs_inside_are_named() -> None:
    root = made("root", 1, took=1000, kind="server", events=[Event(NOON + 50 * MS, "cache miss")])
    log = LogRecord(TRACE_ID, 1, NOON + 60 * MS, "WARN", "slow")
    (finding,) = unexplained_time(read(Trace([root, get(2, 1, "/a", at=400, took=600)], [log])))
    assert finding.text == (
        "Nothing tells what shop 'root' did for 400 ms before its first child, 40% of the whole (a guess: a queue in"
        " front of the handler, as for a thread or a connection; 1 event then: 'cache miss'; 1 log record then)."
    )


def test_pauses_after_failures_are_guessed_to_be_backoff() -> None:
    spans = [get(2 + i, 1, "/a", at=300 * i, took=100, status="error" if i < 3 else "ok") for i in range(4)]
    assert "a guess: pauses between attempts" in said(unexplained_time, ROOT, *spans)[0]


# --- timeouts-and-retries


def test_attempts_are_told_with_their_pauses_and_their_end() -> None:
    tries = [get(2, 1, "/a", at=0, took=100, status="error"), get(3, 1, "/a", at=200, took=100, status="error")]
    assert said(timeouts_and_retries, ROOT, *tries, get(4, 1, "/a", at=500, took=60)) == [
        (
            "shop tried 'GET' 3 times in 560 ms, with growing pauses of 100 ms and 200 ms, and the last one succeeded;"
            " 2 by a timeout (it took 100 ms to the point)."
        )
    ]
    assert verdicts(timeouts_and_retries, ROOT, *tries) == [("gave-up", "likely")]


def test_calls_for_other_things_are_no_attempts() -> None:
    spans = [get(2, 1, "/a/1", at=0, took=33, status="error"), get(3, 1, "/a/2", at=60, took=33, status="error")]
    assert said(timeouts_and_retries, ROOT, *spans) == []


def test_calls_that_overlap_are_no_attempts() -> None:
    spans = [get(2, 1, "/a", at=0, took=33, status="error"), get(3, 1, "/a", at=10, took=33, status="error")]
    assert said(timeouts_and_retries, ROOT, *spans) == []


def test_attempts_below_attempts_multiply() -> None:
    outer = [get(10 + i, 1, "/a", at=300 * i, took=290, status="error") for i in range(3)]
    servers = [
        made("a", 20 + i, 10 + i, at=300 * i, took=280, kind="server", service="bank", status="error") for i in range(3)
    ]
    inner = [
        get(100 * i + j, 20 + i, "/deep", at=300 * i + 60 * j, took=43, service="bank", status="error")
        for i in range(3)
        for j in range(1, 5)
    ]
    storm = timeouts_and_retries(read(trace(ROOT, *outer, *servers, *inner)))[0]
    assert (storm.verdict, storm.numbers["count"], storm.numbers["inner_count"]) == ("storm", 3, 12)
    assert storm.text == "Retries multiply: shop tried 'GET' 3 times, and below that bank tried 'GET' 12 times."


EXCEPTIONS = [
    ("requests.exceptions.ReadTimeout", "HTTPConnectionPool(host='b', port=80): Read timed out. (read timeout=0.4)"),
    ("urllib3.exceptions.ConnectTimeoutError", "Connection to b timed out. (connect timeout=1)"),
    ("httpx.PoolTimeout", ""),
    ("aiohttp.client_exceptions.ServerTimeoutError", "Timeout on reading data from socket"),
    ("asyncio.exceptions.TimeoutError", ""),
    ("TimeoutError", "timed out"),
    ("socket.timeout", "timed out"),
    ("redis.exceptions.TimeoutError", "Timeout reading from socket"),
    ("psycopg.errors.QueryCanceled", "canceling statement due to statement timeout"),
    (
        "sqlalchemy.exc.TimeoutError",
        "QueuePool limit of size 5 overflow 10 reached, connection timed out, timeout 30.00",
    ),
    ("grpc.RpcError", "StatusCode.DEADLINE_EXCEEDED"),
    ("celery.exceptions.SoftTimeLimitExceeded", ""),
]


@pytest.mark.parametrize(("kind", "message"), EXCEPTIONS, ids=[kind for kind, _ in EXCEPTIONS])
def test_a_timeout_is_known_by_its_exception(kind: str, message: str) -> None:
    thrown = Event(NOON + 77 * MS, "exception", {"exception.type": kind, "exception.message": message})
    call = get(2, 1, "/a", at=0, took=77, status="error", events=[thrown])
    assert verdicts(timeouts_and_retries, ROOT, call) == [("timeout", "sure")]


@pytest.mark.parametrize(
    ("message", "tags"),
    [("connection refused", {}), ("invalid value for timeout=5", {}), ("", {"http.status_code": 500})],
)
def test_another_failure_is_no_timeout(message: str, tags: dict[str, Any]) -> None:
    call = made("GET", 2, 1, took=77, kind="client", status="error", message=message, tags=tags)
    assert verdicts(timeouts_and_retries, ROOT, call) == []


@pytest.mark.parametrize("tags", [{"rpc.grpc.status_code": 4}, {"http.status_code": 504}])
def test_a_timeout_is_known_by_its_code(tags: dict[str, Any]) -> None:
    call = made("GET", 2, 1, took=77, kind="client", status="error", tags=tags)
    assert verdicts(timeouts_and_retries, ROOT, call) == [("timeout", "sure")]


def test_a_failed_call_of_a_round_duration_is_a_guess() -> None:
    assert verdicts(timeouts_and_retries, ROOT, get(2, 1, "/a", at=0, took=401, status="error")) == [
        ("timeout", "guess")
    ]
    assert verdicts(timeouts_and_retries, ROOT, get(2, 1, "/a", at=0, took=401)) == []


@pytest.mark.parametrize(("taken", "limit"), [(400, 400), (404.9, 400), (420, None), (399, None), (30_500, 30_000)])
def test_a_limit_is_noticed_a_little_late_and_never_early(taken: float, limit: float | None) -> None:
    found = round_limit(round(taken * MS))
    assert found == (round(limit * MS) if limit is not None else None)


def test_a_caller_that_gave_up_before_its_server_is_told_once() -> None:
    spans = [
        made("root", 1, took=450, kind="server", status="error", message="timed out"),
        get(2, 1, "/a", at=0, took=400, status="error", message="timed out"),
        made("a", 3, 2, at=5, took=900, kind="server", service="bank"),
    ]
    (finding,) = timeouts_and_retries(read(trace(*spans)))
    assert (finding.verdict, finding.service, finding.spans) == ("gave-up-early", "bank", (1, 2))
    assert finding.text == (
        "shop 'GET' gave up after 400 ms (timed out), while bank 'a' worked for 900 ms, 89% of the critical path."
    )


# --- span-flood


def test_many_short_spans_of_one_library_are_a_flood_with_its_switch() -> None:
    scope = Scope("opentelemetry.instrumentation.asgi", "1")
    spans = [made("http send", 2 + i, 1, at=i, took=0.2, scope=scope) for i in range(150)]
    (finding,) = span_flood(read(trace(ROOT, *spans)))
    assert finding.text.startswith(
        "150 spans 'http send' of shop by opentelemetry.instrumentation.asgi are 99% of the trace, 150 of them under"
    )
    assert finding.advice.startswith("Leave out the spans for each message")


@pytest.mark.parametrize(
    ("count", "took", "more"),
    [
        pytest.param(99, 0.2, {}, id="too few"),
        pytest.param(150, 5, {}, id="too long"),
        pytest.param(150, 0.2, {"status": "error"}, id="failed"),
        pytest.param(150, 0.2, {"events": [Event(NOON, "e")]}, id="with events"),
    ],
)
def test_spans_that_tell_something_are_no_flood(count: int, took: float, more: dict[str, Any]) -> None:
    assert said(span_flood, ROOT, *(made("s", 2 + i, 1, at=i, took=took, **more) for i in range(count))) == []


# --- clean traces

BY_ID = "SELECT c{0} FROM t{0} WHERE id = {1}"


def clean(seed: int) -> Trace:
    """Make a request as a healthy fleet serves it: some calls, side by side or in need of each other, and some work."""
    dice = random.Random(seed)  # noqa: S311
    slow = dice.choice((1, 10))
    spans = list[Span]()

    def serve(parent: int, at: float, depth: int, service: str) -> float:
        """Add a server span and what it does; return when it ends."""
        own = len(spans) + 1
        spans.append(made("placeholder", own, parent))
        now = at + slow * dice.uniform(0.2, 2)
        for step in range(dice.randint(1, 3)):
            kind = dice.choice(("sql", "sql", "redis", "http", "work"))
            child, start = len(spans) + 1, now
            if kind == "http" and depth < 3:
                path = f"/{dice.choice('abcdef')}{step}/{dice.randint(1, 99)}"
                spans.append(made("placeholder", child, own))
                peer = f"s{depth + 1}"
                now = serve(child, start + slow * dice.uniform(0.3, 1.5), depth + 1, peer) + slow * dice.uniform(
                    0.3, 1.5
                )
                tags = {"http.method": "GET", "http.url": f"http://{peer}{path}"}
                spans[child - 1] = made(
                    "GET", child, own, at=start, took=now - start, service=service, kind="client", tags=tags
                )
            elif kind == "work":
                now += slow * dice.uniform(0.5, 5)
                spans.append(made(f"work {step}", child, own, at=start, took=now - start, service=service))
            else:
                now += slow * dice.lognormvariate(1, 0.7)
                tags = (
                    {"db.system": "redis", "db.statement": f"GET k{step}:{dice.randint(1, 99)}"}
                    if kind == "redis"
                    else {
                        "db.system": "postgresql",
                        "db.statement": BY_ID.format(step, dice.randint(1, 99)),
                    }
                )
                spans.append(
                    made(kind, child, own, at=start, took=now - start, service=service, kind="client", tags=tags)
                )
            now += slow * dice.uniform(0.1, 1)
        now += slow * dice.uniform(0.2, 2)
        spans[own - 1] = made(f"serve {depth}", own, parent, at=at, took=now - at, service=service, kind="server")
        return now

    serve(0, 0, 0, "s0")
    return trace(*spans)


def test_clean_traces_raise_few_alarms() -> None:
    alarms = Counter[str]()
    for seed in range(300):
        reading = read(clean(seed))
        for rule in RULES:
            found = [one for one in rule(reading) if one.rule != "critical-path"]
            alarms.update({one.rule for one in found})
            assert all(one.severity == "note" for one in found)
    # Calls in a row for different things are what such a trace is made of: the rule says that it guesses.
    assert alarms.pop("could-be-parallel", 0) <= 300 * 0.12
    assert sum(alarms.values()) <= 300 * 0.02


# --- whatever comes

TIMES = st.one_of(st.integers(0, 100), st.sampled_from([0, 1, 2**63, 2**64 - 1]))
HOSTILE = st.lists(
    st.builds(
        lambda ids, times, name, tags, kind, status: Span(
            trace_id=1,
            span_id=ids[0],
            parent_id=ids[1],
            name=name,
            start_ns=times[0],
            end_ns=times[1],
            attributes=tags,
            kind=kind,
            status=status,
            message=name,
            resource=Resource({"service.name": name}),
            scope=Scope(name),
        ),
        st.tuples(st.integers(0, 12), st.integers(0, 12)),
        st.tuples(TIMES, TIMES),
        st.sampled_from(["", "a", "GET", "timed out", "connect", "\x1b[31m{}'\""]),
        st.dictionaries(
            st.sampled_from(
                ["db.system", "db.statement", "http.url", "http.method", "peer.service", "rpc.method", "code.function"]
            ),
            st.one_of(
                st.text(max_size=8), st.none(), st.integers(), st.binary(max_size=4), st.just(["a", {"b": b"c"}])
            ),
            max_size=4,
        ),
        st.sampled_from(["internal", "client", "server", "producer", "consumer", "unspecified"]),
        st.sampled_from(["unset", "error"]),
    ),
    max_size=25,
)


@CALM
@given(HOSTILE)
def test_no_spans_break_a_rule_about_time(spans: list[Span]) -> None:
    found = Trace(spans)
    reading = read(found)
    for rule in RULES:
        for one in rule(reading):
            assert one.text.endswith(".")
            assert (one.text + one.advice).isprintable()
            assert one.spans
            assert all(0 <= index < len(found) for index in one.spans)
            assert all(not isinstance(value, float | int) or value >= 0 for value in one.numbers.values())


def test_a_chain_of_5000_and_10000_siblings_are_analysed() -> None:
    tags = {"http.method": "GET", "http.url": "http://b/1"}
    chain = [made("GET", i + 1, i, took=5000 - i / 10, kind="client", tags=tags, status="error") for i in range(5000)]
    assert analyse(trace(*chain)).findings
    wide = [get(i + 2, 1, f"/{i}", at=i / 10, took=0.1) for i in range(10_000)]
    found = analyse(trace(ROOT, *wide))
    assert {"repeated-calls", "span-flood"} <= {one.rule for one in found.findings}
    assert found.reading.savings.steps <= 3 * 10_001
