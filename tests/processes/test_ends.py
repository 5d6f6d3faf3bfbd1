"""How a process ends, or is frozen: what it has recorded arrives, and no collector holds it up."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from collectors import BAD_COLLECTORS, grpc_collector, http_collector
from compat.cells import cell
from processes.ways import DROP_IN, INSTALL, LATE, PYTHON, RUN, Way, names, wait_until
from zero_code import LIMIT_S, environment

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has none of these signals")

WAYS = {"install": INSTALL, "run": RUN, "drop-in": DROP_IN}
CLOSE_TIMEOUT_S = 1.0
# What starting an interpreter and importing everything may take on a busy machine.
START_S = 15.0


def rows(row: str) -> list[object]:
    return [
        pytest.param(way, marks=cell("processes", row, way.column), id=f"{row}-{name}") for name, way in WAYS.items()
    ]


def start(way: Way, text: str, directory: Path, endpoint: str, **more: str) -> subprocess.Popen[str]:
    program = directory / "program.py"
    program.write_text(f"{way.code}import opentracing\ntracer = opentracing.global_tracer()\n{text}", encoding="utf-8")
    return subprocess.Popen(
        [*way.launcher, PYTHON, str(program)],
        cwd=directory,
        env=environment(endpoint, **{**LATE, "OT_BRIDGE_CLOSE_TIMEOUT_S": str(CLOSE_TIMEOUT_S), **more}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read(process: subprocess.Popen[str]) -> str:
    """Return the next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end_of(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end; return the exit status, and what was printed on stderr."""
    _, stderr = process.communicate(timeout=LIMIT_S)
    return process.returncode, stderr


# -- SIGTERM -----------------------------------------------------------------------------------------------------------

WAITING = """
import time
tracer.start_span("last").finish()
print("ready", flush=True)
time.sleep(60)
"""
THREADS = """
import threading, time
def serve():
    time.sleep(0.2)
    tracer.start_span("last").finish()
    print("ready", flush=True)
    time.sleep(60)
threading.Thread(target=serve).start()
"""
LOCKED = """
import threading, time
with threading._active_limbo_lock:
    tracer.start_span("last").finish()
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("way", rows("SIGTERM"))
@pytest.mark.parametrize("text", [WAITING, THREADS], ids=["main thread waits", "main thread has ended"])
def test_sigterm_ends_a_process_after_its_spans_were_sent(text: str, way: Way, tmp_path: Path) -> None:
    with http_collector(idle_s=30) as (endpoint, arrivals):
        process = start(way, text, tmp_path, endpoint, OT_BRIDGE_CLOSE_TIMEOUT_S="20")
        assert read(process) == "ready"
        process.terminate()
        assert end_of(process) == (-signal.SIGTERM, "")
        assert names(arrivals) == {"last": 1}


@pytest.mark.parametrize("kind", BAD_COLLECTORS)
def test_sigterm_ends_a_process_in_time_whatever_the_collector_does(kind: str, tmp_path: Path) -> None:
    with BAD_COLLECTORS[kind]() as port:
        process = start(INSTALL, WAITING, tmp_path, f"http://127.0.0.1:{port}")
        assert read(process) == "ready"
        began = time.monotonic()
        process.terminate()
        status, _ = end_of(process)
        took_s = time.monotonic() - began
    assert (status, took_s < CLOSE_TIMEOUT_S + 3) == (-signal.SIGTERM, True)


def test_second_sigterm_ends_a_process_at_once(tmp_path: Path) -> None:
    with BAD_COLLECTORS["never-answers"]() as port:
        process = start(INSTALL, WAITING, tmp_path, f"http://127.0.0.1:{port}", OT_BRIDGE_CLOSE_TIMEOUT_S="50")
        assert read(process) == "ready"
        process.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.terminate()
        began = time.monotonic()
        status, _ = end_of(process)
    assert (status, time.monotonic() - began < 5) == (-signal.SIGTERM, True)


def test_lock_that_the_signal_finds_taken_holds_nobody_up_for_ever(tmp_path: Path) -> None:
    with http_collector() as (endpoint, _):
        process = start(INSTALL, LOCKED, tmp_path, endpoint)
        assert read(process) == "ready"
        began = time.monotonic()
        process.terminate()
        status, _ = end_of(process)
    assert (status, time.monotonic() - began < CLOSE_TIMEOUT_S + 3) == (-signal.SIGTERM, True)


def test_sigterm_during_the_exit_waits_for_it(tmp_path: Path) -> None:
    text = "import os, sys\ntracer.start_span('last').finish()\nprint('ready', flush=True)\nsys.exit(3)"
    with http_collector(delay_s=1) as (endpoint, arrivals):
        process = start(INSTALL, text, tmp_path, endpoint, OT_BRIDGE_CLOSE_TIMEOUT_S="20")
        assert read(process) == "ready"
        wait_until(lambda: bool(arrivals), process)  # the exit has begun
        process.terminate()
        assert end_of(process) == (3, "")


@pytest.mark.parametrize(
    ("before", "after"),
    [("", "signal.signal(signal.SIGTERM, own)"), ("signal.signal(signal.SIGTERM, own)", "")],
    ids=["later", "earlier"],
)
def test_handler_of_the_application_stays(before: str, after: str, tmp_path: Path) -> None:
    text = (
        "import os, signal, sys, time\n"
        "def own(*_): os.write(1, b'own\\n'); sys.exit(7)\n"
        f"{before}\nimport ot_bridge\not_bridge.install('shop')\n{after}\n"
        "print('ready', flush=True)\ntime.sleep(60)\n"
    )
    with http_collector() as (endpoint, _):
        process = start(RUN._replace(launcher=()), text, tmp_path, endpoint)
        assert read(process) == "ready"
        process.terminate()
        assert (read(process), end_of(process)) == ("own", (7, ""))


@pytest.mark.parametrize("line", ["faulthandler.register(signal.SIGTERM, chain=False)"])
def test_handler_that_only_the_system_knows_stays(line: str, tmp_path: Path) -> None:
    text = (
        f"import faulthandler, signal, sys, time\n{line}\n"
        "import ot_bridge\not_bridge.install('shop')\n"
        "print('ready', signal.getsignal(signal.SIGTERM).name, flush=True)\n"
        "sys.stdin.readline()\n"
    )
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells of handlers in C")
    with http_collector() as (endpoint, _):
        process = start(RUN._replace(launcher=()), text, tmp_path, endpoint)
        assert read(process) == "ready SIG_DFL"
        process.terminate()
        status, stderr = end_of(process)
    assert (status, "most recent call first" in stderr) == (0, True)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"OT_BRIDGE_FLUSH_ON_SIGTERM": "0"}, "import ot_bridge\not_bridge.install('shop')\n"),
        ({}, "import ot_bridge, threading\nt = threading.Thread(target=ot_bridge.install); t.start(); t.join()\n"),
        ({}, "import ot_bridge\not_bridge.install('shop')\not_bridge.bootstrap._uninstall()\n"),
    ],
    ids=["switched off", "not the main thread", "undone"],
)
def test_signal_is_left_alone(more: dict[str, str], text: str, tmp_path: Path) -> None:
    process = start(
        RUN._replace(launcher=()),
        f"{text}import signal\nprint(signal.getsignal(signal.SIGTERM).name, flush=True)",
        tmp_path,
        "http://127.0.0.1:9",
        **more,
    )
    assert (read(process), end_of(process)) == ("SIG_DFL", (0, ""))


def test_gevent_process_sends_its_spans_before_sigterm_ends_it(tmp_path: Path) -> None:
    pytest.importorskip("gevent", reason="needs gevent: make compat")
    way = INSTALL._replace(code=f"from gevent import monkey\nmonkey.patch_all()\n{INSTALL.code}")
    with http_collector(idle_s=30) as (endpoint, arrivals):
        process = start(way, WAITING, tmp_path, endpoint, OT_BRIDGE_CLOSE_TIMEOUT_S="20")
        assert read(process) == "ready"
        process.terminate()
        assert end_of(process) == (-signal.SIGTERM, "")
        assert names(arrivals) == {"last": 1}


# -- frozen, as by AWS Lambda ------------------------------------------------------------------------------------------

HANDLER = """
import sys
for line in sys.stdin:
    with tracer.start_active_span(line.strip()):
        pass
    print(tracer.flush(), flush=True)
"""


@pytest.mark.parametrize("way", rows("Lambda-like freeze"))
def test_invocation_that_flushes_is_whole_though_the_process_is_frozen_after_it(way: Way, tmp_path: Path) -> None:
    # The collector closes connections while the process is frozen.
    with http_collector(idle_s=0.2) as (endpoint, arrivals):
        process = start(way, HANDLER, tmp_path, endpoint, OT_BRIDGE_CLOSE_TIMEOUT_S="20")
        assert process.stdin is not None
        for number in range(3):
            process.stdin.write(f"invocation {number}\n")
            process.stdin.flush()
            assert read(process) == "True"
            process.send_signal(signal.SIGSTOP)
            assert names(arrivals) == {f"invocation {one}": 1 for one in range(number + 1)}
            wait_until(lambda: arrivals[-1].closed.is_set(), process)
            process.send_signal(signal.SIGCONT)
        assert end_of(process) == (0, "")


# -- the end of the interpreter ----------------------------------------------------------------------------------------

ENDING = """
import logging
logging.disable()
tracer.start_span("last").finish()
"""


@pytest.mark.parametrize("way", rows("exit, collector up"))
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_last_span_arrives_at_exit(protocol: str, way: Way, tmp_path: Path) -> None:
    collector = grpc_collector() if protocol == "grpc" else http_collector(idle_s=30)
    with collector as (endpoint, arrivals):
        process = start(
            way, ENDING, tmp_path, endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol, OT_BRIDGE_CLOSE_TIMEOUT_S="20"
        )
        assert end_of(process) == (0, "")
        assert names(arrivals) == {"last": 1}


@pytest.mark.parametrize("way", rows("exit, collector slow"))
def test_slow_collector_is_waited_for_within_the_time(way: Way, tmp_path: Path) -> None:
    with http_collector(delay_s=2) as (endpoint, arrivals):
        patient = start(way, ENDING, tmp_path, endpoint, OT_BRIDGE_CLOSE_TIMEOUT_S="20")
        assert end_of(patient) == (0, "")
        assert names(arrivals) == {"last": 1}


@pytest.mark.parametrize("way", rows("exit, collector slow"))
def test_collector_that_is_too_slow_is_not_waited_for(way: Way, tmp_path: Path) -> None:
    with BAD_COLLECTORS["never-answers"]() as port:
        assert_ends_in_time(way, tmp_path, port)


@pytest.mark.parametrize("way", rows("exit, collector gone"))
@pytest.mark.parametrize("kind", ["refuses", "unreachable"])
def test_collector_that_is_gone_is_not_waited_for(kind: str, way: Way, tmp_path: Path) -> None:
    with BAD_COLLECTORS[kind]() as port:
        assert_ends_in_time(way, tmp_path, port)


def assert_ends_in_time(way: Way, directory: Path, port: int) -> None:
    began = time.monotonic()
    process = start(way, ENDING, directory, f"http://127.0.0.1:{port}")
    assert end_of(process) == (0, "")
    assert time.monotonic() - began < CLOSE_TIMEOUT_S + START_S
