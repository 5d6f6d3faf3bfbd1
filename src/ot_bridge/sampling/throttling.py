"""Debug spans on credit: how many a service may force is asked of Jaeger's agent, operation by operation.

Source: jaeger-client-python 4.8.0, throttler.py and local_agent_net.py: GET /credits with service, uuid and operations.
"""

from __future__ import annotations

import itertools
import random
from typing import Final
from urllib.parse import quote

from ot_bridge import telemetry
from ot_bridge.environment import wrong
from ot_bridge.locks import fork_safe_lock
from ot_bridge.sampler_specs import SpecError, read_endpoint
from ot_bridge.sampling.decisions import DEFAULT_MAX_OPERATIONS, is_number
from ot_bridge.sampling.polling import TIMEOUT_S, AnswerError, Poller
from ot_bridge.sampling.strategy import read_json

__all__ = ["RemoteThrottler"]

_COST: Final = 1.0
_LONGEST_QUERY: Final = 6000  # characters; servers take 8 KiB of a request line, or a little less
_WANTED: Final = "a URL of http or https, such as 'http://localhost:5778/credits'"


class RemoteThrottler:
    """Says which debug spans may be forced. Safe with threads and forks; nothing raises after the set-up.

    An operation that is new has no credit: it is refused, and asked for at the next question. Nothing is asked, and no
    thread started, before the first debug span.

    Args:
        endpoint: a URL, or ``host:port``; the path is ``/credits`` unless it has one.
        service_name: whose credits to ask for.
        interval_s: seconds between two questions, at least 1.
        max_operations: how many operations are remembered; others are refused.
        timeout_s: seconds for one answer.
        background: False asks only when :meth:`poll` is called.

    Raises:
        ConfigError: the endpoint is no URL.
    """

    def __init__(
        self,
        endpoint: str,
        service_name: str,
        *,
        interval_s: float = 5.0,
        max_operations: int = DEFAULT_MAX_OPERATIONS,
        timeout_s: float = TIMEOUT_S,
        background: bool = True,
    ) -> None:
        try:
            self._endpoint = read_endpoint(endpoint, "/credits", _WANTED)
        except SpecError as error:
            raise wrong("endpoint", error.found, "argument of RemoteThrottler", error.wanted) from None
        self._service_name = service_name
        self._max_operations = max_operations
        self._background = background
        self._lock = fork_safe_lock()
        self._client_id: int | None = None
        self._credits: dict[str, float] = {}
        self._next = 0
        self.refused = 0
        """How many debug spans were refused."""
        self._poller = Poller(self, interval_s, timeout_s)

    def is_allowed(self, operation: str) -> bool:
        """Pay for one debug span of the operation; False where the credit does not last."""
        with self._lock:
            balance = self._credits.get(operation)
            allowed = balance is not None and balance >= _COST
            if allowed:
                self._credits[operation] -= _COST
            else:
                self.refused += 1
                if balance is None and len(self._credits) < self._max_operations:
                    self._credits[operation] = 0.0
        if not allowed:
            telemetry.count("throttler.refused")
        if self._poller.idle and self._background:  # the first time, and after a fork
            self._poller.start()
        return allowed

    def set_client_id(self, client_id: int) -> None:
        """Say which of the service's processes this is; the first one that is set stays."""
        with self._lock:
            if self._client_id is None:
                self._client_id = client_id

    def poll(self) -> None:
        """Ask now, in this thread. Never raises."""
        self._poller.poll()

    def close(self) -> None:
        """Stop asking; what credit is left can be used."""
        self._poller.close()

    def _question(self) -> str | None:
        with self._lock:
            if self._client_id is None:
                self._client_id = random.getrandbits(64)
            operations = list(self._credits)
            first = self._next % max(1, len(operations))
            query = f"service={_quoted(self._service_name)}&uuid={self._client_id}"
            taken = 0
            for operation in itertools.islice(itertools.cycle(operations), first, first + len(operations)):
                more = f"&operations={_quoted(operation)}"
                if taken and len(query) + len(more) > _LONGEST_QUERY:
                    break  # the others come first next time
                query += more
                taken += 1
            self._next = first + taken
        joint = "&" if "?" in self._endpoint else "?"
        return f"{self._endpoint}{joint}{query}" if taken else None

    def _take(self, body: bytes) -> None:
        listed = read_json(body).get("balances")
        if not isinstance(listed, list):
            raise AnswerError("shape", f"balances: {type(listed).__name__}, expected a list")
        balances = [_read_balance(found) for found in listed]
        with self._lock:
            for operation, balance in balances:
                if operation in self._credits or len(self._credits) < self._max_operations:
                    self._credits[operation] = self._credits.get(operation, 0.0) + balance
        telemetry.count("throttler.remote.ok")

    def _failed(self, why: str, message: str) -> None:
        telemetry.warn_once(f"throttler.remote.failed.{why}", "%s; debug spans get no new credits", message)

    def __repr__(self) -> str:
        return f"RemoteThrottler(endpoint={self._endpoint!r}, service_name={self._service_name!r})"


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="replace")


def _read_balance(found: object) -> tuple[str, float]:
    operation = found.get("operation", "") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(operation, str):
        raise AnswerError("shape", "balances: expected objects, each with an operation")
    balance = found.get("balance", 0)
    if not is_number(balance, 1e9):
        raise AnswerError("values", f"balance: got {str(balance)[:50]!r}, expected a number of at least 0")
    return operation, float(balance)
