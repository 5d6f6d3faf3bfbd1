"""Real servers on loopback: each on a free port, with its data in a temporary directory, ended by its process id.

As context managers, and as pytest fixtures that start on demand, once for all tests of a run. Where the program is not
on the machine, both skip the test visibly.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

__all__ = [
    "Server",
    "mongodb",
    "mongodb_server",
    "postgres",
    "postgres_server",
    "rabbitmq",
    "rabbitmq_server",
    "redis",
    "redis_server",
]

LIMIT_S = 60.0
"""How long a server may take to answer, and to end."""


class Server(NamedTuple):
    """Where a server listens.

    Attributes:
        port: on 127.0.0.1.
        url: with the user and the database, as clients take it.
    """

    port: int
    url: str


@contextlib.contextmanager
def redis() -> Iterator[Server]:
    """Run a redis-server that saves nothing."""
    program = _found("redis-server", "redis-server")
    port = _free_port()
    with _directory() as here:
        command = [program, "--port", f"{port}", "--bind", "127.0.0.1", "--save", "", "--dir", f"{here}"]
        with _running(command, here, ready=lambda: _answers(port, b"PING\r\n", b"+PONG")):
            yield Server(port, f"redis://127.0.0.1:{port}/0")


@contextlib.contextmanager
def postgres() -> Iterator[Server]:
    """Run a PostgreSQL with an empty database that trusts the user ``postgres``."""
    directories = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    program = Path(_found("postgres", "postgresql", *reversed(directories)))
    port = _free_port()
    with _directory() as here:
        # It refuses to run as root.
        user = "postgres" if os.geteuid() == 0 else None
        if user is not None:
            shutil.chown(here, user, user)
        data = f"{here / 'data'}"
        made = [f"{program.with_name('initdb')}", "-D", data, "-A", "trust", "-U", "postgres", "-N"]
        _run([*_setpriv(signal.SIGINT, user), *made], here)
        command = [f"{program}", "-D", data, "-h", "127.0.0.1", "-p", f"{port}", "-k", "", "-F"]
        ready = [f"{program.with_name('pg_isready')}", "-q", "-h", "127.0.0.1", "-p", f"{port}"]
        # SIGINT is its fast shutdown: SIGTERM waits until the last client has gone.
        with _running(command, here, ready=lambda: subprocess.call(ready) == 0, end=signal.SIGINT, user=user):
            yield Server(port, f"postgresql://postgres@127.0.0.1:{port}/postgres")


@contextlib.contextmanager
def rabbitmq() -> Iterator[Server]:
    """Run a RabbitMQ, and the epmd that its node registers with."""
    # The command on PATH changes to the user rabbitmq and to the directories of the service.
    program = _found("rabbitmq-server", "rabbitmq-server", Path("/usr/lib/rabbitmq/bin"))
    epmd = _found("epmd", "rabbitmq-server")
    port, epmd_port, node_port = _free_port(), _free_port(), _free_port()
    with _directory() as here:
        environ = {
            "HOME": f"{here}",  # for Erlang's cookie
            "ERL_EPMD_PORT": f"{epmd_port}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_CONF_ENV_FILE": f"{here / 'none.conf'}",
            "RABBITMQ_CONFIG_FILE": f"{here / 'none'}",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{here / 'plugins'}",
            "RABBITMQ_MNESIA_BASE": f"{here / 'mnesia'}",
            "RABBITMQ_LOG_BASE": f"{here / 'log'}",
            "RABBITMQ_PID_FILE": f"{here / 'pid'}",
            "RABBITMQ_NODENAME": f"test{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": f"{port}",
            "RABBITMQ_DIST_PORT": f"{node_port}",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-start_epmd false -kernel inet_dist_use_interface {127,0,0,1}",
        }
        greeting = b"AMQP\x00\x00\x09\x01"
        with (
            _running([epmd, "-port", f"{epmd_port}"], here, ready=lambda: _connects(epmd_port), environ=environ),
            # Its first frame is of type 1, on channel 0.
            _running([program], here, ready=lambda: _answers(port, greeting, b"\x01\x00\x00"), environ=environ),
        ):
            yield Server(port, f"amqp://guest:guest@127.0.0.1:{port}//")


@contextlib.contextmanager
def mongodb() -> Iterator[Server]:
    """Run a SecantusDB: MongoDB's wire protocol over WiredTiger, in a wheel; there is no mongod in a registry."""
    own = Path(sys.executable).parent
    program = _found("secantusd-py", "secantusdb", own, installer="pip install")
    port = _free_port()
    with _directory() as here:
        command = [
            program,
            "--host",
            "127.0.0.1",
            "--port",
            f"{port}",
            "--standalone",
            "--storage-path",
            f"{here / 'data'}",
        ]
        with _running(command, here, ready=lambda: _connects(port)):
            yield Server(port, f"mongodb://127.0.0.1:{port}/?directConnection=true")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """A redis-server for all tests; a test takes keys of its own."""
    with redis() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """A PostgreSQL for all tests; a test takes tables of its own."""
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[Server]:
    """A RabbitMQ for all tests; a test takes queues of its own."""
    with rabbitmq() as server:
        yield server


@pytest.fixture(scope="session")
def mongodb_server() -> Iterator[Server]:
    """What speaks MongoDB's protocol for all tests; a test takes databases of its own."""
    with mongodb() as server:
        yield server


def _found(program: str, package: str, *directories: Path, installer: str = "apt-get install") -> str:
    path = os.pathsep.join([*map(str, directories), os.environ.get("PATH", os.defpath), "/usr/sbin"])
    found = shutil.which(program, path=path)
    if found is None:
        pytest.skip(f"needs {program}: {installer} {package}")
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ot-bridge-", ignore_cleanup_errors=True) as here:
        yield Path(here)


def _setpriv(end: signal.Signals, user: str | None) -> list[str]:
    program = shutil.which("setpriv")
    if program is None:
        return []
    # The kernel then ends the server with a pytest that was killed and could not.
    tied = [program, f"--pdeathsig={end.name.removeprefix('SIG')}"]
    return tied if user is None else [*tied, f"--reuid={user}", f"--regid={user}", "--clear-groups"]


def _run(command: Sequence[str], here: Path) -> None:
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, f"{command[-1]} ended with {done.returncode}:\n{done.stdout}{done.stderr}"


@contextlib.contextmanager
def _running(
    command: Sequence[str],
    here: Path,
    *,
    ready: Callable[[], bool],
    environ: Mapping[str, str] | None = None,
    end: signal.Signals = signal.SIGTERM,
    user: str | None = None,
) -> Iterator[None]:
    output = here / f"{Path(command[0]).name}.output"
    with output.open("wb") as stream:
        # In a session of its own Ctrl-C reaches pytest alone, which then ends the server.
        process = subprocess.Popen(
            [*_setpriv(end, user), *command],
            cwd=here,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            limit = time.monotonic() + LIMIT_S
            while not ready():
                said = output.read_text(errors="replace")
                assert process.poll() is None, f"{command[0]} ended with {process.returncode}:\n{said}"
                assert time.monotonic() < limit, f"{command[0]} does not answer after {LIMIT_S} s:\n{said}"
                time.sleep(0.02)
            yield
        finally:
            process.send_signal(end)
            try:
                process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _connects(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _answers(port: int, question: bytes, start: bytes) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
        connection.sendall(question)
        return connection.recv(len(start)) == start
    return False
