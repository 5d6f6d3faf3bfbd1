"""OpenTracing's scope manager for gevent, with the bridge's tracer and with that of the drop-in."""

from gevent import monkey

monkey.patch_all()

from typing import Any

import gevent
import gevent.event
from opentracing.scope_managers.gevent import GeventScopeManager

from loops.running import report
from loops.scenario import REQUESTS, Tracing, drop_in, look, nothing_is_active, request, work
from ot_bridge import in_context


def joined(*greenlets: gevent.Greenlet) -> list[Any]:
    gevent.joinall(greenlets, raise_error=True)
    return [greenlet.value for greenlet in greenlets]


def manager_keeps_its_class(tracing: Tracing) -> bool:
    return isinstance(tracing.tracer.scope_manager, GeventScopeManager)


def requests_in_greenlets(tracing: Tracing) -> None:
    def handle(number: int) -> None:
        for _ in request(tracing, number):
            gevent.sleep(0)

    joined(*(gevent.spawn(handle, number) for number in range(REQUESTS)))


def span_is_passed_by_hand(tracing: Tracing) -> list[Any]:
    """As the documentation of the manager tells."""

    def child(span: Any) -> Any:
        nothing_is_active(tracing)
        with tracing.tracer.scope_manager.activate(span, False):
            gevent.sleep(0)
            seen = work(tracing, 1)
        nothing_is_active(tracing)
        return seen

    with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
        scope.span.set_baggage_item("tenant", "acme")
        seen = joined(*(gevent.spawn(child, scope.span) for _ in range(3)))
        look(tracing, scope.span, "acme")
    return seen


def context_is_given(tracing: Tracing) -> list[Any]:
    over = gevent.event.Event()

    def late() -> Any:
        over.wait(10)
        return work(tracing, 1)

    with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
        scope.span.set_baggage_item("tenant", "acme")
        greenlets = [gevent.spawn(in_context(function), *args) for function, *args in ((work, tracing, 1), (late,))]
        seen = [gevent.get_hub().threadpool.apply(in_context(work), (tracing, 1))]
        look(tracing, scope.span, "acme")
    over.set()
    return seen + joined(*greenlets)


report(
    manager_keeps_its_class,
    requests_in_greenlets,
    span_is_passed_by_hand,
    context_is_given,
    tracers={
        " of BridgeTracer": lambda: Tracing.of(GeventScopeManager()),
        " of the drop-in": lambda: drop_in(GeventScopeManager()),
    },
)
