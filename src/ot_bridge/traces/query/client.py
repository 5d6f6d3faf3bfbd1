"""Asks over HTTP as a careful client: bounded in time and size; what it sends stays with the host it was meant for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from ot_bridge.errors import BridgeError
from ot_bridge.traces.words import plural

__all__ = ["BackendError", "Client", "Reply"]

_PIECE = 1 << 16
_REDIRECTS = 3
_MOVED = (301, 302, 303, 307, 308)


class BackendError(BridgeError):
    """A backend cannot be asked, or what it answers cannot be used. The text has its address and what to try."""


class Reply(NamedTuple):
    """What a server answered.

    Attributes:
        kind: the content type without its parameters.
    """

    url: str
    status: int
    kind: str
    body: bytes

    @property
    def beginning(self) -> str:
        """The beginning of the body, for errors."""
        return " ".join(self.body[:200].decode("utf-8", "replace").split())


class Client:
    """Asks one server.

    Args:
        base: its address, with a path before `/api` where there is one.
        headers: are sent with each request.
        timeout_s: for connecting, and for a whole answer.
        largest: bytes that an answer may have when inflated.
    """

    def __init__(
        self, base: str, headers: Mapping[str, str] | None = None, *, timeout_s: float = 30, largest: int = 256 << 20
    ) -> None:
        self.base = base.rstrip("/")
        self._headers = dict(headers or {})
        self._timeout_s = timeout_s
        self._largest = largest

    def get(self, path: str, accept: str = "application/json", **parameters: str) -> Reply:
        """Ask for a path below the base.

        Raises:
            BackendError: it cannot be reached, is too slow, answers too much, or sends elsewhere.
        """
        import requests

        url = self.base + path
        deadline = time.monotonic() + self._timeout_s
        try:
            with requests.Session() as session:
                for _ in range(_REDIRECTS):
                    with session.get(
                        url,
                        params=parameters,
                        headers={**self._headers, "Accept": accept},
                        timeout=self._timeout_s,
                        allow_redirects=False,
                        stream=True,
                    ) as reply:
                        if reply.status_code in _MOVED and (there := reply.headers.get("Location")):
                            url, parameters = self._moved(url, there), {}
                            continue
                        body = self._body(reply.raw, url, deadline)
                        kind = reply.headers.get("Content-Type", "").partition(";")[0].strip().lower()
                        return Reply(url, reply.status_code, kind, body)
        except requests.exceptions.InvalidHeader as error:
            raise BackendError(f"cannot ask {url}: a header cannot be sent: {error}") from error
        except (requests.RequestException, OSError, ValueError) as error:
            raise BackendError(f"cannot ask {url}: {_reason(error, self._timeout_s)}") from error
        except Exception as error:
            # urllib3's own, which requests does not translate where the body is read raw.
            if not type(error).__module__.startswith("urllib3"):
                raise
            raise BackendError(f"cannot ask {url}: {_reason(error, self._timeout_s)}") from error
        raise BackendError(f"cannot ask {self.base + path}: it sent {_REDIRECTS} times elsewhere")

    def _body(self, raw: Any, url: str, deadline: float) -> bytes:
        # What came in one piece, however small: a body that drips must not hold on for ever.
        read = getattr(raw, "read1", raw.read)
        found = bytearray()
        while piece := read(_PIECE, decode_content=True):
            found += piece
            if len(found) > self._largest:
                raise BackendError(f"cannot use the answer of {url}: more than {plural(self._largest, 'byte')}")
            if time.monotonic() > deadline:
                raise BackendError(f"cannot ask {url}: no whole answer within {self._timeout_s:g} s")
        return bytes(found)

    def _moved(self, url: str, location: str) -> str:
        there = urljoin(url, location)
        old, new = urlsplit(url), urlsplit(there)
        if (old.hostname, old.port, old.scheme) == (new.hostname, new.port, new.scheme):
            return there
        if new.scheme in ("http", "https") and new.hostname:
            shown = f"{new.scheme}://{new.netloc.rpartition('@')[2]}"
            raise BackendError(f"cannot ask {url}: it sends to {shown}; not followed, give that address if it is right")
        raise BackendError(f"cannot ask {url}: it sends to {location[:100]!r}; not followed")


def _reason(error: Exception, timeout_s: float) -> str:
    text = str(error)
    if "timed out" in text.lower() or "Timeout" in type(error).__name__:
        return f"no answer within {timeout_s:g} s"
    if "refused" in text:
        return "nothing listens there; the query API of Jaeger is on port 16686, Tempo's on 3200"
    if "Name or service not known" in text or "resolve" in text:
        return "the name of the host is not known"
    return f"{type(error).__name__}: {text}"[:300]
