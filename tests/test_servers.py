"""The servers of tests/compat/servers.py start, answer and end; where one is not on the machine, its tests say so."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from agents import eventually
from compat import servers


@pytest.mark.parametrize(
    ("run", "question", "answer"),
    [
        pytest.param(servers.redis, b"PING\r\n", b"+PONG", id="redis"),
        # Asked for encryption, PostgreSQL says with one letter that it has none.
        pytest.param(servers.postgres, b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b"N", id="postgres"),
        pytest.param(servers.rabbitmq, b"AMQP\x00\x00\x09\x01", b"\x01\x00\x00", id="rabbitmq"),
    ],
)
def test_server_answers_until_the_end_of_the_block(run: object, question: bytes, answer: bytes) -> None:
    with run() as server:  # type: ignore[operator]
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(question)
            assert connection.recv(len(answer)) == answer
        assert f"127.0.0.1:{server.port}/" in server.url
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv: apt-get install util-linux")
@pytest.mark.parametrize("name", ["redis", "postgres"])
def test_server_ends_with_a_process_that_was_killed(name: str) -> None:
    source = f"""
import sys
import tempfile
from compat import servers
with servers.{name}() as server:
    print(server.port, flush=True)
    sys.stdin.read()
"""
    words = [sys.executable, "-c", source]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as here:
        os.chmod(here, 0o711)  # noqa: PTH101, S103 - PostgreSQL's user must come through
        environ = {**os.environ, "PYTHONPATH": os.fspath(Path(__file__).parent), "TMPDIR": here}
        with subprocess.Popen(words, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            port = int(process.stdout.readline())
            process.kill()
        assert eventually(lambda: not servers._connects(port))


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        pytest.param(servers.redis, "needs redis-server: apt-get install redis-server", id="redis"),
        pytest.param(servers.postgres, "needs postgres: apt-get install postgresql", id="postgres"),
        pytest.param(servers.rabbitmq, "needs rabbitmq-server: apt-get install rabbitmq-server", id="rabbitmq"),
        pytest.param(servers.mongodb, "needs secantusd-py: pip install secantusdb", id="mongodb"),
    ],
)
def test_missing_server_is_a_skip_that_says_what_to_install(
    run: object, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers.shutil, "which", lambda *_args, **_more: None)
    with pytest.raises(pytest.skip.Exception, match=reason), run():  # type: ignore[operator]
        pass
