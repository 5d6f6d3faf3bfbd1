"""What is measured, and who does it: one piece of work in OpenTelemetry's words and in OpenTracing's, and the tracers.

W, the workload that the goals speak of, is an active span with one tag at its start, three that are set later, one log
of two fields, and a processor that does nothing. Everybody does it through the API that applications call.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from timeit import Timer
from typing import Any, Final, NamedTuple

import jaeger_client
import opentracing
from jaeger_client.reporter import CompositeReporter, NullReporter
from jaeger_client.sampler import Sampler as JaegerSampler
from names import BRIDGE, BRIDGE_BARE, DROP_IN, JAEGER, NATIVE, NOOP, SHIM
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_ON, Decision, Sampler, SamplingResult
from opentelemetry.shim.opentracing_shim import create_tracer
from opentelemetry.trace import SpanKind
from side_by_side import repeated

from ot_bridge import BridgeTracer, Settings
from ot_bridge import jaeger_client as drop_in
from ot_bridge.jaeger_client.reporter import CompositeReporter as DropInComposite
from ot_bridge.jaeger_client.reporter import NullReporter as DropInNull
from ot_bridge.jaeger_client.sampler import Sampler as DropInSampler
from ot_bridge.sampling import TailSamplingProcessor

__all__ = ["TRACERS", "WORK", "Nothing", "Setup", "Work", "statement"]


class Work(NamedTuple):
    """One piece of work, as native code and as OpenTracing code writes it."""

    native: str
    opentracing: str


WORK: Final[Mapping[str, Work]] = {
    "W": Work(
        """
with start("checkout", attributes={"component": "shop"}) as span:
    span.set_attribute("order", 7)
    span.set_attribute("customer", "acme")
    span.set_attribute("total", 12.5)
    span.add_event("card accepted", {"attempt": 1})
""",
        """
with start("checkout", tags={"component": "shop"}) as scope:
    span = scope.span
    span.set_tag("order", 7)
    span.set_tag("customer", "acme")
    span.set_tag("total", 12.5)
    span.log_kv({"event": "card accepted", "attempt": 1})
""",
    ),
    "nested": Work(
        """
with start("checkout", attributes={"component": "shop"}):
    for _ in three:
        with start("query", attributes={"component": "db"}) as span:
            span.set_attribute("rows", 3)
""",
        """
with start("checkout", tags={"component": "shop"}):
    for _ in three:
        with start("query", tags={"component": "db"}) as scope:
            scope.span.set_tag("rows", 3)
""",
    ),
    "HTTP": Work(
        """
url = f"http://shop.example/orders/{next(number)}"
with start("GET", kind=SERVER, attributes={"component": "flask", "http.method": "GET", "http.url": url}) as span:
    span.set_attribute("http.status_code", 200)
""",
        """
url = f"http://shop.example/orders/{next(number)}"
tags = {"span.kind": "server", "component": "flask", "http.method": "GET", "http.url": url}
with start("GET", tags=tags) as scope:
    scope.span.set_tag("http.status_code", 200)
""",
    ),
    "error": Work(
        """
try:
    with start("checkout", attributes={"component": "shop"}):
        raise ValueError("card declined")
except ValueError:
    pass
""",
        """
try:
    with start("checkout", tags={"component": "shop"}):
        raise ValueError("card declined")
except ValueError:
    pass
""",
    ),
    # One that is not active and does not end.
    "held": Work(
        """
span = begin("checkout", attributes={"component": "shop"})
span.set_attribute("order", 7)
span.set_attribute("customer", "acme")
span.set_attribute("total", 12.5)
span.add_event("card accepted", {"attempt": 1})
held.append(span)
""",
        """
span = begin("checkout", tags={"component": "shop"})
span.set_tag("order", 7)
span.set_tag("customer", "acme")
span.set_tag("total", 12.5)
span.log_kv({"event": "card accepted", "attempt": 1})
held.append(span)
""",
    ),
}


class Setup(NamedTuple):
    """How a tracer is set up.

    Attributes:
        sampler: on, off, or custom: a class of the user's.
        processors: how many processors, or reporters, each span is given to.
        tail: ot_bridge decides again when a trace has ended.
        processor: makes each processor; None for one that does nothing.
    """

    sampler: str = "on"
    processors: int = 1
    tail: bool = False
    processor: Callable[[], SpanProcessor] | None = None


class Nothing(SpanProcessor):
    """Takes every span and does nothing with it."""


class _ByName(Sampler):
    """What a user might write: one operation is sampled."""

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        links: Any = None,
        trace_state: Any = None,
    ) -> SamplingResult:
        chosen = Decision.RECORD_AND_SAMPLE if name == "checkout" else Decision.DROP
        return SamplingResult(chosen, attributes)

    def get_description(self) -> str:
        return "ByName"


class _JaegerByName(JaegerSampler):
    """The same for jaeger-client."""

    def is_sampled(self, trace_id: int, operation: str = "") -> tuple[bool, dict[str, Any]]:
        return operation == "checkout", self._tags


class _DropInByName(DropInSampler):
    """The same for the drop-in."""

    def is_sampled(self, trace_id: int, operation: str = "") -> tuple[bool, dict[str, Any]]:
        return operation == "checkout", self._tags


_SAMPLERS: Final[Mapping[str, Sampler]] = {"on": DEFAULT_ON, "off": ALWAYS_OFF, "custom": _ByName()}


def _provider(setup: Setup, *, tail: bool = False) -> TracerProvider:
    provider = TracerProvider(sampler=_SAMPLERS[setup.sampler], shutdown_on_exit=False)
    make = setup.processor or Nothing
    for _ in range(setup.processors):
        provider.add_span_processor(TailSamplingProcessor(make(), "errors,slow:1s,rest:1%") if tail else make())
    return provider


def _native(setup: Setup) -> Any:
    return _provider(setup).get_tracer("benchmark")


def _shim(setup: Setup) -> Any:
    return create_tracer(_provider(setup))


def _jaeger(setup: Setup) -> Any:
    sampler = _JaegerByName() if setup.sampler == "custom" else jaeger_client.ConstSampler(setup.sampler == "on")
    reporter = CompositeReporter(*(NullReporter() for _ in range(setup.processors)))
    reporter = reporter if setup.processors > 1 else NullReporter()
    return jaeger_client.Tracer("benchmark", reporter=reporter, sampler=sampler)


def _noop(_: Setup) -> Any:
    return opentracing.Tracer()


def _bridge(setup: Setup) -> Any:
    return BridgeTracer(_provider(setup, tail=setup.tail), settings=Settings())


def _bridge_bare(setup: Setup) -> Any:
    return BridgeTracer(_provider(setup, tail=setup.tail), settings=Settings(redact="off"))


def _drop_in(setup: Setup) -> Any:
    sampler = _DropInByName() if setup.sampler == "custom" else drop_in.ConstSampler(setup.sampler == "on")
    reporter = DropInComposite(*(DropInNull() for _ in range(setup.processors)))
    return drop_in.Tracer("benchmark", reporter=reporter if setup.processors > 1 else DropInNull(), sampler=sampler)


TRACERS: Final[Mapping[str, Callable[[Setup], Any]]] = {
    NATIVE: _native,
    SHIM: _shim,
    JAEGER: _jaeger,
    NOOP: _noop,
    BRIDGE: _bridge,
    BRIDGE_BARE: _bridge_bare,
    DROP_IN: _drop_in,
}
"""Name of a case -> what makes its tracer, with the settings that it has by default."""


def statement(work: str, name: str, tracer: Any, **names: Any) -> Timer:
    """Return a piece of work as one case does it.

    Args:
        work: a name in WORK.
        name: a name in TRACERS.
        tracer: what that made.
        names: more that the text uses.
    """
    given = {"three": range(3), "number": itertools.count(10**6), "SERVER": SpanKind.SERVER, **names}
    if name == NATIVE:
        return repeated(WORK[work].native, {**given, "start": tracer.start_as_current_span, "begin": tracer.start_span})
    start = tracer.start_active_span
    return repeated(WORK[work].opentracing, {**given, "start": start, "begin": tracer.start_span})
