"""What a span says about the other side of its call: its name, and whether it is a database, a broker or a service.

Pure. From OpenTelemetry's conventions of any age, from OpenTracing's tags, and from Zipkin's remote endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from ot_bridge.traces.model import Span, Value

__all__ = ["Peer", "PeerKind", "address_of", "own_address_of", "peer_of"]

PeerKind: TypeAlias = Literal["service", "database", "messaging", "unknown"]

_NAMES = ("peer.service", "service.peer.name")
_DATABASES = ("db.system.name", "db.system", "db.type")
_SPACES = ("db.namespace", "db.name", "db.instance")
_BROKERS = ("messaging.system", "message_bus.system")
_PLACES = ("messaging.destination.name", "messaging.destination", "message_bus.destination")
_HOSTS = ("server.address", "net.peer.name", "peer.hostname", "http.host", "peer.address", "net.peer.ip", "peer.ipv4")
_PORTS = ("server.port", "net.peer.port", "peer.port")
_OWN_HOSTS = ("server.address", "net.host.name", "http.host", "http.server_name", "net.host.ip")
_OWN_PORTS = ("server.port", "net.host.port")
_URLS = ("url.full", "http.url")


class Peer(NamedTuple):
    """The other side of a call.

    Attributes:
        name: as a node of the map is called.
        named: whether a tag names it as a service; else the name is made of what it is or where it is.
    """

    name: str
    kind: PeerKind
    named: bool = False


def peer_of(span: Span) -> Peer | None:
    """Name the other side of a call, None when the span does not say it."""
    tags = span.attributes
    system, broker = _first(tags, _DATABASES), _first(tags, _BROKERS)
    kind: PeerKind = "database" if system else "messaging" if broker or _first(tags, _PLACES) else "service"
    name = _first(tags, _NAMES)
    if name and kind != "messaging":
        return Peer(name, kind, named=True)
    if kind == "messaging":
        parts = [one for one in (broker or name, _first(tags, _PLACES)) if one]
        return Peer(": ".join(parts), kind)
    if system:
        space = _first(tags, _SPACES)
        return Peer(f"{system}: {space}" if space else system, kind)
    host = address_of(span)
    return Peer(host, "service") if host else None


def address_of(span: Span) -> str:
    """Return the address that a span called: host and port; `""` when it does not say."""
    return _address(span.attributes, _HOSTS, _PORTS)


def own_address_of(span: Span) -> str:
    """Return the address that a server was called at: host and port; `""` when it does not say."""
    return _address(span.attributes, _OWN_HOSTS, _OWN_PORTS)


def _address(tags: Mapping[str, Value], hosts: Sequence[str], ports: Sequence[str]) -> str:
    host, port = _first(tags, hosts), _first(tags, ports)
    if not host:
        try:
            host = urlsplit(_first(tags, _URLS)).netloc.rpartition("@")[2]
        except ValueError:
            return ""
    return f"{host}:{port}" if port and host and ":" not in host else host


def _first(tags: Mapping[str, Value], keys: Sequence[str]) -> str:
    for key in keys:
        value = tags.get(key)
        if isinstance(value, (str, int)) and not isinstance(value, bool) and value != "":
            return str(value)
    return ""
