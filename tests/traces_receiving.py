"""Receivers on free ports of the loopback, and what they kept."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import uvicorn
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans
from starlette.applications import Starlette
from starlette.routing import Route

from ot_bridge.traces import otlp
from ot_bridge.traces.model import Span
from ot_bridge.traces.receive.inbox import Counts
from ot_bridge.traces.receive.udp import UdpReceiver, bound

__all__ = ["Kept", "eventually", "serving", "udp"]


class Kept:
    """An inbox that keeps everything, until it is full."""

    def __init__(self) -> None:
        self.batches: list[ResourceSpans] = []
        self.counts = Counts()
        self.full = False

    def put(self, batches: Sequence[ResourceSpans], logs: Sequence[ResourceLogs] = ()) -> bool:
        if self.full:
            return False
        self.batches += batches
        return True

    @property
    def spans(self) -> list[Span]:
        return otlp.spans(self.batches)

    def wait(self, spans: int) -> list[Span]:
        eventually(lambda: len(self.spans) >= spans)
        return self.spans


def eventually(true: Callable[[], object], limit_s: float = 10) -> None:
    """Wait until it is true; fail when it does not become so."""
    end = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < end, "not within the limit"
        time.sleep(0.005)


@contextlib.contextmanager
def udp(kept: Kept) -> Iterator[int]:
    """Receive packets; gives the port."""
    receiver = UdpReceiver(bound(0), kept, kept.counts)
    receiver.start()
    try:
        yield receiver.port
    finally:
        receiver.close()


@contextlib.contextmanager
def serving(routes: Sequence[Route]) -> Iterator[int]:
    """Serve routes over HTTP; gives the port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(Starlette(routes=list(routes)), log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        eventually(lambda: server.started)
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(10)
