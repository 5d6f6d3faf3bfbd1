"""From ``start_span`` to the backend's socket: what a span costs the program that makes and sends it.

    python benchmarks/export.py

Processor time, as other processes disturb a clock on the wall: that of the thread that makes the spans, and that of all
other threads of the process, which encode and send them to a receiver on loopback (see receiver.py). Waiting is not
counted. Queues are long enough for a whole turn, and a case that loses a span has no figures.
"""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from timeit import Timer
from typing import Any, NamedTuple

import jaeger_client
from jaeger_client.local_agent_net import LocalAgentSender
from jaeger_client.reporter import Reporter
from names import BRIDGE, JAEGER, NATIVE, SHIM
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as OfficialGrpc
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as OfficialHttp
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from receiver import Receiver, receiving
from side_by_side import Effort, in_turns, ratio
from tables import Cell, Column, Table
from threadloop import ThreadLoop
from topic import run
from workload import TRACERS, Setup, statement

from ot_bridge import telemetry

TITLE = "W, made and exported over loopback; processor time per span"
BATCH = 512
BATCHES = 4
PATIENCE_S = 5.0
POLL_S = 0.002
# The queue may miss a call to work when the worker is about to wait; then it looks again after this time.
LOOK_AGAIN_MS = 100

OFFICIAL_HTTP, OFFICIAL_GRPC = "official OTLP/HTTP", "official OTLP/gRPC"
OWN_HTTP, OWN_GRPC = "own encoder, HTTP", "own encoder, gRPC"
UDP = "UDP to its agent"
OWN = {OWN_HTTP: ("http", "HttpSpanExporter"), OWN_GRPC: ("grpc", "GrpcSpanExporter")}
PAIRS = (
    (NATIVE, OFFICIAL_HTTP), (NATIVE, OFFICIAL_GRPC), (NATIVE, OWN_HTTP), (NATIVE, OWN_GRPC), (SHIM, OFFICIAL_HTTP),
    (JAEGER, UDP), (BRIDGE, OFFICIAL_HTTP), (BRIDGE, OFFICIAL_GRPC), (BRIDGE, OWN_HTTP), (BRIDGE, OWN_GRPC),
)  # fmt: skip


BESIDE = {OWN_HTTP: OFFICIAL_HTTP, OWN_GRPC: OFFICIAL_GRPC}


class Counting(SpanExporter):
    """Hands on, and knows how many spans have been sent."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self.sent = 0

    def export(self, spans: Any) -> SpanExportResult:
        result = self._inner.export(spans)
        if result is SpanExportResult.SUCCESS:
            self.sent += len(spans)
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()


class Pipeline(NamedTuple):
    """One case: what makes a span, how many have left so far, and its end."""

    make: Timer
    sent: Callable[[], int]
    close: Callable[[], object]


class Turn(NamedTuple):
    """Seconds of processor time per span."""

    making: float
    exporting: float


Turns = Mapping[str, list[Turn]]


def own_exporter(kind: str, endpoint: str) -> SpanExporter:
    module, name = OWN[kind]
    made: SpanExporter = getattr(importlib.import_module(f"ot_bridge.otlp.{module}"), name)(endpoint=endpoint)
    return made


def exporter_of(kind: str, ports: Mapping[str, int]) -> SpanExporter:
    """Return an exporter.

    Raises:
        ImportError: ot_bridge has no such exporter.
    """
    http, grpc = f"http://127.0.0.1:{ports['http']}/v1/traces", f"http://127.0.0.1:{ports['grpc']}"
    if kind == OFFICIAL_HTTP:
        return OfficialHttp(endpoint=http)
    if kind == OFFICIAL_GRPC:
        return OfficialGrpc(endpoint=grpc)
    return own_exporter(kind, http if kind == OWN_HTTP else grpc)


def otlp(name: str, kind: str, ports: Mapping[str, int]) -> Pipeline:
    counting = Counting(exporter_of(kind, ports))
    processor = BatchSpanProcessor(
        counting, 2 * BATCH * BATCHES, schedule_delay_millis=LOOK_AGAIN_MS, max_export_batch_size=BATCH
    )
    tracer = TRACERS[name](Setup(processor=lambda: processor))
    return Pipeline(statement("W", name, tracer), lambda: counting.sent, processor.shutdown)


def jaeger(ports: Mapping[str, int]) -> Pipeline:
    """Return jaeger-client as its configuration builds it, but for the queue: a hundred would not hold a turn."""
    loop = ThreadLoop()
    loop.start()
    sender = LocalAgentSender("127.0.0.1", 0, ports["udp"], io_loop=loop._io_loop)  # asks nobody for a strategy
    reporter = Reporter(sender, queue_capacity=2 * BATCH * BATCHES, flush_interval=LOOK_AGAIN_MS / 1000)
    sent = 0

    def count(spans: int) -> None:
        nonlocal sent
        sent += spans

    reporter.metrics.reporter_success = count
    tracer = jaeger_client.Tracer("benchmark", reporter, jaeger_client.ConstSampler(True))
    return Pipeline(statement("W", JAEGER, tracer), lambda: sent, lambda: None)  # its thread is a daemon


def pipelines(ports: Mapping[str, int]) -> tuple[dict[str, Pipeline], list[str]]:
    """Return the cases, and a sentence for each that there is none of."""
    made: dict[str, Pipeline] = {}
    missing = []
    for name, kind in PAIRS:
        found = pipeline(name, kind, ports)
        if isinstance(found, Pipeline):
            made[f"{name}, {kind}"] = found
        else:
            missing.append(f"{name}, {kind}: not measured, {found}.")
    return made, missing


def pipeline(name: str, kind: str, ports: Mapping[str, int]) -> Pipeline | ImportError:
    try:
        return jaeger(ports) if name == JAEGER else otlp(name, kind, ports)
    except ImportError as error:
        return error


def turn(pipeline: Pipeline, spans: int) -> Turn:
    goal = pipeline.sent() + spans
    process, thread = time.process_time(), time.thread_time()
    pipeline.make.timeit(spans)
    making = time.thread_time() - thread
    end = time.monotonic() + PATIENCE_S
    while pipeline.sent() < goal and time.monotonic() < end:
        time.sleep(POLL_S)
    whole = time.thread_time() - thread
    exporting = time.process_time() - process - whole
    return Turn(making / spans, max(exporting, 1e-9) / spans)


def measure(cases: Mapping[str, Pipeline], receiver: Receiver, rounds: int, spans: int) -> tuple[Turns, list[str]]:
    """Return the turns of the cases that lost nothing, and a sentence for each that did."""
    turns: dict[str, list[Turn]] = {name: [] for name in cases}
    lost: dict[str, int] = {}
    for number in in_turns(rounds + 1, "exporting"):
        for name, pipeline in cases.items():
            one = turn(pipeline, spans)
            missing = spans - receiver.received(spans)
            if missing:
                lost[name] = lost.get(name, 0) + missing
            if number:  # the first round opens the connections
                turns[name].append(one)
    notes = [f"{name}: INVALID, {spans} spans did not arrive." for name, spans in lost.items()]
    return {name: found for name, found in turns.items() if name not in lost}, notes


def whole_table(turns: Turns, notes: list[str]) -> Table:
    """Return what making and sending costs."""
    references = {NATIVE: f"{NATIVE}, {OFFICIAL_HTTP}", JAEGER: f"{JAEGER}, {UDP}"}
    heads = ("us", "us, making", "us, other threads", *(f"x {name}" for name in references))
    table = Table("export", TITLE, tuple(map(Column, heads)), notes=notes)
    whole = {name: [sum(one) for one in found] for name, found in turns.items()}
    for name, found in turns.items():
        parts = (whole[name], [one.making for one in found], [one.exporting for one in found])
        times = (Cell(statistics.median(part) * 1e6) for part in parts)
        ratios = (ratio(whole[name], whole[other]) if other in whole else None for other in references.values())
        table.rows[name] = [*times, *ratios]
    return table


def exporting_table(turns: Turns) -> Table:
    """Return what encoding and sending costs, for those who have an encoder of ours and one of theirs."""
    table = Table("exporting", "the other threads alone: encoding and sending", (Column("us"), Column("x official")))
    alone = {name: [one.exporting for one in found] for name, found in turns.items()}
    for who, kind in PAIRS:
        own, official = f"{who}, {kind}", f"{who}, {BESIDE.get(kind)}"
        if own in alone and official in alone:
            table.rows[own] = [Cell(statistics.median(alone[own]) * 1e6), ratio(alone[own], alone[official])]
    return table


def tables(effort: Effort) -> Iterator[Table]:
    spans = max(1, round(BATCHES * effort.share)) * BATCH
    with receiving() as receiver:
        cases, missing = pipelines(receiver.ports)
        turns, lost = measure(cases, receiver, max(2, effort.rounds // 2), spans)
        for one in cases.values():
            one.close()
    fallbacks = sum(number for name, number in telemetry.snapshot().items() if name.startswith("otlp.fallback"))
    if fallbacks:  # what is called our encoder was theirs
        turns = {name: found for name, found in turns.items() if not name.endswith((OWN_HTTP, OWN_GRPC))}
        lost.append(f"own encoder: INVALID, {fallbacks} times the official one had to do it.")
    yield whole_table(turns, missing + lost)
    yield exporting_table(turns)


if __name__ == "__main__":
    run(tables, __doc__)
