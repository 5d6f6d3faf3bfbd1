"""A tail sampler on a stage: time passes when the test says so, and what is exported is seen at once."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.trace import NonRecordingSpan, SpanContext, StatusCode, TraceFlags, TraceState

from ot_bridge import telemetry
from ot_bridge.sampling import TailDecision, TailSamplingProcessor

__all__ = ["PARTIAL", "POLICY", "Clock", "Stage", "remote_parent"]

POLICY = "ot_bridge.tail.policy"
PARTIAL = "ot_bridge.tail.partial"
_SECOND = 10**9


class Clock:
    """Two clocks: one that only grows, and the time of day, which can be set."""

    def __init__(self) -> None:
        self.ns = 5_000 * _SECOND
        self.wall_ns = 1_700_000_000 * _SECOND

    def tick(self, seconds: float) -> None:
        """Let time pass."""
        self.ns += round(seconds * _SECOND)
        self.wall_ns += round(seconds * _SECOND)


def remote_parent(trace_id: int, *, sampled: bool = True, state: str = "") -> Any:
    """Return an OpenTelemetry context with a span of another process."""
    found = TraceState.from_header([state]) if state else None
    ids = SpanContext(trace_id, 0xABC, is_remote=True, trace_flags=TraceFlags(int(sampled)), trace_state=found)
    return trace.set_span_in_context(NonRecordingSpan(ids))


class Ids:
    """Trace ids that say what the baseline will do: the low 56 bits are all ones, or all zeros."""

    def __init__(self) -> None:
        self.number = 0
        self.kept = False

    def generate_span_id(self) -> int:
        self.number += 1
        return self.number

    def generate_trace_id(self) -> int:
        self.number += 1
        return self.number << 64 | (2**56 - 1 if self.kept else 0)

    def is_trace_id_random(self) -> bool:
        return True


class Stage:
    """An SDK provider with a tail sampler before an exporter in memory."""

    def __init__(
        self, rules: Any, *, sampler: Sampler | None = None, behind: SpanProcessor | None = None, **more: Any
    ) -> None:
        self.clock = Clock()
        self.ids: Any = Ids()
        self.exporter = InMemorySpanExporter()
        self.decisions: list[TailDecision] = []
        self.tail = TailSamplingProcessor(
            behind or SimpleSpanProcessor(self.exporter),
            rules,
            on_decision=self.decisions.append,
            clock_ns=lambda: self.clock.ns,
            wall_ns=lambda: self.clock.wall_ns,
            **more,
        )
        self.tail._before_start = self.tail._tell_start  # no thread: the test sweeps
        self.provider = TracerProvider(sampler=sampler, id_generator=self.ids, shutdown_on_exit=False)
        self.provider.add_span_processor(self.tail)
        self.tracer = self.provider.get_tracer("test")

    def start(self, name: str, parent: Any = None, **more: Any) -> Any:
        """Start a native span now; ``parent`` is a span or a context."""
        context = trace.set_span_in_context(parent) if isinstance(parent, trace.Span) else parent
        more.setdefault("start_time", self.clock.wall_ns)
        return self.tracer.start_span(name, context=context or trace.Context(), **more)

    def end(self, span: Any, *, error: bool = False) -> None:
        """End a span now."""
        if error:
            span.set_status(StatusCode.ERROR)
        span.end(self.clock.wall_ns)

    def trace(
        self, name: str = "root", *, error: bool = False, seconds: float = 0, parent: Any = None, **more: Any
    ) -> Any:
        """Make a local trace of one span."""
        span = self.start(name, parent, **more)
        self.clock.tick(seconds)
        self.end(span, error=error)
        return span

    @property
    def exported(self) -> list[tuple[str, dict[str, Any]]]:
        """What was exported: names and the stamps."""
        return [
            (span.name, {key: value for key, value in (span.attributes or {}).items() if key in (POLICY, PARTIAL)})
            for span in self.exporter.get_finished_spans()
        ]

    @property
    def names(self) -> list[str]:
        """The names of what was exported."""
        return [span.name for span in self.exporter.get_finished_spans()]

    @property
    def verdicts(self) -> list[tuple[bool, str]]:
        """The decisions so far."""
        return [(one.kept, one.reason) for one in self.decisions]

    @property
    def held(self) -> dict[str, int]:
        """How much is held, without the decisions that are remembered."""
        return {name: number for name, number in self.tail.sizes().items() if name != "decisions"}


NOTHING = {"undecided": 0, "spans": 0, "following": 0}


def counted(prefix: str = "tail.") -> dict[str, int]:
    """Return the tail sampler's counters."""
    return {
        name.removeprefix(prefix): number for name, number in telemetry.snapshot().items() if name.startswith(prefix)
    }
