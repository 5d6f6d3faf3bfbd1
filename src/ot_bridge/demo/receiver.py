"""The receivers of `ot-bridge view` on free ports, keeping in memory what arrives: OTLP over HTTP, and Jaeger's UDP."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType

from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from ot_bridge.traces.model import Span
from ot_bridge.traces.otlp import spans as read_spans
from ot_bridge.traces.receive.inbox import Counts, Inbox
from ot_bridge.traces.receive.ports import Ports
from ot_bridge.traces.receive.servers import Page, Servers

__all__ = ["Receiver"]

_RECEIVED = "spans"
_CLOSED = dict.fromkeys(Ports._fields)


class Receiver:
    """A collector on free ports of the loopback, open as long as its `with` block.

    Args:
        also: gets all that arrives as well.
        page: makes the page, None for none.

    Attributes:
        otlp_url: for `OTEL_EXPORTER_OTLP_ENDPOINT`.
        udp_port: for `JAEGER_AGENT_PORT`, whatever thrift protocol the client speaks.
        page_url: where the page is; `""` without one.
    """

    def __init__(self, also: Inbox | None = None, page: Page | None = None) -> None:
        self._changed = threading.Condition()
        self._batches: list[ResourceSpans] = []
        self._last_arrival_s = time.monotonic()
        self._also = also
        self._counts = Counts()
        ports = Ports(**{**_CLOSED, "otlp_http": 0, "jaeger_compact": 0, "page": 0})
        self._servers = Servers(self, self._counts, ports=ports, page=page)
        self.otlp_url = self.page_url = ""
        self.udp_port = 0

    def __enter__(self) -> Receiver:
        ports = self._servers.__enter__().ports
        self.otlp_url, self.udp_port = f"http://127.0.0.1:{ports.otlp_http}", ports.jaeger_compact or 0
        self.page_url = f"http://127.0.0.1:{ports.page}" if ports.page else ""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._servers.__exit__(kind, error, tb)

    def put(self, batches: Sequence[ResourceSpans], logs: Sequence[ResourceLogs] = ()) -> bool:
        """Take what arrived: it is the servers' inbox."""
        with self._changed:
            self._batches += batches
            self._last_arrival_s = time.monotonic()
            self._changed.notify_all()
        return self._also is None or self._also.put(batches, logs)

    def batches(self, since: int = 0) -> list[ResourceSpans]:
        """Return what arrived, in OTLP's form, without the first `since` batches."""
        with self._changed:
            return self._batches[since:]

    def spans(self, since: int = 0) -> list[Span]:
        """Return the spans that arrived by their start, without those of the first `since` batches."""
        return sorted(read_spans(self.batches(since)), key=lambda span: span.start_ns)

    def problems(self) -> list[str]:
        """Return a sentence for each kind of thing that was refused, with an example."""
        counts, examples = self._counts.snapshot(), self._counts.examples()
        refused = [(key, count) for key, count in counts.items() if key[1] != _RECEIVED]
        return [f"{count} {what} by {via}: {examples.get((via, what), '')}" for (via, what), count in refused]

    def wait(
        self,
        done: Callable[[list[Span]], bool],
        *,
        quiet_s: float,
        patience_s: float,
        limit_s: float,
        since: int = 0,
    ) -> list[Span]:
        """Wait until the spans are `done` and nothing has arrived for a while, and return them.

        Args:
            done: is asked again after each arrival, and at least ten times a second; what it raises goes through.
            quiet_s: seconds without an arrival that are enough when the spans are done.
            patience_s: seconds without an arrival after which the spans are returned as they are.
            limit_s: seconds after which the spans are returned in any case.
            since: leave out this number of batches.
        """
        began_s = time.monotonic()
        while True:
            spans = self.spans(since)
            now_s = time.monotonic()
            silence_s = now_s - max(began_s, self._last_arrival_s)
            enough_s = quiet_s if done(spans) else patience_s
            if silence_s >= enough_s or now_s - began_s >= limit_s:
                return spans
            with self._changed:
                self._changed.wait(0.1)
