"""Stands in front of every HTTP application: who may ask at all, and what a request may hold in memory.

Against DNS rebinding, where a site's own name comes to mean this machine: the Host header must be a name that this
server goes by. Against pages of other sites: a request with an Origin that is not of this machine is refused, even one
that a browser sends without asking first. On other addresses than the loopback: a token.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from collections.abc import Callable, Collection
from typing import Final, NamedTuple
from urllib.parse import urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ot_bridge.traces.receive.body import SHARE, Room, Share
from ot_bridge.traces.receive.inbox import Counts

__all__ = ["COOKIE", "WILDCARDS", "Access", "Guard", "Refusal", "is_loopback", "names_of"]

Refusal = Callable[[Request, int, str], Response]
"""Makes an answer that refuses: for a request, with a status and a text."""

COOKIE: Final = "ot_bridge_view"
_READS: Final = ("GET", "HEAD", "OPTIONS")
_LOCALHOST: Final = "localhost"
WILDCARDS: Final = ("0.0.0.0", "::")  # noqa: S104  (compared with, not bound to)


def is_loopback(host: str) -> bool:
    """Tell whether a name or an address is this machine's own loopback."""
    host = host.strip("[]").rstrip(".").lower()
    if host == _LOCALHOST or host.endswith("." + _LOCALHOST):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_of(host: str, more: Collection[str] = ()) -> Collection[str]:
    """Return the names, beside the loopback's, that a server on an address goes by."""
    names = {host, *more}
    if host in WILDCARDS:
        names.add(socket.gethostname())
    return frozenset(name.strip("[]").rstrip(".").lower() for name in names)


class Access(NamedTuple):
    """Who may ask.

    Attributes:
        names: the host names by which the server goes, beside the loopback's.
        any_address: any IP address is such a name too: a site's own name is none.
        token: what must be shown, None for nothing.
    """

    names: Collection[str] = ()
    any_address: bool = False
    token: str | None = None

    @classmethod
    def of(cls, host: str, token: str | None, more: Collection[str] = ()) -> Access:
        """Return who may ask a server that listens on an address."""
        return cls(names_of(host, more), host.strip("[]") in WILDCARDS, token)

    def knows(self, host: str) -> bool:
        """Tell whether a Host header, without its port, is a name of this server."""
        host = host.strip("[]").rstrip(".").lower()
        if is_loopback(host) or host in self.names:
            return True
        return self.any_address and _is_address(host)

    def accepts(self, authorization: str) -> bool:
        """Tell whether an Authorization header, or gRPC's metadata, shows the token."""
        scheme, _, shown = authorization.partition(" ")
        return self.token is None or (scheme.lower() == "bearer" and _same(shown.strip(), self.token))

    @property
    def cookie(self) -> str:
        """What a browser keeps in place of the token, which it cannot be made of."""
        return hashlib.sha256(f"{COOKIE} {self.token}".encode()).hexdigest()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _plain(_: Request, status: int, text: str) -> Response:
    return PlainTextResponse(text + "\n", status_code=status)


class Guard:
    """Lets through what may be asked.

    Args:
        app: what is asked.
        access: who may ask.
        room: that all bodies share.
        counts: where refusals are counted.
        protocol: under which name.
        page: it is read by people: other origins get nothing, and the token may come in the address, once.
        open_to_all: it tells nothing and takes nothing, so no token is needed.
        refusal: makes the answer that refuses.
    """

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        room: Room,
        counts: Counts,
        protocol: str,
        *,
        page: bool = False,
        open_to_all: bool = False,
        refusal: Refusal = _plain,
    ) -> None:
        self._app, self._access, self._room, self._counts, self._protocol = app, access, room, counts, protocol
        self._page, self._open_to_all, self._refusal = page, open_to_all, refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        origin = request.headers.get("origin")
        answer = self._refused(request, origin)
        if answer is None and origin is not None and not self._page:
            send = _with_cors(send, origin)
            if request.method == "OPTIONS" and "access-control-request-method" in request.headers:
                answer = _preflight(request.headers)
        if answer is None:
            answer = self._without_token(request)
        if answer is not None:
            if answer.status_code >= 400:
                answer.headers["connection"] = "close"  # The request's body is not read.
            await answer(scope, receive, send)
            return
        share = scope[SHARE] = Share(self._room)
        try:
            await self._app(scope, receive, send)
        except Exception as error:
            self._counts.add(self._protocol, "errors of the receiver", example=repr(error))
            raise
        finally:
            share.give_back()

    def _refused(self, request: Request, origin: str | None) -> Response | None:
        host = _host(request.headers.get("host", ""))
        if host is None or not self._access.knows(host):
            text = (
                f"this server does not go by the name {request.headers.get('host', '')[:100]!r}: "
                "ask it as localhost or by its address, or start it with --allow-host and this name"
            )
            return self._refuse(request, 421, "other Host headers", text)
        if origin is None or (self._page and request.method in _READS):
            return None
        if not self._is_ours(origin, request):
            text = f"a page of {origin[:100]!r} may not send to this machine: only pages of localhost may"
            return self._refuse(request, 403, "other origins", text)
        return None

    def _is_ours(self, origin: str, request: Request) -> bool:
        if self._page:
            return urlsplit(origin).netloc == request.headers.get("host")
        return is_loopback(_host(urlsplit(origin).netloc) or "")

    def _without_token(self, request: Request) -> Response | None:
        access = self._access
        if access.token is None or self._open_to_all or access.accepts(request.headers.get("authorization", "")):
            return None
        if self._page:
            if _same(request.cookies.get(COOKIE, ""), access.cookie):
                return None
            if _same(request.query_params.get("token", ""), access.token) and request.method in _READS:
                return _remembered(request, access.cookie)
        text = (
            "a token is needed: send the header 'Authorization: Bearer' with the token that the server was started with"
        )
        if self._page:
            text += ", or open the address that it printed, which has the token in it"
        answer = self._refuse(request, 401, "requests without the token", text)
        answer.headers["www-authenticate"] = "Bearer"
        return answer

    def _refuse(self, request: Request, status: int, what: str, text: str) -> Response:
        self._counts.add(self._protocol, what, example=text)
        return self._refusal(request, status, text)


def _host(text: str) -> str | None:
    """Return the host of a Host header, None when it is none."""
    if any(one in text for one in "/@\\?# "):
        return None
    try:
        return urlsplit(f"//{text}").hostname
    except ValueError:
        return None


def _remembered(request: Request, cookie: str) -> Response:
    """Take the token out of the address, where it would stay in the browser's history, and into a cookie."""
    left = [(key, value) for key, value in request.query_params.multi_items() if key != "token"]
    path = "/" + request.url.path.lstrip("/\\")  # never //host, which is another server
    answer = RedirectResponse(path + ("?" + urlencode(left) if left else ""), status_code=303)
    answer.set_cookie(COOKIE, cookie, httponly=True, samesite="strict")
    return answer


def _preflight(headers: Headers) -> Response:
    allowed = {
        "access-control-allow-methods": "POST, GET",
        "access-control-allow-headers": headers.get("access-control-request-headers", "content-type")[:1000],
        "access-control-max-age": "600",
    }
    if headers.get("access-control-request-private-network") == "true":
        allowed["access-control-allow-private-network"] = "true"
    return Response(status_code=204, headers=allowed)


def _with_cors(send: Send, origin: str) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["access-control-allow-origin"] = origin
            headers.add_vary_header("Origin")
        await send(message)

    return with_headers
