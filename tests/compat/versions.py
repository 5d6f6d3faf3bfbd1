"""Which Pythons and which OpenTelemetry SDKs are tried, and with which tests; noxfile.py makes a session of each pair.

The range of SDKs has one source, the dependencies in pyproject.toml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from compat.results import empty

__all__ = ["BETWEEN_ON", "IF_THERE", "PROTOCOLS", "PYTHONS", "SMOKE", "Pair", "absent", "minors", "pairs", "row"]

PYTHONS = ("3.10", "3.11", "3.12", "3.13")
"""Those that the package says it is for: each is run with the lowest SDK and with the newest."""

IF_THERE = ("3.14", "3.13t", "3.14t")
"""Run with the newest SDK where such an interpreter is installed."""

BETWEEN_ON = "3.12"
"""The Python that runs every SDK between the lowest and the newest."""

PROTOCOLS = ("HTTP", "gRPC")
"""The columns."""

PYPROJECT = Path(__file__).parent.parent.parent / "pyproject.toml"

SMOKE = (
    "tests/versions",
    "tests/test_baggage.py",
    "tests/test_batching.py",
    "tests/test_bootstrap.py",
    "tests/test_config.py",
    "tests/test_conformance.py",
    "tests/test_export.py",
    "tests/test_fallback.py",
    "tests/test_head.py",
    "tests/test_inject_extract.py",
    "tests/test_known.py",
    "tests/test_logs.py",
    "tests/test_metrics.py",
    "tests/test_mixed_api.py",
    "tests/test_otlp_messages.py",
    "tests/test_otlp_receivers.py",
    "tests/test_propagator.py",
    "tests/test_provider.py",
    "tests/test_references.py",
    "tests/test_sampling_otel.py",
    "tests/test_scope_managers.py",
    "tests/test_scopes.py",
    "tests/test_span_life.py",
    "tests/test_tags.py",
    "tests/test_telemetry.py",
    "tests/test_trust.py",
)
"""What touches the SDK, the API or the interpreter, and is quick: the way of a span from start to wire."""


class Pair(NamedTuple):
    """One interpreter with one SDK.

    Attributes:
        python: a version such as 3.10, with a t when it is free-threaded.
        sdk: a minor version such as 1.36.
        requirement: which of its patches, as in ==1.36.0.
    """

    python: str
    sdk: str
    requirement: str

    @property
    def name(self) -> str:
        """Return what its session is called by."""
        return f"{self.python}, {self.sdk}"

    @property
    def record(self) -> str:
        """Return what its environment is called in a record, whichever tests are run in it."""
        return f"versions-{self.python}-{self.sdk}"


def minors() -> list[str]:
    """Return every minor version of the SDK that the package says it takes, the lowest first."""
    text = PYPROJECT.read_text(encoding="utf-8")
    ranges = set(re.findall(r'"opentelemetry-(?:api|sdk|exporter-otlp)>=1\.(\d+),<1\.(\d+)"', text))
    if len(ranges) != 1:
        raise ValueError(f"{PYPROJECT}: the dependencies on OpenTelemetry have not one range, but {sorted(ranges)}")
    ((first, end),) = ranges
    return [f"1.{minor}" for minor in range(int(first), int(end))]


def pairs() -> Iterator[Pair]:
    """Yield what is run: the lowest of all is exactly that, of every other minor version the newest patch."""
    lowest, *between, newest = minors()
    exact, latest = f"=={lowest}.0", f"~={newest}.0"
    for python in PYTHONS:
        yield Pair(python, lowest, exact)
        yield Pair(python, newest, latest)
    for sdk in between:
        yield Pair(BETWEEN_ON, sdk, f"~={sdk}.0")
    for python in IF_THERE:
        yield Pair(python, newest, latest)


def row(python: str, sdk: str) -> str:
    """Return the row of compat_matrix.md: patches are in another column of it."""
    return f"Python {python}, OpenTelemetry SDK {sdk}"


def absent(pair: Pair) -> list[dict[str, Any]]:
    """Return the cells of an interpreter that is not on this machine."""
    cells = [empty("versions", row(pair.python, pair.sdk), protocol) for protocol in PROTOCOLS]
    reason = {"text": f"no Python {pair.python} on the machine of the last run", "rationale": None}
    return [{**cell, "result": "not run", "notes": [reason]} for cell in cells]
