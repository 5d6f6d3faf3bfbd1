"""Starts the shop's processes, introduces them to each other, and ends them, whatever happens in between.

The protocol is `services/serving.py`: a port on standard output, the addresses on standard input, whose end ends
the service. So a service ends even when the demo itself is killed.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import IO

from ot_bridge.demo.errors import DemoError
from ot_bridge.demo.fleet import Service

__all__ = ["Shop"]

_START_LIMIT_S = 30.0
_END_LIMIT_S = 3.0
_TAIL_LINES = 12


class Shop:
    """The shop's processes, running as long as the `with` block.

    Entering raises DemoError when a service does not start. Leaving, by whatever way, leaves no process behind.

    Args:
        services: what to start.
        environment: what every service gets beside its own.
    """

    def __init__(self, services: Sequence[Service], environment: Mapping[str, str]) -> None:
        self._services = services
        self._environment = environment
        self._processes: dict[str, _Process] = {}
        self._addresses: dict[str, str] = {}

    def __enter__(self) -> Shop:
        try:
            for service in self._services:
                self._processes[service.name] = _Process(service, self._environment)
            self._introduce()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._end()

    def address_of(self, service: str) -> str:
        """Return where a service answers, such as `http://127.0.0.1:40001`."""
        return self._addresses[service]

    def pid_of(self, service: str) -> int:
        """Return the number of a service's process."""
        return self._processes[service].pid

    def complaints_of(self, service: str) -> str:
        """Return the last lines that a service wrote to standard error."""
        return self._processes[service].complaints()

    def check(self) -> None:
        """Raise DemoError when a service has ended, with the last lines that it wrote to standard error."""
        for process in self._processes.values():
            process.check()

    def _introduce(self) -> None:
        """Read every service's port, then tell all services all addresses."""
        pool = ThreadPoolExecutor(len(self._processes))
        try:
            ports = {name: pool.submit(process.read_port) for name, process in self._processes.items()}
            self._wait_for(list(ports.values()))
            self._addresses = {name: f"http://127.0.0.1:{port.result(0)}" for name, port in ports.items()}
        except TimeoutError:
            late = [name for name, port in ports.items() if not port.done()]
            raise DemoError(f"{' and '.join(late)} did not start within {_START_LIMIT_S:.0f} s") from None
        finally:
            # a reader that is still waiting returns when its process is ended
            pool.shutdown(wait=False)
        for process in self._processes.values():
            process.tell(self._addresses)

    @staticmethod
    def _wait_for(ports: list[Future[int]]) -> None:
        done, waiting = wait(ports, timeout=_START_LIMIT_S, return_when="FIRST_EXCEPTION")
        for port in done:
            port.result()
        if waiting:
            raise TimeoutError

    def _end(self) -> None:
        for process in self._processes.values():
            process.close()
        end_s = time.monotonic() + _END_LIMIT_S
        for process in self._processes.values():
            process.reap(max(0.1, end_s - time.monotonic()))


class _Process:
    def __init__(self, service: Service, environment: Mapping[str, str]) -> None:
        self._name = service.name
        # a file, not a pipe: nobody has to read along, and it is still there when the process is not
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - open until the process is reaped
        try:
            self._process = subprocess.Popen(
                service.command,
                env={**environment, **service.environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                # Ctrl-C is for the demo, which then ends its services in order
                start_new_session=True,
            )
        except OSError as error:
            self._errors.close()
            raise DemoError(f"cannot start {service.name}: {service.command[0]}: {error.strerror}") from error

    @property
    def pid(self) -> int:
        return self._process.pid

    def read_port(self) -> int:
        line = self._process.stdout.readline() if self._process.stdout else b""
        if line.strip().isdigit():
            return int(line)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self.check()
        raise DemoError(f"cannot start {self._name}: its first line is {line!r}, expected its port")

    def tell(self, addresses: Mapping[str, str]) -> None:
        # a service that has ended meanwhile cannot be told; `check` says so
        with contextlib.suppress(OSError):
            if self._process.stdin:
                self._process.stdin.write(json.dumps(dict(addresses)).encode() + b"\n")
                self._process.stdin.flush()

    def check(self) -> None:
        if (code := self._process.poll()) is not None:
            raise DemoError(
                f"{self._name} has ended with exit code {code}; its standard error ends with\n{self.complaints()}"
            )

    def close(self) -> None:
        with contextlib.suppress(OSError):
            if self._process.stdin:
                self._process.stdin.close()

    def reap(self, limit_s: float) -> None:
        try:
            self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._errors.close()

    def complaints(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").rstrip().splitlines()
        return "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:]) or "  (nothing)"
