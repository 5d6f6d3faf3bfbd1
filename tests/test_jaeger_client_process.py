"""The drop-in in processes of its own: the end, with collectors of every kind, and the child of a fork."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from collectors import BAD_COLLECTORS, http_collector

LIMIT_S = 60

PROGRAM = """
from ot_bridge.jaeger_client import Config

tracer = Config({"sampler": {"type": "const", "param": 1}, "service_name": "svc"}).%s()
with tracer.start_active_span("op"):
    pass
%s
print("last line")
"""

FORKING = """
import os, sys
from ot_bridge.jaeger_client import Config

tracer = Config({"sampler": {"type": "const", "param": 1}, "service_name": "svc"}).initialize_tracer()
with tracer.start_active_span("before"):
    pass
tracer.flush()
child = os.fork()
if not child:
    with tracer.start_active_span("child"):
        pass
    sys.exit(0)
_, status = os.waitpid(child, 0)
with tracer.start_active_span("parent"):
    pass
sys.exit(status)
"""

FROM_THE_README = """
import logging
import time
from ot_bridge.jaeger_client import Config

if __name__ == "__main__":
    log_level = logging.DEBUG
    logging.getLogger('').handlers = []
    logging.basicConfig(format='%(asctime)s %(message)s', level=log_level)

    config = Config(
        config={
            'sampler': {
                'type': 'const',
                'param': 1,
            },
            'logging': True,
        },
        service_name='your-app-name',
        validate=True,
    )
    tracer = config.initialize_tracer()

    with tracer.start_span('TestSpan') as span:
        span.log_kv({'event': 'test message', 'life': 42})
        with tracer.start_span('ChildSpan', child_of=span) as child_span:
            child_span.log_kv({'event': 'down below'})

    tracer.close()
"""


def run(code: str, endpoint: str, **variables: str) -> tuple[int, str, str]:
    done = subprocess.run(
        # Newer Pythons warn of a fork beside threads; the threads here are made anew in the child.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", code],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **variables},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("ending", ["", "tracer.close()", "tracer.close().result(); tracer.close()"], ids=repr)
@pytest.mark.parametrize("call", ["initialize_tracer", "new_tracer"])
def test_process_that_ends_sends_what_it_has_recorded(call: str, ending: str) -> None:
    with http_collector() as (url, arrivals):
        assert run(PROGRAM % (call, ending), url) == (0, "last line\n", "")
    assert [name for arrival in arrivals for name in arrival.span_names] == ["op"]


@pytest.mark.parametrize("ending", ["", "tracer.close()"], ids=["at exit", "closed"])
@pytest.mark.parametrize("kind", BAD_COLLECTORS)
def test_process_ends_whatever_the_collector_does(kind: str, ending: str) -> None:
    with BAD_COLLECTORS[kind]() as port:
        began = time.monotonic()
        status, out, _ = run(
            PROGRAM % ("initialize_tracer", ending), f"http://127.0.0.1:{port}", OT_BRIDGE_CLOSE_TIMEOUT_S="0.5"
        )
        took_s = time.monotonic() - began
    assert (status, out, took_s < LIMIT_S / 2) == (0, "last line\n", True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_child_of_a_fork_sends_its_spans() -> None:
    with http_collector() as (url, arrivals):
        status, _, stderr = run(FORKING, url)
    assert (status, stderr) == (0, "")
    assert sorted(name for arrival in arrivals for name in arrival.span_names) == ["before", "child", "parent"]


def test_program_of_the_readme_of_jaeger_client_arrives() -> None:
    with http_collector() as (url, arrivals):
        status, _, stderr = run(FROM_THE_README, url)
    assert status == 0, stderr
    assert [name for arrival in arrivals for name in arrival.span_names] == ["ChildSpan", "TestSpan"]
    assert [line.partition(" ")[2].split(" ")[-1] for line in stderr.splitlines() if "Reporting span" in line] == [
        "your-app-name.ChildSpan",
        "your-app-name.TestSpan",
    ]
