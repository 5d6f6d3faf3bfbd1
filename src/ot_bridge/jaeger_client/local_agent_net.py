"""Where the Jaeger agent is. Nothing is sent to it: spans go out over OTLP, see :mod:`.reporter`."""

from __future__ import annotations

from typing import Any

__all__ = ["LocalAgentSender"]


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
