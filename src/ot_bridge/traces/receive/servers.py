"""Everything that listens, as one: all ports are opened before any is served, and closed together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from ot_bridge.errors import BridgeError
from ot_bridge.traces.receive import http, jaeger, udp, zipkin
from ot_bridge.traces.receive.body import Limits, Room
from ot_bridge.traces.receive.guard import WILDCARDS, Access, Guard, is_loopback
from ot_bridge.traces.receive.inbox import Counts, Inbox
from ot_bridge.traces.receive.patience import protocol_class
from ot_bridge.traces.receive.ports import ENDPOINTS, Endpoint, Listening, Ports, addresses_of, port_error, tcp

if TYPE_CHECKING:
    from types import TracebackType

    from ot_bridge.traces.receive.grpc import GrpcServer

__all__ = ["Page", "Servers"]

Page = Callable[[Sequence[Listening]], ASGIApp]
"""Makes the page, which tells what listens where."""

_LONGEST_HEADERS: Final = 32 << 10
_KEEP_ALIVE_S: Final = 75
_LOOPBACK: Final = "127.0.0.1"


class Servers:
    """All receivers, and the page, as long as its `with` block.

    Signals are left alone: who has the main thread decides when it ends.

    Args:
        inbox: takes what arrives.
        counts: what was received and refused.
        host: the address to listen on. UDP knows no token, so its ports stay on the loopback.
        ports: 0 is any free one, None is not opened.
        token: without it nobody is heard; needed on another address than the loopback.
        page: makes the page, None for none.
        limits: of what is taken.
        names: by which clients may call the server, beside the loopback's and `host`.

    Attributes:
        ports: as they were opened.

    Raises:
        BridgeError: another address than the loopback without a token.
        PortError: on entry; a port cannot be opened. None is then left open.
    """

    def __init__(
        self,
        inbox: Inbox,
        counts: Counts,
        *,
        host: str = _LOOPBACK,
        ports: Ports = Ports(),  # noqa: B008  (it does not change)
        token: str | None = None,
        page: Page | None = None,
        limits: Limits = Limits(),  # noqa: B008
        names: Sequence[str] = (),
    ) -> None:
        if not is_loopback(host) and not token:
            raise BridgeError(f"cannot listen on {host} without a token: others than you could read and write traces")
        self._inbox, self._counts, self._limits, self._page = inbox, counts, limits, page
        self._host, self._addresses = host, addresses_of(host)
        self._access = Access.of(host, token, names)
        self.ports = ports if page is not None else ports._replace(page=None)
        self._tcp: dict[str, list[socket.socket]] = {}
        self._udp: list[udp.UdpReceiver] = []
        self._grpc: GrpcServer | None = None
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Servers:
        with contextlib.ExitStack() as opened:
            for endpoint in ENDPOINTS:
                if (port := getattr(self.ports, endpoint.key)) is not None:
                    self._open(endpoint, port, opened)
            if self._grpc is not None:
                self._grpc.start()
            for receiver in self._udp:
                receiver.start()
            if self._tcp:
                opened.callback(_Loop(self._server(), [one for some in self._tcp.values() for one in some]).close)
            self._closing = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def listening(self) -> list[Listening]:
        """Return what listens where, in the order of people's interest."""
        found = []
        for endpoint in ENDPOINTS:
            if (port := getattr(self.ports, endpoint.key)) is not None:
                host = _LOOPBACK if endpoint.udp else self._host
                at = f"[{host}]" if ":" in host else host
                setting = endpoint.setting.format(host=self._called(host), port=port)
                found.append(Listening(endpoint.what, f"{at}:{port}", setting))
        return found

    @property
    def page_url(self) -> str:
        """The page's address; the token is not in it."""
        return f"http://{self._called(self._host)}:{self.ports.page}"

    @staticmethod
    def _called(host: str) -> str:
        """Return how clients call an address."""
        if is_loopback(host):
            return "localhost"
        if host in WILDCARDS:
            return socket.gethostname()
        return f"[{host}]" if ":" in host else host

    def _open(self, endpoint: Endpoint, port: int, opened: contextlib.ExitStack) -> None:
        try:
            if endpoint.udp:
                receiver = udp.UdpReceiver(udp.bound(port, _LOOPBACK), self._inbox, self._counts)
                opened.callback(receiver.close)
                self._udp.append(receiver)
                port = receiver.port
            elif endpoint.key == "otlp_grpc":
                from ot_bridge.traces.receive.grpc import GrpcServer

                for one in tcp(self._addresses, port):
                    # It tells what is wrong, which grpcio does not.
                    one.close()
                self._grpc = GrpcServer(self._addresses, port, self._inbox, self._counts, self._access, self._limits)
                opened.callback(self._grpc.close)
                port = self._grpc.port
            else:
                self._tcp[endpoint.key] = tcp(self._addresses, port)
                for one in self._tcp[endpoint.key]:
                    opened.callback(one.close)
                port = self._tcp[endpoint.key][0].getsockname()[1]
        except OSError as error:
            host = _LOOPBACK if endpoint.udp else self._host
            raise port_error(endpoint, host, port, error) from error
        self.ports = self.ports._replace(**{endpoint.key: port})

    def _server(self) -> uvicorn.Server:
        config = uvicorn.Config(
            _ByPort(self._apps()),
            http=protocol_class(self._limits),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level=logging.CRITICAL,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=_LONGEST_HEADERS,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=1,
        )
        return uvicorn.Server(config)

    def _apps(self) -> Mapping[int, ASGIApp]:
        inbox, counts, limits = self._inbox, self._counts, self._limits
        room = Room(limits.room_bytes, limits.decoders, limits.decode_s)
        routes: Mapping[str, tuple[str, Sequence[BaseRoute]]] = {
            "otlp_http": (http.PROTOCOL, http.routes(inbox, counts, limits)),
            "jaeger_http": (jaeger.PROTOCOL, jaeger.routes(inbox, counts, limits)),
            "jaeger_sampling": ("jaeger/sampling", jaeger.sampling_routes()),
            "zipkin": (zipkin.PROTOCOL, zipkin.routes(inbox, counts, limits)),
        }
        apps = dict[int, ASGIApp]()
        for key, sockets in self._tcp.items():
            port = sockets[0].getsockname()[1]
            if key == "page" and self._page is not None:
                apps[port] = Guard(self._page(self.listening()), self._access, room, counts, "page", page=True)
                continue
            protocol, served = routes[key]
            app = Starlette(routes=served)
            if key == "otlp_http":
                app.add_exception_handler(HTTPException, _otlp_problem)
                apps[port] = Guard(app, self._access, room, counts, protocol, refusal=http.refusal)
            else:
                sampling = key == "jaeger_sampling"
                apps[port] = Guard(app, self._access, room, counts, protocol, open_to_all=sampling)
        return apps


async def _otlp_problem(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    paths = " or ".join(f"/v1/{name}" for name in http.SIGNALS)
    return http.refusal(
        request, status, f"got {request.method} {request.url.path[:100]}, expected POST {paths}", close=True
    )


class _ByPort:
    """Hands a request to the application of the port that it came to."""

    def __init__(self, apps: Mapping[int, ASGIApp]) -> None:
        self._apps = apps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._apps[scope["server"][1]](scope, receive, send)


class _Loop:
    """An event loop in a thread of its own, which serves from the beginning until `close`."""

    def __init__(self, server: uvicorn.Server, sockets: list[socket.socket]) -> None:
        self._server = server
        self._thread = threading.Thread(target=self._run, args=(sockets,), name="ot_bridge-http", daemon=True)
        self._thread.start()

    def _run(self, sockets: list[socket.socket]) -> None:
        asyncio.run(self._server.serve(sockets=sockets))

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()
