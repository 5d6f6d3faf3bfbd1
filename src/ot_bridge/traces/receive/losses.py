"""What Jaeger's clients say, or show, that they lost. Source: the client statistics of Jaeger's agent."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple

from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans

from ot_bridge.traces.formats.jaeger_thrift import DROPPED, SEQ_NO
from ot_bridge.traces.model import Value
from ot_bridge.traces.otlp import attributes
from ot_bridge.traces.receive.inbox import Counts

__all__ = ["DROPPED_BY_CLIENT", "MISSING_BATCHES", "Losses"]

MISSING_BATCHES: Final = "batches missing"
"""Their number was skipped: lost on the way."""
DROPPED_BY_CLIENT: Final = "spans dropped by the client"
"""By a full queue, as too large for a packet, or because they could not be sent."""
_MOST_CLIENTS: Final = 10_000


class _Last(NamedTuple):
    seq_no: int
    dropped: int


class Losses:
    """Compares what each client counts with what it counted before, and counts the difference.

    A client's first batch says nothing: it may have run for long. A number that is not larger than the last one came
    late, and is left to the next, whose counts include its own.
    """

    def __init__(self, counts: Counts, protocol: str) -> None:
        self._counts, self._protocol = counts, protocol
        self._lock = threading.Lock()
        self._last: OrderedDict[tuple[str, ...], _Last] = OrderedDict()

    def note(self, batches: Iterable[ResourceSpans]) -> None:
        """Read what some batches say of their clients."""
        for batch in batches:
            if any(pair.key == SEQ_NO for pair in batch.resource.attributes):
                self._note(attributes(batch.resource.attributes))

    def _note(self, resource: dict[str, Value]) -> None:
        client = tuple(str(resource.get(name, "")) for name in ("client-uuid", "service.name", "host.name", "ip"))
        seq_no, dropped = resource[SEQ_NO], resource.get(DROPPED, 0)
        if not (isinstance(seq_no, int) and isinstance(dropped, int)):
            return
        with self._lock:
            before = self._last.get(client)
            if before is None or seq_no > before.seq_no:
                self._last[client] = _Last(seq_no, dropped)
                self._last.move_to_end(client)
            while len(self._last) > _MOST_CLIENTS:
                self._last.popitem(last=False)
        if before is None or seq_no <= before.seq_no:
            return
        example = f"from {client[1] or 'a client without a name'}"
        if (missing := seq_no - before.seq_no - 1) > 0:
            self._counts.add(self._protocol, MISSING_BATCHES, missing, example=example)
        if (lost := dropped - before.dropped) > 0:
            self._counts.add(self._protocol, DROPPED_BY_CLIENT, lost, example=example)
