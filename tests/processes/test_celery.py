"""Celery's workers: no span of a task is lost when its child is recycled, and when the worker is told to stop."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("celery", reason="needs celery: make compat")

from collectors import http_collector
from compat.cells import cell
from compat.servers import redis
from processes.ways import DROP_IN, INSTALL, LATE, RUN, Way, names, wait_until
from zero_code import LIMIT_S, started

pytestmark = pytest.mark.skipif(os.name == "nt", reason="celery has no prefork on Windows")

TASKS = 5
TEXT = """
import os
import celery, celery.signals, opentracing

app = celery.Celery("app", broker=os.environ["BROKER"])
app.conf.broker_connection_retry_on_startup = True
if os.environ["BROKER"] == "filesystem://":
    names = "data_folder_in", "data_folder_out", "control_folder"
    app.conf.broker_transport_options = {"polling_interval": 0.05, **dict.fromkeys(names, os.environ["QUEUE"])}

@app.task(name="charge", ignore_result=True)
def charge(number):
    with opentracing.global_tracer().start_active_span(f"task {number}"):
        pass
    open(f"done{number}", "w").close()

@celery.signals.worker_ready.connect
def send(**_):
    for number in range(TASKS):
        charge.apply_async((number,), queue=os.environ["CELERY_QUEUE"])
""".replace("TASKS", str(TASKS))
ROWS = {
    "celery prefork": ("--pool=prefork", "--concurrency=2"),
    "celery prefork, recycled children": ("--pool=prefork", "--concurrency=2", "--max-tasks-per-child=1"),
    "celery solo": ("--pool=solo",),
}
CASES = [
    pytest.param(
        words,
        way,
        marks=cell("processes", row, way.column, packages=("celery", "billiard", "redis"), counterpart="redis-server"),
        id=f"{row}-{name}",
    )
    for row, words in ROWS.items()
    for name, way in {"install": INSTALL, "run": RUN, "drop-in": DROP_IN}.items()
    if way is not DROP_IN or "recycled" in row
]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A redis-server where there is one with its client, else the file system."""
    try:
        import redis as client  # noqa: F401

        with redis() as server:
            yield {"BROKER": server.url, "QUEUE": ""}
    except (ImportError, pytest.skip.Exception):
        yield {"BROKER": "filesystem://", "QUEUE": str(tmp_path_factory.mktemp("queue"))}


@pytest.mark.parametrize(("words", "way"), CASES)
def test_every_task_is_one_span_though_children_are_recycled_and_the_worker_stopped(
    words: tuple[str, ...], way: Way, broker: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(way.code + TEXT, encoding="utf-8")
    worker = ("celery", "-A", "app", "worker", *words, "--without-gossip", "--without-mingle", "--without-heartbeat")
    queue = os.urandom(4).hex()
    with http_collector(idle_s=30) as (endpoint, arrivals):
        variables = {**LATE, **broker, "CELERY_QUEUE": queue}
        with started(
            *worker, f"--queues={queue}", cwd=tmp_path, endpoint=endpoint, variables=variables, launcher=way.launcher
        ) as process:
            wait_until(lambda: len([*tmp_path.glob("done*")]) == TASKS, process)
            process.send_signal(signal.SIGTERM)
            assert process.wait(LIMIT_S) == 0
        found = names(arrivals)
    assert found == Counter(f"task {number}" for number in range(TASKS))
