from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ot_bridge.demo import launcher
from ot_bridge.demo.errors import DemoError
from ot_bridge.demo.fleet import Service, environment, services
from ot_bridge.demo.launcher import Shop
from ot_bridge.demo.node import NoNode, find_node

GREETER = """
import sys
print(4000, flush=True)
print(sys.stdin.readline(), file=sys.stderr, flush=True)
sys.stdin.read()
"""
STUBBORN = "import sys, time; print(4001, flush=True); time.sleep(60)"


def service(name: str, code: str) -> Service:
    return Service(name, "nothing", (sys.executable, "-c", code))


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_services_are_told_each_others_addresses_and_are_gone_afterwards() -> None:
    with Shop([service("one", GREETER), service("two", GREETER)], dict(os.environ)) as shop:
        assert shop.address_of("one") == "http://127.0.0.1:4000"
        pids = [shop.pid_of("one"), shop.pid_of("two")]
        end_s = time.monotonic() + 5
        while "two" not in shop.complaints_of("one") and time.monotonic() < end_s:
            time.sleep(0.01)
        assert '"two": "http://127.0.0.1:4000"' in shop.complaints_of("one")
        shop.check()
    assert all(map(is_gone, pids))


def test_service_that_does_not_end_by_itself_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "_END_LIMIT_S", 0.1)
    with Shop([service("stubborn", STUBBORN)], dict(os.environ)) as shop:
        pid = shop.pid_of("stubborn")
    assert is_gone(pid)


def test_service_that_dies_at_start_is_named_with_its_last_words() -> None:
    code = "import sys; sys.exit('cannot open the till')"
    with pytest.raises(DemoError, match=r"^till has ended with exit code 1; .* ends with\n  cannot open the till$"):
        Shop([service("one", GREETER), service("till", code)], dict(os.environ)).__enter__()


def test_service_that_dies_later_is_named_by_check() -> None:
    code = "import sys; print(1, flush=True); sys.stdin.readline(); sys.exit(3)"
    with Shop([service("short-lived", code)], dict(os.environ)) as shop:
        end_s = time.monotonic() + 5
        with pytest.raises(DemoError, match=r"^short-lived has ended with exit code 3; .* ends with\n  \(nothing\)$"):
            while time.monotonic() < end_s:
                shop.check()
                time.sleep(0.01)


def test_service_without_a_port_is_named() -> None:
    code = "import sys; print('hello', flush=True); sys.stdin.read()"
    with pytest.raises(DemoError, match=r"cannot start chatty: its first line is b'hello\\n', expected its port"):
        Shop([service("chatty", code)], dict(os.environ)).__enter__()


def test_service_that_says_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "_START_LIMIT_S", 0.5)
    with pytest.raises(DemoError, match=r"^silent did not start within 0 s$"):
        Shop([service("one", GREETER), service("silent", "import sys; sys.stdin.read()")], dict(os.environ)).__enter__()


def test_program_that_is_not_there_is_named() -> None:
    with pytest.raises(DemoError, match=r"^cannot start lost: /no/such/program: No such file or directory$"):
        Shop([Service("lost", "nothing", ("/no/such/program",))], {}).__enter__()


def test_services_end_when_their_parent_is_killed() -> None:
    code = (
        "import os, sys, time\n"
        "from ot_bridge.demo.fleet import Service\n"
        "from ot_bridge.demo.launcher import Shop\n"
        f"greeter = Service('one', 'nothing', (sys.executable, '-c', {GREETER!r}))\n"
        "with Shop([greeter], dict(os.environ)) as shop:\n"
        "    print(shop.pid_of('one'), flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    end_s = time.monotonic() + 5
    while not (is_gone(pid) or _is_zombie(pid)) and time.monotonic() < end_s:
        time.sleep(0.01)
    assert is_gone(pid) or _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    # where nobody adopts orphans, an ended one stays in the process table
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


def test_services_get_no_variable_that_steers_a_tracer_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    monkeypatch.setenv("OT_BRIDGE_INJECT", "jaeger")
    monkeypatch.setenv("JAEGER_TAGS", "a=b")
    monkeypatch.setenv("EDITOR", "ed")
    given = environment("http://127.0.0.1:4318", 6831)
    assert not {"OTEL_TRACES_SAMPLER", "OT_BRIDGE_INJECT", "JAEGER_TAGS"} & set(given)
    assert (given["EDITOR"], given["JAEGER_AGENT_PORT"]) == ("ed", "6831")


def test_shop_without_node_has_the_same_services() -> None:
    assert [one.name for one in services(None)] == [
        "order-service",
        "inventory-service",
        "payment-service",
        "payment-gateway",
        "notification-service",
        "shipping-service",
    ]


def test_missing_node_is_a_reason_not_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_node() == NoNode("no 'node' on PATH")


def test_missing_npm_is_a_reason_when_nothing_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _program(tmp_path / "node", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_node(tmp_path / "cache") == NoNode("no 'npm' on PATH to install jaeger-client with")


def test_failing_npm_is_a_reason_in_one_line_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _program(tmp_path / "node", "exit 0")
    _program(tmp_path / "npm", "echo 'npm error code ENOTFOUND' >&2; echo 'npm error network' >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_node(tmp_path / "cache")
    assert found == NoNode("npm could not install jaeger-client: npm error code ENOTFOUND")
    assert list((tmp_path / "cache").iterdir()) == []


def test_npm_runs_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _program(tmp_path / "node", "exit 0")
    _program(tmp_path / "npm", f"echo run >> {tmp_path}/runs")
    monkeypatch.setenv("PATH", str(tmp_path))
    first, second = find_node(tmp_path / "cache"), find_node(tmp_path / "cache")
    assert first == second
    assert not isinstance(first, NoNode)
    assert (tmp_path / "runs").read_text() == "run\n"


def test_cache_that_cannot_be_written_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _program(tmp_path / "node", "exit 0")
    _program(tmp_path / "npm", "exit 0")
    (tmp_path / "cache").write_text("a file where a directory should be")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_node(tmp_path / "cache")
    assert isinstance(found, NoNode)
    assert "cannot install jaeger-client into" in found.reason


def _program(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
