"""The command: finds the rate, plays the phases, samples, and judges. Ends with 1 when something does not hold."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console

from soak import rate
from soak.page import Found, as_json, show, write_page
from soak.phases import Phase, Plan
from soak.processes import Application, Receiver, cpu_s, reserved_port, rss_bytes
from soak.verdict import Books, Sample, lost_by_phase, rules

_CONTROL_S: Final = 15.0
_SAMPLE_S: Final = 1.0
_CONTROLS: Final = {"no-op tracer": ("--no-op",), "no-op tracer beside one busy thread": ("--no-op", "--busy")}


def main() -> int:
    options = _options()
    with contextlib.ExitStack() as stack:
        folder = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        status = stack.enter_context(Console(stderr=True).status("starting"))
        found = Soak(Plan.of(options.minutes * 60), options.protocol, folder, status.update).run(options.rate)
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


class Soak:
    """One run.

    Args:
        plan: how long everything takes.
        protocol: of OTLP.
        folder: for logs and received ids.
        tell: is told what goes on.
    """

    def __init__(self, plan: Plan, protocol: str, folder: Path, tell: Any) -> None:
        self._plan, self._protocol, self._folder, self._tell = plan, protocol, folder, tell

    def run(self, chosen: float | None) -> Found:
        """Run at the rate that was chosen, or at the highest that is held."""
        with (
            reserved_port() as port,
            Receiver(port, self._folder, self._plan.slow_s, self._protocol) as receiver,
            Application(variables=self._variables(port), log=self._folder / "application.log") as application,
        ):
            self._tell("seeking the highest rate")
            held = chosen or rate.highest(application)
            spans_per_s = chosen or rate.proven(application, held)
            application.do("rate", spans_per_s)
            samples, cores = self._phases(receiver, application)
            receiver.behave("up")
            application.do("stop")
            application.do("close")
            end, calls = application.do("sample"), application.do("report")
        answered, received = (_different(self._folder / name) for name in ("answered", "received"))
        books = Books.of(end["finished"], end["counters"], answered, received)
        warm = [one.rss / 1e6 for one in samples if one.cycle > 1 or self._plan.cycles == 1]
        return Found(
            minutes=self._plan.seconds / 60,
            protocol=self._protocol,
            rate=spans_per_s,
            held=held,
            cores=cores,
            rss_mb=(min(warm), max(warm)),
            books=books._asdict(),
            lost=lost_by_phase(samples),
            calls=calls,
            controls=self._controls(spans_per_s) if self._plan.scale == 1 else {},
            rules=rules(samples, books, calls),
        )

    def _variables(self, port: int) -> dict[str, str]:
        variables = {
            "OTEL_EXPORTER_OTLP_PROTOCOL": self._protocol,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        }
        if self._plan.scale < 1:
            variables["OTEL_EXPORTER_OTLP_TIMEOUT"] = f"{self._plan.timeout_s:.3f}"
        return variables

    def _phases(self, receiver: Receiver, application: Application) -> tuple[list[Sample], dict[str, float]]:
        """Play all phases. Returns the samples, and the cores that each process used while the collector was up."""
        began = time.monotonic()
        samples: list[Sample] = []
        used: Counter[str] = Counter()
        end_s = up_s = 0.0
        for cycle, phase in self._plan.phases():
            self._tell(f"cycle {cycle} of {self._plan.cycles}, {phase.name}: the collector {phase.meaning}")
            receiver.behave(phase.behaviour)
            application.do("phase", phase.name)
            end_s += phase.seconds
            pids = {"application": application.pid, "collector": receiver.pid}
            before = {who: cpu_s(pid) for who, pid in pids.items()}
            samples.extend(_sample(application, cycle, phase, seconds) for seconds in _until(began, end_s))
            if phase.name == "up":
                up_s += phase.seconds
                used.update({who: cpu_s(pid) - before[who] for who, pid in pids.items()})
        return samples, {who: spent_s / up_s for who, spent_s in used.items()}

    def _controls(self, spans_per_s: float) -> dict[str, list[dict[str, Any]]]:
        """Time the same calls of tracers that do nothing: what the interpreter and the machine do to them."""
        found = {}
        for name, arguments in _CONTROLS.items():
            self._tell(f"for comparison: {name}")
            with Application(*arguments, variables={}, log=self._folder / "control.log") as application:
                application.do("rate", spans_per_s)
                time.sleep(_CONTROL_S)
                application.do("stop")
                found[name] = application.do("report")
        return found


def _until(began: float, end_s: float) -> Iterator[float]:
    """Yield the seconds since it began, now, about each second, and at the end."""
    while (now_s := time.monotonic() - began) < end_s:
        yield now_s
        time.sleep(min(_SAMPLE_S, max(0.0, end_s - (time.monotonic() - began))))
    yield now_s


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


def _different(file: Path) -> int:
    return len(np.unique(np.fromfile(file, dtype="u8")))


if __name__ == "__main__":
    sys.exit(main())
