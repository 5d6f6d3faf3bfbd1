"""How fast spans are received and kept, how fast they are found, and what bounds both.

    python benchmarks/viewer.py [--spans 2000000] [--kept 1000000]

Receiving: `ot-bridge view` and a sender are two processes that share the machine's processors; the sender posts OTLP to
the one port, 500 spans a request, as fast as it is let. Its spans are written beforehand and get their ids, times and
values by replacing bytes, so that it costs little. A trace has 10 spans of two services; a span 8 to 11 attributes, one
of them different in each trace, and one span in ten an event. Searching: the store that this leaves, read beside
nothing else. Profile: the writer alone, by cProfile, which makes small functions look dearer than they are.
"""

from __future__ import annotations

import argparse
import contextlib
import cProfile
import http.client
import itertools
import os
import pstats
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from rich.table import Table
from tables import console, show_machine

from ot_bridge.traces.store.query import Query
from ot_bridge.traces.store.retention import Retention
from ot_bridge.traces.store.store import Store
from ot_bridge.traces.store.writer import Writer

PER_TRACE, TRACES_A_REQUEST = 10, 50
PER_REQUEST = PER_TRACE * TRACES_A_REQUEST
SHAPES = 64
TRACE_ID, ORDER = b"\xf0TRACEIDTRACEID\xf1", b"order-00000000"
LARGE = 10_000
CHECKS = 10


# Spans.


def shape(number: int) -> tuple[bytes, list[bytes]]:
    """Make a trace whose ids, times and order number are to be replaced; return it and its times."""
    made = random.Random(number)  # noqa: S311
    times = [(1 << 62 | number << 32 | one).to_bytes(8, "little") for one in range(2 * PER_TRACE)]
    request = ExportTraceServiceRequest()
    for half in range(2):
        batch = request.resource_spans.add()
        tag(batch.resource.attributes, "service.name", f"service-{(number + half) % 12}")
        tag(batch.resource.attributes, "host.name", f"host-{number % 5}")
        tag(batch.resource.attributes, "telemetry.sdk.language", "python")
        group = batch.scope_spans.add()
        group.scope.name = "opentelemetry.instrumentation.wsgi"
        for one in range(half * PER_TRACE // 2, (half + 1) * PER_TRACE // 2):
            span = group.spans.add(
                trace_id=TRACE_ID,
                span_id=(number << 8 | one + 1).to_bytes(8, "big"),
                parent_span_id=(number << 8 | (one - 1) // 2 + 1).to_bytes(8, "big") if one else b"",
                name=f"GET /route-{one}/{number % 7}",
                kind=OtlpSpan.SPAN_KIND_SERVER if one in {0, 5} else OtlpSpan.SPAN_KIND_CLIENT,
                start_time_unix_nano=int.from_bytes(times[2 * one], "little"),
                end_time_unix_nano=int.from_bytes(times[2 * one + 1], "little"),
            )
            tag(span.attributes, "http.request.method", "GET")
            tag(span.attributes, "http.response.status_code", 500 if number == 0 and one == PER_TRACE - 1 else 200)
            tag(span.attributes, "url.full", f"http://service-{one}/route-{one}?order=" + ORDER.decode())
            tag(span.attributes, "order.id", ORDER.decode())
            for more in range(4 + made.randrange(4)):
                tag(span.attributes, f"app.key-{more}", f"value-{(number + more) % (3 + more)}")
            if one == PER_TRACE // 2:
                span.events.add(time_unix_nano=span.start_time_unix_nano, name="reserved")
    return request.SerializeToString(), times


def tag(attributes: object, key: str, value: str | int) -> None:
    pair = attributes.add(key=key)  # type: ignore[attr-defined]
    if isinstance(value, str):
        pair.value.string_value = value
    else:
        pair.value.int_value = value


def requests(spans: int) -> Iterator[bytes]:
    """Yield bodies until there are so many spans."""
    shapes = [shape(number) for number in range(SHAPES)]
    made, began = random.Random(1), time.time_ns() - 3_600 * 10**9  # noqa: S311
    for first in range(0, spans // PER_TRACE, TRACES_A_REQUEST):
        body = bytearray()
        for number in range(first, first + TRACES_A_REQUEST):
            text, times = shapes[number % SHAPES]
            start, took = began + number * 100_000, 10**6 + made.randrange(10**8)
            text = text.replace(TRACE_ID, made.randbytes(16)).replace(ORDER, f"order-{number:08}".encode())
            for one, time_ in enumerate(times):
                at = start + (took if one == 1 else (one // 2) * 1000 + (one % 2) * took // 2)
                text = text.replace(time_, at.to_bytes(8, "little"))
            body += text
        yield bytes(body)


# Receiving.


def send(port: int, spans: int) -> None:
    """Post spans; print how many were taken, the processor's seconds, and how often it was told to wait."""
    connection, waits = http.client.HTTPConnection("127.0.0.1", port), 0
    for number, body in enumerate(requests(spans), start=1):
        while True:
            connection.request("POST", "/v1/traces", body, {"content-type": "application/x-protobuf"})
            answer = connection.getresponse()
            answer.read()
            if answer.status == http.client.OK:
                break
            assert answer.status in {429, 503}, answer.status
            waits += 1
            time.sleep(0.02)
        if number * PER_REQUEST % max(PER_REQUEST, spans // CHECKS // PER_REQUEST * PER_REQUEST) == 0:
            print(number * PER_REQUEST, time.process_time(), waits, flush=True)


@contextlib.contextmanager
def viewing(path: Path, kept: int) -> Iterator[tuple[int, int]]:
    """Run `ot-bridge view`; give its process and the port of OTLP over HTTP."""
    command = [str(Path(sys.executable).parent / "ot-bridge"), "view", "--db", str(path), "--max-spans", str(kept)]
    names = ("page", "otlp-grpc", "jaeger-compact", "jaeger-binary", "jaeger-http", "jaeger-sampling", "zipkin")
    command += [f"--{name}-port=none" for name in names]
    with subprocess.Popen([*command, "--otlp-http-port=0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        found = None
        while found is None and process.poll() is None:
            found = re.search(r"http://localhost:(\d+)", process.stdout.readline())
        assert found is not None, "ot-bridge view has ended"
        threading.Thread(target=process.stdout.read, daemon=True).start()
        try:
            yield process.pid, int(found[1])
        finally:
            process.terminate()


def seconds_and_mib(process: int) -> tuple[float, int]:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    ticks, pages = int(fields[11]) + int(fields[12]), int(fields[21])
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE") >> 20


def receive(path: Path, spans: int, kept: int) -> None:
    table = Table(title="received over HTTP and kept", title_justify="left")
    for head in ("spans", "spans/s", "viewer, us of CPU a span", "sender, us", "told to wait", "viewer, MiB"):
        table.add_column(head, justify="right")
    with viewing(path, kept) as (process, port):
        command = [sys.executable, __file__, "--send-to", str(port), "--spans", str(spans)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sender:
            assert sender.stdout is not None
            sent, at, theirs, mine, waited = 0, time.perf_counter(), 0.0, seconds_and_mib(process)[0], 0
            for line in sender.stdout:
                total, now, (used, mib) = int(line.split()[0]), time.perf_counter(), seconds_and_mib(process)
                cpu, waits = float(line.split()[1]), int(line.split()[2])
                share = 1e6 / (total - sent)
                row = (total, (total - sent) / (now - at), (used - mine) * share, (cpu - theirs) * share)
                table.add_row(*(f"{one:,.0f}" for one in (*row, waits - waited, mib)))
                sent, at, theirs, mine, waited = total, now, cpu, used, waits
    console.print(table)


# Writing alone.


def write(path: Path, spans: int) -> None:
    with contextlib.closing(Store.open(path, retention=Retention(max_spans=spans // 2))) as store:
        writer = Writer(store)
        bodies = itertools.chain.from_iterable(itertools.repeat(list(requests(200 * PER_REQUEST))))
        before, began, put = time.process_time(), time.perf_counter(), 0
        for body in bodies:
            # New ids for old bodies: those of a request are random, so that a bit more makes them others.
            batches = ExportTraceServiceRequest.FromString(body).resource_spans
            for batch in batches:
                for group in batch.scope_spans:
                    for span in group.spans:
                        span.trace_id = put.to_bytes(8, "big") + span.trace_id[8:]
            while not writer.put(batches):
                time.sleep(0.002)
            put += PER_REQUEST
            if put >= spans:
                break
        writer.close(60)
        took, cpu = time.perf_counter() - began, time.process_time() - before
        console.print(
            f"the writer alone, with decoding and a half of all spans deleted: {put / took:,.0f} spans/s, "
            f"{cpu / put * 1e6:.0f} us of CPU a span\n"
        )


def profile(path: Path, spans: int = 40_000) -> None:
    batches = [list(ExportTraceServiceRequest.FromString(body).resource_spans) for body in requests(spans)]
    together = [list(itertools.chain.from_iterable(batches[one : one + 10])) for one in range(0, len(batches), 10)]
    with contextlib.closing(Store.open(path)) as store:
        profiler = cProfile.Profile()
        profiler.enable()
        for some in together:
            store.write(some)
        profiler.disable()
    found = pstats.Stats(profiler)
    table = Table(title="where the writer's time goes", title_justify="left")
    for head in ("function", "calls a span", "share"):
        table.add_column(head, justify="left" if head == "function" else "right")
    rows = sorted(found.stats.items(), key=lambda item: -item[1][2])  # type: ignore[attr-defined]
    for (file, line, name), (_, calls, own, _, _) in rows[:14]:
        where = f"{Path(file).name}:{line} {name}" if line else name
        table.add_row(where, f"{calls / spans:.1f}", f"{own / found.total_tt:.0%}")  # type: ignore[attr-defined]
    console.print(table)


# Searching.


def queries(store: Store) -> dict[str, Query]:
    newest, middle = store.search(Query(limit=1)).traces[0], store.stats()
    assert middle.oldest_ns is not None
    assert middle.newest_ns is not None
    at = (middle.oldest_ns + middle.newest_ns) // 2
    service, name = newest.root_service, newest.root_name
    order = f"order-{middle.deleted_spans // PER_TRACE + 99:08}"
    common, rare = ("app.key-0", "value-1"), ("order.id", order)
    return {
        "nothing": Query(),
        "page 500": Query(offset=10_000),
        "service": Query(service=service),
        "service and operation": Query(service=service, operation=name),
        "operation": Query(operation=name),
        "common tag": Query(tags=[common]),
        "tag of one trace": Query(tags=[rare]),
        "tag of none": Query(tags=[("no", "such")]),
        "two common tags": Query(tags=[common, ("app.key-3", "value-4")]),
        "two tags that exclude each other": Query(tags=[("app.key-0", "value-1"), ("host.name", "host-0")], text="7/9"),
        "service and common tag": Query(service=service, tags=[common]),
        "text": Query(text="Route-7"),
        "text of none": Query(text="no such"),
        "errors": Query(errors=True),
        "no errors": Query(errors=False),
        "duration, common": Query(min_ns=50_000_000),
        "duration, rare": Query(min_ns=100_990_000),
        "duration, none": Query(min_ns=10**12),
        "time, narrow": Query(from_ns=at, to_ns=at + 10**8),
        "all at once": Query(
            service, name, [common], "route", min_ns=10**7, max_ns=9 * 10**7, from_ns=at, to_ns=at + 10**10
        ),
        "all at once, none": Query(service, name, [common, rare], "route", errors=True, min_ns=10**7),
    }


def timed(ask: Callable[[], object], times: int = 20) -> tuple[float, float]:
    """Return the median and the 95th percentile in ms."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        ask()
        found.append((time.perf_counter() - began) * 1e3)
    return statistics.median(found), sorted(found)[int(times * 0.95) - 1]


def search(path: Path) -> None:
    with contextlib.closing(Store.open_read_only(path)) as store:
        kept = store.stats()
        title = (
            f"the list over {kept.spans:,} spans of {kept.traces:,} traces, {kept.bytes >> 20:,} MiB; ms, p50 and p95"
        )
        table = Table(title=title, title_justify="left")
        orders = ("newest", "longest", "most spans", "most errors")
        for head in ("searched by", "found", *orders, "scatter"):
            table.add_column(head, justify="left" if head == "searched by" else "right")
        worst = 0.0
        for name, query in queries(store).items():
            cells = []
            for order in orders:
                one = Query(**{**query.__dict__, "order": order})
                p50, p95 = timed(lambda one=one: store.search(one))  # type: ignore[misc]
                worst = max(worst, p95)
                cells.append(f"{p50:.1f} {p95:.1f}")
            total = store.search(query)
            cells.append("{:.1f} {:.1f}".format(*timed(lambda query=query: store.scatter(query), 5)))  # type: ignore[misc]
            table.add_row(name, f"{total.total:,}" + ("" if total.exact else "+"), *cells)
        console.print(table, f"the worst p95: {worst:.0f} ms\n")
        others: dict[str, Callable[[], object]] = {
            "services": store.services,
            "operations": lambda: store.operations("service-1"),
            "tag keys": store.tag_keys,
            "stats": store.stats,
            "version": store.version,
            "ids": lambda: store.ids("ab"),
            "entries of ten minutes": lambda: store.entries(from_ns=(kept.newest_ns or 0) - 600 * 10**9, limit=20_000),
            "trace of 10 spans": lambda: store.trace(store.search(Query(limit=1)).traces[0].trace_id),
        }
        for name, ask in others.items():
            console.print("{}: {:.1f} ms, p95 {:.1f}".format(name, *timed(ask, 10)))


def open_large(path: Path) -> None:
    body = next(requests(PER_REQUEST))
    batches = list(ExportTraceServiceRequest.FromString(body).resource_spans) * (LARGE // PER_REQUEST)
    with contextlib.closing(Store.open(path)) as store:
        for turn in range(0, len(batches), 2 * TRACES_A_REQUEST):
            some = batches[turn : turn + 2 * TRACES_A_REQUEST]
            for one, span in enumerate(span for batch in some for span in batch.scope_spans[0].spans):
                span.trace_id, span.span_id = b"L" * 16, (turn * PER_REQUEST + one + 1).to_bytes(8, "big")
            store.write(some)
        trace = store.trace(int.from_bytes(b"L" * 16, "big"))
        p50, p95 = timed(lambda: store.trace(int.from_bytes(b"L" * 16, "big")), 5)
        console.print(f"a trace of {len(trace or ()):,} spans is read in {p50:.0f} ms, p95 {p95:.0f}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--spans", type=int, default=2_000_000, help="how many are received")
    parser.add_argument("--kept", type=int, default=1_000_000, help="how many are kept of them")
    parser.add_argument("--send-to", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.send_to:
        send(asked.send_to, asked.spans)
        return
    show_machine()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "traces.db"
        receive(path, asked.spans, asked.kept)
        search(path)
        open_large(Path(folder) / "large.db")
        write(Path(folder) / "writer.db", min(asked.spans, 400_000))
        profile(Path(folder) / "profile.db")


if __name__ == "__main__":
    main()
