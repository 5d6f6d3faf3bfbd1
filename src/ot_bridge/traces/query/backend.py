"""Which backend answers at an address, and a trace from it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from ot_bridge.traces.formats.detect import Contents
from ot_bridge.traces.query import jaeger, tempo
from ot_bridge.traces.query.client import BackendError, Client

__all__ = ["BACKENDS", "Answer", "ask", "split_link"]

_Fetch: TypeAlias = Callable[[Client, int], "tuple[Contents, str] | None"]

BACKENDS: Mapping[str, _Fetch] = {"jaeger": jaeger.fetch, "tempo": tempo.fetch}
"""Also the schemes that name one: `jaeger+http://`, `tempo+https://`."""

_LINK = re.compile(r"(?P<base>.*?)/(?:trace|api/traces|api/v[23]/traces)/(?P<id>[0-9a-fA-F]{1,32})/?", re.ASCII)
_PORTS = {16686: "jaeger", 3200: "tempo"}


class Answer(NamedTuple):
    """What a backend answered.

    Attributes:
        way: which of its APIs gave it.
    """

    contents: Contents
    way: str


def split_link(link: str) -> tuple[str, str]:
    """Split a link to a trace, as Jaeger's page has it, into the backend's address and the id; `""` without one."""
    parts = urlsplit(link)
    if found := _LINK.fullmatch(parts.path):
        return urlunsplit((parts.scheme, parts.netloc, found["base"], "", "")), found["id"]
    return urlunsplit((parts.scheme, parts.netloc, parts.path, "", "")), ""


def ask(
    url: str,
    trace_id: int,
    *,
    backend: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = 30,
    largest: int = 256 << 20,
) -> Answer:
    """Ask a backend for a trace.

    Args:
        url: its address; the scheme may name the backend, as in `jaeger+http://localhost:16686`.
        trace_id: of the trace.
        backend: one of `BACKENDS`; None when the address tells, or the answer.
        headers: to send, such as `Authorization`.
        timeout_s: for each request.
        largest: bytes of an answer.

    Raises:
        BackendError: it cannot be asked, or has no such trace.
    """
    named, plus, rest = url.partition("+")
    if plus and named in BACKENDS:
        backend, url = backend or named, rest
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BackendError(f"cannot ask {url!r}: expected http://HOST:PORT or https://HOST, with a path or without")
    client = Client(url, headers, timeout_s=timeout_s, largest=largest)
    name = backend or _recognised(client)
    found = BACKENDS[name](client, trace_id)
    if found is None:
        raise BackendError(
            f"{name.title()} at {client.base} has no trace {trace_id:032x}: it has not arrived yet, or was not kept"
        )
    return Answer(*found)


def _recognised(client: Client) -> str:
    """Tell by what it answers to questions that change nothing; the port says whom to try first."""
    signs: Mapping[str, Callable[[], bool]] = {
        "jaeger": lambda: _has(client, "/api/v3/services", "services") or _has(client, "/api/services", "data"),
        "tempo": lambda: client.get("/api/echo", "*/*").body.strip() == b"echo",
    }
    first = _PORTS.get(urlsplit(client.base).port or 0, "jaeger")
    for name in sorted(signs, key=lambda one: one != first):
        if signs[name]():
            return name
    refusal = client.get("/api/v3/services")
    if refusal.status in (401, 403):
        raise BackendError(
            f"{client.base} answers {refusal.status}: it wants to know who asks; give --header 'Authorization: ...'"
        )
    raise BackendError(
        f"cannot tell what answers at {client.base}: neither Jaeger's nor Tempo's query API is there; give the address "
        f"before /api, or name it with --backend"
    )


def _has(client: Client, path: str, key: str) -> bool:
    reply = client.get(path)
    try:
        found: Any = json.loads(reply.body) if reply.status == 200 else None
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and key in found
