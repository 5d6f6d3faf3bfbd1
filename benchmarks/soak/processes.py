"""The two other processes, as this one sees them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["Application", "Receiver", "cpu_s", "reserved_port", "rss_bytes"]

_ROOT: Final = Path(__file__).parent.parent
_FOREIGN: Final = ("OTEL_", "OT_BRIDGE_", "JAEGER_")
_WAIT_S: Final = 60


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    path = os.pathsep.join(filter(None, [str(_ROOT), own.get("PYTHONPATH")]))
    return {**own, **variables, "PYTHONPATH": path, "NO_PROXY": "127.0.0.1"}


@contextlib.contextmanager
def _started(module: str, *arguments: str, variables: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[str]]:
    with (
        log.open("a", encoding="utf-8") as errors,
        subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env=_environment(variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            with contextlib.suppress(OSError):
                process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_WAIT_S)
            process.kill()


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Hold a port of loopback that others may listen on who ask for sharing: nobody else gets it meanwhile."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


class Receiver:
    """The collector, which can go and come back.

    Args:
        port: where it listens.
        folder: where it writes ids.
        slow_s: how long a slow answer takes.
        protocol: of OTLP.
    """

    def __init__(self, port: int, folder: Path, slow_s: float, protocol: str) -> None:
        self._port, self._folder = port, folder
        options = {"port": port, "folder": folder, "slow-s": slow_s, "protocol": protocol}
        self._arguments = [f"--{name}={value}" for name, value in options.items()]
        self._running = contextlib.ExitStack()
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Receiver:
        self.behave("up")
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def behave(self, behaviour: str) -> None:
        """Behave so from now on."""
        if self._process is None:
            log = self._folder / "receiver.log"
            started = _started("soak.receiver", *self._arguments, variables={}, log=log)
            self._process = self._running.enter_context(started)
        self._process.stdin.write(f"{behaviour}\n")
        self._process.stdin.flush()
        if behaviour == "gone":
            self._process.wait(_WAIT_S)
            self._running.close()
            self._process = None

    @property
    def pid(self) -> int | None:
        """Its process, None while it is gone."""
        return self._process.pid if self._process else None


class Application:
    """The application; as a context manager it runs.

    Args:
        arguments: of its command line.
        variables: of its environment.
        log: where its standard error goes.
    """

    def __init__(self, *arguments: str, variables: Mapping[str, str], log: Path) -> None:
        self._started = _started("soak.application", *arguments, variables=variables, log=log)

    def __enter__(self) -> Application:
        self._process = self._started.__enter__()
        self.pid = self._process.pid
        return self

    def __exit__(self, *reason: object) -> None:
        self._started.__exit__(*reason)

    @property
    def returncode(self) -> int | None:
        """What it ended with."""
        return self._process.returncode

    def do(self, *words: object) -> Any:
        """Give one command, and return what it answers."""
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the application has ended, with {self._process.wait()}: see its log")
        return json.loads(line)


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process; 0 where the system does not show it as Linux does."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def cpu_s(pid: int | None) -> float:
    """Return the processor time of a process so far; 0 where the system does not show it as Linux does."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0
