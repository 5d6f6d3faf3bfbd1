"""Greenlets in a process that nobody patched."""

import contextvars
from typing import Any

import gevent
import greenlet

from loops.running import report
from loops.scenario import REQUESTS, Tracing, look, nothing_is_active, request, work
from ot_bridge import in_context


def requests_in_greenlets(tracing: Tracing) -> None:
    def handle(number: int) -> None:
        for _ in request(tracing, number):
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(handle, number) for number in range(REQUESTS)], raise_error=True)


def requests_in_bare_greenlets(tracing: Tracing) -> None:
    """Greenlets without gevent, switched by hand in turns."""
    main = greenlet.getcurrent()

    def handle(number: int) -> None:
        for _ in request(tracing, number):
            main.switch()

    running = [greenlet.greenlet(handle) for _ in range(REQUESTS)]
    for number, one in enumerate(running):
        one.switch(number)
    while running:
        for one in running:
            one.switch()
        running = [one for one in running if not one.dead]


def context_is_given(tracing: Tracing) -> list[Any]:
    seen = []
    with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
        scope.span.set_baggage_item("tenant", "acme")
        seen.append(gevent.spawn(in_context(work), tracing, 1).get())
        bare = greenlet.greenlet(in_context(work))
        seen.append(bare.switch(tracing, 1))
        inheriting = greenlet.greenlet(lambda: work(tracing, 1))
        inheriting.gr_context = contextvars.copy_context()
        seen.append(inheriting.switch())
        seen.append(gevent.get_hub().threadpool.apply(in_context(work), (tracing, 1)))
        look(tracing, scope.span, "acme")
    greenlet.greenlet(nothing_is_active).switch(tracing)
    return seen


report(requests_in_greenlets, requests_in_bare_greenlets, context_is_given)
