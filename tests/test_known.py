"""What was seen before takes a short way, and comes out as if it were seen for the first time."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

from ot_bridge import BridgeTracer, Settings, telemetry
from ot_bridge.known import Known
from ot_bridge.redacting import redactor_of
from ot_bridge.redaction import Redactor
from spans import as_dict

SECRET = "AKIAIOSFODNN7EXAMPLE"
SETTINGS = {
    "default": Settings(),
    "nothing redacted": Settings(redact="off"),
    "dry run": Settings(redact_dry_run=True),
    "own rules": Settings(redact_keys=("http.status_code", "a"), redact_values=("exes=x{1,9}",)),
    "card numbers": Settings(redact_enabled_rules=("card_digits",)),
    "safe keys": Settings(redact_safe_keys=("a", "password")),
    "short texts": Settings(max_tag_value_length=3),
    "new conventions": Settings(semconv="dup"),
}


class Word(str, enum.Enum):
    A = "a"


class Number(enum.IntEnum):
    ONE = 1


KEYS = [
    "a",
    "b",
    "http.url",
    "password",
    "http.status_code",
    "error",
    "peer.port",
    "event",
    "\u00fc",
    "",
    Word.A,
    b"a",
    1,
]
VALUES = [
    "a", "longer", "http://h/?token=1", SECRET, f"with {SECRET} inside", "\u00fc", "\ud800", "", Word.A, "true", "500",
    1, 0, True, False, 1.0, Number.ONE, Decimal(1), 2**63 - 1, 2**63, -(2**63), 4111111111111111, 500,
    None, b"a", ["a", "b"], [1, "a"], {"password": "x"}, float("inf"),
]  # fmt: skip

tags = st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES)), max_size=4)
logs = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=3)
spans = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["op", "other", "", "\u00fc", SECRET, None]),
        "initial": st.dictionaries(
            st.sampled_from([*KEYS, "span.kind", "sampling.priority"]),
            st.sampled_from([*VALUES, "server", "SERVER"]),
            max_size=3,
        ),
        "tags": tags,
        "logs": st.lists(logs, max_size=2),
    }
)


class Asked(Sampler):
    """Samples all, and keeps what it was asked with."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        _, _, name, kind, attributes, *_ = args
        self.asked.append((name, kind, dict(attributes)))
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)

    def get_description(self) -> str:
        return "asked"


class Started(SpanProcessor):
    """Keeps what could be read of each span when it started."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.seen.append((span.name, span.kind, dict(span.attributes)))


def plain(value: Any) -> Any:
    """Return the value with all keys as plain text: one that equals a known text, as of an enum, may stay itself."""
    if isinstance(value, dict):
        return {str.__str__(key): plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


class Bench:
    """A tracer, and all that can be seen of its spans."""

    def __init__(self, settings: Settings, limits: SpanLimits | None = None) -> None:
        redactor_of.cache_clear()
        self.exporter, self.started, self.sampler = InMemorySpanExporter(), Started(), Asked()
        provider = TracerProvider(sampler=self.sampler, span_limits=limits, shutdown_on_exit=False)
        provider.add_span_processor(self.started)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = BridgeTracer(provider, settings=settings)

    def run(self, span: dict[str, Any]) -> dict[str, Any]:
        """Make a span; return what was seen of it, but for ids and times, and what was counted meanwhile."""
        before = dict(telemetry.snapshot())
        made = self.tracer.start_span(span["name"], tags=span["initial"], start_time=1)
        for key, value in span["tags"]:
            made.set_tag(key, value)
        for fields in span["logs"]:
            made.log_kv(fields, timestamp=2)
        made.finish(3)
        exported = [as_dict(one) for one in self.exporter.get_finished_spans()]
        for one in exported:
            del one["trace_id"], one["span_id"]
        seen = {"exported": exported, "started": self.started.seen[:], "asked": self.sampler.asked[:]}
        counted = {
            name: number - before.get(name, 0)
            for name, number in telemetry.snapshot().items()
            if number != before.get(name, 0)
        }
        self.exporter.clear()
        self.started.seen.clear()
        self.sampler.asked.clear()
        return {"seen": repr(plain(seen)), "counted": counted}


@pytest.fixture(autouse=True)
def _no_redactor_is_kept() -> Iterator[None]:
    yield
    redactor_of.cache_clear()


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=list(SETTINGS))
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=st.lists(spans, min_size=1, max_size=4))
def test_spans_of_known_words_are_those_of_new_ones(settings: Settings, program: list[dict[str, Any]]) -> None:
    fresh = [Bench(settings).run(span) for span in program]
    bench = Bench(settings)
    assert [bench.run(span) for span in program] == fresh
    assert [bench.run(span) for span in program] == fresh
    assert [bench.run(span) for span in reversed(program)] == fresh[::-1]


@given(program=st.lists(spans, min_size=1, max_size=3), length=st.sampled_from([{}, {"max_span_attribute_length": 4}]))
@hypothesis_settings(max_examples=60, deadline=None)
def test_limits_hold_for_known_words(program: list[dict[str, Any]], length: dict[str, int]) -> None:
    limits = SpanLimits(max_span_attributes=2, max_event_attributes=1, max_events=1, **length)
    fresh = [Bench(Settings(), limits).run(span) for span in program]
    bench = Bench(Settings(), limits)
    assert [[bench.run(span) for span in program] for _ in range(3)] == [fresh] * 3


def test_known_tag_asks_nobody_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(Settings())
    span = {
        "name": "op",
        "initial": {"a": 1, "b": "x"},
        "tags": [("c", "y"), ("d", 2.5)],
        "logs": [{"event": "e", "k": "v"}],
    }
    first = [bench.run(span) for _ in range(2)][1]

    def fail(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError

    for name in ("value", "text", "attributes"):
        monkeypatch.setattr(Redactor, name, fail)
    assert bench.run(span) == first


def test_words_of_opentracing_are_never_plain() -> None:
    known = Known(None, is_open=True)
    for key in ("error", "span.kind", "sampling.priority", "http.status_code"):
        known.learn(key, "text")
    assert (known.texts, known.has("http.status_code", 500)) == ({}, True)


def test_what_is_kept_is_bounded() -> None:
    known = Known(Redactor(), is_open=True)
    for number in range(10_000):
        known.learn(f"key-{number}", "text")
    assert len(known.texts) <= 4096


def test_secret_is_redacted_after_the_redactor_has_forgotten() -> None:
    bench = Bench(Settings())
    span = {"name": "op", "initial": {}, "tags": [("a", SECRET), ("b", "x")], "logs": []}
    first = bench.run(span)
    for number in range(5000):
        bench.run({"name": "op", "initial": {}, "tags": [(f"key-{number}", "x")], "logs": []})
    assert bench.run(span) == first
