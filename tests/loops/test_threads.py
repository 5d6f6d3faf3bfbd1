"""Threads, timers, pools of threads and of processes, with and without the context of who started them."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
import multiprocessing.dummy
import threading
import time
from collections.abc import Callable

import pytest

from compat.cells import cell
from loops.scenario import REQUESTS, Tracing, look, nothing_is_active, request, told, whole, work
from ot_bridge import ContextExecutor, in_context

threads = cell("loops", "threads")
pools = cell("loops", "thread pools")
processes = cell("loops", "process pools")


@pytest.fixture
def tracing() -> Tracing:
    return Tracing.of()


def in_threads(*functions: Callable[[], object]) -> None:
    """Run each function in a thread of its own, at the same time; raise what one of them raised."""
    failures: list[BaseException] = []
    together = threading.Barrier(len(functions))

    def run(function: Callable[[], object]) -> None:
        together.wait()
        try:
            function()
        except BaseException as error:
            failures.append(error)

    started = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    if failures:
        raise failures[0]


def handle(tracing: Tracing, number: int) -> None:
    for _ in request(tracing, number):
        time.sleep(0)  # another thread's turn


# --- threads


@threads
def test_requests_in_threads_do_not_mix(tracing: Tracing) -> None:
    in_threads(*(lambda number=number: handle(tracing, number) for number in range(REQUESTS)))
    assert tracing.trees() == whole(range(REQUESTS))


@threads
def test_new_thread_starts_with_nothing_active(tracing: Tracing) -> None:
    with tracing.tracer.start_active_span("request", tags={"request": 1}):
        in_threads(lambda: nothing_is_active(tracing), lambda: work(tracing, 2))
    assert tracing.trees() == ["1: request", "2: work"]


@threads
@pytest.mark.parametrize(
    "kind", [threading.Thread, lambda target: threading.Timer(0.001, target)], ids=["new", "timer"]
)
def test_thread_is_given_the_context_of_who_starts_it(tracing: Tracing, kind: Callable[..., threading.Thread]) -> None:
    with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
        scope.span.set_baggage_item("tenant", "acme")
        thread = kind(target=in_context(lambda: work(tracing, 1)))
        thread.start()
        thread.join()
        look(tracing, scope.span, "acme")
    assert tracing.trees() == ["1: request(work)"]


@threads
def test_thread_that_outlives_the_request_is_in_its_trace(tracing: Tracing) -> None:
    over, seen = threading.Event(), []

    def late() -> None:
        assert over.wait(10)
        seen.append(work(tracing, 1))

    with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
        scope.span.set_baggage_item("tenant", "acme")
        thread = threading.Thread(target=in_context(late))
        thread.start()
    over.set()
    thread.join()
    assert (tracing.trees(), seen) == (["1: request(work)"], ["acme"])


@threads
def test_exception_in_a_thread_leaves_nothing_active(tracing: Tracing) -> None:
    def fail() -> None:
        with tracing.tracer.start_active_span("work", tags={"request": 1}):
            raise ValueError("boom")

    def thread() -> None:
        with pytest.raises(ValueError, match="boom"):
            carried()
        nothing_is_active(tracing)

    with tracing.tracer.start_active_span("request", tags={"request": 1}):
        carried = in_context(fail)
        in_threads(thread)
    assert tracing.trees() == ["1: request(work)"]


# --- thread pools


@pools
def test_requests_in_a_pool_do_not_mix(tracing: Tracing) -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: handle(tracing, number), range(REQUESTS)))
    assert tracing.trees() == whole(range(REQUESTS))


@pools
def test_pool_alone_makes_a_root_as_with_jaeger_client(tracing: Tracing) -> None:
    with concurrent.futures.ThreadPoolExecutor(1) as pool, tracing.tracer.start_active_span("request"):
        pool.submit(work, tracing, 1).result()
    assert tracing.trees() == ["1: work", "?: request"]


@pools
def test_work_of_many_requests_in_one_pool_is_in_the_trace_of_each(tracing: Tracing) -> None:
    with ContextExecutor(concurrent.futures.ThreadPoolExecutor(3)) as pool:

        def handle_with_work(number: int) -> None:
            with tracing.tracer.start_active_span("request", tags={"request": number}) as scope:
                scope.span.set_baggage_item("tenant", f"tenant-{number}")
                jobs = [pool.submit(work, tracing, number) for _ in range(3)]
                assert [job.result(10) for job in jobs] == [f"tenant-{number}"] * 3
                assert list(pool.map(work, [tracing], [number])) == [f"tenant-{number}"]

        in_threads(*(lambda number=number: handle_with_work(number) for number in range(REQUESTS)))
        pool.submit(nothing_is_active, tracing).result(10)
    assert tracing.trees() == whole(range(REQUESTS), "request(work work work work)")


@pools
def test_native_work_in_a_pool_is_a_child_too(tracing: Tracing) -> None:
    with ContextExecutor(concurrent.futures.ThreadPoolExecutor(1)) as pool:
        with (
            tracing.tracer.start_active_span("request", tags={"request": 1}),
            tracing.native.start_as_current_span("native", attributes={"request": 1}),
        ):
            pool.submit(work, tracing, 1).result(10)
        pool.submit(lambda: nothing_is_active(tracing)).result(10)
    assert tracing.trees() == ["1: request(native(work))"]


@pools
def test_pool_of_multiprocessing_dummy_is_given_the_context(tracing: Tracing) -> None:
    with multiprocessing.dummy.Pool(3) as pool:
        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            seen = pool.map(in_context(lambda number: work(tracing, number)), [1] * 5)
            seen.append(pool.apply_async(in_context(work), (tracing, 1)).get(10))
        pool.apply(nothing_is_active, (tracing,))
    assert (tracing.trees(), seen) == (["1: request(work work work work work work)"], ["acme"] * 6)


@pools
def test_done_callback_is_given_the_context(tracing: Tracing) -> None:
    go_on = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with tracing.tracer.start_active_span("request", tags={"request": 1}):
            job = pool.submit(go_on.wait, 10)
            job.add_done_callback(in_context(lambda _: work(tracing, 1)))
        go_on.set()
    assert tracing.trees() == ["1: request(work)"]


# --- processes


@processes
@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # pytest's own threads
def test_process_pool_is_given_ids_and_baggage(tracing: Tracing, method: str) -> None:
    context = multiprocessing.get_context(method)
    with ContextExecutor(concurrent.futures.ProcessPoolExecutor(1, mp_context=context)) as pool:
        with tracing.tracer.start_active_span("request") as scope:
            scope.span.set_baggage_item("tenant", "acme")
            found = [pool.submit(told).result(60), *pool.map(told, [1, 2], chunksize=2)]
        after = pool.submit(told).result(60)
    assert found == [(scope.span.context.trace_id, "acme", True)] * 3
    assert after == (0, None, False)
