"""Jaeger's samplers by their old names, over the decisions of :mod:`ot_bridge.sampling`.

They are for code that builds one and hands it to a tracer, and for code that derives a sampler of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import sampling as sdk_sampling

from ot_bridge.jaeger_client.constants import (
    DEFAULT_SAMPLING_INTERVAL,
    SAMPLER_TYPE_CONST,
    SAMPLER_TYPE_LOWER_BOUND,
    SAMPLER_TYPE_PROBABILISTIC,
    SAMPLER_TYPE_RATE_LIMITING,
)
from ot_bridge.sampling.decisions import (
    DEFAULT_MAX_OPERATIONS,
    Const,
    Decider,
    GuaranteedThroughput,
    PerOperation,
    Probabilistic,
    RateLimiting,
)
from ot_bridge.sampling.remote import Remote

__all__ = [
    "SAMPLER_TYPE_CONST",
    "SAMPLER_TYPE_LOWER_BOUND",
    "SAMPLER_TYPE_PROBABILISTIC",
    "SAMPLER_TYPE_RATE_LIMITING",
    "AdaptiveSampler",
    "ConstSampler",
    "GuaranteedThroughputProbabilisticSampler",
    "ProbabilisticSampler",
    "RateLimitingSampler",
    "RemoteControlledSampler",
    "Sampler",
]

SAMPLER_TYPE_TAG_KEY: Final = "sampler.type"
SAMPLER_PARAM_TAG_KEY: Final = "sampler.param"
DEFAULT_SAMPLING_PROBABILITY: Final = 0.001
DEFAULT_LOWER_BOUND: Final = 1.0 / 600  # traces per second: one in ten minutes

_logger = logging.getLogger("jaeger_tracing")


class Sampler:
    """Decides on the traces that start here; derive from it for a sampler of one's own.

    Args:
        tags: what :meth:`is_sampled` of a derived class may return.
    """

    def __init__(self, tags: Mapping[str, Any] | None = None) -> None:
        self._tags = tags or {}

    def is_sampled(self, trace_id: int, operation: str = "") -> tuple[bool, Any]:
        """Return the decision, and the tags that a sampled root span gets."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop what runs in the background."""
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.__dict__ == other.__dict__

    __hash__ = object.__hash__


class DecidingSampler(Sampler):
    """A sampler over one decision rule."""

    def __init__(self, decider: Decider, shown: Any) -> None:
        super().__init__()
        self.decider = decider
        self._shown = shown

    def is_sampled(self, trace_id: int, operation: str = "") -> tuple[bool, Any]:
        return self.decider.decide(trace_id, operation)

    def close(self) -> None:
        self.decider.close()

    def __str__(self) -> str:
        return f"{type(self).__name__}({self._shown})"


class ConstSampler(DecidingSampler):
    """Samples every trace, or none."""

    def __init__(self, decision: bool) -> None:
        super().__init__(Const(decision), decision)
        self.decision = decision


class ProbabilisticSampler(DecidingSampler):
    """Samples this share of the traces, from 0 to 1, by their ids.

    Raises:
        ConfigError: a ValueError; the rate is out of range.
    """

    def __init__(self, rate: float) -> None:
        super().__init__(Probabilistic(rate), rate)
        self.rate = rate
        self.max_number = 1 << 64
        self.boundary = rate * self.max_number


class RateLimitingSampler(DecidingSampler):
    """Samples at most so many traces per second.

    Raises:
        ConfigError: a ValueError; the rate is negative.
    """

    decider: RateLimiting

    def __init__(self, max_traces_per_second: float = 10) -> None:
        super().__init__(RateLimiting(max_traces_per_second), max_traces_per_second)

    @property
    def traces_per_second(self) -> float:
        """The rate."""
        return self.decider.max_traces_per_second

    def update(self, max_traces_per_second: float) -> bool:
        """Change the rate; tell whether it is another one."""
        self._shown = max_traces_per_second
        return self.decider.update(max_traces_per_second)


class GuaranteedThroughputProbabilisticSampler(DecidingSampler):
    """Samples this share of one operation's traces, and at least so many per second."""

    decider: GuaranteedThroughput

    def __init__(self, operation: str, lower_bound: float, rate: float) -> None:
        super().__init__(GuaranteedThroughput(rate, lower_bound), f"{operation}, {rate:f}, {lower_bound:f}")
        self.operation, self.lower_bound, self.rate = operation, lower_bound, rate

    def update(self, lower_bound: float, rate: float) -> None:
        """Change both."""
        self.decider.update(rate, lower_bound)
        self.lower_bound, self.rate = lower_bound, rate
        self._shown = f"{self.operation}, {rate:f}, {lower_bound:f}"


class AdaptiveSampler(DecidingSampler):
    """Guaranteed throughput for each operation by itself.

    Args:
        strategies: ``perOperationStrategies`` and the defaults, as the agent's JSON has them.
        max_operations: how many operations are remembered.
    """

    decider: PerOperation

    def __init__(self, strategies: Mapping[str, Any], max_operations: int = DEFAULT_MAX_OPERATIONS) -> None:
        self.max_operations = max_operations
        rate, bound, rates = _strategies(strategies)
        shown = f"{rate:f}, {bound:f}, {max_operations}"
        super().__init__(PerOperation(rate, bound, rates, max_operations=max_operations), shown)

    def update(self, strategies: Mapping[str, Any]) -> None:
        """Take new strategies; operations that they do not name are kept."""
        rate, bound, rates = _strategies(strategies)
        self.decider.update(rate, bound, rates)
        self._shown = f"{rate:f}, {bound:f}, {self.max_operations}"


class RemoteControlledSampler(DecidingSampler):
    """Samples as the agent's sampling endpoint says.

    Args:
        channel: where the agent is, see :class:`.local_agent_net.LocalAgentSender`.
        service_name: whose strategy to ask for.
        **kwargs: ``init_sampler`` decides until the first answer, default 1 in 1000; ``sampling_refresh_interval`` in
            seconds; ``max_operations``. Others are taken and not used.
    """

    decider: Remote

    def __init__(self, channel: Any, service_name: str, **kwargs: Any) -> None:
        self.service_name = service_name
        self.sampling_refresh_interval = kwargs.get("sampling_refresh_interval") or DEFAULT_SAMPLING_INTERVAL
        self.max_operations = kwargs.get("max_operations") or DEFAULT_MAX_OPERATIONS
        initial = kwargs.get("init_sampler")
        decider = Remote(
            sampling_endpoint(channel),
            service_name,
            interval_s=max(1.0, float(self.sampling_refresh_interval)),
            initial=None if initial is None else _Asked(initial),
            max_operations=self.max_operations,
        )
        super().__init__(decider, service_name)

    @property
    def sampler(self) -> Any:
        """What decides at present."""
        current = self.decider.current
        return current.sampler if isinstance(current, _Asked) else current

    def __str__(self) -> str:
        return f"RemoteControlledSampler({self.decider.current!r})"


class OtelSampler(Sampler):
    """An OpenTelemetry sampler, by the name that Jaeger's tracers call one; it is asked about roots only."""

    def __init__(self, sampler: sdk_sampling.Sampler) -> None:
        super().__init__()
        self.sampler = sampler

    def is_sampled(self, trace_id: int, operation: str = "") -> tuple[bool, Any]:
        result = self.sampler.should_sample(Context(), trace_id, operation)
        return result.decision is sdk_sampling.Decision.RECORD_AND_SAMPLE, result.attributes or {}

    def close(self) -> None:
        close = getattr(self.sampler, "close", None)
        if callable(close):
            close()

    def __str__(self) -> str:
        return self.sampler.get_description()


class _Asked(Decider):
    """An application's own sampler as a decision rule."""

    def __init__(self, sampler: Any) -> None:
        self.sampler = sampler

    def decide(self, trace_id: int, operation: str) -> tuple[bool, Any]:
        return self.sampler.is_sampled(trace_id, operation)  # type: ignore[no-any-return]

    def close(self) -> None:
        self.sampler.close()

    def _parts(self) -> dict[str, object]:
        return {"sampler": self.sampler}


def sampling_endpoint(channel: Any) -> str:
    """Return the URL of the agent's sampling endpoint."""
    return f"http://{_host_of(channel)}:{getattr(channel, 'sampling_port', 5778)}/sampling"


def credits_endpoint(channel: Any) -> str:
    """Return the URL of the agent's throttling credits."""
    return f"http://{_host_of(channel)}:{getattr(channel, 'throttling_port', None) or 5778}/credits"


def _host_of(channel: Any) -> str:
    host = getattr(channel, "host", None) or "localhost"
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _strategies(found: Mapping[str, Any]) -> tuple[float, float, dict[str, float]]:
    rates = {
        one["operation"]: one.get("probabilisticSampling", {}).get("samplingRate", DEFAULT_SAMPLING_PROBABILITY)
        for one in found.get("perOperationStrategies", [])
    }
    rate = found.get("defaultSamplingProbability", DEFAULT_SAMPLING_PROBABILITY)
    return rate, found.get("defaultLowerBoundTracesPerSecond", DEFAULT_LOWER_BOUND), rates
