"""Throttlers by their old names: who may force a trace, and how often."""

from __future__ import annotations

from typing import Any, Final

from ot_bridge.jaeger_client.constants import DEFAULT_THROTTLER_REFRESH_INTERVAL
from ot_bridge.jaeger_client.metrics import MetricsFactory
from ot_bridge.jaeger_client.sampler import credits_endpoint
from ot_bridge.sampling import throttling

__all__ = ["RemoteThrottler", "Throttler"]

MINIMUM_CREDITS: Final = 1.0


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
        **kwargs: ``refresh_interval`` in seconds; ``metrics_factory`` is given what was refused. Others are not used.
    """

    def __init__(self, channel: Any, service_name: str, **kwargs: Any) -> None:
        self.service_name = service_name
        self.refresh_interval = kwargs.get("refresh_interval") or DEFAULT_THROTTLER_REFRESH_INTERVAL
        factory = kwargs.get("metrics_factory") or MetricsFactory()
        self._refused = factory.create_counter(name="jaeger:throttled_debug_spans")
        interval_s = max(1.0, float(self.refresh_interval))
        self._credits = throttling.RemoteThrottler(credits_endpoint(channel), service_name, interval_s=interval_s)

    def set_client_id(self, client_id: int) -> None:
        self._credits.set_client_id(client_id)

    def is_allowed(self, operation: str) -> bool:
        allowed = self._credits.is_allowed(operation)
        if not allowed:
            self._refused(1)
        return allowed

    def close(self) -> None:
        self._credits.close()
