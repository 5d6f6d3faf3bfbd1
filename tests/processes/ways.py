"""The ways in which a program of these tests comes to its tracer, and what it has sent."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from collectors import Arrival
from zero_code import BRIDGE, LIMIT_S

__all__ = ["DROP_IN", "INSTALL", "LATE", "RUN", "WAYS", "Way", "names", "parents", "wait_until"]

LATE = {"OTEL_BSP_SCHEDULE_DELAY": "600000", "OTEL_SERVICE_NAME": "shop", "OT_BRIDGE_CLOSE_TIMEOUT_S": "30"}
"""Only the end can send the spans, and a busy machine may take its time."""


class Way(NamedTuple):
    """How a program comes to its tracer.

    Attributes:
        column: of compat_matrix.md.
        launcher: what stands before the words of the command.
        code: what stands first in the program.
    """

    column: str
    launcher: tuple[str, ...]
    code: str


INSTALL = Way("install()", (), "import ot_bridge\not_bridge.install('shop')\n")
RUN = Way("ot-bridge run", BRIDGE, "")
DROP_IN = Way(
    "install()",
    (),
    "from ot_bridge.jaeger_client import Config\n"
    "Config({'sampler': {'type': 'const', 'param': 1}}, service_name='shop').initialize_tracer()\n",
)
WAYS = {"install": INSTALL, "run": RUN, "drop-in": DROP_IN}
PYTHON = sys.executable


def parents(arrivals: Sequence[Arrival]) -> list[tuple[str, str, str]]:
    """Return name, trace id and parent id of each span that arrived, sorted."""
    return sorted((span.name, span.trace_id.hex(), span.parent_span_id.hex()) for span in _spans(arrivals))


def names(arrivals: Sequence[Arrival]) -> Counter[str]:
    """Return how often each name arrived."""
    return Counter(span.name for span in _spans(arrivals))


def _spans(arrivals: Sequence[Arrival]) -> list[object]:
    return [
        span
        for arrival in list(arrivals)
        for resource_spans in arrival.request.resource_spans
        for scope_spans in resource_spans.scope_spans
        for span in scope_spans.spans
    ]


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait for something that a server will do, unless it ends before."""
    end_s = time.monotonic() + LIMIT_S
    while not condition():
        assert process.poll() is None, "the server has ended"
        assert time.monotonic() < end_s, "it never came"
        time.sleep(0.02)
