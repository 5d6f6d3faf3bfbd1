"""What the collector does, in turns: the table that everything else follows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["CALIBRATING", "EXPORT_FAILED", "PHASES", "QUEUE_FULL", "Phase", "Plan"]

QUEUE_FULL: Final = "spans.dropped.queue_full"
EXPORT_FAILED: Final = "spans.dropped.export_failed"
_LATE: Final = (QUEUE_FULL,)
_FAILING: Final = (QUEUE_FULL, EXPORT_FAILED)


class Phase(NamedTuple):
    """A time in which the collector behaves in one way."""

    name: str
    seconds: float
    behaviour: str
    """As the receiver knows it; ``gone`` means that there is no receiver."""
    may_lose: tuple[str, ...]
    """The counters that may move meanwhile."""
    meaning: str


# An export that began in one phase may end in the next, so what is allowed in one is allowed in the one after it.
PHASES: Final = (
    Phase("recovering", 12, "up", _FAILING, "up again; longer than an export that began before can last"),
    Phase("up", 30, "up", _LATE, "answers at once"),
    Phase("slow", 14, "slow", _LATE, "answers after 2 s"),
    Phase("trickling", 10, "trickling", _LATE, "answers byte by byte, for 2 s"),
    Phase("unavailable", 15, "unavailable", _FAILING, "503 or UNAVAILABLE: to be tried again"),
    Phase("rejecting", 10, "rejecting", _FAILING, "400 or INVALID_ARGUMENT: not to be tried again"),
    Phase("gone", 14, "gone", _FAILING, "dies with a request in hand; then nobody listens"),
)
CALIBRATING: Final = "calibrating"
_CYCLE_S: Final = sum(phase.seconds for phase in PHASES)


class Plan(NamedTuple):
    """How long everything takes."""

    cycles: int
    scale: float
    """1, or less for a run that is too short for one whole cycle: then every time is shorter."""

    @classmethod
    def of(cls, seconds: float) -> Plan:
        """Return the whole cycles that take at least so long."""
        return cls(max(1, math.ceil(seconds / _CYCLE_S)), min(1.0, seconds / _CYCLE_S))

    @property
    def seconds(self) -> float:
        """How long all phases take."""
        return self.cycles * self.scale * _CYCLE_S

    @property
    def slow_s(self) -> float:
        """How long a slow answer takes."""
        return 2 * self.scale

    @property
    def timeout_s(self) -> float:
        """How long an export may last. In whole cycles this is the default of OpenTelemetry."""
        return max(3, 10 * self.scale)

    def phases(self) -> Iterator[tuple[int, Phase]]:
        """Yield the number of the cycle, from 1, and what happens then."""
        for cycle in range(1, self.cycles + 1):
            for phase in PHASES:
                yield cycle, phase._replace(seconds=phase.seconds * self.scale)
