"""Instructions, as valgrind counts them: the figures that do not depend on what else the machine does.

    python benchmarks/instructions.py

One process sets everything up, and forks a child for each count; the counters go on in the child from where they stood.
A child that works through many spans has counted that much more than one that works through a few, and the first
steps after a fork are in both. The collector is
off, hashes are the same in each run, and the kernel's work is not counted.

The same code takes half as many instructions again on another version of Python, and a tenth more on another build of
it. What hardly changes is how often OpenTracing's no-op tracer goes into a span: tests hold the bridge to that.
"""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from growth import SERIES, cases
from names import BRIDGE, JAEGER, NATIVE, NOOP
from side_by_side import SMOKE, Effort
from tables import Cell, Column, Table, console
from topic import run
from workload import TRACERS, Setup, statement

FEW, MANY, WARM_UP = 200, 1200, 50
ONCE, AGAIN = 1, 3
SAMPLERS = {"on": "W, sampled", "off": "W, not sampled"}
# Threads change hands as the kernel decides, and a thousand tasks take a minute here.
GROWING = tuple(what for what in SERIES if "at once" not in what)
_REFS = re.compile(r"I\s+refs:\s+([\d,]+)")

Probes = Iterator[tuple[str, Callable[[], object]]]


def missing_valgrind() -> str | None:
    """Return why nothing can be counted; None where it can."""
    return None if shutil.which("valgrind") else "valgrind is not installed"


def working(name: str) -> Probes:
    """Give what a few spans and many spans of W cost one case."""
    for sampler in SAMPLERS:
        timer = statement("W", name, TRACERS[name](Setup(sampler=sampler)))
        timer.timeit(WARM_UP)
        for number in (FEW, MANY):
            yield f"{name} {sampler} {number}", partial(timer.timeit, number)


def growing(what: str) -> Probes:
    """Give the two largest sizes of a series."""
    for size, timer in list(cases(SERIES[what], BRIDGE))[-2:]:
        timer.timeit(1)
        for number in (ONCE, AGAIN):
            yield f"{what} {size} {number}", partial(timer.timeit, number)


def probes(names: Iterable[str]) -> Probes:
    for name in names:
        yield from growing(name) if name in SERIES else working(name)


def work(names: Iterable[str]) -> None:
    """Fork a child for each probe, one after the other, and print which process each one was."""
    gc.set_threshold(0)
    pids = {}
    for name, probe in list(probes(names)):
        pids[name] = pid = os.fork()
        if not pid:
            probe()
            os._exit(0)
        os.waitpid(pid, 0)
    print(json.dumps(pids))


def counted(names: Iterable[str]) -> Mapping[str, int]:
    """Return the instructions of each probe.

    Args:
        names: tracers of the workload, and series of the growth.
    """
    with tempfile.TemporaryDirectory() as folder:
        tool = ("--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", f"--log-file={folder}/%p")
        command = ("valgrind", *tool, sys.executable, __file__, "work", *names)
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        found = {}
        for name, pid in json.loads(done.stdout).items():
            refs = _REFS.search((Path(folder) / str(pid)).read_text(encoding="utf-8"))
            assert refs is not None
            found[name] = int(refs[1].replace(",", ""))
    return found


def tables_of(names: Iterable[str]) -> Iterator[Table]:
    """Count, and return the instructions per span, and those of each size of what grows.

    Args:
        names: tracers of the workload, the no-op one among them, and series of the growth.
    """
    names = tuple(names)
    found = counted(names)
    beside = (Column(f"{name}, x no-op", 1) for name in SAMPLERS.values())
    columns = (*(Column(name, 0) for name in SAMPLERS.values()), *beside)
    table = Table("instructions", "instructions per span", columns)
    spans = {name: [_each(found, f"{name} {how}", FEW, MANY) for how in SAMPLERS] for name in names if name in TRACERS}
    for name, counts in spans.items():
        multiples = (Cell(own / floor) for own, floor in zip(counts, spans[NOOP], strict=True))
        table.rows[name] = [*map(Cell, counts), *multiples]
    yield table
    columns = (Column("so many", 0), Column("instructions", 0), Column("x for twice as many"))
    table = Table("growth, instructions", f"instructions for twice as many, {BRIDGE}", columns)
    for name in names:
        if name in SERIES:
            half, whole = (_each(found, f"{name} {size}", ONCE, AGAIN) for size in SERIES[name].sizes[-2:])
            table.rows[name] = [Cell(SERIES[name].sizes[-1]), Cell(whole), Cell(whole / half)]
    yield table


def _each(found: Mapping[str, int], name: str, few: int, many: int) -> float:
    return (found[f"{name} {many}"] - found[f"{name} {few}"]) / (many - few)


def tables(effort: Effort) -> Iterator[Table]:
    if (reason := missing_valgrind()) is None:
        peers = (NATIVE, JAEGER) if effort is not SMOKE else ()
        yield from tables_of((*peers, NOOP, BRIDGE, *GROWING))
    else:
        console.print(f"No instructions are counted: {reason}.")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["work", *names]:
            work(names)
        case _:
            run(tables, __doc__)
