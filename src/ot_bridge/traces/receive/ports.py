"""What listens where: one row for each port, and the words for one that is taken."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ot_bridge.errors import BridgeError

__all__ = ["ENDPOINTS", "Endpoint", "Listening", "PortError", "Ports", "addresses_of", "holder", "port_error", "tcp"]


class Endpoint(NamedTuple):
    """One row.

    Attributes:
        key: the field of `Ports`.
        port: the usual one.
        what: what it is for.
        setting: what points a service at it, with `{host}` and `{port}`; `""` when there is nothing to set.
        udp: it is a UDP port.
    """

    key: str
    port: int
    what: str
    setting: str
    udp: bool = False

    @property
    def flag(self) -> str:
        """The option of `ot-bridge view` that changes the port."""
        return f"--{self.key.replace('_', '-')}-port"


ENDPOINTS: Final[Sequence[Endpoint]] = (
    Endpoint("page", 16686, "the page", ""),
    Endpoint("otlp_http", 4318, "OTLP over HTTP", "OTEL_EXPORTER_OTLP_ENDPOINT=http://{host}:{port}"),
    Endpoint(
        "otlp_grpc",
        4317,
        "OTLP over gRPC",
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://{host}:{port} OTEL_EXPORTER_OTLP_PROTOCOL=grpc",
    ),
    Endpoint(
        "jaeger_compact",
        6831,
        "Jaeger's agent, compact thrift",
        "JAEGER_AGENT_HOST={host} JAEGER_AGENT_PORT={port}",
        udp=True,
    ),
    Endpoint(
        "jaeger_binary",
        6832,
        "Jaeger's agent, binary thrift",
        "JAEGER_AGENT_HOST={host} JAEGER_AGENT_PORT={port}",
        udp=True,
    ),
    Endpoint(
        "jaeger_http", 14268, "Jaeger's collector, thrift over HTTP", "JAEGER_ENDPOINT=http://{host}:{port}/api/traces"
    ),
    Endpoint(
        "jaeger_sampling",
        5778,
        "Jaeger's sampling",
        "JAEGER_SAMPLING_ENDPOINT=http://{host}:{port}/sampling",
    ),
    Endpoint("zipkin", 9411, "Zipkin v2 JSON", "OTEL_EXPORTER_ZIPKIN_ENDPOINT=http://{host}:{port}/api/v2/spans"),
)


class Ports(NamedTuple):
    """A number for each port: 0 is any free one, None is not opened."""

    otlp_http: int | None = 4318
    otlp_grpc: int | None = 4317
    jaeger_compact: int | None = 6831
    jaeger_binary: int | None = 6832
    jaeger_http: int | None = 14268
    jaeger_sampling: int | None = 5778
    zipkin: int | None = 9411
    page: int | None = 16686


class Listening(NamedTuple):
    """One address at which something is received or shown.

    Attributes:
        protocol: for people.
        address: host and port.
        setting: what a service is started with to send there; `""` when there is none.
    """

    protocol: str
    address: str
    setting: str = ""


class PortError(BridgeError):
    """A port cannot be opened. The text says which, what for, who has it, and what to change."""


def port_error(endpoint: Endpoint, host: str, port: int, error: OSError) -> PortError:
    """Return the error for a port that could not be opened."""
    kind = "UDP" if endpoint.udp else "TCP"
    way_out = f"end it, or take another port with {endpoint.flag} (0 for a free one, none to do without)"
    start = f"cannot listen on {kind} port {port} of {host} for {endpoint.what}: "
    if error.errno in (errno.EACCES, errno.EPERM):
        return PortError(f"{start}it is not allowed ({error.strerror}); take another port with {endpoint.flag}")
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT) or isinstance(error, socket.gaierror):
        return PortError(f"{start}this machine has no such address ({error.strerror}); see --host")
    if error.errno not in (None, errno.EADDRINUSE):
        return PortError(f"{start}{error}")
    found = holder(port, udp=endpoint.udp)
    who = f"{found} has it" if found else "another process has it"
    return PortError(f"{start}{who}; {way_out}")


def addresses_of(host: str) -> list[str]:
    """Return the addresses that a host stands for: of the loopback both, as `localhost` may mean either to a client."""
    if host in ("localhost", "127.0.0.1"):
        return ["127.0.0.1", "::1"]
    return [host.strip("[]")]


def tcp(addresses: Sequence[str], port: int) -> list[socket.socket]:
    """Open one port on some addresses; the ones after the first where they are there.

    Raises:
        OSError: it cannot be opened on the first, or is taken on another.
    """
    opened = list[socket.socket]()
    try:
        for address in addresses:
            if (found := _tcp(address, port, must=not opened)) is not None:
                opened.append(found)
                port = found.getsockname()[1]
    except OSError:
        for one in opened:
            one.close()
        raise
    return opened


def _tcp(address: str, port: int, *, must: bool) -> socket.socket | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        made = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        if must:
            raise
        return None
    try:
        if os.name == "posix":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((address, port))
        # A second process could bind it as well until somebody listens.
        made.listen(256)
    except OSError as error:
        made.close()
        if must or error.errno == errno.EADDRINUSE:
            raise
        return None
    return made


# -- who has a port ----------------------------------------------------------------------------------------------------

_TABLES: Final[Mapping[bool, Sequence[str]]] = {False: ("tcp", "tcp6"), True: ("udp", "udp6")}
_LISTENS: Final = ("0A", "07")  # what TCP's sockets are in when they listen, and UDP's always


def holder(port: int, *, udp: bool = False, proc: Path = Path("/proc")) -> str:
    """Return who has a port, such as `python3 (process 1234)`; `""` where the system does not tell."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port, proc, udp=udp)}
    if not sockets:
        return ""
    for process in proc.glob("[0-9]*"):
        if name := _name_if_it_has(process, sockets):
            return f"{name} (process {process.name})"
    return "a process of another user"


def _name_if_it_has(process: Path, sockets: Collection[str]) -> str:
    try:
        # os.readlink, for the target is no path.
        if any(os.readlink(file) in sockets for file in (process / "fd").iterdir()):  # noqa: PTH115
            return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        pass  # It ended, or is somebody else's.
    return ""


def _inodes(port: int, proc: Path, *, udp: bool) -> Iterator[str]:
    for table in _TABLES[udp]:
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if len(columns) > 9 and columns[3] in _LISTENS and int(columns[1].rpartition(":")[2], 16) == port:
                yield columns[9]
