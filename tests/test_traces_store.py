from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from ot_bridge.traces.analyse.errors import error_mark
from ot_bridge.traces.model import Event, Link, Resource, Scope, Span
from ot_bridge.traces.store import retaining, searching, writing
from ot_bridge.traces.store.errors import StoreError
from ot_bridge.traces.store.query import Query, Summary
from ot_bridge.traces.store.retention import Retention
from ot_bridge.traces.store.schema import VERSION, migrate
from ot_bridge.traces.store.store import Store
from ot_bridge.traces.tree import Trace
from ot_bridge.traces.words import text
from traces_made import MS, NOON, TRACE_ID, made
from traces_sent import logs_sent, pairs, sent

ALL = Retention(max_age_s=1e9)
LOW = TRACE_ID & (1 << 64) - 1


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with contextlib.closing(Store.open(tmp_path / "traces.db", retention=ALL)) as opened:
        yield opened


@contextlib.contextmanager
def a_store(retention: Retention = ALL) -> Iterator[Store]:
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Store.open(Path(folder) / "traces.db", retention=retention)) as opened,
    ):
        yield opened


def plain(spans: Sequence[Span]) -> Any:
    def one(span: Span) -> Any:
        values = {name: getattr(span, name) for name in Span.__slots__ if name != "resource"}
        return {**values, "attributes": dict(span.attributes), "resource": dict(span.resource.attributes)}

    return sorted(map(one, spans), key=repr)


def tables(store: Store) -> dict[str, int]:
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        counts = {name: connection.execute(f"SELECT count(*) FROM {name}") for name in names}  # noqa: S608
        return {name: rows.fetchone()[0] for name, rows in counts.items()}


# What is written is what is read.

VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=4),
    st.none(),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
TAGS = st.dictionaries(TEXTS, st.one_of(VALUES, st.lists(VALUES, max_size=2)), max_size=4)
TIMES = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 2**63 - 1, 2**63, 2**64 - 1]))
RESOURCES = [
    Resource({"service.name": "shop", "host.name": "a"}),
    Resource({"service.name": "stock"}),
    Resource({"service.name": "\0"}),
    Resource({}),
]
SPANS = st.builds(
    Span,
    trace_id=st.sampled_from([TRACE_ID, 1, 2**128 - 1]),
    span_id=st.one_of(st.integers(1, 2**64 - 1), st.integers(1, 3)),
    parent_id=st.integers(0, 2**64 - 1),
    name=TEXTS,
    start_ns=TIMES,
    end_ns=TIMES,
    kind=st.sampled_from(["unspecified", "internal", "server", "client", "producer", "consumer"]),
    status=st.sampled_from(["unset", "ok", "error"]),
    message=TEXTS,
    attributes=TAGS,
    events=st.lists(st.builds(Event, TIMES, TEXTS, TAGS, st.integers(0, 3)), max_size=2).map(tuple),
    links=st.lists(st.builds(Link, st.just(5), st.just(6), TAGS, TEXTS), max_size=1).map(tuple),
    resource=st.sampled_from(RESOURCES),
    scope=st.sampled_from([Scope(), Scope("lib", "1")]),
    trace_state=st.sampled_from(["", "ot=th:8", "a=b"]),
    flags=st.sampled_from([0, 1]),
)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(SPANS, max_size=4, unique_by=lambda one: (one.trace_id, one.span_id)), max_size=4), st.randoms()
)
def test_what_is_written_is_what_a_trace_has(writes: list[list[Span]], random: Any) -> None:
    expected: dict[tuple[object, ...], Span] = {}
    with a_store() as store:
        for spans in writes:
            store.write(sent(*spans))
            store.write(sent(*random.sample(spans, len(spans))))
            expected |= {(one.trace_id, one.span_id, one.service, one.name, one.kind): one for one in spans}
        for trace_id in (TRACE_ID, 1, 2**128 - 1):
            wanted = [span for span in expected.values() if span.trace_id == trace_id]
            found = store.trace(trace_id)
            assert plain(found.spans if found else ()) == plain(wanted)
            row = next((row for row in store.search(Query()).traces if row.trace_id == trace_id), None)
            assert (row and (row.spans, row.errors)) == (
                (len(wanted), sum(error_mark(span) is not None for span in wanted)) if wanted else None
            )
        assert store.stats().spans == len(expected)


# Searches.

NAMES = ["GET", "GET /x", "get /ü", "50%_\\"]
SEARCHED = st.builds(
    made,
    st.sampled_from(NAMES),
    st.integers(1, 2**64 - 1),
    parent=st.sampled_from([0, 0, 7]),
    at=st.integers(0, 20),
    took=st.integers(0, 20),
    service=st.sampled_from(["shop", "stock", "Ünit"]),
    status=st.sampled_from(["unset", "unset", "error"]),
    tags=st.dictionaries(
        st.sampled_from(["a", "b"]), st.sampled_from(["1", 1, True, 0.5, b"\1", [1, "x"]]), max_size=2
    ),
    resource=st.sampled_from([None, {"host.name": "h", "a": 1}]),
    trace_id=st.integers(1, 12),
)


def maybe(strategy: Any, nothing: Any = None) -> Any:
    return st.one_of(st.just(nothing), strategy)


QUERIES = st.builds(
    Query,
    service=st.sampled_from(["", "", "shop", "Ünit", "none"]),
    operation=st.sampled_from(["", "", *NAMES, "none"]),
    tags=st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "host.name"]), st.sampled_from(["1", "true", "0.5", "01", '[1, "x"]', "h"])
        ),
        max_size=2,
    ),
    text=st.sampled_from(["", "", "GET", "x", "Ü", "sTo", "%", "_", "\\"]),
    min_ns=maybe(st.integers(0, 20).map(lambda ms: ms * MS)),
    max_ns=maybe(st.integers(0, 30).map(lambda ms: ms * MS)),
    errors=st.sampled_from([None, None, True, False]),
    from_ns=maybe(st.integers(0, 20).map(lambda ms: NOON + ms * MS)),
    to_ns=maybe(st.integers(0, 20).map(lambda ms: NOON + ms * MS)),
    order=st.sampled_from(["newest", "longest", "most spans", "most errors"]),
    limit=st.sampled_from([0, 2, 20, 2**70]),
    offset=st.sampled_from([0, 1, 2**70]),
)
KEYS: dict[str, Any] = {
    "newest": lambda row: row.start_ns,
    "longest": lambda row: row.duration_ns,
    "most spans": lambda row: row.spans,
    "most errors": lambda row: (row.errors, row.start_ns),
}


def has(span: Span, key: str, value: str) -> bool:
    return any(key in held and text(held[key]) == value for held in (span.attributes, span.resource.attributes))


def matches(trace: Trace, query: Query) -> bool:
    spans = trace.spans
    failed = any(error_mark(span) for span in spans)
    wanted = query.text.casefold()
    return (
        (not query.service or any(span.service == query.service for span in spans))
        and (
            not query.operation
            or any(span.name == query.operation and query.service in {"", span.service} for span in spans)
        )
        and all(any(has(span, key, value) for span in spans) for key, value in query.tags)
        and any(wanted in name.casefold() for span in spans for name in (span.name, span.service))
        and (query.min_ns is None or trace.duration_ns >= query.min_ns)
        and (query.max_ns is None or trace.duration_ns <= query.max_ns)
        and query.errors in {None, failed}
        and (query.from_ns is None or trace.start_ns >= query.from_ns)
        and (query.to_ns is None or trace.start_ns < query.to_ns)
    )


def summary(trace: Trace, received_ns: int) -> Summary:
    root = next((span for span in trace.spans if not span.parent_id), None)
    return Summary(
        trace.trace_id,
        root.service if root else "",
        root.name if root else "",
        trace.start_ns,
        trace.duration_ns,
        len(trace),
        sum(error_mark(span) is not None for span in trace.spans),
        dict(Counter(span.service for span in trace.spans)),
        received_ns,
    )


@settings(max_examples=150, deadline=None)
@given(
    st.lists(SEARCHED, max_size=25, unique_by=lambda span: span.span_id),
    st.lists(QUERIES, min_size=1, max_size=12),
    st.sampled_from([0, 2, 3_000]),
)
def test_any_search_agrees_with_a_filter_over_the_traces(spans: list[Span], queries: list[Query], few: int) -> None:
    by_trace: dict[int, list[Span]] = {}
    for span in spans:
        by_trace.setdefault(span.trace_id, []).append(span)
    with pytest.MonkeyPatch.context() as patch, a_store() as store:
        patch.setattr(searching, "_FEW", few)
        store.write(sent(*spans), now_ns=NOON)
        # By arrival, the last first: that is the order of equals.
        traces = [Trace(some) for some in reversed(by_trace.values())]
        for query in queries:
            rows = [summary(trace, NOON) for trace in traces if matches(trace, query)]
            rows.sort(key=KEYS[query.order], reverse=True)
            found = store.search(query)
            page = rows[query.offset : query.offset + query.limit]
            assert [row._replace(root_service="", root_name="") for row in found.traces] == [
                row._replace(root_service="", root_name="") for row in page
            ]
            assert (found.total, found.exact) == (len(rows), True)
            assert [one.trace_id for one in store.scatter(query)] == [row.trace_id for row in rows]


def test_a_list_names_the_root_and_the_services(store: Store) -> None:
    store.write(sent(made("child", 2, 1, at=1, service="stock"), made("GET /", 1, status="error")), now_ns=NOON)
    assert store.search(Query()).traces == [
        Summary(TRACE_ID, "shop", "GET /", NOON, 11 * MS, 2, 1, {"stock": 1, "shop": 1}, NOON)
    ]
    assert store.services() == ["shop", "stock"]
    assert (store.operations("stock"), store.operations("none")) == (["child"], [])


def test_a_late_span_changes_the_row_of_its_trace(store: Store) -> None:
    store.write(sent(made("child", 2, 1, at=5)), now_ns=NOON)
    store.write(sent(made("GET /", 1, took=90, status="error", tags={"k": "v"})), now_ns=NOON + 9)
    wanted = Summary(TRACE_ID, "shop", "GET /", NOON, 90 * MS, 2, 1, {"shop": 2}, NOON + 9)
    assert store.search(Query(tags=[("k", "v")], operation="child")).traces == [wanted]


def test_the_same_span_again_replaces_the_first(store: Store) -> None:
    store.write(sent(made("GET", 1, status="error", kind="server", tags={"http.route": "/a"})))
    store.write(sent(made("GET", 1, message="second", kind="server", tags={"http.route": "/b"})))
    trace = store.trace(TRACE_ID)
    assert trace is not None
    assert [span.message for span in trace.spans] == ["second"]
    assert [(row.spans, row.errors, row.services) for row in store.search(Query()).traces] == [(1, 0, {"shop": 1})]
    assert [entry.operation for entry in store.entries()] == ["GET /b"]


def test_the_halves_of_a_shared_span_are_both_kept(store: Store) -> None:
    store.write(sent(made("call", 5, kind="client"), made("call", 5, kind="server", service="stock")))
    trace = store.trace(TRACE_ID)
    assert trace is not None
    assert [(span.service, depth) for span, depth in zip(trace.spans, trace.depths, strict=True)] == [
        ("shop", 0),
        ("stock", 1),
    ]


def test_a_search_that_takes_too_long_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(sent(*(made("GET", one, trace_id=one) for one in range(1, 400))))
    monkeypatch.setattr(searching, "_STEPS", 10)
    monkeypatch.setattr(searching, "_COUNT_BUDGET_S", -1)
    found = store.search(Query(service="shop", limit=5, offset=5))
    assert (len(found.traces), found.total, found.exact) == (5, 10, False)
    monkeypatch.setattr(searching, "_LIST_BUDGET_S", -1)
    assert store.search(Query(service="shop")) == ((), 0, False)
    assert store.scatter(Query(service="shop")) == []
    monkeypatch.undo()
    assert store.search(Query(service="shop")).total == 399


def test_more_than_can_be_counted_is_at_least_that(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "_MOST_COUNTED", 3)
    store.write(sent(*(made("GET", one, trace_id=one) for one in range(1, 6))))
    found = store.search(Query())
    assert (len(found.traces), found.total, found.exact) == (5, 3, False)


@pytest.mark.parametrize("value", ["", "\0", "\ud800", "x" * 100_000, "'; DROP TABLE traces; --", "[", "%"])
def test_hostile_questions_are_answered(store: Store, value: str) -> None:
    store.write(sent(made("GET", 1)))
    for query in (
        Query(service=value, operation=value, text=value),
        Query(tags=[(value, value)]),
        Query(min_ns=-(2**70), max_ns=2**70, from_ns=-(2**70), to_ns=2**70, limit=-5, offset=-5),
    ):
        assert isinstance(store.search(query).total, int)
    assert store.operations(value) == []
    assert store.entries(service=value, from_ns=-(2**70), to_ns=2**70) == store.entries(service=value)
    assert store.ids(value) == []
    assert [store.trace(one) for one in (-1, 0, 2**128, 2**64)] == [None] * 4
    assert store.search(Query()).total == 1


def test_hostile_spans_are_kept(store: Store) -> None:
    huge = "y" * 300_000
    batch = ResourceSpans()
    span = batch.scope_spans.add().spans.add(
        trace_id=b"\1", span_id=b"\2" * 20, name=f"{huge}\0", kind=99, start_time_unix_nano=2**64 - 1
    )
    span.status.code = 77
    span.attributes.extend(pairs({huge: huge, "": "", "\0": "\0", "list": [[[1]]]}))
    batch.scope_spans[0].spans.add()
    store.write([batch, ResourceSpans()], now_ns=NOON)
    assert (store.stats().spans, store.search(Query(tags=[("\0", "\0")])).total) == (2, 1)
    assert store.search(Query(operation=f"{huge}\0")).total == 1
    trace = store.trace(1)
    assert trace is not None
    assert trace.spans[0].attributes[huge] == huge


def test_values_that_are_never_the_same_do_not_fill_the_memory(store: Store) -> None:
    spans = [made(f"GET /{one}", one, trace_id=one, tags={"id": f"{one}"}) for one in range(1, 301)]
    store.write(sent(*spans))
    assert store.search(Query(tags=[("id", "77")], operation="GET /77")).total == 1


# Ids.


def test_64_bits_find_the_trace_of_128_and_the_reverse(store: Store) -> None:
    store.write(sent(made("whole", 1), made("short", 1, trace_id=77)))
    found = [store.trace(one) for one in (LOW, 9 << 64 | 77)]
    assert [trace and trace.spans[0].name for trace in found] == ["whole", "short"]


def test_an_id_that_was_cut_on_its_way_is_joined_where_both_overlap(store: Store) -> None:
    store.write(sent(made("GET /", 1, took=50), made("old", 2, 1, at=10, service="stock", trace_id=LOW)))
    for trace_id in (TRACE_ID, LOW):
        trace = store.trace(trace_id)
        assert trace is not None
        assert (list(trace.trace_ids), len(trace.roots)) == ([LOW, TRACE_ID], 1)
        assert len(store.raw(trace_id)) == 2


def test_traces_with_equal_low_bits_at_other_times_stay_apart(store: Store) -> None:
    store.write(
        sent(made("GET /", 1), made("later", 2, 1, at=11, trace_id=LOW), made("third", 3, trace_id=LOW | 1 << 64))
    )
    assert [len(store.trace(one) or ()) for one in (TRACE_ID, LOW, LOW | 1 << 64)] == [1, 1, 1]


def test_a_cut_id_that_fits_two_traces_is_joined_to_none(store: Store) -> None:
    store.write(sent(made("one", 1), made("two", 2, trace_id=LOW | 1 << 64), made("cut", 3, 1, trace_id=LOW)))
    assert len(store.trace(LOW) or ()) == 1


@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("5b8e", [TRACE_ID]),
        (" 5B8EFFF798038103D269B633813FC60C ", [TRACE_ID]),
        ("d269b6", [TRACE_ID]),
        ("d269b633813fc60c", [TRACE_ID]),
        ("0" * 16 + "4d", [0x4D << 56]),
        ("4d", [0x4D << 56]),
        ("00", [0x4D << 56]),
        ("x", []),
        ("0x5b", []),
        ("", []),
        ("0" * 33, []),
    ],
)
def test_a_trace_is_found_by_the_first_digits_of_its_id(store: Store, prefix: str, found: list[int]) -> None:
    store.write(sent(made("GET", 1), made("GET", 1, trace_id=0x4D << 56)))
    assert store.ids(prefix) == found


# Logs and entries.


def test_a_trace_has_its_logs_and_a_record_sent_twice_is_one(store: Store) -> None:
    store.write(sent(made("GET", 1)), logs_sent(TRACE_ID, 1, "first", at_ns=NOON + 2, severity="WARN"))
    store.write([], logs_sent(TRACE_ID, 1, "first", at_ns=NOON + 2, severity="WARN"))
    store.write([], [*logs_sent(TRACE_ID, 1, "before", at_ns=NOON), *logs_sent(0, 0, "of no trace")])
    trace = store.trace(TRACE_ID)
    assert trace is not None
    assert [(log.body, log.severity, log.service, log.span_id) for log in trace.logs] == [
        ("before", "INFO", "shop", 1),
        ("first", "WARN", "shop", 1),
    ]
    assert store.stats().logs == 2


def test_entries_are_the_requests_to_services(store: Store) -> None:
    probabilistic = {"sampler.type": "probabilistic", "sampler.param": 0.25}
    store.write(
        sent(
            made("GET", 1, kind="server", tags={"http.route": "/a", "http.status_code": 503, **probabilistic}),
            made("inner", 2, 1, at=1),
            made("take", 3, 1, at=2, service="stock", kind="consumer"),
        )
    )
    assert store.entries() == [
        (TRACE_ID, "stock", "take", "consumer", NOON + 2 * MS, 10 * MS, False, 4.0),
        (TRACE_ID, "shop", "GET /a", "server", NOON, 10 * MS, True, 4.0),
    ]
    assert [entry.operation for entry in store.entries(service="stock")] == ["take"]
    assert [entry.operation for entry in store.entries(from_ns=NOON + 1)] == ["take"]
    assert [entry.operation for entry in store.entries(to_ns=NOON + 1, limit=5)] == ["GET /a"]


def test_the_keys_of_all_attributes_are_known(store: Store) -> None:
    store.write(sent(made("GET", 1, tags={"b": 1, "a": 1}, resource={"host.name": "h"})))
    assert store.tag_keys() == ["a", "b", "host.name", "service.name"]


# Retention.


def some(first: int, count: int, spans: int = 2, **more: Any) -> list[ResourceSpans]:
    return sent(
        *(
            made(f"op{trace_id}", one, trace_id=trace_id, tags={"id": trace_id}, **more)
            for trace_id in range(first, first + count)
            for one in range(1, spans + 1)
        )
    )


@pytest.mark.parametrize(
    "wrong", [{"max_spans": 0}, {"max_bytes": -1}, {"max_age_s": 0.0}], ids=["spans", "bytes", "age"]
)
def test_nothing_cannot_be_what_is_kept(wrong: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match=r"above 0"):
        Retention(**wrong)


def test_the_traces_that_came_first_go_first_and_whole() -> None:
    with a_store(Retention(max_spans=10, max_age_s=1e9)) as store:
        store.write(some(1, 4))
        store.write(some(1, 1, spans=3))
        store.write(some(5, 2))
        stats = store.stats()
        assert sorted(row.trace_id for row in store.search(Query()).traces) == [2, 3, 4, 5, 6]
        assert (stats.spans, stats.traces, stats.deleted_spans) == (10, 5, 3)
        assert [len(store.entries()), len(store.services())] == [10, 1]
        assert (store.trace(1), store.search(Query(tags=[("id", "1")])).total) == (None, 0)


def test_what_is_too_old_goes_and_its_logs_too() -> None:
    hour = 3600 * 10**9
    with a_store(Retention(max_age_s=3600)) as store:
        store.write(some(1, 1), logs_sent(1, 1, "mine"), now_ns=NOON)
        store.write([], logs_sent(99, 1, "of no trace"), now_ns=NOON)
        store.write(some(2, 1), logs_sent(2, 1, "kept"), now_ns=NOON + hour)
        assert store.stats()[:3] == (4, 2, 3)
        assert store.tidy(now_ns=NOON + hour + 1)
        assert not store.tidy(now_ns=NOON + hour + 1)
        assert store.stats()[:3] == (2, 1, 1)


def test_deleting_is_done_in_steps_until_as_much_is_gone_as_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retaining, "_STEP_SPANS", 4)
    with a_store(Retention(max_spans=100, max_age_s=1e9)) as store:
        store.write(some(1, 50))
        store.retention = Retention(max_spans=10, max_age_s=1e9)
        store.write(some(51, 5))
        assert store.stats().spans == 98
        while store.tidy():
            pass
        assert store.stats().spans == 10


def test_bytes_are_kept_within_their_bound_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 1 << 20
    monkeypatch.setattr(retaining, "_STEP_PAGES", 10)
    with a_store(Retention(max_bytes=most, max_age_s=1e9)) as store:
        for first in range(1, 2000, 200):
            store.write(some(first, 200, message="m" * 1000))
        while store.tidy():
            pass
        assert 100 < store.stats().spans < 1500
        with contextlib.closing(sqlite3.connect(store.path)) as connection:
            assert retaining.used_bytes(connection) <= most
        store.retention = Retention(max_bytes=1, max_age_s=1e9)
        while store.tidy():
            pass
        assert store.stats().traces == 0
        with contextlib.closing(sqlite3.connect(store.path)) as connection:
            assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
            assert connection.execute("PRAGMA page_count").fetchone()[0] < 60


def test_nothing_is_left_of_what_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retaining, "PART", 4)
    monkeypatch.setattr(searching, "PART", 4)
    monkeypatch.setattr(writing, "PART", 4)
    with a_store(Retention(max_spans=8, max_age_s=1e9)) as store:
        for first in range(1, 40):
            store.write(sent(made(f"op{first}", 1, trace_id=first, resource={"pid": first}, tags={"id": first})))
        found = tables(store)
        assert {name: found[name] for name in ("traces", "spans", "calls", "entries")} == {
            "traces": 8,
            "spans": 8,
            "calls": 16,
            "entries": 8,
        }
        # Up to a part more than what is needed.
        assert 8 <= found["resources"] <= 12
        assert 9 <= found["names"] <= 13
        assert found["tags"] <= 3 * 12
        assert [store.search(Query(tags=[("id", str(one))])).total for one in (31, 32, 39)] == [0, 1, 1]
        assert [len(store.trace(one) or ()) for one in range(32, 40)] == [1] * 8


def test_a_name_that_a_kept_trace_needs_stays_though_others_that_had_it_go(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (retaining, searching, writing):
        monkeypatch.setattr(module, "PART", 2)
    with a_store(Retention(max_spans=4, max_age_s=1e9)) as store:
        for first in range(1, 20):
            store.write(sent(made("same" if first % 3 else f"op{first}", 1, trace_id=first)))
            for row in store.search(Query()).traces:
                trace = store.trace(row.trace_id)
                assert trace is not None
                assert (row.root_name, row.spans) == (trace.spans[0].name, 1)


# Opening.


def test_a_number_is_not_given_again_while_tags_of_its_first_owner_are_there(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with contextlib.closing(Store.open(path, retention=ALL)) as store:
        store.write(some(1, 2))
        with contextlib.closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM traces")
    with contextlib.closing(Store.open(path, retention=ALL)) as store:
        store.write(some(7, 2))
        assert [store.search(Query(tags=[("id", one)])).total for one in "12789"] == [0, 0, 1, 1, 0]


def test_what_was_written_is_there_after_a_restart_and_is_added_to(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "t.db"
    with contextlib.closing(Store.open(path, retention=ALL)) as store:
        store.write(sent(made("GET", 1)))
    with contextlib.closing(Store.open(path, retention=ALL)) as store:
        store.write(sent(made("child", 2, 1, at=1), made("GET", 3, trace_id=3)))
        trace = store.trace(TRACE_ID)
        assert trace is not None
        assert (len(trace), store.search(Query(operation="GET")).total) == (2, 2)


def test_only_one_writes_and_the_other_is_told(store: Store) -> None:
    with pytest.raises(StoreError, match=r"in use by another `ot-bridge view`.*--db"):
        Store.open(store.path)


def test_it_is_read_beside_a_writer_and_without_one(store: Store) -> None:
    store.write(sent(made("GET", 1)))
    with contextlib.closing(Store.open_read_only(store.path)) as reader:
        before = reader.version()
        assert len(reader.trace(TRACE_ID) or ()) == 1
        store.write(sent(made("more", 2, 1)))
        assert (len(reader.trace(TRACE_ID) or ()), reader.version() != before) == (2, True)
        with pytest.raises(StoreError, match=r"only read here"):
            reader.write(sent(made("GET", 1)))
    store.close()
    with contextlib.closing(Store.open_read_only(store.path)) as reader:
        assert len(reader.trace(TRACE_ID) or ()) == 2


def test_the_version_stands_still_while_nothing_is_written(store: Store) -> None:
    store.write(sent(made("GET", 1)))
    assert store.version() == store.version()


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    store.close()
    for act in (lambda: store.write([]), lambda: store.trace(1), lambda: store.search(Query())):
        with pytest.raises(StoreError, match=r"closed"):
            act()


def test_a_database_that_is_not_there_is_not_made_by_a_reader(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no database .*none\.db.*--db"):
        Store.open_read_only(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("opened", [Store.open, Store.open_read_only], ids=["to write", "to read"])
def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path, opened: Any) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary, " * 100, encoding="utf-8")
    with pytest.raises(StoreError, match=r"not a database"):
        opened(path)
    assert path.read_text(encoding="utf-8") == "dear diary, " * 100


@pytest.mark.parametrize("version", [0, 1])
def test_the_database_of_another_program_is_left_alone(tmp_path: Path, version: int) -> None:
    path = tmp_path / "theirs.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"CREATE TABLE places (a); PRAGMA user_version = {version};")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"another program"):
        Store.open(path)
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused_in_words(store: Store) -> None:
    store.close()
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    for opened in (Store.open, Store.open_read_only):
        with pytest.raises(StoreError, match=rf"version {VERSION + 1}.*use a newer ot-bridge"):
            opened(store.path)


def test_an_older_schema_is_migrated_and_a_step_that_fails_changes_nothing(store: Store) -> None:
    store.write(sent(made("GET", 1)))
    store.close()
    with contextlib.closing(sqlite3.connect(store.path, isolation_level=None)) as connection:
        connection.execute("PRAGMA user_version = 0")
        steps = ["ALTER TABLE names ADD COLUMN more; ", "ALTER TABLE scopes ADD COLUMN more; CREATE TABLE names (a);"]
        with pytest.raises(sqlite3.OperationalError, match=r"already exists"):
            migrate(connection, "here", migrations=steps)
        columns = [[row[1] for row in connection.execute(f"PRAGMA table_info({one})")] for one in ("names", "scopes")]
        assert [("more" in names) for names in columns] == [True, False]
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    with contextlib.closing(sqlite3.connect(store.path)) as connection:
        connection.execute("PRAGMA user_version = 0")
    with pytest.raises(StoreError, match=r"open it once with `ot-bridge view`"):
        Store.open_read_only(store.path)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match=r"cannot make the directory .*file"):
        Store.open(tmp_path / "file" / "t.db")
    with pytest.raises(StoreError, match=r"cannot keep spans in"):
        Store.open(tmp_path)


def test_a_full_disk_is_said_and_the_next_write_works(store: Store) -> None:
    store.write(sent(made("GET", 1)))
    assert store._sink is not None
    (pages,) = store._sink.sql.execute("PRAGMA page_count").fetchone()
    store._sink.sql.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match=r"database or disk is full; make room"):
        store.write(some(10, 500))
    store._sink.sql.execute("PRAGMA max_page_count = 1000000")
    store.write(some(10, 5))
    assert (store.stats().spans, store.search(Query(operation="op12")).total) == (11, 1)


# Readers, writers and the end of a process.


def test_readers_and_the_writer_do_not_wait_for_each_other(store: Store) -> None:
    wrong, done = list[object](), threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                rows = store.search(Query(limit=500)).traces
                found = store.trace(rows[0].trace_id) if rows else None
                if rows and (found is None or len(found) != 2 or any(row.spans != 2 for row in rows)):
                    wrong.append(rows)
            except Exception as error:  # noqa: PERF203 - each one is wanted
                wrong.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for first in range(1, 400, 10):
        store.write(some(first, 10))
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert store.stats().spans == 800


def test_connections_are_used_again_by_other_threads(store: Store) -> None:
    store.write(sent(made("GET", 1)))
    for _ in range(20):
        thread = threading.Thread(target=store.services)
        thread.start()
        thread.join()
    assert len(store._readers._idle) == 1


_WRITES = """
import sys
from pathlib import Path
from traces_made import made
from traces_sent import sent
from ot_bridge.traces.store.store import Store
from ot_bridge.traces.store.writer import Writer
writer = Writer(Store.open(Path(sys.argv[1])))
for first in range(1, 1_000_000, 20):
    spans = [made(f"op{one}", k, trace_id=one, tags={"id": one}) for one in range(first, first + 20) for k in (1, 2)]
    assert writer.put(sent(*spans))
    if first // 20 % 5 == 0:
        assert writer.flush()
        print(first + 19, flush=True)
"""


def test_after_kill_9_all_that_was_confirmed_is_there(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    command = [sys.executable, "-c", _WRITES, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent) as process:
        assert process.stdout is not None
        confirmed = [int(process.stdout.readline()) for _ in range(8)][-1]
        process.kill()
        confirmed = max([confirmed, *map(int, process.stdout.read().split())])
    with contextlib.closing(Store.open_read_only(path)) as reader:
        assert len(reader.trace(confirmed) or ()) == 2
    with contextlib.closing(Store.open(path, retention=ALL)) as store:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = store.search(Query(limit=100_000)).traces
        assert {row.trace_id for row in found} >= set(range(1, confirmed + 1))
        assert {row.spans for row in found} == {2}
        assert store.search(Query(tags=[("id", str(confirmed))])).total == 1
        store.write(some(10**9, 1))
        assert store.stats().spans == 2 * len(found) + 2
