"""The header vectors, whole: what is read from them and what is written for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ot_bridge import telemetry
from ot_bridge.codecs.wire import WireContext
from ot_bridge.propagator import MixedFleetPropagator

VECTORS = json.loads((Path(__file__).parent / "vectors" / "headers.json").read_text(encoding="utf-8"))


def by_id(cases: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(case, id=case["id"]) for case in cases]


def understood(wire: WireContext | None) -> dict[str, Any]:
    """Return a reading in the shape of the vectors."""
    if wire is None:
        return {"context": None, "baggage": {}, "debug_id": None, "returns": None}
    context = {
        "trace_id": f"{wire.trace_id:032x}",
        "span_id": f"{wire.span_id:016x}",
        "sampled": wire.sampled,
        "debug": wire.debug,
        "random": wire.random,
        "tracestate": wire.tracestate,
        "format": wire.format,
    }
    return {
        "context": context if wire.trace_id else None,
        "baggage": dict(wire.baggage),
        "debug_id": wire.debug_id,
        "returns": "context" if wire.trace_id else "container",
    }


def prefixes(case: dict[str, Any]) -> list[dict[str, str]]:
    """Return the baggage of every whole-member prefix of a plain ``baggage`` header within 8192 bytes."""
    header = dict(case["headers"])["baggage"]
    members = [(member[: member.index("=")], member[member.index("=") + 1 :]) for member in header.split(",")]
    texts = [",".join("=".join(member) for member in members[:count]) for count in range(len(members) + 1)]
    return [dict(members[:count]) for count, text in enumerate(texts) if len(text) <= 8192]


def alternatives(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Return every result that a vector allows."""
    expected = dict(case["expect"])
    context = expected["context"]
    states = context.pop("tracestate_any_of", [context["tracestate"]]) if context else [None]
    bags = expected.pop("baggage_any_of", [expected["baggage"]])
    if bags == "prefix":
        bags = prefixes(case)
    return [
        {
            **expected,
            "context": context and {**context, "tracestate": state},
            "baggage": baggage,
            "returns": "context" if context else "container" if baggage or expected["debug_id"] else None,
        }
        for state in states
        for baggage in bags
    ]


@pytest.mark.parametrize("case", by_id(VECTORS["cases"]))
def test_header_vector_is_read_as_stated(case: dict[str, Any]) -> None:
    propagator = MixedFleetPropagator(case["extract_formats"])
    reading = propagator.read([tuple(pair) for pair in case["headers"]], http=case["format"] == "HTTP_HEADERS")
    assert understood(reading.context) in alternatives(case)
    assert "extract.gave_up" not in telemetry.snapshot()


@pytest.mark.parametrize("case", by_id(VECTORS["cases"]))
def test_header_vector_with_malformed_header_alone_says_so(case: dict[str, Any]) -> None:
    """A trace header that is there and gives no context leaves a sentence; a good one never does."""
    propagator = MixedFleetPropagator(case["extract_formats"])
    reading = propagator.read([tuple(pair) for pair in case["headers"]], http=case["format"] == "HTTP_HEADERS")
    trace_headers = {"uber-trace-id", "traceparent", "x-b3-traceid", "ot-tracer-traceid"}
    there = trace_headers & {name.lower() for name, _ in case["headers"]}
    if case["expect"]["context"] is None and there:
        assert len(reading.malformed) == len(there)
        assert all(sentence.startswith("cannot read header '") for sentence in reading.malformed)
    elif len(there) == 1 and not any(name == "b3" for name, _ in case["headers"]):
        assert reading.malformed == ()


@pytest.mark.parametrize("case", by_id(VECTORS["inject_cases"]))
def test_header_vector_is_written_as_stated(case: dict[str, Any]) -> None:
    given = case["input"]
    wire = WireContext(
        trace_id=int(given["trace_id"] or "0", 16),
        span_id=int(given["span_id"] or "0", 16),
        sampled=given["sampled"],
        debug=given.get("debug", False),
        random=given.get("random", False),
        tracestate=given.get("tracestate", ""),
        baggage=given.get("baggage", {}),
    )
    headers = MixedFleetPropagator(inject=given.get("formats")).write(wire, http=given.get("fmt") != "TEXT_MAP")
    assert len(dict(headers)) == len(headers)
    assert dict(headers) == case["expect_headers"]
