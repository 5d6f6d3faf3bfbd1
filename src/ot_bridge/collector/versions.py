"""Which Collector a configuration is for, and how that one spells its components.

Sources: opentelemetry-collector-contrib #48533 (load_balancing, 0.153), opentelemetry-collector #14403 (otlp_grpc and
otlp_http, 0.144). The old names stay as aliases that log a warning, so that a configuration for no version in
particular has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from ot_bridge.environment import wrong

__all__ = ["NEWEST", "OLDEST", "RENAMED", "Renamed", "is_at_least", "read_version", "spelled", "warnings"]

OLDEST: Final = 140
"""The minor version, of 0.140, below which nothing was looked up."""
NEWEST: Final = 165
"""The one above which nothing was."""

_WANTED: Final = f"a version of the Collector such as 0.153, from 0.{OLDEST} on"


class Renamed(NamedTuple):
    """The new name of a component, and the first minor version that has it."""

    name: str
    since: int


RENAMED: Final[Mapping[str, Renamed]] = MappingProxyType(
    {
        "loadbalancing": Renamed("load_balancing", 153),
        "otlp": Renamed("otlp_grpc", 144),
        "otlphttp": Renamed("otlp_http", 144),
    }
)
"""Exporters alone: the receiver ``otlp`` and the key ``protocol.otlp`` keep their names."""


def read_version(text: str, origin: str) -> int:
    """Return the minor version of ``0.153``, ``v0.153.0`` and the like.

    Raises:
        ConfigError: it is none, or too old.
    """
    found = re.fullmatch(r"v?0\.([0-9]{1,4})(?:\.[0-9]{1,4})?", text.strip())
    if found is None or int(found[1]) < OLDEST:
        # 1.41 and the like are the versions of its stable modules.
        raise wrong("collector version", text, origin, _WANTED)
    return int(found[1])


def is_at_least(version: int | None, least: int) -> bool:
    """Tell whether a key that came with ``least`` may be written; for no version in particular it may not."""
    return version is not None and version >= least


def spelled(exporter: str, version: int | None) -> str:
    """Return the name of an exporter in a version, None for any."""
    renamed = RENAMED.get(exporter)
    return renamed.name if renamed is not None and is_at_least(version, renamed.since) else exporter


def warnings(version: int | None) -> tuple[str, ...]:
    """Return what is known against a version."""
    if version == 141:
        return ("0.141 leaks memory in tail_sampling (opentelemetry-collector-contrib #44884): take 0.142 or later.",)
    if version is not None and version > NEWEST:
        return (f"Changes after 0.{NEWEST} were not looked up: run the Collector's validate on these files.",)
    return ()
