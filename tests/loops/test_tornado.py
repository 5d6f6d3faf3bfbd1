"""tornado: a real server with handlers of both kinds, callbacks of its loop, threads."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from compat.cells import cell
from loops.scenario import REQUESTS, Tracing, look, nothing_is_active, request, whole, work
from ot_bridge import ContextExecutor, in_context

pytest.importorskip("tornado", reason="needs tornado: make compat")
gen, httpclient, httpserver, ioloop, netutil, web = (
    importlib.import_module(f"tornado.{name}")
    for name in ("gen", "httpclient", "httpserver", "ioloop", "netutil", "web")
)

pytestmark = cell("loops", "tornado", packages=("tornado",))


@pytest.fixture
def tracing() -> Tracing:
    return Tracing.of()


def application(tracing: Tracing) -> Any:
    """Return the requests as handlers, by the ways in which people write them."""

    class Native(web.RequestHandler):
        async def get(self, number: str) -> None:
            for _ in request(tracing, int(number)):
                await asyncio.sleep(0)
            self.write(number)

    class Coroutine(web.RequestHandler):
        @gen.coroutine
        def get(self, number: str) -> Generator[Any, Any, None]:
            for _ in request(tracing, int(number)):
                yield gen.sleep(0)
            self.write(number)

    class InThread(web.RequestHandler):
        async def get(self, number: str) -> None:
            with tracing.tracer.start_active_span("request", tags={"request": int(number)}) as scope:
                scope.span.set_baggage_item("tenant", f"tenant-{number}")
                loop = ioloop.IOLoop.current()
                seen = await loop.run_in_executor(None, in_context(work), tracing, int(number))
                look(tracing, scope.span, f"tenant-{number}")
                assert seen == f"tenant-{number}"
            self.write(number)

    class ByHand(web.RequestHandler):
        """As instrumentations of tornado do it: opened before the handler, closed when it has finished."""

        def prepare(self) -> None:
            self.scope = tracing.tracer.start_active_span(
                "request", tags={"request": int(self.path_args[0])}, finish_on_close=True
            )

        async def get(self, number: str) -> None:
            await asyncio.sleep(0)
            work(tracing, int(number))
            self.write(number)

        def on_finish(self) -> None:
            self.scope.close()
            assert tracing.tracer.active_span is None

    class Failing(web.RequestHandler):
        async def get(self, number: str) -> None:
            with tracing.tracer.start_active_span("request", tags={"request": int(number)}):
                await asyncio.sleep(0)
                raise web.HTTPError(418)

    handlers = (Native, Coroutine, InThread, ByHand, Failing)
    routes = [(rf"/{handler.__name__}/(\d+)", handler) for handler in handlers]
    return web.Application(routes, log_function=lambda handler: None)  # type: ignore[arg-type]


def ask_all(tracing: Tracing, handler: str) -> list[tuple[int, str]]:
    """Ask for all requests at once; return status and text of the answers."""

    async def main() -> list[tuple[int, str]]:
        (socket,) = netutil.bind_sockets(0, "127.0.0.1")
        server = httpserver.HTTPServer(application(tracing))
        server.add_socket(socket)
        client = httpclient.AsyncHTTPClient(force_instance=True, max_clients=REQUESTS)
        url = f"http://127.0.0.1:{socket.getsockname()[1]}/{handler}"
        asked = [client.fetch(f"{url}/{number}", raise_error=False) for number in range(REQUESTS)]
        answers = await asyncio.gather(*asked)
        client.close()
        server.stop()
        await server.close_all_connections()
        nothing_is_active(tracing)
        return [(answer.code, answer.body.decode()) for answer in answers]

    return asyncio.run(main())


ANSWERS = [(200, str(number)) for number in range(REQUESTS)]


@pytest.mark.parametrize("handler", ["Native", "Coroutine"])
def test_requests_do_not_mix(tracing: Tracing, handler: str) -> None:
    assert ask_all(tracing, handler) == ANSWERS
    assert tracing.trees() == whole(range(REQUESTS))


@pytest.mark.parametrize("handler", ["InThread", "ByHand"])
def test_work_of_each_request_is_in_its_trace(tracing: Tracing, handler: str) -> None:
    assert ask_all(tracing, handler) == ANSWERS
    assert tracing.trees() == whole(range(REQUESTS), "request(work)")


def test_failing_requests_leave_nothing_active(tracing: Tracing) -> None:
    assert {code for code, _ in ask_all(tracing, "Failing")} == {418}
    assert tracing.trees() == whole(range(REQUESTS), "request")
    assert {span.status.status_code.name for span in tracing.exporter.get_finished_spans()} == {"ERROR"}


@pytest.mark.parametrize("way", ["add_callback", "call_later", "spawn_callback", "add_future", "coroutine", "multi"])
def test_callback_inherits_span_and_baggage(tracing: Tracing, way: str) -> None:
    @gen.coroutine
    def coroutine() -> Generator[Any, Any, Any]:
        yield gen.moment
        return work(tracing, 1)

    async def main() -> Any:
        loop = ioloop.IOLoop.current()
        seen: asyncio.Future[Any] = asyncio.Future()
        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")

            def call_back(*_: object) -> None:
                seen.set_result(work(tracing, 1))

            if way in ("add_callback", "spawn_callback"):
                getattr(loop, way)(call_back)
            elif way == "call_later":
                loop.call_later(0.001, call_back)
            elif way == "add_future":
                loop.add_future(asyncio.ensure_future(asyncio.sleep(0)), call_back)
            elif way == "multi":
                seen.set_result((await gen.multi([coroutine()]))[0])
            else:
                seen.set_result(await coroutine())
            result = await seen
            look(tracing, scope.span, "acme")
        nothing_is_active(tracing)
        return result

    assert asyncio.run(main()) == "acme"
    assert tracing.trees() == ["1: request(work)"]


def test_executor_of_the_loop_carries_the_context(tracing: Tracing) -> None:
    async def main() -> Any:
        loop = ioloop.IOLoop.current()
        loop.set_default_executor(ContextExecutor(ThreadPoolExecutor(1)))  # type: ignore[arg-type]
        with tracing.tracer.start_active_span("request", tags={"request": 1}) as scope:
            scope.span.set_baggage_item("tenant", "acme")
            return await loop.run_in_executor(None, work, tracing, 1)

    assert asyncio.run(main()) == "acme"
    assert tracing.trees() == ["1: request(work)"]
