"""What is locked in the parent is open in the child of a fork."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import os, threading
from opentelemetry.sdk.trace import TracerProvider
from ot_bridge import BridgeTracer, recording, scope, span, telemetry

tracer = BridgeTracer(TracerProvider())
started = tracer.start_span("op")
outer, inner = tracer.start_active_span("outer"), tracer.start_active_span("inner")
held, forked = threading.Event(), threading.Event()

def hold():
    with recording._lock, scope._lock, span._lock, telemetry._lock:
        held.set()
        forked.wait(20)

threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    started.set_baggage_item("k", "v").set_tag("a", 1).finish()
    outer.close()
    inner.close()
    telemetry.count("c")
    os._exit(7 if tracer.active_span is None and telemetry.snapshot()["c"] == 1 else 1)
forked.set()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_child_of_a_fork_finds_every_lock_open() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.returncode) == ("7\n", 0), done.stderr
