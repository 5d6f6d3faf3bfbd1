"""The programs of docs/gunicorn.md and docs/celery.md, with the servers that they are for."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from collectors import http_collector
from compat.servers import redis
from processes.test_servers import PARENT_ID, ask
from processes.ways import LATE, parents, wait_until
from zero_code import environment, free_port, started

pytestmark = pytest.mark.skipif(os.name == "nt", reason="these servers fork")

DOCS = Path(__file__).parent.parent.parent / "docs"


def program_of(page: str, directory: Path) -> None:
    """Write the page's program where its commands expect it."""
    block = re.search(
        r"^```python\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    assert block is not None
    (directory / "shop.py").write_text(block[1], encoding="utf-8")


@pytest.mark.parametrize("more", [(), ("--preload",)], ids=["plain", "preload"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=lambda number: number.name)
def test_gunicorn_serves_the_program_of_the_page(number: signal.Signals, more: tuple[str, ...], tmp_path: Path) -> None:
    pytest.importorskip("gunicorn", reason="needs gunicorn: make compat")
    program_of("gunicorn.md", tmp_path)
    port, trace_id = free_port(), uuid4().hex
    words = ("gunicorn", f"--bind=127.0.0.1:{port}", "--workers=2", *more, "shop:app")
    with http_collector(idle_s=30) as (endpoint, arrivals):
        with started(*words, cwd=tmp_path, endpoint=endpoint, variables=LATE, launcher=()) as process:
            assert ask(port, trace_id) == b"done"
            process.send_signal(number)
            assert process.wait(20) == 0
        assert parents(arrivals) == [("request", trace_id, PARENT_ID)]


def test_celery_runs_the_program_of_the_page(tmp_path: Path) -> None:
    pytest.importorskip("redis", reason="needs redis: make compat")
    program_of("celery.md", tmp_path)
    sender = "import opentracing, shop\nwith opentracing.tracer.start_active_span('order'): shop.charge.delay(7)"
    words = ("celery", "-A", "shop", "worker", "--pool=prefork", "--concurrency=1", "--max-tasks-per-child=1")
    with http_collector(idle_s=30) as (endpoint, arrivals), redis() as broker:
        variables = {**LATE, "CELERY_BROKER_URL": broker.url}
        with started(*words, cwd=tmp_path, endpoint=endpoint, variables=variables, launcher=()) as process:
            subprocess.run(
                [sys.executable, "-c", sender],
                cwd=tmp_path,
                env=environment(endpoint, **variables),
                check=True,
                timeout=60,
            )
            wait_until(lambda: len(parents(arrivals)) == 3, process)
        found = {name: (trace_id, parent_id) for name, trace_id, parent_id in parents(arrivals)}
    assert sorted(found) == ["card", "charge", "order"]
    assert len({trace_id for trace_id, _ in found.values()}) == 1
    assert len({parent_id for _, parent_id in found.values()}) == 3
