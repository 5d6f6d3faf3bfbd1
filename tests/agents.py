"""Jaeger's agent on loopback, as it should be and in every way that it should not be; it speaks bytes."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

__all__ = ["Agent", "Asked", "agent", "answering", "drips", "eventually", "json_of", "resets", "sends", "stays_silent"]

LIMIT_S = 30.0
"""How long a test waits for what has to happen."""

Behaviour = Callable[[socket.socket], None]


class Asked(NamedTuple):
    """One request, as it arrived."""

    path: str
    query: list[tuple[str, str]]
    target: str
    headers: dict[str, str]


class Agent:
    """What the agent does next, and what it was asked."""

    def __init__(self, url: str, behaviour: Behaviour) -> None:
        self.url = url
        self.behaviour = behaviour
        self.asked: list[Asked] = []
        self.leaving = threading.Event()

    def answers(self, status: int = 200, body: bytes | str = b"", **headers: str) -> None:
        """Answer like this from now on."""
        self.behaviour = answering(status, body, **headers)


def answering(status: int = 200, body: bytes | str = b"", **headers: str) -> Behaviour:
    """Send a whole answer; ``_`` in the name of a header stands for ``-``."""
    data = body.encode() if isinstance(body, str) else body
    named = {"content-length": str(len(data)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in named.items() if value)]
    return sends("\r\n".join(lines).encode() + b"\r\n\r\n" + data)


def json_of(**answer: Any) -> Behaviour:
    """Send a JSON object."""
    return answering(200, json.dumps(answer), content_type="application/json")


def sends(data: bytes) -> Behaviour:
    """Send bytes and close."""
    return lambda connection: connection.sendall(data)


def drips(start: bytes, drop: bytes) -> Behaviour:
    """Send the start, and then drop by drop for ever."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(start)
        pause = threading.Event()
        while not pause.wait(0.02):
            connection.sendall(drop)

    return behave


def resets(connection: socket.socket) -> None:
    """Break the connection off with a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def stays_silent(connection: socket.socket) -> None:
    """Wait until the other side has enough of it."""
    connection.settimeout(None)
    connection.recv(1)


@contextlib.contextmanager
def agent(behaviour: Behaviour | None = None) -> Iterator[Agent]:
    """Run an agent; without a behaviour it says status 500."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listening:
        port = listening.getsockname()[1]
        running = Agent(f"http://127.0.0.1:{port}", behaviour or answering(500))
        listening.settimeout(0.05)
        threads: list[threading.Thread] = []
        accepting = threading.Thread(target=_accept, args=(listening, running, threads), daemon=True)
        accepting.start()
        try:
            yield running
        finally:
            running.leaving.set()
            accepting.join()
            for thread in threads:
                thread.join(LIMIT_S)


def _accept(listening: socket.socket, running: Agent, threads: list[threading.Thread]) -> None:
    while not running.leaving.is_set():
        with contextlib.suppress(TimeoutError):
            connection, _ = listening.accept()
            threads.append(threading.Thread(target=_serve, args=(connection, running), daemon=True))
            threads[-1].start()


def _serve(connection: socket.socket, running: Agent) -> None:
    with connection, contextlib.suppress(OSError):
        connection.settimeout(LIMIT_S)
        head = b""
        while b"\r\n\r\n" not in head:
            received = connection.recv(65536)
            if not received:
                return
            head += received
        request, *lines = head.decode("latin-1").split("\r\n\r\n")[0].split("\r\n")
        target = request.split(" ")[1]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        parts = urlsplit(target)
        running.asked.append(Asked(parts.path, parse_qsl(parts.query, keep_blank_values=True), target, headers))
        running.behaviour(connection)


def eventually(happened: Callable[[], object]) -> bool:
    """Wait until it has happened; False when it does not."""
    pause = threading.Event()
    for _ in range(int(LIMIT_S / 0.01)):
        if happened():
            return True
        pause.wait(0.01)
    return False
