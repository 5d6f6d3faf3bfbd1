from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ot_bridge.traces.store import writer as writer_module
from ot_bridge.traces.store.errors import StoreError
from ot_bridge.traces.store.query import Query
from ot_bridge.traces.store.retention import Retention
from ot_bridge.traces.store.store import Store
from ot_bridge.traces.store.writer import Writer
from traces_made import made
from traces_sent import logs_sent, sent


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with contextlib.closing(Store.open(tmp_path / "traces.db", retention=Retention(max_age_s=1e9))) as opened:
        yield opened


class Held:
    """Makes a store's `write` wait, and tells when it does."""

    def __init__(self, store: Store) -> None:
        self.began, self.go = threading.Event(), threading.Event()
        self.writes = list[int]()
        self._write = store.write
        store.write = self.write  # type: ignore[method-assign]

    def write(self, batches: Any, logs: Any = ()) -> None:
        self.writes.append(len(batches))
        self.began.set()
        assert self.go.wait(10)
        self._write(batches, logs)


def test_what_is_put_is_written_with_its_logs(store: Store) -> None:
    writer = Writer(store)
    assert writer.put(sent(made("GET", 1, trace_id=5)), logs_sent(5, 1, "said"))
    assert writer.flush()
    trace = store.trace(5)
    assert trace is not None
    assert (len(trace), [log.body for log in trace.logs]) == (1, ["said"])
    assert writer.close()


def test_what_comes_while_a_transaction_runs_goes_into_the_next_together(store: Store) -> None:
    held = Held(store)
    writer = Writer(store)
    assert writer.put(sent(made("GET", 1)))
    assert held.began.wait(10)
    for one in range(2, 12):
        assert writer.put(sent(made("GET", one)))
    held.go.set()
    assert writer.flush()
    assert held.writes == [1, 10]
    assert writer.close()


def test_a_full_queue_says_no_and_yes_again_when_it_has_room(store: Store) -> None:
    held = Held(store)
    writer = Writer(store, queue_spans=3)
    assert writer.put(sent(made("GET", 1)))
    assert held.began.wait(10)
    # The one that is being written counts until it is.
    assert writer.put(sent(made("GET", 2), made("GET", 3)))
    assert not writer.put(sent(made("GET", 4)))
    assert not writer.put([], logs_sent(1, 1, "said"))
    held.go.set()
    assert writer.flush()
    assert writer.put(sent(made("GET", 4)))
    assert writer.close()
    assert store.stats().spans == 4


def test_the_queue_ends_at_its_bytes_too(store: Store) -> None:
    held = Held(store)
    writer = Writer(store, queue_bytes=1_000)
    assert writer.put(sent(made("GET", 1)))
    assert held.began.wait(10)
    assert writer.put(sent(made("x" * 2_000, 2)))
    assert not writer.put(sent(made("GET", 3)))
    held.go.set()
    assert writer.close()
    assert store.stats().spans == 2


def test_put_does_not_wait_for_the_database(store: Store) -> None:
    held = Held(store)
    writer = Writer(store)
    assert writer.put(sent(made("GET", 1)))
    assert held.began.wait(10)
    assert writer.put(sent(made("GET", 2)))
    assert not writer.flush(0.01)
    assert not writer.close(0.01)
    assert not writer.put(sent(made("GET", 3)))
    held.go.set()
    assert writer.close()
    assert store.stats().spans == 2


def test_a_message_that_cannot_be_written_does_not_take_the_others_with_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = store.write

    def fussy(batches: Any, logs: Any = ()) -> None:
        if any(span.name == "bad" for batch in batches for group in batch.scope_spans for span in group.spans):
            raise ValueError("bad name")
        write(batches, logs)

    monkeypatch.setattr(writer_module, "_PAUSE_S", 10.0)
    store.write = fussy  # type: ignore[method-assign]
    writer = Writer(store)
    for one, name in enumerate(("good", "bad", "fine"), start=1):
        assert writer.put(sent(made(name, one, trace_id=one)))
    assert writer.close()
    assert sorted(row.root_name for row in store.search(Query()).traces) == ["fine", "good"]
    assert (writer.lost, writer.problem) == (1, "ValueError('bad name')")


def test_what_the_database_does_not_take_is_counted_and_the_writer_goes_on(store: Store) -> None:
    write, full = store.write, [True]

    def sometimes(batches: Any, logs: Any = ()) -> None:
        if full.pop() if full else False:
            raise StoreError("database or disk is full")
        write(batches, logs)

    store.write = sometimes  # type: ignore[method-assign]
    writer = Writer(store)
    assert writer.put(sent(made("GET", 1), made("GET", 2)))
    assert writer.flush()
    assert (writer.lost, writer.problem) == (2, "database or disk is full")
    assert writer.put(sent(made("GET", 3)))
    assert writer.close()
    assert store.stats().spans == 1


def test_what_is_too_old_goes_when_nothing_comes(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with contextlib.closing(Store.open(path, retention=Retention(max_age_s=3600))) as store:
        store.write(sent(*(made("GET", 1, trace_id=one) for one in range(1, 1200))), now_ns=1)
        tidied = threading.Event()
        tidy = store.tidy

        def told() -> bool:
            more = tidy()
            if not more:
                tidied.set()
            return more

        store.tidy = told  # type: ignore[method-assign,assignment]
        writer = Writer(store)
        assert tidied.wait(10)
        assert store.stats().spans == 0
        assert writer.close()
