"""Where the Jaeger agent is. No span is sent to it: they go out over OTLP, see :mod:`.reporter`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from ot_bridge.jaeger_client.ioloop_util import WaitableFuture
from ot_bridge.sampling.polling import fetch

__all__ = ["LocalAgentHTTP", "LocalAgentSender"]


class LocalAgentHTTP:
    """The agent's HTTP side, for code that asks by itself: the samplers here have their own way.

    Args:
        host: the agent's host.
        port: its port.
    """

    DEFAULT_TIMEOUT: Final = 15
    """Seconds."""

    def __init__(self, host: str, port: int) -> None:
        self.agent_http_host = host
        self.agent_http_port = int(port)

    def request_sampling_strategy(self, service_name: str, timeout: float = DEFAULT_TIMEOUT) -> Any:
        """Ask for a service's sampling strategy; return a future of an answer that has a ``body``."""
        return self._ask("sampling", [("service", service_name)], timeout)

    def request_throttling_credits(
        self, service_name: str, client_id: int, operations: Sequence[str], timeout: float = DEFAULT_TIMEOUT
    ) -> Any:
        """Ask for credits; return a future of an answer that has a ``body``."""
        query = [("service", service_name), ("uuid", client_id), *(("operations", name) for name in operations)]
        return self._ask("credits", query, timeout)

    def _ask(self, path: str, query: Sequence[tuple[str, Any]], timeout_s: float) -> Any:
        url = f"{http_address(self.agent_http_host, self.agent_http_port)}/{path}?{urlencode(query)}"
        future = WaitableFuture()

        def ask() -> None:
            try:
                future.set_result(_Answer(fetch(url, timeout_s)))
            except Exception as error:
                future.set_exception(error)

        threading.Thread(target=ask, name="ot_bridge-ask", daemon=True).start()
        return future


class _Answer(NamedTuple):
    body: bytes


class LocalAgentSender:
    """The addresses of an agent, as configured.

    Args:
        host: its host.
        sampling_port: its port for sampling strategies, HTTP.
        reporting_port: its port for spans, UDP: has no meaning in OTLP.
        io_loop: not used.
        throttling_port: its port for throttling credits, HTTP; None for no throttling.
    """

    def __init__(
        self,
        host: str,
        sampling_port: int,
        reporting_port: int,
        io_loop: Any = None,
        throttling_port: int | None = None,
    ) -> None:
        self.host = host
        self.sampling_port = int(sampling_port)
        self.reporting_port = int(reporting_port)
        self.throttling_port = None if throttling_port is None else int(throttling_port)
        self.io_loop = io_loop
        self.local_agent_http = LocalAgentHTTP(host, sampling_port)
        if throttling_port:
            self.throttling_http = LocalAgentHTTP(host, throttling_port)

    def request_sampling_strategy(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`LocalAgentHTTP.request_sampling_strategy`."""
        return self.local_agent_http.request_sampling_strategy(*args, **kwargs)

    def request_throttling_credits(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`LocalAgentHTTP.request_throttling_credits`."""
        return self.throttling_http.request_throttling_credits(*args, **kwargs)


def http_address(host: str | None, port: int) -> str:
    """Return ``http://host:port``; an IPv6 address gets its brackets."""
    host = host or "localhost"
    return f"http://[{host}]:{port}" if ":" in host and not host.startswith("[") else f"http://{host}:{port}"
