"""RATIONALE.md: every entry is complete, and what it names is there; and the departures that have no other test."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, TraceIdRatioBased
from opentracing import Format, child_of, follows_from

from named_tests import all_tests
from ot_bridge import BridgeTracer, Settings
from spans import as_dict

ROOT = Path(__file__).parent.parent
LABELS = ["Clause", "Followed blindly", "Here", "Opt out", "Held by"]
TEXT = (ROOT / "RATIONALE.md").read_text(encoding="utf-8")
ENTRIES = {part.partition("\n")[0]: part for part in TEXT.split("\n### ")[1:]}
WITHOUT_A_FIELD = ("none.", "`OTEL_")

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
SPAN_ID = 0xB7AD6B7169203331


# -- the page ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", ENTRIES)
def test_entry_is_complete_and_names_what_is_there(question: str) -> None:
    entry = ENTRIES[question].split("\n## ")[0]
    parts = dict(re.findall(r"^- \*\*([^*]+):\*\* (.*(?:\n  .*)*)", entry, flags=re.MULTILINE))
    assert question.endswith("?")
    assert list(parts) == LABELS
    assert sorted(set(re.findall(r"`(test_\w+::\w+)`", parts["Held by"])) - all_tests()) == []
    assert re.fullmatch(r"(`test_\w+::\w+`(,\s+)?)+", parts["Held by"])
    fields = re.findall(r"`([a-z_0-9]+)`", parts["Opt out"])
    assert parts["Opt out"].startswith(WITHOUT_A_FIELD) or fields
    assert set(fields) <= {field.name for field in dataclasses.fields(Settings)}


def test_index_lists_the_sections() -> None:
    sections = re.findall(r"^## (.*)$", TEXT, flags=re.MULTILINE)
    assert re.findall(r"^- \[(.*)\]\(#", TEXT, flags=re.MULTILINE) == sections


def test_entries_that_the_code_points_to_are_there() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    named = re.findall(r'RATIONALE\.md \("([^"]+)"\)', " ".join(sources.split()))
    assert named
    assert sorted(set(named) - ENTRIES.keys()) == []


# -- departures that have no other test --------------------------------------------------------------------------------


def remote(tracer: BridgeTracer, **headers: str) -> Any:
    """Return the context that headers tell; ``_`` in a name stands for ``-``."""
    return tracer.extract(Format.HTTP_HEADERS, {name.replace("_", "-"): value for name, value in headers.items()})


def test_context_of_jaeger_client_is_a_parent(tracer: BridgeTracer, exporter: InMemorySpanExporter) -> None:
    jaeger_client = pytest.importorskip("jaeger_client")
    theirs = jaeger_client.SpanContext(TRACE_ID, SPAN_ID, None, 3, {"tenant": "acme"})
    with tracer.start_span("op", child_of=theirs) as span:
        assert (span.is_debug(), span.get_baggage_item("tenant")) == (True, "acme")
    found = as_dict(exporter.get_finished_spans()[0])
    assert (found["trace_id"], found["parent_id"]) == (f"{TRACE_ID:032x}", f"{SPAN_ID:016x}")


def test_references_jaeger_inherits_the_baggage_of_the_parent_only(provider: TracerProvider) -> None:
    tracer = BridgeTracer(provider, settings=Settings(references="jaeger"))
    first = remote(tracer, uber_trace_id="1:2:0:1", uberctx_a="first")
    second = remote(tracer, uber_trace_id="1:3:0:1", uberctx_b="second")
    span = tracer.start_span("op", references=[follows_from(first), child_of(second)])
    assert dict(span.context.baggage) == {"a": "first"}


@pytest.mark.parametrize("error", [GeneratorExit, KeyboardInterrupt, SystemExit], ids=lambda error: error.__name__)
def test_whatever_leaves_the_block_is_an_error(
    tracer: BridgeTracer, exporter: InMemorySpanExporter, error: type[BaseException]
) -> None:
    with pytest.raises(error), tracer.start_active_span("op"):
        raise error
    found = as_dict(exporter.get_finished_spans()[0])
    assert found["status"]["code"] == "ERROR"
    assert [event["attributes"]["exception.type"] for event in found["events"]] == [error.__name__]


@pytest.mark.parametrize("name", ["", None], ids=["empty", "none"])
def test_empty_operation_name_is_unnamed(tracer: BridgeTracer, exporter: InMemorySpanExporter, name: Any) -> None:
    tracer.start_span(name).finish()
    tracer.start_span("op").set_operation_name(name).finish()
    assert [span.name for span in exporter.get_finished_spans()] == ["unnamed", "unnamed"]


def test_w3c_spelling_of_a_key_is_kept(tracer: BridgeTracer) -> None:
    both = remote(tracer, uberctx_userid="alice", baggage="userId=alice")
    assert dict(both.baggage) == {"userId": "alice"}


def test_contexts_that_differ_in_baggage_are_equal(tracer: BridgeTracer) -> None:
    span = tracer.start_span("op")
    before = span.context
    after = span.set_baggage_item("tenant", "acme").context
    other = tracer.start_span("other").context
    assert (before == after, hash(before) == hash(after), before == other) == (True, True, False)


def test_b3_is_not_read_and_not_written_by_default(tracer: BridgeTracer) -> None:
    assert remote(tracer, b3=f"{TRACE_ID:032x}-{SPAN_ID:016x}-1", x_b3_traceid="1", x_b3_spanid="2") is None
    headers: dict[str, str] = {}
    tracer.inject(tracer.start_span("op").context, Format.HTTP_HEADERS, headers)
    assert set(headers) == {"uber-trace-id", "traceparent"}


def test_plus_in_uberctx_is_a_space_over_http_only(tracer: BridgeTracer) -> None:
    headers = {"uber-trace-id": "1:2:0:1", "uberctx-k": "a+b%2Bc"}
    http: Any = tracer.extract(Format.HTTP_HEADERS, headers)
    text: Any = tracer.extract(Format.TEXT_MAP, headers)
    assert (http.baggage["k"], text.baggage["k"]) == ("a b+c", "a+b%2Bc")


def test_late_sampling_exports_what_was_asked_for_after_the_start(exporter: InMemorySpanExporter) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = BridgeTracer(provider, settings=Settings(late_sampling=True))
    with tracer.start_span("asked for", tags={"early": 1}) as span:
        span.set_tag("sampling.priority", 1)
    tracer.start_span("not asked for").finish()
    (found,) = exporter.get_finished_spans()
    attributes = {"early": 1, "sampling.priority": 1, "jaeger.debug": True}
    assert (found.name, dict(found.attributes or {})) == ("asked for", attributes)


@pytest.mark.parametrize("rate", [0.0, 0.001, 0.1, 0.5, 1.0])
def test_ratio_sampler_keeps_the_traces_that_jaeger_client_kept(rate: float) -> None:
    theirs = pytest.importorskip("jaeger_client").ProbabilisticSampler(rate)
    ours = TraceIdRatioBased(rate)
    edge = int(rate * 2**64)
    low_halves = {1, 2**64 - 1, *(max(1, min(2**64 - 1, edge + step)) for step in (-4096, -1, 0, 1, 4096))}
    differing = [
        trace_id
        for low in low_halves
        for trace_id in (low, low | 1 << 64, low | 2**128 - 2**64)
        if ours.should_sample(None, trace_id, "op").decision.is_sampled() != theirs.is_sampled(trace_id)[0]
    ]
    assert differing == []
