"""OpenTracing's scope manager for tornado, with the last tornado that has stack contexts, in a server of its own."""

import collections
import collections.abc
import logging

# What tornado 5 still asks for, and Python 3.10 took away.
collections.MutableMapping = collections.abc.MutableMapping

from collections.abc import Generator
from typing import Any

from opentelemetry import trace
from opentracing.scope_managers.tornado import TornadoScopeManager, tracer_stack_context
from tornado import gen, httpclient, httpserver, ioloop, netutil, web

from loops.running import report
from loops.scenario import REQUESTS, Tracing, drop_in, look, nothing_is_active, work
from ot_bridge import in_context


def manager_keeps_its_class(tracing: Tracing) -> bool:
    return isinstance(tracing.tracer.scope_manager, TornadoScopeManager)


def answers_of(tracing: Tracing, handle: Any) -> list[str]:
    """Ask a server for all requests at once; each is handled in a stack context, as OpenTracing documents it."""

    class Handler(web.RequestHandler):
        @gen.coroutine
        def get(self, number: str) -> Generator[Any, Any, None]:
            with tracer_stack_context():
                done = handle(int(number))
            yield done
            self.write(number)

    @gen.coroutine
    def main() -> Generator[Any, Any, list[str]]:
        (socket,) = netutil.bind_sockets(0, "127.0.0.1")
        server = httpserver.HTTPServer(web.Application([(r"/(\d+)", Handler)], log_function=lambda _: None))
        server.add_socket(socket)
        client = httpclient.AsyncHTTPClient(force_instance=True, max_clients=REQUESTS)
        url = f"http://127.0.0.1:{socket.getsockname()[1]}"
        answers = yield [client.fetch(f"{url}/{number}", raise_error=False) for number in range(REQUESTS)]
        client.close()
        server.stop()
        nothing_is_active(tracing)
        return [f"{answer.code} {answer.body.decode()}" for answer in answers]

    return ioloop.IOLoop.current().run_sync(main)


def requests_in_coroutines(tracing: Tracing) -> list[str]:
    """OpenTracing's spans stay active over the steps of a coroutine, native ones are opened and closed in one step."""

    @gen.coroutine
    def handle(number: int) -> Generator[Any, Any, None]:
        tenant, marked = f"tenant-{number}", {"request": number}
        nothing_is_active(tracing)
        with tracing.tracer.start_active_span("request", tags=marked) as scope:
            scope.span.set_baggage_item("tenant", tenant)
            yield gen.sleep(0)
            look(tracing, scope.span, tenant)
            with tracing.tracer.start_active_span("query", tags=marked) as inner:
                yield gen.moment
                look(tracing, inner.span, tenant)
                with tracing.native.start_as_current_span("native", attributes=marked) as native:
                    look(tracing, native, tenant)
                look(tracing, inner.span, tenant)
            yield gen.sleep(0)
            look(tracing, scope.span, tenant)
        nothing_is_active(tracing)

    return answers_of(tracing, handle)


def native_spans_over_steps(tracing: Tracing) -> bool:
    """OpenTelemetry's API alone: tell whether a span that was closed after a step is still current."""
    logging.disable()  # it logs that it failed to detach

    @gen.coroutine
    def steps() -> Generator[Any, Any, bool]:
        with tracing.native.start_as_current_span("request", attributes={"request": 1}) as outer:
            with tracing.native.start_as_current_span("native", attributes={"request": 1}):
                yield gen.sleep(0)
            return trace.get_current_span() is not outer

    try:
        return ioloop.IOLoop.current().run_sync(steps)
    finally:
        logging.disable(logging.NOTSET)


def coroutines_and_callbacks(tracing: Tracing) -> list[str]:
    """What the stack context takes along by itself, and what a thread is given."""

    @gen.coroutine
    def child(number: int) -> Generator[Any, Any, None]:
        yield gen.moment
        work(tracing, number)

    @gen.coroutine
    def handle(number: int) -> Generator[Any, Any, None]:
        loop = ioloop.IOLoop.current()
        with tracing.tracer.start_active_span("request", tags={"request": number}):
            yield child(number)
            called = gen.Future()
            loop.add_callback(lambda: called.set_result(work(tracing, number)))
            yield called
            yield loop.run_in_executor(None, in_context(work), tracing, number)

    return answers_of(tracing, handle)


report(
    manager_keeps_its_class,
    requests_in_coroutines,
    native_spans_over_steps,
    coroutines_and_callbacks,
    tracers={
        " of BridgeTracer": lambda: Tracing.of(TornadoScopeManager()),
        " of the drop-in": lambda: drop_in(TornadoScopeManager()),
    },
)
