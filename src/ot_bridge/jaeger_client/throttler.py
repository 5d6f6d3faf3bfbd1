"""Throttlers by their old names: who may force a trace, and how often."""

from __future__ import annotations

import logging
from typing import Any, Final

from ot_bridge.jaeger_client.constants import DEFAULT_THROTTLER_REFRESH_INTERVAL
from ot_bridge.jaeger_client.metrics import Metrics, MetricsFactory
from ot_bridge.jaeger_client.sampler import credits_endpoint
from ot_bridge.jaeger_client.utils import ErrorReporter
from ot_bridge.sampling import throttling

__all__ = [
    "DEFAULT_THROTTLER_REFRESH_INTERVAL",
    "MINIMUM_CREDITS",
    "ErrorReporter",
    "Metrics",
    "MetricsFactory",
    "RemoteThrottler",
    "Throttler",
    "ThrottlerMetrics",
]

MINIMUM_CREDITS: Final = 1.0

default_logger: Final = logging.getLogger("jaeger_tracing")


class Throttler:
    """Says whether a trace may be forced; derive from it for a throttler of one's own."""

    def set_client_id(self, client_id: int) -> None:
        """Take note of which process this is."""

    def is_allowed(self, operation: str) -> bool:
        """Tell whether a trace that starts with this operation may be forced."""
        raise NotImplementedError

    def close(self) -> None:
        """Stop what runs in the background."""


class RemoteThrottler(Throttler):
    """Asks the agent for credits.

    Args:
        channel: where the agent is, see :class:`.local_agent_net.LocalAgentSender`.
        service_name: whose credits to ask for.
        **kwargs: ``refresh_interval`` in seconds; ``metrics_factory`` is given what was refused and how the questions
            went. Others are not used.
    """

    def __init__(self, channel: Any, service_name: str, **kwargs: Any) -> None:
        self.channel = channel
        self.service_name = service_name
        self.client_id: int | None = None
        self.refresh_interval = kwargs.get("refresh_interval") or DEFAULT_THROTTLER_REFRESH_INTERVAL
        self.logger = kwargs.get("logger") or default_logger
        self.error_reporter = kwargs.get("error_reporter") or ErrorReporter(Metrics())
        self.metrics = ThrottlerMetrics(kwargs.get("metrics_factory") or MetricsFactory())
        interval_s = max(1.0, float(self.refresh_interval))
        self._credits = _Counted(self.metrics, credits_endpoint(channel), service_name, interval_s=interval_s)

    def set_client_id(self, client_id: int) -> None:
        if self.client_id is None:
            self.client_id = client_id
        self._credits.set_client_id(client_id)

    def is_allowed(self, operation: str) -> bool:
        allowed = self._credits.is_allowed(operation)
        if not allowed:
            self.metrics.throttled_debug_spans(1)
        return allowed

    def close(self) -> None:
        self._credits.close()


class ThrottlerMetrics:
    """What a throttler counts."""

    def __init__(self, metrics_factory: MetricsFactory) -> None:
        def counter(result: str) -> Any:
            return metrics_factory.create_counter(name="jaeger:throttler_update", tags={"result": result})

        self.throttled_debug_spans = metrics_factory.create_counter(name="jaeger:throttled_debug_spans")
        self.throttler_update_success = counter("ok")
        self.throttler_update_failure = counter("err")


class _Counted(throttling.RemoteThrottler):
    """Tells an application's metrics how the questions went."""

    def __init__(self, metrics: ThrottlerMetrics, *args: Any, **kwargs: Any) -> None:
        self._metrics = metrics
        super().__init__(*args, **kwargs)

    def _take(self, body: bytes) -> None:
        super()._take(body)
        self._metrics.throttler_update_success(1)

    def _failed(self, why: str, message: str) -> None:
        self._metrics.throttler_update_failure(1)
        super()._failed(why, message)
