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
from ot_bridge.jaeger_client.local_agent_net import http_address
from ot_bridge.jaeger_client.metrics import LegacyMetricsFactory, Metrics, MetricsFactory
from ot_bridge.jaeger_client.rate_limiter import RateLimiter
from ot_bridge.jaeger_client.utils import ErrorReporter
from ot_bridge.sampling.decisions import (
    DEFAULT_MAX_OPERATIONS,
    Const,
    Decider,
    GuaranteedThroughput,
    PerOperation,
    Probabilistic,
    RateLimiting,
)
from ot_bridge.sampling.polling import AnswerError
from ot_bridge.sampling.remote import Remote
from ot_bridge.sampling.strategy import Strategy
from ot_bridge.values import clean_key, clean_value

__all__ = [
    "DEFAULT_LOWER_BOUND",
    "DEFAULT_LOWER_BOUND_STR",
    "DEFAULT_MAX_OPERATIONS",
    "DEFAULT_SAMPLING_INTERVAL",
    "DEFAULT_SAMPLING_PROBABILITY",
    "DEFAULT_SAMPLING_PROBABILITY_STR",
    "MAX_TRACES_PER_SECOND_STR",
    "OPERATION_SAMPLING_STR",
    "OPERATION_STR",
    "PROBABILISTIC_SAMPLING_STR",
    "PROBABILISTIC_SAMPLING_STRATEGY",
    "RATE_LIMITING_SAMPLING_STR",
    "RATE_LIMITING_SAMPLING_STRATEGY",
    "SAMPLER_PARAM_TAG_KEY",
    "SAMPLER_TYPE_CONST",
    "SAMPLER_TYPE_LOWER_BOUND",
    "SAMPLER_TYPE_PROBABILISTIC",
    "SAMPLER_TYPE_RATE_LIMITING",
    "SAMPLER_TYPE_TAG_KEY",
    "SAMPLING_RATE_STR",
    "STRATEGIES_STR",
    "STRATEGY_TYPE_STR",
    "AdaptiveSampler",
    "ConstSampler",
    "ErrorReporter",
    "GuaranteedThroughputProbabilisticSampler",
    "LegacyMetricsFactory",
    "Metrics",
    "MetricsFactory",
    "ProbabilisticSampler",
    "RateLimiter",
    "RateLimitingSampler",
    "RemoteControlledSampler",
    "Sampler",
    "SamplerMetrics",
    "get_rate_limit",
    "get_sampling_probability",
]

SAMPLER_TYPE_TAG_KEY: Final = "sampler.type"
SAMPLER_PARAM_TAG_KEY: Final = "sampler.param"
DEFAULT_SAMPLING_PROBABILITY: Final = 0.001
DEFAULT_LOWER_BOUND: Final = 1.0 / 600  # traces per second: one in ten minutes

# The words of the agent's JSON.
STRATEGIES_STR: Final = "perOperationStrategies"
OPERATION_STR: Final = "operation"
DEFAULT_LOWER_BOUND_STR: Final = "defaultLowerBoundTracesPerSecond"
PROBABILISTIC_SAMPLING_STR: Final = "probabilisticSampling"
SAMPLING_RATE_STR: Final = "samplingRate"
DEFAULT_SAMPLING_PROBABILITY_STR: Final = "defaultSamplingProbability"
OPERATION_SAMPLING_STR: Final = "operationSampling"
MAX_TRACES_PER_SECOND_STR: Final = "maxTracesPerSecond"
RATE_LIMITING_SAMPLING_STR: Final = "rateLimitingSampling"
STRATEGY_TYPE_STR: Final = "strategyType"
PROBABILISTIC_SAMPLING_STRATEGY: Final = "PROBABILISTIC"
RATE_LIMITING_SAMPLING_STRATEGY: Final = "RATE_LIMITING"

default_logger: Final = logging.getLogger("jaeger_tracing")


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
        self.default_sampling_probability, self.lower_bound = rate, bound
        shown = f"{rate:f}, {bound:f}, {max_operations}"
        super().__init__(PerOperation(rate, bound, rates, max_operations=max_operations), shown)

    def update(self, strategies: Mapping[str, Any]) -> None:
        """Take new strategies; operations that they do not name are kept."""
        rate, bound, rates = _strategies(strategies)
        self.decider.update(rate, bound, rates)
        self.default_sampling_probability, self.lower_bound = rate, bound
        self._shown = f"{rate:f}, {bound:f}, {self.max_operations}"


class RemoteControlledSampler(DecidingSampler):
    """Samples as the agent's sampling endpoint says.

    Args:
        channel: where the agent is, see :class:`.local_agent_net.LocalAgentSender`.
        service_name: whose strategy to ask for.
        **kwargs: ``init_sampler`` decides until the first answer, default 1 in 1000; ``sampling_refresh_interval`` in
            seconds; ``max_operations``; ``metrics_factory``, or the deprecated ``metrics``, is given how the questions
            went. Others are taken and not used.
    """

    decider: Remote

    def __init__(self, channel: Any, service_name: str, **kwargs: Any) -> None:
        self.service_name = service_name
        self.sampling_refresh_interval = kwargs.get("sampling_refresh_interval") or DEFAULT_SAMPLING_INTERVAL
        self.max_operations = kwargs.get("max_operations") or DEFAULT_MAX_OPERATIONS
        self.logger = kwargs.get("logger") or default_logger
        self.error_reporter = kwargs.get("error_reporter") or ErrorReporter(Metrics())
        self.metrics_factory = kwargs.get("metrics_factory") or LegacyMetricsFactory(kwargs.get("metrics") or Metrics())
        self.metrics = SamplerMetrics(self.metrics_factory)
        initial = kwargs.get("init_sampler")
        decider = _CountedRemote(
            self.metrics,
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


OWN_SAMPLERS: Final = frozenset(
    {
        ConstSampler,
        ProbabilisticSampler,
        RateLimitingSampler,
        GuaranteedThroughputProbabilisticSampler,
        AdaptiveSampler,
        RemoteControlledSampler,
    }
)
"""Those whose tags need no cleaning."""


class SamplerMetrics:
    """What a remote sampler counts."""

    def __init__(self, metrics_factory: MetricsFactory) -> None:
        def counter(name: str, result: str) -> Any:
            return metrics_factory.create_counter(name=name, tags={"result": result})

        self.sampler_retrieved = counter("jaeger:sampler_queries", "ok")
        self.sampler_query_failure = counter("jaeger:sampler_queries", "err")
        self.sampler_updated = counter("jaeger:sampler_updates", "ok")
        self.sampler_update_failure = counter("jaeger:sampler_updates", "err")


class _CountedRemote(Remote):
    """Tells an application's metrics how the questions went."""

    def __init__(self, metrics: SamplerMetrics, *args: Any, **kwargs: Any) -> None:
        self._metrics = metrics
        super().__init__(*args, **kwargs)

    def update(self, strategy: Strategy) -> None:
        before = type(self.current), self.current._parts()
        super().update(strategy)
        if isinstance(self.current, PerOperation) or before != (type(self.current), self.current._parts()):
            self._metrics.sampler_updated(1)

    def _take(self, body: bytes) -> None:
        try:
            super()._take(body)
        except AnswerError as error:
            if error.why != "json":
                self._metrics.sampler_retrieved(1)
            raise
        self._metrics.sampler_retrieved(1)

    def _failed(self, why: str, message: str) -> None:
        metrics = self._metrics
        (metrics.sampler_update_failure if why in ("shape", "values") else metrics.sampler_query_failure)(1)
        super()._failed(why, message)


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
        sampled, tags = self.sampler.is_sampled(trace_id, operation)
        return sampled, cleaned(tags)

    def close(self) -> None:
        self.sampler.close()

    def _parts(self) -> dict[str, object]:
        return {"sampler": self.sampler}


def cleaned(tags: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the tags of an application's own sampler as attributes take them."""
    return {clean_key(key): clean_value(value) for key, value in tags.items()}


def sampling_endpoint(channel: Any) -> str:
    """Return the URL of the agent's sampling endpoint."""
    return f"{http_address(getattr(channel, 'host', None), getattr(channel, 'sampling_port', 5778))}/sampling"


def credits_endpoint(channel: Any) -> str:
    """Return the URL of the agent's throttling credits."""
    return f"{http_address(getattr(channel, 'host', None), getattr(channel, 'throttling_port', None) or 5778)}/credits"


def get_sampling_probability(strategy: Mapping[str, Any] | None = None) -> float:
    """Return the rate that a strategy of the agent's JSON has, 0.001 without one."""
    found = (strategy or {}).get(PROBABILISTIC_SAMPLING_STR) or {}
    return found.get(SAMPLING_RATE_STR, DEFAULT_SAMPLING_PROBABILITY)  # type: ignore[no-any-return]


def get_rate_limit(strategy: Mapping[str, Any] | None = None) -> float:
    """Return the traces per second that a strategy of the agent's JSON has, one in ten minutes without."""
    found = (strategy or {}).get(RATE_LIMITING_SAMPLING_STR) or {}
    return found.get(MAX_TRACES_PER_SECOND_STR, DEFAULT_LOWER_BOUND)  # type: ignore[no-any-return]


def _strategies(found: Mapping[str, Any]) -> tuple[float, float, dict[str, float]]:
    rates = {one.get(OPERATION_STR): get_sampling_probability(one) for one in found.get(STRATEGIES_STR, [])}
    rate = found.get(DEFAULT_SAMPLING_PROBABILITY_STR, DEFAULT_SAMPLING_PROBABILITY)
    return rate, found.get(DEFAULT_LOWER_BOUND_STR, DEFAULT_LOWER_BOUND), rates
