"""Small things that code imports from ``jaeger_client.utils``."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from ot_bridge.provider import host_attributes

__all__ = ["ErrorReporter", "get_boolean", "get_local_ip_by_socket", "local_ip"]

_WORDS: Final = {"false": False, "0": False, "none": False, "true": True, "1": True}


def get_boolean(string: Any, default: bool) -> bool:
    """Return what true, 1, false, 0 or none in any case say; ``default`` for anything else."""
    return _WORDS.get(str(string).lower(), default)


def local_ip() -> str | None:
    """Return the address that this host has towards others, None without one."""
    return host_attributes().get("ip")


def get_local_ip_by_socket() -> str | None:
    """Return the same: there is no other way here."""
    return local_ip()


class ErrorReporter:
    """Logs an error, and then none for a while.

    Args:
        metrics: not used.
        logger: where errors go, None for nowhere.
        log_interval_minutes: how long to be silent.
    """

    def __init__(self, metrics: Any, logger: logging.Logger | None = None, log_interval_minutes: int = 15) -> None:
        self.logger = logger
        self.log_interval_minutes = log_interval_minutes
        self._silent_until = 0.0

    def error(self, *args: Any) -> None:
        """Log the error, unless there was one just before."""
        now = time.monotonic()
        if self.logger is not None and now >= self._silent_until:
            self._silent_until = now + self.log_interval_minutes * 60
            self.logger.error(*args)
