"""Where Jaeger's parts are, and where OTLP is beside them: hosts, ports and the endpoint of the spans."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import urlsplit

from ot_bridge.environment import read

__all__ = ["OTLP_ENDPOINTS", "host_of", "otlp_endpoint", "otlp_of_collector", "protocol_of", "sampling_endpoint"]

OTLP_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""The variables that name the endpoint of the spans, the stronger one first."""

_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HTTP_PORT: Final = 4318
_GRPC_PORT: Final = 4317
# Names as resolvers take them, with the underscore that Docker allows; no port, no user, no path.
_HOST: Final = re.compile(r"[0-9A-Za-z_]([0-9A-Za-z_.-]{0,252}[0-9A-Za-z_.])?")


def host_of(value: object) -> str | None:
    """Return a host as a URL takes it, IPv6 in brackets; None for what is no host."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    address = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        # A zone, fe80::1%eth0, is a name of this host's alone and has no place in a URL of a variable.
        return f"[{IPv6Address(address)}]" if "%" not in address else None
    except ValueError:
        return text if _HOST.fullmatch(text) else None


def otlp_endpoint(host: str, environ: Mapping[str, str], scheme: str = "http") -> str:
    """Return the endpoint on a host, with the port of the protocol that the variables choose."""
    return f"{scheme}://{host}:{_GRPC_PORT if protocol_of(environ) == 'grpc' else _HTTP_PORT}"


def protocol_of(environ: Mapping[str, str]) -> str:
    """Return OTLP's protocol as the variables choose it; what is malformed is left for its own error."""
    return next(filter(None, (read(name, environ) for name in _PROTOCOLS)), "http/protobuf").lower()


def otlp_of_collector(url: object, environ: Mapping[str, str]) -> str | None:
    """Return the OTLP endpoint on the host of JAEGER_ENDPOINT, None when that is no URL."""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        host = host_of(parts.hostname)
    except ValueError:
        return None
    if host is None or parts.scheme not in ("http", "https"):
        return None
    return otlp_endpoint(host, environ, parts.scheme)


def sampling_endpoint(host: str, port: int) -> str:
    """Return where Jaeger's agent tells how to sample."""
    return f"http://{host}:{port}/sampling"
