"""Children of multiprocessing: their spans arrive, whatever the start method, and also when they are told to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from collectors import BAD_COLLECTORS, http_collector
from compat.cells import cell
from processes.ways import DROP_IN, INSTALL, LATE, PYTHON, RUN, Way, names, parents
from zero_code import LIMIT_S, environment

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no fork and no SIGTERM here")

# Main modules are imported again by the children of spawn and forkserver: install stands at the top, as it would there.
TEXT = """
import multiprocessing, os, signal, sys, time
from concurrent.futures import ProcessPoolExecutor
import opentracing

def work(name, headers=None):
    tracer = opentracing.global_tracer()
    parent = headers and tracer.extract(opentracing.Format.TEXT_MAP, headers)
    with tracer.start_active_span(name, child_of=parent):
        pass

def wait(ready, name):
    work(name)
    ready.set()
    time.sleep(60)

def headers_of(span):
    headers = {}
    opentracing.global_tracer().inject(span.context, opentracing.Format.TEXT_MAP, headers)
    return headers

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    tracer = opentracing.global_tracer()
"""
ALL = """
    with tracer.start_active_span("parent") as scope:
        headers = headers_of(scope.span)
        processes = [
            context.Process(target=work, args=("process alone",)),
            context.Process(target=work, args=("process below", headers)),
        ]
        for process in processes: process.start()
        for process in processes: process.join()
        with context.Pool(1, maxtasksperchild=1) as pool:
            pool.starmap(work, [("pool 0", headers), ("pool 1", headers)], chunksize=1)
            pool.close()
            pool.join()
        with ProcessPoolExecutor(1, mp_context=context) as executor:
            executor.submit(work, "executor", headers).result()
    print([process.exitcode for process in processes])
"""
TERMINATED = """
    ready = context.Event()
    process = context.Process(target=wait, args=(ready, "process"))
    process.start()
    ready.wait(50)
    began = time.monotonic()
    process.terminate()
    process.join()
    took_s = time.monotonic() - began
    pool = context.Pool(2)
    pool.map(work, ["pool"])
    began = time.monotonic()
    pool.terminate()
    pool.join()
    print(process.exitcode, took_s, time.monotonic() - began)
"""
WAYS = {"install": INSTALL, "run": RUN, "drop-in": DROP_IN}
CASES = [
    pytest.param(method, way, marks=cell("processes", f"multiprocessing {method}", way.column), id=f"{method}-{name}")
    for method in ("fork", "forkserver", "spawn")
    for name, way in WAYS.items()
    if way is not DROP_IN or method != "spawn"
]


def run(
    way: Way, text: str, method: str, directory: Path, endpoint: str, **more: str
) -> subprocess.CompletedProcess[str]:
    program = directory / "program.py"
    program.write_text(way.code + text, encoding="utf-8")
    launcher = way.launcher or ()
    return subprocess.run(
        # Newer Pythons warn of a fork beside threads; the threads here are made anew in the child.
        [*launcher, PYTHON, "-W", "ignore::DeprecationWarning", str(program), method],
        cwd=directory,
        env=environment(endpoint, **{**LATE, **more}),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


@pytest.mark.parametrize(("method", "way"), CASES)
def test_spans_of_all_children_arrive_below_the_context_that_was_passed(method: str, way: Way, tmp_path: Path) -> None:
    with http_collector(idle_s=30) as (endpoint, arrivals):
        done = run(way, TEXT + ALL, method, tmp_path, endpoint)
        found = {name: (trace_id, parent_id) for name, trace_id, parent_id in parents(arrivals)}
        counted = names(arrivals)
    assert (done.stdout, done.stderr) == ("[0, 0]\n", "")
    below = ["executor", "pool 0", "pool 1", "process below"]
    assert counted == Counter([*below, "parent", "process alone"])
    trace_id, _ = found["parent"]
    assert {found[name][0] for name in below} == {trace_id}
    assert len({found[name][1] for name in below} - {""}) == 1
    # A forked child copies the active span of its parent, as any tracer's that keeps it in a context.
    assert (found["process alone"][0] == trace_id) == (method == "fork")


@pytest.mark.parametrize(("method", "way"), [case for case in CASES if "drop-in" not in str(case.id)])
def test_child_that_is_terminated_sends_its_spans_first(method: str, way: Way, tmp_path: Path) -> None:
    with http_collector(idle_s=30) as (endpoint, arrivals):
        done = run(way, TEXT + TERMINATED, method, tmp_path, endpoint)
        found = names(arrivals)
    assert done.stderr == ""
    exitcode, *took_s = json.loads(f"[{done.stdout.replace(' ', ',')}]")
    assert (exitcode, max(took_s) < 3) == (-signal.SIGTERM, True)
    assert found == Counter(["process", "pool"])


def test_terminated_children_end_in_time_when_nobody_takes_their_spans(tmp_path: Path) -> None:
    with BAD_COLLECTORS["never-answers"]() as port:
        began = time.monotonic()
        done = run(
            INSTALL, TEXT + TERMINATED, "fork", tmp_path, f"http://127.0.0.1:{port}", OT_BRIDGE_CLOSE_TIMEOUT_S="1"
        )
        whole_s = time.monotonic() - began
    exitcode, *took_s = json.loads(f"[{done.stdout.replace(' ', ',')}]")
    assert (exitcode, [one < 3 for one in took_s], whole_s < 20) == (-signal.SIGTERM, [True, True], True)


FORKS = """
import os, sys
import opentracing
tracer = opentracing.global_tracer()
tracer.start_span("before").finish()
assert tracer.flush()
children = []
for number in range(2):
    child = os.fork()
    if not child:
        tracer.start_span("child").finish()
        assert tracer.flush()
        os._exit(0)
    children.append(child)
tracer.start_span("after").finish()
assert tracer.flush()
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
"""


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_forked_processes_do_not_share_a_connection(way: Way, tmp_path: Path) -> None:
    with http_collector(idle_s=30) as (endpoint, arrivals):
        done = run(way, FORKS, "fork", tmp_path, endpoint)
        ports = [(name, arrival.port) for arrival in arrivals for name in arrival.span_names]
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(name for name, _ in ports) == ["after", "before", "child", "child"]
    of_parent = {port for name, port in ports if name != "child"}
    of_children = {port for name, port in ports if name == "child"}
    assert (len(of_parent), len(of_children), of_parent & of_children) == (1, 2, set())
