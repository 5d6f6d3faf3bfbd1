"""OpenTracing's tag names -> OpenTelemetry's current ones, for ``semconv="new"`` and ``"dup"``. Pure.

Applied when a span finishes: several names depend on the kind, which contrib libraries set late.
Source: semantic-conventions 384d6616, the migration pages for HTTP and databases among them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry.trace import SpanKind

__all__ = ["DB_SYSTEMS", "NEW_NAMES", "exception_type_of", "translate"]

DB_SYSTEMS: Final[Mapping[str, str]] = {
    "sql": "other_sql",
    "mssql": "microsoft.sql_server",
    "oracle": "oracle.db",
    "db2": "ibm.db2",
    "dynamodb": "aws.dynamodb",
    "cosmosdb": "azure.cosmosdb",
    "h2": "h2database",
    "redshift": "aws.redshift",
    "spanner": "gcp.spanner",
}
"""``db.type`` values that have another name in ``db.system.name``; any other value is kept."""

_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"))
_SERVER_SIDE: Final = (SpanKind.SERVER, SpanKind.CONSUMER)
_CLIENT_SIDE: Final = (SpanKind.CLIENT, SpanKind.PRODUCER)

_Named = Mapping[str, Any]


def _renamed(name: str) -> Callable[[Any, SpanKind], _Named]:
    return lambda value, _: {name: value}


def _db_system(value: Any, _: SpanKind) -> _Named:
    return {"db.system.name": DB_SYSTEMS.get(str(value), value)}


def _method(value: Any, _: SpanKind) -> _Named:
    method = str(value)
    if method in _METHODS:
        return {"http.request.method": method}
    known = method.upper() if method.upper() in _METHODS else "_OTHER"
    return {"http.request.method": known, "http.request.method_original": method}


def _url(value: Any, kind: SpanKind) -> _Named:
    if kind is not SpanKind.SERVER:
        return {"url.full": value}
    try:
        parts = urlsplit(str(value))
        port = parts.port
    except ValueError:
        return {"url.full": value}
    found = {"url.scheme": parts.scheme, "url.path": parts.path, "url.query": parts.query}
    address = {"server.address": parts.hostname, "server.port": port}
    return {name: part for name, part in {**found, **address}.items() if part}


def _side(kind: SpanKind) -> str:
    return "client" if kind in _SERVER_SIDE else "server"


def _host(value: Any, kind: SpanKind) -> _Named:
    return {f"{_side(kind)}.address": value}


def _ip(value: Any, kind: SpanKind) -> _Named:
    return {"network.peer.address": value, f"{_side(kind)}.address": value}


def _port(value: Any, kind: SpanKind) -> _Named:
    if kind in _SERVER_SIDE:
        return {"client.port": value}
    return {"server.port": value} if kind in _CLIENT_SIDE else {"network.peer.port": value}


def _address(value: Any, kind: SpanKind) -> _Named:
    try:
        parts = urlsplit(f"//{value}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return {}
    if not host or port is None or parts.netloc != str(value) or "@" in parts.netloc:
        return {}
    return {**_host(host, kind), **_port(port, kind)}


NEW_NAMES: Final[Mapping[str, Callable[[Any, SpanKind], _Named]]] = {
    "peer.hostname": _host,
    "peer.ipv4": _ip,
    "peer.ipv6": _ip,
    "peer.port": _port,
    "peer.address": _address,
    "peer.service": _renamed("service.peer.name"),
    "http.method": _method,
    "http.status_code": _renamed("http.response.status_code"),
    "http.url": _url,
    "db.type": _db_system,
    "db.instance": _renamed("db.namespace"),
    "db.statement": _renamed("db.query.text"),
    "message_bus.destination": _renamed("messaging.destination.name"),
}
"""Tag -> what it becomes, given its value and the span's kind. An empty result keeps the tag. Earlier rows win."""


def translate(
    attributes: Mapping[str, Any], *, kind: SpanKind, failed: bool, exception_type: str | None, keep: bool
) -> dict[str, Any]:
    """Return the attributes under their new names. A name that the application set itself is never overwritten.

    Args:
        attributes: the span's attributes, with OpenTracing's names.
        kind: the span's kind.
        failed: whether the status is an error: it gets an ``error.type``.
        exception_type: the class of the exception that the span recorded, if any.
        keep: keep the old names beside the new ones (``semconv="dup"``).
    """
    new: dict[str, Any] = {}
    replaced: set[str] = set()
    for tag, rename in NEW_NAMES.items():
        if tag in attributes and (named := rename(attributes[tag], kind)):
            replaced.add(tag)
            for name, value in named.items():
                new.setdefault(name, value)
    if failed:
        code = attributes.get("http.status_code")
        new["error.type"] = exception_type or (str(code) if type(code) is int and code >= 400 else "_OTHER")
    kept = {name: value for name, value in attributes.items() if keep or name not in replaced}
    return {**new, **kept}


def exception_type_of(events: Iterable[Any]) -> str | None:
    """Return the type of the last exception among a span's events, None without one."""
    types = [event.attributes.get("exception.type") for event in events if event.name == "exception"]
    return types[-1] if types else None
