"""All benchmarks in one run: ``make bench``, ``make bench ARGS=--quick``, ``make bench ARGS="spans export"``.

Each topic is a process of its own. A full run of all topics writes docs/performance.md and its chart.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import page
from goals import GATED, judge, show_verdicts
from tables import Table, console, from_json, machine, to_json
from topic import ROOT, arguments

TOPICS = ("spans", "propagation", "export", "memory", "growth", "footprint", "instructions")


def measured(topic: str, options: list[str]) -> list[Table] | None:
    """Run a topic, which shows its tables; return them, or None when it failed."""
    with tempfile.TemporaryDirectory() as folder:
        into = Path(folder) / "tables.json"
        command = [sys.executable, str(Path(__file__).with_name(f"{topic}.py")), *options, "--into", str(into)]
        if subprocess.run(command, check=False).returncode:
            return None
        return from_json(json.loads(into.read_text(encoding="utf-8")))


def main() -> int:
    """Run the topics, and say which goals are met."""
    parser = arguments(argparse.ArgumentParser(prog="benchmarks", description=(__doc__ or "").partition("\n")[0]))
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"some of: {', '.join(TOPICS)}; none for all")
    asked = parser.parse_args()
    if unknown := [topic for topic in asked.topics if topic not in TOPICS]:
        parser.error(f"no topic {', '.join(unknown)}: there are {', '.join(TOPICS)}")
    options = [f"--{name}" for name in ("quick", "smoke") if getattr(asked, name)]
    begin = time.monotonic()
    console.print(machine())
    tables: list[Table] = []
    failed = []
    for topic in asked.topics or TOPICS:
        console.rule(topic)
        found = measured(topic, options)
        tables += found or []
        if found is None:
            failed.append(topic)
    console.rule("goals")
    verdicts = judge(tables)
    if asked.topics:
        keys = {table.key for table in tables}
        verdicts = [verdict for verdict in verdicts if verdict.goal.table in keys]
    if sys.version_info[:2] != GATED:
        verdicts = [verdict for verdict in verdicts if verdict.goal.table != "instructions"]
    show_verdicts(verdicts)
    met = sum(verdict.met for verdict in verdicts)
    console.print(f"{met} of {len(verdicts)} goals met; {time.monotonic() - begin:.0f} s")
    if asked.into is not None:
        asked.into.write_text(json.dumps(to_json(tables)), encoding="utf-8")
    if failed:
        console.print(f"FAILED: {', '.join(failed)}")
        return 1
    if not (asked.topics or options):
        page.save(ROOT / "docs", machine(), tables)
        console.print("written: docs/performance.md, .svg and .json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
