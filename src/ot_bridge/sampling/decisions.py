"""Jaeger's samplers as plain decisions: a trace id and an operation in, yes or no and the tags out. No OpenTelemetry.

Equal to those of jaeger-client-python 4.8.0, trace id by trace id. None of them raises when it is asked.

Where they differ from each other, and from those of other languages: RATIONALE.md ("Which traces does a rate keep?").
"""

from __future__ import annotations

import math
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from ot_bridge.environment import wrong
from ot_bridge.locks import fork_safe_lock
from ot_bridge.sampler_specs import NO_LIMIT
from ot_bridge.sampling.token_bucket import TokenBucket

__all__ = [
    "DEFAULT_MAX_OPERATIONS",
    "Answer",
    "Const",
    "Decider",
    "GuaranteedThroughput",
    "PerOperation",
    "Probabilistic",
    "RateLimiting",
    "is_number",
]

DEFAULT_MAX_OPERATIONS: Final = 2000

Answer = tuple[bool, Mapping[str, object]]
"""Whether the trace is sampled, and the tags that its root gets then."""

_LOW_64: Final = 2**64 - 1
_ARGUMENT: Final = "argument"


def is_number(value: object, most: float = NO_LIMIT) -> bool:
    """Say whether it is a number from 0 to ``most``: no bool, no NaN, no infinity."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most


def _check_rate(rate: float) -> None:
    if not is_number(rate, 1):
        raise wrong("rate", rate, _ARGUMENT, "a number from 0 to 1")


def _check_per_second(name: str, value: float) -> None:
    if not is_number(value):
        raise wrong(name, value, _ARGUMENT, "traces per second, a finite number of at least 0")


def _tags(kind: str, parameter: object) -> Mapping[str, object]:
    return MappingProxyType({"sampler.type": kind, "sampler.param": parameter})


class Decider(ABC):
    """What decides. Safe with threads and forks.

    Two are equal when they are built alike, whatever they have counted.
    """

    __hash__ = None  # type: ignore[assignment]  # most of them can be updated

    @abstractmethod
    def decide(self, trace_id: int, operation: str) -> Answer:
        """Decide on a trace that starts here.

        Args:
            trace_id: up to 128 bits; the low 64 count.
            operation: the name of its first span.
        """

    def close(self) -> None:  # noqa: B027  (most have nothing to stop)
        """Stop what runs in the background; the last decision rule stays."""

    @abstractmethod
    def _parts(self) -> dict[str, object]:
        """Return what it was built from, for repr and equality."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._parts() == other._parts()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._parts().items())})"


class Const(Decider):
    """Always the same decision."""

    def __init__(self, decision: bool) -> None:
        self._decision = bool(decision)
        self._answer: Answer = (self._decision, _tags("const", self._decision))

    def decide(self, trace_id: int, operation: str) -> Answer:
        return self._answer

    def _parts(self) -> dict[str, object]:
        return {"decision": self._decision}


class Probabilistic(Decider):
    """The traces whose id, its low 64 bits read as a fraction of 2**64, is below the rate.

    Raises:
        ConfigError: the rate is not from 0 to 1.
    """

    def __init__(self, rate: float) -> None:
        _check_rate(rate)
        self.rate = rate
        # An integer is below the product exactly when it is below its ceiling, and integers compare faster.
        self._bound = math.ceil(rate * 2**64)
        tags = _tags("probabilistic", rate)
        self._yes: Answer = (True, tags)
        self._no: Answer = (False, tags)

    def decide(self, trace_id: int, operation: str) -> Answer:
        return self._yes if trace_id & _LOW_64 < self._bound else self._no

    def _parts(self) -> dict[str, object]:
        return {"rate": self.rate}


class RateLimiting(Decider):
    """At most so many traces per second, with bursts of one second's worth, at least one trace.

    Args:
        max_traces_per_second: the rate.
        clock: see :class:`TokenBucket`, as the others.

    Raises:
        ConfigError: the rate is no finite number of at least 0.
    """

    def __init__(
        self,
        max_traces_per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        fraction: Callable[[], float] = random.random,
        lock: threading.Lock | None = None,
    ) -> None:
        _check_per_second("max_traces_per_second", max_traces_per_second)
        self._set(max_traces_per_second)
        capacity = max(max_traces_per_second, 1.0)
        self._bucket = TokenBucket(max_traces_per_second, capacity, clock=clock, fraction=fraction, lock=lock)

    def decide(self, trace_id: int, operation: str) -> Answer:
        return self._bucket.take(), self._tags

    def update(self, max_traces_per_second: float) -> bool:
        """Change the rate, and keep the balance in proportion; False where nothing changes.

        Raises:
            ConfigError: as the constructor.
        """
        _check_per_second("max_traces_per_second", max_traces_per_second)
        if max_traces_per_second == self.max_traces_per_second:
            return False
        self._bucket.update(max_traces_per_second, max(max_traces_per_second, 1.0))
        self._set(max_traces_per_second)
        return True

    def _set(self, max_traces_per_second: float) -> None:
        self.max_traces_per_second = max_traces_per_second
        self._tags = _tags("ratelimiting", max_traces_per_second)

    def _parts(self) -> dict[str, object]:
        return {"max_traces_per_second": self.max_traces_per_second}


class GuaranteedThroughput(Decider):
    """The traces that a rate keeps; where it keeps too few, others up to a lower bound per second.

    What the rate keeps counts towards the bound too. The tags tell which of the two it was; the parameter is the rate
    in both cases.

    Args:
        rate: from 0 to 1.
        lower_bound: traces per second.
        clock: see :class:`TokenBucket`, as the others.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        rate: float,
        lower_bound: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        fraction: Callable[[], float] = random.random,
        lock: threading.Lock | None = None,
    ) -> None:
        self._at_least = RateLimiting(lower_bound, clock=clock, fraction=fraction, lock=lock)
        self._probabilistic = Probabilistic(rate)
        self._tags = _tags("lowerbound", rate)

    def decide(self, trace_id: int, operation: str) -> Answer:
        answer = self._probabilistic.decide(trace_id, operation)
        below, _ = self._at_least.decide(trace_id, operation)
        return answer if answer[0] else (below, self._tags)

    def update(self, rate: float, lower_bound: float) -> None:
        """Change both; the balance of the lower bound stays in proportion.

        Raises:
            ConfigError: as the constructor; nothing is changed then.
        """
        probabilistic = Probabilistic(rate)
        self._at_least.update(lower_bound)
        self._probabilistic, self._tags = probabilistic, _tags("lowerbound", rate)

    def _parts(self) -> dict[str, object]:
        return {"rate": self._probabilistic.rate, "lower_bound": self._at_least.max_traces_per_second}


class PerOperation(Decider):
    """Guaranteed throughput for each operation by itself.

    An operation that is not named gets the default rate and a lower bound of its own when it is first seen. Beyond
    ``max_operations`` such operations share the default rate, without a lower bound.

    Args:
        default_rate: from 0 to 1.
        lower_bound: traces per second, of each operation.
        rates: operation -> its own rate; all of them are taken, however many.
        max_operations: how many operations are remembered.
        clock: see :class:`TokenBucket`, as ``fraction``.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(
        self,
        default_rate: float,
        lower_bound: float,
        rates: Mapping[str, float] = MappingProxyType({}),
        *,
        max_operations: int = DEFAULT_MAX_OPERATIONS,
        clock: Callable[[], float] = time.monotonic,
        fraction: Callable[[], float] = random.random,
    ) -> None:
        _check_per_second("lower_bound", lower_bound)
        self._clock, self._fraction = clock, fraction
        self._max_operations = max_operations
        self._lock = fork_safe_lock()
        # One for all buckets: a lock that a fork renews is never freed, and there may be thousands of buckets.
        self._bucket_lock = fork_safe_lock()
        self._default = Probabilistic(default_rate)
        self._lower_bound = lower_bound
        self._deciders = {operation: self._new(rate, lower_bound) for operation, rate in rates.items()}

    def decide(self, trace_id: int, operation: str) -> Answer:
        decider = self._deciders.get(operation) or self._meet(operation)
        return decider.decide(trace_id, operation)

    def update(self, default_rate: float, lower_bound: float, rates: Mapping[str, float]) -> None:
        """Take new rates. An operation that is not named any more keeps what it has, its lower bound too.

        Above ``max_operations`` the ones that are not named are forgotten, the oldest first.

        Raises:
            ConfigError: as the constructor; nothing is changed then.
        """
        default = Probabilistic(default_rate)
        _check_per_second("lower_bound", lower_bound)
        for rate in rates.values():
            _check_rate(rate)
        with self._lock:
            for operation, rate in rates.items():
                known = self._deciders.get(operation)
                if known is None:
                    self._deciders[operation] = self._new(rate, lower_bound)
                else:
                    known.update(rate, lower_bound)
            surplus = len(self._deciders) - self._max_operations
            if surplus > 0:
                unnamed = [operation for operation in self._deciders if operation not in rates]
                for operation in unnamed[:surplus]:
                    del self._deciders[operation]
            self._default, self._lower_bound = default, lower_bound

    def _meet(self, operation: str) -> Decider:
        with self._lock:
            decider = self._deciders.get(operation)
            if decider is None:
                if len(self._deciders) >= self._max_operations:
                    return self._default
                decider = self._deciders[operation] = self._new(self._default.rate, self._lower_bound)
            return decider

    def _new(self, rate: float, lower_bound: float) -> GuaranteedThroughput:
        return GuaranteedThroughput(
            rate, lower_bound, clock=self._clock, fraction=self._fraction, lock=self._bucket_lock
        )

    def _parts(self) -> dict[str, object]:
        with self._lock:
            known = {operation: decider._parts() for operation, decider in self._deciders.items()}
        return {
            "default_rate": self._default.rate,
            "lower_bound": self._lower_bound,
            "max_operations": self._max_operations,
            "known": known,
        }

    def __repr__(self) -> str:
        parts = self._parts()
        known = parts.pop("known")
        shown = ", ".join(f"{name}={value!r}" for name, value in parts.items())
        return f"PerOperation({shown}, {len(known)} known)"  # type: ignore[arg-type]
