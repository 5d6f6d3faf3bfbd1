"""What a translation gives: the values for the bridge, and a row for each old key that says where it went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

__all__ = ["ARGUMENT", "CONFIG", "DEFAULT", "VARIABLE_PREFIX", "Agent", "Outcome", "Row", "Translation", "setting_text"]

ARGUMENT: Final = "argument"
CONFIG: Final = "configuration"
DEFAULT: Final = "jaeger-client's default"
VARIABLE_PREFIX: Final = "OT_BRIDGE_"

Outcome = Literal["carried", "unused", "dropped", "unknown"]


class Agent(NamedTuple):
    """The Jaeger agent, as jaeger-client would address it."""

    host: str
    reporting_port: int
    sampling_port: int
    throttler_port: int | None
    """None without a throttler."""
    throttler_refresh_interval: int | None
    """In seconds; None without a throttler."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One old key and what became of it.

    ``outcome`` is *carried* (``places`` says where to), *unused* (there is nothing to carry, ``note`` says why),
    *dropped* (``reason`` says why), or *unknown* (no client reads it; ``closest`` is the key that may be meant).
    """

    key: str
    value: object
    origin: str
    """``configuration``, ``argument``, ``environment variable``, or ``jaeger-client's default``."""
    outcome: Outcome
    places: Mapping[str, str] = field(default_factory=dict)
    """New variable -> its value, or the part of its value that comes from here."""
    note: str | None = None
    reason: str | None = None
    closest: str | None = None
    secret: bool = False
    """The value is, or may be, a credential: not to be shown."""


@dataclass(frozen=True, kw_only=True)
class Translation:
    """A jaeger-client configuration in the bridge's words.

    What a variable that is set already decides (``OT_BRIDGE_*`` or ``OTEL_*``) is left out of ``settings``,
    ``resource``, ``otel`` and ``endpoint``: it wins, and the row says so.
    """

    service_name: str | None
    settings: Mapping[str, object]
    """Fields for ``Settings.from_env(**settings)``."""
    resource: Mapping[str, str]
    endpoint: str | None
    """As OTEL_EXPORTER_OTLP_ENDPOINT, without a path; None when a variable names one."""
    endpoint_origin: str
    """Where the endpoint comes from, as a sentence without a full stop."""
    protocol: str
    """OTLP's, as the variables choose it."""
    otel: Mapping[str, str]
    """Further ``OTEL_*`` variables that are implied, such as OTEL_BSP_MAX_QUEUE_SIZE."""
    enabled: bool
    logging: bool
    agent: Agent
    rows: tuple[Row, ...]
    variables: Mapping[str, str]
    """The same as environment variables: what to set so that a process behaves so, beside what is set already."""

    @property
    def lost(self) -> tuple[Row, ...]:
        """The rows of what could not be carried."""
        return tuple(row for row in self.rows if row.outcome in ("dropped", "unknown"))

    def __post_init__(self) -> None:
        for each in ("settings", "resource", "otel", "variables"):
            object.__setattr__(self, each, MappingProxyType(dict(getattr(self, each))))


def setting_text(value: object) -> str:
    """Return the value of a field of Settings as its variable takes it."""
    if isinstance(value, tuple):
        return ",".join(value) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
