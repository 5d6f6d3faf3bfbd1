"""A process that eventlet patched."""

import warnings

warnings.filterwarnings("ignore", message="\nEventlet is deprecated")  # and maintained

import eventlet

eventlet.monkey_patch()

import threading
import time
import urllib.request
from typing import Any

import eventlet.debug
import eventlet.event
import eventlet.timeout
import eventlet.tpool
import eventlet.wsgi

from loops.running import report
from loops.scenario import REQUESTS, Tracing, look, nothing_is_active, request, work
from ot_bridge import in_context


def handle(tracing: Tracing, number: int) -> None:
    for _ in request(tracing, number):
        time.sleep(0)  # eventlet's


def joined(*greenlets: Any) -> list[Any]:
    return [greenlet.wait() for greenlet in greenlets]


def requests_in_greenlets(tracing: Tracing) -> None:
    joined(*(eventlet.spawn(handle, tracing, number) for number in range(REQUESTS)))


def requests_in_a_pool(tracing: Tracing) -> None:
    pool = eventlet.GreenPool(5)
    list(pool.imap(lambda number: handle(tracing, number), range(REQUESTS)))


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
        start_response("200 OK", [("Connection", "close")])
        return [b"%d" % number]

    listener = eventlet.listen(("127.0.0.1", 0))
    server = eventlet.spawn(eventlet.wsgi.server, listener, application, log_output=False)
    port = listener.getsockname()[1]

    def ask(number: int) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{number}", timeout=30) as answer:
            return answer.read().decode()

    try:
        return joined(*(eventlet.spawn(ask, number) for number in range(REQUESTS)))
    finally:
        server.kill()


def new_greenlet(tracing: Tracing) -> None:
    with tracing.tracer.start_active_span("request", tags={"request": 1}):
        joined(eventlet.spawn(nothing_is_active, tracing), eventlet.spawn(work, tracing, 2))


def every_way(tracing: Tracing) -> list[Any]:
    """Each way to a greenlet or a real thread, with the context of the request."""
    with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
        scope.span.set_baggage_item("tenant", "acme")
        carried = in_context(work)
        seen = joined(
            eventlet.spawn(carried, tracing, 1),
            eventlet.spawn_after(0.001, carried, tracing, 1),
            eventlet.GreenPool(1).spawn(carried, tracing, 1),
        )
        done = eventlet.event.Event()
        eventlet.spawn_n(in_context(lambda: done.send(work(tracing, 1))))
        seen.append(done.wait(10))
        seen.append(eventlet.tpool.execute(carried, tracing, 1))
        look(tracing, scope.span, "acme")
    eventlet.tpool.execute(nothing_is_active, tracing)
    return seen


def greenlet_that_outlives(tracing: Tracing) -> Any:
    over = eventlet.event.Event()

    def late() -> Any:
        over.wait(10)
        return work(tracing, 1)

    with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
        scope.span.set_baggage_item("tenant", "acme")
        greenlet = eventlet.spawn(in_context(late))
        eventlet.sleep(0)
    handle(tracing, 2)
    over.send()
    return joined(greenlet)


def how_it_ended(greenlet: Any) -> str:
    try:
        return f"returned {greenlet.wait()}"
    except BaseException as error:
        return f"{type(error).__name__} {error}".strip()


def killed_and_failed(tracing: Tracing) -> list[str]:
    def forever() -> None:
        with (
            tracing.tracer.start_active_span("work", tags={"request": 1}),
            tracing.native.start_as_current_span("native", attributes={"request": 1}),
        ):
            eventlet.event.Event().wait()

    def fail() -> None:
        with tracing.tracer.start_active_span("failing", tags={"request": 1}):
            eventlet.sleep(0)
            raise ValueError("boom")

    ended: list[str] = []
    with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
        scope.span.set_baggage_item("tenant", "acme")
        killed = eventlet.spawn(in_context(forever))
        eventlet.sleep(0)
        killed.kill()
        ended += [how_it_ended(killed), how_it_ended(eventlet.spawn(in_context(fail)))]
        with eventlet.timeout.Timeout(0.01, False):
            forever()
        look(tracing, scope.span, "acme")
    return ended


eventlet.debug.hub_exceptions(False)  # it would print what the test expects
report(
    requests_in_greenlets,
    requests_in_a_pool,
    requests_in_patched_threads,
    requests_over_http,
    new_greenlet,
    every_way,
    greenlet_that_outlives,
    killed_and_failed,
)
