"""The shop's services as data: which program each one is, what it stands for, and the environment it gets."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ot_bridge.demo.node import Node

__all__ = ["Service", "environment", "services"]

_SERVICES = Path(__file__).parent / "services"
# OpenTelemetry for Python writes a space in baggage as "+", which the W3C means literally. The bridge reads it as the
# W3C says; a service that OpenTelemetry's Python services call wants it read as they mean it.
_CALLED_BY_NATIVE_PYTHON = {"OT_BRIDGE_BAGGAGE_PLUS_IS_SPACE": "true"}
_FOREIGN = ("OTEL_", "OT_BRIDGE_", "JAEGER_")


@dataclass(frozen=True)
class Service:
    """One process of the shop.

    Attributes:
        runs_on: which tracer its code uses, for the reader.
        command: how to start it.
        environment: what it needs beside what every service gets.
    """

    name: str
    runs_on: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def services(node: Node | None) -> tuple[Service, ...]:
    """List the shop, with notification-service on Node where there is one, else on Python's jaeger-client."""
    return (
        _python("order-service", "order", "OpenTracing with Flask-OpenTracing, on ot_bridge"),
        _python("inventory-service", "inventory", "OpenTracing on jaeger-client, untouched"),
        _python("payment-service", "payment", "OpenTracing, on ot_bridge", _CALLED_BY_NATIVE_PYTHON),
        _python("payment-gateway", "gateway", "OpenTelemetry alone"),
        _notification(node),
        _python("shipping-service", "shipping", "OpenTracing, on ot_bridge"),
    )


def _python(name: str, module: str, runs_on: str, environment: Mapping[str, str] | None = None) -> Service:
    # by path, not with -m: that would look for every import in the directory the user happens to be in first
    command = (sys.executable, str(_SERVICES / f"{module}.py"))
    return Service(name, runs_on, command, environment or {})


def _notification(node: Node | None) -> Service:
    if node is None:
        return _python("notification-service", "notification", "OpenTracing on jaeger-client, untouched")
    command = (node.command, str(_SERVICES / "notification.js"))
    environment = {"NODE_PATH": str(node.modules)}
    return Service("notification-service", "OpenTracing on npm's jaeger-client, untouched", command, environment)


def environment(otlp_url: str, udp_port: int) -> dict[str, str]:
    """Return the environment that every service gets: the user's, with the demo's receiver as the only destination.

    Variables that would steer a tracer elsewhere are left out, so that the demo shows the same on every machine.
    """
    mine = {key: value for key, value in os.environ.items() if not key.upper().startswith(_FOREIGN)}
    return mine | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_url,
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "2",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "JAEGER_AGENT_HOST": "127.0.0.1",
        "JAEGER_AGENT_PORT": str(udp_port),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
