"""All peers as running processes, and one question to a chain of them."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, NamedTuple

import ot_bridge
from ot_bridge.demo.fleet import Service
from ot_bridge.demo.launcher import Shop
from peers.prepare import Missing, Ready, prepared

__all__ = ["HERE", "PROGRAMS", "SOURCE", "Fleet", "Program", "clean_environment", "running"]

HERE = Path(__file__).parent
SOURCE = Path(ot_bridge.__file__).parent.parent
# These decide what a peer does, and none may come from outside; PYTHONPATH and NODE_PATH are set for each.
FOREIGN = ("OTEL_", "OT_BRIDGE_", "JAEGER_", "PYTHON", "NODE_")
LIMIT_S = 60.0


class Program(NamedTuple):
    """How one peer is started.

    Attributes:
        script: its file and arguments.
        environment: a name in ENVIRONMENTS, None for this interpreter.
        variables: what it finds in its environment.
    """

    script: tuple[str, ...]
    environment: str | None = None
    variables: Mapping[str, str] = {}


PROGRAMS: Mapping[str, Program] = {
    "bridge": Program(("bridge.py",)),
    "bridge-plus": Program(("bridge.py",), variables={"OT_BRIDGE_BAGGAGE_PLUS_IS_SPACE": "true"}),
    "jaeger-python": Program(("jaeger_python.py",)),
    "jaeger-python38": Program(("jaeger_python.py", "128"), "python3.8"),
    "jaeger-python27": Program(("jaeger_python.py",), "python2.7"),
    "jaeger-node": Program(("jaeger_node.js",), "node"),
    "otel-python": Program(("otel_python.py",), variables={"OTEL_PROPAGATORS": "tracecontext,baggage"}),
    "otel-python-bridge": Program(("otel_python.py",), variables={"OTEL_PROPAGATORS": "ot_bridge"}),
    "otel-python-jaeger": Program(("otel_python.py",), "otel", {"OTEL_PROPAGATORS": "tracecontext,baggage,jaeger"}),
    "otel-node": Program(("otel_node.js",), "node"),
}


class Fleet(NamedTuple):
    """What runs: the addresses of the peers by name, and why the others do not."""

    addresses: Mapping[str, str]
    missing: Mapping[str, str]

    def ask(
        self,
        chain: Sequence[str],
        *,
        samplers: Sequence[str],
        baggage: Mapping[str, str] = {},
        headers: Mapping[str, str] = {},
    ) -> list[dict[str, Any]]:
        """Let the peers of a chain call each other; return what each of them saw.

        Args:
            chain: the names of the peers, the first one has no caller.
            samplers: on or off for each of them, for a trace that starts there.
            baggage: what the first one sets.
            headers: what the first one receives.
        """
        path = [{"url": self.addresses[name], "sampler": how} for name, how in zip(chain, samplers, strict=True)]
        asked = {"sampler": samplers[0], "baggage": dict(baggage), "path": path[1:]}
        connection = HTTPConnection(self.addresses[chain[0]], timeout=LIMIT_S)
        try:
            connection.request("POST", "/", json.dumps(asked).encode(), dict(headers))
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        assert answer.status == 200, f"{' > '.join(chain)}: {text}"
        reports = []
        report = json.loads(text)
        while report is not None:
            reports.append(report)
            report = report["next"]
        assert len(reports) == len(chain), text
        return reports


def clean_environment() -> dict[str, str]:
    """Return the variables of this process, without those that decide what a peer does."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    # The files of the peers lie in the repository.
    return {**outer, "PYTHONDONTWRITEBYTECODE": "1"}


@contextlib.contextmanager
def running() -> Iterator[Fleet]:
    """Start every peer that there is an environment for; end them all at the end of the block."""
    environments = prepared()
    missing = {}
    services = []
    for name, program in PROGRAMS.items():
        found = environments[program.environment] if program.environment else Ready(sys.executable, SOURCE)
        if isinstance(found, Missing):
            missing[name] = found.reason
            continue
        paths = {"PYTHONPATH": str(found.packages), "NODE_PATH": str(found.packages)}
        command = (found.command, str(HERE / program.script[0]), *program.script[1:])
        services.append(Service(name, name, command, {**paths, **program.variables}))
    with Shop(services, clean_environment()) as shop:
        yield Fleet(
            {service.name: shop.address_of(service.name).removeprefix("http://") for service in services}, missing
        )
