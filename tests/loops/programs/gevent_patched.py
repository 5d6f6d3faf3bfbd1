"""A process that gevent patched, as one of a gunicorn worker of its kind."""

from gevent import monkey

monkey.patch_all()

import concurrent.futures
import threading
import time
import urllib.request
from typing import Any

import gevent
import gevent.event
import gevent.pool
import gevent.pywsgi
import gevent.threadpool

from loops.running import report
from loops.scenario import REQUESTS, Tracing, look, nothing_is_active, request, work
from ot_bridge import ContextExecutor, in_context


def handle(tracing: Tracing, number: int) -> None:
    for _ in request(tracing, number):
        time.sleep(0)  # gevent's


def joined(*greenlets: gevent.Greenlet) -> list[Any]:
    gevent.joinall(greenlets, raise_error=True)
    return [greenlet.value for greenlet in greenlets]


def requests_in_greenlets(tracing: Tracing) -> None:
    joined(*(gevent.spawn(handle, tracing, number) for number in range(REQUESTS)))


def requests_in_patched_threads(tracing: Tracing) -> None:
    threads = [threading.Thread(target=handle, args=(tracing, number)) for number in range(REQUESTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def requests_over_http(tracing: Tracing) -> list[str]:
    """A real server, and clients that all ask at once."""

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        number = int(environ["PATH_INFO"].strip("/"))
        handle(tracing, number)
        start_response("200 OK", [])
        return [b"%d" % number]

    server = gevent.pywsgi.WSGIServer(("127.0.0.1", 0), application, log=None)
    server.start()

    def ask(number: int) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{number}", timeout=30) as answer:
            return answer.read().decode()

    try:
        return joined(*(gevent.spawn(ask, number) for number in range(REQUESTS)))
    finally:
        server.stop()


def new_greenlet(tracing: Tracing) -> None:
    with tracing.tracer.start_active_span("request", tags={"request": 1}):
        joined(gevent.spawn(nothing_is_active, tracing), gevent.spawn(work, tracing, 2))


def every_way(tracing: Tracing) -> list[Any]:
    """Each way to a greenlet, with the context of the request."""
    with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
        scope.span.set_baggage_item("tenant", "acme")
        carried = in_context(work)
        pool = gevent.pool.Pool(2)
        seen = joined(gevent.spawn(carried, tracing, 1), gevent.spawn_later(0.001, carried, tracing, 1))
        seen += joined(pool.spawn(carried, tracing, 1))
        seen += pool.map(in_context(lambda number: work(tracing, number)), [1, 1])
        done = gevent.event.AsyncResult()
        linked = gevent.spawn(int)
        linked.link(in_context(lambda _: done.set(work(tracing, 1))))
        seen.append(done.get(timeout=10))
        look(tracing, scope.span, "acme")
    return seen


def real_threads(tracing: Tracing) -> list[Any]:
    """Gevent's own pools of real threads, where the span has to be taken along too."""
    pool = gevent.get_hub().threadpool
    with ContextExecutor(gevent.threadpool.ThreadPoolExecutor(2)) as executor:
        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            seen = [pool.spawn(in_context(work), tracing, 1).get(), executor.submit(work, tracing, 1).result(10)]
            seen += executor.map(work, [tracing] * 2, [1] * 2)
        executor.submit(nothing_is_active, tracing).result(10)
    return seen


def patched_executor(tracing: Tracing) -> list[Any]:
    with ContextExecutor(concurrent.futures.ThreadPoolExecutor(3)) as executor:

        def handle_with_work(number: int) -> list[Any]:
            with tracing.tracer.start_active_span("request", tags={"request": number}) as scope:
                scope.span.set_baggage_item("tenant", f"tenant-{number}")
                jobs = [executor.submit(work, tracing, number) for _ in range(2)]
                return [job.result(10) for job in jobs]

        return joined(*(gevent.spawn(handle_with_work, number) for number in range(REQUESTS)))


def greenlet_that_outlives(tracing: Tracing) -> Any:
    over = gevent.event.Event()

    def late() -> Any:
        over.wait(10)
        return work(tracing, 1)

    with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
        scope.span.set_baggage_item("tenant", "acme")
        greenlet = gevent.spawn(in_context(late))
        gevent.sleep(0)
    handle(tracing, 2)
    over.set()
    return joined(greenlet)


def killed_and_failed(tracing: Tracing) -> list[str]:
    def forever() -> None:
        with (
            tracing.tracer.start_active_span("work", tags={"request": 1}),
            tracing.native.start_as_current_span("native", attributes={"request": 1}),
        ):
            gevent.event.Event().wait()

    def fail() -> None:
        with tracing.tracer.start_active_span("failing", tags={"request": 1}):
            gevent.sleep(0)
            raise ValueError("boom")

    ended = []
    with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
        scope.span.set_baggage_item("tenant", "acme")
        killed = gevent.spawn(in_context(forever))
        gevent.sleep(0)
        killed.kill()
        ended.append(type(killed.value).__name__)
        failed = gevent.Greenlet(in_context(fail))
        failed.parent.handle_error = lambda *_: None  # which would print a traceback
        failed.start()
        failed.join()
        del failed.parent.handle_error
        ended.append(str(failed.exception))
        try:
            with gevent.Timeout(0.01):
                forever()
        except gevent.Timeout:
            ended.append("timeout")
        look(tracing, scope.span, "acme")
    return ended


report(
    requests_in_greenlets,
    requests_in_patched_threads,
    requests_over_http,
    new_greenlet,
    every_way,
    real_threads,
    patched_executor,
    greenlet_that_outlives,
    killed_and_failed,
)
