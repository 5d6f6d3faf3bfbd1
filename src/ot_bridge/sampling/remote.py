"""The sampler that asks: Jaeger's agent, its Collector, or OpenTelemetry's jaegerremotesampling extension, over HTTP.

Until the first answer, a low rate; after that what the last good answer says, whatever happens. Source: the Jaeger
documentation, "Remote Sampling"; jaeger-client-python 4.8.0, sampler.py. What differs: RATIONALE.md ("How is remote
sampling asked for?").
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from ot_bridge import telemetry
from ot_bridge.sampling.decisions import (
    DEFAULT_MAX_OPERATIONS,
    Answer,
    Decider,
    PerOperation,
    Probabilistic,
    RateLimiting,
)
from ot_bridge.sampling.polling import TIMEOUT_S, Poller
from ot_bridge.sampling.strategy import ProbabilisticStrategy, RateLimitingStrategy, Strategy, read_strategy

__all__ = ["DEFAULT_ENDPOINT", "DEFAULT_INITIAL_RATE", "DEFAULT_INTERVAL_S", "Remote"]

DEFAULT_ENDPOINT: Final = "http://localhost:5778/sampling"
DEFAULT_INTERVAL_S: Final = 60.0
DEFAULT_INITIAL_RATE: Final = 0.001


class Remote(Decider):
    """Decides as the endpoint says; asks at once and then after each interval, in the background.

    Args:
        endpoint: an http or https URL; ``?service=`` is added.
        service_name: whose strategy to ask for.
        interval_s: seconds between two questions, at least 1.
        initial: decides until the first answer; None for 1 in 1000.
        max_operations: see :class:`PerOperation`.
        timeout_s: seconds for one answer.
        background: False asks only when :meth:`poll` is called.
    """

    def __init__(
        self,
        endpoint: str = DEFAULT_ENDPOINT,
        service_name: str = "",
        *,
        interval_s: float = DEFAULT_INTERVAL_S,
        initial: Decider | None = None,
        max_operations: int = DEFAULT_MAX_OPERATIONS,
        timeout_s: float = TIMEOUT_S,
        background: bool = True,
    ) -> None:
        self._endpoint, self._service_name, self._interval_s = endpoint, service_name, interval_s
        self._max_operations = max_operations
        self._background = background
        self.current: Decider = Probabilistic(DEFAULT_INITIAL_RATE) if initial is None else initial
        """What decides now."""
        self._poller = Poller(self, interval_s, timeout_s)
        if background:
            self._poller.start()

    def decide(self, trace_id: int, operation: str) -> Answer:
        if self._poller.idle and self._background:  # after a fork
            self._poller.start()
        return self.current.decide(trace_id, operation)

    def poll(self) -> None:
        """Ask now, in this thread. Never raises."""
        self._poller.poll()

    def update(self, strategy: Strategy) -> None:
        """Decide by this strategy from now on; what was counted for the same kind of strategy goes on."""
        current = self.current
        if isinstance(strategy, ProbabilisticStrategy):
            self.current = Probabilistic(strategy.rate)
        elif isinstance(strategy, RateLimitingStrategy):
            if isinstance(current, RateLimiting):
                current.update(strategy.max_traces_per_second)
            else:
                self.current = RateLimiting(strategy.max_traces_per_second)
        elif isinstance(current, PerOperation):
            current.update(*strategy)
        else:
            self.current = PerOperation(*strategy, max_operations=self._max_operations)

    def close(self) -> None:
        self._poller.close()
        self.current.close()

    def _question(self) -> str:
        joint = "&" if "?" in self._endpoint else "?"
        # What is no text in UTF-8 cannot be the name of a service that anybody has configured.
        return f"{self._endpoint}{joint}service={quote(self._service_name, safe='', errors='replace')}"

    def _take(self, body: bytes) -> None:
        self.update(read_strategy(body))
        telemetry.count("sampler.remote.ok")

    def _failed(self, why: str, message: str) -> None:
        telemetry.warn_once(f"sampler.remote.failed.{why}", "%s; sampling goes on as before", message)

    def _parts(self) -> dict[str, object]:
        return {
            "endpoint": self._endpoint,
            "service_name": self._service_name,
            "interval_s": self._interval_s,
            "current": self.current,
        }
