"""The command: finds the rate, plays the phases, samples, and judges.

Exits with 1 when something does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.progress import Progress

from soak.load import SPANS_PER_REQUEST
from soak.page import Found, as_json, show, write_page
from soak.phases import CALIBRATING, QUEUE_FULL, Phase, Plan
from soak.processes import Application, Receiver, cpu_s, reserved_port, rss_bytes
from soak.verdict import Books, Sample, lost_by_phase, rules

_FIRST_RATE: Final = 2000.0
_STEP, _BACK = 1.25, 0.95
_PROBE_S, _PROOF_S = 3.0, 15.0
_REACHED: Final = 0.98
_CALM_S: Final = 1.5
_CONTROL_S: Final = 15.0
_SAMPLE_S: Final = 1.0
_CONTROLS: Final = {"no-op tracer": ("--no-op",), "no-op tracer beside one busy thread": ("--no-op", "--busy")}


def main() -> int:
    options = _options()
    console = Console(stderr=True)
    plan = Plan.of(options.minutes * 60)
    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        progress = stack.enter_context(Progress(console=console, transient=True))
        found = _soak(plan, options.protocol, options.rate, folder, progress)
    show(found, Console())
    if options.json:
        options.json.write_text(as_json(found) + "\n", encoding="utf-8")
    if options.page:
        write_page(found, options.page)
    return int(any(rule.holds is False for rule in found.rules))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="soak", description="Run a service for long while its collector misbehaves.")
    parser.add_argument("--minutes", type=float, default=10, help="at least how long (default %(default)s)")
    parser.add_argument("--rate", type=float, help="spans per second; else the highest that is held is sought")
    parser.add_argument("--protocol", choices=["http/protobuf", "grpc"], default="http/protobuf", help="of OTLP")
    parser.add_argument("--json", type=Path, help="write everything to this file")
    parser.add_argument("--page", type=Path, help="write the tables between the marks of this page")
    parser.add_argument("--keep", type=Path, help="keep logs and received ids in this new folder")
    return parser.parse_args()


def _soak(plan: Plan, protocol: str, rate: float | None, folder: Path, progress: Progress) -> Found:
    with (
        reserved_port() as port,
        Receiver(port, folder, plan.slow_s, protocol) as receiver,
        Application(variables=_variables(plan, protocol, port), log=folder / "application.log") as application,
    ):
        held = rate or _highest_rate(application, progress)
        rate = rate or _proven_rate(application, held, progress)
        application.do("rate", rate)
        samples, cores = _phases(plan, receiver, application, progress)
        receiver.behave("up")
        application.do("stop")
        application.do("close")
        end, calls = application.do("sample"), application.do("report")
    books = Books.of(
        end["finished"], end["counters"], *(_different(folder / name) for name in ("answered", "received"))
    )
    settled = [one.rss / 1e6 for one in samples if one.cycle > 1 or plan.cycles == 1]
    return Found(
        minutes=plan.seconds / 60,
        protocol=protocol,
        rate=rate,
        held=held,
        cores=cores,
        rss_mb=(min(settled), max(settled)),
        books=books._asdict(),
        lost=lost_by_phase(samples),
        calls=calls,
        controls={
            name: _control(arguments, rate, plan, folder, progress, name) for name, arguments in _CONTROLS.items()
        },
        rules=rules(samples, books, calls),
    )


def _variables(plan: Plan, protocol: str, port: int) -> dict[str, str]:
    variables = {
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
    }
    if plan.scale < 1:
        variables["OTEL_EXPORTER_OTLP_TIMEOUT"] = f"{plan.timeout_s:.3f}"
    return variables


def _different(file: Path) -> int:
    return len(np.unique(np.fromfile(file, dtype="u8")))


# --- the rate


def _highest_rate(application: Application, progress: Progress) -> float:
    """Return the highest rate at which nothing was lost for some seconds: upwards in steps, then between the last two."""
    task = progress.add_task("seeking the highest rate", total=None)
    low, high = 0.0, _FIRST_RATE
    while _holds(application, high, _PROBE_S):
        low, high = high, high * _STEP
    for _ in range(3):
        middle = (low + high) / 2
        if _holds(application, middle, _PROBE_S):
            low = middle
        else:
            high = middle
    progress.remove_task(task)
    return low


def _proven_rate(application: Application, held: float, progress: Progress) -> float:
    """Return one that was held for longer."""
    task = progress.add_task("proving the rate", total=None)
    rate = held
    while not _holds(application, rate, _PROOF_S):
        rate *= _BACK
    progress.remove_task(task)
    return rate


def _holds(application: Application, rate: float, seconds: float) -> bool:
    application.do("rate", rate)
    began, before = time.monotonic(), application.do("sample")
    time.sleep(seconds)
    after, took_s = application.do("sample"), time.monotonic() - began
    reached = (after["requests"] - before["requests"]) * SPANS_PER_REQUEST / took_s
    lost = after["counters"].get(QUEUE_FULL, 0) - before["counters"].get(QUEUE_FULL, 0)
    holds = not lost and reached >= _REACHED * rate
    if not holds:
        application.do("rate", 0)
        time.sleep(_CALM_S)
    return holds


# --- the phases


def _phases(
    plan: Plan, receiver: Receiver, application: Application, progress: Progress
) -> tuple[list[Sample], dict[str, float]]:
    task = progress.add_task("", total=plan.seconds)
    began = time.monotonic()
    used, up_s = {"application": 0.0, "collector": 0.0}, 0.0
    samples: list[Sample] = []
    end_s = 0.0
    for cycle, phase in plan.phases():
        receiver.behave(phase.behaviour)
        application.do("phase", phase.name)
        progress.update(task, description=f"cycle {cycle} of {plan.cycles}: {phase.name}")
        end_s += phase.seconds
        pids = {"application": application.pid, "collector": receiver.pid}
        before, phase_began = {who: cpu_s(pid) for who, pid in pids.items()}, time.monotonic()
        for left_s in iter(lambda until=end_s: until - (time.monotonic() - began), None):
            if not samples or left_s <= 0:
                samples.append(_sample(application, cycle, phase, time.monotonic() - began))
            if left_s <= 0:
                break
            time.sleep(min(_SAMPLE_S, left_s))
            if left_s > _SAMPLE_S:
                samples.append(_sample(application, cycle, phase, time.monotonic() - began))
            progress.update(task, completed=samples[-1].seconds)
        if phase.name == "up":
            up_s += time.monotonic() - phase_began
            for who, pid in pids.items():
                used[who] += cpu_s(pid) - before[who]
    progress.remove_task(task)
    return samples, {who: spent / up_s for who, spent in used.items()}


def _sample(application: Application, cycle: int, phase: Phase, seconds: float) -> Sample:
    found: dict[str, Any] = application.do("sample")
    return Sample(
        seconds=seconds,
        cycle=cycle,
        phase=phase.name,
        rss=rss_bytes(application.pid),
        blocks=found["blocks"],
        finished=found["finished"],
        counters=found["counters"],
    )


# --- the same without ot_bridge


def _control(
    arguments: tuple[str, ...], rate: float, plan: Plan, folder: Path, progress: Progress, name: str
) -> list[dict[str, Any]]:
    task = progress.add_task(name, total=None)
    with Application(*arguments, variables={}, log=folder / "control.log") as application:
        application.do("rate", rate)
        time.sleep(_CONTROL_S * plan.scale)
        application.do("stop")
        report: list[dict[str, Any]] = application.do("report")
    progress.remove_task(task)
    return report


if __name__ == "__main__":
    sys.exit(main())
