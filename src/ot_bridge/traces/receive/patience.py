"""HTTP/1.1 as uvicorn serves it, with a limit to how long and for how many clients a server waits."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from ot_bridge.traces.receive.body import Limits

__all__ = ["protocol_class"]

_GRACE_S = 5.0
"""A body that is too slow is answered before its connection is cut."""


def protocol_class(limits: Limits) -> type[H11Protocol]:
    """Return uvicorn's protocol, under some limits."""

    class Patient(_Patient):
        LIMITS = limits

    return Patient


class _Patient(H11Protocol):
    """Cuts a connection whose request does not arrive in time; of too many, the one that has waited longest."""

    LIMITS = Limits()

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._since_s = self.loop.time()
        self._idle = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > self.LIMITS.connections:
            waiting = [one for one in self.connections if isinstance(one, _Patient) and one.waits]
            min(waiting, key=lambda one: one._since_s, default=self).cut()

    def data_received(self, data: bytes) -> None:
        if self._idle:
            self._idle = False
            self._wait()
        super().data_received(data)

    def on_response_complete(self) -> None:
        self._idle = True
        self._since_s = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    @property
    def waits(self) -> bool:
        """The next thing has to come from the client."""
        return self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def cut(self) -> None:
        """End the connection, whatever is still to be said."""
        self.connections.discard(self)
        self.transport.abort()

    def _wait(self) -> None:
        """Begin to wait for a whole request."""
        self._since_s = self.loop.time()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(self.LIMITS.deadline_s + _GRACE_S, self._cut_if_late)

    def _cut_if_late(self) -> None:
        if self.waits and not self._idle:
            self.cut()
